/* SPDX-License-Identifier: Apache-2.0 */
/* allow: the allow file may change while its keys' connections are open. Each message is checked
 * against it (peer.h); here is the other direction: who is not allowed any more hears nothing more,
 * holds nothing and watches nothing. A changed role has to say HELLO again, under the new one. */
#include "broker/broker.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

void allow_look(struct broker *b)
{
    uint64_t version = peer_allow_version(b->peer);
    struct conn *c;
    size_t at = 0;
    if (version == b->allow_version)
        return;
    b->allow_version = version;
    while ((c = idmap_next(&b->conns_by_id, &at)) != NULL) {
        const char *role = c->key[0] ? peer_role(b->peer, c->key) : NULL;
        if (c->gone || c->key[0] == '\0' || (role && strcmp(role, c->role) == 0))
            continue;
        log_line(&b->log, LOG_INFO, role ? "the role of a key has changed" : "a key was revoked",
                 "peer", c->name, "was", c->role, "is", role ? role : "", NULL);
        c->gone = b->some_gone = true;
    }
}

static void on_change(void *ctx, int fd, int events)
{
    struct broker *b = ctx;
    char bytes[4096];
    (void)events;
    while (read(fd, bytes, sizeof bytes) > 0)
        ; /* what has happened there is seen by looking */
    allow_look(b);
}

void allow_watch(struct broker *b, const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    b->allow_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    enum status st = OK;
    if (b->allow_fd >= 0 &&
        inotify_add_watch(b->allow_fd, dir, IN_CLOSE_WRITE | IN_MOVE | IN_CREATE | IN_DELETE) >= 0)
        st = mux_fd(b->mux, b->allow_fd, MUX_IN, on_change, b);
    if (st != OK)
        log_line(&b->log, LOG_WARN, "changes of the allow file are noticed after a second", NULL);
}

void allow_close(struct broker *b)
{
    if (b->allow_fd < 0)
        return;
    mux_fd_remove(b->mux, b->allow_fd);
    close(b->allow_fd);
    b->allow_fd = -1;
}
