/* SPDX-License-Identifier: Apache-2.0 */
/* The server's end of a session: with our own client in both eras, and with lines of every kind. */
#include "tests/unit/unit.h"

#include "common/mcp/client.h"
#include "common/mcp/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ECHO, NOTHING };

static const struct mcp_offer tools[] = {
    { "echo", "Echo", "Says it again.", true, false, true },
    { "nothing", "Nothing", "Takes nothing.", false, true, false },
};
static const struct mcp_arg args[] = {
    { ECHO, "text", MCP_ARG_STR, true, 1, 5, NULL, "what" },
    { ECHO, "times", MCP_ARG_INT, false, -2, 9, NULL, "how often" },
    { ECHO, "loud", MCP_ARG_BOOL, false, 0, 0, NULL, "how" },
    { ECHO, "tone", MCP_ARG_STR, false, 0, 0, "high|low", "which" },
};
static const struct mcp_server_options options = { "test", "Test",       "1",  "Be brief.",
                                                   tools,  COUNT(tools), args, COUNT(args) };

/* Feeds a line, answers no call; what was written, as it was. */
static char *hear(struct mcp_server *s, const char *line, struct mcp_server_event *ev)
{
    static char text[65536];
    mcp_server_feed(s, str_of(line));
    mcp_server_feed(s, str_of("\n"));
    *ev = (struct mcp_server_event){ 0 };
    if (mcp_server_next(s, ev)) {
        struct mcp_server_event more;
        assert_false(ev->kind == MCP_SERVE_CANCEL && mcp_server_next(s, &more));
    }
    struct buf *out = mcp_server_out(s);
    snprintf(text, sizeof text, "%s", buf_z(out));
    buf_consume(out, out->len);
    return text;
}

/* The line is answered so, and nothing comes of it. */
static void answers(struct mcp_server *s, const char *line, const char *wanted)
{
    struct mcp_server_event ev;
    const char *got = hear(s, line, &ev);
    if (ev.call || !(*wanted ? strstr(got, wanted) != NULL : *got == '\0'))
        fail_msg("%s\nis answered with\n%s", line, got);
}

#define CALL(id, rest)                                                                             \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\",\"params\":{" rest "}}"
#define ASK(method) "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\"}"
#define META                                                                                       \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                       \
    "\"io.modelcontextprotocol/clientCapabilities\":{}}"

static void every_kind_of_line(void **state)
{
    struct mcp_server *s = mcp_server_new(&options);
    (void)state;
    answers(s, "", "");
    answers(s, " \t\r", "");
    answers(s, "{", "\"id\":null,\"error\":{\"code\":-32700");
    answers(s, "5", "\"id\":null,\"error\":{\"code\":-32600");
    answers(s, "[]", "-32600");
    answers(s, "[" ASK("ping") "]", "-32600"); /* no batches but in 2025-03-26 */
    answers(s, "{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"ping\"}", "-32600");
    answers(s, "{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"ping\"}", "-32600");
    answers(s, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":[]}", "-32602");
    answers(s, ASK("ping"), "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n");
    answers(s, ASK("resources/list"), "\"id\":7,\"error\":{\"code\":-32601");
    answers(s, ASK("server/discover"), "-32601"); /* of the other era */
    answers(s, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}", "");
    answers(s, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/what\"}", "");
    answers(s, ASK("initialize"), "-32602");
    answers(s, CALL("1", "\"name\":\"none\""),
            "\"code\":-32602,\"message\":\"Unknown tool: none\"");
    answers(s, CALL("1", "\"arguments\":{}"), "-32602");
    answers(s, CALL("1", "\"name\":\"nothing\",\"arguments\":[]"), "-32602");
    answers(s,
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\",\"params\":{\"cursor\":\"\"}}",
            "-32602");
    mcp_server_free(s);
}

static void arguments_are_checked(void **state)
{
    static const struct {
        const char *given, *says;
    } wrong[] = {
        { "{}", "'text' is missing" },
        { "{\"text\":null}", "'text' is not a string" },
        { "{\"text\":\"\"}", "has 0 characters" },
        { "{\"text\":\"äöüäöü\"}", "has 6 characters" },
        { "{\"text\":\"a\\u0000\"}", "NUL" },
        { "{\"text\":\"a\",\"times\":10}", "from -2 to 9" },
        { "{\"text\":\"a\",\"times\":1.5}", "from -2 to 9" },
        { "{\"text\":\"a\",\"times\":1e300}", "from -2 to 9" },
        { "{\"text\":\"a\",\"times\":\"1\"}", "from -2 to 9" },
        { "{\"text\":\"a\",\"loud\":1}", "'loud' is not true or false" },
        { "{\"text\":\"a\",\"tone\":\"hig\"}", "none of high|low" },
        { "{\"text\":\"a\",\"more\":1}", "no argument 'more'" },
    };
    struct mcp_server *s = mcp_server_new(&options);
    struct mcp_server_event ev;
    char line[512];
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        snprintf(line, sizeof line, CALL("%zu", "\"name\":\"echo\",\"arguments\":%s"), i,
                 wrong[i].given);
        const char *got = hear(s, line, &ev);
        if (ev.call || !strstr(got, wrong[i].says) || !strstr(got, "\"isError\":true"))
            fail_msg("%s is answered with %s", wrong[i].given, got);
    }
    hear(s,
         CALL("\"x\"", "\"name\":\"echo\",\"arguments\":{\"text\":\"äöüäö\",\"times\":-2.0,"
                       "\"loud\":false,\"tone\":\"low\"}"),
         &ev);
    assert_true(ev.call && ev.tool == ECHO && js_real(ev.args, "times", 0) == -2);
    mcp_server_free(s);
}

static void calls_end_once(void **state)
{
    struct mcp_server *s = mcp_server_new(&options);
    struct mcp_server_event ev;
    struct err err = { .text = "no", .fix = "try" };
    json_t *v = json_pack("{s:s}", "a", "b");
    (void)state;
    assert_string_equal(
        hear(s, CALL("1", "\"name\":\"nothing\",\"_meta\":{\"progressToken\":\"t\"}"), &ev), "");
    uint64_t call = ev.call;
    assert_int_equal(json_object_size(ev.args), 0);
    answers(s, CALL("1", "\"name\":\"nothing\""), "-32600"); /* the id is in use */
    mcp_server_progress(s, call, "half");
    mcp_server_progress(s, call, "whole");
    assert_non_null(strstr(buf_z(mcp_server_out(s)), "\"progress\":2"));
    buf_consume(mcp_server_out(s), mcp_server_out(s)->len);
    mcp_server_answer(s, call, v);
    assert_string_equal(
        hear(s, "", &ev),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"text\":\"{\\\"a\\\":"
        "\\\"b\\\"}\",\"type\":\"text\"}],\"isError\":false,\"structuredContent\":"
        "{\"a\":\"b\"}}}\n");
    mcp_server_answer(s, call, v);
    mcp_server_fail(s, call, &err);
    mcp_server_progress(s, call, "late");
    assert_string_equal(hear(s, "", &ev), "");
    hear(s, CALL("2", "\"name\":\"nothing\"," META), &ev);
    mcp_server_progress(s, ev.call, "nobody wants it");
    mcp_server_fail(s, ev.call, &err);
    assert_string_equal(
        hear(s, "", &ev),
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[{\"text\":\"no\\nfix: "
        "try\",\"type\":\"text\"}],\"isError\":true,\"resultType\":\"complete\"}}\n");
    hear(s, CALL("3", "\"name\":\"nothing\""), &ev);
    call = ev.call;
    hear(
        s,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":3}}",
        &ev);
    assert_true(ev.kind == MCP_SERVE_CANCEL && ev.call == call);
    mcp_server_answer(s, call, v);
    assert_string_equal(hear(s, "", &ev), "");
    for (int i = 0; i < MCP_SERVER_CALLS_MAX; i++) {
        char line[128];
        snprintf(line, sizeof line, CALL("%d", "\"name\":\"nothing\""), i);
        assert_string_equal(hear(s, line, &ev), "");
    }
    answers(s, CALL("1000", "\"name\":\"nothing\""), "calls are in flight");
    json_decref(v);
    mcp_server_free(s);
}

static void versions_and_eras(void **state)
{
    static const char *const known[] = { "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25" };
    char line[256], wanted[64];
    struct mcp_server *s = mcp_server_new(&options);
    struct mcp_server_event ev;
    (void)state;
    for (size_t i = 0; i <= COUNT(known); i++) {
        const char *version = i < COUNT(known) ? known[i] : "2099-01-01";
        snprintf(line, sizeof line,
                 "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":"
                 "{\"protocolVersion\":\"%s\",\"capabilities\":{}}}",
                 version);
        snprintf(wanted, sizeof wanted, "\"protocolVersion\":\"%s\"",
                 i < COUNT(known) ? version : "2025-11-25");
        answers(s, line, wanted);
        if (i == 1)
            answers(s, "[" ASK("ping") "," ASK("ping") "]", "{}}\n{\"jsonrpc\":\"2.0\",\"id\":7,");
    }
    answers(s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" META "}}",
            "\"resultType\":\"complete\"");
    answers(s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{" META "}}",
            "-32601");
    answers(s,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
            "\"io.modelcontextprotocol/protocolVersion\":\"2027-01-01\"}}}",
            "\"code\":-32022,\"data\":{\"requested\":\"2027-01-01\",\"supported\":[\"2026-07-28\"");
    hear(s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", &ev);
    mcp_server_free(s);
}

static void lines_are_bounded(void **state)
{
    struct mcp_server *s = mcp_server_new(&options);
    struct mcp_server_event ev;
    char *big = malloc(MCP_SERVER_LINE_MAX + 64);
    (void)state;
    assert_non_null(big);
    int n = snprintf(big, 64, "{\"id\":4711,\"jsonrpc\":\"2.0\",\"method\":\"");
    memset(big + n, 'x', MCP_SERVER_LINE_MAX);
    mcp_server_feed(s, (struct str){ big, MCP_SERVER_LINE_MAX });
    mcp_server_feed(s, str_of("yyyyyyyyyyyyyyyyyyyyyyyyyy\"}\n"));
    assert_true(mcp_server_next(s, &ev) && ev.kind == MCP_SERVE_REMARK);
    assert_non_null(strstr(buf_z(mcp_server_out(s)), "\"id\":4711,\"error\":{\"code\":-32600"));
    buf_consume(mcp_server_out(s), mcp_server_out(s)->len);
    answers(s, ASK("ping"), "\"result\":{}");
    assert_false(mcp_server_over(s));
    json_t *v = json_object();
    memset(big, 'x', MCP_SERVER_RESULT_MAX);
    js_set_str(v, "big", (struct str){ big, MCP_SERVER_RESULT_MAX });
    hear(s, CALL("1", "\"name\":\"nothing\""), &ev);
    mcp_server_answer(s, ev.call, v);
    assert_non_null(strstr(hear(s, "", &ev), "the result is larger than"));
    json_decref(v);
    free(big);
    mcp_server_free(s);
}

/* ---- with our own client ----------------------------------------------------------------------- */

/* Bytes in both directions, a few at a time, until nothing moves; echo answers. */
static void exchange(struct mcp *m, struct mcp_server *s, json_t **got, bool *ready)
{
    for (bool moved = true; moved;) {
        struct buf *ends[] = { mcp_out(m), mcp_server_out(s) };
        struct mcp_event ev;
        struct mcp_server_event sev;
        moved = false;
        for (int i = 0; i < 2; i++) {
            size_t n = ends[i]->len < 7 ? ends[i]->len : 7;
            moved = moved || n;
            if (i == 0)
                mcp_server_feed(s, (struct str){ ends[i]->data, n });
            else
                mcp_feed(m, (struct str){ ends[i]->data, n });
            buf_consume(ends[i], n);
        }
        while (mcp_server_next(s, &sev)) {
            assert_int_equal(sev.kind, MCP_SERVE_CALL);
            mcp_server_progress(s, sev.call, "on it");
            mcp_server_answer(s, sev.call, sev.args);
        }
        while (mcp_next(m, (struct mono){ 2 }, &ev)) {
            assert_int_not_equal(ev.kind, MCP_BROKEN);
            *ready = *ready || ev.kind == MCP_READY;
            if (ev.kind == MCP_DONE) {
                assert_int_equal(ev.fault, MCP_ANSWERED);
                *got = json_deep_copy(ev.result);
            }
        }
    }
}

static void our_client_talks_to_it(void **state)
{
    (void)state;
    for (int era = MCP_AUTO; era <= MCP_MODERN; era++) {
        struct mcp_options o = { .era = (enum mcp_era)era };
        struct mcp *m = mcp_new(&o, (struct mono){ 1 });
        struct mcp_server *s = mcp_server_new(&options);
        json_t *given = json_pack("{s:s}", "text", "hello"), *got = NULL;
        bool ready = false;
        int user;
        exchange(m, s, &got, &ready);
        assert_true(ready);
        assert_string_equal(mcp_version(m), era == MCP_MODERN ? "2026-07-28" : "2025-11-25");
        assert_string_equal(mcp_server(m), "test 1");
        assert_int_equal(mcp_tools(m)->n, 2);
        assert_true(mcp_tools_find(mcp_tools(m), "echo")->read_only);
        struct mcp_call c = { "echo", given, 0, &user };
        assert_int_equal(mcp_call(m, &c, (struct mono){ 2 }, NULL), OK);
        exchange(m, s, &got, &ready);
        assert_string_equal(js_str(js_obj(got, "structuredContent"), "text"), "hello");
        assert_int_equal(mcp_server_in_flight(s), 0);
        json_decref(got);
        json_decref(given);
        mcp_server_free(s);
        mcp_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_line), cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(calls_end_once),     cmocka_unit_test(versions_and_eras),
        cmocka_unit_test(lines_are_bounded),  cmocka_unit_test(our_client_talks_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
