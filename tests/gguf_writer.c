/* SPDX-License-Identifier: Apache-2.0 */
/* The GGUF writer against the reader, and models that are split into parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/gguf.h"
#include "format/metadata.h"
#include "scratch.h"
#include "support/random.h"

#define TENSORS 7
static const zm_model_tensor declared[TENSORS] = {
    {.name = "norm.weight", .dtype = ZM_F32, .rank = 1, .shape = {7}},
    {.name = "empty", .dtype = ZM_BF16, .rank = 2, .shape = {0, 9}},
    {.name = "blk.0.attn_q.weight", .dtype = ZM_Q4_K, .rank = 2, .shape = {3, 256}},
    {.name = "scalar", .dtype = ZM_F64, .rank = 0},
    {.name = "blk.0.ffn_up.weight", .dtype = ZM_Q8_0, .rank = 4, .shape = {2, 1, 3, 32}},
    {.name = "ids", .dtype = ZM_I64, .rank = 2, .shape = {2, 2}},
    {.name = "\xc3\xa9", .dtype = ZM_F16, .rank = 1, .shape = {3}},
};
static const uint64_t declared_bytes[TENSORS] = {28, 0, 432, 8, 204, 32, 6};

static const uint8_t numbers[24] = {1, 0, 1, 0, 0x80, 0x3f, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const zm_text texts[] = {{"llama", 5}, {"", 0}, {"a\0b", 3}, {"\xff", 1}};
static const zm_metadata_value inner[] = {
    {.type = ZM_METADATA_U16, .is_array = true, .count = 2, .numbers = numbers},
    {.type = ZM_METADATA_STRING, .is_array = true, .count = 4, .texts = texts},
    {.type = ZM_METADATA_ARRAY, .is_array = true},
    {.type = ZM_METADATA_ARRAY, .is_array = true, .count = 2, .arrays = inner},
};
static const zm_metadata_value values[] = {
    {.key = "arrays", .type = ZM_METADATA_ARRAY, .is_array = true, .count = 4, .arrays = inner},
    {.key = "general.architecture", .type = ZM_METADATA_STRING, .count = 1, .texts = texts},
    {.key = "texts", .type = ZM_METADATA_STRING, .is_array = true, .count = 4, .texts = texts},
    {.key = "none", .type = ZM_METADATA_F64, .is_array = true},
    {.key = "u8", .type = ZM_METADATA_U8, .count = 1, .numbers = numbers},
    {.key = "i8", .type = ZM_METADATA_I8, .count = 1, .numbers = numbers},
    {.key = "u16", .type = ZM_METADATA_U16, .count = 1, .numbers = numbers},
    {.key = "i16", .type = ZM_METADATA_I16, .is_array = true, .count = 8, .numbers = numbers},
    {.key = "u32", .type = ZM_METADATA_U32, .count = 1, .numbers = numbers},
    {.key = "i32", .type = ZM_METADATA_I32, .is_array = true, .count = 5, .numbers = numbers},
    {.key = "u64", .type = ZM_METADATA_U64, .count = 1, .numbers = numbers},
    {.key = "i64", .type = ZM_METADATA_I64, .is_array = true, .count = 3, .numbers = numbers},
    {.key = "f32", .type = ZM_METADATA_F32, .count = 1, .numbers = numbers + 2},
    {.key = "f64", .type = ZM_METADATA_F64, .count = 1, .numbers = numbers},
    {.key = "bool", .type = ZM_METADATA_BOOL, .is_array = true, .count = 4, .numbers = numbers},
};
#define VALUES (sizeof(values) / sizeof(values[0]))

static void fill(uint8_t *data, uint64_t size, uint64_t seed)
{
    for (uint64_t i = 0; i < size; i++)
        data[i] = (uint8_t)test_random(&seed);
}

/* Pieces take no heed of where tensors end. */
static void write_declared(const char *path, size_t piece)
{
    zm_tensor_writer *writer = NULL;
    uint8_t data[1024];
    size_t size = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        fill(data + size, declared_bytes[i], i);
        size += declared_bytes[i];
    }
    assert_int_equal(zm_gguf_writer_open(path, declared, TENSORS, values, VALUES, NULL, &writer),
                     ZM_OK);
    for (size_t at = 0; at < size; at += piece)
        assert_int_equal(
            zm_tensor_writer_write(writer, data + at, size - at < piece ? size - at : piece),
            ZM_OK);
    assert_false(zm_path_exists(path));
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
    assert_null(writer);
}

static const zm_model_tensor *find(const zm_gguf *file, const char *name)
{
    for (size_t i = 0; i < file->tensor_count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

static void assert_same_value(const zm_metadata_value *got, const zm_metadata_value *wanted)
{
    assert_non_null(got);
    assert_int_equal(got->type, wanted->type);
    assert_int_equal(got->is_array, wanted->is_array);
    assert_int_equal(got->count, wanted->count);
    for (uint64_t i = 0; wanted->arrays && i < wanted->count; i++)
        assert_same_value(&got->arrays[i], &wanted->arrays[i]);
    if (wanted->numbers)
        assert_memory_equal(got->numbers, wanted->numbers,
                            wanted->count * zm_metadata_type_size(wanted->type));
    for (uint64_t i = 0; wanted->texts && i < wanted->count; i++) {
        assert_int_equal(got->texts[i].length, wanted->texts[i].length);
        assert_memory_equal(got->texts[i].data, wanted->texts[i].data, got->texts[i].length);
    }
}

static void test_round_trip(void **state)
{
    const char *path = scratch_path(state, "out.gguf");
    zm_gguf *file = NULL;
    write_declared(path, 1024);
    assert_int_equal(zm_gguf_open(path, NULL, &file), ZM_OK);
    assert_int_equal(file->tensor_count, TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        uint8_t data[1024];
        const zm_model_tensor *tensor = find(file, declared[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, declared[i].dtype);
        assert_int_equal(tensor->rank, declared[i].rank);
        assert_memory_equal(tensor->shape, declared[i].shape, sizeof(tensor->shape));
        assert_int_equal(tensor->bytes, declared_bytes[i]);
        fill(data, tensor->bytes, i);
        assert_memory_equal(tensor->data, data, tensor->bytes);
    }
    assert_int_equal(file->parts[0].value_count, VALUES);
    for (size_t i = 0; i < VALUES; i++)
        assert_same_value(zm_metadata_find(file->parts[0].values, VALUES, values[i].key),
                          &values[i]);
    assert_int_equal(file->parts[0].map.size % 32, 0);
    zm_gguf_close(&file);
    assert_int_equal(scratch_count(*state), 1);
}

/* The same declarations give the same bytes, however the data comes. */
static void test_deterministic(void **state)
{
    char *contents[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        const char *path = scratch_path(state, i ? "one" : "two");
        write_declared(path, i ? 1 : 300);
        assert_int_equal(zm_file_read(path, 10000, NULL, &contents[i], &sizes[i]), ZM_OK);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(contents[0], contents[1], sizes[0]);
    free(contents[0]);
    free(contents[1]);
}

static void test_alignment(void **state)
{
    static const uint8_t alignment[4] = {0, 0x20}; /* 8192 */
    const zm_metadata_value value = {
        .key = "general.alignment", .type = ZM_METADATA_U32, .count = 1, .numbers = alignment};
    const zm_model_tensor tensors[] = {{.name = "b", .dtype = ZM_F16, .rank = 1, .shape = {1}},
                                       {.name = "a", .dtype = ZM_F16, .rank = 1, .shape = {1}}};
    const char *path = scratch_path(state, "out.gguf");
    zm_tensor_writer *writer = NULL;
    zm_gguf *file = NULL;
    assert_int_equal(zm_gguf_writer_open(path, tensors, 2, &value, 1, NULL, &writer), ZM_OK);
    assert_int_equal(zm_tensor_writer_write(writer, "bbaa", 4), ZM_OK);
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
    assert_int_equal(zm_gguf_open(path, NULL, &file), ZM_OK);
    assert_int_equal(file->parts[0].map.size, 3 * 8192);
    const uint8_t *base = file->parts[0].map.data;
    assert_ptr_equal(file->tensors[0].data, base + 2 * 8192);
    assert_ptr_equal(file->tensors[1].data, base + 8192);
    assert_memory_equal(file->tensors[0].data, "aa", 2);
    assert_memory_equal(file->tensors[1].data, "bb", 2);
    zm_gguf_close(&file);
}

static void test_wrong_amount(void **state)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_tensor_writer *writer = NULL;
    const char *path = scratch_path(state, "out");
    const zm_model_tensor one = {.name = "a", .dtype = ZM_F32, .rank = 1, .shape = {2}};
    assert_int_equal(zm_gguf_writer_open(path, &one, 1, NULL, 0, &log.log, &writer), ZM_OK);
    assert_int_equal(zm_tensor_writer_write(writer, "1234567", 7), ZM_OK);
    assert_int_equal(zm_tensor_writer_write(writer, "89", 2), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(log.error, "7 bytes of data were written, 8 declared"));
    assert_int_equal(zm_gguf_writer_open(path, &one, 1, NULL, 0, &log.log, &writer), ZM_OK);
    zm_tensor_writer_discard(&writer);
    assert_int_equal(scratch_count(*state), 0);
}

static void assert_undeclarable(void *const *state, const zm_model_tensor *tensors, size_t count,
                                const zm_metadata_value *value, size_t value_count)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_tensor_writer *writer = NULL;
    assert_int_equal(zm_gguf_writer_open(scratch_path(state, "out"), tensors, count, value,
                                         value_count, &log.log, &writer),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_null(writer);
    assert_int_equal(log.errors, 1);
    assert_int_equal(scratch_count(*state), 0);
}

static void test_undeclarable(void **state)
{
    const zm_model_tensor good = {.name = "a", .dtype = ZM_Q4_0, .rank = 2, .shape = {2, 32}};
    const zm_model_tensor bad[] = {
        {.dtype = ZM_F32},
        {.name = "", .dtype = ZM_F32},
        {.name = "a\n", .dtype = ZM_F32},
        {.name = "a"},
        {.name = "a", .dtype = ZM_U8},
        {.name = "a", .dtype = ZM_DTYPE_COUNT},
        {.name = "a", .dtype = ZM_F32, .rank = 5},
        {.name = "a", .dtype = ZM_Q4_0, .rank = 2, .shape = {32, 2}},
        {.name = "a", .dtype = ZM_Q4_0},
        {.name = "a", .dtype = ZM_F32, .rank = 1, .shape = {UINT64_MAX}},
        {.name = "a", .dtype = ZM_F32, .rank = 1, .shape = {UINT64_C(1) << 61}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_undeclarable(state, &bad[i], 1, NULL, 0);
    const zm_model_tensor twins[] = {good, good};
    assert_undeclarable(state, twins, 2, NULL, 0);

    const zm_metadata_value no_array[] = {{.type = ZM_METADATA_U8, .count = 1, .numbers = numbers}};
    const zm_metadata_value endless[] = {
        {.type = ZM_METADATA_ARRAY, .is_array = true, .count = 1, .arrays = endless}};
    const zm_metadata_value wrong[] = {
        {.type = ZM_METADATA_U8, .count = 1, .numbers = numbers},
        {.key = "", .type = ZM_METADATA_U8, .count = 1, .numbers = numbers},
        {.key = "k\x7f", .type = ZM_METADATA_U8, .count = 1, .numbers = numbers},
        {.key = "k", .count = 1, .numbers = numbers},
        {.key = "k", .type = ZM_METADATA_TYPE_COUNT, .count = 1, .numbers = numbers},
        {.key = "k", .type = ZM_METADATA_U8, .count = 2, .numbers = numbers},
        {.key = "k", .type = ZM_METADATA_U8, .count = 1},
        {.key = "k", .type = ZM_METADATA_STRING, .count = 1, .numbers = numbers},
        {.key = "k", .type = ZM_METADATA_BOOL, .count = 1, .numbers = numbers + 6},
        {.key = "k", .type = ZM_METADATA_ARRAY, .count = 1, .arrays = inner},
        {.key = "k", .type = ZM_METADATA_ARRAY, .is_array = true, .count = 1, .numbers = numbers},
        {.key = "k", .type = ZM_METADATA_ARRAY, .is_array = true, .count = 1, .arrays = no_array},
        {.key = "k", .type = ZM_METADATA_ARRAY, .is_array = true, .count = 1, .arrays = endless},
        {.key = "general.alignment", .type = ZM_METADATA_U8, .count = 1, .numbers = numbers},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_undeclarable(state, &good, 1, &wrong[i], 1);
    const zm_metadata_value twice[] = {values[4], values[4]};
    assert_undeclarable(state, &good, 1, twice, 2);
}

/* As many strings as large vocabularies have: each is found at once. */
static void test_many_strings(void **state)
{
    enum { COUNT = 150000 };
    char *letters = calloc(COUNT, 8);
    zm_text *list = calloc(COUNT, sizeof(*list));
    zm_tensor_writer *writer = NULL;
    zm_gguf *file = NULL;
    zm_text text;
    assert_true(letters && list);
    for (int i = 0; i < COUNT; i++)
        list[i] = (zm_text){letters + 8 * i, (size_t)snprintf(letters + 8 * i, 8, "%d", i)};
    const zm_metadata_value value = {.key = "tokens",
                                     .type = ZM_METADATA_STRING,
                                     .is_array = true,
                                     .count = COUNT,
                                     .texts = list};
    const char *path = scratch_path(state, "out.gguf");
    assert_int_equal(zm_gguf_writer_open(path, NULL, 0, &value, 1, NULL, &writer), ZM_OK);
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
    assert_int_equal(zm_gguf_open(path, NULL, &file), ZM_OK);
    for (int i = COUNT - 1; i >= 0; i--) {
        assert_true(zm_metadata_string(&file->parts[0].values[0], (uint64_t)i, &text));
        assert_true(text.length == list[i].length &&
                    memcmp(text.data, list[i].data, text.length) == 0);
    }
    zm_gguf_close(&file);
    free(letters);
    free(list);
}

/* ---- parts ---- */

enum { PARTS = 3 };

/* What a part says of itself. */
typedef struct part {
    const char *file;
    uint16_t no, count;
    int32_t tensors;  /* of all parts; < 0 = does not say */
    const char *name; /* of its tensor */
} part;

static const part parts[PARTS] = {{"m-00001-of-00003.gguf", 0, 3, 3, "c"},
                                  {"m-00002-of-00003.gguf", 1, 3, 3, "a"},
                                  {"m-00003-of-00003.gguf", 2, 3, 3, "b"}};

static void write_part(void *const *state, const part *p)
{
    const uint8_t no[2] = {(uint8_t)p->no, (uint8_t)(p->no >> 8)},
                  count[2] = {(uint8_t)p->count, (uint8_t)(p->count >> 8)};
    uint8_t tensors[4] = {(uint8_t)p->tensors};
    const zm_metadata_value about[] = {
        {.key = "split.no", .type = ZM_METADATA_U16, .count = 1, .numbers = no},
        {.key = "split.count", .type = ZM_METADATA_U16, .count = 1, .numbers = count},
        {.key = "split.tensors.count", .type = ZM_METADATA_I32, .count = 1, .numbers = tensors}};
    const zm_model_tensor tensor = {.name = p->name, .dtype = ZM_F16, .rank = 1, .shape = {1}};
    zm_tensor_writer *writer = NULL;
    assert_int_equal(zm_gguf_writer_open(scratch_path(state, p->file), &tensor, 1, about,
                                         p->tensors < 0 ? 2 : 3, NULL, &writer),
                     ZM_OK);
    const char data[2] = {p->name[0], p->name[0]};
    assert_int_equal(zm_tensor_writer_write(writer, data, 2), ZM_OK);
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
}

static void write_parts(void *const *state)
{
    for (int i = 0; i < PARTS; i++)
        write_part(state, &parts[i]);
}

static void test_parts(void **state)
{
    write_parts(state);
    for (int i = 0; i < PARTS; i++) {
        zm_gguf *file = NULL;
        assert_int_equal(zm_gguf_open(scratch_path(state, parts[i].file), NULL, &file), ZM_OK);
        assert_int_equal(file->part_count, PARTS);
        assert_int_equal(file->tensor_count, PARTS);
        for (int k = 0; k < PARTS; k++) {
            const char wanted[2] = {(char)('a' + k), '\0'};
            assert_string_equal(file->tensors[k].name, wanted);
            assert_int_equal(((const char *)file->tensors[k].data)[1], 'a' + k);
            assert_non_null(strstr(file->parts[k].path, parts[k].file));
        }
        zm_gguf_close(&file);
    }
}

/* Instead of the part of that number there is another file. */
static void assert_part_refused(void *const *state, int number, const part *instead,
                                zm_status status, const char *message)
{
    write_parts(state);
    if (instead)
        write_part(state, instead);
    else
        assert_int_equal(unlink(scratch_path(state, parts[number].file)), 0);
    for (int i = 0; i < PARTS; i++) {
        scratch_log log;
        scratch_log_init(&log);
        zm_gguf *file = NULL;
        if (i == number && !instead)
            continue;
        zm_status got = zm_gguf_open(scratch_path(state, parts[i].file), &log.log, &file);
        if (got != status || !strstr(log.error, message))
            print_error("expected '%s', got '%s'\n", message, log.error);
        assert_int_equal(got, status);
        assert_null(file);
        assert_int_equal(log.errors, 1);
        assert_non_null(strstr(log.error, message));
    }
}

static void test_part_refusals(void **state)
{
    const zm_status bad = ZM_ERROR_BAD_FORMAT;
    assert_part_refused(state, 1, NULL, ZM_ERROR_NOT_FOUND,
                        "m-00002-of-00003.gguf: is missing, part 2 of 3");
    part p = parts[1];
    p.no = 2;
    assert_part_refused(state, 1, &p, bad, "is part 3 of 3 by its metadata, but its name");
    p = parts[2];
    p.no = 3;
    assert_part_refused(state, 2, &p, bad, "is part 4 of 3 by its metadata");
    p = parts[2];
    p.name = "a";
    assert_part_refused(state, 2, &p, bad, "two tensors are called a");
    p = parts[0];
    p.tensors = 4;
    assert_part_refused(state, 0, &p, bad, "split.tensors.count is 4, the parts hold 3 tensors");
}

/* The count of one part is not that of the others, or absurd; a part alone by its metadata. */
static void test_part_counts(void **state)
{
    zm_gguf *file = NULL;
    scratch_log log;
    static const part odd[] = {{"m-00002-of-00003.gguf", 1, 2, 3, "a"},
                               {"m-00002-of-00003.gguf", 1, 65535, 3, "a"},
                               {"m-00002-of-00003.gguf", 1, 0, 3, "a"},
                               {"m-00002-of-00003.gguf", 0, 0, 3, "a"},
                               {"m-00002-of-00003.gguf", 0, 1, 3, "a"}};
    static const char *const messages[] = {
        "is part 2 of 2 by its metadata", "split.count is no integer from 0 to 1024",
        "is part 2 of 1 by its metadata", "is not a part of", "is not a part of"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        scratch_log_init(&log);
        write_parts(state);
        write_part(state, &odd[i]);
        assert_int_equal(zm_gguf_open(scratch_path(state, parts[0].file), &log.log, &file),
                         ZM_ERROR_BAD_FORMAT);
        if (!strstr(log.error, messages[i]))
            print_error("expected '%s', got '%s'\n", messages[i], log.error);
        assert_non_null(strstr(log.error, messages[i]));
        assert_null(file);
    }
    const part renamed = {"part-1.gguf", 0, 3, 3, "a"},
               silent = {"s-00001-of-00001.gguf", 0, 1, -1, "a"};
    write_part(state, &renamed);
    write_part(state, &silent);
    scratch_log_init(&log);
    assert_int_equal(zm_gguf_open(scratch_path(state, renamed.file), &log.log, &file),
                     ZM_ERROR_BAD_FORMAT);
    assert_non_null(strstr(log.error, "its name does not end in -00001-of-00003.gguf"));
    assert_int_equal(zm_gguf_open(scratch_path(state, silent.file), NULL, &file), ZM_OK);
    assert_int_equal(file->part_count, 1);
    zm_gguf_close(&file);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_round_trip),   IN_FOLDER(test_deterministic), IN_FOLDER(test_alignment),
        IN_FOLDER(test_wrong_amount), IN_FOLDER(test_undeclarable),  IN_FOLDER(test_many_strings),
        IN_FOLDER(test_parts),        IN_FOLDER(test_part_refusals), IN_FOLDER(test_part_counts),
    };
    return cmocka_run_group_tests_name("gguf_writer", tests, NULL, NULL);
}
