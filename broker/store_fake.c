/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/store_fake.h"

#include "common/mp.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 256 };

/* ---- cells -------------------------------------------------------------------------------- */

static uint64_t hash_name(const char *z)
{
    uint64_t v = 0xcbf29ce484222325u;
    for (; *z; z++)
        v = (v ^ (unsigned char)*z) * 0x100000001b3u;
    return v ^ v >> 32;
}

static bool grow_keys(struct store_fake *f)
{
    size_t cap = f->cap ? f->cap * 2 : 256;
    struct fake_key **wider = calloc(cap, sizeof *wider);
    if (!wider)
        return false;
    for (size_t i = 0; i < f->cap; i++) {
        if (!f->keys[i])
            continue;
        size_t at = f->keys[i]->hash & (cap - 1);
        while (wider[at])
            at = (at + 1) & (cap - 1);
        wider[at] = f->keys[i];
    }
    free(f->keys);
    f->keys = wider;
    f->cap = cap;
    return true;
}

/* A key that lost its last cell stays, empty: it is as good as absent. */
static struct fake_key *find_key(struct store_fake *f, const char *name, bool make)
{
    if (make && (f->len + 1) * 2 > f->cap && !grow_keys(f))
        abort();
    uint64_t hash = hash_name(name);
    size_t at = f->cap ? hash & (f->cap - 1) : 0;
    while (f->cap && f->keys[at]) {
        if (f->keys[at]->hash == hash && strcmp(f->keys[at]->name, name) == 0)
            return f->keys[at];
        at = (at + 1) & (f->cap - 1);
    }
    if (!make)
        return NULL;
    struct fake_key *k = calloc(1, sizeof *k);
    assert(k);
    *k = (struct fake_key){ .name = strdup(name), .hash = hash, .events = strcmp(name, "e") == 0 };
    assert(k->name);
    f->keys[at] = k;
    f->len++;
    return k;
}

static const struct fake_key *look(const struct store_fake *f, const char *name)
{
    return find_key((struct store_fake *)(uintptr_t)f, name, false); /* changes nothing */
}

/* Event ids are ordered by their numbers, everything else by its bytes. */
static int field_compare(const struct fake_key *k, const char *a, const char *b)
{
    if (!k->events)
        return strcmp(a, b);
    char *rest_a, *rest_b;
    uint64_t x = strtoull(a, &rest_a, 10), y = strtoull(b, &rest_b, 10);
    if (x == y && *rest_a && *rest_b) {
        x = strtoull(rest_a + 1, NULL, 10);
        y = strtoull(rest_b + 1, NULL, 10);
    }
    return x == y ? 0 : x > y ? 1 : -1;
}

/* The first cell that does not come before the field. What is new mostly comes last. */
static size_t place(const struct fake_key *k, const char *field, bool *found)
{
    size_t low = 0, high = k->n;
    *found = false;
    if (k->n && field_compare(k, k->cells[k->n - 1].field, field) < 0)
        return k->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (field_compare(k, k->cells[mid].field, field) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < k->n && field_compare(k, k->cells[low].field, field) == 0;
    return low;
}

const struct buf *store_fake_get(const struct store_fake *f, const char *key, const char *field)
{
    bool found;
    const struct fake_key *k = look(f, key);
    size_t at = k ? place(k, field, &found) : 0;
    return k && found ? &k->cells[at].value : NULL;
}

static void changed(struct store_fake *f, const char *key, const char *field, struct str value)
{
    if (f->changed)
        f->changed(f->changed_ctx, key, field, value);
}

static void set(struct store_fake *f, const char *key, const char *field, struct str value)
{
    bool found;
    struct fake_key *k = find_key(f, key, true);
    size_t at = place(k, field, &found);
    if (!found) {
        if (k->n == k->cap) {
            k->cap = k->cap ? k->cap * 2 : 4;
            k->cells = realloc(k->cells, k->cap * sizeof *k->cells);
            assert(k->cells);
        }
        memmove(k->cells + at + 1, k->cells + at, (k->n - at) * sizeof *k->cells);
        k->n++;
        k->cells[at] = (struct fake_cell){ strdup(field), { 0 } };
        assert(k->cells[at].field);
        buf_init(&k->cells[at].value, BATCH_MAX);
    }
    buf_clear(&k->cells[at].value);
    buf_view(&k->cells[at].value, value);
    changed(f, key, field, (struct str){ value.p ? value.p : "", value.n });
}

static void unset_at(struct store_fake *f, struct fake_key *k, size_t at)
{
    struct fake_cell gone = k->cells[at];
    memmove(k->cells + at, k->cells + at + 1, (k->n - at - 1) * sizeof *k->cells);
    k->n--;
    changed(f, k->name, gone.field, (struct str){ 0 });
    free(gone.field);
    buf_fini(&gone.value);
}

static void unset(struct store_fake *f, const char *key, const char *field)
{
    bool found;
    struct fake_key *k = find_key(f, key, false);
    size_t at = k ? place(k, field, &found) : 0;
    if (k && found)
        unset_at(f, k, at);
}

static void unset_all(struct store_fake *f, const char *key)
{
    struct fake_key *k = find_key(f, key, false);
    while (k && k->n)
        unset_at(f, k, k->n - 1);
}

static bool there(const struct store_fake *f, const char *key)
{
    const struct fake_key *k = look(f, key);
    return k && (k->n || k->alien);
}

void store_fake_each(const struct store_fake *f, store_fake_fn *fn, void *ctx)
{
    for (size_t i = 0; i < f->cap; i++) {
        const struct fake_key *k = f->keys[i];
        for (size_t at = 0; k && at < k->n; at++)
            fn(ctx, k->name, k->cells[at].field, buf_get(&k->cells[at].value));
    }
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
    op->kind = kind.n == 1 ? kind.p[0] : '?';
    if (op->kind == 's')
        op->id[0] = '\0';
    else
        copy(op->id, sizeof op->id, str_next(&op->in));
    return true;
}

/* Versions, blobs and events that earlier operations of the batch will have made. */
struct seen {
    struct {
        char id[KEY_SIZE], version[EVENT_ID_MAX];
    } * v;
    size_t n;
};

static void note(struct seen *s, const char *id, struct str version)
{
    s->v = realloc(s->v, (s->n + 1) * sizeof *s->v);
    assert(s->v);
    copy(s->v[s->n].id, sizeof s->v[s->n].id, str_of(id));
    copy(s->v[s->n++].version, EVENT_ID_MAX, version);
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

static enum status refuse(struct err *err, const char *code, const char *what)
{
    return err_set(err, ERR_UNAVAILABLE, "%s %s", code, what);
}

static enum status typed(const struct store_fake *f, const char *what, struct str name,
                         struct err *err)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "%s%.*s", what, STR_ARG(name));
    const struct fake_key *k = look(f, key);
    return k && k->alien ? refuse(err, "TYPE", key) : OK;
}

static enum status typed_indexes(const struct store_fake *f, struct mp *in, bool scores,
                                 struct err *err)
{
    enum status st = OK;
    for (uint32_t n = list_next(in); st == OK && n > 0; n -= scores ? 2 : 1) {
        st = typed(f, "x:", str_next(in), err);
        if (scores)
            int_next(in);
    }
    return st;
}

static enum status check_record(const struct store_fake *f, struct op *op, struct seen *seen,
                                struct err *err)
{
    char have[VERSION_DIGITS + 1], key[KEY_SIZE], mine[KEY_SIZE];
    snprintf(mine, sizeof mine, "v:%s", op->id);
    const char *earlier = known(seen, mine);
    if (!earlier && typed(f, "j:", str_of(op->id), err) != OK)
        return err->status;
    version_of(f, op->id, have);
    if (earlier)
        copy(have, sizeof have, str_of(earlier));
    struct str expect = str_next(&op->in), version = str_next(&op->in);
    version.n = version.n < VERSION_DIGITS ? version.n : VERSION_DIGITS;
    if (!str_is(expect, have))
        return err_set(err, ERR_UNAVAILABLE, "CONFLICT job %s has version %s, not %.*s", op->id,
                       have, STR_ARG(expect));
    note(seen, mine, version);
    struct mp indexes = op->in;
    struct str skipped;
    if (mp_skip(&op->in, &skipped) != OK || mp_skip(&op->in, &skipped) != OK)
        return refuse(err, "MALFORMED", "operation j");
    struct str blob = str_next(&op->in);
    snprintf(key, sizeof key, "b:%.*s", STR_ARG(blob));
    const struct fake_key *k = look(f, key);
    if (blob.n && !known(seen, key) && !(k && k->n))
        return err_set(err, ERR_UNAVAILABLE, "MISSING blob %.*s", STR_ARG(blob));
    enum status st = typed_indexes(f, &indexes, true, err);
    if (st == OK)
        st = typed_indexes(f, &indexes, false, err);
    return st == OK && blob.n ? typed(f, "w:", blob, err) : st;
}

/* The id of another event of the same generation. */
static void event_number(const char *id, uint64_t number, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%.*s-%" PRIu64, (int)strcspn(id, "-"), id, number);
}

static enum status check_event(const struct store_fake *f, struct op *op, struct seen *seen,
                               struct err *err)
{
    static const struct fake_key ids = { .events = true };
    char first[KEY_SIZE];
    uint32_t n = list_next(&op->in);
    const struct fake_key *k = look(f, "e");
    const char *last = known(seen, "last event"), *dash = strchr(op->id, '-');
    if (typed(f, "e", str_of(""), err) != OK)
        return err->status;
    size_t a = dash ? strspn(op->id, "0123456789") : 0,
           b = dash ? strspn(dash + 1, "0123456789") : 0;
    if (!dash || a == 0 || a > 19 || b == 0 || b > 15 || op->id + a != dash || dash[1 + b] ||
        op->id[0] == '0' || (b > 1 && dash[1] == '0') || n == 0 || n > 1000)
        return refuse(err, "MALFORMED", "event id");
    if (!last)
        last = k && k->n ? k->cells[k->n - 1].field : "0-0";
    uint64_t newest = strtoull(dash + 1, NULL, 10);
    if (newest + 1 < n)
        return refuse(err, "ORDER", op->id);
    event_number(op->id, newest + 1 - n, first);
    if (field_compare(&ids, first, last) <= 0)
        return refuse(err, "ORDER", op->id);
    note(seen, "last event", str_of(op->id));
    return OK;
}

static enum status check_remove(const struct store_fake *f, struct op *op, struct seen *seen,
                                struct err *err)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "v:%s", op->id);
    note(seen, key, (struct str){ 0 });
    enum status st = typed_indexes(f, &op->in, false, err);
    struct str blob = str_next(&op->in);
    if (st == OK && blob.n)
        st = typed(f, "w:", blob, err);
    return st == OK && blob.n ? typed(f, "blobs", str_of(""), err) : st;
}

static enum status check_one(const struct store_fake *f, struct op *op, struct seen *seen,
                             struct err *err)
{
    char key[KEY_SIZE];
    switch (op->kind) {
    case 'j': return check_record(f, op, seen, err);
    case 'e': return check_event(f, op, seen, err);
    case 'r': return check_remove(f, op, seen, err);
    case 'd':
    case 'x': return typed(f, "d:", str_of(op->id), err);
    case 'p': return typed(f, "pipelines", str_of(""), err);
    case 'b':
        snprintf(key, sizeof key, "b:%s", op->id);
        note(seen, key, (struct str){ 0 });
        return typed(f, "blobs", str_of(""), err);
    default: return typed(f, "blobs", str_of(""), err);
    }
}

static enum status check_all(const struct store_fake *f, struct mp all, uint32_t n, struct err *err)
{
    struct seen seen = { 0 };
    struct op op;
    enum status st = OK;
    for (uint32_t i = 0; st == OK && i < n; i++) {
        const unsigned char *from = all.p + all.at;
        size_t at = all.at;
        bool whole = next_op(&all, &op);
        const char *shape = whole ? op_shape(op.kind) : NULL;
        if (!shape)
            st = refuse(err, "UNKNOWN", "operation");
        else if (!op_fits((struct str){ (const char *)from, all.at - at }, shape))
            st = refuse(err, "MALFORMED", "operation");
        else if (strchr(f->denied, op.kind))
            st = refuse(err, "NOPERM", "operation");
        else
            st = check_one(f, &op, &seen, err);
    }
    free(seen.v);
    return st;
}

void store_fake_alien(struct store_fake *f, const char *key, bool alien)
{
    find_key(f, key, true)->alien = alien;
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
    str_next(&op->in);
    snprintf(key, sizeof key, "j:%s", op->id);
    set(f, key, "", str_next(&op->in));
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
    if (!there(f, key))
        drop_blob(f, hex);
}

/* The oldest blob that came before; NULL: none. Of equals, the first by name. */
static const struct fake_cell *oldest(const struct fake_key *k, int64_t before)
{
    const struct fake_cell *best = NULL;
    int64_t at = before;
    for (size_t i = 0; i < k->n; i++) {
        int64_t came = strtoll(buf_z(&k->cells[i].value), NULL, 10);
        if (came < at || (came == at && !best)) {
            best = &k->cells[i];
            at = came;
        }
    }
    return best;
}

static void write_sweep(struct store_fake *f, struct op *op)
{
    int64_t before = int_next(&op->in);
    struct fake_key *k = find_key(f, "blobs", false);
    const struct fake_cell *cell;
    for (int n = 0; k && n < 100 && (cell = oldest(k, before)) != NULL; n++) {
        char hex[HASH_HEX + 1], key[KEY_SIZE];
        copy(hex, sizeof hex, str_of(cell->field));
        snprintf(key, sizeof key, "w:%s", hex);
        if (!there(f, key))
            drop_blob(f, hex);
        unset(f, "blobs", hex);
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

static void write_events(struct store_fake *f, struct op *op)
{
    char id[KEY_SIZE];
    uint32_t n = list_next(&op->in);
    uint64_t first = strtoull(strchr(op->id, '-') + 1, NULL, 10) + 1 - n;
    for (uint32_t i = 0; i < n; i++) {
        event_number(op->id, first + i, id);
        set(f, "e", id, str_next(&op->in));
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
    } else if (op->kind == 'e') {
        write_events(f, op);
    } else {
        set(f, "pipelines", op->id, str_next(&op->in));
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
        return err_set(err, ERR_DENIED, "FENCED another broker leads: %s", f->holder);
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

enum status store_fake_lead(struct store_fake *f, const char *name, struct epoch *epoch,
                            struct err *err)
{
    if (f->holder[0] && strcmp(f->holder, name) != 0)
        return err_set(err, ERR_BUSY, "another broker leads: %s", f->holder);
    uint64_t second = (uint64_t)f->now_ms / 1000, next = f->epoch.generation + 1;
    epoch->generation = next > second ? next : second;
    f->epoch = *epoch;
    copy(f->holder, sizeof f->holder, str_of(name));
    f->turn = 0;
    f->digest[0] = '\0';
    return OK;
}

static enum status fake_lead(void *self, struct epoch *epoch, struct err *err)
{
    struct store_fake *f = self;
    enum status st = store_fake_lead(f, f->name, epoch, err);
    if (st == OK)
        f->mine = *epoch;
    return st;
}

enum status store_fake_load(const struct store_fake *f, store_load_fn *pipeline, store_load_fn *job,
                            void *ctx, struct err *err)
{
    const struct fake_key *p = look(f, "pipelines");
    enum status st = OK;
    for (size_t at = 0; st == OK && p && at < p->n; at++)
        st = pipeline(ctx, buf_get(&p->cells[at].value), err);
    for (size_t i = 0; st == OK && i < f->cap; i++) {
        const struct fake_key *k = f->keys[i];
        if (!k || k->n == 0 || strncmp(k->name, "j:", 2) != 0)
            continue;
        struct str v = buf_get(&k->cells[0].value);
        st = job(ctx, (struct str){ v.p + VERSION_DIGITS, v.n - VERSION_DIGITS }, err);
    }
    return st;
}

static enum status fake_load(void *self, store_load_fn *pipeline, store_load_fn *job, void *ctx,
                             struct err *err)
{
    return store_fake_load(self, pipeline, job, ctx, err);
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
    const struct fake_key *k = look(f, "e");
    for (size_t at = 0; k && at < k->n && n < 2 * limit; at++) {
        if (after.n && event_id_compare(str_of(k->cells[at].field), after) <= 0)
            continue;
        v[n++] = str_of(k->cells[at].field);
        v[n++] = buf_get(&k->cells[at].value);
    }
    return n;
}

static enum status fake_get(void *self, const struct store_get *g, store_get_fn *fn, void *ctx)
{
    return store_fake_read(self, g, fn, ctx);
}

enum status store_fake_read(const struct store_fake *f, const struct store_get *g, store_get_fn *fn,
                            void *ctx)
{
    uint32_t most = g->names_n > 2 * g->limit ? g->names_n : 2 * g->limit;
    struct str *v = calloc(most + 2, sizeof *v);
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

static enum status fake_confirm(void *self, struct err *err)
{
    struct store_fake *f = self;
    if (f->mine.generation == f->epoch.generation && f->mine.incarnation == f->epoch.incarnation)
        return OK;
    return err_set(err, ERR_DENIED, "another broker leads: %s", f->holder);
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
    f->changed = NULL;
    for (size_t i = 0; i < f->cap; i++) {
        struct fake_key *k = f->keys[i];
        while (k && k->n)
            unset_at(f, k, k->n - 1);
        free(k ? k->cells : NULL);
        free(k ? k->name : NULL);
        free(k);
    }
    free(f->keys);
    *f = (struct store_fake){ .name = f->name };
}

static void copy_cell(void *ctx, const char *key, const char *field, struct str value)
{
    set(ctx, key, field, value);
}

void store_fake_copy(struct store_fake *to, const struct store_fake *from)
{
    store_fake_each(from, copy_cell, to);
    to->epoch = from->epoch;
    to->turn = from->turn;
    memcpy(to->holder, from->holder, sizeof to->holder);
    memcpy(to->digest, from->digest, sizeof to->digest);
}

struct store store_fake_ops(struct store_fake *f)
{
    static const struct store_ops ops = { .lead = fake_lead,
                                          .load = fake_load,
                                          .commit = fake_commit,
                                          .get = fake_get,
                                          .renew = fake_renew,
                                          .confirm = fake_confirm,
                                          .resign = fake_resign };
    return (struct store){ &ops, f };
}
