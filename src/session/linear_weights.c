/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weights.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/quant.h"

#define MAX_PARTS 3

/* Has the norm been folded into what reads it? */
static bool is_folded(const zm_weight_loader *loader, const zm_linear_source *source)
{
    return loader->folded && source->norm && !zm_weight_find(loader, source->norm, ".weight");
}

/* Does a zero fill up what it adds to the main branch? */
static bool is_narrow(const zm_weight_loader *loader, const zm_linear_source *source)
{
    return loader->narrow && source->writes;
}

/* A part as the file has it. */
static zm_linear_part part_of(const zm_weight_loader *loader, const zm_linear_source *source,
                              uint32_t i)
{
    zm_linear_part part = source->parts[i];
    part.n -= is_narrow(loader, source) ? 1 : 0;
    return part;
}

/* NAME.bias of each part, one behind the other, is added to the values. */
static zm_status add_biases(zm_weight_loader *loader, const zm_linear_source *source,
                            double *values, bool *present)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < source->count && status == ZM_OK; i++) {
        const zm_linear_part part = part_of(loader, source, i);
        if (zm_weight_find(loader, part.name, ".bias")) {
            status = zm_vector_add_part(loader, &part, ".bias", values);
            *present = true;
        }
        values += source->parts[i].n;
    }
    return status;
}

static void fold_free(zm_norm_fold *fold)
{
    free(fold->gamma);
    free(fold->beta);
    free(fold->bias);
    free(fold->sums);
}

static uint32_t rows_of_all(const zm_linear_source *source)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < source->count; i++)
        n += source->parts[i].n;
    return n;
}

/* Where no norm is read, there is nothing yet in the bias and nothing will be. */
static zm_status fold_make(zm_weight_loader *loader, const zm_linear_source *source,
                           zm_norm_fold *out)
{
    size_t n = rows_of_all(source);
    out->layer = loader->column_sums;
    out->gamma = zm_calloc(source->k, sizeof(double));
    out->beta = zm_calloc(source->k, sizeof(double));
    out->bias = zm_calloc(n, sizeof(double));
    out->sums = zm_calloc(n, sizeof(double));
    if (!out->gamma || !out->beta || !out->bias || !out->sums)
        return zm_weight_out_of_memory(loader);
    if (!source->norm || is_folded(loader, source))
        return ZM_OK;
    for (uint32_t i = 0; loader->norm_plus_one && i < source->k; i++)
        out->gamma[i] = 1;
    zm_status status = zm_vector_add(loader, source->norm, ".weight", source->k, out->gamma);
    if (status == ZM_OK && zm_weight_find(loader, source->norm, ".bias"))
        status = zm_vector_add(loader, source->norm, ".bias", source->k, out->beta);
    return status;
}

static zm_status load_weights(zm_weight_loader *loader, const zm_linear_source *source,
                              const zm_norm_fold *fold, zm_tensor *out)
{
    zm_weight_source sources[MAX_PARTS] = {{0}};
    for (uint32_t i = 0; i < source->count; i++) {
        const zm_linear_part part = part_of(loader, source, i);
        sources[i] = zm_weight_source_of(loader, &part, ".weight", source->k, source->transposed);
        sources[i].cols = loader->narrow && is_folded(loader, source) ? source->k - 1 : 0;
        zm_status status = zm_weight_check(loader, part.name, ".weight", &sources[i]);
        if (status != ZM_OK)
            return status;
    }
    return zm_weight_load(loader, sources, source->count, is_narrow(loader, source) ? 1 : 0, fold,
                          source->gated, out);
}

/* A bias, or what is packed like one. */
static zm_status put_rows(zm_weight_loader *loader, const zm_linear_source *source,
                          const double *values, const zm_tensor *weight, zm_tensor *out)
{
    uint32_t n = weight->shape[0];
    if (!source->gated)
        return zm_vector_put(loader, values, n, out);
    const zm_weight_layout layout = {.panel = weight->panel};
    double *packed = zm_calloc(n, sizeof(*packed));
    if (!packed)
        return zm_weight_out_of_memory(loader);
    zm_status status =
        zm_gated_bias_pack(packed, ZM_F64, &layout, values, values + n / 2, ZM_F64, n / 2);
    if (status == ZM_OK)
        status = zm_vector_put(loader, packed, n, out);
    free(packed);
    return status;
}

/* A conversion on the way makes the gains of writers a part of their weights. */
static bool has_gain(const zm_weight_loader *loader, const zm_linear_source *source)
{
    return source->gain &&
           (!loader->plan || zm_plan_find(loader->plan, zm_weight_find(loader, source->gain, "")));
}

/* Gains of all outputs in *out; NULL = there are none. */
static zm_status make_gain(zm_weight_loader *loader, const zm_linear_source *source, double **out)
{
    const uint32_t n = rows_of_all(source);
    const bool own = has_gain(loader, source);
    zm_status status = ZM_OK;
    *out = NULL;
    if (!own && !source->factor)
        return ZM_OK;
    double *gain = zm_calloc(n, sizeof(*gain));
    if (!gain)
        return zm_weight_out_of_memory(loader);
    if (own)
        status = zm_vector_add(loader, source->gain, "", n, gain);
    for (uint32_t i = 0; i < n; i++)
        gain[i] = (own ? gain[i] : 1) * (source->factor ? source->factor : 1);
    *out = gain;
    return status;
}

zm_status zm_load_linear(zm_weight_loader *loader, const zm_linear_source *source, zm_linear *out,
                         zm_norm_weights *norm)
{
    if (source->count == 0 || source->count > MAX_PARTS || (source->norm && source->gain))
        return ZM_ERROR_INVALID_ARGUMENT;
    bool biased = source->norm && zm_weight_find(loader, source->norm, ".bias");
    bool folds = biased || (source->norm && loader->column_sums);
    zm_norm_fold fold = {0};
    double *gain = NULL;
    zm_status status = make_gain(loader, source, &gain);
    if (status == ZM_OK)
        status = fold_make(loader, source, &fold);
    loader->gain = gain;
    if (status == ZM_OK)
        status = load_weights(loader, source, folds ? &fold : NULL, &out->weight);
    loader->gain = NULL;
    if (status == ZM_OK)
        status = add_biases(loader, source, fold.bias, &biased);
    for (uint32_t i = 0; gain && status == ZM_OK && i < rows_of_all(source); i++)
        fold.bias[i] *= gain[i];
    free(gain);
    if (status == ZM_OK && biased)
        status = put_rows(loader, source, fold.bias, &out->weight, &out->bias);
    if (status == ZM_OK && source->norm && loader->column_sums)
        status = put_rows(loader, source, fold.sums, &out->weight, &out->column_sums);
    if (status == ZM_OK && source->norm && norm && !is_folded(loader, source))
        status = zm_vector_put(loader, fold.gamma, source->k, &norm->weight);
    fold_free(&fold);
    return status;
}

bool zm_linear_types_differ(const zm_weight_loader *loader, const zm_linear_part *a,
                            const zm_linear_part *b)
{
    const zm_model_tensor *one = zm_weight_find(loader, a->name, ".weight");
    const zm_model_tensor *other = zm_weight_find(loader, b->name, ".weight");
    return one && other && one->dtype != other->dtype &&
           (zm_dtype_block_length(one->dtype) > 1 || zm_dtype_block_length(other->dtype) > 1);
}
