/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_BROKER_RIG_H
#define TEST_BROKER_RIG_H
/* rig: a private directory with a real redis-server on a unix socket and a real pawl-broker, and
 * parties that talk to it over ipc. Everything waits for an event with a deadline, never for time.
 * A failure aborts the test with what was expected and what came. */
#include "common/clock.h"
#include "common/hash.h"
#include "common/peer.h"

#include <sys/types.h>

struct rig {
    char dir[64];
    char endpoint[128], redis_url[128];
    const char *appendfsync; /* of Redis; NULL: always. Set it before rig_redis_start() */
    pid_t redis, broker;
    int broker_log; /* read end of its stderr */
    char log[65536];
    size_t log_n;
};

void rig_open(struct rig *r); /* the directory only */
void rig_redis_start(struct rig *r);
void rig_redis_stop(struct rig *r, int signo);
/* Extra arguments end with NULL; waits for `ready`. */
void rig_broker_start(struct rig *r, const char *const *args);
/* Start and wait for its end; its exit code. What it said is in r->log. */
int rig_broker_run(struct rig *r, const char *const *args);
void rig_broker_stop(struct rig *r, int signo);
void rig_wait_log(struct rig *r, const char *text);
long rig_rss_kib(pid_t pid); /* resident memory of a process, KiB; fails when it is gone */
void rig_close(struct rig *r); /* stops what runs, removes the directory */

struct party {
    struct peer *peer;
    struct peer_in in; /* the last message */
    struct msg m;
    struct buf holds; /* for HELLO */
    uint32_t holds_n;
    const char *role, *name, *stages; /* stages separated by spaces */
    uint64_t req, epoch, seen;
};

void party_open(struct party *p, struct rig *r, const char *role, const char *name,
                const char *stages);
void party_hello(struct party *p); /* and wait for WELCOME */
void party_close(struct party *p);
void party_say(struct party *p, struct msg *m, const struct str *frames, uint32_t n);
/* Next message of this type; others are passed over (task text, pongs). Aborts after 10 s. */
const struct msg *party_expect(struct party *p, enum msg_type type);
/* Is there a message within ms? It becomes the last one. */
bool party_poll(struct party *p, int64_t ms);
void party_ready(struct party *p, uint64_t credit);
/* Take the next TASK and answer it with the given document frames ("name", frame)…, NULL. */
struct str party_frame(const struct party *p, uint32_t i);
/* The value of a key in the last message's frame, or in a map, as text. */
void map_text(struct str map, const char *key, char *out, size_t size);
struct str map_raw(struct str map, const char *key);

/* A plain document frame {text: …}. */
struct str doc_text(struct buf *b, const char *text);
#endif
