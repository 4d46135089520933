/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/replay.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "graph/executable.h"

#define STEADY_RUNS 3     /* with the same launches before they are recorded */
#define BUILD_RUNS 16     /* before that may take compiling */
#define LEAST_LAUNCHES 3  /* of a stretch */
#define MOST_LAUNCHES 512 /* of a stretch */
#define TRIALS 16         /* in turns */

static void stretch_drop(zm_executable *exe, zm_stretch *stretch)
{
    for (size_t n = stretch->first; n < stretch->last; n++)
        exe->commands[n].stretch = 0;
    zm_list_destroy(&stretch->list);
    exe->replay.trials = 0; /* other stretches are another comparison */
}

static void drop_all(zm_executable *exe)
{
    for (size_t i = 0; i < exe->replay.count; i++)
        if (exe->replay.stretches[i].list)
            stretch_drop(exe, &exe->replay.stretches[i]);
}

void zm_replay_finish(zm_executable *exe)
{
    for (size_t i = 0; i < exe->replay.count; i++)
        zm_list_destroy(&exe->replay.stretches[i].list);
    free(exe->replay.stretches);
    exe->replay.stretches = NULL;
    exe->replay.count = 0;
}

/* Others may be steady earlier, and those that change in every run must not keep them waiting. */
static void look_by(zm_replay_state *replay, uint64_t run)
{
    if (replay->look_at > run)
        replay->look_at = run;
}

/* Which kernels, and whether there is scratch memory, which is the stream's and another one when
 * it has grown. */
static uint64_t kernels_of(const zm_command *command)
{
    uint64_t hash = command->plan_count;
    for (size_t p = 0; p < command->plan_count; p++) {
        const zm_plan *plan = &command->plans[p];
        hash = (hash ^ (plan->scratch_bytes != 0)) * UINT64_C(0x9e3779b97f4a7c15);
        for (size_t i = 0; i < plan->count; i++)
            hash = (hash ^ (uintptr_t)plan->launch[i].kernel) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return hash;
}

void zm_replay_planned(zm_executable *exe, size_t n)
{
    zm_replay_state *replay = &exe->replay;
    zm_command *command = &exe->commands[n];
    uint64_t kernels = kernels_of(command);
    zm_stretch *stretch = command->stretch ? &replay->stretches[command->stretch - 1] : NULL;
    if (kernels == command->kernels && zm_list_is_mutable(exe->device)) {
        command->changed = true;
        if (stretch)
            stretch->changed = true;
        return;
    }
    if (stretch)
        stretch_drop(exe, stretch);
    command->kernels = kernels;
    command->steady_at = replay->run;
    look_by(replay, replay->run + STEADY_RUNS);
}

zm_stretch *zm_replay_at(zm_executable *exe, size_t n)
{
    uint32_t slot = exe->commands[n].stretch;
    zm_stretch *stretch = slot ? &exe->replay.stretches[slot - 1] : NULL;
    return stretch && stretch->first == n && exe->replay.use != ZM_STRETCH_NONE ? stretch : NULL;
}

/* ---- recording ---- */

/* Launches of a node that a list takes, and have been the same for so many runs. */
static bool is_steady(const zm_executable *exe, size_t n, uint64_t runs)
{
    const zm_command *command = &exe->commands[n];
    bool steady = !command->stretch && command->steady_at + runs <= exe->replay.run;
    for (size_t p = 0; steady && p < command->plan_count; p++) {
        const zm_plan *plan = &command->plans[p];
        steady = !plan->scratch_bytes;
        for (size_t i = 0; steady && i < plan->count; i++)
            steady = zm_list_takes(exe->device, &plan->launch[i]);
    }
    return steady;
}

/* What a list is made of. */
typedef struct collection {
    const zm_dispatch *launches[MOST_LAUNCHES];
    size_t count;
    const zm_buffer *buffers[ZM_LIST_BUFFERS];
    size_t buffer_count;
} collection;

static bool add_buffer(collection *c, const zm_buffer *buffer)
{
    for (size_t i = 0; i < c->buffer_count; i++)
        if (c->buffers[i] == buffer)
            return true;
    if (!buffer)
        return true;
    if (c->buffer_count == ZM_LIST_BUFFERS)
        return false;
    c->buffers[c->buffer_count++] = buffer;
    return true;
}

/* False: there is no room for all of them. */
static bool add_command(collection *c, const zm_command *command)
{
    if (c->count + command->launches > MOST_LAUNCHES)
        return false;
    for (size_t p = 0; p < command->plan_count; p++)
        for (size_t i = 0; i < command->plans[p].count; i++) {
            const zm_dispatch *launch = &command->plans[p].launch[i];
            for (uint32_t b = 0; b < launch->kernel->desc.buffer_count; b++)
                if (!add_buffer(c, launch->buffers[b]))
                    return false;
            c->launches[c->count++] = launch;
        }
    return true;
}

/* Ends where it is long enough, or at the first node that changes. */
static zm_stretch stretch_from(const zm_executable *exe, size_t n, collection *c)
{
    zm_stretch stretch = {.first = n, .last = n};
    c->count = c->buffer_count = 0;
    while (stretch.last < exe->graph->node_count && is_steady(exe, stretch.last, STEADY_RUNS) &&
           stretch.work < exe->submit_work && add_command(c, &exe->commands[stretch.last])) {
        const zm_command *command = &exe->commands[stretch.last++];
        stretch.launches += command->launches;
        stretch.work += command->work;
    }
    c->count = stretch.launches;
    return stretch;
}

/* Every node is in one stretch at most, and a stretch has LEAST_LAUNCHES: there is always a slot.
 */
static uint32_t free_slot(const zm_replay_state *replay)
{
    uint32_t slot = 0;
    while (replay->stretches[slot].list)
        slot++;
    return slot;
}

/* All kernels of steady nodes, so that lists that can be changed are of one program. */
typedef struct kernel_set {
    const zm_kernel *all[ZM_LIST_KERNELS];
    size_t count;
} kernel_set;

static void add_kernel(kernel_set *set, const zm_kernel *kernel)
{
    size_t i = 0;
    while (i < set->count && set->all[i] != kernel)
        i++;
    if (i == set->count && i < ZM_LIST_KERNELS)
        set->all[set->count++] = kernel;
}

static kernel_set kernels_collect(const zm_executable *exe)
{
    kernel_set set = {.count = 0};
    for (size_t n = 0; n < exe->graph->node_count; n++) {
        const zm_command *command = &exe->commands[n];
        if (!command->stretch && !is_steady(exe, n, STEADY_RUNS))
            continue;
        for (size_t p = 0; p < command->plan_count; p++)
            for (size_t i = 0; i < command->plans[p].count; i++)
                add_kernel(&set, command->plans[p].launch[i].kernel);
    }
    return set;
}

static void keep(zm_executable *exe, const zm_stretch *stretch)
{
    zm_replay_state *replay = &exe->replay;
    uint32_t slot = free_slot(replay);
    replay->stretches[slot] = *stretch;
    for (size_t i = stretch->first; i < stretch->last; i++) {
        exe->commands[i].stretch = slot + 1;
        exe->commands[i].changed = false;
    }
    replay->trials = 0;
}

/* Who waits for what has to be compiled asks again later. */
static zm_status look_from(zm_executable *exe, zm_stream *stream, const kernel_set *set,
                           collection *c, size_t *n)
{
    zm_replay_state *replay = &exe->replay;
    zm_stretch stretch = stretch_from(exe, *n, c);
    bool known_only = replay->mode != ZM_REPLAY_ALWAYS;
    for (size_t i = stretch.first; i < stretch.last; i++)
        known_only &= !is_steady(exe, i, BUILD_RUNS);
    *n = stretch.last > *n ? stretch.last : *n + 1;
    if (stretch.launches < LEAST_LAUNCHES)
        return ZM_OK;
    zm_status status = zm_list_create(stream,
                                      &(zm_list_params){.launches = c->launches,
                                                        .count = c->count,
                                                        .kernels = set->all,
                                                        .kernel_count = set->count,
                                                        .known_only = known_only},
                                      &stretch.list);
    if (status == ZM_OK)
        keep(exe, &stretch);
    if (status != ZM_ERROR_NOT_FOUND)
        return status;
    look_by(replay, replay->run + BUILD_RUNS - STEADY_RUNS);
    return ZM_OK;
}

static zm_status look(zm_executable *exe, zm_stream *stream)
{
    zm_status status = ZM_OK;
    collection *c = zm_calloc(1, sizeof(*c));
    if (!c)
        return ZM_ERROR_OUT_OF_MEMORY;
    kernel_set set = kernels_collect(exe);
    for (size_t n = 0; status == ZM_OK && n < exe->graph->node_count;)
        status = look_from(exe, stream, &set, c, &n);
    free(c);
    return status;
}

zm_status zm_replay_prepare(zm_executable *exe)
{
    zm_replay_state *replay = &exe->replay;
    if (replay->mode == ZM_REPLAY_NEVER || !zm_list_is_possible(exe->device))
        return ZM_OK;
    replay->stretches = zm_calloc(exe->graph->node_count + 1, sizeof(*replay->stretches));
    if (!replay->stretches)
        return zm_graph_fail_memory(exe->graph);
    replay->count = exe->graph->node_count + 1;
    return ZM_OK;
}

/* Those of another stream are of no use. */
static void drop_strangers(zm_executable *exe, const zm_stream *stream)
{
    for (size_t i = 0; i < exe->replay.count; i++) {
        zm_stretch *stretch = &exe->replay.stretches[i];
        if (!stretch->list || zm_list_is_of(stretch->list, stream))
            continue;
        stretch_drop(exe, stretch);
        exe->replay.look_at = exe->replay.run;
    }
}

/* ---- enqueueing ---- */

static bool list_update(zm_stretch *stretch, const zm_command *command, size_t first)
{
    for (size_t p = 0; p < command->plan_count; p++)
        for (size_t i = 0; i < command->plans[p].count; i++)
            if (!zm_list_update(stretch->list, first++, &command->plans[p].launch[i]))
                return false;
    return true;
}

static bool stretch_update(zm_executable *exe, zm_stretch *stretch)
{
    size_t first = 0;
    for (size_t n = stretch->first; n < stretch->last; n++) {
        zm_command *command = &exe->commands[n];
        if (command->changed && !list_update(stretch, command, first))
            return false;
        command->changed = false;
        first += command->launches;
    }
    stretch->changed = false;
    return true;
}

zm_status zm_replay_enqueue(zm_executable *exe, zm_stretch *stretch, bool *done)
{
    *done = false;
    zm_status status = !stretch->changed || stretch_update(exe, stretch)
                           ? zm_list_enqueue(stretch->list, done)
                           : ZM_OK;
    exe->replay.spoilt |= !*done;
    return status;
}

/* ---- which way ---- */

static void decide(zm_executable *exe)
{
    zm_replay_state *replay = &exe->replay;
    replay->decided = true;
    /* Less than a quarter is within the noise of a machine whose processors are the device, too. */
    replay->pays = replay->best[1] < replay->best[0] - replay->best[0] / 4;
    exe->info.replay_pays = replay->pays;
    exe->info.enqueue_ns = replay->best[0];
    exe->info.replay_ns = replay->best[1];
    zm_logf(&exe->graph->log, ZM_LOG_DEBUG,
            "graph: %" PRIu64 " ns of the host to enqueue what is recorded, %" PRIu64
            " ns to replay it: %s",
            replay->best[0], replay->best[1], replay->pays ? "it is replayed" : "not replayed");
    if (!replay->pays)
        drop_all(exe);
}

/* What a chain saves is time of the device, which the host does not see. */
static zm_stretch_use use_now(const zm_executable *exe)
{
    const zm_replay_state *replay = &exe->replay;
    if (replay->mode == ZM_REPLAY_ALWAYS || replay->pays || zm_list_is_mutable(exe->device))
        return ZM_STRETCH_LIST;
    return replay->trials % 2 ? ZM_STRETCH_LIST : ZM_STRETCH_TIMED;
}

void zm_replay_begin(zm_executable *exe, zm_stream *stream, bool plain)
{
    zm_replay_state *replay = &exe->replay;
    replay->use = ZM_STRETCH_NONE;
    replay->elapsed = 0;
    replay->spoilt = false;
    if (plain || replay->mode == ZM_REPLAY_NEVER || !replay->stretches ||
        (replay->decided && !replay->pays))
        return;
    drop_strangers(exe, stream);
    if (replay->run >= replay->look_at) {
        replay->look_at = UINT64_MAX;
        zm_status status = look(exe, stream);
        if (status != ZM_OK) { /* runs do without */
            replay->mode = ZM_REPLAY_NEVER;
            drop_all(exe);
            return;
        }
    }
    replay->use = use_now(exe);
}

void zm_replay_end(zm_executable *exe)
{
    zm_replay_state *replay = &exe->replay;
    if (replay->use == ZM_STRETCH_NONE || replay->mode == ZM_REPLAY_ALWAYS || replay->decided ||
        !replay->elapsed || replay->spoilt || zm_list_is_mutable(exe->device))
        return;
    uint64_t *best = &replay->best[replay->use == ZM_STRETCH_LIST];
    if (replay->trials < 2 || replay->elapsed < *best)
        *best = replay->elapsed;
    if (++replay->trials == TRIALS)
        decide(exe);
}
