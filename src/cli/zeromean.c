/* SPDX-License-Identifier: Apache-2.0 */
/* The program zeromean: finds the subcommand and runs it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zeromean/common.h>

#include "cli/options.h"
#include "cli/output.h"

static const zm_cli_command *const commands[] = {
    &zm_cli_generate,   &zm_cli_chat,    &zm_cli_perplexity, &zm_cli_tokenize,
    &zm_cli_transcribe, &zm_cli_embed,   &zm_cli_convert,    &zm_cli_check,
    &zm_cli_devices,    &zm_cli_inspect, &zm_cli_graph,
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

/* A closed descriptor would be given to the next file that is opened, a model for example, and get
 * what is printed. */
static bool open_streams(void)
{
    const bool closed = fcntl(STDOUT_FILENO, F_GETFD) < 0;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    if (closed)
        zm_cli_error("standard output is closed; send it to a file or to /dev/null");
    return !closed;
}

int main(int argc, char **argv)
{
    if (!open_streams())
        return ZM_CLI_FAILED;
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
