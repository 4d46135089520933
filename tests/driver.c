/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL backend against drivers that fail, lie or are not there. A run without an OpenCL
 * device fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zeromean/ops.h>

#include "device/device.h"
#include "opencl/loader.h"
#include "shaders/shaders.h"
#include "support/capture.h"
#include "support/opencl_shim.h"
#include "support/scale.h"

#define CYCLES 200

static capture messages = CAPTURE_INIT;
static zm_log messages_log;
static scale_folder folder;

static int shim_make(void **state)
{
    (void)state;
    capture_clear(&messages);
    return shim_install() && scale_folder_make(&folder) ? 0 : -1;
}

static int shim_destroy(void **state)
{
    (void)state;
    shim_remove();
    scale_folder_remove(&folder);
    return 0;
}

static zm_status open_and_exercise(const char *spec)
{
    zm_device *device = NULL;
    zm_status status = scale_open(&folder, spec, true, &messages_log, &device);
    if (status == ZM_OK)
        status = scale_exercise(device, 3.0f);
    zm_device_close(&device);
    return status;
}

/* ---- failures ---- */

/* The nth call of the driver fails, for every n: an error or a right result, and nothing left. */
static void any_failing_call_is_survived(void **state)
{
    (void)state;
    assert_int_equal(open_and_exercise("opencl"), ZM_OK); /* the cache is warm from here on */
    shim.calls = 0;
    assert_int_equal(open_and_exercise("opencl"), ZM_OK);
    unsigned total = shim.calls, failures = 0;
    assert_in_range(total, 50, 1000);
    for (unsigned n = 1; n <= total; n++) {
        capture_clear(&messages);
        shim.calls = 0;
        shim.created = shim.released = 0;
        shim.fail_at = n;
        zm_status status = open_and_exercise("opencl");
        if (status == ZM_ERROR_MISMATCH)
            fail_msg("call %u of %u: wrong numbers and no error", n, total);
        if (status != ZM_OK && messages.used == 0)
            fail_msg("call %u of %u: %s without a reason", n, total, zm_status_name(status));
        if (shim.created != shim.released)
            fail_msg("call %u of %u: %d objects created, %d released", n, total, shim.created,
                     shim.released);
        failures += status != ZM_OK;
    }
    print_message("%u calls, %u of them end in an error\n", total, failures);
    assert_in_range(failures, 20, total);
}

/* The same on a device that stays open: it works again right after. */
static void a_device_goes_on_after_any_failing_call(void **state)
{
    (void)state;
    zm_device *device = NULL;
    assert_int_equal(scale_open(&folder, "opencl", true, &messages_log, &device), ZM_OK);
    assert_int_equal(scale_exercise(device, 2.0f), ZM_OK);
    shim.calls = 0;
    assert_int_equal(scale_exercise(device, 2.0f), ZM_OK);
    unsigned total = shim.calls, failures = 0;
    static const cl_int errors[] = {CL_OUT_OF_RESOURCES, CL_MEM_OBJECT_ALLOCATION_FAILURE,
                                    CL_OUT_OF_HOST_MEMORY, -9999};
    for (unsigned n = 1; n <= total; n++) {
        capture_clear(&messages);
        shim.calls = 0;
        shim.fail_at = n;
        shim.error = errors[n % 4];
        zm_status status = scale_exercise(device, 4.0f);
        assert_int_not_equal(status, ZM_ERROR_MISMATCH);
        failures += status != ZM_OK;
        shim.fail_at = 0;
        assert_int_equal(scale_exercise(device, 5.0f), ZM_OK);
    }
    /* Every one but the last, the clFinish of zm_stream_destroy, which only logs. */
    assert_int_equal(failures, total - 1);
    assert_true(capture_has(&messages, "clFinish failed"));
    zm_device_close(&device);
    assert_int_equal(shim.created, shim.released);
}

static void a_failing_compiler_is_survived(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        zm_status status;
    } cases[] = {
        {"clCreateProgramWithSource", ZM_ERROR_DEVICE},
        {"clBuildProgram", ZM_ERROR_DEVICE},
        {"clCreateKernel", ZM_ERROR_DEVICE},
        {"clGetKernelWorkGroupInfo", ZM_ERROR_DEVICE},
        {"clGetProgramInfo", ZM_OK},          /* not kept in the cache, but it runs */
        {"clGetProgramBuildInfo", ZM_OK},     /* nothing to log */
        {"clCreateProgramWithBinary", ZM_OK}, /* now there is one in the cache: built again */
        {NULL, ZM_OK},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        capture_clear(&messages);
        shim.fail_name = cases[i].name;
        assert_int_equal(open_and_exercise("opencl"), cases[i].status);
        assert_int_equal(shim.created, shim.released);
        bool cached = capture_has(&messages, "taken from the cache");
        assert_int_equal(cached, cases[i].name == NULL);
    }
}

static void a_command_that_failed_later_comes_back_from_the_wait(void **state)
{
    (void)state;
    zm_device *device = NULL;
    zm_stream *stream = NULL;
    zm_event *event = NULL;
    zm_buffer *buffer = NULL;
    unsigned char bytes[4];
    assert_int_equal(scale_open(&folder, "opencl", true, &messages_log, &device), ZM_OK);
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    assert_int_equal(zm_event_create(device, &event), ZM_OK);
    assert_int_equal(zm_event_mark(event, stream), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &(zm_buffer_params){.size = 4}, &buffer), ZM_OK);
    shim.command_state = CL_OUT_OF_RESOURCES;
    assert_int_equal(zm_stream_wait(stream), ZM_ERROR_DEVICE);
    assert_int_equal(zm_buffer_read(stream, buffer, 0, bytes, 4), ZM_ERROR_DEVICE);
    zm_buffer_destroy(&buffer);
    assert_true(capture_has(&messages, "CL_OUT_OF_RESOURCES"));
    shim.fail_name = "clWaitForEvents";
    shim.error = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    shim.command_state = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    assert_int_equal(zm_event_wait(event), ZM_ERROR_OUT_OF_MEMORY);
    shim.fail_name = NULL;
    shim.command_state = 0;
    assert_int_equal(zm_stream_wait(stream), ZM_OK);
    zm_event_destroy(&event);
    zm_stream_destroy(&stream);
    assert_int_equal(scale_exercise(device, 2.0f), ZM_OK);
    zm_device_close(&device);
    assert_int_equal(shim.created, shim.released);
}

static void the_default_falls_back_to_the_host_and_says_so(void **state)
{
    (void)state;
    zm_device_params params = {.log = &messages_log};
    zm_device *device = NULL;
    shim.fail_name = "clCreateContext";
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_string_equal(zm_device_get_info(device)->spec, "host");
    assert_true(capture_has(&messages, "opencl:0 does not open"));
    zm_device_close(&device);
    params.spec = "opencl";
    assert_int_equal(zm_device_open(&params, &device), ZM_ERROR_DEVICE);
    assert_null(device);
}

/* ---- what devices say ---- */

static const zm_device_info *open_info(zm_device **device)
{
    assert_int_equal(scale_open(&folder, "opencl", true, &messages_log, device), ZM_OK);
    return zm_device_get_info(*device);
}

static void broken_platforms_are_skipped(void **state)
{
    (void)state;
    shim.broken_platforms = true;
    assert_int_equal(open_and_exercise("opencl:0"), ZM_OK);
    assert_int_equal(open_and_exercise("opencl:pocl"), ZM_OK);
    assert_true(capture_has(&messages, "has no devices (CL_DEVICE_NOT_FOUND)"));
    assert_true(capture_has(&messages, "has no devices (CL_INVALID_PLATFORM)"));
}

/* What was compiled ahead of time goes before the source if the driver takes it, and only with
 * exactly the same options. */
static void spirv_goes_before_the_source(void **state)
{
    (void)state;
    static const char il[] = "SPIR-V_1.0 SPIR-V_1.2";
    static const struct {
        int spirv;
        const char *version, *il;
        bool same_options;
        int modules;
        unsigned built;
    } cases[] = {
        {1, NULL, NULL, true, 1, 0},         {1, NULL, NULL, false, 0, 1},
        {-1, NULL, NULL, true, 1, 1},        {0, "OpenCL 3.0 x", "", true, 0, 1},
        {0, "OpenCL 2.1 x", il, true, 1, 0}, {0, "OpenCL 2.0 x", il, true, 0, 1},
    };
    if (zm_shader_module_count == 0) {
        print_message("built without SPIR-V\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const zm_kernel_desc desc = {
            .name = zm_shader_modules[0].name,
            .family = ZM_FAMILY_GPU,
            .options = cases[i].same_options ? zm_shader_modules[0].options : "-DACT_TYPE=3",
            .local = {64, 1, 1},
        };
        zm_device_params params = {.spec = "opencl", .log = &messages_log, .cache_dir = NULL};
        zm_device *device = NULL;
        const zm_kernel *kernel = NULL;
        capture_clear(&messages);
        shim.spirv = cases[i].spirv;
        shim.device_version = cases[i].version;
        shim.il_version = cases[i].il;
        shim.modules = 0;
        assert_int_equal(zm_device_open(&params, &device), ZM_OK);
        assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_OK);
        assert_int_equal(shim.modules, cases[i].modules);
        assert_int_equal(zm_device_built_kernels(device), cases[i].built);
        assert_int_equal(capture_has(&messages, "refuses its SPIR-V (CL_INVALID_VALUE)"),
                         cases[i].spirv < 0);
        zm_device_close(&device);
    }
    assert_int_equal(shim.created, shim.released);
}

#define TILE_M 15u
#define TILE_N 64u
#define TILE_K 50u

/* dst[15][64] = x[15][50] w[64][50]^T, both of them float16, by the gpu family's kernel of panels.
 */
static void multiply_halves(const char *extensions, uint16_t *dst)
{
    static uint16_t halves[(TILE_M + TILE_N) * TILE_K];
    const uint64_t size = TILE_M * TILE_N * sizeof(uint16_t);
    zm_device *device = NULL;
    zm_stream *stream = NULL;
    zm_buffer *in = NULL, *out = NULL;
    for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++)
        halves[i] = (uint16_t)(i * 40503u & 0xbbff); /* denormal ones, too; none of them infinite */
    zm_device_params params = {.spec = "opencl", .log = &messages_log};
    shim.extensions = extensions;
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_int_equal(zm_device_force_kernel(device, "matmul", "gpu"), ZM_OK);
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &(zm_buffer_params){.size = sizeof(halves)}, &in),
                     ZM_OK);
    assert_int_equal(zm_buffer_create(device, &(zm_buffer_params){.size = size}, &out), ZM_OK);
    assert_int_equal(zm_buffer_write(stream, in, 0, halves, sizeof(halves)), ZM_OK);
    zm_matmul_params p = {.x = zm_tensor_2d(in, ZM_F16, TILE_M, TILE_K),
                          .weight = zm_tensor_2d(in, ZM_F16, TILE_N, TILE_K),
                          .dst = zm_tensor_2d(out, ZM_F16, TILE_M, TILE_N)};
    p.weight.offset = TILE_M * TILE_K;
    p.weight.panel = TILE_N;
    assert_int_equal(zm_matmul(stream, &p), ZM_OK);
    assert_int_equal(zm_buffer_read(stream, out, 0, dst, size), ZM_OK);
    zm_buffer_destroy(&in);
    zm_buffer_destroy(&out);
    zm_stream_destroy(&stream);
    zm_device_close(&device);
}

/* Operands that stay float16 in local memory, where the device says that it has the type. */
static void float16_tiles_give_the_same_bits(void **state)
{
    (void)state;
    static uint16_t wide[TILE_M * TILE_N], narrow[TILE_M * TILE_N];
    multiply_halves("", wide);
    assert_false(capture_has(&messages, "-DFP16=1"));
    multiply_halves("cl_khr_fp16", narrow);
    assert_true(capture_has(&messages, "-DFP16=1"));
    assert_memory_equal(wide, narrow, sizeof(wide));
    assert_true(wide[0] != 0 && wide[1] != wide[2]);
}

static void old_devices_are_skipped(void **state)
{
    (void)state;
    zm_device *device = NULL;
    zm_device_params params = {.spec = "opencl", .log = &messages_log};
    static const char *const versions[] = {"OpenCL 1.1 x", "OpenCL 1.0", "nonsense", ""};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        capture_clear(&messages);
        shim.device_version = versions[i];
        assert_int_equal(zm_device_open(&params, &device), ZM_ERROR_NOT_FOUND);
        assert_true(capture_has(&messages, "older than OpenCL 1.2"));
        assert_true(capture_has(&messages, "there are: host ("));
    }
    shim.device_version = "OpenCL 3.0 whatever";
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    zm_device_close(&device);
}

/* The default is the host then, and the user is told why; whoever asks for the host knows. */
static void a_driver_that_is_of_no_use_is_said(void **state)
{
    (void)state;
    zm_device *device = NULL;
    const zm_log warnings = capture_log(&messages, ZM_LOG_WARNING);
    zm_device_params params = {.log = &warnings};
    capture_clear(&messages);
    shim.device_version = "OpenCL 1.1 x";
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_string_equal(zm_device_get_info(device)->spec, "host");
    assert_true(capture_has(&messages, "no OpenCL device is usable ("));
    assert_true(capture_has(&messages, "older than OpenCL 1.2"));
    zm_device_close(&device);
    capture_clear(&messages);
    shim.device_version = NULL;
    shim.fail_name = "clGetPlatformIDs";
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_true(capture_has(&messages, "(no platforms"));
    zm_device_close(&device);
    capture_clear(&messages);
    params.spec = "host";
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    zm_device_close(&device);
    params.spec = NULL;
    shim.fail_name = NULL;
    shim.broken_platforms = true; /* beside one that works */
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    zm_device_close(&device);
    assert_int_equal(messages.used, 0);
}

static void alignment_is_told_in_bits(void **state)
{
    (void)state;
    static const cl_uint bits[] = {8, 1024, 4096, 32768};
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        zm_device *device = NULL;
        shim.align_bits = bits[i];
        const zm_device_info *info = open_info(&device);
        assert_int_equal(info->limits.buffer_alignment, bits[i] / 8);
        assert_int_equal(info->limits.wrap_alignment, bits[i] / 8);
        zm_device_close(&device);
    }
}

static void lowered_limits_are_kept(void **state)
{
    (void)state;
    zm_device *device = NULL;
    zm_buffer *buffer = NULL;
    const zm_kernel *kernel = NULL;
    shim.max_alloc = 1000;
    open_info(&device);
    assert_int_equal(zm_buffer_create(device, &(zm_buffer_params){.size = 1001}, &buffer),
                     ZM_ERROR_LIMIT);
    assert_int_equal(zm_buffer_create(device, &(zm_buffer_params){.size = 1000}, &buffer), ZM_OK);
    zm_buffer_destroy(&buffer);

    shim.max_kernel_group = 4;
    zm_kernel_desc desc = {.name = "scale", .family = ZM_FAMILY_CPU, .local = {4, 2, 1}};
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_LIMIT);
    assert_true(capture_has(&messages, "work-groups of 8 items"));
    desc.local[1] = 1;
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_OK);
    zm_device_close(&device);
    assert_int_equal(shim.created, shim.released);
}

/* Contents must be right whether the memory can be used in place, must be copied, or the driver
 * refuses it. */
static void wrapped_memory_keeps_its_contents_everywhere(void **state)
{
    (void)state;
    static _Alignas(4096) unsigned char memory[4096];
    unsigned char result[4096];
    for (size_t i = 0; i < sizeof(memory); i++)
        memory[i] = (unsigned char)(i * 7);
    for (int variant = 0; variant < 3; variant++) {
        zm_device *device = NULL;
        zm_buffer *buffer = NULL;
        zm_stream *stream = NULL;
        shim.unified_memory = variant == 1 ? -1 : 1;
        shim.refuse_host_pointers = variant == 2;
        assert_int_equal(open_info(&device)->limits.unified_memory, variant != 1);
        zm_buffer_params params = {.size = sizeof(memory), .host_memory = memory};
        assert_int_equal(zm_buffer_create(device, &params, &buffer), ZM_OK);
        assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
        assert_int_equal(zm_buffer_read(stream, buffer, 0, result, sizeof(result)), ZM_OK);
        assert_memory_equal(result, memory, sizeof(memory));
        zm_stream_destroy(&stream);
        zm_buffer_destroy(&buffer);
        zm_device_close(&device);
    }
    assert_true(capture_has(&messages, "cannot be used in place"));
    assert_int_equal(shim.created, shim.released);
}

/* Large memory of a CPU device is ours, unless the driver has none of it. */
static void large_memory_is_in_place_where_it_may_be(void **state)
{
    (void)state;
    enum { SIZE = 8 << 20, PLACE = SIZE - 12 };
    for (int refuses = 0; refuses < 2; refuses++) {
        zm_device *device = NULL;
        zm_buffer *buffer = NULL;
        zm_stream *stream = NULL;
        void *mapping = NULL;
        uint32_t last = 0;
        capture_clear(&messages);
        shim.refuse_host_pointers = refuses;
        open_info(&device);
        assert_int_equal(zm_buffer_create(device, &(zm_buffer_params){.size = SIZE}, &buffer), 0);
        assert_int_equal(capture_has(&messages, "cannot be used in place"), refuses);
        assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
        assert_int_equal(zm_buffer_fill(stream, buffer, 0, SIZE, 0x2a2b2c2d), ZM_OK);
        assert_int_equal(zm_buffer_read(stream, buffer, PLACE, &last, sizeof(last)), ZM_OK);
        assert_int_equal(last, 0x2a2b2c2d);
        assert_int_equal(zm_buffer_map(stream, buffer, 0, SIZE, &mapping), ZM_OK);
        assert_true(refuses || (uintptr_t)mapping % (2 << 20) == 0);
        assert_int_equal(zm_buffer_unmap(stream, buffer, mapping), ZM_OK);
        zm_stream_destroy(&stream);
        zm_buffer_destroy(&buffer);
        zm_device_close(&device);
    }
    assert_int_equal(shim.created, shim.released);
}

/* ---- leaks ---- */

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void opening_and_closing_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(open_and_exercise("opencl"), ZM_OK);
    size_t files = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    for (int i = 0; i < CYCLES; i++) {
        assert_int_equal(open_and_exercise(i % 2 ? "opencl" : "opencl:pocl"), ZM_OK);
        zm_device *host = NULL;
        zm_device_params params = {.spec = "host", .host_threads = 3};
        assert_int_equal(zm_device_open(&params, &host), ZM_OK);
        zm_device_close(&host);
    }
    assert_int_equal(shim.created, shim.released);
    assert_in_range(shim.created, CYCLES * 8, CYCLES * 50);
    assert_int_equal(count_entries("/proc/self/fd"), files);
    assert_int_equal(count_entries("/proc/self/task"), threads);
}

/* ---- the loader ---- */

static void libraries_are_searched_in_order(void **state)
{
    (void)state;
    zm_opencl_fns cl = {0};
    static const zm_opencl_candidate useless[] = {
        {"libno-such-library.so", false}, {"libm.so.6", false}, {"libm.so.6", true}};
    assert_false(zm_opencl_load_from(useless, 3, &messages_log, &cl));
    assert_true(capture_has(&messages, "libno-such-library.so"));
    assert_true(capture_has(&messages, "libm.so.6 has no clGetPlatformIDs; skipped"));
    assert_true(capture_has(&messages, "libm.so.6 has no loadOpenCLPointer; skipped"));

    static const zm_opencl_candidate pixel[] = {{"libno-such-library.so", false},
                                                {TEST_PIXEL_LIBRARY, true}};
    if (!zm_opencl_load_from(pixel, 2, &messages_log, &cl))
        fail_msg("%s", messages.text);
    cl_uint count = 0;
    assert_int_equal(cl.clGetPlatformIDs(0, NULL, &count), CL_SUCCESS);
    assert_in_range(count, 1, 100);
}

/* In a process of its own, since the ICD loader reads its folder once. */
static int run_with(const char *variable, const char *value, const char *spec)
{
    pid_t pid = fork();
    if (pid == 0) {
        setenv(variable, value, 1);
        execl("/proc/self/exe", "driver", spec, folder.shaders, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int process_main(const char *spec, const char *shaders)
{
    scale_folder given = {0};
    zm_device *device = NULL;
    snprintf(given.shaders, sizeof(given.shaders), "%s", shaders);
    zm_status status = scale_open(&given, spec, false, NULL, &device);
    if (status == ZM_OK && zm_device_get_info(device)->backend == ZM_BACKEND_OPENCL)
        status = scale_exercise(device, 3.0f);
    zm_device_close(&device);
    return (int)status;
}

static void write_icd(const char *directory, const char *name, const char *library)
{
    char path[320];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", library);
    assert_int_equal(fclose(file), 0);
}

static void missing_and_broken_drivers_are_no_crash(void **state)
{
    (void)state;
    char vendors[256];
    snprintf(vendors, sizeof(vendors), "%s/vendors/", folder.root);
    assert_int_equal(mkdir(vendors, 0700), 0);
    assert_int_equal(run_with("OCL_ICD_VENDORS", vendors, "opencl"), ZM_ERROR_NOT_FOUND);
    assert_int_equal(run_with("OCL_ICD_VENDORS", vendors, ""), ZM_OK);
    write_icd(vendors, "a.icd", "libno-such-library.so.1");
    write_icd(vendors, "b.icd", "libm.so.6");
    write_icd(vendors, "c.icd", "");
    assert_int_equal(run_with("OCL_ICD_VENDORS", vendors, "opencl"), ZM_ERROR_NOT_FOUND);
    assert_int_equal(run_with("OCL_ICD_VENDORS", vendors, ""), ZM_OK);
    write_icd(vendors, "d.icd", "libpocl.so.2");
    assert_int_equal(run_with("OCL_ICD_VENDORS", vendors, "opencl:0"), ZM_OK);
    assert_int_equal(run_with("POCL_MAX_WORK_GROUP_SIZE", "1", "opencl:pocl"), ZM_OK);
}

#define SHIMMED(test) cmocka_unit_test_setup_teardown(test, shim_make, shim_destroy)

int main(int argc, char **argv)
{
    if (argc == 3)
        return process_main(argv[1], argv[2]);
    messages_log = capture_log(&messages, ZM_LOG_DEBUG);
    const struct CMUnitTest tests[] = {
        SHIMMED(any_failing_call_is_survived),
        SHIMMED(a_device_goes_on_after_any_failing_call),
        SHIMMED(a_failing_compiler_is_survived),
        SHIMMED(a_command_that_failed_later_comes_back_from_the_wait),
        SHIMMED(the_default_falls_back_to_the_host_and_says_so),
        SHIMMED(broken_platforms_are_skipped),
        SHIMMED(spirv_goes_before_the_source),
        SHIMMED(float16_tiles_give_the_same_bits),
        SHIMMED(old_devices_are_skipped),
        SHIMMED(a_driver_that_is_of_no_use_is_said),
        SHIMMED(alignment_is_told_in_bits),
        SHIMMED(lowered_limits_are_kept),
        SHIMMED(wrapped_memory_keeps_its_contents_everywhere),
        SHIMMED(large_memory_is_in_place_where_it_may_be),
        SHIMMED(opening_and_closing_leaves_nothing),
        SHIMMED(libraries_are_searched_in_order),
        SHIMMED(missing_and_broken_drivers_are_no_crash),
    };
    return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
