/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_CLIENT_H
#define PAWL_MCP_CLIENT_H
/* client: one session with an MCP server, as a pure state machine: bytes in, events and bytes out,
 * time as an argument. Whoever owns the pipe feeds what it reads, takes all events, writes what is
 * in mcp_out() and comes back at mcp_deadline().
 *
 * Eras. On pipes the handshake begins with `initialize` (servers of the first era may exit on
 * anything else); a server that answers "unsupported protocol version" or does not know the method
 * is of the second era and is asked `server/discover` on the same pipe.
 *
 *   new --initialize--> INIT --ok--> LIST --last page--> READY --list_changed--> READY (listing)
 *                        | -32022, -32601                   any --lost, garbage, endless--> BROKEN
 *                        '--server/discover--> DISCOVER --ok--> LIST
 */
#include "common/clock.h"
#include "common/mcp/content.h"

enum {
    MCP_CALLS_MAX = 256,               /* requests in flight */
    MCP_ARGUMENTS_MAX = 1024 * 1024,   /* bytes of a call's arguments as JSON */
    MCP_PAGES_MAX = 100,               /* pages of one tools/list */
    MCP_GARBAGE_MAX = 4 * 1024 * 1024, /* bytes that are no JSON-RPC, in one session */
};

enum mcp_era { MCP_AUTO, MCP_LEGACY, MCP_MODERN };

struct mcp_options {
    enum mcp_era era;
    int64_t start_ms; /* for the whole handshake; 0: 60 s */
    int64_t call_ms;  /* default of a call's silence; 0: 60 s */
    int64_t total_ms; /* progress lets a call go on, until here; 0: 600 s */
    size_t line_max;  /* 0: RPC_LINE_MAX */
};

/* Why a call has no result. */
enum mcp_fault {
    MCP_ANSWERED,  /* it has one */
    MCP_REFUSED,   /* the server answered with a JSON-RPC error: it did not run the tool */
    MCP_TIMED_OUT, /* silent for too long; the server was told to stop */
    MCP_LOST,      /* the session ended before the answer: it may or may not have run */
    MCP_TOO_LARGE, /* the answer was larger than line_max */
    MCP_MALFORMED, /* the answer was no result */
};

enum mcp_kind {
    MCP_READY,    /* tools are known, calls may begin; once */
    MCP_CHANGED,  /* the list of tools is another one */
    MCP_DONE,     /* a call has ended; result and fault are set */
    MCP_PROGRESS, /* a call is alive; text is its message */
    MCP_REMARK,   /* for the log: something odd that does not end the session */
    MCP_BROKEN,   /* the session has ended, text and fix say why; once, after all calls ended */
};

/* Pointers live until the next call of mcp_next or mcp_free. */
struct mcp_event {
    enum mcp_kind kind;
    void *user; /* of the call: MCP_DONE, MCP_PROGRESS */
    enum mcp_fault fault;
    const json_t *result;   /* MCP_DONE with MCP_ANSWERED: the result object */
    bool is_error;          /* the tool says that it failed */
    double progress, total; /* MCP_PROGRESS; total 0: unknown */
    const char *text, *fix; /* never NULL */
};

struct mcp;

struct mcp *mcp_new(const struct mcp_options *options, struct mono now); /* NULL: out of memory */
void mcp_free(struct mcp *m); /* NULL is fine; calls in flight end without an event */

/* Add what the server wrote. Never fails: what cannot be kept breaks the session. */
void mcp_feed(struct mcp *m, struct str bytes);
/* The next event; false when there is none. Take all after each feed, at each deadline and after
 * mcp_lost(). */
bool mcp_next(struct mcp *m, struct mono now, struct mcp_event *ev);
/* When mcp_next() has to be called although nothing was fed; far in the future when never. */
struct mono mcp_deadline(const struct mcp *m);
/* What is to be written; the owner consumes it with buf_consume(). */
struct buf *mcp_out(struct mcp *m);
/* The server has gone: everything in flight ends with MCP_LOST. */
void mcp_lost(struct mcp *m, const char *why, const char *fix);

bool mcp_ready(const struct mcp *m);
const struct mcp_tools *mcp_tools(const struct mcp *m);
const char *mcp_version(const struct mcp *m); /* protocol revision agreed on, "" before */
const char *mcp_server(
    const struct mcp *m); /* "name version" as the server calls itself, cleaned */

/* Begin a call. Its one MCP_DONE follows unless it is cancelled. arguments: an object, or NULL.
 * timeout_ms 0: the session's. ERR_UNAVAILABLE before MCP_READY and after the end, ERR_BUSY when
 * MCP_CALLS_MAX are in flight, ERR_LIMIT for arguments that are too large. */
struct mcp_call {
    const char *tool;
    const json_t *arguments;
    int64_t timeout_ms;
    void *user; /* not NULL; told in the events */
};
enum status mcp_call(struct mcp *m, const struct mcp_call *call, struct mono now,
                     struct err *err) MUST_USE;
/* Forget the call of this user and tell the server; no event follows. */
void mcp_cancel(struct mcp *m, const void *user);
size_t mcp_in_flight(const struct mcp *m);
#endif
