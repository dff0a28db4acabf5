/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void each_keyword_is_enforced(void **state)
{
    static const struct {
        const char *schema, *value;
        const char *said; /* NULL: fits */
    } cases[] = {
        { "{\"type\":\"string\"}", "\"a\"", NULL },
        { "{\"type\":\"string\"}", "1", "wrong type" },
        { "{\"type\":[\"string\",\"null\"]}", "null", NULL },
        { "{\"type\":\"number\"}", "1", NULL },
        { "{\"type\":\"integer\"}", "1.5", "wrong type" },
        { "{\"enum\":[\"new\",\"changes\"]}", "\"new\"", NULL },
        { "{\"enum\":[\"new\",\"changes\"]}", "\"old\"", "not one of" },
        { "{\"const\":3}", "4", "not the value" },
        { "{\"type\":\"string\",\"maxLength\":2}", "\"\\u00e9\\u00e9\"", NULL },
        { "{\"type\":\"string\",\"maxLength\":2}", "\"abc\"", "maxLength 2" },
        { "{\"type\":\"string\",\"minLength\":1}", "\"\"", "minLength 1" },
        { "{\"type\":\"integer\",\"minimum\":0,\"maximum\":5}", "6", "maximum" },
        { "{\"type\":\"integer\",\"minimum\":0,\"maximum\":5}", "-1", "minimum" },
        { "{\"type\":\"array\",\"minItems\":1}", "[]", "minItems 1" },
        { "{\"type\":\"array\",\"maxItems\":1}", "[1,2]", "maxItems 1" },
        { "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "[\"a\",2]", "reply[1]" },
        { "{\"type\":\"object\",\"required\":[\"a\"]}", "{}", "'a' is missing" },
        { "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"a\":\"x\"}",
          "reply.a" },
        { "{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"b\":1}",
          "'b' is not allowed" },
        { "{\"properties\":{\"a\":{}}}", "{\"b\":1}", NULL },
        { "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}", "3", NULL },
        { "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}", "[]", "alternative" },
        { "{\"anyOf\":[{\"required\":[\"x\"]},{\"required\":[\"y\"]}]}", "{\"y\":1}", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err err = { 0 };
        json_t *schema = js_parse(str_of(cases[i].schema), NULL),
               *v = js_parse(str_of(cases[i].value), NULL);
        assert_non_null(schema);
        assert_non_null(v);
        enum status st = schema_check(schema, v, &err);
        if ((st == OK) != !cases[i].said || (cases[i].said && !strstr(err.text, cases[i].said)))
            fail_msg("%s against %s: '%s'", cases[i].value, cases[i].schema, err.text);
        json_decref(schema);
        json_decref(v);
    }
}

static void depth_is_bounded(void **state)
{
    struct buf s, v;
    struct err err = { 0 };
    (void)state;
    buf_init(&s, 1 << 20);
    buf_init(&v, 1 << 20);
    for (int i = 0; i < 200; i++) {
        buf_str(&s, "{\"type\":\"array\",\"items\":");
        buf_str(&v, "[");
    }
    buf_str(&s, "{}");
    for (int i = 0; i < 200; i++) {
        buf_str(&s, "}");
        buf_str(&v, "]");
    }
    json_t *schema = js_parse(buf_get(&s), NULL), *value = js_parse(buf_get(&v), NULL);
    assert_int_equal(schema_check(schema, value, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "deeply"));
    json_decref(schema);
    json_decref(value);
    buf_fini(&s);
    buf_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_keyword_is_enforced),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
