/* SPDX-License-Identifier: Apache-2.0 */
#include "noise.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define LOOK_NS 100000000 /* one look at an idle machine */

/* Processor time that the whole machine has spent working; < 0 where it isn't known. */
static double machine_seconds(void)
{
    unsigned long long user, nice, system, idle, wait, irq, softirq, steal;
    FILE *file = fopen("/proc/stat", "r");
    if (!file)
        return -1;
    int found = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
                       &idle, &wait, &irq, &softirq, &steal);
    fclose(file);
    if (found != 8)
        return -1;
    return (double)(user + nice + system + irq + softirq + steal) / (double)sysconf(_SC_CLK_TCK);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static double own_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

noise_watch noise_start(void)
{
    return (noise_watch){zm_clock_ns(), machine_seconds(), own_seconds()};
}

double noise_share(const noise_watch *watch)
{
    double machine = machine_seconds(), wall = zm_clock_since(watch->start_ns);
    if (machine < 0 || watch->machine < 0 || wall <= 0)
        return 0;
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    double others = (machine - watch->machine) - (own_seconds() - watch->own) - tick;
    double share = others / (wall * sysconf(_SC_NPROCESSORS_ONLN));
    return share > 0 ? share : 0;
}

bool noise_wait(double seconds)
{
    const struct timespec look = {0, LOOK_NS};
    uint64_t start = zm_clock_ns();
    do {
        noise_watch watch = noise_start();
        nanosleep(&look, NULL);
        if (noise_share(&watch) <= NOISE_LIMIT)
            return true;
    } while (zm_clock_since(start) < seconds);
    return false;
}
