/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/probe.h"

#include "common/hash.h"
#include "workers/analyze/fields.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- placeholders of the configuration ------------------------------------------------------- */

/* The next {{path}} at or after *from. False: none. */
static bool next_placeholder(struct str s, size_t *from, size_t *to, char path[256])
{
    const char *open = *from < s.n ? memmem(s.p + *from, s.n - *from, "{{", 2) : NULL;
    if (!open)
        return false;
    size_t at = (size_t)(open - s.p) + 2;
    const char *close = memmem(s.p + at, s.n - at, "}}", 2);
    if (!close)
        return false;
    size_t end = (size_t)(close - s.p);
    *from = at - 2;
    *to = end + 2;
    while (at < end && s.p[at] == ' ')
        at++;
    while (end > at && s.p[end - 1] == ' ')
        end--;
    size_t n = end - at < 255 ? end - at : 255;
    memcpy(path, s.p + at, n);
    path[n] = '\0';
    return true;
}

/* Every placeholder of a text has to name something that a document may hold. */
static enum status check_text(struct str s, struct err *err)
{
    char name[256];
    size_t from = 0, to = 0;
    while (next_placeholder(s, &from, &to, name)) {
        if (field_known(name, err) != OK) {
            err_prefix(err, "the placeholder {{%.80s}}", name);
            return ERR_CONFIG;
        }
        from = to;
    }
    return OK;
}

/* path grows by the way to the text that is wrong. */
static enum status check_arguments(const json_t *v, char path[64], struct err *err)
{
    size_t n = strlen(path), i;
    const char *key;
    json_t *m;
    if (json_is_string(v))
        return check_text((struct str){ json_string_value(v), json_string_length(v) }, err);
    json_object_foreach((json_t *)(uintptr_t)v, key, m)
    {
        snprintf(path + n, 64 - n, ".%s", key);
        if (check_arguments(m, path, err) != OK)
            return ERR_CONFIG;
    }
    json_array_foreach(v, i, m)
    {
        snprintf(path + n, 64 - n, ".%zu", i);
        if (check_arguments(m, path, err) != OK)
            return ERR_CONFIG;
    }
    path[n] = '\0';
    return OK;
}

/* ---- excerpts -------------------------------------------------------------------------------- */

/* "12-40", or a number n for the first n lines. */
static bool read_lines(struct probe *p, const json_t *v)
{
    char rest = 0;
    p->line_from = 1;
    if (json_is_integer(v) && json_integer_value(v) >= 1 && json_integer_value(v) <= LINES_MAX)
        p->line_to = (int)json_integer_value(v);
    else if (!json_is_string(v) ||
             sscanf(json_string_value(v), "%7d-%7d%c", &p->line_from, &p->line_to, &rest) != 2)
        return false;
    return p->line_from >= 1 && p->line_to >= p->line_from;
}

/* A number of bytes, or {bytes, lines}. */
static enum status read_excerpt(struct probe *p, const json_t *v, size_t i, char path[64],
                                struct err *err)
{
    const char *key;
    json_t *m;
    int64_t bytes = json_is_integer(v)        ? json_integer_value(v)
                    : v && !json_is_object(v) ? -1
                                              : EXCERPT_DEFAULT;
    json_object_foreach((json_t *)(uintptr_t)v, key, m)
    {
        snprintf(path, 64, "%zu.excerpt.%.20s", i, key);
        if (strcmp(key, "bytes") == 0)
            bytes = json_is_integer(m) ? json_integer_value(m) : -1;
        else if (strcmp(key, "lines") != 0)
            return err_set(err, ERR_CONFIG, "unknown key '%.40s': an excerpt has bytes and lines",
                           key);
        else if (!read_lines(p, m))
            return err_set(err, ERR_CONFIG, "not a number of lines or a range such as \"10-40\"");
    }
    if (bytes < 1 || bytes > EXCERPT_MAX) {
        snprintf(path, 64, "%zu.excerpt%s", i, json_is_object(v) ? ".bytes" : "");
        return err_set(err, ERR_CONFIG, "not a number of bytes from 1 to %d", EXCERPT_MAX);
    }
    p->excerpt = (size_t)bytes;
    return OK;
}

/* ---- configuration --------------------------------------------------------------------------- */

static enum status text_of(const json_t *v, size_t i, const char *key, size_t max, const char **out,
                           char path[64], struct err *err)
{
    const json_t *m = json_object_get(v, key);
    snprintf(path, 64, "%zu.%s", i, key);
    if (!m) {
        snprintf(path, 64, "%zu", i);
        err_set(err, ERR_CONFIG, "the key '%s' is missing", key);
        err_fix(
            err,
            "A probe is {name, server, tool, arguments, excerpt}; the last two may be left out.");
        return ERR_CONFIG;
    }
    if (!json_is_string(m) || json_string_length(m) == 0 || json_string_length(m) > max)
        return err_set(err, ERR_CONFIG, "not a text of 1 to %zu bytes", max);
    *out = json_string_value(m);
    return OK;
}

static enum status known_keys(const json_t *v, size_t i, char path[64], struct err *err)
{
    static const char *const known[] = { "name", "server", "tool", "arguments", "excerpt" };
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        bool found = false;
        for (size_t k = 0; k < COUNT(known); k++)
            found = found || strcmp(key, known[k]) == 0;
        if (found)
            continue;
        snprintf(path, 64, "%zu.%.40s", i, key);
        err_set(err, ERR_CONFIG, "unknown key '%.40s'", key);
        err_fix(err, "A probe has name, server, tool, arguments and excerpt.");
        return ERR_CONFIG;
    }
    return OK;
}

static int depth_of(const json_t *v, int left)
{
    const char *key;
    json_t *m;
    size_t i;
    int deepest = 0;
    if (left == 0 || (!json_is_object(v) && !json_is_array(v)))
        return 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, m)
    {
        int d = depth_of(m, left - 1);
        deepest = d > deepest ? d : deepest;
    }
    json_array_foreach(v, i, m)
    {
        int d = depth_of(m, left - 1);
        deepest = d > deepest ? d : deepest;
    }
    return deepest + 1;
}

static enum status probe_read(struct probe *p, const json_t *v, size_t i, char path[64],
                              struct err *err)
{
    enum status st;
    snprintf(path, 64, "%zu", i);
    if (!json_is_object(v))
        return err_set(err, ERR_CONFIG, "not a map of name, server, tool, arguments and excerpt");
    if ((st = known_keys(v, i, path, err)) != OK ||
        (st = text_of(v, i, "name", 1024, &p->name, path, err)) != OK ||
        (st = text_of(v, i, "server", 64, &p->server, path, err)) != OK ||
        (st = text_of(v, i, "tool", 128, &p->tool, path, err)) != OK)
        return st;
    p->arguments = json_object_get(v, "arguments");
    snprintf(path, 64, "%zu.arguments", i);
    if (p->arguments && (!json_is_object(p->arguments) ||
                         depth_of(p->arguments, ARGUMENTS_DEPTH + 2) > ARGUMENTS_DEPTH))
        return err_set(err, ERR_CONFIG, "not a map, or nested more than %d deep", ARGUMENTS_DEPTH);
    if (check_arguments(p->arguments, path, err) != OK)
        return ERR_CONFIG;
    p->line_from = p->line_to = 0;
    return read_excerpt(p, json_object_get(v, "excerpt"), i, path, err);
}

enum status probes_read(struct probes *out, const json_t *tree, char path[64], struct err *err)
{
    path[0] = '\0';
    out->n = 0;
    if (!tree)
        return OK;
    if (!json_is_array(tree))
        return err_set(err, ERR_CONFIG, "not a list of probes");
    if (js_count(tree) > PROBES_MAX)
        return err_set(err, ERR_CONFIG, "more than %d probes", PROBES_MAX);
    for (size_t i = 0; i < js_count(tree); i++) {
        enum status st = probe_read(&out->items[i], js_at(tree, i), i, path, err);
        if (st != OK)
            return st;
        out->n++;
    }
    return OK;
}

/* ---- filling in ------------------------------------------------------------------------------ */

static const json_t *look_up(const json_t *root, const char *path, struct err *err)
{
    const json_t *v = *path ? js_path(root, path) : NULL;
    if (!v) {
        err_set(err, ERR_DATA, "{{%.200s}} has no value", path);
        err_fix(
            err,
            "Look at the brief (`pawl show JOB`) for what there is, for instance {{brief.title}}.");
    }
    return v;
}

static json_t *fill_string(struct str s, const json_t *root, struct err *err)
{
    char path[256];
    size_t from = 0, to = 0, done = 0;
    if (!next_placeholder(s, &from, &to, path))
        return js_string(s);
    if (from == 0 && to == s.n) {
        const json_t *v = look_up(root, path, err);
        return v ? json_deep_copy(v) : NULL;
    }
    struct buf out;
    buf_init(&out, FILLED_MAX);
    bool good = true;
    do {
        const json_t *v = look_up(root, path, err);
        good = v != NULL;
        buf_append(&out, s.p + done, from - done);
        if (json_is_string(v))
            buf_append(&out, json_string_value(v), json_string_length(v));
        else if (v)
            js_dump(v, &out);
        done = from = to;
    } while (good && next_placeholder(s, &from, &to, path));
    buf_append(&out, s.p + done, s.n - done);
    if (good && out.status != OK)
        good = err_set(err, ERR_LIMIT, "an argument is larger than %d bytes", FILLED_MAX) == OK;
    json_t *v = good ? js_string(buf_get(&out)) : NULL;
    buf_fini(&out);
    return v;
}

static json_t *fill(const json_t *v, const json_t *root, int depth, struct err *err)
{
    const char *key;
    json_t *m, *out;
    size_t i;
    if (json_is_string(v))
        return fill_string((struct str){ json_string_value(v), json_string_length(v) }, root, err);
    if (depth == 0 || (!json_is_object(v) && !json_is_array(v)))
        return json_deep_copy(v);
    out = json_is_object(v) ? json_object() : json_array();
    bool good = out != NULL;
    json_object_foreach((json_t *)(uintptr_t)v, key, m)
    {
        json_t *filled = good ? fill(m, root, depth - 1, err) : NULL;
        good = filled != NULL;
        if (filled)
            js_set(out, key, filled);
    }
    json_array_foreach(v, i, m)
    {
        json_t *filled = good ? fill(m, root, depth - 1, err) : NULL;
        good = filled != NULL;
        if (filled)
            js_push(out, filled);
    }
    if (good)
        return out;
    json_decref(out);
    return NULL;
}

json_t *probe_fill(const json_t *arguments, const json_t *root, struct err *err)
{
    json_t *v = arguments ? fill(arguments, root, ARGUMENTS_DEPTH, err) : json_object();
    if (v && depth_of(v, ARGUMENTS_DEPTH + 2) > ARGUMENTS_DEPTH) {
        err_set(err, ERR_LIMIT, "the arguments are nested more than %d deep", ARGUMENTS_DEPTH);
        json_decref(v);
        return NULL;
    }
    return v;
}

/* ---- results --------------------------------------------------------------------------------- */

size_t excerpt_cut(struct str text, size_t max)
{
    if (text.n <= max)
        return text.n;
    const char *nl = max > 0 ? memrchr(text.p, '\n', max) : NULL;
    if (nl && (size_t)(nl - text.p) + 1 > max / 2)
        return (size_t)(nl - text.p) + 1;
    while (max > 0 && ((unsigned char)text.p[max] & 0xc0) == 0x80)
        max--;
    return max;
}

struct str excerpt_lines(struct str text, int from, int to)
{
    size_t begin = 0, end = 0;
    if (from == 0)
        return text;
    for (int line = 1; line <= to && end < text.n; line++) {
        const char *nl = memchr(text.p + end, '\n', text.n - end);
        if (line == from)
            begin = end;
        end = nl ? (size_t)(nl - text.p) + 1 : text.n;
        if (line < from)
            begin = end; /* so far there is nothing to show */
    }
    return (struct str){ text.n ? text.p + begin : text.p, end - begin };
}

bool tool_allowed(const json_t *patterns, const char *server, const char *tool)
{
    size_t n = strlen(server);
    for (size_t i = 0; i < js_count(patterns); i++) {
        const char *p = json_string_value(js_at(patterns, i));
        if (!p)
            continue;
        if (strcmp(p, "*") == 0)
            return true;
        if (strncmp(p, server, n) == 0 && p[n] == '/' &&
            (strcmp(p + n + 1, "*") == 0 || strcmp(p + n + 1, tool) == 0))
            return true;
    }
    return false;
}

static void set_hash(json_t *v, struct str text)
{
    char hex[HASH_HEX + 1];
    struct hash h = hash_of(text);
    hash_hex(&h, hex);
    js_set_z(v, "hash", hex);
}

json_t *insight_new(size_t number, const struct probe *p, const json_t *arguments, struct str text)
{
    json_t *v = json_object();
    char id[32];
    assert(v);
    struct str shown = excerpt_lines(text, p->line_from, p->line_to);
    size_t keep = excerpt_cut(shown, p->excerpt);
    snprintf(id, sizeof id, "i%zu", number);
    js_set_z(v, "id", id);
    js_set_z(v, "title", p->name);
    js_set_z(v, "server", p->server);
    js_set_z(v, "tool", p->tool);
    js_set(v, "arguments", json_incref((json_t *)(uintptr_t)arguments));
    js_set_str(v, "excerpt", (struct str){ shown.p, keep });
    set_hash(v, text);
    js_set_bool(v, "truncated", keep < text.n);
    return v;
}

json_t *result_new(bool ok, struct str text)
{
    json_t *v = json_object();
    assert(v);
    size_t keep = excerpt_cut(text, RESULT_TEXT_MAX);
    js_set_bool(v, "ok", ok);
    js_set_str(v, "text", (struct str){ text.p, keep });
    set_hash(v, text);
    js_set_bool(v, "truncated", keep < text.n);
    return v;
}

json_t *offer_new(const char *server, const json_t *def)
{
    json_t *v = json_copy((json_t *)(uintptr_t)def);
    assert(v);
    js_set_z(v, "server", server);
    return v;
}
