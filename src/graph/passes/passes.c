/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/passes/passes.h"

static const struct {
    const char *name;
    zm_pass_fn *run; /* NULL: done by the memory plan */
} passes[] = {
    [ZM_PASS_DEAD_CODE] = {"dead-code", zm_pass_dead_code},
    [ZM_PASS_VIEW] = {"view", zm_pass_view},
    [ZM_PASS_ACTIVATION] = {"activation", zm_pass_activation},
    [ZM_PASS_MERGE] = {"merge", zm_pass_merge},
    [ZM_PASS_EPILOGUE] = {"epilogue", zm_pass_epilogue},
    [ZM_PASS_RESIDUAL_NORM] = {"residual-norm", zm_pass_residual_norm},
    [ZM_PASS_DEFERRED_NORM] = {"deferred-norm", zm_pass_deferred_norm},
    [ZM_PASS_SHARED_STATISTIC] = {"shared-statistic", zm_pass_shared_statistic},
    [ZM_PASS_WRITER_STATISTIC] = {"writer-statistic", zm_pass_writer_statistic},
    [ZM_PASS_IN_PLACE] = {"in-place", NULL},
};

const char *zm_pass_name(zm_pass pass)
{
    return pass >= 0 && pass < ZM_PASS_COUNT ? passes[pass].name : NULL;
}

zm_status zm_passes_run(zm_graph *graph, const zm_device *device, const bool *off, uint32_t *fired)
{
    for (size_t i = 0; i < ZM_COUNT(passes); i++)
        if (passes[i].run && !off[i] && graph->status == ZM_OK)
            fired[i] = passes[i].run(graph, device);
    return graph->status;
}
