/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_TESTS_OPENSPEC_PEER_H
#define PAWL_TESTS_OPENSPEC_PEER_H
/* peer: the real tool behind a pipe (oracle.mjs). */
#include "common/js.h"

#include <stdio.h>
#include <sys/types.h>

struct oracle {
    FILE *to, *from;
    pid_t pid;
    char *line;
    size_t line_cap;
};

bool oracle_start(struct oracle *o, const char *node, const char *script);
void oracle_stop(struct oracle *o);
/* The answer, new reference; NULL: it is gone. */
json_t *oracle_ask(struct oracle *o, const json_t *request);
json_t *base64(struct str s); /* as a JSON string, new reference */
#endif
