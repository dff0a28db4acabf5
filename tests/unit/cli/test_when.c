/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { DAY_S = 86400 };
static const int64_t now_ms = 1795538096000; /* 2026-11-24 16:34:56 UTC */

static int zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
    return 0;
}

static void expect(const char *text, int64_t seconds)
{
    int64_t at = 0;
    struct err err = { 0 };
    if (when_parse(text, now_ms, &at, &err) != OK)
        fail_msg("%s: %s", text, err.text);
    if (at != seconds * 1000)
        fail_msg("%s: %lld, not %lld", text, (long long)at / 1000, (long long)seconds);
}

static void dates_and_times(void **s)
{
    const int64_t midnight = 1795478400; /* 2026-11-24 00:00 UTC */
    (void)s;
    zone("UTC");
    expect("2026-11-24", midnight);
    expect("2026-11-24 18:30", midnight + 18 * 3600 + 1800);
    expect("2026-11-24T18:30:07", midnight + 18 * 3600 + 1807);
    expect("18:30", midnight + 18 * 3600 + 1800);
    expect("16:34", midnight + DAY_S + 16 * 3600 + 34 * 60); /* that minute has begun: tomorrow */
    expect("2026-11-24T18:30:00+01:00", midnight + 17 * 3600 + 1800);
    expect("2026-11-24 18:30-0330", midnight + 22 * 3600);
    zone("CET-1CEST,M3.5.0,M10.5.0/3");
    expect("2026-11-24 18:30", midnight + 17 * 3600 + 1800);
    expect("2026-07-01 12:00", 1782900000);
    expect("2026-11-24T18:30Z", midnight + 18 * 3600 + 1800);
}

static void what_is_no_time(void **s)
{
    static const char *const bad[] = { "",           "tomorrow",         "25:00",
                                       "18:30x",     "2026-13-01",       "2026-04-31 10:00",
                                       "2026-11-24 18:30+99:00", "2026-11-24 18:30 Z", "1e9" };
    (void)s;
    zone("UTC");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t at;
        struct err err = { 0 };
        if (when_parse(bad[i], now_ms, &at, &err) == OK)
            fail_msg("%s was taken for %lld", bad[i], (long long)at);
        assert_true(err.fix[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_and_times),
        cmocka_unit_test(what_is_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
