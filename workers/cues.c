/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/cues.h"

#include <string.h>

static const char *const lists[CUE_COUNT] = {
#define CUE(id, meaning, words) [CUE_##id] = words,
#include "workers/cues.def"
#undef CUE
};

const struct cues *cues_make(struct arena *a)
{
    struct cues *c = arena_alloc(a, sizeof *c);
    for (size_t i = 0; c && i < CUE_COUNT; i++) {
        for (const char *at = lists[i]; *at;) {
            size_t n = strcspn(at, " ");
            if (n)
                words_add(a, &c->sets[i], words_key((struct str){ at, n }));
            at += n + (at[n] == ' ');
        }
        words_sort(&c->sets[i]);
        if (c->sets[i].failed)
            return NULL;
    }
    return c;
}

bool cue_is(const struct cues *c, enum cue cue, const struct word *w)
{
    return words_in(&c->sets[cue], w->key);
}

bool cue_any(const struct cues *c, enum cue cue, const struct word *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (cue_is(c, cue, &w[i]))
            return true;
    }
    return false;
}
