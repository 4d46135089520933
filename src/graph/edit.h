/* SPDX-License-Identifier: Apache-2.0 */
/* What passes ask a graph, and how they change it. */
#ifndef ZM_SRC_GRAPH_EDIT_H
#define ZM_SRC_GRAPH_EDIT_H

#include "graph/graph.h"

#define ZM_NO_NODE SIZE_MAX

/* The memory behind a tensor of this graph; NULL = it is absent. */
const zm_value *zm_edit_root(const zm_graph *graph, const zm_tensor *tensor);

/* Can a write to one be seen in the other? Externs may be bound to one memory. */
bool zm_roots_meet(const zm_value *a, const zm_value *b);
/* Does a node of first .. last - 1 write, or read, what may be the root's memory? */
bool zm_nodes_write(const zm_graph *graph, size_t first, size_t last, const zm_value *root);
bool zm_nodes_read(const zm_graph *graph, size_t first, size_t last, const zm_value *root);
/* Is none of the memory that the node reads written by the nodes first .. last - 1? */
bool zm_inputs_keep(const zm_graph *graph, const zm_node *node, size_t first, size_t last);

/* Is the tensor all of an inner one that only this node writes, and nothing reads before it? Then
 * it may be written elsewhere, or not at all. */
bool zm_is_private(const zm_graph *graph, size_t node, const zm_tensor *output);
/* The last node before this one that writes the root; ZM_NO_NODE = none. */
size_t zm_last_writer(const zm_graph *graph, size_t node, const zm_value *root);
/* Operands that are views of the root, in all nodes. */
size_t zm_reader_count(const zm_graph *graph, const zm_value *root);

/* Do both name the same elements? */
bool zm_same_view(const zm_tensor *a, const zm_tensor *b);

/* Can all that are views of an inner tensor become views of this one, which has its shape? */
bool zm_can_replace(const zm_graph *graph, const zm_value *value, const zm_tensor *by);
/* Makes them so. */
void zm_replace(zm_graph *graph, const zm_value *value, const zm_tensor *by);

/* The scale of a row that the norm is; ZM_ROW_SCALE_NONE = it is no norm. */
zm_row_scale_kind zm_norm_scale(const zm_op *op);

/* The node becomes another operation. */
void zm_node_become(zm_graph *graph, size_t node, const zm_op *op, const void *params);
void zm_node_remove(zm_graph *graph, size_t node);

#endif
