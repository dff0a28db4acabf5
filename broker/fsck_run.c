/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl-broker --fsck`: read the whole store, compare (fsck.c), tell, repair. It leads while it
 * works, so no broker does; every repair is fenced like a commit. */
#include "broker/fsck.h"
#include "broker/options.h"
#include "broker/store_redis_in.h"
#include "common/js.h"
#include "common/mp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SCAN_PAGE = 1000, JOB_PAGE = 200, ENTRY_PAGE = 2000, REPAIR_PAGE = 500, FIELDS_MOST = 8192 };

struct names { /* of keys, without the prefix */
    char **v;
    size_t n, cap;
};

struct run {
    struct store_redis *s;
    struct fsck *f;
    struct names jobs, blobs, needs, indexes; /* keys that can be read further */
    bool pipelines, blob_list;
    int64_t next_renew_ms;
    const struct broker_options *o;
};

/* ---- asking ------------------------------------------------------------------------------- */

/* A reply that is an error of Redis ends the run: what it says is the reason. */
static redisReply *good_reply(struct run *r, redisReply *reply, struct err *err)
{
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        err_set(err, ERR_UNAVAILABLE, "Redis at %s: %.300s", store_redis_shown(r->s), reply->str);
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

static redisReply *ask(struct run *r, int argc, const struct str *argv, struct err *err)
{
    return good_reply(r, redis_conn_ask(r->s->writer, argc, argv, err), err);
}

static redisReply *next(struct run *r, struct err *err)
{
    return good_reply(r, redis_conn_next(r->s->writer, err), err);
}

static enum status renew(struct run *r, int64_t lease_ms, struct err *err)
{
    char fn[NAME_SIZE], key[KEY_SIZE], gen[21], inc[21], lease[21];
    store_function(r->s, fn, "renew");
    store_key(r->s, key, "lead", "");
    u64_text(gen, r->s->epoch.generation);
    u64_text(inc, r->s->epoch.incarnation);
    u64_text(lease, (uint64_t)lease_ms);
    struct str argv[] = { str_of("FCALL"), str_of(fn),  str_of("1"),          str_of(key),
                          str_of(gen),     str_of(inc), str_of(r->s->holder), str_of(lease) };
    redisReply *reply = ask(r, COUNT(argv), argv, err);
    if (!reply)
        return err->status;
    freeReplyObject(reply);
    return OK;
}

static enum status keep_lead(struct run *r, struct err *err)
{
    int64_t now = mono_now().ms;
    if (now < r->next_renew_ms)
        return OK;
    r->next_renew_ms = now + STORE_RENEW_MS;
    return renew(r, STORE_LEASE_MS, err);
}

static struct str text_of(const redisReply *r)
{
    bool text = r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
    return text ? (struct str){ r->str, r->len } : (struct str){ 0 };
}

static bool add_name(struct names *l, const char *name)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        char **v = realloc(l->v, cap * sizeof *v);
        if (!v)
            return false;
        l->v = v;
        l->cap = cap;
    }
    return (l->v[l->n++] = strdup(name)) != NULL;
}

static void free_names(struct names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct names){ 0 };
}

/* ---- keys --------------------------------------------------------------------------------- */

static enum status sort_key(struct run *r, const char *key, const char *type, struct err *err)
{
    static const char what[] = "jbwx";
    struct names *lists[] = { &r->jobs, &r->blobs, &r->needs, &r->indexes };
    if (!fsck_key(r->f, key, type))
        return OK;
    r->pipelines = r->pipelines || strcmp(key, "pipelines") == 0;
    r->blob_list = r->blob_list || strcmp(key, "blobs") == 0;
    const char *at = key[0] && key[1] == ':' ? strchr(what, key[0]) : NULL;
    if (at && !add_name(lists[at - what], key))
        return err_set(err, ERR_NOMEM, "out of memory");
    return OK;
}

static enum status sort_keys(struct run *r, const redisReply *keys, struct err *err)
{
    size_t skip = strlen(r->s->prefix);
    enum status st = OK;
    for (size_t i = 0; st == OK && i < keys->elements; i++) {
        struct str argv[] = { str_of("TYPE"), text_of(keys->element[i]) };
        st = redis_conn_queue(r->s->writer, 2, argv);
    }
    for (size_t i = 0; st == OK && i < keys->elements; i++) {
        redisReply *type = next(r, err);
        if (!type)
            return err->status;
        const redisReply *key = keys->element[i];
        if (key->len >= skip && strlen(key->str) == key->len)
            st = sort_key(r, key->str + skip, type->str, err);
        freeReplyObject(type);
    }
    return st;
}

static enum status scan_keys(struct run *r, struct err *err)
{
    char cursor[24] = "0", match[80], count[12];
    snprintf(match, sizeof match, "%s*", r->s->prefix);
    snprintf(count, sizeof count, "%d", SCAN_PAGE);
    do {
        struct str argv[] = { str_of("SCAN"), str_of(cursor),  str_of("MATCH"),
                              str_of(match),  str_of("COUNT"), str_of(count) };
        redisReply *page = ask(r, COUNT(argv), argv, err);
        if (!page)
            return err->status;
        enum status st = keep_lead(r, err);
        if (st == OK)
            st = sort_keys(r, page->element[1], err);
        snprintf(cursor, sizeof cursor, "%s", page->element[0]->str);
        freeReplyObject(page);
        if (st != OK)
            return st;
    } while (strcmp(cursor, "0") != 0);
    return OK;
}

/* ---- what they hold ----------------------------------------------------------------------- */

static enum status read_pipelines(struct run *r, struct err *err)
{
    char key[KEY_SIZE];
    store_key(r->s, key, "pipelines", "");
    struct str argv[] = { str_of("HGETALL"), str_of(key) };
    redisReply *all = r->pipelines ? ask(r, 2, argv, err) : NULL;
    if (!all)
        return r->pipelines ? err->status : OK;
    for (size_t i = 0; i + 1 < all->elements; i += 2)
        fsck_pipeline(r->f, text_of(all->element[i]), text_of(all->element[i + 1]));
    freeReplyObject(all);
    return OK;
}

static void tell_record(struct run *r, const char *id, const redisReply *record,
                        const redisReply *fields)
{
    static const struct str none = { "", 0 };
    size_t n = fields->elements < FIELDS_MOST ? fields->elements : FIELDS_MOST;
    struct str *v = calloc(n + 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        v[i] = text_of(fields->element[i]);
    fsck_record(r->f, str_of(id), record->type == REDIS_REPLY_STRING ? text_of(record) : none, v,
                v ? (uint32_t)n : 0);
    free(v);
}

static enum status read_jobs(struct run *r, size_t from, size_t n, struct err *err)
{
    char key[KEY_SIZE];
    enum status st = keep_lead(r, err);
    for (size_t i = from; st == OK && i < from + n; i++) {
        store_key(r->s, key, r->jobs.v[i], "");
        struct str get[] = { str_of("GET"), str_of(key) };
        if ((st = redis_conn_queue(r->s->writer, 2, get)) != OK)
            break;
        store_key(r->s, key, "d:", r->jobs.v[i] + 2);
        struct str fields[] = { str_of("HKEYS"), str_of(key) };
        st = redis_conn_queue(r->s->writer, 2, fields);
    }
    for (size_t i = from; st == OK && i < from + n; i++) {
        redisReply *record = next(r, err), *fields = NULL;
        if (record)
            fields = redis_conn_next(r->s->writer, err); /* of a wrong type: no fields, told */
        if (fields)
            tell_record(r, r->jobs.v[i] + 2, record, fields);
        else
            st = err->status;
        if (record)
            freeReplyObject(record);
        if (fields)
            freeReplyObject(fields);
    }
    return st;
}

static enum status read_index(struct run *r, const char *name, struct err *err)
{
    char key[KEY_SIZE], from[21], to[21];
    bool blobs = strcmp(name, "blobs") == 0;
    store_key(r->s, key, name, "");
    for (uint64_t at = 0;; at += ENTRY_PAGE) {
        u64_text(from, at);
        u64_text(to, at + ENTRY_PAGE - 1);
        struct str argv[] = { str_of("ZRANGE"), str_of(key), str_of(from), str_of(to),
                              str_of("WITHSCORES") };
        redisReply *page = keep_lead(r, err) == OK ? ask(r, 5, argv, err) : NULL;
        if (!page)
            return err->status;
        size_t n = page->elements;
        for (size_t i = 0; i + 1 < n; i += 2) {
            int64_t score = (int64_t)strtod(page->element[i + 1]->str, NULL);
            if (blobs)
                fsck_blob_listed(r->f, text_of(page->element[i]));
            else
                fsck_entry(r->f, name + 2, text_of(page->element[i]), score);
        }
        freeReplyObject(page);
        if (n < 2 * (size_t)ENTRY_PAGE)
            return OK;
    }
}

static enum status read_needs(struct run *r, const char *name, struct err *err)
{
    char key[KEY_SIZE], cursor[24] = "0", count[12];
    store_key(r->s, key, name, "");
    snprintf(count, sizeof count, "%d", SCAN_PAGE);
    do {
        struct str argv[] = { str_of("SSCAN"), str_of(key), str_of(cursor), str_of("COUNT"),
                              str_of(count) };
        redisReply *page = keep_lead(r, err) == OK ? ask(r, COUNT(argv), argv, err) : NULL;
        if (!page)
            return err->status;
        for (size_t i = 0; i < page->element[1]->elements; i++)
            fsck_need(r->f, str_of(name + 2), text_of(page->element[1]->element[i]));
        snprintf(cursor, sizeof cursor, "%s", page->element[0]->str);
        freeReplyObject(page);
    } while (strcmp(cursor, "0") != 0);
    return OK;
}

static enum status read_blob(struct run *r, const char *name, struct err *err)
{
    char key[KEY_SIZE], hex[HASH_HEX + 1];
    struct buf plain;
    struct str bytes;
    store_key(r->s, key, name, "");
    struct str argv[] = { str_of("GET"), str_of(key) };
    redisReply *value = keep_lead(r, err) == OK ? ask(r, 2, argv, err) : NULL;
    if (!value)
        return err->status;
    buf_init(&plain, PAWL_WORKSPACE_MAX);
    bool good = frame_plain(text_of(value), PAWL_WORKSPACE_MAX, &plain, &bytes) == OK;
    if (good) {
        struct hash h = hash_of(bytes);
        hash_hex(&h, hex);
    }
    if (!good || strcmp(hex, name + 2) != 0)
        fsck_blob_bad(r->f, str_of(name + 2));
    buf_fini(&plain);
    freeReplyObject(value);
    return OK;
}

static enum status read_all(struct run *r, struct err *err)
{
    enum status st = scan_keys(r, err);
    if (st == OK)
        st = read_pipelines(r, err);
    for (size_t i = 0; st == OK && i < r->jobs.n; i += JOB_PAGE)
        st = read_jobs(r, i, r->jobs.n - i < JOB_PAGE ? r->jobs.n - i : JOB_PAGE, err);
    for (size_t i = 0; st == OK && i < r->indexes.n; i++)
        st = read_index(r, r->indexes.v[i], err);
    if (st == OK && r->blob_list)
        st = read_index(r, "blobs", err);
    for (size_t i = 0; st == OK && i < r->needs.n; i++)
        st = read_needs(r, r->needs.v[i], err);
    for (size_t i = 0; st == OK && i < r->blobs.n; i++)
        st = read_blob(r, r->blobs.v[i], err);
    return st;
}

/* ---- repairing and telling ---------------------------------------------------------------- */

static enum status send_repair(struct run *r, struct buf *ops, uint32_t n, struct err *err)
{
    char fn[NAME_SIZE], key[KEY_SIZE], gen[21], inc[21];
    struct buf batch;
    store_function(r->s, fn, "repair");
    store_key(r->s, key, "lead", "");
    u64_text(gen, r->s->epoch.generation);
    u64_text(inc, r->s->epoch.incarnation);
    buf_init(&batch, BATCH_MAX);
    mp_array(&batch, n);
    buf_view(&batch, buf_get(ops));
    struct str argv[] = { str_of("FCALL"), str_of(fn),  str_of("1"),    str_of(key),
                          str_of(gen),     str_of(inc), buf_get(&batch) };
    redisReply *reply = batch.status == OK ? ask(r, COUNT(argv), argv, err) : NULL;
    buf_fini(&batch);
    buf_clear(ops);
    if (!reply)
        return err->status ? err->status : err_set(err, ERR_NOMEM, "out of memory");
    freeReplyObject(reply);
    return keep_lead(r, err);
}

static enum status repair(struct run *r, const struct finding *v, size_t n, uint64_t *repaired,
                          struct err *err)
{
    struct buf ops;
    uint32_t have = 0;
    enum status st = OK;
    buf_init(&ops, BATCH_MAX);
    for (size_t i = 0; st == OK && i < n; i++) {
        if (v[i].fix != FSCK_NONE) {
            mp_array(&ops, 4);
            mp_z(&ops, fsck_command(v[i].fix));
            mp_z(&ops, v[i].key);
            mp_z(&ops, v[i].member);
            mp_int(&ops, v[i].score);
            have++;
        }
        if (have == REPAIR_PAGE || (i + 1 == n && have)) {
            st = send_repair(r, &ops, have, err);
            *repaired += st == OK ? have : 0;
            have = 0;
        }
    }
    buf_fini(&ops);
    return st;
}

static void print_json(json_t *v)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    if (js_dump(v, &b) == OK)
        puts(buf_z(&b));
    buf_fini(&b);
    json_decref(v);
}

static void tell(const struct run *r, const struct finding *d)
{
    if (!r->o->json) {
        bool done = r->o->repair && d->fix != FSCK_NONE;
        printf("%s: %s; %s\n", d->kind, d->text, done ? "repaired" : fsck_advice(d));
        return;
    }
    json_t *v = json_object();
    js_set_z(v, "kind", d->kind);
    js_set_z(v, "key", d->key);
    js_set_z(v, "member", d->member);
    js_set_z(v, "text", d->text);
    js_set_z(v, "fix", fsck_command(d->fix));
    print_json(v);
}

static void sum_up(const struct run *r, size_t found, uint64_t repaired, size_t left)
{
    struct fsck_counts c = fsck_counts(r->f);
    if (!r->o->json) {
        printf("%" PRIu64 " jobs, %" PRIu64 " documents, %" PRIu64 " blobs, %" PRIu64
               " index entries: %zu differences, %" PRIu64 " repaired, %zu left; %" PRIu64
               " keys set aside under lost:\n",
               c.jobs, c.documents, c.blobs, c.entries, found, repaired, left, c.aside);
        return;
    }
    json_t *v = json_object();
    js_set_int(v, "jobs", (int64_t)c.jobs);
    js_set_int(v, "documents", (int64_t)c.documents);
    js_set_int(v, "blobs", (int64_t)c.blobs);
    js_set_int(v, "entries", (int64_t)c.entries);
    js_set_int(v, "aside", (int64_t)c.aside);
    js_set_int(v, "found", (int64_t)found);
    js_set_int(v, "repaired", (int64_t)repaired);
    js_set_int(v, "left", (int64_t)left);
    print_json(v);
}

static void run_clear(struct run *r)
{
    fsck_free(r->f);
    r->f = NULL;
    free_names(&r->jobs);
    free_names(&r->blobs);
    free_names(&r->needs);
    free_names(&r->indexes);
    r->pipelines = r->blob_list = false;
}

static enum status look(struct run *r, const struct finding **v, size_t *n, struct err *err)
{
    run_clear(r);
    if (!(r->f = fsck_new(wall_now().ms)))
        return err_set(err, ERR_NOMEM, "out of memory");
    enum status st = read_all(r, err);
    if (st == OK && fsck_compare(r->f, v, n) != OK)
        st = err_set(err, ERR_NOMEM, "out of memory");
    return st;
}

/* Look, tell, repair, and look again: a repair is believed when there is nothing left. */
static enum status check(struct run *r, size_t *left, struct err *err)
{
    const struct finding *v;
    uint64_t repaired = 0;
    size_t found;
    enum status st = look(r, &v, &found, err);
    if (st != OK)
        return st;
    if (r->o->repair && (st = repair(r, v, found, &repaired, err)) != OK)
        return st;
    for (size_t i = 0; i < found; i++)
        tell(r, &v[i]);
    *left = found;
    for (int again = 0; r->o->repair && repaired && again < 3; again++) {
        uint64_t more = 0; /* what a repair has uncovered: documents of a record set aside */
        if ((st = look(r, &v, left, err)) != OK || (st = repair(r, v, *left, &more, err)) != OK)
            return st;
        repaired += more;
        for (size_t i = 0; more && i < *left; i++)
            tell(r, &v[i]);
        if (!more)
            break;
    }
    sum_up(r, found, repaired, *left);
    return OK;
}

static void ignore_commit(void *ctx, enum status st, const struct err *err)
{
    (void)ctx;
    (void)st;
    (void)err;
}

static void ignore_loss(void *ctx, const struct err *err)
{
    (void)ctx;
    (void)err;
}

/* Redis may be starting and loading: wait a while. A broker that leads is no reason to wait. */
static enum status wait_lead(struct store *store, struct epoch *epoch, int64_t wait_ms,
                             struct err *err)
{
    const struct timespec pause = { 0, 50 * 1000000 };
    for (int64_t until = mono_now().ms + wait_ms;;) {
        memset(err, 0, sizeof *err);
        enum status st = store->ops->lead(store->self, epoch, err);
        if (st != ERR_UNAVAILABLE || mono_now().ms > until)
            return st;
        nanosleep(&pause, NULL);
    }
}

static enum status open_and_check(const struct broker_options *o, const struct conf *conf,
                                  struct mux *mux, size_t *left, struct err *err)
{
    const char *url = conf_str(conf, CONF_REDIS_URL);
    struct store_redis_conf where = { url, "pawl:{s0}:", "pawl fsck", NULL, 0 };
    struct store_events events = { .committed = ignore_commit, .lost = ignore_loss };
    struct epoch epoch = { .incarnation = random_u64() >> 1 | 1 };
    struct run r = { .o = o };
    struct err other = { 0 };
    if (!url[0]) {
        err_set(err, ERR_CONFIG, "redis.url is not set");
        err_fix(err, "`pawl fsck --set redis.url=…`; that of `pawl up` is redis.sock in the state "
                     "directory, and its redis-server has to be started without the broker");
        return ERR_CONFIG;
    }
    if (!(r.s = store_redis_new(&where, mux, &events, err)))
        return ERR_CONFIG;
    struct store store = store_redis_ops(r.s);
    enum status st = wait_lead(&store, &epoch, o->wait_store_ms, err);
    if (st == OK) {
        st = check(&r, left, err);
        if (renew(&r, 0, &other) != OK && st == OK)
            st = err_set(err, other.status, "%s", other.text);
    }
    run_clear(&r);
    store_redis_free(r.s);
    return st == ERR_BUSY ? ERR_UNAVAILABLE : st;
}

int fsck_main(const struct broker_options *o)
{
    struct conf *conf = NULL;
    struct err err = { 0 };
    struct mux *mux = NULL;
    size_t left = 0;
    enum status st = conf_load(&conf, o->config, o->flags, o->flags_n, &err);
    if (st == OK && !(mux = mux_new(&err)))
        st = err.status;
    if (st == OK)
        st = open_and_check(o, conf, mux, &left, &err);
    mux_free(mux);
    conf_free(conf);
    if (st != OK) {
        fflush(stdout);
        fprintf(stderr, "pawl fsck: %s%s%s\n", err.text, err.fix[0] ? "\n  fix: " : "", err.fix);
        return status_exit(st);
    }
    return left ? 1 : 0;
}
