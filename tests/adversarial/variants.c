/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/adversarial/variants.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool german(const struct subject *s)
{
    return strcmp(s->language, "de") == 0;
}

static const char *either(const struct subject *s, const char *english, const char *other)
{
    return german(s) ? other : english;
}

/* ---- parts -------------------------------------------------------------------------------------- */

static json_t *text_of(const char *fmt, ...) PRINTF_LIKE(1, 2);

static json_t *text_of(const char *fmt, ...)
{
    struct buf b;
    char piece[16384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(piece, sizeof piece, fmt, ap);
    va_end(ap);
    buf_init(&b, sizeof piece);
    buf_str(&b, piece);
    json_t *v = js_string(buf_get(&b));
    buf_fini(&b);
    return v;
}

/* A sentence as the rest of another one: without its capital (English) and its full stop. */
static const char *rest(const struct subject *s, const char *text, char out[2000])
{
    snprintf(out, 2000, "%s", text);
    size_t n = strlen(out);
    if (n && out[n - 1] == '.')
        out[n - 1] = '\0';
    if (!german(s) && n > 1 && islower((unsigned char)out[1]))
        out[0] = (char)tolower((unsigned char)out[0]);
    return out;
}

static json_t *steps(const char *text)
{
    json_t *list = json_array();
    js_push_z(list, text);
    return list;
}

static json_t *scenario(const char *when, const char *then)
{
    json_t *v = json_object();
    js_set_z(v, "name", "Case");
    js_set(v, "when", steps(when));
    js_set(v, "then", steps(then));
    return v;
}

/* Takes both. */
static json_t *requirement(size_t number, json_t *text, json_t *scene)
{
    json_t *v = json_object(), *scenes = json_array();
    js_set(v, "name", text_of("Rule %zu", number));
    js_set(v, "text", text);
    js_push(scenes, scene);
    js_set(v, "scenarios", scenes);
    return v;
}

/* "Nothing in particular": a condition and a result that are well-formed, and have nothing to do with it. */
static json_t *any_scene(const struct subject *s)
{
    return scenario(either(s, "the day begins at the office", "ein normaler Tag im Büro beginnt"),
                    either(s, "the screen shows it to everybody at work",
                           "der Bildschirm zeigt es allen an der Arbeit"));
}

static json_t *hollow_scene(const struct subject *s)
{
    return scenario(either(s, "the feature is used", "die Funktion benutzt wird"),
                    either(s, "it works as expected", "es funktioniert wie erwartet"));
}

static const char *shall(const struct subject *s)
{
    return either(s, "The system SHALL", "Das System MUST");
}

static const char *ensure(const struct subject *s)
{
    return either(s, "ensure that", "sicherstellen, dass");
}

static const char *at(const json_t *list, size_t i)
{
    return json_string_value(js_at(list, i));
}

json_t *draft_of(json_t *requirements)
{
    json_t *d = json_object(), *what = json_array(), *tasks = json_array(),
           *section = json_object(), *purpose = json_object(), *purposes = json_array();
    for (size_t i = 0; i < js_count(requirements); i++) {
        json_t *r = json_array_get(requirements, i);
        js_set_z(r, "op", "added");
        js_set_z(r, "capability", "new-ground");
    }
    js_set_z(d, "change_name", "try-something");
    js_set_z(d, "title", "Try something");
    js_set_z(d, "why",
             "Because somebody asked for it and nobody has done anything about it until today.");
    js_push_z(what, "Something changes");
    js_set(d, "what", what);
    js_set(d, "requirements", requirements);
    js_set_z(purpose, "capability", "new-ground");
    js_set_z(purpose, "text",
             "This capability says what everybody concerned may expect of the new rules, and when "
             "they hold.");
    js_push(purposes, purpose);
    js_set(d, "purposes", purposes);
    js_set_z(section, "title", "Work");
    js_set(section, "items", steps("Do it"));
    js_push(tasks, section);
    js_set(d, "tasks", tasks);
    return d;
}

json_t *draft_good(const struct subject *s)
{
    return draft_of(json_deep_copy(s->good));
}

/* ---- the five ------------------------------------------------------------------------------------ */

/* The specification as it is, as small models write it when they are shown it. */
static json_t *restated(const struct subject *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < js_count(s->known); i++) {
        json_t *r =
            requirement(i, json_incref(json_object_get(js_at(s->known, i), "text")), any_scene(s));
        js_set_z(r, "name", js_str(js_at(s->known, i), "name"));
        js_push(list, r);
    }
    return draft_of(list);
}

static json_t *pasted_whole(const struct subject *s)
{
    json_t *list = json_array();
    js_push(list,
            requirement(1,
                        text_of("%s %s: %s", shall(s),
                                either(s, "solve the following", "das folgende Problem lösen"),
                                s->problem),
                        any_scene(s)));
    return draft_of(list);
}

/* What is wanted in a scenario, word for word, under a sentence that says nothing. */
static json_t *pasted_scenario(const struct subject *s)
{
    json_t *list = json_array();
    js_push(list,
            requirement(1,
                        text_of("%s %s.", shall(s),
                                either(s, "behave as described", "sich wie beschrieben verhalten")),
                        scenario(either(s, "somebody uses it", "jemand es benutzt"), s->problem)));
    return draft_of(list);
}

static json_t *each_ensured(const struct subject *s, const json_t *sentences, bool told)
{
    json_t *list = json_array();
    char text[2000], then[2200];
    for (size_t i = 0; i < js_count(sentences); i++) {
        rest(s, at(sentences, i), text);
        snprintf(then, sizeof then, "%s%s",
                 told ? either(s, "this is what happens: ", "das geschieht: ") : "", text);
        js_push(list,
                requirement(
                    i + 1, text_of("%s %s %s.", shall(s), ensure(s), text),
                    scenario(either(s, "a normal day begins", "ein normaler Tag beginnt"), then)));
    }
    return draft_of(list);
}

static json_t *pasted_sentences(const struct subject *s)
{
    json_t *list = json_array();
    char text[2000];
    for (size_t i = 0; i < js_count(s->wishes); i++)
        js_push(list, requirement(i + 1,
                                  text_of("%s %s %s.", shall(s), ensure(s),
                                          rest(s, at(s->wishes, i), text)),
                                  hollow_scene(s)));
    return draft_of(list);
}

static json_t *grievance(const struct subject *s)
{
    return each_ensured(s, s->story, true);
}

static json_t *off_topic(const struct subject *s)
{
    return draft_of(json_deep_copy(s->elsewhere));
}

static json_t *empty_shell(const struct subject *s)
{
    json_t *list = json_array();
    js_push(list, requirement(1,
                              text_of("%s %s.", shall(s),
                                      either(s, "handle all cases correctly",
                                             "alle Fälle korrekt behandeln")),
                              hollow_scene(s)));
    js_push(list, requirement(
                      2,
                      text_of("%s %s.", shall(s),
                              either(s, "be improved as needed", "nach Bedarf verbessert werden")),
                      hollow_scene(s)));
    return draft_of(list);
}

/* ---- and their relatives --------------------------------------------------------------------------- */

/* The right sentences with scenarios that show nothing. */
static json_t *good_shell(const struct subject *s, const char *when, const char *then)
{
    json_t *list = json_deep_copy(s->good);
    for (size_t i = 0; i < js_count(list); i++) {
        json_t *scenes = json_array();
        js_push(scenes, scenario(when, then));
        js_set(json_array_get(list, i), "scenarios", scenes);
    }
    return draft_of(list);
}

static json_t *shell_expected(const struct subject *s)
{
    return good_shell(s, either(s, "the feature is used", "die Funktion benutzt wird"),
                      either(s, "it works as expected", "es funktioniert wie gewünscht"));
}

static json_t *shell_handled(const struct subject *s)
{
    return good_shell(s, either(s, "the situation occurs", "der Fall eintritt"),
                      either(s, "it is handled properly", "er wird korrekt behandelt"));
}

static json_t *shell_elsewhere(const struct subject *s)
{
    return good_shell(s, either(s, "the clock shows 8", "die Uhr 8 zeigt"),
                      either(s, "the start page opens", "die Startseite öffnet sich"));
}

/* Key words without a sentence. */
static json_t *salad(const struct subject *s)
{
    json_t *list = json_array();
    struct buf b;
    buf_init(&b, 12000);
    for (size_t i = 0; i < js_count(s->wishes); i++) {
        for (const char *p = at(s->wishes, i); *p; p++)
            buf_str(&b, *p == ' ' ? ", " : strchr(".,;", *p) ? "" : (char[]){ *p, '\0' });
        buf_str(&b, ", ");
    }
    js_push(list,
            requirement(
                1, text_of("%s %s %s.", shall(s), either(s, "support", "unterstützen:"), buf_z(&b)),
                any_scene(s)));
    buf_fini(&b);
    return draft_of(list);
}

/* All of the good sentences in one requirement, with a scenario about none of them. */
static json_t *lump(const struct subject *s)
{
    json_t *list = json_array();
    struct buf b;
    buf_init(&b, 12000);
    for (size_t i = 0; i < js_count(s->good); i++)
        buf_printf(&b, "%s ", js_str(js_at(s->good, i), "text"));
    js_push(list, requirement(1, text_of("%s", buf_z(&b)), any_scene(s)));
    buf_fini(&b);
    return draft_of(list);
}

/* What is wanted, as the condition of something else. */
static json_t *start_page(const struct subject *s)
{
    json_t *list = json_array();
    char text[2000];
    for (size_t i = 0; i < js_count(s->wishes); i++) {
        rest(s, at(s->wishes, i), text);
        js_push(list, requirement(i + 1,
                                  text_of("%s %s %s.", shall(s),
                                          either(s, "paint the start page blue when",
                                                 "die Startseite blau färben, wenn"),
                                          text),
                                  scenario(text, either(s, "the start page is blue",
                                                        "die Startseite ist blau"))));
    }
    return draft_of(list);
}

static json_t *study(const struct subject *s)
{
    json_t *list = json_array();
    char text[2000];
    for (size_t i = 0; i < js_count(s->wishes); i++) {
        rest(s, at(s->wishes, i), text);
        js_push(list,
                requirement(
                    i + 1,
                    text_of("%s %s %s.",
                            either(s, "The team SHALL investigate", "Das Projekt MUST prüfen"),
                            either(s, "whether", "ob"), text),
                    scenario(either(s, "the team meets on Monday", "das Projekt am Montag tagt"),
                             text)));
    }
    return draft_of(list);
}

static json_t *replaced(const struct subject *s, const char *const *from, const char *const *to,
                        size_t n)
{
    json_t *list = json_deep_copy(s->good);
    for (size_t i = 0; i < js_count(list); i++) {
        json_t *r = json_array_get(list, i);
        const char *text = js_str(r, "text");
        for (size_t k = 0; k < n; k++) {
            const char *hit = strstr(text, from[k]);
            if (!hit)
                continue;
            json_t *turned =
                text_of("%.*s%s%s", (int)(hit - text), text, to[k], hit + strlen(from[k]));
            js_set(r, "text", turned);
            break;
        }
    }
    return draft_of(list);
}

/* A wish without its words of wanting: "late fees of one household capped at 25 euros". */
static const char *noun_of(const struct subject *s, const char *wish, char out[2000])
{
    static const char *const words[] = { "should ", "must ",    "be able to ", "be ",
                                         "soll ",   "muss ",    "darf ",       "needs ",
                                         "can ",    "We want ", "we want " };
    char text[2000];
    rest(s, wish, text);
    size_t n = 0;
    for (const char *p = text; *p && n + 1 < 2000;) {
        size_t skip = 0;
        for (size_t i = 0; i < COUNT(words) && (p == text || p[-1] == ' '); i++)
            skip = strncmp(p, words[i], strlen(words[i])) == 0 ? strlen(words[i]) : skip;
        if (skip)
            p += skip;
        else
            out[n++] = *p++;
    }
    out[n] = '\0';
    return out;
}

struct around { /* what stands around a wish */
    const char *demand, *when, *before, *behind;
};

/* Under a verb that does nothing about it. */
static json_t *each_noun(const struct subject *s, const struct around *a)
{
    json_t *list = json_array();
    char noun[2000], result[3000];
    for (size_t i = 0; i < js_count(s->wishes); i++) {
        noun_of(s, at(s->wishes, i), noun);
        snprintf(result, sizeof result, "%s%s%s", a->before, noun, a->behind);
        js_push(list,
                requirement(i + 1, text_of("%s %s.", a->demand, noun), scenario(a->when, result)));
    }
    return draft_of(list);
}

static json_t *page_about(const struct subject *s)
{
    static const struct around en = { "The system SHALL show a page about",
                                      "a person opens the page", "the page tells of ", "" },
                               de = { "Das System MUST eine Seite anzeigen über",
                                      "jemand die Seite öffnet", "die Seite erzählt: ", "" };
    return each_noun(s, german(s) ? &de : &en);
}

static json_t *handles(const struct subject *s)
{
    static const struct around en = { "The system SHALL handle", "a person arrives at the desk", "",
                                      " is handled" },
                               de = { "Das System MUST behandeln:",
                                      "eine Person an den Schalter kommt", "", " wird behandelt" };
    return each_noun(s, german(s) ? &de : &en);
}

static json_t *noted(const struct subject *s)
{
    static const struct around en = { "The system SHALL keep a note that people asked for",
                                      "somebody opens the notes", "the note about ", " is there" },
                               de = { "Das System MUST vermerken, dass jemand fragte nach",
                                      "jemand die Vermerke öffnet",
                                      "der Vermerk steht dort: ", "" };
    return each_noun(s, german(s) ? &de : &en);
}

static json_t *some_day(const struct subject *s)
{
    static const struct around en = { "In a later release the system SHALL optionally have",
                                      "a later release is installed", "", " is part of it" },
                               de = { "Das System MUST irgendwann eventuell leisten:",
                                      "jemand Zeit dafür hat", "", " wird optional geprüft" };
    return each_noun(s, german(s) ? &de : &en);
}

/* All of it in results, under a demand that says nothing of it. */
static json_t *only_results(const struct subject *s)
{
    static const struct around en = { "The system SHALL regulate what happens at the desk. Note:",
                                      "a person arrives at the desk", "", "" },
                               de = { "Das System MUST regeln, was am Schalter geschieht. Hinweis:",
                                      "eine Person an den Schalter kommt", "", "" };
    return each_noun(s, german(s) ? &de : &en);
}

static json_t *fails_to(const struct subject *s)
{
    static const char *const from[] = { "SHALL NOT ", "SHALL " }, *const to[] = {
        "SHALL NOT ", "SHALL fail to "
    };
    return german(s) ? NULL : replaced(s, from, to, 2);
}

/* The good draft with one complaint made true. */
static json_t *good_with_grievance(const struct subject *s)
{
    json_t *list = json_deep_copy(s->good);
    char text[2000];
    js_push(list, requirement(
                      99, text_of("%s %s %s.", shall(s), ensure(s), rest(s, at(s->story, 0), text)),
                      any_scene(s)));
    return draft_of(list);
}

static json_t *opposite(const struct subject *s)
{
    static const char *const from[] = { "SHALL NOT ", "MUST NOT ", "SHALL ", "MUST " },
                             *const to[] = { "SHALL ", "MUST ", "SHALL NOT ", "MUST NOT " };
    return replaced(s, from, to, 4);
}

/* Every figure another one. */
static void turn_figures(json_t *v)
{
    const char *key;
    json_t *item;
    size_t i;
    json_array_foreach(v, i, item)
    {
        if (json_is_string(item)) {
            char out[2000];
            size_t n = 0;
            for (const char *p = json_string_value(item); *p && n + 2 < sizeof out; p++) {
                bool last = isdigit((unsigned char)*p) && !isdigit((unsigned char)p[1]);
                out[n++] = *p;
                if (last)
                    out[n++] = '7';
            }
            out[n] = '\0';
            json_array_set_new(v, i, json_string(out));
        } else {
            turn_figures(item);
        }
    }
    json_object_foreach(v, key, item)
    {
        if (json_is_string(item) && strcmp(key, "text") == 0) {
            json_t *one = json_array();
            json_array_append(one, item);
            turn_figures(one);
            json_object_set(v, key, json_array_get(one, 0));
            json_decref(one);
        } else {
            turn_figures(item);
        }
    }
}

static json_t *other_figures(const struct subject *s)
{
    json_t *list = json_deep_copy(s->good), *before = json_deep_copy(s->good);
    turn_figures(list);
    bool same = true; /* figures in scenarios are examples */
    for (size_t i = 0; i < js_count(list); i++)
        same =
            same && strcmp(js_str(js_at(list, i), "text"), js_str(js_at(before, i), "text")) == 0;
    json_decref(before);
    if (!same)
        return draft_of(list);
    json_decref(list);
    return NULL;
}

/* One behaviour of several. */
static json_t *first_only(const struct subject *s)
{
    json_t *list = json_array();
    if (js_count(s->good) < 2)
        return json_decref(list), NULL;
    json_array_append_new(list, json_deep_copy(js_at(s->good, 0)));
    return draft_of(list);
}

/* Each thing three times. */
static json_t *stutter(const struct subject *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < 3; i++) {
        json_t *r = json_deep_copy(js_at(s->good, 0));
        js_set(r, "name", text_of("Rule %zu", i));
        js_push(list, r);
    }
    return draft_of(list);
}

const struct variant variants[] = {
    { "the present specification restated", restated },
    { "the problem pasted whole", pasted_whole },
    { "the problem pasted into a scenario", pasted_scenario },
    { "the problem pasted sentence by sentence", pasted_sentences },
    { "the grievance turned into requirements", grievance },
    { "off the topic", off_topic },
    { "an empty shell", empty_shell },
    { "good sentences, results as expected", shell_expected },
    { "good sentences, cases handled", shell_handled },
    { "good sentences, scenarios about something else", shell_elsewhere },
    { "key words", salad },
    { "everything in one, nothing shown", lump },
    { "wishes as conditions of something else", start_page },
    { "work instead of a result", study },
    { "a grievance beside a good draft", good_with_grievance },
    { "the opposite", opposite },
    { "a page about it", page_about },
    { "handled", handles },
    { "a note of it", noted },
    { "some day, perhaps", some_day },
    { "in results only", only_results },
    { "fails to", fails_to },
    { "other figures", other_figures },
    { "one behaviour of several", first_only },
    { "the same thing three times", stutter },
};
const size_t variants_n = COUNT(variants);
