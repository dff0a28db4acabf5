/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_RPC_H
#define PAWL_MCP_RPC_H
/* rpc: JSON-RPC 2.0 over a byte stream with one message per line. Bytes in, lines and messages out;
 * messages in, bytes out. No I/O. */
#include "common/js.h"

enum {
    RPC_LINE_MAX = 16 << 20, /* bytes of one line */
    RPC_HEAD_MAX = 512,      /* what is kept of the beginning and end of a longer line */
    RPC_BATCH_MAX = 64,      /* messages in one array (revision 2025-03-26) */
};

/* Error codes of JSON-RPC and of MCP that we give or understand. */
enum {
    RPC_PARSE = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_NO_METHOD = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL = -32603,
    RPC_VERSION = -32022, /* the server does not speak that revision; data.supported lists its own */
};

/* ---- lines ----------------------------------------------------------------------------------- */

/* One line without its line end. A line above the limit comes once, at its end, with `too_long`,
 * and only `text` (its beginning) and `tail` (its last bytes) are there. Views die on return. */
struct rpc_line {
    struct str text, tail;
    bool too_long;
    uint64_t bytes; /* of the whole line */
};
typedef void rpc_line_fn(void *ctx, const struct rpc_line *line);

struct rpc_lines {
    struct buf line;
    char tail[RPC_HEAD_MAX];
    uint64_t bytes; /* of the line so far */
    size_t max;
    bool too_long;
};
void rpc_lines_init(struct rpc_lines *l, size_t line_max);
void rpc_lines_fini(struct rpc_lines *l);
/* Empty lines are passed over. Memory is at most line_max plus the chunk. */
void rpc_lines_feed(struct rpc_lines *l, struct str bytes, rpc_line_fn *fn, void *ctx);

/* ---- messages -------------------------------------------------------------------------------- */

enum rpc_kind { RPC_NOTHING, RPC_REQUEST, RPC_NOTE, RPC_RESULT, RPC_ERROR };

/* Borrowed from the tree it was read from. */
struct rpc_msg {
    enum rpc_kind kind;
    const json_t *id;       /* a number or string; NULL for notes and errors without one */
    const char *method;     /* requests and notes */
    const json_t *params;   /* an object, or NULL */
    const json_t *result;   /* RPC_RESULT: any value */
    int64_t code;           /* RPC_ERROR */
    const char *message;    /* RPC_ERROR: never NULL */
    const json_t *data;     /* RPC_ERROR: may be NULL */
};
/* What one JSON value says as a message. RPC_NOTHING (ERR_PROTOCOL, err says why) if it is none. */
enum status rpc_read(const json_t *v, struct rpc_msg *out, struct err *err) MUST_USE;

/* The id of ours that a line which cannot be read seems to answer: looked for at its beginning and
 * its end only, where writers put it. False: none. */
bool rpc_guess_id(struct str head, struct str tail, int64_t *id);

/* Append one message and its line end. params/result/data are borrowed and may be NULL. */
enum status rpc_put_request(struct buf *out, int64_t id, const char *method, const json_t *params);
enum status rpc_put_note(struct buf *out, const char *method, const json_t *params);
enum status rpc_put_result(struct buf *out, const json_t *id, const json_t *result);
enum status rpc_put_error(struct buf *out, const json_t *id, int64_t code, const char *message);

/* "invalid params" and so on; "error" for others. Static. */
const char *rpc_code_text(int64_t code);
#endif
