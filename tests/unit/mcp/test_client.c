/* SPDX-License-Identifier: Apache-2.0 */
/* The client's session against scripts: this program is the server and the clock. */
#include "tests/unit/unit.h"

#include "common/mcp/client.h"
#include "common/mcp/rpc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct talk {
    struct mcp *m;
    struct mono now;
    struct mcp_event ev;
    int64_t id;      /* of the request last read */
    char method[64]; /* its method */
    json_t *params;
};

static void begin(struct talk *t, struct mcp_options o)
{
    *t = (struct talk){ .now = { 1000000 } };
    t->m = mcp_new(&o, t->now);
    assert_non_null(t->m);
}

static void end(struct talk *t)
{
    json_decref(t->params);
    mcp_free(t->m);
}

/* Take one message that the client wrote. */
static json_t *hear(struct talk *t)
{
    struct buf *out = mcp_out(t->m);
    struct str all = buf_get(out);
    const char *nl = all.n ? memchr(all.p, '\n', all.n) : NULL;
    assert_non_null(nl);
    size_t n = (size_t)(nl - all.p);
    json_t *v = js_parse((struct str){ all.p, n }, NULL);
    assert_non_null(v);
    buf_consume(out, n + 1);
    return v;
}

static void hear_request(struct talk *t, const char *method)
{
    json_t *v = hear(t);
    assert_string_equal(js_str(v, "method"), method);
    t->id = js_int(v, "id", -1);
    json_decref(t->params);
    t->params = json_incref((json_t *)(uintptr_t)js_obj(v, "params"));
    json_decref(v);
}

static void hear_silence(struct talk *t)
{
    assert_int_equal(mcp_out(t->m)->len, 0);
}

static void say(struct talk *t, const char *line)
{
    mcp_feed(t->m, str_of(line));
    mcp_feed(t->m, str_of("\n"));
}

/* Answer the request last heard; body is "result":… or "error":… */
static void answer(struct talk *t, int64_t id, const char *body)
{
    struct buf b;
    buf_init(&b, (size_t)64 << 20);
    buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",", id);
    buf_str(&b, body);
    buf_str(&b, "}");
    say(t, buf_z(&b));
    buf_fini(&b);
}

static void expect(struct talk *t, enum mcp_kind kind)
{
    bool got = mcp_next(t->m, t->now, &t->ev);
    if (!got || t->ev.kind != kind)
        fail_msg("event %d instead of %d: %s", got ? (int)t->ev.kind : -1, (int)kind,
                 got ? t->ev.text : "");
}

static void expect_none(struct talk *t)
{
    if (mcp_next(t->m, t->now, &t->ev))
        fail_msg("event %d: %s", (int)t->ev.kind, t->ev.text);
}

static void expect_text(struct talk *t, const char *part)
{
    if (!strstr(t->ev.text, part))
        fail_msg("'%s' is not in '%s'", part, t->ev.text);
}

#define TOOLS_OK                                                                                   \
    "\"capabilities\":{\"tools\":{\"listChanged\":true}},\"serverInfo\":{\"name\":\"s\","          \
    "\"version\":\"1\"}"

/* Through the handshake of the first era, with one tool named echo. */
static void get_ready(struct talk *t)
{
    hear_request(t, "initialize");
    answer(t, t->id, "\"result\":{\"protocolVersion\":\"2025-11-25\"," TOOLS_OK "}");
    expect_none(t);
    hear_request(t, "notifications/initialized");
    hear_request(t, "tools/list");
    answer(t, t->id,
           "\"result\":{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"}}]}");
    expect(t, MCP_READY);
    expect_none(t);
    hear_silence(t);
}

static int user_a, user_b, user_c;

static int64_t call(struct talk *t, void *user, int64_t timeout_ms)
{
    struct err err = { 0 };
    json_t *arguments = json_pack("{s:s}", "message", "hi \"there\"\n");
    struct mcp_call c = { "echo", arguments, timeout_ms, user };
    assert_int_equal(mcp_call(t->m, &c, t->now, &err), OK);
    json_decref(arguments);
    hear_request(t, "tools/call");
    return t->id;
}

/* ---- handshake ------------------------------------------------------------------------------- */

static void the_first_era_begins_with_initialize(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    assert_false(mcp_ready(t.m));
    hear_request(&t, "initialize");
    assert_string_equal(js_str(t.params, "protocolVersion"), "2025-11-25");
    assert_int_equal(json_object_size(js_obj(t.params, "capabilities")), 0);
    assert_string_equal(js_str(js_obj(t.params, "clientInfo"), "name"), "pawl");
    answer(&t, t.id, "\"result\":{\"protocolVersion\":\"2024-11-05\"," TOOLS_OK "}");
    expect_none(&t);
    hear_request(&t, "notifications/initialized");
    assert_int_equal(t.id, -1);
    hear_request(&t, "tools/list");
    assert_null(js_obj(t.params, "_meta"));
    answer(&t, t.id, "\"result\":{\"tools\":[{\"name\":\"a\"}],\"nextCursor\":\"p\\\"2\"}");
    expect_none(&t);
    hear_request(&t, "tools/list");
    assert_string_equal(js_str(t.params, "cursor"), "p\"2");
    answer(&t, t.id, "\"result\":{\"tools\":[{\"name\":\"b\"},{\"name\":\"not good\"}]}");
    expect(&t, MCP_READY);
    expect(&t, MCP_REMARK);
    expect_none(&t);
    assert_true(mcp_ready(t.m));
    assert_int_equal(mcp_tools(t.m)->n, 2);
    assert_string_equal(mcp_version(t.m), "2024-11-05");
    assert_string_equal(mcp_server(t.m), "s 1");
    end(&t);
}

static void a_server_without_tools_is_ready_at_once(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    hear_request(&t, "initialize");
    answer(&t, t.id,
           "\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"prompts\":{}}}");
    expect(&t, MCP_READY);
    assert_int_equal(mcp_tools(t.m)->n, 0);
    end(&t);
}

/* The second era, reached by either error. */
static void second_era(const char *error)
{
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    hear_request(&t, "initialize");
    answer(&t, t.id, error);
    expect_none(&t);
    hear_request(&t, "server/discover");
    const json_t *meta = js_obj(t.params, "_meta");
    assert_string_equal(js_str(meta, "io.modelcontextprotocol/protocolVersion"), "2026-07-28");
    assert_non_null(js_obj(meta, "io.modelcontextprotocol/clientCapabilities"));
    answer(
        &t, t.id,
        "\"error\":{\"code\":-32022,\"message\":\"\",\"data\":{\"supported\":[\"2026-07-28\"]}}");
    expect_none(&t);
    hear_request(&t, "server/discover"); /* asked once more, not for ever */
    answer(&t, t.id,
           "\"result\":{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],"
           "\"capabilities\":{\"tools\":{}},\"_meta\":{\"io.modelcontextprotocol/serverInfo\":"
           "{\"name\":\"m\",\"version\":\"2\"}}}");
    expect_none(&t);
    hear_request(&t, "tools/list");
    assert_non_null(js_obj(t.params, "_meta"));
    answer(&t, t.id, "\"result\":{\"resultType\":\"complete\",\"tools\":[{\"name\":\"echo\"}]}");
    expect(&t, MCP_READY);
    assert_string_equal(mcp_version(t.m), "2026-07-28");
    assert_string_equal(mcp_server(t.m), "m 2");

    call(&t, &user_a, 0);
    meta = js_obj(t.params, "_meta");
    assert_int_equal(js_int(meta, "progressToken", -1), t.id);
    assert_string_equal(js_str(meta, "io.modelcontextprotocol/protocolVersion"), "2026-07-28");
    answer(&t, t.id, "\"result\":{\"resultType\":\"input_required\",\"inputRequests\":{}}");
    expect(&t, MCP_DONE);
    assert_int_equal(t.ev.fault, MCP_REFUSED);
    call(&t, &user_a, 0);
    answer(&t, t.id, "\"result\":{\"resultType\":\"complete\",\"content\":[]}");
    expect(&t, MCP_DONE);
    assert_int_equal(t.ev.fault, MCP_ANSWERED);
    end(&t);
}

static void the_second_era_is_found(void **state)
{
    (void)state;
    second_era(
        "\"error\":{\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2026-07-28\"]}}");
    second_era("\"error\":{\"code\":-32601,\"message\":\"method not found\"}");
}

static void a_server_that_refuses_every_revision_is_given_up(void **state)
{
    (void)state;
    static const char refused[] =
        "\"error\":{\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2026-07-28\"]}}";
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    hear_request(&t, "initialize");
    for (int i = 0; i < 2; i++) {
        answer(&t, t.id, refused);
        expect_none(&t);
        hear_request(&t, "server/discover");
    }
    answer(&t, t.id, refused);
    expect(&t, MCP_BROKEN);
    expect_text(&t, "server/discover: the server answers with error -32022");
    end(&t);
}

static void the_era_may_be_told(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ .era = MCP_MODERN });
    hear_request(&t, "server/discover");
    answer(&t, t.id, "\"result\":{\"supportedVersions\":[\"2027-01-01\"],\"capabilities\":{}}");
    expect(&t, MCP_BROKEN);
    expect_text(&t, "no protocol revision in common");
    end(&t);
    begin(&t, (struct mcp_options){ .era = MCP_LEGACY });
    hear_request(&t, "initialize");
    answer(&t, t.id, "\"error\":{\"code\":-32022,\"message\":\"not\\u001b[31m this\"}");
    expect(&t, MCP_BROKEN);
    expect_text(&t, "initialize: the server answers with error -32022 (unsupported protocol "
                    "version): not this");
    end(&t);
}

static void an_unknown_revision_ends_it(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    hear_request(&t, "initialize");
    answer(&t, t.id, "\"result\":{\"protocolVersion\":\"1999-01-01\"," TOOLS_OK "}");
    expect(&t, MCP_BROKEN);
    expect_text(&t, "'1999-01-01'");
    assert_true(*t.ev.fix);
    expect_none(&t);
    end(&t);
}

static void a_silent_server_is_given_up(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ .start_ms = 5000 });
    assert_int_equal(mcp_deadline(t.m).ms, t.now.ms + 5000);
    say(&t, "Listening on port 3000 \x1b[1m");
    expect(&t, MCP_REMARK);
    t.now.ms += 4999;
    expect_none(&t);
    t.now.ms += 1;
    expect(&t, MCP_BROKEN);
    expect_text(
        &t,
        "no answer to initialize within 5000 ms; it wrote 'Listening on port 3000 ?[1m' instead");
    expect_none(&t);
    assert_true(mcp_deadline(t.m).ms > t.now.ms + 1000000);
    end(&t);
}

/* Steps do not add up: the whole handshake has one deadline. */
static void the_handshake_has_one_deadline(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ .start_ms = 5000 });
    hear_request(&t, "initialize");
    t.now.ms += 4000;
    answer(&t, t.id, "\"result\":{\"protocolVersion\":\"2025-11-25\"," TOOLS_OK "}");
    expect_none(&t);
    assert_int_equal(mcp_deadline(t.m).ms, t.now.ms + 1000);
    t.now.ms += 1000;
    expect(&t, MCP_BROKEN);
    expect_text(&t, "no answer to tools/list");
    end(&t);
}

static void pages_without_end_are_cut(void **state)
{
    (void)state;
    struct talk t;
    char body[128];
    begin(&t, (struct mcp_options){ 0 });
    hear_request(&t, "initialize");
    answer(&t, t.id, "\"result\":{\"protocolVersion\":\"2025-11-25\"," TOOLS_OK "}");
    expect_none(&t);
    hear_request(&t, "notifications/initialized");
    for (int i = 0; i < MCP_PAGES_MAX; i++) {
        hear_request(&t, "tools/list");
        snprintf(body, sizeof body,
                 "\"result\":{\"tools\":[{\"name\":\"t%d\"}],\"nextCursor\":\"%d\"}", i, i);
        answer(&t, t.id, body);
        if (i < MCP_PAGES_MAX - 1)
            expect_none(&t);
    }
    expect(&t, MCP_READY);
    expect(&t, MCP_REMARK);
    expect_text(&t, "pages without end");
    hear_silence(&t);
    assert_int_equal(mcp_tools(t.m)->n, MCP_PAGES_MAX);
    end(&t);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void answers_find_their_calls_in_any_order(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    int64_t a = call(&t, &user_a, 0);
    assert_string_equal(js_str(t.params, "name"), "echo");
    assert_string_equal(js_str(js_obj(t.params, "arguments"), "message"), "hi \"there\"\n");
    int64_t b = call(&t, &user_b, 0);
    int64_t c = call(&t, &user_c, 0);
    assert_true(a != b && b != c && a != c);
    assert_int_equal(mcp_in_flight(t.m), 3);
    answer(&t, c, "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"for c\"}]}");
    answer(&t, a, "\"result\":{\"content\":[],\"isError\":true}");
    answer(&t, b, "\"error\":{\"code\":-32602,\"message\":\"Unknown tool\"}");
    answer(&t, b, "\"result\":{}"); /* said twice */
    answer(&t, 5, "\"result\":{}"); /* made up */
    expect(&t, MCP_DONE);
    assert_ptr_equal(t.ev.user, &user_c);
    assert_string_equal(js_str(js_at(js_list(t.ev.result, "content"), 0), "text"), "for c");
    assert_false(t.ev.is_error);
    expect(&t, MCP_DONE);
    assert_ptr_equal(t.ev.user, &user_a);
    assert_true(t.ev.is_error);
    expect(&t, MCP_DONE);
    assert_ptr_equal(t.ev.user, &user_b);
    assert_int_equal(t.ev.fault, MCP_REFUSED);
    expect_text(&t, "error -32602 (invalid params): Unknown tool");
    expect_none(&t);
    assert_int_equal(mcp_in_flight(t.m), 0);
    end(&t);
}

static void a_late_answer_is_not_taken_for_another_call(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    int64_t first = call(&t, &user_a, 1000);
    t.now.ms += 1000;
    expect(&t, MCP_DONE);
    assert_int_equal(t.ev.fault, MCP_TIMED_OUT);
    expect_text(&t, "no answer within 1000 ms");
    hear_request(&t, "notifications/cancelled");
    assert_int_equal(js_int(t.params, "requestId", 0), first);
    int64_t second = call(&t, &user_b, 1000); /* takes the same slot */
    assert_int_not_equal(first, second);
    answer(&t, first, "\"result\":{\"content\":[]}");
    expect_none(&t);
    answer(&t, second, "\"result\":{\"content\":[]}");
    expect(&t, MCP_DONE);
    assert_ptr_equal(t.ev.user, &user_b);
    end(&t);
}

static void progress_keeps_a_call_alive_to_a_point(void **state)
{
    (void)state;
    struct talk t;
    char line[200];
    begin(&t, (struct mcp_options){ .call_ms = 1000, .total_ms = 3000 });
    get_ready(&t);
    int64_t id = call(&t, &user_a, 0);
    snprintf(line, sizeof line,
             "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
             "\"progressToken\":%" PRId64 ",\"progress\":1,\"total\":4,\"message\":\"one\"}}",
             id);
    for (int i = 0; i < 5; i++) {
        t.now.ms += 500;
        say(&t, line);
        expect(&t, MCP_PROGRESS);
        assert_ptr_equal(t.ev.user, &user_a);
        assert_string_equal(t.ev.text, "one");
        assert_true(t.ev.progress > 0.9 && t.ev.total > 3.9);
    }
    assert_int_equal(mcp_deadline(t.m).ms <= t.now.ms + 500, 1);
    t.now.ms += 500;
    expect(&t, MCP_DONE);
    assert_int_equal(t.ev.fault, MCP_TIMED_OUT);
    say(&t, line); /* too late */
    expect_none(&t);
    end(&t);
}

static void a_cancelled_call_is_forgotten(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    int64_t a = call(&t, &user_a, 0);
    call(&t, &user_b, 0);
    mcp_cancel(t.m, &user_a);
    hear_request(&t, "notifications/cancelled");
    assert_int_equal(js_int(t.params, "requestId", 0), a);
    hear_silence(&t);
    answer(&t, a, "\"result\":{}");
    expect_none(&t);
    assert_int_equal(mcp_in_flight(t.m), 1);
    end(&t);
}

static void the_end_ends_every_call(void **state)
{
    (void)state;
    struct talk t;
    struct err err = { 0 };
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    call(&t, &user_a, 0);
    call(&t, &user_b, 0);
    mcp_lost(t.m, "it exited with status 3", "read its log");
    mcp_lost(t.m, "another reason", "");
    for (int i = 0; i < 2; i++) {
        expect(&t, MCP_DONE);
        assert_int_equal(t.ev.fault, MCP_LOST);
        expect_text(&t, "it exited with status 3");
    }
    expect(&t, MCP_BROKEN);
    assert_string_equal(t.ev.fix, "read its log");
    expect_none(&t);
    assert_int_equal(mcp_call(t.m, &(struct mcp_call){ "echo", NULL, 0, &user_a }, t.now, &err),
                     ERR_UNAVAILABLE);
    say(&t, "{}");
    expect_none(&t);
    end(&t);
}

static void calls_are_bounded(void **state)
{
    (void)state;
    struct talk t;
    struct err err = { 0 };
    begin(&t, (struct mcp_options){ 0 });
    struct mcp_call c = { "echo", NULL, 0, &user_a };
    assert_int_equal(mcp_call(t.m, &c, t.now, &err), ERR_UNAVAILABLE);
    get_ready(&t);
    size_t n = 0;
    while (mcp_call(t.m, &c, t.now, &err) == OK && n <= MCP_CALLS_MAX)
        n++;
    assert_int_equal(err.status, ERR_BUSY);
    assert_int_equal(n, MCP_CALLS_MAX - 1); /* one is kept for listings */
    mcp_cancel(t.m, &user_a);
    assert_int_equal(mcp_in_flight(t.m), 0);
    char *big = malloc(MCP_ARGUMENTS_MAX + 1);
    memset(big, 'x', MCP_ARGUMENTS_MAX);
    big[MCP_ARGUMENTS_MAX] = '\0';
    json_t *arguments = json_pack("{s:s}", "x", big);
    c.arguments = arguments;
    assert_int_equal(mcp_call(t.m, &c, t.now, &err), ERR_LIMIT);
    json_decref(arguments);
    free(big);
    end(&t);
}

/* ---- what servers ask and say ---------------------------------------------------------------- */

static void requests_of_the_server_are_answered(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    say(&t, "{\"jsonrpc\":\"2.0\",\"id\":\"p1\",\"method\":\"ping\"}");
    say(&t, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"elicitation/create\",\"params\":{}}");
    say(&t, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"roots/list\"}");
    say(&t, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":1}}");
    expect_none(&t);
    json_t *v = hear(&t);
    assert_string_equal(js_str(v, "id"), "p1");
    assert_int_equal(json_object_size(js_obj(v, "result")), 0);
    json_decref(v);
    v = hear(&t);
    assert_string_equal(js_str(js_obj(v, "result"), "action"), "decline");
    json_decref(v);
    v = hear(&t);
    assert_int_equal(js_int(v, "id", 0), 3);
    assert_int_equal(js_int(js_obj(v, "error"), "code", 0), -32601);
    json_decref(v);
    hear_silence(&t);
    end(&t);
}

static void changed_tools_are_listed_again(void **state)
{
    (void)state;
    static const char changed[] =
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}";
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    struct hash was = mcp_tools(t.m)->items[0].pin;
    say(&t, changed);
    say(&t, changed);
    expect_none(&t);
    hear_request(&t, "tools/list");
    hear_silence(&t);
    say(&t, changed); /* while the list is on its way */
    expect_none(&t);
    answer(&t, t.id, "\"result\":{\"tools\":[{\"name\":\"echo\",\"description\":\"other\"}]}");
    expect(&t, MCP_CHANGED);
    assert_false(hash_eq(&was, &mcp_tools(t.m)->items[0].pin));
    expect_none(&t);
    hear_silence(&t); /* not at once: a server that announces without end does not keep us busy */
    assert_true(mcp_deadline(t.m).ms > t.now.ms && mcp_deadline(t.m).ms <= t.now.ms + 1000);
    t.now.ms += 1000;
    expect_none(&t);
    hear_request(&t, "tools/list");
    answer(&t, t.id, "\"error\":{\"code\":-32603,\"message\":\"\"}");
    expect(&t, MCP_REMARK);
    expect_none(&t);
    assert_int_equal(mcp_tools(t.m)->n, 1); /* the old list stays */
    end(&t);
}

static void garbage_between_messages_is_passed_over(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    int64_t id = call(&t, &user_a, 0);
    for (int i = 0; i < 3; i++) {
        say(&t, "[info] {not json}");
        expect(&t, MCP_REMARK);
    }
    say(&t, "{\"level\":30,\"msg\":\"a log line\"}"); /* no more remarks */
    expect_none(&t);
    answer(&t, id, "\"result\":{\"content\":[]}");
    expect(&t, MCP_DONE);
    assert_int_equal(t.ev.fault, MCP_ANSWERED);
    end(&t);
}

static void a_flood_of_garbage_ends_it(void **state)
{
    (void)state;
    struct talk t;
    bool broken = false;
    begin(&t, (struct mcp_options){ 0 });
    for (int i = 0; i < 1000000 && !broken; i++) {
        say(&t, "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789");
        while (!broken && mcp_next(t.m, t.now, &t.ev))
            broken = t.ev.kind == MCP_BROKEN;
    }
    assert_true(broken);
    expect_text(&t, "it writes text that is no JSON-RPC, for instance '0123456789 ");
    end(&t);
}

static void a_spoilt_answer_costs_its_call_only(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    call(&t, &user_b, 0);
    static const char *const bodies[] = { "\"result\":\"text\"", "\"result\":{\"content\":[}",
                                          "\"neither\":1", "\"result\":{\"x\":\"\xff\"}" };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        answer(&t, call(&t, &user_a, 0), bodies[i]);
        expect(&t, MCP_DONE);
        assert_ptr_equal(t.ev.user, &user_a);
        assert_int_equal(t.ev.fault, MCP_MALFORMED);
        expect_none(&t);
    }
    assert_int_equal(mcp_in_flight(t.m), 1);
    end(&t);
}

/* 20 MB in one line: the call fails with a clear text, the session lives on. */
static void an_answer_too_large_costs_its_call_only(void **state)
{
    (void)state;
    struct talk t;
    size_t n = (size_t)20 * 1024 * 1024;
    char *big = malloc(n), head[64];
    memset(big, 'x', n);
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    call(&t, &user_b, 0);
    int64_t id = call(&t, &user_a, 0);
    snprintf(head, sizeof head, "{\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",\"result\":\"", id);
    mcp_feed(t.m, str_of(head));
    for (size_t at = 0; at < n; at += 65536) {
        mcp_feed(t.m, (struct str){ big + at, 65536 });
        expect_none(&t);
    }
    say(&t, "\"}");
    expect(&t, MCP_DONE);
    assert_ptr_equal(t.ev.user, &user_a);
    assert_int_equal(t.ev.fault, MCP_TOO_LARGE);
    expect_text(&t, "larger than 16777216 bytes");
    answer(&t, call(&t, &user_c, 0), "\"result\":{}");
    expect(&t, MCP_DONE);
    assert_ptr_equal(t.ev.user, &user_c);
    free(big);
    end(&t);
}

static void a_message_too_large_that_nobody_waits_for_is_dropped(void **state)
{
    (void)state;
    struct talk t;
    char big[2000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    begin(&t, (struct mcp_options){ .line_max = 1000 });
    get_ready(&t);
    say(&t, big);
    expect(&t, MCP_REMARK);
    call(&t, &user_a, 0); /* the only one in flight: whose else could it be */
    say(&t, big);
    expect(&t, MCP_DONE);
    assert_int_equal(t.ev.fault, MCP_TOO_LARGE);
    end(&t);
}

static void batches_of_old_servers_are_read(void **state)
{
    (void)state;
    struct talk t;
    char line[300];
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    int64_t a = call(&t, &user_a, 0), b = call(&t, &user_b, 0);
    snprintf(line, sizeof line,
             "[{\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",\"result\":{}},"
             "{\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",\"result\":{\"isError\":true}}]",
             b, a);
    say(&t, line);
    expect(&t, MCP_DONE);
    assert_ptr_equal(t.ev.user, &user_b);
    expect(&t, MCP_DONE);
    assert_ptr_equal(t.ev.user, &user_a);
    assert_true(t.ev.is_error);
    expect_none(&t);
    end(&t);
}

static void a_server_that_does_not_read_is_given_up(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, (struct mcp_options){ 0 });
    get_ready(&t);
    char *big = malloc(1000000);
    memset(big, 'x', 999999);
    big[999999] = '\0';
    json_t *arguments = json_pack("{s:s}", "x", big);
    struct mcp_call c = { "echo", arguments, 0, &user_a };
    for (int i = 0; i < 40; i++) {
        enum status st = mcp_call(t.m, &c, t.now, NULL);
        (void)st;
    }
    expect(&t, MCP_DONE);
    expect_text(&t, "does not read");
    json_decref(arguments);
    free(big);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_era_begins_with_initialize),
        cmocka_unit_test(a_server_without_tools_is_ready_at_once),
        cmocka_unit_test(the_second_era_is_found),
        cmocka_unit_test(a_server_that_refuses_every_revision_is_given_up),
        cmocka_unit_test(the_era_may_be_told),
        cmocka_unit_test(an_unknown_revision_ends_it),
        cmocka_unit_test(a_silent_server_is_given_up),
        cmocka_unit_test(the_handshake_has_one_deadline),
        cmocka_unit_test(pages_without_end_are_cut),
        cmocka_unit_test(answers_find_their_calls_in_any_order),
        cmocka_unit_test(a_late_answer_is_not_taken_for_another_call),
        cmocka_unit_test(progress_keeps_a_call_alive_to_a_point),
        cmocka_unit_test(a_cancelled_call_is_forgotten),
        cmocka_unit_test(the_end_ends_every_call),
        cmocka_unit_test(calls_are_bounded),
        cmocka_unit_test(requests_of_the_server_are_answered),
        cmocka_unit_test(changed_tools_are_listed_again),
        cmocka_unit_test(garbage_between_messages_is_passed_over),
        cmocka_unit_test(a_flood_of_garbage_ends_it),
        cmocka_unit_test(a_spoilt_answer_costs_its_call_only),
        cmocka_unit_test(an_answer_too_large_costs_its_call_only),
        cmocka_unit_test(a_message_too_large_that_nobody_waits_for_is_dropped),
        cmocka_unit_test(batches_of_old_servers_are_read),
        cmocka_unit_test(a_server_that_does_not_read_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
