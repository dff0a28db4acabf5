/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_SERVER_H
#define PAWL_MCP_SERVER_H
/* server: the other end of a session, offering tools over pipes. A pure state machine: bytes in, calls
 * and bytes out. Whoever owns the pipe feeds what it reads, takes all events, answers each call once
 * (or never, when it was cancelled) and writes what is in mcp_server_out().
 *
 * Both eras on one pipe: `initialize` opens a session of the first (2025-11-25, 2025-06-18, 2025-03-26,
 * 2024-11-05: what the client asks for, or the newest); a request whose _meta names 2026-07-28 is of the
 * second and stands for itself. Arguments are checked against the table that the schemas are made of:
 * a call that is given out has them all, of their type and within their bounds. */
#include "common/js.h"

enum {
    MCP_SERVER_CALLS_MAX = 64,              /* in flight */
    MCP_SERVER_LINE_MAX = 4 * 1024 * 1024,  /* bytes of one message from the client */
    MCP_SERVER_OUT_MAX = 32 * 1024 * 1024,  /* not yet written: beyond, the session is over */
    MCP_SERVER_RESULT_MAX = 2 * 1024 * 1024 /* bytes of one result as JSON */
};

enum mcp_arg_type { MCP_ARG_STR, MCP_ARG_INT, MCP_ARG_BOOL };

struct mcp_arg {
    size_t tool; /* index of its tool */
    const char *name;
    enum mcp_arg_type type;
    bool required;
    int64_t min, max;   /* of an integer; of a string's length in characters */
    const char *values; /* "one|two": these strings only; NULL: any */
    const char *help;
};

struct mcp_offer {
    const char *name, *title, *help;
    bool read_only, destructive, idempotent;
};

struct mcp_server_options {
    const char *name, *title, *version, *instructions;
    const struct mcp_offer *tools;
    size_t tools_n;
    const struct mcp_arg *args;
    size_t args_n;
};

enum mcp_server_kind {
    MCP_SERVE_CALL,   /* answer it */
    MCP_SERVE_CANCEL, /* do not: the client gave it up */
    MCP_SERVE_REMARK, /* for the log */
};

/* Pointers live until the next call of mcp_server_next(). */
struct mcp_server_event {
    enum mcp_server_kind kind;
    uint64_t call; /* names it, never 0 */
    size_t tool;
    const json_t *args; /* an object */
    const char *text;   /* MCP_SERVE_REMARK */
};

struct mcp_server;

/* `options` and its tables are borrowed. NULL: out of memory. */
struct mcp_server *mcp_server_new(const struct mcp_server_options *options);
void mcp_server_free(struct mcp_server *s); /* NULL is fine */
void mcp_server_feed(struct mcp_server *s, struct str bytes);
/* The next event; false when there is none. Take all after each feed. */
bool mcp_server_next(struct mcp_server *s, struct mcp_server_event *ev);
/* What is to be written; the owner consumes it with buf_consume(). */
struct buf *mcp_server_out(struct mcp_server *s);
/* Nothing more can come of it: a line without end, or a client that does not read. */
bool mcp_server_over(const struct mcp_server *s);
size_t mcp_server_in_flight(const struct mcp_server *s);

/* A result: an object, told as such and as text. A call that is not (any more) in flight is ignored. */
void mcp_server_answer(struct mcp_server *s, uint64_t call, const json_t *result);
/* The tool has failed: what, and how to fix it. */
void mcp_server_fail(struct mcp_server *s, uint64_t call, const struct err *err);
/* A sign of life, if the client wanted any. Each gets the next number. */
void mcp_server_progress(struct mcp_server *s, uint64_t call, const char *text);
#endif
