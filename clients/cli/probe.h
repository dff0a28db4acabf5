/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_PROBE_H
#define PAWL_CLI_PROBE_H
/* probe: which model servers answer. Asks all at once for GET /v1/models, and waits a moment. */
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

struct probe {
    char url[512];   /* without /v1 */
    char kind[32];   /* "LM Studio", "llama.cpp", …; "" for a configured one */
    bool answers;    /* listed its models */
    char model[256]; /* the wanted one, or the first */
    char why[512];   /* when it does not answer */
};

enum { PROBES_MAX = 8 };

/* Fill in the usual places on this machine; returns their number. */
size_t probe_usual(struct probe *v);
/* Ask. `wanted` (may be ""): the model that has to be there. `key_file` (may be ""): API key.
 * Returns when all have answered, at most after timeout_ms. */
enum status probe_all(struct probe *v, size_t n, const char *wanted, const char *key_file,
                      int timeout_ms, struct err *err) MUST_USE;
#endif
