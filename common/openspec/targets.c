/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/draft_in.h"

const struct spec *target_spec(struct targets *t, struct str id)
{
    struct spec *spec = map_get(&t->specs, id);
    if (spec)
        return spec->id.n ? spec : NULL;
    spec = pool_alloc(t->p, sizeof *spec);
    if (!spec)
        return NULL;
    struct str own = pool_copy(t->p, id);
    enum status st = spec_of(t->p->a, t->ws, own, spec);
    if (st == ERR_NOT_FOUND)
        *spec = (struct spec){ 0 }; /* remembered as absent */
    t->p->failed = t->p->failed || st == ERR_LIMIT;
    if (!t->p->failed)
        map_set(t->p, &t->specs, own, spec);
    return st == OK && !t->p->failed ? spec : NULL;
}

const struct spec_requirement *target_requirement(struct targets *t, const struct spec *spec,
                                                  struct str name)
{
    const struct spec_requirement *exact = spec_find(spec, name);
    if (exact)
        return exact;
    struct str safe = safe_name(t->p, name), fold = name_fold(t->p, safe);
    for (size_t i = 0; i < spec->n && !t->p->failed; i++) {
        struct str own = spec->requirements[i].name;
        if (str_eq(own, safe) || str_eq(name_fold(t->p, own), fold) ||
            str_eq(safe_name(t->p, own), safe))
            return &spec->requirements[i];
    }
    return NULL;
}
