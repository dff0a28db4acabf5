/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/rebase.h"

#include "common/hash.h"
#include "common/linediff.h"
#include "common/openspec/change.h"
#include "common/openspec/config.h"
#include "common/openspec/draft_in.h"

#include <string.h>

struct rebasing {
    struct pool *p;
    const struct ws *ws;
    const json_t *own; /* pawl's key of .openspec.yaml; may be NULL */
    struct targets specs;
    struct rebase *out;
    bool mine;
    struct str yaml; /* its text, as it is to be */
};

const char *rebase_state_name(enum rebase_state s)
{
    static const char *const names[] = { "same", "merged", "collides", "gone", "unknown" };
    return names[s];
}

static const char *member(const json_t *own, const char *key, struct str id, struct str name)
{
    const json_t *map = js_obj(own, key);
    const json_t *names = map ? json_object_getn(map, id.p, id.n) : NULL;
    return names ? json_string_value(json_object_getn(names, name.p, name.n)) : NULL;
}

static struct str replaced(struct pool *p, struct str s, struct str old, struct str new)
{
    size_t at = text_find(s, old, 0);
    return at == SIZE_MAX ? s : pool_cat(p, (struct str){ s.p, at }, new, text_from(s, at + old.n));
}

static struct str hex_of(struct pool *p, struct str raw)
{
    struct hash h = hash_of(raw);
    char hex[HASH_HEX + 1];
    hash_hex(&h, hex);
    return pool_copy(p, str_of(hex));
}

/* The metadata says from now on what the spec says today. */
static void renew(struct rebasing *r, struct str before, struct str now)
{
    r->yaml = replaced(r->p, r->yaml, hex_of(r->p, before), hex_of(r->p, now));
    r->yaml = replaced(r->p, r->yaml, yaml_quoted(r->p, before), yaml_quoted(r->p, now));
}

/* The block as it is to be; false: as it is. */
static bool merge_block(struct rebasing *r, struct str id, const struct block *b,
                        struct rebase_block *told, struct str *text)
{
    const struct spec *spec = target_spec(&r->specs, id);
    const struct spec_requirement *now = spec ? spec_find(spec, b->name) : NULL;
    const char *then = member(r->own, "text", id, b->name);
    struct merged m;
    told->state = !then ? REBASE_UNKNOWN : !now ? REBASE_GONE : REBASE_SAME;
    if (told->state != REBASE_SAME || str_is(now->raw, then))
        return false;
    struct str base = pool_copy(r->p, str_of(then));
    enum status st =
        merge_texts(pool_cat(r->p, base, LIT("\n")), pool_cat(r->p, b->raw, LIT("\n")),
                    pool_cat(r->p, now->raw, LIT("\n")), r->mine ? MERGE_OURS : MERGE_THEIRS, &m);
    r->p->failed = r->p->failed || st != OK;
    *text = text_trim_end(pool_copy(r->p, buf_get(&m.text)));
    told->state = m.n ? REBASE_COLLIDES : REBASE_MERGED;
    if (m.n) {
        told->line = b->line + m.at[0].line - 1;
        told->ours = pool_copy(r->p, m.at[0].ours);
        told->theirs = pool_copy(r->p, m.at[0].theirs);
    }
    merged_free(&m);
    renew(r, base, now->raw);
    return true;
}

/* Where line `line` (from 1) begins. */
static size_t line_start(struct str text, size_t line)
{
    size_t at = 0;
    while (--line > 0) {
        const char *nl = at < text.n ? memchr(text.p + at, '\n', text.n - at) : NULL;
        if (!nl)
            return text.n;
        at = (size_t)(nl - text.p) + 1;
    }
    return at;
}

static struct str with_crlf(struct pool *p, struct str s)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n')
            buf_char(&out, '\r');
        buf_char(&out, s.p[i]);
    }
    return pool_take(p, &out);
}

static void push_file(struct rebasing *r, struct str path, struct str bytes)
{
    struct rebase *o = r->out;
    struct ws_file *at = pool_grow(r->p, o->files, o->files_n, &o->files_cap, sizeof *at);
    if (!at)
        return;
    o->files = at;
    at[o->files_n++] = (struct ws_file){ path, bytes };
}

/* From the last block to the first: what is before stays where it is. */
static void rebase_delta(struct rebasing *r, const struct change_delta *d)
{
    struct str text = text_lf(r->p, text_no_bom(text_decode(r->p, d->bytes))), made;
    bool changed = false, crlf = text_find(d->bytes, LIT("\r\n"), 0) != SIZE_MAX;
    for (size_t i = d->delta.modified.n; i-- > 0 && !r->p->failed;) {
        const struct block *b = &d->delta.modified.at[i];
        struct rebase_block told = { d->id, b->name, .file = d->file, .line = b->line };
        size_t at = line_start(text, b->line);
        bool there = at + b->raw.n <= text.n && memcmp(text.p + at, b->raw.p, b->raw.n) == 0;
        if (there && merge_block(r, d->id, b, &told, &made)) {
            text = pool_cat(r->p, (struct str){ text.p, at }, made, text_from(text, at + b->raw.n));
            changed = true;
        }
        pool_push(r->p, r->out, told);
    }
    if (changed)
        push_file(r, d->file, crlf ? with_crlf(r->p, text) : text);
}

enum status rebase_change(struct arena *a, const struct ws *ws, struct str change, bool mine,
                          struct rebase *out)
{
    struct pool p = pool_of(a);
    struct change c;
    *out = (struct rebase){ 0 };
    if (!ws_has_change(ws, change))
        return ERR_NOT_FOUND;
    json_t *own = meta_pawl(ws, change);
    struct str path = pool_cat(&p, LIT("changes/"), change, LIT("/.openspec.yaml"));
    const struct ws_file *f = ws_find(ws, path);
    struct rebasing r = { .p = &p, .ws = ws, .own = own, .out = out, .mine = mine };
    r.specs = (struct targets){ .p = &p, .ws = ws };
    r.yaml = f ? f->bytes : (struct str){ 0 };
    enum status st = change_read(&p, ws, change, &c);
    for (size_t i = 0; st == OK && i < c.n && !p.failed; i++)
        rebase_delta(&r, &c.at[i]);
    if (f && !str_eq(r.yaml, f->bytes))
        push_file(&r, path, r.yaml);
    json_decref(own);
    return st == OK ? pool_status(&p) : st;
}
