/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LLM_SIM_SIM_H
#define LLM_SIM_SIM_H
/* sim: a SIMULATED model server on the mux, OpenAI-shaped. Times and rates are configured, text
 * comes from words.h, and it can misbehave in all the ways that real servers do. */
#include "common/mux.h"

/* Ways to misbehave, for --fault KIND, POST /sim/fault/KIND, or a URL prefix /fault/KIND. Only
 * /chat/completions misbehaves: the list of models stays as it is. */
#define SIM_FAULTS(X)                                                                              \
    X(NONE, "none", "as it should be")                                                             \
    X(404, "404", "not found")                                                                     \
    X(401, "401", "wrong key")                                                                     \
    X(429, "429", "too many requests, Retry-After: 1")                                             \
    X(500, "500", "server error")                                                                  \
    X(503, "503", "the model is being loaded")                                                     \
    X(HTML, "html", "a web page, with status 200")                                                 \
    X(CUT, "cut", "the connection breaks in the middle of a token")                                \
    X(EMPTY, "empty", "no content, finish_reason stop")                                            \
    X(REASONING, "reasoning", "the JSON is in reasoning_content")                                  \
    X(ERROR, "error", "an error event inside a 200 stream")                                        \
    X(STRING, "string", "LM Studio: 200 and {\"error\":\"words\"}")                                \
    X(OVERFLOW, "overflow", "400, the context is too small")                                       \
    X(HANG, "hang", "takes the request and says nothing")                                          \
    X(REFUSE, "refuse", "closes the connection at once")

enum sim_fault {
#define X(id, name, help) SIM_FAULT_##id,
    SIM_FAULTS(X)
#undef X
        SIM_FAULT_COUNT
};

struct sim_conf {
    const char *host;
    int port; /* 0: any */
    const char *model;
    uint64_t seed;
    int64_t ttft_ms;     /* from the slot to the first token */
    double tokens_per_s; /* of one stream; 0: at once */
    int slots;           /* streams at once, the others wait; 0: no bound */
    enum sim_fault fault;
    int fault_every; /* misbehave only in every n-th completion; 1: always */
};

struct sim;

struct sim *sim_open(struct mux *mux, const struct sim_conf *conf,
                     struct err *err); /* NULL: failed */
void sim_close(struct sim *s);
int sim_port(const struct sim *s);
/* SIM_FAULT_COUNT: no such. */
enum sim_fault sim_fault_of(const char *name, size_t n);
const char *sim_fault_name(enum sim_fault f);
const char *sim_fault_help(enum sim_fault f);
#endif
