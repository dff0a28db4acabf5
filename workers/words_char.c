/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/words_in.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- characters --------------------------------------------------------------------------------- */

uint32_t char_at(struct str s, size_t i, size_t *len)
{
    const unsigned char *p = (const unsigned char *)s.p + i;
    size_t left = s.n - i, need = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    *len = 1;
    if (p[0] < 0x80)
        return p[0];
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < need)
        return 0xfffd;
    uint32_t cp = p[0] & (0xffu >> (need + 1));
    for (size_t k = 1; k < need; k++) {
        if ((p[k] & 0xc0) != 0x80)
            return 0xfffd;
        cp = cp << 6 | (p[k] & 0x3fu);
    }
    *len = need;
    return cp;
}

struct range {
    uint32_t first, last;
};

static bool in_ranges(uint32_t cp, const struct range *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (cp >= r[i].first && cp <= r[i].last)
            return true;
    }
    return false;
}

enum char_class char_class_of(uint32_t cp)
{
    static const struct range cjk[] = { { 0x3040, 0x30ff },
                                        { 0x3400, 0x4dbf },
                                        { 0x4e00, 0x9fff },
                                        { 0xf900, 0xfaff },
                                        { 0x20000, 0x3ffff } };
    static const struct range other[] = {
        { 0x80, 0xa9 },       { 0xab, 0xb4 },        { 0xb6, 0xb9 },     { 0xbb, 0xbf },
        { 0xd7, 0xd7 },       { 0xf7, 0xf7 },        { 0x2000, 0x206f }, { 0x20a0, 0x20cf },
        { 0x2100, 0x2bff },   { 0x2e00, 0x2e7f },    { 0x3000, 0x303f }, { 0xd800, 0xf8ff },
        { 0xfe00, 0xfe6f },   { 0xff00, 0xff0f },    { 0xff1a, 0xff20 }, { 0xffe0, 0xffff },
        { 0x1f000, 0x1ffff }, { 0xe0000, 0x10ffff },
    };
    if (cp < 0x80) {
        if ((cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || cp == '_')
            return CHAR_LETTER;
        return cp >= '0' && cp <= '9' ? CHAR_DIGIT : cp <= ' ' ? CHAR_SPACE : CHAR_OTHER;
    }
    if (cp == 0xa0 || cp == 0x3000 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
        cp == 0x202f)
        return CHAR_SPACE;
    if (in_ranges(cp, cjk, COUNT(cjk)))
        return CHAR_CJK;
    return in_ranges(cp, other, COUNT(other)) ? CHAR_OTHER : CHAR_LETTER;
}

bool char_is_upper(uint32_t cp)
{
    return char_lower(cp) != cp;
}

/* Latin, Greek and Cyrillic; other scripts that have cases are rare enough to be left alone. */
uint32_t char_lower(uint32_t cp)
{
    if ((cp >= 'A' && cp <= 'Z') || (cp >= 0xc0 && cp <= 0xde && cp != 0xd7))
        return cp + 32;
    if ((cp >= 0x100 && cp <= 0x137) || (cp >= 0x14a && cp <= 0x177) ||
        (cp >= 0x460 && cp <= 0x481))
        return cp | 1;
    if ((cp >= 0x139 && cp <= 0x148) || (cp >= 0x179 && cp <= 0x17e))
        return cp & 1 ? cp + 1 : cp;
    if (cp >= 0x391 && cp <= 0x3a9)
        return cp + 32;
    if (cp >= 0x410 && cp <= 0x42f)
        return cp + 32;
    return cp >= 0x400 && cp <= 0x40f ? cp + 80 : cp;
}

static size_t put_cp(uint32_t cp, char *out)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t k = n; k-- > 1; cp >>= 6)
        out[k] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | cp);
    return n;
}

size_t word_lower(struct str word, char out[STEM_MAX])
{
    size_t n = 0;
    for (size_t i = 0, len; i < word.n && n + 5 < STEM_MAX; i += len) {
        uint32_t cp = char_lower(char_at(word, i, &len));
        n += put_cp(cp == 0x2019 ? '\'' : cp, out + n);
    }
    out[n] = '\0';
    return n;
}

uint64_t hash_bytes(const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

/* ---- stems -------------------------------------------------------------------------------------- */

/* Does w of length n end in this literal? Its length and its last letter are looked at first. */
#define ENDS(w, n, tail)                                                                           \
    ((n) >= sizeof(tail) - 1 && (w)[(n) - 1] == (tail)[sizeof(tail) - 2] &&                        \
     memcmp((w) + (n) - (sizeof(tail) - 1), tail, sizeof(tail) - 1) == 0)

static bool has_vowel(const char *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("aeiouy", w[i]) || (unsigned char)w[i] >= 0x80)
            return true;
    }
    return false;
}

static const struct {
    char form[9], base[7];
} irregular[] = {
    { "sent", "send" },    { "shown", "show" },     { "kept", "keep" },     { "lent", "lend" },
    { "paid", "pay" },     { "told", "tell" },      { "made", "make" },     { "given", "give" },
    { "gave", "give" },    { "held", "hold" },      { "found", "find" },    { "lost", "lose" },
    { "taken", "take" },   { "took", "take" },      { "seen", "see" },      { "written", "write" },
    { "wrote", "write" },  { "chosen", "choose" },  { "built", "build" },   { "bought", "buy" },
    { "sold", "sell" },    { "left", "leave" },     { "hidden", "hide" },   { "hid", "hide" },
    { "known", "know" },   { "stood", "stand" },    { "came", "come" },     { "began", "begin" },
    { "spent", "spend" },  { "children", "child" }, { "people", "person" }, { "dying", "die" },
    { "broken", "break" },
};

static size_t strip_plural(char *w, size_t n)
{
    if (n > 4 && (ENDS(w, n, "ies") || ENDS(w, n, "ied"))) {
        w[n - 3] = 'y';
        return n - 2;
    }
    if (n > 4 && (ENDS(w, n, "ses") || ENDS(w, n, "xes") || ENDS(w, n, "zes") ||
                  ENDS(w, n, "ches") || ENDS(w, n, "shes") || ENDS(w, n, "oes")))
        return n - 2;
    if (n > 3 && w[n - 1] == 's' && !ENDS(w, n, "ss") && !ENDS(w, n, "us") && !ENDS(w, n, "is"))
        return n - 1;
    return n;
}

/* "capp" of "capped" */
static size_t undouble(const char *w, size_t n)
{
    return n > 3 && w[n - 1] == w[n - 2] && strchr("bdgmnprt", w[n - 1]) ? n - 1 : n;
}

static size_t strip_verb(char *w, size_t n)
{
    if (n >= 7 && memcmp(w, "ge", 2) == 0 && w[n - 1] == 't') { /* German participle */
        size_t tail = w[n - 2] == 'e' ? 2 : 1;
        memmove(w, w + 2, n - 2 - tail);
        return n - 2 - tail;
    }
    if (n >= 11 && ENDS(w, n, "ification"))
        return n - 7;
    if (n >= 8 && ENDS(w, n, "ation"))
        return n - 5;
    if (n >= 6 && (ENDS(w, n, "tion") || ENDS(w, n, "sion")))
        return n - 3;
    if (n >= 6 && ENDS(w, n, "ing") && has_vowel(w, n - 3))
        return undouble(w, n - 3);
    if (n >= 5 && ENDS(w, n, "ed") && has_vowel(w, n - 2))
        return undouble(w, n - 2);
    if (n >= 6 && (ENDS(w, n, "en") || ENDS(w, n, "ly")))
        return n - 2;
    return n;
}

size_t word_stem(char *w, size_t n)
{
    for (size_t i = 0; i < COUNT(irregular); i++) {
        if (irregular[i].form[0] == w[0] && strcmp(irregular[i].form, w) == 0) {
            n = strlen(irregular[i].base);
            memcpy(w, irregular[i].base, n);
            break;
        }
    }
    if (n > 2 && ENDS(w, n, "'s"))
        n -= 2;
    n = strip_plural(w, n);
    n = strip_verb(w, n);
    if (n > 3 && w[n - 1] == 'e')
        n--;
    if (n > 5 && ENDS(w, n, "at"))
        n -= 2;
    if (n > 4 && w[n - 1] == w[n - 2] && strchr("bcdfglmnprstz", w[n - 1]))
        n--;
    if (n > 5 && ENDS(w, n, "ify"))
        n--; /* notify, notification */
    if (n > 2 && w[n - 1] == 'y')
        w[n - 1] = 'i';
    w[n] = '\0';
    return n;
}

/* ---- figures ------------------------------------------------------------------------------------ */

double figure_value(struct str digits, bool *clock)
{
    char z[40];
    size_t n = 0, last = SIZE_MAX, separators = 0;
    *clock = false;
    for (size_t i = 0; i < digits.n; i++) {
        char c = digits.p[i];
        *clock = *clock || c == ':';
        if (c == '.' || c == ',') {
            separators += last == SIZE_MAX || digits.p[last] == c ? 1 : 0;
            last = i;
        }
    }
    if (*clock) {
        double v = 0;
        for (size_t i = 0, part = 0; i <= digits.n; i++) {
            if (i < digits.n && digits.p[i] >= '0' && digits.p[i] <= '9') {
                part = part < 100000 ? part * 10 + (size_t)(digits.p[i] - '0') : part;
            } else {
                v = v * 60 + (double)part;
                part = 0;
            }
        }
        return v;
    }
    /* "1,340" and "19.000" group thousands; "0.300" does not. */
    bool grouped = last != SIZE_MAX && digits.n - last == 4 && digits.p[0] != '0' &&
                   last <= 3 * separators + separators - 1;
    for (size_t i = 0; i < digits.n && n + 1 < sizeof z; i++) {
        if (digits.p[i] >= '0' && digits.p[i] <= '9')
            z[n++] = digits.p[i];
        else if (i == last && !grouped)
            z[n++] = '.';
    }
    z[n] = '\0';
    return strtod(z, NULL);
}

uint64_t figure_key(double value, int dimension)
{
    double v[2] = { nearbyint(value * 1e6), dimension };
    return hash_bytes(v, sizeof v);
}

/* Names of units, separated by blanks. */
static const struct {
    const char *names;
    struct unit unit;
} units[] = {
    { "ms millisecond milliseconds", { DIM_SECONDS, 0.001 } },
    { "s sec second seconds sekunde sekunden seconde secondes segundos secondi",
      { DIM_SECONDS, 1 } },
    { "m min mins minute minutes minuten minuto minutos minuti", { DIM_SECONDS, 60 } },
    { "h hour hours stunde stunden heure heures hora horas ora ore uur", { DIM_SECONDS, 3600 } },
    { "d day days tag tage tagen jour jours día días dia dias giorno giorni dagen",
      { DIM_SECONDS, 86400 } },
    { "week weeks woche wochen semaine semaines semana semanas weken", { DIM_SECONDS, 604800 } },
    { "month months monat monate monaten mois mes meses mesi maanden", { DIM_MONTHS, 1 } },
    { "year years jahr jahre jahren ans año años anni jaar", { DIM_MONTHS, 12 } },
    { "percent prozent %", { DIM_PERCENT, 1 } },
    { "euro euros eur €", { DIM_EURO, 1 } },
    { "cent cents", { DIM_EURO, 0.01 } },
    { "dollar dollars usd $", { DIM_DOLLAR, 1 } },
    { "pounds gbp £", { DIM_POUND, 1 } },
    { "bytes", { DIM_BYTES, 1 } },
    { "kb", { DIM_BYTES, 1e3 } },
    { "kib", { DIM_BYTES, 1024 } },
    { "mb", { DIM_BYTES, 1e6 } },
    { "mib", { DIM_BYTES, 1048576 } },
    { "gb", { DIM_BYTES, 1e9 } },
    { "gib", { DIM_BYTES, 1073741824 } },
    { "tb", { DIM_BYTES, 1e12 } },
    { "times mal fois veces", { DIM_TIMES, 1 } },
};

const struct unit *unit_find(const char *low)
{
    size_t n = strlen(low);
    for (size_t i = 0; n > 0 && i < COUNT(units); i++) {
        for (const char *at = units[i].names; (at = strstr(at, low)); at += n) {
            bool begins = at == units[i].names || at[-1] == ' ';
            if (begins && (at[n] == ' ' || at[n] == '\0'))
                return &units[i].unit;
        }
    }
    return NULL;
}
