/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"

/* A float as people write it: 1e-05, not 9.99999975e-06. */
static json_t *float_json(float value)
{
    char text[32];
    snprintf(text, sizeof(text), "%.7g", (double)value);
    return zm_cli_json_real(strtod(text, NULL));
}

json_t *zm_cli_model_json(const zm_model *model)
{
    const zm_model_info *info = zm_model_get_info(model);
    const zm_cli_field fields[] = {
        {"path", zm_cli_json_text(info->path)},
        {"architecture", json_string(info->architecture_name)},
        {"norm", json_string(zm_norm_name(info->norm))},
        {"folded", json_boolean(info->folded)},
        {"eps", float_json(info->eps)},
        {"parameters", json_integer((json_int_t)info->parameters)},
        {"bytes", json_integer((json_int_t)info->bytes)},
        {"tensor_count", json_integer((json_int_t)info->tensor_count)},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    const char *source = zm_model_get_metadata(model, ZM_CLI_SOURCE_KEY);
    if (source)
        json_object_set_new(object, "source_sha256", zm_cli_json_text(source));
    return object;
}
