/* SPDX-License-Identifier: Apache-2.0 */
/* The pure half of generate, with scripted replies instead of a model. */
#include "tests/unit/unit.h"

#include "common/doc.h"
#include "common/llm/schema.h"
#include "workers/generate/gen.h"
#include "workers/generate/text.h"

#include <stdio.h>
#include <string.h>

static const char problem[] = "Sensors die and nobody notices for weeks.\n\nWhen the battery falls "
                              "below 20 percent, the operator gets a message. "
                              "A sensor that was silent for 6 hours is shown as offline on the "
                              "map. Operators can mute a sensor for 30 days.";

static const char brief_text[] =
    "{\"change_name\":\"warn-early\",\"title\":\"Warn "
    "early\",\"problem\":\"\",\"all_capabilities\":[\"site-map\"],"
    "\"capabilities\":[{\"id\":\"site-map\",\"purpose\":\"A map with sensors.\",\"requirements\":["
    "{\"name\":\"Offline sensors\",\"text\":\"The system SHALL show a sensor as offline on the map "
    "after 24 hours of silence.\","
    "\"scenarios\":[\"Silent sensor\\n- **WHEN** a sensor was silent for 24 hours\\n- **THEN** the "
    "map shows it as offline\"]},"
    "{\"name\":\"Zoom\",\"text\":\"The map SHALL zoom with the wheel.\",\"scenarios\":[\"Wheel\\n- "
    "**WHEN** the wheel turns\\n- **THEN** the map zooms\"]}]}]}";

struct bench {
    struct arena arena;
    json_t *brief;
    struct gen_input in;
    struct gen *gen;
    int asked;
    int sentences;
    char names[2048]; /* of the steps, in order */
    /* The script: NULL result: the model gave nothing usable. */
    json_t *(*reply)(struct bench *b, const struct gen_ask *ask, const char *prompt);
};

static const char *prompt_of(const struct gen_ask *ask)
{
    return js_str(js_at(ask->messages, js_count(ask->messages) - 1), "content");
}

static void bench_open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    arena_init(&b->arena, 64 << 20);
    b->brief = js_parse(str_of(brief_text), NULL);
    js_set_z(b->brief, "problem", problem);
    b->in = (struct gen_input){ .brief = b->brief, .seed = 7, .round = 1, .findings = true };
}

static void bench_close(struct bench *b)
{
    gen_free(b->gen);
    json_decref(b->brief);
    arena_fini(&b->arena);
}

/* Run to the end; checks that each scripted reply fits the schema it was asked under. */
static json_t *bench_run(struct bench *b)
{
    b->gen = gen_new(&b->arena, &b->in);
    struct gen_ask ask;
    struct err err = { 0 };
    while (!gen_done(b->gen)) {
        bool more = gen_take(b->gen, &ask);
        if (!more && gen_done(b->gen))
            break;
        assert_true(more); /* one at a time is asked here: there must be a next one */
        assert_true(++b->asked < 200);
        size_t n = strlen(b->names);
        snprintf(b->names + n, sizeof b->names - n, "%s ", ask.name);
        json_t *v = b->reply(b, &ask, prompt_of(&ask));
        if (v && schema_check(ask.schema, v, &err) != OK)
            fail_msg("%s: the script says what was not asked: %s", ask.name, err.text);
        gen_give(b->gen, ask.id, v);
        json_decref(v);
    }
    json_t *draft = gen_draft(b->gen);
    if (doc_check("draft", draft, &err) != OK)
        fail_msg("%s", err.text);
    return draft;
}

static const json_t *requirement(const json_t *draft, const char *name)
{
    const json_t *list = js_list(draft, "requirements");
    for (size_t i = 0; i < js_count(list); i++) {
        if (strcmp(js_str(js_at(list, i), "name"), name) == 0)
            return js_at(list, i);
    }
    return NULL;
}

/* Which sentence complains, by its number in the prompt. */
static json_t *sorted(const struct gen_ask *ask, const char *prompt)
{
    json_t *v = json_object(), *p;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)js_obj(ask->schema, "properties"), key, p) {
        char line[64];
        snprintf(line, sizeof line, "\n%s. Sensors die", key);
        js_set_z(v, key, strstr(prompt, line) ? "complaint" : "new behaviour");
    }
    return v;
}

/* A model that does what it is told. */
static json_t *good(struct bench *b, const struct gen_ask *ask, const char *prompt)
{
    if (strcmp(ask->name, "plan") == 0)
        return sorted(ask, prompt);
    if (strcmp(ask->name, "sentence") == 0) {
        b->sentences++;
        if (strstr(prompt, "Sentence:\nWhen the battery"))
            return json_pack("{s:s,s:s}", "requirement",
                             "The system SHALL send the operator a message when the battery falls "
                             "below 20 percent.",
                             "title", "BatteryWarning");
        if (strstr(prompt, "Sentence:\nA sensor that was silent"))
            return json_pack(
                "{s:s,s:s}", "requirement",
                "The system SHALL show a sensor as offline on the map after 6 hours of silence.",
                "title", "Offline");
        return json_pack("{s:s,s:s}", "requirement",
                         "The system SHALL let operators mute a sensor for 30 days.", "title",
                         "Muting a sensor");
    }
    if (strcmp(ask->name, "scenarios") == 0 && strstr(prompt, "battery"))
        return json_pack("{s:s,s:s,s:s}", "given", "GIVEN a sensor at 21 percent", "when",
                         "**WHEN** its battery falls below 20 percent", "then",
                         "the operator has a message from the system");
    if (strcmp(ask->name, "scenarios") == 0)
        return json_pack("{s:s,s:s,s:s}", "given", "", "when", "an operator mutes a sensor", "then",
                         "no message about that sensor arrives for 30 days");
    if (strcmp(ask->name, "tasks") == 0) {
        json_t *v = json_object();
        const json_t *props = js_obj(ask->schema, "properties");
        const char *key;
        json_t *p;
        json_object_foreach((json_t *)(uintptr_t)props, key, p)
            js_set_z(v, key, "- [ ] 1. Build it well");
        return v;
    }
    fail_msg("unexpected question %s: %s", ask->name, prompt);
    return NULL;
}

static void a_draft_is_made_from_the_problem(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.reply = good;
    json_t *d = bench_run(&b);
    assert_int_equal(js_count(js_list(d, "requirements")), 3);
    const json_t *r = requirement(d, "Battery warning"); /* the camel is tamed */
    assert_non_null(r);
    assert_string_equal(js_str(r, "op"), "added");
    assert_string_equal(js_str(r, "capability"), "site-map");
    const json_t *s = js_at(js_list(r, "scenarios"), 0);
    assert_string_equal(json_string_value(js_at(js_list(s, "when"), 0)),
                        "its battery falls below 20 percent");
    assert_string_equal(json_string_value(js_at(js_list(s, "given"), 0)), "a sensor at 21 percent");
    assert_string_equal(js_str(s, "name"), "Its battery falls below 20 percent");
    assert_non_null(strstr(js_str(d, "why"), "Sensors die"));
    assert_string_equal(
        json_string_value(js_at(js_list(js_at(js_list(d, "tasks"), 0), "items"), 0)),
        "Build it well");
    json_decref(d);
    bench_close(&b);
}

static void a_new_figure_changes_the_old_rule(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.reply = good;
    json_t *d = bench_run(&b);
    const json_t *r = requirement(d, "Offline sensors");
    assert_non_null(r);
    assert_string_equal(js_str(r, "op"), "modified");
    assert_string_equal(
        js_str(r, "text"),
        "The system SHALL show a sensor as offline on the map after 6 hours of silence.");
    const json_t *s = js_at(js_list(r, "scenarios"), 0);
    assert_string_equal(js_str(s, "name"), "Silent sensor");
    assert_string_equal(json_string_value(js_at(js_list(s, "when"), 0)),
                        "a sensor was silent for 6 hours");
    assert_null(strstr(b.names, "new-or-change")); /* nobody had to be asked */
    json_decref(d);
    bench_close(&b);
}

/* A model that gives nothing usable, ever. */
static json_t *mute(struct bench *b, const struct gen_ask *ask, const char *prompt)
{
    (void)b;
    (void)ask;
    (void)prompt;
    return NULL;
}

static void without_a_model_there_is_a_draft_all_the_same(void **state)
{
    static const char *const problems[] = {
        problem,
        "x",
        "Es soll nach 3 Versuchen gesperrt werden.",
        "\xe7\x94\xa8\xe6\x88\xb7\xe5\xbf\x85\xe9\xa1\xbb\xe7\x99\xbb\xe5\xbd\x95\xe3\x80\x82",
        "# Only a heading",
        "SHALL SHALL SHALL",
        "- a\n- b\n- c"
    };
    (void)state;
    for (size_t i = 0; i < COUNT(problems); i++) {
        struct bench b;
        bench_open(&b);
        js_set_z(b.brief, "problem", problems[i]);
        b.reply = mute;
        json_t *d = bench_run(&b);
        const json_t *list = js_list(d, "requirements");
        assert_true(js_count(list) >= 1);
        for (size_t k = 0; k < js_count(list); k++) {
            assert_true(strstr(js_str(js_at(list, k), "text"), "SHALL") ||
                        strstr(js_str(js_at(list, k), "text"), "MUST"));
            assert_true(js_count(js_list(js_at(list, k), "scenarios")) >= 1);
        }
        json_decref(d);
        bench_close(&b);
    }
}

/* SHALL is forgotten once, a figure is invented once, a scenario says nothing once. */
static json_t *careless(struct bench *b, const struct gen_ask *ask, const char *prompt)
{
    bool again = strstr(prompt, "Instructions:\n- ") != NULL;
    if (strcmp(ask->name, "sentence") == 0 && !again &&
        strstr(prompt, "Sentence:\nWhen the battery"))
        return json_pack("{s:s,s:s}", "requirement",
                         "The system sends a message when the battery falls below 20 percent.",
                         "title", "x y");
    if (strcmp(ask->name, "sentence") == 0 && !again &&
        strstr(prompt, "Sentence:\nOperators can mute"))
        return json_pack("{s:s,s:s}", "requirement",
                         "The system SHALL let operators mute a sensor for 30 or 45 days.", "title",
                         "x y");
    if (strcmp(ask->name, "scenarios") == 0 && !again)
        return json_pack("{s:s,s:s,s:s}", "given", "", "when", "a sensor is muted for 30 days",
                         "then", "a sensor is muted for 30 days");
    return good(b, ask, prompt);
}

static void what_is_lacking_is_asked_for_again(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.reply = careless;
    json_t *d = bench_run(&b);
    assert_int_equal(b.sentences, 3); /* the good ones; the careless came first */
    assert_non_null(requirement(d, "Battery warning"));
    assert_non_null(strstr(js_str(requirement(d, "Muting a sensor"), "text"), "for 30 days."));
    json_decref(d);
    bench_close(&b);
}

static json_t *findings_of(const char *text)
{
    json_t *v = js_parse(str_of(text), NULL);
    assert_non_null(v);
    return v;
}

static void findings_touch_only_their_requirements(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.reply = good;
    json_t *best = bench_run(&b);
    bench_close(&b);

    json_t *review = findings_of(
        "{\"findings\":["
        "{\"severity\":\"error\",\"code\":\"measure.repeats\",\"message\":\"it "
        "repeats\",\"fix\":\"Leave it out: requirement 3\",\"requirement\":\"Muting a sensor\"},"
        "{\"severity\":\"warning\",\"code\":\"measure.degenerate\",\"message\":\"scenario\","
        "\"fix\":\"Write it anew.\",\"requirement\":\"Battery warning\"}]}");
    bench_open(&b);
    b.reply = good;
    b.in.best = best;
    b.in.best_review = review;
    b.in.round = 2;
    b.in.parent = 1;
    js_set_z(b.brief, "problem",
             "When the battery falls below 20 percent, the operator gets a message. A sensor that "
             "was silent for 6 hours is shown as offline.");
    json_t *d = bench_run(&b);
    assert_int_equal(b.sentences, 0); /* no sentence was written again */
    assert_string_equal(b.names, "scenarios tasks ");
    assert_null(requirement(d, "Muting a sensor"));
    assert_true(
        json_equal(requirement(d, "Offline sensors"), requirement(best, "Offline sensors")));
    assert_null(strstr(js_str(requirement(d, "Battery warning"), "text"), "anew"));
    json_decref(d);
    json_decref(best);
    json_decref(review);
    bench_close(&b);
}

static void a_missing_sentence_gets_its_requirement(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.reply = good;
    json_t *best = bench_run(&b);
    bench_close(&b);
    json_array_remove(json_object_get(best, "requirements"), 2);
    json_t *review = findings_of(
        "{\"findings\":[{\"severity\":\"error\",\"code\":\"measure.coverage\","
        "\"message\":\"no requirement covers this of the problem: \\\"Operators can mute a sensor "
        "for 30 days\\\" (missing: mute, 30, days)\",\"fix\":\"Add a requirement for: it\"}]}");
    bench_open(&b);
    b.reply = good;
    b.in.best = best;
    b.in.best_review = review;
    b.in.round = 2;
    b.in.parent = 1;
    json_t *d = bench_run(&b);
    assert_non_null(requirement(d, "Muting a sensor"));
    assert_int_equal(js_count(js_list(d, "requirements")), 3);
    json_decref(d);
    json_decref(best);
    json_decref(review);
    bench_close(&b);
}

static json_t *obliging(struct bench *b, const struct gen_ask *ask, const char *prompt)
{
    if (strcmp(ask->name, "comment") == 0) {
        assert_non_null(strstr(prompt, "use 60 days"));
        return json_pack("{s:s,s:s}", "action", "rewrite", "requirement", "3");
    }
    if (strcmp(ask->name, "sentence") == 0 && strstr(prompt, "use 60 days"))
        return json_pack("{s:s,s:s}", "requirement",
                         "The system SHALL let operators mute a sensor for 60 days.", "title",
                         "Muting a sensor");
    return good(b, ask, prompt);
}

static void a_comment_is_followed_and_noted(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.reply = good;
    json_t *best = bench_run(&b);
    bench_close(&b);
    json_t *comments = findings_of(
        "{\"items\":[{\"id\":\"c1\",\"text\":\"for muting use 60 days\",\"round\":1}]}");
    bench_open(&b);
    b.reply = obliging;
    b.in.best = best;
    b.in.comments = comments;
    b.in.round = 2;
    b.in.parent = 1;
    json_t *d = bench_run(&b);
    const json_t *r = requirement(d, "Muting a sensor");
    assert_non_null(strstr(js_str(r, "text"), "60 days"));
    assert_string_equal(json_string_value(js_at(js_list(r, "sources"), 0)), "c1");
    json_decref(d);
    json_decref(best);
    json_decref(comments);
    bench_close(&b);
}

/* A wish that is added is a requirement of its own, although a statement is about the same thing. */
static json_t *adding(struct bench *b, const struct gen_ask *ask, const char *prompt)
{
    if (strcmp(ask->name, "comment") == 0)
        return json_pack("{s:s,s:s}", "action", "add", "requirement", "1");
    if (strcmp(ask->name, "sentence") == 0) {
        b->sentences++;
        assert_non_null(strstr(prompt, "Wanted:\nWhen the battery of a muted sensor falls"));
        assert_non_null(strstr(prompt, "Problem:\n")); /* what the wish is about */
        assert_null(strstr(prompt, "Sentence:\n"));
        return json_pack("{s:s,s:s}", "requirement",
                         "The system SHALL tell the night shift when the battery of a muted sensor "
                         "falls.",
                         "title", "Night shift");
    }
    if (strcmp(ask->name, "scenarios") == 0)
        return json_pack("{s:s,s:s,s:s}", "given", "a muted sensor", "when", "its battery falls",
                         "then", "the night shift has a message from the system");
    return good(b, ask, prompt);
}

static void a_wish_that_is_added_stays_itself(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.reply = good;
    json_t *best = bench_run(&b);
    bench_close(&b);
    json_t *comments = findings_of(
        "{\"items\":[{\"id\":\"c1\",\"text\":\"When the battery of a muted sensor falls, the night "
        "shift should be told\",\"round\":1}]}");
    bench_open(&b);
    b.reply = adding;
    b.in.best = best;
    b.in.comments = comments;
    b.in.round = 2;
    b.in.parent = 1;
    json_t *d = bench_run(&b);
    assert_int_equal(b.sentences, 1);
    assert_int_equal(js_count(js_list(d, "requirements")), 4);
    const json_t *r = requirement(d, "Night shift");
    assert_non_null(r);
    assert_string_equal(json_string_value(js_at(js_list(r, "sources"), 0)), "c1");
    json_decref(d);
    json_decref(best);
    json_decref(comments);
    bench_close(&b);
}

static json_t *factual(struct bench *b, const struct gen_ask *ask, const char *prompt)
{
    if (strcmp(ask->name, "sentence") == 0 && strstr(prompt, "Sentence:\nUploads")) {
        assert_non_null(strstr(prompt, "max_upload_mb = 25"));
        assert_null(strstr(prompt, "unrelated_setting"));
        bool again = strstr(prompt, "Instructions:") != NULL;
        return json_pack("{s:s,s:s}", "requirement",
                         again ? "The system SHALL refuse uploads above 25 MB."
                               : "The system SHALL refuse uploads above the limit.",
                         "title", "Upload limit");
    }
    if (strcmp(ask->name, "scenarios") == 0)
        return json_pack("{s:s,s:s,s:s}", "given", "", "when", "a user uploads a file above 25 MB",
                         "then", "the upload is refused with a message");
    if (strcmp(ask->name, "capability") == 0)
        return json_pack("{s:s}", "capability", "none of them");
    if (strcmp(ask->name, "purpose") == 0)
        return json_pack("{s:s,s:s}", "purpose", "Files.", "name", "File Uploads!");
    return good(b, ask, prompt);
}

static void facts_of_tools_are_used_and_cited(void **state)
{
    struct bench b;
    (void)state;
    json_t *insights =
        findings_of("{\"items\":[{\"id\":\"i1\",\"server\":\"fs\",\"tool\":\"read\",\"hash\":\"h\","
                    "\"excerpt\":\"# limits\\nunrelated_setting = 9\\nmax_upload_mb = 25\"}]}");
    bench_open(&b);
    b.reply = factual;
    b.in.insights = insights;
    js_set_z(b.brief, "problem",
             "Uploads must stop at the max_upload_mb limit of the configuration.");
    json_t *d = bench_run(&b);
    const json_t *r = requirement(d, "Upload limit");
    assert_non_null(r);
    assert_string_equal(js_str(r, "text"), "The system SHALL refuse uploads above 25 MB.");
    assert_string_equal(json_string_value(js_at(js_list(r, "sources"), 0)), "i1");
    assert_string_equal(js_str(js_at(js_list(d, "sources"), 0), "hash"), "h");
    assert_string_equal(js_str(r, "capability"), "file-uploads");
    assert_true(strlen(js_str(js_at(js_list(d, "purposes"), 0), "text")) >= 50);
    json_decref(d);
    json_decref(insights);
    bench_close(&b);
}

static void without_findings_every_round_is_a_new_draw(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.reply = good;
    json_t *best = bench_run(&b);
    bench_close(&b);
    bench_open(&b);
    b.reply = good;
    b.in.best = best;
    b.in.best_review = findings_of(
        "{\"findings\":[{\"severity\":\"error\",\"code\":\"measure.repeats\",\"message\":\"m\","
        "\"fix\":\"Leave it out\",\"requirement\":\"Battery warning\"}]}");
    b.in.findings = false;
    b.in.round = 2;
    b.in.parent = 1;
    json_t *d = bench_run(&b);
    assert_int_equal(b.sentences, 3);
    assert_non_null(requirement(d, "Battery warning"));
    json_decref((json_t *)(uintptr_t)b.in.best_review);
    json_decref(d);
    json_decref(best);
    bench_close(&b);
}

static void words_and_lines(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    struct words x = text_words(&a, LANG_EN, str_of("Locked accounts within 1,000 minutes")),
                 y = text_words(&a, LANG_EN, str_of("lock the account for 1000 minutes"));
    const struct words *sets[] = { &y };
    assert_int_equal(words_common(&x, &y), 3);
    assert_int_equal(words_figures(&x), 1);
    struct words five = text_words(&a, LANG_EN, str_of("after five attempts")),
                 v = text_words(&a, LANG_EN, str_of("5 attempts")),
                 bare = text_words(&a, LANG_EN, str_of("some 1000 or more"));
    assert_int_equal(words_common(&five, &v), 2);
    assert_int_equal(words_figures(&five), 1);
    assert_int_equal(words_figures_missing(&bare, sets, 1, NULL), 0);
    assert_int_equal(words_figures_missing(&five, sets, 1, NULL), 1);
    assert_string_equal(text_line(&a, str_of("  a\n\tb\x01 c "), 100), "a b c");
    assert_string_equal(text_line(&a, str_of("caf\xc3\xa9"), 4), "caf");
    arena_fini(&a);
}

/* Only what the step is about is shown, and what it points at. A model that writes about something else
 * all the same does not make the statement get lost. */
static json_t *straying(struct bench *b, const struct gen_ask *ask, const char *prompt)
{
    if (strcmp(ask->name, "sentence") == 0) {
        b->sentences++;
        assert_null(strstr(prompt, "Problem:"));
        assert_null(strstr(prompt, "Last winter"));
        bool limit = strstr(prompt, "Sentence:\nStaff must be exempt from that limit") != NULL;
        assert_int_equal(limit, strstr(prompt, "The sentence before it") != NULL);
        assert_int_equal(limit, strstr(prompt, "at most 8 open reservations.\n\nSentence:") != NULL);
        return json_pack("{s:s,s:s}", "requirement",
                         "The system SHALL allow at most 8 open reservations of a household.",
                         "title", "Reservations");
    }
    if (strcmp(ask->name, "scenarios") == 0)
        return json_pack("{s:s,s:s,s:s}", "given", "", "when",
                         "staff or a household wants a ninth of 8 reservations, from exempt", "then",
                         "the 9 reservations of exempt staff stand, a household is refused at 8");
    if (strcmp(ask->name, "purpose") == 0)
        return json_pack("{s:s,s:s}", "purpose", "Fair reservations.", "name", "reservations");
    return good(b, ask, prompt);
}

static void a_small_model_sees_one_statement(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    js_set_z(b.brief, "problem",
             "# Reservations pile up\n\nLast winter 340 items waited in vain. A household should have "
             "at most\n8 open reservations. Staff must be exempt from that limit.");
    b.reply = straying;
    json_t *d = bench_run(&b);
    assert_int_equal(js_count(js_list(d, "requirements")), 2);
    json_t *all = json_incref(json_object_get(d, "requirements"));
    assert_non_null(strstr(js_str(js_at(all, 0), "text"), "8 open reservations"));
    assert_string_equal(js_str(js_at(all, 1), "text"), "Staff MUST be exempt from that limit.");
    assert_null(strstr(b.names, "plan")); /* it could be read: nothing to sort */
    json_decref(all);
    json_decref(d);
    bench_close(&b);
}

/* What cannot be read is sorted by the model, as in a language without cues. */
static json_t *sorter(struct bench *b, const struct gen_ask *ask, const char *prompt)
{
    if (strcmp(ask->name, "plan") == 0) {
        assert_non_null(strstr(prompt, "\n2. "));
        return json_pack("{s:s,s:s}", "1", "complaint", "2", "new behaviour");
    }
    (void)b;
    return NULL;
}

static void the_model_sorts_what_cannot_be_read(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    js_set_z(b.brief, "problem",
             "Laina-ajat ovat nykyisin liian lyhyet lukijoille. J\xc3\xa4senten laina-aika on 21 "
             "p\xc3\xa4iv\xc3\xa4\xc3\xa4 kirjoille.");
    b.reply = sorter;
    json_t *d = bench_run(&b);
    assert_int_equal(js_count(js_list(d, "requirements")), 1);
    assert_non_null(strstr(js_str(js_at(js_list(d, "requirements"), 0), "text"), "21"));
    assert_non_null(strstr(b.names, "plan"));
    json_decref(d);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_is_made_from_the_problem),
        cmocka_unit_test(a_new_figure_changes_the_old_rule),
        cmocka_unit_test(without_a_model_there_is_a_draft_all_the_same),
        cmocka_unit_test(what_is_lacking_is_asked_for_again),
        cmocka_unit_test(findings_touch_only_their_requirements),
        cmocka_unit_test(a_missing_sentence_gets_its_requirement),
        cmocka_unit_test(a_comment_is_followed_and_noted),
        cmocka_unit_test(a_wish_that_is_added_stays_itself),
        cmocka_unit_test(facts_of_tools_are_used_and_cited),
        cmocka_unit_test(without_findings_every_round_is_a_new_draw),
        cmocka_unit_test(a_small_model_sees_one_statement),
        cmocka_unit_test(the_model_sorts_what_cannot_be_read),
        cmocka_unit_test(words_and_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
