/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/state.h"

#include <assert.h>
#include <string.h>

enum { PROMPT_MAX = 256 * 1024, FACTS_SHOWN = 3 };

static const char system_text[] = "You turn a problem statement into requirements for software. "
                                  "You write short, plain sentences in "
                                  "the language of the problem statement. You keep its figures and "
                                  "names exactly and invent none. "
                                  "You answer with JSON on one line.";

/* ---- the beginning that all prompts share: servers keep it in their cache ---------------------- */

static void put_answers(const struct gen *g, struct buf *b)
{
    const json_t *items = js_list(g->in.answers, "items");
    if (js_count(items))
        buf_str(b, "Answers of the user:\n");
    for (size_t i = 0; i < js_count(items) && i < COMMENTS_MAX; i++) {
        const json_t *a = js_at(items, i);
        buf_printf(b, "- %s %s\n", text_line(g->arena, js_view(a, "question"), 300),
                   text_line(g->arena, js_view(a, "text"), 300));
    }
    if (js_count(items))
        buf_char(b, '\n');
}

/* What the user wants differently is said in every prompt of a draft that is planned anew; a draft
 * that is revised gets it where it belongs. */
static void put_wishes(const struct gen *g, struct buf *b)
{
    const json_t *items = js_list(g->in.comments, "items");
    size_t n = js_count(items), from = n > COMMENTS_MAX ? n - COMMENTS_MAX : 0;
    if (n == 0 || !g->anew)
        return;
    buf_str(b, "Wishes of the user, which come before the problem:\n");
    for (size_t i = from; i < n; i++)
        buf_printf(b, "- %s\n", text_line(g->arena, js_view(js_at(items, i), "text"), LINE_MAX));
    buf_char(b, '\n');
}

void prompt_prefix(struct gen *g)
{
    struct buf b;
    buf_init(&b, PROMPT_MAX);
    buf_printf(&b, "Problem:\n%s\n\n", text_cut(g->arena, g->problem, PROBLEM_SHOWN));
    size_t asides = b.len;
    put_answers(g, &b);
    put_wishes(g, &b);
    g->prefix = arena_dup(g->arena, buf_z(&b), b.len);
    g->asides = g->prefix ? g->prefix + asides : NULL;
    buf_fini(&b);
}

/* Lines that tools gave and that this requirement is about: those that share most with it. */
char *prompt_facts_for(const struct gen *g, const struct item *it)
{
    struct buf b;
    bool used[FACTS_MAX] = { false };
    buf_init(&b, PROMPT_MAX);
    for (int n = 0; n < FACTS_SHOWN; n++) {
        size_t best = FACTS_MAX, most = 0;
        for (size_t i = 0; i < g->facts_n; i++) {
            size_t common = used[i] ? 0 : words_common(&g->facts[i].words, &it->words);
            if (common > most) {
                most = common;
                best = i;
            }
        }
        if (best == FACTS_MAX)
            break;
        used[best] = true;
        buf_printf(&b, "%s- %s\n", b.len ? "" : "Facts that hold today:\n",
                   text_line(g->arena, g->facts[best].line, 300));
    }
    if (b.len)
        buf_char(&b, '\n');
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    buf_fini(&b);
    return z ? z : (char *)(uintptr_t) "";
}

json_t *prompt_messages(const struct gen *g, const char *sections, const char *task,
                        enum shown shown)
{
    const char *first = shown == SHOWN_ALL ? g->prefix : shown == SHOWN_ASIDES ? g->asides : "";
    struct buf b;
    json_t *list = json_array(), *system = json_object(), *user = json_object();
    buf_init(&b, PROMPT_MAX);
    buf_printf(&b, "%s%sTask:\n%s", first ? first : "", sections, task);
    js_set_z(system, "role", "system");
    js_set_z(system, "content", system_text);
    js_set_z(user, "role", "user");
    js_set_str(user, "content", buf_get(&b));
    js_push(list, system);
    js_push(list, user);
    buf_fini(&b);
    return list;
}

/* ---- shapes ------------------------------------------------------------------------------------ */

/* Lengths are a safety net: the grammar cuts in mid-word, so prompts ask for brevity in words. */
static json_t *string_of(int64_t max)
{
    json_t *v = json_object();
    js_set_z(v, "type", "string");
    js_set_int(v, "maxLength", max);
    return v;
}

static json_t *list_of(json_t *items, int64_t min, int64_t max)
{
    json_t *v = json_object();
    js_set_z(v, "type", "array");
    js_set(v, "items", items);
    js_set_int(v, "minItems", min);
    js_set_int(v, "maxItems", max);
    return v;
}

static json_t *choice_of(json_t *values)
{
    json_t *v = json_object();
    js_set_z(v, "type", "string");
    js_set(v, "enum", values);
    return v;
}

/* An object of these properties, all required, nothing else. Takes the values. */
static json_t *object_of(size_t n, const char *const *names, json_t *const *values)
{
    json_t *v = json_object(), *props = json_object(), *required = json_array();
    for (size_t i = 0; i < n; i++) {
        js_set(props, names[i], values[i]);
        js_push_z(required, names[i]);
    }
    js_set_z(v, "type", "object");
    js_set(v, "properties", props);
    js_set(v, "required", required);
    js_set_bool(v, "additionalProperties", false);
    return v;
}

/* One flat scenario: fewer tokens, and less to get wrong, than lists of steps. */
json_t *schema_scenario(void)
{
    static const char *const names[] = { "given", "when", "then" };
    json_t *const values[] = { string_of(300), string_of(300), string_of(300) };
    return object_of(3, names, values);
}

static json_t *scenario_list(void)
{
    static const char *const names[] = { "name", "given", "when", "then" };
    json_t *const values[] = { string_of(120), list_of(string_of(300), 0, 2),
                               list_of(string_of(300), 1, 2), list_of(string_of(300), 1, 2) };
    return list_of(object_of(4, names, values), 1, 2);
}

json_t *schema_scenarios(void)
{
    static const char *const names[] = { "scenarios" };
    json_t *const values[] = { scenario_list() };
    return object_of(1, names, values);
}

json_t *schema_plan(const struct gen *g)
{
    static const char *const names[] = { "behaviour", "name", "requirement", "scenarios" };
    static const char *const outer[] = { "behaviours" };
    bool more = g->phase == PHASE_MORE;
    json_t *const values[] = { string_of(500), string_of(120), string_of(900), scenario_list() };
    json_t *const list[] = { list_of(object_of(4, names, values), more ? 0 : 1,
                                     more ? 4 : PLAN_LARGE) };
    return object_of(1, outer, list);
}

/* {"1": "new behaviour" or "complaint", …}: a few tokens a sentence, and none can be forgotten. */
json_t *schema_sort(const struct gen *g)
{
    const char *names[PLAN_CHUNK];
    json_t *values[PLAN_CHUNK];
    for (size_t i = 0; i < g->chunk_n; i++) {
        json_t *kinds = json_array();
        js_push_z(kinds, "new behaviour");
        js_push_z(kinds, "complaint");
        names[i] = arena_printf(g->arena, "%zu", i + 1);
        values[i] = choice_of(kinds);
        if (!names[i])
            names[i] = "";
    }
    return object_of(g->chunk_n, names, values);
}

json_t *schema_sentence(void)
{
    static const char *const names[] = { "requirement", "title" };
    json_t *const values[] = { string_of(900), string_of(120) };
    return object_of(2, names, values);
}

json_t *schema_place(const struct item *it)
{
    static const char *const names[] = { "decision" };
    static const char *const changes[] = { "changes rule 1", "changes rule 2" };
    json_t *list = json_array();
    js_push_z(list, "additional rule");
    for (size_t i = 0; i < it->near_n; i++)
        js_push_z(list, changes[i]);
    json_t *const values[] = { choice_of(list) };
    return object_of(1, names, values);
}

json_t *schema_home(const struct gen *g)
{
    static const char *const names[] = { "capability" };
    const json_t *caps = js_list(g->in.brief, "capabilities");
    json_t *list = json_array();
    for (size_t i = 0; i < js_count(caps) && i < 4; i++)
        js_push_z(list, js_str(js_at(caps, i), "id"));
    js_push_z(list, "none of them");
    json_t *const values[] = { choice_of(list) };
    return object_of(1, names, values);
}

json_t *schema_name(void)
{
    static const char *const names[] = { "purpose", "name" };
    json_t *const values[] = { string_of(400), string_of(60) };
    return object_of(2, names, values);
}

json_t *schema_why(void)
{
    static const char *const names[] = { "why" };
    json_t *const values[] = { string_of(900) };
    return object_of(1, names, values);
}

/* {"1": "…", …}: one for each requirement that is new or changed. */
json_t *schema_tasks(const struct gen *g)
{
    const char *names[ITEMS_MAX];
    json_t *values[ITEMS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < g->items_n; i++) {
        if (g->items[i].state == ITEM_OUT)
            continue;
        char *z = arena_printf(g->arena, "%zu", i + 1);
        names[n] = z ? z : "";
        values[n++] = string_of(250);
    }
    return object_of(n, names, values);
}

json_t *schema_comment(const struct gen *g)
{
    static const char *const names[] = { "action", "requirement" };
    json_t *actions = json_array(), *numbers = json_array();
    js_push_z(actions, "rewrite");
    js_push_z(actions, "add");
    js_push_z(actions, "leave out");
    for (size_t i = 0; i < g->items_n; i++) {
        char *z = arena_printf(g->arena, "%zu", i + 1);
        js_push_z(numbers, z ? z : "1");
    }
    if (g->items_n == 0)
        js_push_z(numbers, "1");
    json_t *const values[] = { choice_of(actions), choice_of(numbers) };
    return object_of(2, names, values);
}
