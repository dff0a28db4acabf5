/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_GENERATE_STATE_H
#define PAWL_GENERATE_STATE_H
/* state: the inside of gen, shared by its files and nobody else. */
#include "workers/generate/gen.h"
#include "workers/generate/text.h"

enum {
    ITEMS_MAX = 40,       /* requirements that one round writes or keeps */
    PLAN_MAX = 6,         /* behaviours of one plan of a small model */
    PLAN_LARGE = 10,
    FACTS_MAX = 40,       /* lines of tool results */
    NEAR_MAX = 2,         /* existing requirements shown in one step */
    TRIES_MAX = 3,        /* a question is asked at most so often */
    COMMENTS_MAX = 8,     /* new comments taken into account in one round */
    PROBLEM_SHOWN = 8000, /* bytes of the problem statement in a prompt */
    NAME_MAX_SHOWN = 80, LINE_MAX = 600, TEXT_MAX_BYTES = 1200,
};

/* A requirement on its way. */
enum item_state { ITEM_TEXT, ITEM_PLACE, ITEM_MERGE, ITEM_SCENARIOS, ITEM_READY, ITEM_OUT };

struct known {
    const char *capability, *name;
    struct str text;
    const json_t *scenarios;
    struct words words;
    bool taken; /* an item changes it */
};

struct item {
    enum item_state state;
    bool busy;      /* asked, not answered */
    int tries;
    char *name;     /* header name */
    char *intent;   /* what the plan says about it */
    char *text;     /* the normative sentence(s) */
    int text_faults;
    char *instruct; /* what was wrong, for asking again; or NULL */
    char *wish;     /* the user's words about it; or NULL */
    const char *op; /* added, modified, removed, renamed */
    const char *capability, *from, *reason, *migration; /* capability NULL: the draft's home */
    const struct known *near[NEAR_MAX];
    size_t near_n;
    const struct known *target; /* MODIFIED: what it changes */
    json_t *scenarios;
    json_t *sources;
    struct words words; /* of name, intent and text */
};

/* A line that a tool gave. */
struct fact {
    const char *id;
    struct str line;
    struct words words;
};

enum phase { PHASE_COMMENTS, PHASE_PLAN, PHASE_MORE, PHASE_ITEMS, PHASE_END, PHASE_DONE };

struct comment {
    const char *id, *text;
    bool busy, settled;
};

/* Steps of the draft as a whole: asked once each. */
enum whole { WHOLE_PLAN, WHOLE_MORE, WHOLE_HOME, WHOLE_WHY, WHOLE_TASKS, WHOLE_COUNT };

struct gen {
    struct arena *arena;
    struct gen_input in;
    enum phase phase;
    struct { bool wanted, busy, settled; int tries; char *instruct; } whole[WHOLE_COUNT];
    struct item items[ITEMS_MAX];
    size_t items_n;
    struct comment comments[COMMENTS_MAX];
    size_t comments_n;
    struct known *known;
    size_t known_n;
    struct fact facts[FACTS_MAX];
    size_t facts_n;
    json_t *extra;        /* insights that came on the way */
    char *prefix;         /* the stable beginning of every prompt */
    struct str problem;
    struct words problem_words, fact_words, known_words, wish_words;
    struct str missed[8]; /* sentences of the problem that nothing covers */
    size_t missed_n;
    const char *home;     /* capability of new requirements */
    bool home_new;
    char *purpose, *why;
    json_t *tasks;        /* list of strings */
    bool anew;            /* planned from scratch */
    json_t *messages;     /* of the question being put */
    json_t *kept_asks;    /* messages and schemas in the model's hands */
};

/* ---- prompt.c: what is asked ------------------------------------------------------------------ */
void prompt_prefix(struct gen *g);
json_t *prompt_messages(const struct gen *g, const char *sections, const char *task);
json_t *schema_plan(const struct gen *g);
json_t *schema_sentence(void);
json_t *schema_place(const struct item *it);
json_t *schema_scenarios(void);
json_t *schema_home(const struct gen *g);
json_t *schema_why(void);
json_t *schema_tasks(void);
json_t *schema_comment(const struct gen *g);
char *prompt_facts_for(const struct gen *g, const struct item *it); /* section or "" */

/* ---- check.c: is a reply good enough, and how to make it so ------------------------------------ */
/* Number of faults; *instruct says what to do about the worst one (arena), NULL when none. */
int check_sentence(const struct gen *g, const struct item *it, const char *text, char **instruct);
char *repair_sentence(const struct gen *g, const char *text);
char *clean_name(const struct gen *g, struct str name, const char *otherwise);
/* The scenarios that hold, cleaned; new reference. *instruct as above. */
json_t *check_scenarios(const struct gen *g, const struct item *it, const json_t *list, char **instruct);
json_t *scenario_from(const struct gen *g, const struct item *it);

/* ---- place.c: against what exists -------------------------------------------------------------- */
void known_load(struct gen *g);
void place_rank(struct gen *g, struct item *it);
/* The item says what an existing requirement, or an earlier item, says already. */
bool place_repeats(const struct gen *g, const struct item *it);
const char *place_capability(const struct gen *g, const struct item *it); /* NULL: no clear one */
void place_change(struct gen *g, struct item *it, const struct known *target);
json_t *place_scenarios(const struct gen *g, const struct item *it); /* MODIFIED: old ones kept, fitted */

/* ---- revise.c: from the best draft and what is said about it ------------------------------------ */
void revise_load(struct gen *g);
void revise_comment(struct gen *g, struct comment *c, const json_t *value);
size_t missed_find(struct gen *g);

/* ---- compose.c ---------------------------------------------------------------------------------- */
json_t *compose(struct gen *g);

/* ---- gen.c --------------------------------------------------------------------------------------- */
struct item *item_new(struct gen *g, struct str name, struct str intent); /* NULL: full */
void item_words(struct gen *g, struct item *it);
void sources_add(struct item *it, const char *id);
#endif
