/* SPDX-License-Identifier: Apache-2.0 */
/* fetch: documents out of the store, on the reading connection. Lists that grow (ledger, comments,
 * answers) and steps are kept as items and put together here. */
#include "broker/broker.h"

#include "common/mp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 500, ITEMS_SENT_MAX = 1000, VALUE_MAX = PAWL_FRAME_MAX + 1024 /* of a step */ };

struct want {
    struct str field;
    struct str value; /* p NULL: absent */
};

struct fetch {
    struct broker *b;
    struct arena arena; /* of all that it points to, but for the needs' names and bytes */
    uint64_t job;
    struct need *needs;
    uint32_t needs_n;
    struct want *wants; /* fields of all needs, in order */
    uint32_t wants_n, got;
    struct str *frames;
    uint32_t blob; /* next need to look for a blob */
    fetch_fn *fn;
    void *ctx;
};

static void finish(struct fetch *f, enum status st)
{
    f->fn(f->ctx, st, f->frames, st == OK ? f->needs_n : 0);
    arena_fini(&f->arena);
    free(f);
}

/* A copy of ours; what is absent, or larger than max, is absent. */
static struct str keep(struct fetch *f, struct str s, size_t max)
{
    char *p = s.p && s.n <= max ? arena_dup(&f->arena, s.p, s.n) : NULL;
    return (struct str){ p, p ? s.n : 0 };
}

/* ---- putting items together --------------------------------------------------------------- */

/* {items: [...]} of encoded values, newest kept when there are too many. */
static void join_items(const struct want *w, uint32_t n, struct buf *out)
{
    uint32_t have = 0;
    for (uint32_t i = 0; i < n; i++)
        have += w[i].value.p != NULL;
    buf_init(out, PAWL_FRAME_MAX);
    buf_char(out, '\0');
    mp_map(out, 1);
    mp_z(out, "items");
    mp_array(out, have);
    for (uint32_t i = 0; i < n; i++) {
        if (w[i].value.p)
            buf_view(out, w[i].value);
    }
}

/* A step as stored: [hash, tokens_in, tokens_out, ms] and the result's frame. */
static bool put_step(struct str stored, struct buf *out)
{
    struct mp in;
    struct mp_value head, hash, v[3];
    struct buf plain = { 0 };
    struct str result = { "\xc0", 1 };
    static const char *const names[] = { "tokens_in", "tokens_out", "ms" };
    mp_init(&in, stored);
    if (mp_want(&in, MP_ARRAY, &head) != OK || head.n != 4 || mp_want(&in, MP_STR, &hash) != OK)
        return false;
    for (int i = 0; i < 3; i++) {
        if (mp_want(&in, MP_UINT, &v[i]) != OK)
            return false;
    }
    struct str frame = { stored.p + in.at, stored.n - in.at };
    bool good = frame_plain(frame, PAWL_FRAME_MAX, &plain, &result) == OK && mp_check(result) == OK;
    if (good) {
        mp_map(out, 5);
        mp_z(out, "hash");
        mp_str(out, hash.str);
        mp_z(out, "result");
        buf_view(out, result);
        for (int i = 0; i < 3; i++) {
            mp_z(out, names[i]);
            mp_uint(out, v[i].u);
        }
    }
    if (plain.data)
        buf_fini(&plain);
    return good;
}

/* What does not fit into a frame is paid for again: the newest steps are left out. */
static void join_steps(const struct want *w, uint32_t n, struct buf *out)
{
    struct buf items, one;
    uint32_t have = 0;
    buf_init(&items, PAWL_FRAME_MAX - 64);
    for (uint32_t i = 0; i < n; i++) {
        buf_init(&one, PAWL_FRAME_MAX);
        bool good = w[i].value.p && put_step(w[i].value, &one) && one.status == OK;
        if (good && items.len + one.len < items.max) {
            buf_view(&items, buf_get(&one));
            have++;
        }
        buf_fini(&one);
    }
    buf_init(out, PAWL_FRAME_MAX);
    buf_char(out, '\0');
    mp_map(out, 1);
    mp_z(out, "items");
    mp_array(out, have);
    buf_view(out, buf_get(&items));
    buf_fini(&items);
}

static uint32_t wants_of(const struct need *n)
{
    if (n->kind == NEED_FIELD)
        return 1;
    if (n->kind == NEED_LIST)
        return n->count < ITEMS_SENT_MAX ? n->count : ITEMS_SENT_MAX;
    return n->kind == NEED_STEPS ? n->count : 0;
}

static struct str joined(struct fetch *f, const struct need *n, const struct want *w)
{
    struct buf out;
    if (n->kind == NEED_LIST)
        join_items(w, wants_of(n), &out);
    else
        join_steps(w, wants_of(n), &out);
    struct str kept = keep(f, buf_get(&out), PAWL_FRAME_MAX);
    buf_fini(&out);
    return kept;
}

static void assemble(struct fetch *f)
{
    const struct want *w = f->wants;
    for (uint32_t i = 0; i < f->needs_n; i++) {
        const struct need *n = &f->needs[i];
        if (n->kind == NEED_FIELD && w->value.n <= PAWL_FRAME_MAX)
            f->frames[i] = w->value;
        else if (n->kind == NEED_LIST || n->kind == NEED_STEPS)
            f->frames[i] = joined(f, n, w);
        else if (n->kind == NEED_BYTES)
            f->frames[i] = n->bytes;
        w += wants_of(n);
    }
}

/* ---- asking ------------------------------------------------------------------------------- */

static void next_blob(struct fetch *f);

static void on_blob(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct fetch *f = ctx;
    if (st != OK) {
        finish(f, st);
        return;
    }
    f->frames[f->blob] = keep(f, n ? v[0] : (struct str){ 0 }, PAWL_FRAME_MAX);
    f->blob++;
    next_blob(f);
}

static void next_blob(struct fetch *f)
{
    while (f->blob < f->needs_n && f->needs[f->blob].kind != NEED_BLOB)
        f->blob++;
    if (f->blob == f->needs_n) {
        finish(f, OK);
        return;
    }
    struct store_get g = { .kind = GET_BLOB, .names = &f->needs[f->blob].name, .names_n = 1 };
    enum status st = f->b->store.ops->get(f->b->store.self, &g, on_blob, f);
    if (st != OK)
        finish(f, st);
}

static void next_chunk(struct fetch *f);

static void on_fields(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct fetch *f = ctx;
    if (st != OK) {
        finish(f, st);
        return;
    }
    for (uint32_t i = 0; i < n && f->got < f->wants_n; i++, f->got++)
        f->wants[f->got].value = keep(f, v[i], VALUE_MAX);
    next_chunk(f);
}

static void next_chunk(struct fetch *f)
{
    struct str names[CHUNK];
    uint32_t n = 0;
    while (n < CHUNK && f->got + n < f->wants_n) {
        names[n] = f->wants[f->got + n].field;
        n++;
    }
    if (n == 0) {
        assemble(f);
        next_blob(f);
        return;
    }
    struct store_get g = { .kind = GET_FIELDS, .id = f->job, .names = names, .names_n = n };
    enum status st = f->b->store.ops->get(f->b->store.self, &g, on_fields, f);
    if (st != OK)
        finish(f, st);
}

static struct str item_name(struct fetch *f, const struct need *n, uint32_t number)
{
    char *z = n->kind == NEED_LIST
                  ? arena_printf(&f->arena, "%.*s#%u", STR_ARG(n->name), number)
                  : arena_printf(&f->arena, "%.*s%u", (int)n->name.n - 1, n->name.p,
                                 number); /* the prefix of steps ends in "#0" */
    return str_of(z);
}

static bool name_wants(struct fetch *f)
{
    struct want *w = f->wants;
    for (uint32_t i = 0; i < f->needs_n; i++) {
        const struct need *n = &f->needs[i];
        uint32_t count = wants_of(n);
        for (uint32_t k = 0; k < count; k++, w++) {
            w->field = n->kind == NEED_FIELD ? n->name : item_name(f, n, n->count - count + k + 1);
            if (!w->field.p)
                return false;
        }
    }
    return true;
}

/* All that is wanted, or nothing: one read costs what many cost. */
static bool from_cache(struct fetch *f)
{
    struct str v;
    for (uint32_t i = 0; i < f->wants_n; i++) {
        if (!doc_cache_get(&f->b->docs, f->job, f->wants[i].field, &v))
            return false;
    }
    for (uint32_t i = 0; i < f->wants_n; i++) {
        doc_cache_get(&f->b->docs, f->job, f->wants[i].field, &v);
        f->wants[i].value = keep(f, v, VALUE_MAX);
    }
    return true;
}

static struct fetch *fetch_new(const struct need *needs, uint32_t n)
{
    struct fetch *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    arena_init(&f->arena, SIZE_MAX / 2);
    for (uint32_t i = 0; i < n; i++)
        f->wants_n += wants_of(&needs[i]);
    f->needs_n = n;
    f->needs = arena_alloc(&f->arena, n * sizeof *f->needs);
    f->frames = arena_alloc(&f->arena, n * sizeof *f->frames);
    f->wants = arena_alloc(&f->arena, f->wants_n * sizeof *f->wants);
    for (uint32_t i = 0; f->needs && i < n; i++)
        f->needs[i] = needs[i]; /* names and bytes stay the caller's until fn */
    if (f->needs && f->frames && f->wants && name_wants(f))
        return f;
    arena_fini(&f->arena);
    free(f);
    return NULL;
}

void fetch_docs(struct broker *b, uint64_t job, const struct need *needs, uint32_t n, fetch_fn *fn,
                void *ctx)
{
    struct fetch *f = fetch_new(needs, n);
    if (!f) {
        fn(ctx, ERR_NOMEM, NULL, 0);
        return;
    }
    f->b = b;
    f->job = job;
    f->fn = fn;
    f->ctx = ctx;
    if (f->wants_n && from_cache(f))
        f->got = f->wants_n;
    next_chunk(f);
}
