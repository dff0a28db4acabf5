/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/collide.h"

#include "clients/cli/dialog_file.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/openspec/questions.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { FILE_BYTES = 4 << 20, ARENA_BYTES = 64 << 20, TRIES = 50, REST_MS = 100 };

static const char prefix[] = "collision-";
static const char how[] =
    "You and the job changed the same lines. Answer `yours` to keep what the folder has or `theirs` to "
    "take what the job made, in all of these places; then say `pawl apply` again.\n\n";

enum keep keep_named(struct str word)
{
    if (word.n == 5 && strncasecmp(word.p, "yours", 5) == 0)
        return KEEP_YOURS;
    return word.n == 6 && strncasecmp(word.p, "theirs", 6) == 0 ? KEEP_THEIRS : KEEP_UNKNOWN;
}

void collide_id(const struct edit_merge *m, char out[COLLIDE_ID])
{
    struct buf b;
    char hex[HASH_HEX + 1];
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < m->n; i++) {
        const struct edit_collision *c = &m->at[i];
        buf_printf(&b, "%zu %zu %zu\n", c->path.n, c->ours.n, c->theirs.n);
        buf_view(&b, c->path);
        buf_view(&b, c->ours);
        buf_view(&b, c->theirs);
    }
    struct hash h = hash_of(buf_get(&b));
    hash_hex(&h, hex);
    snprintf(out, COLLIDE_ID, "%s%.12s", prefix, hex);
    buf_fini(&b);
}

/* ---- the file ---------------------------------------------------------------------------------- */

struct asking {
    const char *root, *change;
    char id[COLLIDE_ID];
    enum keep keep;   /* settle: as it was written */
    struct str shown; /* ask */
    struct arena arena;
    struct buf was;
    struct questions q;
};

static enum status asking_read(struct asking *a, struct err *err)
{
    buf_clear(&a->was);
    enum status st = dialog_file_read(a->root, a->change, &a->was, err);
    if (st == OK)
        st = questions_read(&a->arena, (struct str){ buf_z(&a->was), a->was.len }, &a->q, err);
    if (st == ERR_DATA)
        err_prefix(err, "openspec/changes/%.200s/questions.md", a->change);
    return st;
}

static void asking_begin(struct asking *a, const char *root, const char *change,
                         const struct edit_merge *m)
{
    *a = (struct asking){ .root = root, .change = change };
    collide_id(m, a->id);
    arena_init(&a->arena, ARENA_BYTES);
    buf_init(&a->was, FILE_BYTES);
}

static void asking_end(struct asking *a)
{
    buf_fini(&a->was);
    arena_fini(&a->arena);
}

enum status collide_answer(const char *root, const char *change, const struct edit_merge *m,
                           enum keep *out, struct err *err)
{
    struct asking a;
    *out = KEEP_UNKNOWN;
    asking_begin(&a, root, change, m);
    enum status st = asking_read(&a, err);
    const struct questions_entry *e = st == OK ? questions_find(&a.q, str_of(a.id)) : NULL;
    if (e && e->answer.n && (*out = keep_named(e->answer)) == KEEP_UNKNOWN) {
        st = err_set(err, ERR_DATA, "openspec/changes/%.200s/questions.md:%zu: neither yours nor theirs",
                     change, e->answer_at.line);
        err_fix(err, "answer %s with one of these words, or say --keep", a.id);
    }
    asking_end(&a);
    return st;
}

/* ---- edits: each looks at the text as it is, and gives a new one or ERR_NOT_FOUND ------------------ */

typedef enum status edit_fn(struct asking *a, struct str *out, struct err *err);

static bool is_ours(const struct questions_entry *e)
{
    size_t n = sizeof prefix - 1;
    return e->from == QUESTIONS_SYSTEM && e->state == QUESTIONS_OPEN && e->id.n > n &&
           memcmp(e->id.p, prefix, n) == 0;
}

/* Another collision's question, which nobody will look at again. */
static enum status withdraw(struct asking *a, struct str *out, struct err *err)
{
    const struct questions_mark m = { .state = QUESTIONS_WITHDRAWN };
    for (size_t i = 0; i < a->q.n; i++) {
        const struct questions_entry *e = &a->q.at[i];
        if (is_ours(e) && !str_is(e->id, a->id))
            return questions_set(&a->q, e->id, &m, out, err);
    }
    return ERR_NOT_FOUND;
}

static enum status add(struct asking *a, struct str *out, struct err *err)
{
    struct buf text;
    if (questions_find(&a->q, str_of(a->id)))
        return withdraw(a, out, err);
    buf_init(&text, QUESTIONS_BYTES_MAX);
    buf_str(&text, how);
    buf_view(&text, a->shown);
    struct questions_new entry = { .id = str_of(a->id),
                                   .from = QUESTIONS_SYSTEM,
                                   .text = buf_get(&text) };
    enum status st = questions_add(&a->q, &entry, out, err);
    buf_fini(&text);
    return st;
}

static enum status settle(struct asking *a, struct str *out, struct err *err)
{
    const struct questions_entry *e = questions_find(&a->q, str_of(a->id));
    const char *word = a->keep == KEEP_YOURS ? "yours" : "theirs";
    struct questions_mark m = { .state = QUESTIONS_ANSWERED, .by = str_of("user (file)") };
    struct questions now;
    struct str text = a->q.text;
    enum status st = OK;
    if (!e || !is_ours(e))
        return withdraw(a, out, err);
    if (keep_named(e->answer) != a->keep) { /* said elsewhere, which counts */
        m.by = str_of("user (cli)");
        st = questions_answer(&a->q, e->id, str_of(word), &text, err);
    }
    if (st == OK)
        st = questions_read(&a->arena, text, &now, err);
    return st == OK ? questions_set(&now, str_of(a->id), &m, out, err) : st;
}

static void rest(void)
{
    struct timespec t = { .tv_nsec = REST_MS * 1000000L };
    nanosleep(&t, NULL);
}

/* Edits until there is nothing left to edit. What somebody saves meanwhile is read again. */
static enum status rewrite(struct asking *a, edit_fn *edit, struct err *err)
{
    for (int i = 0; i < TRIES; i++) {
        enum dialog_wrote wrote;
        struct dialog_seen seen;
        struct str text;
        dialog_file_stat(a->root, a->change, &seen);
        enum status st = asking_read(a, err);
        if (st == OK)
            st = edit(a, &text, err);
        if (st != OK)
            return st == ERR_NOT_FOUND ? OK : st;
        st = dialog_file_put(a->root, a->change, seen.there, buf_get(&a->was), text, &wrote, err);
        if (st != OK)
            return st;
        if (wrote == DIALOG_WAIT)
            rest();
    }
    return err_set(err, ERR_BUSY, "openspec/changes/%.200s/questions.md: another process writes there",
                   a->change);
}

enum status collide_ask(const char *root, const char *change, const struct edit_merge *m,
                        struct str shown, struct err *err)
{
    struct asking a;
    asking_begin(&a, root, change, m);
    a.shown = shown;
    enum status st = rewrite(&a, add, err);
    asking_end(&a);
    return st;
}

enum status collide_settle(const char *root, const char *change, const struct edit_merge *m,
                           enum keep keep, struct err *err)
{
    struct asking a;
    asking_begin(&a, root, change, m);
    a.keep = keep;
    enum status st = rewrite(&a, settle, err);
    asking_end(&a);
    return st;
}
