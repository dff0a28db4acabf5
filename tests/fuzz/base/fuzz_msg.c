/* SPDX-License-Identifier: Apache-2.0 */
/* The header decoder: whatever it accepts can be said again, and means the same. */
#include "common/msg.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg m, again;
    struct buf once, twice;
    struct task_key key;
    struct err err = { 0 };
    struct str frame = { (const char *)data, size };
    (void)task_key_parse(frame, &key);
    if (msg_decode(frame, &m, &err) != OK)
        return 0;
    buf_init(&once, PAWL_HEADER_MAX);
    buf_init(&twice, PAWL_HEADER_MAX);
    enum status st = msg_encode(&m, &once);
    if (st == OK) { /* an input with many longer forms may only just fit */
        st = msg_decode(buf_get(&once), &again, &err);
        assert(st == OK && again.type == m.type);
        st = msg_encode(&again, &twice);
        assert(st == OK && str_eq(buf_get(&once), buf_get(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
