/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/endpoints.h"

#include <string.h>

enum { STEP_MS = 50 };

static struct endpoints of(const char *list)
{
    struct endpoints e;
    struct err err = { 0 };
    assert_int_equal(endpoints_parse(&e, list, 7, &err), OK);
    return e;
}

static void refused(const char *list, const char *why)
{
    struct endpoints e;
    struct err err = { 0 };
    assert_int_equal(endpoints_parse(&e, list, 7, &err), ERR_CONFIG);
    if (!strstr(err.text, why))
        fail_msg("%s: %s", list, err.text);
}

/* Time passes until it moves; how long that was. */
static int64_t moves_after(struct endpoints *e, int64_t *now_ms, int64_t most_ms)
{
    int64_t from = *now_ms;
    while (!endpoints_due(e, *now_ms)) {
        if (*now_ms - from > most_ms)
            fail_msg("it has not moved after %lld ms", (long long)most_ms);
        *now_ms += STEP_MS;
    }
    endpoints_begin(e, *now_ms);
    return *now_ms - from;
}

static void lists_are_read(void **state)
{
    (void)state;
    struct endpoints e = of("ipc:///run/a.sock");
    assert_int_equal(e.n, 1);
    assert_false(endpoints_several(&e));
    e = of("tcp://a:1, tcp://b:2 ,tcp://0.0.0.0:3,tcp://*:4,tcp://[::]:5");
    assert_int_equal(e.n, 5);
    assert_string_equal(e.all[0], "tcp://a:1");
    assert_string_equal(e.all[1], "tcp://b:2");
    assert_string_equal(e.all[2], "tcp://127.0.0.1:3");
    assert_string_equal(e.all[3], "tcp://127.0.0.1:4");
    assert_string_equal(e.all[4], "tcp://127.0.0.1:5");
    assert_string_equal(endpoints_now(&e), "tcp://a:1");
}

static void wrong_lists_are_refused(void **state)
{
    char long_one[400] = "tcp://";
    (void)state;
    memset(long_one + 6, 'a', 300);
    refused("", "empty place");
    refused("tcp://a:1,,tcp://b:1", "empty place");
    refused("tcp://a:1, ", "empty place");
    refused("tcp://a:1,b:2", "not an endpoint");
    refused(long_one, "too long");
    refused(
        "tcp://a:1,tcp://a:2,tcp://a:3,tcp://a:4,tcp://a:5,tcp://a:6,tcp://a:7,tcp://a:8,tcp://a:9",
        "more than 8");
}

static void a_broker_listens_on_one(void **state)
{
    struct err err = { 0 };
    (void)state;
    assert_int_equal(endpoint_one("tcp://0.0.0.0:7070", &err), OK);
    assert_int_equal(endpoint_one("tcp://a:1,tcp://b:1", &err), ERR_CONFIG);
    assert_non_null(strstr(err.fix, "--endpoint"));
    assert_int_equal(endpoint_one("a:1", &err), ERR_CONFIG);
}

static void one_endpoint_never_moves(void **state)
{
    struct endpoints e = of("tcp://a:1");
    (void)state;
    endpoints_begin(&e, 0);
    for (int64_t now = 0; now < 100000; now += STEP_MS)
        assert_false(endpoints_due(&e, now));
    assert_string_equal(endpoints_now(&e), "tcp://a:1");
}

static void all_are_tried_in_turn_and_ever_more_slowly(void **state)
{
    struct endpoints e = of("tcp://a:1,tcp://b:1,tcp://c:1");
    static const char *const order[] = { "tcp://b:1", "tcp://c:1", "tcp://a:1" };
    int64_t now = 0, round[6] = { 0 };
    (void)state;
    endpoints_begin(&e, now);
    for (int i = 0; i < 18; i++) {
        round[i / 3] += moves_after(&e, &now, 10000);
        assert_string_equal(endpoints_now(&e), order[i % 3]);
    }
    assert_in_range(round[0], 3 * ENDPOINT_CONNECT_MS / 2, 3 * ENDPOINT_CONNECT_MS * 2);
    assert_true(round[1] > round[0]);
    assert_in_range(round[5], 3 * ENDPOINT_CONNECT_MOST_MS / 2, 3 * ENDPOINT_CONNECT_MOST_MS * 2);
}

/* It accepts connections and says nothing: a stopped process does that. */
static void a_connection_alone_is_not_enough(void **state)
{
    struct endpoints e = of("tcp://a:1,tcp://b:1");
    int64_t now = 0;
    (void)state;
    endpoints_begin(&e, now);
    endpoints_sent(&e, now);
    now = ENDPOINT_CONNECT_MS * 2;
    assert_false(endpoints_due(&e, now)); /* it has more time than one without a connection */
    for (int i = 0; i < 20; i++)
        endpoints_sent(&e, now); /* saying HELLO again does not make it wait longer */
    assert_in_range(moves_after(&e, &now, 5000), 1, ENDPOINT_GREET_MS * 2);
    assert_string_equal(endpoints_now(&e), "tcp://b:1");
}

static void silence_ends_a_session(void **state)
{
    struct endpoints e = of("tcp://a:1,tcp://b:1");
    int64_t now = 0;
    (void)state;
    endpoints_begin(&e, now);
    endpoints_sent(&e, now);
    endpoints_welcome(&e, now);
    for (; now < 60000; now += STEP_MS) {
        if (now % 3000 == 0)
            endpoints_heard(&e, now);
        assert_false(endpoints_due(&e, now));
    }
    int64_t silent = moves_after(&e, &now, ENDPOINT_SILENCE_MS * 2);
    assert_in_range(silent, ENDPOINT_SILENCE_MS - 3000, ENDPOINT_SILENCE_MS);
    assert_string_equal(endpoints_now(&e), "tcp://b:1");
    endpoints_welcome(&e, now);
    moves_after(&e, &now, ENDPOINT_SILENCE_MS * 2);
    assert_string_equal(endpoints_now(&e), "tcp://a:1");
}

static void a_broker_without_a_store_is_no_broker(void **state)
{
    struct endpoints e = of("tcp://a:1,tcp://b:1");
    int64_t now = 0;
    (void)state;
    endpoints_begin(&e, now);
    endpoints_sent(&e, now);
    endpoints_away(&e, now);
    assert_true(endpoints_due(&e, now)); /* at once: it was greeted and said so */
    endpoints_begin(&e, now);
    endpoints_welcome(&e, now);
    for (int i = 0; i < 10; i++)
        endpoints_away(&e, now); /* a moment without a store ends no session … */
    assert_false(endpoints_due(&e, now + ENDPOINT_SILENCE_MS / 2));
    assert_in_range(moves_after(&e, &now, 10000), ENDPOINT_SILENCE_MS,
                    ENDPOINT_SILENCE_MS + STEP_MS);
}

static void a_broken_connection_ends_it_sooner(void **state)
{
    struct endpoints e = of("tcp://a:1,tcp://b:1");
    int64_t now = 0;
    (void)state;
    endpoints_begin(&e, now);
    endpoints_welcome(&e, now);
    endpoints_unsent(&e, now);
    endpoints_unsent(&e, now + 500); /* the second one does not prolong it */
    endpoints_heard(&e, now + 600);  /* it came back */
    endpoints_unsent(&e, now + 700);
    now += 700;
    assert_in_range(moves_after(&e, &now, 5000), ENDPOINT_BROKEN_MS, ENDPOINT_BROKEN_MS + STEP_MS);
}

/* A peer that was stopped itself, or a machine that slept: nobody was silent. */
static void a_peer_that_was_away_gives_time(void **state)
{
    struct endpoints e = of("tcp://a:1,tcp://b:1");
    int64_t now = 0;
    (void)state;
    endpoints_begin(&e, now);
    endpoints_welcome(&e, now);
    assert_false(endpoints_due(&e, 3600000));
    now = 3600000 + STEP_MS;
    assert_in_range(moves_after(&e, &now, 5000), ENDPOINT_GREET_MS - 2 * STEP_MS,
                    ENDPOINT_GREET_MS);
}

static void a_session_that_must_be_greeted_again_ends(void **state)
{
    struct endpoints e = of("tcp://a:1,tcp://b:1");
    int64_t now = 0;
    (void)state;
    endpoints_begin(&e, now);
    endpoints_welcome(&e, now);
    endpoints_greet(&e, now);
    endpoints_heard(&e, now); /* whatever it says, it does not say WELCOME */
    assert_in_range(moves_after(&e, &now, 5000), 1, ENDPOINT_GREET_MS * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(a_broker_listens_on_one),
        cmocka_unit_test(one_endpoint_never_moves),
        cmocka_unit_test(all_are_tried_in_turn_and_ever_more_slowly),
        cmocka_unit_test(a_connection_alone_is_not_enough),
        cmocka_unit_test(silence_ends_a_session),
        cmocka_unit_test(a_broker_without_a_store_is_no_broker),
        cmocka_unit_test(a_broken_connection_ends_it_sooner),
        cmocka_unit_test(a_peer_that_was_away_gives_time),
        cmocka_unit_test(a_session_that_must_be_greeted_again_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
