/* SPDX-License-Identifier: Apache-2.0 */
/* Drafts rendered and read back: random ones with nasty text keep their structure, complete ones
 * are strictly valid and archivable. */
#include "common/doc.h"
#include "common/openspec/archive.h"
#include "common/openspec/block.h"
#include "common/openspec/body.h"
#include "common/openspec/config.h"
#include "common/openspec/draft.h"
#include "common/openspec/draft_text.h"
#include "common/openspec/tasks.h"
#include "common/openspec/validate.h"
#include "common/openspec/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { DRAFTS = 10000, ARENA_MAX = 1 << 26, RENDERED_MIN = DRAFTS / 2 };

static const char spec_text[] =
    "# auth Specification\n\n## Purpose\nHow people prove who they are, in whatever way we offer.\n\n"
    "## Requirements\n\n### Requirement: Login works\nThe system SHALL let people in.\n\n"
    "#### Scenario: Right password\n- **GIVEN** an account\n- **WHEN** the password is right\n"
    "- **THEN** the user is in\n\n#### Scenario: Wrong password\n- **WHEN** it is wrong\n"
    "- **THEN** a message is shown\n  over two lines\n\n### Requirement: Odd  `name`\n"
    "**ID**: 7\n\nThe system MUST cope.\n\n```\n#### Scenario: not one\n```\n\n#### Edge ##\n- x\n\n"
    "### Requirement: Last\nThe system SHALL end.\n\n#### Scenario: S\n- y\n\n#### Scenario: S\n- z\n";

static const char *const base_names[] = { "Login works", "Odd  `name`", "Last" };

static uint64_t next(uint64_t *s)
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int below(uint64_t *s, int n)
{
    return (int)(next(s) % (uint64_t)n);
}

static const char *const nasty[] = {
    "\n", "\n\n", "# x", "## ADDED Requirements", "### Requirement: y", "#### Scenario: z", "```",
    "~~~~", "<!--", "-->", "- ", "1. ", "2.1 ", "[ ] ", "- [x] ", "**X**: y", "---", "===", " ",
    "FROM: ### Requirement: a", "- TO: `### Requirement: b`", "`", "``", "<div>", "</x", "\r", "\r\n",
    "\u2028", "\u00a0", "\ufeff", "\u200b", "\t", "SHALL", "word", "the user", "🚀", "系统", "TBD",
    "###Requirement: z", " ##", "#", "Scenario: ", "**WHEN** ", "WHEN ", "\x01", "|", ">", "\\", "0",
    "## Requirements", "## Purpose", "\"", "'", "${x}", "../..", "&lt;", "[a](b)", "_x_", "\n    ### a",
};

static struct str noise(struct arena *a, uint64_t *s, const char *tail)
{
    struct buf b;
    buf_init(&b, 4096);
    for (int n = below(s, 7); n > 0; n--)
        buf_str(&b, nasty[below(s, (int)COUNT(nasty))]);
    buf_str(&b, tail);
    struct str out = { arena_dup(a, buf_z(&b), b.len), b.len };
    buf_fini(&b);
    return out;
}

static json_t *noise_list(struct arena *a, uint64_t *s, int max, const char *tail)
{
    json_t *list = json_array();
    for (int n = below(s, max + 1); n > 0; n--)
        js_push(list, js_string(noise(a, s, tail)));
    return list;
}

static json_t *scenario(struct arena *a, uint64_t *s, bool good)
{
    json_t *v = json_object();
    js_set_str(v, "name", noise(a, s, good ? " case" : ""));
    js_set(v, "given", noise_list(a, s, 2, ""));
    js_set(v, "when", noise_list(a, s, 2, ""));
    js_set(v, "then", noise_list(a, s, 1, ""));
    if (good)
        js_push(json_object_get(v, "then"), js_string(noise(a, s, " it is seen")));
    return v;
}

static json_t *requirement(struct arena *a, uint64_t *s, bool good, int number)
{
    static const char *const ops[] = { "added", "added", "modified", "removed", "renamed" };
    json_t *v = json_object(), *list = json_array();
    const char *op = ops[below(s, (int)COUNT(ops))];
    bool old = strcmp(op, "added") != 0;
    char tail[32];
    snprintf(tail, sizeof tail, " number %d", number);
    struct str name = noise(a, s, tail), known = str_of(base_names[number % 3]);
    js_set_z(v, "op", op);
    js_set_z(v, "capability", old || below(s, 3) ? "auth" : "new/thing");
    js_set_str(v, "name", old && strcmp(op, "renamed") != 0 ? known : name);
    if (strcmp(op, "renamed") == 0)
        js_set_str(v, "from", known);
    js_set_str(v, "text", noise(a, s, good ? "\nThe system SHALL do it." : ""));
    if (!good && below(s, 3) == 0)
        js_set_str(v, "name", noise(a, s, ""));
    for (int n = good ? 1 + below(s, 2) : below(s, 3); n > 0; n--)
        js_push(list, scenario(a, s, good));
    js_set(v, "scenarios", list);
    js_set_str(v, "reason", noise(a, s, ""));
    js_set_str(v, "migration", noise(a, s, ""));
    js_set(v, "sources", noise_list(a, s, 2, ""));
    return v;
}

static json_t *draft(struct arena *a, uint64_t *s, bool good)
{
    json_t *v = json_object(), *list = json_array(), *tasks = json_array(), *sources = json_array();
    js_set_z(v, "change_name", "add-thing");
    js_set_str(v, "title", noise(a, s, ""));
    js_set_str(v, "why", noise(a, s, "\nBecause it is needed, and has been for quite a while now."));
    js_set(v, "what", noise_list(a, s, 3, " and more"));
    js_set(v, "impact", noise_list(a, s, 2, ""));
    int n = 1 + below(s, 3), first = below(s, 3);
    for (int i = 0; i < n; i++)
        js_push(list, requirement(a, s, good, first + i));
    for (int i = below(s, 3); i > 0; i--) {
        json_t *section = json_object();
        js_set_str(section, "title", noise(a, s, ""));
        js_set(section, "items", noise_list(a, s, 4, " task"));
        js_push(tasks, section);
    }
    json_t *source = json_object();
    js_set_z(source, "id", "i1");
    js_set_str(source, "server", str_of("fs"));
    js_set_str(source, "tool", str_of("read"));
    js_set_z(source, "excerpt", "");
    js_set_z(source, "hash", "00");
    js_set_str(source, "title", noise(a, s, ""));
    js_push(sources, source);
    if (below(s, 2)) {
        json_t *decision = json_object(), *decisions = json_array();
        js_set_str(decision, "title", noise(a, s, ""));
        js_set_str(decision, "choice", noise(a, s, ""));
        js_push(decisions, decision);
        js_set(v, "decisions", decisions);
    }
    js_set(v, "requirements", list);
    js_set(v, "tasks", tasks);
    js_set(v, "sources", sources);
    return v;
}

/* ---- comparing ---- */

struct expect {
    struct arena *a;
    const json_t *draft;
    const struct ws *base;
    const struct ws *with;
    size_t added, modified, removed, renamed; /* found in the draft for one capability */
};

static struct str read_name(struct arena *a, const json_t *r)
{
    for (size_t i = 0; i < COUNT(base_names); i++) {
        if (str_is(js_view(r, "name"), base_names[i]))
            return js_view(r, "name");
    }
    return draft_name(a, js_view(r, "name"));
}

static bool has_steps(struct pool *p, const json_t *s)
{
    static const char *const keys[] = { "given", "when", "then" };
    for (size_t k = 0; k < COUNT(keys); k++) {
        const json_t *list = js_list(s, keys[k]);
        for (size_t i = 0; i < js_count(list); i++) {
            const json_t *v = js_at(list, i);
            struct str step = { json_string_value(v), json_string_length(v) };
            if (safe_step(p, step).n > 0)
                return true;
        }
    }
    return js_bool(s, "keep", false);
}

static void check_scenarios(struct expect *e, const json_t *r, const struct block *b)
{
    struct pool p = pool_of(e->a);
    struct body_scenario_list list = body_scenarios(&p, b->raw);
    const json_t *want = js_list(r, "scenarios");
    size_t n = 0;
    for (size_t i = 0; i < js_count(want); i++) {
        if (!has_steps(&p, js_at(want, i)))
            continue;
        char otherwise[32];
        snprintf(otherwise, sizeof otherwise, "Case %zu", i + 1);
        struct str name = js_view(js_at(want, i), "name");
        assert_true(n < list.n);
        if (!str_eq(list.at[n].name, name)) {
            name = safe_scenario(&p, name, str_of(otherwise));
            assert_true(str_eq(list.at[n].name, name));
        }
        assert_true(list.at[n].text.n > 0);
        n++;
    }
    assert_int_equal(list.n, n);
}

/* The text reads back line by line: none became a header, a fence or metadata. */
static void check_text(struct expect *e, const json_t *r, const struct block *b)
{
    struct pool p = pool_of(e->a);
    struct str want = safe_block(&p, js_view(r, "text"));
    struct lines l = lines_of(&p, want), body = body_lines(&p, b->raw);
    struct str got = body_text(&p, &body, 0), joined = LIT("");
    for (size_t i = 0; i < l.n; i++) {
        if (l.at[i].n > 0)
            joined = pool_cat(&p, joined, joined.n ? LIT("\n") : LIT(""), l.at[i]);
    }
    bool from_base = false; /* a text that was left empty is the current one, word for word */
    for (size_t i = 0; i < COUNT(base_names); i++)
        from_base = from_base || str_is(js_view(r, "name"), base_names[i]) || js_view(r, "from").n;
    assert_true(str_eq(got, joined) || from_base);
}

static void check_block(struct expect *e, const json_t *r, const struct blocks *list, size_t i)
{
    assert_true(i < list->n);
    check_text(e, r, &list->at[i]);
    assert_true(str_eq(list->at[i].name, read_name(e->a, r)));
    check_scenarios(e, r, &list->at[i]);
}

static void check_requirement(struct expect *e, const json_t *r, const struct delta *d)
{
    const char *op = js_str(r, "op");
    if (strcmp(op, "added") == 0) {
        check_block(e, r, &d->added, e->added++);
    } else if (strcmp(op, "modified") == 0) {
        check_block(e, r, &d->modified, e->modified++);
    } else if (strcmp(op, "removed") == 0) {
        assert_true(e->removed < d->removed.n);
        assert_true(str_eq(d->removed.at[e->removed++].name, read_name(e->a, r)));
    } else {
        assert_true(e->renamed < d->renamed.n);
        assert_true(str_eq(d->renamed.at[e->renamed].from, js_view(r, "from")));
        assert_true(str_eq(d->renamed.at[e->renamed++].to, draft_name(e->a, js_view(r, "name"))));
        if (js_view(r, "text").n > 0 || js_count(js_list(r, "scenarios")) > 0)
            check_block(e, r, &d->modified, e->modified++);
    }
}

static void check_capability(struct expect *e, const char *id)
{
    struct pool p = pool_of(e->a);
    const json_t *list = js_list(e->draft, "requirements");
    const struct ws_file *f = ws_find(e->with, ws_delta_path(e->a, str_of("add-thing"), str_of(id)));
    struct delta d = { 0 };
    if (f)
        d = delta_read(&p, f->bytes);
    e->added = e->modified = e->removed = e->renamed = 0;
    for (size_t i = 0; i < js_count(list); i++) {
        if (strcmp(js_str(js_at(list, i), "capability"), id) == 0)
            check_requirement(e, js_at(list, i), &d);
    }
    assert_int_equal(d.added.n, e->added);
    assert_int_equal(d.modified.n, e->modified);
    assert_int_equal(d.removed.n, e->removed);
    assert_int_equal(d.renamed.n, e->renamed);
    assert_int_equal(d.orphans.n + d.strays.n + d.unpaired.n, 0);
}

static void check_tasks(struct expect *e)
{
    struct pool p = pool_of(e->a);
    struct task_progress progress;
    size_t want = 0;
    const json_t *sections = js_list(e->draft, "tasks");
    for (size_t i = 0; i < js_count(sections); i++) {
        const json_t *items = js_list(js_at(sections, i), "items");
        for (size_t k = 0; k < js_count(items); k++) {
            const json_t *v = js_at(items, k);
            struct str s = { json_string_value(v), json_string_length(v) };
            want += safe_item(&p, s).n > 0;
        }
    }
    assert_int_equal(tasks_progress(e->a, e->with, str_of("add-thing"), &progress), OK);
    assert_int_equal(progress.total, want);
    assert_int_equal(progress.done, 0);
}

static void show(const struct ws *with, const struct spec_findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        print_message("%s %.*s:%zu %.*s\n", spec_severity_name(f->at[i].severity),
                      STR_ARG(f->at[i].file), f->at[i].line, STR_ARG(f->at[i].message));
    for (size_t i = 0; i < with->n; i++)
        print_message("---- %.*s\n%.*s\n", STR_ARG(with->files[i].path),
                      STR_ARG(with->files[i].bytes));
}

static void check_validity(struct expect *e, bool good)
{
    struct spec_report report;
    struct archive_verdict verdict;
    assert_int_equal(validate_change(e->a, e->with, str_of("add-thing"), true, &report), OK);
    assert_int_equal(archive_check(e->a, e->with, str_of("add-thing"), false, &verdict), OK);
    for (size_t i = 0; i < e->with->n; i++) /* a comment would hide what follows it */
        assert_true(text_find(e->with->files[i].bytes, LIT("<!--"), 0) == SIZE_MAX);
    for (size_t i = 0; i < verdict.warnings.n; i++)
        assert_true(text_find(verdict.warnings.at[i], LIT("unreadable"), 0) == SIZE_MAX);
    for (size_t i = 0; i < report.findings.n; i++) {
        const char *code = report.findings.at[i].code;
        bool content = strncmp(code, "requirement.", strlen("requirement.")) == 0;
        if (!content || good)
            show(e->with, &report.findings);
        assert_true(content && !good);
    }
    if (good && !verdict.archivable && spec_findings_count(&verdict.findings, SPEC_ERROR) > 0 &&
        strcmp(verdict.findings.at[0].code, "archive.invalid-result") != 0)
        show(e->with, &verdict.findings);
    if (good)
        assert_true(verdict.archivable ||
                    strcmp(verdict.findings.at[0].code, "archive.invalid-result") == 0);
}

static void check_meta(struct expect *e, const json_t *change)
{
    json_t *own = meta_pawl(e->with, str_of("add-thing"));
    const json_t *base = js_obj(change, "base");
    struct base_moves moves;
    assert_true(json_object_size(base) == 0 ? own == NULL
                                            : json_equal(js_obj(own, "base"), base));
    assert_int_equal(openspec_base_moved(e->a, e->base, base, &moves), OK);
    assert_true(moves.known);
    assert_int_equal(moves.n, 0);
    json_decref(own);
}

static bool one(struct arena *a, const struct ws *base, uint64_t seed)
{
    uint64_t s = seed;
    bool good = below(&s, 2);
    struct err err = { 0 };
    struct ws with;
    json_t *d = draft(a, &s, good), *change = NULL;
    assert_int_equal(draft_complete_all(a, base, d), OK);
    enum status st = draft_render(a, base, d, str_of("2026-01-02"), &change, &err);
    if (st != OK) { /* a name that is empty, or there twice */
        assert_int_equal(st, ERR_DATA);
        assert_true(err.text[0] != '\0');
        assert_null(change);
        json_decref(d);
        return false;
    }
    assert_int_equal(doc_check("change", change, &err), OK);
    assert_int_equal(ws_with_change(a, base, change, &with, &err), OK);
    struct expect e = { .a = a, .draft = d, .base = base, .with = &with };
    check_capability(&e, "auth");
    check_capability(&e, "new/thing");
    check_tasks(&e);
    check_validity(&e, good);
    check_meta(&e, change);
    json_decref(change);
    json_decref(d);
    return true;
}

static void make_base(struct arena *a, struct ws *ws)
{
    struct err err = { 0 };
    struct ws_file f = { LIT("specs/auth/spec.md"), { spec_text, sizeof spec_text - 1 } };
    assert_int_equal(ws_make(a, &f, 1, ws, &err), OK);
}

static void random_drafts(void **state)
{
    (void)state;
    struct arena keep, a;
    struct ws base;
    int rendered = 0;
    arena_init(&keep, ARENA_MAX);
    arena_init(&a, ARENA_MAX);
    make_base(&keep, &base);
    for (uint64_t seed = 1; seed <= DRAFTS; seed++) {
        rendered += one(&a, &base, seed * 7919);
        arena_reset(&a);
    }
    print_message("%d of %d drafts rendered\n", rendered, DRAFTS);
    assert_true(rendered >= RENDERED_MIN);
    arena_fini(&a);
    arena_fini(&keep);
}

/* ---- by hand ---- */

static json_t *parse(const char *text)
{
    struct err err = { 0 };
    json_t *v = js_parse(str_of(text), &err);
    if (!v)
        fail_msg("%s", err.text);
    return v;
}

static struct str file_of(const json_t *change, const char *path)
{
    const json_t *files = js_list(change, "files");
    for (size_t i = 0; i < js_count(files); i++) {
        if (strcmp(js_str(js_at(files, i), "path"), path) == 0)
            return js_view(js_at(files, i), "text");
    }
    return (struct str){ 0 };
}

static void modified_is_completed(void **state)
{
    (void)state;
    struct arena a;
    struct ws base, with;
    struct err err = { 0 };
    struct archive_verdict verdict;
    json_t *change;
    arena_init(&a, ARENA_MAX);
    make_base(&a, &base);
    json_t *d = parse(
        "{\"change_name\":\"slow-down\",\"title\":\"Slow down\",\"why\":\"Attacks.\",\"what\":[\"wait\"],"
        "\"tasks\":[],\"requirements\":[{\"op\":\"added\",\"capability\":\"auth\",\"name\":\"login  WORKS\","
        "\"text\":\"The system SHALL wait.\",\"scenarios\":[{\"name\":\"Wrong password\",\"when\":[\"wrong\"],"
        "\"then\":[\"wait\"]}],\"sources\":[\"i1\",\"c1\"]}],\"sources\":[{\"id\":\"i1\",\"server\":\"fs\","
        "\"tool\":\"read_file\",\"excerpt\":\"\",\"hash\":\"0\",\"title\":\"limits\"}]}");
    assert_int_equal(draft_complete_all(&a, &base, d), OK);
    const json_t *r = js_at(js_list(d, "requirements"), 0);
    assert_string_equal(js_str(r, "op"), "modified");
    assert_string_equal(js_str(r, "name"), "Login works");
    assert_int_equal(js_count(js_list(r, "scenarios")), 2);
    assert_int_equal(draft_render(&a, &base, d, str_of(""), &change, &err), OK);
    struct str delta = file_of(change, "specs/auth/spec.md");
    assert_true(str_is(delta, "## MODIFIED Requirements\n\n### Requirement: Login works\n"
                              "The system SHALL wait.\n\n#### Scenario: Right password\n"
                              "- **GIVEN** an account\n- **WHEN** the password is right\n"
                              "- **THEN** the user is in\n\n#### Scenario: Wrong password\n"
                              "- **WHEN** wrong\n- **THEN** wait\n"));
    struct str proposal = file_of(change, "proposal.md");
    assert_true(text_find(proposal, LIT("- `i1` fs/read_file: limits, for: Login works\n"), 0) <
                proposal.n);
    assert_true(text_find(proposal, LIT("- `c1`, for: Login works\n"), 0) < proposal.n);
    assert_int_equal(ws_with_change(&a, &base, change, &with, &err), OK);
    assert_int_equal(archive_check(&a, &with, str_of("slow-down"), false, &verdict), OK);
    assert_true(verdict.archivable);
    assert_int_equal(verdict.modified, 1);
    json_decref(change);
    json_decref(d);
    arena_fini(&a);
}

static void base_moves(void **state)
{
    (void)state;
    struct arena a;
    struct ws base, now;
    struct err err = { 0 };
    struct base_moves moves;
    arena_init(&a, ARENA_MAX);
    make_base(&a, &base);
    json_t *d = parse("{\"requirements\":[{\"op\":\"modified\",\"capability\":\"auth\",\"name\":\"Last\"},"
                      "{\"op\":\"removed\",\"capability\":\"auth\",\"name\":\"Login works\"},"
                      "{\"op\":\"added\",\"capability\":\"auth\",\"name\":\"New\"}]}");
    json_t *prints = openspec_base(&a, &base, d);
    assert_int_equal(json_object_size(js_obj(prints, "auth")), 2);
    struct ws_file f = { LIT("specs/auth/spec.md"),
                         LIT("## Requirements\n### Requirement: Last\nThe system SHALL stop.\n") };
    assert_int_equal(ws_make(&a, &f, 1, &now, &err), OK);
    assert_int_equal(openspec_base_moved(&a, &now, prints, &moves), OK);
    assert_int_equal(moves.n, 2);
    for (size_t i = 0; i < moves.n; i++)
        assert_int_equal(moves.at[i].state, str_is(moves.at[i].requirement, "Last") ? BASE_CHANGED
                                                                                    : BASE_GONE);
    assert_int_equal(openspec_base_moved(&a, &now, NULL, &moves), OK);
    assert_false(moves.known);
    json_decref(prints);
    json_decref(d);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(modified_is_completed),
                                        cmocka_unit_test(base_moves),
                                        cmocka_unit_test(random_drafts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
