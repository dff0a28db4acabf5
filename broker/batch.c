/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/store.h"

#include "common/mp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An array of 32 bits: room for any number of operations, known when all are there. */
enum { HEAD_BYTES = 5, KEPT_BYTES = 4 << 20, EVENT_MAX = 1 << 20 };

static void begin_ops(struct batch *b)
{
    static const char head[HEAD_BYTES] = { '\xdd' };
    buf_append(&b->ops, head, HEAD_BYTES);
}

void batch_init(struct batch *b, const struct epoch *epoch, uint64_t *event_no, int64_t now_ms,
                uint32_t events_max)
{
    *b = (struct batch){
        .now_ms = now_ms, .events_max = events_max, .epoch = *epoch, .event_no = event_no
    };
    buf_init(&b->ops, BATCH_MAX);
    buf_init(&b->event, EVENT_MAX);
    buf_init(&b->events, BATCH_MAX);
    begin_ops(b);
}

void batch_fini(struct batch *b)
{
    buf_fini(&b->ops);
    buf_fini(&b->event);
    buf_fini(&b->events);
}

void batch_clear(struct batch *b)
{
    if (b->ops.cap > KEPT_BYTES)
        buf_fini(&b->ops);
    buf_clear(&b->ops);
    buf_clear(&b->events);
    b->n = b->events_n = 0;
    begin_ops(b);
}

void version_text(uint64_t version, char out[VERSION_DIGITS + 1])
{
    size_t n = version == 0 ? 0 : VERSION_DIGITS;
    for (size_t i = n; i > 0; i--, version >>= 4)
        out[i - 1] = "0123456789abcdef"[version & 0xf];
    out[n] = '\0';
}

static void begin(struct batch *b, const char *op, size_t n)
{
    b->n++;
    mp_array(&b->ops, n);
    mp_z(&b->ops, op);
}

static void put_id(struct batch *b, uint64_t id)
{
    char text[ID_CHARS + 1];
    id_text(id, text);
    mp_z(&b->ops, text);
}

static size_t bits(uint32_t v)
{
    return (size_t)__builtin_popcount(v);
}

static void put_record(struct batch *b, const struct fx *fx)
{
    char expect[VERSION_DIGITS + 1], version[VERSION_DIGITS + 1];
    version_text(fx->expect, expect);
    version_text(fx->version, version);
    begin(b, "j", 7);
    put_id(b, fx->job);
    mp_z(&b->ops, expect);
    mp_str_head(&b->ops, strlen(version) + fx->bytes.n);
    buf_str(&b->ops, version);
    buf_view(&b->ops, fx->bytes);
    mp_array(&b->ops, 2 * bits(fx->add));
    for (int i = 0; i < INDEX_COUNT; i++) {
        if (!(fx->add >> i & 1))
            continue;
        mp_z(&b->ops, index_name(i));
        mp_int(&b->ops, i == INDEX_NO_ENDED ? fx->changed_ms : fx->created_ms);
    }
    mp_array(&b->ops, bits(fx->del));
    for (int i = 0; i < INDEX_COUNT; i++) {
        if (fx->del >> i & 1)
            mp_z(&b->ops, index_name(i));
    }
    mp_str(&b->ops, fx->workspace);
}

static void put_forget(struct batch *b, const struct fx *fx)
{
    begin(b, "r", 4);
    put_id(b, fx->job);
    mp_array(&b->ops, INDEX_COUNT);
    for (int i = 0; i < INDEX_COUNT; i++)
        mp_z(&b->ops, index_name(i));
    mp_str(&b->ops, fx->workspace);
}

static void event_encode(const struct fx *fx, struct buf *e)
{
    char job[ID_CHARS + 1];
    id_text(fx->job, job);
    buf_clear(e);
    mp_array(e, 5);
    mp_z(e, fx->name);
    mp_z(e, job);
    mp_str(e, fx->project);
    mp_int(e, fx->at_ms);
    buf_view(e, fx->bytes);
}

static char *decimal(char *at, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

static void event_id(const struct batch *b, uint64_t number, char id[EVENT_ID_MAX])
{
    char *at = decimal(id, b->epoch.generation);
    *at++ = '-';
    *decimal(at, number) = '\0';
}

/* The events that were gathered become one operation. */
static void put_events(struct batch *b)
{
    char id[EVENT_ID_MAX];
    if (b->events_n == 0)
        return;
    event_id(b, b->events_last, id);
    begin(b, "e", 4);
    mp_z(&b->ops, id);
    mp_array(&b->ops, b->events_n);
    buf_view(&b->ops, buf_get(&b->events));
    mp_uint(&b->ops, b->events_max);
    buf_clear(&b->events);
    b->events_n = 0;
}

static void put_event(struct batch *b, const struct fx *fx, struct told *told)
{
    uint64_t number = ++*b->event_no;
    if (b->events_n == EVENTS_OP_MAX || (b->events_n && number != b->events_last + 1))
        put_events(b);
    event_encode(fx, &b->event);
    mp_str(&b->events, buf_get(&b->event));
    b->events_n++;
    b->events_last = number;
    if (told) {
        event_id(b, number, told->id);
        told->bytes = buf_get(&b->event);
    }
}

void batch_add(struct batch *b, const struct fx *fx, struct told *told)
{
    if (fx->kind == FX_RECORD) {
        put_record(b, fx);
    } else if (fx->kind == FX_FORGET) {
        put_forget(b, fx);
    } else if (fx->kind == FX_EVENT) {
        put_event(b, fx, told);
    } else if (fx->kind == FX_DOC) {
        begin(b, "d", 4);
        put_id(b, fx->job);
        mp_str(&b->ops, fx->field);
        mp_str(&b->ops, fx->bytes);
    } else if (fx->kind == FX_UNDOC) {
        begin(b, "x", 4);
        put_id(b, fx->job);
        mp_str(&b->ops, (struct str){ fx->field.p, fx->field.n - 1 }); /* "…#0" without its 0 */
        mp_uint(&b->ops, fx->count);
    } else if (fx->kind == FX_HALTS) {
        batch_pipeline(b, 0, fx->bytes); /* hashes are never 0 */
    }
}

void batch_blob(struct batch *b, struct str hex, struct str bytes)
{
    begin(b, "b", 4);
    mp_str(&b->ops, hex);
    mp_str(&b->ops, bytes);
    mp_int(&b->ops, b->now_ms);
}

void batch_sweep(struct batch *b, int64_t before_ms)
{
    begin(b, "s", 2);
    mp_int(&b->ops, before_ms);
}

void batch_pipeline(struct batch *b, uint64_t id, struct str bytes)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%016" PRIx64, id);
    begin(b, "p", 3);
    mp_z(&b->ops, hex);
    mp_str(&b->ops, bytes);
}

enum status batch_encode(struct batch *b, struct str *out)
{
    if (b->event.status != OK || b->events.status != OK)
        return b->event.status != OK ? b->event.status : b->events.status;
    put_events(b);
    if (b->ops.status != OK)
        return b->ops.status;
    for (int i = 1; i < HEAD_BYTES; i++)
        b->ops.data[i] = (char)(b->n >> 8 * (HEAD_BYTES - 1 - i));
    *out = buf_get(&b->ops);
    return OK;
}

void batch_digest(struct str bytes, char out[17])
{
    uint64_t v = 0xcbf29ce484222325u;
    size_t i = 0;
    for (; i + 8 <= bytes.n; i += 8) {
        uint64_t word;
        memcpy(&word, bytes.p + i, 8);
        v = (v ^ word) * 0x100000001b3u;
        v ^= v >> 29;
    }
    for (; i < bytes.n; i++)
        v = (v ^ (unsigned char)bytes.p[i]) * 0x100000001b3u;
    snprintf(out, 17, "%016" PRIx64, v);
}

bool event_decode(struct str bytes, struct kept_event *out)
{
    struct mp in;
    struct mp_value v;
    mp_init(&in, bytes);
    if (mp_want(&in, MP_ARRAY, &v) != OK || v.n < 5 || mp_want(&in, MP_STR, &v) != OK)
        return false;
    out->kind = v.str;
    if (mp_want(&in, MP_STR, &v) != OK)
        return false;
    out->job = v.str;
    if (mp_want(&in, MP_STR, &v) != OK)
        return false;
    out->project = v.str;
    if (mp_want(&in, MP_UINT, &v) != OK)
        return false;
    out->at_ms = v.u;
    return mp_skip(&in, &out->facts) == OK;
}

static bool parse_id(struct str s, uint64_t out[2])
{
    char text[EVENT_ID_MAX];
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    int end = 0;
    return sscanf(text, "%20" SCNu64 "-%20" SCNu64 "%n", &out[0], &out[1], &end) == 2 &&
           (size_t)end == s.n;
}

int event_id_compare(struct str a, struct str b)
{
    uint64_t x[2] = { 0 }, y[2] = { 0 };
    bool good_a = parse_id(a, x), good_b = parse_id(b, y);
    if (!good_a || !good_b)
        return (int)good_a - (int)good_b;
    if (x[0] != y[0])
        return x[0] > y[0] ? 1 : -1;
    return x[1] == y[1] ? 0 : x[1] > y[1] ? 1 : -1;
}
