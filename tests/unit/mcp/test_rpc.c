/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/mcp/rpc.h"

#include <stdlib.h>
#include <string.h>

static void feed(struct rpc_reader *r, const char *z)
{
    assert_int_equal(rpc_feed(r, str_of(z)), OK);
}

static void expect_line(struct rpc_reader *r, const char *want)
{
    struct str line;
    assert_int_equal(rpc_line(r, &line), RPC_LINE);
    assert_int_equal(line.n, strlen(want));
    assert_memory_equal(line.p, want, line.n);
}

static void expect_nothing(struct rpc_reader *r)
{
    struct str line;
    assert_int_equal(rpc_line(r, &line), RPC_NOTHING);
}

static void lines_come_whole_however_they_are_cut(void **state)
{
    (void)state;
    struct rpc_reader r;
    rpc_reader_init(&r, 100, 1000);
    expect_nothing(&r);
    feed(&r, "{\"a\":");
    expect_nothing(&r);
    feed(&r, "1}\r\n\nsecond\nthi");
    expect_line(&r, "{\"a\":1}");
    expect_line(&r, "");
    expect_line(&r, "second");
    expect_nothing(&r);
    feed(&r, "rd\n");
    expect_line(&r, "third");
    expect_nothing(&r);
    rpc_reader_fini(&r);
}

static void every_cut_gives_the_same_lines(void **state)
{
    (void)state;
    static const char all[] = "one\ntwo two\n\nthree\n";
    for (size_t cut = 0; cut < sizeof all; cut++) {
        struct rpc_reader r;
        rpc_reader_init(&r, 100, 1000);
        assert_int_equal(rpc_feed(&r, (struct str){ all, cut }), OK);
        struct str line;
        int n = 0;
        while (rpc_line(&r, &line) == RPC_LINE)
            n++;
        assert_int_equal(rpc_feed(&r, (struct str){ all + cut, sizeof all - 1 - cut }), OK);
        while (rpc_line(&r, &line) == RPC_LINE)
            n++;
        assert_int_equal(n, 4);
        rpc_reader_fini(&r);
    }
}

/* A line over the limit, in pieces of `step` bytes, between two good ones. */
static void long_line_in_steps(size_t step)
{
    char line[400];
    struct rpc_reader r;
    struct str got;
    int longs = 0, lines = 0;
    memset(line, 'x', sizeof line);
    memcpy(line, "ok\n{\"id\":7,", 11);
    memcpy(line + sizeof line - 10, ",\"id\":7}\nz", 10);
    rpc_reader_init(&r, 100, 10000);
    for (size_t i = 0; i < sizeof line; i += step) {
        size_t n = sizeof line - i < step ? sizeof line - i : step;
        assert_int_equal(rpc_feed(&r, (struct str){ line + i, n }), OK);
        for (enum rpc_found f; (f = rpc_line(&r, &got)) != RPC_NOTHING;) {
            longs += f == RPC_LONG;
            lines += f == RPC_LINE;
            if (f != RPC_LONG)
                continue;
            assert_int_equal(r.head_n, RPC_ENDS);
            assert_memory_equal(r.head, "{\"id\":7,xxx", 11);
            assert_int_equal(r.tail_n, RPC_ENDS);
            assert_memory_equal(r.tail + RPC_ENDS - 8, ",\"id\":7}", 8);
            assert_true(r.tail[0] == 'x');
        }
    }
    assert_int_equal(longs, 1);
    assert_int_equal(lines, 1);
    assert_true(r.in.cap < 1024);
    feed(&r, "\n");
    expect_line(&r, "z");
    rpc_reader_fini(&r);
}

static void of_a_line_too_long_only_the_ends_are_kept(void **state)
{
    (void)state;
    static const size_t steps[] = { 1, 7, 64, 101, 256, 400 };
    for (size_t i = 0; i < COUNT(steps); i++)
        long_line_in_steps(steps[i]);
}

static void a_line_without_end_is_given_up(void **state)
{
    (void)state;
    struct rpc_reader r;
    struct str line;
    enum rpc_found f = RPC_NOTHING;
    rpc_reader_init(&r, 64, 1000);
    for (int i = 0; i < 100 && f == RPC_NOTHING; i++) {
        feed(&r, "0123456789012345678901234567890");
        f = rpc_line(&r, &line);
    }
    assert_int_equal(f, RPC_ENDLESS);
    feed(&r, "\n{}\n");
    assert_int_equal(rpc_line(&r, &line), RPC_ENDLESS);
    rpc_reader_fini(&r);
}

static int64_t id_of(const char *head, const char *tail)
{
    int64_t id = -1;
    return rpc_id_of_ends(str_of(head), str_of(tail), &id) ? id : -1;
}

static void the_id_is_told_from_the_ends(void **state)
{
    (void)state;
    assert_int_equal(id_of("{\"jsonrpc\":\"2.0\",\"id\":77,\"result\"", ""), 77);
    assert_int_equal(id_of("{\"id\":77,\"jsonrpc\"", ""), 77);
    assert_int_equal(id_of("{\"result\":", "},\"jsonrpc\":\"2.0\",\"id\":12}"), 12);
    assert_int_equal(id_of("{\"result\":", "},\"id\":12}\r"), 12);
    /* inside a text, inside another object, of another type, cut off */
    assert_int_equal(id_of("{\"result\":", "\\\",\"id\":12}\"}"), -1);
    assert_int_equal(id_of("{\"result\":", "{\"x\":1,\"id\":12}}"), -1);
    assert_int_equal(id_of("{\"id\":\"7\",", ",\"id\":\"7\"}"), -1);
    assert_int_equal(id_of("{\"id\":7", "7}"), -1);
    assert_int_equal(id_of("{\"id\":,", ",\"id\":}"), -1);
    assert_int_equal(id_of("", ""), -1);
    assert_int_equal(id_of("{\"result\":", ",\"id\":1234567890123456789012345}"), -1);
}

static enum status read_text(const char *z, struct rpc_msg *m, json_t **tree)
{
    struct err err = { 0 };
    *tree = js_parse(str_of(z), &err);
    assert_non_null(*tree);
    return rpc_read(*tree, m, &err);
}

static void messages_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int kind; /* -1: none */
    } cases[] = {
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", RPC_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\",\"params\":{}}", RPC_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}", RPC_NOTIFICATION },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}", RPC_RESULT },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-1,\"message\":\"no\"}}", RPC_ERROR },
        { "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-1,\"message\":\"no\"}}",
          RPC_ERROR },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", -1 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"no\"}", -1 },
        { "{\"jsonrpc\":\"2.0\",\"result\":{}}", -1 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1}", -1 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"result\":{}}", -1 },
        { "{\"jsonrpc\":\"2.0\",\"id\":[1],\"result\":{}}", -1 },
        { "{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{}}", -1 },
        { "{\"level\":\"info\",\"id\":1,\"result\":{}}", -1 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -1 },
        { "[]", -1 },
        { "7", -1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rpc_msg m;
        json_t *tree;
        enum status st = read_text(cases[i].text, &m, &tree);
        assert_int_equal(st == OK ? (int)m.kind : -1, cases[i].kind);
        json_decref(tree);
    }
}

/* What is written is one line that reads back as the same message. */
static json_t *read_back(struct buf *out, struct rpc_msg *m)
{
    struct str s = buf_get(out);
    assert_int_equal(out->status, OK);
    assert_true(s.n > 0 && s.p[s.n - 1] == '\n');
    assert_ptr_equal(memchr(s.p, '\n', s.n), s.p + s.n - 1);
    json_t *tree = js_parse((struct str){ s.p, s.n - 1 }, NULL);
    assert_non_null(tree);
    assert_int_equal(rpc_read(tree, m, NULL), OK);
    buf_clear(out);
    return tree;
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    struct buf out;
    struct rpc_msg m;
    buf_init(&out, 4096);
    rpc_request(&out, 4711, "tools/list", str_of("{\"cursor\":\"x\"}"));
    json_t *tree = read_back(&out, &m);
    assert_int_equal(m.kind, RPC_REQUEST);
    assert_int_equal(m.number, 4711);
    assert_string_equal(m.method, "tools/list");
    assert_string_equal(js_str(m.params, "cursor"), "x");
    json_decref(tree);

    rpc_notify(&out, "notifications/initialized", (struct str){ 0 });
    tree = read_back(&out, &m);
    assert_int_equal(m.kind, RPC_NOTIFICATION);
    json_decref(tree);

    json_t *id = json_string("a \"quoted\"\nid");
    rpc_error(&out, id, RPC_METHOD_NOT_FOUND, "no\nsuch \"method\" \xff");
    tree = read_back(&out, &m);
    assert_int_equal(m.kind, RPC_ERROR);
    assert_int_equal(m.code, -32601);
    assert_true(json_equal(m.id, id));
    assert_string_equal(m.message, "no\nsuch \"method\" \xef\xbf\xbd");
    json_decref(tree);

    rpc_result(&out, id, str_of("{}"));
    tree = read_back(&out, &m);
    assert_int_equal(m.kind, RPC_RESULT);
    json_decref(tree);
    json_decref(id);
    buf_fini(&out);
}

static void codes_have_names(void **state)
{
    (void)state;
    char text[64];
    assert_string_equal(rpc_code_text(-32602, text), "-32602 (invalid params)");
    assert_string_equal(rpc_code_text(17, text), "17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_however_they_are_cut),
        cmocka_unit_test(every_cut_gives_the_same_lines),
        cmocka_unit_test(of_a_line_too_long_only_the_ends_are_kept),
        cmocka_unit_test(a_line_without_end_is_given_up),
        cmocka_unit_test(the_id_is_told_from_the_ends),
        cmocka_unit_test(messages_are_told_apart),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(codes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
