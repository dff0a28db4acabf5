/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/openspec/answers.h"

#include "common/openspec/archive.h"
#include "common/openspec/block.h"
#include "common/openspec/merge.h"
#include "common/openspec/show.h"
#include "common/openspec/structure.h"
#include "common/openspec/tasks.h"
#include "common/openspec/tree.h"

#include <inttypes.h>
#include <string.h>

void side_count(struct side *d, const char *op, const char *outcome)
{
    char name[64];
    snprintf(name, sizeof name, "%s %s", op, outcome);
    for (size_t i = 0; i < OUTCOMES; i++) {
        struct outcome *o = &d->outcomes[i];
        if (o->n == 0)
            snprintf(o->name, sizeof o->name, "%s", name);
        if (strcmp(o->name, name) == 0) {
            o->n++;
            return;
        }
    }
}

void side_print(const struct side *d)
{
    for (size_t i = 0; i < OUTCOMES && d->outcomes[i].n; i++)
        printf("  %-44s %" PRIu64 "\n", d->outcomes[i].name, d->outcomes[i].n);
}

static void set_b(json_t *o, const char *key, bool v)
{
    js_set_bool(o, key, v);
}

static json_t *strings(const struct str_list *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++)
        js_push(out, js_string(list->at[i]));
    return out;
}

static json_t *error_answer(struct str text)
{
    json_t *v = json_object();
    js_set_str(v, "error", text);
    return v;
}

json_t *ok_answer(json_t *ok)
{
    json_t *v = json_object();
    js_set(v, "ok", ok);
    return v;
}

json_t *our_spec(struct pool *p, struct str text)
{
    struct tree_spec s = tree_spec(p, text_decode(p, text));
    json_t *v = json_object(), *list = json_array();
    if (!s.has_purpose || !s.has_requirements) {
        json_decref(v);
        json_decref(list);
        return error_answer(s.has_purpose ? LIT("Spec must have a Requirements section")
                                          : LIT("Spec must have a Purpose section"));
    }
    for (size_t i = 0; i < s.n; i++) {
        json_t *r = json_object();
        js_set_str(r, "text", s.at[i].text);
        js_set_int(r, "scenarios", (int64_t)s.at[i].scenarios);
        js_push(list, r);
    }
    js_set_str(v, "overview", s.purpose);
    js_set(v, "requirements", list);
    return ok_answer(v);
}

static json_t *block_list(const struct blocks *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++) {
        json_t *b = json_object();
        js_set_str(b, "name", list->at[i].name);
        js_set_str(b, "raw", list->at[i].raw);
        js_push(out, b);
    }
    return out;
}

static json_t *side_list(const struct delta *d)
{
    json_t *out = json_array();
    for (size_t i = 0; i < d->unpaired.n; i++) {
        json_t *v = json_object();
        js_set_z(v, "side", d->unpaired.at[i].is_from ? "FROM" : "TO");
        js_set_str(v, "name", d->unpaired.at[i].name);
        js_set_int(v, "line", (int64_t)d->unpaired.at[i].line);
        js_push(out, v);
    }
    return out;
}

static json_t *header_lists(const struct delta *d, bool orphans)
{
    json_t *out = json_array();
    for (size_t i = 0; i < (orphans ? d->orphans.n : d->strays.n); i++) {
        json_t *v = json_object();
        js_set_str(v, orphans ? "name" : "header",
                   orphans ? d->orphans.at[i].name : d->strays.at[i].header);
        js_set_str(v, "section", orphans ? d->orphans.at[i].section : d->strays.at[i].section);
        js_set_int(v, "line", (int64_t)(orphans ? d->orphans.at[i].line : d->strays.at[i].line));
        js_push(out, v);
    }
    return out;
}

json_t *our_delta(struct pool *p, struct str text)
{
    struct delta d = delta_read(p, text_decode(p, text));
    json_t *v = json_object(), *removed = json_array(), *renamed = json_array();
    json_t *present = json_object();
    for (size_t i = 0; i < d.removed.n; i++)
        js_push(removed, js_string(d.removed.at[i].name));
    for (size_t i = 0; i < d.renamed.n; i++) {
        json_t *r = json_object();
        js_set_str(r, "from", d.renamed.at[i].from);
        js_set_str(r, "to", d.renamed.at[i].to);
        js_push(renamed, r);
    }
    set_b(present, "added", d.present[DELTA_ADDED]);
    set_b(present, "modified", d.present[DELTA_MODIFIED]);
    set_b(present, "removed", d.present[DELTA_REMOVED]);
    set_b(present, "renamed", d.present[DELTA_RENAMED]);
    js_set(v, "added", block_list(&d.added));
    js_set(v, "modified", block_list(&d.modified));
    js_set(v, "removed", removed);
    js_set(v, "renamed", renamed);
    js_set(v, "unpaired", side_list(&d));
    js_set(v, "orphans", header_lists(&d, true));
    js_set(v, "skipped", header_lists(&d, false));
    js_set(v, "present", present);
    return ok_answer(v);
}

json_t *our_section(struct pool *p, struct str text)
{
    struct slices s = slices_read(p, text_decode(p, text));
    json_t *v = json_object();
    js_set_str(v, "before", text_trim_end(s.before));
    js_set_str(v, "header", s.header);
    js_set_str(v, "preamble", s.preamble);
    js_set_str(v, "after", text_trim(s.after));
    js_set(v, "blocks", block_list(&s.blocks));
    return ok_answer(v);
}

json_t *our_structure(struct pool *p, struct str text)
{
    struct structure_issues list = structure_check(p, text_decode(p, text));
    json_t *v = json_array();
    for (size_t i = 0; i < list.n; i++) {
        json_t *issue = json_object();
        js_set_int(issue, "line", (int64_t)list.at[i].line);
        js_set_str(issue, "message", list.at[i].message);
        js_push(v, issue);
    }
    return ok_answer(v);
}

json_t *our_tasks(struct pool *p, struct str text)
{
    struct lines l = lines_of(p, text_decode(p, text));
    json_t *v = json_array();
    for (size_t i = 0; i < l.n; i++) {
        struct task_line t;
        if (!task_line(l.at[i], &t))
            continue;
        json_t *task = json_object();
        js_set_bool(task, "done", t.done);
        js_set_str(task, "description", t.text);
        js_push(v, task);
    }
    return ok_answer(v);
}

json_t *report_json(const struct spec_report *r)
{
    json_t *v = json_object(), *issues = json_array();
    for (size_t i = 0; i < r->findings.n; i++) {
        const struct spec_finding *f = &r->findings.at[i];
        json_t *issue = json_object();
        js_set_z(issue, "level", spec_severity_level(f->severity));
        js_set_str(issue, "path", f->path);
        js_set_str(issue, "message", f->message);
        if (f->says_line)
            js_set_int(issue, "line", (int64_t)f->line);
        js_push(issues, issue);
    }
    js_set_bool(v, "valid", r->valid);
    js_set(v, "issues", issues);
    return v;
}

json_t *our_merge(struct side *d, bool has_main, struct str main, struct str delta)
{
    struct merge_in in = { LIT("a"), LIT("c"), delta, has_main, main, LIT("MAIN") };
    struct merge_out m;
    json_t *v = json_object();
    if (merge_spec(&d->a, &in, &m) != OK)
        return v;
    if (m.refused) {
        json_decref(v);
        side_count(d, "merge", "refused");
        return error_answer(m.refusal);
    }
    side_count(d, "merge", m.added + m.modified + m.removed + m.renamed ? "merged" : "no-op");
    js_set_str(v, "rebuilt", m.rebuilt);
    js_set_int(v, "added", (int64_t)m.added);
    js_set_int(v, "modified", (int64_t)m.modified);
    js_set_int(v, "removed", (int64_t)m.removed);
    js_set_int(v, "renamed", (int64_t)m.renamed);
    js_set_bool(v, "empty", m.no_requirements);
    js_set(v, "unaccounted", strings(&m.unaccounted));
    js_set(v, "warnings", strings(&m.warnings));
    return ok_answer(v);
}

/* ---- whole trees ---- */

json_t *our_archive(struct side *d, const struct ws *ws, struct str change, struct ws *after)
{
    struct archive_verdict v;
    struct err err = { 0 };
    json_t *out = json_object(), *body = json_object();
    *after = *ws;
    if (archive_check(&d->a, ws, change, true, &v) != OK)
        return out;
    if (!v.archivable) {
        side_count(d, "archive", v.code);
        js_set_z(body, "severity", "error");
        js_set_z(body, "code", v.code);
        js_set_str(body, "message", v.message);
        if (v.fix.n)
            js_set_str(body, "fix", v.fix);
        js_set(out, "status", body);
        return out;
    }
    bool retires = false, any = false;
    for (size_t i = 0; i < v.writes_n; i++) {
        retires = retires || v.writes[i].removes;
        any = true;
    }
    side_count(d, "archive", retires ? "retired" : any ? "archived" : "nothing to write");
    struct str as = archive_name(&d->a, change, LIT("TODAY"));
    struct pool p = pool_of(&d->a);
    js_set_str(body, "change", change);
    js_set_str(body, "archivedAs", as);
    js_set_str(body, "path", pool_cat(&p, LIT("openspec/changes/archive/"), as));
    js_set_bool(body, "specsUpdated", any);
    json_t *totals = json_object();
    js_set_int(totals, "added", (int64_t)v.added);
    js_set_int(totals, "modified", (int64_t)v.modified);
    js_set_int(totals, "removed", (int64_t)v.removed);
    js_set_int(totals, "renamed", (int64_t)v.renamed);
    if (v.deltas > 0)
        js_set(body, "totals", totals);
    else
        json_decref(totals);
    if (v.warnings.n)
        js_set(body, "warnings", strings(&v.warnings));
    js_set(out, "ok", body);
    if (archive_apply(&d->a, ws, change, LIT("TODAY"), &v, after, &err) != OK)
        js_set_z(out, "apply", err.text);
    return out;
}

static json_t *both(struct side *d, const struct ws *ws, struct str id, bool change)
{
    json_t *v = json_object();
    for (int strict = 0; strict < 2; strict++) {
        struct spec_report r = { 0 };
        const struct ws_file *f = change ? NULL : ws_find(ws, ws_spec_path(&d->a, id));
        enum status st = change ? validate_change(&d->a, ws, id, strict, &r)
                                : validate_spec(&d->a, id, f->bytes, strict, &r);
        if (st == OK)
            js_set(v, strict ? "strict" : "normal", report_json(&r));
        if (strict && change)
            side_count(d, "change", r.valid ? "strictly valid" : "not strictly valid");
    }
    return v;
}

void add_member(json_t *o, struct str key, json_t *v)
{
    json_object_setn_nocheck(o, key.p, key.n, v);
    json_decref(v);
}

static void put_shown(struct side *d, json_t *out, const char *kind, struct str id, json_t *v,
                      const struct show_refusal *refusal)
{
    struct pool p = pool_of(&d->a);
    if (!v) {
        v = json_object();
        js_set_str(v, "error", refusal->message);
    }
    side_count(d, kind, json_object_get(v, "error") ? "refused" : "shown");
    add_member(out, pool_cat(&p, str_of(kind), LIT(" "), id), v);
}

static void our_shows(struct side *d, const struct ws *ws, const struct str_list *ids,
                      const struct str_list *names, json_t *out)
{
    json_t *listed = json_object(), *shown = json_object(), *warnings;
    struct show_refusal refusal;
    js_set(listed, "changes", list_changes(&d->a, ws, &warnings));
    if (js_count(warnings))
        js_set(listed, "warnings", json_incref(warnings));
    json_decref(warnings);
    js_set(listed, "specs", list_specs(&d->a, ws));
    for (size_t i = 0; i < ids->n; i++)
        put_shown(d, shown, "spec", ids->at[i], show_spec(&d->a, ws, ids->at[i], &refusal),
                  &refusal);
    for (size_t i = 0; i < names->n; i++)
        put_shown(d, shown, "change", names->at[i], show_change(&d->a, ws, names->at[i], &refusal),
                  &refusal);
    js_set(out, "listed", listed);
    js_set(out, "shown", shown);
}

/* Every spec and change of the tree, normal and strict, into specs and changes; listed; shown. */
void our_reports(struct side *d, const struct ws *ws, json_t *out)
{
    json_t *specs = json_object(), *changes = json_object();
    struct str_list ids = { 0 }, names = { 0 };
    if (ws_spec_ids(&d->a, ws, LIT("specs/"), &ids) != OK || ws_changes(&d->a, ws, &names) != OK)
        ids.n = names.n = 0;
    for (size_t i = 0; i < ids.n; i++)
        add_member(specs, ids.at[i], both(d, ws, ids.at[i], false));
    for (size_t i = 0; i < names.n; i++)
        add_member(changes, names.at[i], both(d, ws, names.at[i], true));
    js_set(out, "specs", specs);
    js_set(out, "changes", changes);
    our_shows(d, ws, &ids, &names, out);
}

json_t *our_tree(struct side *d, const struct ws *ws)
{
    json_t *v = json_object(), *files = json_object();
    struct ws after;
    our_reports(d, ws, v);
    js_set(v, "archive", our_archive(d, ws, LIT("c"), &after));
    for (size_t i = 0; i < after.n; i++)
        add_member(files, after.files[i].path, base64(after.files[i].bytes));
    js_set(v, "after", files);
    return ok_answer(v);
}
