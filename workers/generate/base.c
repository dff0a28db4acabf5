/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/render.h"
#include "workers/generate/text.h"

#include "common/openspec/spec.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BULLETS_MAX = 60 };

static struct str next_line(struct str *rest)
{
    const char *nl = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    struct str line = { rest->p, nl ? (size_t)(nl - rest->p) : rest->n };
    size_t eaten = line.n + (nl ? 1 : 0);
    *rest = (struct str){ rest->p + eaten, rest->n - eaten };
    while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
        line.n--;
    return line;
}

static bool is_header(struct str line, struct str *title)
{
    if (line.n < 4 || memcmp(line.p, "## ", 3) != 0)
        return false;
    *title = blank_trim((struct str){ line.p + 3, line.n - 3 });
    return true;
}

/* Call fn for each level-2 section of a text. */
typedef void section_fn(void *ctx, struct str title, struct str body);
static void sections(struct str text, section_fn *fn, void *ctx)
{
    struct str rest = text, title = { 0 }, next;
    const char *from = NULL;
    while (rest.n > 0) {
        struct str line = next_line(&rest);
        if (!is_header(line, &next))
            continue;
        if (from)
            fn(ctx, title, (struct str){ from, (size_t)(line.p - from) });
        title = next;
        from = rest.p;
    }
    if (from)
        fn(ctx, title, (struct str){ from, (size_t)(text.p + text.n - from) });
}

struct reading {
    struct arena *a;
    json_t *draft;
    struct str capability;
};

/* ---- delta specs --------------------------------------------------------------------------------- */

static void put_step(struct reading *r, json_t *s, const char *key, struct str text)
{
    if (!js_list(s, key))
        js_set(s, key, json_array());
    js_push_z(json_object_get(s, key), text_line(r->a, text, 1000));
}

static json_t *scenario_of(struct reading *r, const struct spec_scenario *from)
{
    static const char *const keys[] = { "given", "when", "then", "and" };
    json_t *s = json_object();
    struct str rest = from->text;
    const char *into = "when";
    js_set_str(s, "name", from->name);
    while (rest.n > 0) {
        struct str line = blank_trim(next_line(&rest));
        while (line.n && strchr("-*+ _", line.p[0]) && line.p[0])
            line = (struct str){ line.p + 1, line.n - 1 };
        for (size_t k = 0; k < COUNT(keys); k++) {
            size_t n = strlen(keys[k]);
            if (line.n <= n || strncasecmp(line.p, keys[k], n) != 0 || !strchr(" *_:,", line.p[n]))
                continue;
            into = k < 3 ? keys[k] : into;
            line = (struct str){ line.p + n, line.n - n };
            while (line.n && strchr(" *_:,", line.p[0]) && line.p[0])
                line = (struct str){ line.p + 1, line.n - 1 };
            break;
        }
        if (line.n)
            put_step(r, s, into, line);
    }
    return s;
}

/* The text after a bold word: "**Reason**: …". */
static struct str after_mark(struct str text, const char *mark)
{
    while (text.n > 0) {
        struct str line = blank_trim(next_line(&text));
        while (line.n && strchr("*_- ", line.p[0]) && line.p[0])
            line = (struct str){ line.p + 1, line.n - 1 };
        size_t n = strlen(mark);
        if (line.n <= n || strncasecmp(line.p, mark, n) != 0)
            continue;
        line = (struct str){ line.p + n, line.n - n };
        while (line.n && strchr("*_: ", line.p[0]) && line.p[0])
            line = (struct str){ line.p + 1, line.n - 1 };
        return line;
    }
    return (struct str){ 0 };
}

static void put_blocks(struct reading *r, const char *op, struct str body)
{
    struct spec spec;
    char *whole = arena_printf(r->a, "## Requirements\n\n%.*s", (int)body.n, body.p);
    if (!whole || spec_read(r->a, r->capability, str_of(whole), &spec) != OK)
        return;
    for (size_t i = 0; i < spec.n; i++) {
        const struct spec_requirement *from = &spec.requirements[i];
        json_t *to = json_object(), *list = json_array();
        js_set_z(to, "op", op);
        js_set_str(to, "capability", r->capability);
        js_set_str(to, "name", from->name);
        if (strcmp(op, "removed") == 0) {
            js_set_str(to, "reason", after_mark(from->text, "reason"));
            js_set_str(to, "migration", after_mark(from->text, "migration"));
        } else {
            js_set_str(to, "text", from->text);
        }
        for (size_t k = 0; k < from->scenarios_n; k++)
            js_push(list, scenario_of(r, &from->scenarios[k]));
        js_set(to, "scenarios", list);
        js_push(json_object_get(r->draft, "requirements"), to);
    }
}

/* "- FROM: `### Requirement: Old`" and its TO. */
static void put_renames(struct reading *r, struct str body)
{
    struct str from = { 0 };
    while (body.n > 0) {
        struct str line = next_line(&body);
        static const char mark[] = "### Requirement:";
        const char *at = memmem(line.p, line.n, mark, sizeof mark - 1);
        if (!at)
            continue;
        struct str name = { at + sizeof mark - 1,
                            (size_t)(line.p + line.n - at) - (sizeof mark - 1) };
        while (name.n && (name.p[name.n - 1] == '`' || name.p[name.n - 1] == ' '))
            name.n--;
        name = blank_trim(name);
        if (memmem(line.p, line.n, "FROM", 4)) {
            from = name;
            continue;
        }
        json_t *to = json_object();
        js_set_z(to, "op", "renamed");
        js_set_str(to, "capability", r->capability);
        js_set_str(to, "name", name);
        js_set_str(to, "from", from);
        js_push(json_object_get(r->draft, "requirements"), to);
    }
}

static void on_delta(void *ctx, struct str title, struct str body)
{
    static const char *const kinds[] = { "added", "modified", "removed" };
    struct reading *r = ctx;
    char word[32];
    snprintf(word, sizeof word, "%.*s", (int)(title.n < 31 ? title.n : 31), title.p);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (strncasecmp(word, kinds[i], strlen(kinds[i])) == 0)
            put_blocks(r, kinds[i], body);
    }
    if (strncasecmp(word, "renamed", 7) == 0)
        put_renames(r, body);
    if (strcasecmp(word, "purpose") == 0) {
        json_t *p = json_object();
        js_set_str(p, "capability", r->capability);
        js_set_z(p, "text", text_line(r->a, body, 8000));
        js_push(json_object_get(r->draft, "purposes"), p);
    }
}

/* ---- proposal.md and tasks.md ---------------------------------------------------------------------- */

static void put_bullets(struct reading *r, json_t *list, struct str body)
{
    while (body.n > 0 && json_array_size(list) < BULLETS_MAX) {
        struct str line = blank_trim(next_line(&body));
        if (line.n < 3 || !strchr("-*+", line.p[0]))
            continue;
        line = blank_trim((struct str){ line.p + 1, line.n - 1 });
        if (line.n > 4 && line.p[0] == '[' && line.p[2] == ']')
            line = blank_trim((struct str){ line.p + 3, line.n - 3 });
        js_push_z(list, text_line(r->a, line, 2000));
    }
}

static void on_proposal(void *ctx, struct str title, struct str body)
{
    struct reading *r = ctx;
    if (title.n == 3 && strncasecmp(title.p, "why", 3) == 0)
        js_set_z(r->draft, "why", text_cut(r->a, body, 8000));
    else if (title.n == 12 && strncasecmp(title.p, "what changes", 12) == 0)
        put_bullets(r, json_object_get(r->draft, "what"), body);
}

static void on_tasks(void *ctx, struct str title, struct str body)
{
    struct reading *r = ctx;
    json_t *s = json_object(), *items = json_array();
    put_bullets(r, items, body);
    js_set_z(s, "title", text_line(r->a, title, 200));
    js_set(s, "items", items);
    js_push(json_object_get(r->draft, "tasks"), s);
}

json_t *base_draft(struct arena *a, const json_t *brief)
{
    const json_t *base = js_obj(brief, "base"), *files = js_list(base, "files");
    struct reading r = { .a = a, .draft = json_object() };
    static const char *const lists[] = { "what", "requirements", "purposes", "tasks" };
    if (js_count(files) == 0) {
        json_decref(r.draft);
        return NULL;
    }
    js_set_z(r.draft, "change_name", js_str(base, "name"));
    js_set_z(r.draft, "title", js_str(brief, "title"));
    js_set_z(r.draft, "why", "");
    for (size_t i = 0; i < COUNT(lists); i++)
        js_set(r.draft, lists[i], json_array());
    for (size_t i = 0; i < js_count(files); i++) {
        struct str path = js_view(js_at(files, i), "path"), text = js_view(js_at(files, i), "text");
        if (str_is(path, "proposal.md"))
            sections(text, on_proposal, &r);
        else if (str_is(path, "tasks.md"))
            sections(text, on_tasks, &r);
        else if (path.n > 14 && memcmp(path.p, "specs/", 6) == 0 &&
                 memcmp(path.p + path.n - 8, "/spec.md", 8) == 0) {
            r.capability = (struct str){ path.p + 6, path.n - 14 };
            sections(text, on_delta, &r);
        }
    }
    return r.draft;
}
