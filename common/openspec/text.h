/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_TEXT_H
#define PAWL_OPENSPEC_TEXT_H
/* text: text as JavaScript sees it: decoding, white space, trimming, UTF-16 lengths, lower case,
 * lines and code fences. Everything but text_decode() expects valid UTF-8. Internal. */
#include "common/js.h"
#include "common/openspec/pool.h"

/* Bytes as Node decodes them: every ill-formed sequence becomes U+FFFD. A view when nothing had to
 * be replaced. */
struct str text_decode(struct pool *p, struct str bytes);
/* CRLF and lone CR become LF. */
struct str text_lf(struct pool *p, struct str s);
struct str text_no_bom(struct str s);

/* The code point at s.p[i], and its length in bytes. */
uint32_t text_cp(struct str s, size_t i, size_t *len);
bool cp_space(uint32_t cp);      /* \s and what trim() strips */
bool cp_line_break(uint32_t cp); /* what `.` does not match: LF, CR, U+2028, U+2029 */
bool cp_word(uint32_t cp);       /* \p{L}, \p{N}, \p{M} or _ */

size_t text_u16(struct str s); /* length in UTF-16 code units */
int text_u16_cmp(struct str a, struct str b);
struct str text_from(struct str s, size_t i); /* the rest from byte i */
struct str text_trim(struct str s);
struct str text_trim_start(struct str s);
struct str text_trim_end(struct str s);
bool text_blank(struct str s);
bool text_starts(struct str s, const char *z);
bool text_starts_ci(struct str s, const char *z); /* ASCII case only, which is what /i needs */
bool text_is_ci(struct str s, const char *z);
bool text_has_line_break(struct str s);
/* Position of the needle from `from` on, or SIZE_MAX. */
size_t text_find(struct str s, struct str needle, size_t from);
bool text_starts_str(struct str s, struct str head);
bool text_ends_str(struct str s, struct str tail);
/* Bytes of white space at the start. */
size_t text_spaces(struct str s);
/* Bytes of blanks and tabs at the start. */
size_t text_blanks(struct str s);
struct str text_lower(struct pool *p, struct str s); /* String.prototype.toLowerCase */

/* A text in lines, split at LF only. Lines are views into one text, so a run of them is one too. */
struct lines {
    struct str *at;
    bool *fenced; /* inside a code fence, or its first or last line */
    size_t n;
    char open; /* the mark of a fence that is never closed */
    size_t open_n; /* its length; 0: all are closed */
};

struct lines lines_of(struct pool *p, struct str s);
struct str lines_run(const struct lines *l, size_t from, size_t to); /* from .. to-1, with LF */

/* "#" to "######" followed by white space: the level, else 0. */
int line_level(struct str line);
/* ^(#{min,max})\s+(.+)$ ; the title is trimmed. */
bool line_title(struct str line, int *level, struct str *title);
/* ^###\s*Requirement:\s*(.+)\s*$ without regard to case; `spaced`: \s+ after ###. The name is
 * normalised. */
bool line_requirement(struct str line, bool spaced, struct str *name);
/* Without a closing run of #, trimmed. */
struct str name_normal(struct str name);
/* Lower case, runs of white space one blank: for finding near misses only. */
struct str name_fold(struct pool *p, struct str name);
/* /\b(SHALL|MUST)\b/ */
bool text_normative(struct str s);
#endif
