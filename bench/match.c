/* SPDX-License-Identifier: Apache-2.0 */
#include "match.h"

#include <math.h>
#include <string.h>

const char *match_kind_name(match_kind kind)
{
    static const char *const names[MATCH_KIND_COUNT] = {"same",   "faster", "slower", "broken",
                                                        "mended", "gone",   "new",    "neither"};
    return names[kind];
}

static bool same_work(const result_row *a, const result_row *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->shape, b->shape) == 0 &&
           strcmp(a->type, b->type) == 0 && strcmp(a->weight_type, b->weight_type) == 0;
}

static size_t count_work(const result *r, const result_row *row)
{
    size_t count = 0;
    for (size_t i = 0; i < r->row_count; i++)
        count += same_work(&r->rows[i], row);
    return count;
}

/* When one row only is of this work on either side, another kernel was chosen for it: that is
 * what one wants to know. */
static const result_row *find(const result *in, const result_row *row, const result *from)
{
    bool alone = count_work(in, row) == 1 && count_work(from, row) == 1;
    for (size_t i = 0; i < in->row_count; i++)
        if (same_work(&in->rows[i], row) && (alone || strcmp(in->rows[i].kernel, row->kernel) == 0))
            return &in->rows[i];
    return NULL;
}

static match judge(const result_row *a, const result_row *b, double threshold)
{
    static const match_kind kinds[] = {
        [STATS_SAME] = MATCH_SAME, [STATS_FASTER] = MATCH_FASTER, [STATS_SLOWER] = MATCH_SLOWER};
    match m = {.a = a, .b = b, .kind = MATCH_NEITHER, .ratio = NAN};
    bool a_ok = a->status == ROW_OK, b_ok = b->status == ROW_OK;
    if (a_ok && b_ok) {
        m.kind = kinds[stats_compare(&a->time.seconds, &b->time.seconds, threshold)];
        m.ratio = b->time.seconds.median / a->time.seconds.median;
    } else if (a_ok) {
        m.kind = b->status == ROW_SKIPPED ? MATCH_GONE : MATCH_BROKEN;
    } else if (b_ok) {
        m.kind = MATCH_MENDED;
    }
    return m;
}

size_t match_rows(const result *a, const result *b, double threshold, match *out)
{
    size_t count = 0;
    for (size_t i = 0; i < a->row_count; i++) {
        const result_row *other = find(b, &a->rows[i], a);
        out[count++] = other ? judge(&a->rows[i], other, threshold)
                             : (match){&a->rows[i], NULL, MATCH_GONE, NAN};
    }
    for (size_t i = 0; i < b->row_count; i++)
        if (!find(a, &b->rows[i], b))
            out[count++] = (match){NULL, &b->rows[i], MATCH_NEW, NAN};
    return count;
}
