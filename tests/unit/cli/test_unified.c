/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "clients/cli/unified.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void as_diff_prints_it(void **state)
{
    static const struct {
        const char *before, *after, *want;
    } rows[] = {
        { "a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n" },
        { "", "a\n", "@@ -0,0 +1 @@\n+a\n" },
        { "a\n", "", "@@ -1 +0,0 @@\n-a\n" },
        { "a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n" },
        { "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n5\n6\n7\n8\n9\n",
          "@@ -2,6 +2,7 @@\n 2\n 3\n 4\n+x\n 5\n 6\n 7\n" },
        /* seven lines between two changes: two hunks; six: one */
        { "a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
          "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n" },
        { "a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
          "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;
        struct unified_names names = { str_of("x"), str_of("x") };
        buf_init(&out, 65536);
        assert_int_equal(
            unified_diff(&names, str_of(rows[i].before), str_of(rows[i].after), false, &out), OK);
        const char *body = strstr(buf_z(&out), "@@");
        assert_non_null(body);
        assert_string_equal(body, rows[i].want);
        buf_fini(&out);
    }
}

/* What `patch` does: the text after, from the text before and the hunks. */
static void apply(const char *before, const char *diff, struct buf *out)
{
    size_t line = 1;
    const char *b = before, *d = strstr(diff, "@@");
    while (d && *d) {
        size_t from = 0;
        int n = 1;
        if (strncmp(d, "@@", 2) == 0) {
            int got = sscanf(d, "@@ -%zu,%d", &from, &n);
            from += got == 2 && n == 0; /* "behind line from" */
            for (; line < from; line++) {
                const char *end = strchr(b, '\n') + 1;
                buf_append(out, b, (size_t)(end - b));
                b = end;
            }
        } else if (*d != '\\') {
            const char *end = strchr(d, '\n');
            bool cut = strncmp(end, "\n\\", 2) == 0;
            if (*d != '-')
                buf_append(out, d + 1, (size_t)(end - d - (cut ? 1 : 0)));
            if (*d != '+') {
                size_t len = strcspn(b, "\n");
                assert_int_equal(len, (size_t)(end - d - 1));
                assert_memory_equal(b, d + 1, len);
                b += len + (b[len] == '\n');
                line++;
            }
        }
        d = strchr(d, '\n') + 1;
    }
    buf_str(out, b);
}

static void random_text(unsigned *seed, char *out, size_t max)
{
    size_t n = 0;
    for (unsigned lines = (unsigned)rand_r(seed) % 40; lines-- > 0 && n + 4 < max;) {
        out[n++] = (char)('a' + rand_r(seed) % 4);
        out[n++] = '\n';
    }
    if (n > 0 && rand_r(seed) % 4 == 0)
        n--; /* no line end at the end */
    out[n] = '\0';
}

static void applied_to_the_one_it_gives_the_other(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned seed = i;
        char a[128], b[128];
        struct buf diff, made;
        struct unified_names names = { str_of("x"), str_of("x") };
        random_text(&seed, a, sizeof a);
        random_text(&seed, b, sizeof b);
        buf_init(&diff, 65536);
        buf_init(&made, 65536);
        assert_int_equal(unified_diff(&names, str_of(a), str_of(b), false, &diff), OK);
        apply(a, buf_z(&diff), &made);
        if (strcmp(buf_z(&made), b) != 0)
            fail_msg("seed %u:\n%s---\n%s---\n%s---\n%s", i, a, b, buf_z(&diff), buf_z(&made));
        buf_fini(&diff);
        buf_fini(&made);
    }
}

/* Texts that have nothing in common are replaced whole, in bounded time and memory. */
static void a_large_difference_is_a_replacement(void **state)
{
    struct buf a, b, out;
    struct unified_names names = { str_of("x"), str_of("x") };
    (void)state;
    buf_init(&a, 1 << 24);
    buf_init(&b, 1 << 24);
    buf_init(&out, 1 << 26);
    for (int i = 0; i < 20000; i++) {
        buf_printf(&a, "a%d\n", i);
        buf_printf(&b, "b%d\n", i);
    }
    assert_int_equal(unified_diff(&names, buf_get(&a), buf_get(&b), false, &out), OK);
    assert_non_null(strstr(buf_z(&out), "@@ -1,20000 +1,20000 @@"));
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_diff_prints_it),
        cmocka_unit_test(applied_to_the_one_it_gives_the_other),
        cmocka_unit_test(a_large_difference_is_a_replacement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
