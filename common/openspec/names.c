/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/names.h"

#include "common/openspec/text.h"

#include <string.h>

enum { MADE_MAX = 60, TRIES_MAX = 100000, DATE_PREFIX = sizeof "2000-01-01-" - 1 };

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool kebab(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool hyphen = s.p[i] == '-' && i > 0 && i + 1 < s.n && s.p[i - 1] != '-';
        if (!letter(s.p[i]) && !hyphen)
            return false;
    }
    return s.n > 0;
}

bool name_is_change(struct str name)
{
    return name.n <= CHANGE_NAME_MAX && kebab(name) && !str_is(name, "archive");
}

bool name_is_capability(struct str id)
{
    size_t from = 0;
    for (size_t i = 0; i <= id.n; i++) {
        if (i < id.n && id.p[i] != '/')
            continue;
        if (!kebab((struct str){ id.p + from, i - from }))
            return false;
        from = i + 1;
    }
    return true;
}

/* The letter below a Latin letter's marks, '\0' for anything else. U+00C0 to U+017F. */
static char latin(uint32_t cp)
{
    static const char low[] = "aaaaaaaceeeeiiiidnooooo\0ouuuuytsaaaaaaaceeeeiiiidnooooo\0ouuuuyty"
                              "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkk"
                              "llllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
    _Static_assert(sizeof low == 0x180 - 0xc0 + 1, "one for each");
    return cp >= 0xc0 && cp < 0x180 ? low[cp - 0xc0] : '\0';
}

/* Drop the last, cut-off word, unless it is the only one. */
static size_t cut_at_word(const char *s, size_t n)
{
    size_t at = n;
    while (at > 0 && s[at - 1] != '-')
        at--;
    return at > 1 ? at - 1 : n;
}

enum status name_kebab(struct arena *a, struct str words, size_t max, const char *otherwise,
                       struct str *out)
{
    struct pool p = pool_of(a);
    struct str s = text_lower(&p, text_decode(&p, words));
    char *made = pool_alloc(&p, max + 2);
    size_t n = 0, len;
    bool cut = false;
    for (size_t i = 0; made && i < s.n && !cut; i += len) {
        uint32_t cp = text_cp(s, i, &len);
        char c = cp < 0x80 ? (char)cp : latin(cp);
        if (cp >= 0x300 && cp <= 0x36f) /* a combining mark belongs to the letter before it */
            continue;
        if (c == '\'' || cp == 0x2019)
            continue;
        cut = letter(c) && n == max;
        if (letter(c) && !cut)
            made[n++] = c;
        else if (!letter(c) && n > 0 && n < max && made[n - 1] != '-')
            made[n++] = '-';
    }
    if (cut && n > 0 && made[n - 1] != '-')
        n = cut_at_word(made, n);
    while (n > 0 && made[n - 1] == '-')
        n--;
    *out = n > 0 ? (struct str){ made, n } : str_of(otherwise);
    return pool_status(&p);
}

static bool dated(struct str s)
{
    static const char form[] = "dddd-dd-dd-";
    for (size_t i = 0; i < DATE_PREFIX; i++) {
        bool digit = i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
        if (i >= s.n || (form[i] == 'd' ? !digit : s.p[i] != '-'))
            return false;
    }
    return true;
}

/* Every name below changes/ and changes/archive/, the latter with and without its date. */
static void collect(struct pool *p, const struct ws *ws, struct map *taken)
{
    size_t n = 0;
    const struct ws_file *f = ws_under(ws, LIT("changes/"), &n);
    for (size_t i = 0; i < n && !p->failed; i++) {
        struct str s = text_from(f[i].path, sizeof "changes/" - 1);
        if (text_starts(s, "archive/"))
            s = text_from(s, sizeof "archive/" - 1);
        const char *slash = memchr(s.p, '/', s.n);
        if (!slash)
            continue;
        s.n = (size_t)(slash - s.p);
        map_add(p, taken, s);
        map_add(p, taken, dated(s) ? text_from(s, DATE_PREFIX) : s);
    }
}

enum status name_for_change(struct arena *a, const struct ws *ws, struct str words, struct str *out)
{
    struct pool p = pool_of(a);
    struct map taken = { 0 };
    struct str base;
    enum status st = name_kebab(a, words, MADE_MAX, "change", &base);
    if (st != OK)
        return st;
    if (str_is(base, "archive"))
        base = LIT("archive-change");
    collect(&p, ws, &taken);
    *out = base;
    for (size_t k = 2; k < TRIES_MAX && !p.failed && map_get(&taken, *out); k++)
        *out = pool_cat(&p, base, LIT("-"), pool_num(&p, k));
    return pool_status(&p);
}
