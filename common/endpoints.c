/* SPDX-License-Identifier: Apache-2.0 */
#include "common/endpoints.h"

#include "common/buf.h"

#include <stdio.h>
#include <string.h>

enum { AWAY_MS = 2000 }; /* between two looks: this process itself was stopped */

static const char how[] = "endpoints look like ipc:///run/pawl/broker.sock or tcp://HOST:PORT";

static enum status add(struct endpoints *e, const char *text, size_t n, struct err *err)
{
    static const char *const wild[] = { "tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:" };
    char *to = e->all[e->n];
    if (n == 0 || n >= ENDPOINT_MAX - 16) {
        err_set(err, ERR_CONFIG, "broker.endpoint: %s",
                n ? "an endpoint is too long" : "a list has an empty place");
        err_fix(err, "%s; several are joined with commas", how);
        return ERR_CONFIG;
    }
    if (e->n == ENDPOINTS_MAX)
        return err_set(err, ERR_CONFIG, "broker.endpoint: more than %d endpoints", ENDPOINTS_MAX);
    snprintf(to, ENDPOINT_MAX, "%.*s", (int)n, text);
    for (size_t i = 0; i < COUNT(wild); i++) {
        size_t w = strlen(wild[i]);
        if (n > w && strncmp(text, wild[i], w) == 0)
            snprintf(to, ENDPOINT_MAX, "tcp://127.0.0.1:%.*s", (int)(n - w), text + w);
    }
    e->n++;
    return OK;
}

enum status endpoints_parse(struct endpoints *e, const char *list, uint64_t seed, struct err *err)
{
    enum status st = OK;
    *e = (struct endpoints){ .seed = seed };
    for (const char *at = list; st == OK && at;) {
        const char *comma = strchr(at, ',');
        size_t n = comma ? (size_t)(comma - at) : strlen(at);
        while (n && *at == ' ')
            at++, n--;
        while (n && at[n - 1] == ' ')
            n--;
        st = add(e, at, n, err);
        at = comma ? comma + 1 : NULL;
    }
    for (uint32_t i = 0; st == OK && e->n > 1 && i < e->n; i++)
        st = endpoint_one(e->all[i], err);
    return st;
}

enum status endpoint_one(const char *list, struct err *err)
{
    if (strncmp(list, "ipc://", 6) != 0 && strncmp(list, "tcp://", 6) != 0) {
        err_set(err, ERR_CONFIG, "broker.endpoint: %.200s: not an endpoint", list);
        err_fix(err, "%s", how);
        return ERR_CONFIG;
    }
    if (!strchr(list, ','))
        return OK;
    err_set(err, ERR_CONFIG, "broker.endpoint: %.200s: a broker listens on one endpoint", list);
    err_fix(err, "give each broker its own (pawl-broker --endpoint, pawl up --broker); the list is for "
                 "workers and clients");
    return ERR_CONFIG;
}

const char *endpoints_now(const struct endpoints *e)
{
    return e->all[e->at];
}

bool endpoints_several(const struct endpoints *e)
{
    return e->n > 1;
}

/* Doubled with each round in vain, and a quarter of it more or less. */
static int64_t patience(struct endpoints *e, int64_t first_ms, int64_t most_ms)
{
    int64_t ms = first_ms;
    for (uint32_t round = e->tries / e->n; round && ms < most_ms; round--)
        ms *= 2;
    ms = ms < most_ms ? ms : most_ms;
    e->seed = e->seed * 6364136223846793005u + 1442695040888963407u;
    return ms * 3 / 4 + (int64_t)((e->seed >> 33) % (uint64_t)(ms / 2 + 1));
}

void endpoints_begin(struct endpoints *e, int64_t now_ms)
{
    e->is = ENDPOINT_CONNECTING;
    e->looked_ms = now_ms;
    e->until_ms = now_ms + patience(e, ENDPOINT_CONNECT_MS, ENDPOINT_CONNECT_MOST_MS);
}

void endpoints_greet(struct endpoints *e, int64_t now_ms)
{
    e->is = ENDPOINT_GREETING;
    e->until_ms = now_ms + patience(e, ENDPOINT_GREET_MS, ENDPOINT_GREET_MOST_MS);
}

void endpoints_sent(struct endpoints *e, int64_t now_ms)
{
    if (e->is == ENDPOINT_CONNECTING)
        endpoints_greet(e, now_ms);
}

void endpoints_unsent(struct endpoints *e, int64_t now_ms)
{
    int64_t soon = now_ms + ENDPOINT_BROKEN_MS;
    if (e->is == ENDPOINT_IN_SESSION && soon < e->until_ms)
        e->until_ms = soon;
}

void endpoints_heard(struct endpoints *e, int64_t now_ms)
{
    if (e->is == ENDPOINT_IN_SESSION)
        e->until_ms = now_ms + ENDPOINT_SILENCE_MS;
}

void endpoints_away(struct endpoints *e, int64_t now_ms)
{
    if (e->is != ENDPOINT_IN_SESSION)
        e->until_ms = now_ms;
}

void endpoints_welcome(struct endpoints *e, int64_t now_ms)
{
    e->is = ENDPOINT_IN_SESSION;
    e->tries = 0;
    endpoints_heard(e, now_ms);
}

bool endpoints_due(struct endpoints *e, int64_t now_ms)
{
    bool away = now_ms - e->looked_ms > AWAY_MS;
    e->looked_ms = now_ms;
    if (e->n < 2 || now_ms < e->until_ms)
        return false;
    if (away) { /* nobody was silent while nobody listened */
        e->until_ms = now_ms + ENDPOINT_GREET_MS;
        return false;
    }
    e->at = (e->at + 1) % e->n;
    e->tries++;
    return true;
}
