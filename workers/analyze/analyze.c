/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/analyze.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTLE_MS = 15000 };

/* ---- mcp.json -------------------------------------------------------------------------------- */

static const char *from_environment(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static enum status unreadable(struct analyze *a, const char *why)
{
    err_set(&a->why, ERR_IO, "%s: %s", a->file, why);
    err_fix(&a->why, "Make it a file that the worker can read, or set analyze.mcp.");
    return ERR_IO;
}

static enum status read_text(struct analyze *a, struct buf *text)
{
    struct stat sb;
    int fd = open(a->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = -1;
    if (fd < 0)
        return unreadable(a, strerror(errno));
    if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)) {
        close(fd);
        return unreadable(a, "not a regular file");
    }
    char *room;
    while ((room = buf_room(text, 65536)) && (n = read(fd, room, 65536)) > 0)
        buf_grown(text, (size_t)n);
    int e = errno;
    close(fd);
    if (!room)
        return unreadable(a, "larger than a configuration can be");
    return n < 0 ? unreadable(a, strerror(e)) : OK;
}

bool analyze_pinned(struct analyze *a, const struct server *s, const struct mcp_tool *tool)
{
    return pins_see(&a->pins, server_conf(s), tool);
}

static const char *guard(void *ctx, const struct server *s, const struct mcp_tool *tool)
{
    struct analyze *a = ctx;
    if (analyze_pinned(a, s, tool))
        return NULL;
    bool file = *a->pins.path;
    snprintf(a->said, sizeof a->said,
             "it now describes its tool '%s' in another way than when it was first seen; to "
             "approve it, %s%s",
             tool->name, file ? "take its line out of " : "start the worker again",
             file ? a->pins.path : "");
    return a->said;
}

/* Tools of a server that became ready or changed them: new ones are pinned, changed ones reported. */
static void look_at_tools(struct analyze *a, const struct server *s)
{
    struct log *log = worker_log(a->worker);
    const struct mcp_tools *t = server_tools(s);
    struct err err = { 0 };
    for (size_t i = 0; t && i < t->n; i++) {
        const char *why = guard(a, s, &t->items[i]);
        if (why)
            log_line(log, LOG_WARN, "MCP tool blocked", "server", server_name(s), "why", why, NULL);
    }
    enum status st = pins_save(&a->pins, &err);
    if (st != OK && st != ERR_BUSY)
        log_line(log, LOG_WARN, "pins of MCP tools not saved", "why", err.text, "fix", err.fix,
                 NULL);
}

static void on_server(void *ctx, struct server *s)
{
    look_at_tools(ctx, s);
    rounds_look(ctx);
}

static void start_servers(struct analyze *a)
{
    for (size_t i = 0; i < a->json.remarks_n; i++)
        log_line(worker_log(a->worker), LOG_INFO, a->json.remarks[i], NULL);
    for (size_t i = 0; i < a->json.n; i++) {
        struct server *s = server_new(worker_mux(a->worker), worker_log(a->worker),
                                      &a->json.servers[i], a->timeout_ms);
        server_watch(s, on_server, a);
        server_guard(s, guard, a);
        a->servers[a->servers_n++] = s;
        if (*server_fault(s))
            log_line(worker_log(a->worker), LOG_WARN, "MCP server not used", "server",
                     server_name(s), "why", server_fault(s), "fix", server_fix(s), NULL);
    }
    for (size_t i = 0; i < a->servers_n; i++)
        server_start(a->servers[i]);
    mux_timer_in(worker_mux(a->worker), &a->settle, SETTLE_MS);
    a->settled = false;
}

static void load(struct analyze *a)
{
    struct buf text;
    buf_init(&text, MCPJSON_BYTES_MAX + 65536);
    a->why = (struct err){ 0 };
    a->place = (struct mcp_place){ 0 };
    struct mcp_vars vars = { from_environment, NULL, conf_dir(worker_conf(a->worker)) };
    enum status st = read_text(a, &text);
    if (st == OK)
        st = mcpjson_read(buf_get(&text), a->file, &vars, &a->json, &a->place, &a->why);
    buf_fini(&text);
    a->broken = st != OK;
    if (a->broken)
        log_line(worker_log(a->worker), LOG_ERROR, a->why.text, "fix", a->why.fix, NULL);
    else
        start_servers(a);
}

void analyze_reload(struct analyze *a)
{
    if (a->broken)
        load(a);
}

struct server *analyze_server(const struct analyze *a, const char *name)
{
    for (size_t i = 0; i < a->servers_n; i++) {
        if (strcmp(server_name(a->servers[i]), name) == 0)
            return a->servers[i];
    }
    return NULL;
}

/* ---- the worker ------------------------------------------------------------------------------ */

static void on_settle(void *ctx)
{
    struct analyze *a = ctx;
    a->settled = true;
    rounds_look(a);
}

/* The configured file, or mcp.json beside pawl.yaml if there is one. */
static void find_file(struct analyze *a, const struct conf *c)
{
    const char *given = conf_str(c, CONF_ANALYZE_MCP);
    if (*given) {
        snprintf(a->file, sizeof a->file, "%s", given);
        return;
    }
    int n = snprintf(a->file, sizeof a->file, "%s/mcp.json", conf_dir(c));
    if (n >= (int)sizeof a->file || access(a->file, F_OK) != 0)
        a->file[0] = '\0';
}

static enum status read_conf(struct analyze *a, const struct conf *c, struct err *err)
{
    char path[64];
    a->allow = conf_tree(c, CONF_ANALYZE_ALLOW);
    a->timeout_ms = conf_int(c, CONF_ANALYZE_TIMEOUT);
    enum status st = probes_read(&a->probes, conf_tree(c, CONF_ANALYZE_PROBES), path, err);
    if (st == OK)
        return OK;
    const char *origin = conf_origin(c, CONF_ANALYZE_PROBES), *colon = strrchr(origin, ':');
    int line = conf_line(c, CONF_ANALYZE_PROBES, path);
    if (colon && line > 0)
        err_prefix(err, "%.*s:%d: analyze.probes.%s", (int)(colon - origin), origin, line, path);
    else
        err_prefix(err, "%s: analyze.probes.%s", origin, path);
    return st;
}

/* In the state directory; without one that can be written they last as long as the worker. */
static void open_pins(struct analyze *a)
{
    char path[sizeof a->pins.path];
    struct err err = { 0 };
    const char *dir = conf_state_dir(worker_conf(a->worker));
    int n = snprintf(path, sizeof path, "%s/mcp-pins.json", dir);
    bool usable = *dir && n < (int)sizeof path && (mkdir(dir, 0700) == 0 || errno == EEXIST);
    if (pins_open(&a->pins, usable ? path : "", &err) != OK)
        log_line(worker_log(a->worker), LOG_WARN, err.text, "fix", err.fix, NULL);
}

static enum status analyze_open(struct worker *w, void **self, struct err *err)
{
    struct analyze *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(err, ERR_NOMEM, "no memory for the analyze stage");
    a->worker = w;
    a->settle = MUX_TIMER(on_settle, a);
    enum status st = read_conf(a, worker_conf(w), err);
    if (st != OK) {
        free(a);
        return st;
    }
    open_pins(a);
    find_file(a, worker_conf(w));
    if (*a->file)
        load(a);
    *self = a;
    return OK;
}

static void analyze_close(void *self)
{
    struct analyze *a = self;
    mux_timer_stop(worker_mux(a->worker), &a->settle);
    servers_close(a->servers, a->servers_n);
    mcpjson_fini(&a->json);
    pins_close(&a->pins);
    free(a);
}

/* ---- lane call ------------------------------------------------------------------------------- */

struct lane_call {
    struct server_call call;
    struct task *task;
    char server[65];
};

static void on_called(void *ctx, struct server_call *call, const struct server_result *e)
{
    struct lane_call *l = ctx;
    (void)call;
    if (e->answered) {
        task_put(l->task, "result", result_new(!e->is_error, e->text));
        task_done(l->task);
        return;
    }
    /* What the server may have seen is not done twice: tools have effects. */
    task_fail(l->task, e->sent ? FAULT_PERMANENT : FAULT_RETRYABLE, 0, "MCP server '%s': %s",
              l->server, e->fault);
}

static void on_call_progress(void *ctx, double done, double total, const char *text)
{
    struct lane_call *l = ctx;
    if (total > 0)
        task_note(l->task, "%s/%s: %.6g of %.6g %s", l->server, l->call.tool, done, total, text);
    else
        task_note(l->task, "%s/%s: %.6g %s", l->server, l->call.tool, done, text);
}

static void call_begin(struct analyze *a, struct task *t)
{
    struct err err = { 0 };
    const json_t *doc = task_doc(t, "call", &err);
    struct lane_call *l = arena_alloc(task_arena(t), sizeof *l);
    assert(l);
    if (!doc) {
        task_fail(t, FAULT_PERMANENT, 0, "no tool call: %s", err.text);
        return;
    }
    const char *name = js_str(doc, "server"), *tool = js_str(doc, "tool");
    analyze_reload(a);
    struct server *s = analyze_server(a, name);
    *l = (struct lane_call){ .call = { .fn = on_called, .progress = on_call_progress, .ctx = l },
                             .task = t };
    snprintf(l->server, sizeof l->server, "%s", name);
    task_set_user(t, l);
    if (!tool_allowed(a->allow, name, tool))
        task_fail(t, FAULT_PERMANENT, 0,
                  "the tool %s/%s is not allowed: analyze.allow does not name it", name, tool);
    else if (a->broken)
        task_fail(t, FAULT_PERMANENT, 0, "%s", a->why.text);
    else if (!js_obj(doc, "arguments"))
        task_fail(t, FAULT_PERMANENT, 0, "the arguments of %s/%s are no object", name, tool);
    else if (!s)
        task_fail(t, FAULT_PERMANENT, 0, "mcp.json has no server '%s'", name);
    else if (server_call(s, &l->call, tool, json_object_get(doc, "arguments"), &err) != OK)
        task_fail(t, FAULT_RETRYABLE, 0, "MCP server '%s': %s", name, err.text);
}

static void analyze_begin(void *self, struct task *t)
{
    if (strcmp(task_stage(t), "call") == 0)
        call_begin(self, t);
    else
        round_begin(self, t);
}

static void analyze_cancel(void *self, struct task *t)
{
    struct lane_call *l = task_user(t);
    if (strcmp(task_stage(t), "call") != 0)
        round_cancel(self, t);
    else if (l)
        server_cancel(&l->call);
}

static const char *const stages[] = { "analyze", "call", NULL };
const struct stage_ops analyze_ops = { "analyze",      stages,       8, analyze_open, analyze_begin,
                                       analyze_cancel, analyze_close };
