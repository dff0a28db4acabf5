/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/linediff.h"

#include <stdlib.h>
#include <string.h>

static void merge_is(const char *base, const char *ours, const char *theirs, const char *want,
                     size_t collisions)
{
    struct merged m;
    assert_int_equal(merge_texts(str_of(base), str_of(ours), str_of(theirs), MERGE_OURS, &m), OK);
    if (strcmp(buf_z(&m.text), want) != 0 || m.n != collisions)
        fail_msg("base:\n%s--- ours:\n%s--- theirs:\n%s--- merged, %zu collisions:\n%s", base, ours,
                 theirs, m.n, buf_z(&m.text));
    merged_free(&m);
}

static void each_side_keeps_what_the_other_left_alone(void **state)
{
    (void)state;
    merge_is("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n", 0);
    merge_is("a\nb\nc\n", "a\nc\n", "a\nb\nc\nd\n", "a\nc\nd\n", 0);
    merge_is("a\nb\n", "a\nx\nb\n", "a\nx\nb\n", "a\nx\nb\n", 0);
    merge_is("", "a\n", "", "a\n", 0);
    merge_is("a\n", "", "a\n", "", 0);
    merge_is("a\nb", "a\nb\n", "x\na\nb", "x\na\nb\n", 0);
}

static void what_both_changed_is_a_collision(void **state)
{
    struct merged m;
    (void)state;
    merge_is("a\nb\nc\n", "a\nO\nc\n", "a\nT\nc\n", "a\nO\nc\n", 1);
    merge_is("", "a\n", "b\n", "a\n", 1);
    merge_is("a\nb\n", "a\n", "a\nB\n", "a\n", 1);
    assert_int_equal(merge_texts(str_of("a\nb\nc\n"), str_of("1\na\nO\nc\n"), str_of("a\nT\nc\n"),
                                 MERGE_THEIRS, &m),
                     OK);
    assert_string_equal(buf_z(&m.text), "1\na\nT\nc\n");
    assert_int_equal(m.n, 1);
    assert_int_equal(m.at[0].line, 3);
    assert_true(str_is(m.at[0].base, "b\n") && str_is(m.at[0].ours, "O\n") &&
                str_is(m.at[0].theirs, "T\n"));
    merged_free(&m);
}

static void random_text(unsigned *seed, char *out, size_t max)
{
    size_t n = 0;
    for (unsigned lines = (unsigned)rand_r(seed) % 30; lines-- > 0 && n + 4 < max;) {
        out[n++] = (char)('a' + rand_r(seed) % 5);
        out[n++] = '\n';
    }
    if (n > 0 && rand_r(seed) % 5 == 0)
        n--;
    out[n] = '\0';
}

/* A rule in place of another, written with another blank line, does not stand beside it. */
static void blank_lines_do_not_hold_texts_apart(void **state)
{
    (void)state;
    merge_is("# H\n\nold\n\n# S\n", "# H\nmine\n\n# S\n", "# H\n\ntheirs\n\n# S\n",
             "# H\nmine\n\n# S\n", 1);
}

static void laws_hold_for_any_texts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned seed = i;
        char o[96], a[96], b[96];
        struct merged m;
        struct linediff d;
        size_t only_a = 0, only_b = 0, both = 0;
        random_text(&seed, o, sizeof o);
        random_text(&seed, a, sizeof a);
        random_text(&seed, b, sizeof b);
        merge_is(o, o, a, a, 0);
        merge_is(o, a, o, a, 0);
        merge_is(o, a, a, a, 0);
        assert_int_equal(linediff_make(&d, str_of(a), str_of(b)), OK);
        for (size_t k = 0; k < d.n; k++) {
            both += d.script[k] == 0;
            only_a += d.script[k] < 0;
            only_b += d.script[k] > 0;
        }
        assert_int_equal(both + only_a, d.a.n);
        assert_int_equal(both + only_b, d.b.n);
        linediff_free(&d);
        assert_int_equal(merge_texts(str_of(o), str_of(a), str_of(b), MERGE_THEIRS, &m), OK);
        if (m.n == 0) { /* without a collision the order of the sides does not matter */
            struct merged back;
            assert_int_equal(merge_texts(str_of(o), str_of(b), str_of(a), MERGE_OURS, &back), OK);
            assert_int_equal(back.n, 0);
            assert_string_equal(buf_z(&back.text), buf_z(&m.text));
            merged_free(&back);
        }
        merged_free(&m);
    }
}

static void many_lines_are_refused(void **state)
{
    struct linediff d;
    size_t n = (size_t)LINEDIFF_LINES + 1;
    char *text = malloc(n);
    (void)state;
    assert_non_null(text);
    memset(text, '\n', n);
    assert_int_equal(linediff_make(&d, (struct str){ text, n }, str_of("a")), ERR_LIMIT);
    linediff_free(&d);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_side_keeps_what_the_other_left_alone),
        cmocka_unit_test(what_both_changed_is_a_collision),
        cmocka_unit_test(blank_lines_do_not_hold_texts_apart),
        cmocka_unit_test(laws_hold_for_any_texts),
        cmocka_unit_test(many_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
