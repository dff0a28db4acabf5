/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/tasks.h"

#include "common/openspec/text.h"
#include "common/openspec/workflow.h"

#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 9, CODE_COLUMN = 4 };

static size_t digits(struct str s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i;
}

/* (?:[-*+]|\d{1,9}[.)]) */
static size_t marker(struct str s)
{
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '*' || s.p[0] == '+'))
        return 1;
    size_t n = digits(s);
    return n >= 1 && n <= DIGITS_MAX && n < s.n && (s.p[n] == '.' || s.p[n] == ')') ? n + 1 : 0;
}

/* Up to the first line break. */
static struct str to_break(struct str s)
{
    size_t i = 0, len;
    while (i < s.n && !cp_line_break(text_cp(s, i, &len)))
        i += len;
    return (struct str){ s.p, i };
}

/* \[(?:\s*([^\]\s]?)\s*\](?![([])|\s+\]) : what follows the box, and its mark ('\0': blank). */
static bool box(struct str s, uint32_t *mark, struct str *rest)
{
    if (!text_starts(s, "["))
        return false;
    struct str inside = text_from(s, 1);
    size_t spaces = text_spaces(inside), len = 0;
    struct str at = text_from(inside, spaces);
    *mark = 0;
    if (at.n > 0 && at.p[0] != ']') {
        *mark = text_cp(at, 0, &len);
        if (*mark > 0xffff) /* two code units: no single mark */
            return false;
        at = text_trim_start(text_from(at, len));
    }
    if (!text_starts(at, "]"))
        return false;
    *rest = text_from(at, 1);
    bool link = text_starts(*rest, "(") || text_starts(*rest, "[");
    return !link || (*mark == 0 && spaces > 0);
}

bool task_line(struct str line, struct task_line *out)
{
    struct str s = text_trim_start(line), rest;
    uint32_t mark;
    size_t n = marker(s);
    if (n == 0 || !box(text_trim_start(text_from(s, n)), &mark, &rest))
        return false;
    out->done = mark == 'x' || mark == 'X';
    out->text = text_trim(to_break(text_trim_start(rest)));
    return true;
}

/* ---- the task files of a change ---- */

struct document {
    struct str path; /* below the change */
    struct str text;
};

struct documents {
    struct document *at;
    size_t n, cap;
    bool tracked; /* found by the workflow, not tasks.md for want of a rule */
};

static int by_path(const void *a, const void *b)
{
    return text_u16_cmp(((const struct document *)a)->path, ((const struct document *)b)->path);
}

static struct documents documents_of(struct pool *p, const struct ws *ws, struct str change,
                                     const struct change_meta *meta)
{
    struct documents docs = { 0 };
    struct str dir = pool_cat(p, LIT("changes/"), change, LIT("/"));
    struct workflow w = { 0 };
    struct str_list paths = { 0 };
    if (meta->valid)
        w = workflow_find(p, ws, meta->schema, false);
    if (w.loads && w.tasks.n > 0)
        paths = workflow_outputs(p, ws, dir, w.tasks);
    docs.tracked = paths.n > 0;
    if (!docs.tracked)
        pool_push(p, &paths, LIT("tasks.md"));
    for (size_t i = 0; i < paths.n && !p->failed; i++) {
        const struct ws_file *f = ws_find(ws, pool_cat(p, dir, paths.at[i]));
        if (f)
            pool_push(p, &docs, (struct document){ paths.at[i], text_decode(p, f->bytes) });
    }
    if (docs.n > 1)
        qsort(docs.at, docs.n, sizeof *docs.at, by_path);
    return docs;
}

/* Lines of a text split at LF, one after the other. */
static bool next_line(struct str *text, struct str *line)
{
    if (!text->p)
        return false;
    const char *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
    line->p = text->p;
    line->n = end ? (size_t)(end - text->p) : text->n;
    *text = end ? text_from(*text, line->n + 1) : (struct str){ 0 };
    return true;
}

static struct task_progress count(struct str text)
{
    struct task_progress sum = { 0 };
    struct task_line t;
    for (struct str line; next_line(&text, &line);) {
        if (!task_line(line, &t))
            continue;
        sum.total++;
        sum.done += t.done;
    }
    return sum;
}

enum status tasks_progress(struct arena *a, const struct ws *ws, struct str change,
                           struct task_progress *out)
{
    struct pool p = pool_of(a);
    struct change_meta meta;
    *out = (struct task_progress){ 0 };
    enum status st = meta_read(a, ws, change, &meta);
    if (st != OK)
        return st;
    struct documents docs = documents_of(&p, ws, change, &meta);
    for (size_t i = 0; i < docs.n; i++) {
        struct task_progress one = count(docs.at[i].text);
        out->total += one.total;
        out->done += one.done;
    }
    return pool_status(&p);
}

/* ---- a list without checkboxes ---- */

/* ^-{3}\s*$ */
static bool front_matter(struct str line)
{
    return text_starts(line, "---") && text_blank(text_from(line, 3));
}

static size_t skip_front_matter(const struct lines *l)
{
    if (l->n == 0 || !front_matter(text_no_bom(l->at[0])))
        return 0;
    for (size_t i = 1; i < l->n; i++) {
        if (front_matter(l->at[i]))
            return i + 1;
    }
    return 0;
}

static size_t indent_columns(struct str line)
{
    size_t column = 0;
    for (size_t i = 0; i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'); i++)
        column += line.p[i] == ' ' ? 1 : CODE_COLUMN - column % CODE_COLUMN;
    return column;
}

/* ^ {0,3}(`{3,}|~{3,})(.*) : the length of the run; a fence of CommonMark, unlike elsewhere. */
static size_t fence(struct str line, char *mark, struct str *rest)
{
    size_t i = 0, n = 0;
    while (i < 3 && i < line.n && line.p[i] == ' ')
        i++;
    if (i == line.n || (line.p[i] != '`' && line.p[i] != '~'))
        return 0;
    *mark = line.p[i];
    while (i + n < line.n && line.p[i + n] == *mark)
        n++;
    *rest = to_break(text_from(line, i + n));
    return n >= 3 ? n : 0;
}

/* ^\s*(?:[-*+]|\d{1,9}[.)])\s+\S */
static bool list_item(struct str line)
{
    struct str s = text_trim_start(line);
    size_t n = marker(s);
    struct str rest = text_from(s, n);
    size_t spaces = text_spaces(rest);
    return n > 0 && spaces > 0 && spaces < rest.n;
}

static size_t first_list_item(struct pool *p, struct str text)
{
    struct lines l = lines_of(p, text);
    size_t open = 0;
    char open_mark = 0, mark = 0;
    bool comment = false;
    for (size_t i = skip_front_matter(&l); i < l.n; i++) {
        struct str line = l.at[i], rest = { 0 }, s = text_trim_start(line);
        if (comment) {
            comment = text_find(line, LIT("-->"), 0) == SIZE_MAX;
            continue;
        }
        size_t n = fence(line, &mark, &rest);
        if (n > 0 && open == 0) {
            open = n;
            open_mark = mark;
        } else if (n > 0 && mark == open_mark && n >= open && text_blank(rest)) {
            open = 0;
        }
        if (n > 0 || open > 0)
            continue;
        if (text_starts(s, "<!--"))
            comment = text_find(s, LIT("-->"), 4) == SIZE_MAX;
        else if (list_item(line) && indent_columns(line) < CODE_COLUMN)
            return i + 1;
    }
    return 0;
}

static void check_boxes(struct report *r, const struct documents *docs)
{
    for (size_t i = 0; i < docs->n; i++) {
        if (count(docs->at[i].text).total > 0)
            return;
    }
    for (size_t i = 0; i < docs->n && !r->p->failed; i++) {
        size_t line = first_list_item(r->p, docs->at[i].text);
        if (line == 0)
            continue;
        report_add(r, (struct remark){
                          .severity = SPEC_WARNING, .code = "tasks.no-checkbox",
                          .path = docs->at[i].path, .is_file = true, .line = line,
                          .says_line = true,
                          .message = LIT("This change counts as 0 tasks: no line in its tracked "
                                         "task files is a checkbox, so \"openspec list\" and "
                                         "\"openspec status\" report no work and \"openspec "
                                         "archive\" has nothing to flag as incomplete. Write each "
                                         "task as \"- [ ] 1.1 Description\"."),
                          .fix = "write each task as `- [ ] 1.1 Description`" });
    }
}

/* ---- numbers of tasks ---- */

/* ^ {0,3}## not followed by #; *rest is what follows. */
static bool level_two(struct str line, struct str *rest)
{
    size_t i = 0;
    while (i < 3 && i < line.n && line.p[i] == ' ')
        i++;
    struct str s = text_from(line, i);
    *rest = text_from(s, 2);
    return text_starts(s, "##") && !text_starts(s, "###");
}

static bool at_end(struct str s)
{
    return s.n == 0 || str_is(s, "\r");
}

static bool heading_line(struct str line)
{
    struct str rest;
    return level_two(line, &rest) && (text_blanks(rest) > 0 || at_end(rest));
}

/* ^ {0,3}##[ \t]+(\d+)\.(?:[ \t]|\r?$) */
static bool group_line(struct str line, struct str *number)
{
    struct str rest;
    if (!level_two(line, &rest) || text_blanks(rest) == 0)
        return false;
    rest = text_from(rest, text_blanks(rest));
    *number = (struct str){ rest.p, digits(rest) };
    rest = text_from(rest, number->n);
    if (number->n == 0 || !text_starts(rest, "."))
        return false;
    rest = text_from(rest, 1);
    return at_end(rest) || rest.p[0] == ' ' || rest.p[0] == '\t';
}

/* ^(\d+(?:\.\d+)+(?:[A-Za-z]+)?)(?=\s|$) */
static bool task_id(struct str text, struct str *id)
{
    size_t i = digits(text), parts = 0, len;
    while (i > 0 && i < text.n && text.p[i] == '.') {
        size_t n = digits(text_from(text, i + 1));
        if (n == 0)
            return false;
        i += n + 1;
        parts++;
    }
    while (i < text.n && ((text.p[i] >= 'a' && text.p[i] <= 'z') ||
                          (text.p[i] >= 'A' && text.p[i] <= 'Z')))
        i++;
    *id = (struct str){ text.p, i };
    return parts > 0 && (i == text.n || cp_space(text_cp(text, i, &len)));
}

static struct str no_zeros(struct str s)
{
    while (s.n > 1 && s.p[0] == '0')
        s = text_from(s, 1);
    return s;
}

struct place {
    struct str path;
    size_t line;
};

struct numbering {
    struct report *r;
    struct map ids; /* -> struct place */
    const struct document *doc;
    struct str group; /* empty: below no numbered heading */
};

static void warn(struct numbering *n, size_t line, const char *code, struct str message,
                 const char *fix)
{
    report_add(n->r, (struct remark){ .severity = SPEC_WARNING, .code = code,
                                      .path = n->doc->path, .is_file = true, .line = line,
                                      .says_line = true, .message = message, .fix = fix });
}

static void check_number(struct numbering *n, struct str id, size_t line)
{
    struct pool *p = n->r->p;
    struct str own = { id.p, digits(id) };
    if (!str_eq(no_zeros(own), no_zeros(n->group)))
        warn(n, line, "tasks.group",
             pool_cat(p, LIT("Task \""), id, LIT("\" is under group "), n->group,
                      LIT(", but its leading number points to group "), own,
                      LIT(". Move it to group "), own, LIT(" or renumber it.")),
             "renumber the task");
    const struct place *first = map_get(&n->ids, id);
    if (first) {
        struct str where = str_eq(first->path, n->doc->path)
                               ? LIT("")
                               : pool_cat(p, LIT("in "), first->path, LIT(" "));
        warn(n, line, "tasks.duplicate",
             pool_cat(p, LIT("Task ID \""), id, LIT("\" is duplicated; it was first declared "),
                      where, LIT("on line "), pool_num(p, first->line), LIT(".")),
             "renumber one of the two tasks");
        return;
    }
    struct place *here = pool_alloc(p, sizeof *here);
    if (here) {
        *here = (struct place){ n->doc->path, line };
        map_set(p, &n->ids, id, here);
    }
}

static void check_numbers(struct report *r, const struct documents *docs)
{
    struct numbering n = { .r = r };
    for (size_t i = 0; i < docs->n; i++) {
        struct str text = docs->at[i].text, line, id, number;
        struct task_line t;
        size_t at = 0;
        n.doc = &docs->at[i];
        n.group = LIT("");
        while (next_line(&text, &line) && !r->p->failed) {
            at++;
            if (heading_line(line))
                n.group = group_line(line, &number) ? number : LIT("");
            if (n.group.n > 0 && task_line(line, &t) && task_id(t.text, &id))
                check_number(&n, id, at);
        }
    }
}

void tasks_check(struct report *r, const struct ws *ws, struct str change,
                 const struct change_meta *meta)
{
    struct documents docs = documents_of(r->p, ws, change, meta);
    if (docs.tracked)
        check_boxes(r, &docs);
    if (meta->schema_builtin)
        check_numbers(r, &docs);
}
