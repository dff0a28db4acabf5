/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/workflow.h"

#include "common/openspec/text.h"
#include "common/openspec/yaml.h"

#include <string.h>

enum { ARTIFACTS_MAX = 1000, GLOB_STEPS_MAX = 100000 };

static bool relative_path(struct str s)
{
    if (s.n == 0 || s.p[0] == '/' || s.p[0] == '\\' || (s.n > 1 && s.p[1] == ':'))
        return false;
    size_t from = 0;
    for (size_t i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] == '\0')
            return false;
        if (i < s.n && s.p[i] != '/' && s.p[i] != '\\')
            continue;
        if (i - from == 2 && s.p[from] == '.' && s.p[from + 1] == '.')
            return false;
        from = i + 1;
    }
    return true;
}

/* The artifacts of a schema by id. */
struct graph {
    struct pool *p;
    struct map ids; /* -> struct artifact */
};

struct artifact {
    const json_t *def;
    enum { UNSEEN, OPEN, DONE } state;
};

static struct str text_of(const json_t *v)
{
    return (struct str){ json_string_value(v), json_string_length(v) };
}

static bool known_ids(const struct graph *g, const json_t *ids)
{
    for (size_t i = 0; i < js_count(ids); i++) {
        const json_t *id = js_at(ids, i);
        if (!json_is_string(id) || !map_get(&g->ids, text_of(id)))
            return false;
    }
    return true;
}

static const char *artifact_fault(struct graph *g, const json_t *def)
{
    struct str id = js_view(def, "id");
    struct artifact *a = pool_alloc(g->p, sizeof *a);
    if (!a)
        return "no memory";
    if (!json_is_object(def) || id.n == 0)
        return "an artifact without id";
    if (map_get(&g->ids, id))
        return "the same artifact id twice";
    if (!json_is_string(json_object_get(def, "description")))
        return "an artifact without description";
    if (!relative_path(js_view(def, "generates")) || !relative_path(js_view(def, "template")))
        return "an artifact's path is not a relative path inside its directory";
    *a = (struct artifact){ .def = def };
    map_set(g->p, &g->ids, id, a);
    return NULL;
}

/* Depth first; at most ARTIFACTS_MAX deep. */
static bool acyclic_from(struct graph *g, struct artifact *a)
{
    if (a->state != UNSEEN)
        return a->state == DONE;
    a->state = OPEN;
    const json_t *requires = js_list(a->def, "requires");
    for (size_t i = 0; i < js_count(requires); i++) {
        if (!acyclic_from(g, map_get(&g->ids, text_of(js_at(requires, i)))))
            return false;
    }
    a->state = DONE;
    return true;
}

static const char *graph_fault(struct graph *g, const json_t *list)
{
    for (size_t i = 0; i < js_count(list); i++) {
        const char *why = artifact_fault(g, js_at(list, i));
        if (why)
            return why;
    }
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *requires = json_object_get(js_at(list, i), "requires");
        if (requires && (!json_is_array(requires) || !known_ids(g, requires)))
            return "an artifact requires one that does not exist";
    }
    for (size_t i = 0; i < g->ids.n; i++) {
        if (!acyclic_from(g, g->ids.at[i].value))
            return "the artifacts require each other in a circle";
    }
    return NULL;
}

static const char *fault(struct pool *p, const json_t *schema)
{
    struct graph g = { .p = p };
    const json_t *list = js_list(schema, "artifacts"), *apply = json_object_get(schema, "apply");
    const json_t *version = json_object_get(schema, "version");
    double v = json_is_number(version) ? json_number_value(version) : 0;
    if (!json_is_object(schema))
        return "not a map";
    if (js_view(schema, "name").n == 0)
        return "no name";
    if (v < 1 || v > 9e15 || v != (double)(int64_t)v)
        return "version is not a positive integer";
    if (js_count(list) == 0 || js_count(list) > ARTIFACTS_MAX)
        return "no artifacts, or too many";
    const char *why = graph_fault(&g, list);
    if (why)
        return why;
    if (!apply)
        return NULL;
    const json_t *tracks = json_object_get(apply, "tracks");
    if (js_count(js_list(apply, "requires")) == 0 || !known_ids(&g, js_list(apply, "requires")))
        return "apply.requires names no artifact";
    if (tracks && !json_is_null(tracks) && !relative_path(js_view(apply, "tracks")))
        return "apply.tracks is not a relative path";
    return NULL;
}

static void take_artifacts(struct pool *p, const json_t *schema, struct workflow *w)
{
    const json_t *list = js_list(schema, "artifacts");
    struct str tracks = js_view(js_obj(schema, "apply"), "tracks");
    for (size_t i = 0; i < js_count(list); i++) {
        struct str glob = pool_copy(p, js_view(js_at(list, i), "generates"));
        pool_push(p, &w->generates, glob);
        bool tracked = tracks.n ? str_eq(glob, tracks)
                                : str_eq(js_view(js_at(list, i), "id"), LIT("tasks"));
        if (tracked && w->tasks.n == 0)
            w->tasks = glob;
    }
}

static struct workflow builtin(struct pool *p)
{
    struct workflow w = { .exists = true, .builtin = true, .loads = true, .tasks = LIT("tasks.md") };
    static const char *const globs[] = { "proposal.md", "specs/**/*.md", "design.md", "tasks.md" };
    for (size_t i = 0; i < COUNT(globs); i++)
        pool_push(p, &w.generates, str_of(globs[i]));
    return w;
}

struct workflow workflow_find(struct pool *p, const struct ws *ws, struct str name, bool exact)
{
    struct workflow w = { 0 };
    struct err err = { 0 };
    if (!exact && text_ends_str(name, LIT(".yaml")))
        name.n -= 5;
    else if (!exact && text_ends_str(name, LIT(".yml")))
        name.n -= 4;
    struct str path = pool_cat(p, LIT("schemas/"), name, LIT("/schema.yaml"));
    const struct ws_file *f = ws_path_ok(path) && !memchr(name.p, '/', name.n) ? ws_find(ws, path)
                                                                                : NULL;
    if (!f && str_is(name, "spec-driven"))
        return builtin(p);
    if (!f)
        return w;
    json_t *schema = NULL;
    w.exists = true;
    if (yaml_read(text_decode(p, f->bytes), &schema, &err) != OK) {
        w.reason = pool_cat(p, LIT("Failed to parse schema at '"), path, LIT("': "),
                            str_of(err.text));
        return w;
    }
    const char *why = fault(p, schema);
    if (why)
        w.reason = pool_cat(p, LIT("Invalid schema at '"), path, LIT("': "), str_of(why));
    w.loads = !why;
    if (w.loads)
        take_artifacts(p, schema, &w);
    json_decref(schema);
    return w;
}

/* ---- globs ---- */

struct glob {
    size_t steps; /* left; a pattern such as *a*a*a* must not take forever */
};

static bool match(struct glob *g, struct str pat, struct str s);

/* [abc], [a-z], [!a] at pat[0]; *n its length, 0 when it is not closed. */
static bool in_class(struct str pat, char c, size_t *n)
{
    size_t i = 1;
    bool negate = i < pat.n && (pat.p[i] == '!' || pat.p[i] == '^'), hit = false;
    i += negate;
    for (size_t first = i; i < pat.n && (pat.p[i] != ']' || i == first); i++) {
        char low = pat.p[i], high = low;
        if (i + 2 < pat.n && pat.p[i + 1] == '-' && pat.p[i + 2] != ']') {
            high = pat.p[i + 2];
            i += 2;
        }
        hit = hit || (c >= low && c <= high);
    }
    *n = i < pat.n ? i + 1 : 0;
    return c != '/' && hit != negate;
}

static bool braces(struct glob *g, struct str pat, struct str s, bool *closed)
{
    int depth = 0;
    size_t end = 0;
    for (size_t i = 0; i < pat.n && !end; i++) {
        depth += pat.p[i] == '{';
        depth -= pat.p[i] == '}';
        end = depth == 0 ? i : 0;
    }
    *closed = end > 0;
    size_t from = 1;
    depth = 0;
    for (size_t i = 1; *closed && i <= end; i++) {
        if ((pat.p[i] == ',' && depth == 0) || i == end) {
            char joined[1024];
            size_t n = i - from, tail = pat.n - end - 1;
            if (n + tail > sizeof joined)
                return false;
            memcpy(joined, pat.p + from, n);
            memcpy(joined + n, pat.p + end + 1, tail);
            if (match(g, (struct str){ joined, n + tail }, s))
                return true;
            from = i + 1;
        }
        depth += pat.p[i] == '{';
        depth -= pat.p[i] == '}';
    }
    return false;
}

static bool stars(struct glob *g, struct str pat, struct str s)
{
    bool deep = text_starts(pat, "**/");
    bool rest = str_is(pat, "**");
    struct str after = text_from(pat, deep ? 3 : rest ? 2 : 1);
    if (rest)
        return s.n > 0;
    if (!deep && text_starts(after, "*")) /* ** inside a name is one * */
        after = text_from(after, 1);
    for (size_t i = 0;; i++) {
        bool start = !deep || i == 0 || s.p[i - 1] == '/';
        if (deep && start && i < s.n && s.p[i] == '.') /* dot folders stay out of ** */
            return match(g, after, text_from(s, i));
        if (start && match(g, after, text_from(s, i)))
            return true;
        if (i >= s.n || (!deep && s.p[i] == '/') || g->steps == 0)
            return false;
    }
}

static bool match(struct glob *g, struct str pat, struct str s)
{
    while (pat.n > 0) {
        if (g->steps == 0)
            return false;
        g->steps--;
        bool closed = true;
        size_t n = 1;
        if (pat.p[0] == '*')
            return stars(g, pat, s);
        if (pat.p[0] == '{') {
            bool hit = braces(g, pat, s, &closed);
            if (closed)
                return hit;
        }
        if (s.n == 0)
            return false;
        bool hit = pat.p[0] == '?' ? s.p[0] != '/' : pat.p[0] == s.p[0];
        if (pat.p[0] == '[') {
            bool in = in_class(pat, s.p[0], &n);
            hit = n ? in : hit;
            n = n ? n : 1;
        }
        if (!hit)
            return false;
        pat = text_from(pat, n);
        s = text_from(s, 1);
    }
    return s.n == 0;
}

bool glob_match(struct str glob, struct str path)
{
    struct glob g = { GLOB_STEPS_MAX };
    if (text_starts(glob, "./"))
        glob = text_from(glob, 2);
    return match(&g, glob, path);
}

struct str_list workflow_outputs(struct pool *p, const struct ws *ws, struct str dir,
                                 struct str glob)
{
    struct str_list out = { 0 };
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, dir, &n);
    for (size_t i = 0; i < n && !p->failed; i++) {
        struct str path = text_from(f[i].path, dir.n);
        if (glob_match(glob, path))
            pool_push(p, &out, path);
    }
    return out;
}
