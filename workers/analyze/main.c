/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/analyze.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &analyze_ops);
}
