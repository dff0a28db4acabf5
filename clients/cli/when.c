/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/when.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The whole text in this form? Points to what is left. */
static const char *read_form(const char *text, const char *form, struct tm *tm)
{
    memset(tm, 0, sizeof *tm);
    tm->tm_isdst = -1;
    return strptime(text, form, tm);
}

static bool two_digits(const char *text, int most, int *out)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return false;
    *out = (text[0] - '0') * 10 + (text[1] - '0');
    return *out <= most;
}

/* "", "Z", "+01:00", "-0800": seconds east of UTC. `local`: nothing was said. */
static bool read_zone(const char *text, int64_t *east, bool *local)
{
    int hours, minutes;
    *local = *text == '\0';
    *east = 0;
    if (*local || strcmp(text, "Z") == 0)
        return true;
    if ((*text != '+' && *text != '-') || !two_digits(text + 1, 14, &hours))
        return false;
    const char *rest = text + 3 + (text[3] == ':');
    if (!two_digits(rest, 59, &minutes) || rest[2])
        return false;
    *east = (hours * 60 + minutes) * (*text == '-' ? -60 : 60);
    return true;
}

/* mktime() makes the 31st of April the 1st of May: that was not meant. */
static bool local_time(struct tm tm, int64_t *seconds)
{
    struct tm made = tm;
    *seconds = mktime(&made);
    return made.tm_mday == tm.tm_mday && made.tm_mon == tm.tm_mon;
}

static bool read_date(const char *text, int64_t *seconds)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
                                         "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M" };
    struct tm tm;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        int64_t east, there;
        bool local;
        const char *rest = read_form(text, forms[i], &tm);
        if (!rest || !read_zone(rest, &east, &local))
            continue;
        if (!local_time(tm, &there))
            return false;
        tm.tm_isdst = 0;
        *seconds = local ? there : timegm(&tm) - east;
        return true;
    }
    const char *rest = read_form(text, "%Y-%m-%d", &tm);
    return rest && !*rest && local_time(tm, seconds);
}

/* The next time the clock shows this. */
static bool read_clock(const char *text, int64_t now_s, int64_t *seconds)
{
    struct tm tm, today;
    time_t now = (time_t)now_s;
    const char *rest = read_form(text, "%H:%M", &tm);
    if (!rest || *rest || !localtime_r(&now, &today))
        return false;
    today.tm_hour = tm.tm_hour;
    today.tm_min = tm.tm_min;
    today.tm_sec = 0;
    today.tm_isdst = -1;
    struct tm next = today;
    *seconds = mktime(&today);
    if (*seconds <= now_s) {
        next.tm_mday++;
        *seconds = mktime(&next);
    }
    return true;
}

enum status when_parse(const char *text, int64_t now_ms, int64_t *out, struct err *err)
{
    int64_t seconds;
    if (read_clock(text, now_ms / 1000, &seconds) || read_date(text, &seconds)) {
        *out = seconds * 1000;
        return OK;
    }
    err_set(err, ERR_USAGE, "%.60s: not a time", text);
    err_fix(err, "18:30, 2026-11-24, \"2026-11-24 18:30\" or 2026-11-24T18:30:00Z");
    return ERR_USAGE;
}
