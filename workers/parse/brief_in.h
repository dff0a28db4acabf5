/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_PARSE_BRIEF_IN_H
#define PAWL_PARSE_BRIEF_IN_H
/* brief_in: what the parts of brief share. Internal. */
#include "common/openspec/spec.h"
#include "workers/parse/brief.h"
#include "workers/words.h"

struct found { /* a capability and its rank */
    struct spec spec;
    double rank;
    double *ranks; /* of its requirements */
    bool taken;
};

struct making {
    struct arena *a;
    const struct ws *ws;
    struct str problem;
    struct str change; /* to improve; empty: none */
    struct word_set query;
    struct str_list ids;
    struct found *found; /* parallel to ids until rank_sort(), then best first */
};

/* Fill found[] and sort it. */
enum status rank_all(struct making *m) MUST_USE;
/* The `capabilities` list out of those taken. */
json_t *rank_json(const struct making *m);
/* At most max bytes, cut at a character. */
struct str text_clip(struct str s, size_t max);
/* The names most like `name`, as one text: "a, b, c"; "" when the list is empty. */
const char *near_names(struct arena *a, struct str name, const struct str_list *list);
#endif
