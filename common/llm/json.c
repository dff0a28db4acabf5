/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/chat.h"

#include <string.h>

enum { STARTS_MAX = 64 }; /* openings tried before giving up: no quadratic work on hostile text */

static json_t *parse_tree(struct str s)
{
    json_t *v = js_parse(s, NULL);
    if (json_is_object(v) || json_is_array(v))
        return v;
    json_decref(v);
    return NULL;
}

/* The end of the balanced object or list that starts at s.p[0]; 0: it does not end. */
static size_t balanced(struct str s)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

json_t *chat_json(struct str text)
{
    json_t *v = parse_tree(text);
    if (v || text.n == 0)
        return v;
    static const char think_end[] = "</think>";
    const char *end = text.p + text.n;
    const char *thought = memmem(text.p, text.n, think_end, sizeof think_end - 1);
    if (thought)
        text = (struct str){ thought + sizeof think_end - 1,
                             (size_t)(end - thought) - (sizeof think_end - 1) };
    size_t at = 0;
    for (int tries = 0; tries < STARTS_MAX && at < text.n; tries++) {
        while (at < text.n && text.p[at] != '{' && text.p[at] != '[')
            at++;
        if (at == text.n)
            break;
        struct str rest = { text.p + at, text.n - at };
        size_t n = balanced(rest);
        v = n ? parse_tree((struct str){ rest.p, n }) : NULL;
        if (v)
            return v;
        at++;
    }
    return NULL;
}
