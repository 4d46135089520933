/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the public ops that are good but for one thing. They must come back with a status, one
 * line of reason that names the op, and not a bit written. Operands are views of one buffer. */
#ifndef ZM_TESTS_REFUSAL_H
#define ZM_TESTS_REFUSAL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/ops.h>

/* Operand i of a call lies at i * APART: room for the panels of any family. */
#define APART 8192
#define ELEMENTS (12 * APART)

typedef struct refusal {
    zm_device *device;
    zm_stream *stream;
    zm_buffer *buffer;
    bool on_host;
    uint32_t group; /* columns of a group of statistics */
    float before[ELEMENTS];
    char said[512]; /* the last error, */
    size_t errors;  /* and how many there were since the buffer was filled */
} refusal;

extern refusal f;

static const zm_status bad = ZM_ERROR_INVALID_ARGUMENT;
static const zm_status cannot = ZM_ERROR_UNSUPPORTED;

zm_tensor vector(uint32_t slot, uint32_t n);
zm_tensor matrix(uint32_t slot, uint32_t rows, uint32_t cols);
zm_tensor cube(uint32_t slot, uint32_t batch, uint32_t rows, uint32_t cols);
zm_tensor integers(zm_tensor tensor);
/* In the layout that the device wants. */
zm_tensor weight(uint32_t slot, uint32_t n, uint32_t k);
/* Stored in 16 bits from the same byte on. */
void narrow(zm_tensor *tensor, zm_dtype dtype);
/* With gaps after its rows. */
zm_tensor with_stride(zm_tensor matrix, uint64_t stride);

/* Fills the buffer and forgets what was said. */
void refusal_reset(void);
/* which: the line, or the number of the case */
void assert_refused(zm_status got, zm_status wanted, const char *op, int which);
void assert_accepted(zm_status got, const char *op, int which);

/* A copy of the good call with one thing changed; must be refused. */
#define REFUSE(op, wanted, change)                                    \
    do {                                                              \
        zm_##op##_params p = good_##op();                             \
        change;                                                       \
        refusal_reset();                                              \
        assert_refused(zm_##op(f.stream, &p), wanted, #op, __LINE__); \
    } while (0)

/* The same, must work; on the host device only, since other devices would compile a kernel for it
 * and check the arguments by the same code. */
#define ACCEPT(op, change)                                         \
    do {                                                           \
        zm_##op##_params p = good_##op();                          \
        change;                                                    \
        refusal_reset();                                           \
        if (f.on_host)                                             \
            assert_accepted(zm_##op(f.stream, &p), #op, __LINE__); \
    } while (0)

/* Without a change, on every device: what REFUSE sees is the one thing that it changed. */
#define GOOD(op)                                               \
    do {                                                       \
        zm_##op##_params p = good_##op();                      \
        refusal_reset();                                       \
        assert_accepted(zm_##op(f.stream, &p), #op, __LINE__); \
    } while (0)

/* Runs them on the device that the program's one argument names. */
int refusal_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests,
                 size_t count);

#endif
