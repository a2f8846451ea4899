/* parrot NAME: greets twice, with the voice that is installed. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef int (*voice)(const char *name, char *buffer, size_t size);

int main(int argc, char **argv)
{
    const char *path = getenv("PARROT_VOICE");
    char text[256];
    void *module;
    voice say;

    if (argc != 2) {
        fprintf(stderr, "usage: parrot NAME\n");
        return 2;
    }
    module = dlopen(path ? path : "/usr/lib/parrot/voice.so", RTLD_NOW);
    if (!module || !(say = (voice)dlsym(module, "parrot_voice"))) {
        fprintf(stderr, "parrot: %s\n", dlerror());
        return 1;
    }
    if (say(argv[1], text, sizeof text) < 0)
        return 1;
    printf("%s %s\n", text, text);
    return 0;
}
