/* SPDX-License-Identifier: Apache-2.0 */
/* halts: stages and projects that people have paused. Kept in the store beside the pipelines, as a
 * map {stages: [name…], projects: [name…]} under the number 0, written with each change. Their jobs
 * stay queued, what runs is finished; their wall time stands still. */
#include "broker/core_in.h"

#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HALTS_MAX = 1024, HALTS_BYTES = HALTS_MAX * (PAWL_NAME_MAX + 8) };

/* ---- kept --------------------------------------------------------------------------------- */

bool halts_are(struct str bytes)
{
    struct mp in;
    struct mp_value v;
    mp_init(&in, bytes);
    return mp_want(&in, MP_MAP, &v) == OK;
}

typedef void halt_fn(struct core *c, const char *name);

static void halt_stage(struct core *c, const char *name)
{
    uint32_t lane = lane_of(c, name);
    if (lane < LANES_MAX)
        c->lanes[lane].paused = true;
}

static void halt_project(struct core *c, const char *name)
{
    struct project *p = project_of(c, name);
    p->paused = p->no != 0;
    sched_turn(c, p);
}

/* fn NULL: is it well-formed? */
static bool each_name(struct core *c, struct mp *in, halt_fn *fn)
{
    struct mp_value list, name;
    char text[PAWL_NAME_MAX + 1];
    if (mp_want(in, MP_ARRAY, &list) != OK || list.n > HALTS_MAX)
        return false;
    for (uint32_t i = 0; i < list.n; i++) {
        if (mp_want(in, MP_STR, &name) != OK || name.str.n == 0 || name.str.n > PAWL_NAME_MAX)
            return false;
        memcpy(text, name.str.p, name.str.n);
        text[name.str.n] = '\0';
        if (fn)
            fn(c, text);
    }
    return true;
}

static bool each_halt(struct core *c, struct str bytes, bool apply)
{
    struct mp in;
    struct mp_value map, key;
    mp_init(&in, bytes);
    if (mp_want(&in, MP_MAP, &map) != OK)
        return false;
    for (uint32_t i = 0; i < map.n; i++) {
        if (mp_want(&in, MP_STR, &key) != OK)
            return false;
        halt_fn *fn = str_is(key.str, "stages") ? halt_stage : halt_project;
        bool known = fn == halt_stage || str_is(key.str, "projects");
        if (known ? !each_name(c, &in, apply ? fn : NULL) : mp_skip(&in, &key.str) != OK)
            return false;
    }
    return true;
}

bool core_halts_good(struct str bytes)
{
    return bytes.n <= HALTS_BYTES && each_halt(NULL, bytes, false);
}

enum status halts_load(struct core *c, struct str bytes, struct err *err)
{
    if (!core_halts_good(bytes))
        return err_set(err, ERR_DATA, "the record of what is paused cannot be read");
    char *copy = malloc(bytes.n);
    if (!copy)
        return err_set(err, ERR_NOMEM, "out of memory");
    memcpy(copy, bytes.p, bytes.n);
    free(c->halts);
    c->halts = copy;
    c->halts_n = bytes.n;
    return OK;
}

void halts_apply(struct core *c)
{
    if (c->halts)
        each_halt(c, (struct str){ c->halts, c->halts_n }, true);
    free(c->halts);
    c->halts = NULL;
}

static uint32_t count(const struct core *c, bool stages)
{
    uint32_t n = 0;
    for (uint32_t i = 0; stages && i < c->lanes_n; i++)
        n += c->lanes[i].paused;
    for (uint32_t i = 0; !stages && i < c->projects_n; i++)
        n += c->projects[i]->paused;
    return n;
}

void core_halts_map(const struct core *c, struct buf *out)
{
    mp_map(out, 2);
    mp_z(out, "stages");
    mp_array(out, count(c, true));
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        if (c->lanes[i].paused)
            mp_z(out, c->lanes[i].name);
    }
    mp_z(out, "projects");
    mp_array(out, count(c, false));
    for (uint32_t i = 0; i < c->projects_n; i++) {
        if (c->projects[i]->paused)
            mp_z(out, c->projects[i]->name);
    }
}

static void keep(const struct core *c, struct effects *fx)
{
    struct buf b;
    buf_init(&b, HALTS_BYTES);
    core_halts_map(c, &b);
    assert(b.status == OK);
    struct str bytes = effects_copy(fx, buf_get(&b));
    effects_add(fx, FX_HALTS)->bytes = bytes;
    buf_fini(&b);
}

/* ---- asked for ---------------------------------------------------------------------------- */

/* Wall times that stand still from now on, or do not any more. */
static void check_walls(struct core *c)
{
    size_t at = 0;
    void *item;
    while ((item = idmap_next(&c->jobs, &at)) != NULL) {
        struct job *j = item;
        if (item_is_cold(item)) /* not begun: its wall time stands still anyway */
            continue;
        if (j->state != JOB_QUEUED || (j->wall_from_ms != 0) == job_wall_runs(c, j))
            continue;
        job_wall_check(c, j);
        job_touch(c, j);
    }
}

static struct lane *find_lane(struct core *c, struct str name)
{
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        if (str_is(name, c->lanes[i].name))
            return &c->lanes[i];
    }
    return NULL;
}

static const char *switch_stage(struct core *c, const struct event *ev, enum status *code)
{
    const struct msg_PAUSE *m = &ev->msg->PAUSE;
    struct lane *l = find_lane(c, m->stage);
    *code = ERR_NOT_FOUND;
    if (!l)
        return "no pipeline has such a stage";
    *code = ERR_DENIED;
    if (ev->role.n && !str_is(ev->role, "admin"))
        return "only administrators pause stages";
    *code = ERR_DATA;
    if (l->ready.always)
        return "tool calls and asks cannot be paused: pause the stages that make them";
    l->paused = m->hold;
    return NULL;
}

static const char *switch_project(struct core *c, const struct event *ev, enum status *code)
{
    const struct msg_PAUSE *m = &ev->msg->PAUSE;
    char name[PAWL_NAME_MAX + 1];
    *code = ERR_DATA;
    if (m->project.n > PAWL_NAME_MAX)
        return "not the name of a project";
    *code = ERR_DENIED;
    if (ev->access.n && !str_eq(ev->access, m->project))
        return "this key is for another project";
    *code = ERR_LIMIT;
    if (m->hold && count(c, false) + count(c, true) >= HALTS_MAX)
        return "as many stages and projects are paused as may be";
    memcpy(name, m->project.p, m->project.n);
    name[m->project.n] = '\0';
    struct project *p = project_of(c, name);
    if (p->no == 0)
        return "there are too many projects to tell this one apart";
    p->paused = m->hold;
    sched_turn(c, p);
    return NULL;
}

void on_halt(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_PAUSE *m = &ev->msg->PAUSE;
    const char *wrong = "a job, a stage or a project: one of them";
    enum status code = ERR_DATA;
    if (m->job.n == 0 && m->project.n == 0)
        wrong = switch_stage(c, ev, &code);
    else if (m->job.n == 0 && m->stage.n == 0)
        wrong = switch_project(c, ev, &code);
    if (wrong) {
        say_refused(fx, ev->peer, m->req, code, wrong, "");
        return;
    }
    check_walls(c);
    keep(c, fx);
    say_okay(fx, ev->peer, m->req, "");
}
