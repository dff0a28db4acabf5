/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_REPO_WALK_H
#define PAWL_CLI_REPO_WALK_H
/* repo_walk: the files of openspec/, read by several threads at once: reading them is waiting for
 * the kernel. As many readers as there are cores, REPO_READERS at most, share a list of folders:
 * each takes one, reads its files into memory of its own and puts the folders below on the list.
 * What all have found becomes one workspace, sorted by path, so that nobody sees who read what.
 *
 * What goes along, and what stays at home and is counted: see repo.h. Markdown and YAML always go
 * along; another file does when it is at most 1 MiB of UTF-8 without a NUL. A file or folder that
 * goes away while it is read is not there. Folders are at most 16 deep; PAWL_WORKSPACE_FILES and
 * PAWL_WORKSPACE_MAX hold for what all readers found together.
 *
 * The same files give the same error, whichever reader is the fastest: a bad folder does not keep
 * the others from being read, and of the bad ones the first by path is told; but a bound on all
 * files together ends the walk and is told in any case. */
#include "clients/cli/repo.h"

/* Into t, whose arenas are made and which has no files yet. `root` is openspec/, open; it stays the
 * caller's. ERR_LIMIT, ERR_IO, ERR_NOMEM; after an error t can only be freed. */
enum status repo_walk(struct repo *t, int root, struct err *err) MUST_USE;
#endif
