/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CURL_H
#define PAWL_CURL_H
/* curl: libcurl's functions, loaded when the first request is to be made and not at the start of the
 * process. libcurl brings 25 libraries with it, 5 MiB and 5 ms of every start, and most processes
 * (`pawl` but for `doctor` and `up`, parse, a review without a judge) never make a request. */
#define CURL_DISABLE_DEPRECATION /* CURLOPT_PROTOCOLS: its successor needs curl 7.85 */
#define CURL_DISABLE_TYPECHECK   /* it is made of macros around names that are not called here */
#include "common/status.h"

#include <curl/curl.h>

#define CURL_FUNCTIONS(X)                                                                          \
    X(global_init)                                                                                 \
    X(easy_init)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_getinfo)                                                                                \
    X(easy_strerror)                                                                               \
    X(easy_cleanup)                                                                                \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(multi_init)                                                                                  \
    X(multi_setopt)                                                                                \
    X(multi_add_handle)                                                                            \
    X(multi_remove_handle)                                                                         \
    X(multi_socket_action)                                                                         \
    X(multi_info_read)                                                                             \
    X(multi_cleanup)

/* Each is the function curl_<name>. */
struct curl {
#define X(name) __typeof__(&curl_##name) name;
    CURL_FUNCTIONS(X)
#undef X
};

/* ERR_UNAVAILABLE: the library is not installed. It stays loaded until the process ends. */
enum status curl_load(struct curl *out, struct err *err) MUST_USE;
#endif
