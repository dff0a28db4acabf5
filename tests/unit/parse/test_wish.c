/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/bounds.h"
#include "common/doc.h"
#include "workers/wish.h"

#include <string.h>

static json_t *answer_of(const char *by, const char *text)
{
    return json_pack("{s:[{s:s,s:s,s:s}]}", "items", "id", "wish", "text", text, "by", by);
}

static void only_a_mere_complaint_is_asked_about(void **state)
{
    static const struct {
        const char *text;
        bool asked;
    } rows[] = {
        { "# Slow list\n\nThe list freezes every morning.", true },
        { "Late fees grew without limit. In May 310 people complained.", true },
        { "The list freezes every morning. It should open within 2 seconds.", false },
        { "Members cannot export their loans.", false },
        { "A receipt is printed for each payment.", false },
        { "# Wanted\n\nA list of late fees for each branch", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        struct err err = { 0 };
        struct buf packed;
        arena_init(&a, 64 << 20);
        buf_init(&packed, PAWL_FRAME_MAX);
        json_t *q = wish_ask(&a, str_of(rows[i].text), NULL);
        if (rows[i].asked != (q != NULL))
            fail_msg("%s: %s", rows[i].text, q ? "asked" : "not asked");
        if (q && doc_pack("questions", q, &packed, &err) != OK)
            fail_msg("%s", err.text);
        json_decref(q);
        buf_fini(&packed);
        arena_fini(&a);
    }
}

static void the_question_quotes_on_one_line_and_whole_characters(void **state)
{
    struct arena a;
    char text[1024] = "The list of late\nfees freezes ";
    size_t n = strlen(text);
    for (size_t i = 0; i < 200; i++, n += 2)
        memcpy(text + n, "é", 3);
    (void)state;
    arena_init(&a, 64 << 20);
    json_t *q = wish_ask(&a, str_of(text), NULL);
    assert_non_null(q);
    const char *said = js_str(js_at(js_list(q, "items"), 0), "text");
    assert_non_null(strstr(said, "late fees freezes"));
    assert_non_null(strstr(said, "é…\""));
    json_decref(q);
    arena_fini(&a);
}

static void nobody_is_asked_twice(void **state)
{
    struct arena a;
    const char *by[] = { "user", "default" };
    (void)state;
    arena_init(&a, 64 << 20);
    for (size_t i = 0; i < COUNT(by); i++) {
        json_t *answers = answer_of(by[i], "It opens within 2 seconds.");
        assert_null(wish_ask(&a, str_of("The list freezes."), answers));
        json_decref(answers);
    }
    arena_fini(&a);
}

/* What the user says is wanted is read as a wish, even without "should". */
static void an_answer_becomes_part_of_the_problem(void **state)
{
    struct arena a;
    struct problem p;
    struct word_set none = { 0 };
    json_t *brief = json_pack("{s:s}", "problem", "The list freezes every morning.");
    json_t *answers = answer_of("user", "the list shows the first 50 loans at once");
    json_t *other = answer_of("default", "The opposite of what is complained about.");
    (void)state;
    arena_init(&a, 64 << 20);
    json_t *asked = wish_brief(brief, answers), *plain = wish_brief(brief, other),
           *none_yet = wish_brief(brief, NULL);
    assert_int_equal(problem_read(&a, cues_make(&a), js_view(asked, "problem"), &none, &p), OK);
    assert_true(p.wishes);
    bool found = false;
    for (size_t i = 0; i < p.n; i++)
        found = found || (p.points[i].kind == POINT_WISH && p.points[i].share == 1 &&
                          strstr(p.points[i].text.p, "first 50 loans"));
    assert_true(found);
    assert_true(json_equal(plain, brief));
    assert_true(json_equal(none_yet, brief));
    json_decref(asked);
    json_decref(plain);
    json_decref(none_yet);
    json_decref(other);
    json_decref(answers);
    json_decref(brief);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_mere_complaint_is_asked_about),
        cmocka_unit_test(the_question_quotes_on_one_line_and_whole_characters),
        cmocka_unit_test(nobody_is_asked_twice),
        cmocka_unit_test(an_answer_becomes_part_of_the_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
