/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: exact names, flags anywhere, every mistake with a suggestion. */
#include "tests/unit/unit.h"

#include "clients/cli/args.h"
#include "clients/cli/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parse a line of words (split at blanks, '_' inside a word stands for a blank). */
struct parsed {
    struct args args;
    struct err err;
    enum status st;
    char line[512];
};

static struct parsed *parse(const char *line)
{
    char *argv[32];
    int argc = 0;
    struct parsed *p = calloc(1, sizeof *p);
    snprintf(p->line, sizeof p->line, "%s", line);
    char *rest = p->line, *word;
    while ((word = strsep(&rest, " "))) {
        for (char *c = word; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        argv[argc++] = word;
    }
    p->st = args_parse(argc, argv, &p->args, &p->err);
    return p;
}

static void flags_stand_anywhere(void **state)
{
    static const char *const lines[] = {
        "submit a.md --rounds 3 -q -o json",
        "--rounds 3 -q submit -o json a.md",
        "-ojson --rounds=3 submit -q a.md",
        "-o=json submit --rounds=3 -q -- a.md",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct parsed *p = parse(lines[i]);
        assert_int_equal(p->st, OK);
        assert_string_equal(p->args.command->name, "submit");
        assert_int_equal(p->args.words_n, 1);
        assert_string_equal(p->args.words[0], "a.md");
        assert_int_equal(p->args.number[FLAG_ROUNDS], 3);
        assert_string_equal(p->args.text[FLAG_OUTPUT], "json");
        assert_true(args_has(&p->args, FLAG_QUIET));
        assert_false(args_has(&p->args, FLAG_VERBOSE));
        free(p);
    }
}

static void values_have_kinds(void **state)
{
    (void)state;
    struct parsed *p = parse("submit - --wait --wall 1.5h --priority -2 --set a=1 --set b=2");
    assert_int_equal(p->st, OK);
    assert_string_equal(p->args.words[0], "-");
    assert_string_equal(p->args.text[FLAG_WAIT], "");
    assert_int_equal(p->args.number[FLAG_WALL], 5400000);
    assert_int_equal(p->args.number[FLAG_PRIORITY], -2);
    assert_int_equal(p->args.list_n[FLAG_SET], 2);
    assert_string_equal(p->args.list[FLAG_SET][1], "b=2");
    free(p);
    p = parse("submit x --wait=2m");
    assert_int_equal(p->args.number[FLAG_WAIT], 120000);
    free(p);
    p = parse("config show model.url --origin");
    assert_string_equal(p->args.command->name, "config show");
    assert_string_equal(p->args.words[0], "model.url");
    free(p);
    p = parse("--config show ps"); /* the value of a flag is no command */
    assert_string_equal(p->args.command->name, "ps");
    free(p);
    p = parse("comment 4k2m -- -5_is_wrong");
    assert_string_equal(p->args.words[1], "-5 is wrong");
    free(p);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *line, *says, *fix;
    } cases[] = {
        { "sbumit x", "unknown command 'sbumit'", "did you mean 'pawl submit'?" },
        { "frobnicate", "unknown command 'frobnicate'", "`pawl help` lists the commands" },
        { "sub x", "unknown command 'sub'", NULL }, /* no abbreviations */
        { "submit x --wacth", "submit: unknown flag '--wacth'", "did you mean '--watch'?" },
        { "submit x --round 3", "submit: unknown flag '--round'", "did you mean '--rounds'?" },
        { "ps --force", "ps: unknown flag '--force'", NULL }, /* of another command */
        { "ps -z", "unknown flag '-z'", NULL },
        { "ps -qv", "unknown flag '-qv'", NULL },
        { "submit", "submit: something is missing: pawl submit FILE",
          "`pawl help submit` says more" },
        { "show a b", "show: 'b' is one word too many", NULL },
        { "submit x --rounds", "--rounds wants a value: N", NULL },
        { "submit x --rounds three", "--rounds: 'three' is not a whole number", NULL },
        { "submit x --wall 30", "--wall: '30' is not a duration", "write 500ms, 30s, 5m or 2h" },
        { "submit x --wait=soon", "--wait: 'soon' is not a duration", NULL },
        { "ps --quiet=yes", "--quiet takes no value", NULL },
        { "config", "config: which one?", "`pawl help config` lists them" },
        { "config shwo", "unknown command 'config shwo'", "did you mean 'pawl config show'?" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct parsed *p = parse(cases[i].line);
        assert_int_equal(p->st, ERR_USAGE);
        if (!strstr(p->err.text, cases[i].says))
            fail_msg("%s: %s", cases[i].line, p->err.text);
        if (cases[i].fix)
            assert_string_equal(p->err.fix, cases[i].fix);
        free(p);
    }
}

static void help_asks_for_nothing_else(void **state)
{
    (void)state;
    struct parsed *p = parse("submit --help");
    assert_int_equal(p->st, OK);
    assert_true(args_has(&p->args, FLAG_HELP));
    free(p);
}

static void the_tables_are_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(flag_table[i].name, flag_table[k].name);
            assert_false(flag_table[i].letter && flag_table[i].letter == flag_table[k].letter);
        }
        assert_true((flag_table[i].value == NULL) == (flag_table[i].kind == FLAG_KIND_BOOL));
    }
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &command_table[i];
        struct buf b;
        assert_true(c->run && c->help && c->args_min <= c->args_max);
        assert_ptr_equal(command_find(c->name), c);
        buf_init(&b, 1 << 20);
        help_command(c, false, &b);
        assert_non_null(strstr(buf_z(&b), c->help));
        assert_null(strchr(buf_z(&b), '\033'));
        buf_fini(&b);
        bool ends = false;
        for (size_t k = 0; k < COUNT(c->flags); k++) {
            ends = ends || c->flags[k] == FLAG_COUNT;
            assert_true(ends || c->flags[k] >= FLAG_GLOBAL_COUNT);
        }
        assert_true(ends);
    }
}

static void durations_have_units(void **state)
{
    int64_t ms;
    (void)state;
    assert_true(duration_parse("500ms", &ms) && ms == 500);
    assert_true(duration_parse("0.5s", &ms) && ms == 500);
    assert_true(duration_parse("2h", &ms) && ms == 7200000);
    static const char *const bad[] = { "", "5", "s", "-1s", "nan", "inf", "1e300s", "5 s", "5sx" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(duration_parse(bad[i], &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_stand_anywhere),      cmocka_unit_test(values_have_kinds),
        cmocka_unit_test(mistakes_are_named),        cmocka_unit_test(help_asks_for_nothing_else),
        cmocka_unit_test(the_tables_are_consistent), cmocka_unit_test(durations_have_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
