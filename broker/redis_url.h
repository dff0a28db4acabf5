/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_REDIS_URL_H
#define BROKER_REDIS_URL_H
/* redis_url: where Redis is. unix:///PATH, redis://[USER:PASSWORD@]HOST[:PORT], or sentinels that
 * know it: redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/NAME[?sentinel_password=PASSWORD]. */
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { SENTINELS_MAX = 8 };

struct redis_place {
    char host[256];
    int port;
};

struct redis_url {
    char path[256]; /* unix socket; "" for TCP */
    char host[256]; /* "" with sentinels: redis_find() gives it */
    int port;
    char user[128], password[256];
    char shown[320]; /* without the password: for logs */
    struct redis_place sentinels[SENTINELS_MAX];
    uint32_t sentinels_n; /* 0: no sentinels */
    char master[128];     /* the name under which they watch it */
    char sentinel_password[256];
};

/* ERR_CONFIG: not an address; TLS (rediss://) is told apart. */
enum status redis_url_parse(const char *url, struct redis_url *out, struct err *err) MUST_USE;
/* The node that an error reply "MOVED SLOT HOST:PORT" names, in place of url's. False: it names
 * none. An empty host is the node that answered. */
bool redis_url_moved(struct redis_url *url, const char *reply);
#endif
