/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/repo.h"

#include "clients/cli/repo_walk.h"
#include "common/bounds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_MAX = PAWL_WORKSPACE_MAX + (64 << 20) };

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum status repo_find(const char *from, bool given, char *root, size_t size, struct err *err)
{
    char at[PATH_MAX], probe[PATH_MAX + 16];
    if (!realpath(from, at))
        return err_set(err, ERR_NOT_FOUND, "%.300s: %s", from, strerror(errno));
    char *start = strdup(at);
    for (;;) {
        snprintf(probe, sizeof probe, "%s/openspec", strcmp(at, "/") == 0 ? "" : at);
        if (is_dir(probe)) {
            free(start);
            if ((size_t)snprintf(root, size, "%s", at) >= size)
                return err_set(err, ERR_LIMIT, "%.300s: the path is too long", at);
            return OK;
        }
        char *slash = strrchr(at, '/');
        if (given || strcmp(at, "/") == 0 || !slash)
            break;
        slash[slash == at] = '\0';
    }
    err_set(err, ERR_NOT_FOUND,
            "%.300s is not an OpenSpec repository: no openspec/ directory in it%s", start,
            given ? "" : " or above it");
    err_fix(err, "`openspec init` makes one; --project-dir DIR names another repository");
    free(start);
    return ERR_NOT_FOUND;
}

enum status repo_read(struct repo *t, const char *root, struct err *err)
{
    char path[PATH_MAX];
    *t = (struct repo){ 0 };
    arena_init(&t->arena, ARENA_MAX);
    for (size_t i = 0; i < REPO_READERS; i++)
        arena_init(&t->texts[i], ARENA_MAX);
    snprintf(path, sizeof path, "%.4000s/openspec", root);
    int dir = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (dir < 0)
        return err_set(err, ERR_IO, "%.300s: %s", path, strerror(errno));
    enum status st = repo_walk(t, dir, err);
    close(dir);
    return st;
}

void repo_free(struct repo *t)
{
    for (size_t i = 0; i < REPO_READERS; i++)
        arena_fini(&t->texts[i]);
    arena_fini(&t->arena);
}
