/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ENDPOINTS_H
#define PAWL_ENDPOINTS_H
/* endpoints: the brokers that a peer knows, and which one it talks to: the leader is one of them,
 * the others stand by and do not listen. One at a time: a socket with several connections would
 * spread its messages over them. Pure: told what happens and when, it says when to move on. With
 * one endpoint it never moves. Times are monotonic milliseconds. */
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENDPOINTS_MAX = 8,
    ENDPOINT_MAX = 256,        /* bytes, with the final zero */
    ENDPOINT_CONNECT_MS = 250, /* for a connection to be there, in the first round … */
    ENDPOINT_CONNECT_MOST_MS = 2000,
    ENDPOINT_GREET_MS = 1000, /* … then for WELCOME; both double with each round in vain */
    ENDPOINT_GREET_MOST_MS = 4000,
    ENDPOINT_PING_MS = 1000,    /* say PING when nothing was heard for this long */
    ENDPOINT_SILENCE_MS = 4000, /* in session: then another one is tried; above a leader's lease */
    ENDPOINT_BROKEN_MS = 1000   /* in session without a connection */
};

enum endpoint_is { ENDPOINT_CONNECTING, ENDPOINT_GREETING, ENDPOINT_IN_SESSION };

struct endpoints {
    char all[ENDPOINTS_MAX][ENDPOINT_MAX];
    uint32_t n, at;
    enum endpoint_is is;
    uint32_t tries;   /* in vain since the last WELCOME */
    int64_t until_ms; /* then it is time for the next one */
    int64_t looked_ms;
    uint64_t seed;
};

/* A list with commas, blanks around them allowed; a wildcard address (tcp://0.0.0.0:1) is reached at
 * the loopback. Starts at the first one. seed: spreads the moves of many peers. */
enum status endpoints_parse(struct endpoints *e, const char *list, uint64_t seed,
                            struct err *err) MUST_USE;
/* For whom listens: exactly one endpoint. */
enum status endpoint_one(const char *list, struct err *err) MUST_USE;

const char *endpoints_now(const struct endpoints *e);
bool endpoints_several(const struct endpoints *e);

/* A connection to endpoints_now() is being made. */
void endpoints_begin(struct endpoints *e, int64_t now_ms);
/* A message went out; could not go out, as there is no connection. */
void endpoints_sent(struct endpoints *e, int64_t now_ms);
void endpoints_unsent(struct endpoints *e, int64_t now_ms);
void endpoints_welcome(struct endpoints *e, int64_t now_ms);
/* Anything was heard of a broker that has its store. */
void endpoints_heard(struct endpoints *e, int64_t now_ms);
/* It said that it has no store: none of its words count while another one may have it. */
void endpoints_away(struct endpoints *e, int64_t now_ms);
/* The session ended, its connection did not: a WELCOME is waited for again. */
void endpoints_greet(struct endpoints *e, int64_t now_ms);
/* Look, several times a second. True: close the connection and begin with endpoints_now(), which
 * is the next one. */
bool endpoints_due(struct endpoints *e, int64_t now_ms);
#endif
