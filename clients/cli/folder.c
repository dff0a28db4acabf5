/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/folder.h"

#include "common/openspec/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status io_error(struct err *err, const char *path, int why)
{
    enum status st = why == EACCES || why == EPERM || why == EROFS ? ERR_CREATE : ERR_IO;
    err_set(err, st, "%.400s: %s", path, strerror(why));
    if (why == ENOSPC || why == EDQUOT || why == EFBIG)
        err_fix(err, "make room on that disk and run it again; nothing was left half-written");
    return st;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* 0, or errno: a file is not there before its disk has said so. */
static int write_all(int fd, struct str text)
{
    for (size_t at = 0; at < text.n;) {
        ssize_t n = write(fd, text.p + at, text.n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        at += (size_t)n;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

static int sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int why = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return why == EINVAL ? 0 : why; /* some file systems cannot, and need not */
}

/* The folders between `base` and the file, made and later made durable. */
static int make_parents(char *path, size_t base)
{
    for (char *p = path + base; (p = strchr(p, '/')); p++) {
        *p = '\0';
        int failed = mkdir(path, 0777) != 0 && errno != EEXIST ? errno : 0;
        *p = '/';
        if (failed)
            return failed;
    }
    return 0;
}

static enum status write_file(const char *folder, const json_t *file, struct err *err)
{
    char path[PATH_MAX];
    struct str name = js_view(file, "path");
    if (!ws_path_ok(name) || memchr(name.p, '\0', name.n))
        return err_set(err, ERR_DATA, "the change holds a file with a bad path: '%.*s'",
                       STR_ARG(name));
    int n = snprintf(path, sizeof path, "%s/%.*s", folder, STR_ARG(name));
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, ERR_DATA, "%.200s: the path is too long", path);
    int why = make_parents(path, strlen(folder) + 1);
    int fd = why ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return io_error(err, path, why ? why : errno);
    why = write_all(fd, js_view(file, "text"));
    if (close(fd) != 0 && !why)
        why = errno;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    why = why ? why : sync_dir(path);
    *slash = '/';
    return why ? io_error(err, path, why) : OK;
}

/* Move the finished folder in place. */
static enum status move_in(const char *made, const char *target, bool force, struct err *err)
{
    if (renameat2(AT_FDCWD, made, AT_FDCWD, target, RENAME_NOREPLACE) == 0)
        return OK;
    bool unable = errno == EINVAL || errno == ENOSYS; /* the file system knows plain rename only */
    if (unable && access(target, F_OK) != 0 && rename(made, target) == 0)
        return OK;
    if (!unable && errno != EEXIST && errno != ENOTEMPTY)
        return io_error(err, target, errno);
    if (!force) {
        err_set(err, ERR_CREATE, "%.400s exists already", target);
        err_fix(err, "--force replaces it");
        return ERR_CREATE;
    }
    if (renameat2(AT_FDCWD, made, AT_FDCWD, target, RENAME_EXCHANGE) == 0) {
        remove_tree(made); /* the old one, now */
        return OK;
    }
    char old[PATH_MAX];
    snprintf(old, sizeof old, "%.4080s.old", made);
    if (rename(target, old) != 0)
        return io_error(err, target, errno);
    if (rename(made, target) != 0) {
        int why = errno;
        if (rename(old, target) != 0)
            why = errno;
        return io_error(err, target, why);
    }
    remove_tree(old);
    return OK;
}

enum status folder_write(const json_t *files, const char *target, bool force, struct err *err)
{
    char made[PATH_MAX], parent[PATH_MAX];
    const char *slash = strrchr(target, '/');
    size_t n = slash ? (size_t)(slash - target) : 0;
    if (strlen(target) > PATH_MAX - 64)
        return err_set(err, ERR_DATA, "%.200s…: the path is too long", target);
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(n ? n : 1) : 1, slash ? target : ".");
    if (!force && access(target, F_OK) == 0) {
        err_set(err, ERR_CREATE, "%.400s exists already", target);
        err_fix(err, "--force replaces it");
        return ERR_CREATE;
    }
    snprintf(made, sizeof made, "%.*s.pawl-XXXXXX", slash ? (int)n + 1 : 0, target);
    if (!mkdtemp(made))
        return io_error(err, parent, errno);
    enum status st = chmod(made, 0755) == 0 ? OK : io_error(err, made, errno);
    for (size_t i = 0; i < js_count(files) && st == OK; i++)
        st = write_file(made, js_at(files, i), err);
    int why = st == OK ? sync_dir(made) : 0;
    if (why)
        st = io_error(err, made, why);
    if (st == OK)
        st = move_in(made, target, force, err);
    if (st != OK) {
        remove_tree(made);
        return st;
    }
    why = sync_dir(parent);
    return why ? io_error(err, parent, why) : OK;
}
