/* SPDX-License-Identifier: Apache-2.0 */
/* What questions.md becomes beside a job, and what is said to the broker; the file on disk. */
#include "tests/unit/unit.h"

#include "clients/cli/dialog_file.h"
#include "clients/cli/dialog_plan.h"
#include "common/openspec/questions.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAD "- from: system\n- state: open\n- ref: 4k2m/q1\n"
#define MINE "## Question mine\n- from: user\n- state: open\n"

/* ---- plans ------------------------------------------------------------------------------------- */

struct planned {
    struct arena arena;
    json_t *job;
    struct dialog_plan plan;
    struct err err;
    enum status st;
};

static void plan(struct planned *p, const char *job, const char *file)
{
    arena_init(&p->arena, 64 << 20);
    p->err = (struct err){ 0 };
    p->job = js_parse(str_of(job), &p->err);
    if (!p->job)
        fail_msg("%s: %s", p->err.text, job);
    p->st = dialog_plan(&p->arena, p->job, str_of(file), true, &p->plan, &p->err);
}

static void planned_free(struct planned *p)
{
    json_decref(p->job);
    arena_fini(&p->arena);
}

/* The file becomes this, and nothing is said. */
static void becomes(const char *job, const char *file, const char *wanted)
{
    struct planned p;
    plan(&p, job, file);
    if (p.st != OK || !str_is(p.plan.text, wanted) || p.plan.sends_n)
        fail_msg("%s%.*s\n--- is not\n%s", p.err.text, STR_ARG(p.plan.text), wanted);
    assert_int_equal(p.plan.changed, strcmp(file, wanted) != 0);
    planned_free(&p);
    plan(&p, job, wanted); /* and it stays so */
    assert_true(p.st == OK && !p.plan.changed && p.plan.sends_n == 0 && p.plan.notes.n == 0);
    planned_free(&p);
}

/* The file stays, and this is said. */
static void says(const char *job, const char *file, enum dialog_kind kind, const char *entry,
                 const char *question, const char *text)
{
    struct planned p;
    plan(&p, job, file);
    if (p.st != OK || p.plan.changed || p.plan.sends_n != 1)
        fail_msg("%s: %zu sayings:\n%.*s", p.err.text, p.plan.sends_n, STR_ARG(p.plan.text));
    const struct dialog_send *s = &p.plan.sends[0];
    assert_int_equal(s->kind, kind);
    assert_true(str_is(s->entry, entry) && str_is(s->question, question) && str_is(s->text, text));
    planned_free(&p);
}

static void nothing_happens(const char *job, const char *file)
{
    becomes(job, file, file);
}

static const char asks_one[] =
    "{\"id\":\"4k2m\",\"state\":\"waiting\",\"questions\":[{\"id\":\"q1\","
    "\"text\":\"Which?\",\"otherwise\":\"all\\nof them\","
    "\"options\":[\"a\",\"b\"],\"due_ms\":1795510800000}]}";

static void questions_are_added(void **state)
{
    (void)state;
    becomes(asks_one, "",
            "# Questions\n\n## Question q1\n\n- from: system\n- state: open\n"
            "- deadline: 2026-11-24T09:00:00Z\n- default: all of them\n- ref: 4k2m/q1\n\n"
            "Which?\n\n- a\n- b\n\n### Answer\n\n<!-- Write the answer below this line. -->\n");
    /* Its ID is taken, by another job's or by one that is settled. */
    const char *other = "## Question q1\n- from: system\n- state: open\n- ref: zzzz/q1\n\nWhich?\n";
    struct planned p;
    plan(&p, asks_one, other);
    assert_true(p.plan.changed && strncmp(p.plan.text.p, other, strlen(other)) == 0);
    assert_non_null(memmem(p.plan.text.p, p.plan.text.n, "## Question q1-2\n", 17));
    planned_free(&p);
    /* A text that would end its entry, and an id that is no ID. */
    becomes("{\"id\":\"4k2m\",\"questions\":[{\"id\":\"?a b\",\"text\":\"# Why\\n\\n```\"}]}", "x",
            "x\n\n## Question q-a-b\n\n- from: system\n- state: open\n- ref: 4k2m/?a_b\n\n"
            "> # Why\n>\n> ```\n\n### Answer\n\n<!-- Write the answer below this line. -->\n");
    nothing_happens(asks_one, "## Question own\n" HEAD "\nWhich?\n");
}

/* What apply asks (collide.h) is of the folder; the job knows nothing of it. */
static void collisions_are_none_of_the_jobs(void **state)
{
    (void)state;
    nothing_happens("{\"id\":\"4k2m\",\"state\":\"accepted\"}",
                    "## Question collision-0123456789ab\n- from: system\n- state: open\n\n"
                    "Yours or theirs?\n\n### Answer\n\nyours\n");
}

static void answers_are_said(void **state)
{
    (void)state;
    const char *file = "## Question q1\r\n- from: system\r\n- state: open\r\n- ref: 4k2m/q1\r\n"
                       "Which?\r\n### Answer\r\n\r\na\r\nb  \r\n";
    says(asks_one, file, DIALOG_ANSWER, "q1", "q1", "a\nb");
    says(asks_one,
         "## Question q1\n- from: system\n- state: answered\n- ref: 4k2m/q1\n\nWhich?\n"
         "### Answer\na\n",
         DIALOG_ANSWER, "q1", "q1", "a");
    says(asks_one,
         "## Question q1\n- from: system\n- state: default\n- default: x\n- ref: 4k2m/q1\n\n"
         "Which?\n",
         DIALOG_ANSWER, "q1", "q1", "");
    struct planned p;
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_str(&b, "## Question q1\n" HEAD "\nWhich?\n### Answer\n");
    for (int i = 0; i <= DIALOG_SAY_MAX; i++)
        buf_char(&b, 'x');
    plan(&p, asks_one, buf_z(&b));
    assert_true(p.st == OK && p.plan.sends_n == 0 && p.plan.wrong.n);
    planned_free(&p);
    buf_fini(&b);
    plan(&p, asks_one, "## Question q1\n- state: opne\n");
    assert_int_equal(p.st, ERR_DATA);
    assert_non_null(strstr(p.err.text, "line 2"));
    planned_free(&p);
}

static const char answered[] =
    "{\"id\":\"4k2m\",\"state\":\"queued\",\"answers\":[{\"id\":\"q1\",\"question\":\"Which?\","
    "\"text\":\"# b\",\"by\":\"user\",\"via\":\"mcp\"}]}";
static const char defaulted[] =
    "{\"id\":\"4k2m\",\"answers\":[{\"id\":\"q1\",\"question\":\"Which?\",\"text\":\"all\","
    "\"by\":\"default\"}]}";

static void the_first_answer_stands(void **state)
{
    (void)state;
    becomes(
        answered, "## Question q1\n" HEAD "\nWhich?\n",
        "## Question q1\n- from: system\n- state: answered\n- ref: 4k2m/q1\n- by: user (mcp)\n\n"
        "Which?\n\n### Answer\n\n> # b\n");
    becomes(defaulted, "## Question q1\n- default: all\n" HEAD "\nWhich?\n",
            "## Question q1\n- default: all\n- from: system\n- state: default\n- ref: 4k2m/q1\n"
            "- by: default\n\nWhich?\n");
    struct planned p;
    plan(&p, answered, "## Question q1\n" HEAD "\nWhich?\n### Answer\nmine\n\n<!-- x -->\nis\n");
    assert_int_equal(p.st, OK);
    assert_null(memmem(p.plan.text.p, p.plan.text.n, "\nmine\n", 6));
    assert_non_null(memmem(p.plan.text.p, p.plan.text.n, "> mine\n", 7));
    assert_true(strncmp(p.plan.notes.p, "q1: already answered by user (mcp): # b; the", 44) == 0);
    planned_free(&p);
    /* The same words are not late. */
    becomes("{\"id\":\"4k2m\",\"answers\":[{\"id\":\"q1\",\"text\":\"b\",\"by\":\"user\"}]}",
            "## Question q1\n" HEAD "\nWhich?\n### Answer\n b\n",
            "## Question q1\n- from: system\n- state: answered\n- ref: 4k2m/q1\n- by: user\n\n"
            "Which?\n### Answer\n b\n");
    nothing_happens(answered, "## Question q1\n- from: system\n- state: open\n\nWhich?\n");
    nothing_happens(answered,
                    "## Question q1\n- from: system\n- state: open\n- ref: zzzz/q1\n\nx\n");
}

static void what_nobody_asks_is_withdrawn(void **state)
{
    (void)state;
    struct planned p;
    plan(&p, "{\"id\":\"4k2m\",\"state\":\"cancelled\"}",
         "## Question q1\n" HEAD "\nWhich?\n### Answer\nmine\n");
    assert_true(p.plan.changed && p.plan.sends_n == 0 && p.plan.notes.n);
    assert_non_null(memmem(p.plan.text.p, p.plan.text.n, "- state: withdrawn\n", 19));
    planned_free(&p);
}

static void the_same_id_again_is_another_question(void **state)
{
    (void)state;
    const char *job = "{\"id\":\"4k2m\",\"questions\":[{\"id\":\"q1\",\"text\":\"And now?\"}],"
                      "\"answers\":[{\"id\":\"q1\",\"question\":\"Which?\",\"text\":\"b\","
                      "\"by\":\"user\"}]}";
    struct planned p;
    plan(&p, job, "## Question q1\n" HEAD "\nWhich?\n### Answer\nmine\n");
    struct questions q;
    assert_int_equal(questions_read(&p.arena, p.plan.text, &q, &p.err), OK);
    assert_true(q.n == 2 && q.at[0].state == QUESTIONS_ANSWERED && str_is(q.at[1].id, "q1-2"));
    assert_int_equal(p.plan.sends_n, 0);
    planned_free(&p);
}

static void entries_of_the_user_become_comments(void **state)
{
    (void)state;
    const char *job = "{\"id\":\"4k2m\",\"run\":1,\"comments\":[{\"id\":\"c1\",\"text\":\"No.\","
                      "\"run\":1,\"round\":1}],\"ledger\":[{\"run\":1,\"round\":1}]}";
    says("{\"id\":\"4k2m\"}", MINE "\nNo.\n", DIALOG_COMMENT, "mine", "", "No.");
    says(job, MINE "- ref: 4k2m/c1\n\nNo.\n\n## Question b\n- from: user\n- state: open\n\nNo.\n",
         DIALOG_COMMENT, "b", "", "No.");
    becomes(job, MINE "\nNo.\n", MINE "- ref: 4k2m/c1\n\nNo.\n"); /* was said already */
    nothing_happens(job, "## Question mine\n- from: user\n- state: withdrawn\n\nYes.\n");
    nothing_happens(job, MINE "\nYes.\n### Answer\nI know.\n");
    becomes(
        "{\"id\":\"4k2m\",\"comments\":[{\"id\":\"c1\",\"text\":\"No.\",\"run\":1,"
        "\"round\":2,\"heard\":2}],\"ledger\":[{\"run\":1,\"round\":1},{\"run\":1,\"round\":2}]}",
        MINE "- ref: 4k2m/c1\n\nNo.\n",
        "## Question mine\n- from: user\n- state: answered\n- ref: 4k2m/c1\n- by: round 2\n\n"
        "No.\n\n### Answer\n\nround 2: discarded\n");
    becomes(
        "{\"id\":\"4k2m\",\"run\":2,\"comments\":[{\"id\":\"c1\",\"text\":\"No.\",\"run\":1,"
        "\"round\":2}],\"ledger\":[{\"run\":1,\"round\":2},{\"run\":2,\"round\":1,\"kept\":true,"
        "\"reason\":\"better\"}]}",
        MINE "- ref: 4k2m/c1\n\nNo.\n",
        "## Question mine\n- from: user\n- state: answered\n- ref: 4k2m/c1\n- by: round 1\n\n"
        "No.\n\n### Answer\n\nrun 2, round 1: kept: better\n");
}

/* ---- the file ---------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void put(const char *root, bool there, const char *was, const char *text,
                enum dialog_wrote wanted)
{
    enum dialog_wrote wrote;
    struct err err = { 0 };
    if (dialog_file_put(root, "x", there, str_of(was), str_of(text), &wrote, &err) != OK)
        fail_msg("%s", err.text);
    assert_int_equal(wrote, wanted);
}

static void holds(const char *root, const char *wanted)
{
    struct buf b;
    struct err err = { 0 };
    buf_init(&b, 1 << 22);
    assert_int_equal(dialog_file_read(root, "x", &b, &err), OK);
    assert_string_equal(buf_z(&b), wanted);
    buf_fini(&b);
}

static void the_file_is_replaced_only_as_it_was(void **state)
{
    char root[64] = "/tmp/pawl-dialog-XXXXXX", path[PATH_MAX], other[PATH_MAX];
    struct dialog_seen seen;
    struct err err = { 0 };
    struct buf b;
    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/openspec", root);
    assert_int_equal(mkdir(path, 0755), 0);
    holds(root, "");
    dialog_file_stat(root, "x", &seen);
    assert_true(!seen.there && !seen.folder);
    put(root, true, "", "no", DIALOG_MOVED); /* gone meanwhile: nothing is made */
    put(root, false, "", "one", DIALOG_WROTE);
    holds(root, "one");
    put(root, false, "", "two", DIALOG_MOVED);
    put(root, true, "on", "two", DIALOG_MOVED);
    holds(root, "one");
    snprintf(path, sizeof path, "%s/openspec/changes/x/questions.md", root);
    assert_int_equal(chmod(path, 0640), 0);
    put(root, true, "one", "two", DIALOG_WROTE);
    holds(root, "two");
    struct stat st;
    assert_true(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
    dialog_file_stat(root, "x", &seen);
    assert_true(seen.there && seen.folder && seen.size == 3);
    snprintf(other, sizeof other, "%s/elsewhere", root);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0); /* a link is not followed */
    buf_init(&b, 1 << 22);
    assert_int_equal(dialog_file_read(root, "x", &b, &err), ERR_DATA);
    buf_fini(&b);
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

enum { SAVES = 3000 };

static long number_of(const char *text)
{
    return strtol(text, NULL, 10);
}

/* Numbers, each saved as editors do. */
static void save_all(const char *path)
{
    char new[PATH_MAX + 2];
    snprintf(new, sizeof new, "%s~", path);
    for (int n = 1; n <= SAVES; n++) {
        FILE *f = fopen(new, "we");
        if (!f || fprintf(f, "%d\n", n) < 0 || fclose(f) != 0 || rename(new, path) != 0)
            _exit(1);
    }
    _exit(0);
}

static void what_is_saved_meanwhile_stays(void **state)
{
    char root[64] = "/tmp/pawl-dialog-XXXXXX", path[PATH_MAX];
    int ended = 0, wrote_n = 0, moved_n = 0, last = 0, status = 1;
    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/openspec", root);
    assert_int_equal(mkdir(path, 0755), 0);
    put(root, false, "", "0\n", DIALOG_WROTE);
    snprintf(path, sizeof path, "%s/openspec/changes/x/questions.md", root);
    pid_t child = fork();
    if (child == 0)
        save_all(path);
    while (!ended) { /* once more after the child's end */
        struct buf was, text;
        struct err err = { 0 };
        enum dialog_wrote wrote;
        ended = waitpid(child, &status, WNOHANG) == child;
        buf_init(&was, 1 << 22);
        buf_init(&text, 1 << 22);
        assert_int_equal(dialog_file_read(root, "x", &was, &err), OK);
        int n = (int)number_of(buf_z(&was));
        assert_true(n >= last); /* an older one never comes back */
        last = n;
        buf_printf(&text, "%d\n%s", n, strchr(buf_z(&was), '+') ? "" : "+\n");
        if (dialog_file_put(root, "x", true, buf_get(&was), buf_get(&text), &wrote, &err) != OK)
            fail_msg("%s", err.text);
        wrote_n += wrote == DIALOG_WROTE;
        moved_n += wrote == DIALOG_MOVED;
        buf_fini(&was);
        buf_fini(&text);
    }
    assert_int_equal(status, 0);
    assert_true(wrote_n > 0);
    print_message("%d written, %d times saved meanwhile\n", wrote_n, moved_n);
    struct buf b;
    struct err err = { 0 };
    buf_init(&b, 1 << 22);
    assert_int_equal(dialog_file_read(root, "x", &b, &err), OK);
    assert_int_equal((int)number_of(buf_z(&b)), SAVES);
    buf_fini(&b);
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_added),
        cmocka_unit_test(collisions_are_none_of_the_jobs),
        cmocka_unit_test(answers_are_said),
        cmocka_unit_test(the_first_answer_stands),
        cmocka_unit_test(what_nobody_asks_is_withdrawn),
        cmocka_unit_test(the_same_id_again_is_another_question),
        cmocka_unit_test(entries_of_the_user_become_comments),
        cmocka_unit_test(the_file_is_replaced_only_as_it_was),
        cmocka_unit_test(what_is_saved_meanwhile_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
