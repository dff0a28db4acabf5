/* SPDX-License-Identifier: Apache-2.0 */
/* pawl-sim: the real broker in a simulated world, held against its promises; see usage_text. */
#include "tests/sim/sim.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CPU_SECONDS_MAX = 20 };

struct options {
    struct sim_conf conf;
    uint64_t worlds;
    int64_t seconds;
    const char *seeds;
    bool forever, bench, shrink, quiet;
};

static const char usage_text[] =
    "pawl-sim: the real broker in a simulated world, held against its promises.\n"
    "\n"
    "  pawl-sim --seed S --steps N            one world, exactly; --trace shows what happens\n"
    "  pawl-sim --from S --worlds K --steps N K worlds from seed S on; --seconds T: no longer\n"
    "  pawl-sim --seeds FILE                  each line `seed steps [fault=rate ...]`: regressions\n"
    "  pawl-sim --forever                     random seeds until something breaks\n"
    "  pawl-sim --bench                       3 projects, 200 jobs, 20 workers: steps a second\n"
    "  pawl-sim --faults                      what may go wrong, and how often\n"
    "\n"
    "  FAULT=RATE                             per 100,000 occasions; all=0: no faults but those\n"
    "                                         that follow\n"
    "  --projects --jobs --workers --hosts N  sizes instead of those that the seed chooses\n"
    "  --check N                              steps between whole checks (1000; 0: never)\n"
    "  --no-calm                              do not wait for all jobs to end\n"
    "  --no-shrink                            a broken world is not made smaller\n"
    "  --quiet                                no line for each world\n"
    "\n"
    "A broken promise is printed with its seed and step, then the world is made smaller: faults\n"
    "are left out one by one and the number of steps is reduced as long as something breaks; what\n"
    "is left is printed as a line for seeds.txt. Exit code: 0 kept, 1 broken, 2 misuse.\n";

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
}

static void print_line(const struct sim_conf *c)
{
    struct sim_conf usual;
    conf_default(&usual);
    printf("%llu %llu", (unsigned long long)c->seed, (unsigned long long)c->steps);
    for (int f = 0; f < FAULT_COUNT; f++) {
        if (c->rate[f] != usual.rate[f])
            printf(" %s=%u", fault_name((enum fault)f), c->rate[f]);
    }
    printf("\n");
    fflush(stdout);
}

/* In a child: assertions of the broker end it too. True: all promises were kept. */
static bool run_apart(const struct sim_conf *c, bool quiet)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit most = { CPU_SECONDS_MAX, CPU_SECONDS_MAX + 1 };
        if (c->steps < 100000) /* a broker that spins is broken too */
            setrlimit(RLIMIT_CPU, &most);
        int null = open("/dev/null", O_WRONLY);
        if (quiet && null >= 0) {
            dup2(null, 1);
            dup2(null, 2);
        }
        _exit(world_run(c) ? (fflush(stdout), 0) : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("pawl-sim: fork");
        exit(2);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void shrink(struct sim_conf c)
{
    for (int f = 0; f < FAULT_COUNT; f++) {
        struct sim_conf less = c;
        less.rate[f] = 0;
        if (c.rate[f] && !run_apart(&less, true))
            c = less;
    }
    for (uint64_t part = c.steps / 2; part > 0 && c.steps > part; part /= 2) {
        struct sim_conf less = c;
        less.steps = c.steps - part;
        if (!run_apart(&less, true))
            c = less;
    }
    printf("smallest found: ");
    print_line(&c);
    run_apart(&c, false);
}

static bool world(const struct options *o, const struct sim_conf *c)
{
    if (run_apart(c, o->quiet))
        return true;
    if (o->quiet)
        run_apart(c, false);
    printf("BROKEN: ");
    print_line(c);
    if (o->shrink)
        shrink(*c);
    return false;
}

static bool set_rate(struct sim_conf *c, const char *word)
{
    const char *is = strchr(word, '=');
    size_t n = is ? (size_t)(is - word) : 0;
    bool all = n == 3 && strncmp(word, "all", 3) == 0, known = all;
    for (int f = 0; is && f < FAULT_COUNT; f++) {
        const char *name = fault_name((enum fault)f);
        if (!all && (strlen(name) != n || strncmp(word, name, n) != 0))
            continue;
        c->rate[f] = (uint32_t)strtoul(is + 1, NULL, 10);
        known = true;
    }
    return known;
}

/* The next of the words that blanks separate, or NULL; cuts it off. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \n");
    size_t n = strcspn(word, " \n");
    *at = word + n + (word[n] != '\0');
    word[n] = '\0';
    return n ? word : NULL;
}

static int replay(const struct options *o)
{
    FILE *file = fopen(o->seeds, "r");
    char line[512];
    int worst = 0;
    if (!file) {
        perror(o->seeds);
        return 2;
    }
    while (fgets(line, sizeof line, file)) {
        struct sim_conf c = o->conf;
        char *rest = line, *word = next_word(&rest);
        if (!word || word[0] == '#')
            continue;
        c.seed = strtoull(word, NULL, 10);
        word = next_word(&rest);
        c.steps = word ? strtoull(word, NULL, 10) : c.steps;
        while (word && (word = next_word(&rest)) != NULL && word[0] != '#') {
            if (!set_rate(&c, word))
                fprintf(stderr, "%s: unknown fault %s\n", o->seeds, word);
        }
        if (!world(o, &c))
            worst = 1;
    }
    fclose(file);
    return worst;
}

static int many(const struct options *o)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    time_t until = t.tv_sec + o->seconds;
    uint64_t done = 0;
    for (; o->forever || done < o->worlds; done++) {
        struct sim_conf c = o->conf;
        c.seed = o->conf.seed + done;
        if (!world(o, &c))
            return 1;
        clock_gettime(CLOCK_MONOTONIC, &t);
        if (o->seconds && t.tv_sec >= until) {
            done++;
            break;
        }
    }
    printf("%llu worlds of %llu steps and a calm: all promises kept\n", (unsigned long long)done,
           (unsigned long long)o->conf.steps);
    return 0;
}

static int bench(struct options *o)
{
    struct sim_conf *c = &o->conf;
    c->projects = 3;
    c->jobs = 200;
    c->workers = 20;
    c->hosts = c->hosts ? c->hosts : 1;
    c->calm = false;
    double from = cpu_seconds();
    world_run(c);
    double took = cpu_seconds() - from;
    printf("%llu steps in %.2f s of user CPU: %.0f steps/s\n", (unsigned long long)c->steps, took,
           (double)c->steps / took);
    return 0;
}

static void list_faults(void)
{
#define X(id, name, rate, meaning) printf("%-13s %5d  %s\n", name, rate, meaning);
    FAULTS(X)
#undef X
}

static uint64_t number(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) {
        fprintf(stderr, "pawl-sim: %s needs a number\n", argv[*i]);
        exit(2);
    }
    return strtoull(argv[++*i], NULL, 10);
}

static bool flag(struct options *o, const char *arg)
{
    if (strcmp(arg, "--forever") == 0)
        o->forever = true;
    else if (strcmp(arg, "--bench") == 0)
        o->bench = true;
    else if (strcmp(arg, "--trace") == 0)
        o->conf.trace = true;
    else if (strcmp(arg, "--no-calm") == 0)
        o->conf.calm = false;
    else if (strcmp(arg, "--no-shrink") == 0)
        o->shrink = false;
    else if (strcmp(arg, "--quiet") == 0)
        o->quiet = true;
    else
        return set_rate(&o->conf, arg);
    return true;
}

static bool option(struct options *o, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    if (strcmp(arg, "--seed") == 0 || strcmp(arg, "--from") == 0)
        o->conf.seed = number(argc, argv, i);
    else if (strcmp(arg, "--steps") == 0)
        o->conf.steps = number(argc, argv, i);
    else if (strcmp(arg, "--worlds") == 0)
        o->worlds = number(argc, argv, i);
    else if (strcmp(arg, "--seconds") == 0)
        o->seconds = (int64_t)number(argc, argv, i);
    else if (strcmp(arg, "--projects") == 0)
        o->conf.projects = (uint32_t)number(argc, argv, i);
    else if (strcmp(arg, "--jobs") == 0)
        o->conf.jobs = (uint32_t)number(argc, argv, i);
    else if (strcmp(arg, "--workers") == 0)
        o->conf.workers = (uint32_t)number(argc, argv, i);
    else if (strcmp(arg, "--hosts") == 0)
        o->conf.hosts = (uint32_t)number(argc, argv, i);
    else if (strcmp(arg, "--check") == 0)
        o->conf.check_every = (uint32_t)number(argc, argv, i);
    else if (strcmp(arg, "--seeds") == 0 && *i + 1 < argc)
        o->seeds = argv[++*i];
    else
        return flag(o, arg);
    return true;
}

int main(int argc, char **argv)
{
    struct options o = { .worlds = 1, .shrink = true };
    conf_default(&o.conf);
    for (int i = 1; i < argc; i++) {
        bool help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
        if (help || strcmp(argv[i], "--faults") == 0) {
            help ? (void)fputs(usage_text, stdout) : list_faults();
            return 0;
        }
        if (!option(&o, argc, argv, &i)) {
            fprintf(stderr, "pawl-sim: unknown option %s; see --help\n", argv[i]);
            return 2;
        }
    }
    if (o.forever) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        o.conf.seed = (uint64_t)t.tv_sec * 1000;
        o.quiet = true;
    }
    if (o.bench)
        return bench(&o);
    return o.seeds ? replay(&o) : many(&o);
}
