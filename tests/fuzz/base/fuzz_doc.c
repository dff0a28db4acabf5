/* SPDX-License-Identifier: Apache-2.0 */
/* Document frames: the first byte chooses the document, the rest is its frame. */
#include "common/bounds.h"
#include "common/doc.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "brief", "insights", "draft", "review", "steps", "ledger", "custom" };
    struct err err = { 0 };
    json_t *doc = NULL, *again = NULL;
    struct buf frame;
    if (size < 1)
        return 0;
    const char *name = names[data[0] % COUNT(names)];
    if (doc_unpack(name, (struct str){ (const char *)data + 1, size - 1 }, &doc, &err) != OK)
        return 0;
    buf_init(&frame, PAWL_FRAME_MAX);
    enum status st = doc_pack(name, doc, &frame, &err);
    assert(st == OK);
    st = doc_unpack(name, buf_get(&frame), &again, &err);
    assert(st == OK && json_equal(doc, again));
    buf_fini(&frame);
    json_decref(doc);
    json_decref(again);
    return 0;
}
