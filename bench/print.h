/* SPDX-License-Identifier: Apache-2.0 */
/* Results for people and for spreadsheets. */
#ifndef ZM_BENCH_PRINT_H
#define ZM_BENCH_PRINT_H

#include "result.h"

#define PRINT_DURATION 16

/* "12.3 ms": three digits and a unit. */
const char *print_duration(double seconds, char out[PRINT_DURATION]);
/* "16 MiB" */
const char *print_bytes(double bytes, char out[PRINT_DURATION]);

void print_peak(const result_peak *peak);
void print_table_head(void);
void print_table_row(const result_row *row);

/* Rows that are graphs; their kernel is the form. */
#define PRINT_FIRED 256
/* "epilogue=2 in-place=7" */
const char *print_fired(const row_graph *graph, char out[PRINT_FIRED]);
void print_graph_head(void);
void print_graph_row(const result_row *row);
void print_kernels_head(void);
/* Nothing where there is no profile. */
void print_kernels(const char *form, const row_profile *profile);

/* On stderr: how many forms failed, or why none was timed. False then. */
bool print_outcome(const result *r);

void print_csv_head(void);
void print_csv_row(const result_row *row);

#endif
