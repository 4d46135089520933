/* SPDX-License-Identifier: Apache-2.0 */
/* A case with its buffers on a device and its reference on the host. */
#ifndef ZM_TESTS_OPS_OP_RUN_H
#define ZM_TESTS_OPS_OP_RUN_H

#include "op_case.h"
#include "ref/ref.h"

/* The memory of one operand and of those that are the same view. */
typedef struct op_memory {
    zm_buffer *buffer; /* NULL = the operand is absent or an alias */
    zm_dtype dtype;
    uint32_t panel;        /* of weights and of vectors along their rows; 0 = rows */
    size_t count;          /* elements */
    size_t reference_size; /* bytes of input and of result */
    unsigned char *before; /* what is uploaded: canaries, and the inputs in their views */
    unsigned char *after;  /* what came back */
    unsigned char *first;  /* what came back the first time */
    void *input;           /* before, as double or int32_t; weights as rows */
    void *result;          /* input, after the reference ran over it */
} op_memory;

struct op_run {
    const op_description *op;
    op_params params;    /* with buffers, types and layouts */
    op_params reference; /* the same views, weights as rows of float64 */
    op_case c;
    uint32_t group; /* of columns, for statistics on this device */
    op_memory memory[OP_MAX_OPERANDS];
    size_t owner[OP_MAX_OPERANDS]; /* the operand whose memory it uses */
    size_t repeats;                /* of op_run_verify, >= 2; in the last one weights that have rows
                                      enough are in parts, where the op takes them so */
    uint32_t repeat_units;         /* compute units that the device has but for the first time;
                                      0 = as many as it has */
    double part; /* of the items that the reference computes, spread evenly; 0 = all. What came back
                    last stands for the rest. */
};

typedef struct op_verdict {
    bool ok;
    double error;     /* the highest, as the description measures it */
    char reason[200]; /* why not ok */
} op_verdict;

/* Builds the inputs from the seed and creates the buffers, with the layouts that the device asks
 * for: force a kernel before. Destroy also after a failure. */
zm_status op_run_create(zm_device *device, const op_description *op, const op_case *c,
                        uint64_t seed, op_run **out);
/* Buffers of the right sizes alone, for devices that compute nothing. */
zm_status op_run_create_unfilled(zm_device *device, const op_description *op, const op_case *c,
                                 op_run **out);
void op_run_destroy(op_run **run);
/* Does the device still ask for the layouts that the run has? */
bool op_run_fits(const op_run *run, zm_device *device);

/* Bytes of its elements, up to the end of the last block of them. */
size_t op_memory_bytes(const op_memory *memory);

/* Puts every buffer in its initial state. */
zm_status op_run_upload(op_run *run, zm_stream *stream);
zm_status op_run_call(op_run *run, zm_stream *stream);
/* Reads every buffer back and waits. */
zm_status op_run_download(op_run *run, zm_stream *stream);

void op_run_reference(op_run *run);
/* A reference over the items that the run asks for. */
void op_run_items(const op_run *run, const zm_ref_op *ref, const void *args, void *const *buffers);
/* After download and reference: outputs within the tolerance, everything else untouched. */
op_verdict op_run_check(const op_run *run, zm_dtype real);

/* Upload, call and download as often as run->repeats says, check, and ask for the same bits each
 * time. With repeat_units no other thread may use the device. */
zm_status op_run_verify(op_run *run, zm_stream *stream, zm_dtype real, op_verdict *verdict);

/* SHA-256 of the buffers as they came back: 64 hexadecimal digits and a NUL. */
void op_run_hash(const op_run *run, char hex[65]);

/* The input of an operand as doubles, from the first element of its view on; NULL = absent. */
const double *op_run_input(const op_run *run, size_t operand);
/* The same after the reference ran. */
const double *op_run_result(const op_run *run, size_t operand);

#endif
