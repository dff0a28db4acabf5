/* SPDX-License-Identifier: Apache-2.0 */
/* The store in Redis against its twin in memory, on the same random trace: the same answers, the
 * same content. */
#include "both.h"

#include "common/mp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t chance(struct both *b, uint32_t n)
{
    b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(b->seed >> 33) % n;
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
    snprintf(full, sizeof full, BOTH_PREFIX "%s", key);
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
    both_wait(b);
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
            assert_int_equal(store_fake_commit(&b->fake, &b->fake_epoch, turn, bytes, &err), OK);
            assert_int_equal(b->store.ops->commit(b->store.self, turn, bytes), OK);
            both_wait(b);
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
            both_same_content(b);
    }
    both_same_content(b);
    both_lead(b); /* and under the next epoch */
    for (int i = 0; i < 100; i++)
        one_batch(b);
    both_same_content(b);
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
    both_lead(b);
    side(b, "CONFIG", "SET", "maxmemory", "0");
    both_same_content(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_TEST(the_same_trace_gives_the_same_content),
        BOTH_TEST(out_of_memory_refuses_no_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
