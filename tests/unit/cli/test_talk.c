/* SPDX-License-Identifier: Apache-2.0 */
/* The program against a scripted broker: watch, submit, answers, refusals, apply. */
#include "talk.h"

#include "common/clock.h"
#include "common/doc.h"
#include "common/hash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- watch ----------------------------------------------------------------------------------- */

static void watching_survives_another_broker(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("watch", JOB_ID));
    hear(s, MSG_WATCH);
    uint64_t req = s->m.WATCH.req;
    assert_true(str_is(s->m.WATCH.since, "0"));
    assert_true(s->m.WATCH.credit > 0);
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, RUNNING);
    event(s, req, "5-0", "job.state", "{'to':'running','run':1,'round':1,'stage':'generate'}");
    event(s, req, "5-1", "round",
          "{'run':1,'round':1,'kept':true,'reason':'first','verdict':{'gates':true,'measures':500,'"
          "judge':-1}}");
    event(s, req, "", "task.tokens", "{'task':'t','offset':0,'text':'xyz'}");
    s->epoch = 8; /* a restarted broker: what it says makes the client greet it */
    event(s, req, "9-9", "job.state", "{'to':'failed','run':1}");
    hear(s, MSG_HELLO);
    welcome(s);
    hear(s, MSG_WATCH);
    assert_true(str_is(s->m.WATCH.since, "5-1")); /* no gap, no repetition */
    assert_true(s->m.WATCH.req != req);
    event(s, s->m.WATCH.req, "6-0", "job.state",
          "{'to':'accepted','run':1,'round':2,'stage':'','reason':'target met'}");
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, ACCEPTED);
    assert_int_equal(ended(s), 0);
    wrote(s, "out", "1970-01-01T00:00:01.000Z " JOB_ID " running   generate round 1\n");
    wrote(s, "out", JOB_ID " round 1 kept: first (gates ok, measures 0.50)\n");
    wrote(s, "out",
          JOB_ID " accepted: target met (gates ok, measures 0.84, judge 0.62), round 2, 15 tokens, "
                 "1:01 min\n");
    wrote(s, "err", "pawl apply " JOB_ID);
    char *out = output(s, "out");
    assert_null(strstr(out, "failed"));
    free(out);
}

static void an_old_end_is_not_the_end(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("watch", "-o", "jsonl", JOB_ID));
    hear(s, MSG_WATCH);
    uint64_t req = s->m.WATCH.req;
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, "{'id':'" JOB_ID "','state':'running','run':2,'round':1}");
    event(s, req, "1-0", "job.state", "{'to':'exhausted','run':1}");
    event(s, req, "2-0", "job.state", "{'to':'queued','run':2}");
    event(s, req, "3-0", "job.state", "{'to':'failed','run':2,'reason':'no attempts left'}");
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, "{'id':'" JOB_ID "','state':'failed','run':2,'round':1}");
    assert_int_equal(ended(s), 2);
    wrote(s, "out",
          "{\"facts\":{\"run\":1,\"to\":\"exhausted\"},\"job\":\"" JOB_ID
          "\",\"kind\":\"job.state\",\"seq\":\"1-0\",\"t\":\"1970-01-01T00:00:01.000Z\"}\n");
    wrote(s, "out", "\"kind\":\"Job\"");
}

/* The record was read while the job ran, and comes after the event that it has ended. */
static void an_end_before_the_record_counts(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("watch", JOB_ID));
    hear(s, MSG_WATCH);
    uint64_t req = s->m.WATCH.req;
    hear(s, MSG_SHOW);
    event(s, req, "5-0", "job.state", "{'to':'accepted','run':1,'round':2,'reason':'target met'}");
    answer_map(s, MSG_JOB, RUNNING);
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, ACCEPTED);
    assert_int_equal(ended(s), 0);
}

static void ctrl_c_stops_the_watching_only(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("watch", JOB_ID));
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, RUNNING);
    kill(s->pid, SIGINT);
    assert_int_equal(ended(s), 130);
    wrote(s, "err", JOB_ID " goes on; `pawl watch " JOB_ID "` follows it");
}

static void time_runs_out(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("watch", JOB_ID, "--timeout", "200ms", "-o", "json"));
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, RUNNING);
    assert_int_equal(ended(s), 124);
    wrote(s, "out", "{\"status\":[{\"code\":\"timeout\"");
}

static void a_question_is_asked_on_the_terminal(void **state)
{
    struct stage *s = *state;
    char *all = calloc(1, OUTPUT_MAX);
    int terminal = talk_start_on_terminal(s, WORDS("watch", JOB_ID));
    hear(s, MSG_WATCH);
    uint64_t req = s->m.WATCH.req;
    assert_true(str_is(s->m.WATCH.since, "")); /* the record says the rest */
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, RUNNING);
    event(s, req, "", "task.tokens", "{'task':'t','offset':0,'text':'The system SHALL'}");
    shows(s, terminal, "The system SHALL", all, OUTPUT_MAX);
    event(s, req, "5-0", "job.state", "{'to':'waiting','run':1,'round':1,'stage':'analyze'}");
    event(s, req, "5-1", "question",
          "{'id':'q1','text':'Which?','otherwise':'both','options':['one','both']}");
    shows(s, terminal, "answer (empty: both)> ", all, OUTPUT_MAX);
    assert_int_equal(write(terminal, "the first\n", 10), 10);
    hear(s, MSG_ANSWER);
    assert_true(str_is(s->m.ANSWER.question, "q1"));
    assert_true(str_is(s->m.ANSWER.text, "the first"));
    okay(s, "");
    event(s, req, "6-0", "job.state", "{'to':'cancelled','run':1,'reason':'by the user'}");
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, "{'id':'" JOB_ID "','state':'cancelled','run':1,'round':1}");
    shows(s, terminal, JOB_ID " cancelled", all, OUTPUT_MAX);
    assert_int_equal(ended(s), 3);
    close(terminal);
    free(all);
}

/* ---- submit ---------------------------------------------------------------------------------- */

static void submitting_waits_and_brings_what_is_needed(void **state)
{
    struct stage *s = *state;
    char key[PAWL_KEY_MAX + 1], hash[HASH_BYTES];
    talk_start(s, WORDS("submit", "Users wait too long.", "--rounds", "3", "--label", "slow"));
    hear(s, MSG_SUBMIT);
    snprintf(key, sizeof key, "%.*s", STR_ARG(s->m.SUBMIT.key));
    assert_int_equal(strlen(key), 24);
    assert_int_equal(s->m.SUBMIT.workspace.n, HASH_BYTES);
    memcpy(hash, s->m.SUBMIT.workspace.p, HASH_BYTES);
    json_t *budget = NULL, *problem = NULL;
    assert_int_equal(js_from_mp(s->m.SUBMIT.budget, &budget, NULL), OK);
    assert_int_equal(json_object_size(budget), 1); /* defaults are the broker's business */
    assert_int_equal(js_int(budget, "rounds", 0), 3);
    assert_int_equal(doc_unpack("problem", peer_frame(&s->in, 1), &problem, NULL), OK);
    assert_string_equal(js_str(problem, "text"), "Users wait too long.");
    json_decref(budget);
    json_decref(problem);
    refuse(s, s->m.SUBMIT.req, "busy", "too many open jobs", 30);
    hear(s, MSG_SUBMIT);
    assert_true(str_is(s->m.SUBMIT.key, key)); /* the same submission, not another */
    struct msg need = { .type = MSG_NEED, .NEED = { s->m.SUBMIT.req, { hash, HASH_BYTES } } };
    say(s, &need, NULL);
    hear(s, MSG_PUT);
    struct buf plain;
    buf_init(&plain, 1 << 20);
    assert_int_equal(blob_unpack(peer_frame(&s->in, 1), 1 << 20, &plain), OK);
    struct hash h = hash_of(buf_get(&plain));
    assert_memory_equal(h.b, hash, HASH_BYTES);
    assert_memory_equal(s->m.PUT.hash.p, hash, HASH_BYTES);
    buf_fini(&plain);
    okay(s, "");
    hear(s, MSG_SUBMIT);
    assert_true(str_is(s->m.SUBMIT.key, key));
    struct msg done = { .type = MSG_SUBMITTED };
    done.SUBMITTED.req = s->m.SUBMIT.req;
    done.SUBMITTED.job = str_of(JOB_ID);
    done.SUBMITTED.unserved.v[0] = str_of("generate");
    done.SUBMITTED.unserved.n = 1;
    say(s, &done, NULL);
    assert_int_equal(ended(s), 0);
    char *out = output(s, "out");
    assert_string_equal(out, JOB_ID "\n");
    free(out);
    wrote(s, "err", "too many open jobs");
    wrote(s, "err", "no worker serves generate now");
    wrote(s, "err", JOB_ID " is queued: Users wait too long.");
}

static void a_restart_in_the_middle_of_submitting(void **state)
{
    struct stage *s = *state;
    char key[PAWL_KEY_MAX + 1];
    talk_start(s, WORDS("submit", "Users wait too long.", "-q"));
    hear(s, MSG_SUBMIT);
    snprintf(key, sizeof key, "%.*s", STR_ARG(s->m.SUBMIT.key));
    s->epoch = 8;
    struct msg pong = { .type = MSG_PONG };
    say(s, &pong, NULL);
    hear(s, MSG_SUBMIT);
    assert_true(str_is(s->m.SUBMIT.key, key));
    struct msg done = { .type = MSG_SUBMITTED };
    done.SUBMITTED.req = s->m.SUBMIT.req;
    done.SUBMITTED.job = str_of(JOB_ID);
    done.SUBMITTED.existing = true;
    say(s, &done, NULL);
    assert_int_equal(ended(s), 0);
}

/* ---- several brokers ------------------------------------------------------------------------- */

/* The program knows two; the first one leads so far. */
static void know_two(struct stage *s)
{
    size_t n = strlen(s->endpoint);
    snprintf(s->endpoint + n, sizeof s->endpoint - n, ",ipc://%s/other", s->dir);
}

static struct peer *lead_elsewhere(struct stage *s)
{
    struct peer *old = s->broker;
    char other[96];
    snprintf(other, sizeof other, "ipc://%s/other", s->dir);
    s->broker = peer_bind(other, NULL, NULL, NULL);
    assert_non_null(s->broker);
    s->epoch = 8;
    return old;
}

/* It is connected and says nothing, as a process that was stopped. */
static void watching_leaves_a_silent_broker(void **state)
{
    struct stage *s = *state;
    know_two(s);
    talk_start(s, WORDS("watch", JOB_ID));
    hear(s, MSG_WATCH);
    uint64_t req = s->m.WATCH.req;
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, RUNNING);
    event(s, req, "5-1", "job.state", "{'to':'running','run':1,'round':1,'stage':'generate'}");
    struct peer *old = lead_elsewhere(s);
    hear(s, MSG_HELLO);
    welcome(s);
    hear(s, MSG_WATCH);
    assert_true(str_is(s->m.WATCH.since, "5-1"));
    event(s, s->m.WATCH.req, "6-0", "job.state",
          "{'to':'accepted','run':1,'round':2,'stage':'','reason':'target met'}");
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, ACCEPTED);
    assert_int_equal(ended(s), 0);
    peer_close(old);
}

static void a_question_is_asked_where_the_store_is(void **state)
{
    struct stage *s = *state;
    char key[PAWL_KEY_MAX + 1];
    know_two(s);
    talk_start(s, WORDS("submit", "Users wait too long.", "-q"));
    hear(s, MSG_SUBMIT);
    snprintf(key, sizeof key, "%.*s", STR_ARG(s->m.SUBMIT.key));
    refuse(s, s->m.SUBMIT.req, "unavailable", "Redis is away", 1000);
    struct peer *old = lead_elsewhere(s);
    hear(s, MSG_SUBMIT);
    assert_true(str_is(s->m.SUBMIT.key, key));
    struct msg done = { .type = MSG_SUBMITTED };
    done.SUBMITTED.req = s->m.SUBMIT.req;
    done.SUBMITTED.job = str_of(JOB_ID);
    say(s, &done, NULL);
    assert_int_equal(ended(s), 0);
    peer_close(old);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void being_refused_is_an_exit_code(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("ps", "-o", "json"));
    while (!hear_any(s, 100) || s->m.type != MSG_HELLO)
        assert_true(s->pid > 0);
    refuse(s, 0, "denied", "not in the allow file", 0);
    assert_int_equal(ended(s), 77);
    wrote(s, "out",
          "{\"status\":[{\"code\":\"denied\",\"fix\":\"do this\",\"message\":\"not in the allow "
          "file\",\"severity\":\"error\"}]}");
}

static void what_may_not_be_said_twice_is_not(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("comment", JOB_ID, "keep the limit"));
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, RUNNING);
    hear(s, MSG_COMMENT);
    assert_true(str_is(s->m.COMMENT.text, "keep the limit"));
    s->epoch = 8; /* restarted before it answered: was it done? */
    struct msg pong = { .type = MSG_PONG };
    say(s, &pong, NULL);
    hear(s, MSG_HELLO);
    welcome(s);
    assert_int_equal(ended(s), 69);
    wrote(s, "err", "the broker was restarted before it answered");
}

static void an_unknown_job_is_not_found(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("show", "zzzz"));
    hear(s, MSG_SHOW);
    refuse(s, s->m.SHOW.req, "not-found", "there is no such job", 0);
    assert_int_equal(ended(s), 66);
    wrote(s, "err", "pawl: zzzz: there is no such job\n  fix: `pawl ps --state all`");
}

/* A broker that does not know us (any more): greet again, then ask again. */
static void a_forgetful_broker_is_greeted_again(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("show", "-o", "id", JOB_ID));
    hear(s, MSG_SHOW);
    refuse(s, s->m.SHOW.req, "protocol", "say HELLO first", 0);
    hear(s, MSG_HELLO);
    welcome(s);
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, RUNNING);
    assert_int_equal(ended(s), 0);
    wrote(s, "out", JOB_ID "\n");
}

/* A broker without its store greets nobody, but says why. */
static void a_lost_store_is_said(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("ps"));
    while (!hear_any(s, 100) || s->m.type != MSG_STATUS)
        assert_true(s->m.type == 0 || s->m.type == MSG_HELLO);
    answer_map(s, MSG_ANSWERED,
               "{'store':{'ok':false,'url':'unix:///r.sock','reason':'Connection refused'}}");
    assert_int_equal(ended(s), 69);
    wrote(s, "err",
          "the broker is there, but the store unix:///r.sock is away: Connection refused");
}

/* ---- ask, apply ------------------------------------------------------------------------------ */

static void an_answer_is_read_from_the_record(void **state)
{
    struct stage *s = *state;
    talk_start(s, WORDS("ask", JOB_ID, "why?"));
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, RUNNING);
    hear(s, MSG_ASK);
    okay(s, "a1");
    s->epoch = 8; /* the event of the reply is lost with the old broker */
    struct msg pong = { .type = MSG_PONG };
    say(s, &pong, NULL);
    hear(s, MSG_HELLO); /* what was asked before this is asked again */
    welcome(s);
    hear(s, MSG_GET);
    assert_true(str_is(s->m.GET.name, "reply/a1"));
    answer_doc(s, "reply",
               "{'id':'a1','question':'why?','text':'Because of i1.','sources':['i1']}");
    assert_int_equal(ended(s), 0);
    char *out = output(s, "out");
    assert_string_equal(out, "Because of i1.\n");
    free(out);
    wrote(s, "err", "from: i1");
}

static void apply_once(struct stage *s, const char *flag, const char *change)
{
    talk_start(s, flag ? WORDS("apply", JOB_ID, flag) : WORDS("apply", JOB_ID));
    hear(s, MSG_SHOW);
    answer_map(s, MSG_JOB, ACCEPTED);
    hear(s, MSG_GET);
    assert_true(str_is(s->m.GET.name, "change@best"));
    answer_doc(s, "change", change);
}

static void a_change_is_applied_once(void **state)
{
    struct stage *s = *state;
    static const char change[] = "{'name':'add-otp','files':[{'path':'proposal.md','text':'# "
                                 "why'},{'path':'specs/a/spec.md','text':'x'}]}";
    char path[128];
    apply_once(s, NULL, change);
    assert_int_equal(ended(s), 0);
    wrote(s, "out", "/openspec/changes/add-otp\n");
    wrote(s, "err", "openspec validate add-otp --strict");
    snprintf(path, sizeof path, "%s/openspec/changes/add-otp/specs/a/spec.md", s->dir);
    assert_int_equal(access(path, F_OK), 0);
    apply_once(s, NULL, change); /* onto what is there, which was written from the same */
    hear(s, MSG_GET);
    assert_true(str_is(s->m.GET.name, "change"));
    answer_doc(s, "change", change);
    assert_int_equal(ended(s), 0);
    apply_once(s, "--force", change);
    assert_int_equal(ended(s), 0);
    apply_once(s, "--force", "{'name':'../../evil','files':[{'path':'a','text':''}]}");
    assert_int_equal(ended(s), 65);
}

/* ---- bad input, before anybody is asked ------------------------------------------------------ */

static void bad_input_is_told_at_once(void **state)
{
    struct stage *s = *state;
    static const struct {
        const char *words[5];
        int code;
        const char *says;
    } cases[] = {
        { { "submit", " " }, 65, "the problem statement is empty" },
        { { "submit", "big.md" }, 65, "may be 1 MiB" },
        { { "submit", "bad.md" }, 65, "bad.md:2: byte 2 (0xff) is not UTF-8" },
        { { "submit", "none.md" }, 66, "no such file" },
        { { "submit", "two words", "--change", "nope" }, 66, "no such change" },
        { { "submit", "two words", "--rounds", "0" }, 64, "less than 1" },
        { { "submit", "two words", "-C", "/" }, 66, "is not an OpenSpec repository" },
        { { "submit", "two words", "--set", "loop.rouds=3" }, 78, "did you mean 'loop.rounds'?" },
        { { "ps", "--state", "done" }, 64, "unknown" },
        { { "ps", "--broker", "ipc:///tmp/pawl-no-such.sock" }, 69, "`pawl up` starts a broker" },
    };
    char path[96];
    snprintf(path, sizeof path, "%s/big.md", s->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 10 * 1024; i++)
        fprintf(f, "%01023d\n", i);
    fclose(f);
    snprintf(path, sizeof path, "%s/bad.md", s->dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("a\n\xff", f);
    fclose(f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        talk_start(s, cases[i].words);
        assert_int_equal(ended(s), cases[i].code);
        wrote(s, "err", cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(watching_survives_another_broker),
        TALK_TEST(an_old_end_is_not_the_end),
        TALK_TEST(an_end_before_the_record_counts),
        TALK_TEST(ctrl_c_stops_the_watching_only),
        TALK_TEST(time_runs_out),
        TALK_TEST(a_question_is_asked_on_the_terminal),
        TALK_TEST(submitting_waits_and_brings_what_is_needed),
        TALK_TEST(a_restart_in_the_middle_of_submitting),
        TALK_TEST(watching_leaves_a_silent_broker),
        TALK_TEST(a_question_is_asked_where_the_store_is),
        TALK_TEST(being_refused_is_an_exit_code),
        TALK_TEST(what_may_not_be_said_twice_is_not),
        TALK_TEST(an_unknown_job_is_not_found),
        TALK_TEST(a_forgetful_broker_is_greeted_again),
        TALK_TEST(a_lost_store_is_said),
        TALK_TEST(an_answer_is_read_from_the_record),
        TALK_TEST(a_change_is_applied_once),
        TALK_TEST(bad_input_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
