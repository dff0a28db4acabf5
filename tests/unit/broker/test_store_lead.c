/* SPDX-License-Identifier: Apache-2.0 */
/* What only the store in Redis has: the lease of its leader, versions of its functions, a connection
 * that breaks, addresses. */
#include "both.h"

#include <signal.h>
#include <string.h>

static void one_leader_at_a_time(void **s)
{
    struct both *b = *s;
    struct err err = { 0 };
    struct epoch other = { .incarnation = 777 };
    struct store_redis *second = both_open(b, "ipc:///there");
    struct store o = store_redis_ops(second);
    uint64_t before = b->epoch.generation;
    assert_int_equal(o.ops->lead(o.self, &other, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "ipc:///here"));
    b->store.ops->resign(b->store.self);
    assert_int_equal(o.ops->lead(o.self, &other, &err), OK);
    assert_true(other.generation > before);
    struct str nothing = { "\x90", 1 };
    assert_int_equal(b->store.ops->commit(b->store.self, b->turn + 1, nothing), OK);
    both_wait(b);
    assert_int_equal(b->last, ERR_DENIED); /* deposed, and told by whom */
    assert_non_null(strstr(b->text, "ipc:///there"));
    store_redis_free(second);
}

/* The name of a library is made of its text: what bears another text bears another name. */
static void expect_name_of_code(struct redis_conn *c, const char *name)
{
    struct err err = { 0 };
    struct str argv[] = { str_of("FUNCTION"), str_of("LIST"), str_of("LIBRARYNAME"), str_of(name),
                          str_of("WITHCODE") };
    redisReply *r = redis_conn_ask(c, 5, argv, &err);
    struct buf text;
    char hex[HASH_HEX + 1];
    assert_int_equal(r->elements, 1);
    const redisReply *lib = r->element[0];
    const char *at = lib->element[lib->elements - 1]->str, *mark, *own = name + strlen("pawl_");
    buf_init(&text, 1 << 20);
    while ((mark = strstr(at, own)) != NULL) {
        buf_append(&text, at, (size_t)(mark - at));
        buf_str(&text, "@HASH@");
        at = mark + strlen(own);
    }
    buf_str(&text, at);
    struct hash h = hash_of(buf_get(&text));
    hash_hex(&h, hex);
    assert_memory_equal(hex, own, 12);
    buf_fini(&text);
    freeReplyObject(r);
}

static void rule8_store_code_has_a_version(void **s)
{
    struct both *b = *s;
    struct redis_url url;
    struct err err = { 0 };
    assert_int_equal(redis_url_parse(b->rig.redis_url, &url, &err), OK);
    struct redis_conn *c = redis_conn_open(&url, &err);
    struct str other[] = {
        str_of("FUNCTION"), str_of("LOAD"),
        str_of("#!lua name=pawl_other\nredis.register_function('pawl_other_commit', function() "
               "return 1 end)")
    };
    redisReply *r = redis_conn_ask(c, 3, other, &err);
    assert_int_equal(r->type, REDIS_REPLY_STRING);
    freeReplyObject(r);
    both_lead(b); /* loads its own again: it is there, and the other one stays */
    struct str list[] = { str_of("FUNCTION"), str_of("LIST") };
    r = redis_conn_ask(c, 2, list, &err);
    assert_int_equal(r->elements, 2);
    for (size_t i = 0; i < r->elements; i++) {
        const char *name = r->element[i]->element[1]->str;
        assert_true(strcmp(name, "pawl_other") == 0 || strlen(name) == strlen("pawl_") + 12);
        if (strcmp(name, "pawl_other") != 0)
            expect_name_of_code(c, name);
    }
    freeReplyObject(r);
    redis_conn_close(c);
}

static void a_lost_connection_is_told_once(void **s)
{
    struct both *b = *s;
    struct err err = { 0 };
    struct str nothing = { "\x90", 1 };
    rig_redis_stop(&b->rig, SIGKILL);
    b->store.ops->commit(b->store.self, b->turn + 1, nothing);
    for (int64_t until = mono_now().ms + 10000; !b->lost && mono_now().ms < until;)
        assert_int_equal(mux_turn(b->mux, 100, &err), OK);
    assert_true(b->lost);
    assert_int_equal(b->answers, 0); /* neither accepted nor refused */
    assert_int_equal(b->store.ops->commit(b->store.self, b->turn + 1, nothing), ERR_UNAVAILABLE);
    assert_int_equal(b->store.ops->lead(b->store.self, &b->epoch, &err), ERR_UNAVAILABLE);
    rig_redis_start(&b->rig);
    both_lead(b);
}

static void addresses(void **s)
{
    struct redis_url u;
    struct err err = { 0 };
    (void)s;
    assert_int_equal(redis_url_parse("unix:///run/redis.sock", &u, &err), OK);
    assert_string_equal(u.path, "/run/redis.sock");
    assert_int_equal(redis_url_parse("redis://me:p@ss@example.org:7000", &u, &err), OK);
    assert_string_equal(u.user, "me");
    assert_string_equal(u.password, "p@ss");
    assert_string_equal(u.host, "example.org");
    assert_int_equal(u.port, 7000);
    assert_null(strstr(u.shown, "p@ss"));
    assert_int_equal(redis_url_parse("redis://:secret@[::1]", &u, &err), OK);
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 6379);
    assert_int_equal(redis_url_parse("redis+sentinel://u:p/@ss@a,b:1,[::1]:2/jobs"
                                     "?sentinel_password=s@?/x",
                                     &u, &err),
                     OK);
    assert_int_equal(u.sentinels_n, 3);
    assert_string_equal(u.sentinels[0].host, "a");
    assert_int_equal(u.sentinels[0].port, 26379);
    assert_int_equal(u.sentinels[1].port, 1);
    assert_string_equal(u.sentinels[2].host, "::1");
    assert_string_equal(u.master, "jobs");
    assert_string_equal(u.password, "p/@ss");
    assert_string_equal(u.sentinel_password, "s@?/x");
    assert_null(strstr(u.shown, "ss@"));
    assert_null(strstr(u.shown, "s@?"));
    assert_int_equal(redis_url_parse("redis://h:1", &u, &err), OK);
    assert_true(redis_url_moved(&u, "MOVED 11097 10.0.0.2:7001"));
    assert_string_equal(u.shown, "redis://10.0.0.2:7001");
    assert_true(redis_url_moved(&u, "MOVED 11097 :7002")); /* the same host */
    assert_string_equal(u.shown, "redis://10.0.0.2:7002");
    assert_false(redis_url_moved(&u, "MOVED 11097 nowhere"));
    assert_false(redis_url_moved(&u, "ERR MOVED 1 h:1"));
    static const char *const bad[] = { "",
                                       "redis://",
                                       "http://x",
                                       "redis://h:0",
                                       "redis://h:99999",
                                       "redis://h:6379/5",
                                       "unix://x",
                                       "redis+sentinel://h",
                                       "redis+sentinel://h/",
                                       "redis+sentinel://h,/jobs",
                                       "redis+sentinel://h/jobs/5",
                                       "redis+sentinel://1,2,3,4,5,6,7,8,9/jobs",
                                       "rediss://h" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(redis_url_parse(bad[i], &u, &err), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_TEST(one_leader_at_a_time),
        BOTH_TEST(rule8_store_code_has_a_version),
        BOTH_TEST(a_lost_connection_is_told_once),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
