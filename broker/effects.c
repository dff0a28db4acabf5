/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/effects.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SCRATCH_KEPT = 64 * 1024 };

static const char *const index_names[INDEX_COUNT] = {
#define X(id, name) [INDEX_NO_##id] = name,
    INDEXES(X)
#undef X
};

const char *index_name(int bit)
{
    assert(bit >= 0 && bit < INDEX_COUNT);
    return index_names[bit];
}

uint32_t index_bits(const struct job *j)
{
    uint32_t bits = 1u << INDEX_NO_ALL;
    bits |= job_state_ended(j->state) ? 1u << INDEX_NO_ENDED : 1u << INDEX_NO_OPEN;
    if (j->state == JOB_WAITING)
        bits |= 1u << INDEX_NO_WAITING;
    if (j->state == JOB_DELAYED)
        bits |= 1u << INDEX_NO_DELAYED;
    if (j->state == JOB_FAILED)
        bits |= 1u << INDEX_NO_FAILED;
    return bits;
}

void effects_init(struct effects *fx, uint64_t epoch)
{
    *fx = (struct effects){ .epoch = epoch };
    arena_init(&fx->arena, EFFECTS_BYTES_MAX);
    buf_init(&fx->scratch, 0);
    buf_init(&fx->header, PAWL_HEADER_MAX);
}

/* A rare large one does not stay. */
static void keep_small(struct buf *b)
{
    if (b->cap > SCRATCH_KEPT)
        buf_fini(b);
    buf_clear(b);
}

void effects_clear(struct effects *fx)
{
    fx->n = 0;
    fx->failed = false;
    if (fx->arena.used)
        arena_reset(&fx->arena);
    keep_small(&fx->scratch);
    keep_small(&fx->header);
}

void effects_fini(struct effects *fx)
{
    free(fx->v);
    arena_fini(&fx->arena);
    buf_fini(&fx->scratch);
    buf_fini(&fx->header);
    fx->v = NULL;
    fx->n = fx->cap = 0;
}

struct fx *effects_add(struct effects *fx, enum fx_kind kind)
{
    if (fx->n == fx->cap) {
        uint32_t cap = fx->cap ? fx->cap * 2 : 256;
        struct fx *more = realloc(fx->v, cap * sizeof *more);
        assert(more); /* a broker without memory for a few hundred bytes cannot say so either */
        fx->v = more;
        fx->cap = cap;
    }
    struct fx *f = &fx->v[fx->n++];
    *f = (struct fx){ .kind = kind };
    return f;
}

struct str effects_copy(struct effects *fx, struct str s)
{
    char *p = arena_dup(&fx->arena, s.p ? s.p : "", s.n);
    if (!p) {
        fx->failed = true;
        return (struct str){ "", 0 };
    }
    return (struct str){ p, s.n };
}

struct buf *effects_scratch(struct effects *fx, size_t max)
{
    if (fx->scratch.cap > max)
        buf_fini(&fx->scratch); /* its room may be used without asking for max */
    buf_clear(&fx->scratch);
    fx->scratch.max = max;
    return &fx->scratch;
}

struct fx *say(struct effects *fx, uint64_t peer, struct msg *m, bool guarded)
{
    buf_clear(&fx->header);
    m->epoch = fx->epoch;
    enum status st = msg_encode(m, &fx->header);
    assert(st == OK); /* what we say is within the limits that we check */
    (void)st;
    struct fx *f = effects_add(fx, FX_SEND);
    f->peer = peer;
    f->guarded = guarded;
    f->header = effects_copy(fx, buf_get(&fx->header));
    return f;
}

static struct str cut(const char *z)
{
    struct str s = str_of(z);
    if (s.n > PAWL_TEXT_MAX)
        s.n = PAWL_TEXT_MAX;
    return s;
}

void say_refused(struct effects *fx, uint64_t peer, uint64_t req, enum status code,
                 const char *text, const char *fix)
{
    struct msg m = { .type = MSG_REFUSED };
    m.REFUSED = (struct msg_REFUSED){ .req = req,
                                      .code = str_of(status_name(code)),
                                      .text = cut(text),
                                      .fix = cut(fix),
                                      .retry_after_ms =
                                          code == ERR_BUSY || code == ERR_UNAVAILABLE ? 1000 : 0 };
    say(fx, peer, &m, false)->req = req;
}

void say_okay(struct effects *fx, uint64_t peer, uint64_t req, const char *id)
{
    struct msg m = { .type = MSG_OKAY, .OKAY = { req, str_of(id) } };
    say(fx, peer, &m, true)->req = req;
}

void say_taken(struct effects *fx, uint64_t peer, struct str task, struct fence fence,
               const char *outcome)
{
    struct msg m = { .type = MSG_TAKEN, .TAKEN = { task, fence, str_of(outcome) } };
    say(fx, peer, &m, true);
}

void say_drop(struct effects *fx, uint64_t peer, struct str task, struct fence fence,
              const char *reason)
{
    struct msg m = { .type = MSG_DROP, .DROP = { task, fence, str_of(reason) } };
    say(fx, peer, &m, true);
}
