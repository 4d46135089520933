/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "graph/graph.h"

static const zm_formula *formula_of(const zm_graph *graph, zm_size size)
{
    return size & ZM_SIZE_FORMULA ? &graph->formulas[size & ~ZM_SIZE_FORMULA] : NULL;
}

bool zm_size_is_sound(const zm_graph *graph, zm_size size)
{
    return !(size & ZM_SIZE_FORMULA) || (size & ~ZM_SIZE_FORMULA) < graph->formula_count;
}

uint32_t zm_size_most(const zm_graph *graph, zm_size size)
{
    const zm_formula *formula = formula_of(graph, size);
    return formula ? formula->most : size;
}

static uint32_t size_least(const zm_graph *graph, zm_size size)
{
    const zm_formula *formula = formula_of(graph, size);
    return formula ? formula->least : size;
}

uint64_t zm_size_symbols(const zm_graph *graph, zm_size size)
{
    const zm_formula *formula = formula_of(graph, size);
    return formula ? formula->symbols : 0;
}

uint32_t zm_size_number(const uint32_t *numbers, zm_size size)
{
    return size & ZM_SIZE_FORMULA ? numbers[size & ~ZM_SIZE_FORMULA] : size;
}

static zm_size formula_add(zm_graph *graph, const zm_formula *formula)
{
    zm_formula *formulas = zm_graph_reserve(graph, graph->formulas, &graph->formula_capacity,
                                            graph->formula_count, sizeof(*formulas));
    if (!formulas)
        return 0;
    graph->formulas = formulas;
    formulas[graph->formula_count] = *formula;
    return ZM_SIZE_FORMULA | (zm_size)graph->formula_count++;
}

static uint32_t symbol_count(const zm_graph *graph)
{
    uint32_t count = 0;
    for (size_t i = 0; i < graph->formula_count; i++)
        count += graph->formulas[i].name != NULL;
    return count;
}

zm_size zm_graph_symbol(zm_graph *graph, const char *name, uint32_t least, uint32_t most)
{
    if (!graph || graph->status != ZM_OK)
        return 0;
    uint32_t count = symbol_count(graph);
    if (!name || least > most || most >= ZM_SIZE_FORMULA || count == ZM_MAX_SYMBOLS) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "symbol %s: %" PRIu32 " .. %" PRIu32 " is no range below 2^31, or there are "
                      "%d symbols already",
                      name ? name : "without a name", least, most, ZM_MAX_SYMBOLS);
        return 0;
    }
    zm_formula formula = {
        .name = zm_strdup(name), .least = least, .most = most, .symbols = UINT64_C(1) << count};
    if (!formula.name) {
        zm_graph_fail(graph, ZM_ERROR_OUT_OF_MEMORY, "out of memory");
        return 0;
    }
    return formula_add(graph, &formula);
}

/* The same sum twice is one formula, so that equal shapes are seen to be equal. */
static zm_size formula_find(const zm_graph *graph, const zm_formula *wanted)
{
    for (size_t i = 0; i < graph->formula_count; i++) {
        const zm_formula *f = &graph->formulas[i];
        if (!f->name && f->a == wanted->a && f->b == wanted->b && f->minus == wanted->minus)
            return ZM_SIZE_FORMULA | (zm_size)i;
    }
    return 0;
}

static zm_size combine(zm_graph *graph, zm_size a, zm_size b, bool minus)
{
    if (!graph || graph->status != ZM_OK)
        return 0;
    if (!zm_size_is_sound(graph, a) || !zm_size_is_sound(graph, b)) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "a sum with a size of another graph");
        return 0;
    }
    int64_t least = size_least(graph, a), most = zm_size_most(graph, a);
    least += minus ? -(int64_t)zm_size_most(graph, b) : (int64_t)size_least(graph, b);
    most += minus ? -(int64_t)size_least(graph, b) : (int64_t)zm_size_most(graph, b);
    if (most < 0 || most >= (int64_t)ZM_SIZE_FORMULA) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "a sum of at most %" PRId64 ": not in 0 .. 2^31 - 1", most);
        return 0;
    }
    zm_formula formula = {.a = a,
                          .b = b,
                          .minus = minus,
                          .least = least < 0 ? 0 : (uint32_t)least,
                          .most = (uint32_t)most,
                          .symbols = zm_size_symbols(graph, a) | zm_size_symbols(graph, b)};
    if (!formula.symbols)
        return formula.most;
    zm_size found = formula_find(graph, &formula);
    return found ? found : formula_add(graph, &formula);
}

zm_size zm_graph_sum(zm_graph *graph, zm_size a, zm_size b)
{
    return combine(graph, a, b, false);
}

zm_size zm_graph_difference(zm_graph *graph, zm_size a, zm_size b)
{
    return combine(graph, a, b, true);
}

zm_status zm_sizes_evaluate(const zm_graph *graph, uint32_t *numbers)
{
    char text[96];
    for (size_t i = 0; i < graph->formula_count; i++) {
        const zm_formula *f = &graph->formulas[i];
        if (f->name)
            continue;
        uint32_t a = zm_size_number(numbers, f->a), b = zm_size_number(numbers, f->b);
        if (f->minus && b > a) {
            zm_size_print(graph, ZM_SIZE_FORMULA | (zm_size)i, text, sizeof(text));
            return zm_fail(&graph->log, ZM_ERROR_INVALID_ARGUMENT,
                           "graph: %s is %" PRIu32 " - %" PRIu32 ", less than 0", text, a, b);
        }
        numbers[i] = f->minus ? a - b : a + b;
    }
    return ZM_OK;
}

/* Sums are of what was there before, so this comes to an end; a subtrahend of its own is rare
 * enough to go without brackets only where it is a single size. */
void zm_size_print(const zm_graph *graph, zm_size size, char *text, size_t capacity)
{
    const zm_formula *f = formula_of(graph, size);
    if (!f) {
        snprintf(text, capacity, "%" PRIu32, size);
    } else if (f->name) {
        snprintf(text, capacity, "%s", f->name);
    } else {
        char a[64], b[64];
        zm_size_print(graph, f->a, a, sizeof(a));
        zm_size_print(graph, f->b, b, sizeof(b));
        bool brackets = f->minus && strchr(b, ' ');
        snprintf(text, capacity, "%s %c %s%s%s", a, f->minus ? '-' : '+', brackets ? "(" : "", b,
                 brackets ? ")" : "");
    }
}
