/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ANALYZE_SERVER_H
#define PAWL_ANALYZE_SERVER_H
/* server: one MCP server process of mcp.json on the loop: started by argv in a group of its own,
 * restarted with growing pauses after it ended, stopped by closing its stdin, then SIGTERM, then
 * SIGKILL. Its stderr is drained; the telling line of it is in the texts of failures. */
#include "common/logline.h"
#include "common/mcp/client.h"
#include "common/mcp/mcpjson.h"
#include "common/mux.h"

struct server;

/* Called when the server became ready, changed its tools or failed. */
typedef void server_fn(void *ctx, struct server *s);

/* `conf` must outlive the server. timeout_ms: for one call and for the start, unless conf says its
 * own. A disabled or faulty conf gives a server that never starts. */
struct server *server_new(struct mux *m, struct log *log, const struct mcp_server *conf,
                          int64_t timeout_ms);
void server_watch(struct server *s, server_fn *fn, void *ctx);
/* Asked before each call is said: NULL, or the reason why this tool may not be called. */
typedef const char *server_guard_fn(void *ctx, const struct server *s, const struct mcp_tool *tool);
void server_guard(struct server *s, server_guard_fn *fn, void *ctx);
void server_start(struct server *s);
/* Stop all, first kindly: at most about three seconds in total. Then free them. Calls that are open are
 * forgotten. The loop need not run. */
void servers_close(struct server **list, size_t n);

const char *server_name(const struct server *s);
bool server_ready(const struct server *s);
bool server_settled(const struct server *s); /* ready, failed at least once, or never to start */
/* Why it does not work at present; "" when it does
 * or is still starting. fix may be "". */
const char *server_fault(const struct server *s);
const char *server_fix(const struct server *s);
const struct mcp_server *server_conf(const struct server *s);
const struct mcp_tools *server_tools(const struct server *s); /* NULL unless ready */

/* What became of a call. Views die when fn returns. */
struct server_result {
    bool answered;     /* the server answered; otherwise `fault` says what went wrong */
    bool is_error;     /* answered: the tool says that it failed */
    bool sent;         /* the server may have seen the call */
    struct str text;   /* answered: the content as text */
    const char *fault; /* never NULL */
};

/* A call. The caller owns it; it must live until fn was called or server_cancel(). */
struct server_call {
    void (*fn)(void *ctx, struct server_call *call, const struct server_result *r);
    /* While it runs, as the tool says where it stands; may be NULL. total 0: unknown. */
    void (*progress)(void *ctx, double done, double total, const char *text);
    void *ctx;
    struct server *server; /* below: the server's */
    struct server_call *next;
    char tool[MCP_TOOL_NAME_MAX + 1];
    json_t *arguments; /* until it is said */
    struct mono deadline;
    bool sent;
};
/* fn is called later, exactly once, unless this fails (ERR_UNAVAILABLE, err says why) or the call is
 * cancelled. A call waits for a server that is starting; its time runs. `arguments`: an object. */
enum status server_call(struct server *s, struct server_call *call, const char *tool,
                        json_t *arguments, struct err *err) MUST_USE;
void server_cancel(struct server_call *call); /* fine when not made or answered */
#endif
