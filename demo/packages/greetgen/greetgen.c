/* Reads lines "key<TAB>text" and writes a C table of them. Lines that begin
   with '#' are left out. */
#include <stdio.h>
#include <string.h>

static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

int main(int argc, char **argv)
{
    char line[512];
    int number = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: greetgen TABLE < WORDS\n");
        return 2;
    }
    printf("static const struct { const char *key, *text; } %s[] = {\n", argv[1]);
    while (fgets(line, sizeof line, stdin)) {
        char *tab;

        number++;
        if (line[0] == '#')
            continue;
        line[strcspn(line, "\n")] = '\0';
        tab = strchr(line, '\t');
        if (!tab) {
            fprintf(stderr, "greetgen: line %d has no tabulator\n", number);
            return 1;
        }
        *tab = '\0';
        fputs("    { ", stdout);
        print_quoted(line);
        fputs(", ", stdout);
        print_quoted(tab + 1);
        fputs(" },\n", stdout);
    }
    puts("};");
    return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
