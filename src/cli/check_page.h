/* SPDX-License-Identifier: Apache-2.0 */
/* What a check found, as one page with plots. */
#ifndef ZM_SRC_CLI_CHECK_PAGE_H
#define ZM_SRC_CLI_CHECK_PAGE_H

#include <zeromean/check.h>

typedef struct zm_cli_check_side {
    const zm_model_info *model;
    const zm_device_info *device;
} zm_cli_check_side;

/* "the same function, up to the rounding of float32: ..." */
enum { ZM_CLI_VERDICT = 160 };
const char *zm_cli_verdict(const zm_check_report *report, char out[ZM_CLI_VERDICT]);
/* "decoder.layer 3" */
enum { ZM_CLI_ROW_NAME = 48 };
const char *zm_cli_check_row_name(const zm_check_row *row, char out[ZM_CLI_ROW_NAME]);

/* Replaces a file of that name. */
zm_status zm_cli_check_page(const zm_check_report *report, const zm_cli_check_side sides[2],
                            const char *path, const zm_log *log);

#endif
