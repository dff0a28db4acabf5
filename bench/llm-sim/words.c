/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/llm-sim/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    SENTENCES_MAX = 64,
    SENTENCE_MIN = 8,
    DEPTH_MAX = 12,
    TEXT_MAX = 4096,
    LIST_DEFAULT = 3,
    FACTS_MAX = 6
};

struct sim_words {
    uint64_t rng;
    struct str sentences[SENTENCES_MAX];
    size_t n;
    struct str facts[FACTS_MAX]; /* lines below a heading that begins with Facts */
    size_t facts_n;
    bool told;      /* instructions or wishes are in the prompt */
    bool normative; /* the task asks for SHALL */
    bool results;   /* a tool has answered */
};

static uint64_t roll(struct sim_words *w) /* splitmix64 */
{
    uint64_t z = (w->rng += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- reading the prompt ---------------------------------------------------------------------- */

static struct str next_line(struct str *rest)
{
    const char *nl = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    size_t n = nl ? (size_t)(nl - rest->p) : rest->n;
    struct str line = { rest->p, n };
    rest->p += nl ? n + 1 : n;
    rest->n -= nl ? n + 1 : n;
    while (line.n && isspace((unsigned char)line.p[line.n - 1]))
        line.n--;
    return line;
}

static bool is_heading(struct str line)
{
    return line.n > 1 && line.n < 60 && line.p[line.n - 1] == ':' &&
           isupper((unsigned char)line.p[0]);
}

static bool starts(struct str s, const char *z)
{
    return s.n >= strlen(z) && strncasecmp(s.p, z, strlen(z)) == 0;
}

/* The text of the last section worth talking about, or of the problem. */
static struct str choose(struct sim_words *w, struct str prompt)
{
    struct str rest = prompt, problem = { 0 }, focus = { 0 };
    struct str *into = &problem;
    bool task = false, facts = false;
    while (rest.n > 0) {
        struct str line = next_line(&rest);
        if (!is_heading(line)) {
            w->normative = w->normative || (task && memmem(line.p, line.n, "SHALL", 5));
            bool label = line.n > 0 &&
                         (line.p[0] == '[' || line.p[line.n - 1] == ':'); /* a source, not a fact */
            if (facts && line.n > 0 && !label && w->facts_n < FACTS_MAX)
                w->facts[w->facts_n++] = line;
            if (into && line.n > 0) {
                into->p = into->p ? into->p : line.p;
                into->n = (size_t)(line.p + line.n - into->p);
            }
            continue;
        }
        bool skip = starts(line, "Task") || starts(line, "Existing") || starts(line, "Tools") ||
                    starts(line, "Names") || starts(line, "Facts") || starts(line, "Answers") ||
                    starts(line, "Sentences");
        task = starts(line, "Task");
        facts = starts(line, "Facts");
        bool told = starts(line, "Instructions") || starts(line, "Wishes");
        w->told = w->told || told;
        w->results = w->results || starts(line, "Results");
        into = skip || told ? NULL : starts(line, "Problem") ? &problem : &focus;
        if (into)
            *into = (struct str){ 0 };
    }
    return focus.n ? focus : problem;
}

static void cut_sentences(struct sim_words *w, struct str text)
{
    size_t from = 0;
    for (size_t i = 0; i <= text.n && w->n < SENTENCES_MAX; i++) {
        bool stop = i == text.n || text.p[i] == '\n' ||
                    (strchr(".!?;", text.p[i]) &&
                     (i + 1 == text.n || isspace((unsigned char)text.p[i + 1])));
        if (!stop)
            continue;
        while (from < i && (isspace((unsigned char)text.p[from]) || strchr("-*#>", text.p[from])))
            from++;
        if (i - from >= SENTENCE_MIN)
            w->sentences[w->n++] = (struct str){ text.p + from, i - from };
        from = i + 1;
    }
}

struct sim_words *sim_words_new(const json_t *messages, uint64_t seed)
{
    struct sim_words *w = calloc(1, sizeof *w);
    struct buf all;
    if (!w)
        return NULL;
    buf_init(&all, 1 << 24);
    struct str user = { 0 };
    for (size_t i = 0; i < js_count(messages); i++) {
        const json_t *m = js_at(messages, i);
        buf_view(&all, js_view(m, "content"));
        if (strcmp(js_str(m, "role"), "user") == 0)
            user = js_view(m, "content");
    }
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < all.len; i++)
        h = (h ^ (unsigned char)all.data[i]) * 1099511628211u;
    w->rng = seed ^ h;
    buf_fini(&all);
    cut_sentences(w, choose(w, user));
    if (w->n == 0)
        w->sentences[w->n++] = str_of("the simulated model has nothing to talk about");
    return w;
}

void sim_words_free(struct sim_words *w)
{
    free(w);
}

/* ---- saying something ------------------------------------------------------------------------ */

/* Words [from, to) of a sentence. */
static struct str words_of(struct str s, size_t from, size_t to)
{
    size_t at = 0, i = 0;
    const char *begin = NULL, *end = s.p;
    while (i < s.n && at < to) {
        while (i < s.n && isspace((unsigned char)s.p[i]))
            i++;
        if (at == from)
            begin = s.p + i;
        while (i < s.n && !isspace((unsigned char)s.p[i]))
            i++;
        at++;
        end = s.p + i;
    }
    return begin ? (struct str){ begin, (size_t)(end - begin) } : s;
}

static size_t count_words(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += !isspace((unsigned char)s.p[i]) && (i == 0 || isspace((unsigned char)s.p[i - 1]));
    return n;
}

static void put_name(struct buf *out, struct str s)
{
    size_t from = out->len;
    struct str few = words_of(s, 0, 5);
    for (size_t i = 0; i < few.n; i++) {
        unsigned char c = (unsigned char)few.p[i];
        buf_char(out, isalnum(c) || c >= 0x80 || c == '-' ? (char)c : ' ');
    }
    if (out->len > from)
        out->data[from] = (char)toupper((unsigned char)out->data[from]);
}

/* A wish as a demand: "it should stop" -> "it stop", behind "The system SHALL make sure that". */
static void put_demand(struct buf *out, struct str s)
{
    static const char *const modals[] = { " should ", " must ", " needs to " };
    for (size_t i = 0; i < COUNT(modals); i++) {
        size_t n = strlen(modals[i]);
        const char *at = memmem(s.p, s.n, modals[i], n);
        if (!at)
            continue;
        buf_append(out, s.p, (size_t)(at - s.p));
        s = (struct str){ at + n - 1, s.n - (size_t)(at - s.p) - (n - 1) };
        break;
    }
    buf_view(out, s);
}

static void put_behaviour(struct sim_words *w, struct buf *out, struct str s)
{
    size_t n = count_words(s);
    bool less = !w->told && n > 8 && roll(w) % 4 == 0;
    if (w->normative && !memmem(s.p, s.n, "SHALL", 5))
        buf_str(out, "The system SHALL make sure that ");
    size_t from = out->len;
    put_demand(out, less ? words_of(s, 0, n * 2 / 3) : s);
    if (out->len > from && w->normative && from > 0 && !(s.n > 1 && isupper((unsigned char)s.p[1])))
        out->data[from] = (char)tolower((unsigned char)out->data[from]);
    for (size_t i = 0; i < w->facts_n && i < 1 && w->normative; i++) {
        struct str f = w->facts[i];
        size_t skip = f.n > 2 && f.p[0] == '-' ? 2 : 0;
        buf_printf(out, ", where %.*s holds", (int)(f.n - skip), f.p + skip);
    }
    buf_char(out, '.');
}

static void put_string(struct sim_words *w, struct buf *out, const char *key, size_t index)
{
    struct str s = w->sentences[index % w->n];
    size_t n = count_words(s);
    if (strcasestr(key, "name") || strcasestr(key, "title")) {
        put_name(out, s);
    } else if (strcasestr(key, "given")) {
        buf_printf(out, "the situation of %.*s", STR_ARG(words_of(s, 0, n / 2 + 1)));
    } else if (strcasestr(key, "when")) {
        buf_printf(out, "case %zu occurs", index + 1);
    } else if (strcasestr(key, "then")) {
        const char *at = memmem(s.p, s.n, " that ", 6); /* "The system SHALL make sure that …" */
        size_t skip = at ? (size_t)(at - s.p) + 6 : 0;
        buf_printf(out, "the result is that %.*s", (int)(s.n - skip), s.p + skip);
    } else {
        put_behaviour(w, out, s);
    }
}

static json_t *string_value(struct sim_words *w, const json_t *schema, const char *key,
                            size_t index)
{
    struct buf b;
    size_t max = (size_t)js_int(schema, "maxLength", TEXT_MAX),
           min = (size_t)js_int(schema, "minLength", 0);
    buf_init(&b, 1 << 20);
    put_string(w, &b, key, index);
    for (int i = 0; b.len < min && i < 1000; i++)
        buf_printf(&b, " %.*s", STR_ARG(w->sentences[(size_t)i % w->n]));
    size_t n = b.len > max ? max : b.len;
    while (n > 0 && n < b.len && ((unsigned char)b.data[n] & 0xc0) == 0x80)
        n--; /* not inside a UTF-8 sequence */
    json_t *v = js_string((struct str){ b.data, n });
    buf_fini(&b);
    return v;
}

static json_t *value(struct sim_words *w, const json_t *schema, const char *key, size_t index,
                     int depth);

static json_t *object_value(struct sim_words *w, const json_t *schema, size_t index, int depth)
{
    json_t *v = json_object();
    const char *name;
    json_t *prop;
    json_object_foreach((json_t *)(uintptr_t)js_obj(schema, "properties"), name, prop)
        js_set(v, name, value(w, prop, name, index, depth + 1));
    return v;
}

static json_t *list_value(struct sim_words *w, const json_t *schema, const char *key, size_t index,
                          int depth)
{
    json_t *v = json_array();
    int64_t min = js_int(schema, "minItems", 0), max = js_int(schema, "maxItems", LIST_DEFAULT);
    bool objects = strcmp(js_str(js_obj(schema, "items"), "type"), "object") == 0;
    int64_t n = objects ? (int64_t)w->n : 1; /* a list of things: one for each sentence */
    n = n < min ? min : n > max ? max : n;
    for (int64_t i = 0; i < n; i++)
        js_push(v, value(w, js_obj(schema, "items"), key, objects ? (size_t)i : index + (size_t)i,
                         depth + 1));
    return v;
}

static json_t *number_value(struct sim_words *w, const json_t *schema)
{
    int64_t min = js_int(schema, "minimum", 0), max = js_int(schema, "maximum", 5);
    if (max < min)
        max = min;
    int64_t from = min + (max - min) / (w->told ? 2 : 3); /* a benevolent one */
    return json_integer(from + (int64_t)(roll(w) % (uint64_t)(max - from + 1)));
}

static json_t *value(struct sim_words *w, const json_t *schema, const char *key, size_t index,
                     int depth)
{
    const json_t *one = js_list(schema, "oneOf"), *list = js_list(schema, "enum");
    const json_t *only = json_object_get(schema, "const"), *type = json_object_get(schema, "type");
    if (!one)
        one = js_list(schema, "anyOf");
    if (depth > DEPTH_MAX)
        return json_null();
    if (only)
        return json_deep_copy(only);
    if (js_count(one)) /* alternatives: a tool call comes first, the answer last */
        return value(w, js_at(one, w->results ? js_count(one) - 1 : 0), key, index, depth + 1);
    if (js_count(list))
        return json_deep_copy(js_at(list, roll(w) % 4 ? 0 : roll(w) % js_count(list)));
    const char *t =
        json_is_array(type) ? json_string_value(js_at(type, 0)) : js_str(schema, "type");
    if (strcmp(t, "object") == 0)
        return object_value(w, schema, index, depth);
    if (strcmp(t, "array") == 0)
        return list_value(w, schema, key, index, depth);
    if (strcmp(t, "integer") == 0 || strcmp(t, "number") == 0)
        return number_value(w, schema);
    if (strcmp(t, "boolean") == 0)
        return json_boolean(w->told || roll(w) % 4 != 0);
    return strcmp(t, "null") == 0 ? json_null() : string_value(w, schema, key, index);
}

json_t *sim_value(struct sim_words *w, const json_t *schema)
{
    return value(w, schema, "", 0, 0);
}

void sim_text(struct sim_words *w, struct buf *out)
{
    buf_str(out, "(simulated)");
    for (size_t i = 0; i < w->n && i < 4; i++)
        buf_printf(out, " %.*s.", STR_ARG(w->sentences[i]));
    for (size_t i = 0; i < w->facts_n; i++)
        buf_printf(out, " The facts say %.*s.", STR_ARG(w->facts[i]));
}
