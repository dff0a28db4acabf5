/* SPDX-License-Identifier: Apache-2.0 */
/* store_fake: what a broker asks of a store. */
#include "broker/store_fake_in.h"

enum status store_fake_lead(struct store_fake *f, const char *name, struct epoch *epoch,
                            struct err *err)
{
    if (f->holder[0] && strcmp(f->holder, name) != 0)
        return err_set(err, ERR_BUSY, "another broker leads: %s", f->holder);
    uint64_t second = (uint64_t)f->now_ms / 1000, next = f->epoch.generation + 1;
    epoch->generation = next > second ? next : second;
    f->epoch = *epoch;
    fake_text(f->holder, sizeof f->holder, str_of(name));
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
    const struct fake_key *p = fake_look(f, "pipelines");
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
        fake_text(field, sizeof field, g->names[i]);
        v[i] = value(store_fake_get(f, key, field));
    }
    return g->names_n;
}

static uint32_t get_events(const struct store_fake *f, const struct store_get *g, struct str *v)
{
    uint32_t n = 0;
    struct str after = g->kind == GET_EVENTS && g->names_n ? g->names[0] : (struct str){ 0 };
    uint32_t limit = g->kind == GET_OLDEST ? 1 : g->limit;
    const struct fake_key *k = fake_look(f, "e");
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
            fake_unset_at(f, k, k->n - 1);
        free(k ? k->cells : NULL);
        free(k ? k->name : NULL);
        free(k);
    }
    free(f->keys);
    *f = (struct store_fake){ .name = f->name };
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
