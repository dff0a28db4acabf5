/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_REVIEW_BEHAVIOUR_H
#define PAWL_REVIEW_BEHAVIOUR_H
/* behaviour: one requirement of a draft, read once: what it demands (its sentences with SHALL or
 * MUST), under which conditions, and which of its scenarios show a condition and a result that could
 * be observed. Prose beside the demand is no behaviour: whatever it says counts nothing. */
#include "common/js.h"
#include "workers/problem.h"

enum req_op { REQ_ADDED, REQ_MODIFIED, REQ_REMOVED, REQ_RENAMED };

/* Why a requirement covers nothing. */
enum req_fault {
    REQ_FINE,
    REQ_NO_DEMAND,   /* no sentence with SHALL or MUST */
    REQ_NO_SCENARIO, /* none that shows anything */
    REQ_META,        /* about the project, or says nothing ("handle all cases correctly") */
    REQ_SALAD,       /* words, not a sentence */
    REQ_REPEATS,
    REQ_PASTES,
    REQ_GRIEVES, /* makes the complaint come true */
    REQ_TELLS,   /* demands what the problem only tells */
    REQ_INVERTS, /* demands the opposite of a wish */
    REQ_ECHOES,
    REQ_OFF_TOPIC,
};

struct demand { /* a sentence with SHALL or MUST */
    struct str text;
    const struct word *words;
    size_t n;
    size_t modal;  /* index of SHALL or MUST */
    bool *negated; /* for each word */
    bool *conditional;
    struct word_set keys; /* content words */
    const struct word
        *verb;  /* what it says first, behind "ensure that" and the like; NULL: nothing */
    bool shown; /* a good scenario is about it */
};

struct scene { /* a scenario */
    const char *name;
    struct word_set cond; /* content words of given and when */
    struct word_set then;
    struct word_set all;
    const char *fault; /* NULL: good; else why not, static */
    bool shows;        /* good, and not one that the specs have already */
};

struct req {
    size_t number; /* from 1, as in the draft */
    const json_t *json;
    const char *name, *capability;
    enum req_op op;
    struct str text;
    struct word_list list; /* of the text */
    struct demand *demands;
    size_t demands_n;
    struct scene *scenes;
    size_t scenes_n, shows_n;
    struct str whole; /* text and scenarios */
    struct word_list whole_list;
    struct word_set demanded; /* content words of the demands, conditions included */
    struct word_set verbs;    /* what each demand says first */
    /* Of the demands that a good scenario is about: */
    struct word_set main;    /* without conditions, with the results of good scenarios */
    struct word_set behaves; /* all of it: demands and good scenarios */
    struct word_set lows;    /* values of its figures */
    enum req_fault fault;
    bool doubt; /* a judge should say what building it would do */
};

struct reqs {
    struct req *at;
    size_t n;
};

/* What the specs hold today under this capability and name, as word sets; NULL fields: nothing. */
struct held {
    struct word_set text;  /* of the requirement */
    struct word_set whole; /* with its scenarios */
    const char *name, *capability;
};

struct helds {
    struct held *at;
    size_t n, cap;
};

const struct held *held_of(const struct helds *h, const char *capability, const char *name);

/* What is known when a draft is read. */
struct setting {
    const struct cues *cues;
    const struct helds *held;
    const struct word_set *known; /* words of the specs */
    const struct word_set *topic; /* words of the problem */
};

/* Read all requirements of a draft (at most 500). ERR_LIMIT: no memory. */
enum status reqs_read(struct arena *a, const struct setting *setting, const json_t *draft,
                      struct reqs *out) MUST_USE;
#endif
