/* SPDX-License-Identifier: Apache-2.0 */
/* The program of a chain: each kernel compiled by itself as a function, since all of them have
 * functions of the same names, and linked with chain.cl, which calls them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "opencl/program.h"

/* A kernel, as a line of the description has it. */
typedef struct part {
    char name[64];
    unsigned buffers, args_size;
    char options[ZM_MAX_OPTIONS];
} part;

/* False: there is none any more. */
static bool next_part(const char **text, part *out)
{
    int options = 0;
    if (sscanf(*text, "%63s %u %u %n", out->name, &out->buffers, &out->args_size, &options) < 3)
        return false;
    const char *end = *text + strcspn(*text, "\n");
    snprintf(out->options, sizeof(out->options), "%.*s", (int)(end - *text) - options,
             *text + options);
    *text = end + (*end == '\n');
    return true;
}

/* ---- text that grows ---- */

typedef struct text {
    char *bytes;
    size_t size, capacity;
    bool failed;
} text;

ZM_PRINTF(2, 3) static void say(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    void *bytes = t->bytes;
    t->failed |= length < 0 || !zm_array_reserve(&bytes, &t->capacity, t->size + length + 1, 1);
    t->bytes = bytes;
    if (t->failed)
        return;
    va_start(args, format);
    vsnprintf(t->bytes + t->size, (size_t)length + 1, format, args);
    va_end(args);
    t->size += (size_t)length;
}

static void say_buffers(text *t)
{
    say(t, "#define BUFFERS %d\n#define BUFFER_PARAMS", ZM_LIST_BUFFERS);
    for (int i = 0; i < ZM_LIST_BUFFERS; i++)
        say(t, "%s __global uchar *b%d", i ? "," : "", i);
    say(t, "\n#define BUFFER_NAMES");
    for (int i = 0; i < ZM_LIST_BUFFERS; i++)
        say(t, "%s b%d", i ? "," : "", i);
    say(t, "\nstruct place;\n");
}

static void say_prototype(text *t, const part *p, unsigned index)
{
    say(t, "struct args_%u { uint words[%u]; };\nvoid %s_%u(const struct place *", index,
        p->args_size / 4, p->name, index);
    for (unsigned i = 0; i < p->buffers; i++)
        say(t, ", __global uchar *");
    say(t, ", struct args_%u);\n", index);
}

static void say_case(text *t, const part *p, unsigned index)
{
    say(t, " case %u: %s_%u(place", index, p->name, index);
    for (unsigned i = 0; i < p->buffers; i++)
        say(t, ", binding(buffers, step, %u)", i);
    say(t, ", *(__global const struct args_%u *)step->args); break;", index);
}

/* What chain.cl wants in front of it. */
static void say_kernels(text *t, const char *kernels)
{
    part p;
    unsigned index = 0;
    say(t, "/*\n%s*/\n", kernels); /* options, too: the text is the identity of the program */
    say_buffers(t);
    for (const char *rest = kernels; next_part(&rest, &p);)
        say_prototype(t, &p, index++);
    say(t, "#define CASES");
    index = 0;
    for (const char *rest = kernels; next_part(&rest, &p);)
        say_case(t, &p, index++);
    say(t, "\n");
}

static zm_status say_source(text *t, const zm_device *device, const char *name,
                            zm_kernel_family family)
{
    const zm_kernel_desc desc = {.name = name, .family = family};
    char *source = NULL;
    size_t size = 0;
    zm_status status = zm_opencl_source(device, &desc, &source, &size);
    if (status == ZM_OK)
        say(t, "%s", source);
    free(source);
    return status;
}

/* Every text ends in a zero. */
zm_status zm_opencl_chain_source(zm_opencl_recipe *recipe)
{
    const zm_device *device = &recipe->device->base;
    text t = {0};
    part p;
    say_kernels(&t, recipe->desc->options);
    zm_status status = say_source(&t, device, recipe->desc->name, ZM_FAMILY_CHAIN);
    for (const char *rest = recipe->desc->options; status == ZM_OK && next_part(&rest, &p);) {
        t.size += !t.failed;
        say(&t, "%s", "");
        status = say_source(&t, device, p.name, ZM_FAMILY_CPU);
    }
    if (status == ZM_OK && t.failed)
        status = zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "kernel %s: out of memory", "chain");
    if (status != ZM_OK) {
        free(t.bytes);
        return status;
    }
    snprintf(recipe->options, sizeof(recipe->options), "-cl-std=CL3.0 -w");
    recipe->source = t.bytes;
    recipe->size = t.size;
    return ZM_OK;
}

/* ---- building ---- */

typedef struct programs {
    cl_program all[ZM_LIST_KERNELS + 1];
    cl_uint count;
} programs;

static zm_status compile(const zm_opencl_recipe *r, const char *source, const char *options,
                         programs *p)
{
    const zm_opencl_fns *cl = &r->device->cl;
    size_t size = strlen(source);
    cl_int error = CL_SUCCESS;
    cl_program program =
        cl->clCreateProgramWithSource(r->device->context, 1, &source, &size, &error);
    if (error != CL_SUCCESS)
        return zm_opencl_check(&r->device->base, error, "clCreateProgramWithSource");
    p->all[p->count++] = program;
    error = cl->clCompileProgram(program, 1, &r->device->id, options, 0, NULL, NULL, NULL, NULL);
    return zm_opencl_report_build(r, program, error);
}

static zm_status compile_part(const zm_opencl_recipe *r, const char *source, const part *k,
                              unsigned index, programs *p)
{
    char options[ZM_MAX_OPTIONS + 256];
    snprintf(options, sizeof(options), "-cl-std=CL1.2 -w -DCHAINED -D%s=%s_%u %s", k->name, k->name,
             index, k->options);
    return compile(r, source, options, p);
}

static zm_status compile_all(const zm_opencl_recipe *r, programs *p)
{
    part k;
    unsigned index = 0;
    const char *source = r->source;
    zm_status status = compile(r, source, r->options, p);
    for (const char *rest = r->desc->options; status == ZM_OK && next_part(&rest, &k);) {
        source += strlen(source) + 1;
        status = compile_part(r, source, &k, index++, p);
    }
    return status;
}

zm_status zm_opencl_chain_build(const zm_opencl_recipe *recipe, zm_opencl_kernel *out)
{
    const zm_opencl_fns *cl = &recipe->device->cl;
    programs p = {.count = 0};
    cl_int error = CL_SUCCESS;
    zm_status status = compile_all(recipe, &p);
    if (status == ZM_OK) {
        out->program = cl->clLinkProgram(recipe->device->context, 1, &recipe->device->id, "",
                                         p.count, p.all, NULL, NULL, &error);
        if (error != CL_SUCCESS && !out->program)
            status = zm_opencl_check(&recipe->device->base, error, "clLinkProgram");
        else
            status = zm_opencl_report_build(recipe, out->program, error);
    }
    while (p.count)
        cl->clReleaseProgram(p.all[--p.count]);
    return status;
}
