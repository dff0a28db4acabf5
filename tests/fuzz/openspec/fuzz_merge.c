/* SPDX-License-Identifier: Apache-2.0 */
/* A delta merged into a spec, both any bytes, cut at the first NUL; then into the result, and into
 * no spec at all. (A second merge may well add again: behind an open fence nothing is seen.) */
#include "common/openspec/merge.h"
#include "common/openspec/text.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
    size_t n = cut ? (size_t)(cut - data) : size;
    struct str main = { (const char *)data, n };
    struct str delta = { (const char *)data + n + (cut != NULL), size - n - (cut != NULL) };
    struct merge_in in = { LIT("a"), LIT("c"), delta, true, main, LIT("MAIN") };
    struct merge_out out;
    struct arena a;
    arena_init(&a, 1 << 28);
    if (merge_spec(&a, &in, &out) == OK && !out.refused) {
        assert(utf8_valid(out.bytes, NULL));
        assert(text_ends_str(out.rebuilt, LIT("\n")));
        in.main = out.bytes;
        if (merge_spec(&a, &in, &out) == OK && out.refused)
            assert(out.refusal.n > 0);
    }
    in.has_main = false;
    if (merge_spec(&a, &in, &out) == OK && out.refused)
        assert(out.refusal.n > 0);
    arena_fini(&a);
    return 0;
}
