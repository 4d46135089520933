/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes are opened or refused; what is opened keeps the promises of gguf.h. So does
 * the model, if it is one, and its tokenizer, if it has one.
 * Seeds: tests/fuzz/seeds.py CORPUS
 *
 *   CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/fuzz_gguf
 *   build-fuzz/tests/fuzz/fuzz_gguf -dict=tests/fuzz/gguf.dict -max_len=4096 */
#include <string.h>

#include <zeromean/text.h>

#include "common/quant.h"
#include "format/gguf.h"
#include "fuzz.h"

/* The first byte chooses: the rest as it is, or behind a good header, whose small counts come from
 * that byte. The second form gets the fuzzer past it. */
static void make_file(int fd, const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    uint8_t header[24] = {'G', 'G', 'U', 'F', 3};
    bool raw = data[0] % 2 == 0;
    header[8] = data[0] >> 1 & 3;
    header[16] = data[0] >> 3 & 7;
    if (!raw)
        write_at(fd, header, sizeof(header), 0);
    write_at(fd, data + 1, size - 1, raw ? 0 : sizeof(header));
}

static void touch(const void *data, uint64_t size)
{
    const volatile uint8_t *bytes = data;
    for (uint64_t i = 0; i < size; i++)
        (void)bytes[i];
}

static void check_tensor(const zm_model_tensor *tensor)
{
    uint64_t elements = 1, length = zm_dtype_block_length(tensor->dtype);
    require(tensor->rank <= 4 && tensor->name[0] != '\0' && length > 0);
    for (uint32_t i = 0; i < tensor->rank; i++)
        elements *= tensor->shape[i];
    require(elements == tensor->elements && elements % length == 0);
    require(tensor->bytes == elements / length * zm_dtype_block_size(tensor->dtype));
    require((uintptr_t)tensor->data % 8 == 0);
    touch(tensor->data, tensor->bytes);
    float decoded[256];
    if (elements >= length && zm_quant_can_decode(tensor->dtype))
        zm_quant_decode(decoded, tensor->data, tensor->dtype, length);
}

static void check_value(const zm_metadata_value *value)
{
    int64_t integer;
    double real;
    bool truth;
    zm_text text;
    require(value->key[0] != '\0' && value->type != ZM_METADATA_NONE);
    require(value->is_array || value->count == 1);
    for (uint64_t i = 0; value->arrays && i < value->count; i++)
        check_value(&value->arrays[i]);
    require((value->arrays != NULL) <= (value->type == ZM_METADATA_ARRAY));
    for (uint64_t i = 0; !value->arrays && i < value->count; i++) {
        bool is_text = zm_metadata_string(value, i, &text);
        require(is_text == (value->type == ZM_METADATA_STRING));
        require(zm_metadata_real(value, i, &real) || is_text || zm_metadata_bool(value, i, &truth));
        (void)zm_metadata_integer(value, i, &integer);
        if (is_text)
            touch(text.data, text.length + !value->is_array);
    }
}

static void check_file(const zm_gguf *file)
{
    require(file->part_count == 1);
    const zm_gguf_part *part = &file->parts[0];
    for (size_t i = 0; i < file->tensor_count; i++) {
        check_tensor(&file->tensors[i]);
        require(i == 0 || strcmp(file->tensors[i - 1].name, file->tensors[i].name) < 0);
    }
    for (size_t i = 0; i < part->value_count; i++) {
        check_value(&part->values[i]);
        require(i == 0 || strcmp(part->values[i - 1].key, part->values[i].key) < 0);
    }
}

static void check_encoding(const zm_tokenizer *tokenizer)
{
    static const char words[] = "ab aab\xC3\xA9 </s>A";
    const zm_encode_params params = {.text = words, .size = sizeof(words) - 1, .log = &counting};
    int32_t *ids = NULL;
    size_t count = 0, size = 0;
    char *text = NULL;
    zm_status status = zm_tokenizer_encode(tokenizer, &params, &ids, &count);
    require(errors == (status == ZM_OK ? 0 : 1));
    if (status != ZM_OK)
        return;
    require(zm_tokenizer_decode(tokenizer, ids, count, true, &text, &size) == ZM_OK);
    touch(text, size);
    free(text);
    free(ids);
}

static void check_tokenizer(const zm_model *model)
{
    zm_tokenizer *tokenizer = NULL;
    zm_status status = zm_tokenizer_open_model(model, &counting, &tokenizer);
    require((status == ZM_OK) == (tokenizer != NULL));
    require(errors == (status == ZM_OK ? 0 : 1));
    if (tokenizer)
        check_encoding(tokenizer);
    zm_tokenizer_close(&tokenizer);
}

static void check_model(const char *path)
{
    zm_model *model = NULL;
    zm_status status = zm_model_open(path, &counting, &model);
    require((status == ZM_OK) == (model != NULL));
    require(errors == (status == ZM_OK ? 0 : 1));
    if (model)
        check_tokenizer(model);
    zm_model_close(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path;
    make_file(memory_file(&path), data, size);
    errors = 0;
    zm_gguf *file = NULL;
    zm_status status = zm_gguf_open(path, &counting, &file);
    require((status == ZM_OK) == (file != NULL));
    require(errors == (status == ZM_OK ? 0 : 1));
    if (file)
        check_file(file);
    zm_gguf_close(&file);
    if (status == ZM_OK)
        check_model(path);
    return 0;
}
