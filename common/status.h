/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_STATUS_H
#define PAWL_STATUS_H
/* status: the one error type. Zero is good, ignoring it does not compile, and the text of an
 * error is written once, where it is known; callers may only prefix it. */

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum status {
#define X(id, name, exit_code, text) id,
#include "schemas/statuses.def"
#undef X
    STATUS_COUNT
};

const char *status_name(enum status st); /* "not-found"; static */
const char *status_text(enum status st); /* one sentence for people; static */
int status_exit(enum status st);         /* process exit code, sysexits(3) */

/* The text of one error. Zero-initialise; `fix` may stay empty. */
struct err {
    enum status status;
    char text[768]; /* what and where: "pawl.yaml:3:3: unknown key 'timout'" */
    char fix[256];  /* what to do about it, one sentence, or "" */
};

/* Set the text (truncated if longer) and return `st`, so that `return err_set(…)` reads well.
 * `err` may be NULL. Control characters in arguments are the caller's to remove. */
enum status err_set(struct err *err, enum status st, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Add or replace the advice. */
void err_fix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "text" becomes "prefix: text". */
void err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
#endif
