/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commit_guard.h"

#include "common/bounds.h"
#include "common/openspec/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int guard_plain(int dir, const char *path, bool folder)
{
    char part[PATH_MAX];
    struct stat st;
    for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return errno == ENOENT ? 0 : errno;
        if (!S_ISDIR(st.st_mode))
            return S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
    }
    if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    if (S_ISLNK(st.st_mode))
        return ELOOP;
    return folder == S_ISDIR(st.st_mode) && (folder || S_ISREG(st.st_mode)) ? 0 : EINVAL;
}

int guard_hash(int dir, const char *path, char hex[HASH_HEX + 1])
{
    struct buf b;
    char piece[65536];
    ssize_t got;
    hex[0] = '\0';
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    buf_init(&b, PAWL_WORKSPACE_MAX);
    while ((got = read(fd, piece, sizeof piece)) > 0)
        buf_append(&b, piece, (size_t)got);
    int why = got < 0 ? errno : b.status != OK ? EFBIG : 0;
    close(fd);
    struct hash h = hash_of(buf_get(&b));
    buf_fini(&b);
    if (!why)
        hash_hex(&h, hex);
    return why;
}

int guard_note(int dir, const char *path, const struct str *bytes, json_t *v)
{
    char hex[HASH_HEX + 1];
    int why = guard_hash(dir, path, hex);
    js_set_z(v, "before", hex);
    if (bytes) {
        struct hash h = hash_of(*bytes);
        hash_hex(&h, hex);
        js_set_z(v, "after", hex);
    }
    return why;
}

static enum status edited(const char *path, struct err *err)
{
    err_set(err, ERR_DATA, "openspec/%.300s was changed after an archive stopped half-way", path);
    err_fix(err, "put it back as it was then, or delete openspec/.pawl-archive/ to keep everything "
                 "as it is now");
    return ERR_DATA;
}

static enum status unsafe(const char *path, int why, struct err *err)
{
    return err_set(err, ERR_IO, "openspec/%.300s: %s", path, strerror(why));
}

static bool named(const json_t *v, const char *key, char out[PATH_MAX])
{
    struct str s = js_view(v, key);
    if (!ws_path_ok(s) || s.n >= PATH_MAX)
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* Either it is still here or it is already there. */
static enum status check_move(int dir, const json_t *v, const char *path, struct err *err)
{
    char to[PATH_MAX];
    int why = named(v, "to", to) ? guard_plain(dir, path, true) : EINVAL;
    why = why ? why : guard_plain(dir, to, true);
    if (why)
        return unsafe(path, why, err);
    bool here = faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    bool there = faccessat(dir, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    return here != there ? OK : edited(path, err);
}

enum status guard_check(int dir, const json_t *v, const char *staged, struct err *err)
{
    char path[PATH_MAX], now[HASH_HEX + 1], kept[HASH_HEX + 1];
    const char *before = js_str(v, "before"), *after = js_str(v, "after");
    bool write = strcmp(js_str(v, "op"), "write") == 0;
    if (!named(v, "path", path))
        return unsafe("?", EINVAL, err);
    if (strcmp(js_str(v, "op"), "move") == 0)
        return check_move(dir, v, path, err);
    int why = guard_plain(dir, path, false);
    why = why ? why : guard_hash(dir, path, now);
    why = why ? why : guard_hash(dir, staged, kept);
    if (why)
        return unsafe(path, why, err);
    if (strcmp(now, write ? after : "") == 0)
        return OK;
    bool can = strcmp(now, before) == 0 && (!write || strcmp(kept, after) == 0);
    return can ? OK : edited(path, err);
}
