/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <string.h>

#include "ops/op.h"

#define MAX_CANDIDATES 16

static const zm_op *const ops[] = {
    &zm_op_layer_norm, &zm_op_rms_norm,  &zm_op_crms_norm, &zm_op_row_statistics,  &zm_op_add,
    &zm_op_recentre,   &zm_op_matmul,    &zm_op_conv1d,    &zm_op_patch_embedding, &zm_op_embedding,
    &zm_op_kv_store,   &zm_op_attention, &zm_op_rope,      &zm_op_softmax,         &zm_op_copy,
    &zm_op_top_k,      &zm_op_argmax,    &zm_op_activate,
};
#define OP_COUNT (sizeof(ops) / sizeof(ops[0]))

static const char *names[OP_COUNT][MAX_CANDIDATES];
static zm_op_info infos[OP_COUNT];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

/* The names are read out of the ops, so that no second list can differ from them. */
static void fill(void)
{
    for (size_t i = 0; i < OP_COUNT; i++) {
        size_t count = ops[i]->candidate_count;
        infos[i] = (zm_op_info){ops[i]->name, count, names[i]};
        for (size_t j = 0; j < count && j < MAX_CANDIDATES; j++)
            names[i][j] = ops[i]->candidates[j].name;
    }
}

const zm_op_info *zm_op_list(size_t *count)
{
    pthread_once(&filled, fill);
    if (count)
        *count = OP_COUNT;
    return infos;
}

const zm_op *zm_op_find(const char *name)
{
    for (size_t i = 0; i < OP_COUNT; i++)
        if (strcmp(ops[i]->name, name) == 0)
            return ops[i];
    return NULL;
}
