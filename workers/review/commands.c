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

enum { OUTPUT_MAX = 64 * 1024, TAIL_BYTES = 1500, TIMEOUT_S = 60, ARGS_MAX = 64, NAME_BYTES = 48 };

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
    bool ended, timed_out;
    int status;
    struct buf text;
    struct mux_timer timer, next;
};

enum status commands_check(const json_t *tree, struct err *err)
{
    if (tree && !json_is_array(tree))
        return err_set(err, ERR_CONFIG, "review.gates: a list of {name, argv} is wanted");
    for (size_t i = 0; i < js_count(tree); i++) {
        const json_t *g = js_at(tree, i), *argv = js_list(g, "argv");
        bool strings = js_count(argv) > 0 && js_count(argv) < ARGS_MAX;
        for (size_t k = 0; strings && k < js_count(argv); k++)
            strings = json_is_string(js_at(argv, k));
        if (!*js_str(g, "name") || strlen(js_str(g, "name")) > NAME_BYTES || !strings) {
            err_set(err, ERR_CONFIG, "review.gates[%zu]: name (at most %d bytes) and argv (a list of strings) are wanted", i, NAME_BYTES);
            err_fix(err, "for instance: {name: lint, argv: [openspec, validate, --all, --strict], timeout_s: 60}");
            return ERR_CONFIG;
        }
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

/* In the child: only async-signal-safe calls and exec. */
static void child(const struct commands *c, char **argv, int out)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (chdir(c->dir) == 0) {
        const char *path = getenv("PATH"), *home = getenv("HOME"), *lang = getenv("LANG");
        char vars[4][1024];
        snprintf(vars[0], sizeof vars[0], "PATH=%s", path ? path : "/usr/bin:/bin");
        snprintf(vars[1], sizeof vars[1], "HOME=%s", home ? home : "/");
        snprintf(vars[2], sizeof vars[2], "LANG=%s", lang ? lang : "C.UTF-8");
        snprintf(vars[3], sizeof vars[3], "PAWL_CHANGE=%s", c->change);
        char *env[] = { vars[0], vars[1], vars[2], vars[3], NULL };
        execvpe(argv[0], argv, env);
    }
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void conclude(struct commands *c);

static void on_output(void *ctx, int fd, int events)
{
    struct commands *c = ctx;
    char piece[4096];
    ssize_t n = read(fd, piece, sizeof piece);
    (void)events;
    if (n > 0) {
        if (c->text.len + (size_t)n > OUTPUT_MAX) /* the end matters */
            buf_consume(&c->text, c->text.len / 2);
        buf_append(&c->text, piece, (size_t)n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    mux_fd_remove(c->mux, fd);
    close(fd);
    c->out = -1;
    conclude(c);
}

static void on_end(void *ctx, pid_t pid, int status)
{
    struct commands *c = ctx;
    kill(-pid, SIGKILL); /* whatever it left behind */
    c->pid = 0;
    c->ended = true;
    c->status = status;
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
    js_push(c->findings, finding_new("error", code, detail, "Change the draft so that this check of the project passes."));
}

/* Both its end and the end of its output have come: on to the next one. */
static void conclude(struct commands *c)
{
    if (!c->ended || c->out >= 0)
        return;
    mux_timer_stop(c->mux, &c->timer);
    report(c, js_str(js_at(c->tree, c->at), "name"));
    c->at++;
    mux_timer_in(c->mux, &c->next, 0);
}

static bool spawn(struct commands *c, const json_t *gate)
{
    const json_t *list = js_list(gate, "argv");
    char *argv[ARGS_MAX + 1] = { 0 };
    int pipes[2];
    for (size_t i = 0; i < js_count(list) && i < ARGS_MAX; i++)
        argv[i] = (char *)(uintptr_t)json_string_value(js_at(list, i));
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0)
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
    c->ended = c->timed_out = false;
    buf_clear(&c->text);
    int64_t seconds = js_int(gate, "timeout_s", TIMEOUT_S);
    mux_timer_in(c->mux, &c->timer, seconds * 1000);
    return mux_fd(c->mux, c->out, MUX_IN, on_output, c) == OK && mux_child(c->mux, pid, on_end, c) == OK;
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
    c->at++;
    mux_timer_in(c->mux, &c->next, 0);
}

struct commands *commands_run(struct mux *mux, const json_t *tree, const struct ws *ws, const char *change, json_t *gates,
                              json_t *findings, commands_fn *done, void *ctx, struct err *err)
{
    struct commands *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    *c = (struct commands){ .mux = mux, .tree = tree, .gates = gates, .findings = findings, .done = done, .ctx = ctx, .out = -1 };
    c->timer = MUX_TIMER(on_time, c);
    c->next = MUX_TIMER(start, c);
    buf_init(&c->text, OUTPUT_MAX + 8192);
    snprintf(c->change, sizeof c->change, "%s", change);
    const char *tmp = getenv("TMPDIR");
    snprintf(c->dir, sizeof c->dir, "%.40s/pawl-gate-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    enum status st = mkdtemp(c->dir) ? OK : err_set(err, ERR_CREATE, "%s: %s", c->dir, strerror(errno));
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
