/* SPDX-License-Identifier: Apache-2.0 */
#include "ref_call.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/half.h"
#include "ref/ref.h"

const ref_real ref_reals[2] = {{ZM_F32, 1e-7}, {ZM_F64, 1e-15}};

void ref_run(const char *op, const void *args, ref_call *c, zm_dtype real, size_t part)
{
    const zm_ref_op *ref = zm_ref_find(op);
    assert_non_null(ref);
    void *buffers[REF_BUFFERS];
    for (size_t i = 0; i < REF_BUFFERS; ++i) {
        buffers[i] = c->others[i];
        if (c->reals[i]) {
            buffers[i] = malloc(c->counts[i] * zm_dtype_size(real));
            assert_non_null(buffers[i]);
            zm_convert_reals(buffers[i], real, c->reals[i], ZM_F64, c->counts[i]);
        }
    }
    size_t items = ref->items(args);
    for (size_t begin = 0; begin < items; begin += part) {
        size_t end = items - begin < part ? items : begin + part;
        (real == ZM_F64 ? ref->f64 : ref->f32)(args, buffers, begin, end);
    }
    for (size_t i = 0; i < REF_BUFFERS; ++i) {
        if (c->reals[i]) {
            zm_convert_reals(c->reals[i], ZM_F64, buffers[i], real, c->counts[i]);
            free(buffers[i]);
        }
    }
}

void ref_assert_near(const double *got, const double *expected, size_t count, double tolerance)
{
    for (size_t i = 0; i < count; ++i) {
        if (isnan(expected[i])
                ? !isnan(got[i])
                : !(fabs(got[i] - expected[i]) <= tolerance * (1 + fabs(expected[i])))) {
            fail_msg("element %zu is %.17g, not %.17g", i, got[i], expected[i]);
        }
    }
}
