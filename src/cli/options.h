/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines from a table: each subcommand lists its options with the variables they set.
 *
 * --help, --version and --verbose are understood everywhere. Long options are written out in
 * full, with "--name VALUE" or "--name=VALUE"; letters as "-d VALUE" or "-dVALUE". */
#ifndef ZM_SRC_CLI_OPTIONS_H
#define ZM_SRC_CLI_OPTIONS_H

#include <stdbool.h>

#include "cli/cli.h"

typedef enum zm_cli_kind {
    ZM_CLI_FLAG = 0, /* bool: set to true */
    ZM_CLI_TEXT,     /* const char *: not empty */
    ZM_CLI_COUNT,    /* uint32_t: 1 .. 1000000 */
    ZM_CLI_REAL,     /* double: > 0, in the range of a float */
    ZM_CLI_AMOUNT,   /* the same, or 0 */
    ZM_CLI_SHARE,    /* double: > 0, <= 1 */
    ZM_CLI_FRACTION, /* double: 0 .. 1 */
    ZM_CLI_SEED,     /* uint64_t */
    ZM_CLI_TEXTS,    /* zm_cli_texts: one more, not empty */
    ZM_CLI_CHOICE    /* uint32_t: which word of `value` ("f32|f16"), from 1 */
} zm_cli_kind;

enum { ZM_CLI_TEXTS_MAX = 16 };

/* What an option that may come several times has been given. */
typedef struct zm_cli_texts {
    const char *values[ZM_CLI_TEXTS_MAX];
    size_t count;
} zm_cli_texts;

typedef struct zm_cli_option {
    const char *name;  /* without the dashes */
    char letter;       /* 0 = none */
    const char *value; /* what the help calls the value; the words of a choice; NULL for a flag */
    const char *help;
    zm_cli_kind kind;
    void *target; /* keeps its value (the default) when the option is not given */
} zm_cli_option;

typedef struct zm_cli_arguments {
    size_t count;
    char **values; /* part of argv */
} zm_cli_arguments;

/* Fills the targets and the arguments that are no options. False: the program ends with *code,
 * because help was asked for and given, or because of a usage error, which has been said. */
bool zm_cli_parse(const zm_cli_command *command, const zm_cli_option *options, size_t option_count,
                  int argc, char **argv, zm_cli_arguments *out, zm_cli_exit *code);

/* Of a model that is run. target: 0 = as the file says, 1 = rms */
#define ZM_CLI_NORM_OPTION(target)                                                                 \
    {                                                                                              \
        "norm", 0, "rms", "convert a model of LayerNorm while it is loaded", ZM_CLI_CHOICE, target \
    }

#define ZM_CLI_EXIT_HELP                                                        \
    "Exit status:\n"                                                            \
    "  0  done\n"                                                               \
    "  1  failed, or a check found a difference; one line on stderr says why\n" \
    "  2  the command line is wrong\n"

#endif
