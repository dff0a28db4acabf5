/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/stages/client.h"

#include "common/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { WINDOW = 256, DOC_BYTES = 1024 };

static const char pipeline[] = "pipeline:\n"
                               "  - {stage: s1, each: round, reads: [problem], writes: [d1]}\n"
                               "  - {stage: s2, each: round, reads: [d1], writes: [d2]}\n"
                               "  - {stage: s3, each: round, reads: [d2], writes: [d3]}\n"
                               "  - {stage: s4, each: round, reads: [d3], writes: [d4]}\n";

_Noreturn void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

void write_settings(const struct rig *r, const char *more)
{
    char path[128];
    snprintf(path, sizeof path, "%s/pawl.yaml", r->dir);
    FILE *f = fopen(path, "we");
    if (!f || fputs(pipeline, f) == EOF || fputs(more, f) == EOF || fclose(f) != 0)
        die("pawl.yaml cannot be written");
}

pid_t worker_start(const char *endpoint, unsigned i, unsigned slots, struct tally *t)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    noop_run(endpoint, i, slots, t);
}

void client_open(struct client *c, struct rig *r)
{
    char text[DOC_BYTES + 1];
    memset(text, 'p', DOC_BYTES);
    text[DOC_BYTES] = '\0';
    *c = (struct client){ 0 };
    party_open(&c->party, r, "client", "bench", "");
    buf_init(&c->doc, 2 * DOC_BYTES);
    doc_text(&c->doc, text);
    buf_init(&c->budget, 64);
    mp_map(&c->budget, 1);
    mp_z(&c->budget, "rounds");
    mp_int(&c->budget, 1);
}

void client_close(struct client *c)
{
    party_close(&c->party);
    buf_fini(&c->doc);
    buf_fini(&c->budget);
}

void submit_one(struct client *c)
{
    char key[32], project[8];
    struct msg m = { .type = MSG_SUBMIT };
    struct str frame = buf_get(&c->doc);
    snprintf(key, sizeof key, "k%llu", (unsigned long long)c->sent);
    snprintf(project, sizeof project, "p%llu", (unsigned long long)c->sent % 3);
    m.SUBMIT = (struct msg_SUBMIT){ .req = ++c->sent,
                                    .key = str_of(key),
                                    .project = str_of(project),
                                    .budget = buf_get(&c->budget) };
    m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
    party_say(&c->party, &m, &frame, 1);
}

void hear(struct client *c, int64_t ms)
{
    if (!party_poll(&c->party, ms))
        return;
    if (c->party.m.type == MSG_REFUSED)
        die("a submission was refused");
    c->durable += c->party.m.type == MSG_SUBMITTED;
}

double submit_all(struct client *c, unsigned n)
{
    int64_t began = mono_now_us();
    uint64_t goal = c->sent + n;
    while (c->durable < goal) {
        while (c->sent < goal && c->sent - c->durable < WINDOW)
            submit_one(c);
        hear(c, 10000);
    }
    return n / ((double)(mono_now_us() - began) / 1e6);
}
