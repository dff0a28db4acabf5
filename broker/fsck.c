/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/fsck.h"

#include "broker/core.h"
#include "broker/idmap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is known of a job: from its record, its documents, the indexes that list it. */
struct suspect {
    uint64_t id;
    int64_t created_ms, changed_ms;
    uint32_t want, listed; /* index bits */
    bool record, broken, documents, has_workspace, needs_seen;
    uint8_t workspace[HASH_BYTES];
};

struct blob {
    char hex[HASH_HEX + 1];
    bool there, bad, listed;
    uint32_t needs; /* jobs that need it, by its set w: */
};

struct entry { /* of an index, or of a set of needs (index INDEX_COUNT) */
    uint64_t id;
    int64_t score;
    uint32_t index;
    struct blob *blob;
};

struct found {
    struct finding *v;
    size_t n, cap;
};

struct fsck {
    struct idmap jobs, blobs, pipelines;
    struct entry *entries;
    size_t entries_n, entries_cap;
    struct found first, second; /* keys to set aside come first: others look into them no more */
    struct fsck_counts counts;
    int64_t wall_ms;
    bool failed;
};

static const char *const commands[FSCK_FIX_COUNT] = {
#define X(id, command) command,
    FSCK_FIXES(X)
#undef X
};

const char *fsck_command(enum fsck_fix fix)
{
    return commands[fix];
}

const char *fsck_advice(const struct finding *d)
{
    static const char *const advice[FSCK_FIX_COUNT] = {
        [FSCK_NONE] = "it cannot be made again; see docs/guarantees.md",
        [FSCK_ENTER] = "--repair adds it",
        [FSCK_STRIKE] = "--repair removes it",
        [FSCK_NEED] = "--repair adds it",
        [FSCK_UNNEED] = "--repair removes it",
        [FSCK_ASIDE] = "--repair sets it aside under lost:",
        [FSCK_ITEM_ASIDE] = "--repair sets it aside under lost:",
        [FSCK_STAMP] = "--repair writes the record's own version before it",
    };
    return advice[d->fix];
}

/* ---- noting ------------------------------------------------------------------------------- */

struct fsck *fsck_new(int64_t wall_ms)
{
    struct fsck *f = calloc(1, sizeof *f);
    if (f)
        f->wall_ms = wall_ms;
    return f;
}

static void free_found(struct found *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].key);
        free(l->v[i].member);
        free(l->v[i].text);
    }
    free(l->v);
}

static void free_items(struct idmap *m)
{
    void *item;
    for (size_t at = 0; (item = idmap_next(m, &at)) != NULL;)
        free(item);
    idmap_fini(m);
}

void fsck_free(struct fsck *f)
{
    struct pipeline *p;
    if (!f)
        return;
    for (size_t at = 0; (p = idmap_next(&f->pipelines, &at)) != NULL;)
        pipeline_free(p);
    idmap_fini(&f->pipelines);
    free_items(&f->jobs);
    free_items(&f->blobs);
    free_found(&f->first);
    free_found(&f->second);
    free(f->entries);
    free(f);
}

static char *join(const char *a, struct str b)
{
    size_t n = strlen(a);
    char *z = malloc(n + b.n + 1);
    if (!z)
        return NULL;
    memcpy(z, a, n);
    if (b.n)
        memcpy(z + n, b.p, b.n);
    z[n + b.n] = '\0';
    return z;
}

static bool room_for(void **v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    size_t wider = *cap ? *cap * 2 : 64;
    void *p = realloc(*v, wider * size);
    if (!p)
        return false;
    *v = p;
    *cap = wider;
    return true;
}

/* Control characters of strangers do not reach a terminal. */
static void plain(char *z)
{
    for (; *z; z++) {
        if ((unsigned char)*z < 0x20 || *z == 0x7f)
            *z = '?';
    }
}

struct what {
    const char *kind;
    enum fsck_fix fix;
    const char *prefix; /* of the key */
    struct str key, member;
    int64_t score;
};

static void find(struct fsck *f, const struct what *w, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void find(struct fsck *f, const struct what *w, const char *fmt, ...)
{
    struct found *l = w->fix == FSCK_ASIDE || w->fix == FSCK_ITEM_ASIDE ? &f->first : &f->second;
    char text[768];
    va_list list;
    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    plain(text);
    void *v = l->v;
    bool room = room_for(&v, l->n, &l->cap, sizeof *l->v);
    l->v = v;
    struct finding d = { .kind = w->kind, .fix = w->fix, .score = w->score };
    if (!room || !(d.key = join(w->prefix, w->key)) || !(d.member = join("", w->member)) ||
        !(d.text = join("", str_of(text)))) {
        f->failed = true;
        free(d.key);
        free(d.member);
        return;
    }
    l->v[l->n++] = d;
}

static struct suspect *suspect_of(struct fsck *f, uint64_t id)
{
    struct suspect *s = idmap_get(&f->jobs, id);
    if (s)
        return s;
    s = calloc(1, sizeof *s);
    if (!s || !idmap_put(&f->jobs, id, s)) {
        free(s);
        f->failed = true;
        return NULL;
    }
    s->id = id;
    return s;
}

static bool job_id(struct str text, uint64_t *id)
{
    char again[ID_CHARS + 1];
    if (!id_parse(text, id) || *id == 0)
        return false;
    id_text(*id, again);
    return str_is(text, again);
}

/* NULL: no memory, or not the name of a blob. */
static struct blob *blob_of(struct fsck *f, struct str hex)
{
    struct hash h;
    char again[HASH_HEX + 1];
    uint64_t key;
    if (!hash_from_hex(hex, &h))
        return NULL;
    hash_hex(&h, again);
    if (!str_is(hex, again))
        return NULL;
    memcpy(&key, h.b, sizeof key);
    key |= 1;
    struct blob *b = idmap_get(&f->blobs, key);
    if (b)
        return strcmp(b->hex, again) == 0 ? b : NULL;
    b = calloc(1, sizeof *b);
    if (!b || !idmap_put(&f->blobs, key, b)) {
        free(b);
        f->failed = true;
        return NULL;
    }
    memcpy(b->hex, again, sizeof again);
    return b;
}

/* ---- keys --------------------------------------------------------------------------------- */

static int index_find(const char *name)
{
    for (int i = 0; i < INDEX_COUNT; i++) {
        if (strcmp(index_name(i), name) == 0)
            return i;
    }
    return -1;
}

/* The type that a key of this name has; NULL: there is no such key. */
static const char *type_of(const char *key)
{
    static const struct {
        const char *name, *type;
    } whole[] = { { "lead", "hash" },
                  { "lock", "string" },
                  { "blobs", "zset" },
                  { "pipelines", "hash" },
                  { "e", "stream" } },
      begin[] = { { "j:", "string" }, { "d:", "hash" }, { "b:", "string" }, { "w:", "set" } };
    struct hash h;
    uint64_t id;
    for (size_t i = 0; i < COUNT(whole); i++) {
        if (strcmp(key, whole[i].name) == 0)
            return whole[i].type;
    }
    if (strncmp(key, "x:", 2) == 0)
        return index_find(key + 2) >= 0 ? "zset" : NULL;
    for (size_t i = 0; i < COUNT(begin); i++) {
        struct str rest = str_of(key + 2);
        if (strncmp(key, begin[i].name, 2) != 0)
            continue;
        return (i < 2 ? job_id(rest, &id) : hash_from_hex(rest, &h)) ? begin[i].type : NULL;
    }
    return NULL;
}

bool fsck_key(struct fsck *f, const char *key, const char *type)
{
    const char *want = type_of(key);
    struct what aside = { .fix = FSCK_ASIDE, .prefix = "", .key = str_of(key) };
    uint64_t id;
    struct suspect *s;
    struct blob *b;
    if (strncmp(key, "lost:", 5) == 0) {
        f->counts.aside++;
        return false;
    }
    if (!want) {
        aside.kind = "stray-key";
        find(f, &aside, "%s: no broker knows such a key", key);
        return false;
    }
    if (strcmp(want, type) != 0) {
        aside.kind = "wrong-type";
        find(f, &aside, "%s: its type is %s, not %s", key, type, want);
        return false;
    }
    if (strncmp(key, "d:", 2) == 0 && job_id(str_of(key + 2), &id) && (s = suspect_of(f, id)))
        s->documents = true;
    if (strncmp(key, "b:", 2) == 0 && (b = blob_of(f, str_of(key + 2)))) {
        b->there = true;
        f->counts.blobs++;
    }
    return true;
}

void fsck_pipeline(struct fsck *f, struct str field, struct str bytes)
{
    struct err err = { 0 };
    if (str_is(field, "0000000000000000") && core_halts_good(bytes))
        return; /* what is paused is kept beside the pipelines */
    struct pipeline *p = pipeline_decode(bytes, &err);
    char hex[17] = "";
    struct what w = { "broken-pipeline", FSCK_ITEM_ASIDE, "", str_of("pipelines"), field, 0 };
    for (int i = 0; p && i < 16; i++)
        hex[i] = "0123456789abcdef"[p->id >> (60 - 4 * i) & 15];
    if (!p)
        find(f, &w, "pipelines %.*s: %s", STR_ARG(field), err.text);
    else if (!str_is(field, hex))
        find(f, &w, "pipelines %.*s: its bytes are those of %s", STR_ARG(field), hex);
    else if (!idmap_get(&f->pipelines, p->id) && idmap_put(&f->pipelines, p->id, p))
        return;
    pipeline_free(p);
}

/* ---- records ------------------------------------------------------------------------------ */

static const struct pipeline *find_pipeline(void *ctx, uint64_t id)
{
    const struct fsck *f = ctx;
    return idmap_get(&f->pipelines, id);
}

static bool has_field(const struct str *fields, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_is(fields[i], name))
            return true;
    }
    return false;
}

struct holding { /* the documents of one job */
    struct fsck *f;
    struct str id;
    const struct str *fields;
    uint32_t n;
};

static void want_field(const struct holding *h, const char *name)
{
    struct what w = { "lost-document", FSCK_NONE, "d:", h->id, str_of(name), 0 };
    if (!has_field(h->fields, h->n, name))
        find(h->f, &w, "job %.*s: its record names the document %s, which is not there",
             STR_ARG(h->id), name);
}

static void want_place(const struct holding *h, const struct doc_ref *d, struct doc_place at)
{
    char field[FIELD_MAX];
    if (!place_is(at))
        return;
    field_doc(field, at, str_of(d->name));
    want_field(h, field);
}

static void want_list(const struct holding *h, const char *list, uint32_t n)
{
    char field[FIELD_MAX];
    for (uint32_t i = 1; i <= n; i++) {
        field_item(field, list, i);
        want_field(h, field);
    }
}

static bool number_at(const char **at, const char *end, uint32_t *v)
{
    const char *from = *at;
    for (*v = 0; *at < end && **at >= '0' && **at <= '9' && *at - from < 9; ++*at)
        *v = *v * 10 + (uint32_t)(**at - '0');
    return *at > from;
}

/* Could a broker with this record have written that field? */
static bool field_fits(const struct job *j, struct str field)
{
    static const char *const lists[] = { "ledger#", "comments#", "answers#", "ask/a", "reply/a" };
    const uint32_t most[] = { j->ledger_n, j->comments_n, j->answers_n, j->asks_n, j->asks_n };
    const char *at = field.p, *end = field.p + field.n;
    uint32_t run, round;
    for (size_t i = 0; i < COUNT(lists); i++) {
        size_t n = strlen(lists[i]);
        if (field.n <= n || memcmp(field.p, lists[i], n) != 0)
            continue;
        at += n;
        return number_at(&at, end, &run) && at == end && run >= 1 && run <= most[i];
    }
    if (field.n > 5 && memcmp(at, "step/", 5) == 0)
        at += 5;
    return number_at(&at, end, &run) && at < end && *at++ == '/' && number_at(&at, end, &round) &&
           at < end && *at == '/' && run <= j->run && (run < j->run || round <= j->round);
}

static void check_documents(const struct holding *h, const struct job *j)
{
    for (uint32_t i = 0; i < j->docs_n; i++) {
        const struct doc_ref *d = &j->docs[i];
        want_place(h, d, d->newest);
        if (place_is(d->best) && (d->best.run != d->newest.run || d->best.round != d->newest.round))
            want_place(h, d, d->best);
    }
    want_list(h, "ledger", j->ledger_n);
    want_list(h, "comments", j->comments_n);
    want_list(h, "answers", j->answers_n);
    for (uint32_t i = 0; i < h->n; i++) {
        struct what w = { "orphan-document", FSCK_ITEM_ASIDE, "d:", h->id, h->fields[i], 0 };
        if (!field_fits(j, h->fields[i]))
            find(h->f, &w, "job %.*s: the document %.*s is of nothing that its record knows",
                 STR_ARG(h->id), STR_ARG(h->fields[i]));
    }
    h->f->counts.documents += h->n;
}

static void take_facts(struct suspect *s, const struct job *j)
{
    s->want = index_bits(j);
    s->created_ms = j->created_ms;
    s->changed_ms = j->ended_ms ? j->ended_ms : j->updated_ms;
    s->has_workspace = j->has_workspace;
    memcpy(s->workspace, j->workspace, sizeof s->workspace);
}

static void version_hex(uint64_t version, char out[11])
{
    for (int i = 0; i < 10; i++)
        out[i] = "0123456789abcdef"[version >> (36 - 4 * i) & 15];
    out[10] = '\0';
}

void fsck_record(struct fsck *f, struct str id, struct str value, const struct str *fields,
                 uint32_t n)
{
    enum { VERSION = 10 };
    uint64_t number;
    char version[VERSION + 1];
    struct err err = { 0 };
    struct suspect *s = job_id(id, &number) ? suspect_of(f, number) : NULL;
    if (!s || s->record) /* a walk over keys may see one twice */
        return;
    s->record = true;
    f->counts.jobs++;
    struct job *j = NULL;
    if (value.n <= VERSION)
        err_set(&err, ERR_DATA, "record of job %.*s: cut off", STR_ARG(id));
    else
        j = record_decode((struct str){ value.p + VERSION, value.n - VERSION }, find_pipeline, f,
                          &err);
    if (j && j->id != number)
        err_set(&err, ERR_DATA, "record of job %.*s: it is that of another job", STR_ARG(id));
    else if (j && !record_fits(j))
        err_set(&err, ERR_DATA, "record of job %.*s: its parts do not fit together", STR_ARG(id));
    if (err.status != OK) {
        struct what w = { "broken-record", FSCK_ASIDE, "j:", id, { 0 }, 0 };
        s->broken = true;
        find(f, &w, "%s", err.text);
        job_free(j);
        return;
    }
    version_hex(j->version, version);
    struct what stamp = { "wrong-version", FSCK_STAMP, "j:", id, str_of(version), 0 };
    if (memcmp(value.p, version, VERSION) != 0)
        find(f, &stamp, "record of job %.*s: the version before it is not the record's own, %s",
             STR_ARG(id), version);
    struct holding h = { f, id, fields, n };
    check_documents(&h, j);
    take_facts(s, j);
    job_free(j);
}

/* ---- indexes, needs, blobs ---------------------------------------------------------------- */

static void add_entry(struct fsck *f, const struct entry *e)
{
    void *v = f->entries;
    if (!room_for(&v, f->entries_n, &f->entries_cap, sizeof *f->entries))
        f->failed = true;
    else
        ((struct entry *)v)[f->entries_n++] = *e;
    f->entries = v;
}

void fsck_entry(struct fsck *f, const char *index, struct str member, int64_t score)
{
    uint64_t id;
    int no = index_find(index);
    struct what w = { "surplus-entry", FSCK_STRIKE, "x:", str_of(index), member, 0 };
    struct suspect *s;
    f->counts.entries++;
    if (no < 0)
        return;
    if (!job_id(member, &id)) {
        find(f, &w, "x:%s lists '%.*s', which is no job", index, STR_ARG(member));
        return;
    }
    if (!(s = suspect_of(f, id)) || (s->listed >> no & 1))
        return;
    s->listed |= 1u << no;
    add_entry(f, &(struct entry){ .id = id, .score = score, .index = (uint32_t)no });
}

void fsck_need(struct fsck *f, struct str hex, struct str member)
{
    uint64_t id;
    struct blob *b = blob_of(f, hex);
    struct what w = { "surplus-need", FSCK_UNNEED, "w:", hex, member, 0 };
    if (!b)
        return;
    if (!job_id(member, &id)) {
        find(f, &w, "w:%.*s names '%.*s', which is no job", STR_ARG(hex), STR_ARG(member));
        return;
    }
    add_entry(f, &(struct entry){ .id = id, .index = INDEX_COUNT, .blob = b });
}

void fsck_blob_listed(struct fsck *f, struct str hex)
{
    struct what w = { "surplus-entry", FSCK_STRIKE, "", str_of("blobs"), hex, 0 };
    struct blob *b = blob_of(f, hex);
    f->counts.entries++;
    if (b)
        b->listed = true;
    else
        find(f, &w, "blobs lists '%.*s', which is no blob", STR_ARG(hex));
}

void fsck_blob_bad(struct fsck *f, struct str hex)
{
    struct blob *b = blob_of(f, hex);
    struct what w = { "broken-blob", FSCK_ASIDE, "b:", hex, { 0 }, 0 };
    if (!b || b->bad)
        return;
    b->bad = true;
    b->there = false;
    find(f, &w, "b:%.*s: its bytes are not those that its name is the hash of", STR_ARG(hex));
}

/* ---- comparing ---------------------------------------------------------------------------- */

static bool good(const struct suspect *s)
{
    return s && s->record && !s->broken;
}

static int64_t score_of(const struct suspect *s, int index)
{
    return index == INDEX_NO_ENDED ? s->changed_ms : s->created_ms;
}

static void compare_entry(struct fsck *f, const struct entry *e)
{
    const struct suspect *s = idmap_get(&f->jobs, e->id);
    const char *index = index_name((int)e->index);
    char id[ID_CHARS + 1];
    id_text(e->id, id);
    struct what w = { "surplus-entry", FSCK_STRIKE, "x:", str_of(index), str_of(id), 0 };
    if (!good(s)) {
        w.kind = s && s->record ? w.kind : "lost-record";
        find(f, &w, "x:%s lists job %s, whose record %s", index, id,
             s && s->record ? "cannot be read" : "is not there");
    } else if (!(s->want >> e->index & 1)) {
        find(f, &w, "x:%s lists job %s, which does not belong there", index, id);
    } else if (e->score != score_of(s, (int)e->index)) {
        w.kind = "wrong-score";
        w.fix = FSCK_ENTER;
        w.score = score_of(s, (int)e->index);
        find(f, &w, "x:%s lists job %s at %lld, not at %lld", index, id, (long long)e->score,
             (long long)w.score);
    }
}

static bool needs(const struct suspect *s, const struct blob *b)
{
    struct hash h;
    char hex[HASH_HEX + 1];
    if (!good(s) || !s->has_workspace)
        return false;
    memcpy(h.b, s->workspace, sizeof h.b);
    hash_hex(&h, hex);
    return strcmp(hex, b->hex) == 0;
}

static void compare_need(struct fsck *f, const struct entry *e)
{
    struct suspect *s = idmap_get(&f->jobs, e->id);
    char id[ID_CHARS + 1];
    id_text(e->id, id);
    struct what w = { "surplus-need", FSCK_UNNEED, "w:", str_of(e->blob->hex), str_of(id), 0 };
    if (needs(s, e->blob)) {
        s->needs_seen = true;
        e->blob->needs++;
        return;
    }
    find(f, &w, "w:%s names job %s, which does not need it", e->blob->hex, id);
}

static void compare_job(struct fsck *f, const struct suspect *s)
{
    char id[ID_CHARS + 1], hex[HASH_HEX + 1];
    struct hash h;
    id_text(s->id, id);
    struct what w = { "orphan-document", FSCK_ASIDE, "d:", str_of(id), { 0 }, 0 };
    if (s->documents && !good(s))
        find(f, &w, "d:%s: documents of a job whose record %s", id,
             s->record ? "cannot be read" : "is not there");
    if (!good(s))
        return;
    for (int i = 0; i < INDEX_COUNT; i++) {
        struct what e = { "missing-entry",       FSCK_ENTER, "x:",
                          str_of(index_name(i)), str_of(id), score_of(s, i) };
        if ((s->want & ~s->listed) >> i & 1)
            find(f, &e, "x:%s does not list job %s", index_name(i), id);
    }
    if (!s->has_workspace)
        return;
    memcpy(h.b, s->workspace, sizeof h.b);
    hash_hex(&h, hex);
    struct blob *b = blob_of(f, str_of(hex));
    struct what n = { "missing-need", FSCK_NEED, "w:", str_of(hex), str_of(id), 0 };
    struct what lost = { "lost-blob", FSCK_NONE, "b:", str_of(hex), str_of(id), 0 };
    if (!s->needs_seen)
        find(f, &n, "w:%s does not name job %s, which needs it", hex, id);
    if (b && !s->needs_seen)
        b->needs++;
    if (b && !b->there)
        find(f, &lost, "job %s needs the workspace %s, which is not there", id, hex);
}

static void compare_blob(struct fsck *f, const struct blob *b)
{
    struct what in = { "orphan-blob", FSCK_ENTER, "", str_of("blobs"), str_of(b->hex), f->wall_ms };
    struct what out = { "surplus-entry", FSCK_STRIKE, "", str_of("blobs"), str_of(b->hex), 0 };
    if (b->there && !b->listed && b->needs == 0)
        find(f, &in, "b:%s: no job needs it, and the sweep does not know of it", b->hex);
    if (b->listed && !b->there)
        find(f, &out, "blobs lists %s, which is not there", b->hex);
}

/* Keys first, so that what is read afterwards is there to be put right. */
static bool concat(struct found *a, struct found *b)
{
    if (b->n == 0)
        return true;
    struct finding *v = realloc(a->v, (a->n + b->n) * sizeof *v);
    if (!v)
        return false;
    memcpy(v + a->n, b->v, b->n * sizeof *v);
    a->v = v;
    a->n += b->n;
    a->cap = a->n;
    b->n = 0;
    return true;
}

enum status fsck_compare(struct fsck *f, const struct finding **out, size_t *n)
{
    const struct suspect *s;
    const struct blob *b;
    for (size_t i = 0; i < f->entries_n; i++) {
        if (f->entries[i].index == INDEX_COUNT)
            compare_need(f, &f->entries[i]);
        else
            compare_entry(f, &f->entries[i]);
    }
    f->entries_n = 0;
    for (size_t at = 0; (s = idmap_next(&f->jobs, &at)) != NULL;)
        compare_job(f, s);
    for (size_t at = 0; (b = idmap_next(&f->blobs, &at)) != NULL;)
        compare_blob(f, b);
    if (!concat(&f->first, &f->second))
        f->failed = true;
    *out = f->first.v;
    *n = f->first.n;
    return f->failed ? ERR_NOMEM : OK;
}

struct fsck_counts fsck_counts(const struct fsck *f)
{
    return f->counts;
}
