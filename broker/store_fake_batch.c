/* SPDX-License-Identifier: Apache-2.0 */
/* store_fake_batch: a batch of operations, checked and then written as functions.lua does it. */
#include "broker/store_fake_in.h"

#include "common/mp.h"

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
        fake_text(op->id, sizeof op->id, str_next(&op->in));
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
    fake_text(s->v[s->n].id, sizeof s->v[s->n].id, str_of(id));
    fake_text(s->v[s->n++].version, EVENT_ID_MAX, version);
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
    fake_text(out, VERSION_DIGITS + 1,
              b ? (struct str){ b->data, VERSION_DIGITS } : (struct str){ 0 });
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
    const struct fake_key *k = fake_look(f, key);
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
        fake_text(have, sizeof have, str_of(earlier));
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
    const struct fake_key *k = fake_look(f, key);
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
    const struct fake_key *k = fake_look(f, "e");
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
    if (fake_compare(&ids, first, last) <= 0)
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

static void set_number(struct store_fake *f, const char *key, const char *field, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, v);
    fake_set(f, key, field, str_of(text));
}

static void write_record(struct store_fake *f, struct op *op)
{
    char key[KEY_SIZE];
    str_next(&op->in);
    snprintf(key, sizeof key, "j:%s", op->id);
    fake_set(f, key, "", str_next(&op->in));
    for (uint32_t n = list_next(&op->in); n >= 2; n -= 2) {
        struct str index = str_next(&op->in);
        snprintf(key, sizeof key, "x:%.*s", STR_ARG(index));
        set_number(f, key, op->id, int_next(&op->in));
    }
    for (uint32_t n = list_next(&op->in); n > 0; n--) {
        struct str index = str_next(&op->in);
        snprintf(key, sizeof key, "x:%.*s", STR_ARG(index));
        fake_unset(f, key, op->id);
    }
    struct str blob = str_next(&op->in);
    snprintf(key, sizeof key, "w:%.*s", STR_ARG(blob));
    if (blob.n)
        fake_set(f, key, op->id, (struct str){ 0 });
}

static void drop_blob(struct store_fake *f, const char *hex)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "b:%s", hex);
    fake_unset(f, key, "");
    fake_unset(f, "blobs", hex);
}

static void write_remove(struct store_fake *f, struct op *op)
{
    char key[KEY_SIZE], hex[HASH_HEX + 1];
    snprintf(key, sizeof key, "j:%s", op->id);
    fake_unset_all(f, key);
    snprintf(key, sizeof key, "d:%s", op->id);
    fake_unset_all(f, key);
    for (uint32_t n = list_next(&op->in); n > 0; n--) {
        struct str index = str_next(&op->in);
        snprintf(key, sizeof key, "x:%.*s", STR_ARG(index));
        fake_unset(f, key, op->id);
    }
    struct str blob = str_next(&op->in);
    if (blob.n == 0)
        return;
    fake_text(hex, sizeof hex, blob);
    snprintf(key, sizeof key, "w:%s", hex);
    fake_unset(f, key, op->id);
    if (!fake_there(f, key))
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
    struct fake_key *k = fake_find(f, "blobs", false);
    const struct fake_cell *cell;
    for (int n = 0; k && n < 100 && (cell = oldest(k, before)) != NULL; n++) {
        char hex[HASH_HEX + 1], key[KEY_SIZE];
        fake_text(hex, sizeof hex, str_of(cell->field));
        snprintf(key, sizeof key, "w:%s", hex);
        if (!fake_there(f, key))
            drop_blob(f, hex);
        fake_unset(f, "blobs", hex);
    }
}

static void write_fields(struct store_fake *f, struct op *op)
{
    char key[KEY_SIZE], field[KEY_SIZE];
    snprintf(key, sizeof key, "d:%s", op->id);
    struct str name = str_next(&op->in);
    fake_text(field, sizeof field, name);
    if (op->kind == 'd') {
        fake_set(f, key, field, str_next(&op->in));
        return;
    }
    for (int64_t n = int_next(&op->in); n > 0; n--) {
        snprintf(field, sizeof field, "%.*s%" PRId64, STR_ARG(name), n);
        fake_unset(f, key, field);
    }
}

static void write_events(struct store_fake *f, struct op *op)
{
    char id[KEY_SIZE];
    uint32_t n = list_next(&op->in);
    uint64_t first = strtoull(strchr(op->id, '-') + 1, NULL, 10) + 1 - n;
    for (uint32_t i = 0; i < n; i++) {
        event_number(op->id, first + i, id);
        fake_set(f, "e", id, str_next(&op->in));
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
            fake_set(f, key, "", bytes);
        set_number(f, "blobs", op->id, int_next(&op->in));
    } else if (op->kind == 'e') {
        write_events(f, op);
    } else {
        fake_set(f, "pipelines", op->id, str_next(&op->in));
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
