/* SPDX-License-Identifier: Apache-2.0 */
/* The whole generate worker but for its broker, against the simulated model server and its faults. */
#include "tests/unit/unit.h"

#include "bench/llm-sim/sim.h"
#include "tests/unit/generate/fake.h"
#include "workers/generate/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

/* The server is a process of its own: the worker's loop must not serve it. */
struct server {
    pid_t pid;
    char base[64];
};

static void server_open(struct server *s, struct sim_conf conf)
{
    int pipes[2];
    char line[64] = "";
    assert_int_equal(pipe(pipes), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        struct err err = { 0 };
        conf.host = "127.0.0.1";
        conf.model = "sim-7b";
        struct mux *mux = mux_new(&err);
        struct sim *sim = sim_open(mux, &conf, &err);
        dprintf(pipes[1], "%d\n", sim ? sim_port(sim) : 0);
        close(pipes[0]);
        close(pipes[1]);
        enum status st = sim ? mux_run(mux, &err) : ERR_IO; /* until it is killed */
        _exit(status_exit(st));
    }
    close(pipes[1]);
    assert_true(read(pipes[0], line, sizeof line - 1) > 0);
    close(pipes[0]);
    snprintf(s->base, sizeof s->base, "http://127.0.0.1:%ld", strtol(line, NULL, 10));
}

static void server_close(struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

static json_t *docs(void)
{
    return json_pack("{s:{s:s,s:s,s:s,s:[{s:s,s:s,s:[]}],s:[s]}}", "brief", "change_name",
                     "lock-accounts", "title", "Lock accounts", "problem",
                     "After 5 failed attempts an account must be locked for 15 minutes. The owner "
                     "gets a message.",
                     "capabilities", "id", "auth", "purpose", "How people log in to their account.",
                     "requirements", "all_capabilities", "auth");
}

/* One task against base + path. The caller closes f. */
static struct task *run_at(struct fake *f, const char *base, const char *path, const json_t *d,
                           const char *stage)
{
    char url[128];
    struct err err = { 0 };
    snprintf(url, sizeof url, "%s%s", base, path);
    if (!fake_open(f, &generate_ops, &err, "model.url", url, "model.stall", "300ms", "model.first",
                   "400ms", NULL))
        fail_msg("%s", err.text);
    assert_true(fake_ready(f, PATIENCE_MS));
    struct task *t = fake_task(f, stage, 1, d, NULL);
    assert_non_null(t);
    assert_true(fake_run(f, t, PATIENCE_MS));
    return t;
}

static void a_draft_and_its_change_are_made(void **state)
{
    struct server s;
    struct fake f;
    (void)state;
    server_open(&s, (struct sim_conf){ .slots = 2 });
    json_t *d = docs();
    struct task *t = run_at(&f, s.base, "", d, "generate");
    if (t->ending != ENDING_DONE)
        fail_msg("%s", t->fail_text);
    json_t *draft = fake_result(t, "draft"), *change = fake_result(t, "change");
    assert_int_equal(js_count(js_list(draft, "requirements")), 2);
    assert_non_null(change);
    assert_true(f.steps >= 5 && f.tokens_out > 50);
    fake_close(&f);
    json_decref(draft);
    json_decref(change);
    json_decref(d);
    server_close(&s);
}

/* The model works on several requirements at once: their texts follow each other, they never mix. */
static void one_call_at_a_time_is_told_live(void **state)
{
    struct server s;
    struct fake f;
    size_t replies = 0;
    json_error_t e;
    (void)state;
    server_open(&s, (struct sim_conf){ .slots = 4, .tokens_per_s = 400 });
    json_t *d = docs();
    struct task *t = run_at(&f, s.base, "", d, "generate");
    assert_int_equal(t->ending, ENDING_DONE);
    struct str left = buf_get(&f.live);
    while (left.n > 0) {
        json_t *reply = json_loadb(left.p, left.n, JSON_DISABLE_EOF_CHECK, &e);
        if (!reply)
            fail_msg("after %zu replies: %s: %.*s", replies, e.text, STR_ARG(left));
        json_decref(reply);
        replies++;
        left = (struct str){ left.p + e.position, left.n - (size_t)e.position };
        while (left.n > 0 && (*left.p == '\n' || *left.p == ' '))
            left = (struct str){ left.p + 1, left.n - 1 };
    }
    assert_int_equal(replies, f.steps);
    fake_close(&f);
    json_decref(d);
    server_close(&s);
}

static void each_fault_fails_its_task_in_its_own_way(void **state)
{
    static const struct {
        const char *path;
        enum fault fault;
        const char *text;
    } cases[] = {
        { "/fault/404/v1", FAULT_PERMANENT, "ending in /v1" },
        { "/fault/401/v1", FAULT_PERMANENT, "model.key_file" },
        { "/fault/429/v1", FAULT_OVERLOADED, "busy" },
        { "/fault/503/v1", FAULT_OVERLOADED, "being loaded" },
        { "/fault/500/v1", FAULT_RETRYABLE, "HTTP 500" },
        { "/fault/html/v1", FAULT_PERMANENT, "HTML instead of JSON" },
        { "/fault/cut/v1", FAULT_RETRYABLE, "cut off" },
        { "/fault/empty/v1", FAULT_RETRYABLE, "empty" },
        { "/fault/error/v1", FAULT_RETRYABLE, "crashed" },
        { "/fault/string/v1", FAULT_RETRYABLE, "crashed" },
        { "/fault/overflow/v1", FAULT_PERMANENT, "larger context" },
        { "/fault/hang/v1", FAULT_RETRYABLE, "no answer within" },
        { "/fault/refuse/v1", FAULT_RETRYABLE, "cannot be reached" },
    };
    struct server s;
    (void)state;
    server_open(&s, (struct sim_conf){ .slots = 2 });
    json_t *d = docs();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fake f;
        struct task *t = run_at(&f, s.base, cases[i].path, d, "generate");
        if (t->ending != ENDING_FAIL || t->fault != cases[i].fault ||
            !strstr(t->fail_text, cases[i].text))
            fail_msg("%s: ending %d, fault %d: %s", cases[i].path, (int)t->ending, (int)t->fault,
                     t->fail_text);
        if (t->fault == FAULT_OVERLOADED)
            assert_true(t->retry_after_ms >= 1000);
        fake_close(&f);
    }
    json_decref(d);
    server_close(&s);
}

static void json_in_the_reasoning_is_used(void **state)
{
    struct server s;
    struct fake f;
    (void)state;
    server_open(&s, (struct sim_conf){ .slots = 2 });
    json_t *d = docs();
    struct task *t = run_at(&f, s.base, "/fault/reasoning/v1", d, "generate");
    assert_int_equal(t->ending, ENDING_DONE);
    fake_close(&f);
    json_decref(d);
    server_close(&s);
}

/* Steps of an attempt that died are in the task's documents: they are not paid for again. */
static void a_finished_call_is_never_paid_twice(void **state)
{
    struct server s;
    struct fake f;
    (void)state;
    server_open(&s, (struct sim_conf){ .slots = 2 });
    json_t *d = docs();
    struct task *t = run_at(&f, s.base, "", d, "generate");
    int64_t first = f.steps;
    json_t *draft = fake_result(t, "draft");
    json_t *steps = json_deep_copy(t->steps);
    fake_close(&f);
    js_set(d, "steps", json_pack("{s:o}", "items", steps));
    t = run_at(&f, s.base, "/fault/500/v1", d, "generate"); /* a new call would fail */
    if (t->ending != ENDING_DONE)
        fail_msg("%s", t->fail_text);
    json_t *again = fake_result(t, "draft");
    assert_true(first > 0 && f.steps == 0);
    assert_true(json_equal(draft, again));
    fake_close(&f);
    json_decref(draft);
    json_decref(again);
    json_decref(d);
    server_close(&s);
}

static void cancelling_closes_the_streams(void **state)
{
    struct server s;
    struct fake f;
    struct err err = { 0 };
    (void)state;
    server_open(&s, (struct sim_conf){ .slots = 2, .tokens_per_s = 5 });
    json_t *d = docs();
    assert_true(fake_open(&f, &generate_ops, &err, "model.url", s.base, NULL));
    assert_true(fake_ready(&f, PATIENCE_MS));
    struct task *slow = fake_task(&f, "generate", 1, d, NULL);
    int64_t deadline = mono_now().ms + PATIENCE_MS;
    while (slow->text_offset + slow->text.len == 0 && mono_now().ms < deadline)
        fake_turn(&f, 20); /* until its first token is here */
    f.worker.ops->cancel(f.worker.self, slow);
    fake_take(slow);
    fake_close(&f);
    json_decref(d);
    server_close(&s);
}

static void a_server_that_comes_late_is_waited_for(void **state)
{
    struct server s;
    struct fake f;
    struct err err = { 0 };
    (void)state;
    server_open(&s, (struct sim_conf){ .slots = 3 });
    int port = (int)strtol(strrchr(s.base, ':') + 1, NULL, 10);
    server_close(&s); /* only its free port was wanted */
    assert_true(fake_open(&f, &generate_ops, &err, "model.url", s.base, NULL));
    fake_turn(&f, 20);
    fake_turn(&f, 20);
    assert_false(f.worker.accept);
    server_open(&s, (struct sim_conf){ .slots = 3, .port = port });
    assert_true(fake_ready(&f, PATIENCE_MS));
    struct generate *g = f.worker.self;
    assert_int_equal(model_slots(g->model), 3);
    assert_string_equal(model_name(g->model), "sim-7b");
    fake_close(&f);
    server_close(&s);
}

/* ---- questions of the user ------------------------------------------------------------------------ */

static const char *tool(void *ctx, const char *server, const char *name, const json_t *arguments)
{
    (void)server;
    (void)name;
    (void)arguments;
    return ctx; /* NULL: a fault */
}

static void ask_with(const char *fresh, const char *want)
{
    struct server s;
    struct fake f;
    struct err err = { 0 };
    server_open(&s, (struct sim_conf){ .slots = 2 });
    json_t *d = docs();
    js_set(d, "ask",
           json_pack("{s:s,s:s}", "id", "a1", "text", "Which limit of uploads holds today?"));
    js_set(d, "insights",
           json_pack("{s:[{s:s,s:s,s:s,s:{s:s},s:s,s:s}]}", "items", "id", "i1", "server", "fs",
                     "tool", "read_file", "arguments", "path", "limits.txt", "excerpt",
                     "uploads limit = 10", "hash", "x"));
    assert_true(fake_open(&f, &generate_ops, &err, "model.url", s.base, NULL));
    f.tool = tool;
    f.tool_ctx = (void *)(uintptr_t)fresh;
    assert_true(fake_ready(&f, PATIENCE_MS));
    struct task *t = fake_task(&f, "ask", 1, d, NULL);
    assert_true(fake_run(&f, t, PATIENCE_MS));
    if (t->ending != ENDING_DONE)
        fail_msg("%s", t->fail_text);
    json_t *reply = fake_result(t, "reply");
    assert_int_equal(f.calls, 1);
    assert_string_equal(js_str(reply, "id"), "a1");
    assert_string_equal(js_str(reply, "model"), "sim-7b");
    if (!strstr(js_str(reply, "text"), want))
        fail_msg("'%s' is not in: %s", want, js_str(reply, "text"));
    json_decref(reply);
    json_decref(d);
    fake_close(&f);
    server_close(&s);
}

static void an_answer_knows_what_tools_say_now(void **state)
{
    (void)state;
    ask_with("uploads limit = 25", "uploads limit = 25");
    ask_with(NULL, "uploads limit = 10"); /* the tool fails: what was known then */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_and_its_change_are_made),
        cmocka_unit_test(one_call_at_a_time_is_told_live),
        cmocka_unit_test(each_fault_fails_its_task_in_its_own_way),
        cmocka_unit_test(json_in_the_reasoning_is_used),
        cmocka_unit_test(a_finished_call_is_never_paid_twice),
        cmocka_unit_test(cancelling_closes_the_streams),
        cmocka_unit_test(a_server_that_comes_late_is_waited_for),
        cmocka_unit_test(an_answer_knows_what_tools_say_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
