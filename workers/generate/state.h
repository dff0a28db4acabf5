/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_GENERATE_STATE_H
#define PAWL_GENERATE_STATE_H
/* state: the inside of gen, shared by its files and nobody else. */
#include "workers/generate/gen.h"
#include "workers/generate/text.h"

enum {
    ITEMS_MAX = 40,      /* requirements that one round writes or keeps */
    STATEMENTS_MAX = 64, /* sentences of the problem */
    PLAN_CHUNK = 12,     /* sentences sorted in one step */
    PLAN_MAX = 10,       /* requirements of one plan of a small model */
    PLAN_LARGE = 14,
    FACTS_MAX = 40,       /* lines of tool results */
    NEAR_MAX = 2,         /* existing requirements shown in one step */
    TRIES_MAX = 3,        /* a question is asked at most so often */
    COMMENTS_MAX = 8,     /* new comments taken into account in one round */
    PROBLEM_SHOWN = 8000, /* bytes of the problem statement in a prompt */
    NAME_MAX_SHOWN = 80,
    LINE_MAX = 600,
    TEXT_MAX_BYTES = 1200,
};

/* A requirement on its way. */
/* Numbers of questions: a whole step; ID_ITEM + item; ID_COMMENT + comment. */
enum { ID_ITEM = 1 << 12, ID_COMMENT = 1 << 16 };

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
    bool busy; /* asked, not answered */
    int tries;
    char *name;   /* header name */
    char *intent; /* what it is about: a sentence of the problem, a behaviour, a wish */
    const struct statement *about; /* the statement that intent is; or NULL */
    const char *answers;           /* of the best draft: the statement that it was written for */
    char *text;                    /* the normative sentence(s) */
    int text_faults;
    char *instruct; /* what was wrong, for asking again; or NULL */
    char *wish;     /* the user's words about it; or NULL */
    const char *op; /* added, modified, removed, renamed */
    const char *capability, *from, *reason, *migration; /* capability NULL: the draft's home */
    const struct known *near[NEAR_MAX];
    size_t near_n;
    const struct known *target; /* MODIFIED: what it changes */
    struct str old_figure, new_figure;
    bool text_swapped; /* text is the old rule with the new figure */
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

/* A sentence of the problem, or a clause that wants something of its own. What needs an answer is a rule,
 * the rest is background; where nothing is wanted in words that we can read, the model sorts. */
struct statement {
    struct str text; /* one line */
    struct words words;
    enum { STATEMENT_OPEN, STATEMENT_RULE, STATEMENT_BACKGROUND } kind;
    bool remedy; /* a rule, but it says what is wrong today */
    bool refers; /* it cannot be understood without the one before */
    bool missed; /* no requirement is about it */
};

struct comment {
    const char *id, *text;
    bool busy, settled;
};

/* Steps of the draft as a whole: asked once each. */
enum whole { WHOLE_PLAN, WHOLE_MORE, WHOLE_HOME, WHOLE_NAME, WHOLE_WHY, WHOLE_TASKS, WHOLE_COUNT };

struct gen {
    struct arena *arena;
    struct gen_input in;
    enum words_lang lang; /* of the problem */
    enum phase phase;
    struct {
        bool wanted, busy, settled;
    } whole[WHOLE_COUNT];
    struct statement statements[STATEMENTS_MAX];
    size_t statements_n;
    size_t chunk[PLAN_CHUNK]; /* the sentences being sorted */
    size_t chunk_n;
    struct item items[ITEMS_MAX];
    size_t items_n;
    struct comment comments[COMMENTS_MAX];
    size_t comments_n;
    struct known *known;
    size_t known_n;
    struct fact facts[FACTS_MAX];
    size_t facts_n;
    json_t *extra; /* insights that came on the way */
    char *prefix;  /* the stable beginning of every prompt */
    char *asides;  /* of it, what follows the problem: answers and wishes */
    struct str problem;
    struct words problem_words, fact_words, known_words, wish_words;
    const char *home; /* capability of new requirements */
    bool home_new;
    char *purpose, *why;
    json_t *tasks;     /* list of strings; NULL: none said */
    bool anew;         /* planned from scratch */
    json_t *kept_asks; /* messages and schemas in the model's hands */
};

/* ---- prompt.c: what is asked ------------------------------------------------------------------ */
void prompt_prefix(struct gen *g);
enum shown { SHOWN_ALL, SHOWN_ASIDES, SHOWN_NOTHING }; /* besides the sections */
json_t *prompt_messages(const struct gen *g, const char *sections, const char *task,
                        enum shown shown);
json_t *schema_plan(const struct gen *g); /* a large model: behaviours, each whole */
json_t *schema_sort(const struct gen *g); /* a small one: which sentences ask for something */
json_t *schema_sentence(void);
json_t *schema_place(const struct item *it);
json_t *schema_scenario(void);
json_t *schema_scenarios(void);
json_t *schema_home(const struct gen *g);
json_t *schema_name(void);
json_t *schema_why(void);
json_t *schema_tasks(const struct gen *g);
json_t *schema_comment(const struct gen *g);
char *prompt_facts_for(const struct gen *g, const struct item *it); /* section or "" */

/* ---- check.c: is a reply good enough, and how to make it so ------------------------------------ */
/* Number of faults; *instruct says what to do about the worst one (arena), NULL when none. */
int check_sentence(const struct gen *g, const struct item *it, const char *text, char **instruct);
char *repair_sentence(const struct gen *g, const char *text);
char *clean_name(const struct gen *g, struct str name, const char *otherwise);
/* The scenarios that hold, cleaned; new reference. *instruct as above. */
json_t *check_scenarios(const struct gen *g, const struct item *it, const json_t *list,
                        char **instruct);
json_t *scenario_from(const struct gen *g, const struct item *it);

/* ---- place.c: against what exists -------------------------------------------------------------- */
void known_load(struct gen *g);
void place_rank(struct gen *g, struct item *it);
/* The item says what an existing requirement says already. */
bool place_repeats(const struct gen *g, const struct item *it);
/* Leave out items that another one says as well, and more. */
void place_dedupe(struct gen *g);
/* The nearest rule, when the item only gives another figure for the same thing: no need to ask.
 * When nothing else is new, the item takes the rule's words with its own figure. Else NULL. */
const struct known *place_contradicts(struct gen *g, struct item *it);
const char *place_capability(const struct gen *g, const struct item *it); /* NULL: no clear one */
/* The capability that has most to do with the problem, and how many words they share; NULL: none. */
const char *place_home(const struct gen *g, size_t *common);
void place_change(struct gen *g, struct item *it, const struct known *target);
json_t *place_scenarios(const struct gen *g,
                        const struct item *it); /* MODIFIED: old ones kept, fitted */

/* ---- revise.c: from the best draft and what is said about it ------------------------------------ */
void revise_load(struct gen *g);
void revise_comment(struct gen *g, struct comment *c, const json_t *value);
/* Marks the statements, but for the background, with a figure that no requirement has or about something
 * that none is about. Returns how many are missed. */
size_t missed_find(struct gen *g);

/* ---- compose.c ---------------------------------------------------------------------------------- */
json_t *compose(struct gen *g);

/* ---- questions.c: one question each, filled in ----------------------------------------------------- */
void ask_whole(struct gen *g, enum whole w, struct gen_ask *out);
void ask_item(struct gen *g, struct item *it, struct gen_ask *out);
void ask_comment(struct gen *g, struct comment *c, struct gen_ask *out);

/* The content words of a text in the language of the problem. */
static inline struct words words_of(const struct gen *g, struct str text)
{
    return text_words(g->arena, g->lang, text);
}

/* ---- gen.c --------------------------------------------------------------------------------------- */
struct item *item_new(struct gen *g, struct str name, struct str intent); /* NULL: full */
void item_words(struct gen *g, struct item *it);
void item_quick(struct gen *g, struct item *it);         /* steps that need no model */
bool planned(const struct gen *g, struct str text);      /* an item is about this already */
void take_statement(struct gen *g, struct statement *s); /* make it an item */
void item_about(struct gen *g, struct item *it, const struct statement *s);
/* The statement that a text has most of; NULL: of none enough. */
const struct statement *statement_near(const struct gen *g, const struct words *w);
size_t statements_open(const struct gen *g);
void gen_want(struct gen *g, enum whole w);
void gen_advance(struct gen *g); /* to the next phase, when this one is over */
void sources_add(struct item *it, const char *id);
#endif
