/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration: every kind of mistake and its place, the order of the sources, secret files. */
#include "tests/unit/unit.h"

#include "common/conf.h"
#include "common/peer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char root[64], was[PATH_MAX];
};

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* A directory of its own with .git in it, no environment, no user file. */
static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    assert_non_null(getcwd(p->was, sizeof p->was));
    snprintf(p->root, sizeof p->root, "/tmp/pawl-conf-XXXXXX");
    assert_non_null(mkdtemp(p->root));
    assert_int_equal(chdir(p->root), 0);
    assert_int_equal(mkdir(".git", 0700), 0);
    extern char **environ;
    for (char **e = environ; *e;) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*e, "="), *e);
        if (strncmp(name, "PAWL_", 5) == 0)
            unsetenv(name);
        else
            e++;
    }
    setenv("XDG_CONFIG_HOME", p->root, 1);
    setenv("XDG_STATE_HOME", "/tmp/s", 1);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    char command[128];
    assert_int_equal(chdir(p->was), 0);
    snprintf(command, sizeof command, "rm -rf %s", p->root);
    assert_int_equal(system(command), 0);
    free(p);
    return 0;
}

static struct conf *load(void)
{
    struct conf *c;
    struct err err = { 0 };
    if (conf_load(&c, NULL, NULL, 0, &err) != OK)
        fail_msg("%s", err.text);
    return c;
}

struct wrong {
    const char *yaml, *says, *fix;
};

static void mistakes_name_their_place(void **state)
{
    static const struct wrong cases[] = {
        { "loop:\n  rouds: 3\n",
          "pawl.yaml:2:3: error: unknown key 'loop.rouds'\n     2 |   rouds: 3\n       |   ^",
          "did you mean 'loop.rounds'?" },
        { "lop:\n  rounds: 3\n", "pawl.yaml:1:1: error: unknown key 'lop'", NULL },
        { "loop:\n  rounds: three\n", "pawl.yaml:2:11: error: 'three' is not a whole number",
          NULL },
        { "loop:\n  rounds: -1\n", "pawl.yaml:2:11: error: -1 is less than 1", NULL },
        { "loop:\n  rounds: 101\n", "101 is more than 100", NULL },
        { "loop:\n  wall: 30\n", "pawl.yaml:2:9: error: '30' has no unit",
          "write 500ms, 30s, 5m, 2h or 1d" },
        { "loop:\n  wall: 30 parsecs\n", "'30 parsecs' has an unknown unit", NULL },
        { "loop:\n  wall: nan\n", "'nan' is not a number with a unit", NULL },
        { "loop:\n  wall: 0x1p3s\n", "is not a number with a unit", NULL },
        { "loop:\n  wall: 99999999999d\n", "is too large", NULL },
        { "review:\n  max_bytes: 3 potatoes\n", "unit", "write 512B, 64KiB, 4MiB or 1GiB" },
        { "review:\n  judge: yes\n", "'yes' is not true or false", NULL },
        { "log:\n  level: loud\n", "'loud' is not one of debug|info|warn|error", NULL },
        { "model:\n  temperature: warm\n", "'warm' is not a number", NULL },
        { "model:\n  temperature: inf\n", "'inf' is not a number", NULL },
        { "loop:\n  rounds: [3]\n", "one value is wanted here", NULL },
        { "loop: 3\n", "pawl.yaml:1:7: error: a map of keys is wanted here", NULL },
        { "- a\n", "a map of keys is wanted here", NULL },
        { "loop:\n  rounds: 3\n  rounds: 4\n", "pawl.yaml:3:3: error: 'loop.rounds' is here twice",
          NULL },
        { "analyze:\n  probes:\n    - {name: a, name: b}\n", "the same key twice", NULL },
        { "analyze:\n  allow: [1]\n", "a list of strings", NULL },
        { "analyze:\n  allow: {a: b}\n", "a list of strings", NULL },
        { "state_dir: &a x\n", "anchors are not allowed", NULL },
        { "state_dir: *a\n", "aliases are not allowed", NULL },
        { "state_dir: !!str x\n", "tags are not allowed", NULL },
        { "state_dir: x\n---\nstate_dir: y\n", "a second document", NULL },
        { "loop: {rounds: 3\n", "error:", NULL },
        { "state_dir: \"\x01\"\n", "control characters are not allowed", NULL },
        { "log:\n  level: \xff\n", "pawl.yaml:2:10: error:", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf *c = NULL;
        struct err err = { 0 };
        write_file("pawl.yaml", cases[i].yaml, 0600);
        assert_int_equal(conf_load(&c, NULL, NULL, 0, &err), ERR_CONFIG);
        assert_null(c);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s\ninstead of: %s", err.text, cases[i].says);
        if (cases[i].fix)
            assert_string_equal(err.fix, cases[i].fix);
    }
}

static void depth_and_size_are_bounded(void **state)
{
    struct conf *c;
    struct err err = { 0 };
    char *deep = calloc(1, 3 << 20);
    (void)state;
    snprintf(deep, 64, "analyze:\n  probes: ");
    memset(deep + strlen(deep), '[', 20000);
    write_file("pawl.yaml", deep, 0600);
    assert_int_equal(conf_load(&c, NULL, NULL, 0, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "nested too deep"));
    memset(deep, '#', (1 << 20) + 1);
    deep[(1 << 20) + 1] = '\0';
    write_file("pawl.yaml", deep, 0600);
    assert_int_equal(conf_load(&c, NULL, NULL, 0, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "larger than 1 MiB"));
    free(deep);
}

static void values_have_their_types(void **state)
{
    (void)state;
    write_file("pawl.yaml",
               "loop: {rounds: 7, wall: 1.5h, patience: 3}\n"
               "model:\n  temperature: 0.25\n  findings: false\n  key_file: ~/key\n  stall: 0\n"
               "review: {max_bytes: 64KiB}\n"
               "analyze:\n  mcp: sub/mcp.json\n  allow: [fs/*, 'm/x']\n"
               "  probes:\n    - name: rates\n      arguments:\n        path: '3'\n        n: 3\n",
               0600);
    struct conf *c = load();
    assert_int_equal(conf_int(c, CONF_LOOP_ROUNDS), 7);
    assert_int_equal(conf_int(c, CONF_LOOP_WALL), 5400000);
    assert_int_equal(conf_int(c, CONF_MODEL_STALL), 0);
    assert_int_equal(conf_int(c, CONF_REVIEW_MAX_BYTES), 65536);
    assert_true(conf_real(c, CONF_MODEL_TEMPERATURE) > 0.24 &&
                conf_real(c, CONF_MODEL_TEMPERATURE) < 0.26);
    assert_int_equal(conf_int(c, CONF_MODEL_FINDINGS), 0);
    char want[PATH_MAX];
    snprintf(want, sizeof want, "%s/sub/mcp.json", conf_dir(c));
    assert_string_equal(conf_str(c, CONF_ANALYZE_MCP), want);
    snprintf(want, sizeof want, "%s/key", getenv("HOME"));
    assert_string_equal(conf_str(c, CONF_MODEL_KEY), want);
    assert_int_equal(js_count(conf_tree(c, CONF_ANALYZE_ALLOW)), 2);
    const json_t *probes = conf_tree(c, CONF_ANALYZE_PROBES);
    assert_true(json_is_string(js_path(probes, "0.arguments.path")));
    assert_true(json_is_integer(js_path(probes, "0.arguments.n")));
    assert_int_equal(conf_line(c, CONF_ANALYZE_PROBES, "0.arguments.n"), 15);
    assert_null(conf_tree(c, CONF_LOOP_PIPELINE));
    conf_free(c);
}

static void sources_have_an_order(void **state)
{
    struct place *p = *state;
    char dir[128];
    struct err err = { 0 };
    snprintf(dir, sizeof dir, "%s/pawl", p->root);
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(dir, sizeof dir, "%s/pawl/config.yaml", p->root);
    write_file(dir, "loop: {rounds: 5, tokens: 5, patience: 5, wall: 5s}\n", 0600);
    write_file("pawl.yaml", "loop: {rounds: 6, tokens: 6, patience: 6}\n", 0600);
    setenv("PAWL_LOOP_ROUNDS", "7", 1);
    setenv("PAWL_LOOP_PATIENCE", "7", 1);
    const struct conf_flag flag = { "loop.rounds", "8" };
    struct conf *c;
    assert_int_equal(conf_load(&c, NULL, &flag, 1, &err), OK);
    assert_int_equal(conf_int(c, CONF_LOOP_ROUNDS), 8);
    assert_string_equal(conf_origin(c, CONF_LOOP_ROUNDS), "flag");
    assert_int_equal(conf_int(c, CONF_LOOP_PATIENCE), 7);
    assert_string_equal(conf_origin(c, CONF_LOOP_PATIENCE), "environment PAWL_LOOP_PATIENCE");
    assert_int_equal(conf_int(c, CONF_LOOP_TOKENS), 6);
    assert_non_null(strstr(conf_origin(c, CONF_LOOP_TOKENS), "/pawl.yaml:1"));
    assert_int_equal(conf_int(c, CONF_LOOP_WALL), 5000);
    assert_non_null(strstr(conf_origin(c, CONF_LOOP_WALL), "/pawl/config.yaml:1"));
    assert_string_equal(conf_origin(c, CONF_LOG_LEVEL), "default");
    conf_free(c);
    setenv("PAWL_LOOP_ROUNDS", "many", 1);
    assert_int_equal(conf_load(&c, NULL, NULL, 0, &err), ERR_CONFIG);
    assert_string_equal(err.text, "PAWL_LOOP_ROUNDS: 'many' is not a whole number");
    unsetenv("PAWL_LOOP_ROUNDS");
    unsetenv("PAWL_LOOP_PATIENCE");
}

static void flags_are_checked(void **state)
{
    struct conf *c;
    struct err err = { 0 };
    const struct conf_flag unknown = { "model.ulr", "x" }, list = { "analyze.allow", "a/b,c/*" };
    (void)state;
    assert_int_equal(conf_load(&c, NULL, &unknown, 1, &err), ERR_CONFIG);
    assert_string_equal(err.text, "--set model.ulr: unknown key");
    assert_string_equal(err.fix, "did you mean 'model.url'?");
    assert_int_equal(conf_load(&c, NULL, &list, 1, &err), OK);
    assert_int_equal(js_count(conf_tree(c, CONF_ANALYZE_ALLOW)), 2);
    conf_free(c);
    assert_int_equal(conf_load(&c, "no/such.yaml", NULL, 0, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "no/such.yaml: No such file"));
}

/* The nearest parent's file counts, but not one above the repository's root. */
static void the_project_ends_at_the_repository(void **state)
{
    (void)state;
    assert_int_equal(mkdir("in", 0700), 0);
    assert_int_equal(mkdir("in/side", 0700), 0);
    write_file("pawl.yaml", "loop: {rounds: 6}\n", 0600);
    assert_int_equal(chdir("in/side"), 0);
    struct conf *c = load();
    assert_int_equal(conf_int(c, CONF_LOOP_ROUNDS), 6);
    conf_free(c);
    assert_int_equal(mkdir("../.git", 0700), 0);
    c = load();
    assert_int_equal(conf_int(c, CONF_LOOP_ROUNDS), 4);
    conf_free(c);
}

static void places_have_defaults(void **state)
{
    struct conf *c = load();
    struct err err = { 0 };
    (void)state;
    assert_string_equal(conf_state_dir(c), "/tmp/s/pawl");
    assert_string_equal(conf_endpoint(c), "ipc:///tmp/s/pawl/broker.sock");
    conf_free(c);
    char lengthy[160] = "/";
    memset(lengthy + 1, 'x', 120);
    const struct conf_flag flag = { "state_dir", lengthy };
    assert_int_equal(conf_load(&c, NULL, &flag, 1, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "a socket path may be"));
}

static void secrets_are_private(void **state)
{
    struct conf *c;
    struct err err = { 0 };
    struct peer_keys keys, read;
    char text[256];
    const struct conf_flag flags[] = { { "peer.secret_file", "peer.key" },
                                       { "broker.public_key", keys.public_key } };
    (void)state;
    assert_int_equal(peer_keypair(keys.public_key, keys.secret_key), OK);
    assert_int_equal(conf_load(&c, NULL, flags, 2, &err), OK);
    assert_int_equal(conf_keys(c, false, &read, &err), ERR_CONFIG); /* no such file */
    snprintf(text, sizeof text, "# me\npublic %s\nsecret %s\n", keys.public_key, keys.secret_key);
    write_file("peer.key", text, 0640);
    assert_int_equal(conf_keys(c, false, &read, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "others can read this secret key"));
    assert_null(strstr(err.text, keys.secret_key));
    write_file("peer.key", text, 0600);
    assert_int_equal(conf_keys(c, false, &read, &err), OK);
    assert_string_equal(read.secret_key, keys.secret_key);
    assert_string_equal(read.server_key, keys.public_key);
    write_file("peer.key", "hello\n", 0600);
    assert_int_equal(conf_keys(c, false, &read, &err), ERR_CONFIG);
    assert_string_equal(err.fix, "`pawl keys new` makes one");
    conf_free(c);
    assert_int_equal(conf_load(&c, NULL, flags + 1, 1, &err), OK); /* the broker's key alone */
    assert_int_equal(conf_keys(c, false, &read, &err), ERR_CONFIG);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mistakes_name_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_and_size_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(values_have_their_types, setup, teardown),
        cmocka_unit_test_setup_teardown(sources_have_an_order, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(the_project_ends_at_the_repository, setup, teardown),
        cmocka_unit_test_setup_teardown(places_have_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_are_private, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
