/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_CLIENT_H
#define PAWL_MCP_CLIENT_H
/* client: our side of one MCP session over stdio, as a pure state machine. Bytes of the server go
 * in with mcp_feed(), events come out of mcp_next(), bytes for the server lie in mcp_out(); time is
 * an argument. Offers revision 2025-11-25 with `initialize` first, accepts older ones, and changes
 * to 2026-07-28 (server/discover, no session) when the server refuses with -32022.
 *
 *   NEW --start--> INITIALIZING --> LISTING --> READY --list changed--> READY, listing again
 *                       | -32022      ^
 *                       '-> DISCOVERING      any --mcp_end(), protocol error, silence--> ENDED  */
#include "common/clock.h"
#include "common/mcp/rpc.h"

enum {
    MCP_TOOLS_MAX = 1000,
    MCP_PAGES_MAX = 100,
    MCP_CURSOR_MAX = 4096,
    MCP_TOOL_NAME_MAX = 128,
    MCP_CALLS_MAX = 1024,         /* in flight or waiting, of one session */
    MCP_OUT_MAX = 32 << 20,       /* bytes not yet taken by the server */
    MCP_DESCRIPTION_MAX = 2048,   /* bytes kept of a tool's description */
    MCP_SCHEMA_MAX = 64 << 10,    /* a larger input schema is replaced by {} */
    MCP_SCHEMA_DEPTH = 24,
};

enum mcp_state { MCP_NEW, MCP_INITIALIZING, MCP_DISCOVERING, MCP_LISTING, MCP_READY, MCP_ENDED };

struct mcp_client;

/* `name` is the server's, for error texts. start_ms: patience for the handshake and each listing. */
struct mcp_client *mcp_new(const char *name, int64_t start_ms);
void mcp_free(struct mcp_client *c); /* NULL is fine; calls without an answer are forgotten */

void mcp_start(struct mcp_client *c, struct mono now);
void mcp_feed(struct mcp_client *c, struct str bytes, struct mono now);
/* Time has passed. Deadlines: mcp_deadline() says when to come back. */
void mcp_tick(struct mcp_client *c, struct mono now);
bool mcp_deadline(const struct mcp_client *c, struct mono *at); /* false: nothing is waited for */
/* The server is gone: all calls fail with this text. */
void mcp_end(struct mcp_client *c, const char *why);
/* What to write to the server; drop what was written with buf_consume(). */
struct buf *mcp_out(struct mcp_client *c);

/* Call a tool. May be made before the session is ready: it waits, its time runs. `arguments` is an
 * object or NULL, borrowed. 0: too many calls or the session has ended; otherwise the number of the
 * call, answered by exactly one MCP_CALLED unless cancelled. */
uint64_t mcp_call(struct mcp_client *c, const char *tool, const json_t *arguments, struct mono now,
                  int64_t timeout_ms);
void mcp_cancel(struct mcp_client *c, uint64_t call); /* fine when it is answered already */

enum mcp_event_kind {
    MCP_EVENT_READY, /* tools are known */
    MCP_EVENT_TOOLS, /* the list of tools changed */
    MCP_EVENT_CALLED,
    MCP_EVENT_ENDED, /* the session is over; `fault` says why */
};

struct mcp_event {
    enum mcp_event_kind kind;
    uint64_t call;     /* MCP_EVENT_CALLED */
    bool answered;     /* the server answered; otherwise `fault` says what went wrong */
    bool sent;         /* the server may have seen the call */
    bool is_error;     /* answered: the tool says that it failed */
    struct buf text;   /* answered: content as text, cleaned of control characters */
    char fault[1024];
};
/* The next event; false: none. The caller frees the text with buf_fini(). */
bool mcp_next(struct mcp_client *c, struct mcp_event *out);

enum mcp_state mcp_state(const struct mcp_client *c);
/* Tools as [{name, description, input}], cleaned and bounded; changes with READY and TOOLS. */
const json_t *mcp_tools(const struct mcp_client *c);
bool mcp_has_tool(const struct mcp_client *c, const char *name);
const char *mcp_version(const struct mcp_client *c); /* agreed revision, "" before */
uint64_t mcp_garbage(const struct mcp_client *c);    /* lines that were no message */
#endif
