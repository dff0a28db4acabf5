/* SPDX-License-Identifier: Apache-2.0 */
/* A record is a row of msgpack tokens. What is kept of it: a bit per token of the model, and the
 * tokens that differ. */
#include "broker/cold.h"

#include "common/mp.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_MAX = 4096, GOOD_BYTES = 192 };

static void model_free(struct model *m)
{
    free(m->bytes);
    free(m->ends);
    free(m->differs);
    *m = (struct model){ 0 };
}

void models_free(struct models *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        model_free(&m->v[i]);
    m->n = 0;
}

static bool next_token(struct mp *in, struct str *token)
{
    struct mp_value v;
    size_t from = in->at;
    if (mp_next(in, &v) != OK)
        return false;
    *token = (struct str){ (const char *)in->p + from, in->at - from };
    return true;
}

static struct str model_token(const struct model *m, uint32_t i)
{
    uint32_t from = i ? m->ends[i - 1] : 0;
    return (struct str){ m->bytes + from, m->ends[i] - from };
}

/* How many bytes would be kept of the record under this model; m->differs says which tokens.
 * SIZE_MAX: it has another number of tokens. */
static size_t compare(struct model *m, struct str record)
{
    struct mp in;
    struct str token;
    size_t n = (m->tokens + 7) / 8;
    mp_init(&in, record);
    for (uint32_t i = 0; i < m->tokens; i++) {
        if (mp_end(&in) || !next_token(&in, &token))
            return SIZE_MAX;
        m->differs[i] = !str_eq(token, model_token(m, i));
        n += m->differs[i] ? token.n : 0;
    }
    return mp_end(&in) ? n : SIZE_MAX;
}

/* The record becomes a model. */
static bool model_make(struct model *m, struct str record)
{
    struct mp in;
    struct str token;
    *m = (struct model){ .bytes = malloc(record.n), .ends = calloc(TOKENS_MAX, sizeof *m->ends) };
    bool good = m->bytes && m->ends;
    mp_init(&in, record);
    while (good && !mp_end(&in)) {
        good = m->tokens < TOKENS_MAX && next_token(&in, &token);
        if (good)
            m->ends[m->tokens++] = (uint32_t)in.at;
    }
    if (good)
        m->differs = calloc(m->tokens, sizeof *m->differs);
    if (!good || !m->differs) {
        model_free(m);
        return false;
    }
    memcpy(m->bytes, record.p, record.n);
    return true;
}

/* The model of which the least is to be kept; a new one when that would be much. */
static struct model *choose(struct models *m, struct str record, size_t *bytes)
{
    struct model *best = NULL;
    *bytes = SIZE_MAX;
    for (uint32_t i = 0; i<m->n && * bytes> GOOD_BYTES; i++) {
        size_t n = compare(&m->v[i], record);
        if (n < *bytes) {
            *bytes = n;
            best = &m->v[i];
        }
    }
    if (*bytes > GOOD_BYTES && m->n < MODELS_MAX && model_make(&m->v[m->n], record)) {
        best = &m->v[m->n++];
        *bytes = (best->tokens + 7) / 8;
    }
    if (best)
        *bytes = compare(best, record);
    return *bytes <= COLD_BYTES_MAX ? best : NULL;
}

struct cold *cold_new(struct models *m, const struct job *j, struct str record)
{
    size_t n;
    const struct model *best = choose(m, record, &n);
    struct cold *k = best ? calloc(1, offsetof(struct cold, bytes) + n) : NULL;
    struct str token;
    struct mp in;
    if (!k)
        return NULL;
    k->id = j->id;
    k->klass = (uint8_t)j->klass;
    k->stage = (uint8_t)j->stage;
    k->model = (uint8_t)(best - m->v);
    k->n = (uint16_t)n;
    char *at = k->bytes + (best->tokens + 7) / 8;
    mp_init(&in, record);
    for (uint32_t i = 0; i < best->tokens && next_token(&in, &token); i++) {
        if (!best->differs[i])
            continue;
        k->bytes[i / 8] = (char)(k->bytes[i / 8] | 1 << (i % 8));
        memcpy(at, token.p, token.n);
        at += token.n;
    }
    assert(at == k->bytes + n);
    return k;
}

void cold_record(const struct models *m, const struct cold *k, struct buf *out)
{
    const struct model *model = &m->v[k->model];
    size_t bits = (model->tokens + 7) / 8;
    struct str token;
    struct mp in;
    mp_init(&in, (struct str){ k->bytes + bits, k->n - bits });
    for (uint32_t i = 0; i < model->tokens; i++) {
        token = model_token(model, i);
        if (k->bytes[i / 8] >> (i % 8) & 1) {
            bool whole = next_token(&in, &token);
            assert(whole);
            (void)whole;
        }
        buf_view(out, token);
    }
}
