/* SPDX-License-Identifier: Apache-2.0 */
/* The picture of a job: events in, lines and rows out. */
#include "tests/unit/unit.h"

#include "clients/cli/live.h"
#include "clients/cli/out.h"

#include <stdio.h>
#include <string.h>

/* One event, facts as JSON with ' for ". */
static void feed(struct live *l, const char *kind, int64_t at_ms, const char *facts,
                 struct buf *lines)
{
    char text[4096];
    struct err err = { 0 };
    snprintf(text, sizeof text, "%s", facts);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *v = js_parse(str_of(text), &err);
    if (!v)
        fail_msg("%s: %s", text, err.text);
    struct link_event ev = { "1-0", kind, l->job, at_ms, v };
    live_event(l, &ev);
    if (lines)
        live_line(l, &ev, lines);
    json_decref(v);
}

static void a_job_as_lines(void **state)
{
    struct live l;
    struct buf b;
    (void)state;
    live_init(&l, "4k2m");
    buf_init(&b, 65536);
    feed(&l, "job.state", 1000, "{'from':'','to':'queued','run':1,'round':1,'stage':'parse'}", &b);
    feed(&l, "task.start", 2000, "{'stage':'parse','round':1,'worker':'w'}", &b);
    feed(&l, "task.tokens", 2500, "{'task':'t','offset':0,'text':'hello'}", &b);
    feed(&l, "task.end", 3000,
         "{'stage':'generate','outcome':'failed','text':'HTTP 500\\nfrom the model'}", &b);
    feed(&l, "task.end", 3000, "{'stage':'generate','outcome':'committed'}", &b);
    feed(&l, "question", 4000, "{'id':'q1','text':'Which one?','otherwise':'both'}", &b);
    feed(&l, "answer", 5000, "{'id':'q1','text':'the first','by':'user'}", &b);
    feed(&l, "round", 6000,
         "{'run':1,'round':1,'kept':true,'reason':'first "
         "good','verdict':{'gates':true,'measures':840,'judge':620,'errors':1}}",
         &b);
    feed(&l, "job.state", 7000,
         "{'from':'running','to':'accepted','run':1,'round':1,'stage':'','reason':'target "
         "met','score':{'gates':true,'measures':840,'judge':-1,'errors':0}}",
         &b);
    assert_string_equal(
        buf_z(&b),
        "1970-01-01T00:00:01.000Z 4k2m queued    parse round 1\n"
        "1970-01-01T00:00:03.000Z 4k2m generate failed: HTTP 500 from the model\n"
        "1970-01-01T00:00:04.000Z 4k2m question q1: Which one? [default: both]\n"
        "1970-01-01T00:00:05.000Z 4k2m answered by user: the first\n"
        "1970-01-01T00:00:06.000Z 4k2m round 1 kept: first good (gates ok, measures 0.84, judge "
        "0.62, 1 error open)\n"
        "1970-01-01T00:00:07.000Z 4k2m accepted : target met (gates ok, measures 0.84)\n");
    assert_true(l.ended);
    assert_null(l.question);
    buf_fini(&b);
    live_fini(&l);
}

static const char *painted(const struct live *l, size_t columns, size_t rows, bool color,
                           struct buf *b)
{
    struct live_view v = { .now_ms = 61000, .columns = columns, .rows = rows, .color = color };
    buf_clear(b);
    size_t n = live_paint(l, &v, b), lines = 0;
    assert_true(n <= rows);
    const char *p = buf_z(b);
    while (*p && !color) {
        size_t len = strcspn(p, "\n");
        assert_true(text_width((struct str){ p, len }) <= columns);
        p += len + 1;
        lines++;
    }
    if (!color)
        assert_int_equal(lines, n);
    return buf_z(b);
}

static void fill(struct live *l)
{
    live_init(l, "4k2m00000000");
    feed(l, "job.state", 1000, "{'to':'queued','run':1,'round':1,'stage':'parse'}", NULL);
    l->rounds_max = 4;
    feed(l, "round", 2000,
         "{'run':1,'round':1,'kept':true,'reason':'','verdict':{'gates':true,'measures':840,'judge'"
         ":620}}",
         NULL);
    feed(l, "round", 2000,
         "{'run':1,'round':1,'kept':true,'reason':'','verdict':{'gates':true,'measures':840,'judge'"
         ":620}}",
         NULL);
    feed(l, "round", 3000, "{'run':1,'round':2,'kept':false,'reason':'','verdict':{'gates':false}}",
         NULL);
    feed(l, "job.state", 4000, "{'to':'running','run':1,'round':3,'stage':'generate'}", NULL);
    feed(l, "task.start", 4000, "{'stage':'generate','round':3,'worker':'host/generate-1'}", NULL);
    feed(l, "task.step", 5000, "{'tokens_in':12000,'tokens_out':345,'ms':11500}", NULL);
    feed(l, "task.note", 5000, "{'text':'requirement 2 of 4'}", NULL);
}

static void a_job_as_rows(void **state)
{
    struct live l;
    struct buf b;
    (void)state;
    buf_init(&b, 65536);
    fill(&l);
    feed(&l, "task.tokens", 6000, "{'task':'k','offset':0,'text':'The system SHALL\\nkeep the'}",
         NULL);
    feed(&l, "task.tokens", 8000, "{'task':'k','offset':25,'text':' session.'}", NULL);
    assert_string_equal(painted(&l, 80, 12, false, &b),
                        "4k2m00000000  running  generate  round 3/4  1:00 min\n"
                        "  rounds  1:✓0.84·0.62 2:✗ gates\n"
                        "  tokens  12,000 in  345 out  ~4/s\n"
                        "  now     requirement 2 of 4\n"
                        "    │ The system SHALL\n"
                        "    │ keep the session.\n");
    assert_non_null(strstr(painted(&l, 80, 12, true, &b), "\033[34mrunning\033[0m"));
    painted(&l, 20, 3, false, &b);
    painted(&l, 1, 1, false, &b);
    live_fini(&l);
    buf_fini(&b);
}

/* Whatever a model writes, the terminal sees text. */
static void hostile_text_is_harmless(void **state)
{
    struct live l;
    struct buf b;
    (void)state;
    buf_init(&b, 65536);
    fill(&l);
    feed(&l, "task.note", 5000, "{'text':'\\u001b[2J\\u0007gone\\u202e'}", NULL);
    feed(&l, "task.tokens", 6000,
         "{'task':'k','offset':0,'text':'\\u001b]0;title\\u0007x\\r\\u009b31m'}", NULL);
    const char *text = painted(&l, 80, 12, false, &b);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\r'));
    assert_null(strstr(text, "\xc2\x9b"));
    assert_null(strstr(text, "\xe2\x80\xae"));
    live_fini(&l);
    buf_fini(&b);
}

static void streamed_text_is_bounded(void **state)
{
    struct live l;
    struct buf b;
    char facts[3000], wide[1501];
    (void)state;
    buf_init(&b, 65536);
    fill(&l);
    uint64_t offset = 0;
    for (int i = 0; i < 40; i++) {
        int pieces = 1 + i * 37 % 300; /* of five bytes: two characters */
        for (int k = 0; k < pieces; k++)
            memcpy(wide + k * 5, "ä€", 5);
        wide[pieces * 5] = '\0';
        snprintf(facts, sizeof facts, "{'task':'k','offset':%llu,'text':'%s'}",
                 (unsigned long long)offset, wide);
        feed(&l, "task.tokens", 6000 + i, facts, NULL);
        offset += strlen(wide) + (i % 3 == 0 ? 7 : 0); /* pieces are lost on the way */
        assert_true(l.tail_n <= LIVE_TAIL);
        painted(&l, 40, 12, false, &b);
    }
    feed(&l, "task.tokens", 9000, "{'task':'k','offset':0,'text':'again'}",
         NULL); /* another attempt */
    assert_int_equal(l.tail_n, 5);
    feed(&l, "job.state", 9500,
         "{'to':'delayed','run':1,'round':3,'stage':'generate','reason':'HTTP 500'}", NULL);
    assert_int_equal(l.tail_n, 0);
    assert_non_null(strstr(painted(&l, 80, 12, false, &b), "HTTP 500"));
    live_fini(&l);
    buf_fini(&b);
}

static void a_new_run_begins_anew(void **state)
{
    struct live l;
    (void)state;
    fill(&l);
    feed(&l, "job.state", 5000, "{'to':'exhausted','run':1,'round':3,'stage':''}", NULL);
    assert_true(l.ended);
    feed(&l, "job.state", 6000,
         "{'from':'exhausted','to':'queued','run':2,'round':1,'stage':'parse'}", NULL);
    assert_false(l.ended);
    assert_int_equal(l.run, 2);
    assert_int_equal(l.rounds_n, 0);
    assert_int_equal(l.tokens_out, 0);
    live_fini(&l);
}

static void the_record_is_a_start(void **state)
{
    struct live l;
    struct err err = { 0 };
    (void)state;
    live_init(&l, "4k2m");
    json_t *job = js_parse(
        str_of(
            "{\"id\":\"4k2m00000000\",\"state\":\"waiting\",\"run\":2,\"round\":2,\"rounds_max\":4,"
            "\"tokens_in\":10,\"tokens_out\":5,\"stage\":\"analyze\",\"reason\":\"a question\","
            "\"ledger\":[{\"run\":1,\"round\":1,\"kept\":true},{\"run\":2,\"round\":1,\"kept\":"
            "true}],"
            "\"questions\":[{\"id\":\"q1\",\"text\":\"?\",\"otherwise\":\"no\"}]}"),
        &err);
    assert_non_null(job);
    live_load(&l, job);
    json_decref(job);
    assert_string_equal(l.job, "4k2m00000000");
    assert_int_equal(l.rounds_n, 1);
    assert_non_null(l.question);
    struct buf b;
    buf_init(&b, 65536);
    assert_non_null(
        strstr(painted(&l, 100, 12, false, &b), "default: no  (pawl answer 4k2m00000000 TEXT)"));
    buf_fini(&b);
    live_fini(&l);
}

static void verdicts_are_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(state_exit("accepted"), 0);
    assert_int_equal(state_exit("exhausted"), 1);
    assert_int_equal(state_exit("failed"), 2);
    assert_int_equal(state_exit("cancelled"), 3);
    assert_int_equal(state_exit("running"), 124);
    assert_true(state_ended("cancelled"));
    assert_false(state_ended("waiting"));
    assert_false(state_ended("nonsense"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_as_lines),           cmocka_unit_test(a_job_as_rows),
        cmocka_unit_test(hostile_text_is_harmless), cmocka_unit_test(streamed_text_is_bounded),
        cmocka_unit_test(a_new_run_begins_anew),    cmocka_unit_test(the_record_is_a_start),
        cmocka_unit_test(verdicts_are_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
