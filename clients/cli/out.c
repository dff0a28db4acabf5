/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 64 << 20 };

bool out_is_json(const struct cli *cli)
{
    return cli->form == FORM_JSON || cli->form == FORM_JSONL;
}

static void put(FILE *to, const struct buf *b)
{
    if (fwrite(buf_z(b), 1, b->len, to) != b->len)
        clearerr(to), errno = EIO;
}

int out_error(const struct cli *cli, const struct err *err)
{
    enum status st = err->status == OK ? ERR_INTERNAL : err->status;
    const char *text = err->text[0] ? err->text : status_text(st);
    if (out_is_json(cli)) {
        json_t *one = json_object(), *list = json_array(), *all = json_object();
        js_set_z(one, "severity", "error");
        js_set_z(one, "code", status_name(st));
        js_set_z(one, "message", text);
        if (err->fix[0])
            js_set_z(one, "fix", err->fix);
        js_push(list, one);
        js_set(all, "status", list);
        out_line(all);
        json_decref(all);
        return status_exit(st);
    }
    struct buf b;
    buf_init(&b, 8192);
    buf_printf(&b, "%spawl:%s ", paint(cli->color_err, "red"), paint(cli->color_err, "off"));
    text_clean(&b, str_of(text), true);
    buf_char(&b, '\n');
    if (err->fix[0]) {
        buf_str(&b, "  fix: ");
        text_clean(&b, str_of(err->fix), false);
        buf_char(&b, '\n');
    }
    put(stderr, &b);
    buf_fini(&b);
    return status_exit(st);
}

static void say(const char *before, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void say(const char *before, const char *fmt, va_list ap)
{
    char text[4096];
    struct buf b;
    vsnprintf(text, sizeof text, fmt, ap);
    buf_init(&b, 8192);
    buf_str(&b, before);
    text_clean(&b, str_of(text), true);
    buf_char(&b, '\n');
    put(stderr, &b);
    buf_fini(&b);
}

void out_note(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    if (cli->quiet)
        return;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

void out_warn(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(cli->color_err ? "\033[33mwarning:\033[0m " : "warning: ", fmt, ap);
    va_end(ap);
}

bool out_line(const json_t *v)
{
    struct buf b;
    buf_init(&b, TEXT_BYTES_MAX);
    js_dump(v, &b);
    buf_char(&b, '\n');
    bool good = b.status == OK && fwrite(b.data, 1, b.len, stdout) == b.len && fflush(stdout) == 0;
    buf_fini(&b);
    return good;
}

bool out_json(const struct cli *cli, const char *kind, json_t *body)
{
    json_t *all = json_object();
    js_set_z(all, "apiVersion", "pawl/v1");
    js_set_z(all, "kind", kind);
    json_object_update_missing(all, body);
    json_decref(body);
    bool good = true;
    if (cli->form == FORM_JSONL) {
        good = out_line(all);
    } else {
        struct buf b;
        buf_init(&b, TEXT_BYTES_MAX);
        js_dump_pretty(all, &b);
        buf_char(&b, '\n');
        good = b.status == OK && fwrite(b.data, 1, b.len, stdout) == b.len;
        buf_fini(&b);
    }
    json_decref(all);
    return good;
}

int out_finish(const struct cli *cli, int code)
{
    struct err err = { 0 };
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno == EPIPE)
        return code ? code : 141; /* as a shell counts SIGPIPE: the reader had enough */
    err_set(&err, ERR_IO, "standard output: %s", strerror(errno));
    out_error(cli, &err);
    return code ? code : status_exit(ERR_IO);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Length of the UTF-8 sequence at p, 0 when invalid; the code point goes to *cp. */
static size_t utf8_next(const unsigned char *p, size_t n, uint32_t *cp)
{
    size_t len = p[0] < 0x80                   ? 1
                 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                 : (p[0] & 0xf0) == 0xe0       ? 3
                 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                               : 0;
    if (len == 0 || len > n || !utf8_valid((struct str){ (const char *)p, len }, NULL))
        return 0;
    *cp = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        *cp = *cp << 6 | (p[i] & 0x3f);
    return len;
}

/* Characters that move the cursor, hide text or turn its direction. */
static bool unsafe(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x200b && cp <= 0x200f) ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

void text_clean(struct buf *out, struct str s, bool lines)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t len = utf8_next((const unsigned char *)s.p + i, s.n - i, &cp);
        if (len == 0) {
            buf_str(out, "\xef\xbf\xbd");
            i++;
            continue;
        }
        if (cp == '\n' && lines)
            buf_char(out, '\n');
        else if (cp == '\n' || cp == '\t' || cp == '\r')
            buf_char(out, ' ');
        else if (!unsafe(cp))
            buf_append(out, s.p + i, len);
        i += len;
    }
}

void text_of(struct buf *out, const json_t *obj, const char *key)
{
    text_clean(out, js_view(obj, key), false);
}

static size_t columns_of(uint32_t cp)
{
    bool combining = (cp >= 0x300 && cp < 0x370) || (cp >= 0xfe00 && cp <= 0xfe0f);
    bool wide = (cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) ||
                (cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0xf900 && cp <= 0xfaff) ||
                (cp >= 0xfe30 && cp <= 0xfe6f) || (cp >= 0xff00 && cp <= 0xff60) ||
                (cp >= 0x1f300 && cp <= 0x1faff) || (cp >= 0x20000 && cp <= 0x3fffd);
    return combining ? 0 : wide ? 2 : 1;
}

size_t text_width(struct str s)
{
    size_t width = 0;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp = 0;
        size_t len = utf8_next((const unsigned char *)s.p + i, s.n - i, &cp);
        width += len ? columns_of(cp) : 1;
        i += len ? len : 1;
    }
    return width;
}

void text_fit(struct buf *out, struct str s, size_t columns)
{
    size_t width = 0, i = 0;
    bool all = text_width(s) <= columns;
    while (i < s.n) {
        uint32_t cp = 0;
        size_t len = utf8_next((const unsigned char *)s.p + i, s.n - i, &cp);
        size_t w = len ? columns_of(cp) : 1;
        if (!all && width + w > columns - (columns > 0))
            break;
        len = len ? len : 1;
        buf_append(out, s.p + i, len);
        width += w;
        i += len;
    }
    if (!all && columns > 0)
        buf_str(out, "…");
}

void text_time(struct buf *out, int64_t ms)
{
    int64_t s = ms / 1000;
    if (ms < 1000)
        buf_printf(out, "%" PRId64 " ms", ms < 0 ? 0 : ms);
    else if (ms < 10000)
        buf_printf(out, "%.1f s", (double)ms / 1000);
    else if (s < 60)
        buf_printf(out, "%" PRId64 " s", s);
    else if (s < 3600)
        buf_printf(out, "%" PRId64 ":%02" PRId64 " min", s / 60, s % 60);
    else
        buf_printf(out, "%" PRId64 ":%02" PRId64 " h", s / 3600, s / 60 % 60);
}

void text_count(struct buf *out, int64_t n)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n);
    for (int i = 0; i < len; i++) {
        buf_char(out, digits[i]);
        if (digits[i] != '-' && i + 1 < len && (len - i - 1) % 3 == 0)
            buf_char(out, ',');
    }
}

void text_bytes(struct buf *out, int64_t n)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double v = (double)n;
    size_t u = 0;
    while (v >= 1024 && u + 1 < COUNT(units)) {
        v /= 1024;
        u++;
    }
    buf_printf(out, u && v < 10 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void text_when(struct buf *out, int64_t unix_ms)
{
    time_t s = (time_t)(unix_ms / 1000);
    struct tm tm;
    char text[32];
    localtime_r(&s, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    buf_str(out, text);
}

/* ---- tables ---------------------------------------------------------------------------------- */

void table_init(struct table *t, const char *const *heads, size_t columns)
{
    *t = (struct table){ .columns = columns };
    buf_init(&t->cells, TEXT_BYTES_MAX);
    for (size_t i = 0; i < columns; i++)
        table_cell(t, heads[i]);
}

void table_cell(struct table *t, const char *text)
{
    text_clean(&t->cells, str_of(text), false);
    buf_char(&t->cells, '\0');
    t->count++;
}

void table_cellf(struct table *t, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    table_cell(t, text);
}

void table_end(struct table *t, bool aligned, struct buf *out)
{
    size_t widths[16] = { 0 };
    const char *at = buf_z(&t->cells);
    for (size_t i = 0; i < t->count && aligned; i++, at += strlen(at) + 1) {
        size_t w = text_width(str_of(at));
        size_t *most = &widths[i % t->columns];
        *most = w > *most ? w : *most;
    }
    at = buf_z(&t->cells);
    for (size_t i = 0; i < t->count; i++, at += strlen(at) + 1) {
        bool last = (i + 1) % t->columns == 0;
        buf_str(out, at);
        if (last)
            buf_char(out, '\n');
        else if (!aligned)
            buf_char(out, '\t');
        for (size_t w = text_width(str_of(at)); aligned && !last && w < widths[i % t->columns] + 2;
             w++)
            buf_char(out, ' ');
    }
    buf_fini(&t->cells);
}

void table_print(struct table *t, const struct cli *cli)
{
    struct buf b;
    buf_init(&b, TEXT_BYTES_MAX);
    table_end(t, cli->out_tty, &b);
    put(stdout, &b);
    buf_fini(&b);
}

const char *paint(bool color, const char *name)
{
    static const char *const codes[][2] = {
        { "red", "\033[31m" },  { "green", "\033[32m" }, { "yellow", "\033[33m" },
        { "blue", "\033[34m" }, { "bold", "\033[1m" },   { "dim", "\033[2m" },
        { "off", "\033[0m" },
    };
    for (size_t i = 0; color && i < COUNT(codes); i++) {
        if (strcmp(codes[i][0], name) == 0)
            return codes[i][1];
    }
    return "";
}

const char *paint_state(const char *state)
{
    if (strcmp(state, "accepted") == 0)
        return "green";
    if (strcmp(state, "failed") == 0)
        return "red";
    if (strcmp(state, "exhausted") == 0 || strcmp(state, "waiting") == 0 ||
        strcmp(state, "delayed") == 0)
        return "yellow";
    return strcmp(state, "running") == 0 ? "blue" : "dim";
}
