/* SPDX-License-Identifier: Apache-2.0 */
#include "common/curl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

static void *open_library(void)
{
    static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4" };
    void *library = NULL;
    for (size_t i = 0; i < COUNT(names) && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static bool find(void *library, const char *name, void *out)
{
    void *function = dlsym(library, name);
    memcpy(out, &function, sizeof function); /* ISO C has no cast from one to the other */
    return function != NULL;
}

enum status curl_load(struct curl *out, struct err *err)
{
    void *library = open_library();
    bool good = library != NULL;
#define X(name) good = good && find(library, "curl_" #name, &out->name);
    CURL_FUNCTIONS(X)
#undef X
    if (good)
        return OK;
    err_set(err, ERR_UNAVAILABLE, "libcurl cannot be loaded: %.200s", dlerror());
    err_fix(err, "install it (Debian: libcurl4)");
    return ERR_UNAVAILABLE;
}
