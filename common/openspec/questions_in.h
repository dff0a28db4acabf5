/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_QUESTIONS_IN_H
#define PAWL_OPENSPEC_QUESTIONS_IN_H
/* questions_in: the lines of questions.md, for its reader and its edits. Internal. */
#include "common/openspec/questions.h"

enum question_line_kind {
    LINE_BLANK,
    LINE_COMMENT, /* nothing but a comment */
    LINE_TEXT,
    LINE_HEADING, /* of level 1 or 2 */
    LINE_QUESTION,
    LINE_ANSWER
};

struct question_line {
    enum question_line_kind kind;
    struct str s;      /* without its end */
    size_t from, next; /* bytes of the text */
    size_t number;     /* from 1 */
    struct str rest;   /* LINE_QUESTION: what follows the word */
};

struct question_lines {
    struct str text;
    size_t at, number;
    char fence;       /* the mark of the open fence; 0: none */
    size_t fence_n;   /* its length */
    bool comment;     /* one is open */
    size_t open_line; /* where the fence or the comment began */
};

/* From the start of the text, behind a BOM. */
struct question_lines question_lines_of(struct str text);
bool question_line_next(struct question_lines *l, struct question_line *out);
/* Without blanks and tabs at both ends. */
struct str question_trim(struct str s);
/* A letter or digit, then letters, digits, '.', '_', '-'; at most QUESTIONS_ID_MAX. */
bool question_id(struct str s);
/* RFC 3339, with seconds and offset. */
bool question_time(struct str s, int64_t *out);
#endif
