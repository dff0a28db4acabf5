/* SPDX-License-Identifier: Apache-2.0 */
/* The header patterns that both readers share. Each function is one regular expression of the
 * original, matched by hand; the comments give the expression. */
#include "common/openspec/text.h"

#include <string.h>

int line_level(struct str line)
{
    size_t n = 0, len;
    while (n < line.n && n < 7 && line.p[n] == '#')
        n++;
    if (n == 0 || n > 6 || n == line.n || !cp_space(text_cp(line, n, &len)))
        return 0;
    return (int)n;
}

/* What (.+) captures after a greedy \s* or \s+ that starts at `rest`, when \s*$ follows: everything
 * up to the first line break (U+2028 and U+2029 here), provided that nothing but white space comes
 * after it. A rest of white space alone gives one blank of it back, if one is no line break. */
static bool capture(struct str rest, struct str *out)
{
    struct str s = text_trim_start(rest);
    if (s.n == 0) {
        for (size_t i = 0, len; i < rest.n; i += len) {
            if (!cp_line_break(text_cp(rest, i, &len))) {
                *out = (struct str){ rest.p + i, 0 };
                return true;
            }
        }
        return false;
    }
    size_t stop = 0, len;
    while (stop < s.n && !cp_line_break(text_cp(s, stop, &len)))
        stop += len;
    *out = (struct str){ s.p, stop };
    return stop > 0 && text_blank(text_from(s, stop));
}

bool line_title(struct str line, int *level, struct str *title)
{
    *level = line_level(line);
    if (*level == 0)
        return false;
    struct str rest = text_from(line, (size_t)*level);
    struct str s = text_trim_start(rest);
    size_t len;
    if (s.n > 0) { /* (.+)$ has to reach the end of the line */
        *title = text_trim_end(s);
        return !text_has_line_break(s);
    }
    /* Blanks only: \s+ keeps the first and leaves the last one to (.+). */
    size_t first, last = rest.n - 1;
    text_cp(rest, 0, &first);
    while (last > 0 && ((unsigned char)rest.p[last] & 0xc0) == 0x80)
        last--;
    *title = (struct str){ "", 0 };
    return last >= first && !cp_line_break(text_cp(rest, last, &len));
}

struct str name_normal(struct str name)
{
    struct str s = name;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    size_t end = s.n;
    while (s.n > 0 && s.p[s.n - 1] == '#')
        s.n--;
    if (s.n < end && s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        return text_trim(s);
    return text_trim(name);
}

bool line_requirement(struct str line, bool spaced, struct str *name)
{
    if (line.n < 3 || memcmp(line.p, "###", 3) != 0)
        return false;
    struct str s = text_from(line, 3);
    size_t spaces = text_spaces(s);
    if (spaced && spaces == 0)
        return false;
    s = text_from(s, spaces);
    if (!text_starts_ci(s, "Requirement:"))
        return false;
    struct str found;
    if (!capture(text_from(s, sizeof "Requirement:" - 1), &found))
        return false;
    *name = name_normal(found);
    return true;
}

struct str name_fold(struct pool *p, struct str name)
{
    struct str s = text_lower(p, name_normal(name));
    char *out = pool_alloc(p, s.n + 1);
    if (!out)
        return (struct str){ 0 };
    size_t n = 0, len;
    for (size_t i = 0; i < s.n; i += len) {
        if (cp_space(text_cp(s, i, &len))) {
            len = text_spaces(text_from(s, i));
            out[n++] = ' ';
            continue;
        }
        for (size_t k = 0; k < len; k++)
            out[n++] = s.p[i + k];
    }
    return (struct str){ out, n };
}

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool has_word(struct str s, struct str word)
{
    for (size_t at = text_find(s, word, 0); at != SIZE_MAX; at = text_find(s, word, at + 1)) {
        size_t end = at + word.n;
        if ((at == 0 || !word_byte(s.p[at - 1])) && (end == s.n || !word_byte(s.p[end])))
            return true;
    }
    return false;
}

bool text_normative(struct str s)
{
    return has_word(s, LIT("SHALL")) || has_word(s, LIT("MUST"));
}
