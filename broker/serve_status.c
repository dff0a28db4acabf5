/* SPDX-License-Identifier: Apache-2.0 */
/* WORKERS, STATUS and PUT. */
#include "broker/serve.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void answer(struct broker *b, struct conn *c, uint64_t req, struct buf *map)
{
    struct msg m = { .type = MSG_ANSWERED, .ANSWERED = { req } };
    struct str f = buf_get(map);
    if (map->status == OK)
        loop_say(b, c->id, &m, &f, 1);
    else
        loop_refuse(b, c->id, req, ERR_LIMIT, "the answer is larger than a frame", "");
    buf_fini(map);
}

void serve_workers(struct broker *b, struct conn *c, uint64_t req)
{
    struct buf map;
    buf_init(&map, PAWL_FRAME_MAX);
    core_workers_map(b->core, b->now_ms, access_project(c->role), &map);
    answer(b, c, req, &map);
}

static void pair_z(struct buf *b, const char *key, const char *v)
{
    mp_z(b, key);
    mp_z(b, v);
}

static void pair_uint(struct buf *b, const char *key, uint64_t v)
{
    mp_z(b, key);
    mp_uint(b, v);
}

static void put_store(struct broker *b, struct buf *out)
{
    const struct store_state *s = &b->state;
    mp_z(out, "store");
    const struct store_report *r = store_redis_report(b->redis);
    mp_map(out, 14);
    mp_z(out, "ok");
    mp_bool(out, s->up && !b->broken);
    pair_z(out, "url", store_redis_shown(b->redis));
    pair_z(out, "reason", s->reason);
    pair_z(out, "durability", r->level ? r->level : "unknown");
    pair_z(out, "lacks", r->lacks);
    pair_z(out, "fix", s->reason[0] ? s->fix : r->fix);
    mp_z(out, "unchecked");
    mp_bool(out, r->unchecked);
    pair_uint(out, "replicas", (uint64_t)r->replicas);
    pair_z(out, "version", s->version);
    pair_z(out, "run_id", s->run_id);
    pair_uint(out, "used_bytes", s->used_bytes);
    pair_uint(out, "max_bytes", s->max_bytes);
    pair_uint(out, "turns_in_flight", b->flying_n);
    pair_uint(out, "last_turn_us", (uint64_t)s->last_turn_us);
}

static void put_jobs(const struct core_counts *n, struct buf *out)
{
    uint32_t open = 0;
    for (int i = 0; i < JOB_STATES; i++)
        open += !job_state_ended((enum job_state)i);
    mp_z(out, "jobs");
    mp_map(out, open + 1);
    for (int i = 0; i < JOB_STATES; i++) {
        if (!job_state_ended((enum job_state)i))
            pair_uint(out, job_state_name((enum job_state)i), n->by_state[i]);
    }
    pair_uint(out, "ended", n->ended);
}

static void put_stages(struct broker *b, struct buf *out)
{
    struct core_stage s;
    uint32_t n = 0;
    while (b->core && core_stage_at(b->core, n, &s))
        n++;
    mp_z(out, "stages");
    mp_array(out, n);
    for (uint32_t i = 0; i < n && core_stage_at(b->core, i, &s); i++) {
        mp_map(out, 9);
        pair_z(out, "stage", s.name);
        pair_uint(out, "ready", s.ready);
        pair_uint(out, "running", s.running);
        pair_uint(out, "delayed", s.delayed);
        pair_uint(out, "workers", s.workers);
        pair_uint(out, "slots", s.slots);
        pair_uint(out, "credit", s.credit);
        pair_uint(out, "limit", s.limit);
        mp_z(out, "paused");
        mp_bool(out, s.paused);
    }
}

static void put_counters(struct broker *b, const struct core_counts *n, struct buf *out)
{
    mp_z(out, "counters");
    mp_map(out, 8);
    pair_uint(out, "turns", b->counters.turns);
    pair_uint(out, "messages", b->counters.messages);
    pair_uint(out, "refused", b->counters.refused);
    pair_uint(out, "malformed", b->counters.malformed);
    pair_uint(out, "committed", n->committed);
    pair_uint(out, "retried", n->retried);
    pair_uint(out, "lost", n->lost);
    pair_uint(out, "reloads", b->counters.reloads);
}

void serve_status(struct broker *b, struct conn *c, uint64_t req)
{
    struct core_counts n = { 0 };
    struct buf map;
    char epoch[48];
    if (b->core)
        n = core_counts(b->core);
    snprintf(epoch, sizeof epoch, "%" PRIu64 "-%016" PRIx64, b->epoch.generation,
             b->epoch.incarnation);
    buf_init(&map, PAWL_FRAME_MAX);
    mp_map(&map, 9 + (b->core != NULL));
    pair_z(&map, "version", PAWL_VERSION);
    pair_z(&map, "endpoint", peer_endpoint(b->peer));
    pair_z(&map, "epoch", epoch);
    int64_t up = wall_now().ms - b->started_ms;
    pair_uint(&map, "uptime_ms", up > 0 ? (uint64_t)up : 0);
    put_store(b, &map);
    put_jobs(&n, &map);
    put_stages(b, &map);
    mp_z(&map, "peers");
    mp_map(&map, 2);
    pair_uint(&map, "workers", n.workers);
    pair_uint(&map, "clients", n.clients);
    put_counters(b, &n, &map);
    if (b->core) {
        mp_z(&map, "paused");
        core_halts_map(b->core, &map);
    }
    answer(b, c, req, &map);
}

/* ---- PUT: a blob, durable before it is acknowledged --------------------------------------- */

/* Others will trust the name, so it is checked against the bytes. */
static enum status check_blob(const struct msg_PUT *m, struct str frame)
{
    struct buf plain = { 0 };
    struct str bytes;
    if (m->hash.n != HASH_BYTES)
        return ERR_DATA;
    enum status st = frame_plain(frame, PAWL_WORKSPACE_MAX, &plain, &bytes);
    if (st == OK) {
        struct hash h = hash_of(bytes);
        st = memcmp(h.b, m->hash.p, HASH_BYTES) == 0 ? OK : ERR_DATA;
    }
    if (plain.data)
        buf_fini(&plain);
    return st;
}

void serve_put(struct broker *b, struct conn *c, const struct msg_PUT *m, struct peer_in *in)
{
    enum status st = in->n == 2 ? check_blob(m, peer_frame(in, 1)) : ERR_DATA;
    struct hash h;
    char hex[HASH_HEX + 1];
    if (st != OK) {
        loop_refuse(b, c->id, m->req, st,
                    st == ERR_LIMIT
                        ? "the blob is larger than a workspace may be"
                        : "PUT carries one frame whose plain bytes have the hash that it names",
                    "");
        return;
    }
    memcpy(h.b, m->hash.p, sizeof h.b);
    hash_hex(&h, hex);
    b->batch.now_ms = b->wall_ms;
    batch_blob(&b->batch, str_of(hex), peer_frame(in, 1));
    say_okay(&b->fx, c->id, m->req, "");
}
