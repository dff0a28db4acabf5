/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_RPC_H
#define PAWL_MCP_RPC_H
/* rpc: JSON-RPC 2.0 as MCP sends it over pipes: one message per line, UTF-8. Pure: bytes in, lines
 * and messages out. Lines are bounded: of one that is too long only its two ends are kept, enough
 * to tell which request it answered, so that one giant answer costs one call and not the server. */
#include "common/js.h"

enum {
    RPC_LINE_MAX = 16 * 1024 * 1024,  /* bytes of one message */
    RPC_SKIP_MAX = 256 * 1024 * 1024, /* a line beyond this never ends: the stream is given up */
    RPC_ENDS = 96,                    /* bytes kept of either end of a line that is too long */
    RPC_BATCH_MAX = 1000,             /* messages of one batch (revision 2025-03-26 only) */
};

/* Codes that we send or look for. */
enum {
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_UNSUPPORTED_VERSION = -32022, /* MCP 2026-07-28: data.supported lists what is */
};

/* ---- lines ----------------------------------------------------------------------------------- */

struct rpc_reader {
    struct buf in;
    size_t start, scanned; /* of the line being read; both are offsets into in */
    size_t line_max, skip_max;
    size_t skipped; /* bytes of a line that is too long; 0: none is being skipped */
    char head[RPC_ENDS], tail[RPC_ENDS];
    size_t head_n, tail_n;
};

enum rpc_found {
    RPC_NOTHING, /* feed more */
    RPC_LINE,    /* *line is a line without its end; valid until the next feed */
    RPC_LONG,    /* a line longer than line_max has ended; head and tail hold its ends */
    RPC_ENDLESS, /* a line longer than skip_max; sticky */
};

void rpc_reader_init(struct rpc_reader *r, size_t line_max, size_t skip_max);
void rpc_reader_fini(struct rpc_reader *r);
/* Add bytes. Take all lines with rpc_line() before feeding again. ERR_NOMEM, ERR_LIMIT. */
enum status rpc_feed(struct rpc_reader *r, struct str bytes) MUST_USE;
enum rpc_found rpc_line(struct rpc_reader *r, struct str *line);
/* The integer id of a message of which only the ends are known; false when it cannot be told.
 * Servers write "id" first or last; only these two places are certain to be the message's own. */
bool rpc_id_of_ends(struct str head, struct str tail, int64_t *id);

/* ---- messages -------------------------------------------------------------------------------- */

enum rpc_kind { RPC_REQUEST, RPC_NOTIFICATION, RPC_RESULT, RPC_ERROR };

/* A view of one message; everything points into the tree it was read from. */
struct rpc_msg {
    enum rpc_kind kind;
    const json_t *id; /* request, result, error; error may have none (NULL) */
    int64_t number;   /* the id when it is an integer, else -1 */
    const char *method;
    const json_t *params; /* NULL when absent */
    const json_t *result; /* any JSON value */
    int64_t code;
    const char *message; /* of the error; never NULL */
    const json_t *data;
};

/* ERR_DATA with the reason when the value is no JSON-RPC 2.0 message. */
enum status rpc_read(const json_t *v, struct rpc_msg *out, struct err *err) MUST_USE;

/* Writing. Each message ends with a newline. `params` is JSON text, or empty for none; failures
 * stay in the buf. rpc_open and rpc_close enclose parameters written in between. */
void rpc_open(struct buf *out, int64_t id /* < 0: a notification */, const char *method);
void rpc_close(struct buf *out);
void rpc_request(struct buf *out, int64_t id, const char *method, struct str params);
void rpc_notify(struct buf *out, const char *method, struct str params);
void rpc_result(struct buf *out, const json_t *id, struct str result);
void rpc_error(struct buf *out, const json_t *id, int64_t code, const char *message);
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void rpc_string(struct buf *out, struct str s);

/* "-32602 (invalid params)": a code for people; out holds the text. */
const char *rpc_code_text(int64_t code, char out[64]);
#endif
