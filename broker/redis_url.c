/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PORT = 6379, SENTINEL_PORT = 26379 };

static enum status bad_url(const char *url, struct err *err)
{
    const char *at = strrchr(url, '@'); /* never show a password */
    const char *query = strstr(at ? at : url, "?");
    int n = (int)(query ? (size_t)(query - (at ? at : url)) : strlen(at ? at : url));
    err_set(err, ERR_CONFIG, "redis.url: %s%.*s: not an address of Redis", at ? "…" : "", n,
            at ? at : url);
    err_fix(err, "use unix:///PATH, redis://[USER:PASSWORD@]HOST[:PORT] or "
                 "redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/NAME");
    return ERR_CONFIG;
}

static enum status no_tls(struct err *err)
{
    err_set(err, ERR_CONFIG, "redis.url: rediss:// (TLS): this pawl speaks no TLS to Redis");
    err_fix(err, "put a TLS tunnel (stunnel, an envoy) beside the broker and name its end here: "
                 "unix:///PATH or redis://127.0.0.1:PORT");
    return ERR_CONFIG;
}

static bool copy_part(char *to, size_t size, const char *from, size_t n)
{
    if (n >= size)
        return false;
    memcpy(to, from, n);
    to[n] = '\0';
    return true;
}

static bool parse_login(const char *from, size_t n, struct redis_url *out)
{
    const char *colon = memchr(from, ':', n);
    size_t user = colon ? (size_t)(colon - from) : 0;
    const char *pass = colon ? colon + 1 : from;
    return copy_part(out->user, sizeof out->user, from, user) &&
           copy_part(out->password, sizeof out->password, pass, n - (size_t)(pass - from));
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT, all of the n bytes. */
static bool parse_place(const char *from, size_t n, int fallback, struct redis_place *out)
{
    char text[300], *host = text, *colon, *stop;
    if (!copy_part(text, sizeof text, from, n))
        return false;
    if (text[0] == '[') {
        char *end = strchr(++host, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return false;
        colon = end[1] ? end + 1 : NULL;
        *end = '\0';
    } else if ((colon = strchr(text, ':')) != NULL) {
        *colon = '\0';
    }
    out->port = fallback;
    if (colon) {
        long port = strtol(colon + 1, &stop, 10);
        if (port < 1 || port > 65535 || *stop != '\0')
            return false;
        out->port = (int)port;
    }
    return *host && !strchr(host, '/') &&
           copy_part(out->host, sizeof out->host, host, strlen(host));
}

static enum status parse_sentinels(const char *url, struct redis_url *out, struct err *err)
{
    static const char query[] = "?sentinel_password=";
    char text[2048];
    if (!copy_part(text, sizeof text, url, strlen(url)))
        return bad_url(url, err);
    char *pass = strstr(text, query);
    if (pass) {
        *pass = '\0';
        pass += strlen(query);
        if (!copy_part(out->sentinel_password, sizeof out->sentinel_password, pass, strlen(pass)))
            return bad_url(url, err);
    }
    char *rest = strstr(text, "://") + 3, *at = strrchr(rest, '@');
    if (at && !parse_login(rest, (size_t)(at - rest), out))
        return bad_url(url, err);
    rest = at ? at + 1 : rest;
    char *name = strchr(rest, '/');
    if (!name || name[1] == '\0' || strpbrk(name + 1, "/?") ||
        !copy_part(out->master, sizeof out->master, name + 1, strlen(name + 1)))
        return bad_url(url, err);
    *name = '\0';
    snprintf(out->shown, sizeof out->shown, "redis+sentinel://%.180s/%.120s", rest, out->master);
    for (bool more = true; more; out->sentinels_n++) {
        size_t n = strcspn(rest, ",");
        if (out->sentinels_n == SENTINELS_MAX ||
            !parse_place(rest, n, SENTINEL_PORT, &out->sentinels[out->sentinels_n]))
            return bad_url(url, err);
        more = rest[n] == ',';
        rest += n + more;
    }
    return OK;
}

static void show_node(struct redis_url *u)
{
    snprintf(u->shown, sizeof u->shown, "redis://%s:%d", u->host, u->port);
}

enum status redis_url_parse(const char *url, struct redis_url *out, struct err *err)
{
    struct redis_place place;
    memset(out, 0, sizeof *out);
    if (strncmp(url, "unix://", 7) == 0 && url[7] == '/') {
        if (!copy_part(out->path, sizeof out->path, url + 7, strlen(url + 7)))
            return bad_url(url, err);
        snprintf(out->shown, sizeof out->shown, "unix://%s", out->path);
        return OK;
    }
    if (strncmp(url, "rediss://", 9) == 0 || strncmp(url, "rediss+", 7) == 0)
        return no_tls(err);
    if (strncmp(url, "redis+sentinel://", 17) == 0)
        return parse_sentinels(url, out, err);
    if (strncmp(url, "redis://", 8) != 0)
        return bad_url(url, err);
    const char *rest = url + 8, *at = strrchr(rest, '@');
    if (at && !parse_login(rest, (size_t)(at - rest), out))
        return bad_url(url, err);
    rest = at ? at + 1 : rest;
    size_t n = strlen(rest);
    n -= n > 0 && rest[n - 1] == '/';
    if (!parse_place(rest, n, DEFAULT_PORT, &place))
        return bad_url(url, err);
    memcpy(out->host, place.host, sizeof out->host);
    out->port = place.port;
    show_node(out);
    return OK;
}

bool redis_url_moved(struct redis_url *url, const char *reply)
{
    char where[300];
    if (sscanf(reply, "MOVED %*d %299s", where) != 1)
        return false;
    char *colon = strrchr(where, ':'); /* an IPv6 address has no brackets here */
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (port < 1 || port > 65535 || (colon == where && !url->host[0]))
        return false;
    if (colon > where && !copy_part(url->host, sizeof url->host, where, (size_t)(colon - where)))
        return false;
    url->path[0] = '\0';
    url->port = (int)port;
    show_node(url);
    return true;
}
