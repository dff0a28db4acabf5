/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_DOC_H
#define PAWL_DOC_H
/* doc: the documents of schemas/documents.def as json_t trees, checked at the edge.
 * On the wire a document is [codec byte][bytes]: 0 plain msgpack, 1 zstd of msgpack. The sender
 * compresses above 4 KiB; the broker never looks inside. */
#include "common/js.h"

#define DOC_PACK_ABOVE 4096

/* Check the shape: types, needs, sizes, counts. ERR_DATA or ERR_LIMIT with the path of the
 * offending field ("draft.requirements[2].name: not a string"). Unknown documents pass. */
enum status doc_check(const char *name, const json_t *doc, struct err *err) MUST_USE;
bool doc_known(const char *name);

/* Tree -> frame. Checks the shape first, so that nobody sends what others refuse. */
enum status doc_pack(const char *name, const json_t *doc, struct buf *frame, struct err *err) MUST_USE;
/* Frame -> tree, bounded by PAWL_DOC_MAX, then checked. The caller owns *out. */
enum status doc_unpack(const char *name, struct str frame, json_t **out, struct err *err) MUST_USE;

/* Raw bytes (a workspace) with the same codec byte. */
enum status blob_pack(struct str plain, struct buf *frame) MUST_USE;
enum status blob_unpack(struct str frame, size_t max, struct buf *plain) MUST_USE;

/* A new finding; fix, file may be NULL, line 0 means none. New reference. */
json_t *finding_new(const char *severity, const char *code, const char *message, const char *fix);
void finding_at(json_t *finding, const char *file, int line, int column);
#endif
