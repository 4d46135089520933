/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

#define BAR_CELLS 30
#define REDRAW_SECONDS 0.1

static struct {
    bool enabled; /* stderr is a terminal ... */
    bool paused;  /* ... but a line of text is there */
    bool visible;
    uint64_t drawn_at;
} bar;

static volatile sig_atomic_t interrupted; /* by which signal */

static void on_signal(int signal_number)
{
    interrupted = signal_number;
}

void zm_cli_progress_start(void)
{
    struct sigaction action = {0};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESETHAND | SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &action, NULL);
    bar.enabled = isatty(STDERR_FILENO) == 1;
}

static void draw(const char *stage, uint64_t done, uint64_t total)
{
    char cells[BAR_CELLS + 1];
    double part = total && done < total ? (double)done / (double)total : 1;
    int filled = (int)(part * BAR_CELLS);
    memset(cells, '#', (size_t)filled);
    memset(cells + filled, '.', (size_t)(BAR_CELLS - filled));
    cells[BAR_CELLS] = '\0';
    if (total)
        fprintf(stderr, "\r\033[K%-12s [%s] %3d %%", stage, cells, (int)(part * 100));
    else
        fprintf(stderr, "\r\033[K%-12s %llu", stage, (unsigned long long)done);
    fflush(stderr);
    bar.visible = true;
    bar.drawn_at = zm_clock_ns();
}

bool zm_cli_progress(void *user, const char *stage, uint64_t done, uint64_t total)
{
    (void)user;
    if (bar.enabled && !bar.paused &&
        (!bar.visible || zm_clock_since(bar.drawn_at) >= REDRAW_SECONDS))
        draw(stage, done, total);
    return !interrupted;
}

void zm_cli_progress_hide(void)
{
    if (!bar.visible)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    bar.visible = false;
}

void zm_cli_progress_yield(void)
{
    if (!bar.enabled || isatty(STDOUT_FILENO) != 1)
        return;
    zm_cli_progress_hide();
    bar.paused = true;
}

void zm_cli_progress_resume(void)
{
    bar.paused = false;
}

bool zm_cli_interrupted(void)
{
    return interrupted != 0;
}

bool zm_cli_goes_on(void *user)
{
    (void)user;
    return !zm_cli_interrupted();
}

bool zm_cli_progress_again(void)
{
    if (interrupted == 0)
        return true;
    if (interrupted != SIGINT)
        return false;
    interrupted = 0;
    zm_cli_progress_start();
    return true;
}
