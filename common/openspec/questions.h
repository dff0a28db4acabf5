/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_QUESTIONS_H
#define PAWL_OPENSPEC_QUESTIONS_H
/* questions: the dialogue file `questions.md` of a change folder. One entry:
 *
 *     ## Question ID
 *
 *     - from: system
 *     - state: open
 *     - deadline: 2026-11-24T09:00:00Z
 *     - default: Keep the limit.
 *
 *     The text of the question, any Markdown.
 *
 *     ### Answer
 *
 *     What the user writes here.
 *
 * More attributes: `ref`, what the entry stands for in the system, and `by`, who answered.
 * ID is a letter or digit, then letters, digits, '.', '_' and '-', at most 64 bytes. `from` and
 * `state` are required. The entry ends before the next heading of level 1 or 2; what stands before,
 * between and behind entries is nobody's and kept. Headings in code fences and HTML comments do not
 * count (as in CommonMark; a comment begins a line). Line ends may be LF, CRLF or CR, a BOM may come
 * first. Pure. All views point into the text that was read. */
#include "common/arena.h"

enum {
    QUESTIONS_BYTES_MAX = 1 << 20,
    QUESTIONS_ENTRIES_MAX = 1000,
    QUESTIONS_ID_MAX = 64 /* bytes */
};

enum questions_from { QUESTIONS_SYSTEM, QUESTIONS_USER };

enum questions_state {
    QUESTIONS_OPEN,
    QUESTIONS_ANSWERED, /* has an answer */
    QUESTIONS_WITHDRAWN,
    QUESTIONS_DEFAULT /* the default was taken; has one */
};

/* Bytes from..to-1 of the text, and the line (from 1) of the first; line 0: not there. */
struct questions_span {
    size_t from, to, line;
};

struct questions_entry {
    struct str id;
    enum questions_from from;
    enum questions_state state; /* as written: an open one may have an answer by now */
    struct str deadline;        /* empty: none */
    int64_t deadline_s;         /* the same in seconds since 1970 */
    struct str default_answer;  /* empty: none */
    struct str ref, by;         /* empty: none */
    struct str text;            /* without blank and comment lines around it; never empty */
    struct str answer;          /* in the same way; empty: none yet */
    struct questions_span all;  /* the entry with its heading, up to the next heading */
    struct questions_span text_at, answer_at;
    struct questions_span state_at; /* the word behind `state:` */
    struct questions_span ref_at, by_at;
    size_t attributes_end; /* behind the line end of the last attribute */
    size_t answer_part;    /* line of `### Answer`; 0: there is none */
    size_t end;            /* behind the last line that is not blank, without line end */
};

struct questions {
    struct str text;
    struct questions_entry *at;
    size_t n, cap;
    struct arena *arena;
};

/* ERR_DATA: not this grammar; `err` says the line. ERR_LIMIT: too large, or no memory. */
enum status questions_read(struct arena *a, struct str text, struct questions *out,
                           struct err *err) MUST_USE;
/* NULL: no such entry. */
const struct questions_entry *questions_find(const struct questions *q, struct str id);

const char *questions_state_name(enum questions_state s); /* "open"; static */
const char *questions_from_name(enum questions_from f);   /* "system"; static */

/* The edits give a new text in the arena of `q`; every byte that is not theirs stays. The result was
 * read again and says what was asked for, and nothing else changed; otherwise ERR_DATA, ERR_LIMIT. A
 * text or answer must not have a heading of level 1 or 2, the line `### Answer`, or a fence or comment
 * that stays open; blank lines around it go. */

struct questions_new {
    struct str id;
    enum questions_from from;
    struct str deadline, default_answer, ref; /* may be empty; one line each */
    struct str text;
};

/* A new open entry behind all others. ERR_DATA: the id is taken, too. */
enum status questions_add(const struct questions *q, const struct questions_new *entry,
                          struct str *out, struct err *err) MUST_USE;
/* The answer, in place of one that is there; the state stays. ERR_NOT_FOUND: no such entry. */
enum status questions_answer(const struct questions *q, struct str id, struct str answer,
                             struct str *out, struct err *err) MUST_USE;
/* What became of an entry. ERR_NOT_FOUND: no such entry. */
struct questions_mark {
    enum questions_state state;
    struct str ref, by; /* one line each; empty: as it is */
};
enum status questions_set(const struct questions *q, struct str id,
                          const struct questions_mark *mark, struct str *out,
                          struct err *err) MUST_USE;
#endif
