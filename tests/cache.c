/* SPDX-License-Identifier: Apache-2.0 */
/* The program cache on disk. A run without an OpenCL device fails. */
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

#include "device/cache.h"
#include "device/device.h"
#include "support/capture.h"
#include "support/scale.h"

#define PROCESSES 3

static capture messages = CAPTURE_INIT;
static zm_log messages_log;
static scale_folder folder;
static const char *program; /* argv[0] */

static int folder_make(void **state)
{
    (void)state;
    capture_clear(&messages);
    return scale_folder_make(&folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    scale_folder_remove(&folder);
    return 0;
}

static zm_device *open_device(bool cached)
{
    zm_device *device = NULL;
    if (scale_open(&folder, "opencl:pocl", cached, &messages_log, &device) != ZM_OK)
        fail_msg("%s", messages.text);
    return device;
}

/* Opens, runs and closes; tells how many kernels were built and how many came from the cache. */
static void run_cached(uint32_t *built, uint32_t *cached)
{
    zm_device *device = open_device(true);
    assert_int_equal(scale_exercise(device, 3.0f), ZM_OK);
    *built = zm_device_built_kernels(device);
    *cached = zm_device_cached_kernels(device);
    zm_device_close(&device);
}

static void assert_cached_run(uint32_t built)
{
    uint32_t was_built = 99, was_cached = 99;
    run_cached(&was_built, &was_cached);
    assert_int_equal(was_built, built);
    assert_int_equal(was_cached, 1 - built);
}

#define MAX_FILES 8
typedef struct cache_files {
    size_t count;
    char names[MAX_FILES][256];
} cache_files;

static cache_files list_cache(void)
{
    char programs[256];
    snprintf(programs, sizeof(programs), "%s/programs", folder.cache);
    DIR *directory = opendir(programs);
    cache_files files = {0};
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        assert_in_range(files.count, 0, MAX_FILES - 1);
        snprintf(files.names[files.count++], sizeof(files.names[0]), "%s", entry->d_name);
    }
    if (directory)
        closedir(directory);
    return files;
}

static void cache_path(const char *name, char path[512])
{
    snprintf(path, 512, "%s/programs/%s", folder.cache, name);
}

/* The one file in the cache. */
static void only_file(char path[512])
{
    cache_files files = list_cache();
    assert_int_equal(files.count, 1);
    cache_path(files.names[0], path);
}

static void a_second_start_builds_nothing(void **state)
{
    (void)state;
    char path[512];
    assert_cached_run(1);
    assert_cached_run(0);
    assert_cached_run(0);
    assert_int_equal(list_cache().count, 1);
    struct stat status;
    assert_int_equal(stat(folder.cache, &status), 0);
    assert_int_equal(status.st_mode & 0077, 0);

    /* Other options or another source: another program. */
    zm_device *device = open_device(true);
    const zm_kernel *kernel = NULL;
    assert_int_equal(scale_kernel(device, "-DFACTOR=2.0f", &kernel), ZM_OK);
    assert_int_equal(zm_device_built_kernels(device), 1);
    zm_device_close(&device);
    assert_int_equal(list_cache().count, 2);
    snprintf(path, sizeof(path), "%s/scale.clh", folder.shaders);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("/* changed */\n", file);
    fclose(file);
    assert_cached_run(1);
    assert_int_equal(list_cache().count, 3);
}

static void overwrite(const char *path, long offset, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void damaged_files_are_replaced(void **state)
{
    (void)state;
    char path[512];
    struct stat whole, status;
    assert_cached_run(1);
    only_file(path);
    assert_int_equal(stat(path, &whole), 0);
    const long sizes[] = {0, 143, 145, (long)whole.st_size - 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(truncate(path, sizes[i]), 0);
        assert_cached_run(1);
        assert_cached_run(0);
        assert_int_equal(stat(path, &status), 0);
        assert_true(status.st_size > 1000);
    }
    const long offsets[] = {0, 8, 72, 136, 144, -1};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        overwrite(path, offsets[i], "\x5a\xa5\x5a\xa5", offsets[i] < 0 ? 1 : 4);
        capture_clear(&messages);
        assert_cached_run(1);
        assert_true(capture_has(&messages, "damaged or foreign"));
        assert_cached_run(0);
    }
    assert_int_equal(list_cache().count, 1);
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    size_t size = fread(bytes, 1, sizeof(bytes), in);
    assert_in_range(size, 145, sizeof(bytes) - 1);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* A sound file under the name of another key. */
static void foreign_files_are_replaced(void **state)
{
    (void)state;
    char path[512], other[512];
    assert_cached_run(1);
    only_file(path);
    zm_device *device = open_device(true);
    const zm_kernel *kernel = NULL;
    assert_int_equal(scale_kernel(device, "-DFACTOR=2.0f", &kernel), ZM_OK);
    zm_device_close(&device);
    cache_files files = list_cache();
    assert_int_equal(files.count, 2);
    cache_path(files.names[0], other);
    if (strcmp(other, path) == 0)
        cache_path(files.names[1], other);
    copy_file(other, path);
    capture_clear(&messages);
    assert_cached_run(1);
    assert_true(capture_has(&messages, "damaged or foreign"));
    assert_cached_run(0);
}

/* Sound for us, nonsense for the driver. */
static void programs_that_the_driver_refuses_are_replaced(void **state)
{
    (void)state;
    zm_cache_key key = {0};
    assert_cached_run(1);
    cache_files files = list_cache();
    assert_int_equal(files.count, 1);
    memcpy(key.hex, files.names[0], sizeof(key.hex) - 1);
    zm_device *device = open_device(true);
    static const unsigned char nonsense[1000] = "this is no program";
    zm_cache_store(device, &key, nonsense, sizeof(nonsense));
    zm_device_close(&device);
    capture_clear(&messages);
    assert_cached_run(1);
    assert_true(capture_has(&messages, "the driver refuses the cached program"));
    assert_cached_run(0);
}

/* One start of a program with that kernel, under a limit; tells whether it was built. */
static bool start_with_factor(int factor, uint64_t limit)
{
    char options[32];
    const zm_kernel *kernel = NULL;
    zm_device *device = open_device(true);
    device->cache_limit = limit;
    snprintf(options, sizeof(options), "-DFACTOR=%d.0f", factor);
    usleep(20000); /* times of files are coarse */
    assert_int_equal(scale_kernel(device, options, &kernel), ZM_OK);
    bool built = zm_device_built_kernels(device) == 1;
    assert_int_equal(zm_device_cached_kernels(device), !built);
    zm_device_close(&device);
    return built;
}

static void the_oldest_files_go_when_the_cache_is_full(void **state)
{
    (void)state;
    char path[512];
    struct stat status;
    assert_true(start_with_factor(1, UINT64_MAX));
    only_file(path);
    assert_int_equal(stat(path, &status), 0);
    uint64_t limit = (uint64_t)status.st_size * 5 / 2;
    assert_true(start_with_factor(2, limit));
    assert_int_equal(list_cache().count, 2);
    assert_false(start_with_factor(1, limit)); /* used: now 2 is the oldest */
    assert_true(start_with_factor(3, limit));
    assert_int_equal(list_cache().count, 2);
    assert_false(start_with_factor(3, limit));
    assert_false(start_with_factor(1, limit));
    assert_true(start_with_factor(2, limit));
    assert_int_equal(list_cache().count, 2);
}

static void an_unusable_cache_folder_changes_nothing(void **state)
{
    (void)state;
    char blocked[256];
    snprintf(blocked, sizeof(blocked), "%s/scale.clh", folder.shaders);
    zm_device_params params = {.spec = "opencl", .log = &messages_log, .cache_dir = blocked};
    zm_device *device = NULL;
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_int_equal(zm_device_set_shader_dir(device, folder.shaders), ZM_OK);
    assert_int_equal(scale_exercise(device, 3.0f), ZM_OK);
    assert_int_equal(zm_device_built_kernels(device), 1);
    zm_device_close(&device);
    assert_true(capture_has(&messages, "programs cannot be kept here"));
}

static pid_t start_process(int number)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    char pocl[256];
    snprintf(pocl, sizeof(pocl), "%s/pocl-%d", folder.root, number);
    setenv("POCL_CACHE_DIR", pocl, 1);
    execl("/proc/self/exe", program, folder.shaders, folder.cache, (char *)NULL);
    _exit(127);
}

/* What such a process does. */
static int process_main(const char *shaders, const char *cache)
{
    scale_folder shared = {0};
    snprintf(shared.shaders, sizeof(shared.shaders), "%s", shaders);
    snprintf(shared.cache, sizeof(shared.cache), "%s", cache);
    for (int i = 0; i < 5; i++) {
        zm_device *device = NULL;
        zm_status status = scale_open(&shared, "opencl:pocl", true, NULL, &device);
        for (int k = 0; k < 3 && status == ZM_OK; k++) {
            char options[32];
            const zm_kernel *kernel = NULL;
            snprintf(options, sizeof(options), "-DFACTOR=%d.0f", k);
            status = scale_kernel(device, options, &kernel);
        }
        if (status == ZM_OK)
            status = scale_exercise(device, 7.0f);
        zm_device_close(&device);
        if (status != ZM_OK)
            return (int)status;
    }
    return 0;
}

static void processes_share_the_cache(void **state)
{
    (void)state;
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = start_process(i);
        assert_true(pids[i] > 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(list_cache().count, 4);
    assert_cached_run(0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

/* Kernels of the same names, but compiled with other options. */
static void chains_are_known_by_their_options(void **state)
{
    (void)state;
    const zm_device_params params = {
        .spec = "opencl:pocl", .log = &messages_log, .cache_dir = folder.cache};
    for (int start = 0; start < 2; start++) {
        zm_device *device = NULL;
        const zm_kernel *kernel = NULL;
        zm_kernel_desc desc = {.name = "chain",
                               .family = ZM_FAMILY_CHAIN,
                               .options = "add 3 36 -DACT_TYPE=1\n",
                               .known_only = start > 0};
        assert_int_equal(zm_device_open(&params, &device), ZM_OK);
        assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_OK);
        desc.options = "add 3 36 -DACT_TYPE=2\n";
        desc.known_only = true;
        assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_NOT_FOUND);
        assert_int_equal(zm_device_built_kernels(device), start == 0);
        zm_device_close(&device);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return process_main(argv[1], argv[2]);
    program = argv[0];
    messages_log = capture_log(&messages, ZM_LOG_DEBUG);
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_second_start_builds_nothing),
        IN_FOLDER(chains_are_known_by_their_options),
        IN_FOLDER(damaged_files_are_replaced),
        IN_FOLDER(foreign_files_are_replaced),
        IN_FOLDER(programs_that_the_driver_refuses_are_replaced),
        IN_FOLDER(the_oldest_files_go_when_the_cache_is_full),
        IN_FOLDER(an_unusable_cache_folder_changes_nothing),
        IN_FOLDER(processes_share_the_cache),
    };
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
