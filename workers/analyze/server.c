/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/server.h"

#include "workers/analyze/said.h"
#include "workers/analyze/spawn.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ_CHUNK = 64 << 10,
    READS_PER_TURN = 16, /* a flood of one server leaves room for the others */
    RESTART_FIRST_MS = 100,
    RESTART_MAX_MS = 30000,
    RESTART_WAIT_MS = 2000, /* calls wait for a restart that is due within this */
    STEADY_MS = 10000,      /* up for so long: the pauses begin anew */
    RESULT_MAX = 16 << 20,  /* bytes of text of one result */
    LEAVE_MS = 1000,        /* to end after stdin was closed, and again after SIGTERM */
};

struct server {
    struct mux *mux;
    struct log *log;
    const struct mcp_server *conf;
    int64_t timeout_ms;
    server_fn *watch;
    void *watch_ctx;
    server_guard_fn *guard;
    void *guard_ctx;

    struct mcp *mcp;           /* the session; NULL while there is none */
    struct spawned proc;       /* pid 0: not running; descriptors -1: closed */
    struct server_call *calls; /* without an answer, oldest first */
    struct mux_timer due;      /* deadline of the session or of a call, or events to deliver */
    struct mux_timer restart;
    struct mux_timer kill; /* it was told to end and has not */
    struct mono ready_at;
    bool ended;   /* the session is over, its process perhaps not yet */
    int failures; /* in a row */
    char fault[1024];
    struct said said; /* on its stderr */
};

static void pump(struct server *s);
static void start(void *ctx);
static void kill_group(void *ctx);

static void on_due(void *ctx)
{
    pump(ctx);
}

struct server *server_new(struct mux *m, struct log *log, const struct mcp_server *conf,
                          int64_t timeout_ms)
{
    struct server *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct server){ .mux = m, .log = log, .conf = conf, .proc = { 0, -1, -1, -1 } };
    s->timeout_ms = conf->timeout_ms > 0 ? conf->timeout_ms : timeout_ms;
    s->due = MUX_TIMER(on_due, s);
    s->restart = MUX_TIMER(start, s);
    s->kill = MUX_TIMER(kill_group, s);
    if (conf->fault)
        snprintf(s->fault, sizeof s->fault, "%s", conf->fault);
    return s;
}

void server_watch(struct server *s, server_fn *fn, void *ctx)
{
    s->watch = fn;
    s->watch_ctx = ctx;
}

void server_guard(struct server *s, server_guard_fn *fn, void *ctx)
{
    s->guard = fn;
    s->guard_ctx = ctx;
}

static void tell(struct server *s)
{
    if (s->watch)
        s->watch(s->watch_ctx, s);
}

/* ---- its stderr ------------------------------------------------------------------------------ */

static void on_stderr(void *ctx, int fd, int events)
{
    struct server *s = ctx;
    char chunk[4096];
    ssize_t n = 0;
    (void)events;
    for (int i = 0; i < READS_PER_TURN && (n = read(fd, chunk, sizeof chunk)) > 0; i++)
        said_add(&s->said, (struct str){ chunk, (size_t)n });
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        mux_fd_remove(s->mux, fd);
}

/* ---- its end --------------------------------------------------------------------------------- */

static void close_fd(struct server *s, int *fd)
{
    if (*fd < 0)
        return;
    mux_fd_remove(s->mux, *fd);
    close(*fd);
    *fd = -1;
}

/* It was told to go, or has closed its output, and is still there. */
static void kill_group(void *ctx)
{
    struct server *s = ctx;
    if (s->proc.pid > 0)
        kill(-s->proc.pid, SIGKILL);
    if (s->mcp)
        mcp_lost(s->mcp, "it closed its output and did not end", "");
    pump(s);
}

/* The session is over. The process, if there is one, is told to go; on_exit_of() goes on. */
static void on_ended(struct server *s, const char *why)
{
    struct buf line;
    buf_init(&line, 1024);
    said_line(&s->said, &line);
    bool steady = s->ready_at.ms > 0 && mono_now().ms - s->ready_at.ms >= STEADY_MS;
    s->ended = true;
    s->failures = steady ? 1 : s->failures + 1;
    s->ready_at.ms = 0;
    snprintf(s->fault, sizeof s->fault, "%.600s%s%.320s", why, line.len ? "; stderr: " : "",
             buf_z(&line));
    buf_fini(&line);
    log_line(s->log, LOG_WARN, "MCP server failed", "server", s->conf->name, "why", s->fault, NULL);
    close_fd(s, &s->proc.in);
    if (s->proc.pid > 0) {
        kill(-s->proc.pid, SIGTERM);
        mux_timer_in(s->mux, &s->kill, LEAVE_MS);
    }
}

static int64_t pause_ms(const struct server *s)
{
    int64_t ms = RESTART_FIRST_MS;
    for (int i = 1; i < s->failures && ms < RESTART_MAX_MS; i++)
        ms *= 2;
    return ms < RESTART_MAX_MS ? ms : RESTART_MAX_MS;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void unlink_call(struct server_call *call)
{
    struct server_call **at = &call->server->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    json_decref(call->arguments);
    call->arguments = NULL;
    call->server = NULL;
}

static void answer(struct server_call *call, const struct server_result *r)
{
    unlink_call(call);
    call->fn(call->ctx, call, r); /* may free the call */
}

static void refuse(struct server_call *call, const char *fault)
{
    struct server_result r = { .sent = call->sent, .fault = fault };
    answer(call, &r);
}

static void name_tools(const struct mcp_tools *t, struct buf *out)
{
    for (size_t i = 0; i < t->n && i < 12; i++)
        buf_printf(out, "%s%s", i ? ", " : "", t->items[i].name);
    if (t->n > 12)
        buf_printf(out, " and %zu more", t->n - 12);
    if (t->n == 0)
        buf_str(out, "none");
}

static void no_such_tool(struct server *s, struct server_call *call)
{
    struct buf text;
    buf_init(&text, 4096);
    buf_printf(&text, "it has no tool '%s'; it offers: ", call->tool);
    name_tools(mcp_tools(s->mcp), &text);
    refuse(call, buf_z(&text));
    buf_fini(&text);
}

/* Say one call that waits. True: there may be more to do. */
static bool say_one(struct server *s)
{
    struct server_call *call = s->calls;
    struct err err = { 0 };
    while (call && call->sent)
        call = call->next;
    if (!call)
        return false;
    const struct mcp_tool *tool = mcp_tools_find(mcp_tools(s->mcp), call->tool);
    if (!tool) {
        no_such_tool(s, call);
        return true;
    }
    const char *why = s->guard ? s->guard(s->guard_ctx, s, tool) : NULL;
    if (why) {
        refuse(call, why);
        return true;
    }
    int64_t left = call->deadline.ms - mono_now().ms;
    struct mcp_call c = { call->tool, call->arguments, left > 0 ? left : 1, call };
    enum status st = mcp_call(s->mcp, &c, mono_now(), &err);
    if (st == ERR_BUSY)
        return false; /* when another one has ended */
    call->sent = st == OK;
    if (st != OK)
        refuse(call, err.text);
    return true;
}

/* Calls that wait for the start have their time too. */
static void expire_waiting(struct server *s)
{
    for (struct server_call *call = s->calls, *next; call; call = next) {
        next = call->next;
        if (call->sent || call->deadline.ms > mono_now().ms)
            continue;
        refuse(call, "it was not ready in time");
        next = s->calls; /* the callback may have changed the list */
    }
}

/* Calls that were not said; the callbacks may change the list, so it is begun anew each time. */
static void refuse_waiting(struct server *s)
{
    struct server_call *call = s->calls;
    while (call) {
        if (call->sent) {
            call = call->next;
            continue;
        }
        refuse(call, s->fault);
        call = s->calls;
    }
}

static void on_done(struct server *s, const struct mcp_event *e)
{
    struct buf text;
    struct server_call *call = e->user;
    struct server_result r = { .sent = true, .fault = e->text };
    (void)s;
    buf_init(&text, RESULT_MAX);
    if (e->fault == MCP_ANSWERED) {
        mcp_text(e->result, &text);
        r.answered = text.status == OK;
        r.is_error = e->is_error;
        r.text = buf_get(&text);
        r.fault = r.answered ? "" : "its answer is too large";
    } else if (e->fault == MCP_REFUSED) {
        r.answered = r.is_error = true;
        r.text = str_of(e->text);
    }
    answer(call, &r);
    buf_fini(&text);
}

static void on_progress(const struct mcp_event *e)
{
    struct server_call *call = e->user;
    struct buf text;
    if (!call->progress)
        return;
    buf_init(&text, 4096);
    mcp_clean((struct str){ e->text, strnlen(e->text, 200) }, true, &text);
    call->progress(call->ctx, e->progress, e->total, buf_z(&text));
    buf_fini(&text);
}

/* ---- the session ----------------------------------------------------------------------------- */

static void plan_restart(struct server *s)
{
    mcp_free(s->mcp);
    s->mcp = NULL;
    mux_timer_in(s->mux, &s->restart, pause_ms(s));
}

static void on_ready(struct server *s)
{
    char tools[24];
    s->ready_at = mono_now();
    s->fault[0] = '\0';
    snprintf(tools, sizeof tools, "%zu", mcp_tools(s->mcp)->n);
    log_line(s->log, LOG_INFO, "MCP server ready", "server", s->conf->name, "revision",
             mcp_version(s->mcp), "tools", tools, "calls itself", mcp_server(s->mcp), NULL);
    tell(s);
}

static void on_writable(void *ctx, int fd, int events);

static void flush(struct server *s)
{
    if (!s->mcp)
        return;
    struct buf *out = mcp_out(s->mcp);
    while (s->proc.in >= 0 && out->len > 0) {
        ssize_t n = write(s->proc.in, out->data, out->len);
        if (n > 0) {
            buf_consume(out, (size_t)n);
        } else if (errno == EAGAIN) {
            if (mux_fd(s->mux, s->proc.in, MUX_OUT, on_writable, s) != OK)
                mcp_lost(s->mcp, "the loop has no room for it", "");
            return;
        } else if (errno != EINTR) {
            close_fd(s, &s->proc.in); /* it is ending: its exit is what counts */
        }
    }
    if (s->proc.in >= 0)
        mux_fd_remove(s->mux, s->proc.in);
}

static void on_writable(void *ctx, int fd, int events)
{
    (void)fd;
    (void)events;
    flush(ctx);
}

static void on_event(struct server *s, const struct mcp_event *e)
{
    switch (e->kind) {
    case MCP_READY: on_ready(s); break;
    case MCP_CHANGED: tell(s); break;
    case MCP_DONE: on_done(s, e); break;
    case MCP_PROGRESS: on_progress(e); break;
    case MCP_REMARK: log_line(s->log, LOG_WARN, e->text, "server", s->conf->name, NULL); break;
    case MCP_BROKEN:
        on_ended(s, e->text);
        refuse_waiting(s);
        tell(s);
        break;
    }
}

static void arm(struct server *s)
{
    struct mono at = { INT64_MAX };
    if (s->mcp && !s->ended)
        at = mcp_deadline(s->mcp);
    for (const struct server_call *call = s->calls; call; call = call->next) {
        if (!call->sent && call->deadline.ms < at.ms)
            at = call->deadline;
    }
    if (at.ms < INT64_MAX)
        mux_timer_at(s->mux, &s->due, at);
    else
        mux_timer_stop(s->mux, &s->due);
}

/* Take what the session has to say, say what waits, write, and come back when something is due. */
static void pump(struct server *s)
{
    struct mcp_event e;
    while (s->mcp && !s->ended && mcp_next(s->mcp, mono_now(), &e))
        on_event(s, &e);
    while (server_ready(s) && say_one(s))
        ;
    expire_waiting(s);
    if (s->ended && s->mcp && s->proc.pid == 0)
        plan_restart(s);
    if (!s->ended)
        flush(s);
    arm(s);
}

/* Lines are taken before more is fed, so that a flood does not pile up. */
static void feed(struct server *s, struct str bytes)
{
    struct mcp_event e;
    if (!s->mcp || s->ended)
        return;
    mcp_feed(s->mcp, bytes);
    while (!s->ended && mcp_next(s->mcp, mono_now(), &e))
        on_event(s, &e);
}

static void read_stdout(struct server *s, int rounds)
{
    char chunk[READ_CHUNK];
    ssize_t n = 0;
    for (int i = 0;
         i < rounds && s->proc.out >= 0 && (n = read(s->proc.out, chunk, sizeof chunk)) > 0; i++)
        feed(s, (struct str){ chunk, (size_t)n });
    if (s->proc.out >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
        close_fd(s, &s->proc.out);
        mux_timer_in(s->mux, &s->kill, LEAVE_MS); /* without stdout it is no server */
    }
}

static void on_stdout(void *ctx, int fd, int events)
{
    struct server *s = ctx;
    (void)fd;
    (void)events;
    read_stdout(s, READS_PER_TURN);
    pump(s);
}

static void on_exit_of(void *ctx, pid_t pid, int status)
{
    struct server *s = ctx;
    char why[300];
    const char *when = server_ready(s) ? "" : " before it was ready";
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "its process was ended by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)), when);
    else
        snprintf(why, sizeof why, "its process exited with status %d%s", WEXITSTATUS(status), when);
    kill(-pid, SIGKILL); /* what it may have started */
    read_stdout(s, 1024);
    if (s->proc.err >= 0)
        on_stderr(s, s->proc.err, MUX_IN);
    mux_timer_stop(s->mux, &s->kill);
    s->proc.pid = 0;
    if (s->mcp)
        mcp_lost(s->mcp, why, "");
    close_fd(s, &s->proc.in);
    close_fd(s, &s->proc.out);
    pump(s);
    close_fd(s, &s->proc.err);
}

/* ---- its start ------------------------------------------------------------------------------- */

static void start(void *ctx)
{
    struct server *s = ctx;
    struct err err = { 0 };
    struct mcp_options o = { .era = s->conf->era, .call_ms = s->timeout_ms };
    o.start_ms = s->conf->start_ms > 0 ? s->conf->start_ms : s->timeout_ms;
    s->said.n = 0;
    s->ended = false;
    s->mcp = mcp_new(&o, mono_now());
    assert(s->mcp);
    if (spawn(&s->proc, s->conf->argv, s->conf->env, s->conf->cwd, &err) != OK) {
        s->proc = (struct spawned){ 0, -1, -1, -1 };
        mcp_lost(s->mcp, err.text, "");
    } else if (mux_fd(s->mux, s->proc.out, MUX_IN, on_stdout, s) != OK ||
               mux_fd(s->mux, s->proc.err, MUX_IN, on_stderr, s) != OK ||
               mux_child(s->mux, s->proc.pid, on_exit_of, s) != OK) {
        mcp_lost(s->mcp, "the loop has no room for it", "");
    }
    pump(s);
}

void server_start(struct server *s)
{
    if (!s->conf->disabled && !s->conf->fault)
        start(s);
}

/* ---- all of them stop ------------------------------------------------------------------------ */

/* Wait until all are reaped or the time is up; without the loop. False: some are left. */
static bool reap_all(struct server **list, size_t n, int64_t wait_ms)
{
    sigset_t chld;
    int64_t until = mono_now().ms + wait_ms;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD); /* blocked by the loop */
    for (;;) {
        bool left = false;
        for (size_t i = 0; i < n; i++) {
            pid_t pid = list[i]->proc.pid;
            if (pid > 0 && waitpid(pid, NULL, WNOHANG) != 0) {
                kill(-pid, SIGKILL); /* what it may have started */
                list[i]->proc.pid = 0;
            }
            left = left || list[i]->proc.pid > 0;
        }
        int64_t ms = until - mono_now().ms;
        if (!left || ms <= 0)
            return !left;
        struct timespec ts = { ms / 1000, (ms % 1000) * 1000000 };
        sigtimedwait(&chld, NULL, &ts);
    }
}

void servers_close(struct server **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mux_timer_stop(list[i]->mux, &list[i]->due);
        mux_timer_stop(list[i]->mux, &list[i]->restart);
        mux_timer_stop(list[i]->mux, &list[i]->kill);
        close_fd(list[i], &list[i]->proc.in);
        close_fd(list[i], &list[i]->proc.out);
        close_fd(list[i], &list[i]->proc.err);
    }
    static const int ladder[] = { SIGTERM, SIGKILL };
    for (size_t k = 0; !reap_all(list, n, LEAVE_MS) && k < COUNT(ladder); k++) {
        for (size_t i = 0; i < n; i++) {
            if (list[i]->proc.pid > 0)
                kill(-list[i]->proc.pid, ladder[k]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        while (list[i]->calls)
            unlink_call(list[i]->calls);
        mcp_free(list[i]->mcp);
        free(list[i]);
    }
}

/* ---- questions and calls --------------------------------------------------------------------- */

const char *server_name(const struct server *s)
{
    return s->conf->name;
}

bool server_ready(const struct server *s)
{
    return s->mcp && !s->ended && mcp_ready(s->mcp);
}

bool server_settled(const struct server *s)
{
    return s->conf->disabled || *s->fault || server_ready(s);
}

const char *server_fault(const struct server *s)
{
    return s->fault;
}

const char *server_fix(const struct server *s)
{
    if (s->conf->fault)
        return s->conf->fix;
    return *s->fault ? "Start the command of mcp.json by hand and look at what it says." : "";
}

const struct mcp_server *server_conf(const struct server *s)
{
    return s->conf;
}

const struct mcp_tools *server_tools(const struct server *s)
{
    return server_ready(s) ? mcp_tools(s->mcp) : NULL;
}

enum status server_call(struct server *s, struct server_call *call, const char *tool,
                        json_t *arguments, struct err *err)
{
    struct server_call **end = &s->calls;
    call->server = NULL;
    if (s->conf->disabled)
        return err_set(err, ERR_UNAVAILABLE, "it is disabled in mcp.json");
    bool soon = (s->mcp && !s->ended) || (!s->mcp && pause_ms(s) <= RESTART_WAIT_MS);
    if (s->conf->fault || (*s->fault && !soon))
        return err_set(err, ERR_UNAVAILABLE, "%.700s", s->fault);
    while (*end)
        end = &(*end)->next;
    *end = call;
    snprintf(call->tool, sizeof call->tool, "%s", tool);
    call->arguments = json_incref(arguments);
    call->deadline.ms = mono_now().ms + s->timeout_ms;
    call->sent = false;
    call->server = s;
    call->next = NULL;
    mux_timer_in(s->mux, &s->due, 0); /* it is said, or refused, in a turn of its own */
    return OK;
}

void server_cancel(struct server_call *call)
{
    struct server *s = call->server;
    if (!s)
        return;
    bool sent = call->sent;
    unlink_call(call);
    if (sent && s->mcp && !s->ended)
        mcp_cancel(s->mcp, call);
    mux_timer_in(s->mux, &s->due, 0);
}
