/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/doc.h"
#include "workers/parse/brief.h"

#include <string.h>

static const char lending[] =
    "# Lending\n\n## Purpose\n\nMembers borrow items for a limited time and bring them back "
    "again.\n\n## Requirements\n\n"
    "### Requirement: Late fee\n\nThe system SHALL charge 20 cents for each day that an item is "
    "overdue.\n\n"
    "#### Scenario: Late\n\n- **WHEN** an item is 5 days overdue\n- **THEN** the member owes 1 "
    "euro\n\n"
    "### Requirement: Loan period\n\nThe system SHALL lend a book for 21 days.\n\n"
    "#### Scenario: Book\n\n- **WHEN** a book is lent\n- **THEN** it is due in 21 days\n";
static const char accounts[] =
    "# Accounts\n\n## Purpose\n\nEach member signs in to see what was borrowed and what is "
    "owed.\n\n## Requirements\n\n"
    "### Requirement: Sign in\n\nThe system SHALL let a member sign in with card number and "
    "password.\n\n"
    "#### Scenario: Right\n\n- **WHEN** the password is right\n- **THEN** the account is shown\n";
static const char broken[] = "# Fees\n\n## Requirements\n\n### Requirement: Late fees of "
                             "households\n\nLate fees of households are charged by the month.\n";
static const char delta[] =
    "## MODIFIED Requirements\n\n### Requirement: Late fee\n\nThe system SHALL charge 30 cents.\n\n"
    "#### Scenario: Late\n\n- **WHEN** late\n- **THEN** charged\n";

struct rig {
    struct arena a;
    struct ws ws;
    struct ws_file files[16];
    size_t n;
    struct err err;
};

static void put(struct rig *r, const char *path, const char *text)
{
    r->files[r->n++] = (struct ws_file){ str_of(path), str_of(text) };
}

static void begin(struct rig *r)
{
    *r = (struct rig){ 0 };
    arena_init(&r->a, 64 << 20);
    put(r, "specs/lending/spec.md", lending);
    put(r, "specs/accounts/spec.md", accounts);
}

static enum status make(struct rig *r, const char *text, const char *change, json_t **brief,
                        json_t **findings)
{
    assert_int_equal(ws_make(&r->a, r->files, r->n, &r->ws, &r->err), OK);
    json_t *problem = json_object();
    js_set_z(problem, "text", text);
    if (change)
        js_set_z(problem, "change", change);
    enum status st = brief_make(&r->a, problem, &r->ws, brief, findings, &r->err);
    json_decref(problem);
    if (st == OK)
        assert_int_equal(doc_check("brief", *brief, &r->err), OK);
    return st;
}

static void the_nearest_capability_comes_first(void **state)
{
    struct rig r;
    json_t *b = NULL;
    (void)state;
    begin(&r);
    put(&r, "config.yaml", "context: |\n  A library.\nrules:\n  specs:\n    - Figures first\n");
    assert_int_equal(
        make(&r, "# Late fees grow\n\nA late fee should stop at 15 euros for an overdue item.",
             NULL, &b, NULL),
        OK);
    assert_string_equal(js_str(b, "title"), "Late fees grow");
    assert_string_equal(js_str(b, "change_name"), "late-fees-grow");
    assert_string_equal(js_str(b, "language"), "en");
    const json_t *first = js_at(js_list(b, "capabilities"), 0),
                 *known = js_at(js_list(first, "requirements"), 0);
    assert_string_equal(js_str(first, "id"), "lending");
    assert_string_equal(js_str(known, "name"), "Late fee");
    assert_true(js_real(known, "rank", 0) >
                js_real(js_at(js_list(first, "requirements"), 1), "rank", 1));
    assert_int_equal(js_count(js_list(known, "scenarios")), 1);
    assert_int_equal(js_int(known, "line", 0), 9);
    assert_non_null(strstr(js_str(b, "context"), "A library."));
    assert_string_equal(json_string_value(js_path(b, "rules.specs.0")), "Figures first");
    assert_int_equal(js_count(js_list(b, "all_capabilities")), 2);
    json_decref(b);
    arena_fini(&r.a);
}

static void names_are_unique_and_overlaps_are_told(void **state)
{
    struct rig r;
    json_t *b = NULL;
    (void)state;
    begin(&r);
    put(&r, "changes/late-fees-grow/proposal.md", "# x\n");
    put(&r, "changes/late-fees-grow/specs/lending/spec.md", delta);
    assert_int_equal(make(&r, "# Late fees grow\n\nStop late fees.", NULL, &b, NULL), OK);
    assert_string_equal(js_str(b, "change_name"), "late-fees-grow-2");
    const json_t *o = js_at(js_list(b, "overlaps"), 0);
    assert_string_equal(js_str(o, "change"), "late-fees-grow");
    assert_string_equal(js_str(o, "requirement"), "Late fee");
    json_decref(b);
    arena_fini(&r.a);
}

static void an_existing_change_is_the_base(void **state)
{
    struct rig r;
    json_t *b = NULL;
    (void)state;
    begin(&r);
    put(&r, "changes/raise-fee/specs/lending/spec.md", delta);
    assert_int_equal(make(&r, "Say when.", "raise-fee", &b, NULL), OK);
    assert_string_equal(js_str(b, "change_name"), "raise-fee");
    assert_string_equal(js_str(js_obj(b, "base"), "name"), "raise-fee");
    assert_int_equal(js_count(js_list(b, "overlaps")), 0);
    json_decref(b);
    assert_int_equal(make(&r, "Say when.", "raise-fees", &b, NULL), ERR_NOT_FOUND);
    assert_non_null(strstr(r.err.fix, "raise-fee"));
    arena_fini(&r.a);
}

static void empty_statements_and_other_folders_are_refused(void **state)
{
    struct rig r;
    json_t *b = NULL;
    (void)state;
    begin(&r);
    assert_int_equal(make(&r, " \n\t ", NULL, &b, NULL), ERR_DATA);
    r.n = 0;
    put(&r, "notes.txt", "hello");
    assert_int_equal(make(&r, "Something.", NULL, &b, NULL), ERR_NOT_FOUND);
    assert_non_null(strstr(r.err.fix, "openspec init"));
    arena_fini(&r.a);
}

static void a_malformed_spec_that_is_touched_ends_the_job_with_file_and_line(void **state)
{
    struct rig r;
    json_t *b = NULL, *findings = NULL;
    (void)state;
    begin(&r);
    put(&r, "specs/fees/spec.md", broken);
    assert_int_equal(make(&r,
                          "Late fees of households should be charged by the month, not by the day.",
                          NULL, &b, &findings),
                     ERR_DATA);
    assert_non_null(strstr(r.err.text, "openspec/specs/fees/spec.md:"));
    assert_true(js_count(findings) > 0);
    assert_string_equal(js_str(js_at(findings, 0), "file"), "specs/fees/spec.md");
    json_decref(findings);
    /* A problem of another room goes on, and is told. */
    assert_int_equal(
        make(&r, "A member should sign in with a fingerprint instead of card number and password.",
             NULL, &b, &findings),
        OK);
    assert_null(findings);
    assert_true(js_count(js_list(b, "findings")) > 0);
    json_decref(b);
    arena_fini(&r.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_capability_comes_first),
        cmocka_unit_test(names_are_unique_and_overlaps_are_told),
        cmocka_unit_test(an_existing_change_is_the_base),
        cmocka_unit_test(empty_statements_and_other_folders_are_refused),
        cmocka_unit_test(a_malformed_spec_that_is_touched_ends_the_job_with_file_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
