/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/render.h"

#include "common/openspec/draft.h"
#include "common/openspec/edit.h"

#include <stdio.h>
#include <string.h>

enum { SPEC_MAX = 8 * 1024 * 1024 };

/* A spec with what the brief knows of a capability: enough to tell new from changed. */
static struct str spec_of_brief(struct arena *a, const char *id, const json_t *capability)
{
    const json_t *list = js_list(capability, "requirements");
    const char *purpose = js_str(capability, "purpose");
    struct buf b;
    buf_init(&b, SPEC_MAX);
    buf_printf(&b, "# %s Specification\n\n## Purpose\n%s\n\n## Requirements\n", id,
               *purpose ? purpose : "Known by name only.");
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *r = js_at(list, i), *scenarios = js_list(r, "scenarios");
        buf_printf(&b, "\n### Requirement: %s\n", js_str(r, "name"));
        buf_view(&b, js_view(r, "text"));
        buf_char(&b, '\n');
        for (size_t k = 0; k < js_count(scenarios); k++)
            buf_printf(&b, "\n#### Scenario: %s\n", json_string_value(js_at(scenarios, k)));
    }
    struct str out = { arena_dup(a, buf_z(&b), b.len), b.len };
    buf_fini(&b);
    return out;
}

static enum status workspace_of_brief(struct arena *a, const json_t *brief, struct ws *out,
                                      struct err *err)
{
    const json_t *caps = js_list(brief, "capabilities"), *all = js_list(brief, "all_capabilities");
    struct ws_file *files = arena_alloc(a, (js_count(caps) + js_count(all) + 1) * sizeof *files);
    size_t n = 0;
    if (!files)
        return err_set(err, ERR_LIMIT, "the brief is too large");
    for (size_t i = 0; i < js_count(caps); i++) {
        const char *id = js_str(js_at(caps, i), "id");
        files[n++] =
            (struct ws_file){ ws_spec_path(a, str_of(id)), spec_of_brief(a, id, js_at(caps, i)) };
    }
    for (size_t i = 0; i < js_count(all); i++) {
        const char *id = json_string_value(js_at(all, i));
        bool known = id == NULL;
        for (size_t k = 0; k < js_count(caps) && !known; k++)
            known = strcmp(js_str(js_at(caps, k), "id"), id) == 0;
        if (!known)
            files[n++] =
                (struct ws_file){ ws_spec_path(a, str_of(id)), spec_of_brief(a, id, NULL) };
    }
    return ws_make(a, files, n, out, err);
}

/* A change that its author wrote keeps what was not to change: his words, his layout, his files. */
static enum status keep_authors(struct arena *a, const struct ws *ws, const json_t *brief,
                                struct str created, json_t *made, struct err *err)
{
    const json_t *was = js_obj(brief, "base");
    json_t *draft = was ? base_draft(a, brief) : NULL, *plain = NULL;
    struct err ignored = { 0 };
    if (!draft)
        return OK;
    enum status st = draft_complete_all(a, ws, draft);
    if (st == OK && draft_render(a, ws, draft, created, &plain, &ignored) != OK)
        plain = json_object(); /* it cannot be written as we write: his files stay at least */
    if (st == OK)
        st = edit_keep(a, was, plain, made);
    json_decref(plain);
    json_decref(draft);
    return st == OK ? OK : err_set(err, st, "the change is too large to be edited");
}

enum status render_change(struct task *t, const json_t *brief, json_t *draft, json_t **out,
                          struct err *err)
{
    struct arena *a = task_arena(t);
    struct ws ws;
    struct err seen = { 0 };
    char today[32];
    struct str bytes = task_blob(t, "workspace", PAWL_WORKSPACE_MAX, &seen);
    enum status st =
        bytes.n ? ws_decode(a, bytes, &ws, err) : workspace_of_brief(a, brief, &ws, err);
    if (st == OK)
        st = draft_complete_all(a, &ws, draft);
    if (st != OK)
        return *err->text ? st : err_set(err, st, "the draft cannot be completed");
    wall_text(wall_now(), today);
    st = draft_render(a, &ws, draft, (struct str){ today, 10 }, out, err);
    if (st == OK)
        st = keep_authors(a, &ws, brief, (struct str){ today, 10 }, *out, err);
    if (st == OK && bytes.n == 0)
        json_object_del(*out, "base");
    return st;
}
