/* SPDX-License-Identifier: Apache-2.0 */
/* access: roles of the allow file are `client[:project]`, `worker[:stage,stage…]` and `admin`;
 * without CURVE there is no role and everything is allowed (loopback). */
#include "broker/broker.h"

#include <string.h>

static bool is_role(const char *role, const char *kind)
{
    size_t n = strlen(kind);
    return strncmp(role, kind, n) == 0 && (role[n] == '\0' || (role[n] == ':' && role[n + 1]));
}

static struct str role_part(const char *role)
{
    const char *colon = strchr(role, ':');
    return colon ? str_of(colon + 1) : (struct str){ 0 };
}

struct str access_project(const char *role)
{
    return is_role(role, "client") ? role_part(role) : (struct str){ 0 };
}

static bool listed(struct str list, struct str name)
{
    while (list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        struct str one = { list.p, comma ? (size_t)(comma - list.p) : list.n };
        if (str_eq(one, name))
            return true;
        size_t skip = comma ? one.n + 1 : one.n;
        list = (struct str){ list.p + skip, list.n - skip };
    }
    return false;
}

/* Its own lane comes with a stage: who generates answers questions, who analyses calls tools. */
static bool stage_allowed(struct str stages, struct str name)
{
    return listed(stages, name) || (str_is(name, "ask") && listed(stages, str_of("generate"))) ||
           (str_is(name, "call") && listed(stages, str_of("analyze")));
}

static enum status check_hello(const char *role, const struct msg_HELLO *m, struct err *err)
{
    bool worker = str_is(m->role, "worker");
    if (!is_role(role, worker ? "worker" : "client"))
        return err_set(err, ERR_DENIED, "the key of this connection has the role %s, not %s", role,
                       worker ? "worker" : "client");
    struct str stages = role_part(role);
    for (uint32_t i = 0; worker && stages.n && i < m->stages.n; i++) {
        if (!stage_allowed(stages, m->stages.v[i]))
            return err_set(err, ERR_DENIED, "the key of this worker is not for the stage %.*s",
                           STR_ARG(m->stages.v[i]));
    }
    return OK;
}

enum status access_check(const char *role, const struct msg *m, struct err *err)
{
    if (role[0] == '\0' || strcmp(role, "admin") == 0 || m->type == MSG_PING || m->type == MSG_BYE)
        return OK;
    if (m->type == MSG_HELLO)
        return check_hello(role, &m->HELLO, err);
    bool request = m->type >= MSG_SUBMIT;
    if (is_role(role, request ? "client" : "worker"))
        return OK;
    return err_set(err, ERR_DENIED, "the key of this connection has the role %s: it may not say %s",
                   role, msg_name(m->type));
}

static bool is_loopback(const char *endpoint)
{
    static const char *const local[] = { "tcp://127.", "tcp://localhost:", "tcp://[::1]:", "ipc://",
                                         "inproc://" };
    for (size_t i = 0; i < COUNT(local); i++) {
        if (strncmp(endpoint, local[i], strlen(local[i])) == 0)
            return true;
    }
    return false;
}

enum status access_bind(const char *endpoint, const struct peer_keys *keys, const char *allow,
                        struct err *err)
{
    if (is_loopback(endpoint) || (keys->secret_key[0] && allow[0]))
        return OK;
    err_set(err, ERR_CONFIG, "%s is a public address, and %s is not set", endpoint,
            keys->secret_key[0] ? "broker.allow" : "broker.secret_file");
    err_fix(err, "make keys with `pawl keys new` and list the peers in broker.allow, or listen on "
                 "ipc:// or 127.0.0.1");
    return ERR_CONFIG;
}
