/* SPDX-License-Identifier: Apache-2.0 */
/* The tree `pipeline` of the configuration: a list of stage names, or maps
 * {stage, each, attempts, start, silence, total, reads, writes, facts}. What a map leaves out comes from
 * stages.def when the name is known there. */
#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status wrong(const struct conf *conf, size_t i, const char *key, const char *what,
                         struct err *err)
{
    char path[96];
    snprintf(path, sizeof path, key[0] ? "[%zu].%s" : "[%zu]%s", i, key);
    int line = conf_line(conf, CONF_LOOP_PIPELINE, path);
    char where[32] = "";
    if (line > 0)
        snprintf(where, sizeof where, "line %d: ", line);
    return err_set(err, ERR_CONFIG, "%spipeline%s: %s", where, path, what);
}

bool span_ms(const json_t *v, int64_t *out)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {
        { "ms", 1 },
        { "s", 1000 },
        { "m", 60000 },
        { "h", 3600000 },
    };
    if (json_is_integer(v)) {
        *out = json_integer_value(v);
        return *out > 0;
    }
    const char *text = json_string_value(v);
    char *end = NULL;
    long long n = text ? strtoll(text, &end, 10) : 0;
    if (!text || end == text || n <= 0 || n > 1000000000)
        return false;
    for (size_t i = 0; i < COUNT(units); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *out = n * units[i].ms;
            return true;
        }
    }
    return false;
}

/* A list of names as one text, or a text as it is. */
static bool words(const json_t *v, struct buf *out)
{
    buf_init(out, 4096);
    if (json_is_string(v))
        return buf_str(out, json_string_value(v)) == OK;
    if (!json_is_array(v))
        return false;
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *one = json_string_value(json_array_get(v, i));
        if (!one || buf_printf(out, "%s%s", i ? " " : "", one) != OK)
            return false;
    }
    return true;
}

struct parts {
    struct stage_text s;
    struct buf reads, writes, facts;
};

static void parts_fini(struct parts *p)
{
    buf_fini(&p->reads);
    buf_fini(&p->writes);
    buf_fini(&p->facts);
}

static const char *take_key(struct parts *p, const char *key, const json_t *v)
{
    if (strcmp(key, "stage") == 0)
        return NULL;
    if (strcmp(key, "each") == 0) {
        p->s.each = str_of(json_string_value(v));
        return str_is(p->s.each, "run") || str_is(p->s.each, "round") ? NULL : "run or round";
    }
    if (strcmp(key, "attempts") == 0) {
        p->s.attempts = json_integer_value(v);
        return json_is_integer(v) && p->s.attempts >= 1 ? NULL : "a number from 1";
    }
    if (strcmp(key, "silence") == 0)
        return span_ms(v, &p->s.silence_ms) ? NULL : "a duration, such as 15s";
    if (strcmp(key, "start") == 0)
        return span_ms(v, &p->s.start_ms) ? NULL : "a duration, such as 1m";
    if (strcmp(key, "total") == 0)
        return span_ms(v, &p->s.total_ms) ? NULL : "a duration, such as 2h";
    if (strcmp(key, "reads") == 0) {
        bool good = words(v, &p->reads);
        p->s.reads = buf_get(&p->reads);
        return good ? NULL : "a list of documents";
    }
    if (strcmp(key, "writes") == 0) {
        bool good = words(v, &p->writes);
        p->s.writes = buf_get(&p->writes);
        return good ? NULL : "a list of documents";
    }
    if (strcmp(key, "facts") == 0) {
        buf_init(&p->facts, 8192);
        bool good = json_is_object(v) && js_to_mp(v, &p->facts) == OK;
        p->s.facts = buf_get(&p->facts);
        return good ? NULL : "a map of at most 8 KiB";
    }
    return "unknown key; known: stage, each, attempts, start, silence, total, reads, writes, facts";
}

static enum status put_stage(const struct conf *conf, size_t i, const json_t *v, struct buf *out,
                             struct err *err)
{
    struct parts p = {
        .s = { .each = str_of("round"), .attempts = 3, .silence_ms = 15000, .total_ms = 3600000 }
    };
    const char *name =
        json_is_string(v) ? json_string_value(v) : json_string_value(json_object_get(v, "stage"));
    const char *key, *bad = NULL;
    json_t *value;
    if (!name)
        return wrong(conf, i, "", "a stage's name, or a map with the key stage", err);
    if (strcmp(name, "call") == 0 || strcmp(name, "ask") == 0)
        return wrong(conf, i, "", "call and ask are lanes, not stages", err);
    bool known = pipeline_known(str_of(name), &p.s);
    if (!known && json_is_string(v))
        return wrong(conf, i, "",
                     "not one of the usual stages: say what it reads and writes in a map", err);
    p.s.name = str_of(name);
    enum status st = OK;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, value)
        {
            if (st == OK && (bad = take_key(&p, key, value)) != NULL)
                st = wrong(conf, i, key, bad, err);
        }
    }
    if (st == OK)
        pipeline_put(out, &p.s);
    parts_fini(&p);
    return st;
}

enum status pipeline_from_conf(const struct conf *conf, struct buf *out, struct err *err)
{
    const json_t *tree = conf_tree(conf, CONF_LOOP_PIPELINE);
    size_t n = json_array_size(tree);
    enum status st = OK;
    if (!tree)
        return pipeline_default(out);
    if (!json_is_array(tree) || n == 0 || n > PAWL_STAGES_MAX)
        return err_set(err, ERR_CONFIG, "pipeline: a list of 1 to %d stages", PAWL_STAGES_MAX);
    mp_array(out, n);
    for (size_t i = 0; st == OK && i < n; i++)
        st = put_stage(conf, i, json_array_get(tree, i), out, err);
    if (st != OK)
        return st;
    struct pipeline *p = pipeline_decode(buf_get(out), err); /* checks the rest */
    if (!p) {
        err_prefix(err, "pipeline");
        return ERR_CONFIG;
    }
    pipeline_free(p);
    return OK;
}
