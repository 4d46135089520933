/* SPDX-License-Identifier: Apache-2.0 */
/* What is timed: an op with a shape, types and a kernel, and its buffers on the device. */
#ifndef ZM_BENCH_SUBJECT_H
#define ZM_BENCH_SUBJECT_H

#include "device/device.h"
#include "session.h"
#include "shape.h"
#include "tests/ops/op_run.h"
#include "timing.h"

/* How the user names it. */
typedef struct variant {
    char op[32];
    char shape[SHAPE_TEXT];
    zm_dtype type;        /* of activations; ZM_DTYPE_NONE = the device's real_type */
    zm_dtype weight_type; /* ZM_DTYPE_NONE = F32 */
    char kernel[32];      /* forced; "" = the library chooses */
} variant;

/* "kernel=cpu,weight-type=f16" or "cpu" (a kernel) changes a variant; "op=..." too, but not its
 * shape, whose commas would be in the way. False: reason says why. */
bool variant_change(variant *v, const char *text, shape_reason *reason);

/* Does the op have a kernel of the forced name? Always, when none is forced. */
bool subject_has_kernel(const variant *v);
/* Whose kernel is forced, or which the device prefers. */
zm_kernel_family subject_family(const session *s, const variant *v);

typedef struct subject {
    session *s;
    variant v;
    op_run *run;
    char kernel[32]; /* that ran, by name of the candidate */
    double flops, bytes;
    double written; /* bytes of the outputs, among bytes */
} subject;

/* Finish also after a failure. ZM_ERROR_LIMIT: it would take more memory than there is. Reasons
 * are in session and, where a shape is wrong, in reason. */
zm_status subject_create(session *s, const variant *v, subject *out, shape_reason *reason);
void subject_finish(subject *it);

/* Has the device run this subject's kernel; before each of its calls. self: the subject. */
zm_status subject_force(void *self);
timed subject_timed(subject *it, double sample_seconds);

const op_description *subject_op(const char *name);

#endif
