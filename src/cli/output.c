/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"

static const char *program_name = "zeromean";
static int errors_shown;

void zm_cli_set_program(const char *name)
{
    program_name = name;
}

const char *zm_cli_program(void)
{
    return program_name;
}

static void write_log(void *user, zm_log_level level, const char *message)
{
    const zm_log *log = user;
    if (level == ZM_LOG_ERROR && errors_shown++ > 0 && log->level < ZM_LOG_INFO)
        return;
    zm_cli_progress_hide();
    fprintf(stderr, "%s: %s%s\n", program_name, level == ZM_LOG_WARNING ? "warning: " : "",
            message);
}

static zm_log the_log = {write_log, &the_log, ZM_LOG_WARNING};

const zm_log *zm_cli_log(void)
{
    return &the_log;
}

void zm_cli_log_more(void)
{
    if (the_log.level < ZM_LOG_DEBUG)
        the_log.level++;
}

static void say(const char *format, va_list args)
{
    zm_cli_progress_hide();
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void zm_cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    errors_shown++;
}

void zm_cli_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

zm_cli_exit zm_cli_result(zm_status status)
{
    zm_cli_progress_hide();
    if (status != ZM_OK && errors_shown == 0)
        zm_cli_error("%s",
                     status == ZM_ERROR_CANCELLED ? "interrupted" : zm_status_message(status));
    errors_shown = 0;
    return status == ZM_OK ? ZM_CLI_OK : ZM_CLI_FAILED;
}

zm_cli_exit zm_cli_finish(zm_cli_exit code)
{
    zm_cli_progress_hide();
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    clearerr(stdout);
    zm_cli_error("cannot write to standard output");
    return code == ZM_CLI_OK ? ZM_CLI_FAILED : code;
}

/* Bytes of the UTF-8 character at text, 0 if there is none. */
static size_t character_length(const char *text, size_t size)
{
    for (size_t length = 1; length <= 4 && length <= size; length++) {
        json_t *value = json_stringn(text, length);
        json_decref(value);
        if (value)
            return length;
    }
    return 0;
}

json_t *zm_cli_json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    size_t size = strlen(text);
    char *mended = malloc(3 * size + 1); /* U+FFFD has three bytes */
    if (!mended)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < size;) {
        size_t length = character_length(text + i, size - i);
        memcpy(mended + used, length ? text + i : "\xEF\xBF\xBD", length ? length : 3);
        used += length ? length : 3;
        i += length ? length : 1;
    }
    value = json_stringn(mended, used);
    free(mended);
    return value;
}

json_t *zm_cli_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *zm_cli_json_object(const zm_cli_field *fields, size_t count)
{
    json_t *object = json_object();
    bool complete = object != NULL;
    for (size_t i = 0; i < count; i++)
        if (json_object_set_new(object, fields[i].key, fields[i].value) != 0)
            complete = false;
    if (complete)
        return object;
    json_decref(object);
    return NULL;
}

zm_cli_exit zm_cli_json_print(json_t *object)
{
    if (!object)
        return zm_cli_result(ZM_ERROR_OUT_OF_MEMORY);
    int failed = json_dumpf(object, stdout, JSON_REAL_PRECISION(9));
    json_decref(object);
    putchar('\n');
    return failed ? zm_cli_finish(ZM_CLI_FAILED) : zm_cli_finish(ZM_CLI_OK);
}
