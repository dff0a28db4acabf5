/* SPDX-License-Identifier: Apache-2.0 */
/* Texts for people: cleaning, tables, findings; and what is no problem statement. */
#include "tests/unit/unit.h"

#include "clients/cli/finding.h"
#include "clients/cli/out.h"
#include "clients/cli/problem.h"
#include "clients/cli/supervise.h"
#include "common/bounds.h"

#include <stdlib.h>
#include <string.h>

static void text_is_cleaned(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    text_clean(&b, str_of("a\tb\nc\x1b[31m\x7f ä\xff€\xe2\x80\xae"), false);
    assert_string_equal(buf_z(&b), "a b c[31m ä\xef\xbf\xbd€");
    buf_clear(&b);
    text_clean(&b, str_of("a\nb\r"), true);
    assert_string_equal(buf_z(&b), "a\nb ");
    buf_fini(&b);
    assert_int_equal(text_width(str_of("aä€漢")), 5);
}

static void text_is_cut(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    text_fit(&b, str_of("漢字漢字"), 5);
    assert_string_equal(buf_z(&b), "漢字…");
    buf_clear(&b);
    text_fit(&b, str_of("abc"), 3);
    assert_string_equal(buf_z(&b), "abc");
    buf_clear(&b);
    text_fit(&b, str_of("abc"), 0);
    assert_string_equal(buf_z(&b), "");
    buf_fini(&b);
}

static void numbers_are_readable(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    text_count(&b, 1234567);
    buf_char(&b, ' ');
    text_count(&b, 999);
    buf_char(&b, ' ');
    text_time(&b, 125000);
    buf_char(&b, ' ');
    text_time(&b, 1500);
    buf_char(&b, ' ');
    text_bytes(&b, 1536);
    assert_string_equal(buf_z(&b), "1,234,567 999 2:05 min 1.5 s 1.5 KiB");
    buf_fini(&b);
}

static void tables_are_for_people_or_programs(void **state)
{
    static const char *const heads[] = { "A", "B" };
    struct table t;
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    for (int aligned = 1; aligned >= 0; aligned--) {
        table_init(&t, heads, 2);
        table_cell(&t, "漢字");
        table_cellf(&t, "%d\t", 1);
        table_end(&t, aligned, &b);
    }
    assert_string_equal(buf_z(&b), "A     B\n漢字  1 \nA\tB\n漢字\t1 \n");
    buf_fini(&b);
}

static json_t *parse(const char *text)
{
    struct err err = { 0 };
    json_t *v = js_parse(str_of(text), &err);
    if (!v)
        fail_msg("%s", err.text);
    return v;
}

static void findings_show_their_line(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 65536);
    json_t *change = parse("{\"name\":\"add-otp\",\"files\":[{\"path\":\"specs/auth/"
                           "spec.md\",\"text\":\"## ADDED\\n\\n### Requirement: Codes\\nlast\"}]}");
    json_t *full = parse("{\"severity\":\"error\",\"code\":\"gate.no-scenario\",\"message\":"
                         "\"requirement has no scenario\","
                         "\"file\":\"changes/add-otp/specs/auth/"
                         "spec.md\",\"line\":3,\"column\":5,\"fix\":\"add one\"}");
    finding_print(full, change, false, &b);
    assert_string_equal(buf_z(&b), "error[gate.no-scenario]: requirement has no scenario\n"
                                   "  --> openspec/changes/add-otp/specs/auth/spec.md:3:5\n"
                                   "      |\n"
                                   "    3 | ### Requirement: Codes\n"
                                   "      |     ^^^^^^^^^^^^^^^^^^\n"
                                   "    = fix: add one\n");
    json_t *bare = parse("{\"severity\":\"warning\",\"code\":\"measure.repeats\",\"message\":"
                         "\"says \\u001b[2J again\",\"requirement\":\"Codes\"}");
    buf_clear(&b);
    finding_print(bare, change, false, &b);
    assert_string_equal(buf_z(&b),
                        "warning[measure.repeats]: says [2J again\n  --> requirement: Codes\n");
    struct str line;
    assert_true(change_line(change, "changes/add-otp/specs/auth/spec.md", 4, &line));
    assert_true(str_is(line, "last"));
    assert_true(change_line(change, "changes/add-otp/specs/auth/spec.md", 2, &line));
    assert_int_equal(line.n, 0);
    assert_false(change_line(change, "changes/add-otp/specs/auth/spec.md", 5, &line));
    assert_false(change_line(change, "changes/add-otp/specs/auth/spec.md", 0, &line));
    assert_false(change_line(change, "specs/auth/other.md", 1, &line));
    assert_false(change_line(NULL, "specs/auth/spec.md", 1, &line));
    json_decref(change);
    json_decref(full);
    json_decref(bare);
    buf_fini(&b);
}

static void problems_are_checked(void **state)
{
    struct err err = { 0 };
    (void)state;
    assert_int_equal(problem_check("p.md", str_of("Users wait."), &err), OK);
    assert_int_equal(problem_check("p.md", str_of(""), &err), ERR_DATA);
    assert_int_equal(problem_check("p.md", str_of(" \n\t\r\n"), &err), ERR_DATA);
    assert_string_equal(err.text, "p.md: the problem statement is empty");
    assert_int_equal(problem_check("p.md", str_of("one\ntwo \xe4\n"), &err), ERR_DATA);
    assert_string_equal(err.text, "p.md:2: byte 8 (0xe4) is not UTF-8");
    assert_int_equal(problem_check("p.md", (struct str){ "a\0b", 3 }, &err), ERR_DATA);
    assert_int_equal(problem_check("p.md", (struct str){ "a", PAWL_PROBLEM_MAX + 1 }, &err),
                     ERR_LIMIT);
    struct problems p = { 0 };
    assert_int_equal(problems_add(&p, "no-such-file", &err), ERR_NOT_FOUND);
    assert_int_equal(problems_add(&p, "two words", &err), OK);
    assert_int_equal(problems_add(&p, "schemas/states.def", &err), OK);
    assert_int_equal(problems_add(&p, "schemas/examples/none", &err), ERR_NOT_FOUND);
    assert_int_equal(problems_add(&p, "schemas/vectors", &err), ERR_NOT_FOUND); /* no *.md in it */
    assert_int_equal(p.n, 2);
    assert_string_equal(p.v[1].source, "schemas/states.def");
    problems_free(&p);
}

static void restarts_wait_longer(void **state)
{
    (void)state;
    assert_int_equal(supervise_backoff(1), 200);
    assert_int_equal(supervise_backoff(2), 400);
    assert_int_equal(supervise_backoff(5), 3200);
    assert_int_equal(supervise_backoff(100), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cleaned),
        cmocka_unit_test(text_is_cut),
        cmocka_unit_test(numbers_are_readable),
        cmocka_unit_test(tables_are_for_people_or_programs),
        cmocka_unit_test(findings_show_their_line),
        cmocka_unit_test(problems_are_checked),
        cmocka_unit_test(restarts_wait_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
