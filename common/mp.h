/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MP_H
#define PAWL_MP_H
/* mp: msgpack, written into a buf and read from borrowed bytes.
 * A reader of our own because the usual one allocates by the length that a stranger claims; this
 * one allocates nothing and never reads past its end. Format: the msgpack specification of 2017. */
#include "common/buf.h"

enum mp_type { MP_NIL, MP_BOOL, MP_INT, MP_UINT, MP_REAL, MP_STR, MP_BIN, MP_ARRAY, MP_MAP };

struct mp_value {
    enum mp_type type;
    bool b;
    int64_t i;      /* MP_INT: every integer that fits */
    uint64_t u;     /* MP_UINT: only above INT64_MAX */
    double d;       /* MP_REAL */
    struct str str; /* MP_STR, MP_BIN: a view into the input */
    uint32_t n;     /* MP_ARRAY: elements that follow; MP_MAP: pairs that follow */
};

struct mp {
    const unsigned char *p;
    size_t n;
    size_t at; /* next byte to read */
};

void mp_init(struct mp *r, struct str bytes);
bool mp_end(const struct mp *r);

/* Read one token. Containers are entered: their elements are the next tokens. A count that cannot
 * fit in what is left of the input is ERR_DATA. Extension types are ERR_DATA. */
enum status mp_next(struct mp *r, struct mp_value *out) MUST_USE;
/* Read one token of the wanted type; MP_UINT also takes non-negative MP_INT into u. */
enum status mp_want(struct mp *r, enum mp_type type, struct mp_value *out) MUST_USE;
/* Pass one whole value and return its bytes. Bounds: PAWL_DEPTH_MAX, PAWL_ITEMS_MAX -> ERR_LIMIT. */
enum status mp_skip(struct mp *r, struct str *raw) MUST_USE;
/* Is this exactly one well-formed value within the bounds? */
enum status mp_check(struct str bytes) MUST_USE;

enum status mp_nil(struct buf *out);
enum status mp_bool(struct buf *out, bool v);
enum status mp_int(struct buf *out, int64_t v); /* shortest form */
enum status mp_uint(struct buf *out, uint64_t v);
enum status mp_real(struct buf *out, double v);
enum status mp_str(struct buf *out, struct str v);
enum status mp_str_head(struct buf *out, size_t n); /* n bytes are to follow */
enum status mp_bin(struct buf *out, struct str v);
enum status mp_array(struct buf *out, size_t n);
enum status mp_map(struct buf *out, size_t pairs);
static inline enum status mp_z(struct buf *out, const char *z)
{
    return mp_str(out, (struct str){ z, z ? strlen(z) : 0 });
}
#endif
