/* SPDX-License-Identifier: Apache-2.0 */
/* The store in Redis against its twin in memory, on the same random trace: the same answers, the
 * same content. And what only Redis has: the leader's lease, versions of the functions. */
#include "rig.h"

#include "broker/redis_conn.h"
#include "broker/store_fake.h"
#include "broker/store_redis_in.h"
#include "common/mp.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char prefix[] = "pawl:{s0}:";

struct both {
    struct rig rig;
    struct mux *mux;
    struct store_redis *redis;
    struct store store;
    struct store_fake fake;
    struct epoch epoch, fake_epoch;
    uint64_t turn, events, seed;
    uint64_t versions[16]; /* of the jobs, 0: not there */
    uint32_t ops, refused[9];
    struct redis_conn *side; /* plants what a broker never would */
    int answers;
    bool tame; /* plant nothing */
    enum status last;
    char text[256];
    bool lost;
};

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

static struct store_redis *open_store(struct both *b, const char *name)
{
    struct err err = { 0 };
    struct store_redis_conf conf = { b->rig.redis_url, prefix, name, NULL, 0 };
    struct store_events events = { .ctx = b, .committed = on_committed, .lost = on_lost };
    struct store_redis *s = store_redis_new(&conf, b->mux, &events, &err);
    assert_non_null(s);
    return s;
}

static void lead(struct both *b)
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

static int setup(void **s)
{
    struct both *b = calloc(1, sizeof *b);
    struct err err = { 0 };
    rig_open(&b->rig);
    rig_redis_start(&b->rig);
    b->mux = mux_new(&err);
    b->seed = 42;
    store_fake_init(&b->fake, "here", NULL);
    b->redis = open_store(b, "ipc:///here");
    b->store = store_redis_ops(b->redis);
    lead(b);
    *s = b;
    return 0;
}

static int teardown(void **s)
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

static void wait_answer(struct both *b)
{
    struct err err = { 0 };
    int before = b->answers;
    for (int64_t until = mono_now().ms + 10000; b->answers == before;) {
        assert_true(mono_now().ms < until);
        assert_int_equal(mux_turn(b->mux, 100, &err), OK);
    }
}

static uint32_t chance(struct both *b, uint32_t n)
{
    b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(b->seed >> 33) % n;
}

/* ---- content ------------------------------------------------------------------------------ */

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

static void expect_same_content(struct both *b)
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

/* ---- random batches ----------------------------------------------------------------------- */

static const char *const blobs[] = { "aa", "bb", "cc" };

static void add_record(struct both *b, struct batch *batch, uint64_t versions[16])
{
    uint32_t job = 1 + chance(b, 8);
    uint64_t have = versions[job];
    bool wrong = chance(b, 15) == 0;
    static char bytes[3000];
    memset(bytes, (int)chance(b, 256), sizeof bytes);
    struct fx fx = { .kind = FX_RECORD,
                     .job = job,
                     .expect = wrong ? have + 7 : have,
                     .version = have + 1,
                     .bytes = { bytes, chance(b, sizeof bytes) },
                     .add = chance(b, 64),
                     .del = chance(b, 64),
                     .created_ms = 1700000000000 + job,
                     .changed_ms = 1700000000000 + chance(b, 1000) };
    fx.del &= ~fx.add;
    if (have == 0 && chance(b, 2))
        fx.workspace = str_of(chance(b, 2) ? blobs[chance(b, 3)] : "never there");
    batch_add(batch, &fx, NULL);
    versions[job] = wrong ? have : have + 1;
}

static void add_op(struct both *b, struct batch *batch, uint64_t versions[16])
{
    char field[64], data[2000];
    uint32_t job = 1 + chance(b, 8), what = chance(b, 20);
    memset(data, (int)chance(b, 256), sizeof data);
    snprintf(field, sizeof field, "step/1/1/parse/0#%u", chance(b, 6));
    struct fx doc = { .kind = FX_DOC,
                      .job = job,
                      .field = str_of(field),
                      .bytes = { data, chance(b, sizeof data) } };
    struct fx undoc = {
        .kind = FX_UNDOC, .job = job, .field = str_of("step/1/1/parse/0#0"), .count = 4
    };
    struct fx event = { .kind = FX_EVENT,
                        .job = job,
                        .name = "job.state",
                        .bytes = str_of("\x80"),
                        .project = str_of("p") };
    struct fx forget = { .kind = FX_FORGET, .job = job };
    if (what < 8) {
        add_record(b, batch, versions);
    } else if (what < 12) {
        batch_add(batch, &doc, NULL);
    } else if (what < 13) {
        batch_add(batch, &undoc, NULL);
    } else if (what < 16) {
        batch_add(batch, &event, NULL);
    } else if (what < 18) {
        batch_blob(batch, str_of(blobs[chance(b, 3)]), (struct str){ data, 100 });
    } else if (what == 18) {
        if (chance(b, 2))
            forget.workspace = str_of(blobs[chance(b, 3)]);
        batch_add(batch, &forget, NULL);
        versions[job] = 0;
    } else if (chance(b, 2)) {
        batch_sweep(batch, (int64_t)chance(b, 1000));
    } else {
        batch_pipeline(batch, chance(b, 3) + 1, (struct str){ data, 50 });
    }
}

static const char *const refusals[] = { "CONFLICT", "MISSING", "GAP",    "UNKNOWN",  "FENCED",
                                        "TYPE",     "ORDER",   "NOPERM", "MALFORMED" };

/* Both stores give the same reason. Being fenced is told in another form to people. */
static void count_refusal(struct both *b, const char *text)
{
    size_t i = 0;
    while (i < COUNT(refusals) && strncmp(text, refusals[i], strlen(refusals[i])) != 0)
        i++;
    if (i == COUNT(refusals))
        fail_msg("refused as %s", text);
    bool fenced = strcmp(refusals[i], "FENCED") == 0;
    if (fenced ? b->last != ERR_DENIED : !strstr(b->text, refusals[i]))
        fail_msg("memory: %s; Redis: %s", text, b->text);
    b->refused[i]++;
}

/* ---- what a broker never does, planted ----------------------------------------------------- */

static void side(struct both *b, const char *a, const char *x, const char *y, const char *z)
{
    struct err err = { 0 };
    struct str argv[] = { str_of(a), str_of(x), str_of(y), str_of(z) };
    if (!b->side) {
        struct redis_url url;
        assert_int_equal(redis_url_parse(b->rig.redis_url, &url, &err), OK);
        b->side = redis_conn_open(&url, &err);
        assert_non_null(b->side);
    }
    redisReply *r = redis_conn_ask(b->side, z ? 4 : 3, argv, &err);
    assert_non_null(r);
    if (r->type == REDIS_REPLY_ERROR && !strstr(r->str, "no such key"))
        fail_msg("%s %s: %s", a, x, r->str);
    freeReplyObject(r);
}

/* A key of a wrong type, for one batch. */
static void alien(struct both *b, const char *key, bool on)
{
    char full[128], kept[128];
    snprintf(full, sizeof full, "%s%s", prefix, key);
    snprintf(kept, sizeof kept, "kept:%s", key);
    if (on) {
        side(b, "RENAME", full, kept, NULL);
        if (key[0] == 'j')
            side(b, "LPUSH", full, "a list", NULL);
        else
            side(b, "SET", full, "a string", NULL);
    } else {
        side(b, "DEL", full, full, NULL);
        side(b, "RENAME", kept, full, NULL);
    }
    store_fake_alien(&b->fake, key, on);
}

enum plant {
    PLANT_NOTHING,
    PLANT_UNKNOWN,
    PLANT_MALFORMED,
    PLANT_ORDER,
    PLANT_NOPERM,
    PLANT_TYPE,
    PLANT_FENCED,
    PLANT_GAP
};

static void plant_event(struct both *b, struct batch *batch)
{
    struct fx event = { .kind = FX_EVENT, .job = 3, .name = "job.state", .bytes = str_of("\x80") };
    (void)b;
    batch_add(batch, &event, NULL);
}

/* An operation in which one thing is not what it should be. */
static void plant_malformed(struct both *b, struct batch *batch)
{
    static const char *const bad[] = {
        "\x91\xa1"
        "d", /* nothing after it */
        "\x93\xa1"
        "d\xa1"
        "1\xa1"
        "f", /* one too few */
        "\x94\xa1"
        "d\xa1"
        "1\xa1"
        "f\x07", /* a number for bytes */
        "\x92\xa1"
        "s\xa1"
        "1", /* bytes for a number */
        "\x94\xa1"
        "r\xa1"
        "1\x91\x05\xa0", /* a number in a list of names */
        "\x94\xa1"
        "r\xa1"
        "1\xa1"
        "x\xa0", /* bytes for a list */
        "\x94\xa1"
        "x\xa1"
        "1\xa1"
        "f\xff", /* minus one field */
        "\x97\xa1"
        "j\xa1"
        "1\xa0\xa1"
        "r\x91\xa1"
        "x\x90\xa0", /* an index without score */
        "\x94\xa1"
        "e\xa3"
        "1-x\x91\xa1"
        "e\x01", /* an event's id */
        "\x94\xa1"
        "e\xa3"
        "9-9\x90\x01", /* no events */
        "\x94\xa1"
        "e\xa3"
        "9-9\xa1"
        "e\x01", /* an event for a list of events */
    };
    const char *one = bad[chance(b, COUNT(bad))];
    buf_append(&batch->ops, one, strlen(one));
    batch->n++;
}

static const char *plant_alien(struct both *b, struct batch *batch)
{
    static const char *const keys[] = { "d:", "j:", "x:open", "e", "blobs", "pipelines" };
    static char key[64];
    uint32_t no = chance(b, COUNT(keys));
    char id[ID_CHARS + 1];
    id_text(9, id); /* of no other operation */
    snprintf(key, sizeof key, "%s%s", keys[no], no < 2 ? id : "");
    struct fx record = { .kind = FX_RECORD, .job = 9, .version = 1, .bytes = str_of("r") };
    struct fx doc = { .kind = FX_DOC, .job = 9, .field = str_of("f"), .bytes = str_of("b") };
    if (no == 0)
        batch_add(batch, &doc, NULL);
    record.add = no == 2 ? 2 : 0; /* open */
    if (no == 1 || no == 2)
        batch_add(batch, &record, NULL);
    if (no == 3)
        plant_event(b, batch);
    if (no == 4)
        batch_blob(batch, str_of(blobs[0]), str_of("blob"));
    if (no == 5)
        batch_pipeline(batch, 1, str_of("p"));
    return key;
}

static uint64_t plant(struct both *b, enum plant what, struct batch *batch, const char **key)
{
    uint64_t events = b->events;
    if (what == PLANT_UNKNOWN) { /* what comes before it must not be written */
        mp_array(&batch->ops, 2);
        mp_z(&batch->ops, "?");
        mp_z(&batch->ops, "x");
        batch->n++;
    } else if (what == PLANT_MALFORMED) {
        plant_malformed(b, batch);
    } else if (what == PLANT_ORDER) {
        b->events = chance(b, 2);
        plant_event(b, batch);
        plant_event(b, batch);
        b->events = events;
    } else if (what == PLANT_NOPERM) {
        plant_event(b, batch);
        side(b, "ACL", "SETUSER", "default", "-xadd");
        memcpy(b->fake.denied, "e", 2);
    } else if (what == PLANT_TYPE) {
        *key = plant_alien(b, batch);
        alien(b, *key, true);
    } else if (what == PLANT_FENCED) {
        b->redis->epoch.incarnation++;
        b->fake_epoch.incarnation++;
    }
    return what == PLANT_GAP ? b->turn + 2 + chance(b, 3) : b->turn + 1;
}

static void unplant(struct both *b, enum plant what, const char *key)
{
    if (what == PLANT_NOPERM) {
        side(b, "ACL", "SETUSER", "default", "+xadd");
        b->fake.denied[0] = '\0';
    } else if (what == PLANT_TYPE) {
        alien(b, key, false);
    } else if (what == PLANT_FENCED) {
        b->redis->epoch.incarnation--;
        b->fake_epoch.incarnation--;
    }
}

static void one_batch(struct both *b)
{
    struct batch batch;
    struct str bytes;
    struct err err = { 0 };
    uint64_t versions[16], turn;
    memcpy(versions, b->versions, sizeof versions);
    batch_init(&batch, &b->epoch, &b->events, (int64_t)chance(b, 1000), 1000000);
    for (uint32_t n = 1 + chance(b, 6); n > 0; n--) {
        add_op(b, &batch, versions);
        b->ops++;
    }
    enum plant what =
        b->tame || chance(b, 2) ? PLANT_NOTHING : (enum plant)chance(b, PLANT_GAP + 1);
    const char *key = NULL;
    turn = plant(b, what, &batch, &key);
    for (uint32_t n = chance(b, 3); n > 0; n--) { /* the error is in the middle */
        add_op(b, &batch, versions);
        b->ops++;
    }
    assert_int_equal(batch_encode(&batch, &bytes), OK);
    enum status fake = store_fake_commit(&b->fake, &b->fake_epoch, turn, bytes, &err);
    assert_int_equal(b->store.ops->commit(b->store.self, turn, bytes), OK);
    wait_answer(b);
    unplant(b, what, key);
    if ((fake == OK) != (b->last == OK))
        fail_msg("memory: %s (%s); Redis: %s (%s)", status_name(fake), err.text,
                 status_name(b->last), b->text);
    if (fake != OK)
        count_refusal(b, err.text);
    if (fake == OK) {
        memcpy(b->versions, versions, sizeof versions);
        b->turn = turn;
        if (chance(b, 10) == 0) { /* the identical batch again */
            assert_int_equal(
                store_fake_commit(&b->fake, &b->fake_epoch, turn, bytes, &err), OK);
            assert_int_equal(b->store.ops->commit(b->store.self, turn, bytes), OK);
            wait_answer(b);
            assert_int_equal(b->last, OK);
        }
    }
    batch_fini(&batch);
}

static void the_same_trace_gives_the_same_content(void **s)
{
    struct both *b = *s;
    enum { OPERATIONS = 100000, LOOK_EVERY = 2000, REFUSALS_LEAST = 1000 };
    uint32_t rarest = 0;
    for (uint32_t i = 0; b->ops < OPERATIONS || rarest < REFUSALS_LEAST; i++) {
        assert_true(b->ops < 2 * OPERATIONS); /* a refusal that hardly ever comes is not tested */
        one_batch(b);
        rarest = b->refused[0];
        for (size_t k = 1; k < COUNT(refusals); k++)
            rarest = b->refused[k] < rarest ? b->refused[k] : rarest;
        if (i % LOOK_EVERY == 0)
            expect_same_content(b);
    }
    expect_same_content(b);
    lead(b); /* and under the next epoch */
    for (int i = 0; i < 100; i++)
        one_batch(b);
    expect_same_content(b);
}

/* A commit is never half made for want of memory: it is made whole, above the limit. */
static void out_of_memory_refuses_no_commit(void **s)
{
    struct both *b = *s;
    for (int i = 0; i < 200; i++)
        one_batch(b);
    side(b, "CONFIG", "SET", "maxmemory", "1");
    uint64_t turn = b->turn;
    b->tame = true;
    for (int i = 0; i < 400; i++)
        one_batch(b); /* where memory accepts, Redis does */
    assert_true(b->turn > turn + 50);
    lead(b);
    side(b, "CONFIG", "SET", "maxmemory", "0");
    expect_same_content(b);
}

/* ---- the leader --------------------------------------------------------------------------- */

static void one_leader_at_a_time(void **s)
{
    struct both *b = *s;
    struct err err = { 0 };
    struct epoch other = { .incarnation = 777 };
    struct store_redis *second = open_store(b, "ipc:///there");
    struct store o = store_redis_ops(second);
    uint64_t before = b->epoch.generation;
    assert_int_equal(o.ops->lead(o.self, &other, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "ipc:///here"));
    b->store.ops->resign(b->store.self);
    assert_int_equal(o.ops->lead(o.self, &other, &err), OK);
    assert_true(other.generation > before);
    struct str nothing = { "\x90", 1 };
    assert_int_equal(b->store.ops->commit(b->store.self, b->turn + 1, nothing), OK);
    wait_answer(b);
    assert_int_equal(b->last, ERR_DENIED); /* deposed, and told by whom */
    assert_non_null(strstr(b->text, "ipc:///there"));
    store_redis_free(second);
}

/* The name of a library is made of its text: what bears another text bears another name. */
static void expect_name_of_code(struct redis_conn *c, const char *name)
{
    struct err err = { 0 };
    struct str argv[] = { str_of("FUNCTION"), str_of("LIST"), str_of("LIBRARYNAME"), str_of(name),
                          str_of("WITHCODE") };
    redisReply *r = redis_conn_ask(c, 5, argv, &err);
    struct buf text;
    char hex[HASH_HEX + 1];
    assert_int_equal(r->elements, 1);
    const redisReply *lib = r->element[0];
    const char *at = lib->element[lib->elements - 1]->str, *mark, *own = name + strlen("pawl_");
    buf_init(&text, 1 << 20);
    while ((mark = strstr(at, own)) != NULL) {
        buf_append(&text, at, (size_t)(mark - at));
        buf_str(&text, "@HASH@");
        at = mark + strlen(own);
    }
    buf_str(&text, at);
    struct hash h = hash_of(buf_get(&text));
    hash_hex(&h, hex);
    assert_memory_equal(hex, own, 12);
    buf_fini(&text);
    freeReplyObject(r);
}

static void rule8_store_code_has_a_version(void **s)
{
    struct both *b = *s;
    struct redis_url url;
    struct err err = { 0 };
    assert_int_equal(redis_url_parse(b->rig.redis_url, &url, &err), OK);
    struct redis_conn *c = redis_conn_open(&url, &err);
    struct str other[] = {
        str_of("FUNCTION"), str_of("LOAD"),
        str_of("#!lua name=pawl_other\nredis.register_function('pawl_other_commit', function() "
               "return 1 end)")
    };
    redisReply *r = redis_conn_ask(c, 3, other, &err);
    assert_int_equal(r->type, REDIS_REPLY_STRING);
    freeReplyObject(r);
    lead(b); /* loads its own again: it is there, and the other one stays */
    struct str list[] = { str_of("FUNCTION"), str_of("LIST") };
    r = redis_conn_ask(c, 2, list, &err);
    assert_int_equal(r->elements, 2);
    for (size_t i = 0; i < r->elements; i++) {
        const char *name = r->element[i]->element[1]->str;
        assert_true(strcmp(name, "pawl_other") == 0 || strlen(name) == strlen("pawl_") + 12);
        if (strcmp(name, "pawl_other") != 0)
            expect_name_of_code(c, name);
    }
    freeReplyObject(r);
    redis_conn_close(c);
}

static void a_lost_connection_is_told_once(void **s)
{
    struct both *b = *s;
    struct err err = { 0 };
    struct str nothing = { "\x90", 1 };
    rig_redis_stop(&b->rig, SIGKILL);
    b->store.ops->commit(b->store.self, b->turn + 1, nothing);
    for (int64_t until = mono_now().ms + 10000; !b->lost && mono_now().ms < until;)
        assert_int_equal(mux_turn(b->mux, 100, &err), OK);
    assert_true(b->lost);
    assert_int_equal(b->answers, 0); /* neither accepted nor refused */
    assert_int_equal(b->store.ops->commit(b->store.self, b->turn + 1, nothing), ERR_UNAVAILABLE);
    assert_int_equal(b->store.ops->lead(b->store.self, &b->epoch, &err), ERR_UNAVAILABLE);
    rig_redis_start(&b->rig);
    lead(b);
}

static void addresses(void **s)
{
    struct redis_url u;
    struct err err = { 0 };
    (void)s;
    assert_int_equal(redis_url_parse("unix:///run/redis.sock", &u, &err), OK);
    assert_string_equal(u.path, "/run/redis.sock");
    assert_int_equal(redis_url_parse("redis://me:p@ss@example.org:7000", &u, &err), OK);
    assert_string_equal(u.user, "me");
    assert_string_equal(u.password, "p@ss");
    assert_string_equal(u.host, "example.org");
    assert_int_equal(u.port, 7000);
    assert_null(strstr(u.shown, "p@ss"));
    assert_int_equal(redis_url_parse("redis://:secret@[::1]", &u, &err), OK);
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 6379);
    assert_int_equal(redis_url_parse("redis+sentinel://u:p/@ss@a,b:1,[::1]:2/jobs"
                                     "?sentinel_password=s@?/x",
                                     &u, &err),
                     OK);
    assert_int_equal(u.sentinels_n, 3);
    assert_string_equal(u.sentinels[0].host, "a");
    assert_int_equal(u.sentinels[0].port, 26379);
    assert_int_equal(u.sentinels[1].port, 1);
    assert_string_equal(u.sentinels[2].host, "::1");
    assert_string_equal(u.master, "jobs");
    assert_string_equal(u.password, "p/@ss");
    assert_string_equal(u.sentinel_password, "s@?/x");
    assert_null(strstr(u.shown, "ss@"));
    assert_null(strstr(u.shown, "s@?"));
    assert_int_equal(redis_url_parse("redis://h:1", &u, &err), OK);
    assert_true(redis_url_moved(&u, "MOVED 11097 10.0.0.2:7001"));
    assert_string_equal(u.shown, "redis://10.0.0.2:7001");
    assert_true(redis_url_moved(&u, "MOVED 11097 :7002")); /* the same host */
    assert_string_equal(u.shown, "redis://10.0.0.2:7002");
    assert_false(redis_url_moved(&u, "MOVED 11097 nowhere"));
    assert_false(redis_url_moved(&u, "ERR MOVED 1 h:1"));
    static const char *const bad[] = { "",
                                       "redis://",
                                       "http://x",
                                       "redis://h:0",
                                       "redis://h:99999",
                                       "redis://h:6379/5",
                                       "unix://x",
                                       "redis+sentinel://h",
                                       "redis+sentinel://h/",
                                       "redis+sentinel://h,/jobs",
                                       "redis+sentinel://h/jobs/5",
                                       "redis+sentinel://1,2,3,4,5,6,7,8,9/jobs",
                                       "rediss://h" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(redis_url_parse(bad[i], &u, &err), ERR_CONFIG);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_same_trace_gives_the_same_content),
        TEST(out_of_memory_refuses_no_commit),
        TEST(one_leader_at_a_time),
        TEST(rule8_store_code_has_a_version),
        TEST(a_lost_connection_is_told_once),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
