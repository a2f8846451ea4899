#include <shout.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    char text[256];

    if (argc != 2 || shout_message(argv[1], text, sizeof text) < 0) {
        fprintf(stderr, "usage: shout NAME\n");
        return 2;
    }
    puts(text);
    return 0;
}
