/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/claim.h"

#include "clients/cli/out.h"
#include "common/clock.h"
#include "common/js.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_MS = 50, STALE_S = 60, TEXT_MAX = 4096, COMMIT_MS = 10000 };

static const char archive[] = "changes/archive";
static const char ours[] = "changes/archive/.pawl-archive.lock";
static const char made[] = "changes/archive/.pawl-archive.claim";
static const char theirs[] = "changes/archive/.openspec-archive.lock";

static void boot_id(char out[64])
{
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    out[0] = '\0';
    if (f && !fgets(out, 64, f))
        out[0] = '\0';
    if (f)
        fclose(f);
    out[strcspn(out, "\n")] = '\0';
}

static enum status failed(const char *path, struct err *err)
{
    return err_set(err, ERR_IO, "openspec/%s: %s", path, strerror(errno));
}

/* ---- between archives of pawl ------------------------------------------------------------------ */

/* The file may have been removed by the one before: then it is another file now. */
static bool still_there(const struct claim *c)
{
    struct stat held, named;
    return fstat(c->lock, &held) == 0 && fstatat(c->dir, ours, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/* OK, ERR_BUSY: somebody has it, or ERR_IO. */
static enum status lock_once(struct claim *c, struct err *err)
{
    c->lock = openat(c->dir, ours, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (c->lock < 0)
        return failed(ours, err);
    bool held = flock(c->lock, LOCK_EX | LOCK_NB) == 0;
    if (held && still_there(c))
        return OK;
    close(c->lock);
    c->lock = -1;
    return err_set(err, ERR_BUSY, "another `pawl spec archive` is at work");
}

/* ---- towards the original ---------------------------------------------------------------------- */

static json_t *read_claim(int dir, struct stat *st)
{
    char text[TEXT_MAX];
    int fd = openat(dir, theirs, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 && fstat(fd, st) == 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    return n > 0 ? js_parse((struct str){ text, (size_t)n }, NULL) : NULL;
}

static bool is_stale(int dir, int64_t *pid)
{
    struct stat st = { .st_mtime = 0 };
    char boot[64];
    json_t *v = read_claim(dir, &st);
    *pid = js_int(v, "pid", 0);
    boot_id(boot);
    bool here = *boot && strcmp(js_str(v, "boot"), boot) == 0;
    bool gone = *pid <= 0 || (kill((pid_t)*pid, 0) != 0 && errno == ESRCH);
    bool old = st.st_mtime && wall_now().ms / 1000 - st.st_mtime >= STALE_S;
    json_decref(v);
    return here ||
           (gone && old); /* ours: and we hold the lock, so it is dead whoever has its number */
}

/* The claim's file, whole from its first moment, so that a dead one can always be told: or why not. */
static int make_claim(const struct claim *c)
{
    size_t n = strlen(c->text);
    if (unlinkat(c->dir, made, 0) != 0 && errno != ENOENT)
        return errno;
    int fd = openat(c->dir, made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    int why = fd < 0 ? errno : 0;
    if (!why && (write(fd, c->text, n) != (ssize_t)n || fsync(fd) != 0))
        why = errno ? errno : ENOSPC;
    if (fd >= 0)
        close(fd);
    if (!why && renameat2(c->dir, made, c->dir, theirs, RENAME_NOREPLACE) != 0)
        why = errno;
    if (why == EINVAL || why == ENOSYS) /* the file system knows plain rename only */
        why = linkat(c->dir, made, c->dir, theirs, 0) != 0 ? errno : 0;
    unlinkat(c->dir, made, 0);
    return why;
}

static enum status claim_once(struct claim *c, struct err *err)
{
    int64_t pid = 0;
    int why = make_claim(c);
    if (why == EEXIST && is_stale(c->dir, &pid)) {
        unlinkat(c->dir, theirs, 0);
        why = make_claim(c);
    }
    if (why == EEXIST) {
        err_set(err, ERR_BUSY, "another archive is at work, process %lld: openspec/%s",
                (long long)pid, theirs);
        err_fix(err, "when no such process runs, remove that file");
        return ERR_BUSY;
    }
    errno = why;
    return why ? failed(theirs, err) : OK;
}

static enum status take_once(struct claim *c, struct err *err)
{
    enum status st = lock_once(c, err);
    if (st != OK)
        return st;
    if ((st = claim_once(c, err)) == OK)
        return OK;
    unlinkat(c->dir, ours, 0);
    close(c->lock);
    c->lock = -1;
    return st;
}

enum status claim_take(struct claim *c, int dir, int64_t wait_ms, void (*waiting)(void *ctx),
                       void *ctx, struct err *err)
{
    char boot[64];
    int64_t until = mono_now().ms + wait_ms;
    enum status st;
    boot_id(boot);
    *c = (struct claim){ .dir = dir, .lock = -1 };
    snprintf(c->text, sizeof c->text, "{\"pid\":%ld,\"nonce\":\"%lld\",\"boot\":\"%s\"}",
             (long)getpid(), (long long)mono_now_us(), boot);
    if ((mkdirat(dir, "changes", 0777) != 0 && errno != EEXIST) ||
        (mkdirat(dir, archive, 0777) != 0 && errno != EEXIST))
        return failed(archive, err);
    for (bool told = false; (st = take_once(c, err)) == ERR_BUSY && mono_now().ms < until;) {
        if (!told && waiting)
            waiting(ctx);
        told = true;
        poll(NULL, 0, LOOK_MS); /* no event tells when the original's file goes */
    }
    return st;
}

void claim_give(struct claim *c)
{
    struct stat st;
    json_t *v = read_claim(c->dir, &st);
    if (js_int(v, "pid", 0) == (int64_t)getpid())
        unlinkat(c->dir, theirs, 0);
    json_decref(v);
    unlinkat(c->dir, ours, 0); /* while it is held: whoever waits sees that it has gone */
    close(c->lock);
    c->lock = -1;
}

enum status claim_enter(struct claimed *at, const char *root, struct claim_wait wait,
                        struct err *err)
{
    snprintf(at->path, sizeof at->path, "%.4000s/openspec", root);
    int dir = open(at->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, ERR_IO, "%.300s: %s", at->path, strerror(errno));
    at->commit = (struct commit){ .dir = dir, .path = at->path };
    enum status st = claim_take(&at->claim, dir, wait.ms, wait.waiting, wait.ctx, err);
    if (st != OK)
        close(dir);
    return st;
}

void claim_leave(struct claimed *at)
{
    claim_give(&at->claim);
    close(at->commit.dir);
}

enum status claim_commit(struct cli *cli, const char *root, const struct commit_op *ops, size_t n,
                         struct err *err)
{
    struct claimed at;
    enum commit_found found;
    enum status st = claim_enter(&at, root, (struct claim_wait){ .ms = COMMIT_MS }, err);
    if (st != OK)
        return st;
    st = commit_recover(&at.commit, &found, err);
    if (st == OK && found != COMMIT_CLEAN)
        out_warn(cli, "an earlier write was interrupted; it has been %s",
                 found == COMMIT_FINISHED ? "finished" : "undone");
    if (st == OK)
        st = commit_run(&at.commit, ops, n, err);
    claim_leave(&at);
    return st;
}
