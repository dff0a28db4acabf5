/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_COMMIT_H
#define PAWL_CLI_COMMIT_H
/* commit: several changes of files below a folder, all of them or none, whatever happens to this
 * process. New contents are staged in a hidden folder and made durable; then a journal is moved in
 * place, which is the moment of decision; then every change is a rename, an unlink or a move that can
 * be done again. Whoever comes next finishes what has a journal and undoes what has none. */
#include "common/buf.h"
#include "common/status.h"

#include <stddef.h>

/* The folder for staging, below the one that is changed. */
#define COMMIT_FOLDER ".pawl-archive"

enum commit_kind {
    COMMIT_WRITE,  /* path gets bytes; missing folders are made */
    COMMIT_REMOVE, /* path goes, and folders that are left empty with it */
    COMMIT_MOVE,   /* the folder path becomes `to`, which is not there yet */
};

struct commit_op {
    enum commit_kind kind;
    struct str path, to; /* relative, as ws_path_ok() wants them */
    struct str bytes;
};

/* For tests: called before each call that changes the disk. */
typedef void commit_step_fn(void *ctx);

struct commit {
    int dir; /* of the folder; `path` is how errors name it */
    const char *path;
    commit_step_fn *step; /* NULL */
    void *ctx;
};

/* After commit_recover(): what an earlier one left makes this one refuse. ERR_IO: nothing has been
 * changed (a full disk is met before the decision), or, when the disk itself fails, all will be by the
 * next commit_recover(), which err says. */
enum status commit_run(const struct commit *c, const struct commit_op *ops, size_t n,
                       struct err *err) MUST_USE;

enum commit_found { COMMIT_CLEAN, COMMIT_FINISHED, COMMIT_UNDONE };
/* What an earlier one left behind. ERR_DATA: it is not a journal, or somebody has changed since what it
 * is about; nothing is done then. */
enum status commit_recover(const struct commit *c, enum commit_found *found,
                           struct err *err) MUST_USE;
#endif
