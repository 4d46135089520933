/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are not here, as far as their limits go. */
#include "device/profile.h"

#include <string.h>
#include <strings.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* As their drivers tell them. */
static const zm_device_profile profiles[] = {
    {"adreno-505",
     "Qualcomm Adreno 505, a small phone",
     {
         .memory_bytes = 1 * GIB,
         .max_buffer_bytes = 256 * MIB,
         .local_memory_bytes = 32 * KIB,
         .compute_units = 1,
         .max_work_group = 256,
         .max_work_group_dim = {256, 256, 256},
         .buffer_alignment = 128,
         .wrap_alignment = 4096,
         .float_vector_width = 1,
         .fp16 = true,
         .own_local_memory = true,
         .unified_memory = true,
         .timestamps = true,
     }},
    {"mali-g52",
     "Arm Mali-G52, a phone or single-board computer",
     {
         .memory_bytes = 2 * GIB,
         .max_buffer_bytes = 512 * MIB,
         .local_memory_bytes = 32 * KIB,
         .compute_units = 2,
         .max_work_group = 384,
         .max_work_group_dim = {384, 384, 384},
         .buffer_alignment = 128,
         .wrap_alignment = 4096,
         .float_vector_width = 4,
         .sub_group_size = 8,
         .fp16 = true,
         .unified_memory = true,
         .timestamps = true,
     }},
    {"intel-uhd",
     "Intel UHD Graphics, in the processor of a laptop",
     {
         .memory_bytes = 6 * GIB,
         .max_buffer_bytes = 4 * GIB - 8 * KIB,
         .local_memory_bytes = 64 * KIB,
         .compute_units = 24,
         .max_work_group = 256,
         .max_work_group_dim = {256, 256, 256},
         .buffer_alignment = 128,
         .wrap_alignment = 4096,
         .float_vector_width = 1,
         .sub_group_size = 8,
         .fp16 = true,
         .fp64 = true,
         .own_local_memory = true,
         .unified_memory = true,
         .timestamps = true,
         .spirv = true,
     }},
    {"rdna2",
     "AMD RDNA 2, a card with memory of its own",
     {
         .memory_bytes = 8 * GIB,
         .max_buffer_bytes = 6 * GIB,
         .local_memory_bytes = 64 * KIB,
         .compute_units = 14,
         .max_work_group = 256,
         .max_work_group_dim = {1024, 1024, 1024},
         .buffer_alignment = 256,
         .wrap_alignment = 4096,
         .float_vector_width = 1,
         .sub_group_size = 32,
         .fp16 = true,
         .fp64 = true,
         .own_local_memory = true,
         .timestamps = true,
     }},
    {"raspberry-pi-4",
     "Broadcom VideoCore VI of a Raspberry Pi 4",
     {
         .memory_bytes = 512 * MIB,
         .max_buffer_bytes = 128 * MIB,
         .local_memory_bytes = 16 * KIB,
         .compute_units = 1,
         .max_work_group = 256,
         .max_work_group_dim = {256, 256, 256},
         .buffer_alignment = 256,
         .wrap_alignment = 4096,
         .float_vector_width = 1,
         .unified_memory = true,
     }},
};

#define PROFILE_COUNT (sizeof(profiles) / sizeof(profiles[0]))

const zm_device_profile *zm_device_profiles(size_t *count)
{
    *count = PROFILE_COUNT;
    return profiles;
}

const zm_device_profile *zm_profile_find(const char *name)
{
    for (size_t i = 0; i < PROFILE_COUNT; i++)
        if (strcasecmp(profiles[i].name, name) == 0)
            return &profiles[i];
    return NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t least_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t most_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void zm_profile_cut(const zm_device_profile *profile, zm_device_info *info)
{
    const zm_device_limits *to = &profile->limits;
    zm_device_limits *limits = &info->limits;
    limits->memory_bytes = least(limits->memory_bytes, to->memory_bytes);
    limits->max_buffer_bytes = least(limits->max_buffer_bytes, to->max_buffer_bytes);
    limits->local_memory_bytes = least(limits->local_memory_bytes, to->local_memory_bytes);
    limits->compute_units = least_u32(limits->compute_units, to->compute_units);
    limits->max_work_group = least_u32(limits->max_work_group, to->max_work_group);
    for (int i = 0; i < 3; i++)
        limits->max_work_group_dim[i] =
            least_u32(limits->max_work_group_dim[i], to->max_work_group_dim[i]);
    limits->buffer_alignment = most_u32(limits->buffer_alignment, to->buffer_alignment);
    limits->wrap_alignment = most_u32(limits->wrap_alignment, to->wrap_alignment);
    limits->float_vector_width = least_u32(limits->float_vector_width, to->float_vector_width);
    limits->sub_group_size = least_u32(limits->sub_group_size, to->sub_group_size);
    limits->fp16 &= to->fp16;
    limits->fp64 &= to->fp64;
    limits->own_local_memory &= to->own_local_memory;
    limits->unified_memory &= to->unified_memory;
    limits->timestamps &= to->timestamps;
    limits->spirv &= to->spirv;
    limits->command_buffer &= to->command_buffer;
    limits->launch_chains &= to->launch_chains;
    if (info->backend != ZM_BACKEND_HOST)
        info->type = ZM_DEVICE_GPU;
}
