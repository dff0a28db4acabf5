/* SPDX-License-Identifier: Apache-2.0 */
/* Drafts that are strictly valid, would be archived, and are worth nothing: the measures alone, without
 * a judge, keep them below the target of the acceptance rule; the good draft of the same problem
 * passes it. The rule knows none of these problems. */
#include "tests/unit/unit.h"

#include "common/doc.h"
#include "common/openspec/draft.h"
#include "tests/adversarial/variants.h"
#include "workers/review/gates.h"
#include "workers/review/measures.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* loop.target.measures of schemas/config.def, and what a good draft has to reach. */
enum { TARGET = 800, GOOD = 850, FILES_MAX = 64, BYTES_MAX = 256 * 1024 };

struct rig {
    struct arena a;
    json_t *all; /* problems.json */
    struct ws_file files[FILES_MAX];
    size_t files_n;
    struct ws ws;
    json_t *brief;
};

static struct str read_whole(struct rig *r, const char *path)
{
    FILE *f = fopen(path, "re");
    char data[65536];
    assert_non_null(f);
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    char *copy = arena_dup(&r->a, data, n);
    assert_non_null(copy);
    return (struct str){ copy, n };
}

static void add_file(struct rig *r, const char *path, struct str bytes)
{
    assert_true(r->files_n < FILES_MAX);
    char *copy = arena_dup(&r->a, path, strlen(path));
    r->files[r->files_n++] = (struct ws_file){ str_of(copy), bytes };
}

static void load_project(struct rig *r, const char *project)
{
    char path[512];
    snprintf(path, sizeof path, "%s/openspec/specs", project);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char file[1024], inside[512];
        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s/spec.md", path, e->d_name);
        snprintf(inside, sizeof inside, "specs/%s/spec.md", e->d_name);
        add_file(r, inside, read_whole(r, file));
    }
    closedir(dir);
    snprintf(path, sizeof path, "%s/openspec/config.yaml", project);
    add_file(r, "config.yaml", read_whole(r, path));
}

static void load_specs(struct rig *r, const json_t *specs)
{
    const char *id;
    json_t *text;
    json_object_foreach((json_t *)(uintptr_t)specs, id, text)
    {
        char inside[512];
        snprintf(inside, sizeof inside, "specs/%s/spec.md", id);
        add_file(r, inside, str_of(json_string_value(text)));
    }
}

/* {name, text} of every requirement of the workspace: headers and the first paragraph below. */
static json_t *known_of(const struct rig *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->files_n; i++) {
        char *copy = strndup(r->files[i].bytes.p, r->files[i].bytes.n), *at = copy;
        while ((at = strstr(at, "### Requirement: "))) {
            char *name = at + strlen("### Requirement: "), *end = strchr(name, '\n'),
                 *text = end + strspn(end, "\n");
            char *stop = strstr(text, "\n\n");
            json_t *v = json_object();
            js_set_str(v, "name", (struct str){ name, (size_t)(end - name) });
            js_set_str(v, "text", (struct str){ text, (size_t)(stop - text) });
            js_push(list, v);
            at = stop;
        }
        free(copy);
    }
    return list;
}

static void begin(struct rig *r, size_t i, struct subject *s)
{
    struct err err = { 0 };
    const json_t *e = js_at(r->all, i), *other = NULL;
    arena_init(&r->a, 512 << 20);
    r->files_n = 0;
    if (*js_str(e, "project"))
        load_project(r, js_str(e, "project"));
    else
        load_specs(r, js_obj(e, "specs"));
    assert_int_equal(ws_make(&r->a, r->files, r->files_n, &r->ws, &err), OK);
    /* The next problem of the same language about something else. */
    for (size_t k = 1; k < js_count(r->all) && !other; k++) {
        const json_t *o = js_at(r->all, (i + k) % js_count(r->all));
        bool same =
            *js_str(e, "project") && strcmp(js_str(o, "project"), js_str(e, "project")) == 0;
        other = !same && strcmp(js_str(o, "language"), js_str(e, "language")) == 0 ? o : NULL;
    }
    struct str problem =
        *js_str(e, "file") ? read_whole(r, js_str(e, "file")) : js_view(e, "problem");
    *s = (struct subject){ .name = js_str(e, "name"),
                           .language = js_str(e, "language"),
                           .problem = arena_dup(&r->a, problem.p, problem.n),
                           .story = js_list(e, "story"),
                           .wishes = js_list(e, "wishes"),
                           .good = js_list(e, "good"),
                           .known = known_of(r),
                           .elsewhere = js_list(other, "good") };
    r->brief = json_object();
    js_set_z(r->brief, "change_name", "try-something");
    js_set_z(r->brief, "title", s->name);
    js_set_str(r->brief, "problem", problem);
    js_set(r->brief, "capabilities", json_array());
}

static void end(struct rig *r, struct subject *s)
{
    json_decref(s->known);
    json_decref(r->brief);
    arena_fini(&r->a);
}

/* Every format gate holds: what follows is decided by the measures alone. */
static bool gates_pass(struct rig *r, const json_t *draft, json_t **change)
{
    struct err err = { 0 };
    json_t *gates = json_array(), *findings = json_array();
    assert_int_equal(doc_check("draft", draft, &err), OK);
    bool ok = draft_render(&r->a, &r->ws, draft, str_of("2026-11-23"), change, &err) == OK &&
              gates_check(&r->a, &r->ws, *change, BYTES_MAX, gates, findings, NULL) == OK &&
              gates_hold(gates);
    if (!ok) {
        char *text = json_dumps(findings, 0);
        print_error("  %s %s\n", err.text, text);
        free(text);
    }
    json_decref(gates);
    json_decref(findings);
    return ok;
}

/* The points of a draft, -1: a gate fails. */
static int64_t points_of(struct rig *r, const json_t *draft, bool told)
{
    struct measures_result out;
    json_t *change = NULL;
    int64_t score = -1;
    if (gates_pass(r, draft, &change)) {
        struct measures_input in = {
            .brief = r->brief, .draft = draft, .change = change, .ws = &r->ws
        };
        assert_int_equal(measures_take(&r->a, &in, &out), OK);
        score = out.score;
        char *text = told ? json_dumps(out.findings, JSON_INDENT(1)) : NULL;
        if (text)
            print_error("%s\n", text);
        free(text);
        json_decref(out.list);
        json_decref(out.findings);
    }
    json_decref(change);
    return score;
}

static void try_variants(struct rig *r, const struct subject *s, size_t *wrong, size_t *tried)
{
    for (size_t v = 0; v < variants_n; v++) {
        json_t *draft = variants[v].make(s);
        if (!draft)
            continue;
        int64_t score = points_of(r, draft, false);
        ++*tried;
        if (score < 0 || score >= TARGET) {
            print_error("%s: %s: %lld points\n", s->name, variants[v].name, (long long)score);
            ++*wrong;
        }
        json_decref(draft);
    }
}

static void worthless_drafts_stay_below_the_target(void **state)
{
    struct rig *r = *state;
    size_t wrong = 0, tried = 0;
    for (size_t i = 0; i < js_count(r->all); i++) {
        struct subject s;
        begin(r, i, &s);
        try_variants(r, &s, &wrong, &tried);
        end(r, &s);
    }
    assert_true(tried > 300);
    assert_int_equal(wrong, 0);
}

static void good_drafts_pass(void **state)
{
    struct rig *r = *state;
    size_t wrong = 0;
    for (size_t i = 0; i < js_count(r->all); i++) {
        struct subject s;
        begin(r, i, &s);
        json_t *draft = draft_good(&s);
        int64_t score = points_of(r, draft, false);
        if (score < GOOD) {
            print_error("%s: the good draft has %lld points\n", s.name, (long long)score);
            points_of(r, draft, true);
            wrong++;
        }
        json_decref(draft);
        end(r, &s);
    }
    assert_int_equal(wrong, 0);
}

static int load(void **state)
{
    static struct rig rig;
    json_error_t e;
    rig.all = json_load_file("tests/adversarial/problems.json", 0, &e);
    *state = &rig;
    return rig.all ? 0 : -1;
}

static int unload(void **state)
{
    struct rig *r = *state;
    json_decref(r->all);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_drafts_pass),
        cmocka_unit_test(worthless_drafts_stay_below_the_target),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
