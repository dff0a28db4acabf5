/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/options.h"

int main(int argc, char **argv)
{
    struct broker_options options = { 0 };
    int code = options_parse(argc, argv, &options);
    if (code >= 0)
        return code;
    if (options.fsck)
        return fsck_main(&options);
    return broker_main(&options); /* until SIGTERM, then flushed */
}
