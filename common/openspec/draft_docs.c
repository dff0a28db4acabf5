/* SPDX-License-Identifier: Apache-2.0 */
/* proposal.md, tasks.md and design.md of a draft. */
#include "common/openspec/draft_render.h"

enum { DOC_TEXT_MAX = 1 << 24 };

static struct str member(const json_t *list, size_t i)
{
    const json_t *v = js_at(list, i);
    return (struct str){ json_string_value(v), json_string_length(v) };
}

static void put_items(struct render *r, const json_t *list, struct buf *out)
{
    for (size_t i = 0; i < js_count(list); i++) {
        struct str item = safe_item(r->p, member(list, i));
        if (item.n == 0)
            continue;
        buf_str(out, "- ");
        buf_view(out, item);
        buf_char(out, '\n');
    }
}

/* `id`: without backticks inside. */
static void put_code(struct render *r, struct str text, struct buf *out)
{
    struct str s = safe_line(r->p, text);
    buf_char(out, '`');
    for (size_t i = 0; i < s.n; i++)
        buf_char(out, s.p[i] == '`' ? '\'' : s.p[i]);
    buf_char(out, '`');
}

static void put_capabilities(struct render *r, bool fresh, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < r->capabilities.n && !r->p->failed; i++) {
        struct str id = r->capabilities.at[i];
        bool first = true;
        if (!target_spec(&r->targets, id) != fresh)
            continue;
        if (!any)
            buf_str(out, fresh ? "\n### New Capabilities\n\n" : "\n### Modified Capabilities\n\n");
        any = true;
        buf_str(out, "- ");
        put_code(r, id, out);
        buf_str(out, ": ");
        for (size_t k = 0; k < r->items_n; k++) {
            if (!str_eq(r->items[k].capability, id))
                continue;
            buf_str(out, first ? "" : "; ");
            buf_view(out, safe_line(r->p, r->items[k].name));
            first = false;
        }
        buf_char(out, '\n');
    }
}

/* Names of the requirements that rest on a source. */
static void put_citers(struct render *r, struct str id, struct buf *out)
{
    bool first = true;
    for (size_t i = 0; i < r->items_n; i++) {
        const json_t *sources = js_list(r->items[i].def, "sources");
        size_t k = 0;
        while (k < js_count(sources) && !str_eq(member(sources, k), id))
            k++;
        if (k == js_count(sources))
            continue;
        buf_str(out, first ? ", for: " : "; ");
        buf_view(out, safe_line(r->p, r->items[i].name));
        first = false;
    }
}

static void put_source(struct render *r, const json_t *source, struct buf *out)
{
    struct str title = safe_line(r->p, js_view(source, "title"));
    buf_str(out, "- ");
    put_code(r, js_view(source, "id"), out);
    buf_char(out, ' ');
    buf_view(out, safe_line(r->p, js_view(source, "server")));
    buf_char(out, '/');
    buf_view(out, safe_line(r->p, js_view(source, "tool")));
    if (title.n > 0) {
        buf_str(out, ": ");
        buf_view(out, title);
    }
    put_citers(r, js_view(source, "id"), out);
    buf_char(out, '\n');
}

/* Ids that requirements name and draft.sources does not describe: comments of the user. */
static void put_bare_ids(struct render *r, struct map *known, struct buf *out)
{
    for (size_t i = 0; i < r->items_n && !r->p->failed; i++) {
        const json_t *sources = js_list(r->items[i].def, "sources");
        for (size_t k = 0; k < js_count(sources); k++) {
            struct str id = member(sources, k);
            if (id.n == 0 || !map_add(r->p, known, id))
                continue;
            buf_str(out, "- ");
            put_code(r, id, out);
            put_citers(r, id, out);
            buf_char(out, '\n');
        }
    }
}

static void put_sources(struct render *r, struct buf *out)
{
    const json_t *list = js_list(r->draft, "sources");
    struct map known = { 0 };
    struct buf text;
    buf_init(&text, DOC_TEXT_MAX);
    for (size_t i = 0; i < js_count(list) && !r->p->failed; i++) {
        struct str id = js_view(js_at(list, i), "id");
        if (map_add(r->p, &known, id))
            put_source(r, js_at(list, i), &text);
    }
    put_bare_ids(r, &known, &text);
    if (text.len > 0) {
        buf_str(out, "\n## Sources\n\n");
        buf_view(out, buf_get(&text));
    }
    buf_fini(&text);
}

void render_proposal(struct render *r)
{
    struct buf out;
    struct str title = safe_name(r->p, js_view(r->draft, "title"));
    struct str why = safe_block(r->p, js_view(r->draft, "why"));
    buf_init(&out, DOC_TEXT_MAX);
    buf_str(&out, "# ");
    buf_view(&out, title.n ? title : js_view(r->draft, "change_name"));
    buf_str(&out, "\n\n## Why\n\n");
    buf_view(&out, why);
    buf_str(&out, "\n\n## What Changes\n\n");
    put_items(r, js_list(r->draft, "what"), &out);
    if (r->capabilities.n > 0) {
        buf_str(&out, "\n## Capabilities\n");
        put_capabilities(r, true, &out);
        put_capabilities(r, false, &out);
    }
    if (js_count(js_list(r->draft, "impact")) > 0) {
        buf_str(&out, "\n## Impact\n\n");
        put_items(r, js_list(r->draft, "impact"), &out);
    }
    put_sources(r, &out);
    render_file(r, LIT("proposal.md"), pool_take(r->p, &out));
}

void render_tasks(struct render *r)
{
    const json_t *sections = js_list(r->draft, "tasks");
    struct buf out;
    buf_init(&out, DOC_TEXT_MAX);
    buf_str(&out, "# Tasks\n");
    size_t group = 0;
    for (size_t i = 0; i < js_count(sections) && !r->p->failed; i++) {
        const json_t *items = js_list(js_at(sections, i), "items");
        struct str title = safe_item(r->p, js_view(js_at(sections, i), "title"));
        size_t task = 0;
        group++;
        buf_printf(&out, "\n## %zu. ", group);
        buf_view(&out, title.n ? title : LIT("Work"));
        buf_str(&out, "\n\n");
        for (size_t k = 0; k < js_count(items); k++) {
            struct str item = safe_item(r->p, member(items, k));
            if (item.n == 0)
                continue;
            buf_printf(&out, "- [ ] %zu.%zu ", group, ++task);
            buf_view(&out, item);
            buf_char(&out, '\n');
        }
    }
    render_file(r, LIT("tasks.md"), pool_take(r->p, &out));
}

static void put_paragraph(struct render *r, const char *label, struct str text, struct buf *out)
{
    struct str block = safe_block(r->p, text);
    if (block.n == 0)
        return;
    buf_printf(out, "\n**%s**\n\n", label);
    buf_view(out, block);
    buf_char(out, '\n');
}

void render_design(struct render *r)
{
    const json_t *list = js_list(r->draft, "decisions");
    struct buf out;
    if (js_count(list) == 0)
        return;
    buf_init(&out, DOC_TEXT_MAX);
    buf_str(&out, "# Design\n\n## Decisions\n");
    for (size_t i = 0; i < js_count(list) && !r->p->failed; i++) {
        struct str title = safe_name(r->p, js_view(js_at(list, i), "title"));
        buf_str(&out, "\n### ");
        buf_view(&out, title.n ? title : LIT("Decision"));
        buf_char(&out, '\n');
        put_paragraph(r, "Choice", js_view(js_at(list, i), "choice"), &out);
        put_paragraph(r, "Reason", js_view(js_at(list, i), "reason"), &out);
    }
    render_file(r, LIT("design.md"), pool_take(r->p, &out));
}
