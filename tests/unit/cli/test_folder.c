/* SPDX-License-Identifier: Apache-2.0 */
/* A change on disk: all of it or nothing, also when the disk is full. */
#include "tests/unit/unit.h"

#include "clients/cli/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

struct place {
    char dir[64], target[96];
    json_t *files;
};

static void add(json_t *files, const char *path, const char *text, size_t n)
{
    json_t *f = json_object();
    js_set_z(f, "path", path);
    js_set_str(f, "text", (struct str){ text, n });
    js_push(files, f);
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "/tmp/pawl-folder-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->target, sizeof p->target, "%s/add-otp", p->dir);
    p->files = json_array();
    add(p->files, ".openspec.yaml", "a: b\n", 5);
    add(p->files, "proposal.md", "# why\n", 6);
    add(p->files, "specs/auth/login/spec.md", "## ADDED\n", 9);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    assert_int_equal(system(command), 0);
    json_decref(p->files);
    free(p);
    return 0;
}

/* Names in the directory, hidden ones too. */
static int entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = -2;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void holds(const struct place *p, const char *path, const char *text)
{
    char full[256], read[256] = "";
    snprintf(full, sizeof full, "%s/%s", p->target, path);
    FILE *f = fopen(full, "r");
    assert_non_null(f);
    assert_int_equal(fread(read, 1, sizeof read - 1, f), strlen(text));
    fclose(f);
    assert_string_equal(read, text);
}

static void all_of_it_is_written(void **state)
{
    struct place *p = *state;
    struct err err = { 0 };
    assert_int_equal(folder_write(p->files, p->target, false, &err), OK);
    holds(p, "specs/auth/login/spec.md", "## ADDED\n");
    holds(p, ".openspec.yaml", "a: b\n");
    assert_int_equal(entries(p->dir), 1);
}

static void nothing_is_overwritten_without_force(void **state)
{
    struct place *p = *state;
    struct err err = { 0 };
    char extra[160];
    assert_int_equal(mkdir(p->target, 0755), 0);
    snprintf(extra, sizeof extra, "%s/mine.md", p->target);
    FILE *f = fopen(extra, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(folder_write(p->files, p->target, false, &err), ERR_CREATE);
    assert_non_null(strstr(err.text, "exists already"));
    assert_string_equal(err.fix, "--force replaces it");
    assert_int_equal(entries(p->dir), 1);
    assert_int_equal(entries(p->target), 1);
    assert_int_equal(folder_write(p->files, p->target, true, &err), OK);
    assert_int_equal(access(extra, F_OK), -1);
    holds(p, "proposal.md", "# why\n");
    assert_int_equal(entries(p->dir), 1);
}

static void paths_stay_inside(void **state)
{
    static const char *const bad[] = { "../x", "/etc/x", "a/../../x", "a//b",
                                       "",     ".",      "a\\b",      "a/./b" };
    struct place *p = *state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err err = { 0 };
        json_t *files = json_array();
        add(files, "good.md", "x", 1);
        add(files, bad[i], "x", 1);
        assert_int_equal(folder_write(files, p->target, false, &err), ERR_DATA);
        assert_int_equal(entries(p->dir), 0);
        json_decref(files);
    }
}

/* In a child: 0 when the write failed as it should and left nothing. */
static int fails_cleanly(struct place *p, const char *parent, const char *says)
{
    struct err err = { 0 };
    char target[160], big[100000];
    memset(big, 'x', sizeof big);
    add(p->files, "tasks.md", big, sizeof big);
    snprintf(target, sizeof target, "%s/add-otp", parent);
    if (folder_write(p->files, target, false, &err) != ERR_IO || !strstr(err.text, says) ||
        !err.fix[0]) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return entries(parent) == 0 ? 0 : 2;
}

static int child_result(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A place for mounts of our own: as root, or as root of a new user namespace. */
static bool own_mounts(void)
{
    char map[64];
    uid_t uid = getuid();
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    int n = snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    bool good = fd >= 0 && write(fd, map, (size_t)n) == n;
    if (fd >= 0)
        close(fd);
    return good;
}

static void a_full_disk_leaves_nothing(void **state)
{
    struct place *p = *state;
    pid_t pid = fork();
    if (pid == 0) {
        if (!own_mounts())
            _exit(77);
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", p->dir, "tmpfs", 0, "size=64k") != 0)
            _exit(77);
        _exit(fails_cleanly(p, p->dir, "No space left"));
    }
    int code = child_result(pid);
    if (code == 77)
        skip(); /* no mounts here; the next test still holds */
    assert_int_equal(code, 0);
}

static void a_file_limit_leaves_nothing(void **state)
{
    struct place *p = *state;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = { 4096, 4096 };
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(fails_cleanly(p, p->dir, "File too large"));
    }
    assert_int_equal(child_result(pid), 0);
}

static void a_missing_place_is_said(void **state)
{
    struct place *p = *state;
    struct err err = { 0 };
    char target[160];
    snprintf(target, sizeof target, "%s/no/such/add-otp", p->dir);
    assert_int_equal(folder_write(p->files, target, false, &err), ERR_IO);
    assert_non_null(strstr(err.text, "No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_of_it_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_overwritten_without_force, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_stay_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_limit_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_place_is_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
