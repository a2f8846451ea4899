/* The words that the library greets with. */
#define GREETING "Hello"
