/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/repo_walk.h"

#include "common/bounds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEPTH = 16, OTHER_FILE_MAX = 1 << 20 };

/* A folder that is to be read; openspec/ itself has no path. */
struct folder {
    struct folder *next;
    int depth;
    char path[];
};

/* Several readers take folders, read their files, and put back the folders below. */
struct walk {
    int root;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct folder *todo;
    unsigned busy;              /* readers in a folder: there may be more below it */
    bool full;                  /* a bound on all files together was reached: nobody goes on */
    atomic_size_t files, bytes; /* of all readers */
};

/* What one reader found, in memory of its own. Of the folders that could not be read the one whose
 * path is the first counts, so that it is always the same error, whichever reader is the fastest. */
struct reader {
    struct walk *walk;
    struct arena *arena;
    struct ws_file *files;
    size_t n, cap, left_out;
    struct err err;           /* of the folder that is being read */
    const struct folder *bad; /* NULL: none */
    struct err why;           /* of `bad` */
    bool full;                /* said in `why`; counts more than any folder */
};

static enum status no_memory(struct reader *r)
{
    return err_set(&r->err, ERR_NOMEM, "out of memory");
}

static enum status broken(struct reader *r, const char *path)
{
    return err_set(&r->err, ERR_IO, "openspec/%.200s: %s", path, strerror(errno));
}

static enum status add(struct reader *r, const char *path, struct str bytes)
{
    size_t files = atomic_fetch_add(&r->walk->files, 1);
    size_t before = atomic_fetch_add(&r->walk->bytes, bytes.n);
    if (files >= PAWL_WORKSPACE_FILES || before + bytes.n > PAWL_WORKSPACE_MAX) {
        err_set(&r->err, ERR_LIMIT, "openspec/ is too large: more than %d files or %d MiB",
                PAWL_WORKSPACE_FILES, PAWL_WORKSPACE_MAX >> 20);
        err_fix(&r->err, "move what is no specification out of openspec/");
        r->full = true;
        return ERR_LIMIT;
    }
    struct ws_file *more = arena_grow(r->arena, r->files, r->n, &r->cap, sizeof *more);
    char *name = arena_dup(r->arena, path, strlen(path));
    if (!more || !name)
        return no_memory(r);
    r->files = more;
    r->files[r->n++] = (struct ws_file){ { name, strlen(name) }, bytes };
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

static enum status read_all(struct reader *r, int fd, const char *path, size_t size)
{
    size_t n = 0;
    ssize_t got = 1;
    char *bytes = arena_bytes(r->arena, size);
    if (!bytes)
        return err_set(&r->err, ERR_LIMIT, "openspec/ is too large");
    while (n < size && (got = read(fd, bytes + n, size - n)) > 0)
        n += (size_t)got;
    if (got < 0)
        return broken(r, path);
    if (!always(path) && (memchr(bytes, '\0', n) || !utf8_valid((struct str){ bytes, n }, NULL))) {
        r->left_out++;
        return OK;
    }
    return add(r, path, (struct str){ bytes, n });
}

static enum status read_file(struct reader *r, int dir, const char *name, const char *path)
{
    struct stat st;
    if (!always(path) && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_size > OTHER_FILE_MAX) { /* whether it may be read or not */
        r->left_out++;
        return OK;
    }
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? OK : broken(r, path); /* gone since it was listed */
    enum status result = OK;
    if (fstat(fd, &st) != 0)
        result = broken(r, path);
    else if (st.st_size > PAWL_WORKSPACE_MAX)
        result = err_set(&r->err, ERR_LIMIT, "openspec/%.200s: larger than %d MiB", path,
                         PAWL_WORKSPACE_MAX >> 20);
    else
        result = read_all(r, fd, path, (size_t)st.st_size);
    close(fd);
    return result;
}

static enum status put_folder(struct reader *r, const char *path, int depth)
{
    struct walk *w = r->walk;
    if (depth > DEPTH)
        return err_set(&r->err, ERR_LIMIT, "openspec/%.200s: nested more than %d deep", path,
                       DEPTH);
    struct folder *f = arena_alloc(r->arena, sizeof *f + strlen(path) + 1);
    if (!f)
        return no_memory(r);
    memcpy(f->path, path, strlen(path) + 1);
    f->depth = depth;
    pthread_mutex_lock(&w->lock);
    f->next = w->todo;
    w->todo = f;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return OK;
}

/* DT_REG, DT_DIR, another one; DT_UNKNOWN: it has gone. Some file systems do not tell by the way. */
static int type_of(int dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type;
    return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (int)IFTODT(st.st_mode)
                                                                  : DT_UNKNOWN;
}

static enum status entry(struct reader *r, int dir, const struct dirent *e, const char *path,
                         int depth)
{
    int type = type_of(dir, e);
    bool archived = strncmp(path, "changes/archive/", 16) == 0;
    if (type == DT_REG && !archived)
        return read_file(r, dir, e->d_name, path);
    if (type == DT_DIR && !archived)
        return put_folder(r, path, depth + 1);
    if (type == DT_DIR) { /* its name is enough */
        char marker[PATH_MAX + 16];
        snprintf(marker, sizeof marker, "%.4000s/.archived", path);
        return add(r, marker, (struct str){ 0 });
    }
    r->left_out += type != DT_UNKNOWN && !archived;
    return OK;
}

/* A link is not followed, even one that has taken the place of a folder meanwhile. Kernels before 5.6
 * look at the last part of the path only. */
static int open_folder(int root, const char *path)
{
    const struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    const char *below = *path ? path : ".";
    long fd = syscall(SYS_openat2, root, below, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) /* a sandbox may not know it either */
        fd = openat(root, below, (int)how.flags);
    return (int)fd;
}

static enum status read_folder(struct reader *r, const struct folder *f)
{
    int fd = open_folder(r->walk->root, f->path);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    enum status st = OK;
    if (!d) {
        st = broken(r, f->path);
        if (fd >= 0)
            close(fd);
        return st;
    }
    while (st == OK && (e = readdir(d))) {
        char below[PATH_MAX];
        bool hidden = e->d_name[0] == '.' && strcmp(e->d_name, ".openspec.yaml") != 0;
        int n = snprintf(below, sizeof below, "%s%s%s", f->path, *f->path ? "/" : "", e->d_name);
        if (!hidden && n > 0 && (size_t)n < sizeof below)
            st = entry(r, dirfd(d), e, below, f->depth);
    }
    closedir(d);
    return st;
}

/* The next folder, once there is one; NULL: all have been read, or it is too much. */
static struct folder *take_folder(struct walk *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->todo && w->busy > 0 && !w->full)
        pthread_cond_wait(&w->changed, &w->lock);
    struct folder *f = w->full ? NULL : w->todo;
    if (f) {
        w->todo = f->next;
        w->busy++;
    }
    pthread_mutex_unlock(&w->lock);
    return f;
}

static void folder_read(struct walk *w, bool full)
{
    pthread_mutex_lock(&w->lock);
    w->busy--;
    w->full = w->full || full;
    if (w->full || (w->busy == 0 && !w->todo))
        pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void *read_folders(void *ctx)
{
    struct reader *r = ctx;
    struct folder *f;
    while ((f = take_folder(r->walk))) {
        bool bad = read_folder(r, f) != OK;
        if (r->full || (bad && (!r->bad || strcmp(f->path, r->bad->path) < 0))) {
            r->bad = f;
            r->why = r->err;
        }
        folder_read(r->walk, r->full);
    }
    return NULL;
}

static void run_readers(struct reader *readers)
{
    pthread_t threads[REPO_READERS];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = 1;
    while (n < REPO_READERS && (long)n < cores &&
           pthread_create(&threads[n], NULL, read_folders, &readers[n]) == 0)
        n++;
    read_folders(&readers[0]);
    while (n > 1)
        pthread_join(threads[--n], NULL);
}

/* The reader whose error is told; NULL: none has one. */
static const struct reader *worst(const struct reader *readers)
{
    const struct reader *found = NULL;
    for (const struct reader *r = readers; r < readers + REPO_READERS; r++) {
        if (r->full)
            return r;
        if (r->bad && (!found || strcmp(r->bad->path, found->bad->path) < 0))
            found = r;
    }
    return found;
}

/* One workspace of what all have read. */
static enum status join(struct repo *t, const struct reader *readers, struct err *err)
{
    size_t n = 0;
    const struct reader *failed = worst(readers);
    if (failed) {
        *err = failed->why;
        return err->status;
    }
    for (size_t i = 0; i < REPO_READERS; i++) {
        n += readers[i].n;
        t->left_out += readers[i].left_out;
    }
    struct ws_file *files = arena_alloc(&t->arena, (n + 1) * sizeof *files);
    if (!files)
        return err_set(err, ERR_NOMEM, "out of memory");
    n = 0;
    for (size_t i = 0; i < REPO_READERS; i++) {
        for (size_t k = 0; k < readers[i].n; k++)
            files[n++] = readers[i].files[k];
    }
    return ws_make(&t->arena, files, n, &t->ws, err);
}

enum status repo_walk(struct repo *t, int root, struct err *err)
{
    struct walk w = { .root = root,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER };
    struct reader readers[REPO_READERS] = { 0 };
    for (size_t i = 0; i < REPO_READERS; i++)
        readers[i] = (struct reader){ .walk = &w, .arena = &t->texts[i] };
    if (put_folder(&readers[0], "", 0) != OK) {
        *err = readers[0].err;
        return err->status;
    }
    run_readers(readers);
    return join(t, readers, err);
}
