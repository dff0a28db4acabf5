/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/body.h"

#include <string.h>

enum { ADDED_SHOWN_MAX = 3 };

/* ^\*\*[^*]+\*\*: */
static bool metadata(struct str line)
{
    if (!text_starts(line, "**"))
        return false;
    size_t i = 2;
    while (i < line.n && line.p[i] != '*')
        i++;
    return i > 2 && text_starts(text_from(line, i), "**:");
}

struct str body_text(struct pool *p, const struct lines *l, size_t from)
{
    struct buf text, meta;
    buf_init(&text, SIZE_MAX / 2);
    buf_init(&meta, SIZE_MAX / 2);
    for (size_t i = from; i < l->n; i++) {
        if (l->fenced[i])
            continue;
        if (line_level(l->at[i]))
            break;
        struct str line = text_trim(l->at[i]);
        if (line.n == 0)
            continue;
        struct buf *to = metadata(line) ? &meta : &text;
        if (to->len > 0)
            buf_char(to, '\n');
        buf_view(to, line);
    }
    struct str body = pool_take(p, &text);
    struct str only = pool_take(p, &meta);
    return body.n > 0 ? body : only;
}

struct lines body_lines(struct pool *p, struct str raw)
{
    const char *end = raw.n ? memchr(raw.p, '\n', raw.n) : NULL;
    if (!end)
        return (struct lines){ 0 };
    return lines_of(p, text_from(raw, (size_t)(end - raw.p) + 1));
}

/* ^####\s+ */
static bool scenario_header(const struct lines *l, size_t i)
{
    return !l->fenced[i] && line_level(l->at[i]) == 4;
}

static size_t scenario_end(const struct lines *l, size_t header)
{
    size_t end = header + 1;
    for (; end < l->n; end++) {
        int level = l->fenced[end] ? 0 : line_level(l->at[end]);
        if (level > 0 && level <= 4)
            break;
    }
    return end;
}

struct body_scenarios body_count_scenarios(const struct lines *l)
{
    struct body_scenarios count = { 0 };
    for (size_t i = 0; i < l->n; i++) {
        if (!scenario_header(l, i))
            continue;
        if (text_blank(lines_run(l, i + 1, scenario_end(l, i))))
            count.empty++;
        else
            count.full++;
    }
    return count;
}

/* The label that a reader sees: without ####, a closing run of # and `Scenario:`. */
static struct str scenario_name(struct str line)
{
    struct str s = text_trim_start(text_from(line, 4));
    size_t end = s.n;
    while (end > 0 && (s.p[end - 1] == ' ' || s.p[end - 1] == '\t'))
        end--;
    size_t run = end;
    while (run > 0 && s.p[run - 1] == '#')
        run--;
    size_t blank = run;
    while (blank > 0 && (s.p[blank - 1] == ' ' || s.p[blank - 1] == '\t'))
        blank--;
    if (run < end && blank < run)
        s.n = blank;
    if (text_starts_ci(s, "Scenario:"))
        s = text_from(s, sizeof "Scenario:" - 1);
    return text_trim(s);
}

struct body_scenario_list body_scenarios(struct pool *p, struct str raw)
{
    struct body_scenario_list list = { 0 };
    struct lines l = lines_of(p, text_lf(p, raw));
    for (size_t i = 0; i < l.n && !p->failed; i++) {
        if (!scenario_header(&l, i))
            continue;
        struct str text = text_trim(lines_run(&l, i + 1, scenario_end(&l, i)));
        pool_push(p, &list, (struct body_scenario){ scenario_name(l.at[i]), i, text });
    }
    return list;
}

/* Names of `a` that are left over once every name of `b` has answered for one. */
static void unmatched(struct pool *p, const struct body_scenario_list *a,
                      const struct body_scenario_list *b, struct str_list *out)
{
    struct map left = { 0 };
    for (size_t i = 0; i < b->n && !p->failed; i++) {
        size_t *count = map_get(&left, b->at[i].name);
        if (!count) {
            count = pool_alloc(p, sizeof *count);
            if (count)
                map_set(p, &left, b->at[i].name, count);
        }
        if (count)
            ++*count;
    }
    for (size_t i = 0; i < a->n && !p->failed; i++) {
        size_t *count = map_get(&left, a->at[i].name);
        if (count && *count > 0)
            --*count;
        else
            pool_push(p, out, a->at[i].name);
    }
}

struct scenario_diff scenario_diff(struct pool *p, struct str current, struct str incoming)
{
    struct body_scenario_list now = body_scenarios(p, current);
    struct body_scenario_list then = body_scenarios(p, incoming);
    struct scenario_diff d = { .current_n = now.n, .incoming_n = then.n };
    unmatched(p, &now, &then, &d.missing);
    unmatched(p, &then, &now, &d.added);
    return d;
}

struct str quoted_list(struct pool *p, const struct str *names, size_t n)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < n; i++) {
        buf_str(&out, i ? ", \"" : "\"");
        buf_view(&out, names[i]);
        buf_char(&out, '"');
    }
    return pool_take(p, &out);
}

static struct str count_of(struct pool *p, size_t n)
{
    return pool_cat(p, pool_num(p, n), n == 1 ? LIT(" scenario") : LIT(" scenarios"));
}

struct str scenario_balance(struct pool *p, const struct scenario_diff *d)
{
    struct str scale =
        pool_cat(p, LIT("The modified block has "), count_of(p, d->incoming_n),
                 LIT("; the current spec has "), count_of(p, d->current_n), LIT("."));
    if (d->added.n == 0)
        return pool_cat(p, scale, LIT(" It adds none."));
    size_t shown = d->added.n < ADDED_SHOWN_MAX ? d->added.n : ADDED_SHOWN_MAX;
    struct str names = quoted_list(p, d->added.at, shown);
    if (d->added.n > shown)
        names = pool_cat(p, names, LIT(" and "), pool_num(p, d->added.n - shown), LIT(" more"));
    return pool_cat(p, scale, LIT(" It adds "), count_of(p, d->added.n),
                    LIT(" not in the current spec: "), names, LIT("."));
}
