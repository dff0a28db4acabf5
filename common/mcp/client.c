/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/client.h"

#include "common/mcp/content.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEGACY "2025-11-25"
#define MODERN "2026-07-28"
#define META(key) "io.modelcontextprotocol/" key

static const char *const legacy_versions[] = { LEGACY, "2025-06-18", "2025-03-26", "2024-11-05" };

enum ask { ASK_INITIALIZE, ASK_DISCOVER, ASK_LIST, ASK_CALL };

/* A request of ours that has no answer yet; a call may still wait to be said. */
struct pending {
    struct pending *next;
    int64_t id;
    enum ask ask;
    bool sent, retried;
    struct mono deadline;
    int64_t timeout_ms;
    json_t *params;
};

struct queued {
    struct queued *next;
    struct mcp_event event;
};

struct mcp_client {
    char name[128];
    int64_t start_ms;
    enum mcp_state state;
    bool modern, has_tools, list_again;
    char version[32];
    struct rpc_lines lines;
    struct buf out;
    struct mono now;
    int64_t last_id;
    uint64_t garbage;
    struct pending *pending, **pending_end;
    size_t calls_n;
    struct queued *events, **events_end;
    json_t *tools, *listing; /* listing: gathered pages */
    size_t pages;
    char cursor[MCP_CURSOR_MAX + 1];
    char last_garbage[160];
};

struct mcp_client *mcp_new(const char *name, int64_t start_ms)
{
    struct mcp_client *c = calloc(1, sizeof *c);
    assert(c);
    snprintf(c->name, sizeof c->name, "%s", name);
    c->start_ms = start_ms;
    c->pending_end = &c->pending;
    c->events_end = &c->events;
    c->tools = json_array();
    rpc_lines_init(&c->lines, RPC_LINE_MAX);
    buf_init(&c->out, MCP_OUT_MAX);
    return c;
}

static void pending_free(struct pending *p)
{
    json_decref(p->params);
    free(p);
}

void mcp_free(struct mcp_client *c)
{
    struct mcp_event e;
    if (!c)
        return;
    while (mcp_next(c, &e))
        buf_fini(&e.text);
    for (struct pending *p = c->pending, *next; p; p = next) {
        next = p->next;
        pending_free(p);
    }
    rpc_lines_fini(&c->lines);
    buf_fini(&c->out);
    json_decref(c->tools);
    json_decref(c->listing);
    free(c);
}

/* ---- events ---------------------------------------------------------------------------------- */

static struct mcp_event *event(struct mcp_client *c, enum mcp_event_kind kind)
{
    struct queued *q = calloc(1, sizeof *q);
    assert(q);
    q->event.kind = kind;
    buf_init(&q->event.text, RPC_LINE_MAX);
    *c->events_end = q;
    c->events_end = &q->next;
    return &q->event;
}

bool mcp_next(struct mcp_client *c, struct mcp_event *out)
{
    struct queued *q = c->events;
    if (!q)
        return false;
    *out = q->event;
    c->events = q->next;
    if (!c->events)
        c->events_end = &c->events;
    free(q);
    return true;
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct pending *pending_add(struct mcp_client *c, enum ask ask, json_t *params, int64_t timeout_ms)
{
    struct pending *p = calloc(1, sizeof *p);
    assert(p);
    *p = (struct pending){ .id = ++c->last_id, .ask = ask, .timeout_ms = timeout_ms, .params = params };
    p->deadline.ms = c->now.ms + timeout_ms;
    *c->pending_end = p;
    c->pending_end = &p->next;
    c->calls_n += ask == ASK_CALL;
    return p;
}

static struct pending *pending_take(struct mcp_client *c, int64_t id)
{
    struct pending **at = &c->pending;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct pending *p = *at;
    if (!p)
        return NULL;
    *at = p->next;
    if (!p->next)
        c->pending_end = at;
    c->calls_n -= p->ask == ASK_CALL;
    return p;
}

static struct pending *pending_find(struct mcp_client *c, int64_t id)
{
    struct pending *p = c->pending;
    while (p && p->id != id)
        p = p->next;
    return p;
}

static json_t *client_info(void)
{
    return json_pack("{s:s,s:s}", "name", "pawl", "version", PAWL_VERSION);
}

static const char *method_of(enum ask ask)
{
    static const char *const methods[] = { [ASK_INITIALIZE] = "initialize", [ASK_DISCOVER] = "server/discover",
                                           [ASK_LIST] = "tools/list", [ASK_CALL] = "tools/call" };
    return methods[ask];
}

static void say(struct mcp_client *c, struct pending *p)
{
    if (c->modern)
        js_set(p->params, "_meta",
               json_pack("{s:s,s:{},s:o}", META("protocolVersion"), MODERN, META("clientCapabilities"),
                         META("clientInfo"), client_info()));
    rpc_put_request(&c->out, p->id, method_of(p->ask), p->params);
    p->sent = true;
}

static void ask(struct mcp_client *c, enum ask what, json_t *params)
{
    say(c, pending_add(c, what, params, c->start_ms));
}

static void ask_initialize(struct mcp_client *c, const char *version)
{
    c->state = MCP_INITIALIZING;
    ask(c, ASK_INITIALIZE,
        json_pack("{s:s,s:{},s:o}", "protocolVersion", version, "capabilities", "clientInfo", client_info()));
}

static void ask_list(struct mcp_client *c, const char *cursor)
{
    json_t *params = json_object();
    if (cursor)
        js_set_z(params, "cursor", cursor);
    ask(c, ASK_LIST, params);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void fault(struct mcp_client *c, struct pending *p, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void fault(struct mcp_client *c, struct pending *p, const char *fmt, ...)
{
    struct mcp_event *e = event(c, MCP_EVENT_CALLED);
    va_list args;
    e->call = (uint64_t)p->id;
    e->sent = p->sent;
    va_start(args, fmt);
    vsnprintf(e->fault, sizeof e->fault, fmt, args);
    va_end(args);
    pending_free(p);
}

void mcp_end(struct mcp_client *c, const char *why)
{
    if (c->state == MCP_ENDED)
        return;
    c->state = MCP_ENDED;
    struct pending *p = c->pending;
    c->pending = NULL;
    c->pending_end = &c->pending;
    c->calls_n = 0;
    for (struct pending *next; p; p = next) {
        next = p->next;
        if (p->ask == ASK_CALL)
            fault(c, p, "%s", why);
        else
            pending_free(p);
    }
    struct mcp_event *e = event(c, MCP_EVENT_ENDED);
    snprintf(e->fault, sizeof e->fault, "%s", why);
    buf_clear(&c->out);
}

static void end(struct mcp_client *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void end(struct mcp_client *c, const char *fmt, ...)
{
    char why[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    mcp_end(c, why);
}

/* ---- the session becomes ready --------------------------------------------------------------- */

bool mcp_has_tool(const struct mcp_client *c, const char *name)
{
    for (size_t i = 0; i < js_count(c->tools); i++) {
        if (strcmp(js_str(js_at(c->tools, i), "name"), name) == 0)
            return true;
    }
    return false;
}

static void name_tools(const struct mcp_client *c, struct buf *out)
{
    size_t n = js_count(c->tools);
    for (size_t i = 0; i < n && i < 12; i++)
        buf_printf(out, "%s%s", i ? ", " : "", js_str(js_at(c->tools, i), "name"));
    if (n > 12)
        buf_printf(out, " and %zu more", n - 12);
    if (n == 0)
        buf_str(out, "none");
}

/* Say a call that has waited for the session, or refuse it: the server has no such tool. */
static void say_call(struct mcp_client *c, struct pending *p)
{
    const char *tool = js_str(p->params, "name");
    if (mcp_has_tool(c, tool)) {
        say(c, p);
        return;
    }
    struct buf names;
    buf_init(&names, 4096);
    name_tools(c, &names);
    p = pending_take(c, p->id);
    fault(c, p, "server '%s' has no tool '%.128s'; it offers: %.700s", c->name, js_str(p->params, "name"),
          buf_z(&names));
    buf_fini(&names);
}

static void become_ready(struct mcp_client *c)
{
    bool first = c->state != MCP_READY;
    c->state = MCP_READY;
    event(c, first ? MCP_EVENT_READY : MCP_EVENT_TOOLS);
    for (struct pending *p = c->pending, *next; p; p = next) {
        next = p->next;
        if (p->ask == ASK_CALL && !p->sent)
            say_call(c, p);
    }
}

static void start_listing(struct mcp_client *c)
{
    if (c->state != MCP_READY)
        c->state = MCP_LISTING;
    c->list_again = false;
    c->pages = 0;
    c->cursor[0] = '\0';
    json_decref(c->listing);
    c->listing = json_array();
    if (c->has_tools) {
        ask_list(c, NULL);
        return;
    }
    json_decref(c->listing);
    c->listing = NULL;
    become_ready(c);
}

static void on_listed(struct mcp_client *c, const json_t *result)
{
    const json_t *tools = js_list(result, "tools");
    struct str cursor = js_view(result, "nextCursor");
    if (!tools) {
        end(c, "the answer to tools/list has no list of tools");
        return;
    }
    for (size_t i = 0; i < js_count(tools) && js_count(c->listing) < MCP_TOOLS_MAX; i++) {
        json_t *tool = mcp_tool_read(js_at(tools, i));
        if (tool)
            js_push(c->listing, tool);
    }
    bool more = cursor.n > 0 && cursor.n <= MCP_CURSOR_MAX && ++c->pages < MCP_PAGES_MAX &&
                js_count(c->listing) < MCP_TOOLS_MAX && !str_is(cursor, c->cursor);
    if (more && strlen(cursor.p) == cursor.n) {
        memcpy(c->cursor, cursor.p, cursor.n + 1);
        ask_list(c, c->cursor);
        return;
    }
    json_decref(c->tools);
    c->tools = c->listing;
    c->listing = NULL;
    become_ready(c);
    if (c->list_again)
        start_listing(c);
}

static void on_initialized(struct mcp_client *c, const json_t *result)
{
    const char *version = js_str(result, "protocolVersion");
    bool known = false;
    for (size_t i = 0; i < COUNT(legacy_versions); i++)
        known = known || strcmp(version, legacy_versions[i]) == 0;
    if (!known) {
        end(c, "speaks protocol revision '%.32s', which pawl does not know (it knows 2024-11-05 to " MODERN ")",
            version);
        return;
    }
    snprintf(c->version, sizeof c->version, "%.31s", version);
    c->has_tools = js_obj(js_obj(result, "capabilities"), "tools") != NULL;
    rpc_put_note(&c->out, "notifications/initialized", NULL);
    start_listing(c);
}

static void on_discovered(struct mcp_client *c, const json_t *result)
{
    const json_t *versions = js_list(result, "supportedVersions");
    bool known = !versions;
    for (size_t i = 0; i < js_count(versions); i++) {
        const char *v = json_string_value(js_at(versions, i));
        known = known || (v && strcmp(v, MODERN) == 0);
    }
    if (!known) {
        end(c, "speaks no protocol revision that pawl knows (2024-11-05 to " MODERN ")");
        return;
    }
    snprintf(c->version, sizeof c->version, "%s", MODERN);
    c->has_tools = js_obj(js_obj(result, "capabilities"), "tools") != NULL;
    start_listing(c);
}

/* `initialize` was refused for its revision: take the best that the server names, modern if it names
 * none. Only once each, so that a refusal of everything ends. */
static void change_era(struct mcp_client *c, const struct rpc_msg *m)
{
    const json_t *supported = js_list(m->data, "supported");
    const char *older = NULL;
    bool modern = !supported;
    for (size_t i = 0; i < js_count(supported); i++) {
        const char *v = json_string_value(js_at(supported, i));
        modern = modern || (v && strcmp(v, MODERN) == 0);
        for (size_t k = 1; v && k < COUNT(legacy_versions); k++) {
            if (strcmp(v, legacy_versions[k]) == 0 && (!older || strcmp(v, older) > 0))
                older = legacy_versions[k];
        }
    }
    if (modern) {
        c->modern = true;
        c->state = MCP_DISCOVERING;
        ask(c, ASK_DISCOVER, json_object());
    } else if (older && !*c->version) {
        snprintf(c->version, sizeof c->version, "%s", older); /* tried */
        ask_initialize(c, older);
    } else {
        end(c, "speaks no protocol revision that pawl knows (2024-11-05 to " MODERN ")");
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void on_called(struct mcp_client *c, struct pending *p, const json_t *result)
{
    const char *type = js_str(result, "resultType");
    if (strcmp(type, "input_required") == 0) {
        fault(c, p, "the tool asks for more input, which pawl cannot give");
        return;
    }
    if (!json_is_object(result) || (*type && strcmp(type, "complete") != 0)) {
        fault(c, p, "the answer is no result of a tool%s%.40s", *type ? ": resultType " : "", type);
        return;
    }
    struct mcp_event *e = event(c, MCP_EVENT_CALLED);
    e->call = (uint64_t)p->id;
    e->answered = e->sent = true;
    e->is_error = js_bool(result, "isError", false);
    mcp_content_text(result, &e->text);
    pending_free(p);
}

static void on_result(struct mcp_client *c, struct pending *p, const json_t *result)
{
    enum ask what = p->ask;
    if (what == ASK_CALL) {
        on_called(c, p, result);
        return;
    }
    pending_free(p);
    switch (what) {
    case ASK_INITIALIZE: on_initialized(c, result); break;
    case ASK_DISCOVER: on_discovered(c, result); break;
    case ASK_LIST: on_listed(c, result); break;
    case ASK_CALL: break;
    }
}

/* "error -32602 (invalid params): the server's words". */
static void error_text(const struct rpc_msg *m, struct buf *out)
{
    buf_printf(out, "error %lld (%s): ", (long long)m->code, rpc_code_text(m->code));
    mcp_clean((struct str){ m->message, strnlen(m->message, 4096) }, true, out);
}

static void on_refused(struct mcp_client *c, struct pending *p, const struct rpc_msg *m)
{
    struct buf text;
    if (m->code == RPC_VERSION && c->modern && !p->retried) {
        p->retried = true; /* once more, as it is: some servers need it */
        *c->pending_end = p;
        p->next = NULL;
        c->pending_end = &p->next;
        c->calls_n += p->ask == ASK_CALL;
        say(c, p);
        return;
    }
    if (p->ask == ASK_CALL) {
        struct mcp_event *e = event(c, MCP_EVENT_CALLED);
        e->call = (uint64_t)p->id;
        e->answered = e->sent = e->is_error = true;
        error_text(m, &e->text);
        pending_free(p);
        return;
    }
    enum ask what = p->ask;
    pending_free(p);
    if (what == ASK_INITIALIZE && m->code == RPC_VERSION) {
        change_era(c, m);
    } else if (what == ASK_LIST && m->code == RPC_NO_METHOD) {
        c->has_tools = false;
        start_listing(c);
    } else {
        buf_init(&text, 8192);
        error_text(m, &text);
        end(c, "refused %s: %.600s", method_of(what), buf_z(&text));
        buf_fini(&text);
    }
}

static void on_request(struct mcp_client *c, const struct rpc_msg *m)
{
    if (c->out.len > MCP_OUT_MAX / 2)
        return; /* it asks faster than it reads */
    if (strcmp(m->method, "ping") == 0) {
        json_t *nothing = json_object();
        rpc_put_result(&c->out, m->id, nothing);
        json_decref(nothing);
    } else {
        rpc_put_error(&c->out, m->id, RPC_NO_METHOD, "method not found");
    }
}

static void on_note(struct mcp_client *c, const struct rpc_msg *m)
{
    if (strcmp(m->method, "notifications/tools/list_changed") != 0)
        return;
    if (c->state == MCP_READY && !c->listing) {
        c->has_tools = true;
        start_listing(c);
    } else {
        c->list_again = c->listing != NULL;
    }
}

static void on_message(struct mcp_client *c, const json_t *v)
{
    struct rpc_msg m;
    if (rpc_read(v, &m, NULL) != OK) {
        c->garbage++;
        return;
    }
    if (m.kind == RPC_REQUEST)
        on_request(c, &m);
    else if (m.kind == RPC_NOTE)
        on_note(c, &m);
    if (m.kind == RPC_REQUEST || m.kind == RPC_NOTE)
        return;
    struct pending *p = json_is_integer(m.id) ? pending_find(c, json_integer_value(m.id)) : NULL;
    if (!p || !p->sent)
        return; /* late, or never asked */
    p = pending_take(c, p->id);
    if (m.kind == RPC_RESULT)
        on_result(c, p, m.result);
    else
        on_refused(c, p, &m);
}

/* A line that cannot be read, though it seems to be the answer to a request of ours. */
static void spoil(struct mcp_client *c, int64_t id, const char *why)
{
    struct pending *p = pending_find(c, id);
    if (!p || !p->sent)
        return;
    if (p->ask == ASK_CALL)
        fault(c, pending_take(c, id), "%s", why);
    else
        end(c, "the answer to %s: %s", method_of(p->ask), why);
}

/* Too long: fail the request it answers, or, when that is not to be seen, all that are out. */
static void on_long_line(struct mcp_client *c, const struct rpc_line *line)
{
    char why[160];
    int64_t id = 0;
    snprintf(why, sizeof why, "the answer is larger than a line may be: %llu bytes, at most %d",
             (unsigned long long)line->bytes, RPC_LINE_MAX);
    if (rpc_guess_id(line->text, line->tail, &id) && pending_find(c, id)) {
        spoil(c, id, why);
        return;
    }
    for (struct pending *p = c->pending, *next; p && c->state != MCP_ENDED; p = next) {
        next = p->next;
        spoil(c, p->id, why);
    }
}

static void on_garbage(struct mcp_client *c, const struct rpc_line *line, const struct err *err)
{
    struct str tail = line->text;
    struct buf b;
    int64_t id = 0;
    buf_init(&b, sizeof c->last_garbage - 1);
    mcp_clean((struct str){ line->text.p, line->text.n < 80 ? line->text.n : 80 }, true, &b);
    if (utf8_valid(buf_get(&b), NULL))
        snprintf(c->last_garbage, sizeof c->last_garbage, "%s", buf_z(&b));
    buf_fini(&b);
    if (tail.n > RPC_HEAD_MAX)
        tail = (struct str){ tail.p + tail.n - RPC_HEAD_MAX, RPC_HEAD_MAX };
    if (line->text.p[0] == '{' && rpc_guess_id(line->text, tail, &id)) {
        char why[900];
        snprintf(why, sizeof why, "the answer is not valid JSON: %.700s", err->text);
        spoil(c, id, why);
    }
}

static void on_line(void *ctx, const struct rpc_line *line)
{
    struct mcp_client *c = ctx;
    struct err err = { 0 };
    if (c->state == MCP_ENDED || c->state == MCP_NEW)
        return;
    json_t *v = line->too_long ? NULL : js_parse(line->text, &err);
    if (line->too_long) {
        c->garbage++;
        on_long_line(c, line);
    } else if (!v) {
        c->garbage++;
        on_garbage(c, line, &err);
    } else if (json_is_array(v)) {
        for (size_t i = 0; i < js_count(v) && i < RPC_BATCH_MAX; i++)
            on_message(c, js_at(v, i));
    } else {
        on_message(c, v);
    }
    json_decref(v);
}

/* ---- the outside ----------------------------------------------------------------------------- */

void mcp_start(struct mcp_client *c, struct mono now)
{
    assert(c->state == MCP_NEW);
    c->now = now;
    ask_initialize(c, LEGACY);
}

void mcp_feed(struct mcp_client *c, struct str bytes, struct mono now)
{
    c->now = now;
    rpc_lines_feed(&c->lines, bytes, on_line, c);
    if (c->out.status != OK && c->state != MCP_ENDED)
        end(c, "does not read what it is sent: %d bytes are waiting", MCP_OUT_MAX);
}

/* Tell the server that nobody waits any more. */
static void say_cancelled(struct mcp_client *c, const struct pending *p, const char *reason)
{
    json_t *params = json_pack("{s:I,s:s}", "requestId", (json_int_t)p->id, "reason", reason);
    rpc_put_note(&c->out, "notifications/cancelled", params);
    json_decref(params);
}

static void on_silence(struct mcp_client *c, struct pending *p)
{
    double s = (double)p->timeout_ms / 1000;
    if (p->ask != ASK_CALL) {
        end(c, "no answer to %s within %.3g s%s%s", method_of(p->ask), s,
            *c->last_garbage ? "; its output is no MCP, it begins: " : "", c->last_garbage);
        return;
    }
    p = pending_take(c, p->id);
    if (p->sent)
        say_cancelled(c, p, "time ran out");
    fault(c, p, p->sent ? "no answer within %.3g s" : "the server was not ready within %.3g s", s);
}

void mcp_cancel(struct mcp_client *c, uint64_t call)
{
    struct pending *p = pending_take(c, (int64_t)call);
    if (!p)
        return;
    if (p->sent)
        say_cancelled(c, p, "cancelled");
    pending_free(p);
}

void mcp_tick(struct mcp_client *c, struct mono now)
{
    c->now = now;
    for (struct pending *p = c->pending, *next; p && c->state != MCP_ENDED; p = next) {
        next = p->next;
        if (p->deadline.ms <= now.ms)
            on_silence(c, p);
    }
}

bool mcp_deadline(const struct mcp_client *c, struct mono *at)
{
    bool any = false;
    for (const struct pending *p = c->pending; p; p = p->next) {
        if (!any || p->deadline.ms < at->ms)
            *at = p->deadline;
        any = true;
    }
    return any;
}

struct buf *mcp_out(struct mcp_client *c)
{
    return &c->out;
}

uint64_t mcp_call(struct mcp_client *c, const char *tool, const json_t *arguments, struct mono now,
                  int64_t timeout_ms)
{
    if (c->state == MCP_ENDED || c->calls_n >= MCP_CALLS_MAX)
        return 0;
    c->now = now;
    json_t *params = json_object();
    assert(params);
    js_set_z(params, "name", tool);
    js_set(params, "arguments", arguments ? json_incref((json_t *)(uintptr_t)arguments) : json_object());
    struct pending *p = pending_add(c, ASK_CALL, params, timeout_ms);
    uint64_t id = (uint64_t)p->id;
    if (c->state == MCP_READY)
        say_call(c, p);
    return id;
}

enum mcp_state mcp_state(const struct mcp_client *c)
{
    return c->state;
}

const json_t *mcp_tools(const struct mcp_client *c)
{
    return c->tools;
}

const char *mcp_version(const struct mcp_client *c)
{
    return c->version;
}

uint64_t mcp_garbage(const struct mcp_client *c)
{
    return c->garbage;
}
