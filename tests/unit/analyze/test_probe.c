/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/doc.h"
#include "workers/analyze/probe.h"

#include <string.h>

static json_t *parse(const char *text)
{
    struct err err = { 0 };
    json_t *v = js_parse(str_of(text), &err);
    if (!v)
        fail_msg("%s", err.text);
    return v;
}

static const char brief_text[] = "{\"brief\":{\"title\":\"Café\",\"n\":7,\"capabilities\":[{\"id\":"
                                 "\"auth/login\",\"rank\":0.5}],\"context\":\"\"}}";

/* The arguments, filled in, as text; "!" and the error when it fails. */
static void check_fill(const char *arguments, const char *want)
{
    json_t *root = parse(brief_text), *a = parse(arguments);
    struct err err = { 0 };
    struct buf b;
    buf_init(&b, 1 << 20);
    json_t *v = probe_fill(a, root, &err);
    if (v)
        js_dump(v, &b);
    else
        buf_printf(&b, "!%s", err.text);
    assert_string_equal(buf_z(&b), want);
    buf_fini(&b);
    json_decref(v);
    json_decref(a);
    json_decref(root);
}

static void placeholders_are_filled_in(void **state)
{
    (void)state;
    check_fill("{\"q\":\"about {{brief.title}}!\"}", "{\"q\":\"about Café!\"}");
    check_fill("{\"p\":\"specs/{{brief.capabilities.0.id}}/{{ brief.n }}.md\"}",
               "{\"p\":\"specs/auth/login/7.md\"}");
    check_fill("{\"a\":[\"{{brief.title}}\",{\"b\":\"{{brief.n}}\"}]}",
               "{\"a\":[\"Café\",{\"b\":7}]}");
    check_fill("{\"n\":5,\"t\":true,\"z\":null}", "{\"n\":5,\"t\":true,\"z\":null}");
}

static void one_placeholder_alone_keeps_its_type(void **state)
{
    (void)state;
    check_fill("{\"n\":\"{{brief.n}}\"}", "{\"n\":7}");
    check_fill("{\"n\":\" {{brief.n}}\"}", "{\"n\":\" 7\"}");
    check_fill("{\"c\":\"{{brief.capabilities.0}}\"}",
               "{\"c\":{\"id\":\"auth/login\",\"rank\":0.5}}");
    check_fill("{\"c\":\"is {{brief.capabilities.0}}\"}",
               "{\"c\":\"is {\\\"id\\\":\\\"auth/login\\\",\\\"rank\\\":0.5}\"}");
}

static void what_is_no_placeholder_stays(void **state)
{
    (void)state;
    check_fill("{\"a\":\"{brief.title} }} {{\"}", "{\"a\":\"{brief.title} }} {{\"}");
    check_fill("{\"{{brief.title}}\":1}", "{\"{{brief.title}}\":1}");
}

static void a_placeholder_without_value_is_an_error(void **state)
{
    (void)state;
    check_fill("{\"a\":\"{{brief.titel}}\"}", "!{{brief.titel}} has no value");
    check_fill("{\"a\":[{\"b\":\"x {{brief.capabilities.9.id}}\"}]}",
               "!{{brief.capabilities.9.id}} has no value");
    check_fill("{\"a\":\"{{}}\"}", "!{{}} has no value");
    check_fill("{\"a\":\"[{{brief.context}}]\"}", "{\"a\":\"[]\"}");
}

static void check_conf(const char *tree, enum status want, const char *path, const char *text)
{
    struct probes p;
    struct err err = { 0 };
    char at[64];
    json_t *v = parse(tree);
    assert_int_equal(probes_read(&p, v, at, &err), want);
    if (want != OK) {
        assert_string_equal(at, path);
        assert_non_null(strstr(err.text, text));
    }
    json_decref(v);
}

static void probes_are_read_strictly(void **state)
{
    (void)state;
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\"}]", OK, "", "");
    check_conf("{}", ERR_CONFIG, "", "not a list");
    check_conf("[7]", ERR_CONFIG, "0", "not a map");
    check_conf("[{\"name\":\"a\",\"tool\":\"t\"}]", ERR_CONFIG, "0", "'server' is missing");
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"args\":{}}]", ERR_CONFIG,
               "0.args", "unknown key 'args'");
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"arguments\":[]}]", ERR_CONFIG,
               "0.arguments", "not a map");
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"excerpt\":0}]", ERR_CONFIG,
               "0.excerpt", "65536");
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"excerpt\":\"x\"}]", ERR_CONFIG,
               "0.excerpt", "65536");
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"excerpt\":{\"lines\":0}}]",
               ERR_CONFIG, "0.excerpt.lines", "10-40");
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"excerpt\":{\"lines\":\"9-3\"}}]",
               ERR_CONFIG, "0.excerpt.lines", "10-40");
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"excerpt\":{\"bytes\":\"1\"}}]",
               ERR_CONFIG, "0.excerpt.bytes", "65536");
    check_conf("[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"excerpt\":{\"line\":1}}]",
               ERR_CONFIG, "0.excerpt.line", "unknown key 'line'");
    check_conf("[{\"name\":\"a\",\"server\":7,\"tool\":\"t\"}]", ERR_CONFIG, "0.server",
               "not a text");
}

static void check_placeholder(const char *text, const char *want)
{
    char conf[512];
    snprintf(conf, sizeof conf,
             "[{\"name\":\"a\",\"server\":\"s\",\"tool\":\"t\",\"arguments\":{\"q\":[1,\"%s\"]}}]",
             text);
    check_conf(conf, *want ? ERR_CONFIG : OK, *want ? "0.arguments.q.1" : "", want);
}

static void a_placeholder_that_no_document_has_is_an_error(void **state)
{
    (void)state;
    check_placeholder("{{brief.title}} and {{ brief.change_name }}", "");
    check_placeholder("{{brief.capabilities.0.requirements.12.text}}", "");
    check_placeholder("{{brief.capabilities}}{{brief.all_capabilities.3}}{{brief.rules.specs.0}}",
                      "");
    check_placeholder("{{comments.items.0.text}}{{brief.base.name}}{{brief}}", "");
    check_placeholder("{{brief.titel}}",
                      "the placeholder {{brief.titel}}: 'titel' is not in a brief");
    check_placeholder("x {{brief.title}} {{brief.capabilities.0.nam}}",
                      "'nam' is not in a capability");
    check_placeholder("{{brief.capabilities.id}}",
                      "'capabilities' is a list: a number has to follow");
    check_placeholder("{{brief.title.0}}", "nothing has the name '0' there");
    check_placeholder("{{title}}", "'title' is no document of this stage");
    check_placeholder("{{}}", "nothing has the name");
    check_placeholder("{{brief..title}}", "nothing has the name");
}

static struct str some_lines(const char *text, int from, int to)
{
    return excerpt_lines(str_of(text), from, to);
}

static void an_excerpt_may_be_some_lines(void **state)
{
    (void)state;
    assert_true(str_is(some_lines("a\nb\nc\nd", 0, 0), "a\nb\nc\nd"));
    assert_true(str_is(some_lines("a\nb\nc\nd", 1, 2), "a\nb\n"));
    assert_true(str_is(some_lines("a\nb\nc\nd", 2, 3), "b\nc\n"));
    assert_true(str_is(some_lines("a\nb\nc\nd", 4, 9), "d"));
    assert_true(str_is(some_lines("a\nb\n", 3, 9), ""));
    assert_true(str_is(some_lines("a\nb", 7, 9), ""));
    assert_true(str_is(some_lines("", 1, 2), ""));
}

static void an_excerpt_is_cut_at_a_line_or_at_least_a_character(void **state)
{
    (void)state;
    assert_int_equal(excerpt_cut(str_of("short"), 10), 5);
    assert_int_equal(excerpt_cut(str_of("line one\nline two\nline three"), 20), 18);
    assert_int_equal(excerpt_cut(str_of("a\nvery long line without end"), 20), 20);
    assert_int_equal(excerpt_cut(str_of("aaaa\xc3\xa9zz"), 5), 4);
    assert_int_equal(excerpt_cut(str_of("abc"), 0), 0);
}

static void only_allowed_tools_match(void **state)
{
    (void)state;
    json_t *p = parse("[\"files/read_text_file\",\"memory/*\",7,\"x/\"]");
    assert_true(tool_allowed(p, "files", "read_text_file"));
    assert_false(tool_allowed(p, "files", "write_file"));
    assert_false(tool_allowed(p, "files", "read_text_file2"));
    assert_false(tool_allowed(p, "file", "s/read_text_file"));
    assert_true(tool_allowed(p, "memory", "anything"));
    assert_false(tool_allowed(p, "memory2", "anything"));
    assert_false(tool_allowed(NULL, "files", "read_text_file"));
    json_decref(p);
}

static void insights_have_the_shape_of_documents(void **state)
{
    (void)state;
    struct probe p = { .name = "limits", .server = "files", .tool = "read", .excerpt = 10 };
    json_t *args = parse("{\"path\":\"a\"}");
    json_t *i = insight_new(1, &p, args, str_of("12 lines\nand more"));
    json_t *doc = json_pack("{s:[O]}", "items", i);
    struct err err = { 0 };
    assert_int_equal(doc_check("insights", doc, &err), OK);
    assert_string_equal(js_str(i, "excerpt"), "12 lines\n");
    assert_string_equal(js_str(i, "id"), "i1");
    assert_true(js_bool(i, "truncated", false));
    assert_int_equal(strlen(js_str(i, "hash")), 64);
    json_t *r = result_new(true, (struct str){ 0 });
    assert_int_equal(doc_check("result", r, &err), OK);
    json_decref(r);
    json_decref(doc);
    json_decref(i);
    json_decref(args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_are_filled_in),
        cmocka_unit_test(one_placeholder_alone_keeps_its_type),
        cmocka_unit_test(what_is_no_placeholder_stays),
        cmocka_unit_test(a_placeholder_without_value_is_an_error),
        cmocka_unit_test(probes_are_read_strictly),
        cmocka_unit_test(a_placeholder_that_no_document_has_is_an_error),
        cmocka_unit_test(an_excerpt_may_be_some_lines),
        cmocka_unit_test(an_excerpt_is_cut_at_a_line_or_at_least_a_character),
        cmocka_unit_test(only_allowed_tools_match),
        cmocka_unit_test(insights_have_the_shape_of_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
