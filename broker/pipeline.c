/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/pipeline.h"

#include "common/hash.h"
#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PIPELINE_BYTES_MAX = 256 * 1024, ATTEMPTS_MAX = 1000 };
static const int64_t span_max_ms = (int64_t)30 * 24 * 3600 * 1000;

struct row {
    const char *name, *each;
    int64_t attempts, silence_ms, total_ms;
    const char *reads, *writes;
    bool lane;
};

static const struct row rows[] = {
#define X(name, each, attempts, silence, total, reads, writes, meaning)                            \
    { name, each, attempts, silence, total, reads, writes, false },
#define L(name, each, attempts, silence, total, reads, writes, meaning)                            \
    { name, "lane", attempts, silence, total, reads, writes, true },
#include "schemas/stages.def"
#undef X
#undef L
};

/* Next word of a text of words; false at the end. */
static bool next_word(struct str *rest, struct str *word)
{
    while (rest->n && *rest->p == ' ')
        *rest = (struct str){ rest->p + 1, rest->n - 1 };
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ')
        n++;
    *word = (struct str){ rest->p, n };
    *rest = (struct str){ rest->p + n, rest->n - n };
    return n > 0;
}

static void put_words(struct buf *out, struct str words)
{
    struct str rest = words, word;
    size_t n = 0;
    while (next_word(&rest, &word))
        n++;
    mp_array(out, n);
    rest = words;
    while (next_word(&rest, &word))
        mp_str(out, word);
}

void pipeline_put(struct buf *out, const struct stage_text *s)
{
    bool start = s->start_ms != 0 && s->start_ms != s->silence_ms;
    mp_array(out, 8 + start);
    mp_str(out, s->name);
    mp_str(out, s->each);
    mp_int(out, s->attempts);
    mp_int(out, s->silence_ms);
    mp_int(out, s->total_ms);
    put_words(out, s->reads);
    put_words(out, s->writes);
    if (s->facts.n)
        buf_view(out, s->facts);
    else
        mp_nil(out);
    if (start)
        mp_int(out, s->start_ms);
}

static struct stage_text text_of(const struct row *r)
{
    return (struct stage_text){ .name = str_of(r->name),
                                .each = str_of(r->each),
                                .reads = str_of(r->reads),
                                .writes = str_of(r->writes),
                                .attempts = r->attempts,
                                .silence_ms = r->silence_ms,
                                .total_ms = r->total_ms };
}

bool pipeline_known(struct str name, struct stage_text *out)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!rows[i].lane && str_is(name, rows[i].name)) {
            *out = text_of(&rows[i]);
            return true;
        }
    }
    return false;
}

static enum status put_rows(struct buf *out, bool lanes)
{
    size_t n = 0;
    for (size_t i = 0; i < COUNT(rows); i++)
        n += rows[i].lane == lanes;
    mp_array(out, n);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].lane != lanes)
            continue;
        struct stage_text s = text_of(&rows[i]);
        pipeline_put(out, &s);
    }
    return out->status;
}

enum status pipeline_default(struct buf *out)
{
    return put_rows(out, false);
}

enum status pipeline_lanes(struct buf *out)
{
    return put_rows(out, true);
}

/* Names are path segments of task keys and fields: no slash, no control characters. */
static bool good_name(struct str s)
{
    if (s.n == 0 || s.n > PAWL_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '.';
        if (!good)
            return false;
    }
    return true;
}

static void copy(char *to, struct str s)
{
    assert(s.n <= PAWL_NAME_MAX);
    memcpy(to, s.p, s.n);
    to[s.n] = '\0';
}

static enum status take_read(struct stage_read *r, struct str text, struct err *err)
{
    const char *at = text.n ? memchr(text.p, '@', text.n) : NULL;
    struct str name = { text.p, at ? (size_t)(at - text.p) : text.n };
    struct str which = at ? (struct str){ at + 1, text.n - name.n - 1 } : (struct str){ 0 };
    if (text.n > PAWL_NAME_MAX || !good_name(name))
        return err_set(err, ERR_DATA, "'%.*s' is not a document's name", STR_ARG(text));
    if (!at)
        r->which = READ_NEWEST;
    else if (str_is(which, "best"))
        r->which = READ_BEST;
    else if (str_is(which, "last"))
        r->which = READ_LAST;
    else
        return err_set(err, ERR_DATA, "'%.*s': after @ comes best or last", STR_ARG(text));
    copy(r->name, name);
    copy(r->sent, text);
    return OK;
}

static enum status want_list(struct mp *in, uint32_t max, uint32_t *n, const char *what,
                             struct err *err)
{
    struct mp_value v;
    if (mp_want(in, MP_ARRAY, &v) != OK)
        return err_set(err, ERR_DATA, "%s: not a list", what);
    if (v.n > max)
        return err_set(err, ERR_LIMIT, "%s: %u of them, at most %u", what, v.n, max);
    *n = v.n;
    return OK;
}

static enum status take_names(struct mp *in, struct stage_def *s, struct err *err)
{
    struct mp_value v;
    uint32_t n;
    enum status st = want_list(in, PAWL_LIST_MAX - 2, &n, "reads", err);
    if (st != OK)
        return st;
    s->reads = calloc(n + 1, sizeof *s->reads);
    for (uint32_t i = 0; s->reads && i < n; i++, s->reads_n++) {
        if (mp_want(in, MP_STR, &v) != OK)
            return err_set(err, ERR_DATA, "reads: not a name");
        if ((st = take_read(&s->reads[i], v.str, err)) != OK)
            return st;
    }
    if ((st = want_list(in, PAWL_LIST_MAX - 2, &n, "writes", err)) != OK)
        return st;
    s->writes = calloc(n + 1, sizeof *s->writes);
    for (uint32_t i = 0; s->writes && i < n; i++, s->writes_n++) {
        if (mp_want(in, MP_STR, &v) != OK || !good_name(v.str))
            return err_set(err, ERR_DATA, "writes: not a document's name");
        copy(s->writes[i], v.str);
    }
    return s->reads && s->writes ? OK : err_set(err, ERR_NOMEM, "out of memory");
}

static enum status take_each(struct stage_def *s, struct str each, struct err *err)
{
    if (str_is(each, "run"))
        s->each = EACH_RUN;
    else if (str_is(each, "round"))
        s->each = EACH_ROUND;
    else if (str_is(each, "lane"))
        s->each = EACH_LANE;
    else
        return err_set(err, ERR_DATA, "each is run or round, not '%.*s'", STR_ARG(each));
    return OK;
}

static enum status take_numbers(struct mp *in, struct stage_def *s, struct err *err)
{
    struct mp_value attempts, silence, total;
    if (mp_want(in, MP_INT, &attempts) != OK || mp_want(in, MP_INT, &silence) != OK ||
        mp_want(in, MP_INT, &total) != OK)
        return err_set(err, ERR_DATA, "attempts, silence and total are numbers");
    if (attempts.i < 1 || attempts.i > ATTEMPTS_MAX)
        return err_set(err, ERR_DATA, "attempts: from 1 to %d", ATTEMPTS_MAX);
    if (silence.i < 1 || silence.i > span_max_ms || total.i < 1 || total.i > span_max_ms)
        return err_set(err, ERR_DATA, "silence and total: from 1ms to 30 days");
    s->attempts = (uint32_t)attempts.i;
    s->silence_ms = silence.i;
    s->total_ms = total.i;
    return OK;
}

static enum status take_start(struct mp *in, struct stage_def *s, bool there, struct err *err)
{
    struct mp_value start;
    s->start_ms = s->silence_ms;
    if (!there)
        return OK;
    if (mp_want(in, MP_INT, &start) != OK || start.i < 1 || start.i > span_max_ms)
        return err_set(err, ERR_DATA, "start: from 1ms to 30 days");
    s->start_ms = start.i;
    return OK;
}

static enum status take_stage(struct mp *in, struct stage_def *s, struct err *err)
{
    struct mp_value list, name, each;
    enum status st;
    if (mp_want(in, MP_ARRAY, &list) != OK || list.n < 8 || list.n > 9 || mp_want(in, MP_STR, &name) != OK ||
        mp_want(in, MP_STR, &each) != OK)
        return err_set(err, ERR_DATA, "a stage is a list of eight or nine values");
    if (!good_name(name.str))
        return err_set(err, ERR_DATA, "'%.*s' is not a stage's name", STR_ARG(name.str));
    copy(s->name, name.str);
    if ((st = take_each(s, each.str, err)) == OK && (st = take_numbers(in, s, err)) == OK)
        st = take_names(in, s, err);
    if (st == OK && mp_skip(in, &s->facts) != OK)
        st = err_set(err, ERR_DATA, "facts: malformed");
    if (st == OK)
        st = take_start(in, s, list.n == 9, err);
    if (st != OK) {
        err_prefix(err, "stage %s", s->name);
        return st;
    }
    unsigned char first = (unsigned char)s->facts.p[0];
    bool map = (first & 0xf0) == 0x80 || first == 0xde || first == 0xdf;
    if (first != 0xc0 && !map)
        return err_set(err, ERR_DATA, "stage %s: facts: not a map", s->name);
    if (!map)
        s->facts = (struct str){ 0 };
    return OK;
}

static enum status check(const struct pipeline *p, struct err *err)
{
    bool round = false;
    for (uint32_t i = 0; i < p->stages_n; i++) {
        const struct stage_def *s = &p->stages[i];
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(p->stages[k].name, s->name) == 0)
                return err_set(err, ERR_DATA, "stage %s: there twice", s->name);
        }
        if (s->each == EACH_RUN && round)
            return err_set(err, ERR_DATA, "stage %s: stages of a run come before those of a round",
                           s->name);
        round = round || s->each == EACH_ROUND;
    }
    return OK;
}

struct pipeline *pipeline_decode(struct str bytes, struct err *err)
{
    struct pipeline *p = bytes.n <= PIPELINE_BYTES_MAX ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        err_set(err, ERR_LIMIT, "a pipeline of %zu bytes", bytes.n);
        return NULL;
    }
    p->bytes = malloc(bytes.n + 1);
    if (!p->bytes) {
        free(p);
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    memcpy(p->bytes, bytes.p, bytes.n);
    p->bytes_n = bytes.n;
    struct mp in;
    uint32_t n = 0;
    mp_init(&in, (struct str){ p->bytes, p->bytes_n });
    enum status st = want_list(&in, PAWL_STAGES_MAX, &n, "pipeline", err);
    if (st == OK && n == 0)
        st = err_set(err, ERR_DATA, "a pipeline needs at least one stage");
    for (uint32_t i = 0; st == OK && i < n; i++) {
        p->stages_n++;
        st = take_stage(&in, &p->stages[i], err);
    }
    if (st == OK && !mp_end(&in))
        st = err_set(err, ERR_DATA, "bytes after the pipeline");
    if (st == OK)
        st = check(p, err);
    if (st != OK) {
        pipeline_free(p);
        return NULL;
    }
    struct hash h = hash_of((struct str){ p->bytes, p->bytes_n });
    memcpy(&p->id, h.b, sizeof p->id);
    return p;
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->stages_n; i++) {
        free(p->stages[i].reads);
        free(p->stages[i].writes);
    }
    free(p->bytes);
    free(p);
}

bool stage_writes(const struct stage_def *s, struct str name)
{
    for (uint32_t i = 0; i < s->writes_n; i++) {
        if (str_is(name, s->writes[i]))
            return true;
    }
    return false;
}
