/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/dialog_plan.h"

#include "clients/cli/live.h"
#include "clients/cli/out.h"
#include "common/openspec/questions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT_MAX = 1 << 18, DEFAULT_COLUMNS = 300, NOTE_COLUMNS = 200, ID_ROOM = 56 };

/* A list of the job, and what entries call its items. */
struct named {
    const json_t *items;
    struct str *refs;
    size_t n;
};

struct planning {
    struct arena *a;
    const json_t *job;
    const char *id; /* of the job */
    struct named open, answers, comments;
    bool speaks, failed; /* failed: no memory */
    struct questions q;
    struct buf notes, wrong;
    struct err *err;
};

static const struct str nothing = { "", 0 };

/* ---- texts ------------------------------------------------------------------------------------- */

/* The buf's bytes in the arena; frees it. Empty when there is no memory for them. */
static struct str keep(struct planning *p, struct buf *b)
{
    char *copy = b->status == OK ? arena_dup(p->a, b->data ? b->data : "", b->len) : NULL;
    struct str s = copy ? (struct str){ copy, b->len } : nothing;
    p->failed = p->failed || !copy;
    buf_fini(b);
    return s;
}

static struct str keep_z(struct planning *p, const char *z)
{
    char *copy = arena_dup(p->a, z, strlen(z));
    p->failed = p->failed || !copy;
    return copy ? str_of(copy) : nothing;
}

static struct str trim(struct str s)
{
    while (s.n && strchr(" \t\r\n", s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

/* With LF line ends. */
static struct str plain(struct planning *p, struct str s)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\r')
            buf_char(&b, s.p[i]);
        else if (i + 1 == s.n || s.p[i + 1] != '\n')
            buf_char(&b, '\n');
    }
    return keep(p, &b);
}

static void quote(struct buf *out, struct str s)
{
    bool begins = true;
    for (size_t i = 0; i < s.n; i++) {
        if (begins)
            buf_str(out, s.p[i] == '\n' ? ">" : "> ");
        buf_char(out, s.p[i]);
        begins = s.p[i] == '\n';
    }
}

static struct str quoted(struct planning *p, struct str s)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    quote(&b, s);
    return keep(p, &b);
}

static struct str cleaned(struct planning *p, const json_t *v, const char *key, bool lines)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    text_clean(&b, js_view(v, key), lines);
    return trim(keep(p, &b));
}

/* One line for people. */
static void short_text(struct buf *out, struct str s)
{
    struct buf line;
    buf_init(&line, TEXT_MAX);
    text_clean(&line, s, false);
    text_fit(out, buf_get(&line), NOTE_COLUMNS);
    buf_fini(&line);
}

void dialog_by(struct buf *out, const json_t *answer)
{
    text_of(out, answer, "by");
    if (js_view(answer, "via").n == 0)
        return;
    buf_str(out, " (");
    text_of(out, answer, "via");
    buf_char(out, ')');
}

void dialog_round(struct buf *out, const json_t *entry)
{
    if (js_int(entry, "run", 1) > 1)
        buf_printf(out, "run %" PRId64 ", ", js_int(entry, "run", 1));
    buf_printf(out, "round %" PRId64 ": %s", js_int(entry, "round", 0),
               js_bool(entry, "kept", false) ? "kept" : "discarded");
    if (js_obj(entry, "verdict")) {
        buf_str(out, " (");
        verdict_text(js_obj(entry, "verdict"), out);
        buf_char(out, ')');
    }
    if (js_view(entry, "reason").n) {
        buf_str(out, ": ");
        text_of(out, entry, "reason");
    }
}

/* ---- entries and what they stand for ----------------------------------------------------------- */

/* JOB/THING on one line. */
static struct str ref_of(struct planning *p, const json_t *thing)
{
    struct buf b;
    struct str id = js_view(thing, "id");
    buf_init(&b, 1024);
    buf_printf(&b, "%s/", p->id);
    for (size_t i = 0; i < id.n; i++)
        buf_char(&b, (unsigned char)id.p[i] <= ' ' || id.p[i] == 0x7f ? '_' : id.p[i]);
    return keep(p, &b);
}

static void name_all(struct planning *p, const char *list, struct named *out)
{
    out->items = js_list(p->job, list);
    size_t n = js_count(out->items);
    out->refs = n ? arena_alloc(p->a, n * sizeof *out->refs) : NULL;
    p->failed = p->failed || (n && !out->refs);
    out->n = out->refs ? n : 0;
    for (size_t i = 0; i < out->n; i++)
        out->refs[i] = ref_of(p, js_at(out->items, i));
}

static const json_t *find_ref(const struct named *list, struct str ref)
{
    for (size_t i = list->n; i > 0; i--) { /* the last: an id may come again in a later run */
        if (str_eq(list->refs[i - 1], ref))
            return js_at(list->items, i - 1);
    }
    return NULL;
}

/* Asked by the system and not settled. */
static bool unsettled(const struct questions_entry *e)
{
    return e->from == QUESTIONS_SYSTEM && e->ref.n && e->by.n == 0 &&
           e->state != QUESTIONS_WITHDRAWN;
}

static bool starts(struct str s, struct str with)
{
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

static struct str body_of(struct planning *p, const json_t *question, const char *key)
{
    return cleaned(p, question, key, true);
}

/* The open question that the entry asks; NULL: it is open no more. */
static const json_t *asks(struct planning *p, const struct questions_entry *e)
{
    const json_t *q = find_ref(&p->open, e->ref), *a = find_ref(&p->answers, e->ref);
    struct str text = plain(p, e->text);
    if (!q || !a || starts(text, body_of(p, q, "text")))
        return q;
    return starts(text, body_of(p, a, "question")) ? NULL : q;
}

static const struct questions_entry *entry_of(struct planning *p, const json_t *question)
{
    struct str ref = ref_of(p, question);
    for (size_t i = 0; i < p->q.n; i++) {
        const struct questions_entry *e = &p->q.at[i];
        if (unsettled(e) && str_eq(e->ref, ref) && asks(p, e) == question)
            return e;
    }
    return NULL;
}

/* ---- edits -------------------------------------------------------------------------------------
 * Each gives ERR_NOT_FOUND when it has nothing to do, OK and the new text when it has. */

/* The answer, quoted when it cannot stand as it is. */
static enum status put_answer(struct planning *p, struct str id, struct str answer, struct str *out)
{
    enum status st = questions_answer(&p->q, id, answer, out, p->err);
    if (st == ERR_DATA)
        st = questions_answer(&p->q, id, quoted(p, answer), out, p->err);
    return st;
}

static enum status mark(struct planning *p, struct str text, struct str id,
                        const struct questions_mark *m, struct str *out)
{
    struct questions now;
    enum status st = questions_read(p->a, text, &now, p->err);
    return st == OK ? questions_set(&now, id, m, out, p->err) : st;
}

/* What stands below the entry came too late: it goes below the answer that holds. */
static struct str with_late(struct planning *p, const struct questions_entry *e,
                            const json_t *answer, struct str text)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    if (strcmp(js_str(answer, "by"), "default") != 0) {
        buf_view(&b, text);
        buf_str(&b, "\n\n");
    }
    buf_str(&b, "Too late, already answered by ");
    dialog_by(&b, answer);
    buf_str(&b, ". What stood here:\n\n");
    quote(&b, plain(p, e->answer));
    buf_printf(&p->notes, "%.*s: already answered by ", STR_ARG(e->id));
    dialog_by(&p->notes, answer);
    buf_str(&p->notes, ": ");
    short_text(&p->notes, text);
    buf_str(&p->notes, "; the answer in questions.md came too late\n");
    return keep(p, &b);
}

static enum status settle(struct planning *p, const struct questions_entry *e, const json_t *answer,
                          struct str *out)
{
    struct buf by;
    struct str text = plain(p, js_view(answer, "text")), id = e->id, now = p->q.text;
    bool otherwise = strcmp(js_str(answer, "by"), "default") == 0 && e->default_answer.n;
    bool late = e->answer.n && !str_eq(trim(plain(p, e->answer)), trim(text));
    enum status st = OK;
    buf_init(&by, 256);
    dialog_by(&by, answer);
    struct questions_mark m = { otherwise ? QUESTIONS_DEFAULT : QUESTIONS_ANSWERED, nothing,
                                keep(p, &by) };
    if (late)
        st = put_answer(p, id, with_late(p, e, answer, text), &now);
    else if (e->answer.n == 0 && !otherwise)
        st = put_answer(p, id, text, &now);
    return st == OK ? mark(p, now, id, &m, out) : st;
}

static enum status settle_entry(struct planning *p, const struct questions_entry *e,
                                struct str *out)
{
    size_t job = strlen(p->id);
    if (!unsettled(e) || e->ref.n <= job || memcmp(e->ref.p, p->id, job) != 0 ||
        e->ref.p[job] != '/' || asks(p, e))
        return ERR_NOT_FOUND;
    const json_t *answer = find_ref(&p->answers, e->ref);
    if (answer)
        return settle(p, e, answer, out);
    struct questions_mark m = { .state = QUESTIONS_WITHDRAWN };
    buf_printf(&p->notes, "%.*s: nobody waits for the answer any more\n", STR_ARG(e->id));
    return questions_set(&p->q, e->id, &m, out, p->err);
}

/* What became of a comment: the first round that heard it. */
static const json_t *round_after(const struct planning *p, const json_t *comment)
{
    const json_t *ledger = js_list(p->job, "ledger");
    int64_t run = js_int(comment, "run", 0),
            heard = js_int(comment, "heard", js_int(comment, "round", 0) + 1);
    for (size_t i = 0; run > 0 && i < js_count(ledger); i++) {
        const json_t *e = js_at(ledger, i);
        int64_t of = js_int(e, "run", 1);
        if (of > run || (of == run && js_int(e, "round", 0) >= heard))
            return e;
    }
    return NULL;
}

static enum status reply_entry(struct planning *p, const struct questions_entry *e, struct str *out)
{
    struct buf b, by;
    struct str id = e->id, now = p->q.text;
    if (e->from != QUESTIONS_USER || e->state != QUESTIONS_OPEN || !e->ref.n || e->by.n)
        return ERR_NOT_FOUND;
    const json_t *comment = find_ref(&p->comments, e->ref), *entry = round_after(p, comment);
    if (!entry)
        return ERR_NOT_FOUND;
    buf_init(&b, TEXT_MAX);
    buf_init(&by, 256);
    dialog_round(&b, entry);
    buf_printf(&by, "round %" PRId64, js_int(entry, "round", 0));
    struct str text = keep(p, &b);
    struct questions_mark m = { QUESTIONS_ANSWERED, nothing, keep(p, &by) };
    enum status st = e->answer.n ? OK : put_answer(p, id, text, &now);
    return st == OK ? mark(p, now, id, &m, out) : st;
}

/* A comment that was said, and whose entry does not know it yet. */
static const json_t *said_as(struct planning *p, const struct questions_entry *e)
{
    struct str text = trim(plain(p, e->text));
    for (size_t i = 0; i < p->comments.n; i++) {
        const json_t *comment = js_at(p->comments.items, i);
        bool used = !str_eq(trim(js_view(comment, "text")), text);
        for (size_t k = 0; k < p->q.n && !used; k++)
            used = p->q.at[k].from == QUESTIONS_USER && str_eq(p->q.at[k].ref, p->comments.refs[i]);
        if (!used)
            return comment;
    }
    return NULL;
}

static bool is_new(const struct questions_entry *e)
{
    return e->from == QUESTIONS_USER && e->state == QUESTIONS_OPEN && !e->ref.n && !e->by.n &&
           !e->answer.n;
}

static enum status refer_entry(struct planning *p, const struct questions_entry *e, struct str *out)
{
    const json_t *comment = p->speaks && is_new(e) ? said_as(p, e) : NULL;
    if (!comment)
        return ERR_NOT_FOUND;
    struct questions_mark m = { QUESTIONS_OPEN, ref_of(p, comment), nothing };
    return questions_set(&p->q, e->id, &m, out, p->err);
}

/* An ID for the file that is not taken: the question's own, if it is one. */
static struct str new_id(struct planning *p, const json_t *question)
{
    char base[ID_ROOM + 1], id[QUESTIONS_ID_MAX + 1];
    struct str own = js_view(question, "id");
    size_t n = 0;
    for (size_t i = 0; i < own.n && n < ID_ROOM; i++) {
        char c = own.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (n == 0 && !word)
            base[n++] = 'q';
        base[n++] = (char)(word || c == '.' || c == '_' || c == '-' ? c : '-');
    }
    snprintf(id, sizeof id, "%.*s", (int)n, n ? base : "q");
    for (int i = 2; questions_find(&p->q, str_of(id)) && i < QUESTIONS_ENTRIES_MAX + 3; i++)
        snprintf(id, sizeof id, "%.*s-%d", n ? (int)n : 1, n ? base : "q", i);
    return keep_z(p, id);
}

static struct str new_text(struct planning *p, const json_t *question)
{
    struct buf b;
    const json_t *options = js_list(question, "options");
    buf_init(&b, TEXT_MAX);
    buf_view(&b, body_of(p, question, "text"));
    buf_str(&b, js_count(options) ? "\n\n" : "");
    for (size_t i = 0; i < js_count(options); i++) {
        buf_str(&b, i ? "\n- " : "- ");
        text_clean(&b, str_of(json_string_value(js_at(options, i))), false);
    }
    return keep(p, &b);
}

static struct str deadline_of(struct planning *p, const json_t *question)
{
    time_t s = (time_t)(js_int(question, "due_ms", 0) / 1000);
    char text[32] = "";
    struct tm tm;
    if (s > 0 && s < (time_t)4102444800 && gmtime_r(&s, &tm)) /* until 2100 */
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return keep_z(p, text);
}

static enum status add_question(struct planning *p, const json_t *question, struct str *out)
{
    struct buf line;
    if (entry_of(p, question))
        return ERR_NOT_FOUND;
    buf_init(&line, TEXT_MAX);
    text_fit(&line, cleaned(p, question, "otherwise", false), DEFAULT_COLUMNS);
    struct questions_new fresh = { .id = new_id(p, question),
                                   .from = QUESTIONS_SYSTEM,
                                   .deadline = deadline_of(p, question),
                                   .default_answer = keep(p, &line),
                                   .ref = ref_of(p, question),
                                   .text = new_text(p, question) };
    enum status st = questions_add(&p->q, &fresh, out, p->err);
    if (st == ERR_DATA) { /* its text would end the entry */
        fresh.text = quoted(p, fresh.text);
        st = questions_add(&p->q, &fresh, out, p->err);
    }
    return st;
}

/* The first edit that is due. */
static enum status one_edit(struct planning *p, struct str *out)
{
    enum status st = ERR_NOT_FOUND;
    for (size_t i = 0; i < p->q.n && st == ERR_NOT_FOUND; i++) {
        st = settle_entry(p, &p->q.at[i], out);
        if (st == ERR_NOT_FOUND)
            st = refer_entry(p, &p->q.at[i], out);
        if (st == ERR_NOT_FOUND)
            st = reply_entry(p, &p->q.at[i], out);
    }
    for (size_t i = 0; i < p->open.n && st == ERR_NOT_FOUND; i++)
        st = add_question(p, js_at(p->open.items, i), out);
    return p->failed ? err_set(p->err, ERR_LIMIT, "no memory for the questions") : st;
}

/* ---- what to say ------------------------------------------------------------------------------- */

static void say(struct planning *p, struct dialog_plan *out, const struct questions_entry *e,
                const struct dialog_send *send)
{
    if (send->text.n > DIALOG_SAY_MAX)
        buf_printf(&p->wrong, "questions.md:%zu: %.*s: %zu bytes, at most %d can be said\n",
                   e->all.line, STR_ARG(e->id), send->text.n, DIALOG_SAY_MAX);
    else if (out->sends_n < DIALOG_SENDS_MAX)
        out->sends[out->sends_n++] = *send;
    else
        out->more = true;
}

static void to_say(struct planning *p, struct dialog_plan *out)
{
    for (size_t i = 0; i < p->q.n; i++) {
        const struct questions_entry *e = &p->q.at[i];
        const json_t *question = unsettled(e) ? asks(p, e) : NULL;
        struct dialog_send send = { .entry = e->id };
        if (question && (e->answer.n || e->state == QUESTIONS_DEFAULT)) {
            send.question = js_view(question, "id");
            if (e->state != QUESTIONS_DEFAULT)
                send.text = trim(plain(p, e->answer));
            say(p, out, e, &send);
        } else if (p->speaks && is_new(e)) {
            send.kind = DIALOG_COMMENT;
            send.text = trim(plain(p, e->text));
            say(p, out, e, &send);
        }
    }
}

enum status dialog_plan(struct arena *a, const json_t *job, struct str file, bool speaks,
                        struct dialog_plan *out, struct err *err)
{
    struct planning p = {
        .a = a, .job = job, .id = js_str(job, "id"), .speaks = speaks, .err = err
    };
    *out = (struct dialog_plan){ .text = file, .notes = nothing, .wrong = nothing };
    buf_init(&p.notes, TEXT_MAX);
    buf_init(&p.wrong, TEXT_MAX);
    name_all(&p, "questions", &p.open);
    name_all(&p, "answers", &p.answers);
    name_all(&p, "comments", &p.comments);
    enum status st = questions_read(a, file, &p.q, err);
    for (int i = 0; st == OK; i++) {
        struct str text;
        st = i < DIALOG_EDITS_MAX ? one_edit(&p, &text) : ERR_BUSY;
        if (st == OK) {
            out->text = text;
            st = questions_read(a, text, &p.q, err);
        }
    }
    out->more = st == ERR_BUSY;
    if (st == ERR_BUSY || st == ERR_NOT_FOUND) {
        st = OK;
        to_say(&p, out);
    }
    if (st == OK && p.failed)
        st = err_set(err, ERR_LIMIT, "no memory for the questions");
    out->changed = !str_eq(out->text, file);
    out->notes = keep(&p, &p.notes);
    out->wrong = keep(&p, &p.wrong);
    return st;
}
