/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_LLM_SSE_H
#define PAWL_LLM_SSE_H
/* sse: server-sent events (WHATWG HTML, 9.2.6) from bytes cut anywhere. Line ends LF, CR LF or CR,
 * comments ignored, several data lines joined with LF, a byte order mark skipped. Unlike a browser
 * it also gives the last event when the stream ends without a blank line: a model server that closes
 * early has said it all the same. Pure; the common case (a whole event in one piece) copies nothing. */
#include "common/buf.h"

struct sse {
    struct buf line;  /* a line whose end has not come yet */
    struct buf data;  /* data lines of the event so far, joined */
    struct str whole; /* the only data line so far, when it lies in the piece being fed */
    char event[32];   /* its name, "" for message; longer ones are cut */
    bool has_data;
    bool after_cr; /* swallow the LF of a CR LF that was cut in two */
    bool begun;
};

/* One event. `event` is "" unless named. Returning anything but OK stops the parser with it. */
typedef enum status sse_fn(void *ctx, const char *event, struct str data);

void sse_init(struct sse *s, size_t line_max); /* line_max bounds a line and an event, in bytes */
void sse_fini(struct sse *s);
/* ERR_LIMIT: a line or event is larger than line_max; or what fn returned. */
enum status sse_feed(struct sse *s, struct str piece, sse_fn *fn, void *ctx) MUST_USE;
/* The stream has ended: give what is complete but for its blank line. */
enum status sse_end(struct sse *s, sse_fn *fn, void *ctx) MUST_USE;
#endif
