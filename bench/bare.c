/* SPDX-License-Identifier: Apache-2.0 */
/* bare: loads the libraries that a worker loads, starts a ZeroMQ context as each worker has, and
 * waits. What an idle worker needs beyond this process is pawl's own. */
#include <curl/curl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>
#include <yaml.h>
#include <zmq.h>
#include <zstd.h>

int main(void)
{
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_DEALER);
    json_t *v = json_object();
    yaml_parser_t parser;
    unsigned versions = ZSTD_versionNumber() + (unsigned)sodium_init();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!socket || !v || !yaml_parser_initialize(&parser) || versions == 0)
        return 70;
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
