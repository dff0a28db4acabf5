/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/show.h"
#include "common/openspec/text.h"

#include <string.h>

/* Weights of the root collation (Unicode Technical Standard 10) for ASCII; letters of Latin-1 and
 * Latin Extended-A count as their base letter with an accent. All else comes behind, by code point. */
struct weight {
    uint32_t primary, accent, upper;
};

enum { MARKS_FROM = 1, DIGITS_FROM = 100, LETTERS_FROM = 200, OTHERS_FROM = 1000 };

/* Base letters of U+00C0 .. U+017F; blank: a letter of its own. */
static const char latin[] = "AAAAAA CEEEEIIII NOOOOO OUUUUY  aaaaaa ceeeeiiii nooooo ouuuuy y"
                            "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiI   JjKk LlLlLlLl"
                            "LlNnNnNn   OoOoOo  RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZz ";

static struct weight weight_of(uint32_t cp)
{
    static const char marks[] = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";
    uint32_t accent = 0;
    if (cp >= 0xc0 && cp - 0xc0 < sizeof latin - 1 && latin[cp - 0xc0] != ' ') {
        accent = cp;
        cp = (unsigned char)latin[cp - 0xc0];
    }
    if (cp >= '0' && cp <= '9')
        return (struct weight){ DIGITS_FROM + cp - '0', 0, 0 };
    if (cp >= 'a' && cp <= 'z')
        return (struct weight){ LETTERS_FROM + cp - 'a', accent, 0 };
    if (cp >= 'A' && cp <= 'Z')
        return (struct weight){ LETTERS_FROM + cp - 'A', accent, 1 };
    const char *at = cp > 0 && cp < 0x80 ? strchr(marks, (int)cp) : NULL;
    if (at)
        return (struct weight){ MARKS_FROM + (uint32_t)(at - marks), 0, 0 };
    return (struct weight){ cp < 0x80 ? 0 : OTHERS_FROM + cp, 0, 0 }; /* controls weigh nothing */
}

/* The next character that weighs something; false: the end. */
static bool next(struct str s, size_t *i, struct weight *out)
{
    while (*i < s.n) {
        size_t len;
        *out = weight_of(text_cp(s, *i, &len));
        *i += len;
        if (out->primary)
            return true;
    }
    return false;
}

int text_collate(struct str a, struct str b)
{
    size_t i = 0, k = 0;
    int accents = 0, cases = 0;
    for (;;) {
        struct weight x = { 0 }, y = { 0 };
        bool more_a = next(a, &i, &x), more_b = next(b, &k, &y);
        if (!more_a || !more_b)
            return more_a != more_b ? (more_a ? 1 : -1) : accents ? accents : cases;
        if (x.primary != y.primary)
            return x.primary < y.primary ? -1 : 1;
        if (!accents && x.accent != y.accent)
            accents = x.accent < y.accent ? -1 : 1;
        if (!cases && x.upper != y.upper)
            cases = x.upper < y.upper ? -1 : 1;
    }
}
