/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/server.h"

#include "common/mcp/content.h"
#include "common/mcp/rpc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODERN "2026-07-28"
#define META   "io.modelcontextprotocol/"

enum {
    PARSE_ERROR = -32700,
    INVALID_REQUEST = -32600,
    INVALID_PARAMS = -32602,
    ID_BYTES_MAX = 1024,
    TTL_MS = 3600000,
};

static const char *const legacy[] = { "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05" };
static const char batch_version[] = "2025-03-26";

struct serving {
    uint64_t number; /* 0: free */
    json_t *id, *token;
    bool modern;
    int64_t progress;
};

struct mcp_server {
    const struct mcp_server_options *o;
    struct rpc_reader reader;
    struct buf out;
    struct serving calls[MCP_SERVER_CALLS_MAX];
    size_t in_flight;
    uint64_t next;
    char version[16]; /* of the session; "" before initialize */
    json_t *current, *no_args;
    size_t batch_at; /* in current, when that is an array */
    bool over;
    char remark[300];
};

struct mcp_server *mcp_server_new(const struct mcp_server_options *options)
{
    struct mcp_server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->o = options;
    s->no_args = json_object();
    rpc_reader_init(&s->reader, MCP_SERVER_LINE_MAX, RPC_SKIP_MAX);
    buf_init(&s->out, MCP_SERVER_OUT_MAX);
    return s;
}

static void release(struct mcp_server *s, struct serving *c)
{
    json_decref(c->id);
    json_decref(c->token);
    *c = (struct serving){ 0 };
    s->in_flight--;
}

void mcp_server_free(struct mcp_server *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < MCP_SERVER_CALLS_MAX; i++) {
        if (s->calls[i].number)
            release(s, &s->calls[i]);
    }
    json_decref(s->current);
    json_decref(s->no_args);
    rpc_reader_fini(&s->reader);
    buf_fini(&s->out);
    free(s);
}

void mcp_server_feed(struct mcp_server *s, struct str bytes)
{
    if (!s->over && rpc_feed(&s->reader, bytes) != OK)
        s->over = true;
}

struct buf *mcp_server_out(struct mcp_server *s)
{
    return &s->out;
}

bool mcp_server_over(const struct mcp_server *s)
{
    return s->over || s->out.status != OK;
}

size_t mcp_server_in_flight(const struct mcp_server *s)
{
    return s->in_flight;
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* Takes the result. */
static void give(struct mcp_server *s, const json_t *id, json_t *result, bool modern)
{
    struct buf b;
    if (modern)
        js_set_z(result, "resultType", "complete");
    buf_init(&b, MCP_SERVER_OUT_MAX);
    js_dump(result, &b);
    rpc_result(&s->out, id, buf_get(&b));
    buf_fini(&b);
    json_decref(result);
}

static void refuse(struct mcp_server *s, const json_t *id, int64_t code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static void refuse(struct mcp_server *s, const json_t *id, int64_t code, const char *fmt, ...)
{
    char text[300];
    struct buf clean;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_init(&clean, 2048);
    mcp_clean(str_of(text), true, &clean);
    rpc_error(&s->out, id, code, buf_z(&clean));
    buf_fini(&clean);
}

static void refuse_version(struct mcp_server *s, const json_t *id, const json_t *requested)
{
    json_t *v = json_object(), *error = json_object(), *data = json_object(),
           *supported = json_array();
    js_push_z(supported, MODERN);
    for (size_t i = 0; i < COUNT(legacy); i++)
        js_push_z(supported, legacy[i]);
    js_set(data, "supported", supported);
    js_set(data, "requested", json_incref((json_t *)requested));
    js_set_int(error, "code", RPC_UNSUPPORTED_VERSION);
    js_set_z(error, "message", "Unsupported protocol version");
    js_set(error, "data", data);
    js_set_z(v, "jsonrpc", "2.0");
    js_set(v, "id", json_incref((json_t *)id));
    js_set(v, "error", error);
    js_dump(v, &s->out);
    buf_char(&s->out, '\n');
    json_decref(v);
}

static json_t *content(struct str text)
{
    json_t *list = json_array(), *item = json_object();
    js_set_z(item, "type", "text");
    js_set_str(item, "text", text);
    js_push(list, item);
    return list;
}

static void give_failure(struct mcp_server *s, const json_t *id, bool modern, const struct err *err)
{
    char text[sizeof err->text + sizeof err->fix + 16];
    json_t *result = json_object();
    snprintf(text, sizeof text, "%s%s%s", err->text, *err->fix ? "\nfix: " : "", err->fix);
    js_set(result, "content", content(str_of(text)));
    js_set_bool(result, "isError", true);
    give(s, id, result, modern);
}

static struct serving *find(struct mcp_server *s, uint64_t call)
{
    for (size_t i = 0; i < MCP_SERVER_CALLS_MAX && call; i++) {
        if (s->calls[i].number == call)
            return &s->calls[i];
    }
    return NULL;
}

void mcp_server_answer(struct mcp_server *s, uint64_t call, const json_t *result)
{
    struct serving *c = find(s, call);
    struct buf text;
    if (!c)
        return;
    buf_init(&text, MCP_SERVER_RESULT_MAX);
    if (js_dump(result, &text) != OK) {
        struct err err = { 0 };
        err_set(&err, ERR_LIMIT, "the result is larger than %d bytes", MCP_SERVER_RESULT_MAX);
        err_fix(&err, "ask for less: a limit, or one job");
        give_failure(s, c->id, c->modern, &err);
    } else {
        json_t *v = json_object();
        js_set(v, "content", content(buf_get(&text)));
        js_set(v, "structuredContent", json_incref((json_t *)result));
        js_set_bool(v, "isError", false);
        give(s, c->id, v, c->modern);
    }
    buf_fini(&text);
    release(s, c);
}

void mcp_server_fail(struct mcp_server *s, uint64_t call, const struct err *err)
{
    struct serving *c = find(s, call);
    if (!c)
        return;
    give_failure(s, c->id, c->modern, err);
    release(s, c);
}

void mcp_server_progress(struct mcp_server *s, uint64_t call, const char *text)
{
    struct serving *c = find(s, call);
    if (!c || !c->token)
        return;
    json_t *params = json_object();
    struct buf b;
    js_set(params, "progressToken", json_incref(c->token));
    js_set_int(params, "progress", ++c->progress);
    js_set_z(params, "message", text);
    buf_init(&b, 65536);
    js_dump(params, &b);
    rpc_notify(&s->out, "notifications/progress", buf_get(&b));
    buf_fini(&b);
    json_decref(params);
}

/* ---- who we are, what there is ----------------------------------------------------------------- */

static json_t *server_info(const struct mcp_server *s)
{
    json_t *info = json_object();
    js_set_z(info, "name", s->o->name);
    js_set_z(info, "title", s->o->title);
    js_set_z(info, "version", s->o->version);
    return info;
}

static json_t *capabilities(void)
{
    json_t *all = json_object(), *tools = json_object();
    js_set_bool(tools, "listChanged", false);
    js_set(all, "tools", tools);
    return all;
}

static void initialize(struct mcp_server *s, const struct rpc_msg *m)
{
    const char *wanted = js_str(m->params, "protocolVersion"), *version = legacy[0];
    if (!json_is_object(m->params) || !*wanted) {
        refuse(s, m->id, INVALID_PARAMS, "initialize: protocolVersion is missing");
        return;
    }
    for (size_t i = 0; i < COUNT(legacy); i++)
        version = strcmp(wanted, legacy[i]) == 0 ? legacy[i] : version;
    snprintf(s->version, sizeof s->version, "%s", version);
    json_t *result = json_object();
    js_set_z(result, "protocolVersion", version);
    js_set(result, "capabilities", capabilities());
    js_set(result, "serverInfo", server_info(s));
    js_set_z(result, "instructions", s->o->instructions);
    give(s, m->id, result, false);
}

static void set_cache(json_t *result)
{
    js_set_int(result, "ttlMs", TTL_MS);
    js_set_z(result, "cacheScope", "public");
}

static void discover(struct mcp_server *s, const struct rpc_msg *m)
{
    json_t *result = json_object(), *versions = json_array(), *meta = json_object();
    js_push_z(versions, MODERN);
    js_set(result, "supportedVersions", versions);
    js_set(result, "capabilities", capabilities());
    js_set(result, "serverInfo", server_info(s));
    js_set_z(result, "instructions", s->o->instructions);
    js_set(meta, META "serverInfo", server_info(s));
    js_set(result, "_meta", meta);
    set_cache(result);
    give(s, m->id, result, true);
}

static json_t *arg_schema(const struct mcp_arg *a)
{
    static const char *const types[] = { "string", "integer", "boolean" };
    json_t *v = json_object();
    js_set_z(v, "type", types[a->type]);
    js_set_z(v, "description", a->help);
    if (a->type == MCP_ARG_INT) {
        js_set_int(v, "minimum", a->min);
        js_set_int(v, "maximum", a->max);
    }
    if (a->type == MCP_ARG_STR && !a->values) {
        if (a->min)
            js_set_int(v, "minLength", a->min);
        js_set_int(v, "maxLength", a->max);
    }
    if (a->values) {
        json_t *list = json_array();
        for (const char *p = a->values; *p;) {
            size_t n = strcspn(p, "|");
            js_push(list, js_string((struct str){ p, n }));
            p += n + (p[n] == '|');
        }
        js_set(v, "enum", list);
    }
    return v;
}

static json_t *tool_json(const struct mcp_server *s, size_t tool)
{
    const struct mcp_offer *t = &s->o->tools[tool];
    json_t *v = json_object(), *schema = json_object(), *properties = json_object(),
           *required = json_array(), *notes = json_object();
    for (size_t i = 0; i < s->o->args_n; i++) {
        const struct mcp_arg *a = &s->o->args[i];
        if (a->tool != tool)
            continue;
        js_set(properties, a->name, arg_schema(a));
        if (a->required)
            js_push_z(required, a->name);
    }
    js_set_z(schema, "type", "object");
    js_set(schema, "properties", properties);
    js_set(schema, "required", required);
    js_set_bool(schema, "additionalProperties", false);
    js_set_bool(notes, "readOnlyHint", t->read_only);
    js_set_bool(notes, "destructiveHint", t->destructive);
    js_set_bool(notes, "idempotentHint", t->idempotent);
    js_set_bool(notes, "openWorldHint", false);
    js_set_z(v, "name", t->name);
    js_set_z(v, "title", t->title);
    js_set_z(v, "description", t->help);
    js_set(v, "inputSchema", schema);
    js_set(v, "annotations", notes);
    return v;
}

static void list_tools(struct mcp_server *s, const struct rpc_msg *m, bool modern)
{
    if (json_object_get(m->params, "cursor")) { /* there is one page, so none was given out */
        refuse(s, m->id, INVALID_PARAMS, "tools/list: no such cursor");
        return;
    }
    json_t *result = json_object(), *tools = json_array();
    for (size_t i = 0; i < s->o->tools_n; i++)
        js_push(tools, tool_json(s, i));
    js_set(result, "tools", tools);
    if (modern)
        set_cache(result);
    give(s, m->id, result, modern);
}

/* ---- calls ------------------------------------------------------------------------------------- */

static int64_t characters(struct str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static bool among(const char *values, const char *v)
{
    size_t n = strlen(v);
    for (const char *p = values; *p;) {
        size_t m = strcspn(p, "|");
        if (m == n && memcmp(p, v, n) == 0)
            return true;
        p += m + (p[m] == '|');
    }
    return false;
}

static enum status check_arg(const struct mcp_arg *a, const json_t *v, struct err *err)
{
    if (!v && !a->required)
        return OK;
    if (!v)
        return err_set(err, ERR_USAGE, "the argument '%s' is missing: %s", a->name, a->help);
    if (a->type == MCP_ARG_BOOL)
        return json_is_boolean(v)
                   ? OK
                   : err_set(err, ERR_USAGE, "the argument '%s' is not true or false", a->name);
    if (a->type == MCP_ARG_INT) {
        double real = json_is_real(v) ? json_real_value(v) : 0.5; /* 5.0 is an integer, too */
        bool whole =
            json_is_integer(v) || (real >= -1e15 && real <= 1e15 && (double)(int64_t)real == real);
        double n = json_number_value(v);
        if (!whole || n < (double)a->min || n > (double)a->max)
            return err_set(err, ERR_USAGE,
                           "the argument '%s' is not an integer from %" PRId64 " to %" PRId64,
                           a->name, a->min, a->max);
        return OK;
    }
    if (!json_is_string(v))
        return err_set(err, ERR_USAGE, "the argument '%s' is not a string", a->name);
    struct str text = { json_string_value(v), json_string_length(v) };
    if (memchr(text.p, '\0', text.n))
        return err_set(err, ERR_USAGE, "the argument '%s' has a NUL character", a->name);
    if (a->values && !among(a->values, text.p))
        return err_set(err, ERR_USAGE, "the argument '%s' is none of %s", a->name, a->values);
    if (!a->values && (characters(text) < a->min || characters(text) > a->max))
        return err_set(err, ERR_USAGE,
                       "the argument '%s' has %" PRId64 " characters, not %" PRId64 " to %" PRId64,
                       a->name, characters(text), a->min, a->max);
    return OK;
}

static enum status check_args(const struct mcp_server *s, size_t tool, const json_t *args,
                              struct err *err)
{
    const char *name;
    json_t *value;
    enum status st = OK;
    for (size_t i = 0; i < s->o->args_n && st == OK; i++) {
        const struct mcp_arg *a = &s->o->args[i];
        if (a->tool == tool)
            st = check_arg(a, json_object_get(args, a->name), err);
    }
    json_object_foreach ((json_t *)args, name, value) {
        bool known = false;
        for (size_t i = 0; i < s->o->args_n && st == OK && !known; i++)
            known = s->o->args[i].tool == tool && strcmp(s->o->args[i].name, name) == 0;
        if (st == OK && !known)
            st = err_set(err, ERR_USAGE, "there is no argument '%.60s'", name);
    }
    if (st != OK)
        err_fix(err, "see the inputSchema of %s", s->o->tools[tool].name);
    return st;
}

static bool id_in_use(const struct mcp_server *s, const json_t *id)
{
    for (size_t i = 0; i < MCP_SERVER_CALLS_MAX; i++) {
        if (s->calls[i].number && json_equal(s->calls[i].id, id))
            return true;
    }
    return false;
}

static struct serving *take_slot(struct mcp_server *s, const struct rpc_msg *m, bool modern)
{
    const json_t *token = json_object_get(js_obj(m->params, "_meta"), "progressToken");
    struct serving *c = s->calls;
    while (c->number)
        c++;
    *c = (struct serving){ .number = ++s->next,
                           .id = json_incref((json_t *)m->id),
                           .modern = modern };
    bool fits = json_is_integer(token) ||
                (json_is_string(token) && json_string_length(token) <= ID_BYTES_MAX);
    c->token = fits ? json_incref((json_t *)token) : NULL;
    s->in_flight++;
    return c;
}

static bool call(struct mcp_server *s, const struct rpc_msg *m, bool modern,
                 struct mcp_server_event *ev)
{
    const json_t *args = json_object_get(m->params, "arguments");
    const char *name = js_str(m->params, "name");
    struct err err = { 0 };
    size_t tool = 0;
    while (tool < s->o->tools_n && strcmp(s->o->tools[tool].name, name) != 0)
        tool++;
    if (!*name) {
        refuse(s, m->id, INVALID_PARAMS, "tools/call: name is missing");
    } else if (tool == s->o->tools_n) {
        refuse(s, m->id, INVALID_PARAMS, "Unknown tool: %.100s", name);
    } else if (args && !json_is_object(args)) {
        refuse(s, m->id, INVALID_PARAMS, "tools/call: arguments is not an object");
    } else if (check_args(s, tool, args ? args : s->no_args, &err) != OK) {
        give_failure(s, m->id, modern, &err);
    } else if (s->in_flight == MCP_SERVER_CALLS_MAX) {
        err_set(&err, ERR_BUSY, "%d calls are in flight", MCP_SERVER_CALLS_MAX);
        err_fix(&err, "wait for one of them to end");
        give_failure(s, m->id, modern, &err);
    } else {
        *ev = (struct mcp_server_event){ .kind = MCP_SERVE_CALL,
                                         .call = take_slot(s, m, modern)->number,
                                         .tool = tool,
                                         .args = args ? args : s->no_args };
        return true;
    }
    return false;
}

static bool cancel(struct mcp_server *s, const struct rpc_msg *m, struct mcp_server_event *ev)
{
    const json_t *id = json_object_get(m->params, "requestId");
    for (size_t i = 0; i < MCP_SERVER_CALLS_MAX && id; i++) {
        struct serving *c = &s->calls[i];
        if (!c->number || !json_equal(c->id, id))
            continue;
        *ev = (struct mcp_server_event){ .kind = MCP_SERVE_CANCEL, .call = c->number };
        release(s, c);
        return true;
    }
    return false;
}

/* ---- messages ---------------------------------------------------------------------------------- */

/* Is the request of the second era? False in *good: it was refused. */
static bool era_of(struct mcp_server *s, const struct rpc_msg *m, bool *good)
{
    const json_t *meta = js_obj(m->params, "_meta"),
                 *version = json_object_get(meta, META "protocolVersion");
    *good = true;
    if (!version)
        return false;
    if (!json_is_string(version)) {
        refuse(s, m->id, INVALID_PARAMS, "_meta: protocolVersion is not a string");
        *good = false;
    } else if (strcmp(json_string_value(version), MODERN) != 0) {
        refuse_version(s, m->id, version);
        *good = false;
    } else if (!js_obj(meta, META "clientCapabilities")) {
        refuse(s, m->id, INVALID_PARAMS, "_meta: clientCapabilities is missing");
        *good = false;
    }
    return true;
}

static bool request(struct mcp_server *s, const struct rpc_msg *m, struct mcp_server_event *ev)
{
    bool good, modern = era_of(s, m, &good);
    struct str id = { json_string_value(m->id), json_string_length(m->id) };
    if (!good)
        return false;
    if (m->params && !json_is_object(m->params))
        refuse(s, m->id, INVALID_PARAMS, "params is not an object");
    else if (id.n > ID_BYTES_MAX || id_in_use(s, m->id))
        refuse(s, m->id, INVALID_REQUEST, "the id is in use, or too long");
    else if (strcmp(m->method, "tools/call") == 0)
        return call(s, m, modern, ev);
    else if (strcmp(m->method, "tools/list") == 0)
        list_tools(s, m, modern);
    else if (strcmp(m->method, "initialize") == 0 && !modern)
        initialize(s, m);
    else if (strcmp(m->method, "ping") == 0 && !modern)
        give(s, m->id, json_object(), false);
    else if (strcmp(m->method, "server/discover") == 0 && modern)
        discover(s, m);
    else
        refuse(s, m->id, RPC_METHOD_NOT_FOUND, "Method not found: %.100s", m->method);
    return false;
}

static bool message(struct mcp_server *s, const json_t *v, struct mcp_server_event *ev)
{
    struct rpc_msg m;
    struct err err = { 0 };
    if (rpc_read(v, &m, &err) != OK) {
        refuse(s, m.id, INVALID_REQUEST, "Invalid request: %s", err.text);
        return false;
    }
    if (m.kind == RPC_REQUEST)
        return request(s, &m, ev);
    if (m.kind == RPC_NOTIFICATION && strcmp(m.method, "notifications/cancelled") == 0)
        return cancel(s, &m, ev);
    return false; /* other notifications, and answers: nothing was asked */
}

/* A line of JSON: s->current is to be worked off. */
static void take_line(struct mcp_server *s, struct str line)
{
    struct err err = { 0 };
    bool blank = true;
    for (size_t i = 0; i < line.n && blank; i++)
        blank = line.p[i] == ' ' || line.p[i] == '\t';
    if (blank)
        return;
    s->current = js_parse(line, &err);
    s->batch_at = 0;
    if (!s->current) {
        refuse(s, NULL, PARSE_ERROR, "Parse error: %s", err.text);
        return;
    }
    size_t n = json_array_size(s->current);
    bool batch = json_is_array(s->current) && strcmp(s->version, batch_version) == 0 && n > 0 &&
                 n <= RPC_BATCH_MAX;
    if (json_is_array(s->current) && !batch) {
        refuse(s, NULL, INVALID_REQUEST, "Invalid request: a batch");
        json_decref(s->current);
        s->current = NULL;
    }
}

static bool too_long(struct mcp_server *s, struct mcp_server_event *ev)
{
    int64_t number;
    struct str head = { s->reader.head, s->reader.head_n },
               tail = { s->reader.tail, s->reader.tail_n };
    json_t *id = rpc_id_of_ends(head, tail, &number) ? json_integer(number) : NULL;
    refuse(s, id, INVALID_REQUEST, "a message of more than %d bytes", MCP_SERVER_LINE_MAX);
    json_decref(id);
    snprintf(s->remark, sizeof s->remark, "a message of more than %d bytes was refused",
             MCP_SERVER_LINE_MAX);
    *ev = (struct mcp_server_event){ .kind = MCP_SERVE_REMARK, .text = s->remark };
    return true;
}

bool mcp_server_next(struct mcp_server *s, struct mcp_server_event *ev)
{
    while (!mcp_server_over(s)) {
        struct str line;
        if (json_is_array(s->current) && s->batch_at < json_array_size(s->current)) {
            if (message(s, js_at(s->current, s->batch_at++), ev))
                return true;
            continue;
        }
        json_decref(s->current);
        s->current = NULL;
        enum rpc_found found = rpc_line(&s->reader, &line);
        if (found == RPC_NOTHING)
            return false;
        if (found == RPC_LONG)
            return too_long(s, ev);
        if (found == RPC_ENDLESS) {
            s->over = true;
            return false;
        }
        take_line(s, line);
        if (json_is_object(s->current) || (s->current && !json_is_array(s->current))) {
            if (message(s, s->current, ev))
                return true; /* its arguments live in s->current */
        }
    }
    return false;
}
