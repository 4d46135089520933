/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the reference with buffers of doubles, for its tests. */
#ifndef ZM_TESTS_REF_CALL_H
#define ZM_TESTS_REF_CALL_H

#include <stddef.h>
#include <stdint.h>
#include <zeromean/common.h>

#define REF_BUFFERS 10

/* One call of an op: buffers as doubles, turned into the storage under test and back. */
typedef struct ref_call {
    double *reals[REF_BUFFERS]; /* NULL = not reals */
    size_t counts[REF_BUFFERS];
    void *others[REF_BUFFERS]; /* int32_t, or weights and caches in their own type */
} ref_call;

/* Runs the items in parts of `part` items. */
void ref_run(const char *op, const void *args, ref_call *c, zm_dtype real, size_t part);

/* |got - expected| <= tolerance * (1 + |expected|), and NaN where expected is. */
void ref_assert_near(const double *got, const double *expected, size_t count, double tolerance);

/* Both storages run each test. */
typedef struct ref_real {
    zm_dtype type;
    double tolerance;
} ref_real;
extern const ref_real ref_reals[2];
#define EACH_REAL(r) for (const ref_real *r = ref_reals; r < ref_reals + 2; ++r)

#endif
