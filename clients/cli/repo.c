/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/repo.h"

#include "common/bounds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 16, OTHER_FILE_MAX = 1 << 20 };

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

struct walk {
    struct repo *t;
    struct ws_file *files;
    size_t n, cap, bytes;
    struct err *err;
};

static enum status add(struct walk *w, const char *path, struct str bytes)
{
    struct arena *a = &w->t->arena;
    if (w->n == PAWL_WORKSPACE_FILES || w->bytes + bytes.n > PAWL_WORKSPACE_MAX) {
        err_set(w->err, ERR_LIMIT, "openspec/ is too large: more than %d files or %d MiB",
                PAWL_WORKSPACE_FILES, PAWL_WORKSPACE_MAX >> 20);
        err_fix(w->err, "move what is no specification out of openspec/");
        return ERR_LIMIT;
    }
    struct ws_file *files = arena_grow(a, w->files, w->n, &w->cap, sizeof *files);
    char *name = arena_dup(a, path, strlen(path));
    if (!files || !name)
        return err_set(w->err, ERR_NOMEM, "out of memory");
    w->files = files;
    w->files[w->n++] = (struct ws_file){ { name, strlen(name) }, bytes };
    w->bytes += bytes.n;
    return OK;
}

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcmp(path + n - m, end) == 0;
}

/* What the tools read always goes along, whatever is in it: the parse stage says what is wrong. */
static bool always(const char *path)
{
    return ends_with(path, ".md") || ends_with(path, ".yaml") || ends_with(path, ".yml");
}

static enum status read_file(struct walk *w, int dir, const char *name, const char *path,
                             const struct stat *st)
{
    if (!always(path) && st->st_size > OTHER_FILE_MAX) {
        w->t->left_out++;
        return OK;
    }
    if (st->st_size > PAWL_WORKSPACE_MAX)
        return err_set(w->err, ERR_LIMIT, "openspec/%.200s: larger than %d MiB", path,
                       PAWL_WORKSPACE_MAX >> 20);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set(w->err, ERR_IO, "openspec/%.200s: %s", path, strerror(errno));
    size_t size = (size_t)st->st_size, n = 0;
    char *bytes = arena_alloc(&w->t->arena, size + 1);
    ssize_t got = 1;
    while (bytes && n < size && (got = read(fd, bytes + n, size - n)) > 0)
        n += (size_t)got;
    int why = errno;
    close(fd);
    if (!bytes)
        return err_set(w->err, ERR_LIMIT, "openspec/ is too large");
    if (got < 0)
        return err_set(w->err, ERR_IO, "openspec/%.200s: %s", path, strerror(why));
    struct str text = { bytes, n };
    if (!always(path) && (memchr(bytes, '\0', n) || !utf8_valid(text, NULL))) {
        w->t->left_out++;
        return OK;
    }
    return add(w, path, text);
}

static enum status walk_dir(struct walk *w, int dir, const char *path, int depth);

static enum status entry(struct walk *w, int dir, const char *name, const char *path, int depth)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT
                   ? OK
                   : err_set(w->err, ERR_IO, "openspec/%.200s: %s", path, strerror(errno));
    bool archived = strncmp(path, "changes/archive/", 16) == 0;
    if (S_ISREG(st.st_mode) && !archived)
        return read_file(w, dir, name, path, &st);
    if (!S_ISDIR(st.st_mode)) {
        w->t->left_out += !archived;
        return OK;
    }
    if (archived) { /* its name is enough */
        char marker[PATH_MAX + 16];
        snprintf(marker, sizeof marker, "%.4000s/.archived", path);
        return add(w, marker, (struct str){ 0 });
    }
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return err_set(w->err, ERR_IO, "openspec/%.200s: %s", path, strerror(errno));
    return walk_dir(w, fd, path, depth + 1);
}

/* Takes dir. */
static enum status walk_dir(struct walk *w, int dir, const char *path, int depth)
{
    DIR *d = fdopendir(dir);
    struct dirent *e;
    enum status st = OK;
    if (!d || depth > DEPTH) {
        if (d)
            closedir(d);
        else
            close(dir);
        return err_set(w->err, ERR_LIMIT, "openspec/%.200s: nested more than %d deep", path, DEPTH);
    }
    while (st == OK && (e = readdir(d))) {
        char below[PATH_MAX];
        bool hidden = e->d_name[0] == '.' && strcmp(e->d_name, ".openspec.yaml") != 0;
        int n = snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", e->d_name);
        if (!hidden && n > 0 && (size_t)n < sizeof below)
            st = entry(w, dirfd(d), e->d_name, below, depth);
    }
    closedir(d);
    return st;
}

enum status repo_read(struct repo *t, const char *root, struct err *err)
{
    char path[PATH_MAX];
    struct walk w = { .t = t, .err = err };
    *t = (struct repo){ 0 };
    arena_init(&t->arena, (size_t)PAWL_WORKSPACE_MAX + (64u << 20));
    snprintf(path, sizeof path, "%.4000s/openspec", root);
    int dir = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (dir < 0)
        return err_set(err, ERR_IO, "%.300s: %s", path, strerror(errno));
    enum status st = walk_dir(&w, dir, "", 0);
    if (st == OK)
        st = ws_make(&t->arena, w.files, w.n, &t->ws, err);
    return st;
}

void repo_free(struct repo *t)
{
    arena_fini(&t->arena);
}
