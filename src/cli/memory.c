/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/memory.h"

#include <inttypes.h>
#include <stdio.h>

/* Not getrusage: on Linux its ru_maxrss begins with what the parent had when it started us. */
uint64_t zm_cli_peak_memory(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t kilobytes = 0;
    while (status && fgets(line, sizeof(line), status))
        if (sscanf(line, "VmHWM: %" SCNu64 " kB", &kilobytes) == 1)
            break;
    if (status)
        fclose(status);
    return kilobytes * 1024;
}
