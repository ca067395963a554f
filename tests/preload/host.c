/* SPDX-License-Identifier: Apache-2.0
 *
 *   host FLAGS PLUGIN…
 *
 * Loads plugins as Python loads extensions (FLAGS "local"), in the global scope ("global") or bound to
 * themselves first ("deep"), and prints what their dot product is. Then unloads them and loads each once more
 * on its own, last first: one takes the addresses of the other.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int run(const char *path, int flags)
{
    void *handle = dlopen(path, RTLD_NOW | flags);
    float (*dot)(void) = handle ? (float (*)(void))dlsym(handle, "plugin_dot") : NULL;
    if (!dot) {
        printf("%s\n", dlerror());
        return -1;
    }
    printf("%g\n", dot());
    return dlclose(handle);
}

int main(int argc, char **argv)
{
    int flags = argc < 2                            ? 0
                : strcmp(argv[1], "global") == 0 ? RTLD_GLOBAL
                : strcmp(argv[1], "deep") == 0   ? RTLD_LOCAL | RTLD_DEEPBIND
                                                 : RTLD_LOCAL;
    void *handles[8];
    int count = argc - 2;
    for (int i = 0; i < count && i < 8; i++)
        if (!(handles[i] = dlopen(argv[2 + i], RTLD_NOW | flags)))
            printf("%s\n", dlerror());
    for (int i = 0; i < count; i++)
        run(argv[2 + i], flags);
    for (int i = 0; i < count && i < 8; i++)
        dlclose(handles[i]);
    for (int i = count - 1; i >= 0; i--)
        run(argv[2 + i], flags);
    return 0;
}
