/* SPDX-License-Identifier: Apache-2.0 */
/* fetch: documents out of the store, on the reading connection. Lists that grow (ledger, comments,
 * answers) and steps are kept as items and put together here. */
#include "broker/broker.h"

#include "common/mp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 500, ITEMS_SENT_MAX = 1000 };

struct want {
    char field[FIELD_MAX];
    struct buf value; /* data NULL: absent */
};

struct fetch {
    struct broker *b;
    uint64_t job;
    struct need *needs;
    uint32_t needs_n;
    struct want *wants; /* fields of all needs, in order */
    uint32_t wants_n, got;
    struct buf *frames;
    uint32_t blob; /* next need to look for a blob */
    fetch_fn *fn;
    void *ctx;
};

static void fetch_free(struct fetch *f)
{
    for (uint32_t i = 0; i < f->wants_n; i++) {
        if (f->wants[i].value.data)
            buf_fini(&f->wants[i].value);
    }
    for (uint32_t i = 0; f->frames && i < f->needs_n; i++) {
        if (f->frames[i].data)
            buf_fini(&f->frames[i]);
    }
    free(f->wants);
    free(f->frames);
    free(f->needs);
    free(f);
}

static void finish(struct fetch *f, enum status st)
{
    f->fn(f->ctx, st, f->frames, st == OK ? f->needs_n : 0);
    fetch_free(f);
}

static void set(struct buf *to, struct str s, size_t max)
{
    if (!s.p)
        return;
    buf_init(to, max);
    buf_view(to, s);
}

/* ---- putting items together --------------------------------------------------------------- */

/* {items: [...]} of encoded values, newest kept when there are too many. */
static void join_items(const struct want *w, uint32_t n, struct buf *out)
{
    uint32_t have = 0;
    for (uint32_t i = 0; i < n; i++)
        have += w[i].value.data != NULL;
    buf_init(out, PAWL_FRAME_MAX);
    buf_char(out, '\0');
    mp_map(out, 1);
    mp_z(out, "items");
    mp_array(out, have);
    for (uint32_t i = 0; i < n; i++) {
        if (w[i].value.data)
            buf_view(out, buf_get(&w[i].value));
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
        bool good = w[i].value.data && put_step(buf_get(&w[i].value), &one) && one.status == OK;
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

static void assemble(struct fetch *f)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < f->needs_n; i++) {
        const struct need *n = &f->needs[i];
        const struct want *w = f->wants + at;
        uint32_t count = wants_of(n);
        if (n->kind == NEED_FIELD && w->value.data)
            set(&f->frames[i], buf_get(&w->value), PAWL_FRAME_MAX);
        else if (n->kind == NEED_LIST)
            join_items(w, count, &f->frames[i]);
        else if (n->kind == NEED_STEPS)
            join_steps(w, count, &f->frames[i]);
        else if (n->kind == NEED_BYTES)
            set(&f->frames[i], n->bytes, PAWL_FRAME_MAX);
        at += count;
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
    set(&f->frames[f->blob], n ? v[0] : (struct str){ 0 }, PAWL_FRAME_MAX);
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
        set(&f->wants[f->got].value, v[i], PAWL_FRAME_MAX + 1024);
    next_chunk(f);
}

static void next_chunk(struct fetch *f)
{
    struct str names[CHUNK];
    uint32_t n = 0;
    while (n < CHUNK && f->got + n < f->wants_n) {
        names[n] = str_of(f->wants[f->got + n].field);
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

static void name_wants(struct fetch *f)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < f->needs_n; i++) {
        const struct need *n = &f->needs[i];
        uint32_t count = wants_of(n);
        for (uint32_t k = 0; k < count; k++, at++) {
            char *field = f->wants[at].field;
            uint32_t number = n->count - count + k + 1;
            if (n->kind == NEED_FIELD)
                snprintf(field, FIELD_MAX, "%.*s", STR_ARG(n->name));
            else if (n->kind == NEED_LIST)
                snprintf(field, FIELD_MAX, "%.*s#%u", STR_ARG(n->name), number);
            else /* the prefix ends in "#0" */
                snprintf(field, FIELD_MAX, "%.*s%u", (int)n->name.n - 1, n->name.p, number);
        }
    }
}

/* All that is wanted, or nothing: one read costs what many cost. */
static bool from_cache(struct fetch *f)
{
    struct str v;
    for (uint32_t i = 0; i < f->wants_n; i++) {
        if (!doc_cache_get(&f->b->docs, f->job, str_of(f->wants[i].field), &v))
            return false;
    }
    for (uint32_t i = 0; i < f->wants_n; i++) {
        doc_cache_get(&f->b->docs, f->job, str_of(f->wants[i].field), &v);
        set(&f->wants[i].value, v, PAWL_FRAME_MAX + 1024);
    }
    return true;
}

void fetch_docs(struct broker *b, uint64_t job, const struct need *needs, uint32_t n, fetch_fn *fn,
                void *ctx)
{
    struct fetch *f = calloc(1, sizeof *f);
    uint32_t wants = 0;
    for (uint32_t i = 0; i < n; i++)
        wants += wants_of(&needs[i]);
    if (f) {
        *f = (struct fetch){
            .b = b, .job = job, .needs_n = n, .wants_n = wants, .fn = fn, .ctx = ctx
        };
        f->needs = calloc(n + 1, sizeof *f->needs);
        f->frames = calloc(n + 1, sizeof *f->frames);
        f->wants = calloc(wants + 1, sizeof *f->wants);
    }
    if (!f || !f->needs || !f->frames || !f->wants) {
        if (f)
            f->wants_n = 0;
        if (f)
            fetch_free(f);
        fn(ctx, ERR_NOMEM, NULL, 0);
        return;
    }
    memcpy(f->needs, needs, n * sizeof *needs); /* names and bytes stay the caller's until fn */
    name_wants(f);
    if (wants && from_cache(f))
        f->got = wants;
    next_chunk(f);
}
