/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "clients/cli/because.h"

#include <string.h>

static json_t *parsed(const char *text)
{
    struct err err = { 0 };
    json_t *v = js_parse(str_of(text), &err);
    if (!v)
        fail_msg("%s", err.text);
    return v;
}

static const char draft_text[] =
    "{\"requirements\":["
    "{\"op\":\"added\",\"capability\":\"fees\",\"name\":\"Receipt Delivery\",\"text\":\"The system "
    "SHALL send a receipt within 30 minutes.\",\"statement\":\"A receipt should be sent within 30 "
    "minutes.\",\"sources\":[\"i2\",\"c1\"]},"
    "{\"op\":\"added\",\"capability\":\"fees\",\"name\":\"Receipt Archive\",\"text\":\"The system "
    "SHALL keep receipts.\"}]}";

static void a_requirement_is_found_by_its_name_or_a_part_of_it(void **state)
{
    static const struct {
        const char *asked, *found;
        enum status st;
        const char *fix;
    } rows[] = {
        { "Receipt Delivery", "Receipt Delivery", OK, "" },
        { "receipt delivery", "Receipt Delivery", OK, "" },
        { "archive", "Receipt Archive", OK, "" },
        { "receipt", NULL, ERR_DATA, "\"Receipt Delivery\", \"Receipt Archive\"" },
        { "limits", NULL, ERR_NOT_FOUND, "\"Receipt Delivery\", \"Receipt Archive\"" },
        { "", NULL, ERR_NOT_FOUND, "\"Receipt Delivery\"" },
    };
    json_t *draft = parsed(draft_text);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const json_t *r = NULL;
        struct err err = { 0 };
        assert_int_equal(because_find(draft, rows[i].asked, &r, &err), rows[i].st);
        if (rows[i].found)
            assert_string_equal(js_str(r, "name"), rows[i].found);
        else
            assert_null(r);
        assert_non_null(strstr(err.fix, rows[i].fix));
    }
    json_decref(draft);
}

static void only_what_it_rests_on_is_told(void **state)
{
    struct err err = { 0 };
    struct buf out;
    const json_t *r;
    json_t *draft = parsed(draft_text);
    json_t *insights = parsed(
        "{\"items\":[{\"id\":\"i1\",\"server\":\"fs\",\"tool\":\"read\",\"excerpt\":\"other\"},"
        "{\"id\":\"i2\",\"server\":\"fs\",\"tool\":\"read\",\"arguments\":{\"path\":\"a\"},"
        "\"excerpt\":\"1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\nnine\"}]}");
    json_t *comments =
        parsed("[{\"id\":\"c1\",\"text\":\"staff too\"},{\"id\":\"c2\",\"text\":\"elsewhere\"}]");
    json_t *reviews = parsed(
        "[{\"round\":1,\"findings\":[{\"severity\":\"error\",\"message\":\"no \\u001b[31mresult\","
        "\"requirement\":\"Receipt Delivery\"},{\"severity\":\"error\",\"message\":\"of another\","
        "\"requirement\":\"Receipt Archive\"}]}]");
    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(because_find(draft, "delivery", &r, &err), OK);
    struct because_record record = { insights, comments, NULL, reviews };
    json_t *because = because_of(r, &record);
    assert_int_equal(js_count(js_list(because, "insights")), 1);
    assert_int_equal(js_count(js_list(because, "comments")), 1);
    assert_int_equal(js_count(js_list(because, "findings")), 1);
    because_print(because, false, &out);
    const char *text = buf_z(&out);
    static const char *const told[] = { "Receipt Delivery (added, fees)",
                                        "A receipt should be sent",
                                        "i2 fs/read {\"path\":",
                                        "    | 8\n    | …",
                                        "c1 staff too",
                                        "round 1: error no " };
    static const char *const not_told[] = { "other", "elsewhere", "nine", "of another", "\x1b" };
    for (size_t i = 0; i < COUNT(told); i++)
        if (!strstr(text, told[i]))
            fail_msg("'%s' is missing in:\n%s", told[i], text);
    for (size_t i = 0; i < COUNT(not_told); i++)
        if (strstr(text, not_told[i]))
            fail_msg("'%s' is in:\n%s", not_told[i], text);
    json_decref(because);
    json_decref(reviews);
    json_decref(comments);
    json_decref(insights);
    json_decref(draft);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_requirement_is_found_by_its_name_or_a_part_of_it),
        cmocka_unit_test(only_what_it_rests_on_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
