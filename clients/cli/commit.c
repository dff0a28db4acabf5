/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commit.h"

#include "clients/cli/commit_guard.h"
#include "common/js.h"
#include "common/openspec/workspace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOURNAL_MAX = 16 << 20, OPS_MAX = 20000, NEW_FILE = 0666 };

static const char journal[] = COMMIT_FOLDER "/journal";
static const char journal_made[] = COMMIT_FOLDER "/journal.new";
static const char folders[] =
    COMMIT_FOLDER "/folders"; /* made before the journal; undone with it */

static void step(const struct commit *c)
{
    if (c->step)
        c->step(c->ctx);
}

static enum status failed(const struct commit *c, const char *path, int why, struct err *err)
{
    err_set(err, ERR_IO, "%.300s/%.300s: %s", c->path, path, strerror(why));
    if (why == ENOSPC || why == EDQUOT)
        err_fix(err, "make room on the disk; nothing was changed");
    return ERR_IO;
}

static bool z_path(struct str s, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%.*s", STR_ARG(s));
    return n > 0 && n < PATH_MAX && (size_t)n == s.n && ws_path_ok(s);
}

/* The folder that a path lies in, "." at the top. */
static void parent_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    snprintf(out, PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

static int sync_folder(const struct commit *c, const char *path)
{
    int fd = openat(c->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int why = fd < 0 || (fsync(fd) != 0 && errno != EINVAL) ? errno : 0;
    if (fd >= 0)
        close(fd);
    return why;
}

static int sync_parent(const struct commit *c, const char *path)
{
    char parent[PATH_MAX];
    parent_of(path, parent);
    return sync_folder(c, parent);
}

/* ---- staging --------------------------------------------------------------------------------- */

static int write_durable(const struct commit *c, const char *path, struct str bytes, mode_t mode)
{
    step(c);
    int fd = openat(c->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    int why = fd < 0 || (mode != NEW_FILE && fchmod(fd, mode) != 0) ? errno : 0;
    for (size_t at = 0; !why && at < bytes.n;) {
        ssize_t put = write(fd, bytes.p + at, bytes.n - at);
        if (put < 0 && errno != EINTR)
            why = errno;
        at += put > 0 ? (size_t)put : 0;
    }
    if (!why && fsync(fd) != 0)
        why = errno;
    if (fd >= 0 && close(fd) != 0 && !why)
        why = errno;
    return why;
}

static void staged_name(size_t i, char out[64])
{
    snprintf(out, 64, COMMIT_FOLDER "/%zu", i);
}

/* A file keeps its mode. */
static mode_t mode_of(const struct commit *c, const char *path)
{
    struct stat st;
    return fstatat(c->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & 07777 : NEW_FILE;
}

/* May the folder that will be changed be changed? The nearest one that there is counts. */
static int writable(const struct commit *c, const char *path)
{
    char at[PATH_MAX];
    parent_of(path, at);
    while (faccessat(c->dir, at, W_OK | X_OK, 0) != 0) {
        if (errno != ENOENT || strcmp(at, ".") == 0)
            return errno;
        char up[PATH_MAX];
        parent_of(at, up);
        memcpy(at, up, sizeof at);
    }
    return 0;
}

/* A move cannot leave its file system. */
static int movable(const struct commit *c, const char *path, const char *to)
{
    char into[PATH_MAX];
    struct stat from, there;
    parent_of(to, into);
    if (fstatat(c->dir, path, &from, AT_SYMLINK_NOFOLLOW) != 0 ||
        fstatat(c->dir, into, &there, 0) != 0)
        return errno;
    if (faccessat(c->dir, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return EEXIST;
    return from.st_dev == there.st_dev ? writable(c, to) : EXDEV;
}

/* Folders that the writes need and that are not there, those above first. */
static json_t *missing_folders(const struct commit *c, const struct commit_op *ops, size_t n)
{
    json_t *list = json_array(), *seen = json_object();
    for (size_t i = 0; i < n; i++) {
        char at[PATH_MAX];
        if (ops[i].kind != COMMIT_WRITE || !z_path(ops[i].path, at))
            continue;
        for (char *p = at; (p = strchr(p, '/')); *p++ = '/') {
            *p = '\0';
            if (json_object_get(seen, at) || faccessat(c->dir, at, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                continue;
            js_set_bool(seen, at, true);
            js_push_z(list, at);
        }
    }
    json_decref(seen);
    return list;
}

static int make_folder(const struct commit *c, const char *path)
{
    step(c);
    int why = mkdirat(c->dir, path, 0777) != 0 && errno != EEXIST ? errno : 0;
    return why ? why : sync_parent(c, path);
}

/* Said before they are made, so that whoever undoes this knows them. Room for them is found now, not
 * when a part has been done. */
static int make_folders(const struct commit *c, const json_t *list)
{
    struct buf b;
    if (js_count(list) == 0)
        return 0;
    buf_init(&b, JOURNAL_MAX);
    int why = js_dump(list, &b) == OK ? write_durable(c, folders, buf_get(&b), NEW_FILE) : ENOMEM;
    buf_fini(&b);
    why = why ? why : sync_folder(c, COMMIT_FOLDER);
    why = why ? why : sync_folder(c, ".");
    for (size_t i = 0; !why && i < js_count(list); i++)
        why = make_folder(c, json_string_value(js_at(list, i)));
    return why;
}

static int stage_one(const struct commit *c, const struct commit_op *op, size_t i, json_t *list)
{
    static const char *const names[] = { "write", "remove", "move" };
    char path[PATH_MAX], to[PATH_MAX], staged[64];
    int why = z_path(op->path, path) && (op->kind != COMMIT_MOVE || z_path(op->to, to))
                  ? guard_plain(c->dir, path, op->kind == COMMIT_MOVE)
                  : EINVAL;
    why = why ? why : writable(c, path);
    if (!why && op->kind == COMMIT_MOVE)
        why = movable(c, path, to);
    staged_name(i, staged);
    if (!why && op->kind == COMMIT_WRITE)
        why = write_durable(c, staged, op->bytes, mode_of(c, path));
    json_t *v = json_object();
    js_set_z(v, "op", names[op->kind]);
    js_set_str(v, "path", op->path);
    if (!why && op->kind != COMMIT_MOVE)
        why = guard_note(c->dir, path, op->kind == COMMIT_WRITE ? &op->bytes : NULL, v);
    if (op->kind == COMMIT_MOVE)
        js_set_str(v, "to", op->to);
    js_push(list, v);
    return why;
}

static int write_journal(const struct commit *c, const json_t *list)
{
    struct buf b;
    buf_init(&b, JOURNAL_MAX);
    int why =
        js_dump(list, &b) == OK ? write_durable(c, journal_made, buf_get(&b), NEW_FILE) : ENOMEM;
    buf_fini(&b);
    why = why ? why : sync_folder(c, COMMIT_FOLDER);
    step(c);
    if (!why && renameat(c->dir, journal_made, c->dir, journal) != 0)
        why = errno;
    why = why ? why : sync_folder(c, COMMIT_FOLDER);
    return why ? why : sync_folder(c, ".");
}

/* ---- carrying out ----------------------------------------------------------------------------- */

static int put(const struct commit *c, const char *path, size_t i)
{
    char staged[64];
    int why = 0;
    staged_name(i, staged);
    step(c);
    if (renameat(c->dir, staged, c->dir, path) != 0)
        why =
            errno == ENOENT && faccessat(c->dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
    return why ? why : sync_parent(c, path);
}

/* The file, then folders that it leaves empty; those right below the top stay. */
static int take_away(const struct commit *c, const char *path)
{
    char at[PATH_MAX], up[PATH_MAX];
    step(c);
    if (unlinkat(c->dir, path, 0) != 0 && errno != ENOENT)
        return errno;
    for (parent_of(path, at); strchr(at, '/'); memcpy(at, up, sizeof at)) {
        parent_of(at, up);
        step(c);
        if (unlinkat(c->dir, at, AT_REMOVEDIR) != 0 && errno != ENOENT)
            break; /* not empty */
    }
    int why = sync_folder(c, at);
    return why == ENOENT ? 0 : why;
}

static int move(const struct commit *c, const char *path, const char *to)
{
    step(c);
    if (renameat2(c->dir, path, c->dir, to, RENAME_NOREPLACE) != 0) {
        int why = errno;
        if (why == EINVAL || why == ENOSYS) /* the file system knows plain rename only */
            why = faccessat(c->dir, to, F_OK, 0) == 0       ? EEXIST
                  : renameat(c->dir, path, c->dir, to) != 0 ? errno
                                                            : 0;
        bool done = (why == ENOENT || why == EEXIST) && faccessat(c->dir, path, F_OK, 0) != 0 &&
                    faccessat(c->dir, to, F_OK, 0) == 0;
        if (why && !done)
            return why;
    }
    int why = sync_parent(c, path);
    return why ? why : sync_parent(c, to);
}

static void empty_folder(const struct commit *c)
{
    int fd = openat(c->dir, COMMIT_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        step(c);
        if (unlinkat(dirfd(d), e->d_name, 0) != 0)
            break; /* the next one tries again */
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    step(c);
    unlinkat(c->dir, COMMIT_FOLDER, AT_REMOVEDIR);
}

/* A list that was written here; NULL: it cannot be read as one. */
static json_t *read_list(const struct commit *c, const char *path)
{
    struct buf b;
    char piece[65536];
    ssize_t got = -1;
    int fd = openat(c->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    buf_init(&b, JOURNAL_MAX);
    while (fd >= 0 && (got = read(fd, piece, sizeof piece)) > 0)
        buf_append(&b, piece, (size_t)got);
    json_t *list = got == 0 && b.status == OK ? js_parse(buf_get(&b), NULL) : NULL;
    if (fd >= 0)
        close(fd);
    buf_fini(&b);
    if (json_is_array(list) && json_array_size(list) <= OPS_MAX)
        return list;
    json_decref(list);
    return NULL;
}

/* Nothing was carried out: the folders that were made for it go, unless something is in them. */
static void undo(const struct commit *c)
{
    json_t *list = read_list(c, folders);
    step(c);
    unlinkat(c->dir, journal, 0); /* first of all: what is staged is of no use without the rest */
    for (size_t i = js_count(list); i-- > 0;) {
        const char *path = json_string_value(js_at(list, i));
        if (!path || !ws_path_ok(str_of(path)) || guard_plain(c->dir, path, true) != 0)
            continue;
        step(c);
        unlinkat(c->dir, path, AT_REMOVEDIR);
    }
    json_decref(list);
    empty_folder(c);
}

/* Every change of the journal, from its beginning: those that are done do no harm. */
static enum status carry_out(const struct commit *c, const json_t *list, struct err *err)
{
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *v = js_at(list, i);
        const char *op = js_str(v, "op");
        char path[PATH_MAX], to[PATH_MAX];
        int why = z_path(js_view(v, "path"), path) ? 0 : EINVAL;
        if (!why && strcmp(op, "write") == 0)
            why = put(c, path, i);
        else if (!why && strcmp(op, "remove") == 0)
            why = take_away(c, path);
        else if (!why && strcmp(op, "move") == 0)
            why = z_path(js_view(v, "to"), to) ? move(c, path, to) : EINVAL;
        else if (!why)
            why = EINVAL;
        if (why) {
            failed(c, path, why, err);
            err_fix(err, "put that right and run it again: what was begun will be finished");
            return ERR_IO;
        }
    }
    step(c);
    if (unlinkat(c->dir, journal, 0) != 0)
        return failed(c, journal, errno, err);
    empty_folder(c);
    return OK;
}

enum status commit_run(const struct commit *c, const struct commit_op *ops, size_t n,
                       struct err *err)
{
    const char *at = COMMIT_FOLDER;
    char path[PATH_MAX];
    int why = n <= OPS_MAX ? 0 : E2BIG;
    step(c);
    if (!why && mkdirat(c->dir, COMMIT_FOLDER, 0777) != 0)
        why = errno; /* EEXIST: commit_recover() first */
    if (why)
        return failed(c, at, why, err);
    json_t *list = json_array(), *needed = missing_folders(c, ops, n);
    why = make_folders(c, needed);
    json_decref(needed);
    for (size_t i = 0; !why && i < n; i++) {
        why = stage_one(c, &ops[i], i, list);
        at = why && z_path(ops[i].path, path) ? path : at;
    }
    why = why ? why : write_journal(c, list);
    enum status st = OK;
    if (why) {
        undo(c);
        st = failed(c, at, why, err);
    } else {
        st = carry_out(c, list, err);
    }
    json_decref(list);
    return st;
}

/* Nothing is begun again before everything is known to be as it was left. */
static enum status check(const struct commit *c, const json_t *list, struct err *err)
{
    char staged[64];
    enum status st = OK;
    for (size_t i = 0; st == OK && i < js_count(list); i++) {
        staged_name(i, staged);
        st = guard_check(c->dir, js_at(list, i), staged, err);
    }
    return st;
}

enum status commit_recover(const struct commit *c, enum commit_found *found, struct err *err)
{
    int fd = openat(c->dir, journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *found = COMMIT_CLEAN;
    if (fd < 0 && errno != ENOENT)
        return failed(c, journal, errno, err);
    if (fd < 0) {
        if (faccessat(c->dir, COMMIT_FOLDER, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            undo(c);
            *found = COMMIT_UNDONE;
        }
        return OK;
    }
    close(fd);
    json_t *list = read_list(c, journal);
    if (!list) {
        err_set(err, ERR_DATA, "%.300s/%s is no journal of ours", c->path, journal);
        err_fix(err, "look at it, and remove the folder when it is not needed");
        return ERR_DATA;
    }
    enum status st = check(c, list, err);
    st = st == OK ? carry_out(c, list, err) : st;
    json_decref(list);
    *found = COMMIT_FINISHED;
    return st;
}
