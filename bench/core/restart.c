/* SPDX-License-Identifier: Apache-2.0 */
/* bench-restart: what a queued job costs in Redis, and how long a broker that starts on many of
 * them needs until it gives out the first task. The real core and the real store, no sockets.
 *
 *   bench-restart URL [JOBS]     an empty Redis: unix:///PATH or redis://HOST:PORT
 *
 * Prints bytes in Redis per job, of which its documents, and the seconds from the first connection
 * to the first TASK, wall and user. */
#include "broker/core.h"
#include "broker/redis_conn.h"
#include "broker/store_redis.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURN = 256, FLYING = 4, TENTHS = 10 };

struct bench {
    struct mux *mux;
    struct store_redis *redis;
    struct store store;
    struct core *core;
    struct core_conf conf;
    struct effects fx;
    struct epoch epoch;
    struct budget budget;
    struct buf pipeline;
    uint64_t turn, committed, events;
    const char *url;
    int64_t now_ms;
};

static _Noreturn void fail(const char *what, const struct err *err)
{
    fprintf(stderr, "bench-restart: %s: %s\n", what, err->text);
    exit(1);
}

static void on_committed(void *ctx, enum status st, const struct err *err)
{
    struct bench *b = ctx;
    if (st != OK)
        fail("commit", err);
    b->committed++;
}

static void on_lost(void *ctx, const struct err *err)
{
    (void)ctx;
    fail("store", err);
}

static enum status take_pipeline(void *ctx, struct str bytes, struct err *err)
{
    return core_load_pipeline(((struct bench *)ctx)->core, bytes, err);
}

static enum status take_job(void *ctx, struct str bytes, struct err *err)
{
    return core_load_job(((struct bench *)ctx)->core, bytes, err);
}

static void start(struct bench *b)
{
    struct err err = { 0 };
    struct store_redis_conf conf = { b->url, "pawl:{s0}:", "bench", NULL, 0 };
    struct store_events events = { .ctx = b, .committed = on_committed, .lost = on_lost };
    b->epoch = (struct epoch){ .incarnation = random_u64() >> 1 | 1 };
    b->conf.incarnation = b->epoch.incarnation;
    b->turn = b->committed = b->events = 0;
    if (!(b->redis = store_redis_new(&conf, b->mux, &events, &err)) ||
        !(b->core = core_new(&b->conf, &err)))
        fail("start", &err);
    b->store = store_redis_ops(b->redis);
    if (b->store.ops->lead(b->store.self, &b->epoch, &err) != OK ||
        b->store.ops->load(b->store.self, take_pipeline, take_job, b, &err) != OK)
        fail("load", &err);
    core_loaded(b->core, b->now_ms, b->now_ms);
    b->fx.epoch = b->epoch.incarnation;
}

static void stop(struct bench *b)
{
    b->store.ops->resign(b->store.self);
    store_redis_free(b->redis);
    core_free(b->core);
}

static void wait_flying(struct bench *b, uint64_t most)
{
    struct err err = { 0 };
    while (b->turn - b->committed > most) {
        if (mux_turn(b->mux, 1000, &err) != OK)
            fail("loop", &err);
    }
}

static void seal(struct bench *b)
{
    struct batch batch;
    struct str bytes;
    uint64_t id;
    core_seal(b->core, &b->fx);
    batch_init(&batch, &b->epoch, &b->events, b->now_ms, 1000);
    if (b->turn == 0) {
        struct str pipe = core_pipeline(b->core, &id);
        batch_pipeline(&batch, id, pipe);
    }
    for (uint32_t i = 0; i < b->fx.n; i++) {
        if (b->fx.v[i].kind != FX_EVENT) /* the history is capped: not a cost of a job */
            batch_add(&batch, &b->fx.v[i], NULL);
    }
    if (batch_encode(&batch, &bytes) != OK ||
        b->store.ops->commit(b->store.self, ++b->turn, bytes) != OK)
        exit(1);
    batch_fini(&batch);
    effects_clear(&b->fx);
    wait_flying(b, FLYING);
}

static void tell(struct bench *b, uint64_t peer, struct msg *m, const struct str *frame)
{
    struct event ev = { .kind = EV_MSG,
                        .now_ms = b->now_ms,
                        .wall_ms = b->now_ms,
                        .peer = peer,
                        .msg = m,
                        .frames = frame,
                        .frames_n = frame ? 1 : 0,
                        .budget = &b->budget };
    core_step(b->core, &ev, &b->fx);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void submit_all(struct bench *b, uint32_t jobs, size_t document)
{
    double from[TENTHS + 1] = { seconds(CLOCK_MONOTONIC) };
    uint32_t tenth = jobs / TENTHS + 1;
    static char frame[2048] = "\0\x81\xa4text\xda";
    struct msg hello = { .type = MSG_HELLO,
                         .HELLO = { .role = str_of("client"), .name = str_of("c") } };
    tell(b, 2, &hello, NULL);
    memset(frame + 10, 'x', sizeof frame - 10);
    frame[8] = (char)(document >> 8);
    frame[9] = (char)document;
    struct str doc = { frame, document + 10 };
    for (uint32_t i = 0; i < jobs; i++) {
        char key[40];
        struct msg m = { .type = MSG_SUBMIT };
        snprintf(key, sizeof key, "%032u", i);
        m.SUBMIT.req = i + 1;
        m.SUBMIT.key = str_of(key);
        m.SUBMIT.project = str_of("default");
        m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
        b->now_ms++;
        tell(b, 2, &m, &doc);
        if (i % TURN == TURN - 1)
            seal(b);
        if ((i + 1) % tenth == 0)
            from[(i + 1) / tenth] = seconds(CLOCK_MONOTONIC);
    }
    seal(b);
    wait_flying(b, 0);
    from[TENTHS] = seconds(CLOCK_MONOTONIC);
    double first = from[1] - from[0], last = from[TENTHS] - from[TENTHS - 1];
    uint32_t rest = jobs - (TENTHS - 1) * tenth;
    printf("submissions/s: first tenth %.0f, last tenth %.0f (%.0f %%)\n", tenth / first,
           rest / last, 100 * (rest / last) / (tenth / first));
}

/* One command; the number in its reply, or after `find` in its text. With text: its first string. */
static long long ask(struct bench *b, int argc, const struct str *argv, const char *find,
                     char *text)
{
    struct redis_url url;
    struct err err = { 0 };
    struct redis_conn *c =
        redis_url_parse(b->url, &url, &err) == OK ? redis_conn_open(&url, &err) : NULL;
    redisReply *r = c ? redis_conn_ask(c, argc, argv, &err) : NULL;
    if (!r)
        fail("ask", &err);
    if (text && r->elements > 0)
        snprintf(text, ID_CHARS + 1, "%s", r->element[0]->str);
    const char *at = find && r->str ? strstr(r->str, find) : NULL;
    long long v = at ? strtoll(at + strlen(find), NULL, 10) : r->integer;
    freeReplyObject(r);
    redis_conn_close(c);
    return v;
}

static long long used_memory(struct bench *b)
{
    struct str argv[] = { str_of("INFO"), str_of("memory") };
    return ask(b, 2, argv, "used_memory:", NULL);
}

static long long memory_of(struct bench *b, const char *what, const char *id)
{
    char key[64];
    snprintf(key, sizeof key, "pawl:{s0}:%s%s", what, id);
    struct str argv[] = { str_of("MEMORY"), str_of("USAGE"), str_of(key) };
    return ask(b, 3, argv, NULL, NULL);
}

static bool first_task(struct bench *b)
{
    struct msg hello = { .type = MSG_HELLO };
    hello.HELLO = (struct msg_HELLO){ .role = str_of("worker"), .name = str_of("w"), .slots = 1 };
    hello.HELLO.stages.v[hello.HELLO.stages.n++] = str_of("parse");
    tell(b, 1, &hello, NULL);
    struct msg ready = { .type = MSG_READY, .READY = { 1, 0 } };
    tell(b, 1, &ready, NULL);
    bool given = false;
    for (uint32_t i = 0; i < b->fx.n; i++)
        given = given || b->fx.v[i].kind == FX_TASK;
    seal(b);
    wait_flying(b, 0); /* said only when it is durable */
    return given;
}

static void measure_redis(struct bench *b, uint32_t jobs, long long before)
{
    char id[ID_CHARS + 1] = "";
    struct str argv[] = { str_of("ZRANGE"), str_of("pawl:{s0}:x:all"), str_of("0"), str_of("0") };
    ask(b, 4, argv, NULL, id);
    long long all = (used_memory(b) - before) / jobs, documents = memory_of(b, "d:", id);
    printf("redis: %lld bytes per job, of which %lld are its documents, %lld its record and %lld "
           "indexes and the table of keys: %lld beside the documents\n",
           all, documents, memory_of(b, "j:", id), all - documents - memory_of(b, "j:", id),
           all - documents);
}

static void set_up(struct bench *b)
{
    struct err err = { 0 };
    buf_init(&b->pipeline, 65536);
    b->budget = (struct budget){ .rounds = 4,
                                 .patience = 2,
                                 .measures = 800,
                                 .judge = 600,
                                 .tokens = 200000,
                                 .wall_ms = 1800000,
                                 .question_ms = 600000 };
    if (pipeline_default(&b->pipeline) != OK || !(b->mux = mux_new(&err)))
        fail("set up", &err);
    b->conf = (struct core_conf){ .seed = 1,
                                  .budget = b->budget,
                                  .pipeline = buf_get(&b->pipeline),
                                  .heartbeat_ms = 2000,
                                  .silence_ms = 15000,
                                  .retain_jobs = 1000,
                                  .retain_age_ms = 86400000,
                                  .open_jobs_max = UINT32_MAX,
                                  .hot_jobs = 1024 };
    effects_init(&b->fx, 1);
}

int main(int argc, char **argv)
{
    enum { DOCUMENT = 1024 };
    struct bench b = { .now_ms = 1700000000000 };
    uint32_t jobs = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000000;
    if (argc < 2 || jobs == 0) {
        fprintf(stderr, "usage: bench-restart URL [JOBS]\n");
        return 64;
    }
    b.url = argv[1];
    set_up(&b);
    start(&b);
    long long before = used_memory(&b);
    double from = seconds(CLOCK_MONOTONIC);
    submit_all(&b, jobs, DOCUMENT);
    printf("submitted: %u jobs in %.1f s\n", jobs, seconds(CLOCK_MONOTONIC) - from);
    measure_redis(&b, jobs, before);
    stop(&b);
    malloc_trim(0);
    struct mallinfo2 heap = mallinfo2();
    size_t idle = heap.uordblks + heap.hblkhd;
    from = seconds(CLOCK_MONOTONIC);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    start(&b);
    double loaded = seconds(CLOCK_MONOTONIC);
    bool given = first_task(&b);
    printf("restart with %u open jobs: %.2f s to the first TASK (%.2f s loading; %.2f s of CPU "
           "here)\n",
           jobs, seconds(CLOCK_MONOTONIC) - from, loaded - from,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    heap = mallinfo2();
    printf("broker after the restart: %.0f bytes per job\n",
           (double)(heap.uordblks + heap.hblkhd - idle) / jobs);
    stop(&b);
    mux_free(b.mux);
    effects_fini(&b.fx);
    buf_fini(&b.pipeline);
    return given ? 0 : 1;
}
