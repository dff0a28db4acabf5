/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STORE_FAKE_IN_H
#define BROKER_STORE_FAKE_IN_H
/* store_fake_in: the cells of the store in memory (store_fake_cells.c), for the twin of functions.lua
 * (store_fake_batch.c) and for what a broker asks of a store (store_fake.c). Aborts out of memory. */
#include "broker/store_fake.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 256 };

/* A key that lost its last cell stays, empty: it is as good as absent. NULL: absent, not to be made. */
struct fake_key *fake_find(struct store_fake *f, const char *name, bool make);
const struct fake_key *fake_look(const struct store_fake *f, const char *name);
bool fake_there(const struct store_fake *f, const char *key); /* it is not empty */
void fake_set(struct store_fake *f, const char *key, const char *field, struct str value);
void fake_unset(struct store_fake *f, const char *key, const char *field);
void fake_unset_at(struct store_fake *f, struct fake_key *k, size_t at);
void fake_unset_all(struct store_fake *f, const char *key);
/* Order of fields: <0, 0, >0. Event ids by their numbers, everything else by its bytes. */
int fake_compare(const struct fake_key *k, const char *a, const char *b);
void fake_text(char *to, size_t size, struct str s); /* as a C string, cut at size */
#endif
