/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "elementwise.h"
#include "norm.h"
#include "op_run.h"

extern const op_description op_recentre;

static bool cases(op_list *list)
{
    return elementwise_cases(list, true);
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_recentre(stream, &params->add);
}

/* As for layer_norm. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_add_params *p = &r->reference.add;
    const double *x = op_run_input(r, ADD_X), *y = op_run_input(r, ADD_Y);
    size_t d = op_cols(&p->x), x0 = row * op_stride(&p->x), y0 = row * op_stride(&p->y);
    double mean = 0, squares = 0;
    (void)operand;
    for (size_t i = 0; i < d; ++i) {
        mean += (x[x0 + i] + (y ? y[y0 + i] : 0)) / (double)d;
    }
    for (size_t i = 0; i < d; ++i) {
        double value = x[x0 + i] + (y ? y[y0 + i] : 0);
        double magnitude = norm_difference(value, mean, y != NULL, r->op->tolerance_f32);
        squares += magnitude * magnitude;
    }
    return sqrt(squares);
}

static double flops(const op_params *params)
{
    return 3.0 * op_rows(&params->add.x) * op_cols(&params->add.x);
}

const op_description op_recentre = {
    .name = "recentre",
    .operand_count = ADD_OPERANDS,
    .operands = ADD_OPERAND_LIST,
    .cases = cases,
    .run = run,
    .args = elementwise_args,
    .tolerance_f32 = 1e-6,
    .tolerance_f64 = 1e-14,
    .scale = scale,
    .flops = flops,
    .bytes = elementwise_bytes,
};
