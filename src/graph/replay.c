/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/replay.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "graph/executable.h"

#define STEADY_RUNS 3     /* with the same launches before they are recorded */
#define LEAST_LAUNCHES 3  /* of a stretch */
#define MOST_LAUNCHES 128 /* of a stretch */
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

void zm_replay_forget(zm_executable *exe, size_t n)
{
    zm_replay_state *replay = &exe->replay;
    if (exe->commands[n].stretch)
        stretch_drop(exe, &replay->stretches[exe->commands[n].stretch - 1]);
    exe->commands[n].planned_at = replay->run;
    /* Others may be steady earlier, and those that change in every run must not keep them waiting.
     */
    if (replay->look_at > replay->run + STEADY_RUNS)
        replay->look_at = replay->run + STEADY_RUNS;
}

zm_stretch *zm_replay_at(zm_executable *exe, size_t n)
{
    uint32_t slot = exe->commands[n].stretch;
    zm_stretch *stretch = slot ? &exe->replay.stretches[slot - 1] : NULL;
    return stretch && stretch->first == n && exe->replay.use != ZM_STRETCH_NONE ? stretch : NULL;
}

/* ---- recording ---- */

/* Scratch memory is the stream's, and another one when it has grown. */
static bool is_steady(const zm_executable *exe, size_t n)
{
    const zm_command *command = &exe->commands[n];
    bool steady = !command->stretch && command->planned_at + STEADY_RUNS <= exe->replay.run;
    for (size_t i = 0; steady && i < command->plan_count; i++)
        steady = !command->plans[i].scratch_bytes;
    return steady;
}

/* Ends where it is long enough, or at the first node that changes. */
static zm_stretch stretch_from(const zm_executable *exe, size_t n)
{
    zm_stretch stretch = {.first = n, .last = n};
    while (stretch.last < exe->graph->node_count && is_steady(exe, stretch.last) &&
           stretch.launches + exe->commands[stretch.last].launches <= MOST_LAUNCHES &&
           stretch.work < exe->submit_work) {
        const zm_command *command = &exe->commands[stretch.last++];
        stretch.launches += command->launches;
        stretch.work += command->work;
    }
    return stretch;
}

static zm_status stretch_record(zm_executable *exe, zm_stream *stream, zm_stretch *stretch)
{
    const zm_dispatch *launches[MOST_LAUNCHES];
    size_t count = 0;
    for (size_t n = stretch->first; n < stretch->last; n++)
        for (size_t p = 0; p < exe->commands[n].plan_count; p++)
            for (size_t i = 0; i < exe->commands[n].plans[p].count; i++)
                launches[count++] = &exe->commands[n].plans[p].launch[i];
    return zm_list_create(stream, launches, count, &stretch->list);
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

static zm_status look(zm_executable *exe, zm_stream *stream)
{
    zm_replay_state *replay = &exe->replay;
    zm_status status = ZM_OK;
    for (size_t n = 0; status == ZM_OK && n < exe->graph->node_count;) {
        zm_stretch stretch = stretch_from(exe, n);
        n = stretch.last > n ? stretch.last : n + 1;
        if (stretch.launches < LEAST_LAUNCHES)
            continue;
        status = stretch_record(exe, stream, &stretch);
        if (status != ZM_OK)
            break;
        uint32_t slot = free_slot(replay);
        replay->stretches[slot] = stretch;
        for (size_t i = stretch.first; i < stretch.last; i++)
            exe->commands[i].stretch = slot + 1;
        replay->trials = 0;
    }
    return status;
}

static zm_status slots_create(zm_executable *exe)
{
    zm_replay_state *replay = &exe->replay;
    if (replay->stretches)
        return ZM_OK;
    replay->count = exe->graph->node_count + 1;
    replay->stretches = zm_calloc(replay->count, sizeof(*replay->stretches));
    return replay->stretches ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
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

static zm_stretch_use use_now(const zm_replay_state *replay)
{
    if (replay->mode == ZM_REPLAY_ALWAYS || replay->pays)
        return ZM_STRETCH_LIST;
    return replay->trials % 2 ? ZM_STRETCH_LIST : ZM_STRETCH_TIMED;
}

void zm_replay_begin(zm_executable *exe, zm_stream *stream, bool plain)
{
    zm_replay_state *replay = &exe->replay;
    replay->use = ZM_STRETCH_NONE;
    replay->elapsed = 0;
    replay->spoilt = false;
    if (plain || replay->mode == ZM_REPLAY_NEVER || !zm_list_is_possible(exe->device) ||
        (replay->decided && !replay->pays))
        return;
    drop_strangers(exe, stream);
    if (replay->run >= replay->look_at) {
        zm_status status = slots_create(exe);
        replay->look_at = UINT64_MAX;
        if (status == ZM_OK)
            status = look(exe, stream);
        if (status != ZM_OK) { /* runs do without */
            replay->mode = ZM_REPLAY_NEVER;
            drop_all(exe);
            return;
        }
    }
    replay->use = use_now(replay);
}

void zm_replay_end(zm_executable *exe)
{
    zm_replay_state *replay = &exe->replay;
    if (replay->use == ZM_STRETCH_NONE || replay->mode == ZM_REPLAY_ALWAYS || replay->decided ||
        !replay->elapsed || replay->spoilt)
        return;
    uint64_t *best = &replay->best[replay->use == ZM_STRETCH_LIST];
    if (replay->trials < 2 || replay->elapsed < *best)
        *best = replay->elapsed;
    if (++replay->trials == TRIALS)
        decide(exe);
}
