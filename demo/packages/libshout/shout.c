#include "shout.h"

#include <ctype.h>
#include <greet.h>

int shout_message(const char *name, char *buffer, size_t size)
{
    int length = greet_message(name, buffer, size);

    for (int i = 0; i < length; i++)
        buffer[i] = (char)toupper((unsigned char)buffer[i]);
    return length;
}
