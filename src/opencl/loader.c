/* SPDX-License-Identifier: Apache-2.0 */
#include "opencl/loader.h"

#include <dlfcn.h>
#include <string.h>

#include "common/log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Android: bare names only, since the linker's namespaces refuse vendor paths since version 7, and
 * the names that vendors allow to applications differ. */
static const zm_opencl_candidate search[] = {
#if defined(__ANDROID__)
    {"libOpenCL.so", false},    {"libOpenCL-pixel.so", true}, {"libOpenCL-car.so", false},
    {"libGLES_mali.so", false}, {"libPVROCL.so", false},
#else
    {"libOpenCL.so.1", false},
    {"libOpenCL.so", false},
#endif
};

const zm_opencl_fns *zm_opencl_shim;

typedef void (*enable_fn)(void);

/* ISO C has no conversion between object and function pointers; POSIX promises that the bits are
 * the same. */
const char *zm_library_find(void *library, zm_symbol_fn symbol,
                            const zm_library_function *functions, size_t count, void *table)
{
    for (size_t i = 0; i < count; i++) {
        void *address = symbol ? symbol(functions[i].name) : dlsym(library, functions[i].name);
        if (!address)
            return functions[i].name;
        memcpy((char *)table + functions[i].offset, &address, sizeof(address));
    }
    return NULL;
}

static bool pixel_symbols(void *library, zm_symbol_fn *symbol)
{
    void *enable_address = dlsym(library, "enableOpenCL");
    void *symbol_address = dlsym(library, "loadOpenCLPointer");
    if (!enable_address || !symbol_address)
        return false;
    enable_fn enable;
    memcpy(&enable, &enable_address, sizeof(enable));
    memcpy(symbol, &symbol_address, sizeof(*symbol));
    enable();
    return true;
}

static bool load_library(const zm_opencl_candidate *candidate, const zm_log *log,
                         zm_opencl_fns *out)
{
    void *library = dlopen(candidate->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *reason = dlerror();
        zm_logf(log, ZM_LOG_DEBUG, "opencl: %s", reason ? reason : candidate->path);
        return false;
    }
    zm_symbol_fn symbol = NULL;
    if (candidate->pixel && !pixel_symbols(library, &symbol)) {
        zm_logf(log, ZM_LOG_INFO, "opencl: %s has no loadOpenCLPointer; skipped", candidate->path);
        return false;
    }
    static const zm_library_function functions[] = {
#define FUNCTION(name) {#name, offsetof(zm_opencl_fns, name)},
        ZM_OPENCL_FUNCTIONS(FUNCTION)
#undef FUNCTION
    };
    static const zm_library_function newer = {"clCreateProgramWithIL",
                                              offsetof(zm_opencl_fns, clCreateProgramWithIL)};
    out->clCreateProgramWithIL = NULL;
    zm_library_find(library, symbol, &newer, 1, out);
    const char *missing = zm_library_find(library, symbol, functions, COUNT(functions), out);
    if (missing)
        zm_logf(log, ZM_LOG_INFO, "opencl: %s has no %s; skipped", candidate->path, missing);
    return !missing;
}

bool zm_opencl_load_from(const zm_opencl_candidate *candidates, size_t count, const zm_log *log,
                         zm_opencl_fns *out)
{
    for (size_t i = 0; i < count; i++)
        if (load_library(&candidates[i], log, out))
            return true;
    return false;
}

bool zm_opencl_load(const zm_log *log, zm_opencl_fns *out)
{
    if (zm_opencl_shim) {
        *out = *zm_opencl_shim;
        return true;
    }
    if (zm_opencl_load_from(search, COUNT(search), log, out))
        return true;
    zm_logf(log, ZM_LOG_INFO, "opencl: no library (%s); skipped", search[0].path);
    return false;
}
