/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_PEER_H
#define PAWL_PEER_H
/* peer: ZeroMQ sockets, frames in, frames out, nothing else. Sends never block. A socket that
 * accepts strangers' bytes refuses frames above PAWL_FRAME_MAX and messages of more than
 * PAWL_FRAMES_MAX frames before it looks inside. */
#include "common/msg.h"

enum { ROUTING_ID_MAX = 255 };

/* Frames of one received message, without the routing id. Valid until peer_in_free(). */
struct peer_in {
    void *frames; /* zmq_msg_t[] */
    uint32_t n;
    struct str from; /* routing id (ROUTER), else empty */
    struct str user; /* role of the connection's key in the allow file, "" without CURVE */
    char routing_id[ROUTING_ID_MAX];
    char role[PAWL_NAME_MAX + 1];
    char key[41]; /* public, of the connection; "" without CURVE */
};

struct str peer_frame(const struct peer_in *in, uint32_t i);
void peer_in_free(struct peer_in *in);

struct peer; /* one socket and, with the first, the ZeroMQ context */

struct peer_keys {
    char public_key[41], secret_key[41]; /* ours, Z85; empty: no CURVE */
    char server_key[41];                 /* DEALER: the broker's public key */
};

/* A DEALER connected to endpoint. Reconnects by itself; what is unsent when the connection breaks
 * is lost, which is why everything that matters is acknowledged and said again.
 * Heartbeats: 5 s interval, 15 s timeout (they only clean up dead TCP). */
struct peer *peer_connect(const char *endpoint, const struct peer_keys *keys, struct err *err);
/* The same peer, connected elsewhere: another socket, thus another one for the ROUTER; what was not
 * sent or read is gone. Take peer_socket() off the mux before, and put the new one on it after. On
 * failure the old connection stays. */
enum status peer_move(struct peer *p, const char *endpoint, struct err *err) MUST_USE;
/* A ROUTER bound to endpoint, ROUTER_MANDATORY, handover off. `allow` (may be NULL) is the path of
 * the allow file for CURVE, one "Z85-key role" per line, re-read when it changes; with keys and
 * without allow nobody gets in. ipc:// paths are locked (path.lock): a second broker is refused. */
struct peer *peer_bind(const char *endpoint, const struct peer_keys *keys, const char *allow, struct err *err);
void peer_close(struct peer *p); /* lingers at most 500 ms; NULL is fine */

void *peer_socket(const struct peer *p); /* for mux_socket() */
/* The endpoint really bound (wildcard ports resolved). */
const char *peer_endpoint(const struct peer *p);

/* A ROUTER with keys answers the handshakes of CURVE here (ZAP, RFC 27): put the socket on the mux
 * and call peer_auth() when it is readable. NULL: nothing to do. */
void *peer_auth_socket(const struct peer *p);
void peer_auth(struct peer *p);

/* Reads the allow file again if it has changed; another number than before says that it had. */
uint64_t peer_allow_version(struct peer *p);
/* The role of a public key now; NULL: it is not allowed. Valid until the next call with p. */
const char *peer_role(struct peer *p, const char *key);

/* Next message, without waiting. ERR_BUSY: none there. ERR_LIMIT: a message was dropped because of
 * its frame count; ERR_DENIED: its key is not (any more) in the allow file (in->from says whose,
 * frames are gone). A frame above PAWL_FRAME_MAX never arrives: libzmq cuts the connection. */
enum status peer_recv(struct peer *p, struct peer_in *in) MUST_USE;

/* Send header and frames, copying. `to` is empty for a DEALER. ERR_BUSY: the peer's queue is full
 * (nothing was sent); ERR_NOT_FOUND: no such peer (ROUTER); ERR_LIMIT: a frame is too large. */
enum status peer_send(struct peer *p, struct str to, const struct msg *m,
                      const struct str *frames, uint32_t frames_n) MUST_USE;
/* The same with an already encoded header. */
enum status peer_send_raw(struct peer *p, struct str to, struct str header,
                          const struct str *frames, uint32_t frames_n) MUST_USE;

/* Make a CURVE key pair, Z85; the public half never begins with a dash. */
enum status peer_keypair(char public_key[41], char secret_key[41]);
#endif
