/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/conflicts.h"

#include "common/openspec/report.h"
#include "common/openspec/spec.h"
#include "common/openspec/text.h"

#include <stdlib.h>
#include <string.h>

/* One name that a change lays its hands on. A rename touches two. */
struct claim {
    struct str capability, name, change;
    enum { CLAIM_ADDS, CLAIM_MODIFIES, CLAIM_REMOVES, CLAIM_RENAMES_FROM, CLAIM_RENAMES_TO } what;
    size_t line;
};

struct claims {
    struct claim *at;
    size_t n, cap;
};

static const char *const verbs[] = { [CLAIM_ADDS] = "adds",
                                     [CLAIM_MODIFIES] = "modifies",
                                     [CLAIM_REMOVES] = "removes",
                                     [CLAIM_RENAMES_FROM] = "renames",
                                     [CLAIM_RENAMES_TO] = "renames another to" };

static void claim(struct pool *p, struct claims *out, const struct touch *t)
{
    static const int what[] = { [TOUCH_ADDED] = CLAIM_ADDS,
                                [TOUCH_MODIFIED] = CLAIM_MODIFIES,
                                [TOUCH_REMOVED] = CLAIM_REMOVES,
                                [TOUCH_RENAMED] = CLAIM_RENAMES_TO };
    struct claim c = {
        .capability = t->capability, .name = t->requirement, .change = t->change, .line = t->line
    };
    c.what = (unsigned)what[t->op];
    pool_push(p, out, c);
    if (t->op != TOUCH_RENAMED)
        return;
    c.name = t->from;
    c.what = CLAIM_RENAMES_FROM;
    pool_push(p, out, c);
}

static int str_order(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int claim_order(const void *x, const void *y)
{
    const struct claim *a = x, *b = y;
    int order = str_order(a->capability, b->capability);
    order = order ? order : str_order(a->name, b->name);
    order = order ? order : str_order(a->change, b->change);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

static bool same_place(const struct claim *a, const struct claim *b)
{
    return str_eq(a->capability, b->capability) && str_eq(a->name, b->name);
}

static struct str place_of(struct pool *p, const struct claim *c)
{
    return pool_cat(p, LIT("openspec/"), ws_delta_path(p->a, c->change, c->capability), LIT(":"),
                    pool_num(p, c->line));
}

/* What the second one meets when the first is archived. */
static const char *advice(const struct claim *ours, const struct claim *theirs)
{
    bool adds = ours->what == CLAIM_ADDS || ours->what == CLAIM_RENAMES_TO;
    bool they_add = theirs->what == CLAIM_ADDS || theirs->what == CLAIM_RENAMES_TO;
    if (adds && they_add)
        return "; only one of them can bring that name: give one another name, or merge them";
    if (adds || they_add)
        return "; archive the one that brings it first";
    if (ours->what == CLAIM_MODIFIES && theirs->what == CLAIM_MODIFIES)
        return "; the second to be archived undoes the first: put both into one text";
    return "; the second to be archived does not find it: agree on one of them";
}

static void tell(struct report *r, const struct claim *ours, const struct claim *theirs)
{
    struct pool *p = r->p;
    struct str place = place_of(p, theirs);
    struct str fix = pool_cat(p, LIT("see "), place, str_of(advice(ours, theirs)));
    struct remark m = { .severity = SPEC_WARNING,
                        .code = "change.conflict",
                        .file = ws_delta_path(p->a, ours->change, ours->capability),
                        .line = ours->line,
                        .requirement = ours->name };
    m.path = m.file;
    m.message = pool_cat(p, ours->change, LIT(" "), str_of(verbs[ours->what]), LIT(" \""),
                         ours->name, LIT("\", "), theirs->change, LIT(" "),
                         str_of(verbs[theirs->what]), LIT(" it, too"));
    report_add(r, m);
    if (r->findings->n)
        r->findings->at[r->findings->n - 1].fix = fix;
}

static void tell_pairs(struct report *r, const struct claim *at, size_t n, struct str change)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            bool ours = change.n ? str_eq(at[i].change, change) : k > i;
            if (!ours || str_eq(at[i].change, at[k].change) || r->findings->n >= CONFLICTS_MAX)
                continue;
            tell(r, &at[i], &at[k]);
        }
    }
}

enum status conflicts_find(struct arena *a, const struct ws *ws, struct str change,
                           struct spec_findings *out)
{
    struct pool p = pool_of(a);
    struct str_list names = { 0 };
    struct touches touches = { 0 };
    struct claims claims = { 0 };
    *out = (struct spec_findings){ 0 };
    if (change.n && !ws_has_change(ws, change))
        return ERR_NOT_FOUND;
    enum status st = ws_changes(a, ws, &names);
    for (size_t i = 0; st == OK && i < names.n; i++)
        st = change_touches(a, ws, names.at[i], &touches);
    if (st != OK)
        return st;
    for (size_t i = 0; i < touches.n; i++)
        claim(&p, &claims, &touches.at[i]);
    if (claims.n > 1)
        qsort(claims.at, claims.n, sizeof *claims.at, claim_order);
    struct report r = { .p = &p, .findings = out };
    for (size_t i = 0, n; i < claims.n; i += n) {
        for (n = 1; i + n < claims.n && same_place(&claims.at[i], &claims.at[i + n]);)
            n++;
        tell_pairs(&r, claims.at + i, n, change);
    }
    return pool_status(&p);
}
