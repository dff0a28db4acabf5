/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/merge_in.h"

#include "common/openspec/audit.h"

static size_t occurrences(struct str in, struct str needle)
{
    size_t n = 0;
    if (needle.n == 0)
        return 0;
    for (size_t at = 0; (at = text_find(in, needle, at)) != SIZE_MAX; at += needle.n)
        n++;
    return n;
}

/* A block that was replaced or removed may have carried a heading of somebody else away. */
static void warn_foreign(struct merge *m, const struct block *was, const struct block *now)
{
    struct foreign f = foreign_tail(m->p, was->raw);
    if (f.raw.n == 0)
        return;
    struct str tail = text_trim(f.raw);
    if (now && occurrences(text_trim(now->raw), tail) >= occurrences(text_trim(was->raw), tail))
        return;
    merge_warn(m, pool_cat(m->p, m->in->id, LIT(" - \""), f.heading, LIT("\" sits inside requirement \""),
                     was->name,
                     LIT("\" and goes with it. Move it under its own requirement, or above "
                         "`## Requirements`, to keep it.")));
}

static void put_block(struct buf *out, struct str raw)
{
    if (out->len > 0)
        buf_str(out, "\n\n");
    buf_view(out, raw);
}

static struct str requirements_body(struct merge *m)
{
    struct buf body;
    struct map kept = { 0 };
    size_t n = 0;
    bool preamble = !text_blank(m->parts.preamble);
    buf_init(&body, SIZE_MAX / 2);
    if (preamble)
        buf_view(&body, m->parts.preamble);
    for (size_t i = 0; i < m->parts.blocks.n; i++) {
        struct block *was = &m->parts.blocks.at[i], *now = merge_get(m, m->order[i]);
        if (now) {
            map_set(m->p, &kept, m->order[i], now);
            if (n++ > 0 || preamble)
                buf_str(&body, "\n\n");
            buf_view(&body, now->raw);
        }
        if (now != was)
            warn_foreign(m, was, now);
    }
    for (size_t i = 0; i < m->blocks.n; i++) {
        const struct map_entry *e = &m->blocks.at[i];
        if (!e->value || map_get(&kept, e->key))
            continue;
        if (n++ > 0 || preamble)
            buf_str(&body, "\n\n");
        buf_view(&body, ((const struct block *)e->value)->raw);
    }
    m->out->no_requirements = n == 0;
    return text_trim_end(pool_take(m->p, &body));
}

/* Two lines without a byte beside each other: there mostly are none. */
static bool has_blank_run(struct str s)
{
    bool before = true; /* the line before is empty, or there is none */
    for (size_t from = 0; from <= s.n;) {
        const char *end = from < s.n ? memchr(s.p + from, '\n', s.n - from) : NULL;
        size_t to = end ? (size_t)(end - s.p) : s.n;
        bool empty = to == from;
        if (empty && before && from > 0)
            return true;
        before = empty;
        from = to + 1;
    }
    return false;
}

/* Runs of empty lines become one, but not inside fences. */
static struct str collapse(struct pool *p, struct str text)
{
    if (!has_blank_run(text))
        return text;
    struct lines l = lines_of(p, text);
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < l.n; i++) {
        bool again = i > 0 && l.at[i].n == 0 && l.at[i - 1].n == 0 && !l.fenced[i];
        if (again)
            continue;
        if (i > 0)
            buf_char(&out, '\n');
        buf_view(&out, l.at[i]);
    }
    return pool_take(p, &out);
}

struct str merge_recompose(struct merge *m)
{
    struct buf out;
    struct str body = requirements_body(m);
    buf_init(&out, SIZE_MAX / 2);
    if (text_trim_end(m->parts.before).n > 0)
        buf_view(&out, text_trim_end(m->parts.before));
    put_block(&out, m->parts.header);
    if (body.n > 0)
        put_block(&out, body);
    if (!text_blank(m->parts.after))
        put_block(&out, text_trim(m->parts.after));
    struct str text = pool_take(m->p, &out);
    return pool_cat(m->p, text_trim_end(collapse(m->p, text)), LIT("\n"));
}

struct str merge_match_ends(struct pool *p, struct str text, struct str like)
{
    size_t crlf = 0, lf = 0;
    if (like.n == 0 || text.n == 0 ||
        (!memchr(like.p, '\r', like.n) && !memchr(text.p, '\r', text.n)))
        return text; /* mostly */
    for (size_t i = 0; i < like.n; i++) {
        if (like.p[i] != '\n')
            continue;
        bool cr = i > 0 && like.p[i - 1] == '\r';
        crlf += cr;
        lf += !cr;
    }
    if (crlf + lf == 0)
        return text;
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '\n')
            continue;
        size_t to = i > from && text.p[i - 1] == '\r' ? i - 1 : i;
        buf_append(&out, text.p + from, to - from);
        buf_str(&out, crlf >= lf ? "\r\n" : "\n");
        from = i + 1;
    }
    buf_append(&out, text.p + from, text.n - from);
    return pool_take(p, &out);
}
