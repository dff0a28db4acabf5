/* SPDX-License-Identifier: Apache-2.0 */
/* Both readers, the structure check and the validator over any bytes. */
#include "common/openspec/block.h"
#include "common/openspec/structure.h"
#include "common/openspec/validate.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = { (const char *)data, size };
    struct arena a;
    struct spec_report normal, strict;
    arena_init(&a, 1 << 28);
    struct pool p = pool_of(&a);
    struct str text = text_decode(&p, bytes);
    assert(utf8_valid(text, NULL));
    struct delta d = delta_read(&p, text);
    struct slices s = slices_read(&p, text);
    for (size_t i = 0; i < d.added.n; i++)
        assert(d.added.at[i].line >= 1 && text_starts(d.added.at[i].raw, "###"));
    assert(s.found || s.blocks.n == 0);
    structure_check(&p, text);
    if (validate_spec(&a, LIT("x"), bytes, false, &normal) == OK &&
        validate_spec(&a, LIT("x"), bytes, true, &strict) == OK) {
        assert(normal.findings.n == strict.findings.n);
        assert(normal.valid || !strict.valid);
    }
    arena_fini(&a);
    return 0;
}
