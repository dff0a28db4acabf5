/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_COMMIT_GUARD_H
#define PAWL_CLI_COMMIT_GUARD_H
/* commit_guard: what a commit may rest on. A journal can come with a repository of strangers, and
 * files can be edited between a crash and the recovery: nothing is done through a symbolic link, and
 * a file is only replaced or removed when its bytes are those that the journal knows. */
#include "common/hash.h"
#include "common/js.h"

#include <limits.h>

/* 0: every folder above the path is missing or a real one, and at the path itself is nothing, a
 * regular file or, with `folder`, a real folder. Else an errno. */
int guard_plain(int dir, const char *path, bool folder);
/* The SHA-256 of a file as text; "" when it is not there. 0 or an errno. */
int guard_hash(int dir, const char *path, char hex[HASH_HEX + 1]);
/* "before" and "after" of an op that writes (bytes not NULL) or removes a file, noted in v. */
int guard_note(int dir, const char *path, const struct str *bytes, json_t *v);
/* Can the op of a journal be carried out, or has it been? ERR_DATA: somebody has edited what it is
 * about. `staged`: where its bytes are kept until then. */
enum status guard_check(int dir, const json_t *v, const char *staged, struct err *err) MUST_USE;
#endif
