/* SPDX-License-Identifier: Apache-2.0 */
/* The tree `schedule` of the configuration:
 *   projects: {NAME or "*": {weight, limit, class}}
 *   stages:   {NAME: {limit, tasks_per_minute, tokens_per_minute, affinity}} */
#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AFFINITY_MOST_MS = 3600000 };

static enum status wrong(const struct conf *conf, const char *path, const char *what,
                         struct err *err)
{
    int line = conf_line(conf, CONF_SCHEDULE, path);
    if (line > 0)
        return err_set(err, ERR_CONFIG, "line %d: schedule%s: %s", line, path, what);
    return err_set(err, ERR_CONFIG, "schedule%s: %s", path, what);
}

static bool number(const json_t *v, uint32_t least, uint32_t most, uint32_t *out)
{
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < (json_int_t)least || n > (json_int_t)most)
        return false;
    *out = (uint32_t)n;
    return true;
}

static const char *project_key(struct project_rule *r, const char *key, const json_t *v)
{
    if (strcmp(key, "weight") == 0)
        return number(v, 1, WEIGHT_MAX, &r->weight) ? NULL : "a number from 1 to 1000";
    if (strcmp(key, "limit") == 0)
        return number(v, 1, INT32_MAX, &r->limit) ? NULL : "a number from 1";
    if (strcmp(key, "class") == 0)
        return json_is_string(v) && job_class_find(str_of(json_string_value(v)), &r->klass)
                   ? NULL
                   : "urgent, normal or background";
    return "unknown key; known: weight, limit, class";
}

static const char *stage_key(struct stage_rule *r, const char *key, const json_t *v)
{
    if (strcmp(key, "limit") == 0)
        return number(v, 1, INT32_MAX, &r->limit) ? NULL : "a number from 1";
    if (strcmp(key, "tasks_per_minute") == 0)
        return number(v, 1, INT32_MAX, &r->tasks_per_minute) ? NULL : "a number from 1";
    if (strcmp(key, "tokens_per_minute") == 0) {
        json_int_t n = json_integer_value(v);
        r->tokens_per_minute = (uint64_t)n;
        return json_is_integer(v) && n >= 1 && n <= (json_int_t)1 << 40 ? NULL : "a number from 1";
    }
    if (strcmp(key, "affinity") == 0)
        return span_ms(v, &r->affinity_ms) && r->affinity_ms <= AFFINITY_MOST_MS
                   ? NULL
                   : "a duration of at most an hour, such as 2s";
    return "unknown key; known: limit, tasks_per_minute, tokens_per_minute, affinity";
}

struct reading {
    const struct conf *conf;
    struct sched_conf *out;
    struct err *err;
};

static enum status take_rule(const struct reading *r, bool project, const char *name,
                             const json_t *map)
{
    char path[160];
    const char *key;
    json_t *v;
    struct project_rule *p = project ? &r->out->projects[r->out->rules.projects_n] : NULL;
    struct stage_rule *s = project ? NULL : &r->out->stages[r->out->rules.stages_n];
    snprintf(path, sizeof path, ".%s.%.64s", project ? "projects" : "stages", name);
    if (strlen(name) == 0 || strlen(name) > PAWL_NAME_MAX)
        return wrong(r->conf, path, "a name of 1 to 64 bytes", r->err);
    if (!json_is_object(map))
        return wrong(r->conf, path, "a map", r->err);
    snprintf(project ? p->name : s->name, PAWL_NAME_MAX + 1, "%s", name);
    if (project)
        p->klass = CLASS_NORMAL;
    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        const char *bad = project ? project_key(p, key, v) : stage_key(s, key, v);
        if (!bad)
            continue;
        snprintf(path, sizeof path, ".%s.%.64s.%.40s", project ? "projects" : "stages", name, key);
        return wrong(r->conf, path, bad, r->err);
    }
    if (project)
        r->out->rules.projects_n++;
    else
        r->out->rules.stages_n++;
    return OK;
}

static enum status take_rules(const struct reading *r, bool project, const json_t *map)
{
    const char *name, *path = project ? ".projects" : ".stages";
    json_t *rule;
    enum status st = OK;
    size_t n = json_object_size(map);
    if (!json_is_object(map))
        return wrong(r->conf, path, "a map from names to rules", r->err);
    if (n > RULES_MAX)
        return wrong(r->conf, path, "at most 1024 rules", r->err);
    if (project)
        r->out->projects = calloc(n + 1, sizeof *r->out->projects);
    else
        r->out->stages = calloc(n + 1, sizeof *r->out->stages);
    if (!(project ? (void *)r->out->projects : (void *)r->out->stages))
        return err_set(r->err, ERR_NOMEM, "out of memory");
    json_object_foreach((json_t *)(uintptr_t)map, name, rule)
    {
        if (st == OK)
            st = take_rule(r, project, name, rule);
    }
    return st;
}

enum status sched_from_conf(const struct conf *conf, struct sched_conf *out, struct err *err)
{
    const json_t *tree = conf_tree(conf, CONF_SCHEDULE);
    struct reading r = { conf, out, err };
    const char *key;
    json_t *v;
    enum status st = OK;
    memset(out, 0, sizeof *out);
    if (!tree)
        return OK;
    if (!json_is_object(tree))
        return wrong(conf, "", "a map with the keys projects and stages", err);
    json_object_foreach((json_t *)(uintptr_t)tree, key, v)
    {
        bool project = strcmp(key, "projects") == 0;
        if (!project && strcmp(key, "stages") != 0)
            st = wrong(conf, "", "unknown key; known: projects, stages", err);
        if (st == OK && !(project ? (void *)out->projects : (void *)out->stages))
            st = take_rules(&r, project, v);
        if (st != OK)
            return st;
    }
    out->rules.projects = out->projects;
    out->rules.stages = out->stages;
    return OK;
}

void sched_conf_free(struct sched_conf *s)
{
    free(s->stages);
    free(s->projects);
    memset(s, 0, sizeof *s);
}
