/* SPDX-License-Identifier: Apache-2.0 */
#include "both.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = BOTH_PREFIX;

static void on_committed(void *ctx, enum status st, const struct err *err)
{
    struct both *b = ctx;
    b->answers++;
    b->last = st;
    snprintf(b->text, sizeof b->text, "%.250s", err->text);
}

static void on_lost(void *ctx, const struct err *err)
{
    struct both *b = ctx;
    b->lost = true;
    snprintf(b->text, sizeof b->text, "%.250s", err->text);
}

static enum status ignore(void *ctx, struct str bytes, struct err *err)
{
    int *n = ctx;
    (void)bytes;
    (void)err;
    ++*n;
    return OK;
}

struct store_redis *both_open(struct both *b, const char *name)
{
    struct err err = { 0 };
    struct store_redis_conf conf = { b->rig.redis_url, prefix, name, NULL, 0 };
    struct store_events events = { .ctx = b, .committed = on_committed, .lost = on_lost };
    struct store_redis *s = store_redis_new(&conf, b->mux, &events, &err);
    assert_non_null(s);
    return s;
}

void both_lead(struct both *b)
{
    struct err err = { 0 };
    int n = 0;
    b->epoch.incarnation = ++b->seed;
    int64_t until = mono_now().ms + 10000;
    while (b->store.ops->lead(b->store.self, &b->epoch, &err) != OK) { /* loading, for instance */
        if (err.status != ERR_UNAVAILABLE || mono_now().ms > until)
            fail_msg("%s", err.text);
        assert_int_equal(mux_turn(b->mux, 10, &err), OK);
    }
    assert_int_equal(b->store.ops->load(b->store.self, ignore, ignore, &n, &err), OK);
    struct store f = store_fake_ops(&b->fake);
    b->fake_epoch.incarnation = b->epoch.incarnation;
    assert_int_equal(f.ops->lead(f.self, &b->fake_epoch, &err), OK);
    /* the two give their own generations; events carry Redis's */
    b->turn = 0;
}

int both_setup(void **s)
{
    struct both *b = calloc(1, sizeof *b);
    struct err err = { 0 };
    rig_open(&b->rig);
    rig_redis_start(&b->rig);
    b->mux = mux_new(&err);
    b->seed = 42;
    store_fake_init(&b->fake, "here", NULL);
    b->redis = both_open(b, "ipc:///here");
    b->store = store_redis_ops(b->redis);
    both_lead(b);
    *s = b;
    return 0;
}

int both_teardown(void **s)
{
    struct both *b = *s;
    store_redis_free(b->redis);
    redis_conn_close(b->side);
    mux_free(b->mux);
    store_fake_fini(&b->fake);
    rig_close(&b->rig);
    free(b);
    return 0;
}

void both_wait(struct both *b)
{
    struct err err = { 0 };
    int before = b->answers;
    for (int64_t until = mono_now().ms + 10000; b->answers == before;) {
        assert_true(mono_now().ms < until);
        assert_int_equal(mux_turn(b->mux, 100, &err), OK);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct lines {
    char **v;
    size_t n;
};

static void add_line(struct lines *l, const char *key, const char *field, struct str value)
{
    struct buf b;
    char digest[17];
    batch_digest(value, digest);
    buf_init(&b, 4096);
    buf_printf(&b, "%s|%s|%zu|%s", key, field, value.n, digest);
    l->v = realloc(l->v, (l->n + 1) * sizeof *l->v);
    l->v[l->n++] = strdup(buf_z(&b));
    buf_fini(&b);
}

static void free_lines(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
}

static void dump_cell(void *ctx, const char *key, const char *field, struct str value)
{
    add_line(ctx, key, field, value);
}

static void dump_fake(const struct store_fake *f, struct lines *l)
{
    store_fake_each(f, dump_cell, l);
}

static struct str reply_str(const redisReply *r)
{
    return (struct str){ r->str, r->len };
}

static redisReply *ask(struct redis_conn *c, const char *a, const char *key, const char *x,
                       const char *y)
{
    struct err err = { 0 };
    struct str argv[] = { str_of(a), str_of(key), str_of(x), str_of(y), str_of("WITHSCORES") };
    int n = !key ? 1 : !x ? 2 : !y ? 3 : strcmp(a, "ZRANGE") == 0 ? 5 : 4;
    redisReply *r = redis_conn_ask(c, n, argv, &err);
    assert_non_null(r);
    assert_int_not_equal(r->type, REDIS_REPLY_ERROR);
    return r;
}

/* Events that follow each other, under the id of the last. */
static void dump_entry(const redisReply *r, const char *shown, struct lines *l)
{
    const char *last = r->element[0]->str, *dash = strchr(last, '-');
    const redisReply *fields = r->element[1];
    uint64_t n = fields->elements / 2, first = strtoull(dash + 1, NULL, 10) + 1 - n;
    for (uint64_t i = 0; i < n; i++) {
        char id[EVENT_ID_MAX];
        snprintf(id, sizeof id, "%.*s-%" PRIu64, (int)(dash - last), last, first + i);
        add_line(l, shown, id, reply_str(fields->element[2 * i + 1]));
    }
}

static void dump_key(struct redis_conn *c, const char *key, struct lines *l)
{
    const char *shown = key + strlen(prefix);
    redisReply *type = ask(c, "TYPE", key, NULL, NULL), *r;
    if (strcmp(type->str, "string") == 0) {
        r = ask(c, "GET", key, NULL, NULL);
        add_line(l, shown, "", reply_str(r));
    } else if (strcmp(type->str, "hash") == 0) {
        r = ask(c, "HGETALL", key, NULL, NULL);
        for (size_t i = 0; i + 1 < r->elements; i += 2)
            add_line(l, shown, r->element[i]->str, reply_str(r->element[i + 1]));
    } else if (strcmp(type->str, "zset") == 0) {
        r = ask(c, "ZRANGE", key, "0", "-1");
        for (size_t i = 0; i + 1 < r->elements; i += 2)
            add_line(l, shown, r->element[i]->str, reply_str(r->element[i + 1]));
    } else if (strcmp(type->str, "set") == 0) {
        r = ask(c, "SMEMBERS", key, NULL, NULL);
        for (size_t i = 0; i < r->elements; i++)
            add_line(l, shown, r->element[i]->str, (struct str){ 0 });
    } else {
        r = ask(c, "XRANGE", key, "-", "+");
        for (size_t i = 0; i < r->elements; i++)
            dump_entry(r->element[i], shown, l);
    }
    freeReplyObject(r);
    freeReplyObject(type);
}

static void dump_redis(struct both *b, struct lines *l)
{
    struct redis_url url;
    struct err err = { 0 };
    assert_int_equal(redis_url_parse(b->rig.redis_url, &url, &err), OK);
    struct redis_conn *c = redis_conn_open(&url, &err);
    assert_non_null(c);
    redisReply *keys = ask(c, "KEYS", "*", NULL, NULL);
    for (size_t i = 0; i < keys->elements; i++) {
        const char *key = keys->element[i]->str;
        assert_memory_equal(key, prefix, strlen(prefix));
        if (strcmp(key + strlen(prefix), "lead") != 0 && strcmp(key + strlen(prefix), "lock") != 0)
            dump_key(c, key, l);
    }
    freeReplyObject(keys);
    redis_conn_close(c);
}

void both_same_content(struct both *b)
{
    struct lines a = { 0 }, r = { 0 };
    dump_fake(&b->fake, &a);
    dump_redis(b, &r);
    if (a.n)
        qsort(a.v, a.n, sizeof *a.v, by_text);
    if (r.n)
        qsort(r.v, r.n, sizeof *r.v, by_text);
    for (size_t i = 0; i < a.n || i < r.n; i++) {
        const char *x = i < a.n ? a.v[i] : "(nothing)", *y = i < r.n ? r.v[i] : "(nothing)";
        if (strcmp(x, y) != 0)
            fail_msg("memory has %s, Redis has %s", x, y);
    }
    free_lines(&a);
    free_lines(&r);
}
