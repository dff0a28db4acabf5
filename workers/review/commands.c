/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/commands.h"

#include "common/doc.h"
#include "workers/review/gates.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OUTPUT_MAX = 64 * 1024,
    TAIL_BYTES = 1500,
    TIMEOUT_MS = 60000,
    TIMEOUT_MAX_MS = 3600000,
    ARGS_MAX = 64,
    NAME_BYTES = 48,
    ENV_BYTES = 4096
};

struct commands {
    struct mux *mux;
    const json_t *tree;
    size_t at; /* which one runs */
    char dir[64];
    char change[256];
    json_t *gates, *findings;
    commands_fn *done;
    void *ctx;
    pid_t pid; /* 0: none */
    int out;   /* its stdout and stderr, -1: closed */
    bool timed_out;
    int status;
    struct buf text;
    char vars[4][ENV_BYTES];
    char *env[5];
    struct mux_timer timer, next;
};

/* "500ms", "60s", "5m", or seconds as a number; -1: neither. */
static int64_t timeout_ms(const json_t *gate)
{
    const json_t *v = json_object_get(gate, "timeout");
    const char *text = json_string_value(v);
    char *end;
    if (!v)
        return TIMEOUT_MS;
    double n = text ? strtod(text, &end) : json_number_value(v), unit = 1000;
    if (text)
        unit = end == text          ? -1
               : !strcmp(end, "ms") ? 1
               : !strcmp(end, "s")  ? 1000
               : !strcmp(end, "m")  ? 60000
               : !strcmp(end, "h")  ? 3600000
                                    : -1;
    else if (!json_is_number(v))
        unit = -1;
    return unit > 0 && n > 0 && n * unit <= TIMEOUT_MAX_MS ? (int64_t)(n * unit) : -1;
}

static bool gate_ok(const json_t *g)
{
    static const char *const keys[] = { "name", "argv", "timeout" }, *const taken[] = {
        "format", "archivable", "size"
    };
    const json_t *argv = js_list(g, "argv"), *v;
    const char *name = js_str(g, "name"), *key;
    bool good = json_is_object(g) && *name && strlen(name) <= NAME_BYTES && js_count(argv) > 0 &&
                js_count(argv) < ARGS_MAX;
    for (size_t k = 0; good && k < js_count(argv); k++)
        good = json_is_string(js_at(argv, k)) && (k > 0 || *json_string_value(js_at(argv, k)));
    for (size_t k = 0; k < COUNT(taken); k++)
        good = good && strcmp(name, taken[k]) != 0;
    json_object_foreach((json_t *)(uintptr_t)g, key, v)
    {
        bool known = false;
        for (size_t k = 0; k < COUNT(keys); k++)
            known = known || strcmp(key, keys[k]) == 0;
        good = good && known;
    }
    return good && timeout_ms(g) > 0;
}

enum status commands_check(const json_t *tree, struct err *err)
{
    if (tree && !json_is_array(tree))
        return err_set(err, ERR_CONFIG, "review.gates: a list of {name, argv, timeout} is wanted");
    for (size_t i = 0; i < js_count(tree); i++) {
        if (gate_ok(js_at(tree, i)))
            continue;
        err_set(err, ERR_CONFIG,
                "review.gates[%zu]: name (at most %d bytes, not format, archivable or size), argv "
                "(a list of "
                "strings) and timeout (at most 1h) are what it may hold",
                i, NAME_BYTES);
        err_fix(err, "for instance: {name: lint, argv: [openspec, validate, --all, --strict], "
                     "timeout: 60s}");
        return ERR_CONFIG;
    }
    return OK;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void finish(struct commands *c)
{
    mux_timer_stop(c->mux, &c->timer);
    mux_timer_stop(c->mux, &c->next);
    if (c->out >= 0) {
        mux_fd_remove(c->mux, c->out);
        close(c->out);
    }
    if (*c->dir)
        nftw(c->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    buf_fini(&c->text);
    free(c);
}

static enum status write_file(const char *dir, const struct ws_file *f, struct err *err)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/openspec/%.*s", dir, STR_ARG(f->path));
    for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
        *p = '/';
    }
    FILE *out = fopen(path, "we");
    bool good = out && fwrite(f->bytes.p, 1, f->bytes.n, out) == f->bytes.n;
    if ((out && fclose(out) != 0) || !good)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    return OK;
}

/* What a check may know of its surroundings; made before the fork. */
static void make_env(struct commands *c)
{
    static const char *const names[] = { "PATH", "HOME", "LANG" }, *const otherwise[] = {
        "/usr/bin:/bin", "/", "C.UTF-8"
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *v = getenv(names[i]);
        snprintf(c->vars[i], ENV_BYTES, "%s=%s", names[i], v ? v : otherwise[i]);
        c->env[i] = c->vars[i];
    }
    snprintf(c->vars[3], ENV_BYTES, "PAWL_CHANGE=%s", c->change);
    c->env[3] = c->vars[3];
}

/* In the child: other threads are gone in the middle of whatever they did, so only system calls. */
static void child(const struct commands *c, char **argv, int out)
{
    static const char sorry[] = "this program cannot be started: ";
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (chdir(c->dir) == 0)
        execvpe(argv[0], argv, c->env);
    const char *why = strerrordesc_np(errno);
    if (write(STDERR_FILENO, sorry, sizeof sorry - 1) > 0 &&
        write(STDERR_FILENO, why, strlen(why)) > 0)
        _exit(127);
    _exit(126);
}

static void conclude(struct commands *c);

static void take_output(struct commands *c)
{
    char piece[4096];
    for (ssize_t n; (n = read(c->out, piece, sizeof piece)) > 0;) {
        if (c->text.len + (size_t)n > OUTPUT_MAX) /* the end matters */
            buf_consume(&c->text, c->text.len / 2);
        buf_append(&c->text, piece, (size_t)n);
    }
}

static void close_output(struct commands *c)
{
    if (c->out < 0)
        return;
    mux_fd_remove(c->mux, c->out);
    close(c->out);
    c->out = -1;
}

static void on_output(void *ctx, int fd, int events)
{
    struct commands *c = ctx;
    (void)fd;
    take_output(c);
    if ((events & MUX_HUP) && c->out >= 0)
        close_output(c); /* nobody writes any more */
}

/* Its output ends with it: what it left running is killed, and not waited for. */
static void on_end(void *ctx, pid_t pid, int status)
{
    struct commands *c = ctx;
    kill(-pid, SIGKILL);
    c->pid = 0;
    c->status = status;
    if (c->out >= 0)
        take_output(c);
    conclude(c);
}

static void on_time(void *ctx)
{
    struct commands *c = ctx;
    c->timed_out = true;
    if (c->pid > 0)
        kill(-c->pid, SIGKILL);
}

static void start(void *ctx);

static void report(struct commands *c, const char *name)
{
    char code[64], why[200], detail[TAIL_BYTES + 400];
    bool ok = WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0 && !c->timed_out;
    size_t skip = c->text.len > TAIL_BYTES ? c->text.len - TAIL_BYTES : 0;
    for (size_t i = 0; i < c->text.len; i++) { /* it is shown on terminals */
        unsigned char b = (unsigned char)c->text.data[i];
        if ((b < ' ' && b != '\n' && b != '\t') || b == 0x7f)
            c->text.data[i] = ' ';
    }
    if (c->timed_out)
        snprintf(why, sizeof why, "it did not end in time");
    else if (WIFEXITED(c->status))
        snprintf(why, sizeof why, "exit code %d", WEXITSTATUS(c->status));
    else
        snprintf(why, sizeof why, "ended by signal %d", WTERMSIG(c->status));
    snprintf(detail, sizeof detail, "%s: %s\n%s", name, why, buf_z(&c->text) + skip);
    gate_add(c->gates, name, ok, ok ? NULL : detail);
    if (ok)
        return;
    snprintf(code, sizeof code, "gate.%s", name);
    js_push(c->findings, finding_new("error", code, detail,
                                     "Change the draft so that this check of the project passes."));
}

static void conclude(struct commands *c)
{
    mux_timer_stop(c->mux, &c->timer);
    close_output(c);
    report(c, js_str(js_at(c->tree, c->at), "name"));
    c->at++;
    mux_timer_in(c->mux, &c->next, 0);
}

/* The write end stays blocking: it becomes somebody's stdout. */
static bool make_pipe(int pipes[2])
{
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return false;
    if (fcntl(pipes[0], F_SETFL, O_NONBLOCK) == 0)
        return true;
    close(pipes[0]);
    close(pipes[1]);
    return false;
}

static bool spawn(struct commands *c, const json_t *gate)
{
    const json_t *list = js_list(gate, "argv");
    char *argv[ARGS_MAX + 1] = { 0 };
    int pipes[2];
    for (size_t i = 0; i < js_count(list) && i < ARGS_MAX; i++)
        argv[i] = (char *)(uintptr_t)json_string_value(js_at(list, i));
    if (!make_pipe(pipes))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        child(c, argv, pipes[1]);
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return false;
    }
    setpgid(pid, pid);
    c->pid = pid;
    c->out = pipes[0];
    c->timed_out = false;
    buf_clear(&c->text);
    mux_timer_in(c->mux, &c->timer, timeout_ms(gate));
    if (mux_fd(c->mux, c->out, MUX_IN, on_output, c) == OK &&
        mux_child(c->mux, pid, on_end, c) == OK)
        return true;
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    c->pid = 0;
    mux_timer_stop(c->mux, &c->timer);
    close_output(c);
    return false;
}

static void start(void *ctx)
{
    struct commands *c = ctx;
    if (c->at == js_count(c->tree)) {
        commands_fn *done = c->done;
        void *done_ctx = c->ctx;
        finish(c);
        done(done_ctx);
        return;
    }
    const json_t *gate = js_at(c->tree, c->at);
    if (spawn(c, gate))
        return;
    gate_add(c->gates, js_str(gate, "name"), false, strerror(errno));
    js_push(c->findings, finding_new("error", "gate.not-run",
                                     "a check of the project could not be started", NULL));
    c->at++;
    mux_timer_in(c->mux, &c->next, 0);
}

struct commands *commands_run(struct mux *mux, const json_t *tree, const struct ws *ws,
                              const char *change, json_t *gates, json_t *findings,
                              commands_fn *done, void *ctx, struct err *err)
{
    struct commands *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    *c = (struct commands){ .mux = mux,
                            .tree = tree,
                            .gates = gates,
                            .findings = findings,
                            .done = done,
                            .ctx = ctx,
                            .out = -1 };
    c->timer = MUX_TIMER(on_time, c);
    c->next = MUX_TIMER(start, c);
    buf_init(&c->text, OUTPUT_MAX + 8192);
    snprintf(c->change, sizeof c->change, "%s", change);
    make_env(c);
    const char *tmp = getenv("TMPDIR");
    snprintf(c->dir, sizeof c->dir, "%.40s/pawl-gate-XXXXXX",
             tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    enum status st =
        mkdtemp(c->dir) ? OK : err_set(err, ERR_CREATE, "%s: %s", c->dir, strerror(errno));
    if (st != OK)
        c->dir[0] = '\0';
    for (size_t i = 0; st == OK && i < ws->n; i++)
        st = write_file(c->dir, &ws->files[i], err);
    if (st != OK) {
        finish(c);
        return NULL;
    }
    mux_timer_in(mux, &c->next, 0);
    return c;
}

static void forget(void *ctx, pid_t pid, int status)
{
    (void)ctx;
    (void)pid;
    (void)status;
}

void commands_cancel(struct commands *c)
{
    if (!c)
        return;
    if (c->pid > 0) {
        kill(-c->pid, SIGKILL);
        mux_child_forget(c->mux, c->pid);
        if (mux_child(c->mux, c->pid, forget, NULL) != OK)
            waitpid(c->pid, NULL, 0);
    }
    finish(c);
}
