/* SPDX-License-Identifier: Apache-2.0 */
/* Conversion of GGUF files: types are those of the encoders, memory is bounded, and the output is
 * complete or absent. What goes from one format to the other is the matter of reformat.py. */
#include <zeromean/convert.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/quant.h"
#include "format/gguf.h"
#include "format/metadata_list.h"
#include "model_files.h"
#include "scratch.h"
#include "support/random.h"

#define SEED 20261201u

/* A Llama, some of whose rows are no multiple of 256, some none of 32. */
enum { D = 256, HEADS = 4, KV = 128, LAYERS = 2, TENSORS = 3 + 9 * LAYERS };

static char *home, *input, *output;
static scratch_log remembered;

static int set_up(void **state)
{
    scratch_log_init(&remembered);
    int failed = scratch_setup(state);
    home = *state;
    input = test_format("%s/in.gguf", home);
    output = test_format("%s/out.gguf", home);
    return failed;
}

static int tear_down(void **state)
{
    free(input);
    free(output);
    return scratch_teardown(state);
}

/* ---- the input ---- */

static void declare(zm_model_tensor *tensors, size_t *count, const char *name, zm_dtype type,
                    uint64_t rows, uint64_t columns)
{
    zm_model_tensor *t = &tensors[(*count)++];
    *t = (zm_model_tensor){.name = name, .dtype = columns ? type : ZM_F32};
    t->rank = columns ? 2 : 1;
    t->shape[0] = rows;
    t->shape[1] = columns;
    t->elements = rows * (columns ? columns : 1);
    t->bytes = zm_dtype_bytes(t->dtype, t->elements);
}

static size_t declare_all(zm_model_tensor *tensors, zm_dtype type, uint64_t vocabulary, uint64_t ff)
{
    static const struct {
        const char *name[LAYERS];
        int rows, columns; /* 0 = none, 1 = ff */
    } parts[] = {
        {{"blk.0.attn_norm.weight", "blk.1.attn_norm.weight"}, D, 0},
        {{"blk.0.attn_q.weight", "blk.1.attn_q.weight"}, D, D},
        {{"blk.0.attn_k.weight", "blk.1.attn_k.weight"}, KV, D},
        {{"blk.0.attn_v.weight", "blk.1.attn_v.weight"}, KV, D},
        {{"blk.0.attn_output.weight", "blk.1.attn_output.weight"}, D, D},
        {{"blk.0.ffn_norm.weight", "blk.1.ffn_norm.weight"}, D, 0},
        {{"blk.0.ffn_gate.weight", "blk.1.ffn_gate.weight"}, 1, D},
        {{"blk.0.ffn_up.weight", "blk.1.ffn_up.weight"}, 1, D},
        {{"blk.0.ffn_down.weight", "blk.1.ffn_down.weight"}, D, 1},
    };
    size_t count = 0;
    declare(tensors, &count, "token_embd.weight", type, vocabulary, D);
    declare(tensors, &count, "output.weight", type, vocabulary, D);
    declare(tensors, &count, "output_norm.weight", type, D, 0);
    for (size_t layer = 0; layer < LAYERS; layer++)
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
            declare(tensors, &count, parts[i].name[layer], type,
                    parts[i].rows == 1 ? ff : (uint64_t)parts[i].rows,
                    parts[i].columns == 1 ? ff : (uint64_t)parts[i].columns);
    assert_int_equal(count, TENSORS);
    return count;
}

/* Arrays of arrays, which the list has copies of. */
static void describe_nested(zm_metadata_list *list)
{
    const zm_text word = {"word", 4};
    zm_metadata_value *inner = calloc(2, sizeof(*inner));
    inner[0] = (zm_metadata_value){
        .type = ZM_METADATA_STRING, .is_array = true, .count = 1, .texts = &word};
    inner[1] = (zm_metadata_value){.type = ZM_METADATA_U8, .is_array = true};
    zm_metadata_list_copy(list, &(zm_metadata_value){.key = "general.nested",
                                                     .type = ZM_METADATA_ARRAY,
                                                     .is_array = true,
                                                     .count = 2,
                                                     .arrays = inner});
    memset(inner, 0xff, 2 * sizeof(*inner));
    free(inner);
}

static void check_nested(const zm_model *model)
{
    const zm_metadata_value *value = zm_model_find_value(model, "general.nested");
    assert_true(value && value->type == ZM_METADATA_ARRAY && value->count == 2);
    assert_string_equal(value->arrays[0].texts[0].data, "word");
    assert_true(value->arrays[1].type == ZM_METADATA_U8 && value->arrays[1].count == 0);
}

static void describe(zm_metadata_list *list, uint32_t ff)
{
    zm_metadata_list_string(list, "general.architecture", "llama");
    zm_metadata_list_string(list, "general.license", "apache-2.0");
    zm_metadata_list_u32(list, "general.file_type", 0);
    zm_metadata_list_u32(list, "llama.context_length", 64);
    zm_metadata_list_u32(list, "llama.embedding_length", D);
    zm_metadata_list_u32(list, "llama.block_count", LAYERS);
    zm_metadata_list_u32(list, "llama.feed_forward_length", ff);
    zm_metadata_list_u32(list, "llama.attention.head_count", HEADS);
    zm_metadata_list_u32(list, "llama.attention.head_count_kv", 2);
    zm_metadata_list_f32(list, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    describe_nested(list);
    assert_false(list->failed);
}

static zm_tensor_writer *begin_input(const zm_model_tensor *tensors, uint32_t ff)
{
    zm_metadata_list list = {0};
    zm_tensor_writer *writer = NULL;
    describe(&list, ff);
    assert_int_equal(
        zm_gguf_writer_open(input, tensors, TENSORS, list.values, list.count, NULL, &writer),
        ZM_OK);
    zm_metadata_list_clear(&list);
    return writer;
}

static void write_numbers(zm_tensor_writer *writer, const zm_model_tensor *tensors, size_t count)
{
    uint64_t random = SEED;
    for (size_t i = 0; i < count; i++) {
        float *numbers = malloc(tensors[i].bytes);
        for (uint64_t k = 0; k < tensors[i].elements; k++)
            numbers[k] = (float)test_random_between(&random, -0.5, 0.6);
        assert_int_equal(zm_tensor_writer_write(writer, numbers, tensors[i].bytes), ZM_OK);
        free(numbers);
    }
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
}

static void write_input(uint64_t vocabulary, uint32_t ff)
{
    zm_model_tensor tensors[TENSORS];
    declare_all(tensors, ZM_F32, vocabulary, ff);
    write_numbers(begin_input(tensors, ff), tensors, TENSORS);
}

static zm_status convert(zm_dtype type, zm_convert_report *report)
{
    remembered.error[0] = '\0';
    const zm_convert_params params = {
        .input = input, .output = output, .type = type, .overwrite = true, .log = &remembered.log};
    return zm_convert(&params, report);
}

/* ---- types ---- */

/* As the header promises them. */
static zm_dtype expected_type(const zm_model_tensor *tensor, zm_dtype type)
{
    const bool head = strcmp(tensor->name, "output.weight") == 0;
    const bool block = zm_dtype_block_length(type) > 1;
    if (tensor->rank == 1)
        return ZM_F32;
    if (head && block && type != ZM_Q8_0)
        type = ZM_Q6_K;
    const uint64_t columns = tensor->shape[1];
    return columns % zm_dtype_block_length(type) == 0 ? type : columns % 32 == 0 ? ZM_Q8_0 : ZM_F16;
}

static void check_types(zm_dtype type, const zm_convert_report *report)
{
    zm_model *from = NULL, *to = NULL;
    size_t counts[ZM_DTYPE_COUNT] = {0};
    assert_int_equal(zm_model_open(input, NULL, &from), ZM_OK);
    assert_int_equal(zm_model_open(output, NULL, &to), ZM_OK);
    assert_int_equal(zm_model_get_info(to)->architecture, ZM_ARCHITECTURE_TEXT);
    assert_string_equal(zm_model_get_metadata(to, "general.license"), "apache-2.0");
    check_nested(to);
    for (size_t i = 0; i < TENSORS; i++) {
        const zm_model_tensor *a = zm_model_get_tensor(from, i), *b = zm_model_get_tensor(to, i);
        const zm_dtype expected = expected_type(a, type);
        uint8_t *bytes = malloc(b->bytes);
        assert_string_equal(a->name, b->name);
        assert_int_equal(b->dtype, expected);
        assert_int_equal(b->bytes, zm_dtype_bytes(expected, a->elements));
        zm_quant_encode(bytes, expected, a->data, a->elements);
        assert_memory_equal(b->data, bytes, b->bytes);
        counts[expected] += expected != type && a->rank == 2;
        free(bytes);
    }
    const bool block = zm_dtype_block_length(type) > 1;
    assert_int_equal(report->as_q8_0, counts[ZM_Q8_0]);
    assert_int_equal(report->as_f16, block ? counts[ZM_F16] : 0);
    assert_int_equal(report->type, type);
    zm_model_close(&from);
    zm_model_close(&to);
}

static void test_types(void **state)
{
    (void)state;
    static const zm_dtype types[] = {ZM_Q4_K, ZM_Q8_0, ZM_Q4_0, ZM_Q4_1, ZM_Q6_K};
    static const uint32_t widths[] = {512, 352, 300}; /* of K-types, of others, of none */
    for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
        write_input(70, widths[w]);
        for (size_t i = 0; i < (w ? 2 : sizeof(types) / sizeof(types[0])); i++) {
            zm_convert_report report;
            assert_int_equal(convert(types[i], &report), ZM_OK);
            assert_true(report.reformatted && report.tensors == TENSORS);
            assert_true(report.rounding > 0 && report.rounding < 0.2);
            check_types(types[i], &report);
        }
    }
    assert_int_equal(convert(ZM_Q5_K, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(remembered.error, "cannot store weights as q5_k"));
}

/* ---- complete or absent ---- */

static bool stop_at(void *user, const char *stage, uint64_t done, uint64_t total)
{
    unsigned *left = user;
    assert_true(stage && done <= total);
    return (*left)-- != 1;
}

static void test_cancel(void **state)
{
    (void)state;
    write_input(1000, 512);
    unsigned calls = 0;
    zm_convert_params params = {.input = input,
                                .output = output,
                                .type = ZM_Q4_0,
                                .log = &remembered.log,
                                .progress = stop_at,
                                .progress_user = &calls};
    assert_int_equal(zm_convert(&params, NULL), ZM_OK);
    const unsigned most = 0u - calls;
    assert_true(most >= 6);
    char *other = test_format("%s/other", home), *file = test_format("%s.gguf", other);
    for (unsigned stop = 1; stop <= most; stop++) {
        params.output = stop % 2 ? file : other;
        params.type = stop % 2 ? ZM_Q4_0 : ZM_F16;
        calls = stop;
        assert_int_equal(zm_convert(&params, NULL), ZM_ERROR_CANCELLED);
        assert_int_equal(calls, 0);
        assert_int_equal(scratch_count(home), 2);
    }
    free(file);
    free(other);
}

static int run_child(int (*run)(const void *argument), const void *argument)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run(argument));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A file size limit stands for a full disk. */
static int run_full(const void *argument)
{
    const struct rlimit limit = {*(const rlim_t *)argument, *(const rlim_t *)argument};
    signal(SIGXFSZ, SIG_IGN);
    return setrlimit(RLIMIT_FSIZE, &limit) == 0 && convert(ZM_Q8_0, NULL) == ZM_ERROR_IO &&
                   strstr(remembered.error, "cannot write")
               ? 0
               : 1;
}

static void test_disk_full(void **state)
{
    (void)state;
    static const rlim_t limits[] = {0, 1000, 300000};
    write_input(500, 512);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        assert_int_equal(run_child(run_full, &limits[i]), 0);
        assert_int_equal(scratch_count(home), 1);
    }
}

static void convert_and_kill(uint64_t us)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(convert(ZM_Q8_0, NULL) == ZM_OK ? 0 : 1);
    if (us > 0) {
        const struct timespec time = {0, (long)us * 1000};
        nanosleep(&time, NULL);
        kill(child, SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

static void test_kill(void **state)
{
    (void)state;
    enum { KILLS = 9 };
    uint64_t random = SEED;
    size_t size, got, left = 0;
    write_input(2000, 512);
    uint64_t begin = zm_clock_ns();
    convert_and_kill(0);
    uint64_t duration = (uint64_t)(zm_clock_since(begin) * 1e6);
    duration = duration < 900000 ? duration : 900000;
    char *expected = test_read_file(home, "out.gguf", &size);
    for (unsigned i = 0; i < KILLS; i++) {
        const bool overwrite = i % 3 == 2; /* the old output stays until the new one is there */
        if (!overwrite)
            unlink(output);
        const bool was_there = access(output, F_OK) == 0;
        convert_and_kill(1 + test_random_below(&random, duration));
        char *bytes = test_read_file(home, "out.gguf", &got);
        assert_true(bytes || !was_there);
        if (bytes) {
            assert_int_equal(got, size);
            assert_memory_equal(bytes, expected, size);
        }
        left += scratch_count(home) > 1 + (bytes != NULL);
        free(bytes);
    }
    assert_true(left > 0); /* or nothing was tested */
    convert_and_kill(0);
    assert_int_equal(scratch_count(home), 2);
    free(expected);
}

/* A model that has LayerNorm, and nothing that it can do without. */
static void write_mpt(void)
{
    static const char *const matrices[] = {"token_embd.weight", "blk.0.attn_qkv.weight",
                                           "blk.0.attn_output.weight", "blk.0.ffn_up.weight",
                                           "blk.0.ffn_down.weight"};
    static const char *const norms[] = {"blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
                                        "output_norm.weight"};
    static const uint64_t rows[] = {500, 3 * D, D, 2 * D, D};
    zm_metadata_list list = {0};
    zm_model_tensor tensors[8];
    zm_tensor_writer *writer = NULL;
    size_t count = 0;
    for (size_t i = 0; i < 5; i++)
        declare(tensors, &count, matrices[i], ZM_F32, rows[i], i == 4 ? 2 * D : D);
    for (size_t i = 0; i < 3; i++)
        declare(tensors, &count, norms[i], ZM_F32, D, 0);
    zm_metadata_list_string(&list, "general.architecture", "mpt");
    zm_metadata_list_u32(&list, "mpt.context_length", 64);
    zm_metadata_list_u32(&list, "mpt.embedding_length", D);
    zm_metadata_list_u32(&list, "mpt.block_count", 1);
    zm_metadata_list_u32(&list, "mpt.feed_forward_length", 2 * D);
    zm_metadata_list_u32(&list, "mpt.attention.head_count", HEADS);
    assert_int_equal(
        zm_gguf_writer_open(input, tensors, count, list.values, list.count, NULL, &writer), ZM_OK);
    zm_metadata_list_clear(&list);
    write_numbers(writer, tensors, count);
}

static bool die_at(void *user, const char *stage, uint64_t done, uint64_t total)
{
    if (!stop_at(user, stage, done, total))
        kill(getpid(), SIGKILL);
    return true;
}

/* The converter of norms writes one file, too. It is stopped at every place where it says how far
 * it is. What is left of one that was killed goes when the next one begins to write. */
static void test_norm(void **state)
{
    (void)state;
    unsigned calls = 0, left = 0;
    zm_convert_params params = {
        .input = input, .output = output, .progress = stop_at, .progress_user = &calls};
    write_mpt();
    assert_int_equal(zm_convert(&params, NULL), ZM_OK);
    const unsigned most = 0u - calls;
    assert_true(most >= 6);
    assert_int_equal(unlink(output), 0);
    for (unsigned stop = 1; stop <= most; stop++) {
        calls = stop;
        params.progress = stop_at;
        assert_int_equal(zm_convert(&params, NULL), ZM_ERROR_CANCELLED);
        assert_int_equal(access(output, F_OK), -1);
        assert_int_equal(scratch_count(home), 1);
        calls = stop;
        params.progress = die_at;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(zm_convert(&params, NULL));
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_not_equal(access(output, F_OK), 0);
        left += scratch_count(home) > 1;
    }
    assert_true(left > 0);
    params.progress = NULL;
    assert_int_equal(zm_convert(&params, NULL), ZM_OK);
    assert_int_equal(scratch_count(home), 2);
}

/* ---- memory: not that of sanitizers, which is more ---- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WITH_MEMORY
#endif

#ifdef WITH_MEMORY

/* Zeros of float16 that take no room on the disk: the header is that of the file that is begun. */
static uint64_t write_sparse(uint64_t vocabulary, uint32_t ff)
{
    zm_model_tensor tensors[TENSORS];
    struct stat info;
    declare_all(tensors, ZM_F16, vocabulary, ff);
    zm_tensor_writer *writer = begin_input(tensors, ff);
    char *link_it = test_format("ln '%s'/in.gguf.* '%s'", home, input);
    assert_int_equal(system(link_it), 0);
    free(link_it);
    zm_tensor_writer_discard(&writer);
    assert_int_equal(stat(input, &info), 0);
    uint64_t size = (uint64_t)info.st_size;
    for (size_t i = 0; i < TENSORS; i++)
        size += (tensors[i].bytes + 31) / 32 * 32;
    assert_int_equal(truncate(input, (off_t)size), 0);
    return size;
}

static long resident_kb(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

/* The pages of the largest tensor may be there, and little more. */
static int run_large(const void *argument)
{
    const long before = resident_kb();
    if (convert(ZM_Q4_0, NULL) != ZM_OK)
        return 1;
    const long grown = resident_kb() - before;
    print_message("%ld kB more, the largest tensor has %ld kB\n", grown, *(const long *)argument);
    return grown < *(const long *)argument + 48 * 1024 ? 0 : 2;
}

static void test_memory(void **state)
{
    (void)state;
    enum { ROWS = 1 << 15 };
    const long largest = (long)ROWS * D * 2 / 1024;
    const uint64_t size = write_sparse(ROWS, ROWS);
    assert_true(size > 7u * ROWS * D * 2); /* eight such tensors, more than may be resident */
    assert_int_equal(run_child(run_large, &largest), 0);
}
#endif

int main(void)
{
    print_message("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_disk_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_norm, set_up, tear_down),
#ifdef WITH_MEMORY
        cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
