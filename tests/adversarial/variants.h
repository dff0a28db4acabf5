/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_TEST_VARIANTS_H
#define PAWL_TEST_VARIANTS_H
/* variants: worthless drafts made out of a problem, its story, its wishes, its specs and a good
 * draft; as small models really write them, and as somebody would who wants to be accepted for
 * nothing. All are ordinary drafts of a new capability: they render to strictly valid changes. */
#include "common/js.h"

struct subject { /* of tests/adversarial/problems.json */
    const char *name;
    const char *language; /* "de", else English */
    const char *problem;
    const json_t *story, *wishes, *good;
    json_t *known;           /* list of {name, text}: what the specs hold */
    const json_t *elsewhere; /* the good draft of another problem */
};

/* A draft of these requirements ({name, text, scenarios}); takes the list. */
json_t *draft_of(json_t *requirements);
/* The good one. New reference. */
json_t *draft_good(const struct subject *s);

struct variant {
    const char *name;
    json_t *(*make)(const struct subject *s); /* a draft; NULL: not for this subject */
};
extern const struct variant variants[];
extern const size_t variants_n;
#endif
