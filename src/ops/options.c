/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

zm_options zm_options_get(zm_dtype activations)
{
    zm_options options = {""};
    zm_options_add(&options, "ACT_TYPE", activations);
    return options;
}

void zm_options_add(zm_options *options, const char *name, uint32_t value)
{
    size_t used = strlen(options->text);
    snprintf(options->text + used, sizeof(options->text) - used, "%s-D%s=%" PRIu32, used ? " " : "",
             name, value);
}
