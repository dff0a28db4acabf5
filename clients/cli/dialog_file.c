/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/dialog_file.h"

#include "clients/cli/claim.h"
#include "common/clock.h"
#include "common/openspec/questions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char name[] = "questions.md";
static const char made[] = ".questions.md.pawl"; /* ours while it is written; nobody else's */

static bool path_of(char out[PATH_MAX], const char *root, const char *change, const char *file)
{
    int n =
        snprintf(out, PATH_MAX, "%s/openspec/changes/%s%s%s", root, change, *file ? "/" : "", file);
    return n > 0 && n < PATH_MAX;
}

static enum status failed(struct err *err, const char *change, const char *what, int why)
{
    return err_set(err, ERR_IO, "openspec/changes/%.200s/%s: %s", change, what, strerror(why));
}

bool dialog_file_any(const char *root)
{
    char path[PATH_MAX];
    DIR *d = path_of(path, root, "", "") ? opendir(path) : NULL;
    bool any = false;
    for (struct dirent *e; d && !any && (e = readdir(d));)
        any = e->d_name[0] != '.' && strcmp(e->d_name, "archive") != 0;
    if (d)
        closedir(d);
    return any;
}

void dialog_file_stat(const char *root, const char *change, struct dialog_seen *out)
{
    char path[PATH_MAX];
    struct stat st;
    *out = (struct dialog_seen){ 0 };
    out->folder = path_of(path, root, change, "") && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (!path_of(path, root, change, name) || lstat(path, &st) != 0)
        return;
    out->there = true;
    out->ino = st.st_ino;
    out->size = st.st_size;
    out->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    out->rested_ms = wall_now().ms - out->mtime_ns / 1000000;
}

/* Of the file in the folder. ERR_NOT_FOUND. */
static enum status read_at(int folder, const char *file, const char *change, struct buf *out,
                           struct err *err)
{
    struct stat st;
    int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        int why = fd < 0 ? errno : 0;
        if (fd >= 0)
            close(fd);
        if (why && why != ELOOP)
            return failed(err, change, file, why);
        err_set(err, ERR_DATA, "openspec/changes/%.200s/%s: not a file", change, file);
        err_fix(err, "move it away; links are not followed");
        return ERR_DATA;
    }
    ssize_t n = 1;
    while (n > 0 && out->len <= QUESTIONS_BYTES_MAX) {
        char *at = buf_room(out, 65536);
        n = at ? read(fd, at, 65536) : 0;
        buf_grown(out, n > 0 ? (size_t)n : 0);
    }
    int why = n < 0 ? errno : 0;
    close(fd);
    if (why)
        return failed(err, change, file, why);
    if (out->status != OK || out->len > QUESTIONS_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "openspec/changes/%.200s/%s: more than %d bytes", change,
                       file, QUESTIONS_BYTES_MAX);
    return OK;
}

enum status dialog_file_read(const char *root, const char *change, struct buf *out, struct err *err)
{
    char path[PATH_MAX];
    if (!path_of(path, root, change, ""))
        return err_set(err, ERR_LIMIT, "%.200s: the path is too long", root);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOENT ? OK : failed(err, change, "", errno);
    enum status st = read_at(folder, name, change, out, err);
    close(folder);
    return st == ERR_NOT_FOUND ? OK : st;
}

bool dialog_file_lock(const char *root, const char *change, int *lock)
{
    char path[PATH_MAX];
    struct stat held, now;
    if (!path_of(path, root, change, "") || stat(path, &now) != 0)
        return true; /* nobody has written anything there */
    if (*lock >= 0 && fstat(*lock, &held) == 0 && held.st_ino == now.st_ino &&
        held.st_dev == now.st_dev)
        return true;
    if (*lock >= 0)
        close(*lock);
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    bool taken = errno == EWOULDBLOCK; /* else the file system knows no locks */
    close(*lock);
    *lock = -1;
    return !taken;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* 0 or errno: `made` holds the text, durable, with the mode of the file that it is to replace. */
static int make(int folder, struct str text)
{
    struct stat st;
    unsigned int mode =
        fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & 0777 : 0;
    int why = 0;
    if (unlinkat(folder, made, 0) != 0 && errno != ENOENT)
        return errno;
    int fd = openat(folder, made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return errno;
    for (size_t at = 0; at < text.n && !why;) {
        ssize_t n = write(fd, text.p + at, text.n - at);
        if (n < 0 && errno != EINTR)
            why = errno;
        at += n > 0 ? (size_t)n : 0;
    }
    if (!why && ((mode && fchmod(fd, mode) != 0) || fsync(fd) != 0))
        why = errno;
    if (close(fd) != 0 && !why)
        why = errno;
    return why;
}

/* A file system that knows plain rename only: what is saved in the moment between is lost. */
static enum status replace(int folder, const char *change, struct str was, enum dialog_wrote *wrote,
                           struct err *err)
{
    struct buf now;
    buf_init(&now, 2 * QUESTIONS_BYTES_MAX);
    bool same = read_at(folder, name, change, &now, err) == OK && str_eq(buf_get(&now), was);
    buf_fini(&now);
    if (!same)
        return OK;
    *wrote = DIALOG_WROTE;
    return renameat(folder, made, folder, name) == 0 ? OK : failed(err, change, name, errno);
}

/* The two files change places, so that what was there is still at hand. Not what it is to have been: it
 * was saved meanwhile and goes back; and so does what was saved while that went back. */
static enum status swap(int folder, const char *change, struct str was, struct str text,
                        enum dialog_wrote *wrote, struct err *err)
{
    struct buf out[3]; /* what came out last, before that, and comes out now */
    struct str expected = was;
    enum status st = OK;
    bool done = false;
    for (size_t i = 0; i < COUNT(out); i++)
        buf_init(&out[i], 2 * QUESTIONS_BYTES_MAX);
    for (int i = 0; st == OK && !done; i++) {
        struct buf *now = &out[i % 3];
        if (renameat2(folder, made, folder, name, RENAME_EXCHANGE) != 0) {
            done = true;
            if (errno == EINVAL || errno == ENOSYS)
                st = replace(folder, change, was, wrote, err);
            else if (errno != ENOENT) /* it was removed */
                st = failed(err, change, name, errno);
            break;
        }
        buf_clear(now);
        st = read_at(folder, made, change, now, err);
        done = st == OK && str_eq(buf_get(now), expected);
        if (done && i == 0)
            *wrote = DIALOG_WROTE;
        expected = i == 0 ? text : buf_get(&out[(i + 2) % 3]);
    }
    for (size_t i = 0; i < COUNT(out); i++)
        buf_fini(&out[i]);
    return st;
}

static enum status put_in(int folder, const char *change, bool there, struct str was,
                          struct str text, enum dialog_wrote *wrote, struct err *err)
{
    enum status st = OK;
    int why = make(folder, text);
    *wrote = DIALOG_MOVED;
    if (why)
        st = failed(err, change, name, why);
    else if (there)
        st = swap(folder, change, was, text, wrote, err);
    else if (linkat(folder, made, folder, name, 0) == 0)
        *wrote = DIALOG_WROTE;
    else if (errno != EEXIST)
        st = failed(err, change, name, errno);
    unlinkat(folder, made, 0);
    if (st == OK && fsync(folder) != 0 && errno != EINVAL)
        st = failed(err, change, name, errno);
    return st;
}

static int open_folder(int dir, const char *change, bool make_it)
{
    int changes = openat(dir, "changes", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int folder = -1;
    if (changes >= 0 && (!make_it || mkdirat(changes, change, 0777) == 0 || errno == EEXIST))
        folder = openat(changes, change, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int why = errno;
    if (changes >= 0)
        close(changes);
    errno = why;
    return folder;
}

enum status dialog_file_put(const char *root, const char *change, bool there, struct str was,
                            struct str text, enum dialog_wrote *wrote, struct err *err)
{
    struct claimed at;
    enum commit_found found;
    *wrote = DIALOG_WAIT;
    enum status st = claim_enter(&at, root, (struct claim_wait){ 0 }, err);
    if (st != OK)
        return st == ERR_BUSY ? OK : st;
    st = commit_recover(&at.commit, &found, err);
    if (st == OK) {
        int folder = open_folder(at.commit.dir, change, !there);
        if (folder >= 0)
            st = put_in(folder, change, there, was, text, wrote, err);
        else if (there && errno == ENOENT)
            *wrote = DIALOG_MOVED;
        else
            st = failed(err, change, name, errno);
        if (folder >= 0)
            close(folder);
    }
    claim_leave(&at);
    return st;
}
