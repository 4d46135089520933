/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of a network on a device, made up from a seed as a Pre-LN model and converted to what
 * a form needs (in float64, rounded once); forms that need the same ones share them. */
#ifndef ZM_BENCH_NET_WEIGHTS_H
#define ZM_BENCH_NET_WEIGHTS_H

#include "net.h"
#include "net_form.h"

typedef enum net_role { NET_IN = 0, NET_OUT, NET_UP, NET_DOWN, NET_ROLES } net_role;

/* How a reader of a norm is converted; a writer of the main branch by its net_basis. */
#define NET_VARIANTS 5

typedef struct net_layer {
    zm_linear linears[NET_ROLES][NET_VARIANTS]; /* absent until a form needs them */
    zm_norm_weights norms[2];
    zm_kv_cache cache;
} net_layer;

typedef struct net_weights {
    const net *n;
    zm_device *device;
    zm_stream *stream;
    zm_dtype type, weight_type; /* of activations and of weights */
    net_layer *layers;
    zm_tensor x[NET_BASIS_COUNT];
    zm_tensor positions;
    zm_buffer **buffers;
    size_t buffer_count, buffer_capacity;
} net_weights;

/* Types ZM_DTYPE_NONE = the device's, f32. Also fills the caches up to `past`. Destroy also after a
 * failure; n has to live as long. */
zm_status net_weights_create(zm_device *device, zm_stream *stream, const net *n, zm_dtype type,
                             zm_dtype weight_type, net_weights *out);
void net_weights_destroy(net_weights *w);

/* The blocks of a form but for position, length and rope; their x is w->x[form->basis]. */
zm_status net_weights_block(net_weights *w, const net_form *form, uint32_t layer, zm_block *out);

/* Bytes of the weights that these forms have together on a device. */
double net_weights_bytes(const net *n, zm_dtype weight_type, const net_form *const *forms,
                         size_t count);
/* About the bytes of all else that so many forms take: caches, inner tensors, what is compared. */
double net_state_bytes(const net *n, size_t type_size, size_t forms);

#endif
