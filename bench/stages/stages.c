/* SPDX-License-Identifier: Apache-2.0 */
/* bench-stages: what the broker costs. Four stages that do nothing, documents of 1 KiB, a real Redis,
 * a real pawl-broker, workers and a client, all on this machine.
 *
 *   bench-stages [--jobs N] [--runs N] [--workers N] [--slots N] [always|everysec|no]…
 *
 * A transition is a stage's completion made durable, with its successor dispatched. The limit is a
 * bare loop that says the same commits, byte for byte, to an equal Redis, each after the reply to the
 * one before. Both are measured in turns; medians are printed, as Markdown. */
#include "bench/stages/client.h"

#include "common/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS_MAX = 15, WORKERS_MAX = 16, ALONE = 200 };

struct options {
    unsigned jobs, runs, workers, slots;
};

/* One run of the product. */
struct figures {
    double submits_s, transitions_s, bare_s, p50_ms, ops_per_commit;
};

/* ---- one run --------------------------------------------------------------------------------- */

static void wait_for(struct client *c, struct tally *t, uint64_t jobs)
{
    int64_t moved = mono_now().ms;
    for (uint64_t before = 0; atomic_load(&t->last) < jobs;) {
        uint64_t now = atomic_load(&t->taken);
        if (now != before)
            moved = mono_now().ms;
        before = now;
        if (mono_now().ms - moved > 20000)
            die("nothing moves for 20 s");
        hear(c, 1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* One job at a time through four idle stages: from SUBMIT to the last stage's acknowledgement. */
static double alone_ms(struct client *c, struct tally *t)
{
    double ms[ALONE];
    for (size_t i = 0; i < ALONE; i++) {
        uint64_t jobs = atomic_load(&t->last) + 1;
        int64_t began = mono_now_us();
        submit_one(c);
        wait_for(c, t, jobs);
        ms[i] = (double)(atomic_load(&t->last_us) - began) / 1e3;
    }
    return median(ms, ALONE);
}

struct run {
    struct rig rig;
    struct tally *tally;
    pid_t recorder, workers[WORKERS_MAX];
    uint64_t stages_from; /* offset of the recording where the stages begin */
};

static void run_open(struct run *r, const char *fsync, struct tally *tally, bool recorded)
{
    char from[96], to[96];
    *r = (struct run){ .tally = tally };
    *tally = (struct tally){ 0 };
    rig_open(&r->rig);
    r->rig.appendfsync = fsync;
    rig_redis_start(&r->rig);
    write_settings(&r->rig, "");
    if (recorded) {
        snprintf(from, sizeof from, "%s/recorded.sock", r->rig.dir);
        snprintf(to, sizeof to, "%s/redis.sock", r->rig.dir);
        r->recorder = recorder_start(from, to, r->rig.dir, tally);
        snprintf(r->rig.redis_url, sizeof r->rig.redis_url, "unix://%s", from);
    }
    rig_broker_start(&r->rig, NULL);
}

static void kill_all(struct run *r)
{
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        if (r->workers[i] && kill(r->workers[i], SIGKILL) == 0)
            waitpid(r->workers[i], NULL, 0);
    }
    rig_broker_stop(&r->rig, SIGTERM);
    if (r->recorder && kill(r->recorder, SIGKILL) == 0)
        waitpid(r->recorder, NULL, 0);
}

static void work(struct run *r, const struct options *o, bool alone, struct figures *out)
{
    struct client c;
    client_open(&c, &r->rig);
    out->submits_s = submit_all(&c, o->jobs);
    r->stages_from = atomic_load(&r->tally->recorded);
    int64_t began = mono_now_us();
    for (unsigned i = 0; i < o->workers; i++)
        r->workers[i] = worker_start(r->rig.endpoint, i, o->slots, r->tally);
    wait_for(&c, r->tally, o->jobs);
    double seconds = (double)(atomic_load(&r->tally->last_us) - began) / 1e6;
    out->transitions_s = STAGES_N * o->jobs / seconds;
    if (alone)
        out->p50_ms = alone_ms(&c, r->tally);
    client_close(&c);
    kill_all(r);
}

/* The limit: the same commits to a Redis that starts as empty as ours did. */
static void bare(struct run *recorded, const char *fsync, const struct options *o,
                 struct figures *out)
{
    struct rig rig;
    struct replayed said;
    char sock[160], wire[160];
    rig_open(&rig);
    rig.appendfsync = fsync;
    rig_redis_start(&rig);
    snprintf(sock, sizeof sock, "%s/redis.sock", rig.dir);
    snprintf(wire, sizeof wire, "%s/wire.0", recorded->rig.dir);
    if (!replay(sock, wire, recorded->stages_from, &said))
        die("the recording cannot be said again");
    out->bare_s = STAGES_N * o->jobs / said.seconds;
    out->ops_per_commit = (double)STAGES_N * o->jobs / (double)said.commits;
    rig_close(&rig);
}

static void measure(const char *fsync, const struct options *o, struct tally *tally)
{
    struct figures all[RUNS_MAX] = { 0 };
    double v[5][RUNS_MAX];
    struct run recorded, plain;
    struct figures dropped;
    run_open(&recorded, fsync, tally, true);
    work(&recorded, o, false, &dropped);
    for (unsigned i = 0; i < o->runs; i++) {
        run_open(&plain, fsync, tally, false);
        work(&plain, o, true, &all[i]);
        rig_close(&plain.rig);
        bare(&recorded, fsync, o, &all[i]);
        v[0][i] = all[i].submits_s;
        v[1][i] = all[i].transitions_s;
        v[2][i] = all[i].bare_s;
        v[3][i] = all[i].transitions_s / all[i].bare_s;
        v[4][i] = all[i].p50_ms;
    }
    rig_close(&recorded.rig);
    printf("| %s | %.0f | %.0f | %.0f | %.0f %% | %.1f | %.2f |\n", fsync, median(v[0], o->runs),
           median(v[1], o->runs), median(v[2], o->runs), 100 * median(v[3], o->runs),
           all[0].ops_per_commit, median(v[4], o->runs));
    fflush(stdout);
}

static unsigned whole(const char *text, unsigned most)
{
    char *end;
    unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || *end || n == 0 || n > most)
        die("usage: bench-stages [--jobs N] [--runs N] [--workers N] [--slots N] "
            "[always|everysec|no]...");
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    struct options o = { .jobs = 20000, .runs = 3, .workers = 1, .slots = 256 };
    const char *fsync[8];
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--jobs") == 0)
            o.jobs = whole(argv[++i], 10000000);
        else if (strcmp(argv[i], "--runs") == 0)
            o.runs = whole(argv[++i], RUNS_MAX);
        else if (strcmp(argv[i], "--workers") == 0)
            o.workers = whole(argv[++i], WORKERS_MAX);
        else if (strcmp(argv[i], "--slots") == 0)
            o.slots = whole(argv[++i], 4096);
        else if (n < COUNT(fsync))
            fsync[n++] = argv[i];
    }
    if (n == 0) {
        fsync[n++] = "everysec";
        fsync[n++] = "always";
    }
    struct tally *tally =
        mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally == MAP_FAILED)
        die("no shared memory");
    printf("%u jobs, %u workers of %u slots, median of %u runs\n\n", o.jobs, o.workers, o.slots,
           o.runs);
    puts("| appendfsync | submissions/s | transitions/s | bare loop/s | of it | transitions a "
         "commit | p50 alone, ms |\n| --- | --- | --- | --- | --- | --- | --- |");
    fflush(stdout);
    for (size_t i = 0; i < n; i++)
        measure(fsync[i], &o, tally);
    return 0;
}
