/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STAGES_CLIENT_H
#define BENCH_STAGES_CLIENT_H
/* client: a broker with the pipeline of four stages, someone who submits, workers that do nothing. */
#include "bench/stages/stages.h"
#include "tests/unit/broker/rig.h"

struct client {
    struct party party;
    struct buf doc, budget;
    uint64_t sent, durable;
};

_Noreturn void die(const char *what);
/* pawl.yaml of the rig: the four stages, and more of YAML. */
void write_settings(const struct rig *r, const char *more);
pid_t worker_start(const char *endpoint, unsigned i, unsigned slots, struct tally *t);
void client_open(struct client *c, struct rig *r);
void client_close(struct client *c);
void submit_one(struct client *c);
/* Take one message, if there is one within ms. */
void hear(struct client *c, int64_t ms);
/* Submit n jobs and wait until they are durable; submissions a second. */
double submit_all(struct client *c, unsigned n);
#endif
