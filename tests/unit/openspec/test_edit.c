/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/openspec/edit.h"

#include <stdarg.h>
#include <string.h>

/* A change document of path, text, …, NULL. */
static json_t *change(const char *first, ...)
{
    json_t *v = json_object(), *files = json_array();
    va_list ap;
    va_start(ap, first);
    for (const char *path = first; path; path = va_arg(ap, const char *)) {
        json_t *f = json_object();
        js_set_z(f, "path", path);
        js_set_z(f, "text", va_arg(ap, const char *));
        js_push(files, f);
    }
    va_end(ap);
    js_set(v, "files", files);
    return v;
}

static const char *text_of_file(const json_t *files, const char *path)
{
    for (size_t i = 0; i < js_count(files); i++) {
        if (strcmp(js_str(js_at(files, i), "path"), path) == 0)
            return js_str(js_at(files, i), "text");
    }
    return NULL;
}

static const char plain_delta[] = "## ADDED Requirements\n\n### Requirement: One\n\nThe system SHALL one.\n\n"
                                  "#### Scenario: S\n\n- **WHEN** x\n- **THEN** y\n\n"
                                  "### Requirement: Two\n\nThe system SHALL two.\n\n"
                                  "#### Scenario: S\n\n- **WHEN** x\n- **THEN** y\n";
static const char made_delta[] = "## ADDED Requirements\n\n### Requirement: One\n\nThe system SHALL one.\n\n"
                                 "#### Scenario: S\n\n- **WHEN** x\n- **THEN** y\n\n"
                                 "### Requirement: Two\n\nThe system SHALL two within 5 minutes.\n\n"
                                 "#### Scenario: S\n\n- **WHEN** x\n- **THEN** y\n";
/* The author writes closer together, and has remarks. */
static const char his_delta[] = "<!-- mine -->\n## ADDED Requirements\n\n### Requirement: One\nThe system SHALL one.\n\n"
                                "#### Scenario: S\n- **WHEN** x\n- **THEN** y\n\n"
                                "### Requirement: Two\n\nThe system SHALL two.\n\n"
                                "#### Scenario: S\n\n- **WHEN** x\n- **THEN** y\n";

static void what_was_not_to_change_stays_as_it_was_written(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    json_t *was = change("proposal.md", "## Why\n\nMy reasons,\nin my words.\n\n## What Changes\n\n- one\n",
                         "specs/a/spec.md", his_delta, "notes/mine.md", "private\n", NULL);
    json_t *plain = change("proposal.md", "## Why\n\nMy reasons, in my words.\n\n## What Changes\n\n- one\n",
                           "specs/a/spec.md", plain_delta, "tasks.md", "## 1. Do\n", NULL);
    json_t *made = change("proposal.md",
                          "## Why\n\nMy reasons, in my words.\n\n## What Changes\n\n- one\n- two\n",
                          "specs/a/spec.md", made_delta, "tasks.md", "## 1. Do\n", NULL);
    assert_int_equal(edit_keep(&a, was, plain, made), OK);
    const json_t *files = js_list(made, "files");
    assert_string_equal(text_of_file(files, "proposal.md"),
                        "## Why\n\nMy reasons,\nin my words.\n\n## What Changes\n\n- one\n- two\n");
    const char *delta = text_of_file(files, "specs/a/spec.md");
    assert_non_null(strstr(delta, "<!-- mine -->"));
    assert_non_null(strstr(delta, "### Requirement: One\nThe system SHALL one.\n"));
    assert_non_null(strstr(delta, "two within 5 minutes"));
    assert_null(strstr(delta, "SHALL two.\n"));
    assert_string_equal(text_of_file(files, "notes/mine.md"), "private\n");
    assert_string_equal(text_of_file(files, "tasks.md"), "## 1. Do\n");
    json_decref(was);
    json_decref(plain);
    json_decref(made);
    arena_fini(&a);
}

/* Remarks of his between the lines must not make the delta say something else. */
static void a_delta_that_would_read_otherwise_is_taken_as_made(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    json_t *was = change("specs/a/spec.md",
                         "## ADDED Requirements\n\n### Requirement: One\n\nThe system SHALL one.\n\n"
                         "#### Scenario: S\n\n- **WHEN** x\n- **THEN** y\n\n"
                         "### Requirement: Mine alone\n\nThe system SHALL three.\n",
                         NULL);
    json_t *plain = change("specs/a/spec.md", plain_delta, NULL);
    json_t *made = change("specs/a/spec.md", made_delta, NULL);
    assert_int_equal(edit_keep(&a, was, plain, made), OK);
    assert_string_equal(text_of_file(js_list(made, "files"), "specs/a/spec.md"), made_delta);
    json_decref(was);
    json_decref(plain);
    json_decref(made);
    arena_fini(&a);
}

static void edits_of_both_sides_are_merged_and_collisions_told(void **state)
{
    struct arena a;
    struct edit_merge m;
    (void)state;
    arena_init(&a, 1 << 24);
    json_t *base = change("a.md", "1\n2\n3\n4\n5\n", "gone.md", "x\n", "his.md", "y\n", "ours.md", "z\n", NULL);
    json_t *ours = change("a.md", "one\n2\n3\n4\nfive\n", "gone.md", "x\n", "new.md", "n\n", "ours.md",
                          "zz\n", NULL);
    json_t *theirs = change("a.md", "1\n2\nthree\n4\nFIVE\n", "his.md", "yy\n", "fresh.md", "f\n", NULL);
    for (int mine = 0; mine < 2; mine++) {
        assert_int_equal(edit_merge(&a, base, ours, theirs, mine, &m), OK);
        assert_string_equal(text_of_file(m.files, "a.md"),
                            mine ? "one\n2\nthree\n4\nfive\n" : "one\n2\nthree\n4\nFIVE\n");
        assert_null(text_of_file(m.files, "gone.md")); /* removed by them, untouched by him */
        assert_string_equal(text_of_file(m.files, "new.md"), "n\n");
        assert_string_equal(text_of_file(m.files, "fresh.md"), "f\n");
        assert_int_equal(m.n, 3); /* line 5; his.md that he removed; ours.md that they removed */
        bool line = false;
        for (size_t i = 0; i < m.n; i++)
            line = line || (str_is(m.at[i].path, "a.md") && m.at[i].line == 5 &&
                            str_is(m.at[i].ours, "five\n") && str_is(m.at[i].theirs, "FIVE\n"));
        assert_true(line);
        json_decref(m.files);
    }
    json_decref(base);
    json_decref(ours);
    json_decref(theirs);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_to_change_stays_as_it_was_written),
        cmocka_unit_test(a_delta_that_would_read_otherwise_is_taken_as_made),
        cmocka_unit_test(edits_of_both_sides_are_merged_and_collisions_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
