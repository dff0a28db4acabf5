/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/stages/stages.h"

#include "common/clock.h"
#include "common/mp.h"
#include "common/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { DOC_BYTES = 1024, BEAT_MS = 1000, HELLO_MS = 500 };

struct noop {
    struct peer *peer;
    struct tally *tally;
    char name[32];
    unsigned slots;
    uint64_t seen, said_seen;
    bool welcomed;
    int64_t due_ms;
    struct buf doc;
};

static void say(struct noop *n, const struct msg *m, const struct str *frames, uint32_t frames_n)
{
    enum status st;
    while ((st = peer_send(n->peer, (struct str){ 0 }, m, frames, frames_n)) == ERR_BUSY) {
        zmq_pollitem_t item = { .socket = peer_socket(n->peer), .events = ZMQ_POLLOUT };
        zmq_poll(&item, 1, 100);
    }
    if (st != OK) {
        fprintf(stderr, "bench-stages: %s: %s\n", msg_name(m->type), status_text(st));
        exit(1);
    }
}

static void hello(struct noop *n)
{
    static const char *const stages[STAGES_N] = { "s1", "s2", "s3", "s4" };
    struct msg m = { .type = MSG_HELLO };
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"),
                                  .name = str_of(n->name),
                                  .version = str_of("bench"),
                                  .slots = n->slots };
    for (size_t i = 0; i < STAGES_N; i++)
        m.HELLO.stages.v[m.HELLO.stages.n++] = str_of(stages[i]);
    say(n, &m, NULL, 0);
}

static void done(struct noop *n, const struct msg_TASK *t)
{
    char doc[8];
    struct msg m = { .type = MSG_DONE };
    struct str frame = buf_get(&n->doc);
    m.DONE = (struct msg_DONE){ .task = t->task, .fence = t->fence };
    snprintf(doc, sizeof doc, "d%.1s", t->stage.p + 1);
    m.DONE.docs.v[m.DONE.docs.n++] = str_of(doc);
    n->seen = t->seq;
    say(n, &m, &frame, 1);
}

static bool of_last_stage(struct str task)
{
    static const char tail[] = "/s4/0"; /* job/run/round/stage/pass */
    size_t len = sizeof tail - 1;
    return task.n > len && memcmp(task.p + task.n - len, tail, len) == 0;
}

static void take(struct noop *n, const struct msg *m)
{
    if (m->type == MSG_WELCOME) {
        n->welcomed = true;
        n->due_ms = 0;
    } else if (m->type == MSG_TASK) {
        done(n, &m->TASK);
    } else if (m->type == MSG_TAKEN && str_is(m->TAKEN.outcome, "committed")) {
        if (of_last_stage(m->TAKEN.task)) {
            atomic_store(&n->tally->last_us, mono_now_us());
            atomic_fetch_add(&n->tally->last, 1);
        }
        atomic_fetch_add(&n->tally->taken, 1);
    }
}

/* All that is there; then the credit once. */
static void turn(struct noop *n)
{
    struct peer_in in = { 0 };
    struct msg m;
    while (peer_recv(n->peer, &in) == OK) {
        if (msg_decode(peer_frame(&in, 0), &m, NULL) == OK)
            take(n, &m);
        peer_in_free(&in);
    }
    if (n->seen == n->said_seen && n->due_ms)
        return;
    struct msg ready = { .type = MSG_READY, .READY = { n->slots, n->seen } };
    n->said_seen = n->seen;
    if (n->welcomed)
        say(n, &ready, NULL, 0);
}

static void beat(struct noop *n)
{
    int64_t now = mono_now().ms;
    struct buf raw;
    struct msg m = { .type = MSG_BEAT };
    if (now < n->due_ms)
        return;
    if (!n->welcomed) {
        hello(n);
        n->due_ms = now + HELLO_MS;
        return;
    }
    buf_init(&raw, 64);
    mp_map(&raw, 0);
    m.BEAT.notes = buf_get(&raw);
    say(n, &m, NULL, 0);
    buf_fini(&raw);
    n->due_ms = now + BEAT_MS;
}

_Noreturn void noop_run(const char *endpoint, unsigned number, unsigned slots, struct tally *tally)
{
    struct err err = { 0 };
    struct noop n = { .tally = tally, .slots = slots, .due_ms = 1 };
    char text[DOC_BYTES + 1];
    memset(text, 'x', DOC_BYTES);
    text[DOC_BYTES] = '\0';
    buf_init(&n.doc, 2 * DOC_BYTES);
    buf_char(&n.doc, '\0');
    mp_map(&n.doc, 1);
    mp_z(&n.doc, "text");
    mp_z(&n.doc, text);
    snprintf(n.name, sizeof n.name, "noop/%u", number);
    if (!(n.peer = peer_connect(endpoint, NULL, &err))) {
        fprintf(stderr, "bench-stages: %s\n", err.text);
        exit(1);
    }
    for (;;) {
        zmq_pollitem_t item = { .socket = peer_socket(n.peer), .events = ZMQ_POLLIN };
        beat(&n);
        zmq_poll(&item, 1, BEAT_MS / 2);
        turn(&n);
    }
}
