/* SPDX-License-Identifier: Apache-2.0 */
/* The user's repository: what goes along with a submission and what stays at home. */
#include "tests/unit/unit.h"

#include "clients/cli/repo.h"
#include "common/bounds.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    char *dir = strdup("/tmp/pawl-repo-XXXXXX");
    assert_non_null(mkdtemp(dir));
    *state = dir;
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", (char *)*state);
    assert_int_equal(system(command), 0);
    free(*state);
    return 0;
}

static void make(const char *dir, const char *path, const char *text, size_t n)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", dir, path);
    for (char *p = full + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void what_goes_along(void **state)
{
    const char *dir = *state;
    char root[PATH_MAX], from[128], link_path[128];
    struct err err = { 0 };
    struct repo repo;
    make(dir, "openspec/config.yaml", "schema: spec-driven\n", 20);
    make(dir, "openspec/specs/auth/spec.md", "\xff\xfe",
         2); /* malformed specs go along: parse names them */
    make(dir, "openspec/specs/auth/logo.png", "\x89PNG\0", 5);
    make(dir, "openspec/changes/add-otp/.openspec.yaml", "", 0);
    make(dir, "openspec/changes/add-otp/proposal.md", "# x\n", 4);
    make(dir, "openspec/changes/archive/2026-01-01-add-login/proposal.md", "secret history", 14);
    make(dir, "openspec/.git/config", "x", 1);
    make(dir, "deep/er/x", "", 0);
    snprintf(link_path, sizeof link_path, "%s/openspec/specs/passwd.md", dir);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    snprintf(from, sizeof from, "%s/deep/er", dir);
    assert_int_equal(repo_find(from, false, root, sizeof root, &err), OK);
    assert_string_equal(root, dir);
    assert_int_equal(repo_read(&repo, root, &err), OK);
    static const char *const want[] = { "changes/add-otp/.openspec.yaml",
                                        "changes/add-otp/proposal.md",
                                        "changes/archive/2026-01-01-add-login/.archived",
                                        "config.yaml", "specs/auth/spec.md" };
    assert_int_equal(repo.ws.n, COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++)
        assert_true(str_is(repo.ws.files[i].path, want[i]));
    assert_int_equal(repo.left_out, 2);
    repo_free(&repo);
}

static void no_repository_is_said(void **state)
{
    const char *dir = *state;
    char root[PATH_MAX];
    struct err err = { 0 };
    assert_int_equal(repo_find(dir, true, root, sizeof root, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "no openspec/ directory in it"));
    assert_null(strstr(err.text, "above it"));
    assert_int_equal(repo_find("/no/such/dir", true, root, sizeof root, &err), ERR_NOT_FOUND);
}

/* Only its size is on the disk. */
static void make_large(const char *dir, const char *path, off_t bytes)
{
    char full[512];
    make(dir, path, "", 0);
    snprintf(full, sizeof full, "%s/%s", dir, path);
    assert_int_equal(truncate(full, bytes), 0);
}

static void expect_error(const char *dir, enum status st, const char *text)
{
    for (int i = 0; i < 20; i++) {
        struct err err = { 0 };
        struct repo repo;
        assert_int_equal(repo_read(&repo, dir, &err), st);
        assert_string_equal(err.text, text);
        repo_free(&repo);
    }
}

/* Several readers meet an error at the same time: it is the one of the first path. */
static void the_error_is_always_the_same(void **state)
{
    const char *dir = *state;
    for (int i = 0; i < 40; i++) {
        char path[64];
        snprintf(path, sizeof path, "openspec/specs/s%02d/spec.md", (i * 7) % 40);
        make_large(dir, path, (off_t)PAWL_WORKSPACE_MAX + 1);
    }
    expect_error(dir, ERR_LIMIT, "openspec/specs/s00/spec.md: larger than 64 MiB");
}

/* The bound is on what all readers read together, and counts more than one bad file. */
static void the_bound_is_on_all_together(void **state)
{
    const char *dir = *state;
    make_large(dir, "openspec/specs/a/spec.md", (off_t)PAWL_WORKSPACE_MAX + 1);
    make_large(dir, "openspec/specs/b/spec.md", PAWL_WORKSPACE_MAX / 2);
    make_large(dir, "openspec/specs/c/spec.md", PAWL_WORKSPACE_MAX / 2);
    expect_error(dir, ERR_LIMIT, "openspec/specs/a/spec.md: larger than 64 MiB");
    make(dir, "openspec/specs/d/spec.md", "x", 1);
    struct err err = { 0 };
    struct repo repo;
    assert_int_equal(repo_read(&repo, dir, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "openspec/ is too large"));
    repo_free(&repo);
}

/* What stays at home need not be readable. */
static void a_large_other_file_is_not_opened(void **state)
{
    const char *dir = *state;
    char path[128];
    struct err err = { 0 };
    struct repo repo;
    make(dir, "openspec/config.yaml", "schema: spec-driven\n", 20);
    make_large(dir, "openspec/film.bin", 2 << 20);
    snprintf(path, sizeof path, "%s/openspec/film.bin", dir);
    assert_int_equal(chmod(path, 0), 0);
    snprintf(path, sizeof path, "%s/openspec", dir);
    assert_int_equal(chmod(dir, 0755) | chmod(path, 0755), 0);
    bool root = geteuid() == 0; /* may read everything */
    if (root)
        assert_int_equal(seteuid(65534), 0);
    enum status st = repo_read(&repo, dir, &err);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(st, OK);
    assert_int_equal(repo.ws.n, 1);
    assert_int_equal(repo.left_out, 1);
    repo_free(&repo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_goes_along, setup, teardown),
        cmocka_unit_test_setup_teardown(no_repository_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(the_error_is_always_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(the_bound_is_on_all_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_other_file_is_not_opened, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
