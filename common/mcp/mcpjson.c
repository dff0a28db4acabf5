/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/mcpjson.h"

#include "common/mcp/jsonc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 16 * 1024 * 1024, NAME_LENGTH_MAX = 64, TIMEOUT_MAX_MS = 24 * 3600 * 1000 };

struct reader {
    struct str text; /* blanked */
    const char *name;
    const char *root; /* "mcpServers" or "servers" */
    const struct mcp_vars *vars;
    struct mcp_file *file;
    struct mcp_place place; /* of the first error */
    struct err *err;
};

/* ---- places and complaints ------------------------------------------------------------------- */

/* root > server > key > step; NULL ends the path early. Finding its place means reading the file
 * again, so it is done for errors only. */
struct spot {
    const char *server, *key, *step;
};

static struct mcp_place locate(const struct reader *r, struct spot spot)
{
    const char *steps[4] = { r->root, spot.server, spot.key, spot.step };
    struct jsonc_path path = { .steps = steps };
    struct mcp_place at = { 1, 1 };
    while (path.n < 4 && steps[path.n])
        path.n++;
    path.key = path.n == 2; /* of a server, its name */
    bool found = jsonc_where(r->text, &path, &at.line, &at.column);
    (void)found; /* the start of the file is still a place */
    return at;
}

static struct mcp_place where(const struct reader *r, const char *server, const char *key)
{
    return locate(r, (struct spot){ server, key, NULL });
}

static enum status wrong(struct reader *r, struct mcp_place at, const char *fix, const char *fmt,
                         ...) PRINTF_LIKE(4, 5);
static enum status wrong(struct reader *r, struct mcp_place at, const char *fix, const char *fmt,
                         ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->place = at;
    err_set(r->err, ERR_DATA, "%s:%d:%d: %s", r->name, at.line, at.column, text);
    err_fix(r->err, "%s", fix);
    return ERR_DATA;
}

static enum status full(struct reader *r)
{
    return err_set(r->err, ERR_LIMIT, "%s: does not fit in %d bytes of memory", r->name, ARENA_MAX);
}

/* This server cannot be started; the first reason counts. */
static void fault(struct reader *r, struct mcp_server *s, struct mcp_place at, const char *fix,
                  const char *text)
{
    if (s->fault)
        return;
    s->fault = arena_printf(&r->file->arena, "%s:%d:%d: server '%s' %s", r->name, at.line,
                            at.column, s->name, text);
    s->fix = arena_printf(&r->file->arena, "%s", fix);
    if (!s->fault || !s->fix) {
        s->fault = "out of memory";
        s->fix = "";
    }
}

static void remark(struct reader *r, struct mcp_place at, const char *server, const char *key)
{
    struct mcp_file *f = r->file;
    if (f->remarks_n == COUNT(f->remarks))
        return;
    const char *text = arena_printf(&f->arena, "%s:%d:%d: server '%s': '%s' is not used here",
                                    r->name, at.line, at.column, server, key);
    if (text)
        f->remarks[f->remarks_n++] = text;
}

/* ---- variables ------------------------------------------------------------------------------- */

/* The value of "NAME", "env:NAME" or "NAME:-otherwise"; p NULL when there is none. */
static struct str lookup(const struct reader *r, struct str spec, char name[NAME_LENGTH_MAX + 1])
{
    struct str otherwise = { 0 };
    const char *dash = memmem(spec.p, spec.n, ":-", 2);
    if (dash) {
        otherwise = (struct str){ dash + 2, spec.n - (size_t)(dash + 2 - spec.p) };
        spec.n = (size_t)(dash - spec.p);
    }
    if (spec.n > 4 && memcmp(spec.p, "env:", 4) == 0)
        spec = (struct str){ spec.p + 4, spec.n - 4 };
    snprintf(name, NAME_LENGTH_MAX + 1, "%.*s", STR_ARG(spec));
    if (strcmp(name, "workspaceFolder") == 0)
        return str_of(r->vars->folder);
    const char *v = r->vars->get(r->vars->ctx, strcmp(name, "userHome") == 0 ? "HOME" : name);
    return v && (*v || !dash) ? str_of(v) : otherwise;
}

/* Expand into the arena. NULL: the server got a fault, or memory ran out. */
static const char *expand(struct reader *r, struct mcp_server *s, struct str text, struct spot spot)
{
    struct buf out;
    char name[NAME_LENGTH_MAX + 1], said[160];
    buf_init(&out, MCPJSON_VALUE_MAX);
    for (size_t i = 0; i < text.n; i++) {
        const char *p = text.p + i;
        size_t left = text.n - i;
        if (left >= 3 && memcmp(p, "$${", 3) == 0) {
            buf_str(&out, "${");
            i += 2;
            continue;
        }
        const char *end = left >= 3 && p[0] == '$' && p[1] == '{' ? memchr(p, '}', left) : NULL;
        if (!end) {
            buf_char(&out, *p);
            continue;
        }
        struct str v = lookup(r, (struct str){ p + 2, (size_t)(end - p) - 2 }, name);
        if (!v.p) {
            snprintf(said, sizeof said, "needs the environment variable %s, which is not set",
                     name);
            fault(r, s, locate(r, spot),
                  "set it where pawl starts, or write ${NAME:-value} for a default", said);
        }
        buf_view(&out, v);
        i = (size_t)(end - text.p);
    }
    if (out.status != OK)
        fault(r, s, locate(r, spot), "shorten it", "has a value that is too long");
    const char *z = s->fault ? NULL : arena_dup(&r->file->arena, buf_z(&out), out.len);
    buf_fini(&out);
    return z;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Values become arguments and environment: a NUL byte would cut them short unseen. */
static enum status text_at(struct reader *r, struct mcp_server *s, const json_t *v,
                           struct spot spot, const char **out)
{
    if (!json_is_string(v))
        return wrong(r, locate(r, spot), "write it in double quotes", "a text is expected here");
    struct str text = { json_string_value(v), json_string_length(v) };
    if (memchr(text.p, '\0', text.n))
        return wrong(r, locate(r, spot), "take the character out", "a text with a NUL character");
    const char *z = expand(r, s, text, spot);
    if (!z && !s->fault)
        return full(r);
    *out = z ? z : "";
    return OK;
}

static enum status text_of(struct reader *r, struct mcp_server *s, const json_t *v, const char *key,
                           const char **out)
{
    return text_at(r, s, v, (struct spot){ s->name, key, NULL }, out);
}

static enum status args_of(struct reader *r, struct mcp_server *s, const json_t *list)
{
    size_t n = js_count(list);
    const char **argv = arena_alloc(&r->file->arena, (n + 2) * sizeof *argv);
    if (!argv)
        return full(r);
    argv[0] = s->command;
    for (size_t i = 0; i < n; i++) {
        char index[24];
        snprintf(index, sizeof index, "%zu", i);
        enum status st =
            text_at(r, s, js_at(list, i), (struct spot){ s->name, "args", index }, &argv[i + 1]);
        if (st != OK)
            return st;
    }
    s->argv = argv;
    return OK;
}

static enum status env_of(struct reader *r, struct mcp_server *s, const json_t *map)
{
    size_t n = map ? json_object_size(map) : 0, i = 0;
    const char **env = arena_alloc(&r->file->arena, (n + 1) * sizeof *env);
    const char *key, *value = "";
    json_t *v;
    if (!env)
        return full(r);
    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        struct spot spot = { s->name, "env", key };
        if (!*key || strchr(key, '='))
            return wrong(r, locate(r, spot), "rename it",
                         "an environment variable cannot have this name");
        enum status st = text_at(r, s, v, spot, &value);
        if (st != OK)
            return st;
        env[i] = arena_printf(&r->file->arena, "%s=%s", key, value);
        if (!env[i++])
            return full(r);
    }
    s->env = env;
    return OK;
}

/* ---- one server ------------------------------------------------------------------------------ */

enum field_type { TEXT, LIST, MAP, NUMBER, FLAG, LEFT };
enum field {
    COMMAND,
    ARGS,
    ENV,
    CWD,
    URL,
    HEADERS,
    TYPE,
    TIMEOUT,
    START,
    DISABLED,
    ENABLED,
    PROTOCOL,
    FIELDS
};

/* Hosts name some things differently. LEFT: known to hosts, without meaning here. */
static const struct known {
    const char *key;
    enum field field;
    enum field_type type;
} known_keys[] = {
    { "command", COMMAND, TEXT },
    { "args", ARGS, LIST },
    { "env", ENV, MAP },
    { "cwd", CWD, TEXT },
    { "working_dir", CWD, TEXT },
    { "url", URL, TEXT },
    { "http_url", URL, TEXT },
    { "httpUrl", URL, TEXT },
    { "headers", HEADERS, MAP },
    { "type", TYPE, TEXT },
    { "transport", TYPE, TEXT },
    { "timeout", TIMEOUT, NUMBER },
    { "request_timeout_ms", TIMEOUT, NUMBER },
    { "startup_timeout_ms", START, NUMBER },
    { "disabled", DISABLED, FLAG },
    { "enabled", ENABLED, FLAG },
    { "protocol", PROTOCOL, TEXT },
    { "description", FIELDS, LEFT },
    { "autoApprove", FIELDS, LEFT },
    { "alwaysAllow", FIELDS, LEFT },
    { "alwaysLoad", FIELDS, LEFT },
};

static const struct known *known_key(const char *key)
{
    for (size_t i = 0; i < COUNT(known_keys); i++) {
        if (strcmp(known_keys[i].key, key) == 0)
            return &known_keys[i];
    }
    return NULL;
}

static enum status check_type(struct reader *r, const char *server, const struct known *k,
                              const json_t *v)
{
    static const char *const names[] = { "a text",        "a list of texts",
                                         "an object",     "a number of milliseconds",
                                         "true or false", "" };
    bool good[] = { json_is_string(v),  json_is_array(v),   json_is_object(v),
                    json_is_integer(v), json_is_boolean(v), true };
    if (!good[k->type])
        return wrong(r, where(r, server, k->key), "change the value", "'%s' has to be %s", k->key,
                     names[k->type]);
    size_t n = json_is_array(v) ? json_array_size(v) : json_is_object(v) ? json_object_size(v) : 0;
    if (n > MCPJSON_LIST_MAX)
        return wrong(r, where(r, server, k->key), "shorten it", "'%s' has more than %d entries",
                     k->key, MCPJSON_LIST_MAX);
    if (k->type == NUMBER && (json_integer_value(v) < 1 || json_integer_value(v) > TIMEOUT_MAX_MS))
        return wrong(r, where(r, server, k->key),
                     "write a number of milliseconds, for instance 60000",
                     "'%s' has to be from 1 to %d", k->key, TIMEOUT_MAX_MS);
    return OK;
}

/* The values of one server by field, whatever key they came under. */
struct entry {
    const json_t *v[FIELDS];
    const char *key[FIELDS];
};

static enum status collect(struct reader *r, const char *server, const json_t *def, struct entry *e)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)def, key, v)
    {
        const struct known *k = known_key(key);
        if (!k) {
            remark(r, where(r, server, key), server, key);
            continue;
        }
        enum status st = check_type(r, server, k, v);
        if (st != OK)
            return st;
        if (k->field == FIELDS)
            continue;
        if (e->v[k->field])
            return wrong(r, where(r, server, key), "keep one of the two",
                         "'%s' says the same as '%s'", key, e->key[k->field]);
        e->v[k->field] = v;
        e->key[k->field] = k->key;
    }
    return OK;
}

static void choose_transport(struct reader *r, struct mcp_server *s, const struct entry *e)
{
    struct mcp_place at = where(r, s->name, NULL);
    const char *type = e->v[TYPE] ? json_string_value(e->v[TYPE]) : "";
    bool pipe = !*type || strcmp(type, "stdio") == 0 || strcmp(type, "local") == 0;
    if (e->v[COMMAND] && e->v[URL])
        fault(r, s, at, "keep one of the two", "has both a command and a url");
    else if (e->v[URL] || !pipe)
        fault(r, s, at,
              "run it as a command, or put a stdio bridge such as mcp-remote in front of it",
              "is reached over HTTP, which this worker does not serve; only servers with a command "
              "are");
    else if (!e->v[COMMAND] || !*s->command)
        fault(r, s, at, "add \"command\": the program that is the server", "has no command");
}

/* Relative paths in arguments are the project's, wherever the worker was started. */
static enum status choose_folder(struct reader *r, struct mcp_server *s)
{
    const char *folder = r->vars->folder;
    if (*s->cwd == '/' || !*folder)
        return OK;
    s->cwd = *s->cwd ? arena_printf(&r->file->arena, "%s/%s", folder, s->cwd)
                     : arena_printf(&r->file->arena, "%s", folder);
    return s->cwd ? OK : full(r);
}

static enum status choose_era(struct reader *r, struct mcp_server *s, const json_t *v)
{
    const char *p = v ? json_string_value(v) : "auto";
    if (strcmp(p, "auto") == 0)
        s->era = MCP_AUTO;
    else if (strcmp(p, "legacy") == 0)
        s->era = MCP_LEGACY;
    else if (strcmp(p, "2026-07-28") == 0 || strcmp(p, "modern") == 0)
        s->era = MCP_MODERN;
    else
        return wrong(r, where(r, s->name, "protocol"), "write auto, legacy or 2026-07-28",
                     "'protocol' has an unknown value");
    return OK;
}

static enum status read_server(struct reader *r, const json_t *def, struct mcp_server *s)
{
    struct entry e = { 0 };
    enum status st;
    if (!json_is_object(def))
        return wrong(r, where(r, s->name, NULL), "write { \"command\": …, \"args\": […] }",
                     "server '%s' has to be an object", s->name);
    if ((st = collect(r, s->name, def, &e)) != OK)
        return st;
    s->disabled = (e.v[DISABLED] && json_is_true(e.v[DISABLED])) ||
                  (e.v[ENABLED] && json_is_false(e.v[ENABLED]));
    s->timeout_ms = e.v[TIMEOUT] ? json_integer_value(e.v[TIMEOUT]) : 0;
    s->start_ms = e.v[START] ? json_integer_value(e.v[START]) : 0;
    if ((st = choose_era(r, s, e.v[PROTOCOL])) != OK)
        return st;
    if (s->disabled) { /* its variables need not be set */
        s->argv = s->env = arena_alloc(&r->file->arena, sizeof *s->argv);
        return s->argv ? OK : full(r);
    }
    if ((e.v[COMMAND] && (st = text_of(r, s, e.v[COMMAND], e.key[COMMAND], &s->command)) != OK) ||
        (e.v[CWD] && (st = text_of(r, s, e.v[CWD], e.key[CWD], &s->cwd)) != OK) ||
        (e.v[URL] && (st = text_of(r, s, e.v[URL], e.key[URL], &s->url)) != OK) ||
        (st = args_of(r, s, e.v[ARGS])) != OK || (st = env_of(r, s, e.v[ENV])) != OK)
        return st;
    choose_transport(r, s, &e);
    return choose_folder(r, s);
}

static bool good_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return n > 0 && n <= NAME_LENGTH_MAX && !name[n];
}

static enum status read_servers(struct reader *r, const json_t *map)
{
    struct mcp_file *f = r->file;
    const char *name;
    json_t *def;
    size_t n = json_object_size(map);
    if (n > MCPJSON_SERVERS_MAX)
        return wrong(r, where(r, NULL, NULL), "take out those that are not needed",
                     "more than %d servers", MCPJSON_SERVERS_MAX);
    f->servers = arena_alloc(&f->arena, (n + 1) * sizeof *f->servers);
    if (!f->servers)
        return full(r);
    json_object_foreach((json_t *)(uintptr_t)map, name, def)
    {
        struct mcp_server *s = &f->servers[f->n];
        struct mcp_place at = where(r, name, NULL);
        if (!good_name(name))
            return wrong(r, at, "use letters, digits, '_', '-' and '.'; at most 64 characters",
                         "a server cannot have this name");
        *s = (struct mcp_server){ .command = "", .cwd = "", .url = "", .fix = "" };
        s->line = at.line;
        s->column = at.column;
        s->name = arena_dup(&f->arena, name, strlen(name));
        if (!s->name)
            return full(r);
        f->n++;
        enum status st = read_server(r, def, s);
        if (st != OK)
            return st;
    }
    return OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

static enum status read_root(struct reader *r, const json_t *root)
{
    if (!json_is_object(root))
        return wrong(r, (struct mcp_place){ 1, 1 }, "write { \"mcpServers\": { … } }",
                     "an object is expected");
    r->root = json_object_get(root, "mcpServers") ? "mcpServers" : "servers";
    const json_t *map = json_object_get(root, r->root);
    if (!map)
        return wrong(r, (struct mcp_place){ 1, 1 }, "write { \"mcpServers\": { … } }",
                     "neither 'mcpServers' nor 'servers'");
    if (!json_is_object(map))
        return wrong(r, where(r, NULL, NULL), "write { \"NAME\": { \"command\": … } }",
                     "'%s' has to be an object", r->root);
    return read_servers(r, map);
}

/* "line 3, column 5: reason" of jsonc and jansson, as FILE:3:5: reason. */
static enum status wrong_syntax(struct reader *r, const struct err *parse)
{
    struct mcp_place at = { 1, 1 };
    const char *reason = strstr(parse->text, ": ");
    if (sscanf(parse->text, "line %d, column %d", &at.line, &at.column) != 2 || at.line < 1 ||
        at.column < 1)
        at = (struct mcp_place){ 1, 1 };
    return wrong(r, at, "correct the JSON: every text in double quotes, a comma between entries",
                 "%s", reason ? reason + 2 : parse->text);
}

static enum status parse(struct reader *r, struct str text)
{
    struct err bad = { 0 };
    char *copy = arena_dup(&r->file->arena, text.p ? text.p : "", text.n);
    if (!copy)
        return full(r);
    if (jsonc_blank(copy, text.n, &bad) != OK)
        return wrong_syntax(r, &bad);
    r->text = (struct str){ copy, text.n };
    json_t *root = js_parse(r->text, &bad);
    if (!root)
        return wrong_syntax(r, &bad);
    enum status st = read_root(r, root);
    json_decref(root);
    return st;
}

enum status mcpjson_read(struct str text, const char *name, const struct mcp_vars *vars,
                         struct mcp_file *out, struct mcp_place *place, struct err *err)
{
    struct err mine = { 0 };
    struct reader r = { .name = name, .vars = vars, .file = out, .err = err ? err : &mine };
    *out = (struct mcp_file){ 0 };
    arena_init(&out->arena, ARENA_MAX);
    enum status st = text.n > MCPJSON_BYTES_MAX ? wrong(&r, (struct mcp_place){ 1, 1 }, "",
                                                        "larger than %d bytes", MCPJSON_BYTES_MAX)
                                                : parse(&r, text);
    if (place)
        *place = r.place;
    if (st != OK)
        mcpjson_fini(out);
    return st;
}

void mcpjson_fini(struct mcp_file *f)
{
    arena_fini(&f->arena);
    *f = (struct mcp_file){ 0 };
}

const struct mcp_server *mcpjson_find(const struct mcp_file *f, const char *server)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->servers[i].name, server) == 0)
            return &f->servers[i];
    }
    return NULL;
}
