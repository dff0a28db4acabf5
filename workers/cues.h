/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CUES_H
#define PAWL_CUES_H
/* cues: the words of cues.def as sets of keys. Built once for a task; lives in the arena. */
#include "workers/words.h"

enum cue {
#define CUE(id, meaning, words) CUE_##id,
#include "workers/cues.def"
#undef CUE
    CUE_COUNT
};

struct cues {
    struct word_set sets[CUE_COUNT];
};

const struct cues *cues_make(struct arena *a); /* NULL: no memory */
bool cue_is(const struct cues *c, enum cue cue, const struct word *w);
/* Is one of the words such a cue? */
bool cue_any(const struct cues *c, enum cue cue, const struct word *w, size_t n);
#endif
