/* SPDX-License-Identifier: Apache-2.0 */
/* The program zeromean: finds the subcommand and runs it. */
#include <stdio.h>
#include <string.h>
#include <zeromean/common.h>

#include "cli/options.h"
#include "cli/output.h"

static const zm_cli_command *const commands[] = {
    &zm_cli_transcribe, &zm_cli_convert, &zm_cli_check, &zm_cli_devices, &zm_cli_inspect,
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
    printf("usage: zeromean COMMAND [OPTION]... [ARGUMENT]...\n\n"
           "Runs Pre-LN transformers, and converts them to Pre-RMSNorm exactly.\n\n"
           "Commands ('zeromean COMMAND --help' says more):\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
    printf("\nOptions:\n"
           "  -h, --help     print this help\n"
           "      --version  print the version\n\n"
           "Environment:\n"
           "  ZEROMEAN_DEVICE     the device, unless --device names one\n"
           "  ZEROMEAN_CACHE_DIR  where compiled kernels are kept; empty = nowhere;\n"
           "                      default: zeromean under $XDG_CACHE_HOME or ~/.cache\n\n"
           "%s",
           ZM_CLI_EXIT_HELP);
}

static bool is(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        zm_cli_error("no command given (see 'zeromean --help')");
        return ZM_CLI_USAGE;
    }
    const char *word = argv[1];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(word, commands[i]->name) == 0)
            return zm_cli_finish(commands[i]->run(argc - 1, argv + 1));
    if (is(word, "--help", "-h")) {
        print_help();
        return zm_cli_finish(ZM_CLI_OK);
    }
    if (is(word, "--version", "--version")) {
        printf("zeromean %s\n", zm_version());
        return zm_cli_finish(ZM_CLI_OK);
    }
    zm_cli_error("unknown %s '%s' (see 'zeromean --help')", word[0] == '-' ? "option" : "command",
                 word);
    return ZM_CLI_USAGE;
}
