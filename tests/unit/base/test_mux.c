/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/mux.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

struct seen {
    struct mux *mux;
    char order[32];
    int n, status, fd;
    struct mux_timer a, b, c;
};

static void fire_a(void *ctx)
{
    struct seen *s = ctx;
    s->order[s->n++] = 'a';
}

static void fire_b(void *ctx)
{
    struct seen *s = ctx;
    s->order[s->n++] = 'b';
    mux_timer_stop(s->mux, &s->c); /* never fires */
    mux_stop(s->mux);
}

static void fire_c(void *ctx)
{
    struct seen *s = ctx;
    s->order[s->n++] = 'c';
}

static void timers_fire_in_order_and_can_be_stopped(void **state)
{
    (void)state;
    struct seen s = { .mux = mux_new(NULL) };
    s.a = MUX_TIMER(fire_a, &s);
    s.b = MUX_TIMER(fire_b, &s);
    s.c = MUX_TIMER(fire_c, &s);
    mux_timer_in(s.mux, &s.c, 30);
    mux_timer_in(s.mux, &s.b, 15);
    mux_timer_in(s.mux, &s.a, 50);
    mux_timer_in(s.mux, &s.a, 5); /* moved */
    assert_int_equal(mux_run(s.mux, NULL), OK);
    assert_string_equal(s.order, "ab");
    mux_free(s.mux);
}

static void on_fd(void *ctx, int fd, int events)
{
    struct seen *s = ctx;
    char c;
    if (events & MUX_IN && read(fd, &c, 1) == 1) {
        s->order[s->n++] = c;
        return;
    }
    mux_fd_remove(s->mux, fd);
    mux_stop(s->mux);
}

static void descriptors_are_level_triggered_until_removed(void **state)
{
    (void)state;
    struct seen s = { .mux = mux_new(NULL) };
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "xyz", 3), 3);
    close(pipes[1]);
    assert_int_equal(mux_fd(s.mux, pipes[0], MUX_IN, on_fd, &s), OK);
    assert_int_equal(mux_run(s.mux, NULL), OK);
    assert_string_equal(s.order, "xyz");
    close(pipes[0]);
    mux_free(s.mux);
}

static void on_signal(void *ctx, int signo)
{
    struct seen *s = ctx;
    s->status = signo;
    mux_stop(s->mux);
}

static void signals_arrive_in_the_loop(void **state)
{
    (void)state;
    struct seen s = { .mux = mux_new(NULL) };
    assert_int_equal(mux_signal(s.mux, SIGUSR1, on_signal, &s), OK);
    kill(getpid(), SIGUSR1);
    assert_int_equal(mux_run(s.mux, NULL), OK);
    assert_int_equal(s.status, SIGUSR1);
    mux_free(s.mux);
}

static void on_child(void *ctx, pid_t pid, int status)
{
    struct seen *s = ctx;
    (void)pid;
    s->status = status;
    mux_stop(s->mux);
}

static void a_child_is_reaped_even_if_it_ended_before_we_looked(void **state)
{
    (void)state;
    struct seen s = { .mux = mux_new(NULL) };
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT); /* surely dead, not yet reaped */
    assert_int_equal(mux_child(s.mux, pid, on_child, &s), OK);
    assert_int_equal(mux_run(s.mux, NULL), OK);
    assert_true(WIFEXITED(s.status));
    assert_int_equal(WEXITSTATUS(s.status), 7);
    mux_free(s.mux);
}

static void on_zmq(void *ctx, void *socket)
{
    struct seen *s = ctx;
    char c;
    assert_int_equal(zmq_recv(socket, &c, 1, ZMQ_DONTWAIT), 1);
    s->order[s->n++] = c; /* one message per call: the rest must still wake us */
    if (s->n == 5)
        mux_stop(s->mux);
}

static void sockets_wake_the_loop_for_every_message(void **state)
{
    (void)state;
    struct seen s = { .mux = mux_new(NULL) };
    void *context = zmq_ctx_new();
    void *in = zmq_socket(context, ZMQ_PAIR), *out = zmq_socket(context, ZMQ_PAIR);
    assert_int_equal(zmq_bind(in, "inproc://test"), 0);
    assert_int_equal(zmq_connect(out, "inproc://test"), 0);
    for (int i = 0; i < 5; i++)
        zmq_send(out, &"12345"[i], 1, 0);
    assert_int_equal(mux_socket(s.mux, in, on_zmq, &s), OK);
    assert_int_equal(mux_run(s.mux, NULL), OK);
    assert_string_equal(s.order, "12345");
    zmq_close(in);
    zmq_close(out);
    zmq_ctx_term(context);
    mux_free(s.mux);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_and_can_be_stopped),
        cmocka_unit_test(descriptors_are_level_triggered_until_removed),
        cmocka_unit_test(signals_arrive_in_the_loop),
        cmocka_unit_test(a_child_is_reaped_even_if_it_ended_before_we_looked),
        cmocka_unit_test(sockets_wake_the_loop_for_every_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
