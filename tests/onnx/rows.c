/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that work on each row: the norms, softmax, activations, rotary positions. */
#include "onnx/lab.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* An axis counted from the front, however the case counts it; false where there is none such. */
static bool axis_of(onnx_lab *lab, const onnx_case *c, uint32_t *axis)
{
    uint32_t rank = c->in[0].tensor->rank;
    double given = onnx_number(c, "axis", -1);
    double counted = given < 0 ? given + rank : given;
    if (!(counted >= 0 && counted < rank)) {
        onnx_refuse(lab, "axis %g of a tensor of rank %u", given, rank);
        return false;
    }
    *axis = (uint32_t)counted;
    return true;
}

static uint64_t product(const zm_model_tensor *tensor, uint32_t first, uint32_t end)
{
    uint64_t elements = 1;
    for (uint32_t i = first; i < end; ++i) {
        elements *= tensor->shape[i];
    }
    return elements;
}

/* The axes from `axis` on are one row of ours. */
static void normalize(onnx_lab *lab, const onnx_case *c,
                      zm_status (*norm)(zm_stream *, const zm_norm_params *))
{
    const zm_model_tensor *x = c->in[0].tensor, *weight = c->in[1].tensor, *bias = c->in[2].tensor;
    uint32_t axis = 0;
    if (!axis_of(lab, c, &axis)) {
        return;
    }
    uint64_t rows = product(x, 0, axis), d = product(x, axis, x->rank);
    if (!weight || weight->elements != d || (bias && bias->elements != d)) {
        onnx_refuse(lab, "a scale or bias that is repeated along a row; ours has one per element");
        return;
    }
    const onnx_view view = onnx_rows(rows, d), vector = onnx_rows(1, d);
    const zm_dtype dtype = onnx_activation(lab, x), real = lab->info->real_type;
    zm_norm_params params = {.eps = (float)onnx_number(c, "epsilon", 1e-5)};
    params.x = zm_tensor_2d(onnx_put(lab, x, dtype, &view), dtype, (uint32_t)rows, (uint32_t)d);
    params.weight = zm_tensor_1d(onnx_put(lab, weight, real, &vector), real, (uint32_t)d);
    if (bias) {
        params.bias = zm_tensor_1d(onnx_put(lab, bias, real, &vector), real, (uint32_t)d);
    }
    params.dst = params.x;
    params.dst.buffer = onnx_room(lab, dtype, rows * d);
    if (lab->status == ZM_OK) {
        onnx_ran(lab, norm(lab->stream, &params));
    }
    onnx_expect(lab, &c->out[0], &params.dst, &view);
}

void onnx_layer_normalization(onnx_lab *lab, const onnx_case *c)
{
    normalize(lab, c, zm_layer_norm);
    if (c->out[1].tensor || c->out[2].tensor) {
        snprintf(lab->partly, sizeof(lab->partly),
                 "Mean and InvStdDev: our layer_norm keeps the statistics of a row to itself");
    }
}

void onnx_rms_normalization(onnx_lab *lab, const onnx_case *c)
{
    normalize(lab, c, zm_rms_norm);
}

/* Another axis than the last one becomes the last one of our operand. */
void onnx_softmax(onnx_lab *lab, const onnx_case *c)
{
    const zm_model_tensor *x = c->in[0].tensor;
    uint32_t axis = 0;
    if (!axis_of(lab, c, &axis)) {
        return;
    }
    uint64_t n = x->shape[axis], inner = product(x, axis + 1, x->rank);
    uint64_t outer = product(x, 0, axis);
    const onnx_view view = {.shape = {1, (uint32_t)outer, (uint32_t)inner, (uint32_t)n},
                            .stride = {0, n * inner, 1, inner}};
    const zm_dtype dtype = onnx_activation(lab, x);
    zm_softmax_params params = {.x = zm_tensor_2d(onnx_put(lab, x, dtype, &view), dtype,
                                                  (uint32_t)(outer * inner), (uint32_t)n)};
    params.dst = params.x;
    if (lab->status == ZM_OK) {
        onnx_ran(lab, zm_softmax(lab->stream, &params));
    }
    onnx_expect(lab, &c->out[0], &params.dst, &view);
}

/* All elements are one row. */
static void activate(onnx_lab *lab, const onnx_case *c, zm_activation activation)
{
    const zm_model_tensor *x = c->in[0].tensor;
    const onnx_view view = onnx_rows(1, x->elements);
    const zm_dtype dtype = onnx_activation(lab, x);
    zm_activate_params params = {
        .x = zm_tensor_2d(onnx_put(lab, x, dtype, &view), dtype, 1, (uint32_t)x->elements),
        .activation = activation};
    params.dst = params.x;
    if (lab->status == ZM_OK) {
        onnx_ran(lab, zm_activate(lab->stream, &params));
    }
    onnx_expect(lab, &c->out[0], &params.dst, &view);
}

void onnx_gelu(onnx_lab *lab, const onnx_case *c)
{
    bool tanh_form = strcmp(onnx_text(c, "approximate", "none"), "tanh") == 0;
    activate(lab, c, tanh_form ? ZM_ACTIVATION_GELU_TANH : ZM_ACTIVATION_GELU);
}

void onnx_relu(onnx_lab *lab, const onnx_case *c)
{
    activate(lab, c, ZM_ACTIVATION_RELU);
}

void onnx_swish(onnx_lab *lab, const onnx_case *c)
{
    if (onnx_number(c, "alpha", 1) != 1) {
        onnx_refuse(lab, "an alpha other than 1; ours is x / (1 + e^-x)");
        return;
    }
    activate(lab, c, ZM_ACTIVATION_SILU);
}

/* ---- rotary positions ---- */

typedef struct rotary {
    uint32_t batch, heads, rows, head_dim, rotary_dim;
    int32_t position[1024]; /* of each row of each batch */
    onnx_view view;         /* [batch][rows][heads][head_dim] */
} rotary;

static bool rotary_shape(onnx_lab *lab, const onnx_case *c, rotary *r)
{
    const zm_model_tensor *x = c->in[0].tensor;
    bool split = x->rank == 4; /* [batch][heads][rows][head_dim], else [batch][rows][all heads] */
    uint64_t heads = split ? x->shape[1] : onnx_count(c, "num_heads");
    uint64_t rows = x->shape[split ? 2 : 1];
    if ((!split && x->rank != 3) || heads == 0 || rows * x->shape[0] > 1024) {
        onnx_refuse(lab, "a shape that the operator does not have, or of over 1024 rows");
        return false;
    }
    uint64_t d = split ? x->shape[3] : x->shape[2] / heads;
    r->batch = (uint32_t)x->shape[0];
    r->heads = (uint32_t)heads;
    r->rows = (uint32_t)rows;
    r->head_dim = (uint32_t)d;
    r->rotary_dim = onnx_count(c, "rotary_embedding_dim");
    r->rotary_dim = r->rotary_dim ? r->rotary_dim : r->head_dim;
    r->view =
        (onnx_view){.shape = {r->batch, r->rows, r->heads, r->head_dim},
                    .stride = {heads * rows * d, split ? d : heads * d, split ? rows * d : d, 1}};
    return true;
}

/* Whether a cosine and a sine of the tables are those of our formula's angle. */
static bool angle_fits(onnx_lab *lab, double x, double y, double angle)
{
    if (fabs(x * x + y * y - 1) > 1e-5) {
        onnx_refuse(lab, "cosine %.3f with sine %.3f is no rotation; our rope takes positions", x,
                    y);
    } else if (fabs(x - cos(angle)) > 1e-5 || fabs(y - sin(angle)) > 1e-5) {
        onnx_refuse(lab, "angles that aren't position * 10000^(-2 i / dim)");
    }
    return lab->unlike[0] == '\0';
}

/* Our op takes positions, ONNX's takes cosines and sines: tables of all positions, which are given
 * for each row, or a line of its own for each row; its position is its number then. */
static bool rotary_angles(onnx_lab *lab, const onnx_case *c, rotary *r)
{
    const zm_model_tensor *cosine = c->in[1].tensor, *sine = c->in[2].tensor;
    const zm_model_tensor *given = c->in[3].tensor;
    const uint32_t half = r->rotary_dim / 2, rows = r->batch * r->rows;
    const double lines = half ? (double)cosine->elements / half : 0;
    bool fits = cosine->elements == sine->elements && (!given || given->elements == rows);
    for (uint32_t row = 0; fits && row < rows; ++row) {
        double position = given ? onnx_element(given, row) : row % r->rows;
        double line = given ? position : row;
        fits = line >= 0 && line + 1 <= lines;
        r->position[row] = fits ? (int32_t)position : 0;
        for (uint32_t i = 0; fits && i < half; ++i) {
            uint64_t at = (uint64_t)line * half + i;
            double angle = position * pow(10000, -2.0 * i / r->rotary_dim);
            if (!angle_fits(lab, onnx_element(cosine, at), onnx_element(sine, at), angle)) {
                return false;
            }
        }
    }
    if (!fits) {
        onnx_refuse(lab, "tables or positions of another shape than the operator's");
    }
    return fits;
}

void onnx_rotary_embedding(onnx_lab *lab, const onnx_case *c)
{
    rotary r = {0};
    if (!c->in[1].tensor || !c->in[2].tensor) {
        onnx_refuse(lab, "no tables of cosines and sines");
        return;
    }
    if (!rotary_shape(lab, c, &r) || !rotary_angles(lab, c, &r)) {
        return;
    }
    const zm_dtype dtype = onnx_activation(lab, c->in[0].tensor);
    const uint32_t rows = r.batch * r.rows;
    zm_rope_params params = {.x = zm_tensor_2d(onnx_put(lab, c->in[0].tensor, dtype, &r.view),
                                               dtype, rows, r.heads * r.head_dim),
                             .positions = zm_tensor_1d(onnx_room(lab, ZM_I32, rows), ZM_I32, rows),
                             .head_dim = r.head_dim,
                             .rotary_dim = r.rotary_dim,
                             .layout = onnx_number(c, "interleaved", 0) != 0 ? ZM_ROPE_PAIRS
                                                                             : ZM_ROPE_HALVES};
    params.dst = params.x;
    if (lab->status == ZM_OK) {
        onnx_ran(lab, zm_buffer_write(lab->stream, params.positions.buffer, 0, r.position,
                                      rows * sizeof(r.position[0])));
        onnx_ran(lab, zm_rope(lab->stream, &params));
    }
    onnx_expect(lab, &c->out[0], &params.dst, &r.view);
}
