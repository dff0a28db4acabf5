/* SPDX-License-Identifier: Apache-2.0 */
/* describe: prints what the lists in this directory say, for people and other languages.
 *   describe protocol FILE   FILE with the text between its markers written anew, on stdout
 *   describe schema          documents.schema.json
 *   describe vectors         vectors/messages.json: every message, its fields and its bytes
 * The committed files are its output; a test compares them (tests/unit/base/check_generated.sh). */
#include "common/js.h"
#include "common/msg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables ---------------------------------------------------------------------------------- */

static void table_messages(FILE *to)
{
    enum { PEER, BROKER };
    static const char *const says[] = { [PEER] = "peer", [BROKER] = "broker" };
#define MSG(id, number, dir, frames, meaning)                                              \
    fprintf(to, "\n#### %s (%d)\n\nFrom the %s%s: %s.\n\n", #id, number, says[dir],        \
            frames ? ", documents may follow" : "", meaning);                              \
    fprintf(to, "| field | type | meaning |\n| --- | --- | --- |\n");
#define FIELD(type, name, meaning) fprintf(to, "| `%s` | %s | %s |\n", #name, #type, meaning);
#define END(id)
#include "schemas/messages.def"
#undef MSG
#undef FIELD
#undef END
}

static void table_documents(FILE *to)
{
#define DOC(id, writer, help) fprintf(to, "| `%s` | %s | %s |\n", #id, writer, help);
#define RECORD(id, help)                                   \
    fprintf(to, "\n#### %s\n\n%s.\n\n", #id, help);        \
    fprintf(to, "| key | type | | most | meaning |\n| --- | --- | --- | --- | --- |\n");
#define FIELD(record, key, type, of, need, max, help)                                       \
    {                                                                                       \
        static const char *const most[] = { "", #max };                                     \
        fprintf(to, "| `%s` | %s%s | %s | %s | %s |\n", #key, #type,                        \
                strcmp(#of, "-") == 0 ? "" : " of " #of, strcmp(#need, "MUST") ? "" : "must", \
                most[(max) > 0], help);                                                     \
    }
    fprintf(to, "\n| document | written by | |\n| --- | --- | --- |\n");
#include "schemas/documents.def"
#undef DOC
#undef RECORD
#undef FIELD
}

static void table_stages(FILE *to)
{
    fprintf(to, "\n| stage | each | attempts | silence ms | total ms | reads | writes | |\n"
                "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
#define X(name, each, attempts, silence, total, reads, writes, meaning)                       \
    fprintf(to, "| %s | %s | %d | %d | %d | %s | %s | %s |\n", name, each, attempts, silence, \
            total, reads, writes, meaning);
#define L(name, each, attempts, silence, total, reads, writes, meaning)                         \
    fprintf(to, "| %s | lane | %d | %d | %d | %s | %s | %s |\n", name, attempts, silence, total, \
            reads, writes, meaning);
#include "schemas/stages.def"
#undef X
#undef L
}

static void table_states(FILE *to)
{
    fprintf(to, "\n| state | | meaning |\n| --- | --- | --- |\n");
#define X(id, name, kind, meaning) fprintf(to, "| %s | %s | %s |\n", name, #kind, meaning);
#include "schemas/states.def"
#undef X
    fprintf(to, "\n| from | to | when |\n| --- | --- | --- |\n");
#define T(from, to_state, when) fprintf(to, "| %s | %s | %s |\n", #from, #to_state, when);
#include "schemas/transitions.def"
#undef T
}

static void table_events(FILE *to)
{
    fprintf(to, "\n| kind | facts | meaning |\n| --- | --- | --- |\n");
#define X(id, name, facts, meaning) fprintf(to, "| %s | %s | %s |\n", name, facts, meaning);
#include "schemas/events.def"
#undef X
}

static void table_statuses(FILE *to)
{
    fprintf(to, "\n| name | exit code | meaning |\n| --- | --- | --- |\n");
#define X(id, name, exit_code, text) fprintf(to, "| %s | %d | %s |\n", name, exit_code, text);
#include "schemas/statuses.def"
#undef X
}

static void table_limits(FILE *to)
{
    fprintf(to, "\n| limit | value | unit | meaning |\n| --- | --- | --- | --- |\n");
#define X(id, value, unit, meaning) fprintf(to, "| %s | %d | %s | %s |\n", #id, value, unit, meaning);
#include "schemas/limits.def"
#undef X
}

static const struct {
    const char *name;
    void (*print)(FILE *);
} tables[] = {
    { "messages", table_messages }, { "documents", table_documents }, { "stages", table_stages },
    { "states", table_states },     { "events", table_events },       { "statuses", table_statuses },
    { "limits", table_limits },
};

/* Copy the file; what lies between "<!-- begin NAME -->" and "<!-- end NAME -->" is written anew. */
static int protocol(const char *path)
{
    FILE *f = fopen(path, "r");
    char line[8192], end[128] = "";
    if (!f) {
        perror(path);
        return 74;
    }
    while (fgets(line, sizeof line, f)) {
        if (*end && strncmp(line, end, strlen(end)) != 0)
            continue;
        *end = '\0';
        fputs(line, stdout);
        for (size_t i = 0; i < COUNT(tables); i++) {
            char begin[128];
            snprintf(begin, sizeof begin, "<!-- begin %s -->", tables[i].name);
            if (strncmp(line, begin, strlen(begin)) != 0)
                continue;
            tables[i].print(stdout);
            snprintf(end, sizeof end, "<!-- end %s -->", tables[i].name);
        }
    }
    fclose(f);
    return 0;
}

/* ---- JSON Schema ------------------------------------------------------------------------------ */

static json_t *schema_of(const char *type, const char *of, int64_t max)
{
    json_t *s = json_object();
    char ref[128];
    snprintf(ref, sizeof ref, "#/$defs/%s", of);
    bool list = strcmp(type, "LIST") == 0 || strcmp(type, "STRS") == 0;
    if (strcmp(type, "REC") == 0) {
        js_set_z(s, "$ref", ref);
    } else if (list) {
        json_t *items = json_object();
        js_set_z(items, *type == 'L' ? "$ref" : "type", *type == 'L' ? ref : "string");
        js_set_z(s, "type", "array");
        js_set(s, "items", items);
        if (max > 0)
            js_set_int(s, "maxItems", max);
    } else if (strcmp(type, "ANY") != 0) {
        js_set_z(s, "type", strcmp(type, "STR") == 0 ? "string" : strcmp(type, "INT") == 0 ? "integer" :
                            strcmp(type, "REAL") == 0 ? "number" : "boolean");
        if (max > 0) /* the limit counts bytes; a string is never longer in characters */
            js_set_int(s, "maxLength", max);
    }
    return s;
}

static int schema(void)
{
    json_t *root = json_object(), *defs = json_object(), *documents = json_object();
    js_set_z(root, "$schema", "https://json-schema.org/draft/2020-12/schema");
    js_set_z(root, "title", "The documents of a pawl job");
#define DOC(id, writer, help)                                   \
    {                                                           \
        json_t *d = json_object();                              \
        js_set_z(d, "$ref", "#/$defs/" #id);                    \
        js_set_z(d, "description", help);                       \
        js_set(documents, #id, d);                              \
    }
#define RECORD(id, help)                                        \
    {                                                           \
        json_t *r = json_object();                              \
        js_set_z(r, "type", "object");                          \
        js_set_z(r, "description", help);                       \
        js_set(r, "properties", json_object());                 \
        js_set(r, "required", json_array());                    \
        js_set(defs, #id, r);                                   \
    }
#define FIELD(record, key, type, of, need, max, help)                                    \
    {                                                                                    \
        json_t *r = json_object_get(defs, #record), *p = schema_of(#type, #of, max);     \
        js_set_z(p, "description", help);                                                \
        js_set(json_object_get(r, "properties"), #key, p);                               \
        if (strcmp(#need, "MUST") == 0)                                                  \
            js_push_z(json_object_get(r, "required"), #key);                             \
    }
#include "schemas/documents.def"
#undef DOC
#undef RECORD
#undef FIELD
    js_set(root, "properties", documents);
    js_set(root, "$defs", defs);
    struct buf out;
    buf_init(&out, 1 << 22);
    js_dump_pretty(root, &out);
    puts(buf_z(&out));
    buf_fini(&out);
    json_decref(root);
    return 0;
}

/* ---- vectors ---------------------------------------------------------------------------------- */

static const uint8_t some_bytes[32] = { 0, 1, 2, 3, 0xfe, 0xff };
static uint8_t ref_bytes[256];

/* Sample values: variant 0 is empty, 1 small, 2 at the edges of the encodings. */
static void fill_U64(uint64_t *v, int variant, const char *name)
{
    static const uint64_t values[] = { 0, 7, UINT64_MAX };
    (void)name;
    *v = values[variant];
}

static void fill_I64(int64_t *v, int variant, const char *name)
{
    static const int64_t values[] = { 0, -33, INT64_MIN };
    (void)name;
    *v = values[variant];
}

static void fill_BOOL(bool *v, int variant, const char *name)
{
    (void)name;
    *v = variant > 0;
}

static void fill_STR(struct str *v, int variant, const char *name)
{
    static char wide[300];
    memset(wide, 'x', sizeof wide);
    *v = variant == 0 ? (struct str){ 0 } : variant == 1 ? str_of(name) : (struct str){ wide, sizeof wide };
}

static void fill_BIN(struct str *v, int variant, const char *name)
{
    (void)name;
    *v = (struct str){ (const char *)some_bytes, variant == 0 ? 0 : sizeof some_bytes };
}

static void fill_STRS(struct strs *v, int variant, const char *name)
{
    v->n = (uint32_t)variant;
    v->v[0] = str_of(name);
    v->v[1] = str_of("é 你好");
}

static void fill_FENCE(struct fence *v, int variant, const char *name)
{
    (void)name;
    *v = variant == 0 ? (struct fence){ 0 } : (struct fence){ UINT64_MAX - 1, (uint64_t)variant };
}

static void fill_TASKS(struct task_list *v, int variant, const char *name)
{
    struct buf b;
    (void)name;
    buf_init(&b, sizeof ref_bytes);
    mp_array(&b, (size_t)variant);
    for (int i = 0; i < variant; i++)
        msg_task_put(&b, str_of("0123456789ab/1/2/generate/0"), (struct fence){ 9, 4 });
    memcpy(ref_bytes, b.data, b.len);
    *v = (struct task_list){ { (const char *)ref_bytes, b.len }, (uint32_t)variant };
    buf_fini(&b);
}

static void fill_RAW(struct str *v, int variant, const char *name)
{
    (void)name;
    static const char map[] = "\x81\xa6rounds\x04";
    *v = variant == 0 ? (struct str){ 0 } : (struct str){ map, sizeof map - 1 };
}

static json_t *hex_of(struct str s)
{
    static const char digits[] = "0123456789abcdef";
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < s.n; i++) {
        buf_char(&b, digits[(unsigned char)s.p[i] >> 4]);
        buf_char(&b, digits[s.p[i] & 15]);
    }
    json_t *v = js_string(buf_get(&b));
    buf_fini(&b);
    return v;
}

/* Field values as JSON: numbers above 2^63 and bytes as text, raw values as hex. */
static json_t *show_U64(const uint64_t *v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, *v);
    return json_string(text);
}

static json_t *show_I64(const int64_t *v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, *v);
    return json_string(text);
}

static json_t *show_BOOL(const bool *v) { return json_boolean(*v); }
static json_t *show_STR(const struct str *v) { return js_string(*v); }
static json_t *show_BIN(const struct str *v) { return hex_of(*v); }
static json_t *show_RAW(const struct str *v) { return v->n ? hex_of(*v) : json_string("c0"); }

static json_t *show_STRS(const struct strs *v)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < v->n; i++)
        js_push(list, js_string(v->v[i]));
    return list;
}

static json_t *show_FENCE(const struct fence *v)
{
    json_t *pair = json_array();
    js_push(pair, show_U64(&v->incarnation));
    js_push(pair, show_U64(&v->counter));
    return pair;
}

static json_t *show_TASKS(const struct task_list *v)
{
    json_t *list = json_array();
    struct task_ref ref;
    for (size_t at = 0; msg_task_next(v, &at, &ref);) {
        json_t *pair = json_array();
        js_push(pair, js_string(ref.task));
        js_push(pair, show_FENCE(&ref.fence));
        js_push(list, pair);
    }
    return list;
}

static void vector(json_t *list, const struct msg *m, json_t *fields)
{
    struct buf b;
    buf_init(&b, PAWL_HEADER_MAX);
    if (msg_encode(m, &b) != OK)
        abort();
    json_t *v = json_object();
    js_set_z(v, "type", msg_name(m->type));
    js_set_int(v, "number", (int64_t)m->type);
    js_set(v, "epoch", show_U64(&m->epoch));
    js_set(v, "fields", fields);
    js_set(v, "hex", hex_of(buf_get(&b)));
    js_push(list, v);
    buf_fini(&b);
}

static int vectors(void)
{
    json_t *list = json_array();
    for (int variant = 0; variant < 3; variant++) {
#define MSG(id, number, dir, frames, meaning)                                  \
        {                                                                      \
            struct msg m = { .type = MSG_##id, .epoch = variant ? 77 : 0 };    \
            struct msg_##id *f = &m.id;                                        \
            json_t *fields = json_object();
#define FIELD(type, name, meaning)                                             \
            fill_##type(&f->name, variant, #name);                             \
            js_set(fields, #name, show_##type(&f->name));
#define END(id)                                                                \
            vector(list, &m, fields);                                          \
        }
#include "schemas/messages.def"
#undef MSG
#undef FIELD
#undef END
    }
    struct buf out;
    buf_init(&out, 1 << 22);
    js_dump_pretty(list, &out);
    puts(buf_z(&out));
    buf_fini(&out);
    json_decref(list);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "protocol") == 0)
        return protocol(argv[2]);
    if (argc == 2 && strcmp(argv[1], "schema") == 0)
        return schema();
    if (argc == 2 && strcmp(argv[1], "vectors") == 0)
        return vectors();
    fprintf(stderr, "usage: describe protocol FILE | schema | vectors\n");
    return 64;
}
