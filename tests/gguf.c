/* SPDX-License-Identifier: Apache-2.0 */
/* The GGUF reader against files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/convert.h>

#include "format/gguf.h"
#include "format/metadata.h"
#include "scratch.h"

#define BAD ZM_ERROR_BAD_FORMAT
#define UNSUPPORTED ZM_ERROR_UNSUPPORTED

/* Bytes of a file in the making. */
typedef struct bytes {
    uint8_t data[4096];
    size_t size;
} bytes;

static void put(bytes *b, const void *data, size_t size)
{
    assert_true(b->size + size <= sizeof(b->data));
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void put_integer(bytes *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i);
        put(b, &byte, 1);
    }
}

/* A tensor as the file describes it, with the innermost dimension first. */
typedef struct entry {
    const char *name; /* NULL ends the list */
    uint32_t rank;
    uint64_t shape[5];
    uint32_t type;
    uint64_t offset;
} entry;

/* A file that is good where nothing else is said: zeros are defaults. */
typedef struct crafted {
    const char *magic;
    uint32_t version;
    uint64_t more_tensors, more_values; /* claimed beyond those that are there */
    const char *values;                 /* raw: what is in the file */
    size_t values_size;
    uint64_t value_count;
    entry tensors[3];
    uint32_t alignment;
    size_t data; /* bytes that count up from 0 */
} crafted;

static void craft(bytes *b, const crafted *c)
{
    uint64_t count = 0;
    while (count < 3 && c->tensors[count].name)
        count++;
    b->size = 0;
    put(b, c->magic ? c->magic : "GGUF", 4);
    put_integer(b, c->version ? c->version : 3, 4);
    put_integer(b, count + c->more_tensors, 8);
    put_integer(b, c->value_count + c->more_values, 8);
    put(b, c->values, c->values_size);
    for (uint64_t i = 0; i < count; i++) {
        const entry *tensor = &c->tensors[i];
        put_integer(b, strlen(tensor->name), 8);
        put(b, tensor->name, strlen(tensor->name));
        put_integer(b, tensor->rank, 4);
        for (uint32_t k = 0; k < tensor->rank && k < 5; k++)
            put_integer(b, tensor->shape[k], 8);
        put_integer(b, tensor->type, 4);
        put_integer(b, tensor->offset, 8);
    }
    while (c->data && b->size % (c->alignment ? c->alignment : 32) != 0)
        put_integer(b, 0xee, 1);
    for (size_t i = 0; i < c->data; i++)
        put_integer(b, i, 1);
}

static const char *craft_file(void *const *state, const crafted *c)
{
    bytes b;
    const char *path = scratch_path(state, "crafted.gguf");
    craft(&b, c);
    scratch_write(path, b.data, b.size);
    return path;
}

/* ---- refusals ---- */

static void assert_refused(const char *path, zm_status status, const char *message)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_gguf *file = NULL;
    zm_status got = zm_gguf_open(path, &log.log, &file);
    if (got != status || !strstr(log.error, message))
        print_error("expected '%s', got %s '%s'\n", message, zm_status_name(got), log.error);
    assert_int_equal(got, status);
    assert_null(file);
    assert_int_equal(log.errors, 1);
    assert_non_null(strstr(log.error, message));
    for (const char *c = log.error; *c; c++)
        assert_true((unsigned char)*c >= 0x20);
    assert_int_equal(zm_gguf_open(path, NULL, &file), status);
}

typedef struct refusal {
    zm_status status;
    const char *message; /* part of it */
    crafted file;
} refusal;

static const refusal header_refusals[] = {
    {BAD, "does not begin with GGUF", {.magic = "GGML"}},
    {BAD, "does not begin with GGUF", {.magic = "FUGG"}},
    {UNSUPPORTED, "version 1, supported are 2 and 3", {.version = 1}},
    {UNSUPPORTED, "version 4, supported are 2 and 3", {.version = 4}},
    {UNSUPPORTED, "big-endian", {.version = 0x03000000}},
    {UNSUPPORTED, "big-endian", {.version = 0x02000000}},
    {BAD, "claims 1 tensors", {.more_tensors = 1}},
    {BAD, "claims 18446744073709551615 tensors", {.more_tensors = UINT64_MAX}},
    {BAD, "claims 1 entries", {.more_values = 1}},
    {BAD, "claims 9223372036854775808 entries", {.more_values = UINT64_C(1) << 63}},
    {BAD, "ends in a key of the metadata", {.more_values = 1, .data = 64}}, /* a length of 0xee.. */
};

/* A key of one letter; the number of a type; little numbers. */
#define KEY(letter) "\1\0\0\0\0\0\0\0" letter
#define N4(digit) digit "\0\0\0"
#define N8(digit) digit "\0\0\0\0\0\0\0"
#define MOST8 "\377\377\377\377\377\377\377\377"
#define HALF8 "\0\0\0\0\0\0\0\40" /* 2^61 */
/* An array of so many arrays; a value of arrays in arrays, 7 deep. */
#define ARRAYS(count) N4("\11") N4("\11") N8(count)
#define IN2 N4("\11") N8("\1") N4("\11") N8("\1")
#define NESTED N4("\11") IN2 IN2 IN2 N4("\11") N8("\1")
#define RAW(literal) .values = (literal), .values_size = sizeof(literal) - 1
#define VALUE(literal)                 \
    {                                  \
        RAW(literal), .value_count = 1 \
    }
#define ALIGNMENT "\21\0\0\0\0\0\0\0general.alignment"

static const refusal value_refusals[] = {
    {BAD, "a key of the metadata at byte 24 is empty", VALUE(N8("\0") N4("\0") "\0\0\0\0\0\0")},
    {BAD, "has control characters", VALUE(KEY("\n") N4("\0") "\0")},
    {BAD, "has control characters", VALUE(KEY("\177") N4("\0") "\0")},
    {BAD, "has control characters", VALUE(KEY("\0") N4("\0") "\0")},
    {BAD, "ends in a key of the metadata", VALUE(MOST8 "a" N4("\0") "\0")},
    {BAD, "ends in a key of the metadata", VALUE(N8("\7") "a" N4("\0") "\0")},
    {BAD, "k has a value of type 13", VALUE(KEY("k") N4("\15") "\0")},
    {BAD, "k has a value of type 4294967295",
     VALUE(KEY("k") "\377\377\377\377"
                    "\0")},
    {BAD, "k has a value of type 77", VALUE(KEY("k") N4("\11") N4("\115") N8("\0"))},
    {BAD, "k claims 2 arrays", VALUE(KEY("k") ARRAYS("\2") N4("\0") N8("\0") "1234567")},
    {BAD, "k claims 18446744073709551615 arrays", VALUE(KEY("k") N4("\11") N4("\11") MOST8)},
    {BAD, "k has a value of type 13", VALUE(KEY("k") ARRAYS("\1") N4("\15") N8("\0"))},
    {BAD, "ends in k", VALUE(KEY("k") ARRAYS("\1") N4("\0") N8("\1"))},
    {BAD, "ends in k",
     VALUE(KEY("k") ARRAYS("\2") N4("\10") N8("\1") N8("\4") "abcd" N4("\0") "12")},
    {BAD, "k is a bool of value 2", VALUE(KEY("k") ARRAYS("\1") N4("\7") N8("\1") "\2")},
    {UNSUPPORTED, "k has arrays in arrays, more than 8 deep",
     VALUE(KEY("k") NESTED N4("\11") N8("\0"))},
    {BAD, "ends in k", VALUE(KEY("k") N4("\12") "\0\0\0\0\0\0\0")},
    {BAD, "ends in k", VALUE(KEY("k") N4("\10") MOST8)},
    {BAD, "ends in k", VALUE(KEY("k") N4("\10") N8("\2") "a")},
    {BAD, "ends in k", VALUE(KEY("k") N4("\11") N4("\0") N8("\3") "ab")},
    {BAD, "ends in k", VALUE(KEY("k") N4("\11") N4("\12") HALF8 "ab")}, /* 2^61 * 8 = 0 */
    {BAD, "ends in k", VALUE(KEY("k") N4("\11") N4("\14") MOST8)},
    {BAD, "k claims 2 strings", VALUE(KEY("k") N4("\11") N4("\10") N8("\2") N8("\0"))},
    {BAD, "k claims 18446744073709551615", VALUE(KEY("k") N4("\11") N4("\10") MOST8 N8("\0"))},
    {BAD, "ends in k", VALUE(KEY("k") N4("\11") N4("\10") N8("\1") N8("\1"))},
    {BAD, "k is a bool of value 2", VALUE(KEY("k") N4("\7") "\2")},
    {BAD, "k is a bool of value 255", VALUE(KEY("k") N4("\11") N4("\7") N8("\2") "\1\377")},
    {BAD, "has k twice", {RAW(KEY("k") N4("\0") "a" KEY("k") N4("\0") "b"), .value_count = 2}},
    {BAD, "general.alignment is no power of two", VALUE(ALIGNMENT N4("\4") "\0\0\0\0")},
    {BAD, "general.alignment is no power of two", VALUE(ALIGNMENT N4("\4") "\4\0\0\0")},
    {BAD, "general.alignment is no power of two", VALUE(ALIGNMENT N4("\4") "\60\0\0\0")},
    {BAD, "general.alignment is no power of two", VALUE(ALIGNMENT N4("\4") "\0\0\2\0")},
    {BAD, "general.alignment is no power of two", VALUE(ALIGNMENT N4("\5") "\377\377\377\377")},
    {BAD, "general.alignment is no power of two", VALUE(ALIGNMENT N4("\10") N8("\1") "8")},
    {BAD, "general.alignment is no power", VALUE(ALIGNMENT N4("\11") N4("\0") N8("\1") "\40")},
};

#define ONE(...)                                \
    {                                           \
        .tensors = {{__VA_ARGS__}}, .data = 128 \
    }
#define TWO(first, first_at, second, second_at)                                                    \
    {                                                                                              \
        .tensors = {{"a", 1, {first}, 0, first_at}, {"b", 1, {second}, 0, second_at}}, .data = 128 \
    }

static const refusal tensor_refusals[] = {
    {BAD, "the name of a tensor at byte 24 is empty", ONE("", 1, {32}, 0, 0)},
    {BAD, "the name of a tensor at byte 24 is empty, has control", ONE("a\033", 1, {32}, 0, 0)},
    {UNSUPPORTED, "tensor a: rank 5 is over", ONE("a", 5, {1, 1, 1, 1, 1}, 0, 0)},
    {UNSUPPORTED, "tensor a: rank 4294967295 is over", ONE("a", UINT32_MAX, {1}, 0, 0)},
    {UNSUPPORTED, "tensor a has type IQ2_XXS, which is not supp", ONE("a", 1, {256}, 16, 0)},
    {UNSUPPORTED, "tensor a has type Q4_2, which is not supported", ONE("a", 1, {32}, 4, 0)},
    {UNSUPPORTED, "tensor a has type MXFP4, which is not supported", ONE("a", 1, {32}, 39, 0)},
    {UNSUPPORTED, "tensor a has type number 42, which is not k", ONE("a", 1, {32}, 42, 0)},
    {UNSUPPORTED, "tensor a has type number 4294967295", ONE("a", 1, {32}, UINT32_MAX, 0)},
    {BAD, "tensor a: the product of its shape", ONE("a", 2, {1ull << 32, 1ull << 32}, 0, 0)},
    {BAD, "tensor a: the product", ONE("a", 3, {0, 1ull << 32, 1ull << 32}, 0, 0)},
    {BAD, "tensor a: the product of its shape overflows", ONE("a", 1, {1ull << 62}, 0, 0)},
    {BAD, "tensor a: the product of its shape overflows", ONE("a", 1, {1ull << 61}, 28, 0)},
    {BAD, "tensor a: its rows are no whole number of blocks", ONE("a", 1, {33}, 2, 0)},
    {BAD, "tensor a: its rows are no whole number", ONE("a", 2, {16, 2}, 2, 0)},
    {BAD, "tensor a: its rows are no whole number", ONE("a", 1, {128}, 12, 0)},
    {BAD, "tensor a: its rows are no whole number", ONE("a", 0, {0}, 2, 0)},
    {BAD, "tensor a begins at byte 4 of the data, which is no mul", ONE("a", 1, {1}, 0, 4)},
    {BAD, "tensor a begins at byte 160 of the data, which has", ONE("a", 1, {0}, 0, 160)},
    {BAD, "tensor a begins at byte 18446744073709551584", ONE("a", 1, {32}, 0, UINT64_MAX - 31)},
    {BAD, "tensor a has 132 bytes from byte 0 of the data on, wh", ONE("a", 1, {33}, 0, 0)},
    {BAD, "tensor a has 128 bytes from byte 32 of the data on", ONE("a", 1, {32}, 0, 32)},
    {BAD, "tensor a has 4611686018427387904 bytes", ONE("a", 1, {1ull << 60}, 0, 0)},
    {BAD, "tensor a has 144 bytes from byte 0", ONE("a", 1, {256}, 12, 0)},
    {BAD, "tensor b overlaps tensor a", TWO(8, 0, 8, 0)},
    {BAD, "tensor b overlaps tensor a", TWO(9, 0, 8, 32)},
    {BAD, "tensor a overlaps tensor b", TWO(8, 32, 9, 0)},
    {BAD, "tensor b overlaps tensor a", TWO(32, 0, 1, 96)},
    {BAD,
     "two tensors are called a",
     {.tensors = {{"a", 1, {8}, 0, 0}, {"b", 1, {8}, 0, 32}, {"a", 1, {8}, 0, 64}}, .data = 128}},
};

static void refuse_all(void *const *state, const refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_refused(craft_file(state, &refusals[i].file), refusals[i].status,
                       refusals[i].message);
}

#define REFUSE_ALL(state, list) refuse_all(state, list, sizeof(list) / sizeof((list)[0]))

static void test_refusals(void **state)
{
    REFUSE_ALL(state, header_refusals);
    REFUSE_ALL(state, value_refusals);
    REFUSE_ALL(state, tensor_refusals);
    assert_refused(scratch_path(state, "missing"), ZM_ERROR_NOT_FOUND, "cannot open");
    assert_refused(*state, ZM_ERROR_IO, "not a regular file");
    const char *empty = scratch_path(state, "empty");
    scratch_write(empty, "", 0);
    assert_refused(empty, BAD, "does not begin with GGUF");
}

static const crafted good = {
    RAW(KEY("k") N4("\11") N4("\10") N8("\2") N8("\1") "x" N8("\0") KEY("b") N4("\7") "\1"),
    .value_count = 2, .tensors = {{"a", 2, {32, 2}, 2, 0}, {"b", 1, {3}, 1, 64}}, .data = 70};

/* Every beginning of a good file is refused. */
static void test_truncated(void **state)
{
    bytes b;
    const char *path = scratch_path(state, "truncated.gguf");
    zm_gguf *file = NULL;
    craft(&b, &good);
    for (size_t size = 0; size < b.size; size++) {
        scratch_write(path, b.data, size);
        assert_int_equal(zm_gguf_open(path, NULL, &file), BAD);
    }
    scratch_write(path, b.data, b.size);
    assert_int_equal(zm_gguf_open(path, NULL, &file), ZM_OK);
    zm_gguf_close(&file);
}

/* ---- what is accepted ---- */

static void test_shapes(void **state)
{
    zm_gguf *file = NULL;
    assert_int_equal(zm_gguf_open(craft_file(state, &good), NULL, &file), ZM_OK);
    assert_int_equal(file->tensor_count, 2);
    const zm_model_tensor *a = &file->tensors[0], *b = &file->tensors[1];
    assert_string_equal(a->name, "a");
    assert_int_equal(a->dtype, ZM_Q4_0);
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->shape[0], 2); /* outermost first */
    assert_int_equal(a->shape[1], 32);
    assert_int_equal(a->elements, 64);
    assert_int_equal(a->bytes, 36);
    assert_memory_equal(a->data, "\0\1\2", 3);
    assert_int_equal(b->dtype, ZM_F16);
    assert_int_equal(b->bytes, 6);
    assert_memory_equal(b->data, "\100\101\102", 3);
    zm_gguf_close(&file);
    assert_null(file);
    zm_gguf_close(&file);
    zm_gguf_close(NULL);
}

/* Version 2, another alignment, a scalar, no elements, holes, any order. */
static void test_unusual_but_valid(void **state)
{
    zm_gguf *file = NULL;
    const crafted unusual = {
        .version = 2,
        RAW(ALIGNMENT N4("\4") "\100\0\0\0"),
        .value_count = 1,
        .tensors = {{"z", 1, {5}, 26, 128}, {"s", 0, {0}, 28, 0}, {"e", 2, {0, 7}, 0, 64}},
        .alignment = 64,
        .data = 200};
    assert_int_equal(zm_gguf_open(craft_file(state, &unusual), NULL, &file), ZM_OK);
    assert_int_equal(file->tensor_count, 3);
    assert_string_equal(file->tensors[0].name, "e");
    assert_int_equal(file->tensors[0].elements, 0);
    assert_int_equal(file->tensors[1].elements, 1);
    assert_int_equal(file->tensors[1].bytes, 8);
    assert_memory_equal(file->tensors[1].data, "\0\1\2\3", 4);
    assert_int_equal(((const uint8_t *)file->tensors[2].data)[0], 128);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal((uintptr_t)file->tensors[i].data % 8, 0);
    zm_gguf_close(&file);

    const crafted nothing = {0}, empty = {.tensors = {{"e", 1, {0}, 0, 0}}};
    assert_int_equal(zm_gguf_open(craft_file(state, &nothing), NULL, &file), ZM_OK);
    assert_int_equal(file->tensor_count, 0);
    zm_gguf_close(&file);
    assert_int_equal(zm_gguf_open(craft_file(state, &empty), NULL, &file), ZM_OK);
    assert_int_equal((uintptr_t)file->tensors[0].data % 8, 0);
    zm_gguf_close(&file);
}

/* No model has them, but a file may. */
static void test_integer_tensors(void **state)
{
    static const struct {
        uint32_t type;
        zm_dtype dtype;
    } types[] = {{24, ZM_I8}, {25, ZM_I16}, {26, ZM_I32}, {27, ZM_I64}, {28, ZM_F64}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const crafted one = ONE("a", 1, {9}, types[i].type, 0);
        zm_gguf *file = NULL;
        assert_int_equal(zm_gguf_open(craft_file(state, &one), NULL, &file), ZM_OK);
        assert_int_equal(file->tensors[0].dtype, types[i].dtype);
        assert_int_equal(file->tensors[0].bytes, 9 * zm_dtype_size(types[i].dtype));
        zm_gguf_close(&file);
    }
}

static const zm_metadata_value *find(const zm_gguf *file, const char *key)
{
    return zm_metadata_find(file->parts[0].values, file->parts[0].value_count, key);
}

static void test_values(void **state)
{
    zm_gguf *file = NULL;
    const crafted values = {
        RAW(KEY("u") N4("\12") MOST8 KEY("i") N4("\11") N4("\1") N8("\2") "\377\177" KEY("f")
                N4("\6") "\0\0\300\277" KEY("d") N4("\14") "\0\0\0\0\0\0\370\277" KEY("b")
                    N4("\7") "\1" KEY("s") N4("\10") N8("\3") "a\0b" KEY("t") N4("\11") N4("\10")
                        N8("\2") N8("\0") N8("\2") "xy" KEY("n") N4("\11") N4("\4") N8("\0")
                            KEY("a") ARRAYS("\3") N4("\3") N8("\1") "\376\377" N4("\10") N8("\2")
                                N8("\0") N8("\1") "x" N4("\11") N8("\1") N4("\0") N8("\0") KEY("8")
                                    NESTED N4("\0") N8("\3") "abc"),
        .value_count = 10};
    int64_t integer = 5;
    double real = 5;
    bool truth = false;
    zm_text text = {"5", 1};
    assert_int_equal(zm_gguf_open(craft_file(state, &values), NULL, &file), ZM_OK);
    assert_false(zm_metadata_integer(find(file, "u"), 0, &integer)); /* over INT64_MAX */
    assert_true(zm_metadata_real(find(file, "u"), 0, &real) && real == 0x1p64);
    assert_true(zm_metadata_integer(find(file, "i"), 0, &integer) && integer == -1);
    assert_true(zm_metadata_integer(find(file, "i"), 1, &integer) && integer == 127);
    assert_true(zm_metadata_real(find(file, "i"), 0, &real) && real == -1);
    assert_true(zm_metadata_real(find(file, "f"), 0, &real) && real == -1.5);
    assert_true(zm_metadata_real(find(file, "d"), 0, &real) && real == -1.5);
    assert_true(zm_metadata_bool(find(file, "b"), 0, &truth) && truth);
    assert_true(zm_metadata_string(find(file, "s"), 0, &text) && text.length == 3);
    assert_memory_equal(text.data, "a\0b", 4);
    assert_true(zm_metadata_string(find(file, "t"), 0, &text) && text.length == 0);
    assert_true(zm_metadata_string(find(file, "t"), 1, &text) && text.length == 2);
    assert_memory_equal(text.data, "xy", 2);
    assert_true(find(file, "n")->is_array && find(file, "n")->count == 0);
    const zm_metadata_value *arrays = find(file, "a")->arrays;
    assert_true(find(file, "a")->type == ZM_METADATA_ARRAY && find(file, "a")->count == 3);
    assert_true(arrays[0].is_array && arrays[0].count == 1);
    assert_true(zm_metadata_integer(&arrays[0], 0, &integer) && integer == -2);
    assert_true(zm_metadata_string(&arrays[1], 1, &text) && text.length == 1 && *text.data == 'x');
    assert_true(arrays[2].count == 1 && arrays[2].arrays[0].type == ZM_METADATA_U8);
    assert_true(arrays[2].arrays[0].is_array && arrays[2].arrays[0].count == 0);
    arrays = find(file, "8");
    for (int depth = 1; depth < 8; depth++)
        arrays = arrays->arrays;
    assert_true(arrays->count == 3 && zm_metadata_integer(arrays, 2, &integer) && integer == 'c');

    integer = 5;
    static const char *const no_integers[] = {"u", "f", "d", "b", "s", "t", "n", "a", "missing"};
    for (size_t i = 0; i < sizeof(no_integers) / sizeof(no_integers[0]); i++)
        assert_false(zm_metadata_integer(find(file, no_integers[i]), 0, &integer));
    assert_false(zm_metadata_integer(find(file, "i"), 2, &integer));
    assert_false(zm_metadata_integer(find(file, "i"), UINT64_MAX, &integer));
    assert_false(zm_metadata_real(find(file, "b"), 0, &real));
    assert_false(zm_metadata_bool(find(file, "i"), 0, &truth));
    assert_false(zm_metadata_string(find(file, "i"), 0, &text));
    assert_false(zm_metadata_string(find(file, "s"), 1, &text));
    assert_false(zm_metadata_string(find(file, "t"), 2, &text));
    assert_int_equal(integer, 5);
    zm_gguf_close(&file);
}

/* ---- as a model ---- */

#define ARCHITECTURE "\24\0\0\0\0\0\0\0general.architecture"

static void test_model(void **state)
{
    scratch_log log;
    zm_model *model = NULL;
    const crafted llama = {RAW(ARCHITECTURE N4("\10") N8("\5") "llama" KEY("k") N4("\0") "\7"),
                           .value_count = 2,
                           .tensors = {{"b", 1, {3}, 0, 0}, {"a", 2, {32, 2}, 2, 32}}, .data = 70};
    const char *path = craft_file(state, &llama);
    assert_int_equal(zm_model_open(path, NULL, &model), ZM_OK);
    const zm_model_info *info = zm_model_get_info(model);
    assert_int_equal(info->architecture, ZM_ARCHITECTURE_NONE);
    assert_string_equal(info->architecture_name, "llama");
    assert_int_equal(info->norm, ZM_NORM_DEFAULT);
    assert_int_equal(info->parameters, 67);
    assert_int_equal(info->bytes, 48);
    assert_int_equal(info->tensor_count, 2);
    assert_string_equal(zm_model_get_tensor(model, 0)->name, "a");
    assert_int_equal(zm_model_find_tensor(model, "a")->shape[1], 32);
    assert_null(zm_model_find_tensor(model, "c"));
    assert_int_equal(info->metadata_count, 2);
    assert_string_equal(zm_model_get_value(model, 1)->key, "k");
    assert_null(zm_model_get_value(model, 2));
    assert_int_equal(zm_model_find_value(model, "k")->type, ZM_METADATA_U8);
    assert_string_equal(zm_model_get_metadata(model, "general.architecture"), "llama");
    assert_null(zm_model_get_metadata(model, "k"));
    zm_model_close(&model);

    scratch_log_init(&log);
    const zm_convert_params convert = {
        .input = path, .output = scratch_path(state, "out"), .log = &log.log};
    assert_int_equal(zm_convert(&convert, NULL), ZM_ERROR_UNSUPPORTED);
    assert_int_equal(log.errors, 1);
    assert_int_equal(scratch_count(*state), 1);
}

static void test_model_without_name(void **state)
{
    scratch_log log;
    zm_model *model = NULL;
    const crafted nothing = {0};
    assert_int_equal(zm_model_open(craft_file(state, &nothing), NULL, &model), ZM_OK);
    assert_string_equal(zm_model_get_info(model)->architecture_name, "unknown");
    zm_model_close(&model);
    static const crafted wrong[] = {VALUE(ARCHITECTURE N4("\10") N8("\3") "a\033b"),
                                    VALUE(ARCHITECTURE N4("\10") N8("\0")),
                                    VALUE(ARCHITECTURE N4("\0") "\1"),
                                    VALUE(ARCHITECTURE N4("\11") N4("\10") N8("\1") N8("\1") "a")};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        scratch_log_init(&log);
        assert_int_equal(zm_model_open(craft_file(state, &wrong[i]), &log.log, &model), BAD);
        assert_non_null(strstr(log.error, "general.architecture is no name"));
    }
    scratch_log_init(&log);
    assert_int_equal(zm_model_open(scratch_path(state, "no.gguf"), &log.log, &model),
                     ZM_ERROR_NOT_FOUND);
    assert_non_null(strstr(log.error, "there is no such model"));
}

/* What a file is called does not count. */
static void test_names(void **state)
{
    scratch_log log;
    zm_model *model = NULL;
    bytes b;
    const crafted nothing = {0};
    const char *path = scratch_path(state, "no_suffix");
    craft(&b, &nothing);
    scratch_write(path, b.data, b.size);
    assert_int_equal(zm_model_open(path, NULL, &model), ZM_OK);
    assert_true(zm_model_get_info(model)->gguf);
    zm_model_close(&model);
    path = scratch_path(state, "other.gguf");
    scratch_write(path, "GGU", 3);
    scratch_log_init(&log);
    assert_int_equal(zm_model_open(path, &log.log, &model), ZM_ERROR_BAD_FORMAT);
    assert_non_null(strstr(log.error, "is neither a model directory, nor"));
    assert_int_equal(log.errors, 1);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_refusals),
        IN_FOLDER(test_truncated),
        IN_FOLDER(test_shapes),
        IN_FOLDER(test_unusual_but_valid),
        IN_FOLDER(test_values),
        IN_FOLDER(test_integer_tensors),
        IN_FOLDER(test_model),
        IN_FOLDER(test_names),
        IN_FOLDER(test_model_without_name),
    };
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
