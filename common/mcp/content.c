/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/content.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ------------------------------------------------------------------------------------ */

/* Length of the terminal escape sequence at s (ESC has been seen), at least 1. ECMA-48: CSI ends
 * with a byte from @ to ~; OSC and its like end with BEL or ESC \. */
static size_t escape_length(struct str s)
{
    if (s.n < 2)
        return s.n;
    size_t i = 2;
    if (s.p[1] == '[') {
        while (i < s.n && (s.p[i] < '@' || s.p[i] > '~') && s.p[i] >= ' ')
            i++;
        return i < s.n ? i + 1 : i;
    }
    if (!strchr("]PX^_", s.p[1]))
        return 2;
    while (i < s.n && s.p[i] != '\a' && s.p[i] != '\n' && s.p[i] != '\x1b')
        i++;
    if (i + 1 < s.n && s.p[i] == '\x1b' && s.p[i + 1] == '\\')
        return i + 2;
    return i < s.n && s.p[i] == '\a' ? i + 1 : i;
}

/* U+200B-200F, 202A-202E, 2060-2069, FEFF: nobody sees them, a model reads them. */
static bool is_invisible(const unsigned char *p, size_t n)
{
    if (n < 3)
        return false;
    if (p[0] == 0xe2 && p[1] == 0x80)
        return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xaa && p[2] <= 0xae);
    if (p[0] == 0xe2 && p[1] == 0x81)
        return p[2] >= 0xa0 && p[2] <= 0xa9;
    return p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf;
}

/* Bytes at the start of s that must not pass; 0 when the first may. */
static size_t unwanted(struct str s, bool invisible)
{
    unsigned char c = (unsigned char)s.p[0];
    if (c == 0x1b)
        return escape_length(s);
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
        return 1;
    if (c == 0xc2 && s.n > 1 && (unsigned char)s.p[1] < 0xa0)
        return 2; /* C1 controls */
    return invisible && is_invisible((const unsigned char *)s.p, s.n) ? 3 : 0;
}

void mcp_clean(struct str s, bool invisible, struct buf *out)
{
    size_t from = 0, i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f) {
            i++;
            continue;
        }
        size_t drop = unwanted((struct str){ s.p + i, s.n - i }, invisible);
        if (drop == 0) {
            i++;
            continue;
        }
        buf_append(out, s.p + from, i - from);
        i += drop;
        from = i;
    }
    if (from < s.n)
        buf_append(out, s.p + from, s.n - from);
}

static void newline(struct buf *out, size_t from)
{
    if (out->len > from && out->data[out->len - 1] != '\n')
        buf_char(out, '\n');
}

static void put_resource(const json_t *r, struct buf *out)
{
    struct str text = js_view(r, "text");
    if (text.p) {
        mcp_clean(text, false, out);
        return;
    }
    buf_str(out, "[resource ");
    mcp_clean(js_view(r, "uri"), true, out);
    buf_str(out, "]");
}

static void put_item(const json_t *item, struct buf *out)
{
    struct str type = js_view(item, "type");
    if (str_is(type, "text")) {
        mcp_clean(js_view(item, "text"), false, out);
    } else if (str_is(type, "resource")) {
        put_resource(js_obj(item, "resource"), out);
    } else if (str_is(type, "resource_link")) {
        buf_str(out, "[link ");
        mcp_clean(js_view(item, "uri"), true, out);
        buf_str(out, "]");
    } else {
        buf_str(out, "[");
        mcp_clean(type.n ? type : str_of("unknown"), true, out);
        if (js_view(item, "mimeType").n) {
            buf_char(out, ' ');
            mcp_clean(js_view(item, "mimeType"), true, out);
        }
        buf_printf(out, ", %zu bytes in base64]", js_view(item, "data").n);
    }
}

void mcp_text(const json_t *result, struct buf *out)
{
    const json_t *content = js_list(result, "content");
    size_t from = out->len;
    for (size_t i = 0; i < js_count(content); i++) {
        newline(out, from);
        put_item(js_at(content, i), out);
    }
    const json_t *structured = json_object_get(result, "structuredContent");
    if (js_count(content) == 0 && structured && !json_is_null(structured))
        js_dump(structured, out);
}

/* ---- tools ----------------------------------------------------------------------------------- */

static void tool_fini(struct mcp_tool *t)
{
    json_decref(t->def);
}

void mcp_tools_fini(struct mcp_tools *t)
{
    for (size_t i = 0; i < t->n; i++)
        tool_fini(&t->items[i]);
    free(t->items);
    *t = (struct mcp_tools){ 0 };
}

const struct mcp_tool *mcp_tools_find(const struct mcp_tools *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->items[i].name, name) == 0)
            return &t->items[i];
    }
    return NULL;
}

static enum status check_name(struct str name, struct err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/";
    if (name.n == 0)
        return err_set(err, ERR_DATA, "a tool without a name");
    if (name.n > MCP_TOOL_NAME_MAX)
        return err_set(err, ERR_LIMIT, "a tool's name is %zu bytes long, %d are allowed", name.n,
                       MCP_TOOL_NAME_MAX);
    for (size_t i = 0; i < name.n; i++) {
        if (!name.p[i] || !strchr(allowed, name.p[i]))
            return err_set(
                err, ERR_DATA,
                "a tool's name has a character that is not a letter, digit or one of _.-/");
    }
    return OK;
}

static bool deeper_than(const json_t *v, int depth)
{
    const char *key;
    json_t *child;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, child)
        {
            if (depth == 0 || deeper_than(child, depth - 1))
                return true;
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, child)
        {
            if (depth == 0 || deeper_than(child, depth - 1))
                return true;
        }
    }
    return false;
}

static enum status check_schema(const char *name, const json_t *schema, struct err *err)
{
    struct buf text;
    if (schema && !json_is_object(schema))
        return err_set(err, ERR_DATA, "tool %s: its input schema is not an object", name);
    if (deeper_than(schema, MCP_SCHEMA_DEPTH_MAX))
        return err_set(err, ERR_LIMIT, "tool %s: its input schema is nested deeper than %d levels",
                       name, MCP_SCHEMA_DEPTH_MAX);
    buf_init(&text, MCP_SCHEMA_MAX);
    if (schema)
        js_dump(schema, &text);
    enum status st = text.status;
    buf_fini(&text);
    if (st != OK)
        return err_set(err, ERR_LIMIT, "tool %s: its input schema is larger than %d bytes", name,
                       MCP_SCHEMA_MAX);
    return OK;
}

/* Everything that a model or a caller is led by. Members that we do not know are left out, so that
 * a server may add decoration (icons, _meta) without becoming another tool. */
static struct hash pin_of(const json_t *def)
{
    static const char *const parts[] = { "name",        "title",        "description",
                                         "inputSchema", "outputSchema", "annotations" };
    json_t *pinned = json_object();
    struct buf text;
    for (size_t i = 0; i < COUNT(parts); i++) {
        json_t *v = json_object_get(def, parts[i]);
        if (v)
            js_set(pinned, parts[i], json_incref(v));
    }
    buf_init(&text, (size_t)64 * 1024 * 1024);
    js_dump(pinned, &text);
    struct hash h = hash_of(buf_get(&text));
    buf_fini(&text);
    json_decref(pinned);
    return h;
}

static json_t *offered(const json_t *def)
{
    json_t *out = json_object();
    struct str described = js_view(def, "description");
    struct buf text;
    if (described.n > MCP_DESCRIPTION_MAX) {
        described.n = MCP_DESCRIPTION_MAX;
        while (described.n > 0 && ((unsigned char)described.p[described.n] & 0xc0) == 0x80)
            described.n--;
    }
    buf_init(&text, MCP_DESCRIPTION_MAX);
    mcp_clean(described, true, &text);
    js_set_str(out, "name", js_view(def, "name"));
    js_set_str(out, "description", buf_get(&text));
    const json_t *schema = js_obj(def, "inputSchema");
    js_set(out, "input", schema ? json_incref((json_t *)(uintptr_t)schema) : json_object());
    buf_fini(&text);
    return out;
}

enum status mcp_tools_add(struct mcp_tools *t, const json_t *def, struct err *err)
{
    if (!json_is_object(def))
        return err_set(err, ERR_DATA, "a tool's definition is not an object");
    enum status st = check_name(js_view(def, "name"), err);
    const char *name = js_str(def, "name");
    if (st != OK || (st = check_schema(name, json_object_get(def, "inputSchema"), err)) != OK)
        return st;
    if (mcp_tools_find(t, name))
        return err_set(err, ERR_DATA, "tool %s is listed twice, the first counts", name);
    if (t->n == MCP_TOOLS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d tools", MCP_TOOLS_MAX);
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        struct mcp_tool *items = realloc(t->items, cap * sizeof *items);
        if (!items)
            return err_set(err, ERR_NOMEM, "out of memory");
        t->items = items;
        t->cap = cap;
    }
    json_t *own = offered(def);
    const json_t *hints = js_obj(def, "annotations");
    t->items[t->n++] = (struct mcp_tool){ .name = js_str(own, "name"),
                                          .description = js_str(own, "description"),
                                          .input = js_obj(own, "input"),
                                          .read_only = js_bool(hints, "readOnlyHint", false),
                                          .idempotent = js_bool(hints, "idempotentHint", false),
                                          .pin = pin_of(def),
                                          .def = own };
    return OK;
}
