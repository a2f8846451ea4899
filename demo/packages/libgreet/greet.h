/* Greets people by name. */
#ifndef GREET_H
#define GREET_H

#include <stddef.h>

/* Writes a greeting for NAME, with a final NUL, into the SIZE bytes at BUFFER.
   Returns the greeting's length, or -1 if it does not fit. */
int greet_message(const char *name, char *buffer, size_t size);

/* The version of the library that is running. */
const char *greet_version(void);

#endif
