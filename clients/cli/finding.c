/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/finding.h"

#include "clients/cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SOURCE_COLUMNS = 160 };

/* Line `line` (from 1) of a text; false when there is none. */
static bool line_of(struct str text, int64_t line, struct str *out)
{
    for (size_t at = 0; line > 0 && at <= text.n; line--) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        size_t stop = end ? (size_t)(end - text.p) : text.n;
        if (line == 1) {
            *out = (struct str){ text.p + at, stop - at };
            return stop > at || end;
        }
        at = stop + 1;
    }
    return false;
}

bool change_line(const json_t *change, const char *path, int64_t line, struct str *out)
{
    char before[512];
    const json_t *files = js_list(change, "files");
    int n = snprintf(before, sizeof before, "changes/%s/", js_str(change, "name"));
    if (n < 0 || (size_t)n >= sizeof before)
        return false;
    if (strncmp(path, before, (size_t)n) == 0)
        path += n;
    for (size_t i = 0; i < js_count(files); i++) {
        if (strcmp(js_str(js_at(files, i), "path"), path) == 0)
            return line_of(js_view(js_at(files, i), "text"), line, out);
    }
    return false;
}

/* The source line, and marks below it from the column to its end. */
static void source(struct str line, int64_t number, int64_t column, const char *color, bool colors,
                   struct buf *out)
{
    struct buf clean, fit;
    buf_init(&clean, 1 << 20);
    buf_init(&fit, 1 << 20);
    text_clean(&clean, line, false);
    text_fit(&fit, buf_get(&clean), SOURCE_COLUMNS);
    size_t width = text_width(buf_get(&fit)), from = column > 1 ? (size_t)column - 1 : 0;
    from = from < width ? from : 0;
    const char *blue = paint(colors, "blue"), *off = paint(colors, "off");
    buf_printf(out, "%s%5s |%s\n%s%5" PRId64 " |%s %s\n%s%5s |%s ", blue, "", off, blue, number,
               off, buf_z(&fit), blue, "", off);
    for (size_t i = 0; i < from; i++)
        buf_char(out, ' ');
    buf_str(out, paint(colors, color));
    for (size_t i = from; i < width; i++)
        buf_char(out, '^');
    buf_printf(out, "%s\n", off);
    buf_fini(&clean);
    buf_fini(&fit);
}

/* `text`: the line that it is about, or NULL. */
static void print(const json_t *finding, const struct str *text, bool color, struct buf *out)
{
    const char *severity = js_str(finding, "severity"), *file = js_str(finding, "file");
    const char *hue = strcmp(severity, "error") == 0     ? "red"
                      : strcmp(severity, "warning") == 0 ? "yellow"
                                                         : "blue";
    int64_t line = js_int(finding, "line", 0), column = js_int(finding, "column", 0);
    buf_str(out, paint(color, hue));
    text_of(out, finding, "severity");
    buf_char(out, '[');
    text_of(out, finding, "code");
    buf_printf(out, "]%s: ", paint(color, "off"));
    text_of(out, finding, "message");
    buf_char(out, '\n');
    if (*file) {
        buf_printf(out, "  %s-->%s openspec/", paint(color, "blue"), paint(color, "off"));
        text_of(out, finding, "file");
        if (line > 0)
            buf_printf(out, ":%" PRId64, line);
        if (line > 0 && column > 0)
            buf_printf(out, ":%" PRId64, column);
        buf_char(out, '\n');
    } else if (js_view(finding, "requirement").n) {
        buf_printf(out, "  %s-->%s requirement: ", paint(color, "blue"), paint(color, "off"));
        text_of(out, finding, "requirement");
        buf_char(out, '\n');
    }
    if (text)
        source(*text, line, column, hue, color, out);
    if (js_view(finding, "fix").n) {
        buf_printf(out, "  %s  =%s fix: ", paint(color, "blue"), paint(color, "off"));
        text_of(out, finding, "fix");
        buf_char(out, '\n');
    }
}

void finding_print(const json_t *finding, const json_t *change, bool color, struct buf *out)
{
    const char *file = js_str(finding, "file");
    struct str text;
    bool found = *file && change && change_line(change, file, js_int(finding, "line", 0), &text);
    print(finding, found ? &text : NULL, color, out);
}

void finding_print_in(const json_t *finding, const struct ws *ws, bool color, struct buf *out)
{
    const struct ws_file *f = ws_find(ws, js_view(finding, "file"));
    struct str text;
    bool found = f && line_of(f->bytes, js_int(finding, "line", 0), &text);
    print(finding, found ? &text : NULL, color, out);
}
