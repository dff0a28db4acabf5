/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/draft.h"

#include "common/openspec/config.h"
#include "common/openspec/draft_in.h"
#include "common/openspec/draft_render.h"
#include "common/openspec/names.h"
#include "common/openspec/workflow.h"

#include <stdlib.h>
#include <string.h>

enum { DATE_CHARS = sizeof "2000-01-01" - 1 };

static enum status bad(struct render *r, const char *what, struct str about)
{
    return err_set(r->err, ERR_DATA, "draft: %s \"%.*s\"", what, STR_ARG(about));
}

static bool op_of(const char *name, enum touch_op *op)
{
    for (int i = TOUCH_ADDED; i <= TOUCH_RENAMED; i++) {
        *op = (enum touch_op)i;
        if (strcmp(name, touch_op_name(*op)) == 0)
            return true;
    }
    return false;
}

static bool capability_ok(struct str id)
{
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] == '.' && (i == 0 || id.p[i - 1] == '/'))
            return false;
    }
    return ws_path_ok(id) && id.n < 1024;
}

static enum status item_of(struct render *r, const json_t *def, struct draft_item *item)
{
    struct str id = js_view(def, "capability");
    *item = (struct draft_item){ .def = def };
    if (!op_of(js_str(def, "op"), &item->op))
        return bad(r, "unknown operation", js_view(def, "op"));
    if (!capability_ok(id))
        return bad(r, "not a capability", id);
    item->capability = id;
    const struct spec *spec = target_spec(&r->targets, id);
    struct str name = js_view(def, "name"), from = js_view(def, "from");
    bool renamed = item->op == TOUCH_RENAMED;
    if (spec && item->op != TOUCH_ADDED)
        item->now = target_requirement(&r->targets, spec, renamed ? from : name);
    item->name = item->now && !renamed ? item->now->name : safe_name(r->p, name);
    if (renamed)
        item->from = item->now ? item->now->name : safe_name(r->p, from);
    if (item->name.n == 0 || (renamed && item->from.n == 0))
        return bad(r, "a requirement without a name in", id);
    return OK;
}

/* The same requirement twice in one capability would be refused. */
static enum status check_unique(struct render *r, struct draft_item *item, struct map *seen)
{
    struct str names[] = { item->name, item->from };
    for (size_t i = 0; i < COUNT(names); i++) {
        struct str fold = name_fold(r->p, names[i]);
        if (names[i].n == 0 || (i == 1 && str_eq(fold, name_fold(r->p, item->name))))
            continue;
        struct str key = pool_cat(r->p, item->capability, LIT("\n"), fold);
        if (map_get(seen, key))
            return bad(r, "the same requirement twice:", names[i]);
        map_set(r->p, seen, key, item);
    }
    return r->p->failed ? ERR_LIMIT : OK;
}

static enum status take_items(struct render *r)
{
    const json_t *list = js_list(r->draft, "requirements");
    struct map seen = { 0 }, groups = { 0 };
    r->items = pool_alloc(r->p, (js_count(list) + 1) * sizeof *r->items);
    for (size_t i = 0; r->items && i < js_count(list); i++) {
        struct draft_item *item = &r->items[r->items_n++];
        enum status st = item_of(r, js_at(list, i), item);
        if (st == OK)
            st = check_unique(r, item, &seen);
        if (st != OK)
            return st;
        if (!map_get(&groups, item->capability)) {
            map_set(r->p, &groups, item->capability, item);
            pool_push(r->p, &r->capabilities, item->capability);
        }
    }
    return pool_status(r->p);
}

void render_file(struct render *r, struct str path, struct str text)
{
    pool_push(r->p, &r->files, (struct ws_file){ path, text });
}

static int by_path(const void *a, const void *b)
{
    struct str x = ((const struct ws_file *)a)->path, y = ((const struct ws_file *)b)->path;
    size_t n = x.n < y.n ? x.n : y.n;
    int c = n ? memcmp(x.p, y.p, n) : 0;
    return c ? c : x.n < y.n ? -1 : x.n > y.n;
}

static json_t *document(struct render *r, struct str name, json_t *base)
{
    json_t *doc = json_object(), *files = json_array();
    if (r->files.n > 1)
        qsort(r->files.at, r->files.n, sizeof *r->files.at, by_path);
    for (size_t i = 0; i < r->files.n; i++) {
        json_t *file = json_object();
        js_set_str(file, "path", r->files.at[i].path);
        js_set_str(file, "text", r->files.at[i].bytes);
        js_push(files, file);
    }
    js_set_str(doc, "name", name);
    js_set(doc, "files", files);
    js_set(doc, "base", base);
    return doc;
}

/* {capability: {name: text}} below `pawl`. */
static void put_map(struct render *r, struct buf *out, const char *key, json_t *map)
{
    const char *id, *name;
    json_t *names, *text;
    if (json_object_size(map) > 0)
        buf_printf(out, "  %s:\n", key);
    json_object_foreach(map, id, names) {
        buf_str(out, "    ");
        buf_view(out, yaml_quoted(r->p, str_of(id)));
        buf_str(out, ":\n");
        json_object_foreach(names, name, text) {
            buf_str(out, "      ");
            buf_view(out, yaml_quoted(r->p, str_of(name)));
            buf_str(out, ": ");
            buf_view(out, yaml_quoted(r->p, str_of(json_string_value(text))));
            buf_char(out, '\n');
        }
    }
}

/* .openspec.yaml: the project's workflow, the date, and what the change was written against, under a
 * key of our own: fingerprints, and the texts of what it modifies. */
static struct str metadata(struct render *r, struct str created, json_t *base, json_t *texts)
{
    struct spec_config config;
    struct buf out;
    if (config_read(r->p->a, r->targets.ws, &config, NULL) != OK) {
        r->p->failed = true;
        return (struct str){ 0 };
    }
    if (!workflow_find(r->p, r->targets.ws, config.schema, true).loads)
        config.schema = LIT("spec-driven");
    buf_init(&out, 1 << 24);
    buf_str(&out, "schema: ");
    buf_view(&out, str_is(config.schema, "spec-driven") ? config.schema
                                                        : yaml_quoted(r->p, config.schema));
    buf_char(&out, '\n');
    if (created.n == DATE_CHARS)
        buf_printf(&out, "created: %.*s\n", STR_ARG(created));
    if (json_object_size(base) > 0)
        buf_str(&out, "pawl:\n");
    put_map(r, &out, "base", base);
    put_map(r, &out, "text", texts);
    return pool_take(r->p, &out);
}

enum status draft_render(struct arena *a, const struct ws *base, const json_t *draft,
                         struct str created, json_t **out, struct err *err)
{
    struct pool p = pool_of(a);
    struct render r = { .p = &p, .draft = draft, .err = err };
    struct str name = js_view(draft, "change_name");
    r.targets = (struct targets){ .p = &p, .ws = base };
    *out = NULL;
    if (!name_is_change(name))
        return bad(&r, "not a change name:", name);
    enum status st = take_items(&r);
    if (st != OK)
        return st == ERR_LIMIT ? err_set(err, st, "draft: too large to render") : st;
    for (size_t i = 0; i < r.capabilities.n && !p.failed; i++)
        render_delta(&r, r.capabilities.at[i]);
    render_proposal(&r);
    render_tasks(&r);
    render_design(&r);
    json_t *prints = openspec_base(a, base, draft);
    json_t *texts = openspec_base_texts(a, base, draft);
    if (prints && texts)
        render_file(&r, LIT(".openspec.yaml"), metadata(&r, created, prints, texts));
    bool good = !p.failed && prints && texts;
    json_decref(texts);
    if (!good) {
        json_decref(prints);
        return err_set(err, ERR_LIMIT, "draft: too large to render");
    }
    *out = document(&r, name, prints);
    return OK;
}
