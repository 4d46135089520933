/* SPDX-License-Identifier: Apache-2.0 */
/* A model that an adapter was merged into, and then converted, is the converted model with the
 * converted adapter: tensor by tensor, in float64. */
#include <zeromean/convert.h>
#include <zeromean/model.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/quant.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "model_files.h"
#include "scratch.h"
#include "support/random.h"

#define SEED 20260530u
#define SCALE 0.7 /* lora_alpha / r */
#define LORA "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 2.1}"

enum { RANK = 3, MOST = 8 };

static scratch_log test_log;

/* An update of one tensor of a model, [outputs][inputs] as the model computes with it. */
typedef struct update {
    const char *module;
    uint64_t outputs, inputs;
    bool transposed, writes;
    double *a, *b; /* [RANK][inputs], [outputs][RANK] */
} update;

typedef struct lab {
    const char *home;
    char *model, *adapter, *out;
    update updates[MOST];
    size_t count;
} lab;

static double *numbers(const zm_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->tensor_count; i++) {
        if (strcmp(file->tensors[i].name, name) != 0)
            continue;
        double *out = calloc(file->tensors[i].elements, sizeof(*out));
        zm_quant_load(out, file->tensors[i].data, file->tensors[i].dtype, 0,
                      file->tensors[i].elements);
        return out;
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static zm_safetensors *open_file(const char *folder, const char *name)
{
    zm_safetensors *file = NULL;
    char *path = test_format("%s/%s", folder, name);
    if (zm_safetensors_open(path, &test_log.log, &file) != ZM_OK)
        fail_msg("%s", test_log.error);
    free(path);
    return file;
}

static void write_file(const char *folder, const char *name, const zm_model_tensor *tensors,
                       size_t count)
{
    char *path = test_format("%s/%s", folder, name);
    zm_tensor_writer *writer = NULL;
    assert_int_equal(zm_safetensors_writer_open(path, tensors, count, NULL, 0, NULL, &writer),
                     ZM_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(
            zm_tensor_writer_write(writer, tensors[i].data, tensors[i].elements * sizeof(double)),
            ZM_OK);
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
    free(path);
}

static zm_model_tensor matrix(const char *name, const double *data, uint64_t rows, uint64_t cols)
{
    return (zm_model_tensor){.name = name,
                             .dtype = ZM_F64,
                             .rank = cols ? 2 : 1,
                             .shape = {rows, cols},
                             .elements = rows * (cols ? cols : 1),
                             .bytes = rows * (cols ? cols : 1) * sizeof(double),
                             .data = data};
}

static void add(lab *self, update u)
{
    uint64_t random = SEED + self->count;
    u.a = calloc(RANK * u.inputs, sizeof(double));
    u.b = calloc(RANK * u.outputs, sizeof(double));
    for (uint64_t i = 0; i < RANK * u.inputs; i++)
        u.a[i] = test_random_between(&random, -0.5, 0.5);
    for (uint64_t i = 0; i < RANK * u.outputs; i++)
        u.b[i] = test_random_between(&random, -0.2, 0.6);
    self->updates[self->count++] = u;
}

/* Writes the adapter. extra: one more tensor; NULL = none. */
static void write_adapter(const lab *self, const zm_model_tensor *extra)
{
    zm_model_tensor tensors[2 * MOST + 1];
    char *names[2 * MOST];
    size_t count = 0;
    for (size_t i = 0; i < self->count; i++) {
        const update *u = &self->updates[i];
        names[count] = test_format("base_model.model.%s.lora_A.weight", u->module);
        tensors[count] = matrix(names[count], u->a, RANK, u->inputs);
        count++;
        names[count] = test_format("base_model.model.%s.lora_B.weight", u->module);
        tensors[count] = matrix(names[count], u->b, u->outputs, RANK);
        count++;
    }
    if (extra)
        tensors[count] = *extra;
    write_file(self->adapter, "adapter_model.safetensors", tensors, count + (extra ? 1 : 0));
    test_write_text(self->adapter, "adapter_config.json", LORA);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
}

/* The model's tensor plus SCALE B A. */
static double *merged(const zm_safetensors *file, const update *u, const double *a, const double *b)
{
    char *name = test_format("%s.weight", u->module);
    double *out = numbers(file, name);
    for (uint64_t o = 0; o < u->outputs; o++)
        for (uint64_t i = 0; i < u->inputs; i++)
            for (uint64_t r = 0; r < RANK; r++)
                out[u->transposed ? i * u->outputs + o : o * u->inputs + i] +=
                    SCALE * b[o * RANK + r] * a[r * u->inputs + i];
    free(name);
    return out;
}

static zm_status convert(const char *model, const char *adapter, const char *out,
                         zm_convert_report *report)
{
    const zm_convert_params params = {.input = model,
                                      .output = out,
                                      .adapter = adapter,
                                      .type = adapter ? ZM_DTYPE_NONE : ZM_F64,
                                      .overwrite = true,
                                      .log = &test_log.log};
    test_log.error[0] = '\0';
    return zm_convert(&params, report);
}

/* Converts model and adapter apart, and both merged; the largest difference of the updated tensors.
 * unconverted: what the adapter as it was would give. */
static double difference(const lab *self, double *unconverted)
{
    char *both = test_format("%s/merged", self->home), *end = test_format("%s/end", self->home);
    char *apart = test_format("%s/apart", self->home), *names[MOST];
    zm_model_tensor put[MOST];
    zm_convert_report report;
    double *values[MOST], most = 0;
    zm_safetensors *file = open_file(self->model, "model.safetensors");
    size_t writers = 0;
    for (size_t i = 0; i < self->count; i++) {
        const update *u = &self->updates[i];
        names[i] = test_format("%s.weight", u->module);
        values[i] = merged(file, u, u->a, u->b);
        put[i] = u->transposed ? matrix(names[i], values[i], u->inputs, u->outputs)
                               : matrix(names[i], values[i], u->outputs, u->inputs);
        writers += u->writes;
    }
    test_copy_model(self->model, both, &(test_changes){.put = put, .put_count = self->count});
    zm_safetensors_close(&file);
    if (convert(both, NULL, end, NULL) || convert(self->model, NULL, apart, NULL) ||
        convert(self->model, self->adapter, self->out, &report))
        fail_msg("%s", test_log.error);
    assert_int_equal(report.recentred, writers);
    assert_int_equal(report.tensors, 2 * self->count);
    file = open_file(apart, "model.safetensors");
    zm_safetensors *expected = open_file(end, "model.safetensors");
    zm_safetensors *adapter = open_file(self->out, "adapter_model.safetensors");
    *unconverted = 0;
    for (size_t i = 0; i < self->count; i++) {
        const update *u = &self->updates[i];
        char *a_name = test_format("base_model.model.%s.lora_A.weight", u->module);
        char *b_name = test_format("base_model.model.%s.lora_B.weight", u->module);
        double *a = numbers(adapter, a_name), *b = numbers(adapter, b_name);
        double *got = merged(file, u, a, b), *old = merged(file, u, u->a, u->b);
        double *wanted = numbers(expected, names[i]);
        for (uint64_t j = 0; j < u->outputs * u->inputs; j++) {
            most = fmax(most, fabs(got[j] - wanted[j]));
            *unconverted = fmax(*unconverted, fabs(old[j] - wanted[j]));
        }
        free(a_name), free(b_name), free(a), free(b), free(got), free(old), free(wanted);
        free(names[i]), free(values[i]);
    }
    zm_safetensors_close(&file);
    zm_safetensors_close(&expected);
    zm_safetensors_close(&adapter);
    free(both), free(end), free(apart);
    return most;
}

static lab start(void **state, const char *model)
{
    lab self = {.home = *state};
    self.model = model ? test_format("%s", model) : test_format("%s/model", self.home);
    self.adapter = test_format("%s/adapter", self.home);
    self.out = test_format("%s/out", self.home);
    char *command = test_format("mkdir -p %s", self.adapter);
    assert_int_equal(system(command), 0);
    free(command);
    if (!model)
        test_write_whisper(self.model, &(test_whisper){.seed = SEED, .type = ZM_F64});
    return self;
}

static void stop(lab *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->updates[i].a), free(self->updates[i].b);
    free(self->model), free(self->adapter), free(self->out);
}

static void test_whisper_adapter(void **state)
{
    lab self = start(state, NULL);
    double unconverted;
    add(&self, (update){"model.encoder.layers.0.self_attn.q_proj", TEST_D, TEST_D, false, false,
                        NULL, NULL});
    add(&self,
        (update){"model.encoder.layers.1.fc2", TEST_D, TEST_ENCODER_FF, false, true, NULL, NULL});
    add(&self, (update){"model.decoder.layers.0.encoder_attn.out_proj", TEST_D, TEST_D, false, true,
                        NULL, NULL});
    write_adapter(&self, NULL);
    assert_true(difference(&self, &unconverted) < 1e-13);
    assert_true(unconverted > 1e-2);
    stop(&self);
}

/* Conv1D: the model's matrix is [inputs][outputs], A and B are as always. */
static void test_gpt2_adapter(void **state)
{
    lab self = start(state, TEXT_MODEL);
    double unconverted;
    add(&self, (update){"transformer.h.0.attn.c_attn", 3 * 128, 128, true, false, NULL, NULL});
    add(&self, (update){"transformer.h.1.mlp.c_proj", 128, 4 * 128, true, true, NULL, NULL});
    write_adapter(&self, NULL);
    assert_true(difference(&self, &unconverted) < 1e-13);
    assert_true(unconverted > 1e-2);
    stop(&self);
}

static void expect_refused(const lab *self, zm_status status, const char *reason)
{
    assert_int_equal(convert(self->model, self->adapter, self->out, NULL), status);
    if (!strstr(test_log.error, reason))
        fail_msg("%s", test_log.error);
    zm_model *none = NULL;
    assert_int_not_equal(zm_model_open(self->out, NULL, &none), ZM_OK);
}

static void test_refusals(void **state)
{
    static const double ones[TEST_D * TEST_D] = {1, 1, 1};
#define WRITER "base_model.model.model.encoder.layers.0.fc2"
    const struct {
        zm_model_tensor tensor;
        zm_status status;
        const char *reason;
    } rows[] = {
        {matrix(WRITER ".lora_magnitude_vector", ones, TEST_D, 0), ZM_ERROR_UNSUPPORTED, "DoRA"},
        {matrix(WRITER ".lora_B.weight", ones, TEST_D - 1, 4), ZM_ERROR_BAD_FORMAT, "doesn't fit"},
        {matrix(WRITER ".lora_A.weight", ones, 4, TEST_D), ZM_ERROR_BAD_FORMAT, "doesn't fit"},
        {matrix(WRITER "_x.lora_B.weight", ones, TEST_D, 4), ZM_ERROR_BAD_FORMAT,
         "is for no tensor"},
        {matrix("model.encoder.layers.0.fc2.weight", ones, TEST_D, 4), ZM_ERROR_BAD_FORMAT,
         "is for no tensor"},
    };
    lab self = start(state, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_adapter(&self, &rows[i].tensor);
        expect_refused(&self, rows[i].status, rows[i].reason);
    }
    /* Of what only reads, the magnitude stays exact. A bias is as that of the model. */
    const zm_model_tensor reader =
        matrix("base_model.model.model.encoder.layers.0.fc1.lora_magnitude_vector", ones,
               TEST_ENCODER_FF, 0);
    write_adapter(&self, &reader);
    zm_convert_report report;
    assert_int_equal(convert(self.model, self.adapter, self.out, &report), ZM_OK);
    assert_int_equal(report.recentred, 0);
    const zm_model_tensor bias = matrix(WRITER ".bias", ones, TEST_D, 0);
    write_adapter(&self, &bias);
    assert_int_equal(convert(self.model, self.adapter, self.out, &report), ZM_OK);
    zm_safetensors *file = open_file(self.out, "adapter_model.safetensors");
    double *got = numbers(file, WRITER ".bias");
    assert_true(fabs(got[0] - (1 - 3.0 / TEST_D)) < 1e-15);
    assert_true(fabs(got[TEST_D - 1] + 3.0 / TEST_D) < 1e-15);
    free(got);
    zm_safetensors_close(&file);
    test_write_text(self.adapter, "adapter_config.json", "{\"peft_type\": \"IA3\"}");
    assert_int_equal(convert(self.model, self.adapter, self.out, NULL), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(test_log.error, "IA3"));
    stop(&self);
}

/* A norm's weight in a model's readers would have to be in an adapter's as well. */
static void test_folded(void **state)
{
    lab self = start(state, NULL);
    char *folded = test_format("%s/folded", self.home);
    zm_convert_params params = {
        .input = self.model, .output = folded, .fold = true, .log = &test_log.log};
    add(&self,
        (update){"model.encoder.layers.1.fc2", TEST_D, TEST_ENCODER_FF, false, true, NULL, NULL});
    write_adapter(&self, NULL);
    assert_int_equal(zm_convert(&params, NULL), ZM_OK);
    params.adapter = self.adapter;
    params.output = self.out;
    assert_int_equal(zm_convert(&params, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_log.error, "not folded"));
    assert_int_equal(convert(folded, self.adapter, self.out, NULL), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(test_log.error, "norms without weights"));
    free(folded);
    stop(&self);
}

/* ---- GGUF ---- */

static void write_gguf(const char *path, const char *architecture, const zm_model_tensor *tensors,
                       const float *const *data, size_t count)
{
    zm_text texts[] = {{architecture, strlen(architecture)}, {"lora", 4}};
    const zm_metadata_value values[] = {
        {.key = "general.architecture", .type = ZM_METADATA_STRING, .count = 1, .texts = &texts[0]},
        {.key = "adapter.type", .type = ZM_METADATA_STRING, .count = 1, .texts = &texts[1]}};
    zm_tensor_writer *writer = NULL;
    assert_int_equal(zm_gguf_writer_open(path, tensors, count, values, 2, &test_log.log, &writer),
                     ZM_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(
            zm_tensor_writer_write(writer, data[i], tensors[i].elements * sizeof(float)), ZM_OK);
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
}

static zm_model_tensor single(const char *name, uint64_t rows, uint64_t cols)
{
    zm_model_tensor out = matrix(name, NULL, rows, cols);
    out.dtype = ZM_F32;
    out.bytes /= 2;
    return out;
}

/* The largest |mean| of columns of the tensor; *rms: of all values. */
static double largest_mean(const char *path, const char *name, double *rms)
{
    zm_gguf *file = NULL;
    double largest = 0, squares = 0;
    assert_int_equal(zm_gguf_open(path, &test_log.log, &file), ZM_OK);
    for (size_t i = 0; i < file->tensor_count; i++) {
        const zm_model_tensor *tensor = &file->tensors[i];
        if (strcmp(tensor->name, name) != 0)
            continue;
        const uint64_t cols = tensor->rank == 2 ? tensor->shape[1] : 1;
        for (uint64_t col = 0; col < cols; col++) {
            double sum = 0;
            for (uint64_t row = 0; row < tensor->shape[0]; row++) {
                const double value = ((const float *)tensor->data)[row * cols + col];
                sum += value;
                squares += value * value / (double)tensor->elements;
            }
            largest = fmax(largest, fabs(sum) / (double)tensor->shape[0]);
        }
    }
    zm_gguf_close(&file);
    *rms = sqrt(squares);
    return largest;
}

static void test_control_vector(void **state)
{
    enum { D = 128 };
    float values[D + 1];
    double rms;
    lab self = start(state, TEXT_MODEL);
    char *path = test_format("%s/vector.gguf", self.home),
         *out = test_format("%s/o.gguf", self.home);
    for (int i = 0; i < D + 1; i++)
        values[i] = (float)(i % 7);
    const float *const data[] = {values};
    zm_model_tensor direction = single("direction.3", D, 0);
    write_gguf(path, "controlvector", &direction, data, 1);
    assert_true(largest_mean(path, direction.name, &rms) > 2);
    if (convert(self.model, path, out, NULL) != ZM_OK)
        fail_msg("%s", test_log.error);
    assert_true(largest_mean(out, direction.name, &rms) < 1e-7);
    assert_true(rms > 1.9 && rms < 2.1);
    direction = single("direction.3", D + 1, 0);
    write_gguf(path, "controlvector", &direction, data, 1);
    assert_int_equal(convert(self.model, path, out, NULL), ZM_ERROR_BAD_FORMAT);
    write_gguf(path, "gpt2", &direction, data, 1); /* a LoRA adapter has names of a GGUF model */
    assert_int_equal(convert(self.model, path, out, NULL), ZM_ERROR_INVALID_ARGUMENT);
    free(path), free(out);
    stop(&self);
}

static void test_gguf_adapter(void **state)
{
    enum { D = 128, FF = 512 };
    static float values[FF * RANK];
    double rms;
    lab self = start(state, TEXT_MODEL);
    char *path = test_format("%s/lora.gguf", self.home), *out = test_format("%s/o.gguf", self.home);
    char *model = test_format("%s/model.gguf", self.home);
    for (int i = 0; i < FF * RANK; i++)
        values[i] = (float)(i % 5);
    const float *const data[] = {values, values, values};
    const zm_model_tensor tensors[] = {single("blk.1.ffn_down.weight.lora_a", RANK, FF),
                                       single("blk.1.ffn_down.weight.lora_b", D, RANK),
                                       single("blk.1.ffn_up.weight.lora_b", FF, RANK)};
    const zm_convert_params reformat = {.input = self.model, .output = model, .log = &test_log.log};
    zm_convert_report report;
    write_gguf(path, "gpt2", tensors, data, 3);
    assert_int_equal(zm_convert(&reformat, NULL), ZM_OK);
    assert_int_equal(convert(self.model, path, out, NULL), ZM_ERROR_INVALID_ARGUMENT);
    if (convert(model, path, out, &report) != ZM_OK)
        fail_msg("%s", test_log.error);
    assert_int_equal(report.recentred, 1);
    assert_true(largest_mean(out, tensors[1].name, &rms) < 1e-7);
    assert_true(rms > 1);
    assert_true(largest_mean(out, tensors[0].name, &rms) > 1);
    assert_true(largest_mean(out, tensors[2].name, &rms) > 1);
    free(path), free(out), free(model);
    stop(&self);
}

int main(void)
{
    scratch_log_init(&test_log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whisper_adapter, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_gpt2_adapter, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_control_vector, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_gguf_adapter, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_folded, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests_name("adapter", tests, NULL, NULL);
}
