/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of questions.md. Each composes the new text around its own bytes, reads it again, and gives
 * it only when it says what was asked for. */
#include "common/openspec/questions_in.h"
#include "common/openspec/text.h"

#include <string.h>

/* Lines as the file has them: the end of its first line. */
static struct str line_end(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\n')
            return LIT("\n");
        if (text.p[i] == '\r')
            return i + 1 < text.n && text.p[i + 1] == '\n' ? LIT("\r\n") : LIT("\r");
    }
    return LIT("\n");
}

/* Without blank lines around it. */
static struct str strip_blank_lines(struct str s)
{
    struct question_lines lines = { .text = s };
    struct question_line l;
    size_t from = s.n, to = s.n;
    while (question_line_next(&lines, &l)) {
        if (question_trim(l.s).n == 0)
            continue;
        if (from == s.n)
            from = l.from;
        to = l.from + l.s.n;
    }
    return (struct str){ s.n ? s.p + from : "", to - from };
}

static enum status refuse(struct err *err, const char *what, size_t line, const char *why)
{
    err_set(err, ERR_DATA, "%s, line %zu: %s", what, line, why);
    err_fix(err, "put it into a code fence, or write it in another way");
    return ERR_DATA;
}

/* May the text stand in an entry? */
static enum status check_body(struct str s, const char *what, struct err *err)
{
    struct question_lines lines = { .text = s };
    struct question_line l;
    bool says = false;
    if (s.n > QUESTIONS_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s has %zu bytes, %d are allowed", what, s.n,
                       QUESTIONS_BYTES_MAX);
    while (question_line_next(&lines, &l)) {
        if (l.kind == LINE_HEADING || l.kind == LINE_QUESTION)
            return refuse(err, what, l.number, "a heading of level 1 or 2 would end it");
        if (l.kind == LINE_ANSWER)
            return refuse(err, what, l.number, "`### Answer` would begin another part");
        if (l.kind == LINE_COMMENT && !says)
            return refuse(err, what, l.number, "it must not begin with a comment");
        says = says || l.kind == LINE_TEXT;
    }
    if (lines.comment || lines.fence)
        return refuse(err, what, lines.open_line, "a comment or code fence stays open");
    if (!says)
        return err_set(err, ERR_DATA, "%s is empty", what);
    return OK;
}

static bool same_entry(const struct questions_entry *a, const struct questions_entry *b)
{
    return str_eq(a->id, b->id) && a->from == b->from && a->state == b->state &&
           str_eq(a->deadline, b->deadline) && str_eq(a->default_answer, b->default_answer) &&
           str_eq(a->ref, b->ref) && str_eq(a->by, b->by) && str_eq(a->text, b->text) &&
           str_eq(a->answer, b->answer);
}

/* The text made, if it reads as the old one but for the entry of want's ID. */
static enum status give(const struct questions *q, struct buf *made,
                        const struct questions_entry *want, struct str *out, struct err *err)
{
    struct pool p = pool_of(q->arena);
    struct questions now;
    struct str text = pool_take(&p, made);
    if (p.failed)
        return err_set(err, ERR_LIMIT, "no room for the questions");
    enum status st = questions_read(q->arena, text, &now, err);
    if (st != OK)
        return st;
    bool same = now.n == q->n + (questions_find(q, want->id) == NULL);
    for (size_t i = 0; same && i < now.n; i++) {
        bool this = i >= q->n || str_eq(q->at[i].id, want->id);
        same = same_entry(&now.at[i], this ? want : &q->at[i]);
    }
    if (!same)
        return err_set(err, ERR_DATA, "the question %.*s would read as something else",
                       STR_ARG(want->id));
    *out = text;
    return OK;
}

static enum status find(const struct questions *q, struct str id, struct questions_entry *out,
                        struct err *err)
{
    const struct questions_entry *e = questions_find(q, id);
    if (!e) {
        struct str shown = question_id(id) ? id : LIT("of that ID");
        return err_set(err, ERR_NOT_FOUND, "there is no question %.*s", STR_ARG(shown));
    }
    *out = *e;
    return OK;
}

static void put_lines(struct buf *b, struct str eol, const struct str *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_view(b, lines[i]);
        buf_view(b, eol);
    }
}

static void put_attribute(struct buf *b, struct str eol, const char *key, struct str value)
{
    if (value.n) {
        buf_printf(b, "- %s: ", key);
        buf_view(b, value);
        buf_view(b, eol);
    }
}

/* The end of what is there, and a blank line; a title in front of the first. */
static void put_before(struct buf *b, const struct questions *q, struct str eol)
{
    struct question_lines lines = question_lines_of(q->text);
    struct question_line l = { .kind = LINE_BLANK };
    bool any = lines.at < q->text.n;
    buf_view(b, q->text);
    while (question_line_next(&lines, &l))
        ;
    if (!any) {
        put_lines(b, eol, (struct str[]){ LIT("# Questions"), LIT("") }, 2);
        return;
    }
    if (l.from + l.s.n == l.next)
        buf_view(b, eol);
    if (l.kind != LINE_BLANK)
        buf_view(b, eol);
}

enum status questions_add(const struct questions *q, const struct questions_new *entry,
                          struct str *out, struct err *err)
{
    struct questions_entry want = { .id = entry->id,
                                    .from = entry->from,
                                    .state = QUESTIONS_OPEN,
                                    .deadline = entry->deadline,
                                    .default_answer = entry->default_answer,
                                    .ref = entry->ref,
                                    .text = strip_blank_lines(entry->text) };
    struct str eol = line_end(q->text);
    struct buf b;
    *out = (struct str){ 0 };
    if (!question_id(entry->id))
        return err_set(err, ERR_DATA, "not an ID of a question");
    if (questions_find(q, entry->id))
        return err_set(err, ERR_DATA, "the question %.*s is there already", STR_ARG(entry->id));
    enum status st = check_body(want.text, "the question", err);
    if (st != OK)
        return st;
    buf_init(&b, 2 * (size_t)QUESTIONS_BYTES_MAX);
    put_before(&b, q, eol);
    buf_str(&b, "## Question ");
    put_lines(&b, eol, (struct str[]){ entry->id, LIT("") }, 2);
    put_attribute(&b, eol, "from", str_of(questions_from_name(entry->from)));
    put_attribute(&b, eol, "state", LIT("open"));
    put_attribute(&b, eol, "deadline", entry->deadline);
    put_attribute(&b, eol, "default", entry->default_answer);
    put_attribute(&b, eol, "ref", entry->ref);
    put_lines(&b, eol,
              (struct str[]){ LIT(""), want.text, LIT(""), LIT("### Answer"), LIT(""),
                              LIT("<!-- Write the answer below this line. -->") },
              6);
    return give(q, &b, &want, out, err);
}

enum status questions_answer(const struct questions *q, struct str id, struct str answer,
                             struct str *out, struct err *err)
{
    struct str eol = line_end(q->text);
    struct questions_entry want;
    struct buf b;
    *out = (struct str){ 0 };
    enum status st = find(q, id, &want, err);
    if (st != OK)
        return st;
    answer = strip_blank_lines(answer);
    if ((st = check_body(answer, "the answer", err)) != OK)
        return st;
    bool there = want.answer_at.line > 0;
    size_t from = there ? want.answer_at.from : want.end;
    size_t to = there ? want.answer_at.to : want.end;
    buf_init(&b, 2 * (size_t)QUESTIONS_BYTES_MAX);
    buf_append(&b, q->text.p, from);
    if (!there)
        put_lines(&b, eol, (struct str[]){ LIT(""), LIT("") }, 2);
    if (!want.answer_part)
        put_lines(&b, eol, (struct str[]){ LIT("### Answer"), LIT("") }, 2);
    buf_view(&b, answer);
    if (!there && to == q->text.n)
        buf_view(&b, eol);
    buf_append(&b, q->text.p + to, q->text.n - to);
    want.answer = answer;
    return give(q, &b, &want, out, err);
}

/* One thing that questions_set() puts in. */
struct put {
    struct questions_span at; /* line 0: a line of its own at `from`, where a line begins */
    const char *key;
    struct str value;
};

/* In the order of their places, new lines last: all attributes come before what follows them. */
static int by_place(const struct put *a, const struct put *b)
{
    if (!a->at.line != !b->at.line)
        return a->at.line ? -1 : 1;
    return (a->at.from > b->at.from) - (a->at.from < b->at.from);
}

static void sort_puts(struct put *p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t k = i; k > 0 && by_place(&p[k - 1], &p[k]) > 0; k--) {
            struct put other = p[k];
            p[k] = p[k - 1];
            p[k - 1] = other;
        }
    }
}

enum status questions_set(const struct questions *q, struct str id,
                          const struct questions_mark *mark, struct str *out, struct err *err)
{
    struct str eol = line_end(q->text);
    struct questions_entry want;
    struct put puts[3];
    struct buf b;
    size_t n = 0, done = 0;
    *out = (struct str){ 0 };
    enum status st = find(q, id, &want, err);
    if (st != OK)
        return st;
    struct questions_span fresh = { want.attributes_end, want.attributes_end, 0 };
    puts[n++] = (struct put){ want.state_at, "state", str_of(questions_state_name(mark->state)) };
    if (mark->ref.n)
        puts[n++] = (struct put){ want.ref.n ? want.ref_at : fresh, "ref", mark->ref };
    if (mark->by.n)
        puts[n++] = (struct put){ want.by.n ? want.by_at : fresh, "by", mark->by };
    sort_puts(puts, n);
    buf_init(&b, 2 * (size_t)QUESTIONS_BYTES_MAX);
    for (size_t i = 0; i < n; i++) {
        buf_append(&b, q->text.p + done, puts[i].at.from - done);
        if (puts[i].at.line)
            buf_view(&b, puts[i].value);
        else
            put_attribute(&b, eol, puts[i].key, puts[i].value);
        done = puts[i].at.to;
    }
    buf_append(&b, q->text.p + done, q->text.n - done);
    want.state = mark->state;
    want.ref = mark->ref.n ? mark->ref : want.ref;
    want.by = mark->by.n ? mark->by : want.by;
    return give(q, &b, &want, out, err);
}
