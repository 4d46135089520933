/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ops/operand.h"

zm_options zm_options_get(zm_dtype activations)
{
    zm_options options = {""};
    zm_options_add(&options, "ACT_TYPE", activations);
    return options;
}

zm_options zm_options_types(const zm_op *op, const void *params)
{
    zm_options options = zm_options_get(zm_operand_dtype(op, ZM_OPERAND_ACTIVATION, params));
    zm_dtype weight = zm_operand_dtype(op, ZM_OPERAND_WEIGHT, params);
    zm_dtype param = zm_operand_dtype(op, ZM_OPERAND_PARAM, params);
    if (weight)
        zm_options_add(&options, "WEIGHT_TYPE", weight);
    if (param && param != ZM_F32)
        zm_options_add(&options, "PARAM_TYPE", param);
    return options;
}

void zm_options_add(zm_options *options, const char *name, uint32_t value)
{
    size_t used = strlen(options->text);
    snprintf(options->text + used, sizeof(options->text) - used, "%s-D%s=%" PRIu32, used ? " " : "",
             name, value);
}

void zm_options_add_tile(zm_options *options, const zm_tiling *tiling)
{
    zm_options_add(options, "ROWS", tiling->rows);
    zm_options_add(options, "COLUMNS", tiling->columns);
}
