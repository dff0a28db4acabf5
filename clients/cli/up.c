/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl up` and `pawl down`. */
#include "clients/cli/cli.h"
#include "clients/cli/out.h"
#include "clients/cli/probe.h"
#include "clients/cli/spawn.h"
#include "clients/cli/supervise.h"

#include "common/endpoints.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STAGE_WORKERS_MAX = 64, PROBE_MS = 1500, DOWN_MS = 60000, READY_BYTE = 1 };

struct up {
    struct cli *cli;
    struct supervisor *sup;
    char state[400], logs[420], host[40];
    char reach[600];   /* where the workers find the broker */
    char sets[8][600]; /* --set texts for the children */
    int sets_n;
    int lock;   /* one `pawl up` per state directory */
    int report; /* to the process that waits for us to be ready, -1: none */
    char model[700];
    char model_url[512];
    bool model_found;
};

/* ---- telling --------------------------------------------------------------------------------- */

static void say(void *ctx, const char *text)
{
    struct up *u = ctx;
    out_note(u->cli, "%s", text);
    if (u->report >= 0) {
        (void)!write(u->report, text, strlen(text));
        (void)!write(u->report, "\n", 1);
    }
}

static void print_ready(struct cli *cli, const struct up *u, pid_t pid)
{
    if (out_is_json(cli)) {
        json_t *v = json_object();
        js_set_z(v, "endpoint", conf_endpoint(cli->conf));
        js_set_z(v, "state_dir", u->state);
        js_set_int(v, "pid", pid);
        js_set(v, "model_url", u->model_found ? json_string(u->model_url) : json_null());
        out_json(cli, "Up", v);
        fflush(stdout);
    }
    out_note(cli, "everything runs. Next: pawl submit \"what is wrong\" --watch%s",
             cli_has(cli, FLAG_DETACH) ? ";  `pawl down` stops it" : "   (Ctrl-C stops all)");
}

static void on_ready(void *ctx)
{
    struct up *u = ctx;
    char byte = READY_BYTE;
    for (int i = 0; i < u->sup->children_n; i++) {
        if (u->sup->children[i].kind == CHILD_WORKER)
            out_note(u->cli, "%-9s ready", u->sup->children[i].name);
    }
    if (u->report < 0) {
        print_ready(u->cli, u, getpid());
        return;
    }
    (void)!write(u->report, &byte, 1);
    close(u->report);
    u->report = -1;
}

/* ---- what is started ------------------------------------------------------------------------- */

static struct child *add_child(struct up *u, enum child_kind kind, const char *name)
{
    struct child *c = &u->sup->children[u->sup->children_n++];
    c->kind = kind;
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->log, sizeof c->log, "%s/%s.log", u->logs, name);
    return c;
}

static void add_arg(struct child *c, const char *arg)
{
    size_t n = 0;
    while (c->argv[n])
        n++;
    if (n + 1 < COUNT(c->argv))
        c->argv[n] = arg;
}

/* What every process of ours is told: the configuration as it is here. */
static void add_settings(struct up *u, struct child *c)
{
    const struct args *a = &u->cli->args;
    if (a->text[FLAG_CONFIG]) {
        add_arg(c, "--config");
        add_arg(c, a->text[FLAG_CONFIG]);
    }
    for (int i = 0; i < a->list_n[FLAG_SET]; i++) {
        add_arg(c, "--set");
        add_arg(c, a->list[FLAG_SET][i]);
    }
    for (int i = 0; i < u->sets_n; i++) {
        add_arg(c, "--set");
        add_arg(c, u->sets[i]);
    }
}

static enum status add_redis(struct up *u, struct err *err)
{
    struct supervisor *s = u->sup;
    bool always = strcmp(conf_str(u->cli->conf, CONF_REDIS_DURABILITY), "everysec") != 0;
    char lock[512], dir[440];
    if (*conf_str(u->cli->conf, CONF_REDIS_URL))
        return OK;
    if ((size_t)snprintf(s->redis_socket, sizeof s->redis_socket, "%s/redis.sock", u->state) >=
        sizeof s->redis_socket) {
        err_set(err, ERR_CONFIG, "%s/redis.sock: too long for a socket", u->state);
        err_fix(err, "set state_dir to something shorter");
        return ERR_CONFIG;
    }
    struct child *c = add_child(u, CHILD_REDIS, "redis");
    if (!spawn_in_path("redis-server", c->path, sizeof c->path) &&
        !spawn_in_path("valkey-server", c->path, sizeof c->path)) {
        err_set(err, ERR_NOT_FOUND, "redis-server is not in PATH");
        err_fix(err, "install it (apt-get install redis-server), or set redis.url");
        return ERR_NOT_FOUND;
    }
    snprintf(dir, sizeof dir, "%s/redis", u->state);
    snprintf(lock, sizeof lock, "%s/redis.lock", u->state);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_set(err, ERR_CREATE, "%s: %s", dir, strerror(errno));
    s->redis_lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->redis_lock < 0)
        return err_set(err, ERR_CREATE, "%s: %s", lock, strerror(errno));
    const char *const args[] = { c->path,
                                 "--port",
                                 "0",
                                 "--unixsocket",
                                 s->redis_socket,
                                 "--unixsocketperm",
                                 "700",
                                 "--dir",
                                 u->sup->redis_dir,
                                 "--appendonly",
                                 "yes",
                                 "--appendfsync",
                                 always ? "always" : "everysec",
                                 "--save",
                                 "",
                                 "--daemonize",
                                 "no",
                                 "--maxmemory-policy",
                                 "noeviction" };
    snprintf(s->redis_dir, sizeof s->redis_dir, "%s", dir);
    for (size_t i = 0; i < COUNT(args); i++)
        c->argv[i] = args[i];
    snprintf(u->sets[u->sets_n++], sizeof u->sets[0], "redis.url=unix://%s", s->redis_socket);
    return OK;
}

static enum status add_ours(struct up *u, enum child_kind kind, const char *exe, const char *name,
                            struct err *err)
{
    struct child *c = add_child(u, kind, name);
    if (!spawn_beside(exe, c->path, sizeof c->path) &&
        !spawn_in_path(exe, c->path, sizeof c->path)) {
        err_set(err, ERR_NOT_FOUND, "%s is neither beside pawl nor in PATH", exe);
        err_fix(err, "install it there; --workers STAGE=0 leaves a worker out");
        return ERR_NOT_FOUND;
    }
    add_arg(c, c->path);
    if (kind == CHILD_WORKER) {
        snprintf(c->full_name, sizeof c->full_name, "%s/%s", u->host, name);
        add_arg(c, "--name");
        add_arg(c, c->full_name);
    }
    add_settings(u, c);
    if (kind == CHILD_WORKER) {
        add_arg(c, "--broker");
        add_arg(c, u->reach);
    }
    return OK;
}

/* --workers STAGE=N: the number for a stage, 1 unless said. */
static enum status count_of(struct up *u, const char *stage, long *n, struct err *err)
{
    const struct args *a = &u->cli->args;
    *n = 1;
    for (int i = 0; i < a->list_n[FLAG_WORKERS]; i++) {
        const char *text = a->list[FLAG_WORKERS][i], *eq = strchr(text, '=');
        char *end = NULL;
        long v = eq ? strtol(eq + 1, &end, 10) : -1;
        if (!eq || end == eq + 1 || *end || v < 0 || v > STAGE_WORKERS_MAX) {
            err_set(err, ERR_USAGE, "--workers %.60s: not STAGE=N with N up to %d", text,
                    STAGE_WORKERS_MAX);
            return ERR_USAGE;
        }
        if (strlen(stage) == (size_t)(eq - text) && strncmp(text, stage, strlen(stage)) == 0)
            *n = v;
    }
    return OK;
}

static enum status known_stages(struct up *u, const char *const *stages, size_t n, struct err *err)
{
    const struct args *a = &u->cli->args;
    for (int i = 0; i < a->list_n[FLAG_WORKERS]; i++) {
        const char *text = a->list[FLAG_WORKERS][i];
        bool known = false;
        for (size_t k = 0; k < n; k++)
            known = known || (strlen(stages[k]) == strcspn(text, "=") &&
                              strncmp(text, stages[k], strlen(stages[k])) == 0);
        if (!known)
            return err_set(err, ERR_USAGE,
                           "--workers %.60s: the stages are parse, analyze, generate, review",
                           text);
    }
    return OK;
}

static enum status add_workers(struct up *u, struct err *err)
{
    static const char *const stages[] = { "parse", "analyze", "generate", "review" };
    enum status st = known_stages(u, stages, COUNT(stages), err);
    for (size_t i = 0; i < COUNT(stages) && st == OK; i++) {
        long n = 1;
        st = count_of(u, stages[i], &n, err);
        for (long k = 1; k <= n && st == OK; k++) {
            char exe[64], name[64];
            snprintf(exe, sizeof exe, "pawl-%s", stages[i]);
            snprintf(name, sizeof name, "%s-%ld", stages[i], k);
            if (u->sup->children_n == CHILDREN_MAX)
                return err_set(err, ERR_USAGE, "more than %d processes", CHILDREN_MAX);
            st = add_ours(u, CHILD_WORKER, exe, name, err);
        }
    }
    return st;
}

/* ---- before and after ------------------------------------------------------------------------ */

static enum status make_dir(const char *path, struct err *err)
{
    char at[512];
    snprintf(at, sizeof at, "%s", path);
    for (char *p = at + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdir(at, 0700) != 0 && errno != EEXIST)
            return err_set(err, ERR_CREATE, "%s: %s", at, strerror(errno));
        *p = '/';
    }
    if (mkdir(at, 0700) == 0 || errno == EEXIST)
        return OK;
    return err_set(err, ERR_CREATE, "%s: %s", at, strerror(errno));
}

static pid_t lock_owner(int fd)
{
    char text[32] = "";
    if (pread(fd, text, sizeof text - 1, 0) <= 0)
        return 0;
    return (pid_t)strtol(text, NULL, 10);
}

static void lock_write(int fd, pid_t pid)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)pid);
    (void)!ftruncate(fd, 0);
    (void)!pwrite(fd, text, (size_t)n, 0);
}

static enum status take_lock(struct up *u, struct err *err)
{
    char path[512];
    snprintf(path, sizeof path, "%s/up.lock", u->state);
    u->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (u->lock < 0)
        return err_set(err, ERR_CREATE, "%s: %s", path, strerror(errno));
    if (flock(u->lock, LOCK_EX | LOCK_NB) == 0)
        return OK;
    err_set(err, ERR_UNAVAILABLE, "`pawl up` runs already in %s (process %ld)", u->state,
            (long)lock_owner(u->lock));
    err_fix(err, "use it, or stop it with `pawl down`");
    return ERR_UNAVAILABLE;
}

static enum status prepare(struct up *u, struct err *err)
{
    const struct conf *conf = u->cli->conf;
    const char *endpoint = conf_endpoint(conf);
    enum status st = endpoint_one(endpoint, err);
    if (st != OK)
        return st;
    if ((size_t)snprintf(u->state, sizeof u->state, "%s", conf_state_dir(conf)) >= sizeof u->state)
        return err_set(err, ERR_CONFIG, "state_dir: too long");
    snprintf(u->logs, sizeof u->logs, "%s/logs", u->state);
    gethostname(u->host, sizeof u->host - 1);
    if ((st = make_dir(u->state, err)) != OK || (st = make_dir(u->logs, err)) != OK ||
        (st = take_lock(u, err)) != OK)
        return st;
    u->sup->redis_lock = -1;
    if (strncmp(endpoint, "ipc://", 6) == 0)
        snprintf(u->sup->broker_lock, sizeof u->sup->broker_lock, "%.480s.lock", endpoint + 6);
    link_endpoint(conf, u->reach, sizeof u->reach);
    snprintf(u->sets[u->sets_n++], sizeof u->sets[0], "state_dir=%s", u->state);
    snprintf(u->sets[u->sets_n++], sizeof u->sets[0], "broker.endpoint=%.500s", endpoint);
    if ((st = add_redis(u, err)) == OK &&
        (st = add_ours(u, CHILD_BROKER, "pawl-broker", "broker", err)) == OK)
        st = add_workers(u, err);
    return st;
}

/* Which model server the generate workers will meet. They look for themselves; this only tells. */
static void look_for_model(struct up *u)
{
    struct probe v[PROBES_MAX] = { 0 };
    struct err err = { 0 };
    const char *url = conf_str(u->cli->conf, CONF_MODEL_URL);
    size_t n = 1;
    if (*url)
        snprintf(v[0].url, sizeof v[0].url, "%s", url);
    else
        n = probe_usual(v);
    if (probe_all(v, n, conf_str(u->cli->conf, CONF_MODEL_NAME),
                  conf_str(u->cli->conf, CONF_MODEL_KEY), PROBE_MS, &err) != OK) {
        out_warn(u->cli, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!v[i].answers)
            continue;
        u->model_found = true;
        snprintf(u->model_url, sizeof u->model_url, "%s", v[i].url);
        out_note(u->cli, "model     %s%s%s, %s", v[i].kind, *v[i].kind ? " at " : "", v[i].url,
                 v[i].model);
        return;
    }
    if (*url)
        out_warn(u->cli, "model.url %s: %s; jobs wait at generate until it answers", url, v[0].why);
    else
        out_warn(u->cli, "no model server answers on the usual ports (LM Studio 1234, llama.cpp "
                         "8080, Ollama 11434, vLLM "
                         "8000): jobs wait at generate.\n  Start one, or give one: --set "
                         "model.url=http://HOST:PORT");
}

static int run_here(struct up *u, int report)
{
    struct err err = { 0 };
    u->report = report;
    u->sup->cli = u->cli;
    u->sup->say = say;
    u->sup->ready = on_ready;
    u->sup->ctx = u;
    lock_write(u->lock, getpid());
    enum status st = supervise(u->sup, &err);
    lock_write(u->lock, 0);
    if (st != OK) {
        if (u->report >= 0)
            say(u, err.text);
        return out_error(u->cli, &err);
    }
    out_note(u->cli, "everything is stopped");
    return 0;
}

/* Pass on what the other process says until it is ready or gone. */
static int wait_ready(struct up *u, int fd, pid_t pid)
{
    char piece[1024];
    ssize_t n;
    int status = 0;
    while ((n = read(fd, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR)) {
        bool ready = n > 0 && piece[n - 1] == READY_BYTE;
        if (n > 0 && !u->cli->quiet)
            (void)!fwrite(piece, 1, (size_t)n - ready, stderr);
        if (ready) {
            print_ready(u->cli, u, pid);
            return 0;
        }
    }
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status))
        return WEXITSTATUS(status);
    return status_exit(ERR_UNAVAILABLE);
}

static int run_detached(struct up *u, struct err *err)
{
    int ends[2];
    char log[512];
    snprintf(log, sizeof log, "%s/up.log", u->logs);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_UNAVAILABLE, "pipe: %s", strerror(errno)), out_error(u->cli, err);
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return err_set(err, ERR_UNAVAILABLE, "fork: %s", strerror(errno)), out_error(u->cli, err);
    if (pid > 0) {
        close(ends[1]);
        close(u->lock); /* the other process holds it */
        u->lock = -1;
        int code = wait_ready(u, ends[0], pid);
        close(ends[0]);
        return code;
    }
    close(ends[0]);
    setsid();
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC),
        to = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (null >= 0)
        dup2(null, 0);
    if (to >= 0) {
        dup2(to, 1);
        dup2(to, 2);
    }
    u->cli->form = FORM_TABLE;
    int code = run_here(u, ends[1]);
    fflush(NULL);
    _exit(code);
}

int cmd_up(struct cli *cli)
{
    struct up u = { .cli = cli, .lock = -1, .report = -1, .sup = calloc(1, sizeof *u.sup) };
    struct err err = { 0 };
    enum status st = u.sup ? prepare(&u, &err) : err_set(&err, ERR_NOMEM, "out of memory");
    int code;
    if (st != OK) {
        code = out_error(cli, &err);
    } else {
        look_for_model(&u);
        code = cli_has(cli, FLAG_DETACH) ? run_detached(&u, &err) : run_here(&u, -1);
    }
    if (u.lock >= 0)
        close(u.lock);
    if (u.sup && u.sup->redis_lock > 0)
        close(u.sup->redis_lock);
    free(u.sup);
    return code;
}

/* ---- down ------------------------------------------------------------------------------------ */

/* Wait for the process itself, not for a guess how long it may take. */
static bool wait_gone(pid_t pid, int timeout_ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (fd < 0)
        return errno == ESRCH;
    int n;
    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    close(fd);
    return n > 0;
}

int cmd_down(struct cli *cli)
{
    char path[512];
    struct err err = { 0 };
    int64_t given = cli->args.number[FLAG_TIMEOUT];
    int timeout_ms = given > 0 && given < DOWN_MS * 60 ? (int)given : DOWN_MS;
    snprintf(path, sizeof path, "%.480s/up.lock", conf_state_dir(cli->conf));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool runs = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    pid_t pid = runs ? lock_owner(fd) : 0;
    if (fd >= 0)
        close(fd);
    if (!runs || pid <= 1) {
        out_note(cli, "nothing runs in %s", conf_state_dir(cli->conf));
        return 0;
    }
    bool force = cli_has(cli, FLAG_FORCE);
    if (kill(pid, SIGTERM) != 0 || (force && kill(pid, SIGINT) != 0)) {
        if (errno == ESRCH)
            return 0;
        err_set(&err, ERR_DENIED, "process %ld: %s", (long)pid, strerror(errno));
        return out_error(cli, &err);
    }
    if (!wait_gone(pid, timeout_ms)) {
        err_set(&err, ERR_TIMEOUT, "process %ld still runs after %d s", (long)pid,
                timeout_ms / 1000);
        err_fix(&err, "`pawl down --force` does not wait for running tasks");
        return out_error(cli, &err);
    }
    out_note(cli, "everything is stopped");
    return 0;
}
