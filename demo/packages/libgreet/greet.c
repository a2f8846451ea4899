#include "greet.h"
#include "greeting.h"

#include <stdio.h>

int greet_message(const char *name, char *buffer, size_t size)
{
    int length = snprintf(buffer, size, "%s, %s!", GREETING, name);

    return length < 0 || (size_t)length >= size ? -1 : length;
}

const char *greet_version(void)
{
    return GREET_VERSION;
}
