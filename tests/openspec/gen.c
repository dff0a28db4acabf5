/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/openspec/gen.h"

#include <stdlib.h>
#include <string.h>

uint64_t gen_next(struct gen *g)
{
    uint64_t z = (g->state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int gen_below(struct gen *g, int n)
{
    return (int)(gen_next(g) % (uint64_t)n);
}

bool gen_chance(struct gen *g, int percent)
{
    return gen_below(g, 100) < percent;
}

#define PICK(g, list) (list)[gen_below((g), (int)COUNT(list))]

/* Near misses lie beside each other. */
static const char *const names[] = {
    "One",          "one",      "Two words",   "Two  words", "two WORDS",   "Login works",
    "C#",           "Foo ##",   "Foo",         "A # #",      "Ünïcode",     "ÜNÏCODE",
    "İstanbul",     "i̇stanbul", "ΟΔΟΣ",        "οδος",       "οδοσ",        "系统 MUST",
    "It SHALL so",  "`code`",   "Ends with `", "x\u00a0y",   "x y",         "Requirement: odd",
    "TO: somebody", "-- > x",   "<!-- c -->",  "Ẽ\u2003Ẽ",   "ﬁne",         "\u1e9e",
};

static const char *const scenarios[] = { "Works", "Fails", "works", "Two  blanks", "Closed ##", "系统" };

static const char *const bodies[] = {
    "The system SHALL do it.\n",
    "The system MUST do it,\nand more.\n",
    "The system SHALL do it.\n",
    "**ID**: R-1\nThe system SHALL do it.\n",
    "**Constraint**: The system MUST do it.\n",
    "The system shall do it.\n",
    "It does SHALL_not, MUSTY.\n",
    "系统MUST做。\n",
    "\n```\nThe system SHALL only say so here\n```\n",
    "",
    "| a | b |\n|---|---|\n\nThe system SHALL do it.\n",
    "- one\n- two SHALL\n",
    "The system SHALL render ```x``` inline\n```\nclosed\n```\n",
    "    ### Requirement: indented SHALL\n",
};

static const char *const steps[] = {
    "- **WHEN** x\n- **THEN** y\n", "- **WHEN** x\n- **THEN** y\n", "- **WHEN** x\n- **THEN** y\n",
    "* a\n  wrapped\nlazy\n",       "1. a\n2) b\n",                 "\n",
    "text\n",                       "- a\n\n- note below\n",        "- a\n  ```\n  #### no\n  ```\n",
    "- a\n\n```\ncode\n\n\n\nmore\n```\n",
    "##### deeper\n- x\n",          "- a\n| t |\n",                 "100. wide\n     ## Notes\n",
};

static const char *const purposes[] = {
    "This purpose sentence is comfortably longer than fifty characters.",
    "This purpose sentence is comfortably longer than fifty characters.",
    "Short.",
    "TBD",
    "TODO: write this later, when there is time for it, which may never be",
    "TODO write this later, when there is time for it, which may never be the case",
    "Todo el mundo puede usar este sistema cuando lo necesite, siempre.",
    "tbd - later, when somebody has found out what this capability is good for",
    "TBD - created by archiving change old. Update Purpose after archive.",
    "Prose first.\n\nTBD - created by archiving change old. Update Purpose after archive.",
    "```\nTODO\n```\nReal purpose that is long enough to pass the check on its length here.",
    "",
    "<!-- nothing but a comment -->",
    "Text <!-- and a comment --> that goes on for as long as it takes to be long",
    "🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀",
    "Has\n### A heading\ninside it, and is long enough for the check to pass",
    "Setext\n======\nand more text so that it is long enough for everyone",
    "TBD\u0663 is a longer word, and this is a purpose that is long enough",
};

static void put_name(struct gen *g, const char *name, struct buf *out)
{
    static const char *const heads[] = { "### Requirement: ",  "### Requirement: ",
                                         "### Requirement: ",  "### Requirement: ",
                                         "### requirement:  ", "###Requirement: ",
                                         "###\tRequirement:",  "###\u00a0REQUIREMENT:" };
    buf_str(out, gen_chance(g, 85) ? heads[0] : PICK(g, heads));
    buf_str(out, name);
    if (gen_chance(g, 5))
        buf_str(out, PICK(g, ((const char *const[]){ " ##", "\t#  ", "  ", "\u2028", "\u00a0##", " " })));
    buf_char(out, '\n');
}

static void put_scenario(struct gen *g, int which, struct buf *out)
{
    static const char *const heads[] = { "#### Scenario: ", "#### scenario:", "#### ", "##### Scenario: ",
                                         "### ", "####\t", " #### Scenario: " };
    buf_str(out, gen_chance(g, 90) ? heads[0] : PICK(g, heads));
    buf_str(out, scenarios[which % (int)COUNT(scenarios)]);
    buf_char(out, '\n');
    buf_str(out, gen_chance(g, 70) ? steps[0] : PICK(g, steps));
    buf_char(out, '\n');
}

static void put_requirement(struct gen *g, const char *name, int scenarios_n, struct buf *out)
{
    put_name(g, name, out);
    buf_str(out, gen_chance(g, 80) ? bodies[0] : PICK(g, bodies));
    buf_char(out, '\n');
    for (int i = 0; i < scenarios_n; i++)
        put_scenario(g, i, out);
    if (gen_chance(g, 4))
        buf_str(out, PICK(g, ((const char *const[]){ "### Notes\nkeep me\n\n", "# Big\n\n", "## \n",
                                                     "<!-- x\n", "  ## indented\n\n", "-->\n" })));
}

void gen_spec(struct gen *g, struct buf *out)
{
    static const char *const heads[] = { "## Requirements\n", "## requirements  \n", "# Requirements\n",
                                         "## Requirements ##\n", "### Requirements\n", " ## Requirements\n", "" };
    if (gen_chance(g, 97))
        buf_str(out, "# a Specification\n\n");
    buf_str(out, gen_chance(g, 95) ? "## Purpose\n" : PICK(g, ((const char *const[]){
                                        "## PURPOSE\n", "# Purpose\n", "## Purpose ##\n", "" })));
    buf_str(out, gen_chance(g, 70) ? purposes[0] : PICK(g, purposes));
    buf_str(out, "\n\n");
    if (gen_chance(g, 4))
        buf_str(out, "## Notes\n\n\n\nfree text\n\n");
    buf_str(out, gen_chance(g, 93) ? heads[0] : PICK(g, heads));
    if (gen_chance(g, 8))
        buf_str(out, "\nSome words before the first one.\n\n\n");
    g->n = gen_chance(g, 25) ? 1 : gen_below(g, 6);
    for (int i = 0; i < g->n; i++) {
        int base = gen_below(g, (int)COUNT(names));
        bool again = false;
        for (int k = 0; k < i; k++)
            again = again || g->names[k] == base;
        g->names[i] = again && gen_chance(g, 95) ? (base + 7) % (int)COUNT(names) : base;
        g->scenarios[i] = gen_chance(g, 85) ? 1 : gen_below(g, 4);
        put_requirement(g, names[g->names[i]], g->scenarios[i], out);
    }
    if (gen_chance(g, 8))
        buf_str(out, PICK(g, ((const char *const[]){
                                 "## Later\n\ntext\n\n\n\n", "## ADDED Requirements\n",
                                 "## Requirements\n### Requirement: One\nSHALL\n",
                                 "```\nopen fence\n\n\n\n", "~~~md\n## Requirements\n~~~\n" })));
}

static const char *known(struct gen *g, int *which)
{
    *which = g->n ? gen_below(g, g->n) : 0;
    return g->n && gen_chance(g, 93) ? names[g->names[*which]] : PICK(g, names);
}

static void put_modified(struct gen *g, struct buf *out)
{
    int which;
    const char *name = known(g, &which);
    int n = g->n ? g->scenarios[which] : 1;
    n += gen_chance(g, 20) ? gen_below(g, 4) : 0;
    put_requirement(g, name, gen_chance(g, 90) ? n : gen_below(g, n + 1), out);
}

static void put_removed(struct gen *g, struct buf *out)
{
    int which;
    const char *name = known(g, &which);
    if (gen_chance(g, 70)) {
        put_name(g, name, out);
        if (gen_chance(g, 50))
            buf_str(out, "**Reason**: old\n");
        return;
    }
    buf_str(out, PICK(g, ((const char *const[]){ "- `### Requirement: ", "* ### Requirement: ", "+ `###Requirement:",
                                                 "- ### requirement: ", "1. ### Requirement: " })));
    buf_str(out, name);
    buf_str(out, gen_chance(g, 70) ? "`\n" : " \n");
}

static void put_rename(struct gen *g, struct buf *out)
{
    static const char *const forms[] = { "- FROM: `### Requirement: ", "- FROM: `### Requirement: ",
                                         "FROM: ### Requirement: ", "* FROM:###Requirement:",
                                         "- **FROM**: ### Requirement: " };
    static const char *const tos[] = { "- TO: `### Requirement: ", "- TO: `### Requirement: ",
                                       "TO: ### Requirement: ", "+ TO:  ### Requirement: ", "- to: " };
    int which;
    const char *to = gen_chance(g, 70) ? PICK(g, ((const char *const[]){ "New name", "Another", "Third #" }))
                                       : PICK(g, names);
    buf_str(out, gen_chance(g, 90) ? forms[0] : PICK(g, forms));
    buf_str(out, known(g, &which));
    buf_str(out, gen_chance(g, 90) ? "`\n" : "\n");
    if (gen_chance(g, 4))
        return;
    buf_str(out, gen_chance(g, 90) ? tos[0] : PICK(g, tos));
    buf_str(out, to);
    buf_str(out, gen_chance(g, 90) ? "`\n" : "\n");
}

static void put_section(struct gen *g, int op, struct buf *out)
{
    static const char *const titles[] = { "ADDED", "MODIFIED", "REMOVED", "RENAMED" };
    static const char *const fresh[] = { "Brand new", "Second new", "Third new", "One", "Requirement" };
    buf_str(out, gen_chance(g, 97) ? "## " : PICK(g, ((const char *const[]){ "##", "### ", " ## ", "##\t" })));
    buf_str(out, titles[op]);
    buf_str(out, gen_chance(g, 95) ? " Requirements" : PICK(g, ((const char *const[]){
                                         " requirements", "  Requirements", " Requirements:", " Requirements  " })));
    buf_str(out, "\n\n");
    for (int n = gen_chance(g, 75) ? 1 : gen_below(g, 4); n > 0; n--) {
        switch (op) {
        case 0:
            put_requirement(g, gen_chance(g, 85) ? PICK(g, fresh) : PICK(g, names), gen_chance(g, 90) ? 1 : gen_below(g, 3), out);
            break;
        case 1: put_modified(g, out); break;
        case 2: put_removed(g, out); break;
        default: put_rename(g, out); break;
        }
    }
    buf_char(out, '\n');
}

/* Every requirement goes: with the marker the capability is retired. */
static void remove_all(struct gen *g, struct buf *out)
{
    buf_str(out, "## REMOVED Requirements\n\n");
    for (int i = 0; i < g->n; i++) {
        put_name(g, names[g->names[i]], out);
        buf_str(out, "**Reason**: retired\n\n");
    }
}

void gen_delta(struct gen *g, struct buf *out)
{
    if (gen_chance(g, 8)) {
        remove_all(g, out);
        return;
    }
    if (gen_chance(g, 15)) {
        buf_str(out, gen_chance(g, 90) ? "## Purpose\n" : "<!--\n## Purpose\n");
        buf_str(out, PICK(g, purposes));
        buf_str(out, "\n\n");
    }
    if (gen_chance(g, 4))
        put_requirement(g, PICK(g, names), 1, out);
    if (gen_chance(g, 4))
        buf_str(out, "## Notes\n\n### Requirement: Orphan\n\n");
    for (int n = gen_chance(g, 70) ? 1 : gen_below(g, 4); n > 0; n--)
        put_section(g, gen_below(g, 4), out);
}

void gen_tasks(struct gen *g, struct buf *out)
{
    static const char *const lines[] = {
        "## 1. Setup\n", "## 2. Work\n", "##\n", "## Notes\n", "  ## 03. More\n", "- [ ] 1.1 do\n",
        "- [x] 1.2 done\n", "- [X]2.1 done\n", "* [~] 2.1 half\n", "1. [ ] 1.1 again\n", "- plain\n",
        "12) item\n", "- [A](x)\n", "- [ ](x) task\n", "  - [ ] 1.1.1a nested\r\n", "```\n", "<!-- c\n",
        "-->\n", "- [ x ] 3.1 x\n", "- []\n", "- [\u00a0] 1.9\n", "    - deep\n", "---\n", "- [🚧] no\n",
        "- [ ] 1.3 a\u2028b\n", "+ [é] 0.1\n", "\n", "1234567890. [ ] too long\n", "~~~ x\n", "> - [ ] q\n" };
    for (int n = gen_below(g, 10); n > 0; n--)
        buf_str(out, PICK(g, lines));
}

void gen_meta(struct gen *g, struct buf *out)
{
    static const char *const lines[] = {
        "skip_specs: true\n", "retire_capabilities: true\n", "retire_capabilities: true\n",
        "retire_capabilities: true\n", "retire_capabilities: true\n", "retire_capabilities: true\n",
        "skip_specs: false\n", "created: 2026-01-02\n", "created: 20260102\n", "goal: ''\n",
        "skip_specs: \"yes\"\n", "note: { a: [1, 2] }\n", "affected_areas: [a, '']\n",
        "initiative: { store: a, id: B }\n", "retire_capabilities: yes\n", "# comment\n" };
    buf_str(out, gen_chance(g, 90) ? "schema: spec-driven\n" : PICK(g, ((const char *const[]){
                                         "", "schema: other\n", "schema: 12\n", "schema: ''\n", "- a\n", "schema: [\n" })));
    for (int n = gen_chance(g, 50) ? 1 : gen_below(g, 4); n > 0; n--)
        buf_str(out, PICK(g, lines));
}

void gen_config(struct gen *g, struct buf *out)
{
    buf_str(out, PICK(g, ((const char *const[]){ "schema: spec-driven\n", "schema: spec-driven\ncontext: |\n  a\n",
                                                 "schema: other\n", "context: x\n", "a: [\n", "" })));
}

/* ---- damage ---- */

struct cut {
    size_t from, to;
};

static struct cut line_at(struct gen *g, const struct buf *text)
{
    size_t at = text->len ? (size_t)gen_below(g, (int)text->len) : 0;
    struct cut c = { at, at };
    while (c.from > 0 && text->data[c.from - 1] != '\n')
        c.from--;
    while (c.to < text->len && text->data[c.to] != '\n')
        c.to++;
    c.to += c.to < text->len;
    return c;
}

/* Replace text[from, to) */
static void splice(struct buf *text, size_t from, size_t to, const char *with, size_t n)
{
    struct buf out;
    buf_init(&out, text->max);
    buf_append(&out, text->data ? text->data : "", from);
    buf_append(&out, with, n);
    buf_append(&out, text->data ? text->data + to : "", text->len - to);
    buf_clear(text);
    buf_view(text, buf_get(&out));
    buf_fini(&out);
}

static void damage_line(struct gen *g, struct buf *text)
{
    static const char *const odd[] = {
        "## Requirements\n", "### Requirement: One\n", "### Requirement:\n", "### Requirement: \n", "#### \n",
        "```\n", "~~~~ x\n", "````\n", "  ```\n", "# Top\n", "####### seven\n", "## \n", "##\u2028x\n", "\u00a0\n",
        "### Stray\n", "## ADDED Requirements\n", "## RENAMED Requirements\n", "<!--\n", "-->\n", "\t\n", "\n\n\n",
        "**Note**: x\n", "#### Scenario:\n", "##  Purpose\n", "###  \u2029\n", "===\n", "---\n", "<h2>x</h2>\n",
        "- TO: `### Requirement: One`\n", "- ### Requirement: `\n", "#\u00a0nbsp\n" };
    struct cut c = line_at(g, text);
    const char *with = PICK(g, odd);
    switch (gen_below(g, 5)) {
    case 0: splice(text, c.from, c.to, "", 0); break;
    case 1: splice(text, c.from, c.from, with, strlen(with)); break;
    case 2: splice(text, c.from, c.to, with, strlen(with)); break;
    case 3: {
        char copy[256];
        size_t n = c.to - c.from < sizeof copy ? c.to - c.from : sizeof copy;
        memcpy(copy, text->data ? text->data + c.from : "", n);
        struct cut to = line_at(g, text);
        splice(text, to.from, to.from, copy, n);
        break;
    }
    default: splice(text, c.from, c.from, " ", 1); break;
    }
}

static void damage_bytes(struct gen *g, struct buf *text)
{
    static const char *const odd[] = { "\xff", "\xe2\x80", "\xed\xa0\x80", "\xf0\x9f", "\xc0\xaf", "\r", "\r\n",
                                       "\xef\xbb\xbf", "\xe2\x80\xa8", "#", "`", " ", "\xf4\x90\x80\x80" };
    for (int n = 1 + gen_below(g, 3); n > 0; n--) {
        size_t at = text->len ? (size_t)gen_below(g, (int)text->len) : 0;
        const char *with = PICK(g, odd);
        size_t to = text->len > at && gen_chance(g, 50) ? at + 1 : at;
        splice(text, at, to, with, gen_chance(g, 80) ? strlen(with) : 0);
    }
}

/* A blank becomes another one of Unicode's, or what only looks like one. */
static void damage_blank(struct gen *g, struct buf *text)
{
    static const char *const blanks[] = { "\t", "\v", "\f", "\xc2\x85", "\u00a0", "\u1680", "\u180e", "\u2000",
                                          "\u200a", "\u200b", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff" };
    for (int n = 1 + gen_below(g, 4); n > 0; n--) {
        size_t from = text->len ? (size_t)gen_below(g, (int)text->len) : 0;
        const char *at = from < text->len ? memchr(text->data + from, ' ', text->len - from) : NULL;
        const char *with = PICK(g, blanks);
        size_t i = at ? (size_t)(at - text->data) : from;
        splice(text, i, at ? i + 1 : i, with, strlen(with));
    }
}

static void line_ends(struct gen *g, struct buf *text)
{
    struct buf out;
    int keep = gen_chance(g, 70) ? 0 : gen_below(g, 100);
    const char *end = gen_chance(g, 80) ? "\r\n" : "\r";
    bool in_turn = gen_chance(g, 40), now = gen_chance(g, 50); /* a tie, or nearly one */
    buf_init(&out, text->max);
    for (size_t i = 0; i < text->len; i++) {
        if (text->data[i] == '\n' && (in_turn ? (now = !now) : !gen_chance(g, keep)))
            buf_str(&out, end);
        else
            buf_char(&out, text->data[i]);
    }
    buf_clear(text);
    buf_view(text, buf_get(&out));
    buf_fini(&out);
}

void gen_damage(struct gen *g, struct buf *text)
{
    if (g->corpus_n > 0 && gen_chance(g, 15)) {
        buf_clear(text);
        buf_view(text, g->corpus[gen_below(g, (int)g->corpus_n)]);
    }
    if (gen_chance(g, 30)) {
        for (int n = 1 + gen_below(g, 3); n > 0; n--)
            damage_line(g, text);
    }
    if (gen_chance(g, 8))
        line_ends(g, text);
    if (gen_chance(g, 3))
        splice(text, 0, 0, "\xef\xbb\xbf", 3);
    if (gen_chance(g, 12))
        damage_bytes(g, text);
    if (gen_chance(g, 15))
        damage_blank(g, text);
}

/* ---- proposals ---- */

static const char *one_of(struct gen *g, const char *const *list, int n)
{
    return list[gen_below(g, n)];
}

void gen_proposal(struct gen *g, struct buf *out)
{
    static const char *const titles[] = { "",
                                          "# Proposal\n",
                                          "# Change: A new way\n",
                                          "#  \n",
                                          "#\n\nText\n",
                                          "# change:  \nnext\n",
                                          "## Not this\n# But this\n" };
    static const char *const whys[] = { "## Why\nx\n", "## WHY\n\nBecause.\n", "## Why\n\n", "",
                                        "### Why\nnested\n" };
    static const char *const items[] = { "- **a:** add a limit\n",
                                         "- **a**: Renamed to b\n",
                                         "- **b/c:** address the addition\n",
                                         " -  **a** : nothing\n",
                                         "-**a:**creates it\n",
                                         "- **a:** delete it, new\n",
                                         "* **a:** new\n",
                                         "- **a:** \n",
                                         "- **a:**\t\n",
                                         "- **:** new\n",
                                         "```\n- **a:** new\n```\n",
                                         "plain text\n" };
    buf_str(out, one_of(g, titles, COUNT(titles)));
    buf_str(out, gen_chance(g, 85) ? whys[0] : one_of(g, whys, COUNT(whys)));
    if (gen_chance(g, 92))
        buf_str(out, "\n## What Changes\n");
    for (int i = gen_below(g, 4); i-- > 0;)
        buf_str(out, one_of(g, items, COUNT(items)));
    if (gen_chance(g, 80))
        buf_str(out, "- x\n");
}
