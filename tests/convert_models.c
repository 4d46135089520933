/* SPDX-License-Identifier: Apache-2.0 */
/* convert-models TYPE [INPUT OUTPUT]...: converts each input. TYPE: default, f64 (which the program
 * zeromean does not offer) or lossy. One JSON list of what was recentred and requantised. */
#include <zeromean/convert.h>

#include <stdio.h>
#include <string.h>

static void print_message(void *user, zm_log_level level, const char *message)
{
    (void)user;
    if (level <= ZM_LOG_WARNING)
        fprintf(stderr, "%s\n", message);
}

int main(int argc, char **argv)
{
    const zm_log log = {print_message, NULL, ZM_LOG_WARNING};
    zm_status status = argc > 3 ? ZM_OK : ZM_ERROR_INVALID_ARGUMENT;
    for (int i = 2; i + 1 < argc && status == ZM_OK; i += 2) {
        zm_convert_params params = {.input = argv[i],
                                    .output = argv[i + 1],
                                    .lossy = strcmp(argv[1], "lossy") == 0,
                                    .type = strcmp(argv[1], "f64") == 0 ? ZM_F64 : ZM_DTYPE_NONE,
                                    .log = &log};
        zm_convert_report report;
        status = zm_convert(&params, &report);
        if (status == ZM_OK)
            printf("%s[%zu, %zu, %.17g]", i == 2 ? "[" : ",\n", report.recentred,
                   report.requantised, report.rounding);
    }
    printf("%s\n", status == ZM_OK ? "]" : "");
    return status == ZM_OK ? 0 : 1;
}
