/* SPDX-License-Identifier: Apache-2.0 */
/* Text that a command is given. */
#ifndef ZM_SRC_CLI_INPUT_H
#define ZM_SRC_CLI_INPUT_H

#include <zeromean/common.h>

/* prompt, or else the file or pipe at path, or else standard input; at most 256 MB. NUL-terminated
 * behind its bytes. Free *text with free(). */
zm_status zm_cli_input_read(const char *prompt, const char *path, char **text, size_t *size);

#endif
