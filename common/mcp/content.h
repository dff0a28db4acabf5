/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_CONTENT_H
#define PAWL_MCP_CONTENT_H
/* content: what tools say, as text; and the definitions of tools, checked and pinned. All of it was
 * written by strangers: it is bounded, freed of control characters, and never more than data. */
#include "common/hash.h"
#include "common/js.h"

enum {
    MCP_TOOLS_MAX = 1000,       /* tools of one server */
    MCP_TOOL_NAME_MAX = 128,    /* bytes; [A-Za-z0-9_.-] and, as servers do, '/' */
    MCP_DESCRIPTION_MAX = 2048, /* bytes kept of a description */
    MCP_SCHEMA_MAX = 64 * 1024, /* bytes of an input schema as JSON */
    MCP_SCHEMA_DEPTH_MAX = 24,  /* levels; it travels inside a document */
};

/* The text of a tools/call result: text items joined by newlines, one bracketed line for each item
 * that is not text, the structured content when there are no items. Appends to out. */
void mcp_text(const json_t *result, struct buf *out);

/* Append text without escape sequences and control characters (newline and tab stay, CR LF becomes
 * LF); `invisible` also drops zero-width and direction-changing characters. */
void mcp_clean(struct str s, bool invisible, struct buf *out);

struct mcp_tool {
    const char *name; /* points into def */
    const char *description;
    const json_t *input;        /* JSON Schema of the arguments, as the server gave it; an object */
    bool read_only, idempotent; /* the server's own claims, untrusted */
    struct hash pin;            /* of the whole definition: another one is another tool */
    json_t *def;                /* owned: {name, description, input} */
};

struct mcp_tools {
    struct mcp_tool *items;
    size_t n, cap;
};

void mcp_tools_fini(struct mcp_tools *t);
/* Check one definition of a tools/list answer and add it. ERR_DATA or ERR_LIMIT with the reason
 * when it cannot be offered (bad name, second of its name, schema too large). */
enum status mcp_tools_add(struct mcp_tools *t, const json_t *def, struct err *err);
const struct mcp_tool *mcp_tools_find(const struct mcp_tools *t, const char *name);
#endif
