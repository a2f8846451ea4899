/* greet NAME             greets
   greet --bye LANG NAME  says goodbye in that language
   greet --version        names the library that is running */
#include <greet.h>
#include <stdio.h>
#include <string.h>

#include "goodbyes.inc"

int main(int argc, char **argv)
{
    char text[256];

    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("libgreet %s\n", greet_version());
        return 0;
    }
    if (argc == 4 && !strcmp(argv[1], "--bye")) {
        for (size_t i = 0; i < sizeof goodbyes / sizeof goodbyes[0]; i++)
            if (!strcmp(goodbyes[i].key, argv[2])) {
                printf("%s, %s!\n", goodbyes[i].text, argv[3]);
                return 0;
            }
        fprintf(stderr, "greet: no goodbye in language '%s'\n", argv[2]);
        return 1;
    }
    if (argc != 2 || greet_message(argv[1], text, sizeof text) < 0) {
        fprintf(stderr, "usage: greet NAME | --bye LANGUAGE NAME | --version\n");
        return 2;
    }
    puts(text);
    return 0;
}
