/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { SECTIONS_MAX = 64 * 1024 };

static void put_instructions(struct buf *b, const char *instruct, const char *wish)
{
    if (instruct)
        buf_printf(b, "Instructions:\n- %s\n\n", instruct);
    if (wish)
        buf_printf(b, "Wishes of the user, to be fulfilled here:\n- %s\n\n", wish);
}

static const char task_plan[] =
    "List the behaviours that the problem asks for, one for each sentence or rule that asks for "
    "something. For each: in behaviour what the software will do; a name of two to six words; in "
    "requirement one sentence \"The system SHALL …\" with all figures, names and conditions that "
    "belong to it; "
    "one or two scenarios with concrete values: given (conditions), when (the event), then (a "
    "result that "
    "one can observe). Leave out what only describes how things are today.";

static const char task_more[] =
    "The sentences above are not dealt with yet. List the behaviours that they ask for, each "
    "whole: behaviour, name, "
    "requirement, scenarios. Give an empty list when they only describe how things are today.";

static const char task_sort[] = "For each sentence: is it a complaint about how things are today, "
                                "or does it say what the new software does? Answer "
                                "\"complaint\" or \"new behaviour\".";

static const char task_sentence[] = "Write one requirement from this one sentence, in the form "
                                    "\"The system SHALL …\", that says what the software does. "
                                    "Keep what the sentence says shall happen, in its own words, "
                                    "with all its figures, names and conditions, and nothing "
                                    "else. Say what words such as \"it\", \"this\" or \"then\" "
                                    "stand for, so that it can be understood alone. Then give it a "
                                    "title of two to five words that names the behaviour.";

static const char task_wanted[] = "Write one requirement from what is wanted above, in the form "
                                  "\"The system SHALL …\", that says what the software does. Keep "
                                  "all its figures, names and conditions. Then give it a title of "
                                  "two to five words that names the behaviour.";

static const char task_remedy[] = "This sentence tells what is wrong today. Write the requirement "
                                  "for the opposite, in the form \"The system SHALL …\": what "
                                  "the software does so that it goes well. Who cannot do something "
                                  "today is able to do it, what takes long is quick, what fails "
                                  "works. Forbid nothing and do not write \"not\". Then give it "
                                  "a title of two to five words that names the new behaviour.";

static const char task_place[] =
    "Decide: is the new requirement an additional rule beside the existing ones, or does it change "
    "what an existing "
    "rule says, so that the existing rule as it stands would no longer be true?";

static const char task_merge[] = "Write the existing requirement as it reads after the change: one "
                                 "to three sentences with the word SHALL. Keep "
                                 "what the change does not touch.";

static const char task_scenario[] = "Write one scenario that shows this requirement fulfilled: "
                                    "given (the situation before), when (the event), then (what "
                                    "one can observe afterwards, because of the requirement). Each "
                                    "is one short sentence with concrete values.";

static const char task_scenarios[] =
    "Write two scenarios by which one can check this requirement: an ordinary case, and a case at "
    "the limit or where "
    "it must not happen. Each has a short name, given (conditions), when (one event) and then (the "
    "result that one can "
    "observe afterwards). Use concrete values; every step is one short sentence.";

static const char task_home[] = "To which existing capability do these requirements belong? Choose "
                                "\"none of them\" only if they are about "
                                "something altogether different.";

static const char task_name[] = "These requirements found a new part of the software. Say in one "
                                "or two sentences what this part is for, and give it "
                                "a name of one to three words.";

static const char task_why[] = "Say in two or three plain sentences why this change is needed: "
                               "what is wrong today, and what gets better.";

static const char task_tasks[] = "Say for each requirement, by its number, what a developer has to "
                                 "build: one short phrase that starts with a verb.";

static const char task_comment[] = "Decide what to do about the wish of the user: rewrite one of "
                                   "the requirements, add a new requirement, or leave "
                                   "one out. Give the number of the requirement that it is about.";

static void put_requirements(const struct gen *g, struct buf *b)
{
    buf_str(b, "Requirements:\n");
    for (size_t i = 0; i < g->items_n; i++) {
        const struct item *it = &g->items[i];
        if (it->state != ITEM_OUT)
            buf_printf(b, "%zu. %s: %s\n", i + 1, it->name, it->text ? it->text : it->intent);
    }
    buf_char(b, '\n');
}

/* The next sentences that nobody has sorted. */
static void put_statements(struct gen *g, struct buf *b)
{
    g->chunk_n = 0;
    buf_str(b, "Sentences of the problem:\n");
    for (size_t i = 0; i < g->statements_n && g->chunk_n < PLAN_CHUNK; i++) {
        const struct statement *s = &g->statements[i];
        bool rule = g->in.large && s->kind == STATEMENT_RULE;
        if (!(rule || s->kind == STATEMENT_OPEN) || (g->phase == PHASE_MORE && !s->missed))
            continue;
        g->chunk[g->chunk_n++] = i;
        buf_printf(b, "%zu. %s\n", g->chunk_n, s->text.p);
    }
    buf_char(b, '\n');
}

static void put_capabilities(const struct gen *g, struct buf *b)
{
    const json_t *caps = js_list(g->in.brief, "capabilities");
    buf_str(b, "Existing capabilities:\n");
    for (size_t i = 0; i < js_count(caps) && i < 4; i++)
        buf_printf(b, "- %s: %s\n", js_str(js_at(caps, i), "id"),
                   text_line(g->arena, js_view(js_at(caps, i), "purpose"), 160));
    buf_char(b, '\n');
}

static void put_near(const struct gen *g, const struct item *it, struct buf *b)
{
    buf_str(b, "Existing rules:\n");
    for (size_t i = 0; i < it->near_n; i++)
        buf_printf(b, "%zu. %s: %s\n", i + 1, it->near[i]->name,
                   text_line(g->arena, it->near[i]->text, LINE_MAX));
    buf_char(b, '\n');
}

/* A small model takes what it is shown for what it is asked for: a requirement is about one statement, a
 * scenario about one requirement. */
static enum shown shown_for(const struct gen *g, const char *task)
{
    if (g->in.large)
        return SHOWN_ALL;
    if (task == task_scenario)
        return SHOWN_NOTHING;
    return task == task_sentence || task == task_remedy ? SHOWN_ASIDES : SHOWN_ALL;
}

/* Fill in one question. Takes the schema. */
static void put(struct gen *g, struct gen_ask *out, const struct buf *sections, const char *task,
                json_t *schema)
{
    json_t *messages = prompt_messages(g, buf_z(sections), task, shown_for(g, task)),
           *both = json_array();
    js_push(both, messages);
    js_push(both, schema);
    js_push(g->kept_asks, both);
    out->messages = messages;
    out->schema = schema;
}

static uint64_t seed_of(const struct gen *g, uint32_t id, int tries)
{
    return g->in.seed * 0x9e3779b97f4a7c15u + id * 0xbf58476d1ce4e5b9u +
           (uint64_t)tries * 0x94d049bb133111ebu;
}

void ask_whole(struct gen *g, enum whole w, struct gen_ask *out)
{
    struct buf b;
    buf_init(&b, SECTIONS_MAX);
    out->id = (uint32_t)w;
    out->seed = seed_of(g, out->id, (int)g->items_n);
    g->whole[w].busy = true;
    switch (w) {
    case WHOLE_PLAN:
    case WHOLE_MORE:
        out->name = "plan";
        out->tokens_max = g->in.large ? 4000 : 300;
        if (!g->in.large || w == WHOLE_MORE)
            put_statements(g, &b);
        if (g->in.large)
            put(g, out, &b, w == WHOLE_MORE ? task_more : task_plan, schema_plan(g));
        else
            put(g, out, &b, task_sort, schema_sort(g));
        break;
    case WHOLE_HOME:
        out->name = "capability";
        out->tokens_max = 60;
        put_capabilities(g, &b);
        put_requirements(g, &b);
        put(g, out, &b, task_home, schema_home(g));
        break;
    case WHOLE_NAME:
        out->name = "purpose";
        out->tokens_max = 250;
        put_requirements(g, &b);
        put(g, out, &b, task_name, schema_name());
        break;
    case WHOLE_WHY:
        out->name = "why";
        out->tokens_max = 300;
        put(g, out, &b, task_why, schema_why());
        break;
    case WHOLE_TASKS:
        out->name = "tasks";
        out->tokens_max = 500;
        put_requirements(g, &b);
        put(g, out, &b, task_tasks, schema_tasks(g));
        break;
    case WHOLE_COUNT: assert(false);
    }
    snprintf(out->note, sizeof out->note, "%s", out->name);
    buf_fini(&b);
}

static void ask_sentence(struct gen *g, struct item *it, struct gen_ask *out)
{
    struct buf b;
    buf_init(&b, SECTIONS_MAX);
    out->name = it->state == ITEM_MERGE ? "merge" : "sentence";
    out->tokens_max = 400;
    if (it->state == ITEM_MERGE) {
        buf_printf(&b, "Existing requirement:\n%s\n\nChange:\n%s\n\n",
                   text_line(g->arena, it->target->text, TEXT_MAX_BYTES), it->text);
        put_instructions(&b, it->instruct, it->wish);
        put(g, out, &b, task_merge, schema_sentence());
    } else {
        const struct statement *s = it->about;
        buf_str(&b, prompt_facts_for(g, it));
        if (s && s->refers && s > g->statements)
            buf_printf(&b, "The sentence before it, only to understand it:\n%s\n\n", s[-1].text.p);
        buf_printf(&b, "%s:\n%s\n\n", s ? "Sentence" : "Wanted", it->intent);
        put_instructions(&b, it->instruct, it->wish);
        put(g, out, &b,
            !s          ? task_wanted
            : s->remedy ? task_remedy
                        : task_sentence,
            schema_sentence());
    }
    buf_fini(&b);
}

void ask_item(struct gen *g, struct item *it, struct gen_ask *out)
{
    size_t index = (size_t)(it - g->items);
    struct buf b;
    buf_init(&b, SECTIONS_MAX);
    out->id = ID_ITEM + (uint32_t)index;
    out->seed = seed_of(g, out->id + (uint32_t)it->state * 64, it->tries);
    it->busy = true;
    switch (it->state) {
    case ITEM_TEXT:
    case ITEM_MERGE: ask_sentence(g, it, out); break;
    case ITEM_PLACE:
        out->name = "new-or-change";
        out->tokens_max = 60;
        put_near(g, it, &b);
        buf_printf(&b, "Requirement:\n%s\n\n", it->text);
        put(g, out, &b, task_place, schema_place(it));
        break;
    case ITEM_SCENARIOS:
        out->name = "scenarios";
        out->tokens_max = g->in.large ? 900 : 300;
        if (!g->in.large && strcmp(it->intent, it->text) != 0)
            buf_printf(&b, "Part of the problem:\n%s\n\n", it->intent);
        buf_printf(&b, "Requirement:\n%s\n\n", it->text);
        put_instructions(&b, it->instruct, NULL);
        if (g->in.large)
            put(g, out, &b, task_scenarios, schema_scenarios());
        else
            put(g, out, &b, task_scenario, schema_scenario());
        break;
    case ITEM_READY:
    case ITEM_OUT: assert(false);
    }
    snprintf(out->note, sizeof out->note, "requirement %zu of %zu: %s", index + 1, g->items_n,
             out->name);
    buf_fini(&b);
}

void ask_comment(struct gen *g, struct comment *c, struct gen_ask *out)
{
    struct buf b;
    buf_init(&b, SECTIONS_MAX);
    put_requirements(g, &b);
    buf_printf(&b, "Wishes of the user:\n- %s\n\n", text_line(g->arena, str_of(c->text), LINE_MAX));
    out->id = ID_COMMENT + (uint32_t)(c - g->comments);
    out->seed = seed_of(g, out->id, 0);
    out->name = "comment";
    out->tokens_max = 60;
    c->busy = true;
    put(g, out, &b, task_comment, schema_comment(g));
    snprintf(out->note, sizeof out->note, "comment %s", c->id);
    buf_fini(&b);
}
