/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/questions.h"

#include "common/openspec/questions_in.h"
#include "common/openspec/text.h"

#include <string.h>

enum phase { OUTSIDE, BEFORE_ATTRIBUTES, ATTRIBUTES, TEXT, ANSWER };

enum attribute { FROM, STATE, DEADLINE, DEFAULT, REF, BY, ATTRIBUTES_N };

static const char *const attribute_names[] = {
    "from", "state", "deadline", "default", "ref", "by"
};
static const char *const from_names[] = { "system", "user" };
static const char *const state_names[] = { "open", "answered", "withdrawn", "default" };

struct reading {
    struct pool pool;
    struct questions *out;
    struct err *err;
    enum phase phase;
    struct questions_entry e;
    size_t seen[ATTRIBUTES_N]; /* line of each; 0: not yet */
    struct map ids;
};

const char *questions_state_name(enum questions_state s)
{
    return state_names[s];
}

const char *questions_from_name(enum questions_from f)
{
    return from_names[f];
}

static int name_index(struct str s, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_is(s, names[i]))
            return (int)i;
    }
    return -1;
}

static enum status bad_value(struct err *err, size_t line, const char *what, const char *fix)
{
    err_set(err, ERR_DATA, "line %zu: %s", line, what);
    err_fix(err, "%s", fix);
    return ERR_DATA;
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* "- key: value" without blanks before it. */
static bool attribute_line(struct str s, struct str *key, struct str *value)
{
    size_t at = 2;
    if (!text_starts(s, "- "))
        return false;
    while (at < s.n && ((s.p[at] >= 'a' && s.p[at] <= 'z') || (s.p[at] >= 'A' && s.p[at] <= 'Z')))
        at++;
    if (at == 2 || at >= s.n || s.p[at] != ':')
        return false;
    *key = (struct str){ s.p + 2, at - 2 };
    *value = question_trim(text_from(s, at + 1));
    return true;
}

static struct questions_span span_of(const struct reading *r, struct str s, size_t line)
{
    size_t from = (size_t)(s.p - r->out->text.p);
    return (struct questions_span){ from, from + s.n, line };
}

static enum status take_line_value(struct reading *r, const char *key, struct str value,
                                   struct questions_span at, struct questions_span *out)
{
    *out = at;
    if (value.n)
        return OK;
    err_set(r->err, ERR_DATA, "line %zu: `%s` is empty", at.line, key);
    err_fix(r->err, "take it out: pawl writes it");
    return ERR_DATA;
}

static enum status take_value(struct reading *r, enum attribute which, struct str value,
                              size_t line)
{
    struct questions_entry *e = &r->e;
    int i;
    switch (which) {
    case FROM:
        if ((i = name_index(value, from_names, COUNT(from_names))) < 0)
            return bad_value(r->err, line, "`from` is neither system nor user",
                             "write `- from: system` or `- from: user`");
        e->from = (enum questions_from)i;
        return OK;
    case STATE:
        if ((i = name_index(value, state_names, COUNT(state_names))) < 0)
            return bad_value(r->err, line, "`state` has a value that is not known",
                             "write open, answered, withdrawn or default");
        e->state = (enum questions_state)i;
        e->state_at = span_of(r, value, line);
        return OK;
    case DEADLINE:
        if (!question_time(value, &e->deadline_s))
            return bad_value(r->err, line, "`deadline` is not a time of RFC 3339",
                             "write it as 2026-11-24T09:00:00Z");
        e->deadline = value;
        return OK;
    case DEFAULT:
        if (value.n == 0)
            return bad_value(r->err, line, "`default` is empty", "write an answer, or take it out");
        e->default_answer = value;
        return OK;
    case REF:
        e->ref = value;
        return take_line_value(r, "ref", value, span_of(r, value, line), &e->ref_at);
    case BY:
        e->by = value;
        return take_line_value(r, "by", value, span_of(r, value, line), &e->by_at);
    case ATTRIBUTES_N: break;
    }
    return ERR_INTERNAL;
}

static enum status take_attribute(struct reading *r, const struct question_line *l, struct str key,
                                  struct str value)
{
    for (size_t i = 0; i < ATTRIBUTES_N; i++) {
        if (!text_is_ci(key, attribute_names[i]))
            continue;
        if (r->seen[i]) {
            err_set(r->err, ERR_DATA, "line %zu: `%s` was given in line %zu already", l->number,
                    attribute_names[i], r->seen[i]);
            err_fix(r->err, "keep one of them");
            return ERR_DATA;
        }
        r->seen[i] = l->number;
        r->e.attributes_end = l->next;
        return take_value(r, (enum attribute)i, value, l->number);
    }
    return bad_value(r->err, l->number, "an attribute that is not known",
                     "they are from, state, deadline, default, ref and by; a blank line ends them");
}

/* ---- entries --------------------------------------------------------------------------------- */

static enum status entry_open(struct reading *r, const struct question_line *l)
{
    if (!question_id(l->rest))
        return bad_value(r->err, l->number, "a question's heading without a proper ID",
                         "write `## Question ID`: letters, digits, '.', '_', '-', at most 64");
    if (r->out->n >= QUESTIONS_ENTRIES_MAX) {
        err_set(r->err, ERR_LIMIT, "line %zu: more than %d questions", l->number,
                QUESTIONS_ENTRIES_MAX);
        err_fix(r->err, "take out questions that are settled");
        return ERR_LIMIT;
    }
    if (!map_add(&r->pool, &r->ids, l->rest) && !r->pool.failed) {
        const struct questions_entry *first = questions_find(r->out, l->rest);
        err_set(r->err, ERR_DATA, "line %zu: the ID of the question in line %zu once more",
                l->number, first ? first->all.line : 0);
        err_fix(r->err, "give each question an ID of its own");
        return ERR_DATA;
    }
    r->e = (struct questions_entry){ .id = l->rest, .all = { .from = l->from, .line = l->number } };
    memset(r->seen, 0, sizeof r->seen);
    r->phase = BEFORE_ATTRIBUTES;
    return OK;
}

static struct str span_view(const struct reading *r, struct questions_span at)
{
    if (!at.line)
        return (struct str){ "", 0 };
    return (struct str){ r->out->text.p + at.from, at.to - at.from };
}

static enum status entry_close(struct reading *r, size_t to)
{
    struct questions_entry *e = &r->e;
    size_t line = e->all.line;
    if (r->phase == OUTSIDE)
        return OK;
    e->all.to = to;
    e->text = span_view(r, e->text_at);
    e->answer = span_view(r, e->answer_at);
    if (!r->seen[FROM])
        return bad_value(r->err, line, "a question without `from`",
                         "write `- from: system` or `- from: user` below its heading");
    if (!r->seen[STATE])
        return bad_value(r->err, line, "a question without `state`",
                         "write `- state: open` below its heading");
    if (e->text.n == 0)
        return bad_value(r->err, line, "a question without a text",
                         "write what is asked below its attributes");
    if (e->state == QUESTIONS_ANSWERED && e->answer.n == 0)
        return bad_value(r->err, e->state_at.line, "`state` is answered, and there is no answer",
                         "write the answer below `### Answer`, or `- state: open`");
    if (e->state == QUESTIONS_DEFAULT && e->default_answer.n == 0)
        return bad_value(r->err, e->state_at.line, "`state` is default, and there is no default",
                         "write `- default: …`, or `- state: open`");
    pool_push(&r->pool, r->out, *e);
    r->phase = OUTSIDE;
    return OK;
}

static void span_grow(struct questions_span *at, const struct question_line *l)
{
    if (!at->line) {
        at->from = l->from;
        at->line = l->number;
    }
    at->to = l->from + l->s.n;
}

/* A line inside an entry. */
static enum status entry_line(struct reading *r, const struct question_line *l)
{
    struct str key, value;
    if (l->kind != LINE_BLANK)
        r->e.end = l->from + l->s.n;
    if (l->kind == LINE_ANSWER) {
        if (r->e.answer_part)
            return bad_value(r->err, l->number, "a second `### Answer` in one question",
                             "keep one of them, or take another heading");
        r->e.answer_part = l->number;
        r->phase = ANSWER;
        return OK;
    }
    bool empty = l->kind == LINE_BLANK || l->kind == LINE_COMMENT;
    if (r->phase == BEFORE_ATTRIBUTES && empty)
        return OK;
    if (r->phase == BEFORE_ATTRIBUTES || r->phase == ATTRIBUTES) {
        if (l->kind == LINE_TEXT && attribute_line(l->s, &key, &value)) {
            r->phase = ATTRIBUTES;
            return take_attribute(r, l, key, value);
        }
        r->phase = TEXT;
    }
    if (!empty)
        span_grow(r->phase == ANSWER ? &r->e.answer_at : &r->e.text_at, l);
    return OK;
}

static enum status take_line(struct reading *r, const struct question_line *l)
{
    enum status st = OK;
    if (l->kind == LINE_QUESTION || l->kind == LINE_HEADING) {
        st = entry_close(r, l->from);
        if (st == OK && l->kind == LINE_QUESTION) {
            st = entry_open(r, l);
            r->e.end = l->from + l->s.n;
        }
        return st;
    }
    return r->phase == OUTSIDE ? OK : entry_line(r, l);
}

/* ---- the file -------------------------------------------------------------------------------- */

static size_t line_at(struct str text, size_t byte)
{
    struct question_lines lines = question_lines_of(text);
    struct question_line l;
    while (question_line_next(&lines, &l) && l.next <= byte)
        ;
    return lines.number;
}

static enum status check_bytes(struct str text, struct err *err)
{
    size_t bad;
    const char *nul;
    if (text.n > QUESTIONS_BYTES_MAX) {
        err_set(err, ERR_LIMIT, "%zu bytes of questions, %d are allowed", text.n,
                QUESTIONS_BYTES_MAX);
        err_fix(err, "take out questions that are settled");
        return ERR_LIMIT;
    }
    if (!utf8_valid(text, &bad))
        return bad_value(err, line_at(text, bad), "bytes that are not UTF-8",
                         "save the file as UTF-8");
    nul = text.n ? memchr(text.p, 0, text.n) : NULL;
    if (nul)
        return bad_value(err, line_at(text, (size_t)(nul - text.p)), "a NUL byte", "take it out");
    return OK;
}

enum status questions_read(struct arena *a, struct str text, struct questions *out, struct err *err)
{
    struct reading r = { .pool = pool_of(a), .out = out, .err = err };
    struct question_lines lines = question_lines_of(text);
    struct question_line l;
    *out = (struct questions){ .text = text, .arena = a };
    enum status st = check_bytes(text, err);
    while (st == OK && question_line_next(&lines, &l))
        st = take_line(&r, &l);
    if (st == OK && lines.comment)
        st = bad_value(err, lines.open_line, "a comment that is never closed", "close it with -->");
    if (st == OK && lines.fence)
        st = bad_value(err, lines.open_line, "a code fence that is never closed",
                       "close it with a line of the same marks");
    if (st == OK)
        st = entry_close(&r, text.n);
    if (st == OK && pool_status(&r.pool) != OK)
        st = err_set(err, ERR_LIMIT, "no memory for the questions");
    return st;
}

const struct questions_entry *questions_find(const struct questions *q, struct str id)
{
    for (size_t i = 0; i < q->n; i++) {
        if (str_eq(q->at[i].id, id))
            return &q->at[i];
    }
    return NULL;
}
