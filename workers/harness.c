/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/task.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HELLO_RETRY_MS = 500,
    HELLO_AGAIN_MS = 50, /* while there is no connection */
    LOOK_MS = 250,
    RESEND_MS = 200,
    BEAT_AGAIN_MS = 200,
    NOTE_MS = 150,
    TEXT_MS = 100,
    RELEASE_WAIT_MS = 2000
};

static void on_socket(void *ctx, void *socket);

/* ---- what stages may ask of the worker ------------------------------------------------------ */

struct mux *worker_mux(struct worker *w)
{
    return w->mux;
}

struct log *worker_log(struct worker *w)
{
    return &w->log;
}

const struct conf *worker_conf(struct worker *w)
{
    return w->conf;
}

void worker_tag(struct worker *w, const char *key, const char *value)
{
    if (w->tags_n == COUNT(w->tags))
        return;
    char *tag = w->tags[w->tags_n];
    int n = snprintf(tag, sizeof w->tags[0], "%s=%s", key, value);
    if (n > 0)
        w->tags_n++;
}

void worker_accept(struct worker *w, bool yes)
{
    w->accept = yes; /* READY follows at the end of the turn */
}

/* ---- sending --------------------------------------------------------------------------------- */

static enum status send_now(struct worker *w, const struct msg *m, const struct str *frames,
                            uint32_t n)
{
    enum status st = peer_send(w->peer, (struct str){ 0 }, m, frames, n);
    if (st == OK)
        endpoints_sent(&w->ends, mono_now().ms);
    else if (st == ERR_BUSY)
        endpoints_unsent(&w->ends, mono_now().ms);
    return st;
}

/* A send that does not go out now is tried again: nothing here is said only once. */
enum status worker_send(struct worker *w, const struct msg *m, const struct str *frames, uint32_t n)
{
    enum status st = send_now(w, m, frames, n);
    if (st != OK && st != ERR_BUSY)
        log_printf(&w->log, LOG_WARN, "cannot send %s: %s", msg_name(m->type), status_text(st));
    if (st != OK && w->resend.slot == HEAP_NONE)
        mux_timer_in(w->mux, &w->resend, RESEND_MS);
    return st;
}

/* What is said again anyway, or may be lost. */
void worker_say(struct worker *w, const struct msg *m)
{
    enum status st = send_now(w, m, NULL, 0);
    (void)st;
}

static struct task_list holds_of(struct worker *w, struct buf *raw)
{
    uint32_t n = 0;
    for (struct task *t = w->tasks; t; t = t->next)
        n++;
    if (n > PAWL_TASKS_MAX)
        n = PAWL_TASKS_MAX;
    mp_array(raw, n);
    uint32_t left = n;
    for (struct task *t = w->tasks; t && left; t = t->next, left--)
        msg_task_put(raw, str_of(t->key), t->fence);
    return (struct task_list){ buf_get(raw), n };
}

static void say_hello(void *ctx)
{
    struct worker *w = ctx;
    struct buf raw;
    struct msg m = { .type = MSG_HELLO };
    buf_init(&raw, PAWL_HEADER_MAX);
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"),
                                  .name = str_of(w->name),
                                  .version = str_of(PAWL_VERSION),
                                  .slots = (uint64_t)w->slots };
    for (size_t i = 0; w->ops->stages[i] && i < PAWL_LIST_MAX; i++)
        m.HELLO.stages.v[m.HELLO.stages.n++] = str_of(w->ops->stages[i]);
    for (size_t i = 0; i < w->tags_n; i++)
        m.HELLO.tags.v[m.HELLO.tags.n++] = str_of(w->tags[i]);
    if (w->died) {
        m.HELLO.before = str_of(w->name);
        m.HELLO.died = str_of(w->died);
    }
    m.HELLO.holds = holds_of(w, &raw);
    if (w->welcomed)
        endpoints_greet(&w->ends, mono_now().ms);
    w->welcomed = false;
    enum status st = send_now(w, &m, NULL, 0);
    buf_fini(&raw);
    mux_timer_in(w->mux, &w->hello, st == OK ? HELLO_RETRY_MS : HELLO_AGAIN_MS);
}

/* The broker is silent or gone, and there are others. What it has not acknowledged is said to the
 * next one, and what we hold: that is HELLO and what follows WELCOME, as after any reconnection. */
static void move_on(struct worker *w)
{
    struct err err = { 0 };
    mux_socket_remove(w->mux, peer_socket(w->peer));
    log_line(&w->log, w->welcomed ? LOG_WARN : LOG_DEBUG, "no answer: trying another broker",
             "endpoint", endpoints_now(&w->ends), NULL);
    enum status st = peer_move(w->peer, endpoints_now(&w->ends), &err);
    if (st != OK)
        log_line(&w->log, LOG_ERROR, err.text, "fix", err.fix, NULL);
    st = mux_socket(w->mux, peer_socket(w->peer), on_socket, w);
    if (st != OK)
        mux_stop(w->mux);
    w->welcomed = false;
    endpoints_begin(&w->ends, mono_now().ms);
    say_hello(w);
}

static void look(void *ctx)
{
    static const struct msg ping = { .type = MSG_PING };
    struct worker *w = ctx;
    int64_t now = mono_now().ms;
    if (endpoints_due(&w->ends, now)) {
        move_on(w);
    } else if (w->welcomed && now - w->heard_ms >= ENDPOINT_PING_MS &&
               now - w->pinged_ms >= ENDPOINT_PING_MS / 2) {
        w->pinged_ms = now;
        worker_say(w, &ping);
    }
    mux_timer_in(w->mux, &w->look, LOOK_MS);
}

static void beat(void *ctx)
{
    struct worker *w = ctx;
    struct buf raw, notes;
    struct msg m = { .type = MSG_BEAT };
    buf_init(&raw, PAWL_HEADER_MAX);
    buf_init(&notes, PAWL_HEADER_MAX / 2);
    uint32_t changed = 0;
    for (struct task *t = w->tasks; t; t = t->next)
        changed += t->note_changed && changed < 64;
    mp_map(&notes, changed);
    for (struct task *t = w->tasks; t && changed; t = t->next) {
        if (!t->note_changed)
            continue;
        mp_z(&notes, t->key);
        mp_z(&notes, t->note);
        t->note_changed = false;
        changed--;
    }
    m.BEAT.holds = holds_of(w, &raw);
    m.BEAT.notes = buf_get(&notes);
    /* Without a connection: soon again, so that a broker that was started anew hears us at once. */
    enum status st = w->welcomed ? send_now(w, &m, NULL, 0) : OK;
    buf_fini(&raw);
    buf_fini(&notes);
    mux_timer_in(w->mux, &w->beat, st == ERR_BUSY ? BEAT_AGAIN_MS : w->heartbeat_ms);
}

/* Everything that is not acknowledged and not on its way. */
static void resend(void *ctx)
{
    struct worker *w = ctx;
    if (!w->welcomed)
        return;
    for (struct task *t = w->tasks; t; t = t->next)
        task_flush(t);
}

static void flush_text(void *ctx)
{
    struct worker *w = ctx;
    for (struct task *t = w->tasks; t; t = t->next)
        task_flush_text(t);
}

void worker_note_soon(struct worker *w)
{
    struct mono soon = { mono_now().ms + NOTE_MS };
    if (w->beat.slot == HEAP_NONE || w->beat.at.ms > soon.ms)
        mux_timer_at(w->mux, &w->beat, soon);
}

void worker_text_soon(struct worker *w)
{
    if (w->text.slot == HEAP_NONE)
        mux_timer_in(w->mux, &w->text, TEXT_MS);
}

/* Credit is an absolute number: said again whenever it or what we have seen has changed. */
static void after_turn(void *ctx)
{
    struct worker *w = ctx;
    int64_t credit = w->accept && !w->draining ? w->slots - w->tasks_n : 0;
    if (credit < 0)
        credit = 0;
    if (!w->welcomed || (w->said_credit == credit && w->said_seen == w->seen))
        return;
    struct msg m = { .type = MSG_READY, .READY = { (uint64_t)credit, w->seen } };
    if (worker_send(w, &m, NULL, 0) == OK) {
        w->said_credit = credit;
        w->said_seen = w->seen;
    }
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void on_welcome(struct worker *w, const struct msg *m)
{
    bool new_broker = w->epoch != m->epoch;
    w->epoch = m->epoch;
    w->welcomed = true;
    endpoints_welcome(&w->ends, mono_now().ms);
    w->died = NULL; /* said */
    w->seen = 0;
    w->said_credit = -1;
    w->heartbeat_ms = m->WELCOME.heartbeat_ms ? (int64_t)m->WELCOME.heartbeat_ms : 2000;
    mux_timer_stop(w->mux, &w->hello);
    mux_timer_in(w->mux, &w->beat, w->heartbeat_ms);
    if (new_broker)
        log_line(&w->log, LOG_INFO, "ready", "broker", endpoints_now(&w->ends), "name", w->name,
                 NULL);
    for (struct task *t = w->tasks; t; t = t->next)
        task_unsend(t);
    resend(w);
}

static void on_task(struct worker *w, const struct msg *m, struct peer_in *in)
{
    const struct msg_TASK *k = &m->TASK;
    w->seen = k->seq;
    struct task *t = worker_find(w, k->task);
    if (t && (t->ending == ENDING_FAIL || (t->ending == ENDING_RELEASE && !w->releasing))) {
        task_free(t); /* given up under the old number: this is another attempt */
        t = NULL;
    }
    if (t) {
        t->fence = k->fence; /* the broker gave us again what we hold: go on under the new number */
        task_unsend(t);
        task_flush(t);
        return;
    }
    struct err err = { 0 };
    t = task_new(w, k, in, &err);
    if (!t) {
        struct msg back = { .type = MSG_RELEASE,
                            .RELEASE = { k->task, k->fence, str_of(err.text) } };
        log_line(&w->log, LOG_ERROR, "task refused", "why", err.text, NULL);
        worker_send(w, &back, NULL, 0);
        return;
    }
    log_line(&w->log, LOG_DEBUG, "task", "task", t->key, NULL);
    w->ops->begin(w->self, t);
}

static void on_drop(struct worker *w, const struct msg_DROP *d)
{
    struct task *t = worker_find(w, d->task);
    if (!t || !fence_eq(t->fence, d->fence))
        return;
    bool finished = t->ending != ENDING_NO;
    if (finished && str_is(d->reason, "expired"))
        return; /* the result is there: the broker may still adopt it */
    log_line(&w->log, LOG_INFO, "task dropped", "task", t->key, NULL);
    if (!finished)
        w->ops->cancel(w->self, t);
    task_free(t);
}

static void on_refused(struct worker *w, const struct msg_REFUSED *r)
{
    char text[512];
    snprintf(text, sizeof text, "%.*s", STR_ARG(r->text));
    if (str_is(r->code, "denied")) {
        log_line(&w->log, LOG_ERROR, "the broker refuses this worker", "why", text, NULL);
        w->exit_code = status_exit(ERR_DENIED);
        mux_stop(w->mux);
        return;
    }
    bool away = str_is(r->code, "unavailable"); /* HELLO is said again anyway */
    log_line(&w->log, w->welcomed || away ? LOG_DEBUG : LOG_WARN, "refused", "why", text, NULL);
    if (w->welcomed && !away)
        say_hello(w); /* it does not know us (any more) */
}

static void handle(struct worker *w, const struct msg *m, struct peer_in *in)
{
    struct task *t;
    bool away = m->type == MSG_REFUSED && str_is(m->REFUSED.code, "unavailable");
    w->heard_ms = mono_now().ms;
    if (away)
        endpoints_away(&w->ends, w->heard_ms);
    else
        endpoints_heard(&w->ends, w->heard_ms);
    if (m->type == MSG_WELCOME) {
        on_welcome(w, m);
        return;
    }
    if (m->type == MSG_REFUSED) {
        on_refused(w, &m->REFUSED);
        return;
    }
    if (m->epoch != w->epoch || !w->welcomed) {
        if (w->welcomed && m->epoch != w->epoch)
            say_hello(w); /* another broker speaks: greet it first */
        return;
    }
    if (m->type == MSG_TASK) {
        on_task(w, m, in);
    } else if (m->type == MSG_TAKEN) {
        t = worker_find(w, m->TAKEN.task);
        if (t && t->ending != ENDING_NO && fence_eq(t->fence, m->TAKEN.fence))
            task_free(t);
    } else if (m->type == MSG_STEPPED) {
        t = worker_find(w, m->STEPPED.task);
        if (t)
            task_on_stepped(t, m->STEPPED.hash);
    } else if (m->type == MSG_CALLED) {
        t = worker_find(w, m->CALLED.task);
        if (t)
            task_on_called(t, &m->CALLED, in);
    } else if (m->type == MSG_LISTEN) {
        t = worker_find(w, m->LISTEN.task);
        if (t)
            task_listen(t, m->LISTEN.wanted);
    } else if (m->type == MSG_DROP) {
        on_drop(w, &m->DROP);
    }
}

static void on_socket(void *ctx, void *socket)
{
    struct worker *w = ctx;
    (void)socket;
    for (int i = 0; i < 64; i++) {
        struct peer_in in;
        struct msg m;
        struct err err = { 0 };
        enum status st = peer_recv(w->peer, &in);
        if (st == ERR_BUSY)
            return;
        if (st != OK)
            continue;
        if (msg_decode(peer_frame(&in, 0), &m, &err) == OK)
            handle(w, &m, &in);
        else
            log_line(&w->log, LOG_WARN, "malformed message", "why", err.text, NULL);
        peer_in_free(&in);
    }
}

/* ---- start and stop -------------------------------------------------------------------------- */

static void stop_if_empty(struct worker *w)
{
    if (w->draining && w->tasks_n == 0)
        mux_stop(w->mux);
}

void worker_task_gone(struct worker *w)
{
    stop_if_empty(w);
}

/* The time to finish is over: what still runs goes back, uncharged. */
static void drain_over(void *ctx)
{
    struct worker *w = ctx;
    if (w->releasing) {
        mux_stop(w->mux);
        return;
    }
    w->releasing = true;
    for (struct task *t = w->tasks; t; t = t->next) {
        if (t->ending != ENDING_NO)
            continue;
        w->ops->cancel(w->self, t);
        t->ending = ENDING_RELEASE;
        task_unsend(t);
        task_flush(t);
    }
    mux_timer_in(w->mux, &w->drain, RELEASE_WAIT_MS);
}

static void on_stop_signal(void *ctx, int signo)
{
    struct worker *w = ctx;
    if (w->draining) {
        log_line(&w->log, LOG_WARN, "stopping at once", NULL);
        w->exit_code = 128 + signo;
        mux_stop(w->mux);
        return;
    }
    w->draining = true;
    log_line(&w->log, LOG_INFO, "draining", NULL);
    mux_timer_in(w->mux, &w->drain, conf_int(w->conf, CONF_WORKER_DRAIN));
    stop_if_empty(w);
}

static enum status worker_open(struct worker *w, struct err *err)
{
    struct peer_keys keys = { 0 };
    enum status st;
    if (!(w->mux = mux_new(err)))
        return err->status;
    /* Before ZeroMQ starts its thread, so that the thread inherits the mask. */
    if ((st = mux_signal(w->mux, SIGTERM, on_stop_signal, w)) != OK ||
        (st = mux_signal(w->mux, SIGINT, on_stop_signal, w)) != OK)
        return err_set(err, st, "signals cannot be caught");
    if ((st = conf_keys(w->conf, false, &keys, err)) != OK)
        return st;
    int64_t slots = conf_int(w->conf, CONF_WORKER_SLOTS);
    w->slots = slots > 0 ? slots : w->ops->slots;
    if (w->slots > PAWL_SLOTS_MAX)
        w->slots = PAWL_SLOTS_MAX;
    const json_t *tags = conf_tree(w->conf, CONF_WORKER_TAGS);
    for (size_t i = 0; i < js_count(tags) && w->tags_n < COUNT(w->tags); i++)
        snprintf(w->tags[w->tags_n++], sizeof w->tags[0], "%s", json_string_value(js_at(tags, i)));
    st = endpoints_parse(&w->ends, conf_endpoint(w->conf), random_u64(), err);
    if (st != OK || !(w->peer = peer_connect(endpoints_now(&w->ends), &keys, err)))
        return err->status;
    if ((st = w->ops->open(w, &w->self, err)) != OK)
        return st;
    w->opened = true;
    return mux_socket(w->mux, peer_socket(w->peer), on_socket, w);
}

static void worker_close(struct worker *w)
{
    struct msg bye = { .type = MSG_BYE, .BYE = { str_of("stopped") } };
    for (struct task *t = w->tasks, *next; t; t = next) {
        next = t->next;
        if (t->ending == ENDING_NO)
            w->ops->cancel(w->self, t);
        task_free(t);
    }
    if (w->opened)
        w->ops->close(w->self);
    if (w->peer && w->welcomed)
        worker_say(w, &bye);
    peer_close(w->peer);
    mux_free(w->mux);
    conf_free(w->conf);
}

static int run(struct worker *w)
{
    struct err err = { 0 };
    w->hello = MUX_TIMER(say_hello, w);
    w->beat = MUX_TIMER(beat, w);
    w->resend = MUX_TIMER(resend, w);
    w->text = MUX_TIMER(flush_text, w);
    w->drain = MUX_TIMER(drain_over, w);
    w->look = MUX_TIMER(look, w);
    enum status st = worker_open(w, &err);
    if (st == OK) {
        endpoints_begin(&w->ends, mono_now().ms);
        say_hello(w);
        if (endpoints_several(&w->ends))
            mux_timer_in(w->mux, &w->look, LOOK_MS);
        mux_after(w->mux, after_turn, w);
        st = mux_run(w->mux, &err);
    }
    if (st != OK) {
        log_line(&w->log, LOG_ERROR, err.text, "fix", err.fix, NULL);
        w->exit_code = status_exit(st);
    }
    worker_close(w);
    return w->exit_code;
}

struct args {
    const char *config, *name;
    struct conf_flag flags[64];
    size_t flags_n;
};

static void usage(FILE *to, const struct stage_ops *ops)
{
    fprintf(to,
            "usage: pawl-%s [--config FILE] [--broker ENDPOINT[,…]] [--slots N] [--name NAME]\n"
            "               [--set KEY=VALUE]…\n\n"
            "A worker for the stages",
            ops->role);
    for (size_t i = 0; ops->stages[i]; i++)
        fprintf(to, "%s %s", i ? "," : "", ops->stages[i]);
    fprintf(to, ". It connects to the broker, takes tasks, and stops on\n"
                "SIGTERM or Ctrl-C: running tasks finish or are given back; twice stops at once.\n"
                "`pawl config show` lists every KEY.\n");
}

static char *split_set(char *text, struct conf_flag *flag)
{
    char *eq = strchr(text, '=');
    if (!eq)
        return NULL;
    *eq = '\0';
    *flag = (struct conf_flag){ text, eq + 1 };
    return eq;
}

/* 0: go on; otherwise exit with that code minus one. */
static int parse_args(int argc, char **argv, const struct stage_ops *ops, struct args *a)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            usage(stdout, ops);
            return 1;
        }
        if (strcmp(arg, "--version") == 0) {
            printf("pawl-%s %s\n", ops->role, PAWL_VERSION);
            return 1;
        }
        char *value = i + 1 < argc ? argv[++i] : NULL;
        bool full = a->flags_n == COUNT(a->flags);
        if (value && strcmp(arg, "--config") == 0)
            a->config = value;
        else if (value && strcmp(arg, "--name") == 0)
            a->name = value;
        else if (value && !full && strcmp(arg, "--broker") == 0)
            a->flags[a->flags_n++] = (struct conf_flag){ "broker.endpoint", value };
        else if (value && !full && strcmp(arg, "--slots") == 0)
            a->flags[a->flags_n++] = (struct conf_flag){ "worker.slots", value };
        else if (value && !full && strcmp(arg, "--set") == 0 &&
                 split_set(value, &a->flags[a->flags_n]))
            a->flags_n++;
        else {
            fprintf(stderr, "pawl-%s: %s: unknown or incomplete option\n", ops->role, arg);
            usage(stderr, ops);
            return 1 + status_exit(ERR_USAGE);
        }
    }
    return 0;
}

int worker_main(int argc, char **argv, const struct stage_ops *ops)
{
    struct worker w = { .ops = ops, .accept = true, .said_credit = -1, .heartbeat_ms = 2000 };
    struct args args = { 0 };
    struct err err = { 0 };
    int code = parse_args(argc, argv, ops, &args);
    if (code)
        return code - 1;
    if (conf_load(&w.conf, args.config, args.flags, args.flags_n, &err) != OK) {
        fprintf(stderr, "pawl-%s: %s\n%s%s", ops->role, err.text, err.fix, *err.fix ? "\n" : "");
        return status_exit(err.status);
    }
    log_init(&w.log, ops->role, conf_str(w.conf, CONF_LOG_LEVEL),
             strcmp(conf_str(w.conf, CONF_LOG_FORMAT), "json") == 0);
    w.died = getenv("PAWL_DIED");
    char host[32] = "";
    gethostname(host, sizeof host - 1);
    if (args.name)
        snprintf(w.name, sizeof w.name, "%s", args.name);
    else
        snprintf(w.name, sizeof w.name, "%s/%s/%ld", host, ops->role, (long)getpid());
    return run(&w);
}
