/* SPDX-License-Identifier: Apache-2.0 */
/* questions.md of any bytes, read; then each edit, with bytes cut off behind the first NUL. Nothing
 * but the bytes of the edit may change. */
#include "common/openspec/questions.h"
#include "common/openspec/text.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void spans_are_inside(const struct questions *q)
{
    size_t end = 0;
    for (size_t i = 0; i < q->n; i++) {
        const struct questions_entry *e = &q->at[i];
        assert(e->all.from >= end && e->all.to <= q->text.n && e->end <= e->all.to);
        assert(e->text_at.from > e->all.from && e->text_at.to <= e->end && e->text.n > 0);
        assert(e->attributes_end > e->all.from && e->attributes_end <= e->text_at.from);
        assert(e->answer_at.line == 0 || e->answer_at.to <= e->end);
        assert(questions_find(q, e->id) == e);
        end = e->all.to;
    }
}

static void kept(struct str was, struct str now, size_t from, size_t to)
{
    assert(text_starts_str(now, (struct str){ was.p, from }));
    assert(text_ends_str(now, (struct str){ was.p + to, was.n - to }));
}

/* All that stands before the first attribute and behind the last is as it was. */
static void marked(const struct questions_entry *e, struct str by, struct str now)
{
    struct questions after;
    struct arena a;
    struct err err = { 0 };
    arena_init(&a, 1 << 28);
    enum status st = questions_read(&a, now, &after, &err);
    const struct questions_entry *f = st == OK ? questions_find(&after, e->id) : NULL;
    assert(f && str_eq(f->text, e->text) && str_eq(f->answer, e->answer));
    assert(by.n == 0 || str_eq(f->by, by));
    arena_fini(&a);
}

static void edit(const struct questions *q, struct str given)
{
    static const char *const ids[] = { "q1", "fuzz.new" };
    struct str out;
    struct err err = { 0 };
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct questions_new fresh = { str_of(ids[i]), QUESTIONS_SYSTEM, LIT(""), given, given,
                                       given };
        if (questions_add(q, &fresh, &out, &err) == OK)
            kept(q->text, out, q->text.n, q->text.n);
        fresh.ref = LIT("");
        fresh.default_answer = LIT("");
        if (questions_add(q, &fresh, &out, &err) == OK)
            kept(q->text, out, q->text.n, q->text.n);
    }
    if (q->n == 0)
        return;
    const struct questions_entry *e = &q->at[given.n % q->n];
    if (questions_answer(q, e->id, given, &out, &err) == OK) {
        bool there = e->answer_at.line > 0;
        kept(q->text, out, there ? e->answer_at.from : e->end, there ? e->answer_at.to : e->end);
    }
    for (int state = QUESTIONS_OPEN; state <= QUESTIONS_DEFAULT; state++) {
        struct questions_mark mark = { .state = (enum questions_state)state };
        if (questions_set(q, e->id, &mark, &out, &err) == OK)
            kept(q->text, out, e->state_at.from, e->state_at.to);
        mark.by = given;
        if (questions_set(q, e->id, &mark, &out, &err) == OK)
            marked(e, given, out);
        mark.ref = given;
        if (questions_set(q, e->id, &mark, &out, &err) == OK)
            marked(e, given, out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
    size_t n = cut ? (size_t)(cut - data) : size;
    struct str text = { (const char *)data, n };
    struct str given = { (const char *)data + n + (cut != NULL), size - n - (cut != NULL) };
    struct questions q;
    struct err err = { 0 };
    struct arena a;
    arena_init(&a, 1 << 28);
    if (questions_read(&a, text, &q, &err) == OK) {
        spans_are_inside(&q);
        edit(&q, given);
    } else {
        assert(err.text[0]);
    }
    arena_fini(&a);
    return 0;
}
