/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/show.h"

#include "common/openspec/body.h"
#include "common/openspec/change.h"
#include "common/openspec/nested.h"
#include "common/openspec/tasks.h"
#include "common/openspec/tree.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NEAR_MAX = 5, NAME_SHOWN = 200 };

static json_t *refuse(struct show_refusal *out, const char *code, struct str message)
{
    *out = (struct show_refusal){ .code = code, .message = message };
    return NULL;
}

static json_t *names_json(const struct str_list *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++)
        js_push(out, js_string(list->at[i]));
    return out;
}

/* ---- what a name means ----------------------------------------------------------------------- */

/* Edit distance in bytes; the names are short. */
static size_t distance(struct str a, struct str b)
{
    size_t row[NAME_SHOWN + 1];
    size_t n = b.n < NAME_SHOWN ? b.n : NAME_SHOWN;
    for (size_t k = 0; k <= n; k++)
        row[k] = k;
    for (size_t i = 0; i < a.n; i++) {
        size_t before = row[0];
        row[0] = i + 1;
        for (size_t k = 1; k <= n; k++) {
            size_t change = before + (a.p[i] != b.p[k - 1]);
            before = row[k];
            size_t shorter = row[k] < row[k - 1] ? row[k] : row[k - 1];
            row[k] = change < shorter + 1 ? change : shorter + 1;
        }
    }
    return row[n];
}

static struct str unknown(struct pool *p, struct str name, const struct str_list *lists,
                          size_t lists_n)
{
    struct str best[NEAR_MAX];
    size_t far[NEAR_MAX], n = 0;
    for (size_t l = 0; l < lists_n; l++) {
        for (size_t i = 0; i < lists[l].n; i++) {
            size_t d = distance(name, lists[l].at[i]), at = n;
            while (at > 0 && far[at - 1] > d)
                at--;
            if (at == NEAR_MAX)
                continue;
            n = n < NEAR_MAX ? n + 1 : n;
            for (size_t k = n - 1; k > at; k--) {
                best[k] = best[k - 1];
                far[k] = far[k - 1];
            }
            best[at] = lists[l].at[i];
            far[at] = d;
        }
    }
    struct str text = pool_cat(p, LIT("Unknown item '"), name, LIT("'."));
    for (size_t i = 0; i < n; i++)
        text = pool_cat(p, text, i ? LIT(", ") : LIT(" Did you mean: "), best[i]);
    return n ? pool_cat(p, text, LIT("?")) : text;
}

static bool holds(const struct str_list *list, struct str name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (str_eq(list->at[i], name))
            return true;
    }
    return false;
}

enum item_type item_resolve(struct arena *a, const struct ws *ws, struct str name,
                            enum item_type given, struct show_refusal *refusal)
{
    struct pool p = pool_of(a);
    struct str_list lists[2] = { 0 };
    *refusal = (struct show_refusal){ 0 };
    if (ws_changes(a, ws, &lists[0]) != OK || ws_spec_ids(a, ws, LIT("specs/"), &lists[1]) != OK) {
        refuse(refusal, "no_memory", LIT("out of memory"));
        return ITEM_ANY;
    }
    bool change = given != ITEM_SPEC && holds(&lists[0], name);
    bool spec = given != ITEM_CHANGE && holds(&lists[1], name);
    if (change != spec)
        return change ? ITEM_CHANGE : ITEM_SPEC;
    if (!change) {
        refuse(refusal, "unknown_item", unknown(&p, name, lists, COUNT(lists)));
        return ITEM_ANY;
    }
    refuse(refusal, "ambiguous_item",
           pool_cat(&p, LIT("Ambiguous item '"), name, LIT("' matches both a change and a spec.")));
    refusal->fix = "Pass --type change|spec.";
    return ITEM_ANY;
}

/* ---- show ------------------------------------------------------------------------------------ */

static json_t *scenario_json(struct str text)
{
    json_t *s = json_object();
    js_set_str(s, "rawText", text);
    return s;
}

/* A requirement as reader A has it: section s of the tree. */
static json_t *requirement_json(struct pool *p, const struct tree *t, const struct section *s)
{
    struct lines l = lines_of(p, s->content);
    struct str text = body_text(p, &l, 0);
    json_t *r = json_object(), *scenarios = json_array();
    js_set_str(r, "text", text.n ? text : s->title);
    for (size_t c = s->children; c; c = t->at[c - 1].next) {
        if (t->at[c - 1].content.n > 0)
            js_push(scenarios, scenario_json(t->at[c - 1].content));
    }
    js_set(r, "scenarios", scenarios);
    return r;
}

json_t *show_spec(struct arena *a, const struct ws *ws, struct str id, struct show_refusal *refusal)
{
    struct pool p = pool_of(a);
    const struct ws_file *f = ws_find(ws, ws_spec_path(a, id));
    if (!f)
        return refuse(refusal, "unknown_item", pool_cat(&p, LIT("Unknown item '"), id, LIT("'.")));
    struct tree t = tree_read(&p, text_decode(&p, f->bytes));
    const struct section *purpose = tree_find(&t, "Purpose");
    const struct section *requirements = tree_find(&t, "Requirements");
    if (!purpose || purpose->content.n == 0)
        return refuse(refusal, "show_error", LIT("Spec must have a Purpose section"));
    if (!requirements)
        return refuse(refusal, "show_error", LIT("Spec must have a Requirements section"));
    json_t *out = json_object(), *list = json_array(), *metadata = json_object();
    for (size_t c = requirements->children; c; c = t.at[c - 1].next)
        js_push(list, requirement_json(&p, &t, &t.at[c - 1]));
    js_set_str(out, "id", id);
    js_set_str(out, "title", id);
    js_set_str(out, "overview", purpose->content);
    js_set_int(out, "requirementCount", (int64_t)json_array_size(list));
    js_set(out, "requirements", list);
    js_set_z(metadata, "version", "1.0.0");
    js_set_z(metadata, "format", "openspec");
    js_set(out, "metadata", metadata);
    return out;
}

/* The requirement of one block, read by reader A with its header in canonical form; NULL: reader A
 * does not see one. *lost: not a single header, on which the original gives the whole file up. */
static json_t *block_json(struct pool *p, struct str raw, bool *lost)
{
    const char *nl = raw.n ? memchr(raw.p, '\n', raw.n) : NULL;
    size_t head = nl ? (size_t)(nl - raw.p) : raw.n;
    struct str title = { raw.p, head };
    if (text_starts(title, "###"))
        title = text_from(title, 3);
    struct str text = pool_cat(p, LIT("### "), text_trim(title), text_from(raw, head));
    struct tree t = tree_read(p, text);
    *lost = *lost || t.n == 0;
    if (t.n == 0 || !text_starts_ci(t.at[0].title, "Requirement:") ||
        text_trim(text_from(t.at[0].title, 12)).n == 0)
        return NULL;
    return requirement_json(p, &t, &t.at[0]);
}

/* The deltas of one file; given up as a whole when one of its blocks cannot be read. */
struct showing {
    struct pool *p;
    struct str spec;
    json_t *list;
    bool lost;
};

static void push_delta(struct showing *s, const char *operation, const char *verb, struct str raw)
{
    json_t *r = block_json(s->p, raw, &s->lost), *d, *list;
    if (!r)
        return;
    d = json_object();
    list = json_array();
    js_set_str(d, "spec", s->spec);
    js_set_z(d, "operation", operation);
    js_set_str(d, "description",
               pool_cat(s->p, str_of(verb), LIT(" requirement: "), js_view(r, "text")));
    js_set(d, "requirement", r);
    js_push(list, json_deep_copy(r));
    js_set(d, "requirements", list);
    js_push(s->list, d);
}

/* The block of a removal in document order; a bullet has a name only. */
static struct str removed_raw(struct pool *p, const struct delta *d, struct str name, bool *used)
{
    for (size_t i = 0; i < d->removed_blocks.n; i++) {
        if (!used[i] && str_eq(d->removed_blocks.at[i].name, name)) {
            used[i] = true;
            return d->removed_blocks.at[i].raw;
        }
    }
    return pool_cat(p, LIT("### Requirement: "), name);
}

static void push_deltas(struct pool *p, json_t *out, const struct change_delta *c)
{
    const struct delta *d = &c->delta;
    struct showing s = { p, c->id, json_array(), false };
    bool *used = pool_alloc(p, d->removed_blocks.n + 1);
    for (size_t i = 0; i < d->added.n; i++)
        push_delta(&s, "ADDED", "Add", d->added.at[i].raw);
    for (size_t i = 0; i < d->modified.n; i++)
        push_delta(&s, "MODIFIED", "Modify", d->modified.at[i].raw);
    for (size_t i = 0; used && i < d->removed.n; i++)
        push_delta(&s, "REMOVED", "Remove", removed_raw(p, d, d->removed.at[i].name, used));
    for (size_t i = 0; i < d->renamed.n; i++) {
        json_t *v = json_object(), *rename = json_object();
        struct str from = d->renamed.at[i].from, to = d->renamed.at[i].to;
        js_set_str(v, "spec", c->id);
        js_set_z(v, "operation", "RENAMED");
        js_set_str(
            v, "description",
            pool_cat(p, LIT("Rename requirement from \""), from, LIT("\" to \""), to, LIT("\"")));
        js_set_str(rename, "from", from);
        js_set_str(rename, "to", to);
        js_set(v, "rename", rename);
        js_push(s.list, v);
    }
    if (!s.lost)
        json_array_extend(out, s.list);
    json_decref(s.list);
}

/* Is stem, with one of the endings or none, a word of the text? ASCII words, as \b has them. */
static bool has_word(struct str s, const char *stem, const char *const *endings)
{
    size_t n = strlen(stem);
    for (size_t i = 0; i + n <= s.n; i++) {
        bool inside = i > 0 && (isalnum((unsigned char)s.p[i - 1]) || s.p[i - 1] == '_');
        if (inside || strncmp(s.p + i, stem, n) != 0)
            continue;
        for (size_t e = 0; endings[e]; e++) {
            size_t end = i + n + strlen(endings[e]);
            if (end > s.n || strncmp(s.p + i + n, endings[e], strlen(endings[e])) != 0)
                continue;
            if (end == s.n || !(isalnum((unsigned char)s.p[end]) || s.p[end] == '_'))
                return true;
        }
    }
    return false;
}

static const char *operation_of(struct pool *p, struct str description)
{
    static const char *const d[] = { "", "s", "d", "ing", NULL },
                             *const ed[] = { "", "s", "ed", "ing", NULL },
                             *const none[] = { "", NULL };
    struct str s = text_lower(p, description);
    if (has_word(s, "rename", d))
        return "RENAMED";
    if (has_word(s, "add", ed) || has_word(s, "create", d) || has_word(s, "new", none))
        return "ADDED";
    return has_word(s, "remove", d) || has_word(s, "delete", d) ? "REMOVED" : "MODIFIED";
}

/* ^\s*-\s*\*\*([^*:]+)(?::\*\*|\*\*:)\s*(.+)$ */
static bool prose_delta(struct str line, struct str *spec, struct str *description)
{
    struct str s = text_trim_start(line);
    if (!text_starts(s, "-"))
        return false;
    s = text_trim_start(text_from(s, 1));
    if (!text_starts(s, "**"))
        return false;
    s = text_from(s, 2);
    size_t n = 0;
    while (n < s.n && s.p[n] != '*' && s.p[n] != ':')
        n++;
    *spec = text_trim((struct str){ s.p, n });
    s = text_from(s, n);
    if (n == 0 || (!text_starts(s, ":**") && !text_starts(s, "**:")))
        return false;
    s = text_from(s, 3);
    struct str rest = text_trim_start(s);
    *description = text_trim(rest);
    if (rest.n > 0)
        return !text_has_line_break(rest);
    size_t len = 0, at = 0; /* blanks alone: the last one is the description */
    uint32_t last = '\n';
    for (; at < s.n; at += len)
        last = text_cp(s, at, &len);
    return s.n > 0 && !cp_line_break(last);
}

static void push_prose(struct pool *p, json_t *out, struct str what)
{
    struct lines l = lines_of(p, what);
    for (size_t i = 0; i < l.n; i++) {
        struct str spec, description;
        if (!prose_delta(l.at[i], &spec, &description))
            continue;
        json_t *d = json_object();
        js_set_str(d, "spec", spec);
        js_set_z(d, "operation", operation_of(p, description));
        js_set_str(d, "description", description);
        js_push(out, d);
    }
}

/* (.+)$ with the flag m: up to the end of the line. */
static struct str rest_of_line(struct str s)
{
    for (size_t i = 0, len; i < s.n; i += len) {
        if (cp_line_break(text_cp(s, i, &len)))
            return (struct str){ s.p, i };
    }
    return s;
}

/* /^#\s+(?:Change:\s+)?(.+)$/im on the text as it came */
static struct str title_of(struct str text, struct str name)
{
    bool at_start = true;
    for (size_t i = 0, len; i < text.n; i += len) {
        uint32_t cp = text_cp(text, i, &len);
        struct str s = text_from(text, i + len);
        size_t blank = at_start && cp == '#' ? text_spaces(s) : 0;
        at_start = cp_line_break(cp);
        if (blank == 0 || blank == s.n)
            continue;
        s = text_from(s, blank);
        size_t behind = text_starts_ci(s, "Change:") ? text_spaces(text_from(s, 7)) : 0;
        if (behind > 0)
            s = text_from(s, 7 + behind);
        struct str title = text_trim(rest_of_line(s));
        return title.n == 0 || text_is_ci(title, "proposal") ? name : title;
    }
    return name;
}

json_t *show_change(struct arena *a, const struct ws *ws, struct str name,
                    struct show_refusal *refusal)
{
    struct pool p = pool_of(a);
    struct change c;
    const struct ws_file *f = ws_find(ws, pool_cat(&p, LIT("changes/"), name, LIT("/proposal.md")));
    if (!f) {
        struct str_list nested = nested_changes(&p, ws, name);
        return refuse(refusal, "show_error",
                      nested.n ? nested_message(&p, name, &nested)
                               : pool_cat(&p, LIT("Change \""), name,
                                          LIT("\" has no proposal.md yet. Run \"openspec status "
                                              "--change "),
                                          name, LIT("\" to see which artifact comes next.")));
    }
    struct str text = text_decode(&p, f->bytes);
    struct tree t = tree_read(&p, text);
    const struct section *why = tree_find(&t, "Why"), *what = tree_find(&t, "What Changes");
    if (!why || why->content.n == 0)
        return refuse(refusal, "show_error", LIT("Change must have a Why section"));
    if (!what || what->content.n == 0)
        return refuse(refusal, "show_error", LIT("Change must have a What Changes section"));
    if (change_read(&p, ws, name, &c) != OK)
        return refuse(refusal, "no_memory", LIT("out of memory"));
    json_t *out = json_object(), *deltas = json_array();
    bool sections = false;
    for (size_t i = 0; i < c.n; i++) {
        sections = sections || delta_any_section(&c.at[i].delta);
        push_deltas(&p, deltas, &c.at[i]);
    }
    if (!sections)
        push_prose(&p, deltas, what->content);
    js_set_str(out, "id", name);
    js_set_str(out, "title", title_of(text, name));
    js_set_int(out, "deltaCount", (int64_t)json_array_size(deltas));
    js_set(out, "deltas", deltas);
    return out;
}

/* ---- list ------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    return text_collate(*(const struct str *)a, *(const struct str *)b);
}

json_t *list_specs(struct arena *a, const struct ws *ws)
{
    struct str_list ids = { 0 };
    json_t *out = json_array();
    if (ws_spec_ids(a, ws, LIT("specs/"), &ids) != OK)
        return out;
    if (ids.n > 1)
        qsort(ids.at, ids.n, sizeof *ids.at, by_name);
    for (size_t i = 0; i < ids.n; i++) {
        struct pool p = pool_of(a);
        const struct ws_file *f = ws_find(ws, ws_spec_path(a, ids.at[i]));
        struct tree_spec s = tree_spec(&p, text_decode(&p, f ? f->bytes : LIT("")));
        json_t *v = json_object();
        js_set_str(v, "id", ids.at[i]);
        js_set_int(v, "requirementCount", s.has_purpose && s.has_requirements ? (int64_t)s.n : 0);
        js_push(out, v);
    }
    return out;
}

static json_t *listed_change(struct arena *a, const struct ws *ws, struct str name,
                             json_t *warnings)
{
    struct pool p = pool_of(a);
    struct task_progress tasks = { 0 };
    json_t *v = json_object();
    if (tasks_progress(a, ws, name, &tasks) != OK)
        tasks = (struct task_progress){ 0 };
    js_set_str(v, "name", name);
    js_set_int(v, "completedTasks", (int64_t)tasks.done);
    js_set_int(v, "totalTasks", (int64_t)tasks.total);
    js_set_z(v, "lastModified", "");
    js_set_z(v, "status",
             tasks.total == 0            ? "no-tasks"
             : tasks.done == tasks.total ? "complete"
                                         : "in-progress");
    struct str_list nested = nested_changes(&p, ws, name);
    if (nested.n == 0)
        return v;
    js_set(v, "nested", names_json(&nested));
    json_t *w = json_object();
    js_set_z(w, "code", "nested_change_directory");
    js_set_str(w, "name", name);
    js_set(w, "nested", names_json(&nested));
    js_set_str(w, "message", nested_message(&p, name, &nested));
    js_push(warnings, w);
    return v;
}

json_t *list_changes(struct arena *a, const struct ws *ws, json_t **warnings)
{
    struct str_list names = { 0 };
    json_t *out = json_array();
    *warnings = json_array();
    if (ws_changes(a, ws, &names) != OK)
        return out;
    if (names.n > 1)
        qsort(names.at, names.n, sizeof *names.at, by_name);
    for (size_t i = 0; i < names.n; i++)
        js_push(out, listed_change(a, ws, names.at[i], *warnings));
    return out;
}

/* ---- validate -------------------------------------------------------------------------------- */

static json_t *issues_of(const struct spec_findings *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++) {
        const struct spec_finding *f = &list->at[i];
        json_t *v = json_object();
        js_set_z(v, "level", spec_severity_level(f->severity));
        js_set_str(v, "path", f->path);
        if (f->says_line)
            js_set_int(v, "line", (int64_t)f->line);
        js_set_str(v, "message", f->message);
        js_push(out, v);
    }
    return out;
}

json_t *validated_item(struct str id, enum item_type type, const struct spec_report *report)
{
    json_t *v = json_object();
    js_set_str(v, "id", id);
    js_set_z(v, "type", type == ITEM_CHANGE ? "change" : "spec");
    js_set_bool(v, "valid", report->valid);
    js_set(v, "issues", issues_of(&report->findings));
    js_set_int(v, "durationMs", 0);
    return v;
}

static int by_id(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    return text_collate(js_view(x, "id"), js_view(y, "id"));
}

static void count(json_t *by_type, const char *type, bool valid)
{
    json_t *t = json_object_get(by_type, type);
    js_set_int(t, "items", js_int(t, "items", 0) + 1);
    js_set_int(t, valid ? "passed" : "failed", js_int(t, valid ? "passed" : "failed", 0) + 1);
}

static json_t *no_items(void)
{
    return json_pack("{s:i,s:i,s:i}", "items", 0, "passed", 0, "failed", 0);
}

json_t *validated_all(json_t *items, bool changes, bool specs)
{
    size_t n = json_array_size(items);
    json_t *out = json_object(), *sorted = json_array(), *summary = json_object();
    json_t *all = json_object(), *by_type = json_object();
    json_t **at = malloc((n + 1) * sizeof(json_t *));
    for (size_t i = 0; at && i < n; i++)
        at[i] = json_array_get(items, i);
    if (at && n > 1)
        qsort(at, n, sizeof *at, by_id);
    js_set(all, "totals", no_items());
    if (changes)
        js_set(by_type, "change", no_items());
    if (specs)
        js_set(by_type, "spec", no_items());
    for (size_t i = 0; at && i < n; i++) {
        bool valid = js_bool(at[i], "valid", false);
        js_push(sorted, json_incref(at[i]));
        count(all, "totals", valid);
        count(by_type, js_str(at[i], "type"), valid);
    }
    free(at);
    js_set(summary, "totals", json_incref(json_object_get(all, "totals")));
    js_set(summary, "byType", by_type);
    js_set(out, "items", sorted);
    js_set(out, "summary", summary);
    js_set_z(out, "version", "1.0");
    json_decref(all);
    json_decref(items);
    return out;
}
