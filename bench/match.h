/* SPDX-License-Identifier: Apache-2.0 */
/* Which row of one result is which row of another, and what became of it. */
#ifndef ZM_BENCH_MATCH_H
#define ZM_BENCH_MATCH_H

#include "result.h"

typedef enum match_kind {
    MATCH_SAME = 0, /* within the noise */
    MATCH_FASTER,
    MATCH_SLOWER,
    MATCH_BROKEN,  /* was ok, isn't any more */
    MATCH_MENDED,  /* is ok, wasn't before */
    MATCH_GONE,    /* only in the first */
    MATCH_NEW,     /* only in the second */
    MATCH_NEITHER, /* ok in none of the two */
    MATCH_KIND_COUNT
} match_kind;

typedef struct match {
    const result_row *a, *b; /* NULL = not there */
    match_kind kind;
    double ratio; /* b's median time / a's; NaN where one of them has none */
} match;

/* Rows belong together by op, shape and types, and by kernel where several kernels of one such
 * row were timed. out: a->row_count + b->row_count entries, of which the call returns how many it
 * filled: those of a in order, then the new ones. */
size_t match_rows(const result *a, const result *b, double threshold, match *out);

const char *match_kind_name(match_kind kind);

#endif
