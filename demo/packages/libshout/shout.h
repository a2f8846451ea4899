/* Greets people at the top of its voice. */
#ifndef SHOUT_H
#define SHOUT_H

#include <stddef.h>

/* As greet_message(), in capitals. */
int shout_message(const char *name, char *buffer, size_t size);

#endif
