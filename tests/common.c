/* SPDX-License-Identifier: Apache-2.0 */
/* Files, hashes and checked sizes. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/hash.h"
#include "scratch.h"

/* ---- alloc ---- */

static void test_checked_sizes(void **state)
{
    (void)state;
    uint64_t out = 7;
    assert_true(zm_mul_u64(1ull << 32, (1ull << 32) - 1, &out));
    assert_int_equal(out, 0xffffffff00000000ull);
    assert_false(zm_mul_u64(1ull << 32, 1ull << 32, &out));
    assert_int_equal(out, 0xffffffff00000000ull);
    assert_true(zm_mul_u64(0, UINT64_MAX, &out));
    assert_int_equal(out, 0);
    assert_true(zm_add_u64(UINT64_MAX, 0, &out));
    assert_int_equal(out, UINT64_MAX);
    assert_false(zm_add_u64(UINT64_MAX, 1, &out));
    assert_int_equal(out, UINT64_MAX);
}

static void test_arrays(void **state)
{
    (void)state;
    char *none = zm_calloc(0, 0);
    assert_non_null(none);
    free(none);
    volatile size_t huge = SIZE_MAX; /* volatile: compilers warn of sizes that they see through */
    assert_null(zm_calloc(huge / 2, 3));
    assert_null(zm_aligned_calloc(64, huge - 3));
    char *aligned = zm_aligned_calloc(256, 100);
    assert_non_null(aligned);
    assert_int_equal((uintptr_t)aligned % 256, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(aligned[i], 0);
    free(aligned);
    void *array = NULL;
    size_t capacity = 0;
    for (size_t n = 1; n <= 1000; n++) {
        assert_true(zm_array_reserve(&array, &capacity, n, sizeof(uint32_t)));
        assert_true(capacity >= n);
        ((uint32_t *)array)[n - 1] = (uint32_t)n;
    }
    for (size_t n = 1; n <= 1000; n++)
        assert_int_equal(((uint32_t *)array)[n - 1], n);
    void *before = array;
    assert_false(zm_array_reserve(&array, &capacity, SIZE_MAX / 2, sizeof(uint32_t)));
    assert_ptr_equal(array, before);
    free(array);
}

/* ---- hash: the examples of FIPS 180-4 and NIST's long message ---- */

static void assert_hash(const char *text, size_t repeat, size_t piece, const char *expected)
{
    size_t length = strlen(text), total = length * repeat;
    char *message = malloc(total + 1), hex[65];
    assert_non_null(message);
    for (size_t i = 0; i < repeat; i++)
        memcpy(message + i * length, text, length);
    zm_sha256 hash;
    zm_sha256_init(&hash);
    for (size_t i = 0; i < total; i += piece)
        zm_sha256_update(&hash, message + i, total - i < piece ? total - i : piece);
    zm_sha256_finish(&hash, hex);
    free(message);
    assert_string_equal(hex, expected);
}

static void test_sha256(void **state)
{
    (void)state;
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static const size_t pieces[] = {1, 3, 55, 56, 63, 64, 65, 1000, 1u << 20};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        size_t piece = pieces[i];
        assert_hash("", 1, piece,
                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_hash("abc", 1, piece,
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_hash(two_blocks, 1, piece,
                    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        assert_hash("a", 1000000, piece,
                    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

/* ---- reading ---- */

static void test_map(void **state)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_map map = {0};
    const char *path = scratch_path(state, "file");
    char content[20000];
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (char)(i * 7);
    scratch_write(path, content, sizeof(content));
    assert_int_equal(zm_map_open(path, &log.log, &map), ZM_OK);
    assert_int_equal(map.size, sizeof(content));
    assert_memory_equal(map.data, content, sizeof(content));
    /* dropping, even with silly ranges, does not change what is read */
    zm_map_drop(&map, map.data + 5000, 10000);
    zm_map_drop(&map, map.data, sizeof(content) + 1);
    zm_map_drop(&map, content, 10);
    zm_map_drop(&map, map.data + 10, UINT64_MAX);
    assert_memory_equal(map.data, content, sizeof(content));
    zm_map_close(&map);
    assert_null(map.data);
    zm_map_close(&map);
    scratch_write(path, "", 0);
    assert_int_equal(zm_map_open(path, &log.log, &map), ZM_OK);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    zm_map_close(&map);
    assert_int_equal(log.errors, 0);
}

static void assert_unreadable(const char *path, zm_status expected)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_map map = {0};
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(zm_map_open(path, &log.log, &map), expected);
    assert_non_null(strstr(log.error, path));
    assert_int_equal(zm_file_read(path, 100, &log.log, &text, &size), expected);
    assert_int_equal(log.errors, 2);
    assert_null(map.data);
    assert_null(text);
}

static void test_unreadable(void **state)
{
    assert_unreadable(scratch_path(state, "missing"), ZM_ERROR_NOT_FOUND);
    assert_unreadable(*state, ZM_ERROR_IO);
    assert_unreadable("/dev/null", ZM_ERROR_IO);
    const char *fifo = scratch_path(state, "fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_unreadable(fifo, ZM_ERROR_IO);
}

static void test_read(void **state)
{
    scratch_log log;
    scratch_log_init(&log);
    char *text = NULL;
    size_t size = 0;
    const char *path = scratch_path(state, "text");
    scratch_write(path, "four", 4);
    assert_int_equal(zm_file_read(path, 4, &log.log, &text, &size), ZM_OK);
    assert_int_equal(size, 4);
    assert_string_equal(text, "four");
    free(text);
    text = NULL;
    assert_int_equal(zm_file_read(path, 3, &log.log, &text, &size), ZM_ERROR_LIMIT);
    assert_null(text);
    assert_non_null(strstr(log.error, "at most 3"));
}

/* ---- writing ---- */

static void assert_content(const char *path, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(zm_file_read(path, 1000, NULL, &text, &size), ZM_OK);
    assert_string_equal(text, expected);
    free(text);
}

static void test_write(void **state)
{
    zm_writer writer;
    const char *path = scratch_path(state, "out");
    assert_int_equal(zm_writer_open(&writer, path, NULL), ZM_OK);
    assert_false(zm_path_exists(path));
    assert_int_equal(zm_writer_write(&writer, "one", 3), ZM_OK);
    assert_int_equal(zm_writer_write(&writer, "two", 3), ZM_OK);
    assert_int_equal(writer.written, 6);
    assert_false(zm_path_exists(path));
    assert_int_equal(zm_writer_commit(&writer), ZM_OK);
    zm_writer_discard(&writer);
    assert_content(path, "onetwo");
    assert_int_equal(scratch_count(*state), 1);
    struct stat info;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0666 & ~mask);
    /* a file that is there is replaced whole; a discarded writer changes nothing */
    assert_int_equal(zm_writer_open(&writer, path, NULL), ZM_OK);
    assert_int_equal(zm_writer_write(&writer, "lost", 4), ZM_OK);
    zm_writer_discard(&writer);
    zm_writer_discard(&writer);
    assert_content(path, "onetwo");
    assert_int_equal(zm_writer_open(&writer, path, NULL), ZM_OK);
    assert_int_equal(zm_writer_write(&writer, "new", 3), ZM_OK);
    assert_int_equal(zm_writer_commit(&writer), ZM_OK);
    assert_content(path, "new");
    assert_int_equal(scratch_count(*state), 1);
}

static void test_two_writers(void **state)
{
    zm_writer a, b;
    const char *path = scratch_path(state, "out");
    assert_int_equal(zm_writer_open(&a, path, NULL), ZM_OK);
    assert_int_equal(zm_writer_open(&b, path, NULL), ZM_OK);
    assert_int_equal(zm_writer_write(&a, "aaaa", 4), ZM_OK);
    assert_int_equal(zm_writer_write(&b, "b", 1), ZM_OK);
    assert_int_equal(zm_writer_commit(&a), ZM_OK);
    assert_content(path, "aaaa");
    assert_int_equal(zm_writer_commit(&b), ZM_OK);
    assert_content(path, "b");
    assert_int_equal(scratch_count(*state), 1);
}

static void test_write_failures(void **state)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_writer writer = {.fd = -1};
    zm_writer_discard(&writer);
    assert_int_equal(zm_writer_open(&writer, scratch_path(state, "no/such"), &log.log),
                     ZM_ERROR_IO);
    assert_int_equal(log.errors, 1);
    assert_non_null(strstr(log.error, "no/such"));
    assert_int_equal(zm_writer_write(&writer, "x", 1), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_writer_commit(&writer), ZM_ERROR_INVALID_ARGUMENT);
    /* the target is a folder: rename fails and nothing stays */
    const char *folder = scratch_path(state, "folder");
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(zm_writer_open(&writer, folder, &log.log), ZM_OK);
    assert_int_equal(zm_writer_write(&writer, "x", 1), ZM_OK);
    assert_int_equal(zm_writer_commit(&writer), ZM_ERROR_IO);
    assert_int_equal(scratch_count(*state), 1);
    assert_int_equal(rmdir(folder), 0);
}

/* A full disk, played by the limit on the size of files. */
static void test_write_full(void **state)
{
    scratch_log log;
    scratch_log_init(&log);
    struct rlimit before, small;
    static const char data[10000];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    zm_writer writer;
    assert_int_equal(zm_writer_open(&writer, scratch_path(state, "out"), &log.log), ZM_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    zm_status status = zm_writer_write(&writer, data, sizeof(data));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, ZM_ERROR_IO);
    assert_non_null(strstr(log.error, strerror(EFBIG)));
    assert_int_equal(zm_writer_commit(&writer), ZM_ERROR_INVALID_ARGUMENT);
    zm_writer_discard(&writer);
    assert_int_equal(scratch_count(*state), 0);
}

/* ---- paths ---- */

static void assert_join(const char *directory, const char *name, const char *expected)
{
    char *path = zm_path_join(directory, name);
    assert_non_null(path);
    assert_string_equal(path, expected);
    free(path);
}

static void test_paths(void **state)
{
    assert_join("a", "b", "a/b");
    assert_join("a/", "b", "a/b");
    assert_join("/", "b", "/b");
    assert_join("", "b", "b");
    assert_true(zm_path_is_directory(*state));
    const char *deep = scratch_path(state, "x/y//z/");
    assert_int_equal(zm_make_directories(deep, NULL), ZM_OK);
    assert_int_equal(zm_make_directories(deep, NULL), ZM_OK);
    assert_true(zm_path_is_directory(deep));
    struct stat info;
    assert_int_equal(stat(deep, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    scratch_log log;
    scratch_log_init(&log);
    const char *file = scratch_path(state, "x/file");
    scratch_write(file, "", 0);
    assert_false(zm_path_is_directory(file));
    assert_true(zm_path_exists(file));
    assert_int_equal(zm_make_directories(scratch_path(state, "x/file/y"), &log.log), ZM_ERROR_IO);
    assert_int_equal(zm_make_directories(file, &log.log), ZM_ERROR_IO);
    assert_int_equal(log.errors, 2);
    const char *link = scratch_path(state, "dangling");
    assert_int_equal(symlink("nowhere", link), 0);
    assert_true(zm_path_exists(link));
    assert_false(zm_path_is_directory(link));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checked_sizes),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_sha256),
        IN_FOLDER(test_map),
        IN_FOLDER(test_unreadable),
        IN_FOLDER(test_read),
        IN_FOLDER(test_write),
        IN_FOLDER(test_two_writers),
        IN_FOLDER(test_write_failures),
        IN_FOLDER(test_write_full),
        IN_FOLDER(test_paths),
    };
    return cmocka_run_group_tests_name("common", tests, NULL, NULL);
}
