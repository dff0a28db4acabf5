/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_CLI_TALK_H
#define TEST_CLI_TALK_H
/* talk: the program, and a scripted broker that the test is. Every wait is for a message or for the
 * program's end, with a deadline. */
#include "tests/unit/unit.h"

#include "common/peer.h"

#include <sys/types.h>

enum { PATIENCE_MS = 10000, OUTPUT_MAX = 1 << 20 };
#define JOB_ID "4k2m00000000"

struct stage {
    char dir[64], endpoint[96];
    struct peer *broker;
    uint64_t epoch;
    struct peer_in in; /* the last message */
    struct msg m;
    char client[ROUTING_ID_MAX];
    size_t client_n;
    pid_t pid;
};

int talk_setup(void **state);
int talk_teardown(void **state);
#define TALK_TEST(f) cmocka_unit_test_setup_teardown(f, talk_setup, talk_teardown)

/* ---- the program */
void talk_start(struct stage *s, const char *const *words);
/* With a terminal on all three; returns our end of it. */
int talk_start_on_terminal(struct stage *s, const char *const *words);
/* Read the terminal until it shows the text; all: what it has shown, of size. */
void shows(struct stage *s, int terminal, const char *part, char *all, size_t size);
int ended(struct stage *s);                                            /* its exit code */
void wrote(const struct stage *s, const char *name, const char *part); /* to "out" or "err" */
char *output(const struct stage *s, const char *name);                 /* the caller frees */

/* ---- the broker */
void say(struct stage *s, struct msg *m, const struct buf *frame);
void welcome(struct stage *s); /* to its HELLO */
bool hear_any(struct stage *s, int wait_ms);
/* Wait for a message of this type; greet and answer pings on the way. Before a HELLO anything may
 * come that was said to the broker of before. */
void hear(struct stage *s, enum msg_type type);
/* The answer to what was heard last; the text is JSON with ' for ". */
void answer_map(struct stage *s, enum msg_type type, const char *text);
void answer_doc(struct stage *s, const char *name, const char *text);
void refuse(struct stage *s, uint64_t req, const char *code, const char *text, uint64_t retry_ms);
void okay(struct stage *s, const char *id);
void event(struct stage *s, uint64_t req, const char *id, const char *kind, const char *facts);

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define RUNNING                                                                                    \
    "{'id':'" JOB_ID "','state':'running','run':1,'round':1,'rounds_max':4,'stage':'generate'}"
#define ACCEPTED                                                                                   \
    "{'id':'" JOB_ID "','state':'accepted','reason':'target "                                      \
    "met','run':1,'round':2,'tokens_in':10,'tokens_out':5,'wall_ms':61000,"                        \
    "'best':{'run':1,'round':2,'verdict':{'gates':true,'measures':840,'judge':620,'errors':0,'"    \
    "warnings':0,'candidate':'x'}}}"
#endif
