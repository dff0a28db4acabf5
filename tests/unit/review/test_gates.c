/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/doc.h"
#include "workers/review/gates.h"

#include <stdlib.h>
#include <string.h>

static const char spec[] =
    "# Lending\n\n## Purpose\n\nMembers borrow items for a limited time and bring them back "
    "again.\n\n"
    "## Requirements\n\n### Requirement: Late fee\n\nThe system SHALL charge 20 cents a day.\n\n"
    "#### Scenario: Late\n\n- **WHEN** an item is 5 days overdue\n- **THEN** the member owes 1 "
    "euro\n";
static const char good[] =
    "## ADDED Requirements\n\n### Requirement: Cap\n\nThe system SHALL stop fees at 15 euros.\n\n"
    "#### Scenario: Long\n\n- **WHEN** a fee reaches 15 euros\n- **THEN** it grows no more\n";

struct rig {
    struct arena a;
    struct ws ws;
    json_t *gates, *findings;
};

static void begin(struct rig *r)
{
    struct err err = { 0 };
    struct ws_file file = { str_of("specs/lending/spec.md"), str_of(spec) };
    *r = (struct rig){ .gates = json_array(), .findings = json_array() };
    arena_init(&r->a, 64 << 20);
    assert_int_equal(ws_make(&r->a, &file, 1, &r->ws, &err), OK);
}

static void end(struct rig *r)
{
    json_decref(r->gates);
    json_decref(r->findings);
    arena_fini(&r->a);
}

static json_t *change(const char *name, const char *path, const char *text)
{
    return json_pack("{s:s,s:[{s:s,s:s},{s:s,s:s}]}", "name", name, "files", "path", "proposal.md",
                     "text", "# P\n\n## Why\n\nBecause.\n\n## What Changes\n\n- x\n", "path", path,
                     "text", text);
}

static bool held(struct rig *r, json_t *doc, int64_t max)
{
    struct ws after = { 0 };
    assert_int_equal(gates_check(&r->a, &r->ws, doc, max, r->gates, r->findings, &after), OK);
    json_decref(doc);
    return gates_hold(r->gates);
}

static bool gate_is(const struct rig *r, const char *code, bool ok)
{
    for (size_t i = 0; i < js_count(r->gates); i++) {
        if (strcmp(js_str(js_at(r->gates, i), "code"), code) == 0)
            return js_bool(js_at(r->gates, i), "ok", !ok) == ok;
    }
    return false;
}

static void a_good_change_passes_all(void **state)
{
    struct rig r;
    (void)state;
    begin(&r);
    assert_true(held(&r, change("cap-fees", "specs/lending/spec.md", good), 4096));
    assert_true(gate_is(&r, "format", true) && gate_is(&r, "archivable", true) &&
                gate_is(&r, "size", true));
    assert_int_equal(js_count(r.findings), 0);
    end(&r);
}

static void a_missing_shall_is_told_with_file_and_line(void **state)
{
    struct rig r;
    (void)state;
    begin(&r);
    assert_false(held(&r,
                      change("cap-fees", "specs/lending/spec.md",
                             "## ADDED Requirements\n\n### Requirement: Cap\n\nFees stop.\n\n#### "
                             "Scenario: S\n\n- **WHEN** x\n- **THEN** y\n"),
                      4096));
    assert_true(gate_is(&r, "format", false));
    const json_t *f = js_at(r.findings, 0);
    assert_string_equal(js_str(f, "severity"), "error");
    assert_string_equal(js_str(f, "file"), "changes/cap-fees/specs/lending/spec.md");
    assert_int_equal(js_int(f, "line", 0), 3);
    end(&r);
}

static void what_the_merge_refuses_is_not_archivable(void **state)
{
    struct rig r;
    (void)state;
    begin(&r);
    assert_false(held(
        &r,
        change("cap-fees", "specs/lending/spec.md",
               "## ADDED Requirements\n\n### Requirement: Late fee\n\nThe system SHALL charge 30 "
               "cents.\n\n"
               "#### Scenario: S\n\n- **WHEN** an item is late\n- **THEN** 30 cents are charged\n"),
        4096));
    assert_true(gate_is(&r, "archivable", false));
    assert_true(js_count(r.findings) > 0);
    end(&r);
}

static void a_large_change_is_refused(void **state)
{
    struct rig r;
    (void)state;
    begin(&r);
    assert_false(held(&r, change("cap-fees", "specs/lending/spec.md", good), 100));
    assert_true(gate_is(&r, "size", false) && gate_is(&r, "format", true));
    end(&r);
}

static void files_stay_below_the_change(void **state)
{
    static const char *const paths[] = { "../../specs/lending/spec.md",
                                         "/etc/passwd",
                                         "specs//x/spec.md",
                                         "specs/../../x.md",
                                         "a\\b.md",
                                         "" };
    static const char *const names[] = { "../x", "archive", "Cap Fees", "", "a/b" };
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct rig r;
        begin(&r);
        assert_false(held(&r, change("cap-fees", paths[i], good), 4096));
        assert_true(gate_is(&r, "format", false));
        assert_string_equal(js_str(js_at(r.findings, 0), "code"), "gate.format");
        end(&r);
    }
    for (size_t i = 0; i < COUNT(names); i++) {
        struct rig r;
        begin(&r);
        assert_false(held(&r, change(names[i], "specs/lending/spec.md", good), 4096));
        end(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_change_passes_all),
        cmocka_unit_test(a_missing_shall_is_told_with_file_and_line),
        cmocka_unit_test(what_the_merge_refuses_is_not_archivable),
        cmocka_unit_test(a_large_change_is_refused),
        cmocka_unit_test(files_stay_below_the_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
