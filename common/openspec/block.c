/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/block.h"

static const char *const kind_names[DELTA_KINDS] = { "ADDED", "MODIFIED", "REMOVED", "RENAMED" };
static const char *const kind_titles[DELTA_KINDS] = { "added requirements", "modified requirements",
                                                      "removed requirements",
                                                      "renamed requirements" };

const char *delta_kind_name(enum delta_kind kind)
{
    return kind_names[kind];
}

bool delta_any_section(const struct delta *d)
{
    return d->present[DELTA_ADDED] || d->present[DELTA_MODIFIED] || d->present[DELTA_REMOVED] ||
           d->present[DELTA_RENAMED];
}

static bool is_requirement(const struct lines *l, size_t i, struct str *name)
{
    return !l->fenced[i] && line_requirement(l->at[i], false, name);
}

static bool is_level_two(const struct lines *l, size_t i)
{
    return !l->fenced[i] && line_level(l->at[i]) == 2;
}

/* ^##\s+Requirements\s*$ */
static bool is_requirements_section(const struct lines *l, size_t i)
{
    return is_level_two(l, i) && text_is_ci(text_trim(text_from(l->at[i], 2)), "Requirements");
}

/* The requirement whose header is on line i; its block ends before the next one, before a "## "
 * without a title, or at `to`. */
static struct block block_at(const struct lines *l, size_t i, size_t to, struct str name,
                             size_t *next)
{
    struct str ignored;
    *next = i + 1;
    while (*next < to && !is_requirement(l, *next, &ignored) && !is_level_two(l, *next))
        ++*next;
    return (struct block){ name, l->at[i], text_trim_end(lines_run(l, i, *next)), i + 1 };
}

struct slices slices_read(struct pool *p, struct str text)
{
    struct lines l = lines_of(p, text_lf(p, text_no_bom(text)));
    struct slices s = { .header = LIT("## Requirements") };
    size_t start = 0;
    while (start < l.n && !is_requirements_section(&l, start))
        start++;
    if (start == l.n) {
        s.before = text_trim_end(text);
        return s;
    }
    size_t end = start + 1;
    while (end < l.n && !is_level_two(&l, end))
        end++;
    s.found = true;
    s.before = lines_run(&l, 0, start);
    s.header = l.at[start];
    s.after = lines_run(&l, end, l.n);
    struct str name;
    size_t i = start + 1;
    while (i < end && !is_requirement(&l, i, &name))
        i++;
    s.preamble = text_trim_end(lines_run(&l, start + 1, i));
    while (i < end && !p->failed) {
        is_requirement(&l, i, &name);
        struct block b = block_at(&l, i, end, name, &i);
        pool_push(p, &s.blocks, b);
    } /* nothing ends a block in here but the next one: "## " ended the section */
    return s;
}

/* A delta being read: its lines, and the section that the current line is in. */
struct reading {
    struct pool *p;
    struct lines l;
    struct delta *d;
};

/* ^###\s+(.+?)\s*$ */
static bool stray_header(struct str line, struct str *header)
{
    if (line_level(line) != 3)
        return false;
    struct str rest = text_from(line, 3);
    *header = text_trim(rest);
    if (header->n > 0)
        return !text_has_line_break(*header);
    size_t first;
    text_cp(rest, 0, &first);
    for (size_t i = first, len; i < rest.n; i += len) { /* one blank of two or more is the title */
        if (!cp_line_break(text_cp(rest, i, &len)))
            return true;
    }
    return false;
}

/* `section`: of strays, which are not kept without it. */
static void read_blocks(struct reading *r, size_t from, size_t to, const struct str *section,
                        struct blocks *out)
{
    for (size_t i = from; i < to && !r->p->failed; i++) {
        struct str name, header;
        if (is_requirement(&r->l, i, &name)) {
            size_t next;
            struct block b = block_at(&r->l, i, to, name, &next);
            pool_push(r->p, out, b);
        } else if (section && !r->l.fenced[i] && stray_header(r->l.at[i], &header)) {
            pool_push(r->p, &r->d->strays, (struct stray){ header, *section, i + 1 });
        }
    }
}

/* (.+?)`?\s*$ after a greedy \s* */
static bool lazy_name(struct str rest, struct str *name)
{
    struct str s = text_trim(rest);
    if (s.n == 0) {
        for (size_t i = 0, len; i < rest.n; i += len) {
            if (!cp_line_break(text_cp(rest, i, &len))) {
                *name = s;
                return true;
            }
        }
        return false;
    }
    if (s.n > 1 && s.p[s.n - 1] == '`')
        s.n--;
    *name = name_normal(s);
    return !text_has_line_break(s);
}

/* `?###\s*Requirement:\s*(.+?)`?\s*$ */
static bool quoted_header(struct str s, struct str *name)
{
    if (text_starts(s, "`"))
        s = text_from(s, 1);
    if (!text_starts(s, "###"))
        return false;
    s = text_trim_start(text_from(s, 3));
    return text_starts(s, "Requirement:") &&
           lazy_name(text_from(s, sizeof "Requirement:" - 1), name);
}

static bool bullet(struct str *s)
{
    if (s->n == 0 || (s->p[0] != '-' && s->p[0] != '*' && s->p[0] != '+'))
        return false;
    *s = text_trim_start(text_from(*s, 1));
    return true;
}

static void read_removed(struct reading *r, size_t from, size_t to)
{
    for (size_t i = from; i < to && !r->p->failed; i++) {
        struct str name, s = text_trim_start(r->l.at[i]);
        if (r->l.fenced[i])
            continue;
        if (is_requirement(&r->l, i, &name) || (bullet(&s) && quoted_header(s, &name)))
            pool_push(r->p, &r->d->removed, (struct removal){ name, i + 1 });
    }
}

/* ^\s*[-*+]?\s*FROM:\s*`?###… and the same with TO: */
static bool rename_line(struct str line, bool *is_from, struct str *name)
{
    struct str s = text_trim_start(line);
    bullet(&s);
    *is_from = text_starts(s, "FROM:");
    if (!*is_from && !text_starts(s, "TO:"))
        return false;
    return quoted_header(text_trim_start(text_from(s, *is_from ? 5 : 3)), name);
}

static void read_renamed(struct reading *r, size_t from, size_t to)
{
    struct rename_side pending = { 0 };
    for (size_t i = from; i < to && !r->p->failed; i++) {
        struct rename_side side = { .line = i + 1 };
        if (r->l.fenced[i] || !rename_line(r->l.at[i], &side.is_from, &side.name))
            continue;
        if (side.is_from) {
            if (pending.is_from)
                pool_push(r->p, &r->d->unpaired, pending);
            pending = side;
        } else if (pending.is_from) {
            pool_push(r->p, &r->d->renamed,
                      (struct rename_pair){ pending.name, side.name, side.line });
            pending.is_from = false;
        } else {
            pool_push(r->p, &r->d->unpaired, side);
        }
    }
    if (pending.is_from)
        pool_push(r->p, &r->d->unpaired, pending);
}

static bool delta_section(struct str title, enum delta_kind *kind)
{
    for (size_t k = 0; k < DELTA_KINDS; k++) {
        if (text_is_ci(title, kind_titles[k])) {
            *kind = (enum delta_kind)k;
            return true;
        }
    }
    return false;
}

static void read_orphans(struct reading *r, size_t from, size_t to, struct str section)
{
    struct str name;
    for (size_t i = from; i < to && !r->p->failed; i++) {
        if (is_requirement(&r->l, i, &name))
            pool_push(r->p, &r->d->orphans, (struct orphan){ name, section, i + 1 });
    }
}

static void read_section(struct reading *r, size_t from, size_t to, struct str title,
                         struct str first_titles[DELTA_KINDS])
{
    enum delta_kind kind;
    if (!delta_section(title, &kind)) {
        read_orphans(r, from, to, title);
        return;
    }
    if (!r->d->present[kind])
        first_titles[kind] = title;
    r->d->present[kind] = true;
    switch (kind) {
    case DELTA_ADDED: read_blocks(r, from, to, &first_titles[kind], &r->d->added); break;
    case DELTA_MODIFIED: read_blocks(r, from, to, &first_titles[kind], &r->d->modified); break;
    case DELTA_REMOVED:
        read_removed(r, from, to);
        read_blocks(r, from, to, NULL, &r->d->removed_blocks);
        break;
    case DELTA_RENAMED: read_renamed(r, from, to); break;
    case DELTA_KINDS: break;
    }
}

struct delta delta_read(struct pool *p, struct str text)
{
    struct delta d = { 0 };
    struct reading r = { p, lines_of(p, text_lf(p, text_no_bom(text))), &d };
    struct str titles[DELTA_KINDS] = { 0 }, title = { 0 };
    size_t start = 0;
    for (size_t i = 0; i <= r.l.n && !p->failed; i++) {
        int level = 0;
        struct str next = { 0 };
        if (i < r.l.n && (r.l.fenced[i] || !line_title(r.l.at[i], &level, &next) || level != 2))
            continue;
        read_section(&r, start, i, title, titles);
        start = i + 1;
        title = next;
    }
    d.entries = d.added.n + d.modified.n + d.removed.n + d.renamed.n;
    return d;
}
