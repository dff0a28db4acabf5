/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/store_redis_in.h"

#include "common/failpoint.h"
#include "common/mp.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOAD_PAGE = 500, GIVE_UP_MS = 8000 };

/* The text of functions.lua, embedded by the build. */
static const char template_text[] = {
#include "functions.lua.inc"
    , '\0'
};

/* ---- texts -------------------------------------------------------------------------------- */

/* Who leads, so that the next broker can tell whether it still lives:
 * "host boot-id.pid-namespace pid start-time name". In another namespace a pid is another process. */
static void holder_text(char out[HOLDER_MAX], const char *name)
{
    char host[128] = "?", boot[40] = "?", line[1024] = "";
    unsigned long long start = 0;
    struct stat space = { 0 };
    gethostname(host, sizeof host - 1);
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f && !fgets(boot, sizeof boot, f))
        boot[0] = '?';
    if (f)
        fclose(f);
    boot[strcspn(boot, "\n")] = '\0';
    f = fopen("/proc/self/stat", "re");
    if (f && fgets(line, sizeof line, f)) {
        const char *at = strrchr(line, ')'); /* field 22, counted after the name in parentheses */
        int field = 2;
        while (at && field < 22) {
            at = strchr(at + 1, ' ');
            field++;
        }
        start = at ? strtoull(at, NULL, 10) : 0;
    }
    if (f)
        fclose(f);
    if (stat("/proc/self/ns/pid", &space) != 0)
        space.st_ino = 0;
    snprintf(out, HOLDER_MAX, "%s %s.%llu %ld %llu %s", host, boot,
             (unsigned long long)space.st_ino, (long)getpid(), start, name);
}

/* Is it that process, and not a zombie (killed, not yet waited for) or another with its number? */
static bool process_lives(long pid, unsigned long long start)
{
    char path[64], line[1024] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return errno != ENOENT; /* hidden from us is not gone */
    const char *at = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    if (at && (strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0))
        return false;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return !at || strtoull(at, NULL, 10) == start;
}

/* Is the holder a process of this machine and this boot that is gone? Then its lease is void. */
static bool holder_dead(const char *holder, const char *ours)
{
    char host[128], boot[64], our_host[128], our_boot[64];
    long pid;
    unsigned long long start;
    if (sscanf(holder, "%127s %63s %ld %llu", host, boot, &pid, &start) != 4 ||
        sscanf(ours, "%127s %63s", our_host, our_boot) != 2)
        return false;
    if (strcmp(host, our_host) != 0 || strcmp(boot, our_boot) != 0)
        return false;
    return (kill((pid_t)pid, 0) != 0 && errno == ESRCH) || !process_lives(pid, start);
}

bool store_holder_dead(const struct store_redis *s, const char *holder)
{
    return holder_dead(holder, s->holder);
}

void store_holder_shown(const char *holder, char out[256])
{
    char host[128], name[256] = "";
    long pid;
    if (sscanf(holder, "%127s %*s %ld %*u %255[^\n]", host, &pid, name) >= 2)
        snprintf(out, 256, "%.120s, pid %ld on %.80s", name, pid, host);
    else
        snprintf(out, 256, "%.200s", holder);
}

void store_key(const struct store_redis *s, char out[KEY_SIZE], const char *what, const char *name)
{
    snprintf(out, KEY_SIZE, "%s%s%s", s->prefix, what, name);
}

void store_function(const struct store_redis *s, char out[NAME_SIZE], const char *what)
{
    snprintf(out, NAME_SIZE, "pawl_%s_%s", s->hash, what);
}

void u64_text(char out[21], uint64_t v)
{
    snprintf(out, 21, "%" PRIu64, v);
}

/* ---- life --------------------------------------------------------------------------------- */

static void on_watch(void *ctx);

struct store_redis *store_redis_new(const struct store_redis_conf *conf, struct mux *mux,
                                    const struct store_events *events, struct err *err)
{
    struct store_redis *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (redis_url_parse(conf->url, &s->asked, err) != OK) {
        free(s);
        return NULL;
    }
    s->url = s->asked;
    s->replicas = conf->replicas;
    snprintf(s->durability, sizeof s->durability, "%s",
             conf->durability ? conf->durability : "auto");
    snprintf(s->prefix, sizeof s->prefix, "%s", conf->prefix);
    holder_text(s->holder, conf->name);
    struct hash h = hash_of(str_of(template_text));
    char hex[HASH_HEX + 1];
    hash_hex(&h, hex);
    snprintf(s->hash, sizeof s->hash, "%.12s", hex);
    s->mux = mux;
    s->events = *events;
    s->watch = MUX_TIMER(on_watch, s);
    return s;
}

static void disconnect(struct store_redis *s)
{
    struct redis_conn *writer = s->writer, *reader = s->reader;
    s->writer = s->reader = NULL;
    mux_timer_stop(s->mux, &s->watch);
    s->renewing_ms = 0;
    redis_conn_close(writer);
    redis_conn_close(reader);
}

void store_redis_free(struct store_redis *s)
{
    if (!s)
        return;
    s->events.committed = NULL;
    disconnect(s);
    free(s);
}

const char *store_redis_shown(const struct store_redis *s)
{
    return s->url.shown;
}

const struct store_report *store_redis_report(const struct store_redis *s)
{
    return &s->report;
}

/* ---- errors ------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What an error reply means for us. */
enum status store_reply_status(const struct store_redis *s, const char *text, struct err *err)
{
    static const struct {
        const char *begin, *fix;
    } known[] = {
        { "LOADING", "it is loading its data: wait" },
        { "READONLY", "it is a replica: point redis.url at the primary" },
        { "OOM", "give it more memory (maxmemory) or remove data" },
        { "MISCONF", "it cannot write its snapshot: look at its log and its disk" },
        { "NOPERM", "its user may not run functions or use keys ~pawl:*: see docs/guarantees.md" },
        { "NOAUTH", "put user and password into redis.url" },
        { "MASTERDOWN", "its primary is gone" },
        { "NOREPLICAS", "too few replicas are connected (min-replicas-to-write)" },
        { "WRONGPASS", "correct user and password in redis.url" },
        { "MOVED", "the cluster has moved pawl's slot: pawl follows by itself" },
        { "ASK", "the cluster is moving pawl's slot: wait" },
        { "TRYAGAIN", "the cluster is moving pawl's slot: wait" },
        { "ERR Script attempted to access a non local key",
          "the cluster is moving pawl's slot: wait" },
        { "CLUSTERDOWN", "look at the cluster: `redis-cli --cluster check`" },
        { "BUSY", "a script of somebody else runs too long: FUNCTION KILL or SCRIPT KILL" },
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        if (!begins(text, known[i].begin))
            continue;
        err_set(err, ERR_UNAVAILABLE, "Redis at %s: %.300s", s->url.shown, text);
        err_fix(err, "%s", known[i].fix);
        return ERR_UNAVAILABLE;
    }
    const char *fenced = strstr(text, "PAWL FENCED ");
    if (fenced) {
        char who[256];
        store_holder_shown(fenced + 12, who);
        err_set(err, ERR_DENIED, "another broker leads on Redis at %s: %s", s->url.shown, who);
        err_fix(err, "this one did not renew its lease in time; it says nothing more");
        return ERR_DENIED;
    }
    return err_set(err, ERR_UNAVAILABLE, "Redis at %s: %.300s", s->url.shown, text);
}

/* ---- taking the lead ---------------------------------------------------------------------- */

redisReply *store_ask(struct store_redis *s, int argc, const struct str *argv, struct err *err)
{
    redisReply *r = redis_conn_ask(s->writer, argc, argv, err);
    if (r && r->type == REDIS_REPLY_ERROR) {
        store_reply_status(s, r->str, err);
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

static void library_text(const struct store_redis *s, struct buf *out)
{
    const char *at = template_text, *mark;
    while ((mark = strstr(at, "@HASH@")) != NULL) {
        buf_append(out, at, (size_t)(mark - at));
        buf_str(out, s->hash);
        at = mark + 6;
    }
    buf_str(out, at);
}

static bool has_library(struct store_redis *s, struct err *err)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "pawl_%s", s->hash);
    struct str argv[] = { str_of("FUNCTION"), str_of("LIST"), str_of("LIBRARYNAME"), str_of(name) };
    redisReply *r = redis_conn_ask(s->writer, 4, argv, err);
    bool has = r && r->type == REDIS_REPLY_ARRAY && r->elements == 1;
    if (r)
        freeReplyObject(r);
    return has;
}

/* Our own library beside those of other versions; an existing one of this name is this text. It is
 * not loaded again: that would fail on a Redis without free memory. */
static enum status load_library(struct store_redis *s, struct err *err)
{
    if (has_library(s, err))
        return OK;
    failpoint(AT_store_library_before);
    struct buf text;
    buf_init(&text, 1 << 20);
    library_text(s, &text);
    struct str argv[] = { str_of("FUNCTION"), str_of("LOAD"), buf_get(&text) };
    redisReply *r = redis_conn_ask(s->writer, 3, argv, err);
    failpoint(AT_store_library_after);
    buf_fini(&text);
    if (!r)
        return err->status;
    enum status st = OK;
    if (r->type == REDIS_REPLY_ERROR && !strstr(r->str, "already exists"))
        st = store_reply_status(s, r->str, err);
    freeReplyObject(r);
    return st;
}

static enum status held(struct store_redis *s, const char *text, char dead[HOLDER_MAX],
                        struct err *err)
{
    long ttl = 0;
    int at = 0;
    char who[256];
    if (sscanf(text, "%*s HELD %ld %n", &ttl, &at) < 1 &&
        sscanf(text, "HELD %ld %n", &ttl, &at) < 1)
        at = 0;
    snprintf(dead, HOLDER_MAX, "%s", text + at);
    if (holder_dead(dead, s->holder))
        return OK;
    store_holder_shown(dead, who);
    err_set(err, ERR_BUSY, "another broker leads on Redis at %s: %s", s->url.shown, who);
    err_fix(err, "stop it first, or use another Redis; its lease ends %ld ms after it dies", ttl);
    return ERR_BUSY;
}

static enum status call_lead(struct store_redis *s, struct epoch *epoch, struct err *err)
{
    char fn[NAME_SIZE], key[KEY_SIZE], inc[21], now[21], lease[21], dead[HOLDER_MAX] = "";
    store_function(s, fn, "lead");
    store_key(s, key, "lead", "");
    u64_text(inc, epoch->incarnation);
    u64_text(now, (uint64_t)wall_now().ms);
    u64_text(lease, STORE_LEASE_MS);
    failpoint(AT_store_lead_before);
    for (int again = 0; again < 2; again++) {
        struct str argv[] = { str_of("FCALL"), str_of(fn),    str_of("1"),
                              str_of(key),     str_of(inc),   str_of(s->holder),
                              str_of(now),     str_of(lease), str_of(dead) };
        redisReply *r = redis_conn_ask(s->writer, COUNT(argv), argv, err);
        if (!r)
            return err->status;
        enum status st = OK;
        const char *mine = r->type == REDIS_REPLY_ERROR ? strstr(r->str, "PAWL HELD ") : NULL;
        if (mine)
            st = held(s, mine + 5, dead, err);
        else if (r->type == REDIS_REPLY_ERROR)
            st = store_reply_status(s, r->str, err);
        else
            epoch->generation = strtoull(r->str ? r->str : "0", NULL, 10);
        bool granted = !mine && st == OK;
        freeReplyObject(r);
        if (granted || st != OK)
            return st;
    }
    return err_set(err, ERR_BUSY, "the leader's lease on Redis at %s changed hands", s->url.shown);
}

static void on_lost(void *ctx, const char *why)
{
    struct store_redis *s = ctx;
    struct err err = { 0 };
    err_set(&err, ERR_UNAVAILABLE, "Redis at %s: %s", s->url.shown, why);
    err_fix(&err, "start Redis again: pawl resumes by itself");
    disconnect(s);
    s->events.lost(s->events.ctx, &err);
}

static enum status redis_lead(void *self, struct epoch *epoch, struct err *err)
{
    struct store_redis *s = self;
    enum status st;
    disconnect(s);
    failpoint(AT_store_connect_before);
    if ((st = store_reach(s, err)) != OK) {
        disconnect(s);
        return st;
    }
    failpoint(AT_store_connect_after);
    if ((st = store_check_settings(s, err)) == OK && (st = store_check_replicas(s, err)) == OK &&
        (st = load_library(s, err)) == OK && (st = call_lead(s, epoch, err)) == OK &&
        (st = store_settle(s, err)) == OK && !(s->reader = redis_conn_open(&s->url, err)))
        st = err->status;
    if (st != OK) {
        disconnect(s);
        return st;
    }
    failpoint(AT_store_lead_after);
    s->has_led = true;
    s->epoch = *epoch;
    s->extended_ms = mono_now().ms;
    return OK;
}

/* ---- loading ------------------------------------------------------------------------------ */

static enum status load_pipelines(struct store_redis *s, store_load_fn *fn, void *ctx,
                                  struct err *err)
{
    char key[KEY_SIZE];
    store_key(s, key, "pipelines", "");
    struct str argv[] = { str_of("HVALS"), str_of(key) };
    redisReply *r = store_ask(s, 2, argv, err);
    enum status st = r ? OK : err->status;
    for (size_t i = 0; st == OK && i < r->elements; i++)
        st = fn(ctx, (struct str){ r->element[i]->str, r->element[i]->len }, err);
    if (r)
        freeReplyObject(r);
    return st;
}

static enum status load_records(struct store_redis *s, const redisReply *ids, store_load_fn *fn,
                                void *ctx, struct err *err)
{
    static const size_t skip = VERSION_DIGITS;
    struct str argv[LOAD_PAGE + 1] = { str_of("MGET") };
    char(*keys)[KEY_SIZE] = calloc(LOAD_PAGE, sizeof *keys);
    enum status st = keys ? OK : err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; st == OK && i < ids->elements; i++) {
        store_key(s, keys[i], "j:", ids->element[i]->str);
        argv[i + 1] = str_of(keys[i]);
    }
    redisReply *r = st == OK ? store_ask(s, (int)ids->elements + 1, argv, err) : NULL;
    free(keys);
    if (!r)
        return st == OK ? err->status : st;
    for (size_t i = 0; st == OK && i < r->elements; i++) {
        const redisReply *one = r->element[i];
        if (one->type != REDIS_REPLY_STRING || one->len < skip)
            st = err_set(err, ERR_DATA, "Redis at %s: job %s is listed but has no record",
                         s->url.shown, ids->element[i]->str);
        else
            st = fn(ctx, (struct str){ one->str + skip, one->len - skip }, err);
    }
    freeReplyObject(r);
    return st;
}

/* Renew the lease on c, waiting for the answer. */
static enum status renew_now(struct store_redis *s, struct redis_conn *c, struct err *err)
{
    char name[NAME_SIZE], key[KEY_SIZE], gen[21], inc[21], lease[21];
    store_function(s, name, "renew");
    store_key(s, key, "lead", "");
    u64_text(gen, s->epoch.generation);
    u64_text(inc, s->epoch.incarnation);
    u64_text(lease, STORE_LEASE_MS);
    struct str argv[] = { str_of("FCALL"), str_of(name), str_of("1"),       str_of(key),
                          str_of(gen),     str_of(inc),  str_of(s->holder), str_of(lease) };
    redisReply *r = redis_conn_ask(c, COUNT(argv), argv, err);
    enum status st = !r ? err->status : OK;
    if (r && r->type == REDIS_REPLY_ERROR)
        st = store_reply_status(s, r->str, err);
    if (r)
        freeReplyObject(r);
    return st;
}

static enum status redis_confirm(void *self, struct err *err)
{
    struct store_redis *s = self;
    failpoint(AT_store_confirm_before);
    struct redis_conn *c = redis_conn_open(&s->url, err); /* the others have answers under way */
    enum status st = c ? renew_now(s, c, err) : err->status;
    failpoint(AT_store_confirm_after);
    redis_conn_close(c);
    if (c && st == ERR_UNAVAILABLE)
        err_set(err, st, "Redis at %s does not answer, and the lease may have run out",
                s->url.shown);
    return st;
}

/* Millions of jobs take longer to read than a lease lasts. */
static enum status keep_lease(struct store_redis *s, struct err *err)
{
    int64_t now = mono_now().ms;
    if (now - s->extended_ms < STORE_RENEW_MS)
        return OK;
    enum status st = renew_now(s, s->writer, err);
    s->extended_ms = now;
    return st == ERR_DENIED ? ERR_BUSY : st;
}

static enum status load_jobs(struct store_redis *s, store_load_fn *fn, void *ctx, struct err *err)
{
    char key[KEY_SIZE], from[21], to[21];
    store_key(s, key, "x:", "all");
    for (uint64_t at = 0;; at += LOAD_PAGE) {
        u64_text(from, at);
        u64_text(to, at + LOAD_PAGE - 1);
        struct str argv[] = { str_of("ZRANGE"), str_of(key), str_of(from), str_of(to) };
        redisReply *ids = store_ask(s, 4, argv, err);
        if (!ids)
            return err->status;
        size_t n = ids->elements;
        enum status st = n ? load_records(s, ids, fn, ctx, err) : OK;
        freeReplyObject(ids);
        if (st == OK)
            st = keep_lease(s, err);
        if (st != OK || n < LOAD_PAGE)
            return st;
    }
}

static enum status redis_load(void *self, store_load_fn *pipeline, store_load_fn *job, void *ctx,
                              struct err *err)
{
    struct store_redis *s = self;
    struct redis_conn_events events = { s, on_lost };
    assert(s->writer && s->reader);
    failpoint(AT_store_load_before);
    enum status st = load_pipelines(s, pipeline, ctx, err);
    if (st == OK)
        st = load_jobs(s, job, ctx, err);
    if (st == OK && (redis_conn_start(s->writer, s->mux, &events) != OK ||
                     redis_conn_start(s->reader, s->mux, &events) != OK))
        st = err_set(err, ERR_INTERNAL, "the loop cannot watch the connections to Redis");
    if (st != OK) {
        disconnect(s);
        return st;
    }
    failpoint(AT_store_load_after);
    mux_timer_in(s->mux, &s->watch, GIVE_UP_MS / 4);
    return OK;
}

/* A Redis that hangs (stopped, swapping, a full disk) is lost although its connection lives. */
static void on_watch(void *ctx)
{
    struct store_redis *s = ctx;
    int64_t now = mono_now().ms;
    if (redis_conn_waiting_ms(s->writer, now) > GIVE_UP_MS ||
        redis_conn_waiting_ms(s->reader, now) > GIVE_UP_MS) {
        on_lost(s, "it does not answer");
        return;
    }
    mux_timer_in(s->mux, &s->watch, GIVE_UP_MS / 4);
}

/* ---- committing --------------------------------------------------------------------------- */

static void on_committed(void *ctx, const redisReply *r)
{
    struct store_redis *s = ctx;
    struct err err = { 0 };
    if (!r || !s->events.committed)
        return; /* lost: told once, by on_lost */
    enum status st = OK;
    if (r->type == REDIS_REPLY_ERROR)
        st = store_reply_status(s, r->str, &err);
    failpoint(AT_store_commit_answered);
    if (store_answered(s, st))
        s->events.committed(s->events.ctx, st, &err);
    failpoint(AT_store_commit_taken);
}

static enum status redis_commit(void *self, uint64_t turn, struct str batch)
{
    struct store_redis *s = self;
    char fn[NAME_SIZE], key[KEY_SIZE], gen[21], inc[21], number[21], digest[17];
    if (!s->writer)
        return ERR_UNAVAILABLE;
    store_function(s, fn, "commit");
    store_key(s, key, "lead", "");
    u64_text(gen, s->epoch.generation);
    u64_text(inc, s->epoch.incarnation);
    u64_text(number, turn);
    batch_digest(batch, digest);
    struct str argv[] = { str_of("FCALL"), str_of(fn),     str_of("1"),    str_of(key), str_of(gen),
                          str_of(inc),     str_of(number), str_of(digest), batch };
    failpoint(AT_store_commit_before);
    enum status st = redis_conn_send(s->writer, COUNT(argv), argv, on_committed, s);
    failpoint(AT_store_commit_sent);
    return st == OK ? store_sent(s) : st;
}

static void on_renewed(void *ctx, const redisReply *r)
{
    struct store_redis *s = ctx;
    struct err err = { 0 };
    int64_t sent_ms = s->renewing_ms;
    s->renewing_ms = 0;
    failpoint(AT_store_renew_answered);
    if (r && r->type != REDIS_REPLY_ERROR && s->events.renewed && s->events.committed)
        s->events.renewed(s->events.ctx, sent_ms);
    if (!r || r->type != REDIS_REPLY_ERROR)
        return;
    /* A lease that is not kept is a lead that ends; nothing may be in flight that would tell. */
    if (store_reply_status(s, r->str, &err) != OK && s->events.committed)
        s->events.lost(s->events.ctx, &err);
}

static enum status send_renew(struct store_redis *s, const char *lease, redis_fn *fn)
{
    char name[NAME_SIZE], key[KEY_SIZE], gen[21], inc[21];
    store_function(s, name, "renew");
    store_key(s, key, "lead", "");
    u64_text(gen, s->epoch.generation);
    u64_text(inc, s->epoch.incarnation);
    struct str argv[] = { str_of("FCALL"), str_of(name), str_of("1"),       str_of(key),
                          str_of(gen),     str_of(inc),  str_of(s->holder), str_of(lease) };
    return redis_conn_send(s->writer, COUNT(argv), argv, fn, s);
}

static void redis_renew(void *self)
{
    struct store_redis *s = self;
    char lease[21];
    u64_text(lease, STORE_LEASE_MS);
    if (!s->writer || s->renewing_ms)
        return; /* one at a time: its answer comes, or the connection is lost */
    failpoint(AT_store_renew_before);
    s->renewing_ms = mono_now().ms;
    if (send_renew(s, lease, on_renewed) != OK)
        s->renewing_ms = 0; /* the loss is reported by its own way */
    failpoint(AT_store_renew_sent);
}

static void on_resigned(void *ctx, const redisReply *r)
{
    struct store_redis *s = ctx;
    (void)r;
    failpoint(AT_store_resign_answered);
    s->epoch = (struct epoch){ 0 };
}

static void redis_resign(void *self)
{
    struct store_redis *s = self;
    struct err err;
    int64_t until = mono_now().ms + 1000;
    failpoint(AT_store_resign_before);
    if (!s->writer || send_renew(s, "0", on_resigned) != OK)
        return;
    failpoint(AT_store_resign_sent);
    while (s->epoch.incarnation && s->writer && mono_now().ms < until) {
        if (mux_turn(s->mux, 50, &err) != OK)
            return;
    }
}

struct store store_redis_ops(struct store_redis *s)
{
    static const struct store_ops ops = { .lead = redis_lead,
                                          .load = redis_load,
                                          .commit = redis_commit,
                                          .get = store_redis_get,
                                          .renew = redis_renew,
                                          .confirm = redis_confirm,
                                          .resign = redis_resign };
    return (struct store){ &ops, s };
}
