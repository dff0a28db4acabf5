/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_LLM_CHAT_H
#define PAWL_LLM_CHAT_H
/* chat: the wire form of OpenAI-shaped /v1/chat/completions, as LM Studio, llama.cpp, Ollama and
 * vLLM really speak it. Pure: request bodies out, bytes of the answer in, one verdict at the end.
 *
 * A status of 200 proves nothing: LM Studio reports errors inside it, gateways answer HTML, a server
 * that dies cuts the stream in mid-token. A result is good only if nothing said `error`, there was a
 * choice with text or tool calls, and the end was said (finish_reason or [DONE]). */
#include "common/js.h"
#include "common/llm/sse.h"

struct chat_request {
    const char *model;
    json_t *messages;     /* borrowed: [{role, content}] */
    const json_t *schema; /* NULL: free text */
    const char *schema_name;
    json_t *tools;      /* borrowed, OpenAI shape; NULL: none */
    int64_t tokens_max; /* always sent: an endless answer has to be paid, too */
    double temperature;
    uint64_t seed;
};

/* The request without its stream flags, members in a fixed order: what its hash is taken of.
 * New reference. The order of properties inside `schema` is kept: servers generate in that order. */
json_t *chat_body(const struct chat_request *r);
/* The bytes for the wire: body + stream flags. */
enum status chat_wire(const json_t *body, struct buf *out) MUST_USE;
/* Compact bytes in the order of the tree, to be hashed. */
enum status chat_canonical(const json_t *body, struct buf *out) MUST_USE;

struct chat_call { /* a tool call, its pieces joined */
    char id[64];
    char name[128];
    struct buf arguments; /* JSON text */
};
enum { CHAT_CALLS_MAX = 16, CHAT_HEAD_MAX = 2048 };

struct chat_usage {
    int64_t in, out, cached;
    bool told; /* false: out is the number of pieces, in is unknown */
};

/* The answer while it arrives. */
struct chat_answer {
    struct sse sse;
    enum { CHAT_UNKNOWN, CHAT_EVENTS, CHAT_JSON, CHAT_HTML, CHAT_OTHER } form;
    struct buf content, reasoning; /* as told; invalid UTF-8 is possible */
    struct buf whole;              /* the body when it is not a stream of events */
    char head[CHAT_HEAD_MAX];      /* its beginning, for messages */
    size_t head_n;
    struct chat_call calls[CHAT_CALLS_MAX];
    size_t calls_n;
    char finish[24]; /* finish_reason, "" until told */
    struct chat_usage usage;
    int64_t pieces;
    bool choice, done, bad; /* a choice was seen; [DONE]; an event was not JSON */
    char error[512];        /* message of an error inside the answer, "" for none */
    char error_kind[64];    /* its type or code */
};

void chat_init(struct chat_answer *a, size_t answer_max);
void chat_fini(struct chat_answer *a);
/* Feed bytes of the body. `text` (may be NULL) gets content as it arrives.
 * ERR_LIMIT: larger than answer_max. */
typedef void chat_text_fn(void *ctx, struct str text);
enum status chat_feed(struct chat_answer *a, struct str bytes, chat_text_fn *text,
                      void *ctx) MUST_USE;
/* The body has ended, well or badly. Call once, before chat_judge. */
void chat_end(struct chat_answer *a);

/* How the transport saw it. */
struct chat_transport {
    enum status status;      /* of http: OK, ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_LIMIT, ERR_CONFIG */
    const char *text;        /* its words */
    long code;               /* HTTP status, 0: none */
    const char *type;        /* content type */
    const char *retry_after; /* header, "" when absent: seconds or a date */
    int64_t now_s;           /* seconds since 1970, for the date */
    const char *url, *model; /* for the words */
};

enum chat_class { CHAT_GOOD, CHAT_RETRYABLE, CHAT_PERMANENT, CHAT_OVERLOADED };

struct chat_verdict {
    enum chat_class class;
    bool empty;             /* retryable: a good end, but no text; another seed may help */
    bool truncated;         /* good, but cut at tokens_max or the context's end */
    bool from_reasoning;    /* the text is in `reasoning`, see chat_text() */
    bool unreachable;       /* nobody answers there: probe before the next call */
    int64_t retry_after_ms; /* overloaded: when to try again, 0: unknown */
    struct err err;         /* what and where, and what to do about it */
};

struct chat_verdict chat_judge(const struct chat_answer *a, const struct chat_transport *t);
/* The text of a good answer: content, or reasoning when content is empty. */
struct str chat_text(const struct chat_answer *a);

/* A Retry-After header in milliseconds: seconds or an HTTP date. 0: absent or malformed; at most
 * an hour. */
int64_t chat_retry_after_ms(const char *header, int64_t now_s);

/* JSON out of a model's text: strict, else without <think>…</think>, code fence and prose around the
 * first balanced object or list. NULL: none. New reference. */
json_t *chat_json(struct str text);

/* GET /v1/models: fill `name` with `wanted` if the server lists it, or, when wanted is "", with the
 * first that is not for embeddings. ERR_NOT_FOUND: not listed (err names what is); ERR_DATA: not a
 * list of models. `owner` gets owned_by of it. */
struct chat_model {
    char name[256];
    char owner[64];
};
enum status chat_models(struct str body, const char *wanted, struct chat_model *out,
                        struct err *err) MUST_USE;
/* Requests that the server takes at once, from llama.cpp's GET /props or LM Studio's GET
 * /api/v1/models; 0: not told. */
int64_t chat_slots(struct str body, const char *model);
/* Billions of parameters from a name such as "qwen2.5-coder-14b-instruct"; 0: not told. */
double chat_size_of(const char *model);
#endif
