/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/content.h"

#include "common/mcp/client.h"

#include <assert.h>
#include <string.h>

static bool control(unsigned char ch, bool one_line)
{
    if (ch == '\n' || ch == '\t')
        return one_line;
    return ch < 0x20 || ch == 0x7f;
}

void mcp_clean(struct str s, bool one_line, struct buf *out)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (!control(ch, one_line))
            continue;
        buf_append(out, s.p + from, i - from);
        if (ch == '\n' || ch == '\t')
            buf_char(out, ' ');
        from = i + 1;
    }
    if (s.n > from)
        buf_append(out, s.p + from, s.n - from);
}

static void part_text(const json_t *part, struct buf *out)
{
    const char *type = js_str(part, "type");
    const json_t *resource = js_obj(part, "resource");
    if (strcmp(type, "text") == 0) {
        mcp_clean(js_view(part, "text"), false, out);
    } else if (resource && json_is_string(json_object_get(resource, "text"))) {
        mcp_clean(js_view(resource, "text"), false, out);
    } else if (resource || strcmp(type, "resource_link") == 0) {
        buf_str(out, "[resource ");
        mcp_clean(js_view(resource ? resource : part, "uri"), true, out);
        buf_char(out, ']');
    } else {
        buf_char(out, '[');
        mcp_clean(*type ? str_of(type) : str_of("unknown content"), true, out);
        buf_char(out, ' ');
        mcp_clean(js_view(part, "mimeType"), true, out);
        buf_printf(out, ", %zu bytes as base64]", js_view(part, "data").n);
    }
}

enum status mcp_content_text(const json_t *result, struct buf *out)
{
    const json_t *parts = js_list(result, "content"), *structured = json_object_get(result, "structuredContent");
    for (size_t i = 0; i < js_count(parts); i++) {
        if (i > 0)
            buf_char(out, '\n');
        part_text(js_at(parts, i), out);
    }
    if (js_count(parts) == 0 && structured)
        js_dump(structured, out);
    return out->status;
}

int json_depth(const json_t *v, int max)
{
    int deepest = 0;
    const char *key;
    json_t *member;
    size_t i;
    if (max <= 0 || (!json_is_object(v) && !json_is_array(v)))
        return 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        int d = json_depth(member, max - 1);
        deepest = d > deepest ? d : deepest;
    }
    json_array_foreach(v, i, member) {
        int d = json_depth(member, max - 1);
        deepest = d > deepest ? d : deepest;
    }
    return deepest + 1;
}

static bool name_fine(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > MCP_TOOL_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)name[i] <= 0x20 || name[i] == 0x7f)
            return false;
    }
    return true;
}

/* Cut at a character. */
static struct str cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
        max--;
    return (struct str){ s.p, max };
}

static bool schema_fits(const json_t *schema)
{
    struct buf b;
    buf_init(&b, MCP_SCHEMA_MAX);
    bool fits = json_is_object(schema) && json_depth(schema, MCP_SCHEMA_DEPTH + 2) <= MCP_SCHEMA_DEPTH &&
                js_dump(schema, &b) == OK;
    buf_fini(&b);
    return fits;
}

json_t *mcp_tool_read(const json_t *def)
{
    const char *name = js_str(def, "name");
    const json_t *schema = json_object_get(def, "inputSchema");
    struct buf text;
    if (!name_fine(name))
        return NULL;
    buf_init(&text, MCP_DESCRIPTION_MAX * 2);
    mcp_clean(cut(js_view(def, "description"), MCP_DESCRIPTION_MAX), false, &text);
    json_t *tool = json_object();
    assert(tool);
    js_set_z(tool, "name", name);
    js_set_str(tool, "description", buf_get(&text));
    js_set(tool, "input", schema_fits(schema) ? json_incref((json_t *)(uintptr_t)schema) : json_object());
    buf_fini(&text);
    return tool;
}
