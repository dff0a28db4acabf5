/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/state.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { SENTENCE_MAX = 800, STEP_MAX = 300, NAME_LONG = 60 };

/* Share of the words of what was meant that a sentence should keep. */
static const double keeps_enough = 0.7;

/* ---- the normative sentence -------------------------------------------------------------------- */

static bool word_at(const char *text, const char *at, size_t n)
{
    bool before = at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_');
    bool after = !(isalnum((unsigned char)at[n]) || at[n] == '_');
    return before && after;
}

/* OpenSpec's rule: SHALL or MUST as a whole word in capitals. */
static bool is_normative(const char *text)
{
    static const char *const words[] = { "SHALL", "MUST" };
    for (size_t i = 0; i < COUNT(words); i++) {
        size_t n = strlen(words[i]);
        for (const char *at = strstr(text, words[i]); at; at = strstr(at + n, words[i])) {
            if (word_at(text, at, n))
                return true;
        }
    }
    return false;
}

static char *find_word(char *text, const char *word)
{
    size_t n = strlen(word);
    for (char *at = strcasestr(text, word); at; at = strcasestr(at + n, word)) {
        if (word_at(text, at, n))
            return at;
    }
    return NULL;
}

/* A model's sentence as we want to have it: one line, no quotes around, capitals where only those
 * are missing, a full stop. In the arena. */
static char *tidy(const struct gen *g, const char *text)
{
    char *z = text_line(g->arena, str_of(text), SENTENCE_MAX);
    size_t n = strlen(z);
    if (n > 1 && z[0] == '"' && z[n - 1] == '"') {
        z[n - 1] = '\0';
        z++;
        n -= 2;
    }
    if (!is_normative(z)) {
        char *at = find_word(z, "shall");
        if (!at)
            at = find_word(z, "must");
        for (size_t i = 0; at && isalpha((unsigned char)at[i]); i++)
            at[i] = (char)toupper((unsigned char)at[i]);
    }
    bool stop = n > 0 && (strchr(".!?", z[n - 1]) || (unsigned char)z[n - 1] >= 0x80);
    char *out = stop || n == 0 ? z : arena_printf(g->arena, "%s.", z);
    return out ? out : z;
}

char *repair_sentence(const struct gen *g, const char *text)
{
    static const char *const weaker[] = { " will ",   " should ", " needs to ",
                                          " has to ", " can ",    " may " };
    char *z = tidy(g, text);
    if (is_normative(z) || !*z)
        return z;
    for (size_t i = 0; i < COUNT(weaker); i++) {
        const char *at = strcasestr(z, weaker[i]);
        if (at && at - z < 60) {
            char *out =
                arena_printf(g->arena, "%.*s SHALL %s", (int)(at - z), z, at + strlen(weaker[i]));
            return out ? out : z;
        }
    }
    bool lower = isupper((unsigned char)z[0]) && !isupper((unsigned char)z[1]);
    char *out = arena_printf(g->arena, "The system SHALL ensure that %c%s",
                             lower ? tolower((unsigned char)z[0]) : z[0], z + 1);
    return out ? out : z;
}

/* A figure of a fact that concerns this requirement, when the sentence uses no figure of any. */
static const struct fact *unused_fact(const struct gen *g, const struct item *it,
                                      const struct words *text)
{
    const struct fact *best = NULL;
    size_t most = 1;
    for (size_t i = 0; i < g->facts_n; i++) {
        const struct fact *f = &g->facts[i];
        size_t common = words_common(&f->words, &it->words);
        const struct words *sets[] = { text };
        size_t figures = words_figures(&f->words);
        if (common <= most || figures == 0)
            continue;
        if (words_figures_missing(&f->words, sets, 1, NULL) < figures)
            return NULL; /* one is used */
        most = common;
        best = f;
    }
    return best;
}

/* The words of the intent that the sentence leaves out, as a list. */
static char *left_out(const struct gen *g, const struct words *intent, const struct words *text)
{
    struct buf b;
    buf_init(&b, 200);
    for (size_t i = 0; i < intent->n && b.len < 120; i++) {
        if (!words_have(text, intent->v[i].key))
            buf_printf(&b, "%s%.*s", b.len ? ", " : "", STR_ARG(intent->v[i].text));
    }
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    buf_fini(&b);
    return z ? z : (char *)(uintptr_t) "";
}

int check_sentence(const struct gen *g, const struct item *it, const char *text, char **instruct)
{
    char *z = tidy(g, text);
    struct words w = words_of(g, str_of(z)), intent = words_of(g, str_of(it->intent));
    struct words wish = words_of(g, str_of(it->wish ? it->wish : ""));
    const struct words *mine[] = { &w };
    const struct words *given[] = { &g->problem_words, &g->fact_words, &g->wish_words, &wish,
                                    it->target ? &it->target->words : &wish };
    struct str which = { 0 };
    int faults = 0;
    bool keep = !it->wish && !(it->about && it->about->remedy);
    *instruct = NULL;
    if (keep && intent.n >= 3 && words_share(&intent, &w) < keeps_enough) {
        faults += 1;
        *instruct = arena_printf(g->arena, "Say also: %s.", left_out(g, &intent, &w));
    }
    if (it->about && it->about->remedy && find_word(z, "not")) {
        faults += 2;
        *instruct = arena_printf(g->arena, "Say what the software makes possible or does, without "
                                           "\"not\": forbid nothing.");
    }
    const struct fact *fact = unused_fact(g, it, &w);
    if (fact && words_figures(&intent) == 0) {
        faults += 2;
        *instruct = arena_printf(g->arena, "Use the value that holds today: %s",
                                 text_line(g->arena, fact->line, 200));
    }
    if (keep && words_figures_missing(&intent, mine, 1, &which) > 0) {
        faults += 2;
        *instruct = arena_printf(g->arena, "Keep the figure %.*s.", STR_ARG(which));
    }
    if (words_figures_missing(&w, given, COUNT(given), &which) > 0) {
        faults += 3;
        *instruct =
            arena_printf(g->arena, "Leave out %.*s: nobody gave this figure.", STR_ARG(which));
    }
    if (w.n < 3 || strlen(z) >= SENTENCE_MAX - 1) {
        faults += 4;
        *instruct = arena_printf(g->arena, "Write one complete sentence of at most 40 words.");
    }
    if (!is_normative(z)) {
        faults += 4;
        *instruct =
            arena_printf(g->arena, "The sentence must contain the word SHALL in capitals, as in "
                                   "\"The system SHALL …\".");
    }
    return faults;
}

/* ---- names ------------------------------------------------------------------------------------- */

/* "LockAccountAfterFailures", as models that write code like to say it. */
static char *split_camel(const struct gen *g, char *z)
{
    size_t humps = 0, n = 0;
    if (strchr(z, ' '))
        return z;
    for (char *p = z; *p; p++) {
        humps += p > z && isupper((unsigned char)p[0]) && islower((unsigned char)p[-1]);
        if (*p == '_' || (*p == '-' && p > z))
            *p = ' ';
    }
    char *out = arena_alloc(g->arena, strlen(z) + humps + 1);
    for (char *p = z; out && *p; p++) {
        bool hump = p > z && isupper((unsigned char)p[0]) && islower((unsigned char)p[-1]);
        if (hump)
            out[n++] = ' ';
        out[n++] = hump && !isupper((unsigned char)p[1]) ? (char)tolower((unsigned char)*p) : *p;
    }
    return out ? out : z;
}

/* A header's name: one line without marks that Markdown or OpenSpec would read. */
char *clean_name(const struct gen *g, struct str name, const char *otherwise)
{
    char *z = split_camel(g, text_line(g->arena, name, NAME_MAX_SHOWN));
    if (strncasecmp(z, "requirement:", 12) == 0)
        z = text_line(g->arena, str_of(z + 12), NAME_MAX_SHOWN);
    size_t from = strspn(z, "#*-_`\"' .0123456789)"), n;
    if (z[from])
        z += from;
    for (char *p = z; *p; p++) {
        if (strchr("`*\"#", *p))
            *p = ' ';
    }
    z = text_line(g->arena, str_of(z), NAME_MAX_SHOWN);
    if (is_normative(z)) /* the sentence again, not a name */
        z = text_line(g->arena, str_of(otherwise), NAME_MAX_SHOWN);
    char *space = strlen(z) > NAME_LONG ? strrchr(z, ' ') : NULL;
    while (space && space - z > NAME_LONG) { /* end at a word */
        *space = '\0';
        space = strrchr(z, ' ');
    }
    while ((n = strlen(z)) > 0 && strchr(".:;, ", z[n - 1]))
        z[n - 1] = '\0';
    if (strlen(z) < 3)
        return text_line(g->arena, str_of(otherwise), NAME_MAX_SHOWN);
    if (islower((unsigned char)z[0]))
        z[0] = (char)toupper((unsigned char)z[0]);
    return z;
}

/* ---- scenarios --------------------------------------------------------------------------------- */

/* "**WHEN** the user …" is the renderer's business: only the words stay. */
static char *step_text(const struct gen *g, struct str s)
{
    static const char *const keywords[] = { "given", "when", "then", "and" };
    s = blank_trim(s);
    for (bool again = true; again;) {
        again = false;
        while (s.n > 0 && strchr("-*#>: ", s.p[0]) && s.p[0]) {
            s = (struct str){ s.p + 1, s.n - 1 };
            again = true;
        }
        for (size_t i = 0; i < COUNT(keywords); i++) {
            size_t n = strlen(keywords[i]);
            if (s.n > n && strncasecmp(s.p, keywords[i], n) == 0 && strchr(" *:,", s.p[n])) {
                s = (struct str){ s.p + n, s.n - n };
                again = true;
            }
        }
    }
    char *z = text_line(g->arena, s, STEP_MAX);
    static const char *const articles[] = { "The ", "A ",
                                            "An " }; /* a step goes on after its keyword */
    size_t n = strlen(z);
    for (size_t i = 0; i < COUNT(articles); i++) {
        if (strncmp(z, articles[i], strlen(articles[i])) == 0)
            z[0] = (char)tolower((unsigned char)z[0]);
    }
    while (n > 0 && (z[n - 1] == '.' || z[n - 1] == ' '))
        z[--n] = '\0';
    return z;
}

/* Steps: a list of them, or a single one. */
static json_t *steps_of(const struct gen *g, const json_t *said)
{
    json_t *out = json_array();
    const json_t *list = json_is_array(said) ? said : NULL;
    size_t n = list ? js_count(list) : json_is_string(said) ? 1 : 0;
    for (size_t i = 0; i < n && i < 6; i++) {
        const json_t *v = list ? js_at(list, i) : said;
        char *z = step_text(g, (struct str){ json_string_value(v), json_string_length(v) });
        bool seen = strlen(z) < 3;
        for (size_t k = 0; k < json_array_size(out); k++)
            seen = seen || strcasecmp(json_string_value(json_array_get(out, k)), z) == 0;
        if (!seen)
            js_push_z(out, z);
    }
    return out;
}

static struct words words_of_steps(const struct gen *g, const json_t *list, const json_t *more)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < js_count(list); i++)
        buf_printf(&b, "%s\n", json_string_value(js_at(list, i)));
    for (size_t i = 0; i < js_count(more); i++)
        buf_printf(&b, "%s\n", json_string_value(js_at(more, i)));
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    buf_fini(&b);
    return words_of(g, str_of(z));
}

/* What is wrong with a scenario, or NULL. */
static const char *scenario_fault(const struct gen *g, const struct item *it, const json_t *s)
{
    const json_t *given = js_list(s, "given"), *when = js_list(s, "when"),
                 *then = js_list(s, "then");
    if (js_count(when) + js_count(given) == 0)
        return "Say in when what happens.";
    if (js_count(then) == 0)
        return "Say in then which result one can observe.";
    for (size_t i = 0; i < js_count(then); i++) {
        if (is_normative(json_string_value(js_at(then, i))))
            return "Say in then what has happened, as a fact: without SHALL, not the rule again.";
    }
    struct words cause = words_of_steps(g, given, when), effect = words_of_steps(g, then, NULL);
    if (effect.n < 2 || words_share(&effect, &cause) > 0.9)
        return "The result in then must be something new that one can observe, not the condition "
               "again.";
    struct words text = words_of(g, str_of(it->text));
    size_t shared = words_common(&effect, &text) + words_common(&cause, &text),
           figures = words_figures(&text);
    const struct words *both[] = { &cause, &effect };
    if (shared < 2 || words_common(&effect, &text) == 0)
        return "The scenario must show this requirement, in its own words.";
    if (figures > 0 && words_figures_missing(&text, both, 2, NULL) == figures)
        return "Use the figures of the requirement as concrete values.";
    struct words target = it->target ? it->target->words : text;
    const struct words *given_sets[] = { &g->problem_words, &g->fact_words, &g->wish_words, &text,
                                         &target };
    if (words_figures_missing(&effect, given_sets, COUNT(given_sets), NULL) > 0)
        return "Use in then only figures that the requirement gives.";
    return NULL;
}

static json_t *clean_scenario(const struct gen *g, const struct item *it, const json_t *s,
                              size_t number)
{
    json_t *out = json_object(), *given = steps_of(g, json_object_get(s, "given"));
    const char *otherwise =
        arena_printf(g->arena, number ? "%s, case %zu" : "%s", it->name, number + 1);
    js_set_z(out, "name", "");
    if (json_array_size(given))
        js_set(out, "given", given);
    else
        json_decref(given);
    js_set(out, "when", steps_of(g, json_object_get(s, "when")));
    js_set(out, "then", steps_of(g, json_object_get(s, "then")));
    if (js_count(js_list(out, "when")) == 0 && js_count(js_list(out, "given")) > 0) {
        json_t *moved = json_incref(json_object_get(out, "given")); /* a condition is a condition */
        json_object_del(out, "given");
        js_set(out, "when", moved);
    }
    /* Small models name every scenario "ordinary case": the event is a better name. */
    const json_t *event = js_at(js_list(out, "when"), 0);
    struct str name = js_view(s, "name");
    if (name.n == 0 && event)
        name = (struct str){ json_string_value(event), json_string_length(event) };
    js_set_z(out, "name", clean_name(g, name, otherwise ? otherwise : it->name));
    return out;
}

static bool like_earlier(const struct gen *g, const json_t *list, const json_t *s)
{
    struct words a = words_of_steps(g, js_list(s, "when"), js_list(s, "given"));
    struct words at = words_of_steps(g, js_list(s, "then"), NULL);
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *o = js_at(list, i);
        struct words b = words_of_steps(g, js_list(o, "when"), js_list(o, "given"));
        struct words bt = words_of_steps(g, js_list(o, "then"), NULL);
        if (strcasecmp(js_str(o, "name"), js_str(s, "name")) == 0 ||
            (words_like(&a, &b) > 0.85 && words_like(&at, &bt) > 0.85))
            return true;
    }
    return false;
}

json_t *check_scenarios(const struct gen *g, const struct item *it, const json_t *list,
                        char **instruct)
{
    json_t *out = json_array();
    *instruct = NULL;
    for (size_t i = 0; i < js_count(list) && i < 4; i++) {
        json_t *s = clean_scenario(g, it, js_at(list, i), i);
        const char *fault = scenario_fault(g, it, s);
        if (fault)
            *instruct = arena_dup(g->arena, fault, strlen(fault));
        if (fault || like_earlier(g, out, s))
            json_decref(s);
        else
            js_push(out, s);
    }
    return out;
}

/* "The system SHALL lock it" as something that one can see: "the system does lock it". */
static char *as_fact(const struct gen *g, struct str rule)
{
    static const char *const shall[] = { " SHALL ensure that ", " SHALL not ", " SHALL ",
                                         " MUST not ", " MUST " };
    static const char *const does[] = { " sees to it that ", " does not ", " does ", " does not ",
                                        " does " };
    char *z = step_text(g, rule);
    for (size_t i = 0; i < COUNT(shall); i++) {
        const char *at = strstr(z, shall[i]);
        if (!at)
            continue;
        char *out =
            arena_printf(g->arena, "%.*s%s%s", (int)(at - z), z, does[i], at + strlen(shall[i]));
        return out ? out : z;
    }
    return z;
}

/* Without a model: the condition and the rest of the sentence. */
json_t *scenario_from(const struct gen *g, const struct item *it)
{
    static const char *const cuts[] = { " when ",   " if ",  " after ", " once ",
                                        " unless ", " for ", " within " };
    const char *text = it->text ? it->text : it->intent;
    const char *at = NULL;
    for (size_t i = 0; i < COUNT(cuts) && !at; i++) {
        at = strcasestr(text, cuts[i]);
        struct words rest = words_of(g, (struct str){ text, at ? (size_t)(at - text) : 0 });
        if (rest.n < 2) /* "SHALL ensure that after …": there must be a result left */
            at = NULL;
    }
    json_t *s = json_object(), *when = json_array(), *then = json_array(), *list = json_array();
    if (at) {
        js_push_z(when, step_text(g, str_of(at + 1)));
        js_push_z(then, as_fact(g, (struct str){ text, (size_t)(at - text) }));
    } else {
        js_push_z(when, step_text(g, str_of(it->intent)));
        js_push_z(then, as_fact(g, str_of(text)));
    }
    js_set_z(s, "name", it->name);
    js_set(s, "when", when);
    js_set(s, "then", then);
    js_push(list, s);
    return list;
}
