/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes are opened or refused; what is opened keeps the promises of safetensors.h.
 *
 *   CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/fuzz_safetensors
 *   build-fuzz/tests/fuzz/fuzz_safetensors -dict=tests/fuzz/safetensors.dict -max_len=512 */
#include <string.h>

#include "format/safetensors.h"
#include "fuzz.h"

/* The first byte chooses: the rest as it is, or with the length before it that makes everything
 * up to the last '}' the header. The second form gets the fuzzer past the length. */
static void make_file(int fd, const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    bool raw = data[0] % 2 == 0;
    data++;
    size--;
    if (!raw) {
        size_t header = size;
        while (header > 0 && data[header - 1] != '}')
            header--;
        uint8_t length[8] = {0};
        for (int i = 0; i < 8; i++)
            length[i] = (uint8_t)((uint64_t)header >> 8 * i);
        write_at(fd, length, sizeof(length), 0);
    }
    write_at(fd, data, size, raw ? 0 : 8);
}

static void check_tensor(const zm_model_tensor *tensor, uint64_t *total)
{
    uint64_t elements = 1;
    require(tensor->rank <= 4 && tensor->name[0] != '\0');
    for (uint32_t i = 0; i < tensor->rank; i++)
        elements *= tensor->shape[i];
    require(elements == tensor->elements);
    require(tensor->bytes == elements * zm_dtype_size(tensor->dtype));
    require((uintptr_t)tensor->data % zm_dtype_size(tensor->dtype) == 0);
    const volatile uint8_t *bytes = tensor->data;
    for (uint64_t i = 0; i < tensor->bytes; i++)
        (void)bytes[i];
    *total += tensor->bytes;
}

static void check_file(const zm_safetensors *file)
{
    uint64_t total = 0;
    for (size_t i = 0; i < file->tensor_count; i++) {
        check_tensor(&file->tensors[i], &total);
        require(i == 0 || strcmp(file->tensors[i - 1].name, file->tensors[i].name) < 0);
    }
    for (size_t i = 0; i < file->metadata_count; i++)
        require(file->metadata[i].key && file->metadata[i].value);
    require(total <= file->map.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path;
    make_file(memory_file(&path), data, size);
    errors = 0;
    zm_safetensors *file = NULL;
    zm_status status = zm_safetensors_open(path, &counting, &file);
    require((status == ZM_OK) == (file != NULL));
    require(errors == (status == ZM_OK ? 0 : 1));
    if (file)
        check_file(file);
    zm_safetensors_close(&file);
    return 0;
}
