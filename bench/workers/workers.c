/* SPDX-License-Identifier: Apache-2.0 */
/* bench-workers: many workers at once. N connections with the messages, options and times of a real
 * worker (workers/harness.c), all in this process; a real pawl-broker, a real Redis.
 *
 *   bench-workers [N]     default 3000
 *
 * Prints the broker's resident memory without and with them, and how long they need until all are
 * registered: at first, and again after the broker was killed and started. Exit code 1: more than 120
 * MB, or more than 3 s after the restart. */
#include "tests/unit/broker/rig.h"

#include "common/mp.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <zmq.h>

enum {
    MOST = 20000,
    BEAT_MS = 2000,
    BEAT_AGAIN_MS = 200,
    HELLO_MS = 500,
    QUEUE = 10000,
    GIVE_UP_MS = 60000
};
enum { MEMORY_MAX_KIB = 120 * 1000 * 1000 / 1024, AGAIN_MAX_MS = 3000 };

struct one {
    void *socket;
    uint64_t epoch;
    bool welcomed;
    int64_t due_ms; /* of the next HELLO or BEAT */
};

struct bench {
    struct rig rig;
    void *context;
    struct one *all;
    zmq_pollitem_t *items;
    unsigned n;
    uint64_t epoch; /* the newest that was heard */
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench-workers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void set_int(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0)
        die("socket option");
}

static void connect_one(struct bench *b, unsigned i)
{
    struct one *w = &b->all[i];
    w->socket = zmq_socket(b->context, ZMQ_DEALER);
    if (!w->socket)
        die("socket");
    set_int(w->socket, ZMQ_LINGER, 0);
    set_int(w->socket, ZMQ_SNDHWM, QUEUE);
    set_int(w->socket, ZMQ_RCVHWM, QUEUE);
    set_int(w->socket, ZMQ_HEARTBEAT_IVL, 5000);
    set_int(w->socket, ZMQ_HEARTBEAT_TIMEOUT, 15000);
    set_int(w->socket, ZMQ_HEARTBEAT_TTL, 15000);
    set_int(w->socket, ZMQ_IMMEDIATE, 1);
    set_int(w->socket, ZMQ_RECONNECT_IVL, 50);
    set_int(w->socket, ZMQ_RECONNECT_IVL_MAX, 1000);
    if (zmq_connect(w->socket, b->rig.endpoint) != 0)
        die(b->rig.endpoint);
    b->items[i] = (zmq_pollitem_t){ .socket = w->socket, .events = ZMQ_POLLIN };
}

static bool say(struct one *w, const struct msg *m)
{
    struct buf header;
    buf_init(&header, PAWL_HEADER_MAX);
    bool good = msg_encode(m, &header) == OK &&
                zmq_send(w->socket, header.data, header.len, ZMQ_DONTWAIT) == (int)header.len;
    buf_fini(&header);
    return good;
}

static void due(struct bench *b, unsigned i, int64_t now)
{
    struct one *w = &b->all[i];
    char name[32];
    struct buf raw;
    struct msg m = { .type = MSG_BEAT };
    if (now < w->due_ms)
        return;
    if (w->welcomed) {
        buf_init(&raw, 64);
        mp_map(&raw, 0);
        m.BEAT.notes = buf_get(&raw);
        w->due_ms = now + (say(w, &m) ? BEAT_MS : BEAT_AGAIN_MS);
        buf_fini(&raw);
        return;
    }
    m = (struct msg){ .type = MSG_HELLO };
    snprintf(name, sizeof name, "many/%u", i);
    m.HELLO = (struct msg_HELLO){
        .role = str_of("worker"), .name = str_of(name), .version = str_of("bench"), .slots = 1
    };
    m.HELLO.stages.v[m.HELLO.stages.n++] = str_of("parse");
    w->due_ms = now + (say(w, &m) ? HELLO_MS : 50);
}

static void take(struct bench *b, struct one *w, int64_t now)
{
    char bytes[4096];
    struct msg m;
    int n;
    while ((n = zmq_recv(w->socket, bytes, sizeof bytes, ZMQ_DONTWAIT)) >= 0) {
        struct str raw = { bytes, (size_t)n < sizeof bytes ? (size_t)n : sizeof bytes };
        if (msg_decode(raw, &m, NULL) != OK)
            continue;
        if (m.type == MSG_WELCOME) {
            struct msg ready = { .type = MSG_READY, .READY = { 1, 0 } };
            w->welcomed = true;
            w->epoch = b->epoch = m.epoch;
            w->due_ms = now + BEAT_MS;
            say(w, &ready);
        } else if (m.type == MSG_REFUSED && str_is(m.REFUSED.code, status_name(ERR_PROTOCOL))) {
            w->welcomed = false;
            w->due_ms = now;
        }
    }
}

static unsigned turn(struct bench *b)
{
    int64_t now = mono_now().ms;
    unsigned there = 0;
    for (unsigned i = 0; i < b->n; i++)
        due(b, i, now);
    if (zmq_poll(b->items, (int)b->n, 5) < 0)
        die("poll");
    for (unsigned i = 0; i < b->n; i++) {
        if (b->items[i].revents)
            take(b, &b->all[i], now);
        there += b->all[i].welcomed && b->all[i].epoch == b->epoch;
    }
    return there;
}

/* Until all are registered with an epoch that is not `old`; milliseconds. */
static int64_t register_all(struct bench *b, uint64_t old)
{
    int64_t began = mono_now().ms;
    while (turn(b) < b->n || b->epoch == old) {
        if (mono_now().ms - began > GIVE_UP_MS)
            die("not all are registered after a minute");
    }
    return mono_now().ms - began;
}

static void beats(struct bench *b, int64_t ms)
{
    for (int64_t until = mono_now().ms + ms; mono_now().ms < until;)
        turn(b);
}

static void open_all(struct bench *b, unsigned n)
{
    struct rlimit files;
    b->n = n;
    b->all = calloc(n, sizeof *b->all);
    b->items = calloc(n, sizeof *b->items);
    b->context = zmq_ctx_new();
    if (!b->all || !b->items || !b->context || getrlimit(RLIMIT_NOFILE, &files) != 0)
        die("no memory");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < 2 * (rlim_t)n + 100)
        die("too few open files are allowed (ulimit -Hn)");
    zmq_ctx_set(b->context, ZMQ_MAX_SOCKETS, (int)n + 10);
    rig_open(&b->rig);
    b->rig.appendfsync = "everysec";
    rig_redis_start(&b->rig);
    rig_broker_start(&b->rig, NULL);
}

int main(int argc, char **argv)
{
    static struct bench b;
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 3000;
    if (n == 0 || n > MOST)
        die("usage: bench-workers [N]");
    open_all(&b, (unsigned)n);
    long alone = rig_rss_kib(b.rig.broker);
    int64_t began = mono_now().ms;
    for (unsigned i = 0; i < b.n; i++)
        connect_one(&b, i);
    register_all(&b, 0);
    int64_t first = mono_now().ms - began;
    beats(&b, 3 * BEAT_MS);
    long with = rig_rss_kib(b.rig.broker);
    int64_t down = mono_now().ms;
    uint64_t old = b.epoch;
    rig_broker_stop(&b.rig, SIGKILL);
    rig_broker_start(&b.rig, NULL);
    down = mono_now().ms - down;
    int64_t again = register_all(&b, old);
    printf("| workers | registered at first, ms | broker alone, KiB | with them, KiB | a worker, "
           "KiB | down, ms "
           "| all again after, ms |\n| --- | --- | --- | --- | --- | --- | --- |\n"
           "| %u | %lld | %ld | %ld | %.1f | %lld | %lld |\n",
           b.n, (long long)first, alone, with, (double)(with - alone) / b.n, (long long)down,
           (long long)again);
    for (unsigned i = 0; i < b.n; i++)
        zmq_close(b.all[i].socket);
    zmq_ctx_term(b.context);
    rig_close(&b.rig);
    return with <= MEMORY_MAX_KIB && again <= AGAIN_MAX_MS ? 0 : 1;
}
