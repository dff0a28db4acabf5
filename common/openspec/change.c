/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/change.h"

#include "common/openspec/nested.h"
#include "common/openspec/tasks.h"

#include <stdlib.h>

#define GUIDE_NO_DELTAS                                                                         \
    "Change must have at least one delta. No deltas found. Ensure your change has a specs/ "    \
    "directory with capability folders (e.g. specs/http-server/spec.md) containing .md files "  \
    "that use delta headers (## ADDED/MODIFIED/REMOVED/RENAMED Requirements) and that each "    \
    "requirement includes at least one \"#### Scenario:\" block. If this change intentionally " \
    "modifies no specs (pure refactor, tooling, docs), set \"skip_specs: true\" in the "        \
    "change's .openspec.yaml instead. Tip: run \"openspec change show <change-id> --json "      \
    "--deltas-only\" to inspect parsed deltas."

enum status change_read(struct pool *p, const struct ws *ws, struct str name, struct change *out)
{
    struct str_list ids;
    *out = (struct change){ .name = name };
    if (!ws_has_change(ws, name))
        return ERR_NOT_FOUND;
    out->specs = pool_cat(p, LIT("changes/"), name, LIT("/specs/"));
    enum status st = ws_spec_ids(p->a, ws, out->specs, &ids);
    if (st == OK)
        st = meta_read(p->a, ws, name, &out->meta);
    for (size_t i = 0; st == OK && i < ids.n && !p->failed; i++) {
        struct change_delta d = { .id = ids.at[i] };
        d.path = pool_cat(p, d.id, LIT("/spec.md"));
        d.file = pool_cat(p, out->specs, d.path);
        const struct ws_file *f = ws_find(ws, d.file);
        d.bytes = f ? f->bytes : LIT("");
        d.delta = delta_read(p, text_decode(p, d.bytes));
        pool_push(p, out, d);
    }
    return st == OK ? pool_status(p) : st;
}

const struct merge_out *change_merge(struct pool *p, const struct ws *ws, const struct change *c,
                                     size_t i)
{
    struct change_delta *d = &c->at[i];
    if (d->merged)
        return d->merged;
    struct merge_out *out = pool_alloc(p, sizeof *out);
    struct str path = pool_cat(p, LIT("specs/"), d->id, LIT("/spec.md"));
    const struct ws_file *main = ws_find(ws, path);
    struct merge_in in = { .id = d->id, .change = c->name, .delta = d->bytes, .has_main = main,
                           .main = main ? main->bytes : LIT(""),
                           .main_path = pool_cat(p, LIT("openspec/"), path) };
    if (p->failed || merge_spec(p->a, &in, out) != OK) {
        p->failed = true;
        return NULL;
    }
    return d->merged = out;
}

bool change_has_root_spec(struct pool *p, const struct ws *ws, const struct change *c)
{
    return ws_find(ws, pool_cat(p, c->specs, LIT("spec.md")));
}

static bool hidden(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '.' && (i == 0 || path.p[i - 1] == '/'))
            return true;
    }
    return false;
}

bool change_has_specs(const struct ws *ws, const struct change *c)
{
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, c->specs, &n);
    struct str itself = { c->specs.p, c->specs.n ? c->specs.n - 1 : 0 };
    for (size_t i = 0; i < n; i++) {
        if (!hidden(text_from(f[i].path, c->specs.n)))
            return true;
    }
    return ws_find(ws, itself); /* a file of that name: nothing can be ruled out */
}

static struct str file_name(struct str path)
{
    size_t i = path.n;
    while (i > 0 && path.p[i - 1] != '/')
        i--;
    return text_from(path, i);
}

/* A Markdown file that merging does not read although it has delta sections. */
static bool unread_delta(struct pool *p, const struct ws_file *f, struct str path)
{
    struct str name = file_name(path);
    if (hidden(path) || str_is(name, "spec.md") || name.n < 3 ||
        !text_is_ci(text_from(name, name.n - 3), ".md"))
        return false;
    struct delta d = delta_read(p, text_decode(p, f->bytes));
    return delta_any_section(&d);
}

static int u16_cmp(const void *a, const void *b)
{
    return text_u16_cmp(*(const struct str *)a, *(const struct str *)b);
}

size_t change_unread(struct report *r, const struct ws *ws, const struct change *c)
{
    struct str_list paths = { 0 };
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, c->specs, &n);
    for (size_t i = 0; i < n && !r->p->failed; i++) {
        struct str path = text_from(f[i].path, c->specs.n);
        if (unread_delta(r->p, &f[i], path))
            pool_push(r->p, &paths, path);
    }
    if (paths.n > 1)
        qsort(paths.at, paths.n, sizeof *paths.at, u16_cmp);
    for (size_t i = 0; i < paths.n; i++) {
        struct str path = paths.at[i], name = file_name(path);
        size_t above = path.n - name.n;
        struct str id = above ? (struct str){ path.p, above - 1 } : (struct str){ path.p, path.n - 3 };
        report_add(r, (struct remark){
                          .severity = SPEC_ERROR, .code = "change.unread-delta", .path = path,
                          .is_file = true,
                          .message = pool_cat(r->p, LIT("Delta spec found at specs/"), path,
                                              LIT(". Delta specs must be a spec.md inside a "
                                                  "capability folder — this file is ignored when "
                                                  "the change is applied or archived. Move its "
                                                  "requirements into specs/"),
                                              id, LIT("/spec.md.")),
                          .fix = "move its requirements into the spec.md of a capability" });
    }
    return paths.n;
}

/* ---- the parts of change_check ---- */

static void file_error(struct report *r, const char *code, const char *path, struct str message,
                       const char *fix)
{
    report_add(r, (struct remark){ .severity = SPEC_ERROR, .code = code, .path = str_of(path),
                                   .message = message, .fix = fix });
}

static void check_root_spec(struct report *r)
{
    report_add(r, (struct remark){
                      .severity = SPEC_ERROR, .code = "change.root-spec", .path = LIT("spec.md"),
                      .is_file = true,
                      .message = LIT("Delta spec found at specs/spec.md. Delta specs must live "
                                     "under a capability path (e.g. specs/<capability-path>/"
                                     "spec.md) — a file at the specs/ root is ignored when the "
                                     "change is applied or archived."),
                      .fix = "move it into the folder of its capability" });
}

/* Has the delta of that path an error among those reported so far, or no entries at all? */
static bool rejected(const struct report *r, const struct change_delta *d)
{
    for (size_t i = 0; i < r->findings->n; i++) {
        const struct spec_finding *f = &r->findings->at[i];
        if (f->severity == SPEC_ERROR && str_eq(f->path, d->path))
            return true;
    }
    return d->delta.entries == 0;
}

static void check_merges(struct report *r, const struct ws *ws, const struct change *c)
{
    bool *skip = pool_alloc(r->p, c->n + 1);
    for (size_t i = 0; skip && i < c->n; i++)
        skip[i] = rejected(r, &c->at[i]);
    for (size_t i = 0; skip && i < c->n && !r->p->failed; i++) {
        const struct change_delta *d = &c->at[i];
        const struct merge_out *m = skip[i] ? NULL : change_merge(r->p, ws, c, i);
        if (!m || !m->refused)
            continue;
        report_add(r, (struct remark){
                          .severity = SPEC_INFO, .code = "archive.refused", .path = d->path,
                          .is_file = true, .line = m->refusal_in_main ? 0 : m->refusal_line,
                          .requirement = m->requirement,
                          .message = pool_cat(r->p, LIT("Archive would refuse this delta: "),
                                              m->refusal),
                          .fix = "see the message; archive refuses the change until then" });
    }
}

static void check_entries(struct report *r, const struct change *c)
{
    static const char *const heads[] = { "## ADDED Requirements", "## MODIFIED Requirements",
                                         "## REMOVED Requirements", "## RENAMED Requirements" };
    for (size_t i = 0; i < c->n; i++) {
        const struct change_delta *d = &c->at[i];
        struct str list = { 0 };
        size_t left = 0;
        for (int k = 0; k < DELTA_KINDS; k++)
            left += d->delta.present[k];
        if (d->delta.entries > 0 || left == 0)
            continue;
        for (int k = 0; k < DELTA_KINDS; k++) {
            if (!d->delta.present[k])
                continue;
            left--;
            struct str between = list.n == 0 ? LIT("") : left == 0 ? LIT(" and ") : LIT(", ");
            list = pool_cat(r->p, list, between, str_of(heads[k]));
        }
        report_add(r, (struct remark){
                          .severity = SPEC_ERROR, .code = "delta.no-entries", .path = d->path,
                          .is_file = true,
                          .message = pool_cat(r->p, LIT("Delta sections "), list,
                                              LIT(" were found, but no requirement entries parsed. "
                                                  "Ensure each section includes at least one \"### "
                                                  "Requirement:\" block (REMOVED may use bullet "
                                                  "list syntax).")),
                          .fix = "add a `### Requirement: …` block" });
    }
    for (size_t i = 0; i < c->n; i++) {
        const struct change_delta *d = &c->at[i];
        if (d->delta.entries == 0 && !delta_any_section(&d->delta))
            report_add(r, (struct remark){
                              .severity = SPEC_ERROR, .code = "delta.no-sections", .path = d->path,
                              .is_file = true,
                              .message = LIT("No delta sections found. Add headers such as \"## "
                                             "ADDED Requirements\" or move non-delta notes outside "
                                             "specs/."),
                              .fix = "add `## ADDED Requirements` or another delta header" });
    }
}

static void check_total(struct report *r, const struct ws *ws, const struct change *c, bool elsewhere)
{
    size_t total = 0;
    for (size_t i = 0; i < c->n; i++)
        total += c->at[i].delta.entries;
    bool skip = c->meta.skip_specs.declared, files = skip && change_has_specs(ws, c);
    if (files)
        file_error(r, "change.skip-specs", "file",
                   LIT("skip_specs is set in .openspec.yaml but spec files exist under specs/. "
                       "Remove skip_specs or delete the delta spec files"),
                   "remove skip_specs or the files below specs/");
    if (total > 0 || elsewhere)
        return;
    if (skip && !files)
        report_add(r, (struct remark){
                          .severity = SPEC_INFO, .code = "change.skip-specs", .path = LIT("file"),
                          .message = LIT("skip_specs is set in .openspec.yaml: change declares no "
                                         "spec-level behavior changes, zero deltas accepted") });
    else if (!skip)
        file_error(r, "change.no-deltas", "file", LIT(GUIDE_NO_DELTAS),
                   "write a delta spec, or set skip_specs in .openspec.yaml");
}

void change_check(struct report *r, const struct ws *ws, const struct change *c, bool full)
{
    bool root = change_has_root_spec(r->p, ws, c);
    r->dir = c->specs;
    if (root)
        check_root_spec(r);
    for (size_t i = 0; i < c->n && !r->p->failed; i++) {
        const struct ws_file *main =
            full ? ws_find(ws, pool_cat(r->p, LIT("specs/"), c->at[i].path)) : NULL;
        delta_check(r, &c->at[i], main ? &main->bytes : NULL);
    }
    if (full)
        check_merges(r, ws, c);
    size_t unread = change_unread(r, ws, c);
    check_entries(r, c);
    struct str own = pool_cat(r->p, LIT("changes/"), c->name, LIT("/"));
    if (c->meta.skip_specs.invalid.n > 0) {
        r->dir = own;
        report_add(r, (struct remark){
                          .severity = SPEC_ERROR, .code = "change.metadata",
                          .path = LIT(".openspec.yaml"), .is_file = true,
                          .message = pool_cat(r->p,
                                              LIT("skip_specs is set but .openspec.yaml is not "
                                                  "valid change metadata, so the marker is not "
                                                  "honored. Fix the metadata ("),
                                              c->meta.skip_specs.invalid, LIT(")")),
                          .fix = "correct .openspec.yaml" });
    }
    check_total(r, ws, c, root || unread > 0);
    r->dir = own;
    if (full)
        tasks_check(r, ws, c->name, &c->meta);
}

enum status change_validate(struct pool *p, const struct ws *ws, const struct change *c, bool strict,
                            struct spec_report *out)
{
    struct spec_findings findings = { 0 };
    struct report r = { p, &findings, LIT("") };
    struct str_list nested = nested_changes(p, ws, c->name);
    if (nested.n > 0)
        file_error(&r, "change.nested", "file", nested_message(p, c->name, &nested),
                   "rename each nested change to a flat name");
    else
        change_check(&r, ws, c, true);
    report_close(&findings, strict, out);
    return pool_status(p);
}

enum status validate_change(struct arena *a, const struct ws *ws, struct str change, bool strict,
                            struct spec_report *out)
{
    struct pool p = pool_of(a);
    struct change c;
    *out = (struct spec_report){ 0 };
    enum status st = change_read(&p, ws, change, &c);
    return st == OK ? change_validate(&p, ws, &c, strict, out) : st;
}
