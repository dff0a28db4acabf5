/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/job.h"

#include <assert.h>
#include <string.h>

/* A few texts without stdio: the pure half has none. */
struct text {
    char *p;
    size_t n, max;
};

static void put(struct text *t, struct str s)
{
    assert(t->n + s.n < t->max);
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
    t->p[t->n] = '\0';
}

static void put_z(struct text *t, const char *z)
{
    put(t, str_of(z));
}

static void put_number(struct text *t, uint32_t v)
{
    char digits[10];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    put(t, (struct str){ digits + n, sizeof digits - n });
}

void field_doc(char out[FIELD_MAX], struct doc_place at, struct str name)
{
    struct text t = { out, 0, FIELD_MAX };
    put_number(&t, at.run);
    put_z(&t, "/");
    put_number(&t, at.round);
    put_z(&t, "/");
    put(&t, name);
}

void field_item(char out[FIELD_MAX], const char *list, uint32_t number)
{
    struct text t = { out, 0, FIELD_MAX };
    put_z(&t, list);
    put_z(&t, "#");
    put_number(&t, number);
}

void field_step(char out[FIELD_MAX], const struct task *task, uint32_t number)
{
    struct text t = { out, 0, FIELD_MAX };
    put_z(&t, "step/");
    put_number(&t, task->run);
    put_z(&t, "/");
    put_number(&t, task->round);
    put_z(&t, "/");
    put_z(&t, task->def->name);
    put_z(&t, "/");
    put_number(&t, task->pass);
    put_z(&t, "#");
    put_number(&t, number);
}

void field_ask(char out[FIELD_MAX], const char *what, uint32_t number)
{
    struct text t = { out, 0, FIELD_MAX };
    put_z(&t, what);
    put_z(&t, "/a");
    put_number(&t, number);
}
