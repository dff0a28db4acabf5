/* SPDX-License-Identifier: Apache-2.0 */
/* mcp.json of any bytes: an error has a place and no servers, a success has servers that can be
 * started or say why not. */
#include "common/mcp/mcpjson.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *get(void *ctx, const char *name)
{
    (void)ctx;
    return name[0] == 'A' ? "value" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mcp_vars vars = { get, NULL, "/f" };
    struct mcp_file f;
    struct mcp_place at;
    struct err err = { 0 };
    if (mcpjson_read((struct str){ (const char *)data, size }, "mcp.json", &vars, &f, &at, &err) !=
        OK) {
        assert(f.n == 0 && *err.text && at.line >= 0);
        return 0;
    }
    for (size_t i = 0; i < f.n; i++) {
        const struct mcp_server *s = &f.servers[i];
        assert(s->argv && s->env && s->fix && s->line >= 1 && s->column >= 1);
        assert(s->disabled || s->fault || (s->argv[0] == s->command && *s->command));
    }
    mcpjson_fini(&f);
    return 0;
}
