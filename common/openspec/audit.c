/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/audit.h"

enum { TAB = 4, DIGITS_MAX = 9 };

static size_t up_to_three_blanks(struct str s)
{
    size_t i = 0;
    while (i < 3 && i < s.n && s.p[i] == ' ')
        i++;
    return i;
}

static bool blank_or_end(struct str s, size_t i)
{
    return i == s.n || s.p[i] == ' ' || s.p[i] == '\t';
}

/* ^ {0,3}#{1,max}(?:[ \t]|$) */
static bool atx(struct str line, size_t max)
{
    size_t i = up_to_three_blanks(line), n = 0;
    while (i < line.n && line.p[i] == '#') {
        i++;
        n++;
    }
    return n >= 1 && n <= max && blank_or_end(line, i);
}

struct foreign foreign_tail(struct pool *p, struct str raw)
{
    struct lines l = lines_of(p, text_lf(p, raw));
    for (size_t i = 1; i < l.n; i++) {
        if (!l.fenced[i] && atx(l.at[i], 3))
            return (struct foreign){ text_trim(l.at[i]),
                                     text_trim_end(lines_run(&l, i, l.n)) };
    }
    return (struct foreign){ 0 };
}

/* The column, in code points, at which what follows `prefix` starts; tabs go to the next stop. */
static size_t column_after(struct str prefix)
{
    size_t column = 0;
    for (size_t i = 0, len; i < prefix.n; i += len)
        column += text_cp(prefix, i, &len) == '\t' ? TAB - column % TAB : 1;
    return column;
}

/* Without up to `columns` columns of blanks in front. */
static struct str drop_indent(struct str line, size_t columns)
{
    size_t column = 0, i = 0;
    while (i < line.n && column < columns && (line.p[i] == ' ' || line.p[i] == '\t')) {
        column += line.p[i] == '\t' ? TAB - column % TAB : 1;
        i++;
    }
    return text_from(line, i);
}

/* [-*+] or up to nine digits and [.)]: its length, 0: no marker. */
static size_t list_marker(struct str s)
{
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '*' || s.p[0] == '+'))
        return 1;
    size_t i = 0;
    while (i < s.n && i <= DIGITS_MAX && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i >= 1 && i <= DIGITS_MAX && i < s.n && (s.p[i] == '.' || s.p[i] == ')') ? i + 1 : 0;
}

/* ^(\s*(?:[-*+]|\d{1,9}[.)])\s+) : the length of it, 0: no list item. */
static size_t list_item(struct str line)
{
    size_t i = text_spaces(line);
    size_t marker = list_marker(text_from(line, i));
    size_t after = marker ? text_spaces(text_from(line, i + marker)) : 0;
    return after ? i + marker + after : 0;
}

/* (?:[-*_][ \t]*){3,}$ */
static bool thematic_break(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '-' || s.p[i] == '*' || s.p[i] == '_')
            n++;
        else if (n == 0 || (s.p[i] != ' ' && s.p[i] != '\t'))
            return false;
    }
    return n >= 3;
}

/* A quote, break, list item, HTML or table row opens a block of its own. */
static bool interrupts(struct str line)
{
    struct str s = text_from(line, up_to_three_blanks(line));
    if (s.n > 0 && (s.p[0] == '>' || s.p[0] == '<' || s.p[0] == '|'))
        return true;
    size_t marker = list_marker(s);
    return thematic_break(s) || (marker && blank_or_end(s, marker));
}

/* <h1 to <h6 as a whole word, in any case. */
static bool html_heading(struct str s)
{
    if (!text_starts_ci(s, "<h") || s.n < 3 || s.p[2] < '1' || s.p[2] > '6')
        return false;
    char next = s.n > 3 ? s.p[3] : ' ';
    return !((next >= '0' && next <= '9') || (next >= 'a' && next <= 'z') ||
             (next >= 'A' && next <= 'Z') || next == '_');
}

static bool heading(struct str line)
{
    return atx(line, 6) || html_heading(text_trim_start(line));
}

/* ^ {0,3}(?:=+|-+)\s*$ */
static bool underline(struct str line)
{
    struct str s = text_trim_end(text_from(line, up_to_three_blanks(line)));
    if (s.n == 0 || (s.p[0] != '=' && s.p[0] != '-'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != s.p[0])
            return false;
    }
    return true;
}

struct audit {
    struct pool *p;
    struct map seen;
    struct str_list lines;
};

static void leave(struct audit *a, struct str line)
{
    struct str s = text_trim(line);
    if (map_add(a->p, &a->seen, s))
        pool_push(a->p, &a->lines, s);
}

/* ^ {0,3}##\s+(.+?)\s*$ */
static bool section_line(struct str line, struct str *title)
{
    struct str s = text_from(line, up_to_three_blanks(line));
    if (line_level(s) != 2)
        return false;
    struct str rest = text_from(s, 2);
    *title = text_trim(rest);
    if (title->n > 0)
        return !text_has_line_break(*title);
    size_t first;
    text_cp(rest, 0, &first);
    for (size_t i = first, len; i < rest.n; i += len) {
        if (!cp_line_break(text_cp(rest, i, &len)))
            return true;
    }
    return false;
}

/* ^ {0,3}#\s+.+$ */
static bool title_line(struct str line)
{
    int level;
    struct str title;
    return line_title(text_from(line, up_to_three_blanks(line)), &level, &title) && level == 1;
}

/* Above the Requirements section: title and Purpose are accounted for. */
static void audit_before(struct audit *a, struct str before)
{
    struct lines l = lines_of(a->p, text_lf(a->p, text_no_bom(before)));
    bool in_purpose = false, titled = false;
    struct str previous = { 0 }, title;
    for (size_t i = 0; i < l.n && !a->p->failed; i++) {
        struct str line = l.at[i];
        bool marked = true;
        if (text_blank(line)) {
            previous = LIT("");
            continue;
        }
        bool setext = in_purpose && !text_blank(previous) && underline(line);
        if (l.fenced[i]) {
            marked = false;
        } else if (section_line(line, &title)) {
            in_purpose = text_is_ci(title, "purpose");
            if (!in_purpose)
                leave(a, line);
        } else if (setext || html_heading(text_from(line, up_to_three_blanks(line)))) {
            leave(a, setext ? previous : line);
            in_purpose = false;
        } else if (title_line(line)) {
            if (titled || in_purpose)
                leave(a, line);
            titled = titled || !in_purpose;
            in_purpose = false;
        } else {
            marked = false;
        }
        previous = line;
        if (!marked && !in_purpose)
            leave(a, line);
    }
}

static void audit_loose(struct audit *a, struct str slice)
{
    struct lines l = lines_of(a->p, slice);
    for (size_t i = 0; i < l.n && !a->p->failed; i++) {
        if (!text_blank(l.at[i]))
            leave(a, l.at[i]);
    }
}

/* Where in a requirement's block we are. */
struct walk {
    bool seen_scenario;
    bool in_bullets; /* the unbroken bullets below a scenario's header */
    bool bullets_seen;
    bool in_item; /* `item` holds */
    size_t item;  /* column at which the content of the list item starts */
    bool open;    /* the item's paragraph may still be continued */
};

/* ^ {0,3}####\s+Scenario: */
static bool scenario_line(struct str line)
{
    struct str s = text_from(line, up_to_three_blanks(line));
    return line_level(s) == 4 && text_starts_ci(text_trim_start(text_from(s, 4)), "Scenario:");
}

static void audit_own_line(struct audit *a, struct walk *w, struct str line)
{
    size_t item = list_item(line);
    w->in_item = item > 0;
    w->item = column_after((struct str){ line.p, item });
    w->open = item > 0;
    if (scenario_line(line)) {
        w->seen_scenario = w->in_bullets = true;
        w->bullets_seen = false;
    } else if (item > 0 && w->in_bullets) {
        w->bullets_seen = true;
    } else if (item > 0) {
        if (w->seen_scenario)
            leave(a, line);
    } else {
        struct str s = text_trim_start(line);
        if (w->seen_scenario || s.p[0] == '|' || s.p[0] == '<')
            leave(a, line);
    }
}

static void audit_block(struct audit *a, struct str raw)
{
    struct lines l = lines_of(a->p, text_lf(a->p, raw));
    struct walk w = { 0 };
    for (size_t i = 0; i < l.n && !a->p->failed; i++) {
        struct str line = l.at[i];
        if (text_blank(line)) {
            w.in_bullets = w.in_bullets && !w.bullets_seen;
            w.in_item = w.open = false;
            continue;
        }
        if (i == 0)
            continue;
        size_t indent = column_after((struct str){ line.p, text_blanks(line) });
        bool inside = w.in_item && indent >= w.item;
        struct str within = inside ? drop_indent(line, w.item) : line;
        bool lazy = w.open && w.in_bullets && !interrupts(within);
        if (l.fenced[i]) {
            w.in_item = w.in_item && inside;
            w.open = false;
        } else if (i > 1 && underline(within) && !text_blank(l.at[i - 1])) {
            leave(a, l.at[i - 1]);
            w.in_item = w.open = false;
        } else if ((inside || lazy) && !heading(within)) {
            w.open = !interrupts(within);
        } else {
            audit_own_line(a, &w, line);
        }
    }
}

struct str_list unaccounted_lines(struct pool *p, const struct slices *parts)
{
    struct audit a = { .p = p };
    audit_before(&a, parts->before);
    audit_loose(&a, parts->preamble);
    audit_loose(&a, parts->after);
    for (size_t i = 0; i < parts->blocks.n && !p->failed; i++) {
        struct foreign f = foreign_tail(p, parts->blocks.at[i].raw);
        if (f.raw.n > 0)
            leave(&a, f.heading);
        audit_block(&a, parts->blocks.at[i].raw);
    }
    return a.lines;
}
