/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/prefix.h"

#include <assert.h>
#include <stdlib.h>

enum { ID_BITS = 60, BITS_LEAST = 6, BITS_MOST = 20 }; /* four characters of five bits */

static struct job **head_of(const struct prefixes *t, uint64_t id)
{
    return &t->heads[id >> (ID_BITS - t->bits)];
}

static void link_in(struct prefixes *t, struct job *j)
{
    struct job **head = head_of(t, j->id);
    j->alike = *head;
    *head = j;
}

static bool grow(struct prefixes *t)
{
    struct prefixes wider = { .bits = t->bits ? t->bits + 1 : BITS_LEAST, .len = t->len };
    wider.heads = calloc((size_t)1 << wider.bits, sizeof *wider.heads);
    if (!wider.heads)
        return false;
    for (size_t i = 0; t->bits && i < (size_t)1 << t->bits; i++) {
        for (struct job *j = t->heads[i], *next; j; j = next) {
            next = j->alike;
            link_in(&wider, j);
        }
    }
    free(t->heads);
    *t = wider;
    return true;
}

bool prefix_put(struct prefixes *t, struct job *j)
{
    assert(j->id >> ID_BITS == 0);
    if ((t->bits == 0 || (t->len >> t->bits && t->bits < BITS_MOST)) && !grow(t))
        return false;
    link_in(t, j);
    t->len++;
    return true;
}

void prefix_remove(struct prefixes *t, struct job *j)
{
    struct job **at = head_of(t, j->id);
    while (*at != j)
        at = &(*at)->alike;
    *at = j->alike;
    j->alike = NULL;
    t->len--;
}

struct job *prefix_chain(const struct prefixes *t, uint64_t first_of_id)
{
    return t->bits ? *head_of(t, first_of_id) : NULL;
}

void prefix_fini(struct prefixes *t)
{
    free(t->heads);
    *t = (struct prefixes){ 0 };
}
