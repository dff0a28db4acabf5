/* SPDX-License-Identifier: Apache-2.0 */
/* Server processes on the loop: servers that misbehave (tests/fakes/mcp) and, where they are
 * installed (PAWL_NODE_MODULES), real ones. Every wait is for a condition, with a deadline. */
#include "tests/unit/unit.h"

#include "workers/analyze/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, TIMEOUT_MS = 10000 };

struct rig {
    struct mux *mux;
    struct log log;
    struct mcp_file file;
    struct server *server;
    char dir[64];
};

static const char *env_of(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static int rig_open(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct err err = { 0 };
    r->mux = mux_new(&err);
    assert_non_null(r->mux);
    log_init(&r->log, "test", "error", false);
    snprintf(r->dir, sizeof r->dir, "/tmp/pawl-server-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    *state = r;
    return 0;
}

static int rig_close(void **state)
{
    struct rig *r = *state;
    char cmd[128];
    if (r->server)
        servers_close(&r->server, 1);
    mcpjson_fini(&r->file);
    mux_free(r->mux);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", r->dir);
    int rc = system(cmd);
    free(r);
    return rc;
}

/* Start the server that this entry of mcp.json describes. */
static void begin(struct rig *r, int64_t timeout_ms, const char *entry)
{
    struct mcp_vars vars = { env_of, NULL, r->dir };
    struct err err = { 0 };
    struct buf text;
    buf_init(&text, 65536);
    buf_printf(&text, "{\"mcpServers\":{\"s\":%s}}", entry);
    if (mcpjson_read(buf_get(&text), "mcp.json", &vars, &r->file, NULL, &err) != OK)
        fail_msg("%s", err.text);
    buf_fini(&text);
    r->server = server_new(r->mux, &r->log, &r->file.servers[0], timeout_ms);
    server_start(r->server);
}

static void begin_fake(struct rig *r, int64_t timeout_ms, const char *mode)
{
    char entry[1400], cwd[1024];
    assert_non_null(getcwd(cwd, sizeof cwd)); /* servers run elsewhere */
    snprintf(entry, sizeof entry,
             "{\"command\":\"python3\",\"args\":[\"%s/tests/fakes/mcp/server.py\",\"%s\"]}", cwd,
             mode);
    begin(r, timeout_ms, entry);
}

/* Turn the loop until the server has settled. */
static void settle(struct rig *r)
{
    int64_t until = mono_now().ms + PATIENCE_MS;
    while (!server_settled(r->server)) {
        assert_true(mono_now().ms < until);
        assert_int_equal(mux_turn(r->mux, 100, NULL), OK);
    }
}

struct asked {
    struct server_call call;
    bool done, answered, is_error, sent;
    int steps; /* of progress */
    char text[4096];
    size_t text_n;
    char fault[1200];
};

static void on_step(void *ctx, double done, double total, const char *text)
{
    struct asked *a = ctx;
    assert_true(done > 0 && total >= done && text);
    a->steps++;
}

static void on_answer(void *ctx, struct server_call *call, const struct server_result *r)
{
    struct asked *a = ctx;
    (void)call;
    assert_false(a->done);
    a->done = true;
    a->answered = r->answered;
    a->is_error = r->is_error;
    a->sent = r->sent;
    a->text_n = r->text.n;
    snprintf(a->text, sizeof a->text, "%.*s", STR_ARG(r->text));
    snprintf(a->fault, sizeof a->fault, "%s", r->fault);
}

static void ask(struct rig *r, struct asked *a, const char *tool, const char *arguments)
{
    struct err err = { 0 };
    json_t *args = js_parse(str_of(arguments), &err);
    *a = (struct asked){ .call = { .fn = on_answer, .progress = on_step, .ctx = a } };
    if (server_call(r->server, &a->call, tool, args, &err) != OK) {
        a->done = true;
        snprintf(a->fault, sizeof a->fault, "%s", err.text);
    }
    json_decref(args);
}

static void wait_for(struct rig *r, struct asked *a)
{
    int64_t until = mono_now().ms + PATIENCE_MS;
    while (!a->done) {
        assert_true(mono_now().ms < until);
        assert_int_equal(mux_turn(r->mux, 100, NULL), OK);
    }
}

static void call(struct rig *r, struct asked *a, const char *tool, const char *arguments)
{
    ask(r, a, tool, arguments);
    wait_for(r, a);
}

#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        if (!strstr(text, part))                                                                   \
            fail_msg("no '%s' in '%s'", part, text);                                               \
    } while (0)

/* ---- servers that misbehave ------------------------------------------------------------------ */

static void a_call_waits_for_the_start_and_is_answered(void **state)
{
    struct rig *r = *state;
    struct asked a, b, c;
    begin_fake(r, TIMEOUT_MS, "good");
    ask(r, &a, "echo", "{\"x\":1}"); /* before it is ready */
    call(r, &b, "fail", "{}");
    call(r, &c, "missing", "{}");
    assert_true(a.done && a.answered && !a.is_error);
    assert_string_equal(a.text, "{\"x\": 1}");
    assert_true(b.answered && b.is_error);
    assert_string_equal(b.text, "no such customer");
    assert_false(c.answered);
    assert_has(c.fault, "it has no tool 'missing'; it offers: echo, fail");
    assert_string_equal(server_fault(r->server), "");
}

static void exits_at_once(void **state)
{
    struct rig *r = *state;
    struct asked a;
    begin_fake(r, TIMEOUT_MS, "exits");
    call(r, &a, "echo", "{}");
    assert_has(a.fault, "exited with status 7 before it was ready");
    assert_has(a.fault, "Error: FAKE_TOKEN is not set");
    assert_false(a.sent);
    assert_true(server_settled(r->server) && !server_ready(r->server));
    assert_has(server_fault(r->server), "status 7");
}

static void a_command_that_is_not_there(void **state)
{
    struct rig *r = *state;
    begin(r, TIMEOUT_MS, "{\"command\":\"no-such-program-here\"}");
    settle(r);
    assert_has(server_fault(r->server),
               "cannot run no-such-program-here: No such file or directory");
}

static void a_directory_that_is_not_there(void **state)
{
    struct rig *r = *state;
    begin(r, TIMEOUT_MS, "{\"command\":\"true\",\"cwd\":\"/no/such/dir\"}");
    settle(r);
    assert_has(server_fault(r->server), "cannot change to the directory /no/such/dir");
}

static void garbage_is_quoted(void **state)
{
    struct rig *r = *state;
    struct asked a;
    begin_fake(r, 4000, "garbage");
    call(r, &a, "echo", "{}");
    settle(r);
    assert_has(server_fault(r->server), "no answer to initialize within 4000 ms");
    assert_has(server_fault(r->server), "Listening on port 3000");
}

static void a_banner_does_no_harm(void **state)
{
    struct rig *r = *state;
    struct asked a;
    begin_fake(r, TIMEOUT_MS, "banner");
    call(r, &a, "echo", "{\"a\":\"b\"}");
    assert_string_equal(a.text, "{\"a\": \"b\"}");
}

static void silence_ends_with_the_timeout(void **state)
{
    struct rig *r = *state;
    struct asked a;
    int64_t began = mono_now().ms;
    begin_fake(r, 300, "silent");
    call(r, &a, "echo", "{}");
    settle(r);
    assert_has(server_fault(r->server), "no answer to initialize within 300 ms");
    assert_true(mono_now().ms - began < TIMEOUT_MS);
}

static void a_silent_call_costs_only_itself(void **state)
{
    struct rig *r = *state;
    struct asked a, b;
    begin_fake(r, 1500, "slow");
    settle(r);
    ask(r, &a, "wait", "{}");
    call(r, &b, "echo", "{}");
    assert_true(b.answered && !a.done);
    wait_for(r, &a);
    assert_has(a.fault, "no answer within");
    assert_true(a.sent && !a.answered);
    call(r, &b, "echo", "{}");
    assert_true(b.answered);
}

static void twenty_megabytes_cost_only_their_call(void **state)
{
    struct rig *r = *state;
    struct asked a, b;
    begin_fake(r, TIMEOUT_MS, "large");
    ask(r, &a, "big", "{}");
    call(r, &b, "echo", "{\"k\":2}");
    wait_for(r, &a);
    assert_false(a.answered);
    assert_has(a.fault, "its answer is larger than 16777216 bytes");
    assert_string_equal(b.text, "{\"k\": 2}");
    assert_true(server_ready(r->server));
}

static void a_modern_server_is_spoken_to_its_way(void **state)
{
    struct rig *r = *state;
    struct asked a;
    begin_fake(r, TIMEOUT_MS, "modern");
    call(r, &a, "echo", "{\"m\":true}");
    assert_string_equal(a.text, "{\"m\": true}");
}

static void a_refused_start_is_told_at_once(void **state)
{
    struct rig *r = *state;
    struct asked a;
    int64_t began = mono_now().ms;
    begin_fake(r, TIMEOUT_MS, "refuses");
    call(r, &a, "echo", "{}");
    assert_has(a.fault, "no licence for this machine");
    assert_true(mono_now().ms - began < TIMEOUT_MS / 2);
    assert_has(server_fault(r->server), "no licence for this machine");
}

static void all_pages_of_tools_are_read(void **state)
{
    struct rig *r = *state;
    begin_fake(r, TIMEOUT_MS, "pages");
    settle(r);
    assert_int_equal(server_tools(r->server)->n, 3);
    assert_string_equal(server_tools(r->server)->items[2].name, "echo2");
}

static void questions_of_the_server_are_answered(void **state)
{
    struct rig *r = *state;
    struct asked a;
    begin_fake(r, TIMEOUT_MS, "asks");
    call(r, &a, "echo", "{}");
    assert_true(a.answered);
}

static void a_server_that_dies_is_started_again(void **state)
{
    struct rig *r = *state;
    struct asked a, b;
    begin_fake(r, TIMEOUT_MS, "dies");
    call(r, &a, "die", "{}");
    assert_true(!a.answered && a.sent); /* may have done its work: not to be repeated blindly */
    assert_has(a.fault, "its process exited with status 3");
    assert_has(server_fault(r->server), "Error: the disk is full");
    call(r, &b, "echo", "{\"again\":1}"); /* waits for the restart */
    assert_true(b.answered);
    assert_string_equal(server_fault(r->server), "");
}

static bool alive(int pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}

static void stopping_leaves_nobody_behind(void **state)
{
    struct rig *r = *state;
    char entry[1600], path[128], cwd[1024];
    int pid = 0, child = 0;
    snprintf(path, sizeof path, "%s/pids", r->dir);
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(entry, sizeof entry,
             "{\"command\":\"python3\",\"args\":[\"%s/tests/fakes/mcp/"
             "server.py\",\"stubborn\"],\"env\":{\"FAKE_PIDS\":\"%s\"}}",
             cwd, path);
    begin(r, TIMEOUT_MS, entry);
    settle(r);
    assert_true(server_ready(r->server));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d %d", &pid, &child), 2);
    fclose(f);
    assert_true(alive(pid) && alive(child));
    int64_t began = mono_now().ms;
    servers_close(&r->server, 1);
    r->server = NULL;
    assert_true(mono_now().ms - began < 4000);
    assert_false(alive(pid));
    /* The grandchild is reaped by init, a moment later: wait for its end, not for a time. */
    int64_t until = mono_now().ms + PATIENCE_MS;
    char stat[64];
    snprintf(stat, sizeof stat, "/proc/%d/stat", child);
    for (char st = 'S'; st != 'Z' && alive(child);) {
        f = fopen(stat, "r");
        if (!f || fscanf(f, "%*d (%*[^)]) %c", &st) != 1)
            st = 'Z';
        if (f)
            fclose(f);
        assert_true(mono_now().ms < until);
    }
}

static void the_environment_is_small(void **state)
{
    struct rig *r = *state;
    struct asked a;
    setenv("PAWL_TEST_SECRET", "hidden", 1);
    begin(r, TIMEOUT_MS,
          "{\"command\":\"sh\",\"args\":[\"-c\",\"env >&2; echo error: "
          "$EXTRA/$PAWL_TEST_SECRET/$HOME. >&2\"],"
          "\"env\":{\"EXTRA\":\"given\",\"HOME\":\"/nowhere\"}}");
    call(r, &a, "echo", "{}");
    assert_has(a.fault, "error: given///nowhere.");
    assert_null(strstr(a.fault, "hidden"));
}

static void what_cannot_be_used_says_so(void **state)
{
    struct rig *r = *state;
    struct asked a;
    begin(r, TIMEOUT_MS, "{\"url\":\"http://127.0.0.1:1/mcp\"}");
    assert_true(server_settled(r->server));
    assert_has(server_fault(r->server), "HTTP");
    call(r, &a, "echo", "{}");
    assert_has(a.fault, "HTTP");
}

static void a_cancelled_call_is_not_answered(void **state)
{
    struct rig *r = *state;
    struct asked a, b;
    begin_fake(r, TIMEOUT_MS, "slow");
    settle(r);
    ask(r, &a, "wait", "{}");
    call(r, &b, "echo", "{}");
    server_cancel(&a.call);
    server_cancel(&a.call);
    call(r, &b, "echo", "{}");
    assert_false(a.done);
}

/* ---- real servers ---------------------------------------------------------------------------- */

/* False: not installed, said so. Otherwise *entry starts it with `arg`. */
static bool real(const char *package, const char *arg, const char *env, char entry[1024])
{
    const char *modules = getenv("PAWL_NODE_MODULES");
    char path[512];
    snprintf(path, sizeof path, "%s/@modelcontextprotocol/%s/dist/index.js", modules ? modules : "",
             package);
    if (!modules || access(path, R_OK) != 0) {
        print_message("skipped: PAWL_NODE_MODULES has no @modelcontextprotocol/%s\n", package);
        return false;
    }
    const char *node = getenv("PAWL_NODE"); /* as tests/run.sh found it */
    snprintf(entry, 1024, "{\"command\":\"%s\",\"args\":[\"%s\"%s%s%s],\"env\":{%s}}",
             node && *node ? node : "node", path,
             arg ? ",\"" : "", arg ? arg : "", arg ? "\"" : "", env);
    return true;
}

static void real_filesystem(void **state)
{
    struct rig *r = *state;
    struct asked a;
    char entry[1024], path[128], args[256];
    if (!real("server-filesystem", r->dir, "", entry))
        skip();
    snprintf(path, sizeof path, "%s/limits.md", r->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("A session ends after 17 minutes.\n", f);
    fclose(f);
    begin(r, PATIENCE_MS, entry);
    snprintf(args, sizeof args, "{\"path\":\"%s\"}", path);
    call(r, &a, "read_text_file", args);
    assert_string_equal(a.fault, "");
    assert_string_equal(a.text, "A session ends after 17 minutes.\n");
    call(r, &a, "read_text_file", "{\"path\":\"/etc/hostname\"}");
    assert_true(a.answered && a.is_error);
    assert_has(a.text, "Access denied");
    call(r, &a, "read_text_file", "{}");
    assert_true(a.answered && a.is_error);
}

static void real_memory(void **state)
{
    struct rig *r = *state;
    struct asked a;
    char entry[1024], env[256];
    snprintf(env, sizeof env, "\"MEMORY_FILE_PATH\":\"%s/memory.json\"", r->dir);
    if (!real("server-memory", NULL, env, entry))
        skip();
    begin(r, PATIENCE_MS, entry);
    call(r, &a, "create_entities",
         "{\"entities\":[{\"name\":\"pump\",\"entityType\":\"device\",\"observations\":[\"stops at "
         "80 degrees\"]}]}");
    assert_true(a.answered && !a.is_error);
    call(r, &a, "read_graph", "{}");
    assert_true(a.answered && !a.is_error);
    assert_has(a.text, "stops at 80 degrees");
}

static void real_everything(void **state)
{
    struct rig *r = *state;
    struct asked a, b;
    char entry[1024];
    if (!real("server-everything", NULL, "", entry))
        skip();
    begin(r, PATIENCE_MS, entry);
    settle(r);
    assert_true(server_ready(r->server));
    ask(r, &b, "echo", "{\"message\":\"héllo\"}");
    bool sum = false;
    const struct mcp_tools *t = server_tools(r->server);
    for (size_t i = 0; i < t->n; i++)
        sum = sum || strcmp(t->items[i].name, "get-sum") == 0;
    call(r, &a, sum ? "get-sum" : "add", "{\"a\":2,\"b\":40}");
    wait_for(r, &b);
    assert_has(b.text, "héllo");
    assert_true(a.answered && !a.is_error);
    assert_has(a.text, "42");
    call(r, &a, "trigger-long-running-operation", "{\"duration\":1,\"steps\":4}");
    assert_true(a.answered && !a.is_error);
    assert_true(a.steps >= 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        T(a_call_waits_for_the_start_and_is_answered),
        T(exits_at_once),
        T(a_command_that_is_not_there),
        T(a_directory_that_is_not_there),
        T(garbage_is_quoted),
        T(a_banner_does_no_harm),
        T(silence_ends_with_the_timeout),
        T(a_silent_call_costs_only_itself),
        T(twenty_megabytes_cost_only_their_call),
        T(a_modern_server_is_spoken_to_its_way),
        T(a_refused_start_is_told_at_once),
        T(all_pages_of_tools_are_read),
        T(questions_of_the_server_are_answered),
        T(a_server_that_dies_is_started_again),
        T(stopping_leaves_nobody_behind),
        T(the_environment_is_small),
        T(what_cannot_be_used_says_so),
        T(a_cancelled_call_is_not_answered),
        T(real_filesystem),
        T(real_memory),
        T(real_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
