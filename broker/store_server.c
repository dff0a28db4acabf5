/* SPDX-License-Identifier: Apache-2.0 */
/* The server behind the store: which one it is, what it keeps, whether its replicas follow. */
#include "broker/redis_find.h"
#include "broker/store_redis_in.h"
#include "common/failpoint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A WAIT that nobody answers has to end before the connection is given up (GIVE_UP_MS), and at the
 * start before its answer is (redis_conn.c). */
enum { HOPS_MAX = 3, WAIT_MS = 3000, WAIT_FIRST_MS = 2000 };

/* ---- what INFO says ----------------------------------------------------------------------- */

/* The value of a line "key:value" into out; "" when there is none. */
static void info_text(const char *info, const char *key, char *out, size_t size)
{
    size_t n = strlen(key);
    const char *at = info;
    while (at && !(strncmp(at, key, n) == 0 && at[n] == ':'))
        at = (at = strchr(at, '\n')) ? at + 1 : NULL;
    if (at)
        snprintf(out, size, "%.*s", (int)strcspn(at + n + 1, "\r\n"), at + n + 1);
    else
        out[0] = '\0';
}

static long info_number(const char *info, const char *key)
{
    char text[32];
    info_text(info, key, text, sizeof text);
    return strtol(text, NULL, 10);
}

/* Lines "slave0:ip=…,port=…,state=online,…". */
static int replicas_online(const char *info)
{
    int n = 0;
    for (const char *at = info; (at = strstr(at, "\nslave")) != NULL; at++) {
        size_t line = strcspn(at + 1, "\r\n");
        const char *online = strstr(at, "state=online");
        n += online && online < at + 1 + line;
    }
    return n;
}

static void take_info(struct redis_server *v, const char *info)
{
    char role[16], where[16];
    *v = (struct redis_server){ .major = (int)info_number(info, "redis_version") };
    info_text(info, "run_id", v->run_id, sizeof v->run_id);
    info_text(info, "master_replid", v->replid, sizeof v->replid);
    info_text(info, "maxmemory_policy", v->policy, sizeof v->policy);
    info_text(info, "role", role, sizeof role);
    info_text(info, "cluster_enabled", where, sizeof where);
    v->replica = strcmp(role, "slave") == 0;
    v->cluster = strcmp(where, "1") == 0;
    v->aof = info_number(info, "aof_enabled") == 1;
    v->replicas = replicas_online(info);
}

static enum status read_info(struct store_redis *s, struct err *err)
{
    struct str argv[] = { str_of("INFO") };
    failpoint(AT_store_info_before);
    redisReply *r = store_ask(s, 1, argv, err);
    failpoint(AT_store_info_after);
    if (!r)
        return err->status;
    take_info(&s->server, r->str ? r->str : "");
    freeReplyObject(r);
    if (s->server.major >= 7)
        return OK;
    return err_set(err, ERR_CONFIG,
                   "Redis at %s is version %d, pawl needs 7.0 or newer (functions)", s->url.shown,
                   s->server.major);
}

/* ---- the right node ----------------------------------------------------------------------- */

/* All keys are in one slot; a node of a cluster that has it not names the one that has. */
static enum status follow(struct store_redis *s, bool *moved, struct err *err)
{
    char key[KEY_SIZE];
    store_key(s, key, "lead", "");
    struct str argv[] = { str_of("EXISTS"), str_of(key) };
    failpoint(AT_store_follow_before);
    redisReply *r = redis_conn_ask(s->writer, COUNT(argv), argv, err);
    failpoint(AT_store_follow_after);
    if (!r)
        return err->status;
    enum status st = OK;
    *moved = r->type == REDIS_REPLY_ERROR && redis_url_moved(&s->url, r->str);
    if (!*moved && r->type == REDIS_REPLY_ERROR)
        st = store_reply_status(s, r->str, err);
    freeReplyObject(r);
    return st;
}

enum status store_reach(struct store_redis *s, struct err *err)
{
    enum status st = redis_find(&s->asked, &s->url, err);
    for (int hop = 0; st == OK && hop < HOPS_MAX; hop++) {
        bool moved = false;
        redis_conn_close(s->writer);
        if (!(s->writer = redis_conn_open(&s->url, err)))
            return err->status;
        if ((st = read_info(s, err)) == OK && s->server.cluster)
            st = follow(s, &moved, err);
        if (st != OK || !moved)
            break;
    }
    if (st == OK && s->server.replica) {
        err_set(err, ERR_UNAVAILABLE, "Redis at %s is a replica: it takes no writes", s->url.shown);
        err_fix(err, "%s",
                s->asked.sentinels_n ? "wait until the sentinels agree on a new primary"
                                     : "point redis.url at the primary");
        return ERR_UNAVAILABLE;
    }
    return st;
}

/* ---- what it keeps ------------------------------------------------------------------------ */

/* "": may not be asked, or is not there. */
static enum status read_config(struct store_redis *s, const char *name, char *out, size_t size,
                               struct err *err)
{
    struct str argv[] = { str_of("CONFIG"), str_of("GET"), str_of(name) };
    failpoint(AT_store_config_before);
    redisReply *r = redis_conn_ask(s->writer, COUNT(argv), argv, err);
    failpoint(AT_store_config_after);
    out[0] = '\0';
    if (!r)
        return err->status;
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[1]->str)
        snprintf(out, size, "%s", r->element[1]->str);
    freeReplyObject(r);
    return OK;
}

static const char *kept_level(const struct redis_server *v)
{
    if (!v->aof)
        return "none";
    if (!v->fsync[0])
        return "unknown";
    if (strcmp(v->fsync, "no") == 0 || strcmp(v->on_rewrite, "yes") == 0)
        return "weak";
    return strcmp(v->fsync, "always") == 0 ? "always" : "everysec";
}

struct lacks {
    struct buf text, fix;
};

static void lack(struct lacks *l, const char *name, const char *is, const char *want)
{
    buf_printf(&l->text, "%s%s is %s", l->text.len ? ", " : "", name, is);
    buf_printf(&l->fix, " %s %s", name, want);
}

/* What the server's settings lack of the durability that is wanted ("auto": that a restart of Redis
 * loses nothing). */
static void compare(struct store_redis *s)
{
    const struct redis_server *v = &s->server;
    bool always = strcmp(s->durability, "always") == 0;
    bool any = strcmp(s->durability, "auto") == 0;
    struct store_report *r = &s->report;
    struct lacks l;
    buf_init(&l.text, sizeof r->lacks - 1);
    buf_init(&l.fix, sizeof r->fix - 1);
    if (!v->aof)
        lack(&l, "appendonly", "no", "yes");
    if (always && v->fsync[0] && strcmp(v->fsync, "always") != 0)
        lack(&l, "appendfsync", v->fsync, "always");
    else if (!always && !any && strcmp(v->fsync, "no") == 0)
        lack(&l, "appendfsync", v->fsync, "everysec");
    if (!any && strcmp(v->on_rewrite, "yes") == 0)
        lack(&l, "no-appendfsync-on-rewrite", "yes", "no");
    if (v->policy[0] && strcmp(v->policy, "noeviction") != 0)
        lack(&l, "maxmemory-policy", v->policy, "noeviction");
    snprintf(r->lacks, sizeof r->lacks, "%s", buf_z(&l.text));
    r->fix[0] = '\0';
    if (l.fix.len)
        snprintf(r->fix, sizeof r->fix, "CONFIG SET%s", buf_z(&l.fix));
    buf_fini(&l.text);
    buf_fini(&l.fix);
}

enum status store_check_settings(struct store_redis *s, struct err *err)
{
    struct redis_server *v = &s->server;
    enum status st = read_config(s, "appendfsync", v->fsync, sizeof v->fsync, err);
    if (st == OK)
        st = read_config(s, "no-appendfsync-on-rewrite", v->on_rewrite, sizeof v->on_rewrite, err);
    if (st != OK)
        return st;
    compare(s);
    s->report.level = kept_level(v);
    s->report.unchecked = v->aof && !v->fsync[0];
    if (!s->report.lacks[0] || strcmp(s->durability, "auto") == 0)
        return OK;
    /* A promoted replica may be set otherwise: hold until it is put right, rather than end. */
    st = s->has_led ? ERR_UNAVAILABLE : ERR_CONFIG;
    err_set(err, st, "Redis at %s does not keep what redis.durability '%s' demands: %s",
            s->url.shown, s->durability, s->report.lacks);
    err_fix(err, "redis-cli %s (and the same in redis.conf)", s->report.fix);
    return st;
}

/* ---- the replicas ------------------------------------------------------------------------- */

static enum status too_few(const struct store_redis *s, long long have, const char *what,
                           struct err *err)
{
    err_set(err, ERR_UNAVAILABLE, "Redis at %s: only %lld of %d replicas %s", s->url.shown, have,
            s->replicas, what);
    err_fix(err,
            "start the replicas again: pawl resumes by itself; redis.replicas is what it waits "
            "for");
    return ERR_UNAVAILABLE;
}

enum status store_check_replicas(struct store_redis *s, struct err *err)
{
    if (s->replicas <= s->server.replicas)
        return OK;
    return too_few(s, s->server.replicas, "are connected", err);
}

struct wait_command {
    char n[21], ms[21];
    struct str argv[3];
};

static void make_wait(const struct store_redis *s, uint64_t ms, struct wait_command *w)
{
    u64_text(w->n, (uint64_t)s->replicas);
    u64_text(w->ms, ms);
    w->argv[0] = str_of("WAIT");
    w->argv[1] = str_of(w->n);
    w->argv[2] = str_of(w->ms);
}

enum status store_settle(struct store_redis *s, struct err *err)
{
    struct wait_command w;
    memset(&s->held, 0, sizeof s->held);
    if (s->replicas == 0)
        return OK;
    make_wait(s, WAIT_FIRST_MS, &w);
    failpoint(AT_store_settle_before);
    redisReply *r = store_ask(s, COUNT(w.argv), w.argv, err);
    failpoint(AT_store_settle_after);
    if (!r)
        return err->status;
    enum status st = r->integer < s->replicas ? too_few(s, r->integer, "hold the write", err) : OK;
    freeReplyObject(r);
    return st;
}

static enum status send_wait(struct store_redis *s);

static void on_waited(void *ctx, const redisReply *r)
{
    struct store_redis *s = ctx;
    struct held *h = &s->held;
    struct err err = { 0 };
    enum status st = OK;
    if (!r || !s->events.committed || h->refused)
        return;
    failpoint(AT_store_wait_answered);
    if (r->type == REDIS_REPLY_ERROR)
        st = store_reply_status(s, r->str, &err);
    else if (r->integer < s->replicas)
        st = too_few(s, r->integer, "hold the write", &err);
    h->refused = st != OK;
    if (st != OK) {
        s->events.committed(s->events.ctx, st, &err);
        return;
    }
    while (h->told < h->covered) {
        h->told++;
        s->events.committed(s->events.ctx, OK, &err);
    }
    failpoint(AT_store_wait_taken);
    h->asked = false;
    if ((st = send_wait(s)) != OK)
        return; /* the loss is reported by its own way */
}

/* One at a time: it blocks the connection, and what was sent meanwhile shares the next one. */
static enum status send_wait(struct store_redis *s)
{
    struct wait_command w;
    struct held *h = &s->held;
    if (h->asked || h->covered == h->sent)
        return OK;
    make_wait(s, WAIT_MS, &w);
    failpoint(AT_store_wait_before);
    enum status st = redis_conn_send(s->writer, COUNT(w.argv), w.argv, on_waited, s);
    failpoint(AT_store_wait_sent);
    h->asked = st == OK;
    h->covered = h->sent;
    return st;
}

enum status store_sent(struct store_redis *s)
{
    if (s->replicas == 0)
        return OK;
    s->held.sent++;
    return send_wait(s);
}

bool store_answered(struct store_redis *s, enum status st)
{
    if (s->replicas == 0)
        return true;
    if (s->held.refused)
        return false;
    s->held.refused = st != OK;
    return st != OK;
}

/* ---- is it still the same? ---------------------------------------------------------------- */

void store_compare_server(struct store_redis *s, const char *info)
{
    struct redis_server now;
    struct err err = { 0 };
    take_info(&now, info);
    if (now.replica)
        err_set(&err, ERR_UNAVAILABLE, "Redis at %s has become a replica", s->url.shown);
    else if (strcmp(now.run_id, s->server.run_id) != 0)
        err_set(&err, ERR_UNAVAILABLE, "Redis at %s was started again", s->url.shown);
    else if (strcmp(now.replid, s->server.replid) != 0)
        err_set(&err, ERR_UNAVAILABLE, "Redis at %s has another history than before (a failover)",
                s->url.shown);
    s->report.replicas = now.replicas;
    if (err.status != OK && s->events.committed)
        s->events.lost(s->events.ctx, &err);
}
