/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_REVIEW_MEASURES_IN_H
#define PAWL_REVIEW_MEASURES_IN_H
/* measures_in: what the parts of measures share. Internal. */
#include "workers/review/behaviour.h"
#include "workers/review/measures.h"

struct work {
    struct arena *a;
    const struct measures_input *in;
    const struct cues *cues;
    struct problem problem;
    struct reqs reqs;
    struct helds helds;    /* every requirement that the specs hold */
    struct word_set known; /* words of the specs */
    struct word_set topic; /* words of problem, comments, answers, insights */
    struct word_set given; /* keys and values of all figures that somebody gave, and all words */
    struct measures_result *out;
    int64_t score;
    bool failed;
};

/* ---- doubts.c: what makes a requirement worthless ------------------------------------------------ */

/* The story that the requirement would make come true, or NULL. q->doubt is set when it is near. */
const struct point *doubt_grievance(const struct work *w, struct req *q);
/* What the problem only tells, demanded as it stands, or NULL. */
const struct point *doubt_told(const struct work *w, const struct req *q);
/* The wish whose opposite it demands, or NULL. */
const struct point *doubt_inversion(const struct work *w, struct req *q);
/* Does it contain the statement instead of an answer to it? */
bool doubt_paste(const struct work *w, const struct req *q);
/* Longest run of words that two texts have in common, function words included. */
size_t common_run(const struct word_list *x, const struct word_list *y);

/* ---- likeness.c: what exists already ------------------------------------------------------------- */

enum likeness { LIKE_NONE, LIKE_SAME, LIKE_OTHER_FIGURE };
/* The existing requirement that q says again. */
const struct held *like_held(const struct work *w, const struct req *q, enum likeness *how);
/* The earlier requirement of the draft that q says again. */
const struct req *like_earlier(const struct work *w, const struct req *q);
/* A modified requirement that says nothing new. */
bool like_base(const struct work *w, const struct req *q);
/* Everything that the specs hold: from the workspace when there is one, else from the brief. */
enum status helds_read(struct work *w) MUST_USE;

/* ---- cover.c ------------------------------------------------------------------------------------- */

/* Share of the problem that the requirements without fault cover, and findings about the rest.
 * Appends uncovered words to `missing`. */
double cover_problem(struct work *w, json_t *missing);
/* Is it about the problem, or about something that the user or a tool brought up? */
bool cover_on_topic(const struct work *w, const struct req *q);

/* ---- measures.c ---------------------------------------------------------------------------------- */

const char *say(struct work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Append a finding; q may be NULL. */
void tell(struct work *w, const char *severity, const char *code, const struct req *q,
          const char *message, const char *fix);
/* At most `max` bytes of a text, on one line, in the arena. */
const char *quote(struct work *w, struct str text, size_t max);
#endif
