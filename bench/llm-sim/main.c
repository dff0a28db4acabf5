/* SPDX-License-Identifier: Apache-2.0 */
/* llm-sim: a SIMULATED model server for tests and benchmarks. It understands nothing. */
#include "bench/llm-sim/sim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void usage(FILE *to)
{
    fputs("usage: llm-sim [--host ADDR] [--port N] [--model NAME] [--seed N] [--ttft-ms N]\n"
          "               [--tokens-per-s N] [--slots N] [--fault KIND] [--fault-every N]\n\n"
          "A SIMULATED model server, OpenAI-shaped: /v1/models, /v1/chat/completions, /props, "
          "/health,\n"
          "/sim/stats, /sim/fault/KIND. Prints `ready http://ADDR:PORT` when it listens. Port 0 "
          "takes a\n"
          "free one; rate 0 says everything at once; slots 0 sets no bound.\n\n"
          "A URL below /fault/KIND/v1 misbehaves, and --fault makes all of them. Kinds:\n",
          to);
    for (enum sim_fault f = SIM_FAULT_NONE; f < SIM_FAULT_COUNT; f++)
        fprintf(to, "  %-10s %s\n", sim_fault_name(f), sim_fault_help(f));
}

static bool set(struct sim_conf *c, const char *flag, const char *value)
{
    char *end = NULL;
    double n = strtod(value, &end);
    bool number = *value && !*end && n >= 0;
    if (strcmp(flag, "--host") == 0)
        c->host = value;
    else if (strcmp(flag, "--model") == 0)
        c->model = value;
    else if (strcmp(flag, "--fault") == 0)
        c->fault = sim_fault_of(value, strlen(value));
    else if (!number)
        return false;
    else if (strcmp(flag, "--port") == 0)
        c->port = n <= 65535 ? (int)n : 0;
    else if (strcmp(flag, "--seed") == 0)
        c->seed = strtoull(value, NULL, 10);
    else if (strcmp(flag, "--ttft-ms") == 0)
        c->ttft_ms = (int64_t)n;
    else if (strcmp(flag, "--tokens-per-s") == 0)
        c->tokens_per_s = n;
    else if (strcmp(flag, "--slots") == 0)
        c->slots = n <= 100000 ? (int)n : 0;
    else if (strcmp(flag, "--fault-every") == 0)
        c->fault_every = n <= 1000000 ? (int)n : 1;
    else
        return false;
    return c->fault != SIM_FAULT_COUNT;
}

static void on_signal(void *ctx, int signo)
{
    (void)signo;
    mux_stop(ctx);
}

int main(int argc, char **argv)
{
    struct sim_conf conf = { .host = "127.0.0.1", .model = "llm-sim", .slots = 8 };
    struct err err = { 0 };
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            return 0;
        }
        if (i + 1 == argc || !set(&conf, argv[i], argv[i + 1])) {
            fprintf(stderr, "llm-sim: %s: unknown or incomplete option\n", argv[i]);
            usage(stderr);
            return status_exit(ERR_USAGE);
        }
    }
    struct mux *mux = mux_new(&err);
    struct sim *sim = mux ? sim_open(mux, &conf, &err) : NULL;
    if (!sim || mux_signal(mux, SIGTERM, on_signal, mux) != OK ||
        mux_signal(mux, SIGINT, on_signal, mux) != OK) {
        fprintf(stderr, "llm-sim: %s\n", err.text);
        return status_exit(ERR_UNAVAILABLE);
    }
    printf("ready http://%s:%d\n", conf.host, sim_port(sim));
    fflush(stdout);
    enum status st = mux_run(mux, &err);
    sim_close(sim);
    mux_free(mux);
    return status_exit(st);
}
