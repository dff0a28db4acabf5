/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/tree.h"

#include "common/openspec/body.h"

enum { LEVELS = 7 };

/* ends[i]: the line before which the content of a header on line i ends. Loose headers ("## " with
 * nothing behind it) end sections although they open none. */
static size_t *section_ends(struct pool *p, const struct lines *l)
{
    size_t *ends = pool_alloc(p, l->n * sizeof *ends);
    if (!ends)
        return NULL;
    size_t nearest[LEVELS];
    for (size_t i = 0; i < LEVELS; i++)
        nearest[i] = l->n;
    for (size_t i = l->n; i-- > 0;) {
        int level = l->fenced[i] ? 0 : line_level(l->at[i]);
        if (level == 0)
            continue;
        ends[i] = l->n;
        for (int k = 1; k <= level; k++)
            ends[i] = nearest[k] < ends[i] ? nearest[k] : ends[i];
        nearest[level] = i;
    }
    return ends;
}

struct tree tree_read(struct pool *p, struct str text)
{
    struct tree t = { 0 };
    struct lines l = lines_of(p, text_lf(p, text_no_bom(text)));
    size_t *ends = section_ends(p, &l);
    size_t stack[LEVELS] = { 0 }; /* open sections, index + 1 */
    size_t last_child[LEVELS] = { 0 };
    int depth = 0;
    for (size_t i = 0; i < l.n && !p->failed; i++) {
        struct section s = { .line = i + 1 };
        if (l.fenced[i] || !line_title(l.at[i], &s.level, &s.title))
            continue;
        while (depth > 0 && t.at[stack[depth - 1] - 1].level >= s.level)
            depth--;
        s.content = text_trim(lines_run(&l, i + 1, ends[i]));
        s.parent = depth > 0 ? stack[depth - 1] : 0;
        pool_push(p, &t, s);
        if (p->failed)
            break;
        if (depth > 0 && t.at[s.parent - 1].children == 0)
            t.at[s.parent - 1].children = t.n;
        else if (depth > 0)
            t.at[last_child[depth - 1] - 1].next = t.n;
        if (depth > 0)
            last_child[depth - 1] = t.n;
        stack[depth++] = t.n;
    }
    return t;
}

const struct section *tree_find(const struct tree *t, const char *title)
{
    for (size_t i = 0; i < t->n; i++) {
        if (text_is_ci(t->at[i].title, title))
            return &t->at[i];
    }
    return NULL;
}

static struct tree_requirement requirement_of(struct pool *p, const struct tree *t,
                                              const struct section *s)
{
    struct lines l = lines_of(p, s->content);
    struct tree_requirement r = { .line = s->line, .text = body_text(p, &l, 0) };
    if (r.text.n == 0)
        r.text = s->title;
    for (size_t c = s->children; c; c = t->at[c - 1].next)
        r.scenarios += t->at[c - 1].content.n > 0;
    return r;
}

struct tree_spec tree_spec(struct pool *p, struct str text)
{
    struct tree_spec spec = { 0 };
    struct tree t = tree_read(p, text);
    const struct section *purpose = tree_find(&t, "Purpose");
    const struct section *requirements = tree_find(&t, "Requirements");
    if (purpose) {
        spec.has_purpose = purpose->content.n > 0;
        spec.purpose = purpose->content;
        spec.purpose_line = purpose->line;
    }
    if (!requirements)
        return spec;
    spec.has_requirements = true;
    spec.requirements_line = requirements->line;
    for (size_t c = requirements->children; c && !p->failed; c = t.at[c - 1].next)
        pool_push(p, &spec, requirement_of(p, &t, &t.at[c - 1]));
    return spec;
}
