/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_LLM_CHUNK_H
#define PAWL_LLM_CHUNK_H
/* chunk: the fast path of a token. Nearly every chunk of a stream says the same frame around a few
 * characters of content; this reads it in one pass without a tree. Anything unusual (an error, a
 * finish reason, reasoning, tool calls, usage, malformed JSON) is left to the parser. */
#include "common/buf.h"

enum chunk_kind {
    CHUNK_OTHER,  /* parse it; nothing was appended */
    CHUNK_TEXT,   /* content was appended */
    CHUNK_NOTHING /* a chunk without content, such as the one with the role */
};

enum chunk_kind chunk_read(struct str data, struct buf *content);
#endif
