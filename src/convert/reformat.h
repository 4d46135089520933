/* SPDX-License-Identifier: Apache-2.0 */
/* From safetensors to GGUF, from GGUF to safetensors, and from GGUF to GGUF with other types:
 * what becomes of each tensor and of each field. Weights are moved, put in the other format's order
 * and stored as other types; the function stays the same.
 *
 * Everything is data of the families (model/text.h): names, hyper-parameters, and in which order
 * the rows are. What is about to be written is read as a model before it is, and its
 * hyper-parameters are compared: what the other format can't say is refused, not dropped. */
#ifndef ZM_SRC_CONVERT_REFORMAT_H
#define ZM_SRC_CONVERT_REFORMAT_H

#include <zeromean/convert.h>

#include "common/pool.h"
#include "convert/progress.h"
#include "format/json.h"
#include "format/metadata_list.h"
#include "model/model_private.h"

/* Which rows of the source the rows of the output are. */
typedef enum zm_row_order {
    ZM_ROWS_SAME = 0,
    ZM_ROWS_TO_PARTS,  /* q, k and v of each group of heads -> all of q, all of k, all of v */
    ZM_ROWS_TO_GROUPS, /* the other way round */
    ZM_ROWS_TO_PAIRS,  /* rotated elements as halves of a head -> as neighbours */
    ZM_ROWS_TO_HALVES  /* the other way round */
} zm_row_order;

typedef struct zm_reformat_item {
    const zm_model_tensor *source;
    zm_model_tensor made; /* name, type and shape of the output; the name is owned */
    zm_text_slot slot;
    zm_row_order order;
    bool transposed; /* the source is [k][n], the output [n][k] */
    double added;    /* to each value: norms of one format may have 1 + those of the other */
} zm_reformat_item;

typedef struct zm_reformat_plan {
    const zm_model *model;        /* it must outlive the plan */
    const zm_text_family *family; /* of the output */
    const char *class_name;       /* what transformers calls it */
    bool to_gguf;
    zm_reformat_item *items;
    size_t count;
    uint64_t input_bytes, output_bytes;
    zm_dtype type;            /* that most elements have */
    size_t as_q8_0, as_f16;   /* matrices whose rows don't fit the type that was asked for */
    zm_metadata_list values;  /* of the output; GGUF: all but zeromean.* */
    json_t *config;           /* of the output; safetensors: config.json without tokens */
    zm_model_tensor *factors; /* that only the output has as a tensor: of rotary positions */
    float *factor_values;
} zm_reformat_plan;

/* type: as in zm_convert_params. ZM_ERROR_UNSUPPORTED: the other format has no such family, or
 * can't say a field of it. */
zm_status zm_reformat_plan_make(const zm_model *model, bool to_gguf, zm_dtype type,
                                const zm_log *log, zm_reformat_plan *out);
void zm_reformat_plan_finish(zm_reformat_plan *plan);

/* ---- parts of the plan ---- */

/* Fills the types of items, and what the plan says of them. */
zm_status zm_reformat_choose_types(zm_reformat_plan *plan, zm_dtype wanted, const zm_log *log);
/* Fills values or config from the model's hyper-parameters. */
zm_status zm_reformat_describe(zm_reformat_plan *plan, const zm_log *log);
/* The parts of that which are about scaling of rotary positions; and of the items. */
void zm_reformat_scaling_add_values(zm_reformat_plan *plan);
void zm_reformat_scaling_set(zm_reformat_plan *plan);
zm_status zm_reformat_scaling_add_tensor(zm_reformat_plan *plan, const zm_log *log);
/* The shortest number that is this float: 1e-05, not 9.99999975e-06. */
double zm_reformat_shortest(double number);
/* Reads what will be written as a model, and compares it with the source. */
zm_status zm_reformat_verify(const zm_reformat_plan *plan, const zm_log *log);

/* ---- one tensor ---- */

typedef struct zm_reformat_tensor_params {
    const zm_reformat_plan *plan;
    const zm_reformat_item *item;
    zm_tensor_writer *writer;
    zm_convert_progress *progress; /* counts bytes of the input */
    zm_pool *pool;                 /* shares the search for the scales of blocks */
    const zm_log *log;
} zm_reformat_tensor_params;

/* *rounding: relative L2 between the source's values and what was stored. ZM_ERROR_UNSUPPORTED: a
 * NaN or Inf, or a value that is too large for the type; ZM_ERROR_CANCELLED. */
zm_status zm_reformat_tensor(const zm_reformat_tensor_params *params, double *rounding);

/* ---- all of it ---- */

/* llama.cpp's number for what a file is of, mostly: general.file_type. */
uint32_t zm_reformat_file_type(zm_dtype type);
/* The type of most elements, of which there are so many. */
zm_dtype zm_reformat_main_type(const uint64_t elements[ZM_DTYPE_COUNT]);

/* Does the format change, or only the type, from GGUF to GGUF? Else it is about the norm. */
bool zm_reformat_is_wanted(const zm_convert_params *params);
zm_status zm_reformat(const zm_convert_params *params, zm_convert_report *report);

#endif
