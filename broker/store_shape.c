/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation of a batch has to look like: the twin of functions.lua's `shapes`. */
#include "broker/store_fake.h"

#include "common/mp.h"

#include <string.h>

/* What follows the letter of an operation, as in functions.lua: s bytes, n a whole number, l a list
 * of bytes, i a list of bytes and whole numbers in turn. */
const char *op_shape(char kind)
{
    static const struct {
        char kind;
        const char *shape;
    } shapes[] = { { 'j', "sssils" }, { 'd', "sss" }, { 'x', "ssn" }, { 'b', "ssn" },
                   { 'e', "sln" },    { 'p', "ss" },  { 'r', "sls" }, { 's', "n" } };
    for (size_t i = 0; i < COUNT(shapes); i++) {
        if (shapes[i].kind == kind)
            return shapes[i].shape;
    }
    return NULL;
}

static bool fits_value(struct mp *in, char want)
{
    struct mp_value v;
    if (mp_next(in, &v) != OK)
        return false;
    if (want == 's')
        return v.type == MP_STR;
    if (want == 'n')
        return v.type == MP_INT && v.i >= 0 && v.i < 1000000000000000;
    if (v.type != MP_ARRAY || (want == 'i' && v.n % 2))
        return false;
    for (uint32_t i = 0; i < v.n; i++) {
        struct mp_value item;
        bool number = want == 'i' && i % 2;
        if (mp_next(in, &item) != OK || item.type != (number ? MP_INT : MP_STR))
            return false;
    }
    return true;
}

bool op_fits(struct str raw, const char *shape)
{
    struct mp in;
    struct mp_value v;
    mp_init(&in, raw);
    if (mp_next(&in, &v) != OK || v.n <= strlen(shape) || mp_next(&in, &v) != OK)
        return false;
    while (*shape && fits_value(&in, *shape))
        shape++;
    return *shape == '\0';
}
