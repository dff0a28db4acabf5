/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mp.h"

#include "common/bounds.h"

#include <endian.h>
#include <string.h>

void mp_init(struct mp *r, struct str bytes)
{
    *r = (struct mp){ (const unsigned char *)bytes.p, bytes.n, 0 };
}

bool mp_end(const struct mp *r)
{
    return r->at == r->n;
}

/* Big-endian number of `size` bytes at the reader; false when cut off. */
static bool take(struct mp *r, size_t size, uint64_t *out)
{
    if (r->n - r->at < size)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v = v << 8 | r->p[r->at + i];
    r->at += size;
    *out = v;
    return true;
}

static enum status bytes_of(struct mp *r, enum mp_type type, uint64_t n, struct mp_value *out)
{
    if (n > r->n - r->at)
        return ERR_DATA;
    out->type = type;
    out->str = (struct str){ (const char *)r->p + r->at, (size_t)n };
    r->at += (size_t)n;
    return OK;
}

/* Each element needs at least one byte: a larger count is a lie. */
static enum status container(struct mp *r, enum mp_type type, uint64_t n, struct mp_value *out)
{
    uint64_t least = type == MP_MAP ? 2 * n : n;
    if (least > r->n - r->at)
        return ERR_DATA;
    out->type = type;
    out->n = (uint32_t)n;
    return OK;
}

static enum status integer(struct mp_value *out, uint64_t u, bool is_signed, size_t size)
{
    if (!is_signed) {
        out->type = u > INT64_MAX ? MP_UINT : MP_INT;
        out->u = u;
        out->i = u > INT64_MAX ? 0 : (int64_t)u;
        return OK;
    }
    uint64_t sign = (uint64_t)1 << (size * 8 - 1);
    out->type = MP_INT;
    out->i = (int64_t)((u ^ sign) - sign);
    return OK;
}

static enum status real(struct mp_value *out, uint64_t bits, size_t size)
{
    out->type = MP_REAL;
    if (size == 4) {
        uint32_t half = (uint32_t)bits;
        float f;
        memcpy(&f, &half, sizeof f);
        out->d = (double)f;
    } else {
        memcpy(&out->d, &bits, sizeof out->d);
    }
    return OK;
}

/* The types that carry a big-endian length or value after their first byte. */
static enum status wide(struct mp *r, unsigned char tag, struct mp_value *out)
{
    static const unsigned char sizes[] = {
        [0xc4 - 0xc4] = 1, [0xc5 - 0xc4] = 2, [0xc6 - 0xc4] = 4,                    /* bin */
        [0xca - 0xc4] = 4, [0xcb - 0xc4] = 8,                                       /* float */
        [0xcc - 0xc4] = 1, [0xcd - 0xc4] = 2, [0xce - 0xc4] = 4, [0xcf - 0xc4] = 8, /* uint */
        [0xd0 - 0xc4] = 1, [0xd1 - 0xc4] = 2, [0xd2 - 0xc4] = 4, [0xd3 - 0xc4] = 8, /* int */
        [0xd9 - 0xc4] = 1, [0xda - 0xc4] = 2, [0xdb - 0xc4] = 4,                    /* str */
        [0xdc - 0xc4] = 2, [0xdd - 0xc4] = 4,                                       /* array */
        [0xde - 0xc4] = 2, [0xdf - 0xc4] = 4,                                       /* map */
    };
    size_t size = tag >= 0xc4 && tag <= 0xdf ? sizes[tag - 0xc4] : 0;
    uint64_t v;
    if (size == 0 || !take(r, size, &v))
        return ERR_DATA; /* also the extension types, which nothing of ours uses */
    if (tag <= 0xc6)
        return bytes_of(r, MP_BIN, v, out);
    if (tag <= 0xcb)
        return real(out, v, size);
    if (tag <= 0xd3)
        return integer(out, v, tag >= 0xd0, size);
    if (tag <= 0xdb)
        return bytes_of(r, MP_STR, v, out);
    return container(r, tag <= 0xdd ? MP_ARRAY : MP_MAP, v, out);
}

enum status mp_next(struct mp *r, struct mp_value *out)
{
    *out = (struct mp_value){ .type = MP_NIL };
    if (r->at >= r->n)
        return ERR_DATA;
    unsigned char tag = r->p[r->at++];
    if (tag <= 0x7f)
        return integer(out, tag, false, 1);
    if (tag >= 0xe0)
        return integer(out, tag, true, 1);
    if (tag <= 0x8f)
        return container(r, MP_MAP, tag & 0x0f, out);
    if (tag <= 0x9f)
        return container(r, MP_ARRAY, tag & 0x0f, out);
    if (tag <= 0xbf)
        return bytes_of(r, MP_STR, tag & 0x1f, out);
    if (tag == 0xc0)
        return OK;
    if (tag == 0xc2 || tag == 0xc3) {
        out->type = MP_BOOL;
        out->b = tag == 0xc3;
        return OK;
    }
    return wide(r, tag, out);
}

enum status mp_want(struct mp *r, enum mp_type type, struct mp_value *out)
{
    enum status st = mp_next(r, out);
    if (st != OK)
        return st;
    if (type == MP_UINT && out->type == MP_INT && out->i >= 0) {
        out->type = MP_UINT;
        out->u = (uint64_t)out->i;
    }
    return out->type == type ? OK : ERR_DATA;
}

enum status mp_skip(struct mp *r, struct str *raw)
{
    uint64_t left[PAWL_DEPTH_MAX + 2]; /* elements still to come on each level */
    size_t from = r->at, depth = 0, items = 0;
    left[0] = 1;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0) {
                if (raw)
                    *raw = (struct str){ (const char *)r->p + from, r->at - from };
                return OK;
            }
            depth--;
        }
        struct mp_value v;
        enum status st = mp_next(r, &v);
        if (st != OK)
            return st;
        if (++items > PAWL_ITEMS_MAX)
            return ERR_LIMIT;
        left[depth]--;
        if (v.type == MP_ARRAY || v.type == MP_MAP) {
            if (++depth > PAWL_DEPTH_MAX)
                return ERR_LIMIT;
            left[depth] = v.type == MP_MAP ? 2 * (uint64_t)v.n : v.n;
        }
    }
}

enum status mp_check(struct str bytes)
{
    struct mp r;
    mp_init(&r, bytes);
    enum status st = mp_skip(&r, NULL);
    return st == OK && !mp_end(&r) ? ERR_DATA : st;
}

static enum status put_tag(struct buf *out, uint64_t tag)
{
    return buf_char(out, (char)(unsigned char)tag);
}

/* A tag, and the lowest `size` bytes of v, big-endian. */
static enum status put(struct buf *out, unsigned char tag, uint64_t v, size_t size)
{
    unsigned char bytes[1 + sizeof v] = { tag };
    uint64_t big = htobe64(v << 8 * (sizeof v - size));
    memcpy(bytes + 1, &big, sizeof big);
    return buf_append(out, bytes, 1 + size);
}

/* The smallest of the 8, 16 and 32 bit forms; tag8 0 means there is no 8 bit form. */
static enum status put_length(struct buf *out, const unsigned char tags[3], size_t n)
{
    if (n <= UINT8_MAX && tags[0])
        return put(out, tags[0], n, 1);
    if (n <= UINT16_MAX)
        return put(out, tags[1], n, 2);
    return n <= UINT32_MAX ? put(out, tags[2], n, 4) : ERR_LIMIT;
}

enum status mp_nil(struct buf *out)
{
    return put_tag(out, 0xc0);
}

enum status mp_bool(struct buf *out, bool v)
{
    return put_tag(out, v ? 0xc3 : 0xc2);
}

enum status mp_uint(struct buf *out, uint64_t v)
{
    if (v <= 0x7f)
        return put_tag(out, (uint64_t)v);
    if (v <= UINT8_MAX)
        return put(out, 0xcc, v, 1);
    if (v <= UINT16_MAX)
        return put(out, 0xcd, v, 2);
    return v <= UINT32_MAX ? put(out, 0xce, v, 4) : put(out, 0xcf, v, 8);
}

enum status mp_int(struct buf *out, int64_t v)
{
    if (v >= 0)
        return mp_uint(out, (uint64_t)v);
    if (v >= -32)
        return put_tag(out, (uint64_t)v);
    if (v >= INT8_MIN)
        return put(out, 0xd0, (uint64_t)v, 1);
    if (v >= INT16_MIN)
        return put(out, 0xd1, (uint64_t)v, 2);
    return v >= INT32_MIN ? put(out, 0xd2, (uint64_t)v, 4) : put(out, 0xd3, (uint64_t)v, 8);
}

enum status mp_real(struct buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return put(out, 0xcb, bits, 8);
}

enum status mp_str_head(struct buf *out, size_t n)
{
    return n < 32 ? put_tag(out, 0xa0 | n)
                  : put_length(out, (const unsigned char[]){ 0xd9, 0xda, 0xdb }, n);
}

enum status mp_str(struct buf *out, struct str v)
{
    char small[32];
    if (v.n < sizeof small) {
        small[0] = (char)(unsigned char)(0xa0 | v.n);
        if (v.n > 0)
            memcpy(small + 1, v.p, v.n);
        return buf_append(out, small, 1 + v.n);
    }
    enum status st = mp_str_head(out, v.n);
    return st == OK ? buf_append(out, v.p, v.n) : st;
}

enum status mp_bin(struct buf *out, struct str v)
{
    enum status st = put_length(out, (const unsigned char[]){ 0xc4, 0xc5, 0xc6 }, v.n);
    return st == OK ? buf_append(out, v.p, v.n) : st;
}

enum status mp_array(struct buf *out, size_t n)
{
    return n < 16 ? put_tag(out, 0x90 | n)
                  : put_length(out, (const unsigned char[]){ 0, 0xdc, 0xdd }, n);
}

enum status mp_map(struct buf *out, size_t pairs)
{
    return pairs < 16 ? put_tag(out, 0x80 | pairs)
                      : put_length(out, (const unsigned char[]){ 0, 0xde, 0xdf }, pairs);
}
