/* SPDX-License-Identifier: Apache-2.0 */
/* commit and claim: killed before every call that changes the disk, the next one finds all or nothing. */
#include "tests/unit/unit.h"

#include "clients/cli/claim.h"
#include "clients/cli/commit.h"
#include "common/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 137 };

/* ---- trees ----------------------------------------------------------------------------------- */

static void write_file(const char *root, const char *path, const char *text)
{
    char at[PATH_MAX];
    snprintf(at, sizeof at, "%s/%s", root, path);
    for (char *p = at + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(at, 0755);
    }
    FILE *f = fopen(at, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void tree_fill(const char *root)
{
    write_file(root, "specs/a/spec.md", "old a\n");
    write_file(root, "specs/b/c/spec.md", "old c\n");
    write_file(root, "changes/x/proposal.md", "why\n");
    write_file(root, "changes/x/specs/a/spec.md", "delta\n");
    write_file(root, "changes/archive/keep/proposal.md", "kept\n");
}

static void tree_make(char root[64])
{
    snprintf(root, 64, "/tmp/pawl-commit-XXXXXX");
    assert_non_null(mkdtemp(root));
    tree_fill(root);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void tree_drop(const char *root)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Every file with its content and every folder, in order, as one text. */
static void tree_text(const char *root, const char *below, struct buf *out)
{
    char at[PATH_MAX];
    struct dirent **list;
    snprintf(at, sizeof at, "%s/%s", root, below);
    int n = scandir(at, &list, NULL, by_name);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX], piece[4096];
        const char *name = list[i]->d_name;
        snprintf(path, sizeof path, "%s%s%s", below, *below ? "/" : "", name);
        snprintf(at, sizeof at, "%.2000s/%.2000s", root, path);
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            struct stat st;
            assert_int_equal(lstat(at, &st), 0);
            buf_printf(out, "%s%s\n", path, S_ISDIR(st.st_mode) ? "/" : "");
            FILE *f = S_ISDIR(st.st_mode) ? NULL : fopen(at, "re");
            size_t got = f ? fread(piece, 1, sizeof piece, f) : 0;
            buf_append(out, piece, got);
            if (f)
                fclose(f);
            if (S_ISDIR(st.st_mode))
                tree_text(root, path, out);
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
}

/* ---- killing --------------------------------------------------------------------------------- */

static void count_down(void *ctx)
{
    int *left = ctx;
    if ((*left)-- == 0)
        _exit(KILLED);
}

static enum status run(int dir, int *left, struct err *err)
{
    struct commit c = { dir, "tree", left ? count_down : NULL, left };
    const struct commit_op ops[] = {
        { COMMIT_WRITE, str_of("specs/a/spec.md"), { 0 }, str_of("new a\n") },
        { COMMIT_WRITE, str_of("specs/n/e/w/spec.md"), { 0 }, str_of("new\n") },
        { COMMIT_REMOVE, str_of("specs/b/c/spec.md"), { 0 }, { 0 } },
        { COMMIT_MOVE, str_of("changes/x"), str_of("changes/archive/2026-01-01-x"), { 0 } },
    };
    return commit_run(&c, ops, COUNT(ops), err);
}

static enum status recover(int dir, int *left, enum commit_found *found, struct err *err)
{
    struct commit c = { dir, "tree", left ? count_down : NULL, left };
    return commit_recover(&c, found, err);
}

static int tree_open(const char *root)
{
    int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    return dir;
}

/* In a child: the commit, or the recovery, killed before its k-th change. True: it was killed. */
static bool killed_at(const char *root, bool recovery, int k)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err = { 0 };
        enum commit_found found;
        int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        enum status st = recovery ? recover(dir, &k, &found, &err) : run(dir, &k, &err);
        _exit(st == OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED));
    return WEXITSTATUS(status) == KILLED;
}

static void expected(struct buf *before, struct buf *after)
{
    char root[64];
    struct err err = { 0 };
    buf_init(before, 1 << 20);
    buf_init(after, 1 << 20);
    tree_make(root);
    tree_text(root, "", before);
    int dir = tree_open(root);
    assert_int_equal(run(dir, NULL, &err), OK);
    close(dir);
    tree_text(root, "", after);
    tree_drop(root);
    assert_non_null(strstr(buf_z(after), "specs/a/spec.md\nnew a\n"));
    assert_non_null(strstr(buf_z(after), "specs/n/e/w/spec.md\nnew\n"));
    assert_non_null(strstr(buf_z(after), "changes/archive/2026-01-01-x/specs/a/spec.md\ndelta\n"));
    assert_null(strstr(buf_z(after), "specs/b"));
    assert_null(strstr(buf_z(after), COMMIT_FOLDER));
}

/* A commit killed at k, its recovery killed at r, then a whole one. */
static void all_or_nothing_wherever_it_is_killed(void **state)
{
    struct buf before, after;
    int steps = 0, finished = 0, undone = 0;
    (void)state;
    expected(&before, &after);
    for (int k = 0;; k++) {
        for (int r = 0;; r++) {
            char root[64];
            struct buf now;
            struct err err = { 0 };
            enum commit_found found;
            buf_init(&now, 1 << 20);
            tree_make(root);
            bool killed = killed_at(root, false, k);
            bool again = killed && killed_at(root, true, r);
            int dir = tree_open(root);
            if (recover(dir, NULL, &found, &err) != OK)
                fail_msg("killed at %d, then at %d: %s", k, r, err.text);
            close(dir);
            tree_text(root, "", &now);
            bool done = strcmp(buf_z(&now), buf_z(&after)) == 0;
            if (!done && strcmp(buf_z(&now), buf_z(&before)) != 0)
                fail_msg("killed at %d, then at %d: a mixture:\n%s", k, r, buf_z(&now));
            finished += done;
            undone += !done;
            tree_drop(root);
            buf_fini(&now);
            if (!killed)
                goto out;
            steps = k;
            if (!again)
                break;
        }
    }
out:
    assert_true(steps > 15 && finished > 5 && undone > 5);
    buf_fini(&before);
    buf_fini(&after);
}

/* A write that fails: as before, nothing left over. RLIMIT_FSIZE stands for the full disk. */
static void what_cannot_be_staged_changes_nothing(void **state)
{
    char root[64];
    struct buf before, now;
    int status;
    (void)state;
    buf_init(&before, 1 << 20);
    buf_init(&now, 1 << 20);
    tree_make(root);
    tree_text(root, "", &before);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = { 3, 3 };
        struct err err = { 0 };
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &none);
        int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _exit(run(dir, NULL, &err) == ERR_IO && strstr(err.text, COMMIT_FOLDER) ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    tree_text(root, "", &now);
    assert_string_equal(buf_z(&now), buf_z(&before));
    tree_drop(root);
    buf_fini(&before);
    buf_fini(&now);
}

/* A file system with so many files left, in a namespace of our own. False: that is not allowed here. */
static bool small_disk(const char *at, int files)
{
    char options[64];
    uid_t uid = getuid();
    if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    snprintf(options, sizeof options, "size=4m,nr_inodes=%d", files);
    return mount("tmpfs", at, "tmpfs", 0, options) == 0;
}

/* Full at each possible moment: as before or wholly done, never in between. */
static void a_full_disk_leaves_nothing_half_done(void **state)
{
    enum { BEFORE, AFTER, MIXED, SKIPPED, OUTCOMES };
    struct buf before, after;
    int seen[OUTCOMES] = { 0 };
    (void)state;
    expected(&before, &after);
    for (int files = 17; files < 40; files++) {
        char at[64] = "/tmp/pawl-small-XXXXXX";
        int status;
        assert_non_null(mkdtemp(at));
        pid_t pid = fork();
        if (pid == 0) {
            struct buf now;
            struct err err = { 0 };
            if (!small_disk(at, files))
                _exit(SKIPPED);
            buf_init(&now, 1 << 20);
            tree_fill(at);
            int dir = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            enum status st = run(dir, NULL, &err);
            tree_text(at, "", &now);
            bool same = strcmp(buf_z(&now), buf_z(&before)) == 0;
            bool done = strcmp(buf_z(&now), buf_z(&after)) == 0;
            _exit(same && st == ERR_IO ? BEFORE : done && st == OK ? AFTER : MIXED);
        }
        waitpid(pid, &status, 0);
        rmdir(at);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < OUTCOMES);
        seen[WEXITSTATUS(status)]++;
    }
    buf_fini(&before);
    buf_fini(&after);
    if (seen[SKIPPED])
        skip();
    assert_int_equal(seen[MIXED], 0);
    assert_true(seen[BEFORE] > 3 && seen[AFTER] > 3);
}

static void what_is_pending_is_not_overwritten(void **state)
{
    char root[64];
    struct err err = { 0 };
    (void)state;
    tree_make(root);
    write_file(root, COMMIT_FOLDER "/journal", "[]");
    int dir = tree_open(root);
    assert_int_equal(run(dir, NULL, &err), ERR_IO);
    assert_int_equal(faccessat(dir, COMMIT_FOLDER "/journal", F_OK, 0), 0);
    close(dir);
    tree_drop(root);
}

static void bad_paths_and_taken_names_are_refused(void **state)
{
    static const struct commit_op bad[] = {
        { COMMIT_WRITE, { "../x", 4 }, { 0 }, { "", 0 } },
        { COMMIT_WRITE, { "/x", 2 }, { 0 }, { "", 0 } },
        { COMMIT_MOVE, { "changes/x", 9 }, { "changes/archive/keep", 20 }, { 0 } },
        { COMMIT_MOVE, { "changes/none", 12 }, { "changes/archive/n", 17 }, { 0 } },
    };
    char root[64];
    struct buf before, now;
    (void)state;
    buf_init(&before, 1 << 20);
    buf_init(&now, 1 << 20);
    tree_make(root);
    tree_text(root, "", &before);
    int dir = tree_open(root);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct commit c = { dir, "tree", NULL, NULL };
        struct err err = { 0 };
        assert_int_equal(commit_run(&c, &bad[i], 1, &err), ERR_IO);
        assert_true(*err.text);
    }
    close(dir);
    tree_text(root, "", &now);
    assert_string_equal(buf_z(&now), buf_z(&before));
    tree_drop(root);
    buf_fini(&before);
    buf_fini(&now);
}

static void a_foreign_journal_is_left_alone(void **state)
{
    char root[64];
    struct err err = { 0 };
    enum commit_found found;
    (void)state;
    tree_make(root);
    write_file(root, COMMIT_FOLDER "/journal", "not json");
    int dir = tree_open(root);
    assert_int_equal(recover(dir, NULL, &found, &err), ERR_DATA);
    write_file(root, COMMIT_FOLDER "/journal",
               "[{\"op\":\"remove\",\"path\":\"../../etc/passwd\"}]");
    assert_int_equal(recover(dir, NULL, &found, &err), ERR_IO);
    close(dir);
    tree_drop(root);
}

/* Edits between the crash and the recovery are neither lost nor mixed with what was begun. */
static void an_edit_after_the_crash_is_not_overwritten(void **state)
{
    static const struct {
        const char *path, *text; /* NULL: removed */
    } edits[] = {
        { "specs/a/spec.md", "mine\n" },
        { "specs/n/e/w/spec.md", "mine\n" },
        { "specs/b/c/spec.md", "mine\n" },
        { "specs/a/spec.md", NULL },
        { "changes/archive/2026-01-01-x/proposal.md", "mine\n" },
    };
    int refused = 0;
    (void)state;
    for (size_t e = 0; e < COUNT(edits); e++) {
        for (int k = 0, killed = 1; killed; k++) {
            char root[64];
            struct buf edit, now;
            struct err err = { 0 };
            enum commit_found found;
            buf_init(&edit, 1 << 20);
            buf_init(&now, 1 << 20);
            tree_make(root);
            killed = killed_at(root, false, k);
            int dir = tree_open(root);
            bool journal = faccessat(dir, COMMIT_FOLDER "/journal", F_OK, 0) == 0;
            if (edits[e].text)
                write_file(root, edits[e].path, edits[e].text);
            else
                assert_int_equal(unlinkat(dir, edits[e].path, 0), 0);
            tree_text(root, "", &edit);
            enum status st = recover(dir, NULL, &found, &err);
            tree_text(root, "", &now);
            bool moved = faccessat(dir, "changes/x", F_OK, 0) != 0;
            /* After the move a file in the archive may be edited; all else is held up. */
            if (journal && !(e == 4 && moved)) {
                assert_int_equal(st, ERR_DATA);
                assert_string_equal(buf_z(&now), buf_z(&edit));
                refused++;
            } else if (edits[e].text) {
                assert_int_equal(st, OK);
                assert_non_null(strstr(buf_z(&now), "mine\n"));
            }
            close(dir);
            tree_drop(root);
            buf_fini(&edit);
            buf_fini(&now);
        }
    }
    assert_true(refused > 20);
}

/* The first spec put back by hand, the second written by the recovery: that would be a mixture. */
static void a_file_put_back_holds_the_recovery_up(void **state)
{
    int held = 0;
    (void)state;
    for (int k = 0, killed = 1; killed; k++) {
        char root[64];
        struct err err = { 0 };
        enum commit_found found;
        tree_make(root);
        killed = killed_at(root, false, k);
        int dir = tree_open(root);
        bool journal = faccessat(dir, COMMIT_FOLDER "/journal", F_OK, 0) == 0;
        bool placed = faccessat(dir, COMMIT_FOLDER "/0", F_OK, 0) != 0;
        write_file(root, "specs/a/spec.md", "old a\n");
        enum status st = recover(dir, NULL, &found, &err);
        assert_int_equal(st, journal && placed ? ERR_DATA : OK);
        held += st == ERR_DATA;
        close(dir);
        tree_drop(root);
    }
    assert_true(held > 3);
}

/* A repository of strangers: neither its links nor its journal lead out of it. */
static void nothing_is_done_through_a_link(void **state)
{
    char root[64], other[64], link[160];
    struct err err = { 0 };
    enum commit_found found;
    (void)state;
    tree_make(root);
    tree_make(other);
    snprintf(link, sizeof link, "%s/specs/out", root);
    assert_int_equal(symlink(other, link), 0);
    snprintf(link, sizeof link, "%s/specs/a/spec.md", other);
    int dir = tree_open(root);
    struct commit c = { dir, "tree", NULL, NULL };
    struct commit_op op = { COMMIT_WRITE, str_of("specs/out/specs/a/spec.md"), { 0 }, str_of("x") };
    assert_int_equal(commit_run(&c, &op, 1, &err), ERR_IO);
    write_file(root, COMMIT_FOLDER "/journal",
               "[{\"op\":\"remove\",\"path\":\"specs/out/specs/a/spec.md\"}]");
    assert_int_equal(recover(dir, NULL, &found, &err), ERR_IO);
    assert_int_equal(access(link, F_OK), 0);
    close(dir);
    tree_drop(root);
    tree_drop(other);
}

/* ---- claims ---------------------------------------------------------------------------------- */

/* The one who waits has been told so: now the other may end. */
static void let_go(void *ctx)
{
    const int *fd = ctx;
    char byte = 0;
    assert_int_equal(write(*fd, &byte, 1), 1);
}

static void archives_queue(void **state)
{
    char root[64], byte = 0;
    int ready[2], go[2], status;
    struct claim c;
    struct err err = { 0 };
    (void)state;
    tree_make(root);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (claim_take(&c, dir, 0, NULL, NULL, &err) != OK || write(ready[1], &byte, 1) != 1)
            _exit(1);
        bool told = read(go[0], &byte, 1) == 1; /* an archive at work */
        claim_give(&c);
        _exit(told ? 0 : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    int dir = tree_open(root);
    assert_int_equal(claim_take(&c, dir, 0, NULL, NULL, &err), ERR_BUSY);
    assert_int_equal(claim_take(&c, dir, 20000, let_go, &go[1], &err), OK);
    claim_give(&c);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    struct buf now;
    buf_init(&now, 1 << 20);
    tree_text(root, "changes/archive", &now);
    assert_null(strstr(buf_z(&now), "lock")); /* nothing is left behind */
    buf_fini(&now);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    close(dir);
    tree_drop(root);
}

static void a_claim_of_the_dead_is_taken_over(void **state)
{
    char root[64];
    int status;
    struct claim c;
    struct err err = { 0 };
    (void)state;
    tree_make(root);
    pid_t pid = fork();
    if (pid == 0) {
        int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _exit(claim_take(&c, dir, 0, NULL, NULL, &err) == OK ? 0 : 1); /* and dies with it */
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    int dir = tree_open(root);
    assert_int_equal(claim_take(&c, dir, 0, NULL, NULL, &err), OK);
    claim_give(&c);
    close(dir);
    tree_drop(root);
}

/* The number of a dead process may be another's by now. */
static void a_claim_of_ours_counts_only_while_its_lock_is_held(void **state)
{
    char root[64], text[256] = "", path[128];
    struct claim c;
    struct err err = { 0 };
    (void)state;
    tree_make(root);
    int dir = tree_open(root);
    assert_int_equal(claim_take(&c, dir, 0, NULL, NULL, &err), OK);
    snprintf(text, sizeof text, "%s", c.text); /* this process, which lives on */
    claim_give(&c);
    write_file(root, "changes/archive/.openspec-archive.lock", text);
    write_file(root, "changes/archive/.pawl-archive.claim", "{");
    assert_int_equal(claim_take(&c, dir, 0, NULL, NULL, &err), OK);
    snprintf(path, sizeof path, "%s/changes/archive/.pawl-archive.claim", root);
    assert_int_equal(access(path, F_OK), -1);
    claim_give(&c);
    close(dir);
    tree_drop(root);
}

static void the_claim_of_the_original_is_honoured(void **state)
{
    char root[64], text[64];
    struct claim c;
    struct err err = { 0 };
    (void)state;
    tree_make(root);
    snprintf(text, sizeof text, "{\"pid\":%ld,\"nonce\":\"x\"}", (long)getpid());
    write_file(root, "changes/archive/.openspec-archive.lock", text);
    int dir = tree_open(root);
    assert_int_equal(claim_take(&c, dir, 0, NULL, NULL, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "another archive is at work"));
    assert_int_equal(unlinkat(dir, "changes/archive/.openspec-archive.lock", 0), 0);
    assert_int_equal(claim_take(&c, dir, 0, NULL, NULL, &err), OK);
    claim_give(&c);
    close(dir);
    tree_drop(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_or_nothing_wherever_it_is_killed),
        cmocka_unit_test(what_cannot_be_staged_changes_nothing),
        cmocka_unit_test(a_full_disk_leaves_nothing_half_done),
        cmocka_unit_test(what_is_pending_is_not_overwritten),
        cmocka_unit_test(bad_paths_and_taken_names_are_refused),
        cmocka_unit_test(a_foreign_journal_is_left_alone),
        cmocka_unit_test(an_edit_after_the_crash_is_not_overwritten),
        cmocka_unit_test(a_file_put_back_holds_the_recovery_up),
        cmocka_unit_test(nothing_is_done_through_a_link),
        cmocka_unit_test(archives_queue),
        cmocka_unit_test(a_claim_of_the_dead_is_taken_over),
        cmocka_unit_test(a_claim_of_ours_counts_only_while_its_lock_is_held),
        cmocka_unit_test(the_claim_of_the_original_is_honoured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
