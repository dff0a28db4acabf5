/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/parse/brief_in.h"

#include "common/bounds.h"
#include "common/doc.h"
#include "common/openspec/config.h"
#include "common/openspec/names.h"
#include "common/openspec/validate.h"

#include <string.h>

enum { TITLE_MAX = 100, NAME_FROM = 60, CONTEXT_MAX = 51200, ALL_IDS = 20000 };

/* ---- title -------------------------------------------------------------------------------------- */

/* Without the marks of Markdown, on one line. */
static struct str one_line(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool blank = c <= ' ' || c == 0x7f;
        if (c == '*' || c == '`' || c == '#' || (blank && (n == 0 || out[n - 1] == ' ')))
            continue;
        out[n++] = blank ? ' ' : (char)c;
    }
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == ':'))
        n--;
    return (struct str){ out, out ? n : 0 };
}

static struct str at_word(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    struct str cut = text_clip(s, max);
    size_t n = cut.n;
    while (n > max / 2 && cut.p[n - 1] != ' ')
        n--;
    if (n > max / 2)
        cut.n = n - 1;
    while (cut.n && strchr(" ,;:-", cut.p[cut.n - 1]))
        cut.n--;
    return cut;
}

struct str brief_title(struct arena *a, struct str text, size_t max)
{
    struct word_list list;
    const struct sentence *pick = NULL;
    if (words_scan(a, text_clip(text, 65536), LANG_NONE, &list) != OK || list.sentences_n == 0)
        return (struct str){ 0 };
    for (size_t i = 0; i < list.sentences_n && !pick; i++) {
        if (list.sentences[i].heading)
            pick = &list.sentences[i];
    }
    if (!pick)
        pick = &list.sentences[0];
    struct str line = at_word(one_line(a, pick->text), max);
    while (line.n && line.p[line.n - 1] == '.')
        line.n--;
    return line;
}

/* ---- the input ---------------------------------------------------------------------------------- */

static bool has_word(struct arena *a, struct str text)
{
    struct word_list list;
    return words_scan(a, text, LANG_NONE, &list) == OK && list.n > 0;
}

static bool is_openspec(const struct ws *ws)
{
    size_t n;
    return ws_under(ws, str_of("specs/"), &n) || ws_under(ws, str_of("changes/"), &n) ||
           ws_find(ws, str_of("config.yaml")) || ws_find(ws, str_of("config.yml")) ||
           ws_find(ws, str_of("project.md"));
}

static enum status no_change(struct making *m, struct err *err)
{
    struct str_list list = { 0 };
    enum status st = ws_changes(m->a, m->ws, &list);
    if (st != OK)
        return err_set(err, st, "out of memory");
    st = err_set(err, ERR_NOT_FOUND, "openspec/changes/ has no change \"%.*s\"",
                 STR_ARG(text_clip(m->change, 100)));
    if (list.n)
        err_fix(err, "name one of those it has, such as %s", near_names(m->a, m->change, &list));
    else
        err_fix(err,
                "openspec/changes/ holds no active change; leave --change out to make a new one");
    return st;
}

/* A change to improve explains itself when the problem statement says nothing. */
static struct str proposal_of(struct making *m)
{
    char *path = arena_printf(m->a, "changes/%.*s/proposal.md", STR_ARG(m->change));
    const struct ws_file *f = path ? ws_find(m->ws, str_of(path)) : NULL;
    if (!f)
        return (struct str){ 0 };
    json_t *clean = js_string(f->bytes);
    struct str view = { json_string_value(clean), json_string_length(clean) };
    view = text_clip(view, PAWL_PROBLEM_MAX);
    char *copy = arena_dup(m->a, view.p, view.n);
    size_t n = view.n;
    json_decref(clean);
    return copy ? (struct str){ copy, n } : (struct str){ 0 };
}

static enum status check_input(struct making *m, struct err *err)
{
    if (!is_openspec(m->ws)) {
        enum status st = err_set(err, ERR_NOT_FOUND,
                                 "not an OpenSpec workspace: there is no specs/, no changes/ "
                                 "and no config.yaml in the openspec folder that was sent");
        err_fix(
            err,
            "run `openspec init` in the repository, or submit from a folder that holds openspec/");
        return st;
    }
    if (m->change.n && !ws_has_change(m->ws, m->change))
        return no_change(m, err);
    if (!has_word(m->a, m->problem) && m->change.n)
        m->problem = proposal_of(m);
    if (!has_word(m->a, m->problem)) {
        enum status st =
            err_set(err, ERR_DATA, "the problem statement is empty: there is no word in it");
        err_fix(err, "say in a few sentences what is wrong and what should hold instead");
        return st;
    }
    return OK;
}

/* ---- parts of the brief ------------------------------------------------------------------------- */

static json_t *overlaps(struct making *m)
{
    struct str_list changes = { 0 };
    json_t *list = json_array();
    if (ws_changes(m->a, m->ws, &changes) != OK)
        return list;
    for (size_t i = 0; i < changes.n; i++) {
        struct touches touches = { 0 };
        if (str_eq(changes.at[i], m->change) ||
            change_touches(m->a, m->ws, changes.at[i], &touches) != OK)
            continue;
        for (size_t k = 0; k < touches.n && json_array_size(list) < BRIEF_OVERLAPS; k++) {
            const struct touch *t = &touches.at[k];
            bool near = false;
            for (size_t c = 0; c < m->ids.n; c++)
                near = near || (m->found[c].taken && str_eq(m->found[c].spec.id, t->capability));
            if (!near)
                continue;
            json_t *v = json_object();
            js_set_str(v, "change", text_clip(t->change, CHANGE_NAME_MAX));
            js_set_str(v, "capability", text_clip(t->capability, 1024));
            js_set_str(v, "requirement", text_clip(t->from.n ? t->from : t->requirement, 1024));
            js_push(list, v);
        }
    }
    return list;
}

/* Whatever is wrong with the specs. An error in a spec that the problem is about stops here: nothing
 * written for it could be archived. */
static enum status check_specs(struct making *m, json_t *list, struct err *err)
{
    enum status result = OK;
    for (size_t i = 0; i < m->ids.n && json_array_size(list) < BRIEF_FINDINGS; i++) {
        const struct found *f = &m->found[i];
        struct spec_report report;
        struct str path = ws_spec_path(m->a, f->spec.id);
        const struct ws_file *file = path.n ? ws_find(m->ws, path) : NULL;
        if (!file || validate_spec(m->a, f->spec.id, file->bytes, false, &report) != OK)
            continue;
        for (size_t k = 0; k < report.findings.n && json_array_size(list) < BRIEF_FINDINGS; k++) {
            const struct spec_finding *one = &report.findings.at[k];
            if (one->severity == SPEC_INFO)
                continue;
            js_push(list, spec_finding_json(one));
            if (one->severity != SPEC_ERROR || result != OK || i > 0 || f->rank <= 0)
                continue;
            result = err_set(err, ERR_DATA, "openspec/%.*s:%zu: %.*s",
                             STR_ARG(text_clip(one->file, 200)), one->line,
                             STR_ARG(text_clip(one->message, 300)));
            err_fix(err, "repair the spec; `openspec validate %.*s` names the places",
                    STR_ARG(text_clip(f->spec.id, 60)));
        }
    }
    return result;
}

static enum status put_config(struct making *m, json_t *brief, json_t *list)
{
    struct spec_config config;
    struct spec_findings found = { 0 };
    enum status st = config_read(m->a, m->ws, &config, &found);
    if (st != OK)
        return st;
    if (config.context.n)
        js_set_str(brief, "context", text_clip(config.context, CONTEXT_MAX));
    json_t *rules = config_rules_json(&config);
    if (json_object_size(rules))
        js_set(brief, "rules", rules);
    else
        json_decref(rules);
    for (size_t i = 0; i < found.n && json_array_size(list) < BRIEF_FINDINGS; i++)
        js_push(list, spec_finding_json(&found.at[i]));
    return OK;
}

static enum status put_names(struct making *m, json_t *brief)
{
    struct str title = brief_title(m->a, m->problem, TITLE_MAX), name = m->change;
    struct str words = at_word(title, NAME_FROM);
    if (!name.n && name_for_change(m->a, m->ws, words, &name) != OK)
        return ERR_LIMIT;
    js_set_str(brief, "change_name", name);
    js_set_str(brief, "title", title.n ? title : name);
    js_set_str(brief, "problem", m->problem);
    enum words_lang lang = words_lang_of(m->problem);
    if (lang != LANG_NONE)
        js_set_z(brief, "language", words_lang_tag(lang));
    return OK;
}

static enum status fill(struct making *m, json_t *brief, json_t *list, struct err *err)
{
    json_t *all = json_array();
    enum status st = check_specs(m, list, err);
    if (st == OK)
        st = put_names(m, brief);
    if (st == OK)
        st = put_config(m, brief, list);
    for (size_t i = 0; i < m->ids.n && i < ALL_IDS; i++)
        js_push(all, js_string(text_clip(m->ids.at[i], 1024)));
    js_set(brief, "all_capabilities", all);
    if (st != OK)
        return st;
    js_set(brief, "capabilities", rank_json(m));
    js_set(brief, "overlaps", overlaps(m));
    json_t *base = m->change.n ? ws_change_doc(m->ws, m->change) : NULL;
    if (base)
        js_set(brief, "base", base);
    js_set(brief, "findings", json_incref(list));
    return OK;
}

enum status brief_make(struct arena *a, const json_t *problem, const struct ws *ws, json_t **out,
                       json_t **findings, struct err *err)
{
    struct making m = {
        .a = a, .ws = ws, .problem = js_view(problem, "text"), .change = js_view(problem, "change")
    };
    *out = NULL;
    if (findings)
        *findings = NULL;
    enum status st = check_input(&m, err);
    if (st != OK)
        return st;
    st = words_set_of(a, m.problem, LANG_NONE, &m.query);
    if (st == OK)
        st = ws_spec_ids(a, ws, str_of("specs/"), &m.ids);
    if (st == OK)
        st = rank_all(&m);
    if (st != OK)
        return err_set(err, st, "out of memory");
    json_t *brief = json_object(), *list = json_array();
    st = fill(&m, brief, list, err);
    if (st == OK) {
        *out = brief;
        json_decref(list);
        return OK;
    }
    if (findings && json_array_size(list) && st == ERR_DATA)
        *findings = list;
    else
        json_decref(list);
    json_decref(brief);
    return err && *err->text ? st : err_set(err, st, "out of memory");
}
