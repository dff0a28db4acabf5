/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a problem, and its second half as a requirement: no crash, a score within its bounds. */
#include "workers/parse/brief.h"
#include "workers/review/measures.h"
#include "workers/words.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct measures_result out;
    struct word_list words;
    struct str text = { (const char *)data, size },
               half = { (const char *)data + size / 2, size - size / 2 };
    json_t *brief = json_object(), *draft = json_object(), *list = json_array(), *r = json_object();
    json_t *scenarios = json_array(), *scenario = json_object(), *steps = json_array();
    arena_init(&a, 256 << 20);
    js_set_str(brief, "problem", text);
    js_set_z(r, "op", "added");
    js_set_str(r, "name", half);
    js_set_str(r, "text", half);
    js_push(steps, js_string(half));
    js_set(scenario, "then", json_incref(steps));
    js_set(scenario, "when", steps);
    js_push(scenarios, scenario);
    js_set(r, "scenarios", scenarios);
    js_push(list, r);
    js_set(draft, "requirements", list);
    enum status st = words_scan(&a, text, LANG_NONE, &words);
    assert(st == OK);
    struct str title = brief_title(&a, text, 60);
    assert(title.n <= 60);
    struct measures_input in = { .brief = brief, .draft = draft };
    st = measures_take(&a, &in, &out);
    assert(st == OK);
    assert(out.score >= 0 && out.score <= 1000);
    json_decref(out.list);
    json_decref(out.findings);
    json_decref(brief);
    json_decref(draft);
    arena_fini(&a);
    return 0;
}
