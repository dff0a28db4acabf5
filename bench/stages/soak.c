/* SPDX-License-Identifier: Apache-2.0 */
/* bench-soak: does anything grow? Jobs at a steady rate through four stages that do nothing, with a
 * small retention, for a long time; the memory of broker and Redis is looked at every ten seconds.
 *
 *   bench-soak [--minutes N] [--rate JOBS_PER_SECOND] [--retain JOBS]
 *
 * Prints a line of figures a minute and then the medians of the third and of the last quarter, as
 * Markdown. Exit code 1: one of them grew by more than 1 %. */
#include "bench/stages/client.h"

#include "common/clock.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { SAMPLE_MS = 10000, SAMPLES_MAX = 20000, BEHIND_MAX = 20000, SLOTS = 256 };

struct sample {
    double broker_kib, redis_kib, redis_rss_kib, keys, done;
};

struct soak {
    struct rig rig;
    struct client client;
    struct tally *tally;
    redisContext *redis;
    pid_t worker;
    unsigned minutes, rate, retain;
    struct sample samples[SAMPLES_MAX];
    size_t samples_n;
};

static double told(redisContext *c, const char *section, const char *name)
{
    redisReply *r = redisCommand(c, "INFO %s", section);
    const char *at = r && r->type != REDIS_REPLY_ERROR ? strstr(r->str, name) : NULL;
    double v = at ? strtod(at + strlen(name), NULL) : 0;
    if (r)
        freeReplyObject(r);
    if (!at)
        die("Redis does not tell its memory");
    return v;
}

static void sample(struct soak *s, int64_t began_ms)
{
    struct sample *now = &s->samples[s->samples_n++];
    *now = (struct sample){ .broker_kib = (double)rig_rss_kib(s->rig.broker),
                            .redis_kib = told(s->redis, "memory", "used_memory:") / 1024,
                            .redis_rss_kib = told(s->redis, "memory", "used_memory_rss:") / 1024,
                            .keys = told(s->redis, "keyspace", "keys="),
                            .done = (double)atomic_load(&s->tally->last) };
    if (s->samples_n % 6 == 1) {
        printf("%4lld s: %.0f jobs, broker %.0f KiB, Redis %.0f KiB (resident %.0f), %.0f keys\n",
               (long long)(mono_now().ms - began_ms) / 1000, now->done, now->broker_kib,
               now->redis_kib, now->redis_rss_kib, now->keys);
        fflush(stdout);
    }
}

static void load(struct soak *s)
{
    int64_t began = mono_now().ms, next = began + SAMPLE_MS,
            until = began + (int64_t)s->minutes * 60000;
    uint64_t lost = 0;
    for (int64_t now = began; now < until; now = mono_now().ms) {
        uint64_t due = (uint64_t)((now - began) * s->rate / 1000) - lost;
        uint64_t done = atomic_load(&s->tally->last);
        if (due > done + BEHIND_MAX) { /* a machine that stood still: that load is gone */
            lost += due - done - BEHIND_MAX;
            due = done + BEHIND_MAX;
        }
        while (s->client.sent < due && s->client.sent - s->client.durable < SLOTS)
            submit_one(&s->client);
        hear(&s->client, 2);
        if (now >= next && s->samples_n < SAMPLES_MAX) {
            sample(s, began);
            next += SAMPLE_MS;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of one figure in the quarter q (0 to 3). */
static double median(const struct soak *s, unsigned q, size_t offset)
{
    static double v[SAMPLES_MAX];
    size_t from = s->samples_n * q / 4, to = s->samples_n * (q + 1) / 4, n = 0;
    for (size_t i = from; i < to; i++)
        memcpy(&v[n++], (const char *)&s->samples[i] + offset, sizeof v[0]);
    qsort(v, n, sizeof *v, by_value);
    return n ? v[n / 2] : 0;
}

static bool report(const struct soak *s)
{
    static const struct {
        const char *name;
        size_t offset;
        bool flat; /* it has to be */
    } rows[] = { { "broker, resident KiB", offsetof(struct sample, broker_kib), true },
                 { "Redis, used KiB", offsetof(struct sample, redis_kib), true },
                 { "Redis, resident KiB", offsetof(struct sample, redis_rss_kib), false },
                 { "Redis, keys", offsetof(struct sample, keys), true } };
    const struct sample *last = &s->samples[s->samples_n - 1];
    bool good = true;
    printf("\n%u minutes at %u jobs/s asked for, %.0f jobs, %.0f transitions/s; %u ended jobs and "
           "%u events kept\n\n",
           s->minutes, s->rate, last->done, STAGES_N * last->done / (s->minutes * 60.0), s->retain,
           s->retain);
    puts("| what | second quarter | third quarter | last quarter | growth, third to last |\n"
         "| --- | --- | --- | --- | --- |");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double b = median(s, 2, rows[i].offset), c = median(s, 3, rows[i].offset);
        printf("| %s | %.0f | %.0f | %.0f | %+.2f %% |\n", rows[i].name,
               median(s, 1, rows[i].offset), b, c, 100 * (c - b) / b);
        good = good && (!rows[i].flat || c <= b * 1.01);
    }
    return good;
}

static unsigned whole(const char *text)
{
    char *end;
    unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || *end || n == 0 || n > 100000)
        die("usage: bench-soak [--minutes N] [--rate JOBS_PER_SECOND] [--retain JOBS]");
    return (unsigned)n;
}

static void open_all(struct soak *s)
{
    char more[128], sock[160];
    rig_open(&s->rig);
    s->rig.appendfsync = "everysec";
    rig_redis_start(&s->rig);
    snprintf(more, sizeof more, "retain:\n  jobs: %u\n  events: %u\n", s->retain, s->retain);
    write_settings(&s->rig, more);
    rig_broker_start(&s->rig, NULL);
    snprintf(sock, sizeof sock, "%s/redis.sock", s->rig.dir);
    s->redis = redisConnectUnix(sock);
    if (!s->redis || s->redis->err)
        die("no connection to Redis");
    client_open(&s->client, &s->rig);
    s->worker = worker_start(s->rig.endpoint, 0, SLOTS, s->tally);
}

int main(int argc, char **argv)
{
    static struct soak s = { .minutes = 30, .rate = 500, .retain = 2000 };
    for (int i = 1; i < argc; i += 2) {
        unsigned *to = strcmp(argv[i], "--minutes") == 0  ? &s.minutes
                       : strcmp(argv[i], "--rate") == 0   ? &s.rate
                       : strcmp(argv[i], "--retain") == 0 ? &s.retain
                                                          : NULL;
        unsigned v = whole(to ? argv[i + 1] : NULL);
        if (to)
            *to = v;
    }
    s.tally =
        mmap(NULL, sizeof *s.tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s.tally == MAP_FAILED)
        die("no shared memory");
    open_all(&s);
    load(&s);
    bool good = s.samples_n > 0 && report(&s);
    kill(s.worker, SIGKILL);
    waitpid(s.worker, NULL, 0);
    client_close(&s.client);
    redisFree(s.redis);
    rig_close(&s.rig);
    return good ? 0 : 1;
}
