/* SPDX-License-Identifier: Apache-2.0 */
/* From the tensors of a model file to the weights of a device.
 *
 * Matrices are packed in the layout that the device wants and keep F16 where every part of them is
 * F16 and the device has kernels for it; the host device gets its real type. Vectors and tables of
 * positions have the device's real type. Values pass through one small piece of memory, are looked
 * at once (NaN and Inf are refused by name), and the pages of the file are let go of behind them.
 */
#ifndef ZM_SRC_SESSION_WEIGHTS_H
#define ZM_SRC_SESSION_WEIGHTS_H

#include <zeromean/block.h>
#include <zeromean/model.h>

#include "session/storage.h"

typedef struct zm_weight_loader {
    zm_storage *storage;
    zm_stream *stream;
    const zm_model *model;
    zm_progress_fn progress;
    void *progress_user;
    uint64_t done;    /* bytes of the file */
    bool again;       /* what is loaded has been counted */
    char prefix[96];  /* of the names given to the functions below */
    void *raw, *real; /* a piece as it is in the file, and converted */
} zm_weight_loader;

/* Set storage and stream, which may change from tensor to tensor, model and progress; the pair of
 * zm_weight_loader_finish. */
zm_status zm_weight_loader_init(zm_weight_loader *loader);
void zm_weight_loader_finish(zm_weight_loader *loader);

ZM_PRINTF(2, 3)
void zm_weight_loader_prefix(zm_weight_loader *loader, const char *format, ...);

/* Stacks the linears NAME.weight [n][k] into one weight [count * n][k], and NAME.bias [n] where
 * there is one into one bias (zeros for those without; no bias at all where none has one). */
zm_status zm_load_linear(zm_weight_loader *loader, const char *const *names, uint32_t count,
                         uint32_t n, uint32_t k, zm_linear *out);
/* NAME.weight [n][channels][kernel] becomes [n][kernel][channels], as zm_conv1d wants it. */
zm_status zm_load_conv1d(zm_weight_loader *loader, const char *name, uint32_t n, uint32_t channels,
                         uint32_t kernel, zm_linear *out);
/* NAME.weight and NAME.bias [d]. */
zm_status zm_load_norm(zm_weight_loader *loader, const char *name, uint32_t d,
                       zm_norm_weights *out);
/* A packed matrix NAME [n][k]. */
zm_status zm_load_table(zm_weight_loader *loader, const char *name, uint32_t n, uint32_t k,
                        zm_tensor *out);
/* Plain rows NAME [rows][cols]. */
zm_status zm_load_rows(zm_weight_loader *loader, const char *name, uint32_t rows, uint32_t cols,
                       zm_tensor *out);

#endif
