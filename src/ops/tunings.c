/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/tunings.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "ops/self_check.h"
#include "ops/tuning_file.h"
#include "shaders/hash.h"

/* What a device keeps. */
typedef struct tuned {
    zm_attachment base;
    zm_tunings tunings;
} tuned;

/* The register tiles of the cpu family whose sums fit into the vector registers of AVX-512, of
 * AVX2, of NEON and SSE, and of a machine without vectors. */
static const struct {
    uint32_t lanes, columns;
    uint32_t product_rows, attention_rows;
} registers[] = {{16, 32, 11, 12}, {8, 16, 6, 6}, {4, 32, 2, 2}, {1, 32, 1, 1}};
#define WIDTHS ZM_COUNT(registers)

static zm_tunings defaults[WIDTHS];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (size_t i = 0; i < WIDTHS; i++) {
        defaults[i] = (zm_tunings){*zm_tuning_of(ZM_FAMILY_CPU), *zm_gpu_tile_tuning_default(),
                                   *zm_gpu_row_tuning_default()};
        defaults[i].cpu.product.tile_rows = registers[i].product_rows;
        defaults[i].cpu.attention.tile_rows = registers[i].attention_rows;
        defaults[i].cpu.product.tile_columns = defaults[i].cpu.attention.tile_columns =
            registers[i].columns;
    }
}

const zm_tunings *zm_tunings_default(const zm_device *device)
{
    size_t i = 0;
    uint32_t lanes = device->info.limits.float_vector_width;
    pthread_once(&filled, fill);
    while (lanes && i + 1 < WIDTHS && lanes < registers[i].lanes)
        i++;
    return &defaults[i];
}

static void destroy(zm_attachment *attachment)
{
    free(attachment);
}

static tuned *create(const zm_tunings *tunings)
{
    tuned *t = zm_calloc(1, sizeof(*t));
    if (t) {
        t->base.destroy = destroy;
        t->tunings = *tunings;
    }
    return t;
}

/* ---- the file ---- */

/* Was the entry right on this device, now or when it was checked the first time? Nothing is noted
 * about kernels from a folder, which may be others the next time. */
static bool is_trusted(const zm_device *device, const zm_tuning_entry *entry,
                       const zm_tunings *changed, zm_refusal *why)
{
    const zm_tuning_key key = zm_tuning_key_get(entry, changed, &device->info, zm_shader_hash);
    bool noted = !device->shader_dir;
    if (noted && zm_tuning_checked_get(device->cache_dir, &key, why))
        return why->reason[0] == '\0';
    zm_logf(&device->log, ZM_LOG_INFO, "tuning of %s for %s: checking it for the first time",
            entry->op, device->info.name);
    zm_status status =
        zm_self_check(device, entry->op, zm_tuning_entry_family(entry), changed, NULL, why);
    if (noted && (status == ZM_OK || status == ZM_ERROR_MISMATCH))
        zm_tuning_checked_put(device->cache_dir, &key, status == ZM_OK ? "" : why->reason);
    return status == ZM_OK;
}

static void apply(const zm_device *device, const zm_tuning_entry *entry, zm_tunings *tunings)
{
    zm_refusal why = {""};
    zm_tunings changed = *tunings;
    if (zm_tuning_entry_apply(entry, device, &changed, &why) &&
        is_trusted(device, entry, &changed, &why)) {
        *tunings = changed;
        zm_logf(&device->log, ZM_LOG_INFO, "tuning of %s for %s is in use", entry->op,
                device->info.name);
    } else {
        zm_logf(&device->log, ZM_LOG_WARNING, "tuning of %s for %s is not used: %s", entry->op,
                device->info.name, why.reason);
    }
}

/* place NULL: all entries. */
static void load(const zm_device *device, const zm_tuning_entry *place, zm_kernel_family family,
                 zm_tunings *tunings)
{
    zm_tuning_list list;
    *tunings = *zm_tunings_default(device);
    if (!device->cache_dir)
        return;
    /* A file that can't be read is no reason not to work: its own line says what is wrong. */
    if (zm_tuning_file_read(device->cache_dir, &device->log, &list) == ZM_OK)
        for (size_t i = 0; i < list.count; i++)
            if (zm_tuning_entry_matches(&list.entries[i], &device->info) &&
                !(place && zm_tuning_entry_is_at(&list.entries[i], place, family)))
                apply(device, &list.entries[i], tunings);
    zm_tuning_list_finish(&list);
}

void zm_tunings_without(const zm_device *device, const zm_tuning_entry *place,
                        zm_kernel_family family, zm_tunings *out)
{
    load(device, place, family, out);
}

/* The self-check works on a handle of its own, so it may run while this one's mutex is held. */
static tuned *make(zm_device *device)
{
    zm_tunings tunings;
    zm_mutex_lock(&device->mutex);
    tuned *t = (tuned *)atomic_load(&device->tunings);
    if (!t) {
        load(device, NULL, ZM_FAMILY_REF, &tunings);
        t = create(&tunings);
        atomic_store(&device->tunings, (zm_attachment *)t);
    }
    zm_mutex_unlock(&device->mutex);
    return t;
}

const zm_tunings *zm_tunings_get(const zm_device *device)
{
    const tuned *t = (const tuned *)atomic_load(&device->tunings);
    if (!t && device->cache_dir) /* without a file there is nothing to keep */
        t = make((zm_device *)device);
    return t ? &t->tunings : zm_tunings_default(device);
}

zm_status zm_tunings_set(zm_device *device, const zm_tunings *tunings)
{
    tuned *t = create(tunings);
    if (!t)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_attachment *old = atomic_exchange(&device->tunings, (zm_attachment *)t);
    if (old)
        old->destroy(old);
    return ZM_OK;
}
