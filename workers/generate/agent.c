/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/stage.h"
#include "workers/generate/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    TOOLS_MAX = 24,
    INPUT_MAX = 2048,
    EXCERPT_MAX = 4096,
    DESCRIPTION_MAX = 200,
    PROMPT_MAX = 128 * 1024
};

struct agent {
    struct generate *stage;
    struct agent_want want;
    agent_fn *fn;
    void *ctx;
    json_t *tools, *found; /* lists held by the task */
    json_t *call;          /* the call under way, for its insight; held too */
    int calls;
};

static bool allowed(const json_t *allow, const char *server, const char *tool)
{
    char one[256], all[128];
    snprintf(one, sizeof one, "%s/%s", server, tool);
    snprintf(all, sizeof all, "%s/*", server);
    for (size_t i = 0; i < js_count(allow); i++) {
        const char *z = json_string_value(js_at(allow, i));
        if (z && (strcmp(z, one) == 0 || strcmp(z, all) == 0))
            return true;
    }
    return allow == NULL;
}

static json_t *tools_on_offer(struct generate *s, const json_t *insights)
{
    const json_t *list = js_list(insights, "tools");
    const json_t *allow = conf_tree(worker_conf(s->worker), CONF_ANALYZE_ALLOW);
    json_t *out = json_array();
    for (size_t i = 0; i < js_count(list) && json_array_size(out) < TOOLS_MAX; i++) {
        const json_t *tool = js_at(list, i);
        if (allowed(allow, js_str(tool, "server"), js_str(tool, "name")))
            js_push(out, json_deep_copy(tool));
    }
    return out;
}

/* Arguments as the tool describes them, or any object when that is too much for a grammar. */
static json_t *input_schema(const json_t *tool)
{
    const json_t *input = js_obj(tool, "input");
    struct buf b;
    buf_init(&b, INPUT_MAX);
    bool fits = input && js_dump(input, &b) == OK && !strstr(buf_z(&b), "\"$ref\"");
    buf_fini(&b);
    json_t *v = fits ? json_deep_copy(input) : json_pack("{s:s}", "type", "object");
    json_object_del(v, "$schema");
    return v;
}

static json_t *schema(const struct agent *a)
{
    json_t *one = json_array(), *v = json_object();
    for (size_t i = 0; i < json_array_size(a->tools); i++) {
        const json_t *tool = json_array_get(a->tools, i);
        char name[256];
        snprintf(name, sizeof name, "%s/%s", js_str(tool, "server"), js_str(tool, "name"));
        js_push(one, json_pack("{s:s,s:{s:{s:[s]},s:o},s:[s,s],s:b}", "type", "object",
                               "properties", "call", "enum", name, "arguments", input_schema(tool),
                               "required", "call", "arguments", "additionalProperties", 0));
    }
    js_push(one,
            json_pack("{s:s,s:{s:{s:[s]}},s:[s],s:b}", "type", "object", "properties", "answer",
                      "enum", "enough", "required", "answer", "additionalProperties", 0));
    js_set(v, "oneOf", one);
    return v;
}

static json_t *messages(const struct agent *a, struct arena *arena)
{
    struct buf b;
    json_t *list = json_array();
    buf_init(&b, PROMPT_MAX);
    buf_printf(&b, "%s\n\nTools on offer:\n", a->want.about);
    for (size_t i = 0; i < json_array_size(a->tools); i++) {
        const json_t *tool = json_array_get(a->tools, i);
        buf_printf(&b, "- %s/%s: %s\n", js_str(tool, "server"), js_str(tool, "name"),
                   text_line(arena, js_view(tool, "description"), DESCRIPTION_MAX));
    }
    if (json_array_size(a->found))
        buf_str(&b, "\nResults of earlier calls:\n");
    for (size_t i = 0; i < json_array_size(a->found); i++) {
        const json_t *r = json_array_get(a->found, i);
        buf_printf(&b, "- %s: %s\n", js_str(r, "title"),
                   text_line(arena, js_view(r, "excerpt"), 1500));
    }
    buf_str(&b, "\nTask:\nDecide whether one more call of a tool is needed to know facts that are "
                "missing above. If so, "
                "give the call and its arguments. If not, answer \"enough\".");
    js_push(list, json_pack("{s:s,s:s}", "role", "system", "content",
                            "You decide which tool to call. You answer with JSON only."));
    json_t *user = json_object();
    js_set_z(user, "role", "user");
    js_set_str(user, "content", buf_get(&b));
    js_push(list, user);
    buf_fini(&b);
    return list;
}

json_t *insight_of(struct arena *a, const char *id, const json_t *call, const json_t *result)
{
    json_t *v = json_object();
    struct buf title;
    char hex[HASH_HEX + 1];
    struct hash h = hash_of(js_view(result, "text"));
    buf_init(&title, 1000);
    buf_printf(&title, "%s/%s ", js_str(call, "server"), js_str(call, "tool"));
    js_dump(json_object_get(call, "arguments"), &title);
    hash_hex(&h, hex);
    js_set_z(v, "id", id);
    js_set_z(v, "server", js_str(call, "server"));
    js_set_z(v, "tool", js_str(call, "tool"));
    js_set(v, "arguments", json_deep_copy(json_object_get(call, "arguments")));
    js_set_z(v, "excerpt", text_cut(a, js_view(result, "text"), EXCERPT_MAX));
    js_set_z(v, "hash", *js_str(result, "hash") ? js_str(result, "hash") : hex);
    js_set_z(v, "title", *buf_z(&title) ? buf_z(&title) : js_str(call, "tool"));
    js_set_bool(v, "truncated",
                js_bool(result, "truncated", false) || js_view(result, "text").n > EXCERPT_MAX);
    buf_fini(&title);
    return v;
}

static void finish(struct agent *a, struct task *t)
{
    a->fn(a->ctx, t, a->found);
}

static void step(struct agent *a, struct task *t);

static void on_result(void *ctx, struct task *t, const json_t *result, const char *fault)
{
    struct agent *a = ctx;
    char id[16];
    snprintf(id, sizeof id, "t%d", a->calls);
    json_t *r = result ? json_incref((json_t *)(uintptr_t)result)
                       : json_pack("{s:b,s:s}", "ok", 0, "text", fault ? fault : "the call failed");
    js_push(a->found, insight_of(task_arena(t), id, a->call, r));
    json_decref(r);
    step(a, t);
}

static void on_decision(void *ctx, struct task *t, const struct model_reply *reply)
{
    struct agent *a = ctx;
    const char *name = js_str(reply->value, "call"), *slash = strchr(name, '/');
    if (!slash) {
        finish(a, t);
        return;
    }
    json_t *call = json_object();
    js_set_str(call, "server", (struct str){ name, (size_t)(slash - name) });
    js_set_z(call, "tool", slash + 1);
    js_set(call, "arguments", json_deep_copy(json_object_get(reply->value, "arguments")));
    bool again = false; /* the same call twice: the model has nothing more to ask */
    for (size_t i = 0; i < json_array_size(a->found); i++) {
        const json_t *f = json_array_get(a->found, i);
        again = again ||
                (strcmp(js_str(f, "tool"), slash + 1) == 0 &&
                 json_equal(json_object_get(f, "arguments"), json_object_get(call, "arguments")));
    }
    if (again) {
        json_decref(call);
        finish(a, t);
        return;
    }
    a->calls++;
    a->call = task_hold(t, json_incref(call));
    task_note(t, "tool %s", name);
    task_call(t, call, on_result, a);
}

static void step(struct agent *a, struct task *t)
{
    if (a->calls >= a->want.calls_max || json_array_size(a->tools) == 0) {
        finish(a, t);
        return;
    }
    json_t *list = messages(a, task_arena(t)), *shape = schema(a);
    struct model_request r = { .messages = list,
                               .schema = shape,
                               .schema_name = "tool",
                               .tokens_max = 300,
                               .temperature = 0,
                               .seed = a->want.seed + (uint64_t)a->calls };
    task_note(t, "tools");
    model_call(a->stage->model, t, &r, on_decision, a);
    json_decref(list);
    json_decref(shape);
}

void agent_start(struct generate *s, struct task *t, const struct agent_want *want, agent_fn *fn,
                 void *ctx)
{
    struct agent *a = arena_alloc(task_arena(t), sizeof *a);
    assert(a);
    *a = (struct agent){ .stage = s,
                         .want = *want,
                         .fn = fn,
                         .ctx = ctx,
                         .found = task_hold(t, json_array()),
                         .tools = task_hold(t, tools_on_offer(s, want->insights)) };
    step(a, t);
}
