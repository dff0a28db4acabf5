/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl doctor`: one line per check, with the fix where there is something to fix. */
#include "clients/cli/cli.h"
#include "clients/cli/link.h"
#include "clients/cli/out.h"
#include "clients/cli/probe.h"
#include "clients/cli/spawn.h"
#include "common/conf_in.h"
#include "common/mcp/mcpjson.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ANSWER_MS = 5000, PROBE_MS = 3000 };

enum grade { PASS, WARN, FAIL };

struct exam {
    struct cli *cli;
    json_t *checks;
    bool failed;
};

static void note(struct exam *x, enum grade grade, const char *name, const char *text,
                 const char *fix)
{
    static const char *const grades[] = { "pass", "warn", "fail" }, *const colors[] = { "green",
                                                                                        "yellow",
                                                                                        "red" };
    x->failed = x->failed || grade == FAIL;
    if (out_is_json(x->cli)) {
        json_t *v = json_object();
        js_set_z(v, "check", name);
        js_set_z(v, "grade", grades[grade]);
        js_set_z(v, "message", text);
        if (*fix)
            js_set_z(v, "fix", fix);
        js_push(x->checks, v);
        return;
    }
    struct buf b;
    buf_init(&b, 65536);
    buf_printf(&b, "%s%s%s  %-10s ", paint(x->cli->color_out, colors[grade]), grades[grade],
               paint(x->cli->color_out, "off"), name);
    text_clean(&b, str_of(text), true);
    if (*fix) {
        buf_str(&b, "\n      fix: ");
        text_clean(&b, str_of(fix), false);
    }
    printf("%s\n", buf_z(&b));
    fflush(stdout);
    buf_fini(&b);
}

static void notef(struct exam *x, enum grade grade, const char *name, const char *fix,
                  const char *fmt, ...) PRINTF_LIKE(5, 6);
static void notef(struct exam *x, enum grade grade, const char *name, const char *fix,
                  const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    note(x, grade, name, text, fix);
}

/* ---- configuration --------------------------------------------------------------------------- */

/* PAWL_MODLE_URL sets nothing: nobody would tell otherwise. */
static void check_environment(struct exam *x)
{
    extern char **environ;
    for (char **e = environ; *e; e++) {
        char path[128];
        size_t n = strcspn(*e, "="), best = 3;
        const char *nearest = NULL;
        if (strncmp(*e, "PAWL_", 5) != 0 || n >= sizeof path)
            continue;
        snprintf(path, sizeof path, "%.*s", (int)(n - 5), *e + 5);
        for (size_t i = 0; i < CONF_COUNT && best; i++) {
            char name[128];
            snprintf(name, sizeof name, "%s", conf_rows[i].path);
            for (char *p = name; *p; p++)
                *p = *p == '.' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
            size_t d = conf_distance(path, name);
            if (d < best) {
                best = d;
                nearest = conf_rows[i].path;
            }
        }
        if (nearest && best)
            notef(x, WARN, "config", "", "environment PAWL_%s sets nothing; '%s' is near", path,
                  nearest);
    }
}

static bool check_config(struct exam *x)
{
    struct err err = { 0 };
    struct peer_keys keys;
    if (cli_load_conf(x->cli, &err) != OK) {
        note(x, FAIL, "config", err.text, err.fix);
        return false;
    }
    if (conf_keys(x->cli->conf, false, &keys, &err) != OK)
        note(x, FAIL, "keys", err.text, err.fix);
    notef(x, PASS, "config", "", "project %s, state %s", conf_dir(x->cli->conf),
          conf_state_dir(x->cli->conf));
    check_environment(x);
    return true;
}

/* ---- broker ---------------------------------------------------------------------------------- */

static void check_durability(struct exam *x, const json_t *store)
{
    static const struct {
        const char *level, *means;
    } rows[] = {
        { "always", "an acknowledgement survives a loss of power" },
        { "everysec", "an acknowledgement survives a kill; a loss of power may cost two seconds" },
        { "weak", "appendfsync is off at times: a loss of power may cost what was acknowledged" },
        { "none", "without an append-only file a restart of Redis loses acknowledged jobs" },
    };
    const char *level = js_str(store, "durability"), *lacks = js_str(store, "lacks");
    if (*lacks)
        notef(x, WARN, "durability", js_str(store, "fix"), "%s: %s", js_str(store, "url"), lacks);
    if (js_bool(store, "unchecked", false))
        note(x, WARN, "durability", "appendfsync cannot be checked: CONFIG GET is not permitted",
             "ACL SETUSER … +config|get, or see to it yourself");
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!*lacks && strcmp(level, rows[i].level) == 0)
            notef(x, i < 2 ? PASS : WARN, "durability", "", "%s: %s", level, rows[i].means);
    }
}

static void check_store(struct exam *x, const json_t *status)
{
    const json_t *store = js_obj(status, "store");
    int64_t used = js_int(store, "used_bytes", 0), most = js_int(store, "max_bytes", 0);
    if (!js_bool(store, "ok", false))
        notef(x, FAIL, "redis",
              *js_str(store, "fix") ? js_str(store, "fix")
                                    : "jobs go on by themselves when it is back",
              "%s: %s", js_str(store, "url"), js_str(store, "reason"));
    else if (most > 0 && used > most / 10 * 9)
        notef(x, WARN, "redis", "raise maxmemory, or keep fewer jobs (retain.jobs, retain.age)",
              "%s: %" PRId64 " of %" PRId64 " MiB used; above 90 %% submissions are refused",
              js_str(store, "url"), used >> 20, most >> 20);
    else
        notef(x, PASS, "redis", "", "%s, version %s", js_str(store, "url"),
              js_str(store, "version"));
    if (js_bool(store, "ok", false))
        check_durability(x, store);
}

static void check_stages(struct exam *x, const json_t *status)
{
    const json_t *stages = js_list(status, "stages");
    struct buf idle;
    int64_t waiting = 0;
    buf_init(&idle, 65536);
    for (size_t i = 0; i < js_count(stages); i++) {
        const json_t *s = js_at(stages, i);
        if (js_int(s, "workers", 0) > 0)
            continue;
        buf_printf(&idle, "%s%s", idle.len ? ", " : "", js_str(s, "stage"));
        waiting += js_int(s, "ready", 0);
    }
    if (idle.len)
        notef(x, waiting ? FAIL : WARN, "workers",
              "`pawl up` starts one of each, or start them on another machine",
              "no worker serves %s; %" PRId64 " tasks wait for one", buf_z(&idle), waiting);
    else
        notef(x, PASS, "workers", "", "every stage is served, %" PRId64 " connected",
              js_int(js_obj(status, "peers"), "workers", 0));
    buf_fini(&idle);
}

static void check_broker(struct exam *x)
{
    struct talk talk;
    struct err err = { 0 };
    json_t *status = NULL;
    struct msg m = { .type = MSG_STATUS };
    enum status st = talk_open(&talk, x->cli->conf, ANSWER_MS, false, &err);
    if (st == OK)
        st = talk_ask(&talk, &m, NULL, 0, true, &err);
    if (st == OK)
        st = talk_map(&talk, &status, &err);
    if (st != OK) {
        note(x, FAIL, "broker", err.text, err.fix);
    } else {
        bool same = strcmp(js_str(status, "version"), PAWL_VERSION) == 0;
        notef(x, same ? PASS : WARN, "broker", same ? "" : "install the same version everywhere",
              "%s, version %s%s%s", conf_endpoint(x->cli->conf), js_str(status, "version"),
              same ? "" : ", this is ", same ? "" : PAWL_VERSION);
        check_store(x, status);
        check_stages(x, status);
    }
    json_decref(status);
    talk_close(&talk);
}

/* ---- models ---------------------------------------------------------------------------------- */

static void check_one_model(struct exam *x, const char *name, enum conf_key url,
                            enum conf_key model, enum conf_key key)
{
    struct probe v = { 0 };
    struct err err = { 0 };
    snprintf(v.url, sizeof v.url, "%s", conf_str(x->cli->conf, url));
    if (probe_all(&v, 1, conf_str(x->cli->conf, model), conf_str(x->cli->conf, key), PROBE_MS,
                  &err) != OK)
        note(x, FAIL, name, err.text, err.fix);
    else if (v.answers)
        notef(x, PASS, name, "", "%s, %s", v.url, v.model);
    else
        notef(x, FAIL, name, "start the server, or change the URL", "%s: %s", v.url, v.why);
}

static void check_models(struct exam *x)
{
    struct probe v[PROBES_MAX];
    struct err err = { 0 };
    bool any = false;
    if (*conf_str(x->cli->conf, CONF_JUDGE_URL))
        check_one_model(x, "judge", CONF_JUDGE_URL, CONF_JUDGE_NAME, CONF_JUDGE_KEY);
    if (*conf_str(x->cli->conf, CONF_MODEL_URL)) {
        check_one_model(x, "model", CONF_MODEL_URL, CONF_MODEL_NAME, CONF_MODEL_KEY);
        return;
    }
    size_t n = probe_usual(v);
    if (probe_all(v, n, conf_str(x->cli->conf, CONF_MODEL_NAME),
                  conf_str(x->cli->conf, CONF_MODEL_KEY), PROBE_MS, &err) != OK) {
        note(x, FAIL, "model", err.text, err.fix);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i].answers)
            notef(x, PASS, "model", "", "%s at %s, %s", v[i].kind, v[i].url, v[i].model);
        any = any || v[i].answers;
    }
    if (!any)
        note(x, FAIL, "model",
             "no model server answers on the usual ports (1234, 8080, 9931, 11434, 8000)",
             "start LM Studio, llama.cpp, Ollama or vLLM here, or set model.url");
}

/* ---- tools ----------------------------------------------------------------------------------- */

static const char *variable(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static void check_server(struct exam *x, const struct mcp_server *s)
{
    char path[PATH_MAX];
    if (s->disabled)
        notef(x, PASS, "mcp", "", "%s: disabled", s->name);
    else if (s->fault)
        notef(x, FAIL, "mcp", s->fix, "%s: %s", s->name, s->fault);
    else if (spawn_in_path(s->command, path, sizeof path))
        notef(x, PASS, "mcp", "", "%s: %s", s->name, path);
    else
        notef(x, FAIL, "mcp", "install it, or write its full path", "%s: '%s' is not in PATH",
              s->name, s->command);
}

static void check_mcp(struct exam *x)
{
    char beside[PATH_MAX], piece[8192];
    struct err err = { 0 };
    struct buf text;
    size_t n;
    const char *path = conf_str(x->cli->conf, CONF_ANALYZE_MCP);
    bool given = *path;
    if (!given) {
        snprintf(beside, sizeof beside, "%.4000s/mcp.json", conf_dir(x->cli->conf));
        path = beside;
    }
    FILE *f = fopen(path, "re");
    if (!f && !given) {
        note(x, PASS, "mcp", "no mcp.json: the analyze stage has no tools", "");
        return;
    }
    if (!f) {
        notef(x, FAIL, "mcp", "correct analyze.mcp", "%s: %s", path, strerror(errno));
        return;
    }
    buf_init(&text, MCPJSON_BYTES_MAX + sizeof piece);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_append(&text, piece, n);
    fclose(f);
    struct mcp_vars vars = { variable, NULL, conf_dir(x->cli->conf) };
    struct mcp_file file;
    if (mcpjson_read(buf_get(&text), path, &vars, &file, NULL, &err) != OK)
        notef(x, FAIL, "mcp", err.fix, "%s", err.text);
    for (size_t i = 0; i < file.n; i++)
        check_server(x, &file.servers[i]);
    for (size_t i = 0; i < file.remarks_n; i++)
        note(x, WARN, "mcp", file.remarks[i], "");
    mcpjson_fini(&file);
    buf_fini(&text);
}

static void check_tools(struct exam *x)
{
    char path[PATH_MAX];
    if (spawn_in_path("openspec", path, sizeof path))
        note(x, PASS, "openspec", path, "");
    else
        note(x, WARN, "openspec",
             "the openspec command is not in PATH; pawl does not need it, you may want to",
             "npm install -g @fission-ai/openspec");
    if (!*conf_str(x->cli->conf, CONF_REDIS_URL) &&
        !spawn_in_path("redis-server", path, sizeof path) &&
        !spawn_in_path("valkey-server", path, sizeof path))
        note(x, WARN, "redis", "redis-server is not in PATH: `pawl up` cannot start one",
             "apt-get install redis-server, or set redis.url");
}

static void check_disk(struct exam *x)
{
    struct statvfs fs;
    char at[PATH_MAX];
    snprintf(at, sizeof at, "%.4000s", conf_state_dir(x->cli->conf));
    while (statvfs(at, &fs) != 0) {
        char *slash = strrchr(at, '/');
        if (!slash || slash == at)
            return;
        *slash = '\0'; /* not made yet: its parent's disk */
    }
    uint64_t mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
    notef(x,
          mib < 64    ? FAIL
          : mib < 512 ? WARN
                      : PASS,
          "disk", mib < 512 ? "make room, or set state_dir" : "", "%" PRIu64 " MiB free at %s", mib,
          at);
}

int cmd_doctor(struct cli *cli)
{
    struct exam x = { .cli = cli, .checks = json_array() };
    if (check_config(&x)) {
        check_disk(&x);
        check_tools(&x);
        check_broker(&x);
        check_models(&x);
        check_mcp(&x);
    }
    if (out_is_json(cli)) {
        json_t *v = json_object();
        js_set_bool(v, "ok", !x.failed);
        js_set(v, "checks", json_incref(x.checks));
        out_json(cli, "Doctor", v);
    }
    json_decref(x.checks);
    return x.failed ? status_exit(ERR_NEGATIVE) : 0;
}
