/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/model_in.h"

#include <stdio.h>
#include <string.h>

enum {
    PROBE_MAX = 4 * 1024 * 1024,
    PROBE_MS = 5000, /* a server that is alive answers its list of models by then */
    BACKOFF_MIN_MS = 250,
    BACKOFF_MAX_MS = 10000,
    VLLM_SLOTS = 8, /* it batches, and does not say how much */
    KEY_MAX = 4096,
};

static void probe_start(void *ctx);

/* ---- configuration --------------------------------------------------------------------------- */

/* The usual local ports, in the order in which they are tried. */
static const struct {
    const char *who, *url;
} usual[] = {
    { "LM Studio", "http://127.0.0.1:1234" }, { "llama.cpp", "http://127.0.0.1:8080" },
    { "llama.cpp", "http://127.0.0.1:9931" }, { "Ollama", "http://127.0.0.1:11434" },
    { "vLLM", "http://127.0.0.1:8000" },
};

static void set_url(struct model *m, const char *url)
{
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    bool v1 = n >= 3 && strncmp(url + n - 3, "/v1", 3) == 0;
    if (v1)
        n -= 3;
    if (n > sizeof m->root - 8)
        n = sizeof m->root - 8;
    snprintf(m->root, sizeof m->root, "%.*s", (int)n, url);
    snprintf(m->url, sizeof m->url, "%.*s/v1", (int)n, url);
}

static enum status read_key(struct model *m, const char *path, struct err *err)
{
    char line[KEY_MAX];
    if (!*path)
        return OK;
    FILE *f = fopen(path, "re");
    if (!f || !fgets(line, sizeof line, f)) {
        if (f)
            fclose(f);
        err_set(err, ERR_CONFIG, "%s: the API key cannot be read", path);
        err_fix(err, "the first line of model.key_file is the key");
        return ERR_CONFIG;
    }
    fclose(f);
    line[strcspn(line, "\r\n")] = '\0';
    snprintf(m->key, sizeof m->key, "Authorization: Bearer %s", line);
    return OK;
}
enum status model_host_open(struct model *m, struct err *err)
{
    const char *url = m->conf.url;
    m->slots = m->conf.slots > 0 ? m->conf.slots : 1;
    m->backoff_ms = BACKOFF_MIN_MS;
    m->find = !*url;
    m->probe = MUX_TIMER(probe_start, m);
    buf_init(&m->probe_body, PROBE_MAX);
    if (*url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        err_set(err, ERR_CONFIG, "model.url: '%.200s' is not an HTTP address", url);
        err_fix(err, "it must look like http://127.0.0.1:1234/v1");
        return ERR_CONFIG;
    }
    set_url(m, m->find ? usual[0].url : url);
    enum status st = read_key(m, m->conf.key_file, err);
    if (st != OK)
        return st;
    worker_accept(m->worker, false);
    probe_start(m);
    return OK;
}

void model_host_close(struct model *m)
{
    if (m->probing)
        http_cancel(m->probing);
    mux_timer_stop(m->mux, &m->probe);
    buf_fini(&m->probe_body);
}

const char *model_name(const struct model *m)
{
    return m->found.name;
}

int64_t model_slots(const struct model *m)
{
    return m->slots;
}
/* ---- looking for the server ------------------------------------------------------------------ */

static enum status on_probe_bytes(void *ctx, struct http_call *c, struct str piece)
{
    struct model *m = ctx;
    (void)c;
    return buf_view(&m->probe_body, piece);
}

static struct http_call *get(struct model *m, const char *base, const char *path,
                             http_done_fn *done)
{
    char url[1200];
    const char *headers[] = { *m->key ? m->key : NULL, NULL };
    snprintf(url, sizeof url, "%s%s", base, path);
    buf_clear(&m->probe_body);
    struct http_request r = { .method = "GET",
                              .url = url,
                              .headers = headers,
                              .answer_max = PROBE_MAX,
                              .first_ms = PROBE_MS,
                              .stall_ms = PROBE_MS };
    return http_start(m->http, &r, on_probe_bytes, done, m);
}

static void probe_later(struct model *m)
{
    if (m->find) {
        m->find_at = (m->find_at + 1) % COUNT(usual);
        set_url(m, usual[m->find_at].url);
        if (m->find_at != 0) { /* the next port at once, another round later */
            mux_timer_in(m->mux, &m->probe, 0);
            return;
        }
    }
    mux_timer_in(m->mux, &m->probe, m->backoff_ms);
    m->backoff_ms = m->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : m->backoff_ms * 2;
}

static void probe_good(struct model *m)
{
    char slots[24];
    bool first = !m->ready;
    snprintf(slots, sizeof slots, "%lld", (long long)m->slots);
    m->ready = true;
    m->find = false; /* found: from now on it is this one */
    m->warned = false;
    m->backoff_ms = BACKOFF_MIN_MS;
    if (first)
        log_line(worker_log(m->worker), LOG_INFO, "model server", "url", m->url, "model",
                 *m->found.name ? m->found.name : m->conf.name, "slots", slots, NULL);
    worker_accept(m->worker, true);
    model_run_waiting(m);
}

static void on_slots_studio(void *ctx, struct http_call *c, enum status st, const char *text)
{
    struct model *m = ctx;
    (void)text;
    m->probing = NULL;
    int64_t n =
        st == OK && http_code(c) == 200 ? chat_slots(buf_get(&m->probe_body), m->found.name) : 0;
    if (n == 0 && strcmp(m->found.owner, "vllm") == 0)
        n = VLLM_SLOTS;
    m->slots = n > 0 ? n : 1;
    probe_good(m);
}

static void on_slots_llama(void *ctx, struct http_call *c, enum status st, const char *text)
{
    struct model *m = ctx;
    (void)text;
    m->probing = NULL;
    int64_t n =
        st == OK && http_code(c) == 200 ? chat_slots(buf_get(&m->probe_body), m->found.name) : 0;
    if (n > 0) {
        m->slots = n;
        probe_good(m);
        return;
    }
    m->probing = get(m, m->root, "/api/v1/models", on_slots_studio);
    if (!m->probing)
        probe_good(m);
}

static void complain(struct model *m, const struct err *err)
{
    if (!m->warned)
        log_line(worker_log(m->worker), LOG_WARN, "no model server", "url", m->url, "why",
                 err->text, "fix", err->fix, NULL);
    m->warned = true;
}

/* Somebody answered: is it a model server with our model? What it refuses is for the first call to
 * say, so that the job tells its user. */
static void on_probe(void *ctx, struct http_call *c, enum status st, const char *text)
{
    struct model *m = ctx;
    struct err err = { 0 };
    long code = http_code(c);
    m->probing = NULL;
    bool loading = code == 503 || code == 429;
    if (st != OK || loading) {
        err_set(&err, ERR_UNAVAILABLE, "%s", loading ? "the server is loading its model" : text);
        err_fix(&err, "start the model server, or set model.url to where it listens");
        complain(m, &err);
        probe_later(m);
        return;
    }
    struct chat_model found;
    enum status listed = code == 200
                             ? chat_models(buf_get(&m->probe_body), m->conf.name, &found, &err)
                             : err_set(&err, ERR_DENIED, "GET /v1/models: HTTP %ld", code);
    if (m->find && listed != OK) { /* something else lives on that port */
        complain(m, &err);
        probe_later(m);
        return;
    }
    if (listed == OK)
        m->found = found;
    else
        complain(m, &err);
    if (listed != OK && !*m->found.name)
        snprintf(m->found.name, sizeof m->found.name, "%s", m->conf.name);
    if (m->conf.slots == 0 && listed == OK)
        m->probing = get(m, m->root, "/props", on_slots_llama);
    if (!m->probing)
        probe_good(m);
}

static void probe_start(void *ctx)
{
    struct model *m = ctx;
    if (m->probing)
        return;
    m->probing = get(m, m->url, "/models", on_probe);
    if (!m->probing)
        probe_later(m);
}

void model_host_lost(struct model *m)
{
    m->ready = false;
    worker_accept(m->worker, false);
    if (!m->probing && m->probe.slot == HEAP_NONE)
        mux_timer_in(m->mux, &m->probe, m->backoff_ms);
}
