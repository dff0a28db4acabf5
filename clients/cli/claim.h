/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_CLAIM_H
#define PAWL_CLI_CLAIM_H
/* claim: one archive at a time below an openspec/ folder. Archives of pawl queue on a file lock, which
 * ends with its process; towards the original tool the claim is that tool's own file,
 * changes/archive/.openspec-archive.lock. A claim whose process is gone is removed: at once when it
 * was made on this machine since it was started, else when it is a minute old. */
#include "clients/cli/cli.h"
#include "clients/cli/commit.h"

#include <limits.h>
#include <stdint.h>

struct claim {
    int dir; /* openspec/, borrowed */
    int lock;
    char text[256]; /* of our claim */
};

/* Waits its turn, at most wait_ms. ERR_BUSY: somebody else archives (err says who); ERR_IO. Makes
 * changes/archive/ when it is missing. `waiting` is called once when it has to wait; may be NULL. */
enum status claim_take(struct claim *c, int dir, int64_t wait_ms, void (*waiting)(void *ctx),
                       void *ctx, struct err *err) MUST_USE;
void claim_give(struct claim *c);

/* A root's openspec/, open and claimed. */
struct claimed {
    struct claim claim;
    struct commit commit; /* of that folder */
    char path[PATH_MAX];
};
struct claim_wait {
    int64_t ms; /* 0: not at all */
    void (*waiting)(void *ctx);
    void *ctx;
};
/* As claim_take(), and ERR_IO: there is no such folder. `at` stays where it is until claim_leave(). */
enum status claim_enter(struct claimed *at, const char *root, struct claim_wait wait,
                        struct err *err) MUST_USE;
void claim_leave(struct claimed *at);
/* The operations on root/openspec/ under a claim of their own, after whatever an earlier one left has
 * been settled, which is told. */
enum status claim_commit(struct cli *cli, const char *root, const struct commit_op *ops, size_t n,
                         struct err *err) MUST_USE;
#endif
