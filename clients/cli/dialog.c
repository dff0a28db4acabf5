/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/dialog.h"

#include "clients/cli/dialog_file.h"
#include "clients/cli/dialog_plan.h"
#include "clients/cli/live.h"
#include "clients/cli/out.h"
#include "common/doc.h"
#include "common/hash.h"
#include "common/openspec/names.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    SOON_MS = 20,    /* several events come together */
    REST_MS = 400,   /* a file that was written a shorter time ago may not be finished */
    POLL_MS = 2000,  /* where inotify tells nothing */
    CLAIM_MS = 200,  /* another writer is at work */
    CLAIM_MOST = 25, /* so often until that is told */
    REFUSED_MAX = 256,
    ARENA_BYTES = 256 << 20,
    FILE_BYTES = 4 << 20,
};

enum phase { RESTS, SOON, SHOWS, NAMES, SAYS };

struct saying {
    struct dialog *d;
    enum dialog_kind kind;
    char entry[80];
    uint64_t key;
};

struct dialog {
    struct dialog_how how;
    char id[32], name[CHANGE_NAME_MAX + 1], guess[40]; /* guess: until the change has a name */
    bool named, asked_brief;
    enum phase phase;
    bool again; /* something has changed since the phase began */
    json_t *job;
    struct mux_timer soon, poll;
    int notify, lock;
    struct dialog_seen seen;
    uint64_t seen_text, ours;                 /* hashes: as read last; as we wrote it last */
    char told[sizeof((struct err *)0)->text]; /* what is wrong with the file, said once */
    uint64_t wrong;
    uint64_t refused[REFUSED_MAX];
    size_t refused_n;
    struct saying saying[DIALOG_SENDS_MAX];
    size_t saying_n, in_flight;
    int claimed;
};

static void work(struct dialog *d);

static uint64_t hash64(struct str s)
{
    struct hash h = hash_of(s);
    uint64_t v;
    memcpy(&v, h.b, sizeof v);
    return v;
}

static void say(struct dialog *d, bool warning, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(struct dialog *d, bool warning, const char *fmt, ...)
{
    char line[1400];
    struct buf clean;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    buf_init(&clean, 1 << 16);
    text_clean(&clean, str_of(line), false);
    d->how.say(d->how.ctx, warning, buf_z(&clean));
    buf_fini(&clean);
}

static void say_lines(struct dialog *d, bool warning, struct str lines)
{
    while (lines.n) {
        const char *nl = memchr(lines.p, '\n', lines.n);
        size_t n = nl ? (size_t)(nl - lines.p) : lines.n;
        say(d, warning, "%.*s", (int)n, lines.p);
        n += nl != NULL;
        lines = (struct str){ lines.p + n, lines.n - n };
    }
}

/* The same trouble is told once, until there is another one or none. */
static void trouble(struct dialog *d, const struct err *err)
{
    if (strcmp(d->told, err->text) == 0)
        return;
    snprintf(d->told, sizeof d->told, "%s", err->text);
    say(d, true, "%s%s%s", err->text, *err->fix ? "; " : "", err->fix);
}

/* ---- the rhythm -------------------------------------------------------------------------------- */

static void soon(struct dialog *d, int64_t ms)
{
    d->phase = SOON;
    mux_timer_in(d->how.talk->mux, &d->soon, ms);
}

bool dialog_look(struct dialog *d)
{
    if (!d->how.make && !dialog_file_any(d->how.root))
        return false;
    if (d->phase == RESTS)
        soon(d, SOON_MS);
    else if (d->phase != SOON)
        d->again = true;
    return true;
}

static void rest(struct dialog *d)
{
    d->phase = RESTS;
    if (d->again) {
        d->again = false;
        soon(d, SOON_MS);
        return;
    }
    d->how.idle(d->how.ctx, d->job);
}

static void on_shown(void *ctx, const struct link_reply *reply)
{
    struct dialog *d = ctx;
    struct err err = { 0 };
    json_t *map = NULL;
    if (!reply->m || js_from_mp(peer_frame(reply->in, 1), &map, &err) != OK) {
        trouble(d, reply->m ? &err : reply->err);
        rest(d);
        return;
    }
    json_decref(d->job);
    d->job = map;
    work(d);
}

static void on_soon(void *ctx)
{
    struct dialog *d = ctx;
    struct msg m = { .type = MSG_SHOW, .SHOW = { 0, str_of(d->id) } };
    d->phase = SHOWS;
    if (link_ask(d->how.talk->link, &m, NULL, 0, true, on_shown, d) != OK)
        rest(d);
}

/* ---- which folder ------------------------------------------------------------------------------ */

static void watch_folders(struct dialog *d)
{
    char path[PATH_MAX];
    const uint32_t what = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE;
    if (d->notify < 0)
        return;
    int n = snprintf(path, sizeof path, "%s/openspec/changes", d->how.root);
    if (n > 0 && (size_t)n < sizeof path)
        inotify_add_watch(d->notify, path, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    n = snprintf(path, sizeof path, "%s/openspec/changes/%s", d->how.root, d->name);
    if (n > 0 && (size_t)n < sizeof path)
        inotify_add_watch(d->notify, path, what | IN_ONLYDIR);
}

/* Once the change has a name it stays, unless the user has begun to write under the guess. */
static void take_name(struct dialog *d, const char *name, bool final)
{
    struct dialog_seen guessed;
    dialog_file_stat(d->how.root, d->guess, &guessed);
    bool use = final && !guessed.there && name_is_change(str_of(name));
    snprintf(d->name, sizeof d->name, "%s", use ? name : d->guess);
    d->named = use || guessed.there;
    watch_folders(d);
    work(d);
}

static void ask_doc(struct dialog *d, const char *name);

static void on_doc(void *ctx, const struct link_reply *reply)
{
    struct dialog *d = ctx;
    json_t *doc = NULL;
    struct err err = { 0 };
    const char *kind = d->asked_brief ? "problem" : "brief",
               *key = d->asked_brief ? "change" : "change_name";
    enum status st = reply->m ? doc_unpack(kind, peer_frame(reply->in, 1), &doc, &err) : ERR_IO;
    const char *name = st == OK ? js_str(doc, key) : "";
    if (*name || d->asked_brief) {
        take_name(d, name, *name);
    } else {
        d->asked_brief = true;
        ask_doc(d, "problem");
    }
    json_decref(doc);
}

static void ask_doc(struct dialog *d, const char *name)
{
    struct msg m = { .type = MSG_GET };
    m.GET.job = str_of(d->id);
    m.GET.name = str_of(name);
    if (link_ask(d->how.talk->link, &m, NULL, 0, true, on_doc, d) != OK)
        rest(d);
}

/* ---- saying ------------------------------------------------------------------------------------ */

static uint64_t key_of(const struct dialog_send *s)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_printf(&b, "%d %.*s\n", (int)s->kind, STR_ARG(s->entry));
    buf_view(&b, s->text);
    uint64_t key = hash64(buf_get(&b));
    buf_fini(&b);
    return key;
}

static bool was_refused(const struct dialog *d, uint64_t key)
{
    for (size_t i = 0; i < d->refused_n; i++) {
        if (d->refused[i] == key)
            return true;
    }
    return false;
}

static void refuse(struct dialog *d, uint64_t key)
{
    if (d->refused_n == REFUSED_MAX)
        memmove(d->refused, d->refused + 1, --d->refused_n * sizeof d->refused[0]);
    d->refused[d->refused_n++] = key;
}

static void on_said(void *ctx, const struct link_reply *reply)
{
    struct saying *s = ctx;
    struct dialog *d = s->d;
    bool unknown = !reply->m && reply->err->status == ERR_UNAVAILABLE; /* the record will tell */
    bool late = !reply->m && strncmp(reply->err->text, "already answered", 16) == 0;
    if (reply->m && s->kind == DIALOG_ANSWER)
        say(d, false, "%s: the answer in questions.md is taken", s->entry);
    else if (reply->m)
        say(d, false, "%s: taken from questions.md as comment %.*s", s->entry,
            STR_ARG(reply->m->OKAY.id));
    else if (!unknown && !late) /* what holds instead is told when it is written */
        say(d, true, "%s: %s", s->entry, reply->err->text);
    if (!reply->m && !unknown)
        refuse(d, s->key);
    if (--d->in_flight > 0)
        return;
    d->saying_n = 0;
    d->again = false;
    soon(d, reply->m ? 0 : SOON_MS);
}

static void say_one(struct dialog *d, const struct dialog_send *send)
{
    struct saying *s = &d->saying[d->saying_n];
    struct msg m = { .type = send->kind == DIALOG_ANSWER ? MSG_ANSWER : MSG_COMMENT };
    *s = (struct saying){ .d = d, .kind = send->kind, .key = key_of(send) };
    if (was_refused(d, s->key))
        return;
    snprintf(s->entry, sizeof s->entry, "%.*s", STR_ARG(send->entry));
    if (send->kind == DIALOG_ANSWER) {
        m.ANSWER.job = str_of(d->id);
        m.ANSWER.question = send->question;
        m.ANSWER.text = send->text;
        m.ANSWER.via = str_of("file");
    } else {
        m.COMMENT.job = str_of(d->id);
        m.COMMENT.text = send->text;
    }
    d->in_flight++;
    d->saying_n++;
    if (link_ask(d->how.talk->link, &m, NULL, 0, false, on_said, s) != OK) {
        d->in_flight--;
        d->saying_n--;
        refuse(d, s->key);
        say(d, true, "%s: it cannot be said to the broker", s->entry);
    }
}

/* ---- the file and the job ---------------------------------------------------------------------- */

/* OK: written, or to be tried again (then the phase is SOON). */
static enum status put(struct dialog *d, bool there, struct str was, const struct dialog_plan *plan,
                       struct err *err)
{
    enum dialog_wrote wrote;
    enum status st = dialog_file_put(d->how.root, d->name, there, was, plan->text, &wrote, err);
    if (st != OK)
        return st;
    if (wrote == DIALOG_WROTE) {
        d->claimed = 0;
        d->ours = d->seen_text = hash64(plan->text);
        watch_folders(d);
        d->seen = (struct dialog_seen){ .folder = true }; /* it may be another one already: look */
        say_lines(d, true, plan->notes);
    } else if (wrote == DIALOG_WAIT && ++d->claimed >= CLAIM_MOST) {
        d->claimed = 0;
        return err_set(err, ERR_BUSY, "questions.md: another process writes below openspec/");
    } else {
        soon(d, wrote == DIALOG_WAIT ? CLAIM_MS : SOON_MS);
    }
    return OK;
}

static void tell_wrong(struct dialog *d, struct str lines)
{
    uint64_t hash = lines.n ? hash64(lines) : 0;
    if (hash != d->wrong)
        say_lines(d, true, lines);
    d->wrong = hash;
}

static enum status agree(struct dialog *d, struct arena *a, struct str was, struct err *err)
{
    struct dialog_plan plan;
    bool speaks = dialog_file_lock(d->how.root, d->name, &d->lock);
    enum status st = dialog_plan(a, d->job, was, speaks, &plan, err);
    if (st != OK) {
        if (st == ERR_DATA)
            err_prefix(err, "openspec/changes/%.200s/questions.md", d->name);
        return st;
    }
    bool may = d->seen.there || d->seen.folder || d->how.make;
    if (plan.changed && may && (st = put(d, d->seen.there, was, &plan, err)) != OK)
        return st;
    tell_wrong(d, plan.wrong);
    if (d->phase == SOON)
        return OK;
    if (plan.more)
        d->again = true;
    d->phase = SAYS;
    for (size_t i = 0; i < plan.sends_n; i++)
        say_one(d, &plan.sends[i]);
    return OK;
}

/* The job is known: the name, then the file. */
static void work(struct dialog *d)
{
    struct arena a;
    struct buf was;
    struct err err = { 0 };
    if (!d->named && d->phase == SHOWS) {
        d->phase = NAMES;
        d->asked_brief = false;
        ask_doc(d, "brief");
        return;
    }
    arena_init(&a, ARENA_BYTES);
    buf_init(&was, FILE_BYTES);
    dialog_file_stat(d->how.root, d->name, &d->seen);
    enum status st = dialog_file_read(d->how.root, d->name, &was, &err);
    struct str text = was.len ? buf_get(&was) : (struct str){ "", 0 };
    d->seen_text = hash64(text);
    bool fresh = d->seen.there && d->seen.rested_ms >= 0 && d->seen.rested_ms < REST_MS;
    if (st == OK && fresh && d->seen_text != d->ours)
        soon(d, REST_MS - d->seen.rested_ms + 1); /* somebody is writing */
    else if (st == OK)
        st = agree(d, &a, text, &err);
    if (st != OK)
        trouble(d, &err);
    else if (d->phase != SOON)
        d->told[0] = '\0';
    buf_fini(&was);
    arena_fini(&a);
    if (d->phase != SOON && d->in_flight == 0)
        rest(d);
}

/* ---- the disk ---------------------------------------------------------------------------------- */

static void look_at_file(struct dialog *d)
{
    struct dialog_seen now;
    if (!*d->name)
        return;
    dialog_file_stat(d->how.root, d->name, &now);
    if (now.there != d->seen.there || now.ino != d->seen.ino || now.size != d->seen.size ||
        now.mtime_ns != d->seen.mtime_ns)
        dialog_look(d);
}

static void on_notify(void *ctx, int fd, int events)
{
    struct dialog *d = ctx;
    char drain[4096];
    (void)events;
    while (read(fd, drain, sizeof drain) > 0)
        ;
    watch_folders(d); /* the folder may be a new one */
    look_at_file(d);
}

static void on_poll(void *ctx)
{
    struct dialog *d = ctx;
    look_at_file(d);
    mux_timer_in(d->how.talk->mux, &d->poll, POLL_MS);
}

struct dialog *dialog_new(const char *job, const struct dialog_how *how)
{
    struct dialog *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->how = *how;
    snprintf(d->id, sizeof d->id, "%s", job);
    snprintf(d->guess, sizeof d->guess, "job-%s", job);
    d->soon = MUX_TIMER(on_soon, d);
    d->poll = MUX_TIMER(on_poll, d);
    d->lock = -1;
    d->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (d->notify >= 0 && mux_fd(how->talk->mux, d->notify, MUX_IN, on_notify, d) != OK) {
        close(d->notify);
        d->notify = -1; /* then the clock alone */
    }
    mux_timer_in(how->talk->mux, &d->poll, POLL_MS);
    dialog_look(d);
    return d;
}

void dialog_free(struct dialog *d)
{
    if (!d)
        return;
    if (d->how.talk->mux) {
        mux_timer_stop(d->how.talk->mux, &d->soon);
        mux_timer_stop(d->how.talk->mux, &d->poll);
        if (d->notify >= 0)
            mux_fd_remove(d->how.talk->mux, d->notify);
    }
    if (d->notify >= 0)
        close(d->notify);
    if (d->lock >= 0)
        close(d->lock);
    json_decref(d->job);
    free(d);
}
