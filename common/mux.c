/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mux.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { EVENTS_PER_TURN = 128, SOCKETS_MAX = 16, SIGNALS_MAX = 16, CHILDREN_MAX = 256 };

struct watch {
    mux_fd_fn *fn; /* NULL: nobody watches this fd */
    void *ctx;
};

struct plug {
    void *socket;
    mux_socket_fn *fn;
    void *ctx;
};

struct on_signal {
    int signo;
    void (*fn)(void *, int);
    void *ctx;
};

struct on_child {
    pid_t pid;
    void (*fn)(void *, pid_t, int);
    void *ctx;
};

struct mux {
    int epoll;
    int signals; /* signalfd, -1 until the first mux_signal */
    sigset_t mask;
    struct watch *watches; /* by fd */
    int watches_n;
    struct plug plugs[SOCKETS_MAX];
    int plugs_n;
    struct on_signal on_signals[SIGNALS_MAX];
    int on_signals_n;
    struct on_child children[CHILDREN_MAX];
    int children_n;
    struct heap timers;
    void (*after)(void *);
    void *after_ctx;
    struct mono now;
    bool stop;
};

static bool timer_before(const void *a, const void *b)
{
    return ((const struct mux_timer *)a)->at.ms < ((const struct mux_timer *)b)->at.ms;
}

static uint32_t *timer_slot(void *t)
{
    return &((struct mux_timer *)t)->slot;
}

struct mux *mux_new(struct err *err)
{
    struct mux *m = calloc(1, sizeof *m);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!m || epoll < 0) {
        err_set(err, ERR_NOMEM, "event loop: %s", strerror(errno));
        free(m);
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN);
    m->epoll = epoll;
    m->signals = -1;
    sigemptyset(&m->mask);
    heap_init(&m->timers, timer_before, timer_slot);
    m->now = mono_now();
    return m;
}

void mux_free(struct mux *m)
{
    if (!m)
        return;
    if (m->signals >= 0)
        close(m->signals);
    close(m->epoll);
    heap_fini(&m->timers);
    free(m->watches);
    free(m);
}

enum status mux_fd(struct mux *m, int fd, int events, mux_fd_fn *fn, void *ctx)
{
    assert(fd >= 0 && fn);
    if (fd >= m->watches_n) {
        int n = fd + 16;
        struct watch *wider = realloc(m->watches, (size_t)n * sizeof *wider);
        if (!wider)
            return ERR_NOMEM;
        memset(wider + m->watches_n, 0, (size_t)(n - m->watches_n) * sizeof *wider);
        m->watches = wider;
        m->watches_n = n;
    }
    struct epoll_event ev = { .data.fd = fd };
    ev.events = (events & MUX_IN ? (uint32_t)EPOLLIN : 0) | (events & MUX_OUT ? (uint32_t)EPOLLOUT : 0);
    int rc = epoll_ctl(m->epoll, EPOLL_CTL_MOD, fd, &ev);
    if (rc < 0 && errno == ENOENT)
        rc = epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &ev);
    if (rc < 0)
        return ERR_IO;
    m->watches[fd] = (struct watch){ fn, ctx };
    return OK;
}

void mux_fd_remove(struct mux *m, int fd)
{
    if (fd < 0 || fd >= m->watches_n || !m->watches[fd].fn)
        return;
    m->watches[fd] = (struct watch){ 0 };
    epoll_ctl(m->epoll, EPOLL_CTL_DEL, fd, NULL);
}

enum status mux_socket(struct mux *m, void *socket, mux_socket_fn *fn, void *ctx)
{
    if (m->plugs_n == SOCKETS_MAX)
        return ERR_LIMIT;
    m->plugs[m->plugs_n++] = (struct plug){ socket, fn, ctx };
    return OK;
}

void mux_socket_remove(struct mux *m, void *socket)
{
    for (int i = 0; i < m->plugs_n; i++) {
        if (m->plugs[i].socket == socket) {
            m->plugs[i] = m->plugs[--m->plugs_n];
            return;
        }
    }
}

void mux_timer_at(struct mux *m, struct mux_timer *t, struct mono at)
{
    t->at = at;
    bool put = heap_put(&m->timers, t);
    assert(put); /* a lost timer would be a silent hang */
    (void)put;
}

void mux_timer_in(struct mux *m, struct mux_timer *t, int64_t delay_ms)
{
    mux_timer_at(m, t, (struct mono){ mono_now().ms + delay_ms });
}

void mux_timer_stop(struct mux *m, struct mux_timer *t)
{
    heap_remove(&m->timers, t);
}

static void reap(struct mux *m)
{
    for (int i = 0; i < m->children_n;) {
        struct on_child c = m->children[i];
        int status = 0;
        pid_t pid = waitpid(c.pid, &status, WNOHANG);
        if (pid == 0 || (pid < 0 && errno == EINTR)) {
            i++;
            continue;
        }
        m->children[i] = m->children[--m->children_n];
        c.fn(c.ctx, c.pid, status);
        i = 0; /* the callback may have changed the list */
    }
}

static void on_signal_fd(void *ctx, int fd, int events)
{
    struct mux *m = ctx;
    struct signalfd_siginfo info;
    (void)events;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        int signo = (int)info.ssi_signo;
        if (signo == SIGCHLD)
            reap(m);
        for (int i = 0; i < m->on_signals_n; i++) {
            if (m->on_signals[i].signo == signo)
                m->on_signals[i].fn(m->on_signals[i].ctx, signo);
        }
    }
}

static enum status want_signal(struct mux *m, int signo)
{
    sigaddset(&m->mask, signo);
    sigprocmask(SIG_BLOCK, &m->mask, NULL);
    int fd = signalfd(m->signals, &m->mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    m->signals = fd;
    return mux_fd(m, fd, MUX_IN, on_signal_fd, m);
}

enum status mux_signal(struct mux *m, int signo, void (*fn)(void *, int), void *ctx)
{
    if (m->on_signals_n == SIGNALS_MAX)
        return ERR_LIMIT;
    m->on_signals[m->on_signals_n++] = (struct on_signal){ signo, fn, ctx };
    return want_signal(m, signo);
}

static void child_check(void *ctx)
{
    reap(ctx);
}

enum status mux_child(struct mux *m, pid_t pid, void (*fn)(void *, pid_t, int), void *ctx)
{
    if (m->children_n == CHILDREN_MAX)
        return ERR_LIMIT;
    enum status st = want_signal(m, SIGCHLD);
    if (st != OK)
        return st;
    m->children[m->children_n++] = (struct on_child){ pid, fn, ctx };
    /* The child may have ended before SIGCHLD was blocked: tell ourselves once. */
    return kill(getpid(), SIGCHLD) == 0 ? OK : (child_check(m), OK);
}

void mux_child_forget(struct mux *m, pid_t pid)
{
    for (int i = 0; i < m->children_n; i++) {
        if (m->children[i].pid == pid) {
            m->children[i] = m->children[--m->children_n];
            return;
        }
    }
}

void mux_after(struct mux *m, void (*fn)(void *), void *ctx)
{
    m->after = fn;
    m->after_ctx = ctx;
}

struct mono mux_now(const struct mux *m)
{
    return m->now;
}

/* Milliseconds until the first timer, bounded by wait_ms (-1: no bound). */
static long time_to_sleep(struct mux *m, int64_t wait_ms)
{
    const struct mux_timer *first = heap_top(&m->timers);
    if (!first)
        return (long)wait_ms;
    int64_t until = first->at.ms - mono_now().ms;
    until = until < 0 ? 0 : until;
    return (long)(wait_ms >= 0 && wait_ms < until ? wait_ms : until);
}

static void run_timers(struct mux *m)
{
    struct mux_timer *t;
    while ((t = heap_top(&m->timers)) && t->at.ms <= m->now.ms) {
        heap_remove(&m->timers, t);
        t->fn(t->ctx);
    }
}

static void run_fds(struct mux *m)
{
    struct epoll_event evs[EVENTS_PER_TURN];
    int n = epoll_wait(m->epoll, evs, EVENTS_PER_TURN, 0);
    for (int i = 0; i < n; i++) {
        int fd = evs[i].data.fd;
        struct watch w = fd < m->watches_n ? m->watches[fd] : (struct watch){ 0 };
        int what = (evs[i].events & EPOLLIN ? MUX_IN : 0) | (evs[i].events & EPOLLOUT ? MUX_OUT : 0) |
                   (evs[i].events & (EPOLLERR | EPOLLHUP) ? MUX_HUP : 0);
        if (w.fn)
            w.fn(w.ctx, fd, what);
    }
}

enum status mux_turn(struct mux *m, int64_t wait_ms, struct err *err)
{
    zmq_pollitem_t items[SOCKETS_MAX + 1];
    struct plug plugs[SOCKETS_MAX];
    int n = m->plugs_n;
    memcpy(plugs, m->plugs, sizeof plugs);
    for (int i = 0; i < n; i++)
        items[i] = (zmq_pollitem_t){ .socket = plugs[i].socket, .events = ZMQ_POLLIN };
    items[n] = (zmq_pollitem_t){ .fd = m->epoll, .events = ZMQ_POLLIN };
    int rc = zmq_poll(items, n + 1, time_to_sleep(m, wait_ms));
    m->now = mono_now();
    if (rc < 0 && errno != EINTR)
        return err_set(err, ERR_INTERNAL, "zmq_poll: %s", zmq_strerror(errno));
    run_timers(m);
    if (rc > 0 && items[n].revents)
        run_fds(m);
    for (int i = 0; rc > 0 && i < n; i++) {
        bool still = false; /* an earlier callback may have removed it */
        for (int k = 0; k < m->plugs_n; k++)
            still = still || m->plugs[k].socket == plugs[i].socket;
        if (still && items[i].revents)
            plugs[i].fn(plugs[i].ctx, plugs[i].socket);
    }
    if (m->after)
        m->after(m->after_ctx);
    return OK;
}

enum status mux_run(struct mux *m, struct err *err)
{
    enum status st = OK;
    m->stop = false;
    while (st == OK && !m->stop)
        st = mux_turn(m, -1, err);
    return st;
}

void mux_stop(struct mux *m)
{
    m->stop = true;
}
