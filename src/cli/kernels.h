/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel candidates on a command line: --kernel OP=NAME. checkop reads it by this, too. */
#ifndef ZM_SRC_CLI_KERNELS_H
#define ZM_SRC_CLI_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

/* "[OP=]NAME", both globs; without OP it is about every op. Parts of the text that was read. */
typedef struct zm_cli_kernels {
    const char *op;
    size_t op_length;
    const char *name;
} zm_cli_kernels;

zm_cli_kernels zm_cli_kernels_read(const char *text);
bool zm_cli_kernels_are_of(const zm_cli_kernels *kernels, const char *op);
/* Is it one of them? */
bool zm_cli_kernels_have(const zm_cli_kernels *kernels, const char *op, const char *candidate);

#endif
