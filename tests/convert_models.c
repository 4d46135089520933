/* SPDX-License-Identifier: Apache-2.0 */
/* convert-models TYPE[:FORM] [INPUT OUTPUT]...: converts each input. TYPE: default, f64 (which the
 * program zeromean does not offer) or lossy. FORM: fold, crms, ortho or ln. One JSON list of what
 * was recentred and requantised. */
#include <zeromean/convert.h>

#include <stdio.h>
#include <string.h>

static bool begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

static zm_norm norm_of(const char *form)
{
    if (!form || strcmp(form, ":fold") == 0)
        return ZM_NORM_DEFAULT;
    return strcmp(form, ":crms") == 0 ? ZM_NORM_CRMS
           : strcmp(form, ":ln") == 0 ? ZM_NORM_LAYER
                                      : ZM_NORM_ORTHO;
}

static void print_message(void *user, zm_log_level level, const char *message)
{
    (void)user;
    if (level <= ZM_LOG_WARNING)
        fprintf(stderr, "%s\n", message);
}

int main(int argc, char **argv)
{
    const zm_log log = {print_message, NULL, ZM_LOG_WARNING};
    const char *form = argc > 1 ? strchr(argv[1], ':') : NULL;
    zm_status status = argc > 3 ? ZM_OK : ZM_ERROR_INVALID_ARGUMENT;
    for (int i = 2; i + 1 < argc && status == ZM_OK; i += 2) {
        zm_convert_params params = {.input = argv[i],
                                    .output = argv[i + 1],
                                    .norm = norm_of(form),
                                    .fold = form && strcmp(form, ":fold") == 0,
                                    .lossy = begins(argv[1], "lossy"),
                                    .type = begins(argv[1], "f64") ? ZM_F64 : ZM_DTYPE_NONE,
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
