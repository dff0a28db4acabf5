/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/archive.h"

#include "common/openspec/change.h"
#include "common/openspec/nested.h"
#include "common/openspec/text.h"

#include <stdio.h>

enum { SHOWN_LINES = 3, SHOWN_CHARS = 200 };

/* What becomes of one capability. */
struct outcome {
    const struct change_delta *delta;
    const struct merge_out *merge;
    struct spec_report check;
    bool exists; /* the current spec */
    enum { WRITE, RETIRE, SKIP } what;
    bool emptied; /* its only fault is that no requirement is left */
};

struct archiving {
    struct pool *p;
    const struct ws *ws;
    struct change c;
    struct report r;
    struct archive_verdict *out;
    struct outcome *outcomes;
};

/* The first refusal is the one that the original would report. */
static void refuse(struct archiving *a, const char *code, struct str message, struct str fix)
{
    if (a->out->code)
        return;
    a->out->code = code;
    a->out->message = message;
    a->out->fix = fix;
}

/* ^##\s+(ADDED|MODIFIED|REMOVED|RENAMED)\s+Requirements over the whole text: fences do not matter,
 * and the white space may hold line ends. */
static bool delta_header_at(struct str s)
{
    size_t spaces = text_starts(s, "##") ? text_spaces(text_from(s, 2)) : 0;
    s = text_from(s, 2 + spaces);
    for (int k = 0; spaces > 0 && k < DELTA_KINDS; k++) {
        const char *name = delta_kind_name((enum delta_kind)k);
        struct str rest = text_from(s, str_of(name).n);
        if (text_starts_ci(s, name) && text_spaces(rest) > 0 &&
            text_starts_ci(text_trim_start(rest), "Requirements"))
            return true;
    }
    return false;
}

static bool has_delta_header(struct pool *p, struct str bytes)
{
    struct str s = text_decode(p, bytes);
    bool start = true;
    for (size_t i = 0, len; i < s.n; i += len) {
        if (start && delta_header_at(text_from(s, i)))
            return true;
        start = cp_line_break(text_cp(s, i, &len));
    }
    return false;
}

/* Does the original validate before it merges? Not when nothing looks like a delta. */
static bool wants_validation(struct archiving *a)
{
    struct spec_findings none = { 0 };
    struct report quiet = { a->p, &none, LIT("") };
    const struct change_marker *skip = &a->c.meta.skip_specs;
    if (change_has_root_spec(a->p, a->ws, &a->c) || change_unread(&quiet, a->ws, &a->c) > 0 ||
        skip->invalid.n > 0 || (skip->declared && change_has_specs(a->ws, &a->c)))
        return true;
    for (size_t i = 0; i < a->c.n; i++) {
        if (has_delta_header(a->p, a->c.at[i].bytes))
            return true;
    }
    return false;
}

static void keep_errors(struct archiving *a, const struct spec_findings *from)
{
    for (size_t i = 0; i < from->n; i++) {
        if (from->at[i].severity == SPEC_ERROR)
            pool_push(a->p, &a->out->findings, from->at[i]);
    }
}

static void check_change(struct archiving *a)
{
    struct spec_findings found = { 0 };
    struct report r = { a->p, &found, LIT("") };
    change_check(&r, a->ws, &a->c, false);
    keep_errors(a, &found);
    if (spec_findings_count(&found, SPEC_ERROR) > 0)
        refuse(a, "archive_validation_failed",
               pool_cat(a->p, LIT("Validation failed for change '"), a->c.name, LIT("'.")),
               pool_cat(a->p, LIT("Run openspec validate "), a->c.name,
                        LIT(" for details, fix the errors, or rerun with --no-validate.")));
}

/* ---- merging ---- */

static const char *advice(struct str refusal)
{
    static const struct {
        const char *part, *fix;
    } table[] = {
        { " MODIFIED failed for header", "use the exact name of a requirement of the current spec, "
                                         "or write it below ADDED" },
        { "target spec does not exist", "write the requirements below ADDED, or correct the name "
                                        "of the capability's folder" },
        { "structurally invalid", "correct the current spec first" },
        { " ADDED failed for header", "write it below MODIFIED, or choose another name" },
        { " REMOVED failed for header", "use the exact name of the requirement" },
        { "source not found", "use the exact name of a requirement of the current spec after FROM:" },
        { " RENAMED failed for header", "choose a new name that no requirement has" },
    };
    if (text_find(refusal, LIT("current spec contains scenario(s)"), 0) != SIZE_MAX)
        return "copy the omitted scenarios of the current spec into the block";
    for (size_t i = 0; i < COUNT(table); i++) {
        if (text_find(refusal, str_of(table[i].part), 0) != SIZE_MAX)
            return table[i].fix;
    }
    return "correct the delta as the message says";
}

static void report_refusal(struct archiving *a, const struct outcome *o)
{
    const struct merge_out *m = o->merge;
    struct str file = m->refusal_in_main
                          ? pool_cat(a->p, LIT("specs/"), o->delta->id, LIT("/spec.md"))
                          : o->delta->file;
    report_add(&a->r, (struct remark){ .severity = SPEC_ERROR, .code = "archive.refused",
                                       .path = o->delta->path, .file = file,
                                       .line = m->refusal_line, .message = m->refusal,
                                       .requirement = m->requirement,
                                       .fix = advice(m->refusal) });
    refuse(a, "archive_spec_update_failed", m->refusal,
           LIT("Fix the change delta specs and rerun. No files were changed."));
}

static bool only_emptied(const struct spec_report *check)
{
    for (size_t i = 0; i < check->findings.n; i++) {
        const struct spec_finding *f = &check->findings.at[i];
        if (f->severity == SPEC_ERROR &&
            !str_is(f->message, "Spec must have at least one requirement"))
            return false;
    }
    return !check->valid;
}

static bool merge_one(struct archiving *a, struct outcome *o)
{
    o->merge = change_merge(a->p, a->ws, &a->c, (size_t)(o->delta - a->c.at));
    if (!o->merge || o->merge->refused)
        return false;
    o->exists = ws_find(a->ws, pool_cat(a->p, LIT("specs/"), o->delta->path));
    if (validate_spec(a->p->a, o->delta->id, o->merge->rebuilt, false, &o->check) != OK) {
        a->p->failed = true;
        return false;
    }
    o->emptied = only_emptied(&o->check);
    bool retirable = a->c.meta.retire_capabilities.declared && o->merge->no_requirements &&
                     o->merge->unaccounted.n == 0 && o->emptied;
    if (retirable)
        o->what = !o->exists ? SKIP : o->merge->removed > 0 ? RETIRE : WRITE;
    return true;
}

/* ---- the check of what would be written ---- */

static struct str shown_lines(struct pool *p, const struct str_list *lines)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < lines->n && i < SHOWN_LINES; i++) {
        struct str s = lines->at[i];
        size_t at = 0, len, chars = 0;
        buf_str(&out, i ? ", \"" : "\"");
        for (; at < s.n && chars < SHOWN_CHARS; at += len, chars++) {
            uint32_t cp = text_cp(s, at, &len);
            if (cp < 0x20 || cp == 0x7f)
                buf_char(&out, '?');
            else
                buf_append(&out, s.p + at, len);
        }
        buf_str(&out, at < s.n ? "…\"" : "\"");
    }
    if (lines->n > SHOWN_LINES)
        buf_printf(&out, ", and %zu more line(s)", lines->n - SHOWN_LINES);
    return pool_take(p, &out);
}

static struct str marker_note(struct archiving *a)
{
    struct str why = a->c.meta.retire_capabilities.invalid;
    return why.n ? pool_cat(a->p, LIT(" The marker present now cannot be honored ("), why, LIT(")."))
                 : LIT("");
}

/* What to do about a spec that the check refuses, in the original's words. */
static struct str rebuilt_fix(struct archiving *a, const struct outcome *o)
{
    struct str id = o->delta->id;
    bool declared = a->c.meta.retire_capabilities.declared;
    bool by_this = o->exists && o->merge->removed > 0 && o->merge->no_requirements && o->emptied;
    const struct str_list *rest = &o->merge->unaccounted;
    if (declared && rest->n > 0 && o->emptied)
        return pool_cat(a->p, LIT("'"), id,
                        LIT("' declares retire_capabilities, but the spec holds content the merge "
                            "cannot safely account for and deleting the file would take with it: "),
                        shown_lines(a->p, rest),
                        LIT(". Move it into `## Purpose` or a canonical requirement, or delete the "
                            "spec by hand."));
    if (!declared && by_this && rest->n == 0)
        return pool_cat(a->p, LIT("This change removes the last requirement '"), id,
                        LIT("' has. To retire the capability and delete its spec, add "
                            "`retire_capabilities: true` to the change's .openspec.yaml (alongside "
                            "its `schema:`, which that file requires), then rerun."),
                        marker_note(a));
    if (!declared && by_this)
        return pool_cat(a->p, LIT("This change removes the last requirement '"), id,
                        LIT("' has, so the rebuilt spec has none left and cannot be written. "
                            "Retiring the capability is what archive does instead, and it is "
                            "refused while the spec holds content the merge cannot safely account "
                            "for and deleting the file would take with it: "),
                        shown_lines(a->p, rest),
                        LIT(". Move it into `## Purpose` or a canonical requirement, or delete the "
                            "spec by hand, then rerun."),
                        marker_note(a));
    return pool_cat(a->p, LIT("Run openspec validate "), id,
                    LIT(" after fixing the change deltas."));
}

/* The line of the delta at which the requirement stands; 0: it comes from the current spec. */
static size_t line_in_delta(const struct change_delta *d, struct str name)
{
    const struct blocks *lists[] = { &d->delta.added, &d->delta.modified };
    for (size_t k = 0; k < COUNT(lists); k++) {
        for (size_t i = 0; i < lists[k]->n; i++) {
            if (str_eq(lists[k]->at[i].name, name))
                return lists[k]->at[i].line;
        }
    }
    return 0;
}

/* The requirement of the rebuilt text that stands on a line, or above it. */
static struct str requirement_at(struct pool *p, struct str text, size_t line)
{
    struct slices parts = slices_read(p, text);
    struct str name = { 0 };
    for (size_t i = 0; i < parts.blocks.n && parts.blocks.at[i].line <= line; i++)
        name = parts.blocks.at[i].name;
    return name;
}

static void report_rebuilt(struct archiving *a, const struct outcome *o)
{
    struct str fix = rebuilt_fix(a, o);
    for (size_t i = 0; i < o->check.findings.n && !a->p->failed; i++) {
        struct spec_finding f = o->check.findings.at[i];
        if (f.severity != SPEC_ERROR)
            continue;
        if (f.requirement.n == 0)
            f.requirement = requirement_at(a->p, o->merge->rebuilt, f.line);
        f.code = "archive.invalid-result";
        f.file = o->delta->file;
        f.path = o->delta->path;
        f.line = line_in_delta(o->delta, f.requirement);
        f.line = f.line ? f.line : 1;
        f.column = 1;
        f.says_line = false;
        f.message = pool_cat(a->p, LIT("the spec would be invalid after archiving: "), f.message);
        f.fix = o->emptied || f.fix.n == 0 ? fix : f.fix;
        pool_push(a->p, &a->out->findings, f);
    }
    refuse(a, "archive_spec_validation_failed",
           pool_cat(a->p, LIT("Rebuilt spec for '"), o->delta->id,
                    LIT("' failed validation. No files were changed.")),
           fix);
}

/* ---- the result ---- */

static bool plain_for_shell(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '/' || c == '-';
        if (!ok)
            return false;
    }
    return true;
}

static bool quotable(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"' || c == '\\' || c == '$' || c == '`' || c == '\r' || c == '\n' || c == '%' ||
            c == '!')
            return false;
    }
    return true;
}

static struct str retirement_note(struct archiving *a, struct str id, struct str path)
{
    struct str spec = pool_cat(a->p, LIT(":(top)openspec/"), path), recovery;
    struct str full = text_from(spec, sizeof ":(top)" - 1);
    if (plain_for_shell(spec) || quotable(spec))
        recovery = pool_cat(a->p, LIT("If it was committed, restore it with: git checkout HEAD -- \""),
                            spec, LIT("\""));
    else
        recovery = pool_cat(a->p, LIT("It was deleted from "), full,
                            LIT("; if it was committed, restore it from that checkout's history."));
    return pool_cat(a->p, id,
                    LIT(" - capability retired; deleted the main spec (all requirements removed, "
                        "declared by retire_capabilities) at "),
                    full, LIT(". Its section(s) went with it: Purpose. "), recovery);
}

static void take_result(struct archiving *a)
{
    struct archive_verdict *v = a->out;
    size_t cap = 0;
    for (size_t i = 0; i < a->c.n && !a->p->failed; i++) {
        const struct outcome *o = &a->outcomes[i];
        const struct merge_out *m = o->merge;
        size_t counts = m->added + m->modified + m->removed + m->renamed;
        struct archive_write w = { .path = pool_cat(a->p, LIT("specs/"), o->delta->path),
                                   .bytes = m->bytes, .removes = o->what == RETIRE };
        if (o->what == SKIP || (o->what == WRITE && counts == 0))
            continue;
        struct archive_write *at = pool_grow(a->p, v->writes, v->writes_n, &cap, sizeof *at);
        if (!at)
            return;
        v->writes = at;
        at[v->writes_n++] = w;
        v->added += m->added;
        v->modified += m->modified;
        v->removed += m->removed;
        v->renamed += m->renamed;
    }
    for (size_t i = 0; i < v->writes_n; i++) {
        struct str id = v->writes[i].path;
        id = text_from(id, sizeof "specs/" - 1);
        id.n -= sizeof "/spec.md" - 1;
        if (v->writes[i].removes)
            pool_push(a->p, &v->warnings, retirement_note(a, id, v->writes[i].path));
    }
}

/* Reported by the validation already? Then the merge would only say it again. */
static bool known(const struct archiving *a, const struct change_delta *d)
{
    for (size_t i = 0; i < a->out->findings.n; i++) {
        if (str_eq(a->out->findings.at[i].path, d->path))
            return true;
    }
    return false;
}

static void check_specs(struct archiving *a)
{
    a->out->deltas = a->c.n;
    a->outcomes = pool_alloc(a->p, (a->c.n + 1) * sizeof *a->outcomes);
    for (size_t i = 0; a->outcomes && i < a->c.n && !a->p->failed; i++) {
        struct outcome *o = &a->outcomes[i];
        o->delta = &a->c.at[i];
        if (!merge_one(a, o) && a->p->failed)
            return;
        if (o->merge->refused && !known(a, o->delta))
            report_refusal(a, o);
        for (size_t k = 0; k < o->merge->warnings.n; k++)
            pool_push(a->p, &a->out->warnings, o->merge->warnings.at[k]);
    }
    for (size_t i = 0; a->outcomes && i < a->c.n && !a->p->failed; i++) {
        const struct outcome *o = &a->outcomes[i];
        if (!o->merge->refused && o->what == WRITE && !o->check.valid)
            report_rebuilt(a, o);
    }
}

static void check_deltas(struct archiving *a)
{
    size_t entries = 0;
    for (size_t i = 0; i < a->c.n; i++)
        entries += a->c.at[i].delta.entries;
    if (entries > 0 || a->c.meta.skip_specs.declared || a->out->findings.n > 0)
        return;
    report_add(&a->r, (struct remark){ .severity = SPEC_ERROR, .code = "change.no-deltas",
                                       .path = LIT("file"), .file = a->c.specs,
                                       .message = LIT("Change must have at least one delta"),
                                       .fix = "write a delta spec, or set skip_specs in "
                                              ".openspec.yaml" });
    refuse(a, "archive_validation_failed", LIT("The change has no deltas."), LIT(""));
}

/* Of a change that was read. */
static enum status check_read(struct archiving *a, bool compat)
{
    struct pool *p = a->p;
    struct archive_verdict *out = a->out;
    struct str_list nested = nested_changes(p, a->ws, a->c.name);
    if (nested.n > 0) {
        struct str message = nested_message(p, a->c.name, &nested);
        report_add(&a->r, (struct remark){ .severity = SPEC_ERROR, .code = "change.nested",
                                           .path = LIT("file"), .message = message,
                                           .fix = "rename each nested change to a flat name" });
        refuse(a, "archive_change_is_namespace_folder",
               pool_cat(p, LIT("Cannot archive '"), a->c.name, LIT("': "), message),
               pool_cat(p, LIT("Rename openspec/changes/"), nested.at[0],
                        LIT("/ to a flat change directory, then archive it.")));
        return pool_status(p);
    }
    if (wants_validation(a))
        check_change(a);
    check_specs(a);
    if (!compat)
        check_deltas(a);
    out->archivable = !p->failed && out->code == NULL;
    if (out->archivable)
        take_result(a);
    return pool_status(p);
}

static enum status begin(struct archiving *a, struct pool *p, const struct ws *ws,
                         struct str change, struct archive_verdict *out)
{
    *out = (struct archive_verdict){ 0 };
    *a = (struct archiving){ .p = p, .ws = ws, .out = out };
    a->r = (struct report){ p, &out->findings, LIT("") };
    return change_read(p, ws, change, &a->c);
}

enum status archive_check(struct arena *arena, const struct ws *ws, struct str change, bool compat,
                          struct archive_verdict *out)
{
    struct pool p = pool_of(arena);
    struct archiving a;
    enum status st = begin(&a, &p, ws, change, out);
    return st == OK ? check_read(&a, compat) : st;
}

enum status archive_validate(struct arena *arena, const struct ws *ws, struct str change,
                             bool strict, struct spec_report *report, struct archive_verdict *out)
{
    struct pool p = pool_of(arena);
    struct archiving a;
    *report = (struct spec_report){ 0 };
    enum status st = begin(&a, &p, ws, change, out);
    if (st == OK)
        st = change_validate(&p, ws, &a.c, strict, report);
    return st == OK && report->valid ? check_read(&a, false) : st;
}

static bool dated(struct str s)
{
    static const char form[] = "dddd-dd-dd-";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        bool digit = i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
        if (i >= s.n || (form[i] == 'd' ? !digit : s.p[i] != '-'))
            return false;
    }
    return true;
}

struct str archive_name(struct arena *a, struct str change, struct str date)
{
    struct pool p = pool_of(a);
    return dated(change) ? pool_copy(&p, change) : pool_cat(&p, date, LIT("-"), change);
}

static const struct archive_write *write_of(const struct archive_verdict *v, struct str path)
{
    for (size_t i = 0; i < v->writes_n; i++) {
        if (str_eq(v->writes[i].path, path))
            return &v->writes[i];
    }
    return NULL;
}

enum status archive_apply(struct arena *a, const struct ws *ws, struct str change, struct str date,
                          const struct archive_verdict *verdict, struct ws *out, struct err *err)
{
    struct pool p = pool_of(a);
    size_t n = 0, under = 0;
    struct str from = pool_cat(&p, LIT("changes/"), change, LIT("/"));
    struct str to = pool_cat(&p, LIT("changes/archive/"), archive_name(a, change, date), LIT("/"));
    struct ws_file *all = pool_alloc(&p, (ws->n + verdict->writes_n + 1) * sizeof *all);
    if (ws_under(ws, to, &under))
        return err_set(err, ERR_CREATE, "the archive has \"%.*s\" already", STR_ARG(to));
    for (size_t i = 0; all && i < ws->n; i++) {
        struct ws_file f = ws->files[i];
        if (write_of(verdict, f.path))
            continue;
        if (text_starts_str(f.path, from))
            f.path = pool_cat(&p, to, text_from(f.path, from.n));
        all[n++] = f;
    }
    for (size_t i = 0; all && i < verdict->writes_n; i++) {
        if (!verdict->writes[i].removes)
            all[n++] = (struct ws_file){ verdict->writes[i].path, verdict->writes[i].bytes };
    }
    if (p.failed)
        return err_set(err, ERR_LIMIT, "no memory for %zu files", ws->n);
    return ws_make(a, all, n, out, err);
}
