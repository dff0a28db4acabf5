/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict whether a change can be archived: every refusal says file, line and what to do. */
#include "common/openspec/archive.h"
#include "common/openspec/pool.h"
#include "common/openspec/validate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ARENA_MAX = 1 << 24 };

#define S(z) { z, sizeof(z) - 1 }
#define SCENARIO "\n#### Scenario: S\n- **WHEN** x\n- **THEN** y\n"
#define MAIN                                                                                    \
    "# a\n\n## Purpose\nThis purpose sentence is comfortably longer than fifty characters.\n\n" \
    "## Requirements\n\n### Requirement: One\nThe system SHALL one.\n" SCENARIO

struct row {
    const char *what;
    struct str main; /* empty: no current spec */
    struct str delta;
    const char *code;    /* of the finding; NULL: archivable */
    const char *file;
    size_t line;
    const char *says;    /* part of the message */
    bool strictly_valid; /* the original accepts it */
};

static const struct row rows[] = {
    { "fine", S(MAIN), S("## ADDED Requirements\n### Requirement: Two\nIt SHALL.\n" SCENARIO), NULL,
      NULL, 0, NULL, true },
    { "modified is not there", S(MAIN),
      S("## MODIFIED Requirements\n\n### Requirement: one\nIt SHALL.\n" SCENARIO), "archive.refused",
      "changes/c/specs/a/spec.md", 3, "not found", true },
    { "added is there", S(MAIN),
      S("## ADDED Requirements\n### Requirement: One\nIt SHALL.\n" SCENARIO), "archive.refused",
      "changes/c/specs/a/spec.md", 2, "already exists", true },
    { "renamed to what is there", S(MAIN "\n### Requirement: Two\nIt SHALL.\n" SCENARIO),
      S("## RENAMED Requirements\n- FROM: `### Requirement: One`\n- TO: `### Requirement: Two`\n"),
      "archive.refused", "changes/c/specs/a/spec.md", 3, "target already exists", true },
    { "new spec with modified", S(""),
      S("## MODIFIED Requirements\n### Requirement: One\nIt SHALL.\n" SCENARIO), "archive.refused",
      "changes/c/specs/a/spec.md", 2, "target spec does not exist", true },
    { "current spec is broken", S(MAIN "\n## ADDED Requirements\n"),
      S("## ADDED Requirements\n### Requirement: Two\nIt SHALL.\n" SCENARIO), "archive.refused",
      "specs/a/spec.md", 15, "structurally invalid", true },
    { "nothing is left", S(MAIN), S("## REMOVED Requirements\n### Requirement: One\n"),
      "archive.invalid-result", "changes/c/specs/a/spec.md", 1, "at least one requirement", true },
    { "a stray header becomes a requirement", S(MAIN),
      S("## ADDED Requirements\n### Requirement: Two\nIt SHALL.\n" SCENARIO "\n### Notes\nmine\n"),
      "archive.invalid-result", "changes/c/specs/a/spec.md", 2, "at least one scenario", true },
    { "no scenario", S(MAIN), S("## ADDED Requirements\n\n### Requirement: Two\nIt SHALL.\n"),
      "requirement.no-scenario", "changes/c/specs/a/spec.md", 3, "at least one scenario", false },
    { "a lost scenario", S(MAIN),
      S("## MODIFIED Requirements\n### Requirement: One\nIt SHALL.\n\n#### Scenario: T\n- x\n"),
      "archive.refused", "changes/c/specs/a/spec.md", 2, "\"S\"", false },
};

static void check(const struct row *r)
{
    struct arena a;
    struct ws ws;
    struct err err = { 0 };
    struct archive_verdict v;
    struct spec_report report;
    struct ws_file files[2] = { { LIT("changes/c/specs/a/spec.md"), r->delta },
                                { LIT("specs/a/spec.md"), r->main } };
    arena_init(&a, ARENA_MAX);
    assert_int_equal(ws_make(&a, files, r->main.n ? 2 : 1, &ws, &err), OK);
    assert_int_equal(archive_check(&a, &ws, LIT("c"), false, &v), OK);
    assert_int_equal(validate_change(&a, &ws, LIT("c"), true, &report), OK);
    print_message("%s\n", r->what);
    assert_int_equal(report.valid, r->strictly_valid);
    assert_int_equal(v.archivable, r->code == NULL);
    assert_int_equal(v.writes_n > 0, v.archivable);
    if (r->code) {
        const struct spec_finding *f = &v.findings.at[0];
        assert_string_equal(f->code, r->code);
        assert_int_equal(f->severity, SPEC_ERROR);
        assert_true(str_is(f->file, r->file));
        assert_int_equal(f->line, r->line);
        assert_true(f->fix.n > 0);
        assert_non_null(memmem(f->message.p, f->message.n, r->says, strlen(r->says)));
        assert_non_null(v.code);
    }
    arena_fini(&a);
}

static void refusals_have_a_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i]);
}

static void nothing_to_archive(void **state)
{
    (void)state;
    struct arena a;
    struct ws ws;
    struct err err = { 0 };
    struct archive_verdict v;
    struct ws_file f = { LIT("changes/c/proposal.md"), LIT("## Why\n") };
    arena_init(&a, ARENA_MAX);
    assert_int_equal(ws_make(&a, &f, 1, &ws, &err), OK);
    assert_int_equal(archive_check(&a, &ws, LIT("c"), false, &v), OK);
    assert_false(v.archivable);
    assert_int_equal(archive_check(&a, &ws, LIT("c"), true, &v), OK);
    assert_true(v.archivable); /* as the original has it */
    assert_int_equal(archive_check(&a, &ws, LIT("d"), true, &v), ERR_NOT_FOUND);
    assert_true(str_is(archive_name(&a, LIT("2026-01-02-x"), LIT("2026-11-23")), "2026-01-02-x"));
    assert_true(str_is(archive_name(&a, LIT("x"), LIT("2026-11-23")), "2026-11-23-x"));
    arena_fini(&a);
}

/* Whatever the ceiling of the arena: an answer or ERR_LIMIT, never half an answer. */
static void little_memory(void **state)
{
    (void)state;
    struct ws_file files[2] = { { LIT("changes/c/specs/a/spec.md"), rows[0].delta },
                                { LIT("specs/a/spec.md"), rows[0].main } };
    int limits = 0;
    for (size_t max = 100; max < 60000; max += 97) {
        struct arena a;
        struct ws ws;
        struct err err = { 0 };
        struct archive_verdict v;
        struct spec_report report;
        arena_init(&a, max);
        enum status st = ws_make(&a, files, 2, &ws, &err);
        if (st == OK)
            st = archive_check(&a, &ws, LIT("c"), false, &v);
        if (st == OK)
            assert_true(v.archivable);
        limits += st == ERR_LIMIT;
        if (st == OK)
            st = validate_change(&a, &ws, LIT("c"), true, &report);
        assert_true(st == OK || st == ERR_LIMIT);
        arena_fini(&a);
    }
    assert_true(limits > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(refusals_have_a_place),
                                        cmocka_unit_test(nothing_to_archive),
                                        cmocka_unit_test(little_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
