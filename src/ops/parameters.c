/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "ops/tunings.h"

#define CPU(field) ZM_FAMILY_CPU, offsetof(zm_tunings, cpu.field)
#define GPU(field) ZM_FAMILY_GPU, offsetof(zm_tunings, field)

/* Ranges keep what is silly away from the kernels: every value in them has to work. The tuner takes
 * them in this order: what needs no other kernels comes first. */
static const zm_parameter fixed[] = {
    {"rms_norm", "row_items_per_unit", CPU(row_items_per_unit), 1, 64, false},
    {"rms_norm", "row_elements_per_item", CPU(row_elements_per_item), 256, 1u << 20, false},
    {"rms_norm", "gpu_groups_per_unit", GPU(gpu.groups_per_unit), 1, 256, false},
    {"rms_norm", "gpu_argmax_chunk", GPU(gpu.argmax_chunk), 64, 1u << 20, false},
    {"rms_norm", "gpu_small_items", GPU(gpu.small_items), 64, 1024, true},
    {"rms_norm", "gpu_large_items", GPU(gpu.large_items), 64, 1024, true},
    {"rms_norm", "gpu_small_row", GPU(gpu.small_row), 16, 1u << 16, false},
    {"matmul", "block_rows", CPU(product.rows), 1, 352, false},
    {"matmul", "block_elements", CPU(product.elements), 1u << 12, 1u << 24, false},
    {"matmul", "block_items_per_unit", CPU(product.items_per_unit), 1, 64, false},
    {"matmul", "matvec_items_per_unit", CPU(matvec_items_per_unit), 1, 256, false},
    {"matmul", "tile_rows", CPU(product.tile_rows), 1, 12, false},
    {"matmul", "tile_columns", CPU(product.tile_columns), 16, 32, true},
    {"matmul", "gpu_local_memory", GPU(gpu_matmul.local_memory), 0, ZM_GPU_LOCAL_MEMORY_NEVER,
     false},
    {"matmul", "gpu_matvec_rows", GPU(gpu_matmul.matvec_rows), 1, 8, false},
    {"matmul", "gpu_matvec_items", GPU(gpu_matmul.matvec_items), 64, 1024, true},
    {"matmul", "gpu_matvec_bytes", GPU(gpu_matmul.matvec_local_bytes), 4096, 1u << 16, true},
    {"matmul", "gpu_matvec_groups", GPU(gpu_matmul.matvec_groups), 1, 4096, false},
    {"attention", "few_rows", CPU(attention_few_rows), 1, 64, false},
    {"attention", "block_rows", CPU(attention.rows), 1, 4096, false},
    {"attention", "block_items_per_unit", CPU(attention.items_per_unit), 1, 64, false},
    {"attention", "tile_rows", CPU(attention.tile_rows), 1, 12, false},
    {"attention", "tile_columns", CPU(attention.tile_columns), 16, 32, true},
    {"attention", "gpu_items", GPU(gpu.attention_items), 64, 256, true},
    {"attention", "gpu_rows_each", GPU(gpu.attention_rows_each), 1, 8, true},
    {"attention", "gpu_keys", GPU(gpu.attention_keys), 16, 128, true},
    {"attention", "gpu_tile_bytes", GPU(gpu.attention_local_bytes), 8192, 1u << 17, true},
    {"attention", "gpu_columns", GPU(gpu.attention_chunk), 16, 128, true},
    {"attention", "gpu_few_queries", GPU(gpu.row_queries), 1, 8, true},
    {"attention", "gpu_few_rows", GPU(gpu.row_most_rows), 1, 64, false},
    {"attention", "gpu_few_packed_rows", GPU(gpu.row_most_packed), 1, 64, false},
    {"attention", "gpu_split_keys", GPU(gpu.row_split_keys), 16, 65536, false},
    {"attention", "gpu_split_groups", GPU(gpu.row_groups), 1, 1u << 16, false},
};
#define FIXED (sizeof(fixed) / sizeof(fixed[0]))

/* Of each tile of the gpu family. Which of them go together is not here: zm_gpu_tiles_valid. */
static const struct {
    const char *name;
    size_t offset;
    uint32_t least, most;
    bool power_of_two;
} tile_fields[] = {
    {"efficiency", offsetof(zm_gpu_tile, efficiency), 0, 1000, false},
    {"rows", offsetof(zm_gpu_tile, rows), 8, 256, true},
    {"slots", offsetof(zm_gpu_tile, slots), ZM_GPU_PANEL, 2 * ZM_GPU_PANEL, true},
    {"depth", offsetof(zm_gpu_tile, depth), 4, 64, true},
    {"item_rows", offsetof(zm_gpu_tile, item_rows), 1, 8, true},
};
#define TILE_FIELDS (sizeof(tile_fields) / sizeof(tile_fields[0]))

static zm_parameter all[FIXED + ZM_MAX_GPU_TILES * TILE_FIELDS];
#define COUNT (sizeof(all) / sizeof(all[0]))
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void)
{
    memcpy(all, fixed, sizeof(fixed));
    for (size_t i = 0; i < COUNT - FIXED; i++) {
        size_t tile = i / TILE_FIELDS, field = i % TILE_FIELDS;
        zm_parameter *parameter = &all[FIXED + i];
        *parameter = (zm_parameter){
            .op = "matmul",
            .family = ZM_FAMILY_GPU,
            .offset = offsetof(zm_tunings, gpu_matmul.tiles) + tile * sizeof(zm_gpu_tile) +
                      tile_fields[field].offset,
            .least = tile_fields[field].least,
            .most = tile_fields[field].most,
            .power_of_two = tile_fields[field].power_of_two,
        };
        snprintf(parameter->name, sizeof(parameter->name), "gpu_tile_%zu_%s", tile,
                 tile_fields[field].name);
    }
}

const zm_parameter *zm_parameter_list(size_t *count)
{
    pthread_once(&filled, fill);
    *count = COUNT;
    return all;
}

const zm_parameter *zm_parameter_find(const char *op, const char *name)
{
    size_t count;
    const zm_parameter *list = zm_parameter_list(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].op, op) == 0 && strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

uint32_t zm_parameter_get(const zm_parameter *parameter, const zm_tunings *tunings)
{
    uint32_t value;
    memcpy(&value, (const char *)tunings + parameter->offset, sizeof(value));
    return value;
}

bool zm_parameter_set(const zm_parameter *parameter, zm_tunings *tunings, uint32_t value)
{
    bool power = value && (value & (value - 1)) == 0;
    if (value < parameter->least || value > parameter->most || (parameter->power_of_two && !power))
        return false;
    memcpy((char *)tunings + parameter->offset, &value, sizeof(value));
    return true;
}
