/* The module that parrot(1) loads. */
#include <greet.h>

int parrot_voice(const char *name, char *buffer, size_t size)
{
    return greet_message(name, buffer, size);
}
