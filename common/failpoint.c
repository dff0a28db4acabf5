/* SPDX-License-Identifier: Apache-2.0 */
#include "common/failpoint.h"

#ifdef PAWL_FAILPOINTS
#include "common/msg.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ON_ITS_WAY_MS = 30 };

struct armed {
    bool looked;
    char name[64]; /* empty: none */
    unsigned long left;
};

/* What the environment says: read once, from the process's one thread. */
static struct armed *armed(void)
{
    static struct armed a;
    const char *text = a.looked ? NULL : getenv("PAWL_FAILPOINT");
    a.looked = true;
    if (!text)
        return &a;
    const char *colon = strchr(text, ':');
    int n = colon ? (int)(colon - text) : (int)strlen(text);
    snprintf(a.name, sizeof a.name, "%.*s", n, text);
    a.left = colon ? strtoul(colon + 1, NULL, 10) : 1;
    return &a;
}

static void pass(const char *name, bool after)
{
    struct armed *a = armed();
    if (strcmp(name, a->name) != 0 || --a->left > 0)
        return;
    /* What was given to libzmq is written by its own thread: let it. */
    if (after)
        nanosleep(&(struct timespec){ .tv_nsec = ON_ITS_WAY_MS * 1000000L }, NULL);
    raise(SIGKILL);
}

void failpoint(enum failpoint at)
{
    static const char *const names[] = {
#define AT(name, program) [AT_##name] = #name,
#include "common/failpoint.def"
    };
    if (*armed()->name)
        pass(names[at], false);
}

static void pass_message(const char *way, struct str header, const char *when)
{
    struct msg m;
    char name[64];
    if (!*armed()->name || msg_decode(header, &m, NULL) != OK)
        return;
    snprintf(name, sizeof name, "%s_%s_%s", way, msg_name(m.type), when);
    pass(name, strcmp(way, "send") == 0 && strcmp(when, "after") == 0);
}

void failpoint_send(struct str header, bool after)
{
    pass_message("send", header, after ? "after" : "before");
}

void failpoint_recv(struct str header)
{
    static char before[4096]; /* the message before: its header, as far as it fits */
    static size_t before_n;
    if (!*armed()->name)
        return;
    if (before_n)
        pass_message("recv", (struct str){ before, before_n }, "after");
    before_n = header.n <= sizeof before ? header.n : 0;
    if (before_n == 0)
        return;
    memcpy(before, header.p, before_n);
    pass_message("recv", header, "before");
}
#endif
