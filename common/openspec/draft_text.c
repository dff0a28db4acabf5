/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/draft_text.h"

#include "common/openspec/text.h"

#include <string.h>

enum { TEXT_MAX = 1 << 24 };

/* White space, and what has no width or shape of its own: it becomes a blank. */
static bool invisible(uint32_t cp)
{
    return cp_space(cp) || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x180e ||
           (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) ||
           (cp >= 0x2060 && cp <= 0x206f) || (cp >= 0xfff9 && cp <= 0xfffb);
}

/* Does `<` at s[i] open a tag, a comment or a declaration? */
static bool opens_html(struct str s, size_t i)
{
    char c = i + 1 < s.n ? s.p[i + 1] : ' ';
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' || c == '!' || c == '?';
}

/* Length of the code span that starts with the run of backticks at s[i], 0: none is closed. */
static size_t code_span(struct str s, size_t i)
{
    size_t n = 0;
    while (i + n < s.n && s.p[i + n] == '`')
        n++;
    for (size_t k = i + n; k < s.n; k++) {
        size_t run = 0;
        while (k + run < s.n && s.p[k + run] == '`')
            run++;
        if (run == n)
            return k + run - i;
        k += run;
    }
    return 0;
}

/* Tags are escaped outside code spans; comment marks are broken up everywhere, since the readers
 * know no code spans. */
static void put_safe(struct buf *out, struct str s)
{
    size_t code_end = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '`' && i >= code_end) {
            size_t n = code_span(s, i);
            size_t run = 1;
            while (i + run < s.n && s.p[i + run] == '`')
                run++;
            code_end = n ? i + n : 0;
            buf_append(out, s.p + i, run);
            i += run - 1;
            continue;
        }
        struct str rest = text_from(s, i);
        if (text_starts(rest, "<!--"))
            buf_str(out, i < code_end ? "< " : "\\< ");
        else if (s.p[i] == '<' && i >= code_end && opens_html(s, i))
            buf_str(out, "\\<");
        else
            buf_char(out, s.p[i]);
    }
}

struct str safe_line(struct pool *p, struct str text)
{
    struct str s = text_decode(p, text);
    struct buf plain, out;
    buf_init(&plain, TEXT_MAX);
    buf_init(&out, TEXT_MAX);
    bool gap = false;
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t cp = text_cp(s, i, &len);
        if (invisible(cp)) {
            gap = true;
            continue;
        }
        if (gap && plain.len > 0)
            buf_char(&plain, ' ');
        gap = false;
        buf_append(&plain, s.p + i, len);
    }
    put_safe(&out, buf_get(&plain));
    p->failed = p->failed || plain.status != OK;
    buf_fini(&plain);
    return pool_take(p, &out);
}

/* Without # and blanks in front, and without closing runs of # behind, however many. */
static struct str bare_name(struct str s)
{
    for (;;) {
        while (s.n > 0 && (s.p[0] == '#' || s.p[0] == ' '))
            s = text_from(s, 1);
        struct str again = name_normal(s);
        if (again.n == s.n)
            return s;
        s = again;
    }
}

struct str safe_name(struct pool *p, struct str name)
{
    return bare_name(safe_line(p, name));
}

struct str safe_scenario(struct pool *p, struct str name, struct str otherwise)
{
    struct str s = safe_name(p, name);
    while (text_starts_ci(s, "Scenario:"))
        s = bare_name(text_trim(text_from(s, sizeof "Scenario:" - 1)));
    return s.n > 0 ? s : otherwise;
}

static size_t digits(struct str s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i;
}

/* A bullet, a number with . or ) or several parts ("2.1"), a checkbox; then a blank. 0: none. */
static size_t item_mark(struct str s)
{
    size_t i = 0;
    if (s.n > 1 && (s.p[0] == '-' || s.p[0] == '*' || s.p[0] == '+'))
        i = 1;
    else if (s.n > 2 && s.p[0] == '[' && (s.p[1] == ']' || s.p[2] == ']'))
        i = s.p[1] == ']' ? 2 : 3;
    else if (digits(s) > 0 && digits(s) < 10) {
        size_t parts = 1;
        i = digits(s);
        while (i < s.n && s.p[i] == '.' && digits(text_from(s, i + 1)) > 0) {
            i += 1 + digits(text_from(s, i + 1));
            parts++;
        }
        bool closed = i < s.n && (s.p[i] == '.' || s.p[i] == ')');
        i = closed ? i + 1 : parts > 1 ? i : 0;
    }
    if (i == 0 || (i < s.n && s.p[i] != ' '))
        return 0;
    return i;
}

struct str safe_item(struct pool *p, struct str text)
{
    struct str s = safe_line(p, text);
    for (size_t n; s.n > 0 && (n = item_mark(s)) > 0;)
        s = text_trim(text_from(s, n));
    while (s.n > 0 && s.p[0] == '#')
        s = text_trim(text_from(s, 1));
    bool fence = text_starts(s, "```") || text_starts(s, "~~~");
    return fence ? pool_cat(p, LIT("\\"), s) : s;
}

struct str safe_step(struct pool *p, struct str text)
{
    static const char *const words[] = { "**GIVEN**", "**WHEN**", "**THEN**", "**AND**", "GIVEN ",
                                         "WHEN ",     "THEN ",    "AND " };
    struct str s = safe_item(p, text);
    for (size_t i = 0; i < COUNT(words); i++) {
        if (text_starts(s, words[i])) {
            s = text_trim(text_from(s, strlen(words[i])));
            return text_starts(s, ":") ? text_trim(text_from(s, 1)) : s;
        }
    }
    return s;
}

/* Only = or only -, which would make a heading of the line above. */
static bool underline(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != s.p[0] || (s.p[0] != '=' && s.p[0] != '-'))
            return false;
    }
    return s.n > 0;
}

/* **Label**: text, which counts as metadata: the label loses its weight. */
static struct str plain_label(struct pool *p, struct str s)
{
    if (!text_starts(s, "**"))
        return s;
    size_t end = text_find(s, LIT("**:"), 2);
    if (end == SIZE_MAX || end == 2 || memchr(s.p + 2, '*', end - 2))
        return s;
    return pool_cat(p, (struct str){ s.p + 2, end - 2 }, text_from(s, end + 2));
}

static struct str safe_start(struct pool *p, struct str line)
{
    struct str s = plain_label(p, line);
    bool fence = text_starts(s, "```") || text_starts(s, "~~~");
    bool rename = text_starts(s, "FROM:") || text_starts(s, "TO:");
    if (fence || rename || text_starts(s, "#") || underline(s))
        return pool_cat(p, LIT("\\"), s);
    if (item_mark(s) && item_mark(s) < s.n) { /* a list stays one, its text is made safe again */
        size_t n = item_mark(s);
        struct str rest = text_trim(text_from(s, n));
        if (s.p[0] != '[' && rest.n > 0)
            return pool_cat(p, (struct str){ s.p, n }, LIT(" "), safe_start(p, rest));
    }
    return s;
}

struct str safe_block(struct pool *p, struct str text)
{
    struct str s = text_lf(p, text_decode(p, text));
    struct lines l = lines_of(p, s);
    struct buf out;
    bool gap = false;
    buf_init(&out, TEXT_MAX);
    for (size_t i = 0; i < l.n && !p->failed; i++) {
        struct str line = safe_line(p, l.at[i]);
        if (line.n == 0) {
            gap = true;
            continue;
        }
        if (out.len > 0)
            buf_str(&out, gap ? "\n\n" : "\n");
        gap = false;
        buf_view(&out, safe_start(p, line));
    }
    return pool_take(p, &out);
}

struct str closed_block(struct pool *p, struct str text)
{
    struct lines l = lines_of(p, text);
    struct str out = text;
    if (l.open_n > 0)
        out = pool_cat(p, text, LIT("\n"));
    for (size_t i = 0; i < l.open_n && !p->failed; i++)
        out = pool_cat(p, out, (struct str){ &l.open, 1 });
    return out;
}

struct str yaml_quoted(struct pool *p, struct str text)
{
    struct buf out;
    buf_init(&out, TEXT_MAX);
    buf_char(&out, '"');
    for (size_t i = 0, len; i < text.n; i += len) {
        uint32_t cp = text_cp(text, i, &len);
        bool hide = cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 ||
                    cp == 0xfeff || cp == 0xfffe || cp == 0xffff;
        if (cp == '"' || cp == '\\')
            buf_char(&out, '\\');
        if (cp == '\n')
            buf_str(&out, "\\n");
        else if (hide)
            buf_printf(&out, "\\u%04x", cp);
        else
            buf_append(&out, text.p + i, len);
    }
    buf_char(&out, '"');
    return pool_take(p, &out);
}

struct str draft_line(struct arena *a, struct str text)
{
    struct pool p = pool_of(a);
    return safe_line(&p, text);
}

struct str draft_name(struct arena *a, struct str name)
{
    struct pool p = pool_of(a);
    return safe_name(&p, name);
}
