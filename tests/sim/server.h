/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H
/* server: what the hosts ask of the store's server; one call is one atomic happening. */
#include "broker/store_fake.h"
#include "tests/sim/sim.h"

/* Connections made under another number are broken. */
uint64_t server_life(const struct server *s);
bool server_is_down(const struct server *s);
/* dead: the name of a process that is known to have died, or "". */
enum status server_lead(struct server *s, const char *name, const char *dead, struct epoch *epoch,
                        struct err *err) MUST_USE;
enum status server_renew(struct server *s, const struct epoch *epoch, struct err *err) MUST_USE;
enum status server_commit(struct server *s, const struct epoch *epoch, uint64_t turn,
                          struct str bytes, struct err *err) MUST_USE;
const struct store_fake *server_store(const struct server *s);
void host_store_lost(struct host *h); /* host.c: its connection broke */
struct str server_look(void *ctx, const char *key, const char *field);
#endif
