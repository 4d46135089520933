/* SPDX-License-Identifier: Apache-2.0 */
/* The safetensors reader against files that lie, and the writer against the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "scratch.h"
#include "support/random.h"

/* Writes a file: the length of the header (or what is claimed to be), the header, data bytes that
 * count up from 0. */
static const char *craft(void *const *state, const char *header, uint64_t claimed, size_t data)
{
    const char *path = scratch_path(state, "crafted.safetensors");
    size_t length = strlen(header), size = 8 + length + data;
    uint8_t *file = malloc(size);
    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)(claimed >> 8 * i);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data; i++)
        file[8 + length + i] = (uint8_t)i;
    scratch_write(path, file, size);
    free(file);
    return path;
}

/* ---- refusals ---- */

typedef struct refusal {
    const char *header;
    size_t data;
    zm_status status;
    const char *message; /* part of the message */
} refusal;

#define BAD ZM_ERROR_BAD_FORMAT
#define UNSUPPORTED ZM_ERROR_UNSUPPORTED
#define T(dtype, shape, offsets) \
    "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"a\":" T(dtype, shape, offsets) "}"
#define TWO(shape1, offsets1, shape2, offsets2) \
    "{\"a\":" T("\"U8\"", shape1, offsets1) ",\"b\":" T("\"U8\"", shape2, offsets2) "}"

static const refusal refusals[] = {
    /* no JSON object */
    {"", 0, BAD, "does not begin with '{'"},
    {"[]", 0, BAD, "does not begin with '{'"},
    {" {}", 0, BAD, "does not begin with '{'"},
    {"{", 0, BAD, "not valid JSON"},
    {"{}}", 0, BAD, "not valid JSON"},
    {"{\"a\":}", 0, BAD, "not valid JSON"},
    {"{\"\xff\":1}", 0, BAD, "not valid JSON"},
    {"{\"a\\u0000b\":1}", 0, BAD, "not valid JSON"},
    {"{\"a\nb\":1}", 0, BAD, "not valid JSON"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1]") ",\"a\":" T("\"U8\"", "[1]", "[1,2]") "}", 2, BAD,
     "duplicate object key"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, BAD, "duplicate object key"},
    /* names */
    {"{\"\":" T("\"U8\"", "[1]", "[0,1]") "}", 1, BAD, "name that is empty"},
    {"{\"a\\n\":" T("\"U8\"", "[1]", "[0,1]") "}", 1, BAD, "control characters"},
    {"{\"a\\u001bb\":" T("\"U8\"", "[1]", "[0,1]") "}", 1, BAD, "control characters"},
    /* entries */
    {"{\"a\":1}", 0, BAD, "tensor a: is not a JSON object"},
    {"{\"a\":null}", 0, BAD, "tensor a: is not a JSON object"},
    {"{\"a\":{}}", 0, BAD, "tensor a: dtype is not a string"},
    {ONE("3", "[1]", "[0,1]"), 1, BAD, "tensor a: dtype is not a string"},
    {ONE("\"I4\"", "[1]", "[0,1]"), 1, UNSUPPORTED, "tensor a: the element type I4"},
    {ONE("\"F8_E4M3\"", "[1]", "[0,1]"), 1, UNSUPPORTED, "the element type F8_E4M3"},
    {ONE("\"f32\"", "[1]", "[0,4]"), 4, UNSUPPORTED, "the element type f32"},
    {ONE("\"\"", "[1]", "[0,4]"), 4, UNSUPPORTED, "the element type ?"},
    {ONE("\"\\u001b[31m\"", "[1]", "[0,4]"), 4, UNSUPPORTED, "the element type ?"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, BAD, "shape is not an array"},
    {ONE("\"U8\"", "1", "[0,1]"), 1, BAD, "shape is not an array"},
    {ONE("\"U8\"", "[-1]", "[0,1]"), 1, BAD, "shape[0] is not an integer >= 0"},
    {ONE("\"U8\"", "[1,2.0]", "[0,2]"), 2, BAD, "shape[1] is not an integer >= 0"},
    {ONE("\"U8\"", "[1e0]", "[0,1]"), 1, BAD, "shape[0] is not an integer >= 0"},
    {ONE("\"U8\"", "[\"1\"]", "[0,1]"), 1, BAD, "shape[0] is not an integer >= 0"},
    {ONE("\"U8\"", "[true]", "[0,1]"), 1, BAD, "shape[0] is not an integer >= 0"},
    {ONE("\"U8\"", "[99999999999999999999]", "[0,1]"), 1, BAD, "too big integer"},
    {ONE("\"U8\"", "[1e999]", "[0,1]"), 1, BAD, "real number overflow"},
    {ONE("\"U8\"", "[1,1,1,1,1]", "[0,1]"), 1, UNSUPPORTED, "tensor a: rank 5"},
    {ONE("\"U8\"", "[4294967296,4294967296]", "[0,1]"), 1, BAD, "product of its shape overflows"},
    {ONE("\"U8\"", "[4294967296,4294967296,0]", "[0,0]"), 0, BAD, "product of its shape overflow"},
    {ONE("\"F64\"", "[4611686018427387904]", "[0,1]"), 1, BAD, "product of its shape overflows"},
    {ONE("\"F32\"", "[4611686018427387905]", "[0,4]"), 4, BAD, "product of its shape overflows"},
    /* ranges */
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, BAD, "data_offsets are not two integers"},
    {ONE("\"U8\"", "[1]", "[0]"), 1, BAD, "data_offsets are not two integers"},
    {ONE("\"U8\"", "[1]", "[0,1,2]"), 1, BAD, "data_offsets are not two integers"},
    {ONE("\"U8\"", "[1]", "[-1,0]"), 1, BAD, "data_offsets are not two integers"},
    {ONE("\"U8\"", "[1]", "[0,1.0]"), 1, BAD, "data_offsets are not two integers"},
    {ONE("\"U8\"", "[1]", "{\"0\":0}"), 1, BAD, "data_offsets are not two integers"},
    {ONE("\"U8\"", "[1]", "[1,0]"), 1, BAD, "[1, 0] are outside of the data"},
    {ONE("\"U8\"", "[2]", "[0,2]"), 1, BAD, "[0, 2] are outside of the data (1 bytes)"},
    {ONE("\"U8\"", "[1]", "[9223372036854775806,9223372036854775807]"), 1, BAD, "outside of the d"},
    {ONE("\"F32\"", "[2]", "[0,4]"), 4, BAD, "data_offsets span 4 bytes, type and shape need 8"},
    {ONE("\"F16\"", "[1]", "[0,4]"), 4, BAD, "data_offsets span 4 bytes, type and shape need 2"},
    {TWO("[4]", "[0,4]", "[4]", "[3,7]"), 7, BAD, "tensor b overlaps"},
    {TWO("[4]", "[0,4]", "[4]", "[0,4]"), 4, BAD, "tensor b overlaps"},
    {TWO("[4]", "[4,8]", "[5]", "[0,5]"), 8, BAD, "tensor a overlaps"},
    {TWO("[4]", "[0,4]", "[2]", "[6,8]"), 8, BAD, "a hole of 2 bytes before tensor b"},
    {ONE("\"U8\"", "[1]", "[1,2]"), 2, BAD, "a hole of 1 bytes before tensor a"},
    {TWO("[4]", "[0,4]", "[0]", "[2,2]"), 4, BAD, "overlaps"},
    {ONE("\"U8\"", "[1]", "[0,1]"), 3, BAD, "2 bytes behind the last tensor"},
    {"{}", 1, BAD, "1 bytes behind the last tensor"},
    /* metadata */
    {"{\"__metadata__\":[]}", 0, BAD, "__metadata__ is not a JSON object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, BAD, "not a string"},
    {"{\"__metadata__\":{\"a\":\"b\",\"c\":null}}", 0, BAD, "not a string"},
};

static void assert_refused(const char *path, zm_status status, const char *message)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_safetensors *file = NULL;
    zm_status got = zm_safetensors_open(path, &log.log, &file);
    if (got != status || !strstr(log.error, message))
        print_error("expected '%s', got %s '%s'\n", message, zm_status_name(got), log.error);
    assert_int_equal(got, status);
    assert_null(file);
    assert_int_equal(log.errors, 1);
    assert_non_null(strstr(log.error, path));
    assert_non_null(strstr(log.error, message));
    for (const char *c = log.error; *c; c++)
        assert_true((unsigned char)*c >= 0x20);
    assert_int_equal(zm_safetensors_open(path, NULL, &file), status);
}

static void test_refusals(void **state)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const refusal *r = &refusals[i];
        const char *path = craft(state, r->header, strlen(r->header), r->data);
        assert_refused(path, r->status, r->message);
    }
}

static void test_header_length(void **state)
{
    assert_refused(craft(state, "{}", 3, 0), BAD, "needs 3 bytes, the file has 2: truncated?");
    assert_refused(craft(state, "{}", 100000001, 0), BAD, "over the limit of 100000000");
    assert_refused(craft(state, "{}", UINT64_MAX, 0), BAD, "over the limit of 100000000");
    assert_refused(craft(state, "{}", UINT64_MAX - 7, 0), BAD, "over the limit");
    assert_refused(craft(state, "{}", 100000000, 0), BAD, "truncated?");
    const char *path = scratch_path(state, "short");
    for (size_t size = 0; size < 8; size++) {
        scratch_write(path, "\2\0\0\0\0\0\0", size);
        assert_refused(path, BAD, "too few for a safetensors file");
    }
    assert_refused(scratch_path(state, "missing"), ZM_ERROR_NOT_FOUND, "cannot open");
    assert_refused(*state, ZM_ERROR_IO, "not a regular file");
}

static void test_deep_header(void **state)
{
    static char header[100006] = "{\"a\":";
    memset(header + 5, '[', sizeof(header) - 6);
    assert_refused(craft(state, header, strlen(header), 0), BAD, "maximum parsing depth");
}

/* Every beginning of a good file is refused. */
static void test_truncated(void **state)
{
    static const char header[] = "{\"a\":" T("\"U8\"", "[3]", "[0,3]") ",\"__metadata__\":{}}";
    uint8_t file[8 + sizeof(header) - 1 + 3] = {sizeof(header) - 1};
    memcpy(file + 8, header, sizeof(header) - 1);
    const char *path = scratch_path(state, "truncated");
    zm_safetensors *opened = NULL;
    for (size_t size = 0; size < sizeof(file); size++) {
        scratch_write(path, file, size);
        assert_int_equal(zm_safetensors_open(path, NULL, &opened), BAD);
    }
    scratch_write(path, file, sizeof(file));
    assert_int_equal(zm_safetensors_open(path, NULL, &opened), ZM_OK);
    zm_safetensors_close(&opened);
}

/* ---- what is accepted ---- */

static void test_unusual_but_valid(void **state)
{
    zm_safetensors *file = NULL;
    const char *header =
        "{\"z\":" T("\"F32\"", "[]", "[2,6]") ",\"a\":" T("\"U8\"", "[2]", "[0,2]") ",\"empty\":" T(
            "\"F64\"", "[0,7]", "[2,2]") ",\"__metadata__\":{\"k\":\"v\\n\"}}"
                                         "   ";
    const char *path = craft(state, header, strlen(header), 6);
    assert_int_equal(zm_safetensors_open(path, NULL, &file), ZM_OK);
    assert_int_equal(file->tensor_count, 3);
    assert_string_equal(file->tensors[0].name, "a");
    assert_string_equal(file->tensors[1].name, "empty");
    assert_string_equal(file->tensors[2].name, "z");
    assert_int_equal(file->tensors[1].elements, 0);
    assert_int_equal(file->tensors[2].rank, 0);
    assert_int_equal(file->tensors[2].elements, 1);
    assert_memory_equal(file->tensors[0].data, "\0\1", 2);
    assert_memory_equal(file->tensors[2].data, "\2\3\4\5", 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal((uintptr_t)file->tensors[i].data % zm_dtype_size(file->tensors[i].dtype),
                         0);
    assert_int_equal(file->metadata_count, 1);
    assert_string_equal(file->metadata[0].key, "k");
    assert_string_equal(file->metadata[0].value, "v\n");
    zm_safetensors_close(&file);
    assert_null(file);
    zm_safetensors_close(&file);
    zm_safetensors_close(NULL);
    assert_int_equal(zm_safetensors_open(craft(state, "{}", 2, 0), NULL, &file), ZM_OK);
    assert_int_equal(file->tensor_count, 0);
    zm_safetensors_close(&file);
}

/* ---- the writer ---- */

#define TENSORS 6
static const zm_model_tensor declared[TENSORS] = {
    {.name = "norm.weight", .dtype = ZM_F32, .rank = 1, .shape = {7}},
    {.name = "a \"quoted\" \xc3\xa9", .dtype = ZM_F16, .rank = 4, .shape = {2, 1, 3, 5}},
    {.name = "scalar", .dtype = ZM_F64, .rank = 0},
    {.name = "empty", .dtype = ZM_BF16, .rank = 2, .shape = {0, 9}},
    {.name = "ids", .dtype = ZM_I64, .rank = 2, .shape = {2, 2}},
    {.name = "bytes", .dtype = ZM_U8, .rank = 1, .shape = {13}},
};
static const zm_metadata metadata[] = {{"format", "pt"}, {"zeromean.norm", "rms_norm"}};

static uint64_t declared_bytes(size_t i)
{
    uint64_t bytes = zm_dtype_size(declared[i].dtype);
    for (uint32_t k = 0; k < declared[i].rank; k++)
        bytes *= declared[i].shape[k];
    return bytes;
}

static void fill(uint8_t *data, uint64_t size, uint64_t seed)
{
    for (uint64_t i = 0; i < size; i++)
        data[i] = (uint8_t)test_random(&seed);
}

static void write_declared(const char *path, uint64_t piece)
{
    zm_tensor_writer *writer = NULL;
    assert_int_equal(
        zm_safetensors_writer_open(path, declared, TENSORS, metadata, 2, NULL, &writer), ZM_OK);
    for (size_t i = 0; i < TENSORS; i++) {
        uint8_t data[256];
        uint64_t size = declared_bytes(i);
        fill(data, size, i);
        for (uint64_t at = 0; at < size; at += piece)
            assert_int_equal(
                zm_tensor_writer_write(writer, data + at, size - at < piece ? size - at : piece),
                ZM_OK);
    }
    assert_false(zm_path_exists(path));
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
    assert_null(writer);
}

static const zm_model_tensor *find(const zm_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->tensor_count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

static void test_round_trip(void **state)
{
    const char *path = scratch_path(state, "out.safetensors");
    zm_safetensors *file = NULL;
    write_declared(path, 256);
    assert_int_equal(zm_safetensors_open(path, NULL, &file), ZM_OK);
    assert_int_equal(file->tensor_count, TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        uint8_t data[256];
        const zm_model_tensor *tensor = find(file, declared[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, declared[i].dtype);
        assert_int_equal(tensor->rank, declared[i].rank);
        assert_memory_equal(tensor->shape, declared[i].shape, sizeof(tensor->shape));
        assert_int_equal(tensor->bytes, declared_bytes(i));
        assert_int_equal((uintptr_t)tensor->data % zm_dtype_size(tensor->dtype), 0);
        fill(data, tensor->bytes, i);
        assert_memory_equal(tensor->data, data, tensor->bytes);
    }
    assert_int_equal(file->metadata_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(file->metadata[i].key, metadata[i].key);
        assert_string_equal(file->metadata[i].value, metadata[i].value);
    }
    zm_safetensors_close(&file);
    assert_int_equal(scratch_count(*state), 1);
}

/* The same declarations give the same bytes, however the data comes. */
static void test_deterministic(void **state)
{
    char *texts[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        const char *path = scratch_path(state, i ? "one" : "two");
        write_declared(path, i ? 1 : 256);
        assert_int_equal(zm_file_read(path, 10000, NULL, &texts[i], &sizes[i]), ZM_OK);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(texts[0], texts[1], sizes[0]);
    assert_int_equal(((uint8_t)texts[0][0] | (uint8_t)texts[0][1] << 8) % 8, 0);
    free(texts[0]);
    free(texts[1]);
}

static void test_wrong_amount(void **state)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_tensor_writer *writer = NULL;
    const char *path = scratch_path(state, "out");
    const zm_model_tensor one = {.name = "a", .dtype = ZM_F32, .rank = 1, .shape = {2}};
    assert_int_equal(zm_safetensors_writer_open(path, &one, 1, NULL, 0, &log.log, &writer), ZM_OK);
    assert_int_equal(zm_tensor_writer_write(writer, "1234567", 7), ZM_OK);
    assert_int_equal(zm_tensor_writer_write(writer, "89", 2), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(log.error, "more data"));
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(log.error, "7 bytes of data were written, 8 declared"));
    assert_null(writer);
    assert_int_equal(zm_safetensors_writer_open(path, &one, 1, NULL, 0, &log.log, &writer), ZM_OK);
    zm_tensor_writer_discard(&writer);
    zm_tensor_writer_discard(&writer);
    zm_tensor_writer_discard(NULL);
    assert_int_equal(scratch_count(*state), 0);
}

static void assert_undeclarable(void *const *state, const zm_model_tensor *tensors, size_t count,
                                const zm_metadata *extra)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_tensor_writer *writer = NULL;
    assert_int_equal(zm_safetensors_writer_open(scratch_path(state, "out"), tensors, count, extra,
                                                extra ? 1 : 0, &log.log, &writer),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_null(writer);
    assert_int_equal(log.errors, 1);
    assert_int_equal(scratch_count(*state), 0);
}

static void test_undeclarable(void **state)
{
    const zm_model_tensor good = {.name = "a", .dtype = ZM_U8, .rank = 1, .shape = {1}};
    static const char *const names[] = {NULL, "", "__metadata__", "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        zm_model_tensor tensor = good;
        tensor.name = names[i];
        assert_undeclarable(state, &tensor, 1, NULL);
    }
    zm_model_tensor tensor = good;
    tensor.dtype = ZM_DTYPE_NONE;
    assert_undeclarable(state, &tensor, 1, NULL);
    tensor.dtype = ZM_DTYPE_COUNT;
    assert_undeclarable(state, &tensor, 1, NULL);
    tensor = good;
    tensor.rank = 5;
    assert_undeclarable(state, &tensor, 1, NULL);
    tensor = good;
    tensor.shape[0] = UINT64_MAX;
    assert_undeclarable(state, &tensor, 1, NULL);
    tensor.rank = 2;
    tensor.shape[1] = 2;
    assert_undeclarable(state, &tensor, 1, NULL);
    const zm_model_tensor twins[] = {good, good};
    assert_undeclarable(state, twins, 2, NULL);
    const zm_metadata bad_value = {"k", "\xff"}, bad_key = {"\xff", "v"};
    assert_undeclarable(state, &good, 1, &bad_value);
    assert_undeclarable(state, &good, 1, &bad_key);
}

/* ---- JSON ---- */

static void test_json(void **state)
{
    (void)state;
    scratch_log log;
    scratch_log_init(&log);
    static const char text[] = "{\"n\":7,\"f\":7.0,\"s\":\"x\",\"neg\":-1,\"big\":4294967296}";
    json_t *root = NULL;
    uint32_t out = 99;
    assert_int_equal(zm_json_parse(text, strlen(text), "conf", &log.log, &root), ZM_OK);
    assert_int_equal(zm_json_u32(root, "n", 1, 7, "conf", &log.log, &out), ZM_OK);
    assert_int_equal(out, 7);
    out = 99;
    static const char *const bad[] = {"f", "s", "neg", "big", "missing"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(zm_json_u32(root, bad[i], 0, UINT32_MAX, "conf", &log.log, &out), BAD);
        assert_int_equal(out, 99);
        assert_non_null(strstr(log.error, "conf"));
        assert_non_null(strstr(log.error, bad[i]));
    }
    assert_int_equal(zm_json_u32(root, "n", 8, 9, "conf", &log.log, &out), BAD);
    assert_non_null(strstr(log.error, "n is 7, expected 8 to 9"));
    assert_int_equal(zm_json_u32(root, "n", 0, 6, "conf", &log.log, &out), BAD);
    assert_string_equal(zm_json_string(root, "s"), "x");
    assert_null(zm_json_string(root, "n"));
    assert_null(zm_json_string(root, "missing"));
    json_decref(root);
    root = NULL;
    assert_int_equal(zm_json_parse("[1]", 3, "conf", &log.log, &root), BAD);
    assert_int_equal(zm_json_parse("\x1b[31m", 5, "conf", &log.log, &root), BAD);
    assert_null(strchr(log.error, 0x1b));
    assert_null(root);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_refusals),     IN_FOLDER(test_header_length),
        IN_FOLDER(test_deep_header),  IN_FOLDER(test_truncated),
        IN_FOLDER(test_round_trip),   IN_FOLDER(test_deterministic),
        IN_FOLDER(test_wrong_amount), IN_FOLDER(test_undeclarable),
        cmocka_unit_test(test_json),  IN_FOLDER(test_unusual_but_valid),
    };
    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
