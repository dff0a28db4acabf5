/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/nested.h"

#include "common/openspec/config.h"
#include "common/openspec/text.h"
#include "common/openspec/workflow.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 3 };

struct search {
    struct pool *p;
    const struct ws *ws;
    struct workflow workflow;
    struct str_list found;
};

static bool has_visible_file(const struct ws *ws, struct str dir)
{
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, dir, &n);
    for (size_t i = 0; i < n; i++) {
        struct str path = text_from(f[i].path, dir.n);
        bool hidden = path.p[0] == '.';
        for (size_t k = 1; k < path.n && !hidden; k++)
            hidden = path.p[k] == '.' && path.p[k - 1] == '/';
        if (!hidden)
            return true;
    }
    return false;
}

/* A root file, something in specs/, or an output of the workflow. `dir` ends with '/'. */
static bool looks_like_change(struct search *s, struct str dir)
{
    static const char *const marks[] = { ".openspec.yaml", "proposal.md", "tasks.md", "design.md" };
    for (size_t i = 0; i < COUNT(marks); i++) {
        if (ws_find(s->ws, pool_cat(s->p, dir, str_of(marks[i]))))
            return true;
    }
    if (has_visible_file(s->ws, pool_cat(s->p, dir, LIT("specs/"))))
        return true;
    for (size_t i = 0; s->workflow.loads && i < s->workflow.generates.n; i++) {
        if (workflow_outputs(s->p, s->ws, dir, s->workflow.generates.at[i]).n > 0)
            return true;
    }
    return false;
}

static bool has_own_file(const struct ws *ws, struct str dir)
{
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, dir, &n);
    for (size_t i = 0; i < n; i++) {
        struct str path = text_from(f[i].path, dir.n);
        if (path.p[0] != '.' && !memchr(path.p, '/', path.n))
            return true;
    }
    return false;
}

/* Folders right below dir, in path order, dot names aside. */
static struct str_list folders(struct pool *p, const struct ws *ws, struct str dir)
{
    struct str_list out = { 0 };
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, dir, &n);
    for (size_t i = 0; i < n && !p->failed; i++) {
        struct str path = text_from(f[i].path, dir.n);
        const char *slash = memchr(path.p, '/', path.n);
        struct str name = { path.p, slash ? (size_t)(slash - path.p) : 0 };
        if (slash && path.p[0] != '.' && !(out.n > 0 && str_eq(out.at[out.n - 1], name)))
            pool_push(p, &out, name);
    }
    return out;
}

static void collect(struct search *s, struct str dir, int depth)
{
    if (depth > DEPTH_MAX)
        return;
    struct str_list names = folders(s->p, s->ws, dir);
    for (size_t i = 0; i < names.n && !s->p->failed; i++) {
        struct str child = pool_cat(s->p, dir, names.at[i], LIT("/"));
        if (!looks_like_change(s, child)) {
            collect(s, child, depth + 1);
            continue;
        }
        struct str id = text_from(child, sizeof "changes/" - 1);
        id.n--;
        pool_push(s->p, &s->found, id);
    }
}

static int u16_cmp(const void *a, const void *b)
{
    return text_u16_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct str_list nested_changes(struct pool *p, const struct ws *ws, struct str name)
{
    struct search s = { .p = p, .ws = ws };
    struct spec_config config;
    struct str dir = pool_cat(p, LIT("changes/"), name, LIT("/"));
    if (has_own_file(ws, dir))
        return s.found;
    if (config_read(p->a, ws, &config, NULL) != OK) {
        p->failed = true;
        return s.found;
    }
    s.workflow = workflow_find(p, ws, config.schema, false);
    if (looks_like_change(&s, dir))
        return s.found;
    collect(&s, dir, 1);
    if (s.found.n > 1)
        qsort(s.found.at, s.found.n, sizeof *s.found.at, u16_cmp);
    return s.found;
}

struct str nested_message(struct pool *p, struct str name, const struct str_list *nested)
{
    struct buf list;
    buf_init(&list, SIZE_MAX / 2);
    for (size_t i = 0; i < nested->n; i++) {
        buf_str(&list, i ? ", openspec/changes/" : "openspec/changes/");
        buf_view(&list, nested->at[i]);
        buf_char(&list, '/');
    }
    struct str flat = pool_copy(p, nested->at[0]);
    for (size_t i = 0; i < flat.n; i++) {
        if (flat.p[i] == '/')
            ((char *)flat.p)[i] = '-';
    }
    return pool_cat(p, LIT("\""), name, LIT("\" is not a change: it is a folder wrapping "),
                    pool_take(p, &list),
                    LIT(". A change must be a directory directly under openspec/changes/, so those "
                        "nested directories are invisible to OpenSpec while the folder around them "
                        "is reported as a change. Nested paths are supported under openspec/specs/ "
                        "only. Rename each nested change to a flat name (for example \""),
                    flat, LIT("\")."));
}
