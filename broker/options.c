/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_STORE_MS = 10000, WAIT_STORE_MOST_MS = 86400000 };

static void usage(FILE *to)
{
    fprintf(
        to,
        "usage: pawl-broker [--config FILE] [--endpoint ENDPOINT] [--redis URL]\n"
        "                   [--wait-store MS] [--standby] [--set KEY=VALUE]...\n"
        "       pawl-broker --fsck [--repair] [--json] [--config FILE] [--redis URL]\n"
        "\n"
        "The broker: keeps jobs in Redis and gives their stages to workers.\n"
        "\n"
        "  --config FILE        configuration file instead of the project's pawl.yaml\n"
        "  --endpoint ENDPOINT  listen on ipc://PATH or tcp://HOST:PORT (broker.endpoint)\n"
        "  --redis URL          unix:///PATH, redis://[USER:PASSWORD@]HOST[:PORT] or\n"
        "                       redis+sentinel://[USER:PASSWORD@]HOST[:PORT],.../NAME (redis.url)\n"
        "  --wait-store MS      wait this long for Redis at start, %d if not given\n"
        "  --set KEY=VALUE      any configuration key; `pawl config show` lists them\n"
        "  --standby            wait while another broker leads, and take over when it is gone\n"
        "  --fsck               hold the indexes in Redis against the jobs' records, tell every\n"
        "                       difference and end; refused while a broker leads\n"
        "  --repair             with --fsck: put them right\n"
        "  --json               with --fsck: a JSON object per line\n"
        "  --version, --help\n"
        "\n"
        "Logs `ready endpoint=...` when it serves; with --standby `standing by` before that, and it\n"
        "listens only then. SIGTERM stops it after what it holds is "
        "durable.\n"
        "Exit codes: 0 stopped, 64 misuse, 69 Redis or the endpoint cannot be had, 78 "
        "configuration;\n"
        "--fsck: 0 nothing differs or all was repaired, 1 something differs.\n",
        WAIT_STORE_MS);
}

static int misuse(const char *what, const char *why)
{
    fprintf(stderr, "pawl-broker: %s: %s\nTry 'pawl-broker --help'.\n", what, why);
    return status_exit(ERR_USAGE);
}

static bool add_flag(struct broker_options *o, const char *path, const char *value)
{
    if (o->flags_n == COUNT(o->flags))
        return false;
    o->flags[o->flags_n++] = (struct conf_flag){ path, value };
    return true;
}

static bool add_set(struct broker_options *o, char *text)
{
    char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return false;
    *eq = '\0';
    return add_flag(o, text, eq + 1);
}

static bool take_wait(struct broker_options *o, const char *text)
{
    char *end;
    long ms = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || ms < 0 || ms > WAIT_STORE_MOST_MS)
        return false;
    o->wait_store_ms = ms;
    return true;
}

static bool take_value(struct broker_options *o, const char *name, char *value, bool *known)
{
    *known = true;
    if (strcmp(name, "--config") == 0) {
        o->config = value;
        return true;
    }
    if (strcmp(name, "--endpoint") == 0)
        return add_flag(o, "broker.endpoint", value);
    if (strcmp(name, "--redis") == 0)
        return add_flag(o, "redis.url", value);
    if (strcmp(name, "--set") == 0)
        return add_set(o, value);
    if (strcmp(name, "--wait-store") == 0)
        return take_wait(o, value);
    *known = false;
    return false;
}

static bool take_switch(struct broker_options *o, const char *name)
{
    if (strcmp(name, "--standby") == 0)
        return o->standby = true;
    if (strcmp(name, "--fsck") == 0)
        return o->fsck = true;
    if (strcmp(name, "--repair") == 0)
        return o->repair = true;
    if (strcmp(name, "--json") == 0)
        return o->json = true;
    return false;
}

int options_parse(int argc, char **argv, struct broker_options *out)
{
    *out = (struct broker_options){ .wait_store_ms = WAIT_STORE_MS };
    for (int i = 1; i < argc; i++) {
        bool known = false;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("pawl-broker %s\n", PAWL_VERSION);
            return 0;
        }
        if (take_switch(out, argv[i]))
            continue;
        if (i + 1 == argc)
            return misuse(argv[i], "unknown option, or its value is missing");
        const char *name = argv[i++];
        if (!take_value(out, name, argv[i], &known))
            return misuse(name, known ? "this value cannot be used" : "unknown option");
    }
    if ((out->repair || out->json) && !out->fsck)
        return misuse(out->repair ? "--repair" : "--json", "only with --fsck");
    if (out->standby && out->fsck)
        return misuse("--standby", "not with --fsck");
    return -1;
}
