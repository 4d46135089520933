/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs as they were built. */
#ifndef ZM_TESTS_SUPPORT_PASSES_H
#define ZM_TESTS_SUPPORT_PASSES_H

#include <zeromean/graph.h>

/* All passes are left out. */
static inline zm_compile_params passes_none(void)
{
    zm_compile_params params = {.replay = ZM_REPLAY_MEASURED};
    for (int i = 0; i < ZM_PASS_COUNT; i++)
        params.off[i] = true;
    return params;
}

#endif
