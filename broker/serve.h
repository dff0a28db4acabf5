/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_SERVE_H
#define BROKER_SERVE_H
/* serve: what the files that answer readers share. */
#include "broker/broker.h"
#include "common/mp.h"

#include <stdio.h>

void serve_get(struct broker *b, struct conn *c, const struct msg_GET *m);
#endif
