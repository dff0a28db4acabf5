/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/chunk.h"

#include <string.h>

struct scan {
    const char *p, *end;
};

static void blank(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool take(struct scan *s, char c)
{
    blank(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static bool word(struct scan *s, const char *w)
{
    size_t n = strlen(w);
    blank(s);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* A string as it stands between its quotes. */
static bool raw_string(struct scan *s, struct str *out)
{
    if (!take(s, '"'))
        return false;
    const char *from = s->p;
    while (s->p < s->end && *s->p != '"') {
        if ((unsigned char)*s->p < 0x20)
            return false;
        s->p += *s->p == '\\' && s->p + 1 < s->end ? 2 : 1;
    }
    if (s->p >= s->end)
        return false;
    *out = (struct str){ from, (size_t)(s->p - from) };
    s->p++;
    return true;
}

static bool scalar(struct scan *s)
{
    struct str skipped;
    blank(s);
    if (s->p < s->end && *s->p == '"')
        return raw_string(s, &skipped);
    if (word(s, "null") || word(s, "true") || word(s, "false"))
        return true;
    const char *from = s->p;
    while (s->p < s->end && (strchr("+-.eE", *s->p) || (*s->p >= '0' && *s->p <= '9')) && *s->p)
        s->p++;
    return s->p > from;
}

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'                 ? c - '0'
                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                     : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static void put_utf8(struct buf *out, int c)
{
    char b[3] = { (char)c, 0, 0 };
    if (c < 0x80) {
        buf_append(out, b, 1);
    } else if (c < 0x800) {
        b[0] = (char)(0xc0 | c >> 6);
        b[1] = (char)(0x80 | (c & 0x3f));
        buf_append(out, b, 2);
    } else {
        b[0] = (char)(0xe0 | c >> 12);
        b[1] = (char)(0x80 | (c >> 6 & 0x3f));
        b[2] = (char)(0x80 | (c & 0x3f));
        buf_append(out, b, 3);
    }
}

/* Surrogate pairs and anything invalid are the parser's: then `out` is as it was. */
static bool unescape(struct str raw, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t start = out->len, i = 0;
    while (i < raw.n) {
        const char *slash = memchr(raw.p + i, '\\', raw.n - i);
        size_t plain = slash ? (size_t)(slash - raw.p) - i : raw.n - i;
        if (plain > 0)
            buf_append(out, raw.p + i, plain);
        i += plain;
        if (i >= raw.n)
            break;
        const char *known = i + 1 < raw.n && raw.p[i + 1] ? strchr(from, raw.p[i + 1]) : NULL;
        int c = i + 5 < raw.n && raw.p[i + 1] == 'u' ? hex4(raw.p + i + 2) : -1;
        if (known) {
            buf_char(out, to[known - from]);
            i += 2;
        } else if (c > 0 && (c < 0xd800 || c > 0xdfff)) {
            put_utf8(out, c);
            i += 6;
        } else {
            if (out->status == OK)
                out->len = start;
            return false;
        }
    }
    return true;
}

static bool is(struct str s, const char *z)
{
    size_t n = strlen(z);
    return s.n == n && memcmp(s.p, z, n) == 0;
}

/* {"role":"assistant","content":"…"}: other members only when they are null. */
static bool read_delta(struct scan *s, struct str *content)
{
    struct str key, skipped;
    if (!take(s, '{'))
        return false;
    if (take(s, '}'))
        return true;
    do {
        if (!raw_string(s, &key) || !take(s, ':'))
            return false;
        blank(s);
        if (word(s, "null"))
            continue;
        if (is(key, "content")) {
            if (!raw_string(s, content))
                return false;
        } else if (!is(key, "role") || !raw_string(s, &skipped)) {
            return false;
        }
    } while (take(s, ','));
    return take(s, '}');
}

/* [{"index":0,"delta":{…},"finish_reason":null}] */
static bool read_choices(struct scan *s, struct str *content)
{
    struct str key;
    bool delta = false;
    if (!take(s, '[') || !take(s, '{'))
        return false;
    do {
        if (!raw_string(s, &key) || !take(s, ':'))
            return false;
        if (is(key, "delta")) {
            if (delta || !read_delta(s, content))
                return false;
            delta = true;
        } else if (is(key, "index")) {
            if (!word(s, "0"))
                return false;
        } else if (!word(s, "null")) {
            return false;
        }
    } while (take(s, ','));
    return delta && take(s, '}') && take(s, ']');
}

enum chunk_kind chunk_read(struct str data, struct buf *content)
{
    struct scan s = { data.p, data.p + data.n };
    struct str key, text = { 0 };
    bool choices = false;
    if (!take(&s, '{'))
        return CHUNK_OTHER;
    do {
        if (!raw_string(&s, &key) || !take(&s, ':') || is(key, "error") || is(key, "message"))
            return CHUNK_OTHER;
        bool here = is(key, "choices");
        if (here ? choices || !read_choices(&s, &text) : !scalar(&s))
            return CHUNK_OTHER;
        choices = choices || here;
    } while (take(&s, ','));
    bool end = take(&s, '}');
    blank(&s);
    if (!end || !choices || s.p != s.end || !unescape(text, content))
        return CHUNK_OTHER;
    return text.n > 0 ? CHUNK_TEXT : CHUNK_NOTHING;
}
