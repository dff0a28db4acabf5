/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/structure.h"

#include "common/openspec/block.h"

/* ^##\s+(ADDED|MODIFIED|REMOVED|RENAMED)\s+Requirements\s*$ */
static bool delta_header(struct str line)
{
    if (line_level(line) != 2)
        return false;
    struct str s = text_trim_start(text_from(line, 2));
    for (int k = 0; k < DELTA_KINDS; k++) {
        const char *name = delta_kind_name((enum delta_kind)k);
        if (!text_starts_ci(s, name))
            continue;
        struct str rest = text_from(s, str_of(name).n);
        return text_spaces(rest) > 0 && text_is_ci(text_trim(rest), "Requirements");
    }
    return false;
}

static void requirements_range(const struct lines *l, size_t *start, size_t *end)
{
    *start = l->n;
    *end = l->n;
    for (size_t i = 0; i < l->n; i++) {
        if (l->fenced[i] || line_level(l->at[i]) != 2)
            continue;
        if (*start < l->n) {
            *end = i;
            return;
        }
        if (text_is_ci(text_trim(text_from(l->at[i], 2)), "Requirements"))
            *start = i;
    }
}

static struct str outside(struct pool *p, struct str header)
{
    return pool_cat(p, LIT("Requirement header \""), header,
                    LIT("\" appears outside the main ## Requirements section. Main specs only "
                        "parse requirements inside that section, so this requirement is currently "
                        "invisible to validate, list, and archive."));
}

static struct str in_delta(struct pool *p, struct str header)
{
    return pool_cat(p, LIT("Main spec contains delta header \""), header,
                    LIT("\". Delta headers are only valid inside "
                        "openspec/changes/<name>/specs/<capability-path>/spec.md and truncate the "
                        "parsed ## Requirements section."));
}

static struct str duplicate(struct pool *p, struct str header, size_t first)
{
    return pool_cat(p, LIT("Requirement header \""), header,
                    LIT("\" duplicates the requirement declared on line "), pool_num(p, first),
                    LIT(". Requirement names must be unique so spec updates cannot discard one "
                        "block while updating another."));
}

struct structure_issues structure_check(struct pool *p, struct str text)
{
    struct structure_issues issues = { 0 };
    struct lines l = lines_of(p, text_lf(p, text));
    struct map first = { 0 };
    size_t start, end;
    requirements_range(&l, &start, &end);
    for (size_t i = 0; i < l.n && !p->failed; i++) {
        struct str name, header = text_trim(l.at[i]);
        if (l.fenced[i])
            continue;
        if (delta_header(l.at[i])) {
            pool_push(p, &issues, (struct structure_issue){ STRUCTURE_DELTA_HEADER, i + 1,
                                                            in_delta(p, header) });
            continue;
        }
        if (!line_requirement(l.at[i], true, &name))
            continue;
        if (i <= start || i >= end) {
            pool_push(p, &issues,
                      (struct structure_issue){ STRUCTURE_OUTSIDE, i + 1, outside(p, header) });
            continue;
        }
        size_t *line = map_get(&first, name);
        if (line) {
            pool_push(p, &issues, (struct structure_issue){ STRUCTURE_DUPLICATE, i + 1,
                                                            duplicate(p, header, *line) });
        } else if ((line = pool_alloc(p, sizeof *line))) {
            *line = i + 1;
            map_set(p, &first, name, line);
        }
    }
    return issues;
}
