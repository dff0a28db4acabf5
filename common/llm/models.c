/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/chat.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *id_of(const json_t *model)
{
    const char *id = js_str(model, "id");
    return *id ? id : js_str(model, "name"); /* llama.cpp also lists {"models":[{"name":…}]} */
}

static void take(const json_t *model, struct chat_model *out)
{
    snprintf(out->name, sizeof out->name, "%s", id_of(model));
    snprintf(out->owner, sizeof out->owner, "%s", js_str(model, "owned_by"));
}

enum status chat_models(struct str body, const char *wanted, struct chat_model *out,
                        struct err *err)
{
    json_t *v = js_parse(body, NULL);
    const json_t *list = js_list(v, "data");
    if (!list)
        list = js_list(v, "models");
    char listed[400] = "";
    size_t used = 0;
    enum status st = list ? ERR_NOT_FOUND : ERR_DATA;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < js_count(list) && st != OK; i++) {
        const json_t *m = js_at(list, i);
        const char *id = id_of(m);
        bool fits = *wanted ? strcasecmp(id, wanted) == 0 : *id && !strcasestr(id, "embed");
        if (fits) {
            take(m, out);
            st = OK;
        }
        int n = snprintf(listed + used, sizeof listed - used, "%s%s", used ? ", " : "", id);
        used = n > 0 && (size_t)n < sizeof listed - used ? used + (size_t)n : used;
    }
    if (st == ERR_DATA)
        err_set(err, st, "the answer is not a list of models");
    else if (st != OK && *wanted)
        err_set(err, st, "the server does not list the model '%.200s'; it lists: %s", wanted,
                *listed ? listed : "none");
    else if (st != OK)
        err_set(err, st, "the server lists no model that can chat");
    json_decref(v);
    return st;
}

int64_t chat_slots(struct str body, const char *model)
{
    json_t *v = js_parse(body, NULL);
    int64_t slots = js_int(v, "total_slots", 0);
    const json_t *list = js_list(v, "models"); /* LM Studio */
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *loaded = js_list(js_at(list, i), "loaded_instances");
        for (size_t k = 0; k < js_count(loaded); k++) {
            const json_t *one = js_at(loaded, k);
            if (strcmp(js_str(one, "id"), model) == 0 ||
                strcmp(js_str(js_at(list, i), "key"), model) == 0)
                slots = js_int(js_obj(one, "config"), "parallel", slots);
        }
    }
    json_decref(v);
    return slots > 0 && slots <= 4096 ? slots : 0;
}

double chat_size_of(const char *model)
{
    for (const char *p = model; *p; p++) {
        bool start = p == model || !(isalnum((unsigned char)p[-1]) || p[-1] == '.');
        if (!start || !isdigit((unsigned char)*p))
            continue;
        char *end;
        double n = strtod(p, &end);
        bool ends = (*end == 'b' || *end == 'B') && !isalnum((unsigned char)end[1]);
        if (ends && n > 0 && n < 10000)
            return n;
    }
    return 0;
}
