/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/openspec/config.h"
#include "common/openspec/draft.h"
#include "common/openspec/rebase.h"

#include <string.h>

#define BLOCK(text)                                                                                \
    "### Requirement: One\n\nThe system SHALL " text                                               \
    ".\n\n#### Scenario: S\n\n- **WHEN** x\n- **THEN** y\n"
#define SPEC(text)                                                                                 \
    "# a Specification\n\n## Purpose\nA purpose that is long enough to be one for everybody "      \
    "here.\n\n## Requirements\n\n" BLOCK(text)

struct rig {
    struct arena a;
    struct ws ws;
    struct rebase out;
};

/* A draft that modifies One of spec a, rendered against one spec and rebased onto another. */
static void rebase(struct rig *r, const char *then, const char *now, bool mine)
{
    struct ws_file spec = { str_of("specs/a/spec.md"), str_of(then) }, files[8];
    struct ws base;
    struct err err = { 0 };
    json_t *made,
        *draft = json_pack("{s:s,s:s,s:s,s:[s],s:[{s:s,s:s,s:s,s:s,s:[{s:s,s:[s],s:[s]}]}],s:[]}",
                           "change_name", "c", "title", "T", "why", "Because.", "what", "x",
                           "requirements", "op", "modified", "capability", "a", "name", "One",
                           "text", "The system SHALL mine.", "scenarios", "name", "S", "when", "x",
                           "then", "y", "tasks");
    char paths[8][128];
    arena_init(&r->a, 1 << 26);
    assert_int_equal(ws_make(&r->a, &spec, 1, &base, &err), OK);
    assert_int_equal(draft_render(&r->a, &base, draft, str_of("2026-01-01"), &made, &err), OK);
    const json_t *list = js_list(made, "files");
    size_t n = 0;
    for (; n < js_count(list); n++) {
        const char *text = js_str(js_at(list, n), "text");
        snprintf(paths[n], sizeof paths[n], "changes/c/%s", js_str(js_at(list, n), "path"));
        files[n] =
            (struct ws_file){ str_of(paths[n]), str_of(arena_dup(&r->a, text, strlen(text))) };
    }
    files[n++] = (struct ws_file){ str_of("specs/a/spec.md"), str_of(now) };
    for (size_t i = 0; i < n; i++)
        files[i].path = str_of(arena_dup(&r->a, files[i].path.p, files[i].path.n));
    assert_int_equal(ws_make(&r->a, files, n, &r->ws, &err), OK);
    assert_int_equal(rebase_change(&r->a, &r->ws, str_of("c"), mine, &r->out), OK);
    assert_int_equal(r->out.n, 1);
    json_decref(made);
    json_decref(draft);
}

static const char *file(const struct rig *r, const char *path)
{
    static char text[8192];
    for (size_t i = 0; i < r->out.files_n; i++) {
        if (!str_is(r->out.files[i].path, path))
            continue;
        snprintf(text, sizeof text, "%.*s", STR_ARG(r->out.files[i].bytes));
        return text;
    }
    return NULL;
}

static void an_unmoved_spec_leaves_the_change_alone(void **state)
{
    struct rig r;
    (void)state;
    rebase(&r, SPEC("one"), SPEC("one"), true);
    assert_int_equal(r.out.at[0].state, REBASE_SAME);
    assert_int_equal(r.out.files_n, 0);
    arena_fini(&r.a);
}

static void what_the_spec_got_is_taken_up_and_remembered(void **state)
{
    struct rig r;
    struct base_moves moves;
    (void)state;
    rebase(&r, SPEC("one"), SPEC("one") "\n#### Scenario: New\n\n- **WHEN** n\n- **THEN** m\n",
           true);
    assert_int_equal(r.out.at[0].state, REBASE_MERGED);
    const char *delta = file(&r, "changes/c/specs/a/spec.md");
    assert_non_null(strstr(delta, "SHALL mine."));
    assert_non_null(strstr(delta, "#### Scenario: New"));
    /* The metadata of the new files knows the spec of today. */
    struct ws_file files[2] = { { str_of("changes/c/.openspec.yaml"), { 0 } },
                                { str_of("specs/a/spec.md"),
                                  ws_find(&r.ws, str_of("specs/a/spec.md"))->bytes } };
    struct ws ws;
    struct err err;
    const char *yaml = file(&r, "changes/c/.openspec.yaml");
    assert_non_null(yaml);
    files[0].bytes = str_of(yaml);
    assert_int_equal(ws_make(&r.a, files, 2, &ws, &err), OK);
    json_t *own = meta_pawl(&ws, str_of("c"));
    assert_int_equal(openspec_base_moved(&r.a, &ws, js_obj(own, "base"), &moves), OK);
    assert_true(moves.known && moves.n == 0);
    assert_non_null(strstr(js_str(js_obj(js_obj(own, "text"), "a"), "One"), "Scenario: New"));
    json_decref(own);
    arena_fini(&r.a);
}

static void the_same_lines_collide(void **state)
{
    (void)state;
    for (int mine = 0; mine < 2; mine++) {
        struct rig r;
        rebase(&r, SPEC("one"), SPEC("two"), mine);
        assert_int_equal(r.out.at[0].state, REBASE_COLLIDES);
        assert_non_null(memmem(r.out.at[0].theirs.p, r.out.at[0].theirs.n, "SHALL two.", 10));
        assert_non_null(
            strstr(file(&r, "changes/c/specs/a/spec.md"), mine ? "SHALL mine." : "SHALL two."));
        arena_fini(&r.a);
    }
}

static void a_requirement_that_has_gone_is_told(void **state)
{
    struct rig r;
    (void)state;
    rebase(&r, SPEC("one"),
           "# a Specification\n\n## Purpose\nText.\n\n## Requirements\n\n### Requirement: "
           "Other\nThe system SHALL x.\n",
           true);
    assert_int_equal(r.out.at[0].state, REBASE_GONE);
    assert_int_equal(r.out.files_n, 0);
    arena_fini(&r.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unmoved_spec_leaves_the_change_alone),
        cmocka_unit_test(what_the_spec_got_is_taken_up_and_remembered),
        cmocka_unit_test(the_same_lines_collide),
        cmocka_unit_test(a_requirement_that_has_gone_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
