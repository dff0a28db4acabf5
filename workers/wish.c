/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/wish.h"

#include "common/bounds.h"

#include <string.h>

enum { QUOTE_MAX = 300 };

static const char id[] = "wish";

static const json_t *answer_to(const json_t *answers)
{
    const json_t *items = js_list(answers, "items");
    for (size_t i = 0; i < js_count(items); i++) {
        if (strcmp(js_str(js_at(items, i), "id"), id) == 0)
            return js_at(items, i);
    }
    return NULL;
}

/* On one line, cut between characters. */
static void quote(struct buf *b, struct str s)
{
    size_t n = s.n < QUOTE_MAX ? s.n : QUOTE_MAX;
    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        buf_char(b, (unsigned char)s.p[i] < ' ' ? ' ' : s.p[i]);
    buf_str(b, n < s.n ? "…" : "");
}

static json_t *question_about(const struct point *first)
{
    struct buf text;
    json_t *q = json_object(), *doc = json_object(), *items = json_array();
    buf_init(&text, PAWL_TEXT_MAX);
    buf_str(&text, "The problem says what goes wrong (\"");
    quote(&text, first->sentence);
    buf_str(&text, "\") but not what is wanted. What shall the system do instead?");
    js_set_z(q, "id", id);
    js_set_z(q, "text", buf_z(&text));
    js_set_z(q, "otherwise", "The opposite of what is complained about.");
    js_push(items, q);
    js_set(doc, "items", items);
    buf_fini(&text);
    return doc;
}

json_t *wish_ask(struct arena *a, struct str problem, const json_t *answers)
{
    struct word_set known = { 0 };
    struct problem p = { 0 };
    const struct cues *cues = cues_make(a);
    if (answer_to(answers) || !cues || problem_read(a, cues, problem, &known, &p) != OK ||
        !p.complains)
        return NULL;
    size_t first = 0; /* a heading quotes badly */
    while (first + 1 < p.n && p.points[first].heading)
        first++;
    return question_about(&p.points[first]);
}

json_t *wish_brief(const json_t *brief, const json_t *answers)
{
    const json_t *answer = answer_to(answers);
    json_t *out = json_copy((json_t *)(uintptr_t)brief);
    if (!answer || strcmp(js_str(answer, "by"), "user") != 0)
        return out;
    struct buf text;
    buf_init(&text, PAWL_DOC_MAX);
    buf_str(&text, js_str(brief, "problem"));
    buf_str(&text, "\n\n## Wanted\n\n");
    buf_str(&text, js_str(answer, "text"));
    buf_char(&text, '\n');
    if (text.status == OK)
        js_set_z(out, "problem", buf_z(&text));
    buf_fini(&text);
    return out;
}
