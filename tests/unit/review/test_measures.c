/* SPDX-License-Identifier: Apache-2.0 */
/* Drafts of tests/adversarial against the rule for `accepted`: without a judge, the measures alone
 * must keep every worthless draft below the target, and let the good ones pass. */
#include "tests/unit/unit.h"

#include "common/doc.h"
#include "workers/review/measures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TARGET = 800 }; /* loop.target.measures in schemas/config.def */

static json_t *brief_of(const json_t *suite)
{
    json_t *b = json_object();
    js_set_z(b, "change_name", "x");
    js_set_z(b, "title", "x");
    js_set_str(b, "problem", js_view(suite, "problem"));
    js_set(b, "capabilities", json_deep_copy(json_object_get(suite, "capabilities")));
    return b;
}

static int64_t score_of(const json_t *suite, const json_t *draft, json_t **findings, json_t **list)
{
    struct arena a;
    struct measures_result r;
    json_t *brief = brief_of(suite);
    struct measures_input in = { .brief = brief, .draft = draft };
    arena_init(&a, 64 << 20);
    assert_int_equal(measures_take(&a, &in, &r), OK);
    json_decref(brief);
    arena_fini(&a);
    for (size_t i = 0; i < js_count(r.findings); i++) {
        json_t *wrapped = json_pack("{s:[O]}", "items", js_at(r.findings, i));
        assert_int_equal(doc_check("findings", wrapped, NULL), OK);
        json_decref(wrapped);
    }
    if (findings)
        *findings = r.findings;
    else
        json_decref(r.findings);
    if (list)
        *list = r.list;
    else
        json_decref(r.list);
    return r.score;
}

static void check_suite(const char *name)
{
    char path[256];
    json_error_t e;
    snprintf(path, sizeof path, "tests/adversarial/%s.json", name);
    json_t *suite = json_load_file(path, 0, &e), *drafts = json_object_get(suite, "drafts"), *draft;
    const char *which;
    int wrong = 0;
    assert_non_null(suite);
    json_object_foreach(drafts, which, draft)
    {
        json_t *list = NULL, *findings = NULL;
        int64_t score = score_of(suite, draft, &findings, &list);
        bool accepted = score >= TARGET, should = js_bool(draft, "accept", false);
        if (accepted != should) {
            char *text = json_dumps(list, 0), *said = json_dumps(findings, 0);
            print_error("%s / %s: %lld points, %s\n  %s\n  %s\n", name, which, (long long)score,
                        should ? "should be accepted" : "must not be accepted", text, said);
            free(text);
            free(said);
            wrong++;
        }
        json_decref(list);
        json_decref(findings);
    }
    json_decref(suite);
    assert_int_equal(wrong, 0);
}

static void telemetry(void **state)
{
    (void)state;
    check_suite("telemetry");
}

static void library(void **state)
{
    (void)state;
    check_suite("library");
}

static void guesthouse(void **state)
{
    (void)state;
    check_suite("guesthouse");
}

static json_t *suite_telemetry(void)
{
    json_error_t e;
    return json_load_file("tests/adversarial/telemetry.json", 0, &e);
}

static bool says(const json_t *findings, const char *code, const char *part)
{
    for (size_t i = 0; i < js_count(findings); i++) {
        const json_t *f = js_at(findings, i);
        if (strcmp(js_str(f, "code"), code) == 0 &&
            (strstr(js_str(f, "message"), part) || strstr(js_str(f, "fix"), part)))
            return true;
    }
    return false;
}

static void findings_are_instructions_about_a_named_requirement(void **state)
{
    (void)state;
    json_t *suite = suite_telemetry(), *drafts = json_object_get(suite, "drafts"), *f = NULL;
    score_of(suite, json_object_get(drafts, "restated specification"), &f, NULL);
    assert_true(says(f, "measure.repeats", "Leave out requirement 1 \"Temperature alert\""));
    assert_true(says(f, "measure.coverage", "Add a requirement for"));
    json_decref(f);
    score_of(suite, json_object_get(drafts, "grievance"), &f, NULL);
    assert_true(says(f, "measure.grievance", "die"));
    json_decref(f);
    json_decref(suite);
}

static void a_figure_that_nobody_gave_is_named(void **state)
{
    (void)state;
    json_t *suite = suite_telemetry(), *drafts = json_object_get(suite, "drafts"), *f = NULL;
    json_t *draft = json_deep_copy(json_object_get(drafts, "good"));
    int64_t before = score_of(suite, draft, NULL, NULL);
    json_t *first = json_array_get(json_object_get(draft, "requirements"), 0);
    js_set_z(first, "text",
             "The display SHALL mark each sensor whose battery voltage is below 2.4 volts within "
             "17 seconds.");
    int64_t after = score_of(suite, draft, &f, NULL);
    assert_int_equal(before - after, 100);
    assert_true(says(f, "measure.invented", "17"));
    json_decref(f);
    json_decref(draft);
    json_decref(suite);
}

static void a_comment_is_the_first_finding_until_the_draft_shows_it(void **state)
{
    (void)state;
    json_t *suite = suite_telemetry(),
           *draft = json_object_get(json_object_get(suite, "drafts"), "good");
    json_t *
        brief = brief_of(suite),
       *comments = js_parse(
           str_of("{\"items\":[{\"id\":\"c1\",\"text\":\"Also tell the technician by e-mail.\"}]}"),
           NULL);
    struct arena a;
    struct measures_result r;
    struct measures_input in = { .brief = brief, .draft = draft, .comments = comments };
    arena_init(&a, 64 << 20);
    assert_int_equal(measures_take(&a, &in, &r), OK);
    assert_string_equal(js_str(js_at(r.findings, 0), "code"), "comment.open");
    json_decref(r.findings);
    json_decref(r.list);
    json_t *more = json_deep_copy(draft);
    js_push(json_object_get(more, "requirements"),
            js_parse(str_of("{\"op\":\"added\",\"capability\":\"alerts\",\"name\":\"Technician\","
                            "\"text\":\"The system SHALL tell the technician by "
                            "e-mail.\",\"scenarios\":[{\"name\":\"s\",\"when\":[\"a battery is "
                            "low\"],\"then\":[\"the technician gets an e-mail\"]}]}"),
                     NULL));
    in.draft = more;
    assert_int_equal(measures_take(&a, &in, &r), OK);
    for (size_t i = 0; i < js_count(r.findings); i++)
        assert_string_not_equal(js_str(js_at(r.findings, i), "code"), "comment.open");
    json_decref(r.findings);
    json_decref(r.list);
    json_decref(more);
    json_decref(brief);
    json_decref(comments);
    json_decref(suite);
    arena_fini(&a);
}

static void an_echo_of_a_finding_is_no_answer(void **state)
{
    (void)state;
    json_t *suite = suite_telemetry(),
           *draft = json_deep_copy(json_object_get(json_object_get(suite, "drafts"), "good"));
    json_t *brief = brief_of(suite),
           *earlier = js_parse(str_of("{\"findings\":[{\"fix\":\"Leave it out: requirement 3 "
                                      "repeats what the system does today.\"}]}"),
                               NULL);
    js_set_z(json_array_get(json_object_get(draft, "requirements"), 0), "text",
             "The display SHALL leave it out: requirement 3 repeats what the system does today.");
    struct arena a;
    struct measures_result r;
    struct measures_input in = { .brief = brief, .draft = draft, .earlier = earlier };
    arena_init(&a, 64 << 20);
    assert_int_equal(measures_take(&a, &in, &r), OK);
    assert_true(says(r.findings, "measure.echoes", "not about this review"));
    json_decref(r.findings);
    json_decref(r.list);
    json_decref(draft);
    json_decref(brief);
    json_decref(earlier);
    json_decref(suite);
    arena_fini(&a);
}

static void findings_point_into_the_rendered_change(void **state)
{
    (void)state;
    json_t *suite = suite_telemetry(),
           *draft = json_object_get(json_object_get(suite, "drafts"), "restated specification");
    json_t *brief = brief_of(suite),
           *change = js_parse(
               str_of("{\"name\":\"add-x\",\"files\":[{\"path\":\"specs/alerts/"
                      "spec.md\",\"text\":\"## ADDED "
                      "Requirements\\n\\n### Requirement: Temperature alert\\nText\\n\"}]}"),
               NULL);
    struct arena a;
    struct measures_result r;
    struct measures_input in = { .brief = brief, .draft = draft, .change = change };
    arena_init(&a, 64 << 20);
    assert_int_equal(measures_take(&a, &in, &r), OK);
    bool found = false;
    for (size_t i = 0; i < js_count(r.findings); i++) {
        const json_t *f = js_at(r.findings, i);
        if (strcmp(js_str(f, "requirement"), "Temperature alert") == 0) {
            assert_string_equal(js_str(f, "file"), "changes/add-x/specs/alerts/spec.md");
            assert_int_equal(js_int(f, "line", 0), 3);
            found = true;
        }
    }
    assert_true(found);
    json_decref(r.findings);
    json_decref(r.list);
    json_decref(brief);
    json_decref(change);
    json_decref(suite);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(telemetry),
        cmocka_unit_test(library),
        cmocka_unit_test(guesthouse),
        cmocka_unit_test(findings_are_instructions_about_a_named_requirement),
        cmocka_unit_test(a_figure_that_nobody_gave_is_named),
        cmocka_unit_test(a_comment_is_the_first_finding_until_the_draft_shows_it),
        cmocka_unit_test(an_echo_of_a_finding_is_no_answer),
        cmocka_unit_test(findings_point_into_the_rendered_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
