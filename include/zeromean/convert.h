/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-LN -> Pre-RMSNorm, exactly (Jiang et al. 2023, arXiv 2305.14858).
 *
 * A Pre-LN transformer reads its main branch only through LayerNorm, which ignores the mean. The
 * converter takes the mean out of every tensor that writes the branch, in float64, and rounds once;
 * LayerNorm then is RMSNorm. Affine parameters stay as they are, so the result is still a valid
 * LayerNorm model for any engine that reads the original. A model that has been converted already
 * is only copied: its mean counts.
 *
 * Quantised weights that write the branch cannot be changed exactly; a file of such weights runs as
 * it is, through the deferred LayerNorm, and is refused unless all weights are to be stored as a
 * floating type or the conversion may be lossy. */
#ifndef ZEROMEAN_CONVERT_H
#define ZEROMEAN_CONVERT_H

#include <zeromean/common.h>
#include <zeromean/log.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_convert_params {
    const char *input; /* model directory, or GGUF file */
    const char
        *output;    /* directory to create, outside of input, in one that exists; or GGUF file */
    zm_norm norm;   /* ZM_NORM_DEFAULT = ZM_NORM_RMS */
    zm_dtype type;  /* ZM_DTYPE_NONE: changed tensors as F32, the others as they are (exact);
                       ZM_F32: all as F32 (exact); ZM_F16: all as F16 (rounded); ZM_F64: all
                       as F64, for checks in float64 */
    bool lossy;     /* quantised tensors that change are quantised again, as the same type */
    bool overwrite; /* output may be an empty directory or the output of another conversion; it
                       stays until the new one is complete */
    const zm_log *log;
    zm_progress_fn progress; /* unit: bytes */
    void *progress_user;
} zm_convert_params;

typedef struct zm_convert_report {
    size_t tensors;     /* in the model */
    size_t recentred;   /* changed by the conversion */
    size_t requantised; /* of those */
    uint64_t input_bytes;
    uint64_t output_bytes;
    bool copied;            /* the model had that norm already: nothing was recentred */
    double rounding;        /* the largest relative L2 error of one tensor by the final rounding */
    char source_sha256[65]; /* of the input's files of weights, in order */
} zm_convert_report;

/* Writes one model.safetensors, also where the input has shards, and copies the input's other files
 * that are no weights; or one GGUF file. The output is complete or absent, whatever happens. report
 * may be NULL. ZM_ERROR_UNSUPPORTED: the model cannot be converted exactly, or it has no LayerNorm;
 * the log names the tensor and the reason. ZM_ERROR_INVALID_ARGUMENT: the output is in the way or
 * the type is not one of those above. ZM_ERROR_CANCELLED, ZM_ERROR_IO and what zm_model_open
 * returns. */
ZM_API zm_status zm_convert(const zm_convert_params *params, zm_convert_report *report);

#ifdef __cplusplus
}
#endif
#endif
