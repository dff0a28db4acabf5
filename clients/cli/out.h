/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_OUT_H
#define PAWL_CLI_OUT_H
/* out: what reaches the user. Results go to stdout, messages to stderr; in JSON mode stdout holds
 * JSON and nothing else, also when something went wrong. Text of others (job labels, model output)
 * is cleaned of control characters before a terminal sees it. */
#include "clients/cli/cli.h"
#include "common/clock.h"
#include "common/js.h"

/* "pawl: text", then the fix; JSON mode: {"status": […]} on stdout. Returns status_exit(). */
int out_error(const struct cli *cli, const struct err *err);
/* A message on stderr unless --quiet. No newline needed. */
void out_note(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A warning on stderr, also with --quiet. */
void out_warn(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The result as JSON: {"apiVersion": "pawl/v1", "kind": kind, …body}; one line with -o jsonl.
 * Takes the reference. False: stdout is full or closed (the caller exits with ERR_IO). */
bool out_json(const struct cli *cli, const char *kind, json_t *body);
/* One JSON object on a line of its own, written at once. */
bool out_line(const json_t *v);
bool out_is_json(const struct cli *cli); /* json or jsonl */
/* Flush stdout; ERR_IO's exit code when anything written there was lost. */
int out_finish(const struct cli *cli, int code);

/* Append s without control characters and invalid UTF-8; newlines become blanks unless `lines`. */
void text_clean(struct buf *out, struct str s, bool lines);
/* The same for one value of a JSON object. */
void text_of(struct buf *out, const json_t *obj, const char *key);
/* Columns that the text takes on a terminal. */
size_t text_width(struct str s);
/* Cut to at most `columns`, with … when something is gone. */
void text_fit(struct buf *out, struct str s, size_t columns);
/* "41 s", "2:05 min", "3:20 h"; "1,234"; "12 MiB". */
void text_time(struct buf *out, int64_t ms);
void text_count(struct buf *out, int64_t n);
void text_bytes(struct buf *out, int64_t n);
/* Local time "2026-11-23 06:10:04". */
void text_when(struct buf *out, int64_t unix_ms);

/* A table: aligned columns on a terminal, tab-separated elsewhere. Cells are cleaned. */
struct table {
    struct buf cells; /* NUL-separated */
    size_t columns, count;
};
void table_init(struct table *t, const char *const *heads, size_t columns);
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* `aligned`: for a terminal, otherwise tabs. Frees the table. */
void table_end(struct table *t, bool aligned, struct buf *out);
void table_print(struct table *t, const struct cli *cli);

/* Escape sequences, or "" when colors are off. */
const char *paint(bool color,
                  const char *name); /* "red", "green", "yellow", "blue", "bold", "dim", "off" */
const char *paint_state(const char *state); /* the color of a job state */
#endif
