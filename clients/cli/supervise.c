/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/supervise.h"

#include "clients/cli/out.h"
#include "clients/cli/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STEP_MS = 20,
    START_MS = 60000,
    OLD_RUN_MS = 20000,
    EARLY_MS = 10000,
    EARLY_DEATHS = 6,
    AGAIN_MS = 200,
    AGAIN_MOST_MS = 10000,
    BROKER_STOP_MS = 8000,
    REDIS_STOP_MS = 20000,
    TAIL_LINES = 12,
    LAST_LINES = 4
};

static void begin_stop(struct supervisor *s);
static void step(void *ctx);

static void say(struct supervisor *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct supervisor *s, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->say(s->ctx, text);
}

static int64_t in_phase(const struct supervisor *s)
{
    return mono_now().ms - s->phase_ms;
}

static void enter(struct supervisor *s, enum up_phase phase)
{
    s->phase = phase;
    s->phase_ms = mono_now().ms;
    mux_timer_in(s->mux, &s->step, 0);
}

static bool stopping(const struct supervisor *s)
{
    return s->phase >= UP_STOP_WORKERS;
}

/* ---- one process ----------------------------------------------------------------------------- */

int64_t supervise_backoff(int deaths)
{
    int64_t ms = AGAIN_MS;
    for (int i = 1; i < deaths && ms < AGAIN_MOST_MS; i++)
        ms *= 2;
    return ms < AGAIN_MOST_MS ? ms : AGAIN_MOST_MS;
}

static void give_up(struct supervisor *s, const struct child *c, const char *how)
{
    struct buf tail;
    buf_init(&tail, 65536);
    spawn_tail(c->log, TAIL_LINES, &tail);
    say(s, "--- end of %s", c->log);
    if (tail.len)
        s->say(s->ctx, buf_z(&tail));
    say(s, "---");
    buf_fini(&tail);
    if (s->err.status == OK) {
        err_set(&s->err, ERR_UNAVAILABLE, "%s does not stay up: %s", c->name, how);
        err_fix(&s->err, "its log says why: %.200s", c->log);
    }
    begin_stop(s);
}

static void on_exit_of(void *ctx, pid_t pid, int status);

static void start(struct child *c)
{
    struct supervisor *s = c->sup;
    struct spawn how = { .path = c->path,
                         .argv = c->argv,
                         .log = c->log,
                         .died = c->died[0] ? c->died : NULL,
                         .keep = c->kind == CHILD_REDIS ? s->redis_lock : -1 };
    struct err err = { 0 };
    enum status st = spawn_start(&how, &c->pid, &err);
    if (st != OK) {
        c->pid = 0;
        s->err = err;
        begin_stop(s);
        return;
    }
    c->started_ms = mono_now().ms;
    c->seen = false;
    st = mux_child(s->mux, c->pid, on_exit_of, c);
    if (st != OK) {
        err_set(&s->err, st, "%s cannot be watched", c->name);
        begin_stop(s);
    }
}

static void start_again(void *ctx)
{
    struct child *c = ctx;
    if (!stopping(c->sup) && !c->pid)
        start(c);
}

/* Mistakes of the configuration are not cured by trying again. */
static bool hopeless(int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return code == status_exit(ERR_USAGE) || code == status_exit(ERR_CONFIG) ||
           code == status_exit(ERR_DENIED) || code == 127;
}

/* For its next life, which tells the broker: tasks that it held are charged with it. */
static void last_words(struct child *c, const char *how)
{
    struct buf tail, clean;
    buf_init(&tail, 65536);
    buf_init(&clean, 65536 * 4);
    spawn_tail(c->log, LAST_LINES, &tail);
    text_clean(&clean, buf_get(&tail), true);
    const char *text = clean.len ? buf_z(&clean) : "";
    size_t n = strlen(text), room = sizeof c->died - 160;
    text += n > room ? n - room : 0;
    while (((unsigned char)*text & 0xc0) == 0x80)
        text++;
    snprintf(c->died, sizeof c->died, "%s%s%s", how, *text ? "; it wrote last: " : "", text);
    buf_fini(&tail);
    buf_fini(&clean);
}

static void on_exit_of(void *ctx, pid_t pid, int status)
{
    struct child *c = ctx;
    struct supervisor *s = c->sup;
    char how[128];
    (void)pid;
    c->pid = 0;
    mux_timer_in(s->mux, &s->step, 0);
    if (stopping(s))
        return;
    spawn_status_text(status, how, sizeof how);
    if (c->kind == CHILD_WORKER)
        last_words(c, how);
    c->deaths = mono_now().ms - c->started_ms < EARLY_MS ? c->deaths + 1 : 1;
    if (hopeless(status) || c->deaths >= EARLY_DEATHS) {
        give_up(s, c, how);
        return;
    }
    int64_t wait = supervise_backoff(c->deaths);
    say(s, "%s ended (%s): starting it again in %.1f s", c->name, how, (double)wait / 1000);
    mux_timer_in(s->mux, &c->again, wait);
}

static bool any_running(const struct supervisor *s, enum child_kind kind)
{
    for (int i = 0; i < s->children_n; i++) {
        if (s->children[i].kind == kind && s->children[i].pid)
            return true;
    }
    return false;
}

static void signal_kind(struct supervisor *s, enum child_kind kind, int signo)
{
    for (int i = 0; i < s->children_n; i++) {
        struct child *c = &s->children[i];
        if (c->kind == kind && c->pid)
            kill(signo == SIGKILL ? -c->pid : c->pid, signo);
    }
}

static struct child *first(struct supervisor *s, enum child_kind kind)
{
    for (int i = 0; i < s->children_n; i++) {
        if (s->children[i].kind == kind)
            return &s->children[i];
    }
    return NULL;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Does redis-server answer PING? While it loads its file it says LOADING. */
static bool redis_answers(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_usec = 200000 };
    char answer[16] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool good = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
                write(fd, "PING\r\n", 6) == 6 && read(fd, answer, sizeof answer - 1) > 0 &&
                strncmp(answer, "+PONG", 5) == 0;
    close(fd);
    return good;
}

static bool lock_is_free(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool free_now = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return free_now;
}

static void too_long(struct supervisor *s, const struct child *c, int64_t most_ms)
{
    if (in_phase(s) > most_ms)
        give_up(s, c, "not ready in time");
}

static void start_redis(struct supervisor *s)
{
    struct child *c = first(s, CHILD_REDIS);
    if (!c) {
        enter(s, UP_BROKER);
    } else if (!c->pid && c->again.slot == HEAP_NONE) {
        if (flock(s->redis_lock, LOCK_EX | LOCK_NB) == 0) {
            unlink(s->redis_socket);
            start(c);
        } else if (in_phase(s) > OLD_RUN_MS) {
            err_set(&s->err, ERR_UNAVAILABLE, "the redis-server of an earlier run still holds %s",
                    s->redis_socket);
            err_fix(&s->err, "stop that process, then run this again");
            begin_stop(s);
        }
    } else if (c->pid && redis_answers(s->redis_socket)) {
        say(s, "redis     ready, %s", s->redis_socket);
        enter(s, UP_BROKER);
    } else {
        too_long(s, c, START_MS);
    }
}

static void start_broker(struct supervisor *s)
{
    struct child *c = first(s, CHILD_BROKER);
    if (!c->pid && c->again.slot == HEAP_NONE && c->deaths == 0) {
        if (!*s->broker_lock || lock_is_free(s->broker_lock) || in_phase(s) > OLD_RUN_MS)
            start(c);
        return;
    }
    if (!s->link && c->pid && link_new(&s->link, s->mux, s->cli->conf, &s->err) != OK) {
        begin_stop(s);
        return;
    }
    if (s->link && link_up(s->link)) {
        say(s, "broker    ready, %s", conf_endpoint(s->cli->conf));
        enter(s, UP_WORKERS);
    } else if (s->link && link_refusal(s->link)) {
        s->err = *link_refusal(s->link);
        begin_stop(s);
    } else {
        too_long(s, c, START_MS);
    }
}

static void on_workers(void *ctx, const struct link_reply *reply)
{
    struct supervisor *s = ctx;
    json_t *map = NULL;
    s->asked = false;
    if (!reply->m || js_from_mp(peer_frame(reply->in, 1), &map, NULL) != OK)
        return;
    const json_t *list = js_list(map, "workers");
    for (size_t i = 0; i < js_count(list); i++) {
        for (int k = 0; k < s->children_n; k++) {
            struct child *c = &s->children[k];
            if (c->kind == CHILD_WORKER && strcmp(js_str(js_at(list, i), "name"), c->argv[2]) == 0)
                c->seen = true; /* argv: path, --name, NAME, … */
        }
    }
    json_decref(map);
}

static void start_workers(struct supervisor *s)
{
    struct child *missing = NULL;
    for (int i = 0; i < s->children_n; i++) {
        struct child *c = &s->children[i];
        if (c->kind == CHILD_WORKER && !c->pid && c->again.slot == HEAP_NONE && c->deaths == 0)
            start(c);
        if (c->kind == CHILD_WORKER && !c->seen)
            missing = c;
    }
    if (stopping(s))
        return;
    if (!missing) {
        enter(s, UP_RUNNING);
        s->ready(s->ctx);
        return;
    }
    struct msg m = { .type = MSG_WORKERS };
    if (!s->asked)
        s->asked = link_ask(s->link, &m, NULL, 0, true, on_workers, s) == OK;
    too_long(s, missing, START_MS);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void begin_stop(struct supervisor *s)
{
    if (stopping(s))
        return;
    for (int i = 0; i < s->children_n; i++)
        mux_timer_stop(s->mux, &s->children[i].again);
    enter(s, UP_STOP_WORKERS);
    signal_kind(s, CHILD_WORKER, SIGTERM);
}

static void stop_kind(struct supervisor *s, enum child_kind kind, int64_t patience_ms,
                      enum up_phase next)
{
    if (s->stop_now || in_phase(s) > patience_ms)
        signal_kind(s, kind, SIGKILL);
    if (any_running(s, kind))
        return;
    enter(s, next);
    if (next == UP_STOP_BROKER) {
        link_free(s->link); /* says BYE while there is a broker */
        s->link = NULL;
    }
    if (next == UP_STOP_BROKER)
        signal_kind(s, CHILD_BROKER, SIGTERM);
    else if (next == UP_STOP_REDIS)
        signal_kind(s, CHILD_REDIS, SIGTERM);
}

static void on_signal(void *ctx, int signo)
{
    struct supervisor *s = ctx;
    if (s->signo) {
        s->stop_now = true;
        say(s, "stopping at once");
    } else {
        say(s, "stopping; once more stops at once");
    }
    s->signo = signo;
    begin_stop(s);
    mux_timer_in(s->mux, &s->step, 0);
}

/* What is due in this phase; asked again soon while a phase waits for something. */
static void step(void *ctx)
{
    struct supervisor *s = ctx;
    int64_t drain_ms = conf_int(s->cli->conf, CONF_WORKER_DRAIN) + 4000;
    switch (s->phase) {
    case UP_REDIS: start_redis(s); break;
    case UP_BROKER: start_broker(s); break;
    case UP_WORKERS: start_workers(s); break;
    case UP_RUNNING: return; /* signals and dead children come by themselves */
    case UP_STOP_WORKERS: stop_kind(s, CHILD_WORKER, drain_ms, UP_STOP_BROKER); break;
    case UP_STOP_BROKER: stop_kind(s, CHILD_BROKER, BROKER_STOP_MS, UP_STOP_REDIS); break;
    case UP_STOP_REDIS: stop_kind(s, CHILD_REDIS, REDIS_STOP_MS, UP_STOPPED); break;
    case UP_STOPPED: mux_stop(s->mux); return;
    }
    if (s->phase != UP_RUNNING)
        mux_timer_in(s->mux, &s->step, STEP_MS);
}

enum status supervise(struct supervisor *s, struct err *err)
{
    s->phase = UP_REDIS;
    s->phase_ms = mono_now().ms;
    s->step = MUX_TIMER(step, s);
    for (int i = 0; i < s->children_n; i++) {
        s->children[i].sup = s;
        s->children[i].again = MUX_TIMER(start_again, &s->children[i]);
    }
    if (!(s->mux = mux_new(err)))
        return err->status;
    enum status st = OK;
    if (mux_signal(s->mux, SIGINT, on_signal, s) != OK ||
        mux_signal(s->mux, SIGTERM, on_signal, s) != OK ||
        mux_signal(s->mux, SIGHUP, on_signal, s) != OK)
        st = err_set(err, ERR_INTERNAL, "signals cannot be caught");
    if (st == OK) {
        mux_timer_in(s->mux, &s->step, 0);
        st = mux_run(s->mux, err);
    }
    link_free(s->link);
    mux_free(s->mux);
    if (*s->redis_socket)
        unlink(s->redis_socket);
    if (*s->broker_lock && lock_is_free(s->broker_lock)) { /* the socket of a killed broker */
        char socket_path[512];
        snprintf(socket_path, sizeof socket_path, "%.*s",
                 (int)(strlen(s->broker_lock) - strlen(".lock")), s->broker_lock);
        unlink(socket_path);
    }
    if (st == OK && s->err.status != OK) {
        *err = s->err;
        st = err->status;
    }
    return st;
}
