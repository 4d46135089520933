/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics.h"

#include <math.h>

zm_tensor op_statistics(uint32_t rows, uint64_t offset)
{
    zm_tensor tensor = op_typed(op_matrix(rows, 1, offset, 0), OP_REAL);
    tensor.stride[0] = 0;
    tensor.stride[1] = 0;
    return tensor;
}

void op_statistics_prepare(const zm_device *device, uint32_t d, zm_tensor *statistics)
{
    uint32_t group = zm_statistics_group(device);
    if (statistics->rank) {
        statistics->shape[1] = (d + group - 1) / group * 2;
    }
}

struct zm_row_statistics_args op_statistics_args(const zm_row_statistics_params *p, uint32_t group)
{
    return (struct zm_row_statistics_args){
        .rows = op_rows(&p->x),
        .d = op_cols(&p->x),
        .group = group,
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .statistics_offset = (uint32_t)p->statistics.offset,
        .statistics_stride = (uint32_t)op_stride(&p->statistics),
        .weight_offset = (uint32_t)p->weight.offset,
        .param_type = ZM_F64,
        .weighted_offset = (uint32_t)p->weighted.offset,
        .weighted_stride = (uint32_t)op_stride(&p->weighted),
        .flags =
            (p->statistics.rank ? ZM_FLAG_STATISTICS : 0) | (p->weight.rank ? ZM_FLAG_WEIGHT : 0),
    };
}

void op_statistics_fill(const double *x, size_t rows, size_t d, size_t stride, uint32_t group,
                        double *values)
{
    for (size_t row = 0; row < rows; ++row) {
        for (size_t first = 0; first < d; first += group) {
            values[0] = values[1] = 0;
            for (size_t i = first; i < first + group && i < d; ++i) {
                values[0] += x[row * stride + i] * x[row * stride + i];
                values[1] += x[row * stride + i];
            }
            values += 2;
        }
    }
}

op_deferred op_deferred_of(const zm_row_scale *scale, const double *statistics, size_t row,
                           uint32_t k)
{
    op_deferred result = {1, 0, 1};
    double squares = 0, sum = 0, magnitudes = 0, power = 0;
    uint32_t d = scale->d ? scale->d : k + (scale->kind == ZM_ROW_SCALE_CRMS);
    if (scale->kind == ZM_ROW_SCALE_NONE) {
        return result;
    }
    for (size_t i = 0; i < op_cols(&scale->statistics); i += 2) {
        const double *group = statistics + row * op_stride(&scale->statistics) + i;
        squares += group[0];
        sum += group[1];
        magnitudes += fabs(group[1]);
    }
    if (scale->kind == ZM_ROW_SCALE_RMS) {
        power = squares / d;
    } else if (scale->kind == ZM_ROW_SCALE_CRMS) {
        power = (squares + sum * sum) / d;
        result.error += fabs(sum) * magnitudes / (squares + sum * sum);
    } else {
        result.mean = magnitudes / d;
        power = fmax(squares / d - sum / d * sum / d, 0);
        result.error += squares / d / (power + (double)scale->eps);
    }
    power += (double)scale->eps;
    result.scale = 1 / sqrt(power);
    return result;
}

double op_narrow_error(const op_description *op, zm_dtype row, zm_dtype statistics, double length)
{
    double unit = row == ZM_F16 ? 0x1p-11 : row == ZM_BF16 ? 0x1p-8 : 0;
    return length * unit / (statistics == ZM_F64 ? op->tolerance_f64 : op->tolerance_f32);
}
