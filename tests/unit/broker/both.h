/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_BROKER_BOTH_H
#define TEST_BROKER_BOTH_H
/* both: the store in Redis, of its own server, and its twin in memory, led by one broker. */
#include "rig.h"

#include "broker/redis_conn.h"
#include "broker/store_fake.h"
#include "broker/store_redis_in.h"
#include "tests/unit/unit.h"

#define BOTH_PREFIX "pawl:{s0}:"

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

int both_setup(void **s);
int both_teardown(void **s);
#define BOTH_TEST(f) cmocka_unit_test_setup_teardown(f, both_setup, both_teardown)

/* Another broker's connection to the same Redis; the caller frees it. */
struct store_redis *both_open(struct both *b, const char *name);
void both_lead(struct both *b); /* anew, in both; waits while Redis loads */
void both_wait(struct both *b); /* for the answer to a commit */
void both_same_content(struct both *b);
#endif
