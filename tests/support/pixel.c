/* SPDX-License-Identifier: Apache-2.0 */
/* A library that hands out OpenCL the way the one of Pixel phones does: by a function, and only
 * after it was switched on. */
#include <dlfcn.h>
#include <stddef.h>

void enableOpenCL(void);
void *loadOpenCLPointer(const char *name);

static void *library;

void enableOpenCL(void)
{
    library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
}

void *loadOpenCLPointer(const char *name)
{
    return library ? dlsym(library, name) : NULL;
}
