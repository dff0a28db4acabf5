/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/spec.h"

#include "common/openspec/block.h"
#include "common/openspec/body.h"
#include "common/openspec/tree.h"

static struct spec_requirement requirement_of(struct pool *p, const struct block *b)
{
    struct spec_requirement r = { .name = b->name, .raw = b->raw, .line = b->line };
    struct lines body = body_lines(p, b->raw);
    struct body_scenario_list list = body_scenarios(p, b->raw);
    r.text = body_text(p, &body, 0);
    r.scenarios = pool_alloc(p, (list.n + 1) * sizeof *r.scenarios);
    for (size_t i = 0; r.scenarios && i < list.n; i++)
        r.scenarios[i] = (struct spec_scenario){ list.at[i].name, list.at[i].text,
                                                 r.line + list.at[i].line };
    r.scenarios_n = r.scenarios ? list.n : 0;
    return r;
}

enum status spec_read(struct arena *a, struct str id, struct str bytes, struct spec *out)
{
    struct pool p = pool_of(a);
    struct str text = text_decode(&p, bytes);
    struct slices parts = slices_read(&p, text);
    *out = (struct spec){ .id = id, .purpose = tree_spec(&p, text).purpose };
    out->requirements = pool_alloc(&p, (parts.blocks.n + 1) * sizeof *out->requirements);
    for (size_t i = 0; i < parts.blocks.n && !p.failed; i++)
        out->requirements[out->n++] = requirement_of(&p, &parts.blocks.at[i]);
    return pool_status(&p);
}

enum status spec_of(struct arena *a, const struct ws *ws, struct str id, struct spec *out)
{
    struct str path = ws_spec_path(a, id);
    const struct ws_file *f = ws_find(ws, path);
    *out = (struct spec){ .id = id };
    if (path.n == 0)
        return ERR_LIMIT;
    return f ? spec_read(a, id, f->bytes, out) : ERR_NOT_FOUND;
}

const struct spec_requirement *spec_find(const struct spec *spec, struct str name)
{
    for (size_t i = 0; i < spec->n; i++) {
        if (str_eq(spec->requirements[i].name, name))
            return &spec->requirements[i];
    }
    return NULL;
}

const char *touch_op_name(enum touch_op op)
{
    static const char *const names[] = { "added", "modified", "removed", "renamed" };
    return names[op];
}

static void touch_delta(struct pool *p, const struct delta *d, struct touch base,
                        struct touches *out)
{
    struct touch t = base;
    for (size_t i = 0; i < d->added.n; i++) {
        t.op = TOUCH_ADDED;
        t.requirement = d->added.at[i].name;
        t.line = d->added.at[i].line;
        pool_push(p, out, t);
    }
    for (size_t i = 0; i < d->modified.n; i++) {
        t.op = TOUCH_MODIFIED;
        t.requirement = d->modified.at[i].name;
        t.line = d->modified.at[i].line;
        pool_push(p, out, t);
    }
    for (size_t i = 0; i < d->removed.n; i++) {
        t.op = TOUCH_REMOVED;
        t.requirement = d->removed.at[i].name;
        t.line = d->removed.at[i].line;
        pool_push(p, out, t);
    }
    for (size_t i = 0; i < d->renamed.n; i++) {
        t.op = TOUCH_RENAMED;
        t.requirement = d->renamed.at[i].to;
        t.from = d->renamed.at[i].from;
        t.line = d->renamed.at[i].line;
        pool_push(p, out, t);
    }
}

enum status change_touches(struct arena *a, const struct ws *ws, struct str change,
                           struct touches *out)
{
    struct pool p = pool_of(a);
    struct str_list ids;
    struct str root = pool_cat(&p, LIT("changes/"), change, LIT("/specs/"));
    enum status st = ws_spec_ids(a, ws, root, &ids);
    if (st != OK)
        return st;
    for (size_t i = 0; i < ids.n && !p.failed; i++) {
        const struct ws_file *f = ws_find(ws, ws_delta_path(a, change, ids.at[i]));
        struct delta d = { 0 };
        if (f)
            d = delta_read(&p, text_decode(&p, f->bytes));
        touch_delta(&p, &d, (struct touch){ .change = change, .capability = ids.at[i] }, out);
    }
    return pool_status(&p);
}
