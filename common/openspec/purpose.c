/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/purpose.h"

#include "common/openspec/structure.h"
#include "common/openspec/tree.h"

#include <string.h>

/* Where the sentence that archive writes begins, or SIZE_MAX: the prefix nearest before the first
 * suffix that has one before it. */
static size_t generated_at(struct str s)
{
    size_t prefix = text_find(s, LIT(PURPOSE_PREFIX), 0);
    if (prefix == SIZE_MAX)
        return SIZE_MAX;
    size_t suffix = text_find(s, LIT(PURPOSE_SUFFIX), prefix);
    if (suffix == SIZE_MAX)
        return SIZE_MAX;
    for (size_t next; (next = text_find(s, LIT(PURPOSE_PREFIX), prefix + 1)) < suffix;)
        prefix = next;
    return prefix;
}

/* What may follow a marker that is not in capitals: [ \t]* and the end of the line or punctuation. */
static bool ends_marker(struct str s)
{
    size_t len;
    s = text_from(s, text_blanks(s));
    if (s.n == 0 || s.p[0] == '\n')
        return true;
    uint32_t cp = text_cp(s, 0, &len);
    if (cp == 0x2013 || cp == 0x2014)
        return true;
    return cp < 0x80 && memchr(":-.,;()[]{}", (int)cp, sizeof ":-.,;()[]{}" - 1) != NULL;
}

/* TBD or TODO in front, as a word: in capitals whatever follows, else before punctuation only. */
static bool leading_marker(struct str s)
{
    static const char *const markers[] = { "TBD", "TODO" };
    for (size_t i = 0; i < COUNT(markers); i++) {
        size_t len;
        if (!text_starts_ci(s, markers[i]))
            continue;
        struct str rest = text_from(s, str_of(markers[i]).n);
        if (rest.n > 0 && cp_word(text_cp(rest, 0, &len)))
            continue;
        if (text_starts(s, markers[i]) || ends_marker(rest))
            return true;
    }
    return false;
}

static struct str unfenced(struct pool *p, struct str text)
{
    struct lines l = lines_of(p, text_lf(p, text));
    struct buf out;
    bool first = true;
    buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < l.n; i++) {
        if (l.fenced[i])
            continue;
        if (!first)
            buf_char(&out, '\n');
        first = false;
        buf_view(&out, l.at[i]);
    }
    return pool_take(p, &out);
}

/* Level of ^ {0,3}(#{1,2})(?!#)[ \t]+, or 0; *title is what follows. */
static int indented_level(struct str line, struct str *title)
{
    size_t i = 0, level = 0;
    while (i < 3 && i < line.n && line.p[i] == ' ')
        i++;
    while (i < line.n && line.p[i] == '#') {
        i++;
        level++;
    }
    *title = text_from(line, i);
    size_t blanks = text_blanks(*title);
    *title = text_from(*title, blanks);
    return level <= 2 && blanks > 0 ? (int)level : 0;
}

static bool purpose_header(struct str line)
{
    struct str title;
    if (indented_level(line, &title) != 2 || !text_starts_ci(title, "Purpose"))
        return false;
    struct str rest = text_from(title, sizeof "Purpose" - 1);
    return text_blanks(rest) == rest.n;
}

struct prose_line {
    size_t line, offset;
};

struct prose_lines {
    struct prose_line *at;
    size_t n, cap;
};

static size_t placeholder_line(struct pool *p, struct str text, bool leading)
{
    struct lines l = lines_of(p, text_lf(p, text));
    struct prose_lines prose = { 0 };
    struct buf joined;
    struct str title;
    size_t i = 0, found = 0;
    while (i < l.n && (l.fenced[i] || !purpose_header(l.at[i])))
        i++;
    buf_init(&joined, SIZE_MAX / 2);
    for (i++; i < l.n; i++) {
        if (l.fenced[i])
            continue;
        if (indented_level(l.at[i], &title))
            break;
        if (leading && !text_blank(l.at[i])) {
            found = i + 1;
            break;
        }
        pool_push(p, &prose, (struct prose_line){ i + 1, joined.len });
        buf_view(&joined, l.at[i]);
        buf_char(&joined, '\n');
    }
    size_t at = leading ? SIZE_MAX : generated_at(buf_get(&joined));
    for (size_t k = 0; at != SIZE_MAX && k < prose.n && prose.at[k].offset <= at; k++)
        found = prose.at[k].line;
    buf_fini(&joined);
    return found;
}

bool purpose_placeholder(struct pool *p, struct str overview, struct str text, size_t *line)
{
    struct str prose = text_trim(unfenced(p, overview));
    bool leading = leading_marker(prose);
    *line = 0;
    if (!leading && generated_at(prose) == SIZE_MAX)
        return false;
    *line = placeholder_line(p, text, leading);
    return true;
}

/* <!-- … --> blanked out, line ends kept; an open one runs to the end. --!> closes too. */
static struct str mask_comments(struct pool *p, struct str s)
{
    size_t at = text_find(s, LIT("<!--"), 0);
    if (at == SIZE_MAX)
        return s;
    struct str copy = pool_copy(p, s);
    char *out = (char *)copy.p;
    size_t plain = 0, bang = 0; /* next --> and --!>, searched again only once passed */
    while (out && at < s.n) {
        if (plain < at + 4)
            plain = text_find(s, LIT("-->"), at + 4);
        if (bang < at + 4)
            bang = text_find(s, LIT("--!>"), at + 4);
        size_t end = plain < bang ? plain + 3 : bang < plain ? bang + 4 : s.n;
        for (size_t i = at; i < end; i++)
            out[i] = out[i] == '\n' ? '\n' : ' ';
        at = text_find(s, LIT("<!--"), end);
    }
    return copy;
}

struct str purpose_section(struct pool *p, struct str text)
{
    struct str normal = text_lf(p, text);
    struct lines l = lines_of(p, normal);
    struct lines masked = lines_of(p, mask_comments(p, normal));
    size_t start = 0;
    for (; start < masked.n; start++) {
        if (!masked.fenced[start] && line_level(masked.at[start]) == 2 &&
            text_is_ci(text_trim(text_from(masked.at[start], 2)), "Purpose"))
            break;
    }
    bool prose = false;
    size_t end = start + 1;
    for (; end < masked.n; end++) {
        if (masked.fenced[end])
            continue;
        if (line_level(masked.at[end]) == 2)
            break;
        prose = prose || !text_blank(masked.at[end]);
    }
    return prose ? text_trim(lines_run(&l, start + 1, end)) : (struct str){ 0 };
}

struct str purpose_skeleton(struct pool *p, struct str id, struct str change, struct str purpose)
{
    struct str body = text_trim(purpose);
    if (body.n == 0)
        body = pool_cat(p, LIT(PURPOSE_PREFIX), change, LIT(PURPOSE_SUFFIX));
    return pool_cat(p, LIT("# "), id, LIT(" Specification\n\n## Purpose\n"), body,
                    LIT("\n\n## Requirements\n"));
}

struct str purpose_readable(struct pool *p, struct str skeleton)
{
    if (text_find(skeleton, LIT("<!--"), 0) != SIZE_MAX || structure_check(p, skeleton).n > 0)
        return (struct str){ 0 };
    struct tree_spec spec = tree_spec(p, skeleton);
    return spec.has_purpose && spec.has_requirements ? spec.purpose : (struct str){ 0 };
}
