/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/store_fake.h"

#include "common/mp.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 256, VALUES_MAX = 4096 };

/* ---- cells -------------------------------------------------------------------------------- */

/* Event ids are ordered by their numbers, everything else by its bytes. */
static int field_compare(const char *key, const char *a, const char *b)
{
    return strcmp(key, "e") == 0 ? event_id_compare(str_of(a), str_of(b)) : strcmp(a, b);
}

/* The first cell that does not come before (key, field). */
static size_t place(const struct store_fake *f, const char *key, const char *field, bool *found)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(f->cells[mid].key, key);
        if (order == 0)
            order = field_compare(key, f->cells[mid].field, field);
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < f->n && strcmp(f->cells[low].key, key) == 0 &&
             field_compare(key, f->cells[low].field, field) == 0;
    return low;
}

const struct buf *store_fake_get(const struct store_fake *f, const char *key, const char *field)
{
    bool found;
    size_t at = place(f, key, field, &found);
    return found ? &f->cells[at].value : NULL;
}

static void set(struct store_fake *f, const char *key, const char *field, struct str value)
{
    bool found;
    size_t at = place(f, key, field, &found);
    if (!found) {
        if (f->n == f->cap) {
            f->cap = f->cap ? f->cap * 2 : 64;
            f->cells = realloc(f->cells, f->cap * sizeof *f->cells);
            assert(f->cells);
        }
        memmove(f->cells + at + 1, f->cells + at, (f->n - at) * sizeof *f->cells);
        f->n++;
        f->cells[at] = (struct fake_cell){ strdup(key), strdup(field), { 0 } };
        buf_init(&f->cells[at].value, BATCH_MAX);
    }
    buf_clear(&f->cells[at].value);
    buf_view(&f->cells[at].value, value);
}

static void unset_at(struct store_fake *f, size_t at)
{
    free(f->cells[at].key);
    free(f->cells[at].field);
    buf_fini(&f->cells[at].value);
    memmove(f->cells + at, f->cells + at + 1, (f->n - at - 1) * sizeof *f->cells);
    f->n--;
}

static void unset(struct store_fake *f, const char *key, const char *field)
{
    bool found;
    size_t at = place(f, key, field, &found);
    if (found)
        unset_at(f, at);
}

static size_t first_of(const struct store_fake *f, const char *key)
{
    bool found;
    return place(f, key, "", &found);
}

static bool is_of(const struct store_fake *f, size_t at, const char *key)
{
    return at < f->n && strcmp(f->cells[at].key, key) == 0;
}

static void unset_all(struct store_fake *f, const char *key)
{
    while (is_of(f, first_of(f, key), key))
        unset_at(f, first_of(f, key));
}

static size_t count_of(const struct store_fake *f, const char *key)
{
    size_t n = 0;
    for (size_t at = first_of(f, key); is_of(f, at, key); at++)
        n++;
    return n;
}

/* ---- the batch, as functions.lua does it -------------------------------------------------- */

struct op {
    char kind;
    char id[128]; /* job, hash, event */
    struct mp in; /* at the value after id */
};

static struct str str_next(struct mp *in)
{
    struct mp_value v;
    if (mp_next(in, &v) != OK || v.type != MP_STR)
        return (struct str){ 0 };
    return v.str;
}

static int64_t int_next(struct mp *in)
{
    struct mp_value v;
    return mp_want(in, MP_INT, &v) == OK ? v.i : 0;
}

static uint32_t list_next(struct mp *in)
{
    struct mp_value v;
    return mp_want(in, MP_ARRAY, &v) == OK ? v.n : 0;
}

static void copy(char *to, size_t size, struct str s)
{
    snprintf(to, size, "%.*s", STR_ARG(s));
}

static bool next_op(struct mp *all, struct op *op)
{
    struct str raw;
    if (mp_skip(all, &raw) != OK)
        return false;
    mp_init(&op->in, raw);
    list_next(&op->in);
    struct str kind = str_next(&op->in);
    op->kind = kind.n ? kind.p[0] : '?';
    if (op->kind == 's')
        op->id[0] = '\0';
    else
        copy(op->id, sizeof op->id, str_next(&op->in));
    return true;
}

/* Versions and blobs that earlier operations of the batch will have made. */
struct seen {
    struct {
        char id[128], version[VERSION_DIGITS + 1];
    } * v;
    size_t n;
};

static void note(struct seen *s, const char *id, struct str version)
{
    s->v = realloc(s->v, (s->n + 1) * sizeof *s->v);
    assert(s->v);
    copy(s->v[s->n].id, sizeof s->v[s->n].id, str_of(id));
    copy(s->v[s->n++].version, VERSION_DIGITS + 1, version);
}

static const char *known(const struct seen *s, const char *id)
{
    for (size_t i = s->n; i > 0; i--) {
        if (strcmp(s->v[i - 1].id, id) == 0)
            return s->v[i - 1].version;
    }
    return NULL;
}

static void version_of(const struct store_fake *f, const char *id, char out[VERSION_DIGITS + 1])
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "j:%s", id);
    const struct buf *b = store_fake_get(f, key, "");
    copy(out, VERSION_DIGITS + 1, b ? (struct str){ b->data, VERSION_DIGITS } : (struct str){ 0 });
}

static enum status check_record(const struct store_fake *f, struct op *op, struct seen *seen,
                                struct err *err)
{
    char have[VERSION_DIGITS + 1], key[KEY_SIZE];
    const char *earlier = known(seen, op->id);
    version_of(f, op->id, have);
    if (earlier)
        copy(have, sizeof have, str_of(earlier));
    struct str expect = str_next(&op->in), version = str_next(&op->in);
    if (!str_is(expect, have))
        return err_set(err, ERR_UNAVAILABLE, "CONFLICT job %s has version %s, not %.*s", op->id,
                       have, STR_ARG(expect));
    note(seen, op->id, version);
    str_next(&op->in);
    struct str skipped;
    if (mp_skip(&op->in, &skipped) != OK || mp_skip(&op->in, &skipped) != OK)
        return err_set(err, ERR_DATA, "malformed batch");
    struct str blob = str_next(&op->in);
    snprintf(key, sizeof key, "b:%.*s", STR_ARG(blob));
    if (blob.n && !known(seen, key) && !store_fake_get(f, key, ""))
        return err_set(err, ERR_UNAVAILABLE, "MISSING blob %.*s", STR_ARG(blob));
    return OK;
}

static enum status check_all(const struct store_fake *f, struct mp all, uint32_t n, struct err *err)
{
    struct seen seen = { 0 };
    struct op op;
    enum status st = OK;
    for (uint32_t i = 0; st == OK && i < n; i++) {
        char key[KEY_SIZE];
        if (!next_op(&all, &op) || !strchr("jdxbepsr", op.kind))
            st = err_set(err, ERR_UNAVAILABLE, "UNKNOWN operation");
        else if (op.kind == 'j')
            st = check_record(f, &op, &seen, err);
        else if (op.kind == 'b') {
            snprintf(key, sizeof key, "b:%s", op.id);
            note(&seen, key, (struct str){ 0 });
        }
    }
    free(seen.v);
    return st;
}

static void set_number(struct store_fake *f, const char *key, const char *field, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, v);
    set(f, key, field, str_of(text));
}

static void write_record(struct store_fake *f, struct op *op)
{
    char key[KEY_SIZE];
    struct buf value;
    str_next(&op->in);
    struct str version = str_next(&op->in), record = str_next(&op->in);
    buf_init(&value, BATCH_MAX);
    buf_view(&value, version);
    buf_view(&value, record);
    snprintf(key, sizeof key, "j:%s", op->id);
    set(f, key, "", buf_get(&value));
    buf_fini(&value);
    for (uint32_t n = list_next(&op->in); n >= 2; n -= 2) {
        struct str index = str_next(&op->in);
        snprintf(key, sizeof key, "x:%.*s", STR_ARG(index));
        set_number(f, key, op->id, int_next(&op->in));
    }
    for (uint32_t n = list_next(&op->in); n > 0; n--) {
        struct str index = str_next(&op->in);
        snprintf(key, sizeof key, "x:%.*s", STR_ARG(index));
        unset(f, key, op->id);
    }
    struct str blob = str_next(&op->in);
    snprintf(key, sizeof key, "w:%.*s", STR_ARG(blob));
    if (blob.n)
        set(f, key, op->id, (struct str){ 0 });
}

static void drop_blob(struct store_fake *f, const char *hex)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "b:%s", hex);
    unset(f, key, "");
    unset(f, "blobs", hex);
}

static void write_remove(struct store_fake *f, struct op *op)
{
    char key[KEY_SIZE], hex[HASH_HEX + 1];
    snprintf(key, sizeof key, "j:%s", op->id);
    unset_all(f, key);
    snprintf(key, sizeof key, "d:%s", op->id);
    unset_all(f, key);
    for (uint32_t n = list_next(&op->in); n > 0; n--) {
        struct str index = str_next(&op->in);
        snprintf(key, sizeof key, "x:%.*s", STR_ARG(index));
        unset(f, key, op->id);
    }
    struct str blob = str_next(&op->in);
    if (blob.n == 0)
        return;
    copy(hex, sizeof hex, blob);
    snprintf(key, sizeof key, "w:%s", hex);
    unset(f, key, op->id);
    if (count_of(f, key) == 0)
        drop_blob(f, hex);
}

static void write_sweep(struct store_fake *f, struct op *op)
{
    int64_t before = int_next(&op->in);
    for (size_t at = first_of(f, "blobs"); is_of(f, at, "blobs");) {
        char hex[HASH_HEX + 1], key[KEY_SIZE];
        copy(hex, sizeof hex, str_of(f->cells[at].field));
        if (strtoll(buf_z(&f->cells[at].value), NULL, 10) > before) {
            at++;
            continue;
        }
        snprintf(key, sizeof key, "w:%s", hex);
        if (count_of(f, key) == 0)
            drop_blob(f, hex);
        unset(f, "blobs", hex);
        at = first_of(f, "blobs");
    }
}

static void write_fields(struct store_fake *f, struct op *op)
{
    char key[KEY_SIZE], field[KEY_SIZE];
    snprintf(key, sizeof key, "d:%s", op->id);
    struct str name = str_next(&op->in);
    copy(field, sizeof field, name);
    if (op->kind == 'd') {
        set(f, key, field, str_next(&op->in));
        return;
    }
    for (int64_t n = int_next(&op->in); n > 0; n--) {
        snprintf(field, sizeof field, "%.*s%" PRId64, STR_ARG(name), n);
        unset(f, key, field);
    }
}

static void write_one(struct store_fake *f, struct op *op)
{
    char key[KEY_SIZE];
    if (op->kind == 'j') {
        write_record(f, op);
    } else if (op->kind == 'd' || op->kind == 'x') {
        write_fields(f, op);
    } else if (op->kind == 'r') {
        write_remove(f, op);
    } else if (op->kind == 's') {
        write_sweep(f, op);
    } else if (op->kind == 'b') {
        struct str bytes = str_next(&op->in);
        snprintf(key, sizeof key, "b:%s", op->id);
        if (!store_fake_get(f, key, ""))
            set(f, key, "", bytes);
        set_number(f, "blobs", op->id, int_next(&op->in));
    } else {
        set(f, op->kind == 'e' ? "e" : "pipelines", op->id, str_next(&op->in));
    }
}

enum status store_fake_commit(struct store_fake *f, const struct epoch *epoch, uint64_t turn,
                              struct str batch, struct err *err)
{
    char digest[17];
    struct mp all;
    struct op op;
    batch_digest(batch, digest);
    if (epoch->generation != f->epoch.generation || epoch->incarnation != f->epoch.incarnation)
        return err_set(err, ERR_DENIED, "another broker leads: %s", f->holder);
    if (turn == f->turn && strcmp(digest, f->digest) == 0)
        return OK; /* said again: it is done */
    if (turn != f->turn + 1)
        return err_set(err, ERR_UNAVAILABLE, "GAP turn %" PRIu64 " after %" PRIu64, turn, f->turn);
    mp_init(&all, batch);
    uint32_t n = list_next(&all);
    enum status st = check_all(f, all, n, err);
    if (st != OK)
        return st;
    for (uint32_t i = 0; i < n && next_op(&all, &op); i++)
        write_one(f, &op);
    f->turn = turn;
    memcpy(f->digest, digest, sizeof digest);
    return OK;
}

/* ---- store_ops ---------------------------------------------------------------------------- */

static enum status fake_lead(void *self, struct epoch *epoch, struct err *err)
{
    struct store_fake *f = self;
    if (f->holder[0] && strcmp(f->holder, f->name) != 0)
        return err_set(err, ERR_BUSY, "another broker leads: %s", f->holder);
    uint64_t second = (uint64_t)f->now_ms / 1000, next = f->epoch.generation + 1;
    epoch->generation = next > second ? next : second;
    f->epoch = f->mine = *epoch;
    copy(f->holder, sizeof f->holder, str_of(f->name));
    f->turn = 0;
    f->digest[0] = '\0';
    return OK;
}

static enum status fake_load(void *self, store_load_fn *pipeline, store_load_fn *job, void *ctx,
                             struct err *err)
{
    struct store_fake *f = self;
    enum status st = OK;
    for (size_t at = first_of(f, "pipelines"); st == OK && is_of(f, at, "pipelines"); at++)
        st = pipeline(ctx, buf_get(&f->cells[at].value), err);
    for (size_t at = 0; st == OK && at < f->n; at++) {
        struct str v = buf_get(&f->cells[at].value);
        if (strncmp(f->cells[at].key, "j:", 2) == 0)
            st = job(ctx, (struct str){ v.p + VERSION_DIGITS, v.n - VERSION_DIGITS }, err);
    }
    return st;
}

static enum status fake_commit(void *self, uint64_t turn, struct str batch)
{
    struct store_fake *f = self;
    struct err err = { 0 };
    enum status st = store_fake_commit(f, &f->mine, turn, batch, &err);
    if (f->events.committed)
        f->events.committed(f->events.ctx, st, &err);
    return OK;
}

static struct str value(const struct buf *b)
{
    return b ? buf_get(b) : (struct str){ 0 };
}

static uint32_t get_fields(const struct store_fake *f, const struct store_get *g, struct str *v)
{
    char key[KEY_SIZE], field[KEY_SIZE], id[ID_CHARS + 1];
    id_text(g->id, id);
    snprintf(key, sizeof key, "d:%s", id);
    for (uint32_t i = 0; i < g->names_n; i++) {
        copy(field, sizeof field, g->names[i]);
        v[i] = value(store_fake_get(f, key, field));
    }
    return g->names_n;
}

static uint32_t get_events(const struct store_fake *f, const struct store_get *g, struct str *v)
{
    uint32_t n = 0;
    struct str after = g->kind == GET_EVENTS && g->names_n ? g->names[0] : (struct str){ 0 };
    uint32_t limit = g->kind == GET_OLDEST ? 1 : g->limit;
    for (size_t at = first_of(f, "e"); is_of(f, at, "e") && n < 2 * limit; at++) {
        if (after.n && event_id_compare(str_of(f->cells[at].field), after) <= 0)
            continue;
        v[n++] = str_of(f->cells[at].field);
        v[n++] = buf_get(&f->cells[at].value);
    }
    return n;
}

static enum status fake_get(void *self, const struct store_get *g, store_get_fn *fn, void *ctx)
{
    struct store_fake *f = self;
    struct str *v = calloc(VALUES_MAX, sizeof *v);
    char key[KEY_SIZE], id[ID_CHARS + 1];
    uint32_t n = 1;
    assert(v);
    id_text(g->id, id);
    if (g->kind == GET_FIELDS) {
        n = get_fields(f, g, v);
    } else if (g->kind == GET_EVENTS || g->kind == GET_OLDEST) {
        n = get_events(f, g, v);
    } else if (g->kind == GET_RECORD) {
        snprintf(key, sizeof key, "j:%s", id);
        v[0] = value(store_fake_get(f, key, ""));
        if (v[0].n >= VERSION_DIGITS)
            v[0] = (struct str){ v[0].p + VERSION_DIGITS, v[0].n - VERSION_DIGITS };
    } else if (g->kind == GET_BLOB || g->kind == GET_HAS) {
        snprintf(key, sizeof key, "b:%.*s", STR_ARG(g->names[0]));
        const struct buf *b = store_fake_get(f, key, "");
        v[0] = g->kind == GET_BLOB ? value(b) : str_of(b ? "1" : "0");
    } else {
        n = 0; /* pages, names and info are for people, who have the real one */
    }
    fn(ctx, OK, v, n);
    free(v);
    return OK;
}

static void fake_renew(void *self)
{
    (void)self;
}

static void fake_resign(void *self)
{
    struct store_fake *f = self;
    f->holder[0] = '\0';
}

void store_fake_init(struct store_fake *f, const char *name, const struct store_events *events)
{
    *f = (struct store_fake){ .name = name };
    if (events)
        f->events = *events;
}

void store_fake_fini(struct store_fake *f)
{
    while (f->n)
        unset_at(f, f->n - 1);
    free(f->cells);
    f->cells = NULL;
}

struct store store_fake_ops(struct store_fake *f)
{
    static const struct store_ops ops = { .lead = fake_lead,
                                          .load = fake_load,
                                          .commit = fake_commit,
                                          .get = fake_get,
                                          .renew = fake_renew,
                                          .resign = fake_resign };
    return (struct store){ &ops, f };
}
