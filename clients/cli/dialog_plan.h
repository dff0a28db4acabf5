/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_DIALOG_PLAN_H
#define PAWL_CLI_DIALOG_PLAN_H
/* dialog_plan: a change's questions.md and a job, brought together. Pure: the file's bytes and the
 * broker's map of the job (SHOW) in; the file as it should be, and what to say to the broker, out.
 * Nothing is remembered in between, so a restart does nothing twice: an entry's `ref` is JOB/QUESTION
 * or JOB/COMMENT, and `by` is there once it is settled.
 *
 *   from: system  an open question of the job is added; an answer below it is said; when it is
 *                 answered, by whomever, the first answer stands in it. Text that came too late stays
 *                 below that, quoted. One that nobody asks any more becomes withdrawn.
 *   from: user    without ref: said as a comment, then gets its ref. Once the next round is over, what
 *                 came of that stands in it as the answer.
 *
 * Entries of other jobs and everything between entries are left alone. */
#include "common/arena.h"
#include "common/js.h"

enum {
    DIALOG_SENDS_MAX = 32,
    DIALOG_EDITS_MAX = 16, /* of one plan; the next one goes on */
    DIALOG_SAY_MAX = 4096  /* bytes of an answer or a comment */
};

enum dialog_kind { DIALOG_ANSWER, DIALOG_COMMENT };

struct dialog_send {
    enum dialog_kind kind;
    struct str entry;    /* its ID in the file */
    struct str question; /* its id in the job; DIALOG_ANSWER */
    struct str text;     /* LF line ends; an empty answer takes the default */
};

struct dialog_plan {
    struct str text; /* of the file; the one given when nothing changes */
    bool changed, more;
    struct dialog_send sends[DIALOG_SENDS_MAX];
    size_t sends_n;
    struct str notes; /* lines for the user's terminal, about what the edits changed; "" for none */
    struct str wrong; /* lines about what cannot be said */
};

/* `speaks`: new entries of the user are ours to say (others watch this file, too). ERR_DATA: the file
 * does not follow the grammar of questions.h; err says the line. ERR_LIMIT. All
 * that is given lives in the arena, or in `file` and `job`. */
enum status dialog_plan(struct arena *a, const json_t *job, struct str file, bool speaks,
                        struct dialog_plan *out, struct err *err) MUST_USE;

/* "user (mcp)", "default": whose an answer of a job is. */
void dialog_by(struct buf *out, const json_t *answer);
/* "round 2: kept (gates ok, measures 0.84): better" of an entry of the ledger. */
void dialog_round(struct buf *out, const json_t *entry);
#endif
