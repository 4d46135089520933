/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weights.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"

/* Rows of the real type. */
static zm_status load_plain(zm_weight_loader *loader, zm_weight_source *source, zm_tensor *out)
{
    zm_dtype type = loader->storage->real_type;
    zm_weight_target target = {
        .tensor = zm_tensor_2d(NULL, type, (uint32_t)source->n, (uint32_t)source->k),
        .layout = {.elements = source->n * source->k}};
    zm_status status = zm_weight_fill(loader, source, 1, NULL, &target);
    if (status == ZM_OK)
        *out = target.tensor;
    return status;
}

static zm_status load_vector(zm_weight_loader *loader, const char *name, const char *suffix,
                             uint32_t d, zm_tensor *out)
{
    double *values = zm_calloc(d, sizeof(*values));
    if (!values)
        return zm_weight_out_of_memory(loader);
    zm_status status = zm_vector_add(loader, name, suffix, d, values);
    if (status == ZM_OK)
        status = zm_vector_put(loader, values, d, out);
    free(values);
    return status;
}

zm_status zm_load_conv1d(zm_weight_loader *loader, const char *name, uint32_t n, uint32_t channels,
                         uint32_t kernel, zm_linear *out)
{
    zm_weight_source weight = {.n = n, .k = (uint64_t)channels * kernel, .kernel = kernel};
    zm_weight_source_set(&weight, zm_weight_find(loader, name, ".weight"), loader->plan);
    zm_status status = zm_weight_check(loader, name, ".weight", &weight);
    if (status == ZM_OK)
        status = zm_weight_load(loader, &weight, 1, 0, NULL, false, &out->weight);
    if (status == ZM_OK && zm_weight_find(loader, name, ".bias"))
        status = load_vector(loader, name, ".bias", n, &out->bias);
    return status;
}

zm_status zm_load_norm(zm_weight_loader *loader, const char *name, uint32_t d, zm_norm_weights *out)
{
    zm_status status = load_vector(loader, name, ".weight", d, &out->weight);
    if (status == ZM_OK && zm_weight_find(loader, name, ".bias"))
        status = load_vector(loader, name, ".bias", d, &out->bias);
    return status;
}

zm_status zm_load_rows(zm_weight_loader *loader, const char *name, uint32_t rows, uint32_t cols,
                       zm_tensor *out)
{
    zm_weight_source table = {.n = rows, .k = cols, .kernel = 1};
    zm_weight_source_set(&table, zm_weight_find(loader, name, ""), loader->plan);
    zm_status status = zm_weight_check(loader, name, "", &table);
    return status == ZM_OK ? load_plain(loader, &table, out) : status;
}

/* ---- turns of the main branch ---- */

/* Of vectors of mean zero. CRMS leaves out the last element, which is minus the sum of the others.
 * ORTHO reflects at the plane between (1, ..., 1) / sqrt(d) and the last axis, which swaps the two:
 * z_j = x_j + x_d / (sqrt(d) - 1), and back x_j = z_j - s / (d - sqrt(d)) and x_d = s / sqrt(d)
 * with the sum s of z. */
static double turn_at(zm_norm norm, bool back, uint32_t d, uint32_t row, uint32_t col)
{
    const double root = sqrt(d), one = row == col ? 1 : 0;
    const bool last = (back ? row : col) == d - 1;
    if ((back ? col : row) == d - 1)
        return 0;
    if (norm == ZM_NORM_CRMS)
        return back && last ? -1 : one;
    if (back)
        return last ? 1 / root : one - 1 / (d - root);
    return last ? 1 / (root - 1) : one;
}

zm_status zm_load_turn(zm_weight_loader *loader, zm_norm norm, bool back, uint32_t d,
                       zm_linear *out)
{
    const uint64_t elements = (uint64_t)d * d;
    double *values = zm_calloc(elements, sizeof(*values));
    if (!values)
        return zm_weight_out_of_memory(loader);
    for (uint64_t i = 0; i < elements; i++)
        values[i] = turn_at(norm, back, d, (uint32_t)(i / d), (uint32_t)(i % d));
    const zm_model_tensor tensor = {.name = back ? "(back)" : "(turn)",
                                    .dtype = ZM_F64,
                                    .rank = 2,
                                    .shape = {d, d},
                                    .elements = elements,
                                    .bytes = elements * sizeof(*values),
                                    .data = values};
    zm_weight_source source = {.n = d, .k = d, .kernel = 1};
    zm_weight_source_set(&source, &tensor, NULL);
    const bool again = loader->again; /* it is nothing of the file */
    loader->again = true;
    zm_status status = zm_weight_load(loader, &source, 1, 0, NULL, false, &out->weight);
    loader->again = again;
    free(values);
    return status;
}
