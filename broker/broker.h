/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H
/* broker: the shell around the core. One loop: gather what arrived, step the core, send all writes
 * of the turn to the store as one batch, and say the turn's messages when the batch is durable.
 * Several turns may be in flight; the core runs ahead, the outside world never does. */
#include "broker/core.h"
#include "broker/doc_cache.h"
#include "broker/idmap.h"
#include "broker/store_redis.h"
#include "common/conf.h"
#include "common/logline.h"
#include "common/mux.h"
#include "common/peer.h"

enum { GATHER_MAX = 256, TURNS_MAX = 512, CONNS_MAX = 65536, TICK_MS = 1000, PROBE_MS = 2500 };
enum { FILES_GOOD = 4096 };

/* A connection: its number in the core, how to reach it. */
struct conn {
    uint64_t id;
    char routing[ROUTING_ID_MAX];
    size_t routing_n;
    char role[PAWL_NAME_MAX + 1]; /* of its key, "" without CURVE */
    char key[41];                 /* public; "" without CURVE */
    bool worker, client;          /* as it said HELLO */
    bool gone;                    /* unreachable: forgotten at the end of the turn … */
    uint32_t tasks;               /* … but after these TASKs, which are still to be sent */
    char name[PAWL_NAME_MAX + 1], version[PAWL_NAME_MAX + 1];
    char *died; /* how its process ended, as its next life says; NULL: not known; owned */
    int64_t heard_ms;
    struct conn *chain; /* same hash of the routing id */
};

/* A message that waits for its turn to be durable. */
struct out {
    struct out *next;
    struct turn *turn; /* it lives in the turn's arena */
    uint64_t peer, req;
    struct str header;
    struct str *frames;
    uint32_t frames_n;
    /* TASK */
    bool is_task;
    uint64_t job;
    struct need *needs;
    uint32_t needs_n;
    struct str task;
    struct fence fence;
};

struct turn {
    struct turn *next;
    struct broker *b;
    uint64_t number, incarnation;
    int64_t sent_us;
    uint32_t users; /* the chain, and each TASK whose documents are being read */
    struct arena arena;
    struct out *outs, **outs_end;
    struct told *told;
    uint32_t told_n;
    struct cached_doc *docs; /* small ones, for the stages that follow */
    size_t bytes;
};

struct input { /* a message whose frames are used until the turn is sealed */
    struct input *next;
    struct peer_in in;
};

struct sub;   /* serve_watch.c */
struct fetch; /* fetch.c */

struct store_state {
    bool up;
    char reason[768], fix[256]; /* as in struct err */
    char version[32], run_id[64];
    uint64_t used_bytes, max_bytes;
    int64_t last_turn_us;
};

struct counters {
    uint64_t turns, messages, refused, malformed, reloads;
};

/* What core_conf.rules points to. */
struct sched_conf {
    struct stage_rule *stages;
    struct project_rule *projects;
    struct sched_rules rules; /* views of both */
};

struct broker {
    const struct conf *conf;
    struct log log;
    struct mux *mux;
    struct peer *peer;
    struct store_redis *redis;
    struct store store;
    struct core *core; /* NULL while the store is down */
    struct core_conf core_conf;
    struct sched_conf sched;
    struct buf pipeline; /* encoded, of new submissions */
    struct effects fx;
    struct epoch epoch;
    uint64_t turn_no, event_no;
    struct turn *flying, **flying_end; /* oldest first */
    uint32_t flying_n;
    size_t flying_bytes;
    struct input *inputs;
    struct doc_cache docs;
    struct batch batch; /* of the turn; the shell's own operations (blobs, sweeps) come first */
    struct idmap conns_by_id, conns_by_hash;
    uint64_t conn_no;
    bool some_gone;
    struct sub *subs;
    char last_event[EVENT_ID_MAX]; /* the newest durable one, "": none known */
    struct store_state state;
    struct counters counters;
    struct mux_timer tick, due, retry, renew;
    int64_t sure_until_ms; /* nobody else can lead until then: the lease renewed last */
    int64_t retry_ms, led_ms; /* led_ms: when it last took the lead again */
    int64_t started_ms, wall_ms; /* wall clock: start; last given to the core */
    int64_t now_ms;
    int64_t malformed_logged_ms, next_info_ms, next_sweep_ms;
    bool broken; /* the chain broke in this turn: recover in the next */
    bool stopping, deposed;
    int exit_code;
    bool paused; /* too much in flight: not reading */
    int allow_fd; /* inotify, of the allow file's directory; -1: none */
    uint64_t allow_version;
};

/* What the process was told to do. */
struct broker_options {
    const char *config;
    struct conf_flag flags[64];
    size_t flags_n;
    int64_t wait_store_ms;
    bool fsck, repair, json, standby;
};

/* broker.c: until it is to stop; its exit code. With standby it stands by again when another one
 * took its lead. */
int broker_main(const struct broker_options *options);
enum status broker_listen(struct broker *b, struct err *err); /* bound, but nobody is read yet */
void broker_unlisten(struct broker *b);
/* standby.c: wait until nobody leads; then listen and lead. OK also when b is stopping. */
enum status standby_lead(struct broker *b, struct err *err);
/* fsck_run.c: `pawl fsck`; its exit code */
int fsck_main(const struct broker_options *options);
void broker_init(struct broker *b); /* of zeroes and a conf; then mux, peer and store are set */
void broker_close(struct broker *b);
struct event broker_event(struct broker *b, enum event_kind kind);
void broker_step(struct broker *b, const struct event *ev);
void broker_lost(struct broker *b, enum status st, const struct err *err); /* the chain is broken */
/* May it speak as the leader? A broker that was suspended for longer than its lease asks the store
 * first, and is silent for ever if another one leads. */
bool broker_sure(struct broker *b);
void broker_renewed(void *ctx, int64_t sent_ms);
bool broker_recover(struct broker *b, struct err *err);
void broker_complain(struct broker *b, const struct err *err);

/* gather.c: messages in */
void loop_on_socket(void *ctx, void *socket);
void loop_free_inputs(struct broker *b);

/* loop.c: the turn */
void loop_seal(void *ctx);
void loop_committed(void *ctx, enum status st, const struct err *err);
void loop_drop_turns(struct broker *b, const char *why); /* nothing of them is said */
enum status loop_send(struct broker *b, uint64_t peer, struct str header, const struct str *frames,
                      uint32_t n);
void loop_say(struct broker *b, uint64_t peer, struct msg *m, const struct str *frames, uint32_t n);
void loop_refuse(struct broker *b, uint64_t peer, uint64_t req, enum status code, const char *text,
                 const char *fix);
void loop_keep_input(struct broker *b, struct peer_in *in); /* takes the frames */

/* edge.c: bytes become events, once */
struct edge {
    struct event ev;
    struct budget budget;
    struct asked asked[QUESTIONS_MAX];
    struct buf plain; /* unpacked document */
    struct new_job *jobs;
};
/* Fill in the parts that the core cannot read itself. Errors go into err; then refuse. */
enum status edge_fill(struct broker *b, struct edge *e, const struct msg *m,
                      const struct str *frames, uint32_t n, struct err *err) MUST_USE;
void edge_fini(struct edge *e);
/* Plain msgpack of a document frame ([codec][bytes]); may point into frame or into plain. */
enum status frame_plain(struct str frame, size_t max, struct buf *plain, struct str *out) MUST_USE;

/* conns.c */
void conns_room(struct broker *b); /* as many open files as are allowed; a warning: few */
struct conn *conn_of(struct broker *b,
                     const struct peer_in *in); /* made on first use; NULL: full */
struct conn *conn_find(const struct broker *b, uint64_t id);
void conn_forget(struct broker *b, uint64_t id);
/* TASKs on their way to it. A worker that is gone has not lost what it never got: UNSENT says so,
 * and has to come before GONE. */
void conn_tasks(struct broker *b, uint64_t id, int more);
void conns_no_tasks(struct broker *b); /* a new epoch: nothing is on its way */
/* The worker whose next life this HELLO of c begins is gone: nobody else needs to find out. */
void conns_died(struct broker *b, const struct conn *c, const struct msg_HELLO *m);
void conns_bury(struct broker *b);  /* forget those that are gone: outside of every callback */
void conns_sweep(struct broker *b); /* probe silent ones, forget unknown ones */
void conns_greet(struct broker *b); /* after a recovery: everybody is to say HELLO again */
void conns_free(struct broker *b);

/* allow.c: keys that come, go, and change while their connections are open */
void allow_watch(struct broker *b, const char *path); /* look whenever the file changes */
void allow_look(struct broker *b); /* a revoked key is deaf and dumb from here on */
void allow_close(struct broker *b);

/* access.c: what a role may say. err: why not. */
enum status access_check(const char *role, const struct msg *m, struct err *err) MUST_USE;
/* The project that a role is bound to; empty: any. View into role. */
struct str access_project(const char *role);
/* A public address without keys is refused. */
enum status access_bind(const char *endpoint, const struct peer_keys *keys, const char *allow,
                        struct err *err) MUST_USE;

/* fetch.c: documents out of the store */
typedef void fetch_fn(void *ctx, enum status st, const struct str *frames, uint32_t n);
/* One frame per need, in order; an absent one is empty (p NULL). Valid during the call of fn. */
void fetch_docs(struct broker *b, uint64_t job, const struct need *needs, uint32_t n, fetch_fn *fn,
                void *ctx);

/* serve.c: requests that change nothing; false: not one of them */
bool serve(struct broker *b, struct conn *c, const struct msg *m);
void serve_show(struct broker *b, struct conn *c, const struct msg_SHOW *m);
void serve_workers(struct broker *b, struct conn *c, uint64_t req);
void serve_status(struct broker *b, struct conn *c, uint64_t req);
void serve_watch(struct broker *b, struct conn *c, const struct msg_WATCH *m);
void serve_unwatch(struct broker *b, struct conn *c, uint64_t req);
void serve_put(struct broker *b, struct conn *c, const struct msg_PUT *m, struct peer_in *in);
void watch_kept(struct broker *b, const struct told *told);
void watch_live(struct broker *b, const struct fx *fx);
void watch_catch_up(struct broker *b);
void watch_conn_gone(struct broker *b, uint64_t conn);
void watch_free(struct broker *b);
void watch_restart(struct broker *b); /* after a recovery: read on from where they are */

/* maps.c: shapes of schemas/protocol.md, Maps */
void map_row(struct buf *out, const struct job *j, uint32_t extra); /* extra: pairs that follow */
void map_job_rest(struct buf *out, const struct job *j, int64_t wall_ms);
enum { MAP_JOB_REST = 10 };

/* sched_conf.c: the tree `schedule` of the configuration */
enum status sched_from_conf(const struct conf *conf, struct sched_conf *out,
                            struct err *err) MUST_USE; /* to be freed in any case */
void sched_conf_free(struct sched_conf *s);

/* "15s", "2h", or a number of milliseconds. */
bool span_ms(const json_t *v, int64_t *out);
/* pipeline_conf.c: the tree `pipeline` of the configuration, encoded */
enum status pipeline_from_conf(const struct conf *conf, struct buf *out, struct err *err) MUST_USE;
#endif
