/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/mcp/jsonc.h"
#include "common/mcp/mcpjson.h"

#include <stdlib.h>
#include <string.h>

static const char *get(void *ctx, const char *name)
{
    (void)ctx;
    if (strcmp(name, "HOME") == 0)
        return "/home/u";
    if (strcmp(name, "TOKEN") == 0)
        return "s3cret";
    return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static const struct mcp_vars vars = { get, NULL, "/project" };

static void read_good(const char *text, struct mcp_file *f)
{
    struct err err = { 0 };
    if (mcpjson_read(str_of(text), "mcp.json", &vars, f, NULL, &err) != OK)
        fail_msg("%s", err.text);
}

static void hosts_files_are_read(void **state)
{
    (void)state;
    struct mcp_file f;
    read_good("\xef\xbb\xbf{\n  // what LM Studio writes\n  \"mcpServers\": {\n"
              "    \"files\": {\"command\": \"npx\", \"args\": [\"-y\", \"server\", \"/data\",], "
              "\"timeout\": 90000},\n"
              "    \"db\": {\"type\": \"stdio\", \"command\": \"/opt/db\", \"env\": {\"K\": "
              "\"v=w\"}, \"cwd\": \"/srv\"},\n"
              "    /* Cline */ \"off\": {\"command\": \"x\", \"disabled\": true},\n"
              "    \"new\": {\"command\": \"y\", \"protocol\": \"2026-07-28\", "
              "\"startup_timeout_ms\": 5000}\n"
              "  },\n  \"globalShortcut\": \"\",\n}\n",
              &f);
    assert_int_equal(f.n, 4);
    const struct mcp_server *s = mcpjson_find(&f, "files");
    assert_string_equal(s->command, "npx");
    assert_string_equal(s->argv[0], "npx");
    assert_string_equal(s->argv[3], "/data");
    assert_null(s->argv[4]);
    assert_null(s->env[0]);
    assert_int_equal(s->timeout_ms, 90000);
    assert_int_equal(s->line, 4);
    assert_int_equal(s->column, 5);
    assert_null(s->fault);
    s = mcpjson_find(&f, "db");
    assert_string_equal(s->env[0], "K=v=w");
    assert_string_equal(s->cwd, "/srv");
    assert_null(s->argv[1]);
    assert_true(mcpjson_find(&f, "off")->disabled);
    assert_int_equal(mcpjson_find(&f, "new")->era, MCP_MODERN);
    assert_int_equal(mcpjson_find(&f, "new")->start_ms, 5000);
    assert_null(mcpjson_find(&f, "none"));
    assert_int_equal(f.remarks_n, 0);
    mcpjson_fini(&f);
    read_good("{\"servers\": {\"a\": {\"command\": \"x\", \"enabled\": false}}}", &f); /* VS Code */
    assert_true(f.servers[0].disabled);
    mcpjson_fini(&f);
    read_good("{\"mcpServers\": {}}", &f);
    assert_int_equal(f.n, 0);
    mcpjson_fini(&f);
}

static void variables_are_filled_in(void **state)
{
    (void)state;
    struct mcp_file f;
    read_good("{\"mcpServers\": {\"a\": {\"command\": \"${userHome}/bin/x\", \"cwd\": "
              "\"${workspaceFolder}\","
              "\"args\": [\"--t=${TOKEN}!\", \"${env:TOKEN}\", \"${NONE:-else}\", "
              "\"${EMPTY:-else}\", \"${EMPTY}\","
              "\"$${TOKEN}\", \"$TOKEN ${open\", \"\"]}}}",
              &f);
    const struct mcp_server *s = &f.servers[0];
    static const char *const want[] = { "/home/u/bin/x", "--t=s3cret!",   "s3cret",
                                        "else",          "else",          "",
                                        "${TOKEN}",      "$TOKEN ${open", "" };
    for (size_t i = 0; i < COUNT(want); i++)
        assert_string_equal(s->argv[i], want[i]);
    assert_string_equal(s->cwd, "/project");
    mcpjson_fini(&f);
    read_good("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"cwd\": \"sub\"}, \"b\": "
              "{\"command\": \"x\"}}}",
              &f);
    assert_string_equal(f.servers[0].cwd, "/project/sub");
    assert_string_equal(f.servers[1].cwd, "/project");
    mcpjson_fini(&f);
}

static void check_fault(const char *server, const char *want)
{
    char text[2048];
    struct mcp_file f;
    snprintf(text, sizeof text,
             "{\"mcpServers\": {\n\"bad\": {%s},\n\"good\": {\"command\": \"x\"}}}", server);
    read_good(text, &f);
    const struct mcp_server *s = mcpjson_find(&f, "bad");
    assert_non_null(s->fault);
    if (!strstr(s->fault, want))
        fail_msg("%s", s->fault);
    assert_true(*s->fix);
    assert_null(mcpjson_find(&f, "good")->fault);
    mcpjson_fini(&f);
}

static void one_bad_server_leaves_the_others(void **state)
{
    (void)state;
    check_fault(
        "\"command\": \"x\", \"args\": [\"a\",\n  \"${TOKEN}${GITHUB_TOKEN}\"]",
        "mcp.json:3:3: server 'bad' needs the environment variable GITHUB_TOKEN, which is not set");
    check_fault("\"url\": \"http://localhost:3000/mcp\"",
                "mcp.json:2:1: server 'bad' is reached over HTTP");
    check_fault("\"type\": \"sse\", \"command\": \"x\"", "over HTTP");
    check_fault("\"command\": \"x\", \"url\": \"http://x\"", "both a command and a url");
    check_fault("\"args\": []", "has no command");
    check_fault("\"command\": \"\"", "has no command");
}

static void a_secret_is_never_in_a_message(void **state)
{
    (void)state;
    struct mcp_file f;
    read_good(
        "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\"A\": \"${TOKEN}${NOT_SET}\"}}}}",
        &f);
    assert_non_null(f.servers[0].fault);
    assert_null(strstr(f.servers[0].fault, "s3cret"));
    mcpjson_fini(&f);
}

static void check_error(const char *text, const char *want)
{
    struct mcp_file f;
    struct err err = { 0 };
    struct mcp_place at = { 0 };
    assert_int_not_equal(mcpjson_read(str_of(text), "mcp.json", &vars, &f, &at, &err), OK);
    if (strncmp(err.text, want, strlen(want)) != 0)
        fail_msg("%s", err.text);
    assert_true(*err.fix);
    assert_true(at.line >= 1 && at.column >= 1);
    assert_int_equal(f.n, 0);
}

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    check_error("", "mcp.json:1:");
    check_error("{\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\" \"args\": []}\n}}",
                "mcp.json:3:");
    check_error("{\n  /* never closed\n", "mcp.json:2:3: a comment without end");
    check_error("[]", "mcp.json:1:1: an object is expected");
    check_error("{}", "mcp.json:1:1: neither 'mcpServers' nor 'servers'");
    check_error("{\"mcpServers\":\n []}", "mcp.json:2:2: 'mcpServers' has to be an object");
    check_error("{\"mcpServers\": {\n  \"a\": []}}",
                "mcp.json:2:3: server 'a' has to be an object");
    check_error("{\"mcpServers\": {\n  \"a b\": {}}}",
                "mcp.json:2:3: a server cannot have this name");
    check_error("{\"mcpServers\": {\"a\": {\n\"command\": [\"x\"]}}}",
                "mcp.json:2:12: 'command' has to be a text");
    check_error("{\"mcpServers\": {\"a\": {\"command\": \"x\",\n\"args\": \"x\"}}}",
                "mcp.json:2:9: 'args' has to be");
    check_error("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": [\"a\",\n 7]}}}",
                "mcp.json:2:2: a text is");
    check_error("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\n\"A\":  7}}}}",
                "mcp.json:2:7: a text is");
    check_error("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\"A=B\": \"\"}}}}",
                "mcp.json:1:");
    check_error("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"timeout\": 0}}}",
                "mcp.json:1:50: 'timeout' has");
    check_error("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"timeout\": \"9\"}}}",
                "mcp.json:1:50: 'timeout' has");
    check_error("{\"mcpServers\": {\"a\": {\"cwd\": \"x\",\n \"working_dir\": \"y\"}}}",
                "mcp.json:2:17: 'working_dir' says the same as 'cwd'");
    check_error("{\"mcpServers\": {\"a\": {\"protocol\": \"2027\"}}}",
                "mcp.json:1:35: 'protocol' has");
    check_error("{\"mcpServers\": {\"a\": {}, \"a\": {}}}", "mcp.json:1:");
    check_error("{\"mcpServers\": {\"a\": {\"command\": \"x\\u0000y\"}}}", "mcp.json:1:");
    check_error("{\"mcpServers\": {\"a\": {\"command\": \"\xff\"}}}", "mcp.json:1:");
}

static void unknown_keys_are_remarked(void **state)
{
    (void)state;
    struct mcp_file f;
    read_good("{\"mcpServers\": {\"a\": {\"command\": \"x\",\n  \"sandbox\": {}}}}", &f);
    assert_int_equal(f.remarks_n, 1);
    assert_string_equal(f.remarks[0], "mcp.json:2:14: server 'a': 'sandbox' is not used here");
    mcpjson_fini(&f);
}

static void places_are_found_behind_anything(void **state)
{
    (void)state;
    static const char text[] = "{\"a\\\"{\": [1, {\"}\": \"]\"}, \"\\\\\"],\n \"b\": "
                               "{\"c\\u0064\": [true,\n   null, [5]]}}";
    static const char *const path[] = { "b", "cd", "2", "0" };
    int line = 0, column = 0;
    assert_true(jsonc_where(str_of(text), &(struct jsonc_path){ path, 4, false }, &line, &column));
    assert_int_equal(line, 3);
    assert_int_equal(column, 11);
    assert_true(jsonc_where(str_of(text), &(struct jsonc_path){ path, 2, true }, &line, &column));
    assert_int_equal(line, 2);
    assert_int_equal(column, 8);
    static const char *const none[] = { "b", "cd", "3" };
    assert_false(jsonc_where(str_of(text), &(struct jsonc_path){ none, 3, false }, &line, &column));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_files_are_read),
        cmocka_unit_test(variables_are_filled_in),
        cmocka_unit_test(one_bad_server_leaves_the_others),
        cmocka_unit_test(a_secret_is_never_in_a_message),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(unknown_keys_are_remarked),
        cmocka_unit_test(places_are_found_behind_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
