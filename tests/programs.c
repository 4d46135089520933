/* SPDX-License-Identifier: Apache-2.0 */
/* Which programs the ops ask GPUs for: by what the device can do, and that shaders/spirv.list has
 * what clbench's shapes ask for.
 *
 * usage: test-programs | --list | --run DEVICE
 *   --list        writes what spirv.list should hold
 *   --run DEVICE  the kernels of the list on a device, against the reference, as far as the
 *                 reference does not take long; says how many came out of modules */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/op.h"
#include "shape.h"
#include "support/capture.h"
#include "support/fake_gpu.h"
#include "tests/ops/op_run.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* Of a case that does not take long to set up and to compute by the reference. */
#define MOST_FLOPS 8e8
#define MOST_BYTES 2e7

/* Of activations and of weights or caches: full precision, models of half the size, all narrow. */
static const zm_dtype types[][2] = {
    {ZM_F32, ZM_F32}, {ZM_F32, ZM_F16}, {ZM_F16, ZM_F16}, {ZM_BF16, ZM_BF16}};

/* ---- devices ---- */

/* One with local memory and sub-groups, and one that is small and has caches alone. */
static void become(size_t kind)
{
    fake.program_count = 0;
    fake.version = kind == 0 ? "OpenCL 3.0 fake" : "OpenCL 1.2 fake";
    fake.language = "OpenCL C 1.2 fake";
    fake.feature = kind == 0 ? "__opencl_c_subgroups" : "";
    fake.extensions = kind == 0 ? "cl_khr_fp16" : "";
    fake.il_version = "";
    fake.units = kind == 0 ? 32 : 4;
    fake.own_local_memory = kind == 0;
    fake.local_bytes = kind == 0 ? 65536 : 32768;
    fake.items = kind == 0 ? 1024 : 256;
}
#define KINDS 2

static int install(void **state)
{
    (void)state;
    if (!fake_gpu_install())
        return -1;
    become(0);
    return 0;
}

static int uninstall(void **state)
{
    (void)state;
    fake_gpu_remove();
    return 0;
}

/* ---- the ops with the shapes that are timed ---- */

typedef zm_status (*visit_fn)(void *user, const op_description *op, const op_case *c);

static zm_status each_case(visit_fn visit, void *user)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < op_description_count; i++) {
        const op_description *op = op_descriptions[i];
        const char *const *texts;
        size_t count = shape_list(op->name, &texts);
        for (size_t j = 0; j < count * COUNT(types) && status == ZM_OK; j++) {
            const zm_dtype *type = types[j % COUNT(types)];
            shape_reason reason;
            op_case c;
            status =
                shape_to_case(op->name, texts[j / COUNT(types)], type[0], type[1], &c, &reason);
            if (status == ZM_OK)
                status = visit(user, op, &c);
            if (status != ZM_OK)
                fprintf(stderr, "%s %s: %s\n", op->name, texts[j / COUNT(types)],
                        zm_status_name(status));
        }
    }
    return status;
}

static zm_status plan_case(void *user, const op_description *op, const op_case *c)
{
    zm_stream *stream = user;
    op_run *run = NULL;
    zm_status status = op_run_create_unfilled(stream->device, op, c, &run);
    if (status == ZM_OK)
        status = op_run_call(run, stream);
    op_run_destroy(&run);
    return status;
}

static zm_status plan_all(void)
{
    zm_device *device = NULL;
    zm_stream *stream = NULL;
    zm_status status = zm_device_open(&(zm_device_params){.spec = "opencl"}, &device);
    if (status == ZM_OK)
        status = zm_stream_create(device, NULL, &stream);
    if (status == ZM_OK)
        status = each_case(plan_case, stream);
    zm_stream_destroy(&stream);
    zm_device_close(&device);
    return status;
}

/* ---- the list ---- */

static char programs[FAKE_GPU_PROGRAMS][FAKE_GPU_TEXT];

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* "NAME OPTIONS" of every program that is asked for, in order, without the language; returns how
 * many. 0: failed. */
static size_t list_programs(void)
{
    size_t count = 0, unique = 0;
    for (size_t kind = 0; kind < KINDS; kind++) {
        become(kind);
        if (plan_all() != ZM_OK || count + fake.program_count > FAKE_GPU_PROGRAMS)
            return 0;
        for (size_t i = 0; i < fake.program_count; i++) {
            const char *options = strstr(fake.programs[i], " -D");
            snprintf(programs[count++], FAKE_GPU_TEXT, "%.*s%s",
                     (int)strcspn(fake.programs[i], " "), fake.programs[i],
                     options ? options : " ");
        }
    }
    qsort(programs, count, sizeof(programs[0]), by_text);
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || strcmp(programs[unique - 1], programs[i]) != 0)
            memmove(programs[unique++], programs[i], FAKE_GPU_TEXT);
    return unique;
}

static bool next_line(FILE *file, char line[FAKE_GPU_TEXT])
{
    do {
        if (!fgets(line, FAKE_GPU_TEXT, file))
            return false;
        line[strcspn(line, "\n")] = '\0';
    } while (line[0] == '#');
    return true;
}

static void the_list_is_what_is_asked_for(void **state)
{
    (void)state;
    char line[FAKE_GPU_TEXT];
    size_t count = list_programs(), differences = 0, i = 0;
    FILE *file = fopen(TEST_SPIRV_LIST, "r");
    assert_non_null(file);
    assert_in_range(count, 50, FAKE_GPU_PROGRAMS);
    bool more = next_line(file, line);
    while (more || i < count) {
        int order = !more ? 1 : i == count ? -1 : strcmp(line, programs[i]);
        if (order != 0)
            print_error("%s: %s\n", order < 0 ? "nothing asks for" : "not in the list",
                        order < 0 ? line : programs[i]);
        differences += order != 0;
        i += order >= 0;
        if (order <= 0)
            more = next_line(file, line);
    }
    fclose(file);
    if (differences)
        fail_msg("%zu differences: build/test-programs --list > shaders/spirv.list", differences);
}

static int print_list(void)
{
    size_t count = fake_gpu_install() ? list_programs() : 0;
    if (count)
        puts("# SPDX-License-Identifier: Apache-2.0\n"
             "# Made by test-programs --list: kernel, options.");
    for (size_t i = 0; i < count; i++)
        puts(programs[i]);
    fake_gpu_remove();
    return count ? 0 : 1;
}

/* ---- what a device can do ---- */

/* Options of the program that a softmax is built with. */
static const char *softmax_options(uint32_t *sub_group_size)
{
    zm_device *device = NULL;
    zm_stream *stream = NULL;
    zm_buffer *x = NULL, *dst = NULL;
    assert_int_equal(zm_device_open(&(zm_device_params){.spec = "opencl"}, &device), ZM_OK);
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &(zm_buffer_params){.size = 4096}, &x), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &(zm_buffer_params){.size = 4096}, &dst), ZM_OK);
    const zm_softmax_params params = {.x = zm_tensor_2d(x, ZM_F32, 4, 256),
                                      .dst = zm_tensor_2d(dst, ZM_F32, 4, 256)};
    assert_int_equal(zm_softmax(stream, &params), ZM_OK);
    *sub_group_size = zm_device_get_info(device)->limits.sub_group_size;
    zm_buffer_destroy(&x);
    zm_buffer_destroy(&dst);
    zm_stream_destroy(&stream);
    zm_device_close(&device);
    return fake.options;
}

static void sub_groups_decide_the_language(void **state)
{
    (void)state;
    static const char feature[] = "__opencl_c_subgroups", khr[] = "cl_khr_subgroups";
    static const struct {
        const char *version, *language, *extensions, *feature, *std; /* NULL = no sub-groups */
    } cases[] = {
        {"OpenCL 3.0 x", "OpenCL C 1.2 x", "", feature, "CL3.0"},
        {"OpenCL 3.1 x", "OpenCL C 3.1 x", "cl_intel_subgroups", feature, "CL3.0"},
        {"OpenCL 3.0 x", "OpenCL C 1.2 x", khr, "", "CL3.0"},
        {"OpenCL 3.0 x", "OpenCL C 1.2 x", "cl_khr_subgroups_x", "__opencl_c_subgroups_x", NULL},
        {"OpenCL 3.0 x", "OpenCL C 3.0 x", "", "__opencl_c_fp64", NULL},
        {"OpenCL 2.1 x", "OpenCL C 2.0 x", "cl_khr_fp16 cl_khr_subgroups", "", "CL2.0"},
        {"OpenCL 2.0 x", "OpenCL C 2.0 x", "cl_khr_fp16", feature, NULL},
        {"OpenCL 2.0 x", "OpenCL C 1.2 x", khr, "", NULL},
        {"OpenCL 1.2 x", "OpenCL C 1.2 x", "cl_khr_subgroups cl_intel_subgroups", "", NULL},
        {"OpenCL 2.0 x", "nonsense", khr, "", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char wanted[64];
        uint32_t size = 0;
        fake.version = cases[i].version;
        fake.language = cases[i].language;
        fake.extensions = cases[i].extensions;
        fake.feature = cases[i].feature;
        const char *options = softmax_options(&size);
        snprintf(wanted, sizeof(wanted), "-cl-std=%s ", cases[i].std ? cases[i].std : "CL1.2");
        if (strncmp(options, wanted, strlen(wanted)) != 0)
            fail_msg("case %zu: %s", i, options);
        assert_int_equal(strstr(options, "-DSUB_GROUPS=1") != NULL, cases[i].std != NULL);
        assert_int_equal(size != 0, cases[i].std != NULL);
    }
}

/* Kernels without a variant for sub-groups stay with the language that every device has. */
static void other_programs_keep_the_oldest_language(void **state)
{
    (void)state;
    size_t newer = 0;
    assert_int_equal(plan_all(), ZM_OK);
    for (size_t i = 0; i < fake.program_count; i++) {
        const char *program = fake.programs[i];
        bool sub_groups = strstr(program, "-DSUB_GROUPS=1") != NULL;
        if ((strstr(program, " -cl-std=CL3.0 ") != NULL) != sub_groups ||
            (strstr(program, " -cl-std=CL1.2 ") != NULL) == sub_groups)
            fail_msg("%s", program);
        newer += sub_groups;
    }
    assert_in_range(newer, 5, fake.program_count - 20);
}

/* ---- on a device that takes modules ---- */

typedef struct runner {
    zm_stream *stream;
    const char *op; /* whose cases are run */
    size_t cases, failed, modules, sources, refused;
} runner;

/* The log of the device tells where kernels come from. */
static void count_kernels(void *user, zm_log_level level, const char *message)
{
    runner *r = user;
    r->modules += strstr(message, "made from SPIR-V") != NULL;
    r->sources += strstr(message, "]: built in") != NULL;
    r->refused += strstr(message, "refuses its SPIR-V") != NULL;
    if (level == ZM_LOG_INFO)
        fprintf(stderr, "%s\n", message);
}

/* The inputs and the reference serve all candidates that ask for the same layouts. */
static zm_status verify_with(runner *r, const op_description *op, const op_case *c, op_run **run)
{
    op_verdict verdict = {.ok = true};
    zm_status status = ZM_OK;
    if (!*run || !op_run_fits(*run, r->stream->device)) {
        op_run_destroy(run);
        status = op_run_create(r->stream->device, op, c, 1, run);
        if (status == ZM_OK)
            op_run_reference(*run);
    }
    if (status == ZM_OK)
        status = op_run_verify(*run, r->stream, ZM_F32, &verdict);
    if (status == ZM_ERROR_UNSUPPORTED || status == ZM_ERROR_LIMIT)
        return ZM_OK;
    r->cases++;
    if (status == ZM_OK && !verdict.ok) {
        fprintf(stderr, "%s: %s\n", op->name, verdict.reason);
        r->failed++;
    }
    return status;
}

/* With each candidate of the op in the family, whatever the device would choose. */
static zm_status verify_case(void *user, const op_description *op, const op_case *c)
{
    runner *r = user;
    zm_device *device = r->stream->device;
    const zm_op *candidates = zm_op_find(op->name);
    op_run *run = NULL;
    zm_status status = ZM_OK;
    if (strcmp(op->name, r->op) != 0 || op->flops(&c->params) > MOST_FLOPS ||
        op->bytes(&c->params, sizeof(float)) > MOST_BYTES)
        return ZM_OK;
    for (size_t i = 0; i < candidates->candidate_count && status == ZM_OK; i++) {
        if (candidates->candidates[i].family != ZM_FAMILY_GPU)
            continue;
        zm_device_force_kernel(device, "matmul", "gpu");
        zm_device_force_kernel(device, "attention", "gpu");
        zm_device_force_kernel(device, candidates->name, candidates->candidates[i].name);
        status = verify_with(r, op, c, &run);
        zm_device_force_kernel(device, candidates->name, NULL);
    }
    op_run_destroy(&run);
    return status;
}

static int run_list(const char *spec)
{
    runner r = {.stream = NULL};
    const zm_log log = {count_kernels, &r, ZM_LOG_DEBUG};
    zm_device *device = NULL;
    zm_status status =
        zm_device_open(&(zm_device_params){.spec = spec, .log = &log, .cache_dir = NULL}, &device);
    if (status == ZM_OK)
        status = zm_stream_create(device, NULL, &r.stream);
    for (size_t i = 0; i < op_description_count && status == ZM_OK; i++) {
        r.op = op_descriptions[i]->name;
        if (op_descriptions[i]->op) /* deferred_norm: the kernels are those of matmul */
            continue;
        r.cases = r.failed = r.modules = r.sources = 0;
        status = each_case(verify_case, &r);
        printf("%s: %zu cases, %zu failed, %zu modules, %zu sources\n", r.op, r.cases, r.failed,
               r.modules, r.sources);
        fflush(stdout);
        r.refused += r.failed;
    }
    zm_stream_destroy(&r.stream);
    zm_device_close(&device);
    return status == ZM_OK && r.refused == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return print_list();
    if (argc == 3 && strcmp(argv[1], "--run") == 0)
        return run_list(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sub_groups_decide_the_language, install, uninstall),
        cmocka_unit_test_setup_teardown(other_programs_keep_the_oldest_language, install,
                                        uninstall),
        cmocka_unit_test_setup_teardown(the_list_is_what_is_asked_for, install, uninstall),
    };
    return cmocka_run_group_tests_name("programs", tests, NULL, NULL);
}
