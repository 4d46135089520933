/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/model.h"

#include "cli/output.h"

json_t *zm_cli_model_json(const zm_model *model)
{
    const zm_model_info *info = zm_model_get_info(model);
    const zm_cli_field fields[] = {
        {"path", zm_cli_json_text(info->path)},
        {"architecture", json_string(info->architecture_name)},
        {"norm", json_string(zm_norm_name(info->norm))},
        {"eps", zm_cli_json_real(info->eps)},
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
