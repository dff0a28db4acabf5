/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/probe.h"

#include "common/http.h"
#include "common/llm/chat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BODY_MAX = 4 << 20 };

struct asked {
    struct probe *probe;
    const char *wanted;
    struct buf body;
    bool done;
};

size_t probe_usual(struct probe *v)
{
    static const struct {
        int port;
        const char *kind;
    } usual[] = { { 1234, "LM Studio" },
                  { 8080, "llama.cpp" },
                  { 9931, "llama.cpp" },
                  { 11434, "Ollama" },
                  { 8000, "vLLM" } };
    for (size_t i = 0; i < COUNT(usual); i++) {
        v[i] = (struct probe){ 0 };
        snprintf(v[i].url, sizeof v[i].url, "http://127.0.0.1:%d", usual[i].port);
        snprintf(v[i].kind, sizeof v[i].kind, "%s", usual[i].kind);
    }
    return COUNT(usual);
}

static enum status on_data(void *ctx, struct http_call *c, struct str piece)
{
    struct asked *a = ctx;
    (void)c;
    return buf_view(&a->body, piece);
}

static void on_done(void *ctx, struct http_call *c, enum status st, const char *text)
{
    struct asked *a = ctx;
    struct chat_model model = { 0 };
    struct err err = { 0 };
    long code = http_code(c);
    a->done = true;
    if (st != OK)
        snprintf(a->probe->why, sizeof a->probe->why, "%s", text);
    else if (code != 200)
        snprintf(a->probe->why, sizeof a->probe->why, "GET /v1/models: HTTP %ld%s", code,
                 code == 401 || code == 403 ? " (an API key is wanted: model.key_file)" : "");
    else if (chat_models(buf_get(&a->body), a->wanted, &model, &err) != OK)
        snprintf(a->probe->why, sizeof a->probe->why, "%.500s", err.text);
    a->probe->answers = !a->probe->why[0];
    snprintf(a->probe->model, sizeof a->probe->model, "%s", model.name);
}

/* "Authorization: Bearer …" from a file; "" when there is none. */
static enum status read_key(const char *path, char *line, size_t size, struct err *err)
{
    char key[512] = "";
    line[0] = '\0';
    if (!*path)
        return OK;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ERR_CONFIG, "%.300s: %s", path, strerror(errno));
    size_t n = fread(key, 1, sizeof key - 1, f);
    fclose(f);
    key[n] = '\0';
    key[strcspn(key, "\r\n")] = '\0';
    snprintf(line, size, "Authorization: Bearer %s", key);
    return OK;
}

static void start(struct http *http, struct asked *a, const char *const *headers, int timeout_ms)
{
    char url[600];
    size_t n = strlen(a->probe->url);
    bool versioned = n >= 3 && strcmp(a->probe->url + n - 3, "/v1") == 0;
    snprintf(url, sizeof url, "%s%s", a->probe->url, versioned ? "/models" : "/v1/models");
    struct http_request r = { .method = "GET",
                              .url = url,
                              .headers = headers,
                              .answer_max = BODY_MAX,
                              .first_ms = timeout_ms,
                              .stall_ms = timeout_ms,
                              .connect_ms = timeout_ms };
    if (!http_start(http, &r, on_data, on_done, a))
        a->done = true;
}

enum status probe_all(struct probe *v, size_t n, const char *wanted, const char *key_file,
                      int timeout_ms, struct err *err)
{
    struct asked asked[PROBES_MAX] = { 0 };
    char authorization[600];
    const char *headers[] = { authorization, NULL };
    n = n < PROBES_MAX ? n : PROBES_MAX;
    enum status st = read_key(key_file, authorization, sizeof authorization, err);
    struct mux *mux = st == OK ? mux_new(err) : NULL;
    struct http *http = mux ? http_new(mux, err) : NULL;
    for (size_t i = 0; http && i < n; i++) {
        asked[i] = (struct asked){ .probe = &v[i], .wanted = wanted };
        buf_init(&asked[i].body, BODY_MAX);
        start(http, &asked[i], *authorization ? headers : NULL, timeout_ms);
    }
    int64_t until = mono_now().ms + timeout_ms;
    for (bool open = http != NULL; open && st == OK;) {
        int64_t left = until - mono_now().ms;
        open = false;
        for (size_t i = 0; i < n; i++)
            open = open || !asked[i].done;
        if (left <= 0)
            break;
        if (open)
            st = mux_turn(mux, left, err);
    }
    st = http ? st : err->status;
    http_free(http);
    mux_free(mux);
    for (size_t i = 0; i < n && http; i++) {
        if (!asked[i].done)
            snprintf(v[i].why, sizeof v[i].why, "no answer within %d ms", timeout_ms);
        buf_fini(&asked[i].body);
    }
    return st;
}
