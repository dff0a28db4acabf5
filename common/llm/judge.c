/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/chat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { LOADING_MS = 2000, BUSY_MS = 5000, RETRY_AFTER_MAX_MS = 3600000 };

int64_t chat_retry_after_ms(const char *header, int64_t now_s)
{
    char *end;
    if (!header || !*header)
        return 0;
    double s = strtod(header, &end);
    if (end == header) {
        struct tm tm = { 0 };
        if (!strptime(header, "%a, %d %b %Y %H:%M:%S", &tm))
            return 0;
        s = (double)(timegm(&tm) - now_s);
    }
    if (!(s > 0))
        return 0;
    return s > RETRY_AFTER_MAX_MS / 1000.0 ? RETRY_AFTER_MAX_MS : (int64_t)(s * 1000.0);
}

static bool says(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasestr(text, words[i]))
            return true;
    }
    return false;
}

/* "the context is too small": every server has its own words, few have a type. */
static bool is_overflow(const struct chat_answer *a)
{
    static const char *const kinds[] = { "exceed_context_size", "context_length_exceeded" };
    static const char *const words[] = {
        "exceeds the available context size",
        "maximum context length",
        "prompt is too long",
        "trying to keep the first",
        "longer than the context length",
        "context length of only",
        "exceeds context",
        "context window",
    };
    return says(a->error_kind, kinds, COUNT(kinds)) || says(a->error, words, COUNT(words));
}

static bool is_no_model(const char *text)
{
    static const char *const words[] = { "no models loaded", "model not found", "is not loaded",
                                         "not found, try pulling", "does not exist" };
    return says(text, words, COUNT(words)) ||
           (strcasestr(text, "model '") && strcasestr(text, "' not found"));
}

/* What the answer says, cut to one line of printable characters. */
static void quote(const struct chat_answer *a, char out[200])
{
    const char *from = *a->error ? a->error : a->head;
    size_t n = *a->error ? strlen(a->error) : a->head_n, at = 0;
    for (size_t i = 0; i < n && at < 180; i++) {
        unsigned char c = (unsigned char)from[i];
        bool space = c <= ' ' || c == 0x7f;
        if (space && (at == 0 || out[at - 1] == ' '))
            continue;
        out[at++] = space ? ' ' : (char)c;
    }
    while (at > 0 && ((unsigned char)out[at - 1] & 0xc0) == 0x80)
        at--; /* do not end inside a UTF-8 sequence */
    if (at > 0 && (unsigned char)out[at - 1] >= 0xc0)
        at--;
    out[at] = '\0';
}

static struct chat_verdict say_that(const struct chat_transport *t, enum chat_class class,
                                    enum status st, const char *fmt, ...) PRINTF_LIKE(4, 5);

static struct chat_verdict say_that(const struct chat_transport *t, enum chat_class class,
                                    enum status st, const char *fmt, ...)
{
    struct chat_verdict v = { .class = class };
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&v.err, st, "model server %s, model %s: %s", t->url, *t->model ? t->model : "?", text);
    return v;
}

static struct chat_verdict refused(const struct chat_transport *t, const char *said)
{
    struct chat_verdict v = say_that(t, CHAT_PERMANENT, ERR_DENIED,
                                     "the server refuses the key (HTTP %ld): %s", t->code, said);
    err_fix(&v.err, "put a valid API key into a file and name it in model.key_file");
    return v;
}

static struct chat_verdict overloaded(const struct chat_transport *t, const char *said)
{
    bool loading = strcasestr(said, "loading") != NULL;
    struct chat_verdict v =
        say_that(t, CHAT_OVERLOADED, ERR_BUSY, "%s (HTTP %ld): %s",
                 loading ? "the model is being loaded" : "the server is busy", t->code, said);
    v.retry_after_ms = chat_retry_after_ms(t->retry_after, t->now_s);
    if (v.retry_after_ms == 0)
        v.retry_after_ms = loading ? LOADING_MS : BUSY_MS;
    return v;
}

/* The server said `error`, with whatever HTTP status. */
static struct chat_verdict said_error(const struct chat_answer *a, const struct chat_transport *t,
                                      const char *said)
{
    struct chat_verdict v;
    if (is_overflow(a)) {
        v = say_that(t, CHAT_PERMANENT, ERR_LIMIT,
                     "the prompt does not fit the model's context: %s", said);
        err_fix(&v.err,
                "load the model with a larger context (llama.cpp: -c, divided by its slots; "
                "LM Studio: Context Length; Ollama: num_ctx), or shorten the problem");
        return v;
    }
    if (is_no_model(a->error)) {
        v = say_that(t, CHAT_PERMANENT, ERR_NOT_FOUND, "the server does not have the model: %s",
                     said);
        err_fix(&v.err, "load the model in the server, or set model.name to one that it lists");
        return v;
    }
    if (strcasestr(a->error, "unexpected endpoint")) {
        v = say_that(t, CHAT_PERMANENT, ERR_NOT_FOUND, "the server does not know this path: %s",
                     said);
        err_fix(&v.err,
                "set model.url to the server's OpenAI-compatible base, usually ending in /v1");
        return v;
    }
    if (t->code == 200)
        return say_that(t, CHAT_RETRYABLE, ERR_UNAVAILABLE, "an error inside the answer: %s", said);
    return say_that(t, t->code >= 500 || t->code == 408 ? CHAT_RETRYABLE : CHAT_PERMANENT,
                    ERR_UNAVAILABLE, "HTTP %ld: %s", t->code, said);
}

static struct chat_verdict bad_status(const struct chat_answer *a, const struct chat_transport *t)
{
    char said[200];
    quote(a, said);
    if (t->code == 401 || t->code == 403)
        return refused(t, said);
    if (t->code == 429 || t->code == 503 || t->code == 529)
        return overloaded(t, said);
    if (t->code == 404 && !is_no_model(a->error)) {
        struct chat_verdict v =
            say_that(t, CHAT_PERMANENT, ERR_NOT_FOUND, "not found (HTTP 404): %s", said);
        err_fix(&v.err,
                "set model.url to the server's OpenAI-compatible base, usually ending in /v1");
        return v;
    }
    if (t->code >= 300 && t->code < 400) {
        struct chat_verdict v =
            say_that(t, CHAT_PERMANENT, ERR_CONFIG, "the server redirects (HTTP %ld)", t->code);
        err_fix(&v.err, "set model.url to the address that it redirects to");
        return v;
    }
    return said_error(a, t, said);
}

static struct chat_verdict bad_transport(const struct chat_answer *a,
                                         const struct chat_transport *t)
{
    struct chat_verdict v;
    const char *why = *t->text ? t->text : status_text(t->status);
    if (t->status == ERR_CONFIG) {
        v = say_that(t, CHAT_PERMANENT, ERR_CONFIG, "%s", why);
        err_fix(&v.err, "model.url must look like http://127.0.0.1:1234/v1");
    } else if (t->status == ERR_LIMIT) {
        v = say_that(t, CHAT_RETRYABLE, ERR_LIMIT, "%s", why);
    } else if (t->code == 0 && t->status == ERR_UNAVAILABLE) {
        v = say_that(t, CHAT_RETRYABLE, ERR_UNAVAILABLE, "cannot be reached: %s", why);
        err_fix(&v.err, "start the model server, or set model.url to where it listens");
        v.unreachable = true;
    } else if (t->status == ERR_TIMEOUT && a->head_n == 0) {
        v = say_that(t, CHAT_RETRYABLE, ERR_TIMEOUT, "%s", why);
        err_fix(&v.err,
                "raise model.first if the model needs longer to load or to read the prompt");
        v.unreachable = t->code == 0;
    } else {
        v = say_that(t, CHAT_RETRYABLE, ERR_UNAVAILABLE,
                     "the answer was cut off after %lld tokens: %s", (long long)a->pieces, why);
    }
    return v;
}

/* A 200 that came to its end: is there an answer in it? */
static struct chat_verdict judge_body(const struct chat_answer *a, const struct chat_transport *t)
{
    char said[200];
    quote(a, said);
    if (*a->error)
        return said_error(a, t, said);
    if (a->form == CHAT_HTML || a->form == CHAT_OTHER) {
        struct chat_verdict v = say_that(t, CHAT_PERMANENT, ERR_PROTOCOL, "%s instead of JSON: %s",
                                         a->form == CHAT_HTML ? "HTML" : "plain text", said);
        err_fix(&v.err, "is model.url the model server itself? A proxy or web page answers there");
        return v;
    }
    if (a->bad)
        return say_that(t, CHAT_RETRYABLE, ERR_PROTOCOL, "malformed JSON in the answer: %s", said);
    if (!a->choice && !a->done)
        return say_that(t, CHAT_RETRYABLE, ERR_PROTOCOL, "an answer without a choice: %s",
                        *said ? said : "nothing at all");
    if (!a->done && !*a->finish)
        return say_that(t, CHAT_RETRYABLE, ERR_UNAVAILABLE,
                        "the stream ended after %lld tokens without saying so",
                        (long long)a->pieces);
    if (chat_text(a).n == 0 && a->calls_n == 0) {
        struct chat_verdict v = say_that(t, CHAT_RETRYABLE, ERR_DATA, "an empty answer");
        v.empty = true;
        v.truncated = strcmp(a->finish, "length") == 0;
        return v;
    }
    return (struct chat_verdict){ .class = CHAT_GOOD,
                                  .truncated = strcmp(a->finish, "length") == 0,
                                  .from_reasoning = a->content.len == 0 && a->reasoning.len > 0 };
}

struct chat_verdict chat_judge(const struct chat_answer *a, const struct chat_transport *t)
{
    if (t->code >= 300 || (t->code > 0 && t->code < 200))
        return bad_status(a, t);
    if (t->status != OK &&
        !(a->done && !*a->error)) /* after [DONE] the connection may do as it likes */
        return *a->error ? judge_body(a, t) : bad_transport(a, t);
    return judge_body(a, t);
}
