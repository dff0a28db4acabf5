/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_PACK_H
#define PAWL_CLI_PACK_H
/* pack: what goes along with a problem statement: the repository's openspec/ tree, and the budget. */
#include "common/buf.h"
#include "common/conf.h"
#include "common/hash.h"

#include <limits.h>

struct packed {
    char root[PATH_MAX]; /* of the repository */
    struct hash workspace;
    struct buf blob;
    size_t left_out; /* files that stay at home: links, binary or large files */
};

/* The tree around `from` (given: of it). `change`: one that must be there, or NULL. Freed with
 * packed_free() in any case. ERR_NOT_FOUND, ERR_LIMIT, ERR_IO. */
enum status pack_tree(const char *from, bool given, const char *change, struct packed *out,
                      struct err *err) MUST_USE;
void packed_free(struct packed *p);

enum pack_key {
    PACK_ROUNDS,
    PACK_TOKENS,
    PACK_WALL,
    PACK_PATIENCE,
    PACK_MEASURES,
    PACK_JUDGE,
    PACK_QUESTION,
    PACK_KEYS
};

/* The map for SUBMIT: what is given here (0: not), else what files or environment of the user say;
 * the rest is the broker's business. */
enum status pack_budget(const struct conf *conf, const int64_t given[PACK_KEYS],
                        struct buf *out) MUST_USE;
#endif
