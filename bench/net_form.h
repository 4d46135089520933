/* SPDX-License-Identifier: Apache-2.0 */
/* One network in several forms: each kind of norm, done in each way. All but `none` compute the
 * same function. */
#ifndef ZM_BENCH_NET_FORM_H
#define ZM_BENCH_NET_FORM_H

#include <zeromean/block.h>

/* Coordinates of the main branch. */
typedef enum net_basis {
    NET_PLAIN = 0,  /* as the Pre-LN model has it */
    NET_CENTRED,    /* its mean is 0 */
    NET_COMPRESSED, /* the first d - 1 of them; the last one is 0 and fills up the row */
    NET_TURNED,     /* its mean is the last one, which is 0, by a reflection */
    NET_BASIS_COUNT
} net_basis;

typedef struct net_form {
    const char *name;
    zm_block_norm norm;
    net_basis basis;
    bool folded; /* the norm's weight and bias are in what reads it */
    bool sums;   /* column sums are given */
    bool off[ZM_PASS_COUNT];
} net_form;

#define NET_MAX_FORMS 11
/* The i-th form; NULL = there are no more. */
const net_form *net_form_at(size_t i);
/* "ln,rms-deferred": returns how many; 0 = a word is none, or is there twice. NULL: all. */
size_t net_forms_read(const char *text, const net_form *out[NET_MAX_FORMS]);

#endif
