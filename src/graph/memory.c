/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"

void zm_memory_finish(zm_memory *memory)
{
    free(memory->places);
    free(memory->arenas);
    *memory = (zm_memory){0};
}

/* ---- lifetimes ---- */

static zm_status lifetimes_fill(const zm_graph *graph, zm_memory *memory)
{
    for (size_t i = 0; i < graph->value_count; i++)
        memory->places[i].holder = (uint32_t)i;
    for (size_t n = 0; n < graph->node_count; n++) {
        const zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++) {
            const zm_value *root = zm_node_root(graph, node, i);
            if (!root || root->kind != ZM_VALUE_INNER)
                continue;
            zm_place *place = &memory->places[root->index];
            if (!place->bytes) {
                zm_status status = zm_value_bytes(graph, root, &place->bytes);
                if (status != ZM_OK)
                    return status;
                place->first = (uint32_t)n;
            }
            place->last = (uint32_t)n;
        }
    }
    return ZM_OK;
}

/* ---- in place ---- */

static uint32_t holder_of(const zm_memory *memory, uint32_t value)
{
    while (memory->places[value].holder != value)
        value = memory->places[value].holder;
    return value;
}

/* Do the node's other operands allow that its output lies where the holder is? */
static bool others_allow(const zm_graph *graph, const zm_memory *memory, const zm_node *node,
                         size_t output, uint32_t holder)
{
    uint32_t aliases = node->op->operands[output].aliases;
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_value *root = zm_node_root(graph, node, i);
        if (i == output || !root || (aliases & (1u << i)))
            continue;
        if (holder_of(memory, root->index) == holder)
            return false;
    }
    return true;
}

static bool same_shape(const zm_tensor *a, const zm_tensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->shape, b->shape, a->rank * sizeof(*a->shape)) == 0;
}

/* An output that begins its life here takes the place of an input that ends it, where the op may
 * write over what it reads. Both are whole, so that they are the same view. */
static bool take_place(const zm_graph *graph, zm_memory *memory, size_t n, size_t output, size_t i)
{
    const zm_node *node = &graph->nodes[n];
    const zm_value *to = zm_node_root(graph, node, output), *from = zm_node_root(graph, node, i);
    const zm_tensor *dst = zm_node_tensor(node, output), *src = zm_node_tensor(node, i);
    if (!to || !from || !zm_value_is_whole(graph->values[node->value[output] - 1], dst) ||
        !zm_value_is_whole(graph->values[node->value[i] - 1], src) || !same_shape(dst, src))
        return false;
    uint32_t holder = holder_of(memory, from->index);
    zm_place *place = &memory->places[to->index];
    if (place->first != n || place->holder != to->index || memory->places[holder].last != n ||
        holder == to->index || !others_allow(graph, memory, node, output, holder))
        return false;
    place->holder = holder;
    memory->places[holder].last = place->last;
    memory->in_place++;
    return true;
}

static void share_places(const zm_graph *graph, zm_memory *memory)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        const zm_op *op = graph->nodes[n].op;
        for (size_t output = 0; output < op->operand_count; output++)
            for (size_t i = 0; i < op->operand_count; i++)
                if ((op->operands[output].aliases & (1u << i)) &&
                    take_place(graph, memory, n, output, i))
                    break;
    }
}

/* ---- packing ---- */

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + ZM_PLACE_ALIGNMENT - 1) / ZM_PLACE_ALIGNMENT * ZM_PLACE_ALIGNMENT;
}

/* Places that have been found, in the order of arena and offset. */
typedef struct packing {
    zm_place **placed;
    size_t count;
    uint64_t most;
} packing;

static bool live_together(const zm_place *a, const zm_place *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The smallest gap of the arena that holds it for all of its life, or else the end. */
static uint64_t best_offset(const packing *p, const zm_place *place, uint32_t arena)
{
    uint64_t end = 0, size = rounded(place->bytes), best = UINT64_MAX, best_gap = UINT64_MAX;
    for (size_t i = 0; i < p->count; i++) {
        const zm_place *other = p->placed[i];
        if (other->arena != arena || !live_together(place, other))
            continue;
        uint64_t gap = other->offset > end ? other->offset - end : 0;
        if (gap >= size && gap < best_gap) {
            best = end;
            best_gap = gap;
        }
        if (end < other->offset + rounded(other->bytes))
            end = other->offset + rounded(other->bytes);
    }
    return best != UINT64_MAX ? best : end;
}

static void pack_one(packing *p, zm_place *place)
{
    uint32_t arena = 0;
    uint64_t offset = best_offset(p, place, arena);
    while (offset && offset + place->bytes > p->most)
        offset = best_offset(p, place, ++arena);
    place->arena = arena;
    place->offset = offset;
    size_t at = p->count++;
    for (; at > 0; at--) {
        const zm_place *before = p->placed[at - 1];
        if (before->arena < arena || (before->arena == arena && before->offset <= offset))
            break;
        p->placed[at] = p->placed[at - 1];
    }
    p->placed[at] = place;
}

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* The order of ties is that of the values: the same graph gets the same plan everywhere. */
static int larger_first(const void *a, const void *b)
{
    const zm_place *x = *(zm_place *const *)a, *y = *(zm_place *const *)b;
    int order = compare(y->bytes, x->bytes);
    return order ? order : compare(x->holder, y->holder);
}

static int longer_first(const void *a, const void *b)
{
    const zm_place *x = *(zm_place *const *)a, *y = *(zm_place *const *)b;
    int order = compare(y->last - y->first, x->last - x->first);
    return order ? order : larger_first(a, b);
}

static int earlier_first(const void *a, const void *b)
{
    const zm_place *x = *(zm_place *const *)a, *y = *(zm_place *const *)b;
    int order = compare(x->first, y->first);
    return order ? order : larger_first(a, b);
}

/* The bytes of all arenas, whose sizes are filled in. */
static uint64_t measure(zm_memory *memory, zm_place *const *holders, size_t count)
{
    uint64_t total = 0;
    memory->arena_count = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t arena = holders[i]->arena;
        while (memory->arena_count <= arena)
            memory->arenas[memory->arena_count++] = 0;
        uint64_t end = holders[i]->offset + holders[i]->bytes;
        if (memory->arenas[arena] < end)
            memory->arenas[arena] = end;
    }
    for (size_t i = 0; i < memory->arena_count; i++)
        total += memory->arenas[i];
    return total;
}

typedef int (*zm_place_order)(const void *a, const void *b);

static uint64_t pack(zm_memory *memory, zm_place **holders, size_t count, packing *p,
                     zm_place_order order)
{
    qsort(holders, count, sizeof(*holders), order);
    p->count = 0;
    for (size_t i = 0; i < count; i++)
        pack_one(p, holders[i]);
    return measure(memory, holders, count);
}

/* No order is best for all graphs, and each takes little time. */
static void pack_best(zm_memory *memory, zm_place **holders, size_t count, packing *p)
{
    static const zm_place_order orders[] = {larger_first, longer_first, earlier_first};
    size_t best = 0;
    uint64_t total = UINT64_MAX;
    for (size_t i = 0; i < ZM_COUNT(orders) && total > memory->least; i++) {
        uint64_t got = pack(memory, holders, count, p, orders[i]);
        if (got < total) {
            total = got;
            best = i;
        }
    }
    memory->total = pack(memory, holders, count, p, orders[best]);
}

/* Bytes that live at the same time, at most. */
static uint64_t live_most(const zm_graph *graph, zm_place *const *holders, size_t count)
{
    uint64_t most = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        uint64_t live = 0;
        for (size_t i = 0; i < count; i++)
            if (holders[i]->first <= n && n <= holders[i]->last)
                live += holders[i]->bytes;
        most = live > most ? live : most;
    }
    return most;
}

static zm_status size_check(const zm_graph *graph, const zm_memory *memory, uint64_t most)
{
    char name[64];
    for (size_t i = 0; i < graph->value_count; i++) {
        if (memory->places[i].bytes <= most)
            continue;
        zm_value_print(graph->values[i], name, sizeof(name));
        return zm_fail(&graph->log, ZM_ERROR_LIMIT,
                       "graph: tensor %s of %" PRIu64 " bytes is over the device's limit of "
                       "%" PRIu64 " for a buffer",
                       name, memory->places[i].bytes, most);
    }
    return ZM_OK;
}

/* Tensors in the place of another one are where that one is. */
static void places_follow(const zm_graph *graph, zm_memory *memory)
{
    for (size_t i = 0; i < graph->value_count; i++) {
        const zm_place *holder = &memory->places[holder_of(memory, (uint32_t)i)];
        memory->places[i].arena = holder->arena;
        memory->places[i].offset = holder->offset;
    }
}

zm_status zm_memory_plan(const zm_graph *graph, bool in_place, uint64_t most, zm_memory *out)
{
    size_t values = graph->value_count + 1, count = 0;
    zm_memory memory = {.places = zm_calloc(values, sizeof(zm_place)),
                        .arenas = zm_calloc(values, sizeof(uint64_t))};
    zm_place **holders = zm_calloc(values, sizeof(*holders));
    packing p = {.placed = zm_calloc(values, sizeof(*p.placed)), .most = most};
    zm_status status = ZM_OK;
    if (!memory.places || !memory.arenas || !holders || !p.placed)
        status = zm_graph_fail_memory(graph);
    if (status == ZM_OK)
        status = lifetimes_fill(graph, &memory);
    if (status == ZM_OK)
        status = size_check(graph, &memory, most);
    if (status == ZM_OK) {
        if (in_place)
            share_places(graph, &memory);
        for (size_t i = 0; i < graph->value_count; i++)
            if (memory.places[i].bytes && memory.places[i].holder == i)
                holders[count++] = &memory.places[i];
        memory.least = live_most(graph, holders, count);
        pack_best(&memory, holders, count, &p);
        places_follow(graph, &memory);
    }
    free(holders);
    free(p.placed);
    if (status == ZM_OK)
        *out = memory;
    else
        zm_memory_finish(&memory);
    return status;
}
