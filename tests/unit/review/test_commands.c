/* SPDX-License-Identifier: Apache-2.0 */
/* The user's own checks, with real programs. */
#include "tests/unit/unit.h"

#include "workers/review/commands.h"
#include "workers/review/gates.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURNS_MAX = 100000 };

struct rig {
    struct arena a;
    struct mux *mux;
    struct ws ws;
    char dir[64];
    json_t *gates, *findings, *tree;
    int done;
};

static void on_done(void *ctx)
{
    struct rig *r = ctx;
    r->done++;
}

static void begin(struct rig *r, const char *tree)
{
    struct err err = { 0 };
    static const struct ws_file files[] = { { { "changes/x/proposal.md", 21 }, { "# X\n", 4 } },
                                            { { "config.yaml", 11 }, { "a: b\n", 5 } } };
    *r = (struct rig){ .gates = json_array(),
                       .findings = json_array(),
                       .dir = "/tmp/pawl-commands-XXXXXX" };
    assert_non_null(mkdtemp(r->dir));
    setenv("TMPDIR", r->dir, 1);
    arena_init(&r->a, 1 << 20);
    assert_non_null(r->mux = mux_new(&err));
    assert_int_equal(ws_make(&r->a, files, 2, &r->ws, &err), OK);
    r->tree = js_parse(str_of(tree), &err);
    assert_int_equal(commands_check(r->tree, &err), OK);
}

static size_t entries(const char *path)
{
    size_t n = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

/* Run all; nothing is left behind in the temporary directory. */
static void run(struct rig *r)
{
    struct err err = { 0 };
    assert_non_null(
        commands_run(r->mux, r->tree, &r->ws, "x", r->gates, r->findings, on_done, r, &err));
    for (int i = 0; i < TURNS_MAX && !r->done; i++)
        assert_int_equal(mux_turn(r->mux, -1, &err), OK);
    assert_int_equal(r->done, 1);
    assert_int_equal(entries(r->dir), 0);
}

static void end(struct rig *r)
{
    rmdir(r->dir);
    mux_free(r->mux);
    json_decref(r->gates);
    json_decref(r->findings);
    json_decref(r->tree);
    arena_fini(&r->a);
}

static void zero_holds_anything_else_does_not(void **state)
{
    struct rig r;
    (void)state;
    begin(&r, "[{\"name\":\"yes\",\"argv\":[\"true\"]},{\"name\":\"no\",\"argv\":[\"sh\",\"-c\","
              "\"echo line 3 is bad; exit 3\"]}]");
    run(&r);
    assert_int_equal(js_count(r.gates), 2);
    assert_true(js_bool(js_at(r.gates, 0), "ok", false));
    assert_false(js_bool(js_at(r.gates, 1), "ok", true));
    assert_false(gates_hold(r.gates));
    assert_int_equal(js_count(r.findings), 1);
    const json_t *f = js_at(r.findings, 0);
    assert_string_equal(js_str(f, "code"), "gate.no");
    assert_non_null(strstr(js_str(f, "message"), "line 3 is bad"));
    assert_non_null(strstr(js_str(f, "message"), "exit code 3"));
    end(&r);
}

static void it_sees_the_change_and_little_else(void **state)
{
    struct rig r;
    (void)state;
    setenv("PAWL_SECRET_FOR_TEST", "s3cret", 1);
    begin(&r, "[{\"name\":\"look\",\"argv\":[\"sh\",\"-c\",\"cat "
              "openspec/changes/$PAWL_CHANGE/proposal.md; env; exit 1\"]}]");
    run(&r);
    const char *said = js_str(js_at(r.findings, 0), "message");
    assert_non_null(strstr(said, "# X"));
    assert_non_null(strstr(said, "PAWL_CHANGE=x"));
    assert_null(strstr(said, "s3cret"));
    end(&r);
}

static void no_shell_reads_the_arguments(void **state)
{
    struct rig r;
    (void)state;
    begin(&r, "[{\"name\":\"argv\",\"argv\":[\"printf\",\"%s\",\"$(touch hacked) ; false\"]}]");
    run(&r);
    assert_true(gates_hold(r.gates));
    end(&r);
}

static void a_slow_one_is_killed_with_its_children(void **state)
{
    struct rig r;
    (void)state;
    begin(&r, "[{\"name\":\"slow\",\"argv\":[\"sh\",\"-c\",\"sleep 1000 & sleep "
              "1000\"],\"timeout\":\"50ms\"}]");
    run(&r);
    assert_false(gates_hold(r.gates));
    assert_non_null(strstr(js_str(js_at(r.findings, 0), "message"), "in time"));
    end(&r);
}

static void what_it_leaves_running_does_not_hold_it_up(void **state)
{
    struct rig r;
    (void)state;
    begin(&r, "[{\"name\":\"leaves\",\"argv\":[\"sh\",\"-c\",\"sleep 1000 & exit 0\"]}]");
    run(&r);
    assert_true(gates_hold(r.gates));
    end(&r);
}

static void much_output_is_cut_to_its_end(void **state)
{
    struct rig r;
    (void)state;
    begin(&r, "[{\"name\":\"loud\",\"argv\":[\"sh\",\"-c\",\"head -c 3000000 /dev/zero | tr "
              "'\\\\0' 'x'; printf '\\\\033[31mthe end'; exit 1\"]}]");
    run(&r);
    const char *said = js_str(js_at(r.findings, 0), "message");
    assert_true(strlen(said) < 3000);
    assert_non_null(strstr(said, "the end"));
    assert_null(strchr(said, '\033'));
    end(&r);
}

static void a_program_that_does_not_exist_is_told(void **state)
{
    struct rig r;
    (void)state;
    begin(&r, "[{\"name\":\"none\",\"argv\":[\"no-such-program-anywhere\"]}]");
    run(&r);
    assert_false(gates_hold(r.gates));
    assert_non_null(strstr(js_str(js_at(r.findings, 0), "message"), "No such file"));
    end(&r);
}

static void cancelling_kills_and_tidies(void **state)
{
    struct rig r;
    struct err err = { 0 };
    (void)state;
    begin(&r, "[{\"name\":\"slow\",\"argv\":[\"sleep\",\"1000\"]}]");
    struct commands *c =
        commands_run(r.mux, r.tree, &r.ws, "x", r.gates, r.findings, on_done, &r, &err);
    assert_non_null(c);
    assert_int_equal(mux_turn(r.mux, 1000, &err), OK); /* it is started in a turn of its own */
    commands_cancel(c);
    assert_int_equal(entries(r.dir), 0);
    assert_int_equal(mux_turn(r.mux, 0, &err), OK);
    assert_int_equal(r.done, 0);
    end(&r);
}

static void the_configuration_is_strict(void **state)
{
    static const char *const bad[] = {
        "{}",
        "[1]",
        "[{\"name\":\"a\"}]",
        "[{\"argv\":[\"true\"]}]",
        "[{\"name\":\"a\",\"argv\":[]}]",
        "[{\"name\":\"a\",\"argv\":[1]}]",
        "[{\"name\":\"a\",\"argv\":[\"\"]}]",
        "[{\"name\":\"a\",\"argv\":[\"true\"],\"shell\":true}]",
        "[{\"name\":\"format\",\"argv\":[\"true\"]}]",
        "[{\"name\":\"a\",\"argv\":[\"true\"],\"timeout\":\"soon\"}]",
        "[{\"name\":\"a\",\"argv\":[\"true\"],\"timeout\":0}]",
        "[{\"name\":\"a\",\"argv\":[\"true\"],\"timeout\":\"2h\"}]",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err err = { 0 };
        json_t *tree = js_parse(str_of(bad[i]), &err);
        assert_int_equal(commands_check(tree, &err), ERR_CONFIG);
        assert_non_null(strstr(err.text, "review.gates"));
        json_decref(tree);
    }
    assert_int_equal(commands_check(NULL, NULL), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_holds_anything_else_does_not),
        cmocka_unit_test(it_sees_the_change_and_little_else),
        cmocka_unit_test(no_shell_reads_the_arguments),
        cmocka_unit_test(a_slow_one_is_killed_with_its_children),
        cmocka_unit_test(what_it_leaves_running_does_not_hold_it_up),
        cmocka_unit_test(much_output_is_cut_to_its_end),
        cmocka_unit_test(a_program_that_does_not_exist_is_told),
        cmocka_unit_test(cancelling_kills_and_tidies),
        cmocka_unit_test(the_configuration_is_strict),
    };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread: mux takes it by signalfd */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
