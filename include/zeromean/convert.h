/* SPDX-License-Identifier: Apache-2.0 */
/* From one norm to another, and from one file format to another.
 *
 * Pre-LN -> Pre-RMSNorm or Pre-CRMSNorm, exactly (Jiang et al. 2023, arXiv 2305.14858).
 *
 * A Pre-LN transformer reads its main branch only through LayerNorm, which ignores the mean. The
 * converter takes the mean out of every tensor that writes the branch, in float64, and rounds once;
 * LayerNorm then is RMSNorm. Affine parameters stay as they are, so the result is still a valid
 * LayerNorm model for any engine that reads the original. A model that has been converted already
 * is only copied: its mean counts.
 *
 * Folded, each norm's weight and bias become a part of the linears that read it, but of those that
 * can't take them: a head that is the token table, and what reads another main branch. CRMS and
 * ORTHO fold as well, and store the main branch in d - 1 elements: without the last one, or turned
 * by a reflection. Only Zeromean reads these files. From each of them the norm ZM_NORM_LAYER leads
 * back to a model of LayerNorm of d elements, whose norms have the weight 1 and the bias 0.
 *
 * Quantised weights that write the branch cannot be changed exactly; a file of such weights runs as
 * it is, through the deferred LayerNorm, and is refused unless all weights are to be stored as a
 * floating type or the conversion may be lossy.
 *
 * Safetensors <-> GGUF, for models of text: tensors and hyper-parameters get the other format's
 * names and order, the tokenizer, the tokens that end a text and the chat template go along,
 * weights are stored as the type that is asked for. The function stays the same, and so does the
 * norm. llama.cpp reads the GGUF file, transformers the directory. What the other format can't say
 * is refused. From GGUF to GGUF it is the norm or the type that changes: see norm. */
#ifndef ZEROMEAN_CONVERT_H
#define ZEROMEAN_CONVERT_H

#include <zeromean/common.h>
#include <zeromean/log.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_convert_params {
    const char *input;  /* model directory, or GGUF file */
    const char *output; /* what to create, in a directory that exists: a GGUF file where the name
                           ends in .gguf, else a directory outside of input */
    zm_norm norm;  /* ZM_NORM_DEFAULT: as it is where the format changes, or where both are GGUF
                      and type is given; else ZM_NORM_RMS. Others: the norm changes; refused
                      together with another format or a quantised type, unless the model has
                      that norm already. CRMS and ORTHO are not for GGUF, and lead to LAYER
                      only */
    bool fold;     /* ZM_NORM_RMS: norms' weights become a part of what reads them; not for GGUF.
                      CRMS and ORTHO always do so, LAYER never */
    zm_dtype type; /* Where the norm changes: ZM_DTYPE_NONE: changed tensors as F32, the others
                      as they are (exact); ZM_F32: all as F32 (exact); ZM_F16: all as F16
                      (rounded), but for vectors and tables of positions in GGUF, which become
                      F32; ZM_F64, with any norm: all as F64, for checks in float64.
                      Where the norm stays: ZM_DTYPE_NONE: as they are, but for what the other
                      format doesn't have: quantised ones become F32 in safetensors, and F64
                      becomes F32 in GGUF; ZM_F32, ZM_F16, ZM_BF16; for GGUF also ZM_Q8_0,
                      ZM_Q4_0, ZM_Q4_1, ZM_Q4_K, ZM_Q6_K. In GGUF vectors and tables of
                      positions are F32 in any case; the head, or the token table that is the
                      head, is ZM_Q6_K where a smaller type is asked for; matrices whose rows
                      are no multiple of 256 are ZM_Q8_0 instead of a K-type, and ZM_F16 where
                      they are no multiple of 32 */
    bool lossy;    /* where the norm changes: quantised tensors that change are quantised again,
                      as the same type. Refused where the norm stays */
    /* NULL = the model is converted. Else this is, which belongs to the model (the original or the
     * converted one) and fits the converted one afterwards: a directory with a LoRA adapter of PEFT
     * (adapter_config.json, adapter_model.safetensors), or a GGUF file with a LoRA adapter for a
     * GGUF model or with control vectors. The model itself is only read for its names. What writes
     * the main branch is recentred and stored as F32 (F64 stays), the rest is copied. type has to
     * be ZM_DTYPE_NONE, norm ZM_NORM_RMS or its default, without fold. Refused where it would not
     * be exact: DoRA of what writes, other kinds of PEFT, models whose norms are folded, tensors
     * that are for none of the model's. */
    const char *adapter;
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
    bool copied;            /* the model had that norm already: nothing was changed */
    zm_norm norm;           /* of the output */
    bool folded;            /* its norms have no weights */
    bool reformatted;       /* the format or only the type has changed, and not the norm */
    zm_dtype type;          /* if reformatted: that most weights of the output have */
    size_t as_q8_0, as_f16; /* if reformatted: matrices whose rows don't fit the type */
    double rounding;        /* the largest relative L2 error of one tensor by the final rounding */
    char source_sha256[65]; /* of the input's files of weights, in order */
} zm_convert_report;

/* Writes one model.safetensors, also where the input has shards, and copies the input's other files
 * that are no weights; or one GGUF file; or from GGUF model.safetensors, config.json and, where the
 * file has a tokenizer, generation_config.json, tokenizer.json and tokenizer_config.json. The
 * output is complete or absent, whatever happens. report may be NULL. ZM_ERROR_UNSUPPORTED: the
 * model cannot be converted exactly, or it has no LayerNorm; the log names the tensor and the
 * reason. ZM_ERROR_INVALID_ARGUMENT: the output is in the way, the type is not one of those
 * above, or lossy is set where the norm stays. ZM_ERROR_CANCELLED, ZM_ERROR_IO and what
 * zm_model_open returns. */
ZM_API zm_status zm_convert(const zm_convert_params *params, zm_convert_report *report);

#ifdef __cplusplus
}
#endif
#endif
