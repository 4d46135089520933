/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: one per kernel, since large ones break driver compilers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "opencl/program.h"

typedef zm_opencl_recipe recipe;

/* ---- what the compiler says ---- */

static char *build_log(const recipe *r, cl_program program)
{
    const zm_opencl_fns *cl = &r->device->cl;
    size_t size = 0;
    if (cl->clGetProgramBuildInfo(program, r->device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) !=
        CL_SUCCESS)
        return NULL;
    char *log = zm_calloc(size + 1, 1);
    if (log && cl->clGetProgramBuildInfo(program, r->device->id, CL_PROGRAM_BUILD_LOG, size, log,
                                         NULL) != CL_SUCCESS)
        log[0] = '\0';
    return log;
}

/* The first line that speaks of an error, else the first line; ends the log there. */
static const char *first_error(char *log)
{
    char *error = strstr(log, "error");
    char *line = error ? error : log + strspn(log, " \n\t");
    while (line > log && line[-1] != '\n')
        line--;
    line[strcspn(line, "\n")] = '\0';
    return *line ? line : "the compiler gave no reason";
}

zm_status zm_opencl_report_build(const recipe *r, cl_program program, cl_int error)
{
    zm_status status = ZM_OK;
    const zm_device *device = &r->device->base;
    char *log = build_log(r, program);
    if (log && log[strspn(log, " \n\t")])
        zm_logf(&device->log, ZM_LOG_DEBUG, "kernel %s [%s]: %s", r->desc->name, r->options, log);
    if (error != CL_SUCCESS) {
        /* What a chain does can be done one by one. */
        bool matters = r->desc->family != ZM_FAMILY_CHAIN;
        zm_logf(&device->log, matters ? ZM_LOG_ERROR : ZM_LOG_INFO,
                "kernel %s [%s] does not build on %s (%s): %s", r->desc->name, r->options,
                device->info.spec, zm_opencl_error_name(error),
                log ? first_error(log) : "no build log");
        status = ZM_ERROR_DEVICE;
    }
    free(log);
    return status;
}

/* ---- building ---- */

static zm_status build_alone(const recipe *r, zm_opencl_kernel *out)
{
    const zm_opencl_fns *cl = &r->device->cl;
    zm_device *device = &r->device->base;
    const char *source = r->source;
    cl_int error = CL_SUCCESS;
    out->program = cl->clCreateProgramWithSource(r->device->context, 1, &source, &r->size, &error);
    if (error != CL_SUCCESS) {
        out->program = NULL;
        return zm_opencl_check(device, error, "clCreateProgramWithSource");
    }
    error = cl->clBuildProgram(out->program, 1, &r->device->id, r->options, NULL, NULL);
    return zm_opencl_report_build(r, out->program, error);
}

static zm_status build_source(const recipe *r, zm_opencl_kernel *out)
{
    const zm_opencl_fns *cl = &r->device->cl;
    zm_device *device = &r->device->base;
    cl_int error = CL_SUCCESS;
    uint64_t start = zm_clock_ns();
    bool is_chain = r->desc->family == ZM_FAMILY_CHAIN;
    zm_status status = is_chain ? zm_opencl_chain_build(r, out) : build_alone(r, out);
    if (status != ZM_OK)
        return status;
    out->kernel = cl->clCreateKernel(out->program, r->desc->name, &error);
    if (error != CL_SUCCESS) {
        out->kernel = NULL;
        return zm_opencl_check(device, error, "clCreateKernel");
    }
    atomic_fetch_add(&device->built_kernels, 1);
    zm_logf(&device->log, ZM_LOG_DEBUG, "kernel %s [%s]: built in %.0f ms", r->desc->name,
            r->options, zm_clock_since(start) * 1e3);
    return ZM_OK;
}

/* The kernel of a program that was not made from source here. */
static cl_int build_kernel(const recipe *r, const char *options, zm_opencl_kernel *out)
{
    const zm_opencl_fns *cl = &r->device->cl;
    cl_int error = cl->clBuildProgram(out->program, 1, &r->device->id, options, NULL, NULL);
    if (error == CL_SUCCESS)
        out->kernel = cl->clCreateKernel(out->program, r->desc->name, &error);
    if (error != CL_SUCCESS)
        out->kernel = NULL;
    return error;
}

/* False: there is none, or the driver refuses it; the source will do. */
static bool from_module(const recipe *r, zm_opencl_kernel *out)
{
    cl_int error = CL_SUCCESS;
    if (!r->module)
        return false;
    out->program =
        r->device->create_il(r->device->context, r->module->words, r->module->size, &error);
    if (error != CL_SUCCESS)
        out->program = NULL;
    else
        error = build_kernel(r, "", out);
    if (error != CL_SUCCESS)
        zm_opencl_program_destroy(r->device, out);
    if (error == CL_SUCCESS)
        zm_logf(&r->device->base.log, ZM_LOG_DEBUG, "kernel %s [%s]: made from SPIR-V",
                r->desc->name, r->options);
    else
        zm_logf(&r->device->base.log, ZM_LOG_INFO,
                "kernel %s [%s]: the driver refuses its SPIR-V (%s)", r->desc->name, r->options,
                zm_opencl_error_name(error));
    return error == CL_SUCCESS;
}

/* Quietly false: the driver may refuse what an older one wrote. */
static bool build_binary(const recipe *r, const unsigned char *binary, size_t size,
                         zm_opencl_kernel *out)
{
    const zm_opencl_fns *cl = &r->device->cl;
    cl_int error = CL_SUCCESS, binary_status = CL_SUCCESS;
    out->program = cl->clCreateProgramWithBinary(r->device->context, 1, &r->device->id, &size,
                                                 &binary, &binary_status, &error);
    if (error != CL_SUCCESS) {
        out->program = NULL;
        return false;
    }
    return binary_status == CL_SUCCESS && build_kernel(r, r->options, out) == CL_SUCCESS;
}

static bool from_cache(const recipe *r, zm_opencl_kernel *out)
{
    unsigned char *binary = NULL;
    size_t size = 0;
    if (!zm_cache_load(&r->device->base, &out->key, &binary, &size))
        return false;
    bool built = build_binary(r, binary, size, out);
    free(binary);
    if (built)
        atomic_fetch_add(&r->device->base.cached_kernels, 1);
    else
        zm_opencl_program_destroy(r->device, out);
    zm_logf(&r->device->base.log, ZM_LOG_DEBUG, "kernel %s [%s]: %s", r->desc->name, r->options,
            built ? "taken from the cache" : "the driver refuses the cached program");
    return built;
}

/* What was compiled ahead of time for just these options. Sources in a folder of the developer's go
 * before it. */
static const zm_shader_module *find_module(const recipe *r)
{
    const zm_kernel_desc *desc = r->desc;
    if (!r->device->create_il || desc->family != ZM_FAMILY_GPU || r->device->base.shader_dir)
        return NULL;
    for (size_t i = 0; i < zm_shader_module_count; i++)
        if (strcmp(zm_shader_modules[i].name, desc->name) == 0 &&
            strcmp(zm_shader_modules[i].options, desc->options) == 0)
            return &zm_shader_modules[i];
    return NULL;
}

/* The oldest that will do: later ones have more that can go wrong. */
static const char *language_of(const recipe *r)
{
    bool sub_groups = strstr(r->desc->options, "-DSUB_GROUPS=1") != NULL;
    return sub_groups && r->device->sub_group_language ? r->device->sub_group_language : "CL1.2";
}

/* Warnings, which some drivers print, are for those who work on kernels. */
static zm_status prepare_alone(recipe *r)
{
    const char *quiet = r->device->base.shader_dir ? "" : "-w ";
    int length = snprintf(r->options, sizeof(r->options), "-cl-std=%s %s%s", language_of(r), quiet,
                          r->desc->options);
    if (length < 0 || length >= ZM_MAX_OPTIONS)
        return zm_fail(&r->device->base.log, ZM_ERROR_LIMIT,
                       "kernel %s: over %d characters of options", r->desc->name, ZM_MAX_OPTIONS);
    r->module = find_module(r);
    return zm_opencl_source(&r->device->base, r->desc, &r->source, &r->size);
}

static zm_status prepare(recipe *r, zm_cache_key *key)
{
    zm_status status =
        r->desc->family == ZM_FAMILY_CHAIN ? zm_opencl_chain_source(r) : prepare_alone(r);
    if (status != ZM_OK)
        return status;
    zm_cache_key_make(&r->device->base, r->desc, r->options,
                      r->module ? (const char *)r->module->words : r->source,
                      r->module ? r->module->size : r->size, key);
    return ZM_OK;
}

zm_status zm_opencl_program_create(zm_opencl_device *device, const zm_kernel_desc *desc,
                                   zm_opencl_kernel *kernel)
{
    recipe r = {.device = device, .desc = desc};
    zm_status status = prepare(&r, &kernel->key);
    if (status == ZM_OK && !from_cache(&r, kernel)) {
        if (desc->known_only)
            status = ZM_ERROR_NOT_FOUND;
        else if (!from_module(&r, kernel))
            status = build_source(&r, kernel);
        kernel->unsaved = status == ZM_OK;
    }
    free(r.source);
    return status;
}

void zm_opencl_program_save(zm_opencl_device *device, zm_opencl_kernel *kernel)
{
    if (!device->base.cache_dir || !kernel->unsaved)
        return;
    kernel->unsaved = false;
    size_t size = 0;
    if (device->cl.clGetProgramInfo(kernel->program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size,
                                    NULL) != CL_SUCCESS ||
        size == 0)
        return;
    unsigned char *binary = zm_calloc(size, 1);
    if (binary && device->cl.clGetProgramInfo(kernel->program, CL_PROGRAM_BINARIES, sizeof(binary),
                                              &binary, NULL) == CL_SUCCESS)
        zm_cache_store(&device->base, &kernel->key, binary, size);
    free(binary);
}

void zm_opencl_program_destroy(zm_opencl_device *device, zm_opencl_kernel *kernel)
{
    if (kernel->kernel)
        device->cl.clReleaseKernel(kernel->kernel);
    if (kernel->program)
        device->cl.clReleaseProgram(kernel->program);
    kernel->kernel = NULL;
    kernel->program = NULL;
}
