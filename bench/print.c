/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"

const char *print_duration(double seconds, char out[PRINT_DURATION])
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
    size_t i = 0;
    while (i < 3 && seconds < 0.9995 * units[i].unit)
        i++;
    double value = seconds / units[i].unit;
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(out, PRINT_DURATION, value < 1e9 ? "%.*f %s" : "%.*e %s", decimals, value,
             units[i].name);
    return out;
}

const char *print_bytes(double bytes, char out[PRINT_DURATION])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t i = 0;
    for (; i < 3 && bytes >= 1024; i++)
        bytes /= 1024;
    snprintf(out, PRINT_DURATION, "%.*f %s", bytes < 10 && bytes != floor(bytes) ? 1 : 0, bytes,
             units[i]);
    return out;
}

void print_peak(const result_peak *peak)
{
    char a[PRINT_DURATION], b[PRINT_DURATION];
    if (peak->status != ROW_OK) {
        printf("ceilings: %s: %s\n", row_status_name(peak->status), peak->reason);
        return;
    }
    for (size_t i = 0; i < peak->fma_count; i++)
        printf("fma   float%-2u %2u chains   %9.1f GFLOP/s  +-%4.1f %%%s\n", peak->fma[i].width,
               peak->fma[i].chains, peak->fma[i].gflops, peak->fma[i].spread * 50,
               i == peak->best_fma ? "  the ceiling" : "");
    for (size_t i = 0; i < peak->stream_count; i++)
        printf("%-5s %-17s   %9.1f GB/s     +-%4.1f %%\n", peak->streams[i].copy ? "copy" : "read",
               print_bytes(peak->streams[i].bytes, a), peak->streams[i].gbps,
               peak->streams[i].spread * 50);
    if (isfinite(peak->launch_seconds))
        printf("launch: %s each among many, %s when it is waited for\n",
               print_duration(peak->launch_seconds, a), print_duration(peak->wait_seconds, b));
}

void print_table_head(void)
{
    printf("%-15s %-38s %-9s %-12s %9s %8s %9s %8s  %s\n", "op", "shape", "types", "kernel",
           "median", "spread", "GFLOP/s", "GB/s", "of the ceiling");
}

static void print_versus(const result_row *row)
{
    const row_versus *v = &row->versus;
    const stats_summary *ratio = &v->ratio;
    char time[PRINT_DURATION];
    printf("  vs %s:%s:%s:%s  %s; the first is %.3fx as fast [%.3f, %.3f]%s\n", v->op, v->type,
           v->weight_type, v->kernel, print_duration(v->time.seconds.median, time), ratio->median,
           ratio->low, ratio->high,
           ratio->low > 1    ? ": faster"
           : ratio->high < 1 ? ": slower"
                             : ": no difference");
}

void print_table_row(const result_row *row)
{
    char types[20], time[PRINT_DURATION];
    snprintf(types, sizeof(types), "%s/%s", row->type, row->weight_type);
    printf("%-15s %-38s %-9s %-12s ", row->op, row->shape, types, row->kernel);
    if (row->status != ROW_OK) {
        printf("%s: %s\n", row_status_name(row->status), row->reason);
        return;
    }
    const stats_summary *s = &row->time.seconds;
    printf("%9s +-%4.1f %% %9.1f %8.1f  ", print_duration(s->median, time), s->spread * 50,
           row_gflops(row), row_gbps(row));
    if (row->ceiling.bound != BOUND_UNKNOWN)
        printf("%5.1f %% %s", row->ceiling.percent, ceiling_bound_name(row->ceiling.bound));
    else
        printf("unknown");
    printf("%s\n", row->time.noisy ? "  (noisy)" : "");
    if (row->versus.there)
        print_versus(row);
}

/* ---- graphs ---- */

const char *print_fired(const row_graph *graph, char out[PRINT_FIRED])
{
    size_t length = 0;
    out[0] = '\0';
    for (int i = 0; i < ZM_PASS_COUNT; i++)
        if (graph->fired[i])
            length +=
                (size_t)snprintf(out + length, PRINT_FIRED - length, "%s%s=%u", length ? " " : "",
                                 zm_pass_name((zm_pass)i), graph->fired[i]);
    return out;
}

void print_graph_head(void)
{
    printf("%-14s %9s %8s %25s %9s %8s %-16s %9s %9s %9s %8s  %s\n", "form", "median", "spread",
           "times as fast as the first", "GFLOP/s", "GB/s", "of the ceiling", "launches", "memory",
           "at least", "error", "passes");
}

void print_graph_row(const result_row *row)
{
    char time[PRINT_DURATION], memory[PRINT_DURATION], least[PRINT_DURATION], ratio[40] = "";
    char fired[PRINT_FIRED], ceiling[32] = "unknown";
    const stats_summary *s = &row->time.seconds, *r = &row->versus.ratio;
    printf("%-14s ", row->kernel);
    if (row->status != ROW_OK) {
        printf("%s: %s\n", row_status_name(row->status), row->reason);
        return;
    }
    if (row->versus.there)
        snprintf(ratio, sizeof(ratio), "%.3f [%.3f, %.3f]", r->median, r->low, r->high);
    if (row->ceiling.bound != BOUND_UNKNOWN)
        snprintf(ceiling, sizeof(ceiling), "%.1f %% %s", row->ceiling.percent,
                 ceiling_bound_name(row->ceiling.bound));
    printf("%9s +-%4.1f %% %26s %9.1f %8.1f %-16s %8u %9s %9s %8.1e  %s%s\n",
           print_duration(s->median, time), s->spread * 50, ratio, row_gflops(row), row_gbps(row),
           ceiling, row->graph.launches, print_bytes(row->graph.memory_bytes, memory),
           print_bytes(row->graph.least_bytes, least), row->graph.error,
           print_fired(&row->graph, fired), row->time.noisy ? "  (noisy)" : "");
}

void print_kernels_head(void)
{
    printf("\n%-14s %-18s %-18s %-18s %9s %12s %7s\n", "form", "op", "candidate", "kernel",
           "launches", "ms", "share");
}

void print_kernels(const char *form, const row_profile *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const row_kernel *k = &p->kernels[i];
        printf("%-14s %-18s %-18s %-18s %9.0f %12.3f %5.1f %%\n", i ? "" : form, k->op,
               k->candidate, k->kernel, k->launches, k->seconds * 1e3, row_kernel_percent(p, i));
    }
}

bool print_outcome(const result *r)
{
    size_t failed = 0, ok = 0;
    for (size_t i = 0; i < r->row_count; i++) {
        failed += r->rows[i].status == ROW_FAILED;
        ok += r->rows[i].status == ROW_OK;
    }
    if (failed)
        zm_cli_error("%zu of %zu forms failed", failed, r->row_count);
    else if (!ok && r->row_count)
        zm_cli_error("nothing was timed: %s: %s", r->rows[0].shape, r->rows[0].reason);
    return !failed && ok;
}

/* ---- CSV (RFC 4180) ---- */

static void print_field(const char *text, char end)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
    putchar(end);
}

/* Empty where there is no number. */
static void print_number(double value, char end)
{
    if (isfinite(value))
        printf("%.9g", value);
    putchar(end);
}

void print_csv_head(void)
{
    printf("op,shape,type,weight_type,kernel,status,reason,flops,bytes,seconds,low,high,spread,"
           "samples,dropped,noisy,gflops,gbps,ceiling,percent,versus,versus_seconds,ratio,"
           "ratio_low,ratio_high,operations,launches,memory_bytes,least_bytes,error,fired\n");
}

static void print_csv_time(const result_row *row)
{
    const stats_summary *s = &row->time.seconds;
    print_number(row->flops, ',');
    print_number(row->bytes, ',');
    print_number(s->median, ',');
    print_number(s->low, ',');
    print_number(s->high, ',');
    print_number(s->spread, ',');
    print_number((double)s->count, ',');
    print_number((double)row->time.dropped, ',');
    print_number(row->time.noisy, ',');
    print_number(row_gflops(row), ',');
    print_number(row_gbps(row), ',');
    bool known = row->ceiling.bound != BOUND_UNKNOWN;
    print_field(known ? ceiling_bound_name(row->ceiling.bound) : "", ',');
    print_number(known ? row->ceiling.percent : NAN, ',');
}

static void print_csv_graph(const row_graph *graph)
{
    char fired[PRINT_FIRED] = "";
    print_number(graph->there ? graph->operations : NAN, ',');
    print_number(graph->there ? graph->launches : NAN, ',');
    print_number(graph->there ? graph->memory_bytes : NAN, ',');
    print_number(graph->there ? graph->least_bytes : NAN, ',');
    print_number(graph->there ? graph->error : NAN, ',');
    print_field(print_fired(graph, fired), '\n');
}

void print_csv_row(const result_row *row)
{
    const row_versus *v = &row->versus;
    char name[96] = "";
    print_field(row->op, ',');
    print_field(row->shape, ',');
    print_field(row->type, ',');
    print_field(row->weight_type, ',');
    print_field(row->kernel, ',');
    print_field(row_status_name(row->status), ',');
    print_field(row->reason, ',');
    if (row->status != ROW_OK) {
        for (int i = 0; i < 18; i++)
            putchar(',');
        print_csv_graph(&row->graph);
        return;
    }
    print_csv_time(row);
    if (v->there)
        snprintf(name, sizeof(name), "%s:%s:%s:%s", v->op, v->type, v->weight_type, v->kernel);
    print_field(name, ',');
    print_number(v->there ? v->time.seconds.median : NAN, ',');
    print_number(v->there ? v->ratio.median : NAN, ',');
    print_number(v->there ? v->ratio.low : NAN, ',');
    print_number(v->there ? v->ratio.high : NAN, ',');
    print_csv_graph(&row->graph);
}
