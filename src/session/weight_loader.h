/* SPDX-License-Identifier: Apache-2.0 */
/* Where weights are loaded from and to, and what is made of tensors of any kind: matrices and
 * vectors of a device. */
#ifndef ZM_SRC_SESSION_WEIGHT_LOADER_H
#define ZM_SRC_SESSION_WEIGHT_LOADER_H

#include <zeromean/block.h>
#include <zeromean/model.h>

#include "convert/plan.h"
#include "session/storage.h"
#include "session/weight_pieces.h"

typedef struct zm_weight_loader {
    zm_storage *storage;
    zm_stream *stream;
    const zm_model *model;
    zm_progress_fn progress;
    void *progress_user;
    const zm_plan *plan; /* of a conversion on the way; NULL = as they are in the file */
    bool column_sums;    /* wanted of linears that read a norm: it is a LayerNorm */
    bool norm_plus_one;  /* norms that linears read multiply by 1 + their weight */
    /* The rest is filled in by zm_weight_loader_init. */
    bool folded;     /* norms may have no weights: their readers have taken them over */
    bool narrow;     /* the main branch has one element less in the file: a zero fills it up */
    uint64_t done;   /* bytes of the file */
    bool again;      /* what is loaded has been counted */
    char prefix[96]; /* of the names given to the functions below */
    zm_weight_crew crew;
    const double *gain; /* of the rows of what is loaded; NULL = 1 */
} zm_weight_loader;

/* Set storage and stream, which may change from tensor to tensor, model and progress; the pair of
 * zm_weight_loader_finish. */
zm_status zm_weight_loader_init(zm_weight_loader *loader);
void zm_weight_loader_finish(zm_weight_loader *loader);

ZM_PRINTF(2, 3)
void zm_weight_loader_prefix(zm_weight_loader *loader, const char *format, ...);

/* n rows of a linear NAME.weight [rows][k], and of NAME.bias [rows] where there is one: run rows
 * from `first` on, run rows `stride` rows behind those, and so on. */
typedef struct zm_linear_part {
    const char *name;
    uint32_t n;
    uint32_t rows; /* 0 = n */
    uint32_t first;
    uint32_t run, stride; /* 0 = all n together */
} zm_linear_part;

/* NAME with the loader's prefix and the suffix; NULL = there is none. */
const zm_model_tensor *zm_weight_find(const zm_weight_loader *loader, const char *name,
                                      const char *suffix);
zm_status zm_weight_out_of_memory(const zm_weight_loader *loader);

/* NAME with the suffix as k numbers in each of the part's rows; without a tensor where there is
 * none. */
zm_weight_source zm_weight_source_of(const zm_weight_loader *loader, const zm_linear_part *part,
                                     const char *suffix, uint32_t k, bool transposed);
zm_status zm_weight_check(const zm_weight_loader *loader, const char *name, const char *suffix,
                          const zm_weight_source *source);

/* The sources one below the other, and some zeros, none or one row, in the layout that the device
 * wants. fold NULL = what reads no such norm. */
zm_status zm_weight_load(zm_weight_loader *loader, zm_weight_source *sources, uint32_t count,
                         uint32_t zero_rows, const zm_norm_fold *fold, bool gated, zm_tensor *out);
/* Makes this target of them. */
zm_status zm_weight_fill(zm_weight_loader *loader, zm_weight_source *sources, uint32_t count,
                         const zm_norm_fold *fold, zm_weight_target *target);

/* Adds the part's rows of NAME + suffix, or NAME + suffix [n], to the values; each of its elements
 * is one of the real type. */
zm_status zm_vector_add_part(zm_weight_loader *loader, const zm_linear_part *part,
                             const char *suffix, double *values);
zm_status zm_vector_add(zm_weight_loader *loader, const char *name, const char *suffix, uint32_t n,
                        double *values);
/* Rounds to the real type, once. */
zm_status zm_vector_put(zm_weight_loader *loader, const double *values, uint32_t n, zm_tensor *out);

#endif
