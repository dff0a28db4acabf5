/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/edit.h"

#include "common/linediff.h"
#include "common/openspec/block.h"
#include "common/openspec/body.h"

#include <string.h>

static json_t *file_of(const json_t *change, const char *path)
{
    const json_t *files = js_list(change, "files");
    for (size_t i = 0; i < js_count(files); i++) {
        json_t *f = json_array_get(files, i);
        if (strcmp(js_str(f, "path"), path) == 0)
            return f;
    }
    return NULL;
}

static json_t *file_new(const char *path, struct str text)
{
    json_t *f = json_object();
    js_set_z(f, "path", path);
    js_set_str(f, "text", text);
    return f;
}

/* ---- does it read the same? ------------------------------------------------------------------- */

static bool same_blocks(struct pool *p, const struct blocks *a, const struct blocks *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        struct lines x = body_lines(p, a->at[i].raw), y = body_lines(p, b->at[i].raw);
        struct scenario_diff d = scenario_diff(p, a->at[i].raw, b->at[i].raw);
        if (!str_eq(a->at[i].name, b->at[i].name) || d.missing.n || d.added.n ||
            !str_eq(body_text(p, &x, 0), body_text(p, &y, 0)))
            return false;
    }
    return true;
}

static bool same_delta(struct pool *p, struct str a, struct str b)
{
    struct delta x = delta_read(p, a), y = delta_read(p, b);
    if (x.removed.n != y.removed.n || x.renamed.n != y.renamed.n || x.orphans.n > y.orphans.n ||
        x.unpaired.n > y.unpaired.n)
        return false;
    for (size_t i = 0; i < x.removed.n; i++) {
        if (!str_eq(x.removed.at[i].name, y.removed.at[i].name))
            return false;
    }
    for (size_t i = 0; i < x.renamed.n; i++) {
        if (!str_eq(x.renamed.at[i].from, y.renamed.at[i].from) ||
            !str_eq(x.renamed.at[i].to, y.renamed.at[i].to))
            return false;
    }
    return same_blocks(p, &x.added, &y.added) && same_blocks(p, &x.modified, &y.modified);
}

static bool is_delta(struct str path)
{
    return text_starts(path, "specs/") && text_ends_str(path, LIT("/spec.md"));
}

/* ---- keeping what is there ------------------------------------------------------------------- */

static enum status keep_file(struct pool *p, const json_t *was, const json_t *plain, json_t *made)
{
    struct merged m;
    struct str text = js_view(made, "text"), base = js_view(plain, "text");
    enum status st = merge_texts(base, js_view(was, "text"), text, MERGE_THEIRS, &m);
    if (st == OK && (!is_delta(js_view(made, "path")) || same_delta(p, buf_get(&m.text), text)))
        js_set_str(made, "text", buf_get(&m.text));
    merged_free(&m);
    return st == OK ? pool_status(p) : st;
}

enum status edit_keep(struct arena *a, const json_t *was, const json_t *plain, json_t *made)
{
    json_t *files = json_object_get(made, "files");
    const json_t *theirs = js_list(was, "files");
    struct pool p = pool_of(a);
    for (size_t i = 0; i < json_array_size(files); i++) {
        json_t *f = json_array_get(files, i);
        const json_t *old = file_of(was, js_str(f, "path"));
        const json_t *ours = file_of(plain, js_str(f, "path"));
        enum status st = old && ours ? keep_file(&p, old, ours, f) : OK;
        if (st != OK)
            return st;
    }
    for (size_t i = 0; i < js_count(theirs); i++) {
        const json_t *f = js_at(theirs, i);
        const char *path = js_str(f, "path");
        if (!file_of(made, path) && !file_of(plain, path))
            js_push(files, file_new(path, js_view(f, "text")));
    }
    return OK;
}

/* ---- merging what the author made of it ------------------------------------------------------ */

static void collide(struct pool *p, struct edit_merge *out, struct edit_collision c)
{
    pool_push(p, out, c);
}

/* A file that one side has deleted. */
static void one_sided(struct pool *p, struct edit_merge *out, const json_t *base, const json_t *f,
                      bool by_author)
{
    struct str path = js_view(f, "path"), text = js_view(f, "text");
    bool same = base && str_eq(js_view(base, "text"), text);
    struct edit_collision c = { path, 0, by_author ? LIT("") : text, by_author ? text : LIT("") };
    if (same)
        return; /* deleted here, untouched there: gone */
    if (base)
        collide(p, out, c);
    js_push(out->files, file_new(js_str(f, "path"), text));
}

static enum status both(struct pool *p, struct edit_merge *out, const json_t *base,
                        const json_t *ours, const json_t *theirs, bool mine)
{
    struct merged m;
    enum status st = merge_texts(js_view(base, "text"), js_view(ours, "text"),
                                 js_view(theirs, "text"), mine ? MERGE_OURS : MERGE_THEIRS, &m);
    for (size_t i = 0; st == OK && i < m.n; i++)
        collide(p, out,
                (struct edit_collision){ js_view(ours, "path"), m.at[i].line, m.at[i].ours,
                                         m.at[i].theirs });
    if (st == OK)
        js_push(out->files, file_new(js_str(ours, "path"), buf_get(&m.text)));
    merged_free(&m);
    return st;
}

enum status edit_merge(struct arena *a, const json_t *base, const json_t *ours,
                       const json_t *theirs, bool mine, struct edit_merge *out)
{
    struct pool p = pool_of(a);
    const json_t *lists[] = { js_list(theirs, "files"), js_list(ours, "files") };
    enum status st = OK;
    *out = (struct edit_merge){ .files = json_array() };
    for (size_t l = 0; l < COUNT(lists); l++) {
        for (size_t i = 0; st == OK && i < js_count(lists[l]); i++) {
            const json_t *f = js_at(lists[l], i);
            const char *path = js_str(f, "path");
            const json_t *was = file_of(base, path), *other = file_of(l ? theirs : ours, path);
            if (!other)
                one_sided(&p, out, was, f, l == 0);
            else if (l == 0)
                st = both(&p, out, was, other, f, mine);
        }
    }
    return st == OK ? pool_status(&p) : st;
}
