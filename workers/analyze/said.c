/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/said.h"

#include "common/mcp/content.h"

#include <string.h>

void said_add(struct said *s, struct str bytes)
{
    size_t max = sizeof s->bytes;
    if (bytes.n >= max) {
        memcpy(s->bytes, bytes.p + bytes.n - max, max);
        s->n = max;
        return;
    }
    size_t stay = s->n + bytes.n > max ? max - bytes.n : s->n;
    memmove(s->bytes, s->bytes + s->n - stay, stay);
    memcpy(s->bytes + stay, bytes.p, bytes.n);
    s->n = stay + bytes.n;
}

static bool is_blank(struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '\r')
            return false;
    }
    return true;
}

void said_line(const struct said *s, struct buf *out)
{
    struct str all = { s->bytes, s->n }, best = { 0 };
    for (size_t i = 0; i < all.n;) {
        const char *nl = memchr(all.p + i, '\n', all.n - i);
        struct str line = { all.p + i, nl ? (size_t)(nl - all.p) - i : all.n - i };
        if (!is_blank(line))
            best = line;
        if (memmem(line.p, line.n, "rror", 4) || memmem(line.p, line.n, "cannot", 6))
            break;
        i += line.n + 1;
    }
    best.n = best.n > SAID_LINE_MAX ? SAID_LINE_MAX : best.n;
    if (best.n > 0)
        mcp_clean(best, true, out);
}
