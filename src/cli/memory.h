/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_CLI_MEMORY_H
#define ZM_SRC_CLI_MEMORY_H

#include <stdint.h>

/* The most resident memory that this program has had, in bytes; 0 where the system won't say. */
uint64_t zm_cli_peak_memory(void);

#endif
