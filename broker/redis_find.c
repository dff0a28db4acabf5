/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/redis_find.h"

#include "broker/redis_conn.h"
#include "common/failpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENTINEL_MS = 500 };

/* What one sentinel says of the primary. */
struct word {
    struct redis_place at;
    uint64_t epoch;
};

static const char *field(const redisReply *r, const char *name)
{
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        const redisReply *key = r->element[i], *value = r->element[i + 1];
        if (key->str && value->str && strcmp(key->str, name) == 0)
            return value->str;
    }
    return "";
}

static bool take_word(const redisReply *r, struct word *out)
{
    if (r->type != REDIS_REPLY_ARRAY)
        return false;
    long port = strtol(field(r, "port"), NULL, 10);
    int n = snprintf(out->at.host, sizeof out->at.host, "%s", field(r, "ip"));
    out->at.port = (int)port;
    out->epoch = strtoull(field(r, "config-epoch"), NULL, 10);
    return n > 0 && (size_t)n < sizeof out->at.host && port > 0 && port <= 65535;
}

static bool ask_one(const struct redis_url *asked, const struct redis_place *where,
                    struct word *out, struct err *err)
{
    struct redis_url url = { .port = where->port };
    struct str argv[] = { str_of("SENTINEL"), str_of("MASTER"), str_of(asked->master) };
    memcpy(url.host, where->host, sizeof url.host);
    memcpy(url.password, asked->sentinel_password, sizeof url.password);
    snprintf(url.shown, sizeof url.shown, "sentinel %.250s:%d", url.host, url.port);
    failpoint(AT_sentinel_before);
    struct redis_conn *c = redis_conn_open_within(&url, SENTINEL_MS, err);
    redisReply *r = c ? redis_conn_ask(c, COUNT(argv), argv, err) : NULL;
    failpoint(AT_sentinel_after);
    bool good = r && take_word(r, out);
    if (r && !good)
        err_set(err, ERR_UNAVAILABLE, "%s about '%s': %.200s", url.shown, asked->master,
                r->type == REDIS_REPLY_ERROR ? r->str : "an answer without an address");
    if (r)
        freeReplyObject(r);
    redis_conn_close(c);
    return good;
}

enum status redis_find(const struct redis_url *asked, struct redis_url *node, struct err *err)
{
    struct word best = { .epoch = 0 }, one;
    struct err why = { 0 };
    uint32_t answers = 0;
    *node = *asked;
    if (asked->sentinels_n == 0)
        return OK;
    for (uint32_t i = 0; i < asked->sentinels_n && answers <= asked->sentinels_n / 2; i++) {
        if (!ask_one(asked, &asked->sentinels[i], &one, &why))
            continue;
        if (answers++ == 0 || one.epoch > best.epoch)
            best = one;
    }
    if (answers == 0) {
        err_set(err, ERR_UNAVAILABLE, "no sentinel of %s knows the primary; the last one: %s",
                asked->shown, why.text);
        err_fix(err, "look at the sentinels, or correct redis.url");
        return ERR_UNAVAILABLE;
    }
    memcpy(node->host, best.at.host, sizeof node->host);
    node->port = best.at.port;
    snprintf(node->shown, sizeof node->shown, "redis://%.250s:%d", node->host, node->port);
    return OK;
}
