/* SPDX-License-Identifier: Apache-2.0 */
#include "common/hash.h"

#include <sodium.h>
#include <string.h>
#include <zstd.h>

struct hash hash_of(struct str bytes)
{
    struct hash h;
    crypto_hash_sha256(h.b, (const unsigned char *)bytes.p, bytes.n);
    return h;
}

bool hash_eq(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_BYTES) == 0;
}

void hash_hex(const struct hash *h, char out[HASH_HEX + 1])
{
    sodium_bin2hex(out, HASH_HEX + 1, h->b, HASH_BYTES);
}

bool hash_from_hex(struct str hex, struct hash *out)
{
    size_t n = 0;
    return hex.n == HASH_HEX &&
           sodium_hex2bin(out->b, HASH_BYTES, hex.p, hex.n, NULL, &n, NULL) == 0 && n == HASH_BYTES;
}

enum status zpack(struct str plain, struct buf *out)
{
    size_t bound = ZSTD_compressBound(plain.n);
    char *room = buf_room(out, bound);
    if (!room)
        return out->status;
    size_t n = ZSTD_compress(room, bound, plain.p, plain.n, 3);
    if (ZSTD_isError(n))
        return ERR_INTERNAL;
    buf_grown(out, n);
    return OK;
}

enum status zunpack(struct str packed, size_t max, struct buf *out)
{
    unsigned long long size = ZSTD_getFrameContentSize(packed.p, packed.n);
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
        return ERR_DATA;
    if (size > max)
        return ERR_LIMIT;
    char *room = buf_room(out, (size_t)size);
    if (!room)
        return out->status;
    size_t n = ZSTD_decompress(room, (size_t)size, packed.p, packed.n);
    if (ZSTD_isError(n) || n != size)
        return ERR_DATA;
    buf_grown(out, n);
    return OK;
}

void random_bytes(void *p, size_t n)
{
    randombytes_buf(p, n);
}

uint64_t random_u64(void)
{
    uint64_t v;
    random_bytes(&v, sizeof v);
    return v;
}

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void id_text(uint64_t id, char out[ID_CHARS + 1])
{
    for (int i = ID_CHARS - 1; i >= 0; i--, id >>= 5)
        out[i] = alphabet[id & 31];
    out[ID_CHARS] = '\0';
}

bool id_parse(struct str text, uint64_t *id)
{
    if (text.n != ID_CHARS)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < ID_CHARS; i++) {
        char c = text.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        c = c == 'o' ? '0' : c == 'i' || c == 'l' ? '1' : c;
        const char *at = c ? strchr(alphabet, c) : NULL;
        if (!at)
            return false;
        v = v << 5 | (uint64_t)(at - alphabet);
    }
    *id = v;
    return true;
}
