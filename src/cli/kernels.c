/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kernels.h"

#include <fnmatch.h>
#include <string.h>

zm_cli_kernels zm_cli_kernels_read(const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return (zm_cli_kernels){"*", 1, text};
    return (zm_cli_kernels){text, (size_t)(equals - text), equals + 1};
}

bool zm_cli_kernels_are_of(const zm_cli_kernels *kernels, const char *op)
{
    char glob[64];
    if (kernels->op_length >= sizeof(glob))
        return false;
    memcpy(glob, kernels->op, kernels->op_length);
    glob[kernels->op_length] = '\0';
    return fnmatch(glob, op, 0) == 0;
}

bool zm_cli_kernels_have(const zm_cli_kernels *kernels, const char *op, const char *candidate)
{
    return zm_cli_kernels_are_of(kernels, op) && fnmatch(kernels->name, candidate, 0) == 0;
}
