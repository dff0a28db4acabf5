/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/workspace.h"

#include "common/bounds.h"
#include "common/mp.h"
#include "common/openspec/text.h"

#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES_MAX = 4096, VERSION = 1 };

static int path_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

static int file_cmp(const void *a, const void *b)
{
    return path_cmp(((const struct ws_file *)a)->path, ((const struct ws_file *)b)->path);
}

bool ws_path_ok(struct str path)
{
    if (path.n == 0 || path.n > PATH_BYTES_MAX || !utf8_valid(path, NULL))
        return false;
    size_t from = 0;
    for (size_t i = 0; i <= path.n; i++) {
        if (i < path.n && path.p[i] != '/') {
            unsigned char c = (unsigned char)path.p[i];
            if (c < 0x20 || c == 0x7f || c == '\\')
                return false;
            continue;
        }
        struct str part = { path.p + from, i - from };
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            return false;
        from = i + 1;
    }
    return true;
}

/* A file `a` and a file below the folder `a`: the second does not directly follow the first ("a",
 * "a-b", "a/c"), so each path looks for its folders among the files. */
static bool folder_is_file(const struct ws *ws, struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '/' && ws_find(ws, (struct str){ path.p, i }))
            return true;
    }
    return false;
}

/* Sorted files against the rules of the header. */
static enum status check(const struct ws *ws, struct err *err)
{
    for (size_t i = 0; i < ws->n; i++) {
        struct str path = ws->files[i].path;
        if (!ws_path_ok(path))
            return err_set(err, ERR_DATA, "workspace: bad path \"%.*s\"", STR_ARG(path));
        if (i > 0 && str_eq(path, ws->files[i - 1].path))
            return err_set(err, ERR_DATA, "workspace: \"%.*s\" is there twice", STR_ARG(path));
        if (folder_is_file(ws, path))
            return err_set(err, ERR_DATA, "workspace: a folder of \"%.*s\" is a file too",
                           STR_ARG(path));
    }
    return OK;
}

static enum status bound(const struct ws *ws, struct err *err)
{
    if (ws->bytes <= PAWL_WORKSPACE_MAX && ws->n <= PAWL_WORKSPACE_FILES)
        return OK;
    err_set(err, ERR_LIMIT, "workspace: %zu files of %zu bytes; at most %d files of %d bytes", ws->n,
            ws->bytes, PAWL_WORKSPACE_FILES, PAWL_WORKSPACE_MAX);
    err_fix(err, "remove files that are no specification from openspec/");
    return ERR_LIMIT;
}

enum status ws_make(struct arena *a, const struct ws_file *files, size_t n, struct ws *out,
                    struct err *err)
{
    *out = (struct ws){ .n = n };
    for (size_t i = 0; i < n && out->bytes <= PAWL_WORKSPACE_MAX; i++)
        out->bytes += files[i].bytes.n;
    enum status st = bound(out, err);
    if (st != OK)
        return st;
    out->files = arena_alloc(a, (n + 1) * sizeof *out->files);
    if (!out->files)
        return err_set(err, ERR_LIMIT, "workspace: no memory for %zu files", n);
    if (n > 0) {
        memcpy(out->files, files, n * sizeof *files);
        qsort(out->files, n, sizeof *files, file_cmp);
    }
    return check(out, err);
}

enum status ws_encode(const struct ws *ws, struct buf *out)
{
    mp_map(out, 2);
    mp_z(out, "v");
    mp_int(out, VERSION);
    mp_z(out, "files");
    mp_array(out, ws->n);
    for (size_t i = 0; i < ws->n; i++) {
        mp_array(out, 2);
        mp_str(out, ws->files[i].path);
        mp_bin(out, ws->files[i].bytes);
    }
    return out->status;
}

static bool want_key(struct mp *r, const char *key)
{
    struct mp_value v;
    return mp_want(r, MP_STR, &v) == OK && str_is(v.str, key);
}

static bool read_file(struct mp *r, struct ws_file *f)
{
    struct mp_value pair, path, bytes;
    if (mp_want(r, MP_ARRAY, &pair) != OK || pair.n != 2 || mp_want(r, MP_STR, &path) != OK ||
        mp_want(r, MP_BIN, &bytes) != OK)
        return false;
    *f = (struct ws_file){ path.str, bytes.str };
    return true;
}

/* Does it encode to what it came from? Compared in pieces, so that nothing is held twice. */
static enum status same_bytes(const struct ws *ws, struct str bytes, struct err *err)
{
    struct buf again;
    buf_init(&again, bytes.n);
    bool same = ws_encode(ws, &again) == OK && str_eq(buf_get(&again), bytes);
    buf_fini(&again);
    return same ? OK : err_set(err, ERR_DATA, "workspace: not in its one encoding");
}

enum status ws_decode(struct arena *a, struct str bytes, struct ws *out, struct err *err)
{
    struct mp r;
    struct mp_value map, list, version;
    *out = (struct ws){ 0 };
    mp_init(&r, bytes);
    if (mp_want(&r, MP_MAP, &map) != OK || map.n != 2 || !want_key(&r, "v") ||
        mp_want(&r, MP_INT, &version) != OK)
        return err_set(err, ERR_DATA, "workspace: not the container of a workspace");
    if (version.i != VERSION || !want_key(&r, "files") || mp_want(&r, MP_ARRAY, &list) != OK)
        return err_set(err, ERR_DATA, "workspace: not version %d of its container", VERSION);
    out->n = list.n;
    if (bound(out, err) != OK)
        return ERR_LIMIT;
    out->files = arena_alloc(a, (out->n + 1) * sizeof *out->files);
    if (!out->files)
        return err_set(err, ERR_LIMIT, "workspace: no memory for %zu files", out->n);
    for (size_t i = 0; i < out->n; i++) {
        struct ws_file *f = &out->files[i];
        if (!read_file(&r, f))
            return err_set(err, ERR_DATA, "workspace: file %zu is not [path, bytes]", i);
        if (i > 0 && path_cmp(f[-1].path, f->path) >= 0)
            return err_set(err, ERR_DATA, "workspace: \"%.*s\" is out of order", STR_ARG(f->path));
        out->bytes += f->bytes.n;
    }
    if (!mp_end(&r))
        return err_set(err, ERR_DATA, "workspace: bytes behind the last file");
    if (bound(out, err) != OK)
        return ERR_LIMIT;
    enum status st = check(out, err);
    return st == OK ? same_bytes(out, bytes, err) : st;
}

/* Index of the first file whose path is not before `path`. */
static size_t lower(const struct ws *ws, struct str path)
{
    size_t low = 0, high = ws->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (path_cmp(ws->files[mid].path, path) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct ws_file *ws_find(const struct ws *ws, struct str path)
{
    size_t i = lower(ws, path);
    return i < ws->n && str_eq(ws->files[i].path, path) ? &ws->files[i] : NULL;
}

const struct ws_file *ws_under(const struct ws *ws, struct str dir, size_t *n)
{
    size_t from = lower(ws, dir), to = from;
    while (to < ws->n && text_starts_str(ws->files[to].path, dir))
        to++;
    *n = to - from;
    return *n ? &ws->files[from] : NULL;
}

static struct str change_dir(struct pool *p, struct str name)
{
    return pool_cat(p, LIT("changes/"), name, LIT("/"));
}

enum status ws_with_change(struct arena *a, const struct ws *base, const json_t *change,
                           struct ws *out, struct err *err)
{
    struct pool p = pool_of(a);
    struct str name = js_view(change, "name");
    const json_t *files = js_list(change, "files");
    if (memchr(name.p ? name.p : "/", '/', name.n ? name.n : 1))
        return err_set(err, ERR_DATA, "change: bad name \"%.*s\"", STR_ARG(name));
    struct str dir = change_dir(&p, name);
    size_t old_n = 0, n = 0, total = base->n + js_count(files);
    const struct ws_file *old = ws_under(base, dir, &old_n);
    struct ws_file *all = pool_alloc(&p, (total + 1) * sizeof *all);
    for (size_t i = 0; all && i < base->n; i++) {
        if (!old || &base->files[i] < old || &base->files[i] >= old + old_n)
            all[n++] = base->files[i];
    }
    for (size_t i = 0; all && i < js_count(files); i++) {
        struct str path = pool_cat(&p, dir, js_view(js_at(files, i), "path"));
        all[n++] = (struct ws_file){ path, js_view(js_at(files, i), "text") };
    }
    if (p.failed)
        return err_set(err, ERR_LIMIT, "change: no memory for %zu files", total);
    return ws_make(a, all, n, out, err);
}

json_t *ws_change_doc(const struct ws *ws, struct str name)
{
    struct buf dir;
    size_t n = 0;
    buf_init(&dir, PATH_BYTES_MAX);
    buf_printf(&dir, "changes/");
    buf_view(&dir, name);
    buf_char(&dir, '/');
    const struct ws_file *f = dir.status == OK ? ws_under(ws, buf_get(&dir), &n) : NULL;
    json_t *doc = n ? json_object() : NULL, *files = n ? json_array() : NULL;
    for (size_t i = 0; i < n; i++) {
        json_t *file = json_object();
        js_set_str(file, "path", text_from(f[i].path, dir.len));
        js_set_str(file, "text", f[i].bytes);
        js_push(files, file);
    }
    if (doc) {
        js_set_str(doc, "name", name);
        js_set(doc, "files", files);
    }
    buf_fini(&dir);
    return doc;
}

static int u16_cmp(const void *a, const void *b)
{
    return text_u16_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Has a part that begins with a dot? */
static bool hidden(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '.' && (i == 0 || path.p[i - 1] == '/'))
            return true;
    }
    return false;
}

enum status ws_spec_ids(struct arena *a, const struct ws *ws, struct str root, struct str_list *out)
{
    struct pool p = pool_of(a);
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, root, &n);
    *out = (struct str_list){ 0 };
    for (size_t i = 0; i < n && !p.failed; i++) {
        struct str path = text_from(f[i].path, root.n);
        if (!text_ends_str(path, LIT("/spec.md")) || hidden(path))
            continue;
        path.n -= sizeof "/spec.md" - 1;
        pool_push(&p, out, path);
    }
    if (out->n > 1)
        qsort(out->at, out->n, sizeof *out->at, u16_cmp);
    return pool_status(&p);
}

enum status ws_changes(struct arena *a, const struct ws *ws, struct str_list *out)
{
    struct pool p = pool_of(a);
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, LIT("changes/"), &n);
    *out = (struct str_list){ 0 };
    for (size_t i = 0; i < n && !p.failed; i++) {
        struct str path = text_from(f[i].path, sizeof "changes/" - 1);
        const char *slash = memchr(path.p, '/', path.n);
        if (!slash || path.p[0] == '.')
            continue;
        struct str name = { path.p, (size_t)(slash - path.p) };
        if (str_is(name, "archive") || (out->n > 0 && str_eq(out->at[out->n - 1], name)))
            continue;
        pool_push(&p, out, name);
    }
    if (out->n > 1)
        qsort(out->at, out->n, sizeof *out->at, u16_cmp);
    return pool_status(&p);
}

bool ws_has_change(const struct ws *ws, struct str name)
{
    size_t n = 0;
    struct buf dir;
    if (name.n == 0 || name.p[0] == '.' || memchr(name.p, '/', name.n) || str_is(name, "archive"))
        return false;
    buf_init(&dir, PATH_BYTES_MAX);
    buf_str(&dir, "changes/");
    buf_view(&dir, name);
    if (buf_char(&dir, '/') == OK)
        ws_under(ws, buf_get(&dir), &n);
    buf_fini(&dir);
    return n > 0;
}

struct str ws_spec_path(struct arena *a, struct str id)
{
    struct pool p = pool_of(a);
    return pool_cat(&p, LIT("specs/"), id, LIT("/spec.md"));
}

struct str ws_delta_path(struct arena *a, struct str change, struct str id)
{
    struct pool p = pool_of(a);
    return pool_cat(&p, change_dir(&p, change), LIT("specs/"), id, LIT("/spec.md"));
}
