/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/llm/schema.h"
#include "workers/review/judge.h"

#include <string.h>

static json_t *parsed(const char *text)
{
    json_t *v = js_parse(str_of(text), NULL);
    assert_non_null(v);
    return v;
}

static struct judge_input input(void)
{
    return (struct judge_input){
        .brief = parsed("{\"problem\":\"Sensors die.\"}"),
        .nonce = 42,
        .draft = parsed("{\"requirements\":[{\"op\":\"added\",\"name\":\"A\",\"text\":\"SHALL "
                        "a\"},{\"op\":\"added\",\"name\":\"B\",\"text\":\"SHALL b\"}]}")
    };
}

static void input_free(struct judge_input *in)
{
    json_decref((json_t *)(uintptr_t)in->brief);
    json_decref((json_t *)(uintptr_t)in->draft);
}

static struct judgement judged(const char *value, uint64_t doubtful)
{
    struct judge_input in = input();
    json_t *v = value ? parsed(value) : NULL;
    struct judgement j;
    judge_read(&in, v, doubtful, &j);
    json_decref(v);
    input_free(&in);
    return j;
}

static void judgement_free(struct judgement *j)
{
    json_decref(j->scores);
    json_decref(j->findings);
}

static void scores_become_points(void **state)
{
    (void)state;
    struct judgement j = judged("{\"effects\":[\"solves\",\"solves\"],\"reason\":\"r\",\"solves\":"
                                "5,\"precise\":4,\"testable\":3}",
                                0);
    assert_int_equal(j.points, 800);
    assert_int_equal(js_count(j.findings), 0);
    judgement_free(&j);
}

static void a_missing_score_is_not_a_number(void **state)
{
    (void)state;
    struct judgement j = judged("{\"effects\":[],\"reason\":\"r\",\"solves\":5,\"precise\":4}", 0);
    assert_int_equal(j.points, -1);
    judgement_free(&j);
    j = judged(NULL, 0);
    assert_int_equal(j.points, -1);
    judgement_free(&j);
    j = judged("{\"solves\":9,\"precise\":4,\"testable\":3}", 0);
    assert_int_equal(j.points, -1);
    judgement_free(&j);
}

static void causes_costs_only_where_there_is_doubt(void **state)
{
    (void)state;
    const char *value = "{\"effects\":[\"solves\",\"causes\"],\"reason\":\"r\",\"solves\":5,"
                        "\"precise\":5,\"testable\":5}";
    struct judgement j = judged(value, 0);
    assert_int_equal(j.points, 1000);
    assert_string_equal(js_str(js_at(j.findings, 0), "severity"), "info");
    judgement_free(&j);
    j = judged(value, 2);
    assert_int_equal(j.points, 600);
    assert_string_equal(js_str(js_at(j.findings, 0), "severity"), "error");
    assert_string_equal(js_str(js_at(j.findings, 0), "requirement"), "B");
    judgement_free(&j);
}

static void what_is_judged_stands_between_marks(void **state)
{
    (void)state;
    struct judge_input in = input();
    json_t *m = judge_extract(&in, "critique"), *schema = judge_schema(2);
    assert_int_equal(json_array_size(m), 4);
    const char *text = js_str(js_at(m, 1), "content");
    assert_non_null(strstr(text, "000000000000002a"));
    assert_non_null(strstr(text, "2. (added) B: SHALL b"));
    json_t *good = parsed("{\"effects\":[\"solves\",\"neither\"],\"reason\":\"x\",\"solves\":0,"
                          "\"precise\":5,\"testable\":1}");
    json_t *bad = parsed(
        "{\"effects\":[\"solves\"],\"reason\":\"x\",\"solves\":0,\"precise\":5,\"testable\":1}");
    assert_int_equal(schema_check(schema, good, NULL), OK);
    assert_int_not_equal(schema_check(schema, bad, NULL), OK);
    json_decref(good);
    json_decref(bad);
    json_decref(m);
    json_decref(schema);
    input_free(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_become_points),
        cmocka_unit_test(a_missing_score_is_not_a_number),
        cmocka_unit_test(causes_costs_only_where_there_is_doubt),
        cmocka_unit_test(what_is_judged_stands_between_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
