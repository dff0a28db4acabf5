/* SPDX-License-Identifier: Apache-2.0 */
#include "common/peer.h"

#include "common/failpoint.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { KEY_CHARS = 40, ALLOW_MAX = 1000, ALLOW_BYTES_MAX = 256 * 1024, QUEUE_MESSAGES = 10000 };

/* The allow file, read again whenever it changes. */
struct allow {
    char *path;
    struct timespec mtime;
    off_t size;
    ino_t inode;
    uint64_t version; /* how often it was read, or found gone */
    struct {
        char key[KEY_CHARS + 1];
        char role[PAWL_NAME_MAX + 1];
    } *rows;
    size_t rows_n;
};

struct peer {
    void *context;
    void *socket;
    void *auth; /* ZAP reply socket; NULL without keys */
    struct allow allow;
    struct peer_keys keys; /* of a DEALER */
    int lock; /* of an ipc:// path, -1: none */
    char endpoint[512];
    bool router;
    zmq_msg_t frames[PAWL_FRAMES_MAX]; /* of the message that is being received */
};

static void set_int(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    assert(rc == 0);
    (void)rc;
}

static void *socket_new(struct peer *p, int type, struct err *err)
{
    int64_t frame_max = PAWL_FRAME_MAX;
    void *s = p->context ? zmq_socket(p->context, type) : NULL;
    if (!s) {
        err_set(err, ERR_INTERNAL, "ZeroMQ socket: %s", zmq_strerror(errno));
        return NULL;
    }
    zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max);
    set_int(s, ZMQ_LINGER, 500);
    set_int(s, ZMQ_SNDHWM, QUEUE_MESSAGES);
    set_int(s, ZMQ_RCVHWM, QUEUE_MESSAGES);
    set_int(s, ZMQ_HEARTBEAT_IVL, 5000);
    set_int(s, ZMQ_HEARTBEAT_TIMEOUT, 15000);
    set_int(s, ZMQ_HEARTBEAT_TTL, 15000);
    return s;
}

static struct peer *peer_new(int type, struct err *err)
{
    struct peer *p = calloc(1, sizeof *p);
    if (!p) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    p->lock = -1;
    p->router = type == ZMQ_ROUTER;
    p->context = zmq_ctx_new();
    if (p->context && p->router)
        zmq_ctx_set(p->context, ZMQ_MAX_SOCKETS, 65535);
    if (p->router && !(p->socket = socket_new(p, type, err))) {
        peer_close(p);
        return NULL;
    }
    return p;
}

void peer_close(struct peer *p)
{
    if (!p)
        return;
    if (p->auth)
        zmq_close(p->auth);
    if (p->socket)
        zmq_close(p->socket);
    if (p->context)
        zmq_ctx_term(p->context);
    if (p->lock >= 0)
        close(p->lock); /* the lock file stays: removing it would race with the next owner */
    free(p->allow.path);
    free(p->allow.rows);
    free(p);
}

static void *dealer(struct peer *p, const char *endpoint, struct err *err)
{
    const struct peer_keys *k = &p->keys;
    void *s = socket_new(p, ZMQ_DEALER, err);
    int rc = 0;
    if (!s)
        return NULL;
    /* Nothing is queued for a connection that does not exist: a send says so at once. */
    set_int(s, ZMQ_IMMEDIATE, 1);
    set_int(s, ZMQ_RECONNECT_IVL, 50);
    set_int(s, ZMQ_RECONNECT_IVL_MAX, 1000);
    if (k->server_key[0]) {
        rc |= zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, k->server_key, KEY_CHARS + 1);
        rc |= zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, k->public_key, KEY_CHARS + 1);
        rc |= zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, k->secret_key, KEY_CHARS + 1);
    }
    if (rc == 0 && zmq_connect(s, endpoint) == 0)
        return s;
    err_set(err, ERR_CONFIG, "%s: %s", endpoint, rc ? "not a CURVE key" : zmq_strerror(errno));
    err_fix(err, "endpoints look like ipc:///run/pawl/broker.sock or tcp://HOST:PORT");
    zmq_close(s);
    return NULL;
}

enum status peer_move(struct peer *p, const char *endpoint, struct err *err)
{
    void *s = dealer(p, endpoint, err);
    if (!s)
        return ERR_CONFIG;
    if (p->socket) {
        set_int(p->socket, ZMQ_LINGER, 0);
        zmq_close(p->socket);
    }
    p->socket = s;
    snprintf(p->endpoint, sizeof p->endpoint, "%s", endpoint);
    return OK;
}

struct peer *peer_connect(const char *endpoint, const struct peer_keys *keys, struct err *err)
{
    struct peer *p = peer_new(ZMQ_DEALER, err);
    if (!p)
        return NULL;
    if (keys)
        p->keys = *keys;
    if (peer_move(p, endpoint, err) == OK)
        return p;
    peer_close(p);
    return NULL;
}

static bool allow_changed(struct allow *a, const struct stat *st)
{
    return st->st_mtim.tv_sec != a->mtime.tv_sec || st->st_mtim.tv_nsec != a->mtime.tv_nsec ||
           st->st_size != a->size || st->st_ino != a->inode;
}

static void allow_line(struct allow *a, const char *line)
{
    char key[KEY_CHARS + 2], role[PAWL_NAME_MAX + 2];
    if (*line == '#' || sscanf(line, "%41s %65s", key, role) != 2)
        return;
    if (strlen(key) != KEY_CHARS || strlen(role) > PAWL_NAME_MAX || a->rows_n == ALLOW_MAX)
        return;
    memcpy(a->rows[a->rows_n].key, key, sizeof a->rows[0].key);
    memcpy(a->rows[a->rows_n].role, role, sizeof a->rows[0].role);
    a->rows_n++;
}

/* Read the file again if it changed. A file that cannot be read allows nobody. */
static void allow_refresh(struct allow *a)
{
    struct stat st;
    if (stat(a->path, &st) != 0) {
        a->version += a->size != -1;
        a->rows_n = 0;
        a->size = -1;
        return;
    }
    if (!allow_changed(a, &st))
        return;
    a->mtime = st.st_mtim;
    a->size = st.st_size;
    a->inode = st.st_ino;
    a->version++;
    a->rows_n = 0;
    FILE *f = st.st_size <= ALLOW_BYTES_MAX ? fopen(a->path, "re") : NULL;
    char line[512];
    while (f && fgets(line, sizeof line, f))
        allow_line(a, line);
    if (f)
        fclose(f);
}

static const char *allow_role(struct allow *a, const char *key)
{
    allow_refresh(a);
    for (size_t i = 0; i < a->rows_n; i++) {
        if (strcmp(a->rows[i].key, key) == 0)
            return a->rows[i].role;
    }
    return NULL;
}

static enum status open_auth(struct peer *p, const struct peer_keys *keys, const char *allow,
                             struct err *err)
{
    p->allow.path = strdup(allow ? allow : "/nonexistent");
    p->allow.rows = calloc(ALLOW_MAX, sizeof *p->allow.rows);
    p->allow.size = -1;
    p->auth = zmq_socket(p->context, ZMQ_REP);
    if (!p->allow.path || !p->allow.rows || !p->auth ||
        zmq_bind(p->auth, "inproc://zeromq.zap.01") != 0)
        return err_set(err, ERR_INTERNAL, "authentication: %s", zmq_strerror(errno));
    set_int(p->auth, ZMQ_LINGER, 0);
    set_int(p->socket, ZMQ_CURVE_SERVER, 1);
    if (zmq_setsockopt(p->socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, KEY_CHARS + 1) != 0)
        return err_set(err, ERR_CONFIG, "the broker's secret key is not a CURVE key");
    zmq_setsockopt(p->socket, ZMQ_ZAP_DOMAIN, "pawl", 4);
    return OK;
}

/* libzmq unlinks a path that somebody listens on, so the path itself guards nothing. */
static enum status lock_path(struct peer *p, const char *endpoint, struct err *err)
{
    if (strncmp(endpoint, "ipc://", 6) != 0)
        return OK;
    char path[sizeof p->endpoint];
    snprintf(path, sizeof path, "%s.lock", endpoint + 6);
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock < 0)
        return err_set(err, ERR_CREATE, "%s: %s", path, strerror(errno));
    if (flock(p->lock, LOCK_EX | LOCK_NB) == 0)
        return OK;
    err_set(err, ERR_UNAVAILABLE, "%s: another broker listens there", endpoint);
    err_fix(err, "stop it (`pawl down`) or choose another broker.endpoint");
    return ERR_UNAVAILABLE;
}

struct peer *peer_bind(const char *endpoint, const struct peer_keys *keys, const char *allow,
                       struct err *err)
{
    struct peer *p = peer_new(ZMQ_ROUTER, err);
    if (!p)
        return NULL;
    set_int(p->socket, ZMQ_ROUTER_MANDATORY, 1);
    if (lock_path(p, endpoint, err) != OK)
        goto fail;
    if (keys && keys->secret_key[0] && open_auth(p, keys, allow, err) != OK)
        goto fail;
    if (zmq_bind(p->socket, endpoint) != 0) {
        bool taken = errno == EADDRINUSE;
        err_set(err, taken ? ERR_UNAVAILABLE : ERR_CONFIG, "%s: %s", endpoint,
                taken ? "another program listens there" : zmq_strerror(errno));
        err_fix(err, taken ? "stop it, or choose another broker.endpoint"
                           : "endpoints look like ipc:///run/pawl/broker.sock or tcp://HOST:PORT");
        goto fail;
    }
    size_t n = sizeof p->endpoint;
    zmq_getsockopt(p->socket, ZMQ_LAST_ENDPOINT, p->endpoint, &n);
    return p;
fail:
    peer_close(p);
    return NULL;
}

void *peer_socket(const struct peer *p)
{
    return p->socket;
}

uint64_t peer_allow_version(struct peer *p)
{
    if (p->auth)
        allow_refresh(&p->allow);
    return p->allow.version;
}

const char *peer_role(struct peer *p, const char *key)
{
    return allow_role(&p->allow, key);
}

void *peer_auth_socket(const struct peer *p)
{
    return p->auth;
}

const char *peer_endpoint(const struct peer *p)
{
    return p->endpoint;
}

/* One ZAP request: version, request id, domain, address, identity, mechanism, key (RFC 27). */
void peer_auth(struct peer *p)
{
    char parts[7][256] = { { 0 } };
    size_t sizes[7] = { 0 };
    int n = 0, more = 1;
    size_t more_size = sizeof more;
    while (more) {
        char spill[256];
        char *to = n < 7 ? parts[n] : spill;
        int got = zmq_recv(p->auth, to, sizeof parts[0] - 1, ZMQ_DONTWAIT);
        if (got < 0)
            return;
        if (n < 7)
            sizes[n] = (size_t)got;
        n++;
        zmq_getsockopt(p->auth, ZMQ_RCVMORE, &more, &more_size);
    }
    char key[KEY_CHARS + 1] = "";
    bool curve = n == 7 && strcmp(parts[5], "CURVE") == 0 && sizes[6] == 32;
    if (curve)
        zmq_z85_encode(key, (const uint8_t *)parts[6], 32);
    bool good = curve && allow_role(&p->allow, key);
    zmq_send(p->auth, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(p->auth, parts[1], sizes[1], ZMQ_SNDMORE);
    zmq_send(p->auth, good ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(p->auth, "", 0, ZMQ_SNDMORE);
    zmq_send(p->auth, good ? key : "", good ? KEY_CHARS : 0, ZMQ_SNDMORE);
    zmq_send(p->auth, "", 0, 0);
}

struct str peer_frame(const struct peer_in *in, uint32_t i)
{
    assert(i < in->n);
    zmq_msg_t *m = (zmq_msg_t *)in->frames + i;
    return (struct str){ zmq_msg_data(m), zmq_msg_size(m) };
}

static void frames_close(zmq_msg_t *frames, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        zmq_msg_close(&frames[i]);
}

void peer_in_free(struct peer_in *in)
{
    frames_close(in->frames, in->n);
    free(in->frames);
    in->frames = NULL;
    in->n = 0;
}

/* Who sent it. A key that has left the allow file is denied, whatever its handshake said. */
static enum status note_sender(struct peer *p, struct peer_in *in, zmq_msg_t *first)
{
    const char *key = p->auth ? zmq_msg_gets(first, "User-Id") : NULL;
    if (!p->auth)
        return OK;
    const char *role = key ? allow_role(&p->allow, key) : NULL;
    if (!role)
        return ERR_DENIED;
    snprintf(in->role, sizeof in->role, "%s", role);
    snprintf(in->key, sizeof in->key, "%s", key);
    in->user = str_of(in->role);
    return OK;
}

/* The next message into p->frames, their number into n: to be closed in any case. */
static enum status take_frames(struct peer *p, struct peer_in *in, uint32_t *n)
{
    enum status st = OK;
    for (bool more = true, first = p->router; more; first = false) {
        zmq_msg_t m;
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, p->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&m);
            return errno == EAGAIN ? ERR_BUSY : ERR_IO;
        }
        more = zmq_msg_more(&m);
        if (first) {
            size_t size = zmq_msg_size(&m);
            in->from.n = size < ROUTING_ID_MAX ? size : ROUTING_ID_MAX;
            memcpy(in->routing_id, zmq_msg_data(&m), in->from.n);
            in->from.p = in->routing_id;
            zmq_msg_close(&m);
            continue;
        }
        if (*n == 0 && st == OK)
            st = note_sender(p, in, &m);
        if (*n < PAWL_FRAMES_MAX && st == OK) {
            zmq_msg_init(&p->frames[*n]);
            zmq_msg_move(&p->frames[(*n)++], &m);
        } else if (st == OK) {
            st = ERR_LIMIT;
        }
        zmq_msg_close(&m);
    }
    return st == OK && *n == 0 ? ERR_LIMIT : st;
}

/* The frames that were taken become those of `in`. */
static enum status keep_frames(struct peer *p, struct peer_in *in, uint32_t n)
{
    zmq_msg_t *frames = malloc(n * sizeof *frames);
    if (!frames)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        zmq_msg_init(&frames[i]);
        zmq_msg_move(&frames[i], &p->frames[i]);
    }
    in->frames = frames;
    in->n = n;
    return OK;
}

enum status peer_recv(struct peer *p, struct peer_in *in)
{
    uint32_t n = 0;
    memset(in, 0, sizeof *in);
    enum status st = take_frames(p, in, &n);
    if (st == OK)
        st = keep_frames(p, in, n);
    failpoint_recv(st == OK ? peer_frame(in, 0) : (struct str){ 0 });
    frames_close(p->frames, n);
    return st;
}

static enum status send_part(struct peer *p, struct str part, bool more)
{
    int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    if (zmq_send(p->socket, part.p ? part.p : "", part.n, flags) >= 0)
        return OK;
    if (errno == EAGAIN)
        return ERR_BUSY;
    return errno == EHOSTUNREACH ? ERR_NOT_FOUND : ERR_IO;
}

enum status peer_send_raw(struct peer *p, struct str to, struct str header, const struct str *frames,
                          uint32_t frames_n)
{
    if (frames_n >= PAWL_FRAMES_MAX || header.n > PAWL_HEADER_MAX)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < frames_n; i++) {
        if (frames[i].n > PAWL_FRAME_MAX)
            return ERR_LIMIT;
    }
    failpoint_send(header, false);
    enum status st = p->router ? send_part(p, to, true) : OK;
    /* After the first part is accepted libzmq takes the rest of the message. */
    if (st == OK)
        st = send_part(p, header, frames_n > 0);
    for (uint32_t i = 0; st == OK && i < frames_n; i++)
        st = send_part(p, frames[i], i + 1 < frames_n);
    if (st == OK)
        failpoint_send(header, true);
    return st;
}

enum status peer_send(struct peer *p, struct str to, const struct msg *m, const struct str *frames,
                      uint32_t frames_n)
{
    struct buf header;
    buf_init(&header, PAWL_HEADER_MAX);
    enum status st = msg_encode(m, &header);
    if (st == OK)
        st = peer_send_raw(p, to, buf_get(&header), frames, frames_n);
    buf_fini(&header);
    return st;
}

enum status peer_keypair(char public_key[41], char secret_key[41])
{
    do {
        if (zmq_curve_keypair(public_key, secret_key) != 0)
            return ERR_INTERNAL;
    } while (*public_key == '-'); /* one in 85: a command line would read it as a flag */
    return OK;
}
