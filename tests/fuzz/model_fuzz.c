/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged model files. Good ones are mutated; a case that takes a new way through the readers is kept and mutated
 * further. Built with sanitizers. A child does the work: a fault, or a case of more than SECONDS, ends it, the
 * case is put aside and the next child goes on.
 *
 *   model_fuzz [--target NAME] [--seconds S] [--executions N] [--seed N] [--seeds DIR] [--corpus DIR] [--log FILE]
 *   model_fuzz --replay TARGET FILE
 *
 * DIR/TARGET/ holds seeds or the corpus, SEEDS/TARGET.beside/ files that lie beside each case, CORPUS/crashes the
 * cases that were put aside. A line for each target is appended to FILE: when, executions, faults. Exit status 1
 * after any fault.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "coverage.h"
#include "mutate.h"
#include "targets.h"

#define LARGEST_MEMORY 400000 /* KiB of a child, sanitizers included */
#define SECONDS        10     /* for one case */
#define MOST_FAULTS    10     /* of one target in one run */
#define MOST_CORPUS    20000  /* cases */
#define CHANGES        6      /* of one case at most */

/* A length field that is believed asks for more than 64 MiB, which ends the program. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "max_allocation_size_mb=64:quarantine_size_mb=16:detect_leaks=1";
}

struct settings {
    const char *target, *seeds, *corpus, *log;
    double seconds; /* for all targets */
    long executions; /* for each target; the first limit that is reached counts */
    uint64_t seed;
};

struct tally { /* shared with the children */
    long executions, opened, kept, cases;
};

struct corpus {
    struct bytes **cases; /* [count] */
    size_t count;
};

struct session {
    const struct settings *settings;
    const struct target *target;
    struct corpus corpus;
    struct tally *tally;
    char folder[64]; /* of the case */
    double until;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- files ---- */

static int write_bytes(const char *path, const struct bytes *bytes)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int rc = file >= 0 && write(file, bytes->at, bytes->count) == (ssize_t)bytes->count ? 0 : -1;

    if (file >= 0)
        close(file);
    return rc;
}

/* False: not there, or larger than a case may be. */
static bool read_bytes(const char *path, struct bytes *bytes)
{
    FILE *file = fopen(path, "rb");
    bool whole = false;

    if (file) {
        bytes->count = fread(bytes->at, 1, sizeof bytes->at, file);
        whole = feof(file) || fgetc(file) == EOF;
        fclose(file);
    }
    return whole;
}

static struct bytes *keep(struct corpus *corpus, const struct bytes *bytes)
{
    if (corpus->count == MOST_CORPUS)
        return NULL;
    struct bytes *copy = malloc(offsetof(struct bytes, at) + bytes->count);
    corpus->cases = realloc(corpus->cases, (corpus->count + 1) * sizeof *corpus->cases);
    require(copy && corpus->cases, "no memory");
    memcpy(copy->at, bytes->at, bytes->count);
    copy->count = bytes->count;
    return corpus->cases[corpus->count++] = copy;
}

static void each_file(const char *root, const char *name, void (*use)(struct session *, const char *path),
                      struct session *session)
{
    char path[4096];
    struct dirent **entries = NULL;
    snprintf(path, sizeof path, "%s/%s", root, name);
    int count = scandir(path, &entries, NULL, alphasort); /* the same order everywhere */

    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s/%s", root, name, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            use(session, path);
        free(entries[i]);
    }
    free(entries);
}

static void load_case(struct session *session, const char *path)
{
    static struct bytes bytes;
    if (read_bytes(path, &bytes))
        keep(&session->corpus, &bytes);
}

static void lay_beside(struct session *session, const char *path)
{
    static struct bytes bytes;
    char copy[4096];

    snprintf(copy, sizeof copy, "%s/%s", session->folder, strrchr(path, '/') + 1);
    require(read_bytes(path, &bytes) && write_bytes(copy, &bytes) == 0, path);
}

static void remove_file(struct session *session, const char *path)
{
    unlink(path);
}

static void save_new(const struct session *session, const struct bytes *bytes)
{
    char path[4096];

    if (!session->settings->corpus)
        return;
    snprintf(path, sizeof path, "%s/%s/%08lx%04zx", session->settings->corpus, session->target->name,
             (unsigned long)crc32(0, bytes->at, (unsigned)bytes->count), bytes->count & 0xffff);
    write_bytes(path, bytes);
}

/* ---- one case ---- */

static bool use_case(struct session *session, const struct bytes *bytes)
{
    const struct target *target = session->target;
    char file[128], opened[128];
    bool any = false;

    snprintf(file, sizeof file, "%s/%s", session->folder, target->file);
    snprintf(opened, sizeof opened, "%s/%s", session->folder, target->opens ? target->opens : target->file);
    require(write_bytes(file, bytes) == 0, file);
    alarm(SECONDS);
    coverage_begin();
    for (int i = 0; i < 3 && target->use[i]; i++)
        any |= target->use[i](opened);
    alarm(0);
    session->tally->executions++;
    session->tally->opened += any;
    return any;
}

static const struct bytes *any_case(const struct corpus *corpus)
{
    size_t newest = corpus->count > 16 && random_below(3) == 0 ? 16 : corpus->count;
    return corpus->cases[corpus->count - newest + random_below(newest)];
}

static void damage(const struct session *session, struct bytes *bytes)
{
    const struct bytes *from = any_case(&session->corpus);

    memcpy(bytes->at, from->at, from->count);
    bytes->count = from->count;
    for (size_t i = 0, count = 1 + random_below(1 + random_below(CHANGES)); i < count; i++)
        mutate(bytes, any_case(&session->corpus));
    if (session->target->repair && random_below(4) != 0)
        session->target->repair(bytes);
}

static bool more(const struct session *session, long executions)
{
    return now() < session->until && executions < session->settings->executions;
}

static void check_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    require(usage.ru_maxrss < LARGEST_MEMORY, "too much memory");
}

/* The child: everything known once, so that its ways are no news, then new cases. */
static void work(struct session *session)
{
    static struct bytes bytes;

    for (size_t i = 0; i < session->corpus.count && now() < session->until; i++) {
        use_case(session, session->corpus.cases[i]);
        coverage_is_new();
    }
    while (more(session, session->tally->cases)) {
        session->tally->cases++;
        damage(session, &bytes);
        use_case(session, &bytes);
        if (coverage_is_new() && keep(&session->corpus, &bytes)) {
            save_new(session, &bytes);
            session->tally->kept++;
        }
        check_memory();
    }
}

/* ---- one target ---- */

static void put_aside(const struct session *session, int status, int number)
{
    static struct bytes bytes;
    const char *root = session->settings->corpus ? session->settings->corpus : "/tmp";
    char from[128], to[4096];

    snprintf(from, sizeof from, "%s/%s", session->folder, session->target->file);
    snprintf(to, sizeof to, "%s/crashes/%s.%ld.%d", root, session->target->name, (long)time(NULL), number);
    if (!session->settings->corpus)
        snprintf(to, sizeof to, "/tmp/model-fuzz-%s.%ld.%d", session->target->name, (long)getpid(), number);
    if (read_bytes(from, &bytes))
        write_bytes(to, &bytes);
    fprintf(stderr, "model_fuzz: %s: %s; the case: %s\n", session->target->name,
            WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "more than 10 seconds" : "fault, see above", to);
}

/* True: the child ended well. */
static bool run_child(struct session *session, int number)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();

    if (child == 0) {
        random_seed(session->settings->seed + 1000003u * (unsigned)number);
        work(session);
        exit(0); /* leaks are looked for here */
    }
    require(child > 0, "no child");
    waitpid(child, &status, 0);
    if (status != 0)
        put_aside(session, status, number);
    return status == 0;
}

static void make_corpus(struct session *session)
{
    static struct bytes bytes;
    const struct settings *settings = session->settings;

    if (session->target->seed) {
        bytes.count = 0;
        session->target->seed(&bytes);
        keep(&session->corpus, &bytes);
    }
    if (settings->seeds)
        each_file(settings->seeds, session->target->name, load_case, session);
    if (settings->corpus) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", settings->corpus, session->target->name);
        require(mkdir(path, 0700) == 0 || errno == EEXIST, path);
        each_file(settings->corpus, session->target->name, load_case, session);
    }
}

static void make_folder(struct session *session)
{
    static struct bytes shard;
    char path[96];

    snprintf(session->folder, sizeof session->folder, "/tmp/tensortap-fuzz-XXXXXX");
    require(mkdtemp(session->folder) != NULL, "no folder");
    if (strcmp(session->target->name, "index") == 0) {
        shard.count = 0;
        seed_safetensors(&shard);
        snprintf(path, sizeof path, "%s/shard.safetensors", session->folder);
        require(write_bytes(path, &shard) == 0, path);
    }
    if (session->settings->seeds) {
        snprintf(path, sizeof path, "%s.beside", session->target->name);
        each_file(session->settings->seeds, path, lay_beside, session);
    }
}

static void free_session(struct session *session)
{
    for (size_t i = 0; i < session->corpus.count; i++)
        free(session->corpus.cases[i]);
    free(session->corpus.cases);
    each_file(session->folder, "", remove_file, session);
    rmdir(session->folder);
}

static void append_line(const struct session *session, double seconds, int faults)
{
    const struct tally *tally = session->tally;
    char date[32], line[256];
    time_t clock = time(NULL);

    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&clock));
    snprintf(line, sizeof line, "%s %s executions %ld opened %ld new %ld corpus %zu seconds %.0f crashes %d\n", date,
             session->target->name, tally->executions, tally->opened, tally->kept,
             session->corpus.count + (size_t)tally->kept, seconds, faults);
    fputs(line, stdout);
    FILE *log = session->settings->log ? fopen(session->settings->log, "a") : NULL;
    if (log) {
        fputs(line, log);
        fclose(log);
    }
}

static int run_target(const struct settings *settings, const struct target *target, double seconds)
{
    struct session session = {.settings = settings, .target = target, .until = now() + seconds};
    double start = now();
    int faults = 0;

    session.tally = mmap(NULL, sizeof *session.tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(session.tally != MAP_FAILED, "no shared memory");
    make_corpus(&session);
    make_folder(&session);
    if (session.corpus.count > 0)
        while (faults < MOST_FAULTS && !run_child(&session, faults))
            faults++;
    append_line(&session, now() - start, faults);
    const struct tally *tally = session.tally;
    if (faults == 0 && tally->executions > 500 && (tally->opened == 0 || tally->opened == tally->executions)) {
        fprintf(stderr, "model_fuzz: %s: mutation does nothing, or everything is refused\n", target->name);
        faults++;
    }
    munmap(session.tally, sizeof *session.tally);
    free_session(&session);
    return faults;
}

static int replay(const char *name, const char *path, const struct settings *settings)
{
    static struct bytes bytes;
    static struct tally tally;

    for (size_t i = 0; i < ntargets; i++) {
        struct session session = {.settings = settings, .target = &targets[i], .tally = &tally};
        if (strcmp(targets[i].name, name) != 0 || !read_bytes(path, &bytes))
            continue;
        make_folder(&session);
        printf("%s\n", use_case(&session, &bytes) ? "opened" : "refused");
        free_session(&session);
        return 0;
    }
    fprintf(stderr, "model_fuzz: no target %s, or no file %s\n", name, path);
    return 2;
}

static size_t chosen_targets(const struct settings *settings)
{
    size_t count = 0;
    for (size_t i = 0; i < ntargets; i++)
        count += !settings->target || strcmp(settings->target, targets[i].name) == 0;
    return count;
}

static void read_settings(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {
        {"target", 1, NULL, 't'}, {"seconds", 1, NULL, 's'}, {"executions", 1, NULL, 'n'}, {"seed", 1, NULL, 'r'},
        {"seeds", 1, NULL, 'i'},  {"corpus", 1, NULL, 'c'},  {"log", 1, NULL, 'l'},        {0}};

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        const char **const texts[] = {['t'] = &settings->target, ['i'] = &settings->seeds,
                                      ['c'] = &settings->corpus, ['l'] = &settings->log};
        if (option == '?')
            exit(2);
        else if (option == 's')
            settings->seconds = atof(optarg);
        else if (option == 'n')
            settings->executions = atol(optarg);
        else if (option == 'r')
            settings->seed = strtoull(optarg, NULL, 0);
        else
            *texts[option] = optarg;
    }
}

int main(int argc, char **argv)
{
    struct settings settings = {.seconds = 1e9, .executions = 1000000000, .seed = 7};
    char crashes[4096];
    int faults = 0;

    if (argc >= 4 && strcmp(argv[1], "--replay") == 0) {
        settings.seeds = argc > 4 ? argv[4] : NULL;
        return replay(argv[2], argv[3], &settings);
    }
    read_settings(argc, argv, &settings);
    size_t count = chosen_targets(&settings);
    require(count > 0, "no such target");
    if (settings.corpus) {
        snprintf(crashes, sizeof crashes, "%s/crashes", settings.corpus);
        require((mkdir(settings.corpus, 0700) == 0 || errno == EEXIST) &&
                    (mkdir(crashes, 0700) == 0 || errno == EEXIST), crashes);
    }
    for (size_t i = 0; i < ntargets; i++)
        if (!settings.target || strcmp(settings.target, targets[i].name) == 0)
            faults += run_target(&settings, &targets[i], settings.seconds / (double)count);
    return faults != 0;
}
