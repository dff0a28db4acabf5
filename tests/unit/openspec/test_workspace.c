/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/config.h"
#include "common/openspec/names.h"
#include "common/openspec/spec.h"
#include "common/openspec/tasks.h"
#include "common/openspec/text.h"
#include "common/openspec/workflow.h"
#include "common/openspec/workspace.h"
#include "common/openspec/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ARENA_MAX = 1 << 24 };

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, ARENA_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

#define S(z) { z, sizeof(z) - 1 }
#define F(path, text) { S(path), S(text) }

static struct ws make(const struct ws_file *files, size_t n)
{
    struct ws ws;
    struct err err = { 0 };
    if (ws_make(&arena, files, n, &ws, &err) != OK)
        fail_msg("%s", err.text);
    return ws;
}

static const struct ws_file tree[] = {
    F("specs/b/spec.md", "## Purpose\nx\n## Requirements\n### Requirement: R\nThe system SHALL r.\n"
                         "#### Scenario: S\n- **WHEN** a\n"),
    F("config.yaml", "schema: spec-driven\ncontext: >\n  folded\n  text\nrules:\n  specs:\n"
                     "    - be short\n    - ''\n  bad: 7\nother: {}\n"),
    F("changes/one/specs/b/spec.md", "## MODIFIED Requirements\n### Requirement: R\nx\n"
                                     "## RENAMED Requirements\n- FROM: `### Requirement: A`\n"
                                     "- TO: `### Requirement: B`\n"),
    F("changes/one/proposal.md", "p"),
    F("changes/archive/2026-01-01-old-thing/proposal.md", "p"),
    F("changes/.hidden/x", "p"),
    F("specs/a-b/spec.md", ""),
    F("specs/a/c/spec.md", ""),
    F("specs/spec.md", "no"),
    F("specs/.d/spec.md", "no"),
};

static void encodes_the_same(void **state)
{
    (void)state;
    struct ws ws = make(tree, COUNT(tree)), again;
    struct err err = { 0 };
    struct buf out, twice;
    buf_init(&out, 1 << 20);
    buf_init(&twice, 1 << 20);
    assert_int_equal(ws_encode(&ws, &out), OK);
    assert_int_equal(ws_decode(&arena, buf_get(&out), &again, &err), OK);
    assert_int_equal(again.n, ws.n);
    assert_int_equal(again.bytes, ws.bytes);
    assert_int_equal(ws_encode(&again, &twice), OK);
    assert_true(str_eq(buf_get(&out), buf_get(&twice)));
    for (size_t cut = 0; cut < out.len; cut++) {
        struct str part = { out.data, cut };
        assert_int_not_equal(ws_decode(&arena, part, &again, &err), OK);
    }
    buf_fini(&out);
    buf_fini(&twice);
}

static void refuses_bad_paths(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b",
                                       "a\nb", "a\xff" };
    struct err err;
    struct ws ws;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct ws_file f = { str_of(bad[i]), LIT("x") };
        assert_false(ws_path_ok(f.path));
        assert_int_equal(ws_make(&arena, &f, 1, &ws, &err), ERR_DATA);
    }
    struct ws_file twice[] = { F("a", ""), F("a", "") };
    assert_int_equal(ws_make(&arena, twice, 2, &ws, &err), ERR_DATA);
    struct ws_file both[] = { F("a", ""), F("a-b", ""), F("a/c", "") };
    assert_int_equal(ws_make(&arena, both, 3, &ws, &err), ERR_DATA);
    struct ws_file huge = { LIT("a"), { "x", (size_t)1 << 40 } };
    assert_int_equal(ws_make(&arena, &huge, 1, &ws, &err), ERR_LIMIT);
}

static void decoder_is_strict(void **state)
{
    (void)state;
    static const struct str bad[] = {
        S("\x82\xa1v\x01\xa5" "files\x92\x92\xa1" "b\xc4\x00\x92\xa1" "a\xc4\x00"), /* order */
        S("\x82\xa1v\x01\xa5" "files\x91\x92\xa2..\xc4\x00"),
        S("\x82\xa1v\x02\xa5" "files\x90"),
        S("\x82\xa1v\x01\xa5" "files\x90\xc0"),
        S("\x82\xa1v\xd0\x01\xa5" "files\x90"), /* not the shortest form */
        S("\x82\xa5" "files\x90\xa1v\x01"),
        S("\x82\xa1v\x01\xa5" "files\xdd\xff\xff\xff\xff"),
    };
    struct err err;
    struct ws ws;
    assert_int_equal(ws_decode(&arena, LIT("\x82\xa1v\x01\xa5" "files\x90"), &ws, &err), OK);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_not_equal(ws_decode(&arena, bad[i], &ws, &err), OK);
}

static void finds_what_is_there(void **state)
{
    (void)state;
    struct ws ws = make(tree, COUNT(tree));
    struct str_list ids, changes;
    size_t n;
    assert_int_equal(ws_spec_ids(&arena, &ws, LIT("specs/"), &ids), OK);
    assert_int_equal(ids.n, 3);
    assert_true(str_is(ids.at[0], "a-b") && str_is(ids.at[1], "a/c") && str_is(ids.at[2], "b"));
    assert_int_equal(ws_changes(&arena, &ws, &changes), OK);
    assert_int_equal(changes.n, 1);
    assert_true(str_is(changes.at[0], "one"));
    assert_true(ws_has_change(&ws, LIT("one")));
    assert_false(ws_has_change(&ws, LIT("archive")));
    assert_non_null(ws_under(&ws, LIT("changes/one/"), &n));
    assert_int_equal(n, 2);
    assert_null(ws_find(&ws, LIT("specs/b")));
}

static void lays_a_change_over(void **state)
{
    (void)state;
    struct ws ws = make(tree, COUNT(tree)), with;
    struct err err = { 0 };
    json_t *doc = ws_change_doc(&ws, LIT("one")), *again;
    assert_int_equal(js_count(js_list(doc, "files")), 2);
    json_array_remove((json_t *)js_list(doc, "files"), 0);
    assert_int_equal(ws_with_change(&arena, &ws, doc, &with, &err), OK);
    assert_int_equal(with.n, ws.n - 1);
    again = ws_change_doc(&with, LIT("one"));
    assert_true(json_equal(doc, again));
    js_set_z((json_t *)js_at(js_list(doc, "files"), 0), "path", "../../evil");
    assert_int_equal(ws_with_change(&arena, &ws, doc, &with, &err), ERR_DATA);
    js_set_z(doc, "name", "a/b");
    assert_int_equal(ws_with_change(&arena, &ws, doc, &with, &err), ERR_DATA);
    assert_null(ws_change_doc(&ws, LIT("nothing")));
    json_decref(again);
    json_decref(doc);
}

static void reads_specs_and_touches(void **state)
{
    (void)state;
    struct ws ws = make(tree, COUNT(tree));
    struct spec spec;
    struct touches t = { 0 };
    assert_int_equal(spec_of(&arena, &ws, LIT("b"), &spec), OK);
    assert_int_equal(spec.n, 1);
    assert_true(str_is(spec.purpose, "x"));
    assert_true(str_is(spec.requirements[0].text, "The system SHALL r."));
    assert_int_equal(spec.requirements[0].line, 4);
    assert_true(str_is(spec.requirements[0].scenarios[0].name, "S"));
    assert_true(str_is(spec.requirements[0].scenarios[0].text, "- **WHEN** a"));
    assert_int_equal(spec.requirements[0].scenarios[0].line, 6);
    assert_int_equal(spec_of(&arena, &ws, LIT("none"), &spec), ERR_NOT_FOUND);
    assert_int_equal(change_touches(&arena, &ws, LIT("one"), &t), OK);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.at[0].op, TOUCH_MODIFIED);
    assert_true(str_is(t.at[1].from, "A") && str_is(t.at[1].requirement, "B"));
}

static void reads_the_configuration(void **state)
{
    (void)state;
    struct ws ws = make(tree, COUNT(tree));
    struct spec_config c;
    struct spec_findings found = { 0 };
    assert_int_equal(config_read(&arena, &ws, &c, &found), OK);
    assert_true(str_is(c.context, "folded text\n"));
    assert_int_equal(c.rules_n, 1);
    assert_int_equal(c.rules[0].items.n, 1);
    assert_int_equal(found.n, 1);
    json_t *rules = config_rules_json(&c);
    assert_string_equal(json_string_value(json_array_get(json_object_get(rules, "specs"), 0)),
                        "be short");
    json_decref(rules);
    struct ws_file broken = F("config.yaml", "a: [\n");
    ws = make(&broken, 1);
    assert_int_equal(config_read(&arena, &ws, &c, &found), OK);
    assert_true(str_is(c.schema, "spec-driven"));
    assert_int_equal(found.n, 2);
}

static void types_yaml_as_1_2(void **state)
{
    (void)state;
    json_t *v;
    struct err err = { 0 };
    assert_int_equal(yaml_read(LIT("a: yes\nb: 2026-01-02\nc: 0x1f\nd: 1e3\ne: ~\nf: 'true'\n"
                                   "g: true\nh: &x [1]\ni: *x\n"), &v, &err), OK);
    assert_string_equal(js_str(v, "a"), "yes");
    assert_string_equal(js_str(v, "b"), "2026-01-02");
    assert_int_equal((int)js_real(v, "c", 0), 31);
    assert_int_equal((int)js_real(v, "d", 0), 1000);
    assert_true(json_is_null(json_object_get(v, "e")));
    assert_string_equal(js_str(v, "f"), "true");
    assert_true(js_bool(v, "g", false));
    assert_int_equal(js_count(js_list(v, "i")), 1);
    json_decref(v);
    static const char *const bad[] = { "a: 1\na: 2\n", "a: [\n", "--- 1\n--- 2\n", "a: *x\n",
                                       "&a [*a]\n", "\x01" };
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_not_equal(yaml_read(str_of(bad[i]), &v, &err), OK);
        assert_null(v);
    }
    char deep[200];
    memset(deep, '[', sizeof deep);
    assert_int_not_equal(yaml_read((struct str){ deep, sizeof deep }, &v, &err), OK);
}

static void makes_names(void **state)
{
    (void)state;
    struct ws ws = make(tree, COUNT(tree));
    struct str s;
    assert_true(name_is_change(LIT("add-2-things")));
    assert_false(name_is_change(LIT("Add")) || name_is_change(LIT("a--b")) ||
                 name_is_change(LIT("-a")) || name_is_change(LIT("a-")) ||
                 name_is_change(LIT("archive")) || name_is_change(LIT("")));
    assert_true(name_is_capability(LIT("a/b-c")));
    assert_false(name_is_capability(LIT("a//b")) || name_is_capability(LIT("../a")));
    assert_int_equal(name_kebab(&arena, LIT("Füge Login, mit OTP! hinzu"), 40, "x", &s), OK);
    assert_true(str_is(s, "fuge-login-mit-otp-hinzu"));
    assert_int_equal(name_kebab(&arena, LIT("one two three"), 9, "x", &s), OK);
    assert_true(str_is(s, "one-two"));
    assert_int_equal(name_kebab(&arena, LIT("系统"), 9, "change", &s), OK);
    assert_true(str_is(s, "change"));
    assert_int_equal(name_for_change(&arena, &ws, LIT("One"), &s), OK);
    assert_true(str_is(s, "one-2"));
    assert_int_equal(name_for_change(&arena, &ws, LIT("old thing"), &s), OK);
    assert_true(str_is(s, "old-thing-2"));
    assert_int_equal(name_for_change(&arena, &ws, LIT("Archive"), &s), OK);
    assert_true(str_is(s, "archive-change"));
}

static void matches_globs(void **state)
{
    (void)state;
    static const struct {
        const char *glob, *path;
        bool hit;
    } rows[] = {
        { "tasks.md", "tasks.md", true },         { "tasks/*.md", "tasks/a.md", true },
        { "tasks/*.md", "tasks/a/b.md", false },  { "**/*.md", "a/b/c.md", true },
        { "**/*.md", "c.md", true },              { "specs/**/*.md", "specs/x/spec.md", true },
        { "a?.md", "ab.md", true },               { "[a-c].md", "b.md", true },
        { "[!a].md", "a.md", false },             { "{a,b}/*.md", "b/x.md", true },
        { "*", "a/b", false },                    { "**", "a/b", true },
        { "a{b", "a{b", true },                   { "*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(glob_match(str_of(rows[i].glob), str_of(rows[i].path)), rows[i].hit);
}

static void follows_a_workflow_of_the_project(void **state)
{
    (void)state;
    static const struct ws_file files[] = {
        F("config.yaml", "schema: mine\n"),
        F("schemas/mine/schema.yaml", "name: mine\nversion: 1\nartifacts:\n- id: work\n  generates: work/*.md\n"
                                      "  description: d\n  template: t.md\n- id: late\n  generates: l.md\n"
                                      "  description: d\n  template: t.md\n  requires: [work]\n"
                                      "apply:\n  requires: [late]\n  tracks: work/*.md\n"),
        F("schemas/bad/schema.yaml", "name: bad\nversion: 1\nartifacts:\n- {id: a, generates: a, description: d, "
                                     "template: t, requires: [b]}\n- {id: b, generates: b, description: d, "
                                     "template: t, requires: [a]}\n"),
        F("changes/x/work/a.md", "- [x] 1\n- [ ] 2\n"),
        F("changes/x/tasks.md", "- [ ] not tracked\n"),
    };
    struct ws ws = make(files, COUNT(files));
    struct pool p = pool_of(&arena);
    struct task_progress progress;
    assert_int_equal(tasks_progress(&arena, &ws, LIT("x"), &progress), OK);
    assert_int_equal(progress.total, 2);
    assert_int_equal(progress.done, 1);
    assert_true(workflow_find(&p, &ws, LIT("mine"), true).loads);
    struct workflow bad = workflow_find(&p, &ws, LIT("bad"), true);
    assert_true(bad.exists && !bad.loads && bad.reason.n > 0);
    assert_false(workflow_find(&p, &ws, LIT("../mine"), true).exists);
}

static void text_is_as_javascript_sees_it(void **state)
{
    (void)state;
    struct pool p = pool_of(&arena);
    assert_int_equal(text_u16(LIT("a🚀é")), 4);
    assert_true(text_u16_cmp(LIT("\xef\xbf\xbd"), LIT("🚀")) > 0);
    assert_true(text_u16_cmp(LIT("\xed\x9f\xbf"), LIT("🚀")) < 0);
    assert_true(str_is(text_decode(&p, LIT("a\xe2\x82z\xff\xf0\x9f\x9a")), "a\uFFFDz\uFFFD\uFFFD"));
    assert_true(str_is(text_lower(&p, LIT("ÄΣ ΟΔΟΣ. İK\u212A")), "äς οδος. i̇kk"));
    assert_true(str_is(text_lf(&p, LIT("a\r\nb\rc\n\r")), "a\nb\nc\n\n"));
    assert_true(str_is(text_trim(LIT("\ufeff\u00a0 x \u2029")), "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_the_same),     cmocka_unit_test(refuses_bad_paths),
        cmocka_unit_test(decoder_is_strict),    cmocka_unit_test(finds_what_is_there),
        cmocka_unit_test(lays_a_change_over),   cmocka_unit_test(reads_specs_and_touches),
        cmocka_unit_test(reads_the_configuration), cmocka_unit_test(types_yaml_as_1_2),
        cmocka_unit_test(makes_names),          cmocka_unit_test(matches_globs),
        cmocka_unit_test(follows_a_workflow_of_the_project),
        cmocka_unit_test(text_is_as_javascript_sees_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
