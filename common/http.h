/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_HTTP_H
#define PAWL_HTTP_H
/* http: libcurl's multi interface on the mux. One object per process carries any number of
 * requests at once. Bodies are bounded, silence is bounded, cancelling closes the connection. */
#include "common/buf.h"
#include "common/mux.h"

struct http;
struct http_call;

struct http_request {
    const char *method;         /* "GET" or "POST" */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
    struct str body;            /* copied */
    size_t answer_max;          /* bytes of the body; more ends the call with ERR_LIMIT */
    int64_t first_ms;           /* until the first byte of the body; 0: no bound */
    int64_t stall_ms;           /* between bytes; 0: no bound */
    int64_t connect_ms;         /* 0: 5,000 */
};

/* Called for each piece of the body (status and content type are known by then). Returning anything
 * but OK ends the call with that status. */
typedef enum status http_data_fn(void *ctx, struct http_call *c, struct str piece);
/* Called exactly once unless cancelled. st: OK (an answer arrived, of any HTTP status),
 * ERR_UNAVAILABLE (no connection, cut off), ERR_TIMEOUT, ERR_LIMIT, ERR_CANCELLED…; text for people. */
typedef void http_done_fn(void *ctx, struct http_call *c, enum status st, const char *text);

struct http *http_new(struct mux *mux, struct err *err);
void http_free(struct http *h); /* cancels everything */
struct http_call *http_start(struct http *h, const struct http_request *r, http_data_fn *data,
                             http_done_fn *done, void *ctx); /* NULL: out of memory */
void http_cancel(struct http_call *c); /* no callback follows; c is gone */

/* Valid inside the callbacks. */
long http_code(const struct http_call *c);                        /* 0: none yet */
const char *http_content_type(const struct http_call *c);         /* "" when absent */
const char *http_header(const struct http_call *c, const char *name); /* "" when absent; retry-after and the like */
#endif
