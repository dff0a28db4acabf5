/* SPDX-License-Identifier: Apache-2.0 */
/* What people say to a job: answers, comments, questions of their own, pause and cancel. */
#include "world.h"

#include <stdio.h>
#include <string.h>

/* ---- questions and comments ------------------------------------------------------------------ */

static void answer(struct world *w, struct job_id id, const char *question, const char *text)
{
    struct msg m = { .type = MSG_ANSWER,
                     .ANSWER = { ++w->req, str_of(id.text), str_of(question), str_of(text),
                                 str_of("mcp") } };
    world_say(w, 99, &m);
}

static void questions_wait_and_the_first_answer_wins(void **s)
{
    struct world *w = *s;
    struct held h;
    static const char raw[] = "\x83\xa2id\xa2q1\xa4text\xa1?\xa9otherwise\xa1x";
    struct asked asked[2] = {
        { str_of("q1"), str_of("?"), str_of("x"), { raw, sizeof raw - 1 }, 5000 },
        { str_of("q2"), str_of("??"), str_of("y"), { raw, sizeof raw - 1 }, 0 },
    };
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    done(w, 1, &h,
         (struct outcome){
             .docs = "brief questions", .measures = -1, .asked = asked, .asked_n = 2 });
    assert_int_equal(state(w, id), JOB_WAITING);
    int64_t used = job_wall_used(job(w, id), w->wall_ms);
    answer(w, id, "", "which?");
    assert_non_null(world_read(w, 99, MSG_REFUSED)); /* two are open */
    answer(w, id, "q2", "mi\nne");
    assert_non_null(world_read(w, 99, MSG_OKAY));
    answer(w, id, "q2", "late");
    const struct letter *late = world_read(w, 99, MSG_REFUSED);
    assert_true(late && str_is(late->m.REFUSED.text, "already answered by the user (mcp): mi ne"));
    assert_int_equal(state(w, id), JOB_WAITING);
    world_restart(w); /* open questions survive */
    assert_int_equal(state(w, id), JOB_WAITING);
    client(w, 99);
    answer(w, id, "q2", "later");
    late = world_read(w, 99, MSG_REFUSED); /* and whose answer holds */
    assert_true(late && str_is(late->m.REFUSED.text, "already answered by the user (mcp): mi ne"));
    world_pass(w, 5000); /* the default of q1 holds */
    assert_int_equal(state(w, id), JOB_QUEUED);
    assert_int_equal(job(w, id)->answers_n, 2);
    assert_in_range(job_wall_used(job(w, id), w->wall_ms), used, used + 1); /* it stood still */
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    assert_true(has_doc(&h, "answers"));
}

static void a_pause_outlasts_the_question_of_its_stage(void **s)
{
    struct world *w = *s;
    struct held h;
    struct asked q = {
        .id = str_of("q"), .text = str_of("?"), .otherwise = str_of("no"), .raw = { "\x80", 1 }
    };
    hello(w, 1, "w", all_stages);
    struct job_id id = submit(w, "k");
    assert_true(take(w, 1, &h));
    pause_job(w, id, true);
    struct outcome o = { .docs = "brief questions", .measures = -1, .judge = -1 };
    o.asked = &q;
    o.asked_n = 1;
    assert_string_equal(done(w, 1, &h, o), "committed");
    assert_int_equal(state(w, id), JOB_WAITING);
    answer(w, id, "q", "yes");
    assert_int_equal(state(w, id), JOB_PAUSED);
    pause_job(w, id, false);
    assert_int_equal(state(w, id), JOB_RUNNING);
}

/* Its record says which round hears it first. */
static void heard_in(struct world *w, struct job_id id, int number, char round)
{
    char key[64], field[32], wanted[] = "\xa5heard?";
    snprintf(key, sizeof key, "d:%s", id.text);
    snprintf(field, sizeof field, "comments#%d", number);
    wanted[sizeof wanted - 2] = round;
    const struct buf *item = store_fake_get(&w->fake, key, field);
    assert_non_null(item);
    assert_non_null(memmem(item->data, item->len, wanted, sizeof wanted - 1));
}

static void comments_are_heard_by_the_next_round(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    work(w, 1, -1);
    work(w, 1, -1);
    work(w, 1, -1); /* generate of round 1 is done */
    struct msg m = { .type = MSG_COMMENT, .COMMENT = { 1, str_of(id.text), str_of("shorter") } };
    client(w, 99);
    world_say(w, 99, &m);
    const struct letter *okay = world_read(w, 99, MSG_OKAY);
    assert_true(okay && str_is(okay->m.OKAY.id, "c1"));
    heard_in(w, id, 1, 2);
    work(w, 1, 950); /* meets the target, but the comment has not been heard */
    assert_int_equal(state(w, id), JOB_RUNNING);
    assert_int_equal(job(w, id)->round, 2);
    work(w, 1, -1);
    assert_true(take(w, 1, &h));
    assert_true(has_doc(&h, "comments"));
    done(w, 1, &h, (struct outcome){ .docs = "draft change", .measures = -1 });
    work(w, 1, 960);
    assert_int_equal(state(w, id), JOB_ACCEPTED);
    /* on an ended job: the next run, fresh budget, the best as parent */
    world_say(w, 99, &m);
    heard_in(w, id, 2, 3);
    assert_int_equal(job(w, id)->run, 2);
    assert_int_equal(job(w, id)->tokens_in, 0);
    world_say(w, 99, &m); /* before anything of the new run has begun */
    heard_in(w, id, 3, 1);
    work(w, 1, -1);
    work(w, 1, -1);
    assert_true(take(w, 1, &h));
    assert_true(has_doc(&h, "draft@best"));
    done(w, 1, &h, (struct outcome){ .docs = "draft change", .measures = -1 });
    work(w, 1, 820); /* lower than before, yet the first that knows the comment */
    assert_int_equal(state(w, id), JOB_ACCEPTED);
    assert_int_equal(job(w, id)->best_run, 2);
}

static void asks_do_not_disturb_the_job(void **s)
{
    struct world *w = *s;
    struct held h;
    char key[64];
    struct job_id id = submit(w, "k");
    struct msg m = { .type = MSG_ASK, .ASK = { 1, str_of(id.text), str_of("why?") } };
    world_say(w, 99, &m);
    const struct letter *okay = world_read(w, 99, MSG_OKAY);
    assert_true(okay && str_is(okay->m.OKAY.id, "a1"));
    world_restart(w); /* durable */
    hello(w, 1, "w", "ask");
    assert_true(take(w, 1, &h));
    assert_true(str_is(h.m.stage, "ask") && has_doc(&h, "ask") && has_doc(&h, "problem"));
    assert_int_equal(state(w, id), JOB_QUEUED);
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "reply", .measures = -1 }),
                        "committed");
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "reply", .measures = -1 }),
                        "already");
    snprintf(key, sizeof key, "d:%s", id.text);
    assert_non_null(store_fake_get(&w->fake, key, "reply/a1"));
    assert_null(job(w, id)->asks);
    /* one that cannot be answered says so, and it is on an ended job */
    struct msg cancel = { .type = MSG_CANCEL, .CANCEL = { 2, str_of(id.text), str_of("") } };
    client(w, 99);
    world_say(w, 99, &cancel);
    world_say(w, 99, &m);
    assert_true(take(w, 1, &h));
    failed(w, 1, &h, "permanent", 0);
    assert_non_null(store_fake_get(&w->fake, key, "reply/a2"));
    assert_int_equal(state(w, id), JOB_CANCELLED);
}

/* ---- pause and cancel ------------------------------------------------------------------------ */

static void pause_waits_for_the_stage_and_resumes(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    struct msg m = { .type = MSG_PAUSE,
                     .PAUSE = { .req = 1, .job = str_of(id.text), .hold = true } };
    world_say(w, 99, &m);
    assert_int_equal(state(w, id), JOB_RUNNING);
    done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 });
    assert_int_equal(state(w, id), JOB_PAUSED);
    world_restart(w);
    world_pass(w, 3600000 * 10); /* the wall budget stands still */
    assert_int_equal(state(w, id), JOB_PAUSED);
    client(w, 99);
    hello(w, 1, "w", all_stages);
    m.PAUSE.hold = false;
    world_say(w, 99, &m);
    assert_true(take(w, 1, &h));
    assert_true(str_is(h.m.stage, "analyze"));
}

static void cancel_drops_the_lease(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    struct msg m = { .type = MSG_CANCEL, .CANCEL = { 1, str_of(id.text), str_of("not needed") } };
    world_say(w, 99, &m);
    const struct letter *drop = world_read(w, 1, MSG_DROP);
    assert_true(drop && drop->guarded && str_is(drop->m.DROP.reason, "cancelled"));
    assert_int_equal(state(w, id), JOB_CANCELLED);
    assert_string_equal(job(w, id)->reason, "not needed");
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(questions_wait_and_the_first_answer_wins),
        WORLD_TEST(a_pause_outlasts_the_question_of_its_stage),
        WORLD_TEST(comments_are_heard_by_the_next_round),
        WORLD_TEST(asks_do_not_disturb_the_job),
        WORLD_TEST(pause_waits_for_the_stage_and_resumes),
        WORLD_TEST(cancel_drops_the_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
