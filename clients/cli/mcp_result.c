/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/mcp_result.h"

#include "clients/cli/dialog_plan.h"
#include "clients/cli/out.h"
#include "common/mcp/content.h"

#include <inttypes.h>
#include <string.h>

/* An absent or empty text is left out. */
static void put_text(json_t *to, const char *name, const json_t *from, const char *key)
{
    struct buf clean;
    struct str s = js_view(from, key);
    buf_init(&clean, 1 << 22);
    mcp_clean(s, false, &clean);
    size_t n = clean.len;
    if (n > MCP_TEXT_MOST) {
        n = MCP_TEXT_MOST;
        while (n > 0 && ((unsigned char)clean.data[n] & 0xc0) == 0x80)
            n--;
        clean.len = n;
        buf_str(&clean, "…");
    }
    if (clean.len)
        js_set_str(to, name, buf_get(&clean));
    buf_fini(&clean);
}

static void put_time(json_t *to, const char *name, const json_t *from, const char *key)
{
    char text[32];
    int64_t ms = js_int(from, key, 0);
    if (ms <= 0)
        return;
    wall_text((struct wall){ ms }, text);
    js_set_z(to, name, text);
}

static void put_int(json_t *to, const char *name, const json_t *from, const char *key)
{
    if (json_is_integer(json_object_get(from, key)))
        js_set_int(to, name, js_int(from, key, 0));
}

static json_t *score(const json_t *verdict)
{
    json_t *v = json_object();
    js_set_bool(v, "gates", js_bool(verdict, "gates", false));
    js_set_real(v, "measures", (double)js_int(verdict, "measures", 0) / 1000);
    if (js_int(verdict, "judge", -1) >= 0)
        js_set_real(v, "judge", (double)js_int(verdict, "judge", 0) / 1000);
    put_int(v, "errors", verdict, "errors");
    put_int(v, "warnings", verdict, "warnings");
    return v;
}

json_t *mcp_job(const json_t *map)
{
    static const char *const texts[] = { "state", "reason", "stage", "label", "project" };
    const json_t *best = js_obj(map, "best");
    json_t *v = json_object();
    put_text(v, "job", map, "id");
    for (size_t i = 0; i < COUNT(texts); i++)
        put_text(v, texts[i], map, texts[i]);
    put_int(v, "run", map, "run");
    put_int(v, "round", map, "round");
    put_int(v, "rounds_max", map, "rounds_max");
    put_time(v, "created", map, "created_ms");
    put_time(v, "ended", map, "ended_ms");
    if (best) {
        json_t *b = score(js_obj(best, "verdict"));
        put_int(b, "round", best, "round");
        js_set(v, "best", b);
    }
    return v;
}

json_t *mcp_questions(const json_t *map)
{
    const json_t *list = js_list(map, "questions");
    json_t *out = json_array();
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *q = js_at(list, i), *options = js_list(q, "options");
        json_t *v = json_object();
        put_text(v, "job", map, "id");
        js_set_str(v, "question", js_view(q, "id")); /* as it must be said to be answered */
        put_text(v, "text", q, "text");
        put_text(v, "default", q, "otherwise");
        put_time(v, "deadline", q, "due_ms");
        if (js_count(options))
            js_set(v, "options", json_incref((json_t *)options));
        js_push(out, v);
    }
    return out;
}

/* The members of each item; a key of the item may have another name here: "from=name". */
static json_t *items(const json_t *list, size_t most, const char *const *keys, size_t keys_n)
{
    json_t *out = json_array();
    size_t n = js_count(list);
    for (size_t i = n > most ? n - most : 0; i < n; i++) {
        json_t *v = json_object();
        for (size_t k = 0; k < keys_n; k++) {
            char from[32];
            const char *eq = strchr(keys[k], '='), *name = eq ? eq + 1 : keys[k];
            snprintf(from, sizeof from, "%.*s", (int)strcspn(keys[k], "="), keys[k]);
            put_text(v, name, js_at(list, i), from);
            put_int(v, name, js_at(list, i), from);
        }
        js_push(out, v);
    }
    return out;
}

static json_t *rounds(const json_t *ledger)
{
    json_t *out = json_array();
    size_t n = js_count(ledger);
    for (size_t i = n > MCP_ROUNDS_MOST ? n - MCP_ROUNDS_MOST : 0; i < n; i++) {
        const json_t *e = js_at(ledger, i), *verdict = js_obj(e, "verdict");
        json_t *v = json_object();
        put_int(v, "run", e, "run");
        put_int(v, "round", e, "round");
        js_set_bool(v, "kept", js_bool(e, "kept", false));
        put_text(v, "reason", e, "reason");
        if (verdict)
            js_set(v, "score", score(verdict));
        js_push(out, v);
    }
    return out;
}

json_t *mcp_whole_job(const json_t *map, const json_t *review)
{
    static const char *const finding[] = { "severity",    "code", "message", "fix",
                                           "requirement", "file", "line" };
    static const char *const answer[] = { "id=question", "question=asked", "text", "by", "via" };
    static const char *const comment[] = { "id=comment", "text", "run", "round" };
    static const char *const failure[] = { "task", "fault", "text" };
    const json_t *found = js_list(review, "findings");
    json_t *v = mcp_job(map);
    put_text(v, "waits_for", js_obj(map, "why"), "text");
    js_set(v, "questions", mcp_questions(map));
    js_set(v, "answers", items(js_list(map, "answers"), 100, answer, COUNT(answer)));
    js_set(v, "comments", items(js_list(map, "comments"), 100, comment, COUNT(comment)));
    js_set(v, "rounds", rounds(js_list(map, "ledger")));
    js_set(v, "findings",
           items(found ? found : js_list(review, "items"), MCP_FINDINGS_MOST, finding,
                 COUNT(finding)));
    js_set(v, "failures", items(js_list(map, "failures"), 20, failure, COUNT(failure)));
    return v;
}

bool mcp_progress(const char *kind, const json_t *facts, struct buf *out)
{
    if (strcmp(kind, "round") == 0) {
        dialog_round(out, facts);
    } else if (strcmp(kind, "job.state") == 0) {
        text_of(out, facts, "to");
        if (js_view(facts, "stage").n) {
            buf_char(out, ' ');
            text_of(out, facts, "stage");
        }
        buf_printf(out, ", round %" PRId64, js_int(facts, "round", 0));
    } else if (strcmp(kind, "task.note") == 0) {
        text_of(out, facts, "text");
    } else {
        return false;
    }
    return true;
}
