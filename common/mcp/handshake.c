/* SPDX-License-Identifier: Apache-2.0 */
/* Getting to READY, and the list of tools. Facts behind the order of requests: client.h. */
#include "common/mcp/session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LEGACY_VERSION "2025-11-25"
#define MODERN_VERSION "2026-07-28"
#define CLIENT_INFO    "{\"name\":\"pawl\",\"version\":\"" PAWL_VERSION "\"}"

/* What every request of the second era says about itself. */
const char mcp_modern_meta[] = "\"io.modelcontextprotocol/protocolVersion\":\"" MODERN_VERSION "\","
                               "\"io.modelcontextprotocol/clientCapabilities\":{},"
                               "\"io.modelcontextprotocol/clientInfo\":" CLIENT_INFO;

enum { REMARK_BYTES = 300 };

static void send_initialize(struct mcp *m)
{
    struct pending *p = session_request(m, WHAT_INIT, m->options.start_ms);
    m->step = STEP_INIT;
    m->era = MCP_LEGACY;
    rpc_request(&m->out, p->id, "initialize",
                str_of("{\"protocolVersion\":\"" LEGACY_VERSION
                       "\",\"capabilities\":{},\"clientInfo\":" CLIENT_INFO "}"));
}

static void send_discover(struct mcp *m)
{
    struct pending *p = session_request(m, WHAT_DISCOVER, m->options.start_ms);
    m->step = STEP_DISCOVER;
    m->era = MCP_MODERN;
    rpc_open(&m->out, p->id, "server/discover");
    buf_printf(&m->out, "{\"_meta\":{%s}}", mcp_modern_meta);
    rpc_close(&m->out);
}

void handshake_start(struct mcp *m)
{
    if (m->options.era == MCP_MODERN)
        send_discover(m);
    else
        send_initialize(m);
}

static void send_list(struct mcp *m)
{
    struct pending *p = session_request(m, WHAT_LIST, m->options.start_ms);
    if (!p) { /* all slots hold calls; the list is asked for when one is free */
        m->list_running = false;
        m->list_stale = true;
        return;
    }
    rpc_open(&m->out, p->id, "tools/list");
    buf_char(&m->out, '{');
    if (m->cursor.len > 0) {
        buf_str(&m->out, "\"cursor\":");
        rpc_string(&m->out, buf_get(&m->cursor));
    }
    if (m->era == MCP_MODERN)
        buf_printf(&m->out, "%s\"_meta\":{%s}", m->cursor.len > 0 ? "," : "", mcp_modern_meta);
    buf_char(&m->out, '}');
    rpc_close(&m->out);
}

void handshake_list(struct mcp *m)
{
    assert(!m->list_running);
    mcp_tools_fini(&m->listing);
    buf_clear(&m->cursor);
    m->pages = 0;
    m->list_running = true;
    m->list_stale = false;
    send_list(m);
}

static void note_server(struct mcp *m, const json_t *info)
{
    struct buf text;
    buf_init(&text, 4096);
    mcp_clean(js_view(info, "name"), true, &text);
    buf_char(&text, ' ');
    mcp_clean(js_view(info, "version"), true, &text);
    snprintf(m->server, sizeof m->server, "%s", buf_z(&text));
    buf_fini(&text);
}

/* Tools or none: a server that does not offer tools is ready at once, with an empty list. */
static bool enter(struct mcp *m, const json_t *capabilities, struct mcp_event *ev)
{
    if (!js_obj(capabilities, "tools")) {
        m->step = STEP_READY;
        *ev = (struct mcp_event){ .kind = MCP_READY, .text = "", .fix = "" };
        return true;
    }
    m->step = STEP_LIST;
    handshake_list(m);
    return false;
}

static bool known_version(const char *v)
{
    static const char *const known[] = { LEGACY_VERSION, "2025-06-18", "2025-03-26", "2024-11-05" };
    for (size_t i = 0; i < COUNT(known); i++) {
        if (strcmp(v, known[i]) == 0)
            return true;
    }
    return false;
}

static bool on_initialized(struct mcp *m, const json_t *result, struct mcp_event *ev)
{
    const char *version = js_str(result, "protocolVersion");
    if (!known_version(version)) {
        struct buf shown;
        buf_init(&shown, REMARK_BYTES);
        mcp_clean((struct str){ version, strnlen(version, 64) }, true, &shown);
        session_break(
            m, ERR_PROTOCOL, "use a version of the server that speaks " LEGACY_VERSION,
            "initialize: the server wants protocol revision '%s', which is not known here",
            buf_z(&shown));
        buf_fini(&shown);
        return false;
    }
    snprintf(m->version, sizeof m->version, "%s", version);
    note_server(m, js_obj(result, "serverInfo"));
    rpc_notify(&m->out, "notifications/initialized", (struct str){ 0 });
    return enter(m, js_obj(result, "capabilities"), ev);
}

static bool supports_modern(const json_t *list)
{
    for (size_t i = 0; i < js_count(list); i++) {
        const char *v = json_string_value(js_at(list, i));
        if (v && strcmp(v, MODERN_VERSION) == 0)
            return true;
    }
    return false;
}

static bool on_discovered(struct mcp *m, const json_t *result, struct mcp_event *ev)
{
    if (!supports_modern(js_list(result, "supportedVersions"))) {
        session_break(m, ERR_PROTOCOL,
                      "use a version of the server that speaks " LEGACY_VERSION
                      " or " MODERN_VERSION,
                      "server/discover: no protocol revision in common");
        return false;
    }
    snprintf(m->version, sizeof m->version, "%s", MODERN_VERSION);
    const json_t *info = js_obj(js_obj(result, "_meta"), "io.modelcontextprotocol/serverInfo");
    note_server(m, info ? info : js_obj(result, "serverInfo"));
    return enter(m, js_obj(result, "capabilities"), ev);
}

/* ---- failures -------------------------------------------------------------------------------- */

static const char *method_of(enum what what)
{
    return what == WHAT_INIT       ? "initialize"
           : what == WHAT_DISCOVER ? "server/discover"
                                   : "tools/list";
}

static void refuse(struct mcp *m, enum what what, const struct rpc_msg *msg)
{
    char code[64];
    struct buf text;
    size_t n = strnlen(msg->message, REMARK_BYTES);
    buf_init(&text, REMARK_BYTES);
    mcp_clean((struct str){ msg->message, n }, true, &text);
    session_break(m, ERR_PROTOCOL, "", "%s: the server answers with error %s: %s", method_of(what),
                  rpc_code_text(msg->code, code), buf_z(&text));
    buf_fini(&text);
}

/* A server of the second era does not know initialize; which of the two errors it gives is up to it.
 * The revision is asked for once more even when it is the one just refused: servers exist that
 * want to be asked twice. */
static bool try_modern(struct mcp *m, enum what what, const struct rpc_msg *msg)
{
    bool version = msg->code == RPC_UNSUPPORTED_VERSION;
    bool method = msg->code == RPC_METHOD_NOT_FOUND;
    if (what == WHAT_INIT && m->options.era == MCP_AUTO && (version || method)) {
        send_discover(m);
        return true;
    }
    if (what == WHAT_DISCOVER && version && !m->retried_version &&
        supports_modern(js_list(msg->data, "supported"))) {
        m->retried_version = true;
        send_discover(m);
        return true;
    }
    return false;
}

static bool end_listing(struct mcp *m, struct mcp_event *ev)
{
    bool first = m->step == STEP_LIST;
    bool same = !first && m->tools.n == m->listing.n;
    for (size_t i = 0; same && i < m->tools.n; i++) {
        const struct mcp_tool *was = mcp_tools_find(&m->listing, m->tools.items[i].name);
        same = was && hash_eq(&was->pin, &m->tools.items[i].pin);
    }
    mcp_tools_fini(&m->tools);
    m->tools = m->listing;
    m->listing = (struct mcp_tools){ 0 };
    m->list_running = false;
    m->step = STEP_READY;
    if (same)
        return false;
    *ev = (struct mcp_event){ .kind = first ? MCP_READY : MCP_CHANGED, .text = "", .fix = "" };
    return true;
}

/* A page of tools. A definition that cannot be offered is left out, with a remark. */
static bool on_page(struct mcp *m, const json_t *result, struct mcp_event *ev)
{
    const json_t *tools = js_list(result, "tools");
    if (!tools) {
        session_break(m, ERR_PROTOCOL, "", "tools/list: the answer holds no list of tools");
        return false;
    }
    for (size_t i = 0; i < js_count(tools); i++) {
        enum status st = mcp_tools_add(&m->listing, js_at(tools, i), &m->remark);
        if (st != OK && m->listing.n == MCP_TOOLS_MAX)
            break;
    }
    struct str next = js_view(result, "nextCursor");
    bool again = next.n > 0 && m->listing.n < MCP_TOOLS_MAX;
    if (again && (++m->pages >= MCP_PAGES_MAX || str_eq(next, buf_get(&m->cursor)))) {
        err_set(&m->remark, ERR_LIMIT, "tools/list: pages without end, the first %zu tools count",
                m->listing.n);
        again = false;
    }
    if (again) {
        buf_clear(&m->cursor);
        if (buf_view(&m->cursor, next) == OK) {
            send_list(m);
            return false;
        }
        buf_clear(&m->cursor);
        err_set(&m->remark, ERR_LIMIT, "tools/list: the cursor of the next page is too long");
    }
    return end_listing(m, ev);
}

bool handshake_answer(struct mcp *m, enum what what, const struct rpc_msg *msg,
                      struct mcp_event *ev)
{
    if (msg->kind == RPC_ERROR) {
        if (try_modern(m, what, msg))
            return false;
        if (what == WHAT_LIST && m->step == STEP_READY) { /* the old list stays */
            m->list_running = false;
            char code[64];
            err_set(&m->remark, ERR_PROTOCOL, "tools/list: error %s",
                    rpc_code_text(msg->code, code));
            return false;
        }
        refuse(m, what, msg);
        return false;
    }
    if (what == WHAT_INIT)
        return on_initialized(m, msg->result, ev);
    if (what == WHAT_DISCOVER)
        return on_discovered(m, msg->result, ev);
    return on_page(m, msg->result, ev);
}
