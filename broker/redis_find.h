/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_REDIS_FIND_H
#define BROKER_REDIS_FIND_H
/* redis_find: which node is the primary now. Blocks, shortly. */
#include "broker/redis_url.h"

/* node: asked itself, or the primary that the sentinels of asked name, with asked's user and
 * password. Sentinels are asked in turn until more than half have answered; the newest word (the
 * highest configuration epoch) counts, since one of them may have slept through a failover.
 * ERR_UNAVAILABLE: none knows. */
enum status redis_find(const struct redis_url *asked, struct redis_url *node,
                       struct err *err) MUST_USE;
#endif
