/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML reader, and what is read with it: configuration, metadata, workflow schemas. */
#include "common/openspec/config.h"
#include "common/openspec/tasks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = { (const char *)data, size };
    struct ws_file files[] = {
        { { "changes/c/.openspec.yaml", 24 }, bytes }, { { "changes/c/tasks.md", 18 }, bytes },
        { { "config.yaml", 11 }, bytes },              { { "schemas/s/schema.yaml", 21 }, bytes },
    };
    struct arena a;
    struct ws ws;
    struct err err = { 0 };
    struct spec_config config;
    struct spec_findings found = { 0 };
    struct task_progress progress;
    arena_init(&a, 1 << 28);
    if (ws_make(&a, files, COUNT(files), &ws, &err) == OK &&
        config_read(&a, &ws, &config, &found) == OK &&
        tasks_progress(&a, &ws, str_of("c"), &progress) == OK)
        json_decref(meta_pawl(&ws, str_of("c")));
    arena_fini(&a);
    return 0;
}
