/* SPDX-License-Identifier: Apache-2.0 */
/* What the program says: one line per failure on stderr, JSON on stdout. */
#ifndef ZM_SRC_CLI_OUTPUT_H
#define ZM_SRC_CLI_OUTPUT_H

#include <jansson.h>
#include <zeromean/log.h>

#include "cli/cli.h"
#include "common/compiler.h"

/* The log that all library calls get. Of several errors of one call only the first is shown: it
 * is the reason. */
const zm_log *zm_cli_log(void);
/* One level more: warnings, then choices, then everything. */
void zm_cli_log_more(void);

/* The name of the program in messages and help; "zeromean" unless another one sets its own. */
void zm_cli_set_program(const char *name);
const char *zm_cli_program(void);

/* "zeromean: ..." on stderr. */
ZM_PRINTF(1, 2) void zm_cli_error(const char *format, ...);
ZM_PRINTF(1, 2) void zm_cli_note(const char *format, ...);

/* The exit code of a status. Says what went wrong if the library hasn't, and gets ready for the
 * next call. */
zm_cli_exit zm_cli_result(zm_status status);

/* Flushes stdout; a failure to write it turns ZM_CLI_OK into ZM_CLI_FAILED. */
zm_cli_exit zm_cli_finish(zm_cli_exit code);

/* Text that may hold bytes that are no UTF-8 (paths, broken vocabularies): those become U+FFFD. */
json_t *zm_cli_json_text(const char *text);
/* null where JSON has no number for the value. */
json_t *zm_cli_json_real(double value);
/* An object of these fields, in this order; takes over the values. NULL, with all values dropped,
 * if one of them is NULL. */
typedef struct zm_cli_field {
    const char *key;
    json_t *value;
} zm_cli_field;
json_t *zm_cli_json_object(const zm_cli_field *fields, size_t count);

/* Prints the object on one line and drops the reference. object NULL: out of memory. */
zm_cli_exit zm_cli_json_print(json_t *object);

#endif
