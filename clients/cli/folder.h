/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_FOLDER_H
#define PAWL_CLI_FOLDER_H
/* folder: the files of a change document on disk, all of them or none. They are written into a
 * temporary folder beside the target, made durable, and moved in place by one rename. */
#include "common/js.h"

/* `files`: [{path, text}]. ERR_CREATE: the target exists (unless force) or may not be made; ERR_IO:
 * writing failed, for instance a full disk: nothing is left behind; ERR_DATA: a path that would
 * leave the folder. With force an existing folder is replaced as a whole. */
enum status folder_write(const json_t *files, const char *target, bool force,
                         struct err *err) MUST_USE;
#endif
