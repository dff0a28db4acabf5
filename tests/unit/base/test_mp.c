/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/bounds.h"
#include "common/js.h"
#include "common/mp.h"

#include <math.h>
#include <string.h>

static void integers_take_their_shortest_form(void **state)
{
    (void)state;
    static const struct {
        int64_t v;
        size_t bytes;
    } rows[] = { { 0, 1 }, { 127, 1 }, { 128, 2 }, { 255, 2 }, { 256, 3 }, { 65535, 3 }, { 65536, 5 },
                 { 4294967295, 5 }, { 4294967296, 9 }, { INT64_MAX, 9 }, { -1, 1 }, { -32, 1 },
                 { -33, 2 }, { -128, 2 }, { -129, 3 }, { -32768, 3 }, { -32769, 5 },
                 { INT32_MIN, 5 }, { (int64_t)INT32_MIN - 1, 9 }, { INT64_MIN, 9 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf b;
        struct mp r;
        struct mp_value v;
        buf_init(&b, 100);
        mp_int(&b, rows[i].v);
        assert_int_equal(b.len, rows[i].bytes);
        mp_init(&r, buf_get(&b));
        assert_int_equal(mp_want(&r, MP_INT, &v), OK);
        assert_true(v.i == rows[i].v);
        assert_true(mp_end(&r));
        buf_fini(&b);
    }
}

static void every_prefix_of_a_value_is_refused(void **state)
{
    (void)state;
    json_t *doc = json_pack("{s:[i,f,s,b,n],s:{s:s},s:I}", "a", 1, 2.5, "text", 1, "m", "k", "v", "big",
                            (json_int_t)INT64_MIN);
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(js_to_mp(doc, &b), OK);
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(mp_check((struct str){ b.data, n }), ERR_DATA);
    assert_int_equal(mp_check(buf_get(&b)), OK);
    json_t *back = NULL;
    assert_int_equal(js_from_mp(buf_get(&b), &back, NULL), OK);
    assert_true(json_equal(doc, back));
    buf_char(&b, 0); /* something after it */
    assert_int_equal(mp_check(buf_get(&b)), ERR_DATA);
    json_decref(doc);
    json_decref(back);
    buf_fini(&b);
}

static void a_count_that_lies_is_refused_before_anything_is_allocated(void **state)
{
    (void)state;
    static const char huge_array[] = "\xdd\xff\xff\xff\xff";
    static const char huge_map[] = "\xdf\x80\x00\x00\x00";
    static const char huge_str[] = "\xdb\xff\xff\xff\xff" "abc";
    assert_int_equal(mp_check((struct str){ huge_array, 5 }), ERR_DATA);
    assert_int_equal(mp_check((struct str){ huge_map, 5 }), ERR_DATA);
    assert_int_equal(mp_check((struct str){ huge_str, 8 }), ERR_DATA);
}

static void depth_and_items_are_bounded(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4 << 20);
    for (int i = 0; i < PAWL_DEPTH_MAX; i++)
        mp_array(&b, 1);
    mp_nil(&b);
    assert_int_equal(mp_check(buf_get(&b)), OK);
    buf_clear(&b);
    for (int i = 0; i < 100000; i++)
        mp_array(&b, 1);
    mp_nil(&b);
    assert_int_equal(mp_check(buf_get(&b)), ERR_LIMIT);
    buf_clear(&b);
    mp_array(&b, PAWL_ITEMS_MAX);
    for (int i = 0; i < PAWL_ITEMS_MAX; i++)
        mp_nil(&b);
    assert_int_equal(mp_check(buf_get(&b)), ERR_LIMIT);
    buf_fini(&b);
}

static void what_json_cannot_say_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
        { "\xc4\x01x", 3 },                              /* bin */
        { "\xd4\x01x", 3 },                              /* ext */
        { "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9 },   /* above 2^63 */
        { "\xa2\xc3\x28", 3 },                           /* invalid UTF-8 */
        { "\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", 9 },   /* NaN */
        { "\x81\x01\x02", 3 },                           /* a key that is no string */
        { "\xc1", 1 },                                   /* never used */
        { "\x81\xa1\x00\x02", 4 },                       /* a NUL in a key */
        { "\x81\xa1\xff\x02", 4 },                       /* a key of invalid UTF-8 */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *v = NULL;
        struct err err = { 0 };
        assert_int_equal(js_from_mp((struct str){ rows[i].bytes, rows[i].n }, &v, &err), ERR_DATA);
        assert_null(v);
        assert_true(strlen(err.text) > 0);
    }
}

static void utf8_is_checked_to_the_letter(void **state)
{
    (void)state;
    static const char *const good[] = { "", "plain", "é", "你好", "\xf4\x8f\xbf\xbf", "\xef\xbb\xbf" };
    static const char *const bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
                                       "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                       "\xe4\xbd", "ab\xff" };
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(utf8_valid(str_of(good[i]), NULL));
    for (size_t i = 0; i < COUNT(bad); i++) {
        size_t at = 99;
        assert_false(utf8_valid(str_of(bad[i]), &at));
        assert_int_equal(at, strncmp(bad[i], "ab", 2) == 0 ? 2 : 0);
        json_t *v = js_string(str_of(bad[i])); /* never fails: replaced */
        assert_true(utf8_valid(str_of(json_string_value(v)), NULL));
        json_decref(v);
    }
}

static void getters_have_defaults(void **state)
{
    (void)state;
    json_t *v = js_parse(str_of("{\"a\":{\"b\":[{\"c\":7}]},\"s\":\"x\",\"n\":1.5}"), NULL);
    assert_int_equal(js_int(js_path(v, "a.b.0"), "c", 0), 7);
    assert_null(js_path(v, "a.b.1.c"));
    assert_null(js_path(v, "a.b.x"));
    assert_null(js_path(v, "s.t"));
    assert_string_equal(js_str(v, "missing"), "");
    assert_int_equal(js_int(v, "s", 9), 9);
    assert_true(js_bool(v, "s", true));
    assert_null(js_list(v, "a"));
    json_decref(v);
    struct err err = { 0 };
    assert_null(js_parse(str_of("{\"a\":1,\n \"a\":2}"), &err));
    assert_non_null(strstr(err.text, "line 2"));
    assert_null(js_parse(str_of("[1] x"), &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_take_their_shortest_form),
        cmocka_unit_test(every_prefix_of_a_value_is_refused),
        cmocka_unit_test(a_count_that_lies_is_refused_before_anything_is_allocated),
        cmocka_unit_test(depth_and_items_are_bounded),
        cmocka_unit_test(what_json_cannot_say_is_refused),
        cmocka_unit_test(utf8_is_checked_to_the_letter),
        cmocka_unit_test(getters_have_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
