/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STORE_REDIS_IN_H
#define BROKER_STORE_REDIS_IN_H
/* store_redis_in: what the two files of the store in Redis share. */
#include "broker/redis_conn.h"
#include "broker/store_redis.h"

enum { HOLDER_MAX = 512, NAME_SIZE = 32, KEY_SIZE = 160 };

struct store_redis {
    struct redis_url url;
    char prefix[64];
    char holder[HOLDER_MAX];
    char hash[13]; /* of the function library */
    struct mux *mux;
    struct store_events events;
    struct redis_conn *writer, *reader;
    struct epoch epoch;
    struct mux_timer watch; /* answers that do not come */
    int64_t extended_ms;    /* when the lease was last known to begin anew, while loading */
    int64_t renewing_ms;    /* a renewal sent then is not answered yet; 0: none */
};

void store_key(const struct store_redis *s, char out[KEY_SIZE], const char *what, const char *name);
void store_function(const struct store_redis *s, char out[NAME_SIZE], const char *what);
bool store_holder_dead(const struct store_redis *s, const char *holder);
void store_holder_shown(const char *holder, char out[256]);
void u64_text(char out[21], uint64_t v);
/* store_ops.get, on the second connection */
enum status store_redis_get(void *self, const struct store_get *what, store_get_fn *fn, void *ctx);
#endif
