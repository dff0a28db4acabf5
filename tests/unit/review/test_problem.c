/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "workers/review/measures_in.h"

#include <string.h>

static struct problem read_problem(struct arena *a, const char *text)
{
    struct problem p;
    struct word_set none = { 0 };
    const struct cues *cues = cues_make(a);
    assert_non_null(cues);
    assert_int_equal(problem_read(a, cues, str_of(text), &none, &p), OK);
    return p;
}

static void clauses_are_wishes_or_stories(void **state)
{
    static const struct {
        const char *text;
        enum point_kind kind;
    } rows[] = {
        { "Late fees grow without limit.", POINT_STORY },
        { "Fees should stop growing at 15 euros.", POINT_WISH },
        { "Staff want to waive a fee.", POINT_WISH },
        { "Nobody notices when a battery is empty.", POINT_STORY },
        { "In May 310 people complained.", POINT_STORY },
        { "Every day our clerks must retype 300 orders by hand.", POINT_STORY },
        { "The report must be made again.", POINT_WISH },
        { "After 5 failed attempts, lock the account.", POINT_WISH },
        { "Add an export of invoices.", POINT_WISH },
        { "Wir möchten eine Erinnerung.", POINT_WISH },
        { "Der Code darf nur bis 12 Uhr gelten.", POINT_WISH },
        { "Letztes Jahr fehlten 3.200 Euro.", POINT_STORY },
        { "Le membre doit recevoir un reçu.", POINT_WISH },
        { "El socio debería recibir un recibo.", POINT_WISH },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        arena_init(&a, 1 << 24);
        struct problem p = read_problem(&a, rows[i].text);
        if (p.n != 1 || p.points[0].kind != rows[i].kind)
            print_error("%s\n", rows[i].text);
        assert_int_equal(p.n, 1);
        assert_int_equal(p.points[0].kind, rows[i].kind);
        arena_fini(&a);
    }
}

static void a_sentence_with_two_wishes_is_two_points(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    struct problem p = read_problem(
        &a, "Fees should be capped at 25 euros, and members under 14 should not be charged.");
    assert_int_equal(p.n, 2);
    assert_true(p.points[1].negates && !p.points[0].negates);
    arena_fini(&a);
}

static void headings_say_what_follows(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    struct problem p = read_problem(
        &a, "# Missed appointments\n\n## Background\n\nPatients do not show up.\n\n"
            "## What we want\n\n- a text message 24 hours before\n- a list of free slots\n");
    size_t wishes = 0;
    for (size_t i = 0; i < p.n; i++)
        wishes += p.points[i].kind == POINT_WISH;
    assert_int_equal(wishes, 2 + 1); /* the heading itself has a word of wanting */
    arena_fini(&a);
}

static void the_story_weighs_nothing(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    struct problem p = read_problem(
        &a, "Last winter the desk cancelled 340 fees. A receipt should come within 30 minutes.");
    assert_int_equal(p.n, 2);
    assert_true(p.points[0].weight == 0);
    assert_true(p.points[1].weight > 2);
    arena_fini(&a);
}

static void without_a_wish_what_is_missing_counts(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    struct problem p =
        read_problem(&a, "Users cannot export invoices. They copy them into a spreadsheet.");
    assert_int_equal(p.n, 2);
    assert_true(p.points[0].weight > 5 * p.points[1].weight);
    arena_fini(&a);
}

/* The draft has to outlive what was read of it: give it to `drafts`. */
static struct req one_requirement(struct work *w, const char *text, json_t *drafts)
{
    json_t *draft = json_pack("{s:[{s:s,s:s,s:s,s:s,s:[{s:s,s:[s],s:[s]}]}]}", "requirements", "op",
                              "added", "capability", "c", "name", "N", "text", text, "scenarios",
                              "name", "S", "when", "a day begins", "then", "it is seen");
    struct setting setting = { w->cues, &w->helds, &w->known, &w->topic };
    assert_int_equal(reqs_read(w->a, &setting, draft, &w->reqs), OK);
    struct req q = w->reqs.at[0];
    js_push(drafts, draft);
    return q;
}

static void a_grievance_is_told_from_its_remedy(void **state)
{
    static const struct {
        const char *problem, *requirement;
        bool grievance;
    } rows[] = {
        { "Sensors die without warning.",
          "The system SHALL ensure that all sensors die without warning.", true },
        { "Sensors die without warning.",
          "The system SHALL warn the gardener before a sensor dies.", false },
        { "Sensors die without warning.",
          "The system SHALL prevent that sensors die without warning.", false },
        { "Late fees grow without limit.", "The system SHALL let late fees grow without any limit.",
          true },
        { "Late fees grow without limit.", "The system SHALL limit late fees to 15 euros.", false },
        { "Parents cannot see what their children borrowed.",
          "The system SHALL show parents what their children borrowed.", false },
        { "Parents cannot see what their children borrowed.",
          "Parents SHALL not see what their children borrowed.", true },
        { "Reserved books wait on the shelf for weeks.",
          "The system SHALL keep reserved books waiting on the shelf for weeks.", true },
        { "Reserved books wait on the shelf for weeks.",
          "The system SHALL give a reserved book to the next member after 5 days.", false },
        { "Orders are lost when the network breaks.",
          "The system SHALL store each order and send it again when the network is back.", false },
        { "Orders are lost when the network breaks.",
          "The system SHALL ensure that orders are lost when the network breaks.", true },
        { "Each sensor reports its battery voltage.",
          "The system SHALL keep the battery voltage that each sensor reports.", false },
        { "An export of invoices is missing.", "The system SHALL let users export invoices.",
          false },
        { "Gäste warten vor der Tür und niemand öffnet.",
          "Das System MUST sicherstellen, dass Gäste vor der Tür warten und niemand öffnet.",
          true },
        { "Gäste warten vor der Tür und niemand öffnet.",
          "Das System MUST die Tür um 22 Uhr öffnen.", false },
    };
    json_t *drafts = json_array();
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        arena_init(&a, 1 << 24);
        struct work w = { .a = &a,
                          .cues = cues_make(&a),
                          .problem = read_problem(&a, rows[i].problem) };
        struct req q = one_requirement(&w, rows[i].requirement, drafts);
        bool is = doubt_grievance(&w, &q) != NULL;
        if (is != rows[i].grievance)
            print_error("%s -> %s\n", rows[i].problem, rows[i].requirement);
        assert_int_equal(is, rows[i].grievance);
        arena_fini(&a);
    }
    json_decref(drafts);
}

static void the_opposite_of_a_wish_is_seen(void **state)
{
    static const struct {
        const char *problem, *requirement;
        bool inverted;
    } rows[] = {
        { "Late fees should be capped at 25 euros a month.",
          "The system SHALL NOT cap late fees at 25 euros a month.", true },
        { "Late fees should be capped at 25 euros a month.",
          "The system SHALL NOT charge more than 25 euros of late fees a month.", false },
        { "Late fees should be capped at 25 euros a month.",
          "The system SHALL let late fees exceed 25 euros a month.", true },
        { "Members under 14 should not be charged late fees.",
          "The system SHALL charge late fees to members under 14.", true },
        { "Members under 14 should not be charged late fees.",
          "The system SHALL exempt members under 14 from late fees.", false },
        { "Readings up to 72 hours old should be accepted.",
          "The system SHALL reject readings up to 72 hours old.", true },
        { "Readings up to 72 hours old should be accepted.",
          "The system SHALL accept readings up to 72 hours old.", false },
        { "A request above 60 a minute should be refused.",
          "The system SHALL accept a request above 60 a minute.", true },
        { "The member should get a receipt by mail.",
          "The system SHALL fail to mail the member a receipt.", true },
        { "The member should get a receipt by mail.", "The system SHALL mail the member a receipt.",
          false },
    };
    json_t *drafts = json_array();
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        arena_init(&a, 1 << 24);
        struct work w = { .a = &a,
                          .cues = cues_make(&a),
                          .problem = read_problem(&a, rows[i].problem) };
        struct req q = one_requirement(&w, rows[i].requirement, drafts);
        bool is = doubt_inversion(&w, &q) != NULL;
        if (is != rows[i].inverted)
            print_error("%s -> %s\n", rows[i].problem, rows[i].requirement);
        assert_int_equal(is, rows[i].inverted);
        arena_fini(&a);
    }
    json_decref(drafts);
}

static void a_wish_may_be_taken_over_the_whole_may_not(void **state)
{
    static const char problem[] = "Members wait for weeks. A member should get an e-mail on the "
                                  "day the book is ready. If it is not collected within "
                                  "5 days, it should go to the next member in the queue. A member "
                                  "may hold at most 8 reservations at a time.";
    struct arena a;
    json_t *drafts = json_array();
    (void)state;
    arena_init(&a, 1 << 24);
    struct work w = { .a = &a, .cues = cues_make(&a), .problem = read_problem(&a, problem) };
    struct req q =
        one_requirement(&w, "A member SHALL hold at most 8 reservations at a time.", drafts);
    assert_false(doubt_paste(&w, &q));
    q = one_requirement(&w, "A member SHALL get an e-mail on the day the book is ready.", drafts);
    assert_false(doubt_paste(&w, &q));
    q = one_requirement(&w, problem, drafts);
    assert_true(doubt_paste(&w, &q));
    q = one_requirement(
        &w, "The system SHALL do this: A member should get an e-mail on the day the book is ready.",
        drafts);
    assert_true(doubt_paste(&w, &q));
    arena_fini(&a);
    json_decref(drafts);
}

static void scenarios_need_a_condition_and_a_result(void **state)
{
    static const struct {
        const char *when, *then;
        bool good;
    } rows[] = {
        { "the book drop is emptied at 10:00", "the member has the receipt by 10:30", true },
        { "a return from the drop is booked", "a receipt is sent", true },
        { "a return from the drop is booked", "no receipt is printed", true },
        { "the feature is used", "a receipt is sent", false },
        { "a member uses the feature", "a receipt is sent", false },
        { "a return from the drop is booked", "it works as expected", false },
        { "a return from the drop is booked", "the return from the drop is handled properly",
          false },
        { "a return from the drop is booked", "the system behaves correctly", false },
        { "", "a receipt is sent", false },
        { "a return from the drop is booked", "", false },
        { "the moon is full", "the tide is high", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        struct reqs reqs;
        struct helds none = { 0 };
        struct word_set empty = { 0 };
        arena_init(&a, 1 << 24);
        json_t *draft = json_pack(
            "{s:[{s:s,s:s,s:s,s:s,s:[{s:s,s:[s],s:[s]}]}]}", "requirements", "op", "added",
            "capability", "c", "name", "N", "text",
            "The system SHALL mail a receipt of each return from the book drop to the member.",
            "scenarios", "name", "S", "when", rows[i].when, "then", rows[i].then);
        struct setting setting = { cues_make(&a), &none, &empty, &empty };
        assert_int_equal(reqs_read(&a, &setting, draft, &reqs), OK);
        bool good = reqs.at[0].scenes[0].fault == NULL;
        if (good != rows[i].good)
            print_error("%s -> %s: %s\n", rows[i].when, rows[i].then,
                        good ? "good" : reqs.at[0].scenes[0].fault);
        assert_int_equal(good, rows[i].good);
        json_decref(draft);
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clauses_are_wishes_or_stories),
        cmocka_unit_test(a_sentence_with_two_wishes_is_two_points),
        cmocka_unit_test(headings_say_what_follows),
        cmocka_unit_test(the_story_weighs_nothing),
        cmocka_unit_test(without_a_wish_what_is_missing_counts),
        cmocka_unit_test(a_grievance_is_told_from_its_remedy),
        cmocka_unit_test(the_opposite_of_a_wish_is_seen),
        cmocka_unit_test(a_wish_may_be_taken_over_the_whole_may_not),
        cmocka_unit_test(scenarios_need_a_condition_and_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
