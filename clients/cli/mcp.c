/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl mcp`: an MCP server over standard input and output, in front of the broker. Standard output
 * carries the protocol and nothing else. */
#include "clients/cli/mcp_calls.h"
#include "clients/cli/out.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 65536,
    WRITE_BYTES = 4096,           /* a pipe that says it is ready takes so many without blocking */
    FULL_BYTES = 4 * 1024 * 1024, /* not written: nothing more is read before it is */
    AFTER_EOF_MS = 5000,          /* for what was asked before the input ended */
};

struct pipe_end {
    struct front f;
    struct mux_timer read, last;
    bool ended, stopped, reads, writes,
        timed; /* timed: the input is a file, which no epoll takes */
    int code;
};

static void stop(struct pipe_end *p, int code)
{
    p->stopped = true;
    p->code = code;
    mux_stop(p->f.mux);
}

/* ---- output ------------------------------------------------------------------------------------ */

static void flush(struct pipe_end *p);

static void on_writable(void *ctx, int fd, int events)
{
    (void)fd;
    (void)events;
    flush(ctx);
}

static void flush(struct pipe_end *p)
{
    struct buf *out = mcp_server_out(p->f.server);
    struct pollfd ready = { .fd = 1, .events = POLLOUT };
    size_t done = 0;
    while (done < out->len && poll(&ready, 1, 0) == 1) {
        size_t left = out->len - done;
        ssize_t n = write(1, out->data + done, left < WRITE_BYTES ? left : WRITE_BYTES);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            stop(p, errno == EPIPE ? 0 : status_exit(ERR_IO)); /* EPIPE: the client has gone */
            return;
        }
        if (n < 0 && errno == EAGAIN)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    buf_consume(out, done);
    bool wants = out->len > 0;
    if (wants && !p->writes)
        p->writes = mux_fd(p->f.mux, 1, MUX_OUT, on_writable, p) == OK;
    if (!wants && p->writes) {
        mux_fd_remove(p->f.mux, 1);
        p->writes = false;
    }
}

/* ---- input ------------------------------------------------------------------------------------- */

static void take_events(struct pipe_end *p)
{
    struct mcp_server_event ev;
    while (mcp_server_next(p->f.server, &ev)) {
        if (ev.kind == MCP_SERVE_CALL)
            call_begin(&p->f, &ev);
        else if (ev.kind == MCP_SERVE_CANCEL)
            call_cancel(&p->f, ev.call);
        else
            out_warn(p->f.cli, "%s", ev.text);
    }
}

static void end_input(struct pipe_end *p)
{
    p->ended = true;
    if (p->reads)
        mux_fd_remove(p->f.mux, 0);
    p->reads = false;
    calls_hurry(&p->f);
    mux_timer_in(p->f.mux, &p->last, AFTER_EOF_MS);
}

static void read_some(struct pipe_end *p)
{
    char bytes[READ_BYTES];
    ssize_t n = read(0, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        end_input(p);
        return;
    }
    mcp_server_feed(p->f.server, (struct str){ bytes, (size_t)n });
    take_events(p);
}

static void on_readable(void *ctx, int fd, int events)
{
    (void)fd;
    (void)events;
    read_some(ctx);
}

static void on_read_time(void *ctx)
{
    struct pipe_end *p = ctx;
    if (mcp_server_out(p->f.server)->len <= FULL_BYTES)
        read_some(p);
    if (!p->ended)
        mux_timer_in(p->f.mux, &p->read, 0);
}

/* A client that does not read is not listened to. */
static void set_reading(struct pipe_end *p)
{
    bool wants = !p->ended && !p->timed && mcp_server_out(p->f.server)->len <= FULL_BYTES;
    if (wants && !p->reads) {
        p->reads = mux_fd(p->f.mux, 0, MUX_IN, on_readable, p) == OK;
        p->timed = !p->reads;
        if (p->timed)
            mux_timer_in(p->f.mux, &p->read, 0);
    } else if (!wants && p->reads) {
        mux_fd_remove(p->f.mux, 0);
        p->reads = false;
    }
}

/* ---- the whole --------------------------------------------------------------------------------- */

static void on_turn(void *ctx)
{
    struct pipe_end *p = ctx;
    flush(p);
    if (mcp_server_over(p->f.server)) {
        struct err err = { 0 };
        err_set(&err, ERR_LIMIT, "the client does not keep to lines, or does not read");
        stop(p, out_error(p->f.cli, &err));
        return;
    }
    set_reading(p);
    if (p->ended && mcp_server_in_flight(p->f.server) == 0 && mcp_server_out(p->f.server)->len == 0)
        stop(p, 0);
}

static void on_last(void *ctx)
{
    stop(ctx, 0);
}

static void on_signal(void *ctx, int signo)
{
    (void)signo;
    stop(ctx, 0);
}

static void on_link(void *ctx, bool up)
{
    struct pipe_end *p = ctx;
    if (!up)
        out_note(p->f.cli, "the broker is away");
    else
        calls_go(&p->f);
}

static enum status open_front(struct pipe_end *p, struct err *err)
{
    struct front *f = &p->f;
    if (!(f->mux = mux_new(err)))
        return err->status;
    if (!(f->server = mcp_server_new(&mcp_offer)))
        return err_set(err, ERR_NOMEM, "out of memory");
    if (mux_signal(f->mux, SIGINT, on_signal, p) != OK ||
        mux_signal(f->mux, SIGTERM, on_signal, p) != OK)
        return err_set(err, ERR_INTERNAL, "signals cannot be caught");
    enum status st = link_new(&f->link, f->mux, f->cli->conf, err);
    if (st != OK)
        return st;
    link_on_change(f->link, on_link, p);
    mux_after(f->mux, on_turn, p);
    p->read = MUX_TIMER(on_read_time, p);
    p->last = MUX_TIMER(on_last, p);
    set_reading(p);
    return OK;
}

int cmd_mcp(struct cli *cli)
{
    struct pipe_end p = { .f.cli = cli };
    struct err err = { 0 };
    cli->form = FORM_TABLE; /* also errors stay away from standard output */
    enum status st = open_front(&p, &err);
    if (st == OK && cli->in_tty)
        out_note(cli, "an MCP server on standard input and output: `pawl mcp --help` says how to "
                      "have it started");
    while (st == OK && !p.stopped)
        st = mux_turn(p.f.mux, -1, &err);
    if (p.f.link)
        link_free(p.f.link);
    if (p.f.mux) {
        mux_timer_stop(p.f.mux, &p.read);
        mux_timer_stop(p.f.mux, &p.last);
        calls_free(&p.f);
    }
    mux_free(p.f.mux);
    mcp_server_free(p.f.server);
    return st == OK ? p.code : out_error(cli, &err);
}
