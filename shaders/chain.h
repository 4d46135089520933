/* SPDX-License-Identifier: Apache-2.0 */
/* What a chain is told (chain/chain.cl): the same struct for C (src/opencl) and OpenCL C. */
#ifndef ZEROMEAN_CHAIN_H
#define ZEROMEAN_CHAIN_H

#ifdef __OPENCL_C_VERSION__
typedef uint zm_chain_word;
#else
#include <stdint.h>
typedef uint32_t zm_chain_word;
#endif

#define ZM_CHAIN_ABSENT 255u /* a buffer */

/* A launch among others. The one behind the last one has no work-groups. */
struct zm_chain_step {
    zm_chain_word part;        /* which of the kernels that the chain was made of */
    zm_chain_word first;       /* work-groups of all steps before */
    zm_chain_word groups[3];   /* each >= 1 */
    zm_chain_word bindings[3]; /* four to a word: which of the chain's buffers */
    zm_chain_word args[32];
};

#endif
