/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that the next stage gets without a read: the newest of a name, never more bytes than
 * allowed, nothing after a loss. */
#include "broker/doc_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put(struct doc_cache *c, uint64_t job, const char *field, struct str bytes)
{
    struct cached_doc *d = cached_doc_new(job, str_of(field), bytes);
    assert_non_null(d);
    doc_cache_put(c, d);
}

static void the_newest_of_a_name(void **s)
{
    struct doc_cache c = { 0 };
    struct str v;
    static char large[DOC_CACHE_DOC_MAX + 1];
    (void)s;
    assert_false(doc_cache_get(&c, 1, str_of("f"), &v));
    put(&c, 1, "f", str_of("one"));
    put(&c, 1, "f", str_of("two"));
    assert_true(doc_cache_get(&c, 1, str_of("f"), &v));
    assert_int_equal(v.n, 3);
    assert_memory_equal(v.p, "two", 3);
    assert_false(doc_cache_get(&c, 2, str_of("f"), &v));
    assert_false(doc_cache_get(&c, 1, str_of("g"), &v));
    put(&c, 1, "f",
        (struct str){ large, sizeof large }); /* too large, but the old one is wrong now */
    assert_false(doc_cache_get(&c, 1, str_of("f"), &v));
    put(&c, 1, "f", (struct str){ large, sizeof large - 1 });
    assert_true(doc_cache_get(&c, 1, str_of("f"), &v));
    doc_cache_clear(&c);
    assert_false(doc_cache_get(&c, 1, str_of("f"), &v));
    assert_int_equal(c.bytes, 0);
}

static void never_more_than_allowed(void **s)
{
    struct doc_cache c = { 0 };
    struct str v;
    static char bytes[DOC_CACHE_DOC_MAX];
    (void)s;
    for (uint64_t job = 1; job <= 4 * DOC_CACHE_SLOTS; job++) {
        put(&c, job, "d1@1/1", (struct str){ bytes, sizeof bytes });
        assert_true(c.bytes <= DOC_CACHE_BYTES_MAX);
        assert_true(doc_cache_get(&c, job, str_of("d1@1/1"), &v));
    }
    size_t held = 0;
    for (uint64_t job = 1; job <= 4 * DOC_CACHE_SLOTS; job++)
        held += doc_cache_get(&c, job, str_of("d1@1/1"), &v);
    assert_true(held > DOC_CACHE_BYTES_MAX / (2 * DOC_CACHE_DOC_MAX));
    doc_cache_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_of_a_name),
        cmocka_unit_test(never_more_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
