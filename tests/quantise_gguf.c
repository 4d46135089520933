/* SPDX-License-Identifier: Apache-2.0 */
/* quantise-gguf TYPE INPUT OUTPUT: every matrix whose rows are whole blocks becomes TYPE. */
#include <zeromean/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/quant.h"
#include "format/gguf.h"

static zm_dtype find_type(const char *name)
{
    zm_dtype type = ZM_DTYPE_NONE;
    while (type < ZM_DTYPE_COUNT && strcmp(zm_dtype_name(type), name) != 0)
        type++;
    return zm_quant_can_encode(type) ? type : ZM_DTYPE_NONE;
}

static zm_status put(zm_tensor_writer *writer, const zm_model_tensor *from, zm_dtype type)
{
    uint64_t bytes = zm_dtype_bytes(type, from->elements);
    float *values = malloc(from->elements * sizeof(float));
    void *blocks = malloc(bytes);
    zm_quant_decode(values, from->data, from->dtype, from->elements);
    zm_quant_encode(blocks, type, values, from->elements);
    zm_status status = zm_tensor_writer_write(writer, blocks, bytes);
    free(values);
    free(blocks);
    return status;
}

static zm_status quantise(const zm_gguf *file, zm_dtype type, const char *path)
{
    zm_model_tensor *tensors = calloc(file->tensor_count, sizeof(*tensors));
    zm_tensor_writer *writer = NULL;
    for (size_t i = 0; i < file->tensor_count; i++) {
        tensors[i] = file->tensors[i];
        if (tensors[i].rank == 2 && tensors[i].shape[1] % zm_dtype_block_length(type) == 0)
            tensors[i].dtype = type;
    }
    zm_status status = zm_gguf_writer_open(path, tensors, file->tensor_count, file->parts[0].values,
                                           file->parts[0].value_count, NULL, &writer);
    for (size_t i = 0; i < file->tensor_count && status == ZM_OK; i++)
        status = put(writer, &file->tensors[i], tensors[i].dtype);
    if (status == ZM_OK)
        status = zm_tensor_writer_commit(&writer);
    zm_tensor_writer_discard(&writer);
    free(tensors);
    return status;
}

int main(int argc, char **argv)
{
    zm_dtype type = argc == 4 ? find_type(argv[1]) : ZM_DTYPE_NONE;
    zm_gguf *file = NULL;
    if (type == ZM_DTYPE_NONE || zm_gguf_open(argv[2], NULL, &file) != ZM_OK)
        return 2;
    zm_status status = quantise(file, type, argv[3]);
    zm_gguf_close(&file);
    return status == ZM_OK ? 0 : 1;
}
