/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    START_MS = 60000,
    CALL_MS = 60000,
    TOTAL_MS = 600000,
    REFRESH_MS = 1000, /* lists are asked for at most this often */
    OUT_MAX = 32 * 1024 * 1024,
    CURSOR_MAX = 64 * 1024,
    GARBAGE_REMARKS = 3, /* lines of garbage that are worth a line in the log */
    LIST_SLOTS = 1,      /* calls leave room for a listing */
};

static const struct mono never = { INT64_MAX };

static struct mono after(struct mono t, int64_t ms)
{
    return (struct mono){ t.ms + ms };
}

/* ---- life ------------------------------------------------------------------------------------ */

struct mcp *mcp_new(const struct mcp_options *options, struct mono now)
{
    struct mcp *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->options = *options;
    if (!m->options.start_ms)
        m->options.start_ms = START_MS;
    if (!m->options.call_ms)
        m->options.call_ms = CALL_MS;
    if (!m->options.total_ms)
        m->options.total_ms = TOTAL_MS;
    if (!m->options.line_max)
        m->options.line_max = RPC_LINE_MAX;
    m->now = now;
    m->start_by = after(now, m->options.start_ms);
    m->next_expiry = never;
    m->sequence = 1;
    for (size_t i = 0; i < MCP_CALLS_MAX; i++)
        m->free_slots[i] = (uint16_t)(MCP_CALLS_MAX - 1 - i);
    m->free_n = MCP_CALLS_MAX;
    rpc_reader_init(&m->reader, m->options.line_max, RPC_SKIP_MAX);
    buf_init(&m->out, OUT_MAX);
    buf_init(&m->cursor, CURSOR_MAX);
    handshake_start(m);
    return m;
}

void mcp_free(struct mcp *m)
{
    if (!m)
        return;
    rpc_reader_fini(&m->reader);
    buf_fini(&m->out);
    buf_fini(&m->cursor);
    mcp_tools_fini(&m->tools);
    mcp_tools_fini(&m->listing);
    json_decref(m->current);
    json_decref(m->batch);
    free(m);
}

void session_break(struct mcp *m, enum status st, const char *fix, const char *fmt, ...)
{
    va_list ap;
    if (m->step == STEP_BROKEN)
        return; /* the first reason is the reason */
    m->step = STEP_BROKEN;
    m->why.status = st;
    va_start(ap, fmt);
    vsnprintf(m->why.text, sizeof m->why.text, fmt, ap);
    va_end(ap);
    snprintf(m->why.fix, sizeof m->why.fix, "%s", fix);
}

void mcp_lost(struct mcp *m, const char *why, const char *fix)
{
    session_break(m, ERR_UNAVAILABLE, fix, "%s", why);
}

/* ---- requests in flight ---------------------------------------------------------------------- */

struct pending *session_request(struct mcp *m, enum what what, int64_t silence_ms)
{
    if (m->free_n == 0)
        return NULL;
    size_t slot = m->free_slots[--m->free_n];
    struct pending *p = &m->pending[slot];
    bool starting = m->step < STEP_READY;
    *p = (struct pending){ .what = what, .silence_ms = silence_ms };
    p->id = m->sequence++ * MCP_CALLS_MAX + (int64_t)slot;
    p->last = starting ? m->start_by : after(m->now, m->options.total_ms);
    p->deadline = after(m->now, silence_ms);
    if (p->deadline.ms > p->last.ms)
        p->deadline = p->last;
    if (p->deadline.ms < m->next_expiry.ms)
        m->next_expiry = p->deadline;
    m->in_flight += what == WHAT_CALL;
    return p;
}

void session_release(struct mcp *m, struct pending *p)
{
    assert(p->what != WHAT_NONE);
    m->in_flight -= p->what == WHAT_CALL;
    p->what = WHAT_NONE;
    m->free_slots[m->free_n++] = (uint16_t)(p - m->pending);
}

static struct pending *find(struct mcp *m, int64_t id)
{
    if (id < MCP_CALLS_MAX)
        return NULL;
    struct pending *p = &m->pending[id % MCP_CALLS_MAX];
    return p->what != WHAT_NONE && p->id == id ? p : NULL;
}

enum status mcp_call(struct mcp *m, const struct mcp_call *call, struct mono now, struct err *err)
{
    assert(call->user);
    if (m->step != STEP_READY)
        return err_set(err, ERR_UNAVAILABLE, "the server is not ready");
    if (m->free_n <= LIST_SLOTS)
        return err_set(err, ERR_BUSY, "%d calls are in flight", MCP_CALLS_MAX - LIST_SLOTS);
    struct buf arguments;
    buf_init(&arguments, MCP_ARGUMENTS_MAX);
    if (call->arguments)
        js_dump(call->arguments, &arguments);
    else
        buf_str(&arguments, "{}");
    if (arguments.status != OK) {
        buf_fini(&arguments);
        return err_set(err, ERR_LIMIT, "the arguments are larger than %d bytes", MCP_ARGUMENTS_MAX);
    }
    m->now = now;
    struct pending *p =
        session_request(m, WHAT_CALL, call->timeout_ms ? call->timeout_ms : m->options.call_ms);
    p->user = call->user;
    rpc_open(&m->out, p->id, "tools/call");
    buf_str(&m->out, "{\"name\":");
    rpc_string(&m->out, str_of(call->tool));
    buf_str(&m->out, ",\"arguments\":");
    buf_view(&m->out, buf_get(&arguments));
    buf_printf(&m->out, ",\"_meta\":{\"progressToken\":%" PRId64 "%s%s}}", p->id,
               m->era == MCP_MODERN ? "," : "", m->era == MCP_MODERN ? mcp_modern_meta : "");
    rpc_close(&m->out);
    buf_fini(&arguments);
    return OK;
}

static void tell_cancelled(struct mcp *m, const struct pending *p, const char *reason)
{
    rpc_open(&m->out, -1, "notifications/cancelled");
    buf_printf(&m->out, "{\"requestId\":%" PRId64 ",\"reason\":\"%s\"}", p->id, reason);
    rpc_close(&m->out);
}

void mcp_cancel(struct mcp *m, const void *user)
{
    for (size_t i = 0; i < MCP_CALLS_MAX; i++) {
        struct pending *p = &m->pending[i];
        if (p->what != WHAT_CALL || p->user != user)
            continue;
        tell_cancelled(m, p, "no longer wanted");
        session_release(m, p);
    }
}

size_t mcp_in_flight(const struct mcp *m)
{
    return m->in_flight;
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool done(struct mcp *m, struct pending *p, enum mcp_fault fault, const char *text,
                 struct mcp_event *ev)
{
    *ev = (struct mcp_event){
        .kind = MCP_DONE, .user = p->user, .fault = fault, .text = text, .fix = ""
    };
    session_release(m, p);
    return true;
}

static bool give_remark(struct mcp *m, struct mcp_event *ev)
{
    m->remark.status = OK;
    *ev = (struct mcp_event){ .kind = MCP_REMARK, .text = m->remark.text, .fix = m->remark.fix };
    return true;
}

/* One call after the other ends, then the session. */
static bool end_next(struct mcp *m, struct mcp_event *ev)
{
    for (size_t i = 0; m->in_flight > 0 && i < MCP_CALLS_MAX; i++) {
        if (m->pending[i].what == WHAT_CALL)
            return done(m, &m->pending[i], MCP_LOST, m->why.text, ev);
    }
    if (m->told)
        return false;
    m->told = true;
    *ev = (struct mcp_event){ .kind = MCP_BROKEN, .text = m->why.text, .fix = m->why.fix };
    return true;
}

/* A handshake without an answer. What the server wrote instead is the best hint there is. */
static void late_start(struct mcp *m, const char *method)
{
    struct str said = str_of(m->garbage_first);
    session_break(m, ERR_TIMEOUT,
                  "start the command by hand: it has to read JSON-RPC from its standard input and "
                  "write nothing else to its standard output",
                  "no answer to %s within %" PRId64 " ms%s%.*s%s", method, m->options.start_ms,
                  said.n ? "; it wrote '" : "", STR_ARG(said), said.n ? "' instead" : "");
}

static bool expire_one(struct mcp *m, struct pending *p, struct mcp_event *ev)
{
    if (p->what == WHAT_CALL) {
        tell_cancelled(m, p, "timeout");
        err_set(&m->remark, OK, "no answer within %" PRId64 " ms", p->silence_ms);
        return done(m, p, MCP_TIMED_OUT, m->remark.text, ev);
    }
    enum what what = p->what;
    session_release(m, p);
    if (m->step == STEP_READY) {
        m->list_running = false;
        err_set(&m->remark, ERR_TIMEOUT, "no answer to tools/list, the tools known so far stay");
        return give_remark(m, ev);
    }
    late_start(m, what == WHAT_INIT       ? "initialize"
                  : what == WHAT_DISCOVER ? "server/discover"
                                          : "tools/list");
    return end_next(m, ev);
}

static bool expire(struct mcp *m, struct mcp_event *ev)
{
    struct mono least = never;
    for (size_t i = 0; i < MCP_CALLS_MAX; i++) {
        struct pending *p = &m->pending[i];
        if (p->what == WHAT_NONE)
            continue;
        if (p->deadline.ms <= m->now.ms)
            return expire_one(m, p, ev); /* next_expiry stays: more may be due */
        if (p->deadline.ms < least.ms)
            least = p->deadline;
    }
    m->next_expiry = least;
    return false;
}

struct mono mcp_deadline(const struct mcp *m)
{
    if (m->step == STEP_BROKEN)
        return m->told ? never : m->now;
    bool refresh = m->list_stale && !m->list_running && m->step == STEP_READY;
    return refresh && m->refresh_at.ms < m->next_expiry.ms ? m->refresh_at : m->next_expiry;
}

/* ---- what the server says -------------------------------------------------------------------- */

/* Text on stdout that is no JSON-RPC: banners and log lines happen, a flood does not end well. */
static bool garbage(struct mcp *m, struct str line, struct mcp_event *ev)
{
    m->garbage_lines++;
    m->garbage_bytes += line.n + 1;
    if (!*m->garbage_first) {
        struct buf shown;
        size_t n = line.n < sizeof m->garbage_first - 1 ? line.n : sizeof m->garbage_first - 1;
        buf_init(&shown, sizeof m->garbage_first);
        for (size_t i = 0; i < n; i++)
            buf_char(&shown, line.p[i] >= ' ' && line.p[i] < 0x7f ? line.p[i] : '?');
        snprintf(m->garbage_first, sizeof m->garbage_first, "%s", buf_z(&shown));
        buf_fini(&shown);
    }
    if (m->garbage_bytes > MCP_GARBAGE_MAX) {
        session_break(m, ERR_PROTOCOL,
                      "its standard output is for messages only: send log lines to standard error",
                      "it writes text that is no JSON-RPC, for instance '%s'", m->garbage_first);
        return false;
    }
    if (m->garbage_lines > GARBAGE_REMARKS)
        return false;
    err_set(&m->remark, ERR_PROTOCOL, "a line on its standard output is no JSON-RPC: '%s'",
            m->garbage_first);
    return give_remark(m, ev);
}

/* An answer that cannot be used, to a request that can be told. */
static bool spoilt(struct mcp *m, struct pending *p, enum mcp_fault fault, struct mcp_event *ev)
{
    const char *text =
        fault == MCP_TOO_LARGE ? "its answer is larger than" : "its answer is no result";
    if (fault == MCP_TOO_LARGE)
        err_set(&m->remark, OK, "%s %zu bytes", text, m->reader.line_max);
    else
        err_set(&m->remark, OK, "%s", text);
    if (p->what == WHAT_CALL)
        return done(m, p, fault, m->remark.text, ev);
    session_release(m, p);
    session_break(m, ERR_PROTOCOL, "", "the handshake failed: %s", m->remark.text);
    return false;
}

static struct pending *find_by_ends(struct mcp *m, struct str head, struct str tail)
{
    int64_t id;
    return rpc_id_of_ends(head, tail, &id) ? find(m, id) : NULL;
}

/* A line too long to be kept. When it cannot be told whose answer it was, somebody waits in vain:
 * with one request in flight that is the one, otherwise the timeout tells. */
static bool too_long(struct mcp *m, struct mcp_event *ev)
{
    const struct rpc_reader *r = &m->reader;
    struct pending *p =
        find_by_ends(m, (struct str){ r->head, r->head_n }, (struct str){ r->tail, r->tail_n });
    if (!p && m->free_n == MCP_CALLS_MAX - 1) {
        for (size_t i = 0; i < MCP_CALLS_MAX && !p; i++)
            p = m->pending[i].what != WHAT_NONE ? &m->pending[i] : NULL;
    }
    if (p)
        return spoilt(m, p, MCP_TOO_LARGE, ev);
    err_set(&m->remark, ERR_LIMIT, "a message larger than %zu bytes was dropped", r->line_max);
    return give_remark(m, ev);
}

static bool on_call_answer(struct mcp *m, struct pending *p, const struct rpc_msg *msg,
                           struct mcp_event *ev)
{
    char code[64];
    if (msg->kind == RPC_ERROR) {
        struct buf text;
        buf_init(&text, sizeof m->remark.text);
        mcp_clean((struct str){ msg->message, strnlen(msg->message, 600) }, true, &text);
        err_set(&m->remark, OK, "error %s: %s", rpc_code_text(msg->code, code), buf_z(&text));
        buf_fini(&text);
        return done(m, p, MCP_REFUSED, m->remark.text, ev);
    }
    if (!json_is_object(msg->result))
        return spoilt(m, p, MCP_MALFORMED, ev);
    const char *type = js_str(msg->result, "resultType"); /* absent means complete */
    if (*type && strcmp(type, "complete") != 0)
        return done(
            m, p, MCP_REFUSED,
            "the tool wants something else before it answers (input or a task), which is not "
            "offered here",
            ev);
    *ev = (struct mcp_event){ .kind = MCP_DONE,
                              .user = p->user,
                              .result = msg->result,
                              .text = "",
                              .fix = "",
                              .is_error = js_bool(msg->result, "isError", false) };
    session_release(m, p);
    return true;
}

static bool on_answer(struct mcp *m, const struct rpc_msg *msg, struct mcp_event *ev)
{
    struct pending *p = find(m, msg->number);
    if (!p)
        return false; /* late, doubled or made up */
    if (p->what == WHAT_CALL)
        return on_call_answer(m, p, msg, ev);
    enum what what = p->what;
    session_release(m, p);
    return handshake_answer(m, what, msg, ev);
}

static bool on_progress(struct mcp *m, const json_t *params, struct mcp_event *ev)
{
    struct pending *p = find(m, js_int(params, "progressToken", -1));
    if (!p || p->what != WHAT_CALL)
        return false;
    p->deadline = after(m->now, p->silence_ms);
    if (p->deadline.ms > p->last.ms)
        p->deadline = p->last;
    const char *text = js_str(params, "message");
    *ev = (struct mcp_event){ .kind = MCP_PROGRESS,
                              .user = p->user,
                              .text = text,
                              .fix = "",
                              .progress = js_real(params, "progress", 0),
                              .total = js_real(params, "total", 0) };
    return true;
}

static bool on_notification(struct mcp *m, const struct rpc_msg *msg, struct mcp_event *ev)
{
    if (strcmp(msg->method, "notifications/progress") == 0)
        return on_progress(m, msg->params, ev);
    if (strcmp(msg->method, "notifications/tools/list_changed") == 0)
        m->list_stale = true;
    return false;
}

/* Requests of the server. What was not offered in initialize is not served. */
static void on_request(struct mcp *m, const struct rpc_msg *msg)
{
    if (strcmp(msg->method, "ping") == 0)
        rpc_result(&m->out, msg->id, str_of("{}"));
    else if (strcmp(msg->method, "elicitation/create") == 0)
        rpc_result(&m->out, msg->id, str_of("{\"action\":\"decline\"}"));
    else
        rpc_error(&m->out, msg->id, RPC_METHOD_NOT_FOUND, "this client does not serve it");
}

static bool on_message(struct mcp *m, const json_t *v, struct str line, struct mcp_event *ev)
{
    struct rpc_msg msg;
    if (rpc_read(v, &msg, NULL) != OK) {
        struct pending *p = find(m, js_int(v, "id", -1));
        return p ? spoilt(m, p, MCP_MALFORMED, ev) : garbage(m, line, ev);
    }
    switch (msg.kind) {
    case RPC_RESULT:
    case RPC_ERROR: return on_answer(m, &msg, ev);
    case RPC_NOTIFICATION: return on_notification(m, &msg, ev);
    case RPC_REQUEST: on_request(m, &msg); return false;
    }
    return false;
}

static bool on_line(struct mcp *m, struct str line, struct mcp_event *ev)
{
    if (line.n == 0)
        return false;
    json_decref(m->current);
    m->current = line.p[0] == '{' || line.p[0] == '[' ? js_parse(line, NULL) : NULL;
    if (!m->current) {
        struct pending *p = line.p[0] == '{' ? find_by_ends(m, line, line) : NULL;
        return p ? spoilt(m, p, MCP_MALFORMED, ev) : garbage(m, line, ev);
    }
    if (json_is_array(m->current)) {
        m->batch = m->current;
        m->current = NULL;
        m->batch_at = 0;
        return false;
    }
    return on_message(m, m->current, line, ev);
}

/* ---- the pump -------------------------------------------------------------------------------- */

void mcp_feed(struct mcp *m, struct str bytes)
{
    if (m->step == STEP_BROKEN)
        return;
    if (rpc_feed(&m->reader, bytes) != OK)
        session_break(m, m->reader.in.status, "", "its output does not fit in memory");
}

/* One message of a batch, or one line. False when there is neither. */
static bool advance(struct mcp *m, struct mcp_event *ev, bool *event)
{
    struct str line = { 0 };
    if (m->batch && m->batch_at < js_count(m->batch) && m->batch_at < RPC_BATCH_MAX) {
        *event = on_message(m, js_at(m->batch, m->batch_at++), str_of("[...]"), ev);
        return true;
    }
    json_decref(m->batch);
    m->batch = NULL;
    switch (rpc_line(&m->reader, &line)) {
    case RPC_NOTHING: return false;
    case RPC_LINE: *event = on_line(m, line, ev); return true;
    case RPC_LONG: *event = too_long(m, ev); return true;
    case RPC_ENDLESS:
        session_break(m, ERR_LIMIT, "", "it writes a line that does not end (more than %d bytes)",
                      RPC_SKIP_MAX);
        return true;
    }
    return false;
}

static void refresh_list(struct mcp *m)
{
    if (m->step != STEP_READY || !m->list_stale || m->list_running || m->now.ms < m->refresh_at.ms)
        return;
    handshake_list(m);
    m->refresh_at = after(m->now, REFRESH_MS);
}

bool mcp_next(struct mcp *m, struct mono now, struct mcp_event *ev)
{
    if (now.ms > m->now.ms)
        m->now = now;
    for (;;) {
        bool event = false;
        if (m->out.status != OK)
            session_break(m, ERR_LIMIT, "", "it does not read what is sent to it");
        if (m->step == STEP_BROKEN)
            return end_next(m, ev);
        if (m->remark.status != OK)
            return give_remark(m, ev);
        bool more = advance(m, ev, &event);
        if (event)
            return true;
        if (more || m->step == STEP_BROKEN)
            continue;
        if (m->now.ms >= m->next_expiry.ms && expire(m, ev))
            return true;
        refresh_list(m);
        return m->step == STEP_BROKEN || m->out.status != OK ? end_next(m, ev) : false;
    }
}

/* ---- what is known --------------------------------------------------------------------------- */

struct buf *mcp_out(struct mcp *m)
{
    return &m->out;
}

bool mcp_ready(const struct mcp *m)
{
    return m->step == STEP_READY;
}

const struct mcp_tools *mcp_tools(const struct mcp *m)
{
    return &m->tools;
}

const char *mcp_version(const struct mcp *m)
{
    return m->version;
}

const char *mcp_server(const struct mcp *m)
{
    return m->server;
}
