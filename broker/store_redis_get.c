/* SPDX-License-Identifier: Apache-2.0 */
/* Reading beside the commits. */
#include "broker/store_redis_in.h"

#include "common/failpoint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct get {
    store_get_fn *fn;
    void *ctx;
    enum get_kind kind;
    struct store_redis *s;
    uint32_t limit; /* EVENTS */
    char after[EVENT_ID_MAX];
};

enum { VALUES_MAX = 4096, FIELDS_MAX = 1000, ENTRY_EVENTS = 8, INFO_VALUES = 16 };

static struct str value_of(const redisReply *r)
{
    if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS)
        return (struct str){ r->str, r->len };
    return (struct str){ 0 };
}

static void cut_version(struct str *v)
{
    if (v->p && v->n >= VERSION_DIGITS)
        *v = (struct str){ v->p + VERSION_DIGITS, v->n - VERSION_DIGITS };
}

/* An entry of the stream is [id, [field, value, ...]]: events that follow each other, up to this id.
 * Those after g->after, at most as many as asked for. */
static uint32_t entry_values(const struct get *g, const redisReply *e, struct str *v, char *ids)
{
    const redisReply *fields = e->elements == 2 ? e->element[1] : NULL;
    const char *dash = fields && e->element[0]->str ? strchr(e->element[0]->str, '-') : NULL;
    uint32_t n = 0, count = dash ? (uint32_t)fields->elements / 2 : 0;
    uint64_t newest = dash ? strtoull(dash + 1, NULL, 10) : 0;
    for (uint32_t i = 0; i < count && n < 2 * g->limit; i++) {
        char *id = ids + (size_t)n / 2 * EVENT_ID_MAX;
        snprintf(id, EVENT_ID_MAX, "%.*s-%" PRIu64, (int)(dash - e->element[0]->str),
                 e->element[0]->str, newest + 1 + i - count);
        if (g->after[0] && event_id_compare(str_of(id), str_of(g->after)) <= 0)
            continue;
        v[n++] = str_of(id);
        v[n++] = value_of(fields->element[2 * i + 1]);
    }
    return n;
}

static uint32_t event_values(struct get *g, const redisReply *r, struct str *v, char *ids)
{
    uint32_t n = 0, most = g->limit;
    for (size_t i = 0; i < r->elements && g->limit > 0; i++) {
        uint32_t more = entry_values(g, r->element[i], v + n, ids + (size_t)n / 2 * EVENT_ID_MAX);
        n += more;
        g->limit = most - n / 2;
    }
    return n;
}

static uint32_t info_values(const redisReply *r, struct str *v)
{
    static const char *const keys[] = { "redis_version", "run_id", "used_memory", "maxmemory",
                                        "loading" };
    uint32_t n = 0;
    for (size_t i = 0; i < COUNT(keys); i++) {
        const char *at = r->str;
        size_t len = strlen(keys[i]);
        while (at && !(strncmp(at, keys[i], len) == 0 && at[len] == ':'))
            at = strstr(at, "\n") ? strstr(at, "\n") + 1 : NULL;
        if (!at)
            continue;
        v[n++] = str_of(keys[i]);
        v[n++] = (struct str){ at + len + 1, strcspn(at + len + 1, "\r\n") };
    }
    return n;
}

static uint32_t values_of(enum get_kind kind, const redisReply *r, struct str *v, char *digit)
{
    uint32_t n = 0;
    if (kind == GET_INFO)
        return info_values(r, v);
    if (kind == GET_HAS) {
        *digit = r->integer ? '1' : '0';
        v[0] = (struct str){ digit, 1 };
        return 1;
    }
    if (r->type != REDIS_REPLY_ARRAY) {
        v[0] = value_of(r);
        if (kind == GET_RECORD)
            cut_version(&v[0]);
        return 1;
    }
    for (size_t i = 0; i < r->elements && n < VALUES_MAX; i++) {
        v[n] = value_of(r->element[i]);
        if (kind == GET_PAGE && i > 0 && i % 2 == 0)
            cut_version(&v[n]);
        n++;
    }
    return n;
}

static void on_got(void *ctx, const redisReply *r)
{
    struct get *g = ctx;
    failpoint(AT_store_get_answered);
    size_t room = !r ? 0 : g->kind == GET_INFO ? INFO_VALUES : 2 * (size_t)g->limit + r->elements;
    struct str *v = r ? calloc(room + 2, sizeof *v) : NULL;
    char *ids = NULL;
    if (!v || r->type == REDIS_REPLY_ERROR) {
        bool cursor = r && r->type == REDIS_REPLY_ERROR && strstr(r->str, "CURSOR");
        g->fn(g->ctx, cursor ? ERR_DATA : ERR_UNAVAILABLE, NULL, 0);
    } else {
        char digit;
        bool events = g->kind == GET_EVENTS || g->kind == GET_OLDEST;
        ids = events ? calloc(g->limit + 1, EVENT_ID_MAX) : NULL;
        uint32_t n = !events ? values_of(g->kind, r, v, &digit)
                     : ids   ? event_values(g, r, v, ids)
                             : 0;
        g->fn(g->ctx, events && !ids ? ERR_NOMEM : OK, v, n);
        if (g->kind == GET_INFO && r->str)
            store_compare_server(g->s, r->str);
    }
    failpoint(AT_store_get_taken);
    free(ids);
    free(v);
    free(g);
}

struct command {
    struct str argv[FIELDS_MAX + 8];
    int argc;
    char fn[NAME_SIZE], key[KEY_SIZE], id[ID_CHARS + 1], number[21], from[EVENT_ID_MAX + 2];
};

static void arg(struct command *c, struct str s)
{
    assert((size_t)c->argc < COUNT(c->argv));
    c->argv[c->argc++] = s;
}

static void arg_z(struct command *c, const char *z)
{
    arg(c, str_of(z));
}

static void call_function(const struct store_redis *s, struct command *c, const char *what)
{
    store_function(s, c->fn, what);
    store_key(s, c->key, "lead", "");
    arg_z(c, "FCALL_RO");
    arg_z(c, c->fn);
    arg_z(c, "1");
    arg_z(c, c->key);
}

static void make_events(const struct store_redis *s, struct command *c, const struct store_get *g)
{
    store_key(s, c->key, "e", "");
    bool after = g->names_n && g->names[0].n;
    snprintf(c->from, sizeof c->from, after ? "(%.*s" : "-",
             STR_ARG(after ? g->names[0] : (struct str){ 0 }));
    arg_z(c, "XRANGE");
    arg_z(c, c->key);
    arg_z(c, c->from);
    arg_z(c, "+");
    arg_z(c, "COUNT");
    /* an entry holds many: at least one after the place, or there is none */
    u64_text(c->number, g->kind == GET_OLDEST ? 1 : g->limit / ENTRY_EVENTS + 1);
    arg_z(c, c->number);
}

static void make(const struct store_redis *s, struct command *c, const struct store_get *g)
{
    id_text(g->id, c->id);
    switch (g->kind) {
    case GET_FIELDS:
        store_key(s, c->key, "d:", c->id);
        arg_z(c, "HMGET");
        arg_z(c, c->key);
        for (uint32_t i = 0; i < g->names_n; i++)
            arg(c, g->names[i]);
        break;
    case GET_RECORD:
        store_key(s, c->key, "j:", c->id);
        arg_z(c, "GET");
        arg_z(c, c->key);
        break;
    case GET_BLOB:
    case GET_HAS:
        snprintf(c->key, sizeof c->key, "%sb:%.*s", s->prefix, STR_ARG(g->names[0]));
        arg_z(c, g->kind == GET_BLOB ? "GET" : "EXISTS");
        arg_z(c, c->key);
        break;
    case GET_PAGE:
        call_function(s, c, "page");
        arg(c, g->names[0]);
        arg(c, g->names[1]);
        u64_text(c->number, g->limit);
        arg_z(c, c->number);
        break;
    case GET_NAMES:
        call_function(s, c, "names");
        arg_z(c, c->id);
        break;
    case GET_EVENTS:
    case GET_OLDEST: make_events(s, c, g); break;
    case GET_INFO: arg_z(c, "INFO"); break;
    }
}

static void keep_place(struct get *g, const struct store_get *what)
{
    g->limit = what->kind == GET_OLDEST ? 1 : what->limit;
    if (g->limit > VALUES_MAX / 2)
        g->limit = VALUES_MAX / 2;
    if (what->kind == GET_EVENTS && what->names_n)
        snprintf(g->after, sizeof g->after, "%.*s", STR_ARG(what->names[0]));
}

enum status store_redis_get(void *self, const struct store_get *what, store_get_fn *fn, void *ctx)
{
    struct store_redis *s = self;
    if (!s->reader)
        return ERR_UNAVAILABLE;
    if (what->names_n > FIELDS_MAX || (what->kind == GET_FIELDS && what->names_n == 0))
        return ERR_LIMIT;
    struct get *g = calloc(1, sizeof *g);
    struct command *c = malloc(sizeof *c); /* large: filled in as far as it is used */
    enum status st = g && c ? OK : ERR_NOMEM;
    if (st == OK) {
        *g = (struct get){ .fn = fn, .ctx = ctx, .kind = what->kind, .s = s };
        keep_place(g, what);
        c->argc = 0;
        make(s, c, what);
        failpoint(AT_store_get_before);
        /* What must be seen is a commit that was answered, on the other connection: it is. But
         * whether a blob is there is asked in line with the commits. */
        st = redis_conn_send(what->kind == GET_HAS ? s->writer : s->reader, c->argc, c->argv,
                             on_got, g);
        failpoint(AT_store_get_sent);
    }
    free(c);
    if (st != OK)
        free(g);
    return st;
}
