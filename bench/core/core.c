/* SPDX-License-Identifier: Apache-2.0 */
/* bench-core: what the pure core costs. core_step() with nothing around it: no store, no sockets.
 *
 *   bench-core [JOBS]    default 1,000,000
 *
 * Submits JOBS jobs, then completes stages with one worker, a turn (core_seal) each 64 events; says
 * events a second of user CPU for each tenth of the submissions (flat: the last is at least 80 % of
 * the first), completions a second on top of all open jobs, finding a job by its prefix, and bytes of
 * memory per queued job. */
#include "broker/core.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { TENTHS = 10, TURN = 64, COMPLETIONS = 200000, LOOKS = 100000 };

struct bench {
    struct core *core;
    struct effects fx;
    struct budget budget;
    int64_t now_ms;
    uint32_t in_turn;
    char task[PAWL_KEY_MAX + 1];
    struct fence fence;
    uint64_t seq;
    bool has;
};

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void seal(struct bench *b)
{
    core_seal(b->core, &b->fx);
    effects_clear(&b->fx);
    b->in_turn = 0;
}

static void find_task(struct bench *b)
{
    for (uint32_t i = 0; i < b->fx.n; i++) {
        const struct fx *f = &b->fx.v[i];
        struct msg m;
        if (f->kind != FX_TASK || msg_decode(f->header, &m, NULL) != OK)
            continue;
        snprintf(b->task, sizeof b->task, "%.*s", STR_ARG(f->task));
        b->fence = f->fence;
        b->seq = m.TASK.seq;
        b->has = true;
    }
}

static void step(struct bench *b, struct event *ev)
{
    ev->kind = EV_MSG;
    ev->now_ms = ev->wall_ms = b->now_ms;
    core_step(b->core, ev, &b->fx);
}

static void tell(struct bench *b, uint64_t peer, struct msg *m)
{
    struct event ev = { .peer = peer, .msg = m };
    step(b, &ev);
}

static void submit(struct bench *b, uint32_t no)
{
    char key[40], project[16];
    struct str frame = { "\0\x81\xa4text\xa1x", 9 };
    struct msg m = { .type = MSG_SUBMIT };
    snprintf(key, sizeof key, "%032u", no);
    snprintf(project, sizeof project, "p%u", no % 3);
    m.SUBMIT.req = no;
    m.SUBMIT.key = str_of(key);
    m.SUBMIT.project = str_of(project);
    m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
    struct event ev = {
        .peer = 2, .msg = &m, .frames = &frame, .frames_n = 1, .budget = &b->budget
    };
    step(b, &ev);
    if (++b->in_turn == TURN)
        seal(b);
}

static void hello(struct bench *b)
{
    struct msg m = { .type = MSG_HELLO };
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"), .name = str_of("w"), .slots = 1 };
    m.HELLO.stages.v[m.HELLO.stages.n++] = str_of("parse");
    tell(b, 1, &m);
    m = (struct msg){ .type = MSG_HELLO, .HELLO = { .role = str_of("client"), .name = str_of("c") } };
    tell(b, 2, &m);
    seal(b);
}

static void complete(struct bench *b)
{
    struct str frame = { "\0\x80", 2 };
    struct msg m = { .type = MSG_DONE };
    m.DONE = (struct msg_DONE){ .task = str_of(b->task), .fence = b->fence };
    m.DONE.docs.v[m.DONE.docs.n++] = str_of("brief");
    struct event ev = { .peer = 1, .msg = &m, .frames = &frame, .frames_n = 1 };
    step(b, &ev);
    b->has = false;
    struct msg ready = { .type = MSG_READY, .READY = { 1, b->seq } };
    tell(b, 1, &ready);
    find_task(b);
    seal(b);
}

static void look(struct bench *b, uint32_t n)
{
    double from = cpu();
    uint32_t found = 0;
    uint64_t id, chance = 88172645463325252u;
    for (uint32_t i = 0; i < n; i++) {
        char text[ID_CHARS + 1];
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        id_text(chance >> 4, text);
        found += core_find(b->core, (struct str){ text, 8 }, (struct str){ 0 }, &id) == OK;
    }
    printf("find by prefix: %.0f ns each (%u found)\n", (cpu() - from) / n * 1e9, found);
}

int main(int argc, char **argv)
{
    uint32_t jobs = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    struct bench b = { .now_ms = 1000 };
    struct buf pipeline;
    struct err err = { 0 };
    buf_init(&pipeline, 65536);
    b.budget = (struct budget){ .rounds = 4, .patience = 2, .measures = 800, .judge = 600,
                                .tokens = 200000, .wall_ms = 1800000, .question_ms = 600000 };
    if (pipeline_default(&pipeline) != OK)
        return 1;
    struct core_conf conf = { .incarnation = 1, .seed = 1, .budget = b.budget,
                              .pipeline = buf_get(&pipeline), .heartbeat_ms = 2000,
                              .silence_ms = 15000, .retain_jobs = 1000, .retain_age_ms = 86400000,
                              .open_jobs_max = UINT32_MAX, .hot_jobs = 1024 };
    if (!(b.core = core_new(&conf, &err))) {
        fprintf(stderr, "bench-core: %s\n", err.text);
        return 1;
    }
    core_loaded(b.core, b.now_ms, b.now_ms);
    effects_init(&b.fx, 1);
    hello(&b);
    size_t before = heap_bytes();
    double rate[TENTHS];
    for (uint32_t t = 0, no = 0; t < TENTHS; t++) {
        double from = cpu();
        for (uint32_t i = 0; i < jobs / TENTHS; i++)
            submit(&b, no++);
        rate[t] = jobs / TENTHS / (cpu() - from);
    }
    seal(&b);
    printf("submissions/s of CPU: first tenth %.0f, last tenth %.0f (%.0f %%)\n", rate[0],
           rate[TENTHS - 1], 100 * rate[TENTHS - 1] / rate[0]);
    printf("bytes per queued job: %.0f\n", (double)(heap_bytes() - before) / jobs);
    look(&b, LOOKS);
    struct msg ready = { .type = MSG_READY, .READY = { 1, 0 } };
    tell(&b, 1, &ready);
    find_task(&b);
    seal(&b);
    double from = cpu();
    uint32_t done = 0;
    for (; b.has && done < COMPLETIONS && done < jobs; done++)
        complete(&b);
    printf("completions/s of CPU with %u open jobs: %.0f (DONE, READY, a turn each)\n", jobs,
           done / (cpu() - from));
    core_free(b.core);
    effects_fini(&b.fx);
    buf_fini(&pipeline);
    return 0;
}
