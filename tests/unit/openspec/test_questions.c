/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/openspec/questions.h"
#include "common/openspec/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "- from: system\n- state: open\n"

static const char example[] = "\xef\xbb\xbf# Questions\n\nMy own remarks.\n\n"
                              "## Question q1\n\n- from: system\n- state: open\n"
                              "- deadline: 2026-11-24T10:00:00+01:00\n- default: Keep it.\n\n"
                              "How long?\n\n```md\n## Question no\n### Answer\n```\n\n"
                              "### Answer\n\n<!-- here\n## Question no\n-->\n\n"
                              "## Notes\n\n~~~~\n```\n~~~\n## Question no\n~~~~\n"
                              "## Question q.2\n- from: user\n- state: answered\n\nWhy?\n"
                              "### Answer\n  Because.\n\n- so\n\n";

static struct questions read_ok(struct arena *a, struct str text)
{
    struct questions q;
    struct err err = { 0 };
    if (questions_read(a, text, &q, &err) != OK)
        fail_msg("%s in:\n%.*s", err.text, STR_ARG(text));
    return q;
}

static enum status set_state(const struct questions *q, struct str id, enum questions_state state,
                             struct str *out, struct err *err)
{
    struct questions_mark mark = { .state = state };
    return questions_set(q, id, &mark, out, err);
}

static void the_example_is_read(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    struct questions q = read_ok(&a, str_of(example));
    assert_int_equal(q.n, 2);
    assert_true(str_is(q.at[0].id, "q1"));
    assert_int_equal(q.at[0].from, QUESTIONS_SYSTEM);
    assert_int_equal(q.at[0].deadline_s, 1795510800); /* date -d 2026-11-24T10:00:00+01:00 +%s */
    assert_true(str_is(q.at[0].default_answer, "Keep it."));
    assert_true(str_is(q.at[0].text, "How long?\n\n```md\n## Question no\n### Answer\n```"));
    assert_int_equal(q.at[0].answer.n, 0);
    assert_int_equal(q.at[0].all.line, 5);
    assert_int_equal(q.at[0].text_at.line, 12);
    assert_int_equal(q.at[0].answer_part, 19);
    assert_int_equal(q.at[1].state, QUESTIONS_ANSWERED);
    assert_true(str_is(q.at[1].answer, "  Because.\n\n- so"));
    assert_true(text_starts(text_from(q.text, q.at[0].all.to), "## Notes"));
    arena_fini(&a);
}

static void errors_say_the_line(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "\n## Question\n", "line 2: a question's heading without a proper ID" },
        { "## Question a b\n", "line 1: a question's heading without a proper ID" },
        { "## question: a\n", "line 1: a question's heading without a proper ID" },
        { "## Question a\n- state: open\n\nx\n", "line 1: a question without `from`" },
        { "x\r\n## Question a\r\n- from: user\r\n\r\nx\r\n", "line 2: a question without `state`" },
        { "## Question a\n" HEAD "\n<!-- x -->\n", "line 1: a question without a text" },
        { "## Question a\n- from: me\n", "line 2: `from` is neither system nor user" },
        { "## Question a\r- from: user\r- state: Open\r", "line 3: `state` has a value" },
        { "## Question a\n" HEAD "- deadline: tomorrow\n", "line 4: `deadline` is not a time" },
        { "## Question a\n" HEAD "- deadline: 2026-02-29T00:00:00Z\n",
          "line 4: `deadline` is not" },
        { "## Question a\n" HEAD "- default:\n", "line 4: `default` is empty" },
        { "## Question a\n" HEAD "- ref:\n", "line 4: `ref` is empty" },
        { "## Question a\n" HEAD "- by: \t\n", "line 4: `by` is empty" },
        { "## Question a\n" HEAD "- by: x\n- By: y\n", "line 5: `by` was given in line 4 already" },
        { "## Question a\n" HEAD "- sate: open\n", "line 4: an attribute that is not known" },
        { "## Question a\n" HEAD "- from: user\n", "line 4: `from` was given in line 2 already" },
        { "## Question a\n- from: user\n- state: answered\n\nx\n", "line 3: `state` is answered" },
        { "## Question a\n- from: user\n- state: default\n\nx\n", "line 3: `state` is default" },
        { "## Question a\n" HEAD "\nx\n### Answer\n\n### answer\n",
          "line 8: a second `### Answer`" },
        { "## Question a\n" HEAD "\nx\n## Question a\n",
          "line 6: the ID of the question in line 1" },
        { "## Question a\n" HEAD "\nx\n### Answer\n```\n## Question b\n", "line 7: a code fence" },
        { "a\n\n<!-- b\n## Question a\n", "line 3: a comment that is never closed" },
        { "a\n\nb \xc3\n", "line 3: bytes that are not UTF-8" },
    };
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct questions q;
        struct err err = { 0 };
        assert_int_equal(questions_read(&a, str_of(cases[i].text), &q, &err), ERR_DATA);
        if (!strstr(err.text, cases[i].says))
            fail_msg("case %zu says '%s'", i, err.text);
        assert_true(err.fix[0]);
    }
    struct questions q;
    struct err err = { 0 };
    assert_int_equal(questions_read(&a, (struct str){ "a\n\0", 3 }, &q, &err), ERR_DATA);
    assert_string_equal(err.text, "line 2: a NUL byte");
    arena_fini(&a);
}

static void limits_hold(void **state)
{
    struct arena a;
    struct buf b;
    struct questions q;
    struct err err = { 0 };
    (void)state;
    arena_init(&a, 1 << 24);
    buf_init(&b, 4 << 20);
    for (int i = 0; i < QUESTIONS_ENTRIES_MAX; i++)
        buf_printf(&b, "## Question q%d\n" HEAD "\nx\n", i);
    assert_int_equal(read_ok(&a, buf_get(&b)).n, QUESTIONS_ENTRIES_MAX);
    buf_str(&b, "## Question more\n" HEAD "\nx\n");
    assert_int_equal(questions_read(&a, buf_get(&b), &q, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "line 5001: more than 1000"));
    buf_clear(&b);
    while (b.len < QUESTIONS_BYTES_MAX)
        buf_char(&b, b.len % 7 ? '#' : '\n');
    assert_int_equal(read_ok(&a, buf_get(&b)).n, 0);
    buf_char(&b, 'x');
    assert_int_equal(questions_read(&a, buf_get(&b), &q, &err), ERR_LIMIT);
    buf_fini(&b);
    arena_fini(&a);
}

static void an_answer_touches_only_its_bytes(void **state)
{
    static const struct {
        const char *was, *now;
    } cases[] = {
        { "## Question a\n" HEAD "\nx", "## Question a\n" HEAD "\nx\n\n### Answer\n\nYes\n" },
        { "## Question a\n" HEAD "\nx\n### Answer\n\n\n# End",
          "## Question a\n" HEAD "\nx\n### Answer\n\nYes\n\n\n# End" },
        { "## Question a\n" HEAD "\nx\n### Answer\n<!-- h -->\n No\nno\n<!-- t -->",
          "## Question a\n" HEAD "\nx\n### Answer\n<!-- h -->\nYes\n<!-- t -->" },
        { "## Question a\r\n" HEAD "\nx\n### Answer\r\n",
          "## Question a\r\n" HEAD "\nx\n### Answer\r\n\r\nYes\r\n" },
    };
    struct arena a;
    struct str out;
    struct err err = { 0 };
    (void)state;
    arena_init(&a, 1 << 24);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct questions q = read_ok(&a, str_of(cases[i].was));
        assert_int_equal(questions_answer(&q, LIT("a"), LIT("\n \nYes\n\n"), &out, &err), OK);
        if (!str_is(out, cases[i].now))
            fail_msg("case %zu gives:\n%.*s", i, STR_ARG(out));
    }
    struct questions q = read_ok(&a, str_of(cases[0].was));
    static const char *const refused[] = { "",           " \n",    "# x",  "a\n## b",
                                           "### Answer", "a\n```", "<!--", "<!-- a -->\nb",
                                           "<!-- a -->", "a\xff" };
    for (size_t i = 0; i < COUNT(refused); i++) {
        err = (struct err){ 0 };
        if (questions_answer(&q, LIT("a"), str_of(refused[i]), &out, &err) != ERR_DATA ||
            !err.text[0])
            fail_msg("'%s' was taken", refused[i]);
    }
    assert_int_equal(questions_answer(&q, LIT("b"), LIT("x"), &out, &err), ERR_NOT_FOUND);
    assert_int_equal(set_state(&q, LIT("a"), QUESTIONS_ANSWERED, &out, &err), ERR_DATA);
    assert_int_equal(set_state(&q, LIT("a"), QUESTIONS_WITHDRAWN, &out, &err), OK);
    assert_true(str_is(out, "## Question a\n- from: system\n- state: withdrawn\n\nx"));
    arena_fini(&a);
}

static void marks_go_among_the_attributes(void **state)
{
    struct arena a;
    struct str out;
    struct err err = { 0 };
    struct questions_mark mark = { QUESTIONS_ANSWERED, LIT("4k2m/q1"), LIT("user (cli)") };
    (void)state;
    arena_init(&a, 1 << 24);
    struct questions q = read_ok(&a, LIT("## Question a\r\n- state: open\r\n- from: system\r\nx\r\n"
                                         "### Answer\r\ny"));
    assert_int_equal(questions_set(&q, LIT("a"), &mark, &out, &err), OK);
    assert_true(str_is(out, "## Question a\r\n- state: answered\r\n- from: system\r\n"
                            "- ref: 4k2m/q1\r\n- by: user (cli)\r\nx\r\n### Answer\r\ny"));
    q = read_ok(&a, out);
    assert_true(str_is(q.at[0].ref, "4k2m/q1") && str_is(q.at[0].by, "user (cli)"));
    mark = (struct questions_mark){ .state = QUESTIONS_OPEN, .by = LIT("z") };
    assert_int_equal(questions_set(&q, LIT("a"), &mark, &out, &err), OK);
    assert_true(str_is(out, "## Question a\r\n- state: open\r\n- from: system\r\n"
                            "- ref: 4k2m/q1\r\n- by: z\r\nx\r\n### Answer\r\ny"));
    mark.ref = LIT("two\nlines");
    assert_int_equal(questions_set(&q, LIT("a"), &mark, &out, &err), ERR_DATA);
    q = read_ok(&a, LIT("## Question a\n- by: me\n- state: open\n- ref: x\n- from: user\n\nx"));
    mark = (struct questions_mark){ QUESTIONS_WITHDRAWN, LIT("long/ref"), LIT("b") };
    assert_int_equal(questions_set(&q, LIT("a"), &mark, &out, &err), OK);
    assert_true(str_is(out, "## Question a\n- by: b\n- state: withdrawn\n- ref: long/ref\n"
                            "- from: user\n\nx"));
    assert_int_equal(questions_set(&q, LIT("b"), &mark, &out, &err), ERR_NOT_FOUND);
    arena_fini(&a);
}

/* ---- random texts ---------------------------------------------------------------------------- */

static const char *const pieces[] = {
    "word",
    " ",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "# One\n",
    "## Two\n",
    "### Three\n",
    "#",
    "### Answer\n",
    " ### answer \n",
    "## Question q1\n",
    "## Question q2\n",
    "   ## Question q3  \n",
    "    ## Question no\n",
    "## Question\n",
    "```\n",
    "```\n",
    "~~~~ x\n",
    "~~~\n",
    "<!--",
    "-->",
    "<!-- x -->\n",
    "<!-- a -->b\n",
    "- from: user\n",
    "- state: open\n",
    "- state: answered\n",
    "- default: D\n",
    "- deadline: 2026-01-01T00:00:00Z\n",
    "- other: x\n",
    "\xc3\xa9",
    "\xef\xbb\xbf",
    "\xff",
    "\t",
    "`",
    "- [ ] task\n",
    "text\n",
    "<b>",
    "## Questions\n",
    "\xe2\x80\xa8",
    "---\n",
    "===\n",
};

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 11;
}

static void put_pieces(struct buf *b, uint64_t *seed, size_t max)
{
    for (size_t n = next(seed) % (max + 1); n > 0; n--)
        buf_str(b, pieces[next(seed) % COUNT(pieces)]);
}

static struct str some(struct arena *a, uint64_t *seed, size_t max)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    put_pieces(&b, seed, max);
    char *copy = arena_dup(a, buf_z(&b), b.len);
    struct str s = { copy, b.len };
    buf_fini(&b);
    assert_non_null(copy);
    return s;
}

/* A document that is mostly well-formed, with hostile texts in each place. */
static struct str document(struct arena *a, uint64_t *seed)
{
    struct buf b;
    const char *eol = next(seed) % 4 ? "\n" : "\r\n";
    buf_init(&b, 1 << 20);
    if (next(seed) % 4 == 0)
        put_pieces(&b, seed, 3);
    for (size_t i = 0, n = next(seed) % 4; i < n; i++) {
        buf_printf(&b, "%s## Question q%zu%s%s", eol, i, eol, eol);
        buf_printf(&b, "- from: user%s- state: open%s%stext ", eol, eol, eol);
        put_pieces(&b, seed, 4);
        if (next(seed) % 2)
            buf_printf(&b, "%s### Answer%s", eol, eol);
        put_pieces(&b, seed, 3);
    }
    char *copy = arena_dup(a, buf_z(&b), b.len);
    struct str s = { copy, b.len };
    buf_fini(&b);
    assert_non_null(copy);
    return s;
}

static bool same_but(const struct questions *was, const struct questions *now, struct str id)
{
    for (size_t i = 0; i < was->n; i++) {
        const struct questions_entry *x = &was->at[i], *y = &now->at[i];
        if (str_eq(x->id, id))
            continue;
        if (!str_eq(x->id, y->id) || x->state != y->state || x->from != y->from ||
            !str_eq(x->text, y->text) || !str_eq(x->answer, y->answer))
            return false;
    }
    return true;
}

static void check_kept(struct str was, struct str now, size_t from, size_t to)
{
    assert_true(text_starts_str(now, (struct str){ was.p, from }));
    assert_true(text_ends_str(now, (struct str){ was.p + to, was.n - to }));
    assert_true(now.n + (to - from) >= was.n);
}

/* The text that is asked for, as the reader gives it. */
static bool bare(struct str given, struct str got)
{
    size_t at = text_find(given, got, 0);
    if (at == SIZE_MAX)
        return false;
    struct str before = { given.p, at };
    return text_blank(before) && text_blank(text_from(given, at + got.n));
}

static bool try_answer(struct arena *a, const struct questions *q, uint64_t *seed)
{
    const struct questions_entry *e = &q->at[next(seed) % q->n];
    struct str given = some(a, seed, 5), out;
    struct err err = { 0 };
    if (questions_answer(q, e->id, given, &out, &err) != OK) {
        assert_true(err.text[0]);
        return false;
    }
    bool there = e->answer.n > 0;
    check_kept(q->text, out, there ? e->answer_at.from : e->end, there ? e->answer_at.to : e->end);
    struct questions now = read_ok(a, out);
    assert_int_equal(now.n, q->n);
    assert_true(same_but(q, &now, e->id));
    assert_true(bare(given, questions_find(&now, e->id)->answer));
    assert_int_equal(set_state(&now, e->id, QUESTIONS_ANSWERED, &out, &err), OK);
    check_kept(now.text, out, questions_find(&now, e->id)->state_at.from,
               questions_find(&now, e->id)->state_at.to);
    struct questions then = read_ok(a, out);
    assert_true(same_but(&now, &then, e->id));
    assert_int_equal(questions_find(&then, e->id)->state, QUESTIONS_ANSWERED);
    return true;
}

static bool try_add(struct arena *a, const struct questions *q, uint64_t *seed)
{
    struct questions_new fresh = { .id = LIT("new"),
                                   .from = (enum questions_from)(next(seed) % 2),
                                   .text = some(a, seed, 5) };
    struct str out;
    struct err err = { 0 };
    if (next(seed) % 4 == 0)
        fresh.default_answer = some(a, seed, 2);
    if (next(seed) % 4 == 0)
        fresh.deadline = LIT("2027-01-01T12:00:00.5-03:00");
    if (questions_add(q, &fresh, &out, &err) != OK) {
        assert_true(err.text[0]);
        return false;
    }
    check_kept(q->text, out, q->text.n, q->text.n);
    struct questions now = read_ok(a, out);
    assert_int_equal(now.n, q->n + 1);
    assert_true(same_but(q, &now, LIT("new")));
    const struct questions_entry *e = questions_find(&now, LIT("new"));
    assert_ptr_equal(e, &now.at[q->n]);
    assert_true(bare(fresh.text, e->text));
    assert_true(str_eq(e->default_answer, fresh.default_answer));
    assert_true(str_eq(e->deadline, fresh.deadline));
    assert_int_equal(e->from, fresh.from);
    assert_int_equal(e->answer.n, 0);
    return true;
}

static void edits_of_random_texts_keep_the_rest(void **state)
{
    enum { SEEDS = 20000 };
    size_t read = 0, answered = 0, added = 0;
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 26);
    for (uint64_t i = 1; i <= SEEDS; i++) {
        uint64_t seed = i * 0x9e3779b97f4a7c15u;
        struct questions q;
        struct err err = { 0 };
        struct str text = i % 5 ? document(&a, &seed) : some(&a, &seed, 12);
        enum status st = questions_read(&a, text, &q, &err);
        assert_true(st == OK || (st == ERR_DATA && err.text[0] && err.fix[0]));
        if (st == OK) {
            read++;
            added += try_add(&a, &q, &seed);
            answered += q.n > 0 && try_answer(&a, &q, &seed);
        }
        arena_reset(&a);
    }
    arena_fini(&a);
    print_message("read %zu, answered %zu, added %zu of %d\n", read, answered, added, SEEDS);
    assert_true(read > SEEDS / 4 && answered > SEEDS / 20 && added > SEEDS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_read),
        cmocka_unit_test(errors_say_the_line),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(an_answer_touches_only_its_bytes),
        cmocka_unit_test(marks_go_among_the_attributes),
        cmocka_unit_test(edits_of_random_texts_keep_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
