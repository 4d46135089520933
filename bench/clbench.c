/* SPDX-License-Identifier: Apache-2.0 */
/* The program clbench: finds the subcommand and runs it. */
#include "clbench.h"

#include <stdio.h>
#include <string.h>
#include <zeromean/common.h>

#include "cli/output.h"

static const zm_cli_command *const commands[] = {&zm_cli_devices, &clbench_peak,    &clbench_op,
                                                 &clbench_block,  &clbench_model,   &clbench_paper,
                                                 &clbench_text,   &clbench_compare, &clbench_report,
                                                 &clbench_tune,   &clbench_trace};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
    printf("usage: clbench COMMAND [OPTION]... [ARGUMENT]...\n\n"
           "Times the ops of Zeromean and says how far they are from what the device can do.\n\n"
           "Commands ('clbench COMMAND --help' says more):\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
    printf("\nOptions:\n"
           "  -h, --help     print this help\n"
           "      --version  print the version\n\n"
           "%s",
           ZM_CLI_EXIT_HELP);
}

static bool is(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int main(int argc, char **argv)
{
    zm_cli_set_program("clbench");
    if (argc < 2) {
        zm_cli_error("no command given (see 'clbench --help')");
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
        printf("clbench %s\n", zm_version());
        return zm_cli_finish(ZM_CLI_OK);
    }
    zm_cli_error("unknown %s '%s' (see 'clbench --help')", word[0] == '-' ? "option" : "command",
                 word);
    return ZM_CLI_USAGE;
}
