/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of the program zeromean and its exit codes. */
#ifndef ZM_SRC_CLI_CLI_H
#define ZM_SRC_CLI_CLI_H

#include <stddef.h>

typedef enum zm_cli_exit { ZM_CLI_OK = 0, ZM_CLI_FAILED = 1, ZM_CLI_USAGE = 2 } zm_cli_exit;

typedef struct zm_cli_command {
    const char *name;
    const char *synopsis; /* "MODEL AUDIO...": what follows the options */
    const char *summary;  /* one line, for the list of commands */
    const char *details;  /* paragraphs, for its own --help; may be NULL */
    size_t min_arguments, max_arguments;
    zm_cli_exit (*run)(int argc, char **argv); /* argv[0] is the name of the command */
} zm_cli_command;

extern const zm_cli_command zm_cli_transcribe, zm_cli_convert, zm_cli_check, zm_cli_devices,
    zm_cli_inspect, zm_cli_graph, zm_cli_tokenize, zm_cli_generate, zm_cli_chat, zm_cli_perplexity,
    zm_cli_embed;

#endif
