/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/because.h"

#include "clients/cli/out.h"
#include "common/bounds.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum { EXCERPT_LINES = 8 };

/* ---- finding it ------------------------------------------------------------------------------ */

static void list_names(const json_t *all, const char *part, struct buf *out)
{
    for (size_t i = 0; i < js_count(all); i++) {
        const char *name = js_str(js_at(all, i), "name");
        if (!part || strcasestr(name, part))
            buf_printf(out, "%s\"%s\"", out->len ? ", " : "", name);
    }
}

enum status because_find(const json_t *draft, const char *name, const json_t **out, struct err *err)
{
    const json_t *all = js_list(draft, "requirements");
    struct buf names;
    size_t like = 0;
    *out = NULL;
    for (size_t i = 0; i < js_count(all); i++) {
        if (strcasecmp(js_str(js_at(all, i), "name"), name) == 0) {
            *out = js_at(all, i);
            return OK;
        }
    }
    for (size_t i = 0; i < js_count(all); i++) {
        if (*name && strcasestr(js_str(js_at(all, i), "name"), name)) {
            *out = js_at(all, i);
            like++;
        }
    }
    if (like == 1)
        return OK;
    *out = NULL;
    buf_init(&names, PAWL_TEXT_MAX);
    list_names(all, like ? name : NULL, &names);
    enum status st = like ? err_set(err, ERR_DATA, "'%s' could be several requirements", name)
                          : err_set(err, ERR_NOT_FOUND, "the change has no requirement '%s'", name);
    err_fix(err, "name one of %s", names.len ? buf_z(&names) : "none: it has no requirements");
    buf_fini(&names);
    return st;
}

/* ---- putting it together --------------------------------------------------------------------- */

static bool cites(const json_t *requirement, const char *id)
{
    const json_t *sources = js_list(requirement, "sources");
    for (size_t i = 0; i < js_count(sources); i++) {
        const char *one = json_string_value(js_at(sources, i));
        if (one && strcmp(one, id) == 0)
            return true;
    }
    return false;
}

static json_t *cited(const json_t *requirement, const json_t *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *one = js_at(list, i);
        if (cites(requirement, js_str(one, "id")))
            js_push(out, json_deep_copy(one));
    }
    return out;
}

static json_t *findings_about(const char *name, const json_t *reviews)
{
    json_t *out = json_array();
    for (size_t i = 0; i < js_count(reviews); i++) {
        const json_t *list = js_list(js_at(reviews, i), "findings");
        for (size_t k = 0; k < js_count(list); k++) {
            if (strcmp(js_str(js_at(list, k), "requirement"), name) != 0)
                continue;
            json_t *f = json_deep_copy(js_at(list, k));
            js_set_int(f, "round", js_int(js_at(reviews, i), "round", 0));
            js_push(out, f);
        }
    }
    return out;
}

/* An answer was asked for by the system, for all of the change. */
static json_t *given(const json_t *answers)
{
    json_t *out = json_array();
    for (size_t i = 0; i < js_count(answers); i++)
        js_push(out, json_deep_copy(js_at(answers, i)));
    return out;
}

json_t *because_of(const json_t *requirement, const struct because_record *r)
{
    static const char *const keys[] = { "op", "capability", "from", "text", "statement" };
    const char *name = js_str(requirement, "name");
    json_t *out = json_object();
    js_set_z(out, "requirement", name);
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (*js_str(requirement, keys[i]))
            js_set_z(out, keys[i], js_str(requirement, keys[i]));
    }
    js_set(out, "insights", cited(requirement, js_list(r->insights, "items")));
    js_set(out, "comments", cited(requirement, r->comments));
    js_set(out, "answers", given(r->answers));
    js_set(out, "findings", findings_about(name, r->reviews));
    return out;
}

/* ---- showing it ------------------------------------------------------------------------------ */

static void title(struct buf *b, bool color, const char *text)
{
    buf_printf(b, "\n%s%s%s\n", paint(color, "bold"), text, paint(color, "off"));
}

static void excerpt(struct buf *b, struct str text)
{
    size_t lines = 0;
    while (text.n > 0 && lines++ < EXCERPT_LINES) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        buf_str(b, "    | ");
        text_clean(b, (struct str){ text.p, n }, false);
        buf_char(b, '\n');
        n += nl != NULL;
        text = (struct str){ text.p + n, text.n - n };
    }
    if (text.n > 0)
        buf_str(b, "    | …\n");
}

static void put_insights(struct buf *b, bool color, const json_t *list)
{
    if (js_count(list))
        title(b, color, "insights");
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *x = js_at(list, i);
        struct buf args;
        buf_init(&args, PAWL_TEXT_MAX);
        if (js_obj(x, "arguments"))
            js_dump(js_obj(x, "arguments"), &args);
        buf_str(b, "  ");
        text_of(b, x, "id");
        buf_char(b, ' ');
        text_of(b, x, "server");
        buf_char(b, '/');
        text_of(b, x, "tool");
        buf_char(b, ' ');
        text_clean(b, buf_get(&args), false);
        buf_char(b, '\n');
        excerpt(b, js_view(x, "excerpt"));
        buf_fini(&args);
    }
}

static void put_lines(struct buf *b, bool color, const char *heading, const json_t *list,
                      const char *const *keys)
{
    if (js_count(list))
        title(b, color, heading);
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *x = js_at(list, i);
        buf_str(b, "  ");
        if (js_int(x, "round", 0))
            buf_printf(b, "round %" PRId64 ": ", js_int(x, "round", 0));
        for (size_t k = 0; keys[k]; k++) {
            buf_str(b, k ? " " : "");
            text_of(b, x, keys[k]);
        }
        buf_char(b, '\n');
    }
}

void because_print(const json_t *because, bool color, struct buf *b)
{
    static const char *const comment[] = { "id", "text", NULL },
                             *const answer[] = { "question", "text", NULL },
                             *const finding[] = { "severity", "message", NULL };
    buf_str(b, paint(color, "bold"));
    text_of(b, because, "requirement");
    buf_printf(b, "%s (", paint(color, "off"));
    text_of(b, because, "op");
    buf_str(b, ", ");
    text_of(b, because, "capability");
    buf_str(b, ")\n");
    text_of(b, because, "text");
    buf_char(b, '\n');
    if (*js_str(because, "statement")) {
        title(b, color, "of the problem");
        buf_str(b, "  ");
        text_of(b, because, "statement");
        buf_char(b, '\n');
    }
    put_insights(b, color, js_list(because, "insights"));
    put_lines(b, color, "your comments", js_list(because, "comments"), comment);
    put_lines(b, color, "your answers", js_list(because, "answers"), answer);
    put_lines(b, color, "what reviews said of it", js_list(because, "findings"), finding);
}
