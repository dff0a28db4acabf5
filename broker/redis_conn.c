/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/redis_conn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { OUT_KEPT = 4 << 20, CONNECT_MS = 1500, ANSWER_MS = 5000 };

struct wait {
    redis_fn *fn;
    void *ctx;
    int64_t since_ms;
};

struct redis_conn {
    redisContext *redis; /* the socket, and the reader of what comes */
    struct buf out;      /* requests; `sent` of their bytes are gone */
    size_t sent;
    struct mux *mux; /* NULL until started */
    struct redis_conn_events events;
    struct wait *waits; /* ring */
    uint32_t first, len, cap;
    bool writing; /* MUX_OUT is set */
    bool closing;
    struct mux_timer dead;
    char why[160];
};

/* ---- commands ----------------------------------------------------------------------------- */

static void put_line(struct buf *out, char mark, size_t n)
{
    char text[24], *at = text + sizeof text;
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    *--at = mark;
    buf_append(out, at, (size_t)(text + sizeof text - at));
}

/* As an array of bulk strings, the only form of a request (RESP2). */
static enum status append(struct redis_conn *c, int argc, const struct str *argv)
{
    put_line(&c->out, '*', (size_t)argc);
    for (int i = 0; i < argc; i++) {
        put_line(&c->out, '$', argv[i].n);
        buf_view(&c->out, argv[i]);
        buf_append(&c->out, "\r\n", 2);
    }
    return c->out.status;
}

/* Under a steady load there is always something left to send: what is gone must not stay. Moved when
 * it is half of all, so each byte is moved once at most. */
static void drop_sent(struct redis_conn *c)
{
    if (c->sent < c->out.len / 2)
        return;
    buf_consume(&c->out, c->sent);
    c->sent = 0;
}

/* Send what the connection takes; false: it takes no more now (errno EAGAIN), or is broken. */
static bool send_out(struct redis_conn *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->redis->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int why = errno;
            drop_sent(c);
            errno = why;
            return false;
        }
        c->sent += (size_t)n;
    }
    c->sent = 0;
    if (c->out.cap > OUT_KEPT)
        buf_fini(&c->out);
    buf_clear(&c->out);
    return true;
}

/* ---- blocking ----------------------------------------------------------------------------- */

redisReply *redis_conn_ask(struct redis_conn *c, int argc, const struct str *argv, struct err *err)
{
    assert(!c->mux);
    if (append(c, argc, argv) != OK) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    return redis_conn_next(c, err);
}

enum status redis_conn_queue(struct redis_conn *c, int argc, const struct str *argv)
{
    assert(!c->mux);
    return append(c, argc, argv);
}

redisReply *redis_conn_next(struct redis_conn *c, struct err *err)
{
    void *r = NULL;
    bool sent = send_out(c);
    if (sent && redisGetReply(c->redis, &r) == REDIS_OK)
        return r;
    err_set(err, ERR_UNAVAILABLE, "Redis: %s", sent ? c->redis->errstr : strerror(errno));
    return NULL;
}

static enum status login(struct redis_conn *c, const struct redis_url *url, struct err *err)
{
    struct str argv[3] = { str_of("AUTH"), str_of(url->user), str_of(url->password) };
    if (!url->password[0])
        return OK;
    int argc = 3;
    if (!url->user[0]) {
        argv[1] = argv[2];
        argc = 2;
    }
    redisReply *r = redis_conn_ask(c, argc, argv, err);
    if (!r)
        return err->status;
    enum status st = OK;
    if (r->type == REDIS_REPLY_ERROR) {
        st = err_set(err, ERR_DENIED, "Redis at %s: %s", url->shown, r->str);
        err_fix(err, "check user and password in redis.url");
    }
    freeReplyObject(r);
    return st;
}

static struct redis_conn *open_within(const struct redis_url *url, int connect_ms, int answer_ms,
                                      struct err *err)
{
    struct timeval connect = { connect_ms / 1000, connect_ms % 1000 * 1000 };
    struct timeval answer = { answer_ms / 1000, answer_ms % 1000 * 1000 };
    struct redis_conn *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    c->dead.slot = HEAP_NONE;
    buf_init(&c->out, SIZE_MAX / 2);
    c->redis = url->path[0] ? redisConnectUnixWithTimeout(url->path, connect)
                            : redisConnectWithTimeout(url->host, url->port, connect);
    if (!c->redis || c->redis->err) {
        err_set(err, ERR_UNAVAILABLE, "Redis at %s: %s", url->shown,
                c->redis ? c->redis->errstr : "out of memory");
        err_fix(err, "start Redis there, or set redis.url");
        redis_conn_close(c);
        return NULL;
    }
    fcntl(c->redis->fd, F_SETFD, FD_CLOEXEC);
    redisSetTimeout(c->redis, answer);
    if (!url->path[0])
        redisEnableKeepAlive(c->redis);
    if (login(c, url, err) != OK) {
        redis_conn_close(c);
        return NULL;
    }
    return c;
}

struct redis_conn *redis_conn_open(const struct redis_url *url, struct err *err)
{
    return open_within(url, CONNECT_MS, ANSWER_MS, err);
}

struct redis_conn *redis_conn_open_within(const struct redis_url *url, int ms, struct err *err)
{
    return open_within(url, ms, ms, err);
}

/* ---- on the loop -------------------------------------------------------------------------- */

static bool take_wait(struct redis_conn *c, struct wait *out)
{
    if (c->len == 0)
        return false;
    *out = c->waits[c->first];
    c->first = (c->first + 1) % c->cap;
    c->len--;
    return true;
}

static void fail_all(struct redis_conn *c)
{
    struct wait w;
    while (take_wait(c, &w))
        w.fn(w.ctx, NULL);
}

/* Out of every callback of this connection: its owner may close it in lost(). */
static void report_loss(void *ctx)
{
    struct redis_conn *c = ctx;
    fail_all(c);
    c->events.lost(c->events.ctx, c->why);
}

static void give_up(struct redis_conn *c, const char *why)
{
    if (c->closing)
        return;
    c->closing = true;
    snprintf(c->why, sizeof c->why, "%s", why);
    mux_fd_remove(c->mux, c->redis->fd);
    mux_timer_in(c->mux, &c->dead, 0);
}

static void on_fd(void *ctx, int fd, int events);

static void watch(struct redis_conn *c, bool writing)
{
    if (c->writing == writing)
        return;
    c->writing = writing;
    enum status st = mux_fd(c->mux, c->redis->fd, MUX_IN | (writing ? MUX_OUT : 0), on_fd, c);
    if (st != OK)
        give_up(c, "the loop cannot watch the connection");
}

static void flush(struct redis_conn *c)
{
    bool all = send_out(c);
    if (!all && errno != EAGAIN)
        give_up(c, strerror(errno));
    else
        watch(c, !all);
}

static void take_replies(struct redis_conn *c)
{
    void *reply = NULL;
    struct wait w;
    while (!c->closing) {
        if (redisReaderGetReply(c->redis->reader, &reply) != REDIS_OK) {
            give_up(c, c->redis->reader->errstr);
            return;
        }
        if (!reply)
            return;
        if (take_wait(c, &w))
            w.fn(w.ctx, reply);
        freeReplyObject(reply);
    }
}

static void on_fd(void *ctx, int fd, int events)
{
    struct redis_conn *c = ctx;
    (void)fd;
    if (events & (MUX_IN | MUX_HUP)) {
        if (redisBufferRead(c->redis) != REDIS_OK) {
            take_replies(c);
            give_up(c, c->redis->errstr);
            return;
        }
        take_replies(c);
    }
    if (!c->closing && (events & MUX_OUT))
        flush(c);
}

enum status redis_conn_start(struct redis_conn *c, struct mux *mux,
                             const struct redis_conn_events *events)
{
    int flags = fcntl(c->redis->fd, F_GETFL);
    if (flags < 0 || fcntl(c->redis->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return ERR_IO;
    c->redis->flags &= ~REDIS_BLOCK;
    c->mux = mux;
    c->events = *events;
    c->dead = MUX_TIMER(report_loss, c);
    return mux_fd(mux, c->redis->fd, MUX_IN, on_fd, c);
}

static bool add_wait(struct redis_conn *c, struct wait w)
{
    if (c->len == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 64;
        struct wait *more = calloc(cap, sizeof *more);
        if (!more)
            return false;
        for (uint32_t i = 0; i < c->len; i++)
            more[i] = c->waits[(c->first + i) % c->cap];
        free(c->waits);
        c->waits = more;
        c->first = 0;
        c->cap = cap;
    }
    c->waits[(c->first + c->len++) % c->cap] = w;
    return true;
}

enum status redis_conn_send(struct redis_conn *c, int argc, const struct str *argv, redis_fn *fn,
                            void *ctx)
{
    assert(c->mux);
    if (c->closing)
        return ERR_UNAVAILABLE;
    if (append(c, argc, argv) != OK)
        return ERR_NOMEM;
    if (!add_wait(c, (struct wait){ fn, ctx, mono_now().ms })) {
        give_up(c, "out of memory");
        return ERR_NOMEM;
    }
    flush(c);
    return OK;
}

void redis_conn_close(struct redis_conn *c)
{
    if (!c)
        return;
    c->closing = true;
    if (c->mux) {
        mux_fd_remove(c->mux, c->redis->fd);
        mux_timer_stop(c->mux, &c->dead);
    }
    fail_all(c);
    if (c->redis)
        redisFree(c->redis);
    buf_fini(&c->out);
    free(c->waits);
    free(c);
}

uint32_t redis_conn_pending(const struct redis_conn *c)
{
    return c->len;
}

int64_t redis_conn_waiting_ms(const struct redis_conn *c, int64_t now_ms)
{
    if (c->len == 0)
        return 0;
    int64_t ms = now_ms - c->waits[c->first].since_ms;
    return ms > 0 ? ms : 1;
}
