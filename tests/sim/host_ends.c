/* SPDX-License-Identifier: Apache-2.0 */
/* host_ends: the ends of the real broker, made here instead of in common/mux.c, peer.c, clock.c and
 * conf.c: what it asks of them happens in the world. */
#include "tests/sim/host_in.h"

static struct host *host_of(const void *p)
{
    return (
        struct host *)(uintptr_t)p; /* struct mux and struct peer are incomplete: ours to give */
}

struct mono mono_now(void)
{
    return (struct mono){ the_world->now_us / 1000 };
}

int64_t mono_now_us(void)
{
    return the_world->now_us;
}

struct wall wall_now(void)
{
    int64_t now = sim_wall_ms(the_world);
    oracle_wall(the_world->oracle, now);
    return (struct wall){ now };
}

uint64_t __wrap_random_u64(void); /* the linker's name for random_u64() of the broker */
uint64_t __wrap_random_u64(void)
{
    return chance_next(the_world);
}

struct mono mux_now(const struct mux *m)
{
    (void)m;
    return mono_now();
}

void mux_timer_at(struct mux *m, struct mux_timer *t, struct mono at)
{
    struct host *h = host_of(m);
    uint32_t i = 0;
    while (i < h->timers_n && h->timers[i] != t)
        i++;
    assert(i < TIMERS_MAX);
    h->timers[i] = t;
    h->timers_n += i == h->timers_n;
    t->at = at;
    t->slot = 0;
    host_wake(h, at.ms * 1000);
}

void mux_timer_in(struct mux *m, struct mux_timer *t, int64_t delay_ms)
{
    mux_timer_at(m, t, (struct mono){ mono_now().ms + delay_ms });
}

void mux_timer_stop(struct mux *m, struct mux_timer *t)
{
    (void)m;
    t->slot = HEAP_NONE;
}

void mux_stop(struct mux *m)
{
    host_of(m)->ended = true;
}

enum status mux_socket(struct mux *m, void *socket, mux_socket_fn *fn, void *ctx)
{
    (void)socket;
    (void)fn;
    (void)ctx;
    host_of(m)->socket_on = true;
    return OK;
}

void mux_socket_remove(struct mux *m, void *socket)
{
    (void)socket;
    host_of(m)->socket_on = false;
}

void mux_free(struct mux *m)
{
    (void)m;
}

void peer_close(struct peer *p)
{
    (void)p;
}

void *peer_socket(const struct peer *p)
{
    return host_of(p);
}

struct str peer_frame(const struct peer_in *in, uint32_t i)
{
    const struct packet *p = in->frames;
    return p && i < p->n ? p->frame[i] : (struct str){ 0 };
}

void peer_in_free(struct peer_in *in)
{
    packet_free(in->frames);
    in->frames = NULL;
}

static void trace(struct host *h, const char *way, uint64_t link, const struct msg *m)
{
    struct str key = { 0 };
    if (!h->w->conf.trace)
        return;
    if (m->type == MSG_TASK)
        key = m->TASK.task;
    else if (m->type == MSG_HELLO)
        key = m->HELLO.name;
    else if (m->type >= MSG_STEP && m->type <= MSG_CALLED && m->type != MSG_TOKENS)
        key = m->STEP.task; /* all of them begin with it */
    else if (m->type == MSG_REFUSED)
        key = m->REFUSED.text;
    uint64_t a = m->type == MSG_READY ? m->READY.credit : m->type == MSG_TASK ? m->TASK.seq : 0;
    uint64_t b = m->type == MSG_READY ? m->READY.seen : 0;
    world_trace(h->w, "%s %s %u/%llu %s %.*s %llu %llu", h->name, way,
                (unsigned)(link & 0xffff) - 1, (unsigned long long)(link >> 16), msg_name(m->type),
                STR_ARG(key), (unsigned long long)a, (unsigned long long)b);
}

enum status peer_recv(struct peer *peer, struct peer_in *in)
{
    struct host *h = host_of(peer);
    struct msg m;
    if (!h->inbox || h->batch == 0)
        return ERR_BUSY;
    struct packet *p = host_inbox_take(h);
    while (p && p->early && wire_end(h->w, p->link)->link != p->link) {
        packet_free(p); /* its sender has gone elsewhere meanwhile */
        p = host_inbox_take(h);
    }
    if (!p)
        return ERR_BUSY;
    h->batch--;
    in->frames = p;
    in->n = p->n;
    in->role[0] = '\0';
    in->user = (struct str){ 0 };
    in->from = (struct str){ (const char *)&p->link, sizeof p->link };
    if (msg_decode(p->frame[0], &m, NULL) == OK && h->b->core && !h->b->broken) {
        trace(h, "<", p->link, &m);
        oracle_heard(h->w->oracle, p->link, &m, p->frame + 1, p->n - 1, h->w->now_us / 1000);
    }
    return OK;
}

/* Abandon, cancel and acknowledge: only what the store has taken under the broker's epoch. */
static bool promises(const struct msg *m)
{
    return m->type == MSG_TASK || m->type == MSG_TAKEN || m->type == MSG_DROP ||
           m->type == MSG_STEPPED || m->type == MSG_CALLED || m->type == MSG_SUBMITTED ||
           m->type == MSG_OKAY;
}

static enum status say_it(struct host *h, struct str to, struct str header,
                          const struct str *frames, uint32_t n)
{
    uint64_t link;
    struct msg m;
    assert(to.n == sizeof link);
    memcpy(&link, to.p, sizeof link);
    if (host_dies(h))
        return OK;
    if (msg_decode(header, &m, NULL) != OK)
        world_broken(h->w, "the broker said something malformed");
    trace(h, ">", link, &m);
    if (promises(&m) && !h->durable && !(m.type == MSG_TASK && h->reads))
        world_broken(h->w, "%s was said before its turn was durable", msg_name(m.type));
    enum status st = wire_to_end(h->w, link, header, frames, n);
    if (st == OK)
        oracle_said(h->w->oracle, h->b->epoch.incarnation, link, &m, frames, n,
                    h->w->now_us / 1000);
    if (wire_end(h->w, link)->link != link)
        oracle_peer_lost(h->w->oracle, link); /* it was gone already, or is now */
    host_dies(h);
    return st;
}

enum status peer_send_raw(struct peer *p, struct str to, struct str header,
                          const struct str *frames, uint32_t n)
{
    return say_it(host_of(p), to, header, frames, n);
}

enum status peer_send(struct peer *p, struct str to, const struct msg *m, const struct str *frames,
                      uint32_t n)
{
    struct buf header;
    buf_init(&header, PAWL_HEADER_MAX);
    enum status st = msg_encode(m, &header);
    if (st == OK)
        st = say_it(host_of(p), to, buf_get(&header), frames, n);
    buf_fini(&header);
    return st;
}

uint64_t peer_allow_version(struct peer *p)
{
    (void)p;
    return 0; /* no keys here */
}

const char *peer_role(struct peer *p, const char *key)
{
    (void)p;
    (void)key;
    return NULL;
}

int64_t conf_int(const struct conf *c, enum conf_key k)
{
    (void)c;
    (void)k;
    return 1 << 20; /* retain.events is all that the loop asks for */
}

void log_line(struct log *log, enum log_level level, const char *msg, ...)
{
    (void)log;
    if (level >= LOG_WARN)
        world_trace(the_world, "log: %s", msg);
}
