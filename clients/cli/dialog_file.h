/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_DIALOG_FILE_H
#define PAWL_CLI_DIALOG_FILE_H
/* dialog_file: questions.md on disk. */
#include "common/buf.h"

struct dialog_seen {
    bool there, folder; /* the file; the folder that it is in */
    int64_t rested_ms;  /* since it was written last; as far as the clock can be trusted */
    uint64_t ino;
    int64_t size, mtime_ns;
};

/* Is there any active change? */
bool dialog_file_any(const char *root);
/* What is there now, without reading it. */
void dialog_file_stat(const char *root, const char *change, struct dialog_seen *out);
/* Its bytes; empty when it is not there. ERR_LIMIT: too large; ERR_DATA: not a file; ERR_IO. */
enum status dialog_file_read(const char *root, const char *change, struct buf *out,
                             struct err *err) MUST_USE;

/* Of several who watch a folder, one says what its user writes: the one that has the lock. *lock (-1: none
 * yet) is of the folder as it is now, held until it is closed. */
bool dialog_file_lock(const char *root, const char *change, int *lock);

enum dialog_wrote {
    DIALOG_WROTE,
    DIALOG_MOVED /* it is not `was` any more */,
    DIALOG_WAIT /* claimed */
};
/* Puts `text` in place of `was` (there: false, in place of nothing; folders are made), all of it or
 * nothing. What somebody saves at the same moment is never lost. */
enum status dialog_file_put(const char *root, const char *change, bool there, struct str was,
                            struct str text, enum dialog_wrote *wrote, struct err *err) MUST_USE;
#endif
