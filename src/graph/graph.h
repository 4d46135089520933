/* SPDX-License-Identifier: Apache-2.0 */
/* A graph inside: sizes, values and nodes, which name each other by their places in arrays, so that
 * a graph can be copied and changed. */
#ifndef ZM_SRC_GRAPH_GRAPH_H
#define ZM_SRC_GRAPH_GRAPH_H

#include <zeromean/graph.h>

#include "ops/op.h"

/* A zm_size with this bit is the place of a zm_formula. */
#define ZM_SIZE_FORMULA 0x80000000u
#define ZM_MAX_SYMBOLS 64

/* A symbol, or the sum or difference of two sizes that were there before it. */
typedef struct zm_formula {
    char *name; /* of a symbol; NULL = a sum */
    zm_size a, b;
    bool minus; /* a - b */
    uint32_t least, most;
    uint64_t symbols; /* that it depends on, one bit each */
} zm_formula;

typedef enum zm_value_kind {
    ZM_VALUE_EXTERN = 0, /* bound by name */
    ZM_VALUE_INNER,      /* has its place from the plan */
    ZM_VALUE_BUFFER,     /* all of a device's buffer, given as it is */
    ZM_VALUE_ROWS        /* some rows of another value */
} zm_value_kind;

/* Memory that tensors of the graph are views of. */
typedef struct zm_value {
    zm_buffer buffer; /* stands for it in tensors, with no device; the first member */
    const struct zm_graph *graph;
    uint32_t index;
    zm_value_kind kind;
    char *name;       /* NULL = its index */
    zm_tensor tensor; /* type and shape; of BUFFER: its buffer; of ROWS: the matrix in its base */
    uint32_t root;    /* its own index; of ROWS: that of the memory behind it */
    uint32_t base;    /* of ROWS: what the matrix is a view of */
    zm_size first;    /* of ROWS */
    bool written;     /* by some node */
    bool apart;       /* BUFFER: no extern is bound to it */
} zm_value;

/* An operation as it was asked for. Tensors in params have the buffers of their values, which are
 * no memory. */
typedef struct zm_node {
    const zm_op *op;
    void *params;
    uint32_t value[ZM_MAX_OPERANDS]; /* 1 + the index; 0 = absent */
    uint64_t symbols;                /* that it depends on */
    char *what;                      /* of zm_op_observe */
    uint32_t device;                 /* of a pipeline, that it is for */
} zm_node;

struct zm_graph {
    zm_log log;
    zm_status status;
    zm_formula *formulas;
    zm_value **values; /* which stay where they are, since tensors point to them */
    zm_node *nodes;
    uint32_t device; /* of the nodes to come */
    size_t formula_count, formula_capacity;
    size_t value_count, value_capacity;
    size_t node_count, node_capacity;
};

/* Logs the first error of the graph and keeps it. */
ZM_PRINTF(3, 4)
void zm_graph_fail(zm_graph *graph, zm_status status, const char *format, ...);
/* The failure of what was to be made from a graph, logged. */
zm_status zm_graph_fail_memory(const zm_graph *graph);
/* The array with room for one more; NULL = the graph has failed. */
void *zm_graph_reserve(zm_graph *graph, void *array, size_t *capacity, size_t count, size_t size);

/* ---- sizes ---- */

/* Is it a number or a formula of this graph? */
bool zm_size_is_sound(const zm_graph *graph, zm_size size);
uint32_t zm_size_most(const zm_graph *graph, zm_size size);
uint64_t zm_size_symbols(const zm_graph *graph, zm_size size);
/* numbers: of all formulas. */
uint32_t zm_size_number(const uint32_t *numbers, zm_size size);
/* Fills in the sums after the symbols have been set. */
zm_status zm_sizes_evaluate(const zm_graph *graph, uint32_t *numbers);

/* ---- values ---- */

/* The value that the tensor is a view of; NULL = it is absent, or of no value of this graph. */
zm_value *zm_value_find(const zm_graph *graph, const zm_tensor *tensor);
/* The same, but a real buffer becomes a value; NULL also where the graph has failed. */
zm_value *zm_value_of(zm_graph *graph, const zm_tensor *tensor);
/* NULL = there is none of that name. */
zm_value *zm_extern_find(const zm_graph *graph, const char *name);
zm_status zm_value_copy(const zm_value *value, const zm_graph *graph, zm_value **out);
void zm_value_destroy(zm_value *value);
/* Symbols that where and how large the tensor is depends on. */
uint64_t zm_value_symbols(const zm_graph *graph, const zm_value *value, const zm_tensor *tensor);
/* Is the tensor all of its value, which is no part of another one? */
bool zm_value_is_whole(const zm_value *value, const zm_tensor *tensor);
/* Bytes of an extern or inner one with all sizes at their most. */
zm_status zm_value_bytes(const zm_graph *graph, const zm_value *value, uint64_t *out);

/* ---- nodes ---- */

/* No operation: shows a tensor to the observer. */
typedef struct zm_observe_params {
    zm_tensor x;
    uint32_t index;
} zm_observe_params;
extern const zm_op zm_op_observe;

void zm_graph_add_node(zm_graph *graph, const zm_op *op, const void *params, const char *what);

/* The i-th operand of a node as a view of its value. */
zm_tensor *zm_node_tensor(const zm_node *node, size_t i);
/* The memory of its i-th operand; NULL = absent, or no tensor. */
zm_value *zm_node_root(const zm_graph *graph, const zm_node *node, size_t i);

/* After its params have changed: what they name. */
void zm_node_take(zm_graph *graph, zm_node *node);

/* A copy that can be changed. */
zm_status zm_graph_clone(const zm_graph *graph, zm_graph **out);

/* ---- words ---- */

/* "tokens", "448", "length - tokens". */
void zm_size_print(const zm_graph *graph, zm_size size, char *text, size_t capacity);
/* "x", "%3". */
void zm_value_print(const zm_value *value, char *text, size_t capacity);
/* The first tensor that a node writes: "y"; "" = none. */
void zm_node_output_print(const zm_graph *graph, size_t node, char *text, size_t capacity);
/* "node 3 (matmul -> y)". */
void zm_node_print(const zm_graph *graph, size_t node, char *text, size_t capacity);

#endif
