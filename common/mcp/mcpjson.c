/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/mcpjson.h"

#include "common/mcp/jsonc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EXAMPLE "{ \"mcpServers\": { \"files\": { \"command\": \"npx\", \"args\": [\"-y\", \"…\"] } } }"

/* What the readers below share. `path` is where in the tree they stand. */
struct reader {
    struct mcp_json *out;
    const char *file;
    struct str text;
    mcp_env_fn *env;
    void *ctx;
    struct err *err;
    const char *path[4];
    size_t path_n;
};

/* A mistake at the place where the reader stands. */
static enum status wrong(struct reader *r, const char *fix, const char *fmt, ...) PRINTF_LIKE(3, 4);
static enum status wrong(struct reader *r, const char *fix, const char *fmt, ...)
{
    char what[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    jsonc_locate(r->text, r->path, r->path_n, &r->out->line, &r->out->column);
    err_set(r->err, ERR_DATA, "%s:%d:%d: %s", r->file, r->out->line, r->out->column, what);
    err_fix(r->err, "%s", fix);
    return ERR_DATA;
}

static void server_fault(struct reader *r, struct mcp_server_conf *s, const char *fix, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static void server_fault(struct reader *r, struct mcp_server_conf *s, const char *fix, const char *fmt, ...)
{
    char what[400];
    va_list args;
    if (s->fault)
        return; /* the first is enough */
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    s->fault = arena_dup(&r->out->arena, what, strlen(what));
    s->fix = arena_dup(&r->out->arena, fix, strlen(fix));
}

/* ---- variables ------------------------------------------------------------------------------- */

static bool name_char(char ch)
{
    return ch == '_' || (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

/* Replace one ${…} whose inside is `in`. False: it is no variable and stays as it is. */
static bool expand_one(struct reader *r, struct mcp_server_conf *s, struct str in, struct buf *out)
{
    char name[128];
    if (in.n > 4 && memcmp(in.p, "env:", 4) == 0)
        in = (struct str){ in.p + 4, in.n - 4 };
    size_t n = 0;
    while (n < in.n && name_char(in.p[n]))
        n++;
    bool otherwise = in.n >= n + 2 && memcmp(in.p + n, ":-", 2) == 0;
    if (n == 0 || n >= sizeof name || (n < in.n && !otherwise))
        return false;
    memcpy(name, in.p, n);
    name[n] = '\0';
    const char *value = r->env ? r->env(r->ctx, name) : NULL;
    if (value)
        buf_str(out, value);
    else if (otherwise)
        buf_append(out, in.p + n + 2, in.n - n - 2);
    else
        server_fault(r, s, "Set it in the worker's environment, or write ${NAME:-value} to give a default.",
                     "the environment variable %s is not set", name);
    return true;
}

static char *expand(struct reader *r, struct mcp_server_conf *s, struct str in)
{
    struct buf out;
    buf_init(&out, 64 << 10);
    for (size_t i = 0; i < in.n;) {
        const char *close = i + 2 < in.n && in.p[i] == '$' && in.p[i + 1] == '{'
                                ? memchr(in.p + i, '}', in.n - i) : NULL;
        if (close && expand_one(r, s, (struct str){ in.p + i + 2, (size_t)(close - in.p) - i - 2 }, &out))
            i = (size_t)(close - in.p) + 1;
        else
            buf_char(&out, in.p[i++]);
    }
    char *z = out.status == OK ? arena_dup(&r->out->arena, buf_z(&out), out.len) : NULL;
    if (!z)
        server_fault(r, s, "Shorten it.", "a value is longer than 64 KiB");
    buf_fini(&out);
    return z;
}

/* ---- one server ------------------------------------------------------------------------------ */

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_NULL: return "null";
    }
    return "something else";
}

static enum status read_args(struct reader *r, struct mcp_server_conf *s, const json_t *v)
{
    size_t n = js_count(js_list(v, "args"));
    const json_t *args = json_object_get(v, "args");
    r->path[2] = "args";
    r->path_n = 3;
    if (args && !json_is_array(args))
        return wrong(r, "Write each argument as a string of its own: [\"-y\", \"package\"].",
                     "args of server '%s' is %s, not a list", s->name, type_name(args));
    if (n > MCP_ARGS_MAX)
        return wrong(r, "Use fewer.", "server '%s' has more than %d arguments", s->name, MCP_ARGS_MAX);
    char **argv = arena_alloc(&r->out->arena, (n + 2) * sizeof *argv);
    if (!argv)
        return wrong(r, "Shorten the file.", "more than fits in memory");
    argv[0] = expand(r, s, js_view(v, "command"));
    for (size_t i = 0; i < n; i++) {
        const json_t *a = js_at(args, i);
        char index[24];
        if (!json_is_string(a)) {
            snprintf(index, sizeof index, "%zu", i);
            r->path[3] = index;
            r->path_n = 4;
            return wrong(r, "Put it in double quotes.", "argument %zu of server '%s' is %s, not a string", i + 1,
                         s->name, type_name(a));
        }
        argv[i + 1] = expand(r, s, (struct str){ json_string_value(a), json_string_length(a) });
    }
    s->argv = argv;
    return OK;
}

static enum status read_env(struct reader *r, struct mcp_server_conf *s, const json_t *v)
{
    json_t *env = json_object_get(v, "env"), *value;
    const char *key;
    size_t n = 0;
    r->path[2] = "env";
    r->path_n = 3;
    if (env && !json_is_object(env))
        return wrong(r, "Write { \"NAME\": \"value\" }.", "env of server '%s' is %s, not an object", s->name,
                     type_name(env));
    if (json_object_size(env) > MCP_ENV_MAX)
        return wrong(r, "Use fewer.", "server '%s' has more than %d variables", s->name, MCP_ENV_MAX);
    s->env = arena_alloc(&r->out->arena, (json_object_size(env) + 1) * sizeof *s->env);
    json_object_foreach(env, key, value) {
        r->path[3] = key;
        r->path_n = 4;
        if (!json_is_string(value))
            return wrong(r, "Put it in double quotes.", "the variable %s of server '%s' is %s, not a string", key,
                         s->name, type_name(value));
        char *z = expand(r, s, (struct str){ json_string_value(value), json_string_length(value) });
        char *pair = z ? arena_printf(&r->out->arena, "%s=%s", key, z) : NULL;
        if (pair && *key && !strchr(key, '='))
            s->env[n++] = pair;
    }
    return OK;
}

static bool is_string(const json_t *v)
{
    return json_is_string(v);
}

static bool is_bool(const json_t *v)
{
    return json_is_boolean(v);
}

static bool is_ms(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) > 0 && json_integer_value(v) <= 86400000;
}

static bool is_object(const json_t *v)
{
    return json_is_object(v);
}

/* The keys whose type is all there is to check. */
static const struct {
    const char *key, *fix;
    bool (*fits)(const json_t *v);
} simple[] = {
    { "command", "Write the program as one string and its arguments in args.", is_string },
    { "cwd", "Write a path as a string.", is_string },
    { "url", "Write an address as a string.", is_string },
    { "headers", "Write { \"Name\": \"value\" }.", is_object },
    { "disabled", "Write true or false.", is_bool },
    { "timeout", "Write milliseconds as a number, for instance 60000.", is_ms },
};

static enum status check_simple(struct reader *r, const json_t *v, const char *name)
{
    for (size_t i = 0; i < COUNT(simple); i++) {
        const json_t *m = json_object_get(v, simple[i].key);
        if (!m || simple[i].fits(m))
            continue;
        r->path[2] = simple[i].key;
        r->path_n = 3;
        return wrong(r, simple[i].fix, "%s of server '%s' cannot be %s", simple[i].key, name,
                     json_is_integer(m) ? "that number" : type_name(m));
    }
    return OK;
}

static enum status read_server(struct reader *r, const char *name, const json_t *v)
{
    struct mcp_server_conf *s = &r->out->servers[r->out->servers_n];
    enum status st;
    if (!json_is_object(v))
        return wrong(r, "Write { \"command\": \"…\", \"args\": [] }.", "server '%.64s' is %s, not an object", name,
                     type_name(v));
    if (*name == '\0' || strlen(name) > MCP_NAME_MAX || strpbrk(name, "/*\n\r\t"))
        return wrong(r, "Use 1 to 64 characters without / and *.", "'%.64s' cannot be the name of a server", name);
    *s = (struct mcp_server_conf){ .name = arena_dup(&r->out->arena, name, strlen(name)) };
    jsonc_locate(r->text, r->path, r->path_n, &s->line, &s->column);
    if ((st = check_simple(r, v, s->name)) != OK)
        return st;
    r->path_n = 2;
    s->disabled = js_bool(v, "disabled", false);
    s->timeout_ms = js_int(v, "timeout", 0);
    if (json_object_get(v, "url"))
        server_fault(r, s, "Give a command that starts the server over stdio, or remove it from mcp.json.",
                     "HTTP servers are not supported yet");
    else if (*js_str(v, "command") == '\0' && !s->disabled)
        return wrong(r, "Add \"command\": the program that starts the server.", "server '%s' has no command", name);
    if ((st = read_args(r, s, v)) != OK || (st = read_env(r, s, v)) != OK)
        return st;
    if (*js_str(v, "cwd"))
        s->cwd = expand(r, s, js_view(v, "cwd"));
    r->out->servers_n++;
    return OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

static enum status read_servers(struct reader *r, json_t *root)
{
    const char *key = json_object_get(root, "mcpServers") ? "mcpServers" : "servers";
    json_t *servers = json_object_get(root, key), *v;
    const char *name;
    if (!json_is_object(root))
        return wrong(r, "Begin with " EXAMPLE ".", "not an object");
    if (!servers)
        return wrong(r, "Begin with " EXAMPLE ".", "no key mcpServers");
    r->path[0] = key;
    r->path_n = 1;
    if (!json_is_object(servers))
        return wrong(r, "Write " EXAMPLE ".", "%s is %s, not an object", key, type_name(servers));
    if (json_object_size(servers) > MCP_SERVERS_MAX)
        return wrong(r, "Run more analyze workers, each with its own mcp.json.", "more than %d servers",
                     MCP_SERVERS_MAX);
    json_object_foreach(servers, name, v) {
        r->path[1] = name;
        r->path_n = 2;
        enum status st = read_server(r, name, v);
        if (st != OK)
            return st;
    }
    return OK;
}

/* "line 3, column 7: what" of js_parse, as our own place. */
static enum status syntax(struct reader *r, const struct err *je)
{
    const char *what = strstr(je->text, ": ");
    if (sscanf(je->text, "line %d, column %d", &r->out->line, &r->out->column) != 2)
        r->out->line = r->out->column = 1;
    err_set(r->err, ERR_DATA, "%s:%d:%d: not valid JSON: %s", r->file, r->out->line, r->out->column,
            what ? what + 2 : je->text);
    err_fix(r->err, "Look at that place, and just before it, for a missing comma, quote or brace.");
    return ERR_DATA;
}

enum status mcp_json_read(struct mcp_json *out, const char *file, struct str text, mcp_env_fn *env,
                          void *ctx, struct err *err)
{
    struct reader r = { .out = out, .file = file, .env = env, .ctx = ctx, .err = err };
    struct err je = { 0 };
    *out = (struct mcp_json){ 0 };
    arena_init(&out->arena, 16 << 20);
    if (text.n > MCP_JSON_MAX) {
        err_set(err, ERR_LIMIT, "%s: larger than %d bytes", file, MCP_JSON_MAX);
        err_fix(err, "Is it the right file? analyze.mcp names it.");
        return ERR_LIMIT;
    }
    char *plain = arena_dup(&out->arena, text.p ? text.p : "", text.n);
    assert(plain);
    jsonc_plain(plain, text.n);
    r.text = (struct str){ plain, text.n };
    json_t *root = js_parse(r.text, &je);
    if (!root)
        return syntax(&r, &je);
    enum status st = read_servers(&r, root);
    json_decref(root);
    return st;
}

void mcp_json_fini(struct mcp_json *j)
{
    arena_fini(&j->arena);
}
