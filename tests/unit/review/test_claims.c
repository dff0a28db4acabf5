/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/status.h"
#include "workers/review/claims.h"

#include <string.h>

static void sentences_are_wishes_complaints_or_telling(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum claim_kind kind;
    } rows[] = {
        { "Late fees grow without limit.", CLAIM_COMPLAINT },
        { "Fees should stop growing at 15 euros.", CLAIM_WISH },
        { "Staff have to give a reason.", CLAIM_WISH },
        { "A member holds at most 8 reservations.", CLAIM_WISH },
        { "Each sensor reports its battery voltage.", CLAIM_TELLING },
        { "Nobody notices when a battery is empty.", CLAIM_COMPLAINT },
        { "Der Code darf nur bis 12 Uhr gelten.", CLAIM_WISH },
        { "Niemand ist da.", CLAIM_COMPLAINT },
    };
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct claims c = claims_of(&a, str_of(rows[i].text));
        assert_int_equal(c.n, 1);
        assert_int_equal(c.v[0].kind, rows[i].kind);
    }
    arena_fini(&a);
}

static void a_grievance_is_told_from_its_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *problem, *requirement;
        bool grievance;
    } rows[] = {
        { "Sensors die without warning.", "The system SHALL ensure that all sensors die without warning.", true },
        { "Sensors die without warning.", "The system SHALL warn the gardener before a sensor dies.", false },
        { "Sensors die without warning.", "The system SHALL prevent that sensors die without warning.", false },
        { "Late fees grow without limit.", "The system SHALL let late fees grow without any limit.", true },
        { "Late fees grow without limit.", "The system SHALL limit late fees to 15 euros.", false },
        { "Parents cannot see what their children borrowed.", "The system SHALL show parents what their children borrowed.", false },
        { "Parents cannot see what their children borrowed.", "Parents SHALL not see what their children borrowed.", true },
        { "Reserved books wait on the shelf for weeks.", "The system SHALL keep reserved books waiting on the shelf for weeks.", true },
        { "Reserved books wait on the shelf for weeks.", "The system SHALL give a reserved book to the next member after 5 days.", false },
        { "Orders are lost when the network breaks.", "The system SHALL store each order and send it again when the network is back.", false },
        { "Orders are lost when the network breaks.", "The system SHALL ensure that orders are lost when the network breaks.", true },
        { "Each sensor reports its battery voltage.", "The system SHALL keep the battery voltage that each sensor reports.", false },
    };
    struct arena a;
    arena_init(&a, 8 << 20);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct claims c = claims_of(&a, str_of(rows[i].problem));
        bool is = claims_grievance(&a, &c, str_of(rows[i].requirement), NULL, NULL);
        if (is != rows[i].grievance)
            print_error("%s -> %s\n", rows[i].problem, rows[i].requirement);
        assert_int_equal(is, rows[i].grievance);
    }
    arena_fini(&a);
}

static void a_sentence_may_be_taken_over_the_whole_may_not(void **state)
{
    (void)state;
    const char *problem = "Members wait for weeks. A member should get an e-mail on the day the book is ready. If it is not collected within "
                          "5 days, it goes to the next member in the queue. A member may hold at most 8 reservations at a time.";
    assert_false(text_pastes(str_of("A member SHALL hold at most 8 reservations at a time."), str_of(problem)));
    assert_true(text_pastes(str_of(problem), str_of(problem)));
    assert_int_equal(text_common_run(str_of("one two three four"), str_of("zero Two THREE five")), 2);
    assert_int_equal(text_common_run(str_of(""), str_of("x")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_are_wishes_complaints_or_telling),
        cmocka_unit_test(a_grievance_is_told_from_its_remedy),
        cmocka_unit_test(a_sentence_may_be_taken_over_the_whole_may_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
