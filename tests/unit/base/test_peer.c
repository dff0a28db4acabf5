/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/clock.h"
#include "common/peer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { PATIENCE_MS = 5000 };

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/pawl-peer-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

/* Wait for one message, answering CURVE handshakes meanwhile. */
static enum status wait_for(struct peer *p, struct peer *router, struct peer_in *in, int64_t ms)
{
    int64_t until = mono_now().ms + ms;
    while (mono_now().ms < until) {
        zmq_pollitem_t items[2] = { { .socket = peer_socket(p), .events = ZMQ_POLLIN } };
        int n = 1;
        if (router && peer_auth_socket(router))
            items[n++] = (zmq_pollitem_t){ .socket = peer_auth_socket(router), .events = ZMQ_POLLIN };
        zmq_poll(items, n, 50);
        if (n == 2 && items[1].revents)
            peer_auth(router);
        if (items[0].revents)
            return peer_recv(p, in);
    }
    return ERR_TIMEOUT;
}

/* Send until the connection is there. */
static enum status send_ping(struct peer *p, struct peer *router, uint64_t req, int64_t ms)
{
    struct msg m = { .type = MSG_PING, .PING = { req } };
    int64_t until = mono_now().ms + ms;
    enum status st = ERR_BUSY;
    while (st == ERR_BUSY && mono_now().ms < until) {
        zmq_pollitem_t items[2] = { { .socket = peer_socket(p), .events = ZMQ_POLLOUT } };
        int n = 1;
        if (router && peer_auth_socket(router))
            items[n++] = (zmq_pollitem_t){ .socket = peer_auth_socket(router), .events = ZMQ_POLLIN };
        zmq_poll(items, n, 50);
        if (n == 2 && items[1].revents)
            peer_auth(router);
        st = peer_send(p, (struct str){ 0 }, &m, NULL, 0);
    }
    return st;
}

static void frames_cross_and_come_back(void **state)
{
    (void)state;
    char endpoint[128];
    struct peer_in in;
    struct msg m;
    snprintf(endpoint, sizeof endpoint, "ipc://%s/a", dir);
    struct peer *router = peer_bind(endpoint, NULL, NULL, NULL), *dealer = peer_connect(endpoint, NULL, NULL);
    assert_non_null(router);
    assert_non_null(dealer);
    assert_int_equal(send_ping(dealer, NULL, 42, PATIENCE_MS), OK);
    assert_int_equal(wait_for(router, NULL, &in, PATIENCE_MS), OK);
    assert_int_equal(in.n, 1);
    assert_int_equal(msg_decode(peer_frame(&in, 0), &m, NULL), OK);
    assert_int_equal(m.PING.req, 42);
    assert_int_equal(in.user.n, 0);
    struct str docs[2] = { str_of("one"), str_of("") };
    struct msg answer = { .type = MSG_PAGE, .epoch = 5, .PAGE = { 42, str_of("next") } };
    assert_int_equal(peer_send(router, in.from, &answer, docs, 2), OK);
    assert_int_equal(peer_send(router, str_of("nobody"), &answer, docs, 2), ERR_NOT_FOUND);
    peer_in_free(&in);
    assert_int_equal(wait_for(dealer, NULL, &in, PATIENCE_MS), OK);
    assert_int_equal(in.n, 3);
    assert_true(str_is(peer_frame(&in, 1), "one"));
    assert_int_equal(peer_frame(&in, 2).n, 0);
    peer_in_free(&in);
    assert_int_equal(peer_recv(dealer, &in), ERR_BUSY);
    peer_close(dealer);
    peer_close(router);
}

static void a_second_broker_on_one_endpoint_is_refused(void **state)
{
    (void)state;
    char endpoint[128];
    struct err err = { 0 };
    snprintf(endpoint, sizeof endpoint, "ipc://%s/b", dir);
    struct peer *first = peer_bind(endpoint, NULL, NULL, &err);
    assert_non_null(first);
    assert_null(peer_bind(endpoint, NULL, NULL, &err));
    assert_int_equal(err.status, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, endpoint));
    peer_close(first);
    struct peer *again = peer_bind(endpoint, NULL, NULL, &err); /* a stale path is no obstacle */
    assert_non_null(again);
    peer_close(again);
    struct peer *tcp = peer_bind("tcp://127.0.0.1:*", NULL, NULL, &err);
    assert_non_null(tcp);
    assert_null(peer_bind(peer_endpoint(tcp), NULL, NULL, &err));
    assert_int_equal(err.status, ERR_UNAVAILABLE);
    peer_close(tcp);
}

static void too_many_frames_are_dropped_whole(void **state)
{
    (void)state;
    char endpoint[128];
    struct peer_in in;
    snprintf(endpoint, sizeof endpoint, "ipc://%s/c", dir);
    struct peer *router = peer_bind(endpoint, NULL, NULL, NULL), *dealer = peer_connect(endpoint, NULL, NULL);
    assert_int_equal(send_ping(dealer, NULL, 1, PATIENCE_MS), OK);
    assert_int_equal(wait_for(router, NULL, &in, PATIENCE_MS), OK);
    peer_in_free(&in);
    for (int i = 0; i <= PAWL_FRAMES_MAX; i++)
        zmq_send(peer_socket(dealer), "x", 1, i < PAWL_FRAMES_MAX ? ZMQ_SNDMORE : 0);
    assert_int_equal(wait_for(router, NULL, &in, PATIENCE_MS), ERR_LIMIT);
    assert_true(in.from.n > 0);
    assert_int_equal(in.n, 0);
    assert_int_equal(send_ping(dealer, NULL, 2, PATIENCE_MS), OK); /* the next one is whole */
    assert_int_equal(wait_for(router, NULL, &in, PATIENCE_MS), OK);
    peer_in_free(&in);
    char *big = calloc(1, PAWL_FRAME_MAX + 1);
    struct str frame = { big, PAWL_FRAME_MAX + 1 };
    struct msg put = { .type = MSG_PUT };
    assert_int_equal(peer_send(dealer, (struct str){ 0 }, &put, &frame, 1), ERR_LIMIT);
    free(big);
    peer_close(dealer);
    peer_close(router);
}

static void write_allow(const char *path, const char *key, const char *role)
{
    char tmp[160];
    snprintf(tmp, sizeof tmp, "%s.new", path);
    FILE *f = fopen(tmp, "w");
    assert_non_null(f);
    fprintf(f, "# keys of this broker\n");
    if (key)
        fprintf(f, "%s %s\n", key, role);
    fclose(f);
    assert_int_equal(rename(tmp, path), 0);
}

static void only_keys_of_the_allow_file_get_in_and_a_revoked_one_is_deaf(void **state)
{
    (void)state;
    struct peer_keys broker = { 0 }, friend = { 0 }, stranger = { 0 };
    char allow[128];
    struct peer_in in;
    snprintf(allow, sizeof allow, "%s/allow", dir);
    assert_int_equal(peer_keypair(broker.public_key, broker.secret_key), OK);
    assert_int_equal(peer_keypair(friend.public_key, friend.secret_key), OK);
    for (int i = 0; i < 400; i++) { /* one in 85 would begin so */
        assert_int_equal(peer_keypair(stranger.public_key, stranger.secret_key), OK);
        assert_int_not_equal(*stranger.public_key, '-');
    }
    memcpy(friend.server_key, broker.public_key, sizeof friend.server_key);
    memcpy(stranger.server_key, broker.public_key, sizeof stranger.server_key);
    write_allow(allow, friend.public_key, "worker");
    struct peer *router = peer_bind("tcp://127.0.0.1:*", &broker, allow, NULL);
    assert_non_null(router);
    struct peer *good = peer_connect(peer_endpoint(router), &friend, NULL);
    struct peer *bad = peer_connect(peer_endpoint(router), &stranger, NULL);
    struct peer *bare = peer_connect(peer_endpoint(router), NULL, NULL);
    assert_int_equal(send_ping(good, router, 1, PATIENCE_MS), OK);
    assert_int_equal(wait_for(router, router, &in, PATIENCE_MS), OK);
    assert_true(str_is(in.user, "worker"));
    peer_in_free(&in);
    assert_int_equal(send_ping(bad, router, 2, 400), ERR_BUSY); /* no connection, nothing to send on */
    assert_int_equal(send_ping(bare, router, 3, 400), ERR_BUSY);
    write_allow(allow, NULL, NULL);
    assert_int_equal(send_ping(good, router, 4, PATIENCE_MS), OK); /* still connected, not heard */
    assert_int_equal(wait_for(router, router, &in, PATIENCE_MS), ERR_DENIED);
    peer_close(good);
    peer_close(bad);
    peer_close(bare);
    peer_close(router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_cross_and_come_back),
        cmocka_unit_test(a_second_broker_on_one_endpoint_is_refused),
        cmocka_unit_test(too_many_frames_are_dropped_whole),
        cmocka_unit_test(only_keys_of_the_allow_file_get_in_and_a_revoked_one_is_deaf),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
