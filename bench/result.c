/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/thread.h"

static const char *const status_names[ROW_STATUS_COUNT] = {"ok", "unsupported", "skipped",
                                                           "failed"};

const char *row_status_name(row_status status)
{
    return status_names[status];
}

const char *ceiling_bound_name(ceiling_bound bound)
{
    static const char *const names[BOUND_COUNT] = {"unknown", "fma", "bandwidth", "launch"};
    return names[bound];
}

double row_gflops(const result_row *row)
{
    return row->status == ROW_OK ? row->flops / row->time.seconds.median * 1e-9 : 0;
}

double row_gbps(const result_row *row)
{
    return row->status == ROW_OK ? row->bytes / row->time.seconds.median * 1e-9 : 0;
}

double row_kernel_percent(const row_profile *profile, size_t i)
{
    return 100 * profile->kernels[i].seconds / profile->seconds;
}

/* The first "model name" of /proc/cpuinfo. */
static void read_processor(char *out, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "unknown");
    while (file && fgets(line, sizeof(line), file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            colon[1 + strcspn(colon + 1, "\n")] = '\0';
            snprintf(out, size, "%s", colon + 1 + strspn(colon + 1, " "));
            break;
        }
    }
    if (file)
        fclose(file);
}

void result_init(result *r, const char *command, const zm_device_info *info)
{
    memset(r, 0, sizeof(*r));
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(r->date, sizeof(r->date), "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(r->command, sizeof(r->command), "%s", command);
    snprintf(r->version, sizeof(r->version), "%s", zm_version());
    snprintf(r->device_spec, sizeof(r->device_spec), "%s", info->spec);
    snprintf(r->device_name, sizeof(r->device_name), "%s", info->name);
    snprintf(r->device_platform, sizeof(r->device_platform), "%s", info->platform);
    snprintf(r->device_driver, sizeof(r->device_driver), "%s", info->driver);
    read_processor(r->processor, sizeof(r->processor));
    r->processors = zm_processor_count();
    r->peak.status = ROW_SKIPPED;
    r->peak.launch_seconds = r->peak.wait_seconds = NAN;
}

void result_finish(result *r)
{
    free(r->rows);
    r->rows = NULL;
    r->row_count = r->row_capacity = 0;
}

result_row *result_add(result *r)
{
    void *rows = r->rows;
    if (!zm_array_reserve(&rows, &r->row_capacity, r->row_count + 1, sizeof(result_row)))
        return NULL;
    r->rows = rows;
    result_row *row = &r->rows[r->row_count++];
    memset(row, 0, sizeof(*row));
    return row;
}
