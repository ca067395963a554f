/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the real function, see real.h. Order: RTLD_NEXT (what the global scope holds after us), the calling
 * object's own scope, then any object that defines the name.
 *
 * Bindings are forgotten when an object is unloaded, because another may take its addresses; dlclose is
 * wrapped for that and does nothing else.
 */
#include "real.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

enum { MAX_SITES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tt_site *bound_sites[MAX_SITES]; /* sites with bindings, to forget them */
static unsigned nbound;

struct object { /* an object of this process */
    uintptr_t address, low, high; /* wanted address; span of its segments */
};

static int find_object(struct dl_phdr_info *info, size_t size, void *data)
{
    struct object *object = data;
    uintptr_t low = UINTPTR_MAX, high = 0;
    bool inside = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr, end = begin + segment->p_memsz;
        if (segment->p_type != PT_LOAD)
            continue;
        inside |= object->address >= begin && object->address < end;
        low = begin < low ? begin : low;
        high = end > high ? end : high;
    }
    if (inside) {
        object->low = low;
        object->high = high;
    }
    return inside;
}

/* Span of the object that holds `address`; a page for generated code. */
static struct object object_of(const void *address)
{
    struct object object = {.address = (uintptr_t)address};
    if (!dl_iterate_phdr(find_object, &object)) {
        object.low = object.address & ~(uintptr_t)4095;
        object.high = object.low + 4096;
    }
    return object;
}

static bool ours(const void *function)
{
    static struct object self;
    if (!self.high)
        self = object_of((void *)tt_real_bind);
    return (uintptr_t)function >= self.low && (uintptr_t)function < self.high;
}

/* The linker's own: the wrapper below would forget every binding. */
static int real_dlclose(void *handle)
{
    static int (*real)(void *);
    if (!real)
        real = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
    return real(handle);
}

static void *symbol_in(const char *path, const char *name)
{
    void *handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    void *function = handle ? dlsym(handle, name) : NULL;
    if (handle)
        real_dlclose(handle); /* only drops the count that dlopen added */
    return function && !ours(function) ? function : NULL;
}

/* In the scope of the object that calls: itself, then what it needs, breadth first. */
static void *symbol_for_caller(const void *caller, const char *name)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (!dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
        return NULL;
    return symbol_in(map->l_name[0] ? map->l_name : NULL, name);
}

struct paths { /* of the loaded objects; copied, for the linker must not be called from its own iteration */
    char *text[1024];
    int count;
};

static int collect_path(struct dl_phdr_info *info, size_t size, void *data)
{
    struct paths *paths = data;
    if (info->dlpi_name && *info->dlpi_name && paths->count < 1024)
        if ((paths->text[paths->count] = strdup(info->dlpi_name)))
            paths->count++;
    return 0;
}

static void *symbol_anywhere(const char *name)
{
    struct paths paths;
    void *found = NULL;
    bool several = false;
    paths.count = 0;
    dl_iterate_phdr(collect_path, &paths);
    for (int i = 0; i < paths.count; i++) {
        void *function = symbol_in(paths.text[i], name);
        several |= function && found && function != found;
        found = found ? found : function;
        free(paths.text[i]);
    }
    if (several)
        tt_core_problem("%s: its caller could mean one of several libraries, the first was taken", name);
    return found;
}

static void *find_function(const char *name, const void *caller)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function || ours(function))
        function = symbol_for_caller(caller, name);
    if (!function)
        function = symbol_anywhere(name);
    return function;
}

/* Is `companion` defined in the object that defines `function`? */
static bool defined_beside(const void *function, const char *companion)
{
    Dl_info info;
    void *other = NULL;
    if (!companion)
        return true;
    if (dladdr(function, &info) && info.dli_fname)
        other = symbol_in(info.dli_fname, companion);
    struct object home = object_of(function);
    return other && (uintptr_t)other >= home.low && (uintptr_t)other < home.high;
}

/* Called with `lock` held. */
static void publish(struct tt_site *site, struct tt_binding *binding)
{
    binding->next = atomic_load_explicit(&site->bindings, memory_order_relaxed);
    if (!binding->next && nbound < MAX_SITES)
        bound_sites[nbound++] = site;
    atomic_store_explicit(&site->bindings, binding, memory_order_release);
}

const struct tt_binding *tt_real_bind(struct tt_site *site, const void *caller)
{
    static _Thread_local struct tt_binding spare __attribute__((tls_model("initial-exec")));
    int saved = errno;
    struct object object = object_of(caller);
    struct tt_binding found = {
        .low = object.low, .high = object.high, .function = find_function(site->name, caller)};
    found.genuine = !found.function || defined_beside(found.function, site->companion);
    dlerror(); /* what we tried in vain is not the program's error */
    struct tt_binding *binding = found.function ? malloc(sizeof(*binding)) : NULL;
    if (!found.function && !atomic_exchange(&site->told, true))
        tt_core_problem("%s: no loaded library defines it, the tap computes it", site->name);
    if (binding) {
        *binding = found;
        pthread_mutex_lock(&lock);
        publish(site, binding);
        pthread_mutex_unlock(&lock);
    } else {
        spare = found; /* not kept: a library that is loaded later may define it */
        binding = &spare;
    }
    errno = saved;
    return binding;
}

/* How many objects have been unloaded so far. */
static int count_unloaded(struct dl_phdr_info *info, size_t size, void *data)
{
    *(unsigned long long *)data = info->dlpi_subs;
    return 1;
}

/* Only when an object has gone: programs call dlclose in loops, and old bindings are not freed, because
 * another thread may be reading them. */
static void forget_bindings(void)
{
    static unsigned long long forgotten;
    unsigned long long unloaded = 0;
    dl_iterate_phdr(count_unloaded, &unloaded);
    if (__atomic_exchange_n(&forgotten, unloaded, __ATOMIC_ACQ_REL) == unloaded)
        return;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < nbound; i++)
        atomic_store_explicit(&bound_sites[i]->bindings, NULL, memory_order_release);
    nbound = 0;
    pthread_mutex_unlock(&lock);
}

TT_EXPORT int dlclose(void *handle)
{
    int result = real_dlclose(handle);
    forget_bindings();
    return result;
}
