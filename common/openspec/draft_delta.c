/* SPDX-License-Identifier: Apache-2.0 */
/* specs/<capability>/spec.md of a draft. */
#include "common/openspec/body.h"
#include "common/openspec/draft_render.h"

#include <string.h>

enum { DELTA_TEXT_MAX = 1 << 24 };

/* The body of the current requirement up to its first scenario, as it stands there. */
static struct str current_text(struct pool *p, const struct spec_requirement *now)
{
    struct lines l = lines_of(p, now->raw);
    size_t end = 1;
    while (end < l.n && (l.fenced[end] || line_level(l.at[end]) == 0))
        end++;
    return closed_block(p, text_trim(lines_run(&l, 1, end)));
}

static void put_text(struct render *r, const struct draft_item *item, struct buf *out)
{
    struct str text = js_view(item->def, "text");
    bool same = item->now && (text.n == 0 || str_eq(text, item->now->text));
    struct str body = same ? current_text(r->p, item->now) : safe_block(r->p, text);
    if (body.n > 0) {
        buf_view(out, body);
        buf_char(out, '\n');
    }
}

static bool put_steps(struct render *r, const json_t *scenario, struct buf *out)
{
    static const struct {
        const char *key, *word;
    } kinds[] = { { "given", "GIVEN" }, { "when", "WHEN" }, { "then", "THEN" } };
    bool any = false;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        const json_t *list = js_list(scenario, kinds[k].key);
        bool first = true;
        for (size_t i = 0; i < js_count(list); i++) {
            const json_t *v = js_at(list, i);
            struct str s = { json_string_value(v), json_string_length(v) };
            struct str step = safe_step(r->p, s);
            if (step.n == 0)
                continue;
            buf_printf(out, "- **%s** ", first ? kinds[k].word : "AND");
            buf_view(out, step);
            buf_char(out, '\n');
            first = false;
            any = true;
        }
    }
    return any;
}

/* The scenario of the current requirement that the draft keeps, the k-th of its name. */
static const struct spec_scenario *kept(const struct draft_item *item, struct str name, size_t k)
{
    for (size_t i = 0; item->now && i < item->now->scenarios_n; i++) {
        const struct spec_scenario *s = &item->now->scenarios[i];
        if (str_eq(s->name, name) && k-- == 0)
            return s;
    }
    return NULL;
}

static size_t earlier(const json_t *list, size_t i, struct str name)
{
    size_t n = 0;
    for (size_t k = 0; k < i; k++)
        n += str_eq(js_view(js_at(list, k), "name"), name);
    return n;
}

/* A scenario whose steps are all empty is left out: it would not count. */
static void put_scenario(struct render *r, const struct draft_item *item, size_t i, struct buf *out)
{
    const json_t *list = js_list(item->def, "scenarios"), *scenario = js_at(list, i);
    struct str name = js_view(scenario, "name");
    const struct spec_scenario *now = kept(item, name, earlier(list, i, name));
    struct buf steps;
    buf_init(&steps, DELTA_TEXT_MAX);
    bool keep = now && js_bool(scenario, "keep", false);
    bool any = keep || put_steps(r, scenario, &steps);
    if (any) {
        struct str number = pool_cat(r->p, LIT("Case "), pool_num(r->p, i + 1));
        struct str title = now ? name : safe_scenario(r->p, name, number);
        buf_str(out, "\n#### Scenario: ");
        buf_view(out, title);
        buf_char(out, '\n');
        if (keep) {
            buf_view(out, closed_block(r->p, now->text));
            buf_char(out, '\n');
        } else {
            buf_view(out, buf_get(&steps));
        }
    }
    buf_fini(&steps);
}

static void put_requirement(struct render *r, const struct draft_item *item, struct buf *out)
{
    buf_str(out, "\n### Requirement: ");
    buf_view(out, item->name);
    buf_char(out, '\n');
    put_text(r, item, out);
    for (size_t i = 0; i < js_count(js_list(item->def, "scenarios")) && !r->p->failed; i++)
        put_scenario(r, item, i, out);
}

static void put_label(struct render *r, const char *label, struct str text, struct buf *out)
{
    struct str line = safe_line(r->p, text);
    if (line.n == 0)
        return;
    buf_printf(out, "**%s**: ", label);
    buf_view(out, line);
    buf_str(out, "\n\n");
}

static void put_removal(struct render *r, const struct draft_item *item, struct buf *out)
{
    buf_str(out, "\n### Requirement: ");
    buf_view(out, item->name);
    buf_char(out, '\n');
    put_label(r, "Reason", js_view(item->def, "reason"), out);
    put_label(r, "Migration", js_view(item->def, "migration"), out);
}

static void put_rename(const struct draft_item *item, struct buf *out)
{
    buf_str(out, "\n- FROM: `### Requirement: ");
    buf_view(out, item->from);
    buf_str(out, "`\n- TO: `### Requirement: ");
    buf_view(out, item->name);
    buf_str(out, "`\n");
}

/* A renamed requirement with a text is renamed and then modified. */
static bool belongs(const struct draft_item *item, enum touch_op section)
{
    bool rewritten = item->op == TOUCH_RENAMED &&
                     (js_view(item->def, "text").n > 0 ||
                      js_count(js_list(item->def, "scenarios")) > 0);
    return item->op == section || (rewritten && section == TOUCH_MODIFIED);
}

static void put_section(struct render *r, struct str capability, enum touch_op op, struct buf *out)
{
    static const char *const titles[] = { "ADDED", "MODIFIED", "REMOVED", "RENAMED" };
    bool any = false;
    for (size_t i = 0; i < r->items_n && !r->p->failed; i++) {
        const struct draft_item *item = &r->items[i];
        if (!str_eq(item->capability, capability) || !belongs(item, op))
            continue;
        if (!any)
            buf_printf(out, "%s## %s Requirements\n", out->len ? "\n" : "", titles[op]);
        any = true;
        if (op == TOUCH_REMOVED)
            put_removal(r, item, out);
        else if (op == TOUCH_RENAMED)
            put_rename(item, out);
        else
            put_requirement(r, item, out);
    }
}

/* What the draft says the capability is for, else why the change is made. */
static struct str purpose_of(struct render *r, struct str capability)
{
    const json_t *list = js_list(r->draft, "purposes");
    for (size_t i = 0; i < js_count(list); i++) {
        struct str text = js_view(js_at(list, i), "text");
        if (str_eq(js_view(js_at(list, i), "capability"), capability) && !text_blank(text))
            return safe_block(r->p, text);
    }
    return safe_block(r->p, js_view(r->draft, "why"));
}

void render_delta(struct render *r, struct str capability)
{
    struct buf out;
    buf_init(&out, DELTA_TEXT_MAX);
    if (!target_spec(&r->targets, capability)) {
        struct str purpose = purpose_of(r, capability);
        if (purpose.n > 0) {
            buf_str(&out, "## Purpose\n\n");
            buf_view(&out, purpose);
            buf_char(&out, '\n');
        }
    }
    for (int op = TOUCH_ADDED; op <= TOUCH_RENAMED; op++)
        put_section(r, capability, (enum touch_op)op, &out);
    struct str text = text_trim_end(pool_take(r->p, &out));
    render_file(r, pool_cat(r->p, LIT("specs/"), capability, LIT("/spec.md")),
                pool_cat(r->p, text, LIT("\n")));
}
