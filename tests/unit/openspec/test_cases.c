/* SPDX-License-Identifier: Apache-2.0 */
/* The golden cases: input trees, and what the original tool did with each. Compared: validity and
 * the list of findings, normal and strict; what archiving refuses, with which words; the files and
 * the warnings that it leaves. The answers say <TODAY> for the date and <ROOT> for the folder. */
#include "common/openspec/archive.h"
#include "common/openspec/spec.h"
#include "common/openspec/tree.h"
#include "common/openspec/validate.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CASES "tests/openspec/cases"

enum { CASES_MIN = 100, ARENA_MAX = 1 << 28, NAMES_MAX = 512 };

struct run {
    const char *name;
    json_t *spec; /* the case file */
    struct arena a;
    struct ws ws;
    int faults;
    int compared;
};

static void fault(struct run *r, const char *what, const char *want, const char *got)
{
    r->faults++;
    print_message("%s: %s\n  want: %s\n  got:  %s\n", r->name, what, want, got);
}

static json_t *load(const char *path)
{
    json_error_t e;
    json_t *v = json_load_file(path, 0, &e);
    assert_non_null(v);
    return v;
}

static struct str text(const json_t *v)
{
    return (struct str){ json_string_value(v), json_string_length(v) };
}

static struct str below_openspec(const char *path)
{
    const char *prefix = "openspec/";
    assert_true(strncmp(path, prefix, strlen(prefix)) == 0);
    return str_of(path + strlen(prefix));
}

static int nibble(char c)
{
    const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : 0;
}

static struct str base64(struct arena *a, const char *z)
{
    size_t n = strlen(z), out = 0;
    char *p = arena_alloc(a, n + 4);
    for (size_t i = 0; i + 3 < n; i += 4) {
        int v = nibble(z[i]) << 18 | nibble(z[i + 1]) << 12 | nibble(z[i + 2]) << 6 |
                nibble(z[i + 3]);
        p[out++] = (char)(v >> 16);
        if (z[i + 2] != '=')
            p[out++] = (char)(v >> 8 & 0xff);
        if (z[i + 3] != '=')
            p[out++] = (char)(v & 0xff);
    }
    return (struct str){ p, out };
}

static void build(struct run *r)
{
    static struct ws_file files[NAMES_MAX];
    size_t n = 0;
    const char *path;
    json_t *v;
    struct err err = { 0 };
    json_object_foreach(json_object_get(r->spec, "files"), path, v) {
        files[n++] = (struct ws_file){ below_openspec(path), text(v) };
    }
    json_object_foreach(json_object_get(r->spec, "files_base64"), path, v) {
        files[n++] = (struct ws_file){ below_openspec(path), base64(&r->a, json_string_value(v)) };
    }
    if (ws_make(&r->a, files, n, &r->ws, &err) != OK)
        fail_msg("%s: %s", r->name, err.text);
}

/* The JSON document that a command of the original printed; NULL when it printed none. */
static json_t *answer(const struct run *r, const char *key)
{
    json_error_t e;
    const char *out = js_str(js_obj(js_obj(r->spec, "expected"), key), "stdout");
    return json_loads(out, 0, &e);
}

/* ---- validation ---- */

static json_t *issue_json(const struct spec_finding *f)
{
    json_t *v = json_object();
    js_set_z(v, "level", spec_severity_level(f->severity));
    js_set_str(v, "path", f->path);
    js_set_str(v, "message", f->message);
    if (f->says_line)
        js_set_int(v, "line", (int64_t)f->line);
    return v;
}

static json_t *report_json(const struct spec_report *rep)
{
    json_t *v = json_object(), *issues = json_array();
    js_set_bool(v, "valid", rep->valid);
    for (size_t i = 0; i < rep->findings.n; i++)
        js_push(issues, issue_json(&rep->findings.at[i]));
    js_set(v, "issues", issues);
    return v;
}

static void compare(struct run *r, const char *what, const json_t *want, json_t *got)
{
    r->compared++;
    if (!json_equal(want, got)) {
        char *a = json_dumps(want, JSON_SORT_KEYS), *b = json_dumps(got, JSON_SORT_KEYS);
        fault(r, what, a, b);
        free(a);
        free(b);
    }
    json_decref(got);
}

static const json_t *item_of(const json_t *doc, const char *type, struct str id)
{
    const json_t *items = js_list(doc, "items");
    for (size_t i = 0; i < js_count(items); i++) {
        const json_t *item = js_at(items, i);
        if (strcmp(js_str(item, "type"), type) == 0 && str_eq(js_view(item, "id"), id))
            return item;
    }
    return NULL;
}

static void compare_item(struct run *r, const json_t *doc, const char *type, struct str id,
                         const struct spec_report *rep)
{
    const json_t *item = item_of(doc, type, id);
    if (!item) {
        fault(r, "an item that the original does not list", type, "");
        return;
    }
    json_t *want = json_object();
    js_set(want, "valid", json_incref(json_object_get(item, "valid")));
    js_set(want, "issues", json_incref(json_object_get(item, "issues")));
    compare(r, type, want, report_json(rep));
    json_decref(want);
}

static void check_validation(struct run *r, const char *key, bool strict)
{
    struct str_list specs, changes;
    json_t *doc = answer(r, key);
    assert_non_null(doc);
    assert_int_equal(ws_spec_ids(&r->a, &r->ws, str_of("specs/"), &specs), OK);
    assert_int_equal(ws_changes(&r->a, &r->ws, &changes), OK);
    if (js_count(js_list(doc, "items")) != specs.n + changes.n)
        fault(r, key, "another number of items", "");
    for (size_t i = 0; i < specs.n; i++) {
        struct spec_report rep;
        const struct ws_file *f = ws_find(&r->ws, ws_spec_path(&r->a, specs.at[i]));
        assert_non_null(f);
        assert_int_equal(validate_spec(&r->a, specs.at[i], f->bytes, strict, &rep), OK);
        compare_item(r, doc, "spec", specs.at[i], &rep);
    }
    for (size_t i = 0; i < changes.n; i++) {
        struct spec_report rep;
        assert_int_equal(validate_change(&r->a, &r->ws, changes.at[i], strict, &rep), OK);
        compare_item(r, doc, "change", changes.at[i], &rep);
    }
    json_decref(doc);
}

/* `list --specs` counts requirements as reader A sees them. */
static void check_list(struct run *r)
{
    json_t *doc = answer(r, "list_specs");
    const json_t *specs = js_list(doc, "specs");
    for (size_t i = 0; i < js_count(specs); i++) {
        struct pool p = pool_of(&r->a);
        struct str id = js_view(js_at(specs, i), "id");
        const struct ws_file *f = ws_find(&r->ws, ws_spec_path(&r->a, id));
        assert_non_null(f);
        struct tree_spec tree = tree_spec(&p, text_decode(&p, f->bytes));
        bool readable = tree.has_purpose && tree.has_requirements;
        r->compared++;
        if (js_int(js_at(specs, i), "requirementCount", -1) != (readable ? (int64_t)tree.n : 0))
            fault(r, "number of requirements", "", js_str(js_at(specs, i), "id"));
    }
    json_decref(doc);
}

/* ---- archiving ---- */

/* Without "<ROOT>/", which the library does not know. */
static struct str rootless(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    const char *mark = "<ROOT>/";
    for (size_t i = 0; i < s.n;) {
        if (s.n - i >= strlen(mark) && memcmp(s.p + i, mark, strlen(mark)) == 0)
            i += strlen(mark);
        else
            out[n++] = s.p[i++];
    }
    return (struct str){ out, n };
}

static void compare_refusal(struct run *r, const json_t *want, const struct archive_verdict *v)
{
    json_t *got = json_object(), *clean = json_object();
    js_set_z(got, "code", v->code ? v->code : "none");
    js_set_str(got, "message", v->message);
    js_set_str(clean, "code", js_view(want, "code"));
    js_set_str(clean, "message", rootless(&r->a, js_view(want, "message")));
    if (js_view(want, "fix").n || v->fix.n) {
        js_set_str(clean, "fix", rootless(&r->a, js_view(want, "fix")));
        js_set_str(got, "fix", v->fix);
    }
    compare(r, "refusal", clean, got);
    json_decref(clean);
    if (spec_findings_count(&v->findings, SPEC_ERROR) == 0)
        fault(r, "a refusal without a finding", "", "");
}

static void compare_archive(struct run *r, const json_t *want, const struct archive_verdict *v)
{
    json_t *got = json_object(), *warnings = json_array(), *clean = json_array();
    js_set_int(got, "added", (int64_t)v->added);
    js_set_int(got, "modified", (int64_t)v->modified);
    js_set_int(got, "removed", (int64_t)v->removed);
    js_set_int(got, "renamed", (int64_t)v->renamed);
    const json_t *totals = js_obj(want, "totals");
    if (totals)
        compare(r, "totals", totals, got);
    else
        json_decref(got);
    for (size_t i = 0; i < v->warnings.n; i++)
        js_push(warnings, js_string(v->warnings.at[i]));
    const json_t *list = js_list(want, "warnings");
    for (size_t i = 0; i < js_count(list); i++)
        js_push(clean, js_string(rootless(&r->a, text(js_at(list, i)))));
    compare(r, "warnings", clean, warnings);
    json_decref(clean);
}

static void check_archive(struct run *r, const char *key)
{
    struct str change = str_of(key + strlen("archive_"));
    struct archive_verdict v, own;
    struct err err = { 0 };
    json_t *doc = answer(r, key);
    assert_non_null(doc);
    const json_t *status = js_at(js_list(doc, "status"), 0), *done = js_obj(doc, "archive");
    assert_int_equal(archive_check(&r->a, &r->ws, change, true, &v), OK);
    assert_int_equal(archive_check(&r->a, &r->ws, change, false, &own), OK);
    if (own.archivable && !v.archivable)
        fault(r, "our verdict is milder than the original's", "", key);
    if (strcmp(js_str(status, "code"), "archive_target_exists") == 0) {
        if (archive_apply(&r->a, &r->ws, change, str_of("<TODAY>"), &v, &r->ws, &err) == OK)
            fault(r, "the archive should have it already", "", key);
    } else if (status) {
        compare_refusal(r, status, &v);
    } else if (!v.archivable) {
        fault(r, "the original archives this", key, err.text);
    } else {
        compare_archive(r, done, &v);
        if (archive_apply(&r->a, &r->ws, change, str_of("<TODAY>"), &v, &r->ws, &err) != OK)
            fault(r, "apply", "", err.text);
    }
    json_decref(doc);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_archives(struct run *r)
{
    const char *keys[NAMES_MAX], *key;
    size_t n = 0;
    json_t *v;
    json_object_foreach((json_t *)js_obj(r->spec, "expected"), key, v) {
        if (strncmp(key, "archive_", strlen("archive_")) == 0)
            keys[n++] = key;
    }
    qsort(keys, n, sizeof *keys, by_name);
    for (size_t i = 0; i < n; i++)
        check_archive(r, keys[i]);
    const json_t *after = js_obj(js_obj(r->spec, "expected"), "tree_after");
    if (!after)
        return;
    json_t *tree = json_object();
    for (size_t i = 0; i < r->ws.n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%.*s", STR_ARG(r->ws.files[i].path));
        js_set_str(tree, path, r->ws.files[i].bytes);
    }
    compare(r, "tree", after, tree);
}

static int run_case(const char *name, int *compared)
{
    char path[512];
    snprintf(path, sizeof path, CASES "/%s", name);
    struct run r = { .name = name, .spec = load(path) };
    arena_init(&r.a, ARENA_MAX);
    build(&r);
    check_validation(&r, "validate", false);
    check_validation(&r, "validate_strict", true);
    check_list(&r);
    check_archives(&r);
    *compared += r.compared;
    arena_fini(&r.a);
    json_decref(r.spec);
    return r.faults;
}

static void all_cases(void **state)
{
    (void)state;
    struct dirent **names;
    int n = scandir(CASES, &names, NULL, alphasort), cases = 0, faults = 0, compared = 0;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        const char *dot = strrchr(names[i]->d_name, '.');
        if (dot && strcmp(dot, ".json") == 0) {
            cases++;
            faults += run_case(names[i]->d_name, &compared);
        }
        free(names[i]);
    }
    free(names);
    print_message("%d cases, %d comparisons, %d differences\n", cases, compared, faults);
    assert_true(cases >= CASES_MIN);
    assert_int_equal(faults, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(all_cases) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
