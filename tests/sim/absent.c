/* SPDX-License-Identifier: Apache-2.0 */
/* absent: what broker.c and serve*.c need in order to link and what never happens here: a process
 * that is started by hand, with files, signals and a real Redis. */
#include "broker/broker.h"

#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"
#define ABSENT                                                                                     \
    {                                                                                              \
        abort();                                                                                   \
    }

enum status conf_load(struct conf **out, const char *file, const struct conf_flag *flags,
                      size_t flags_n, struct err *err) ABSENT
void conf_free(struct conf *c) ABSENT
const char *conf_str(const struct conf *c, enum conf_key k) ABSENT
const json_t *conf_tree(const struct conf *c, enum conf_key k) ABSENT
const char *conf_origin(const struct conf *c, enum conf_key k) ABSENT
const char *conf_path(enum conf_key k) ABSENT
int conf_line(const struct conf *c, enum conf_key k, const char *js_path) ABSENT
const char *conf_endpoint(const struct conf *c) ABSENT
enum status conf_keys(const struct conf *c, bool broker, struct peer_keys *out,
                      struct err *err) ABSENT
void log_init(struct log *log, const char *role, const char *level, bool json) ABSENT
void mux_after(struct mux *m, void (*fn)(void *ctx), void *ctx) ABSENT
struct mux *mux_new(struct err *err) ABSENT
enum status mux_fd(struct mux *m, int fd, int events, mux_fd_fn *fn, void *ctx) ABSENT
void mux_fd_remove(struct mux *m, int fd) ABSENT
enum status mux_run(struct mux *m, struct err *err) ABSENT
enum status mux_signal(struct mux *m, int signo, void (*fn)(void *ctx, int signo), void *ctx) ABSENT
enum status mux_turn(struct mux *m, int64_t wait_ms, struct err *err) ABSENT
void peer_auth(struct peer *p) ABSENT
void *peer_auth_socket(const struct peer *p) ABSENT
struct peer *peer_bind(const char *endpoint, const struct peer_keys *keys, const char *allow,
                       struct err *err) ABSENT
const char *peer_endpoint(const struct peer *p) ABSENT
struct store_redis *store_redis_new(const struct store_redis_conf *conf, struct mux *mux,
                                    const struct store_events *events, struct err *err) ABSENT
struct store store_redis_ops(struct store_redis *s) ABSENT
struct lease_watch *lease_watch_new(struct store_redis *s, lease_fn *fn, void *ctx) ABSENT
void lease_watch_free(struct lease_watch *w) ABSENT

const struct store_report *store_redis_report(const struct store_redis *s)
{
    static const struct store_report none = { 0 };
    return &none;
}

const char *store_redis_shown(const struct store_redis *s)
{
    return "simulated";
}
