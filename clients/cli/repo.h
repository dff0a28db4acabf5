/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_REPO_H
#define PAWL_CLI_REPO_H
/* repo: the user's OpenSpec repository on disk. What a submission takes along: specs, active changes,
 * configuration, and of archived changes the names only (a new change must not take one). Symbolic
 * links, hidden files and binary files stay at home. */
#include "common/openspec/workspace.h"

enum { REPO_READERS = 4 }; /* threads at most: most of reading is waiting for the kernel */

struct repo {
    struct arena arena;
    struct arena texts[REPO_READERS]; /* each reader's own */
    struct ws ws;
    size_t left_out; /* files that stayed at home */
};

/* The nearest directory from `from` upwards that has openspec/; `given`: look only there.
 * ERR_NOT_FOUND says what was looked for. `root` gets its absolute path. */
enum status repo_find(const char *from, bool given, char *root, size_t size,
                      struct err *err) MUST_USE;
/* Read root/openspec/. ERR_LIMIT, ERR_IO. It is freed with repo_free() in any case. */
enum status repo_read(struct repo *t, const char *root, struct err *err) MUST_USE;
void repo_free(struct repo *t);
#endif
