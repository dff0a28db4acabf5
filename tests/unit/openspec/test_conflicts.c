/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/openspec/conflicts.h"
#include "common/openspec/show.h"

#include <string.h>

static struct spec_findings find(struct arena *a, const char *const (*files)[2], size_t n,
                                 const char *change)
{
    struct ws_file at[16];
    struct ws ws;
    struct err err = { 0 };
    struct spec_findings out;
    for (size_t i = 0; i < n; i++)
        at[i] = (struct ws_file){ str_of(files[i][0]), str_of(files[i][1]) };
    assert_int_equal(ws_make(a, at, n, &ws, &err), OK);
    assert_int_equal(conflicts_find(a, &ws, str_of(change), &out), OK);
    return out;
}

#define DELTA(kind, name)                                                                          \
    "## " kind " Requirements\n### Requirement: " name "\nThe system SHALL x.\n"
#define RENAME(from, to)                                                                           \
    "## RENAMED Requirements\n- FROM: `### Requirement: " from "`\n- TO: `### Requirement: " to    \
    "`\n"

static void what_collides_is_told(void **state)
{
    static const struct {
        const char *a, *b, *said; /* NULL: nothing */
    } rows[] = {
        { DELTA("MODIFIED", "One"), DELTA("MODIFIED", "One"), "modifies \"One\", b modifies" },
        { DELTA("ADDED", "One"), DELTA("ADDED", "One"), "adds \"One\", b adds" },
        { DELTA("REMOVED", "One"), DELTA("MODIFIED", "One"), "removes \"One\", b modifies" },
        { RENAME("One", "Two"), DELTA("MODIFIED", "One"), "renames \"One\", b modifies" },
        { RENAME("One", "Two"), DELTA("ADDED", "Two"), "renames another to \"Two\", b adds" },
        { DELTA("MODIFIED", "One"), DELTA("MODIFIED", "Two"), NULL },
        { DELTA("ADDED", "One"), DELTA("ADDED", "one"), NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        const char *const files[][2] = { { "changes/a/specs/x/spec.md", rows[i].a },
                                         { "changes/b/specs/x/spec.md", rows[i].b } };
        arena_init(&a, 1 << 24);
        struct spec_findings one = find(&a, files, 2, "a"), all = find(&a, files, 2, "");
        assert_int_equal(one.n, rows[i].said ? 1 : 0);
        assert_int_equal(all.n, one.n);
        if (rows[i].said) {
            char text[256];
            snprintf(text, sizeof text, "%.*s", STR_ARG(one.at[0].message));
            if (!strstr(text, rows[i].said))
                fail_msg("'%s' is not in: %s", rows[i].said, text);
            assert_true(str_is(one.at[0].file, "changes/a/specs/x/spec.md") && one.at[0].line > 1);
            assert_non_null(
                memmem(one.at[0].fix.p, one.at[0].fix.n, "changes/b/specs/x/spec.md:", 26));
            assert_int_equal(one.at[0].severity, SPEC_WARNING);
        }
        arena_fini(&a);
    }
}

static void other_specs_and_archived_changes_do_not_count(void **state)
{
    struct arena a;
    static const char *const files[][2] = {
        { "changes/a/specs/x/spec.md", DELTA("MODIFIED", "One") },
        { "changes/a/specs/z/spec.md", DELTA("MODIFIED", "One") },
        { "changes/archive/2026-01-01-b/specs/x/spec.md", DELTA("MODIFIED", "One") },
        { "changes/c/specs/y/spec.md", DELTA("MODIFIED", "One") },
    };
    (void)state;
    arena_init(&a, 1 << 24);
    assert_int_equal(find(&a, files, COUNT(files), "").n, 0);
    arena_fini(&a);
}

/* ICU's order of these names, as the original prints them. */
static void names_are_in_the_order_of_the_original(void **state)
{
    static const char *const order[] = { "10", "9",     "a_b",    "a-b",         "a.b", "a/b", "ab",
                                         "Ab", "alpha", "Alpha2", "\u00e9clair", "f",   "Zeta" };
    (void)state;
    for (size_t i = 0; i < COUNT(order); i++)
        for (size_t k = 0; k < COUNT(order); k++) {
            int got = text_collate(str_of(order[i]), str_of(order[k]));
            if ((got > 0) - (got < 0) != (i > k) - (i < k))
                fail_msg("%s and %s: %d", order[i], order[k], got);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_collides_is_told),
        cmocka_unit_test(other_specs_and_archived_changes_do_not_count),
        cmocka_unit_test(names_are_in_the_order_of_the_original),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
