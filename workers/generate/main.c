/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/stage.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &generate_ops);
}
