/* SPDX-License-Identifier: Apache-2.0 */
/* Model files: what they are and which tensors they hold.
 *
 * A model is a directory in the Hugging Face layout (config.json, tokenizer.json and
 * model.safetensors, or its shards with model.safetensors.index.json), or a GGUF file of version 2
 * or 3, of which any part will do where it is split. Files are mapped, not read; nothing in them is
 * trusted.
 *
 * Thread-safety: an open model is read-only and may be shared. */
#ifndef ZEROMEAN_MODEL_H
#define ZEROMEAN_MODEL_H

#include <zeromean/common.h>
#include <zeromean/log.h>
#include <zeromean/metadata.h>
#include <zeromean/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_model zm_model;

typedef enum zm_architecture {
    ZM_ARCHITECTURE_NONE = 0,
    ZM_ARCHITECTURE_WHISPER,
    ZM_ARCHITECTURE_TEXT,  /* one decoder of text: gpt2, llama, ... */
    ZM_ARCHITECTURE_VISION /* an encoder of images, of text, or both: vit, clip, ... */
} zm_architecture;

/* One tensor of the file. data points into the mapping. */
typedef struct zm_model_tensor {
    const char *name;
    zm_dtype dtype;
    uint32_t rank;     /* 0..4 */
    uint64_t shape[4]; /* outermost first */
    uint64_t elements;
    uint64_t bytes;
    const void *data; /* little-endian, aligned to the size of an element; quantised: 8 bytes */
} zm_model_tensor;

/* Hyper-parameters of Whisper (Radford et al. 2022, arXiv 2212.04356). */
typedef struct zm_whisper_info {
    uint32_t mel_bins;
    uint32_t d;
    uint32_t encoder_layers, encoder_heads, encoder_ff, encoder_positions;
    uint32_t decoder_layers, decoder_heads, decoder_ff, decoder_positions;
    uint32_t vocabulary;
    int32_t start_token, end_token, no_timestamps_token, first_timestamp_token;
    int32_t transcribe_token, translate_token; /* -1 in English-only models */
    int32_t first_language_token;              /* -1 in English-only models */
    uint32_t language_count;                   /* 0 in English-only models */
    const int32_t *suppress;                   /* tokens never to produce */
    size_t suppress_count;
    const int32_t *begin_suppress; /* nor as the first one */
    size_t begin_suppress_count;
} zm_whisper_info;

typedef enum zm_rope_scaling_type {
    ZM_ROPE_SCALING_NONE = 0, /* or factors only, which a GGUF file may have as a tensor */
    ZM_ROPE_SCALING_LINEAR,
    ZM_ROPE_SCALING_LLAMA3,
    ZM_ROPE_SCALING_YARN
} zm_rope_scaling_type;

/* How a file says that rotary positions are scaled. Nothing but the factor is for linear scaling,
 * and magnitude for YaRN only. */
typedef struct zm_rope_scaling {
    zm_rope_scaling_type type;
    double factor;
    double low, high; /* turns in the context: all that turn less are scaled, none that turn more */
    double context;   /* that the model was first trained with */
    double magnitude; /* of rotated vectors, by what the paper has for the factor; 1 = as there */
} zm_rope_scaling;

/* Hyper-parameters of a decoder of text, whatever its family is. Sizes are at least 1 where nothing
 * else is said. */
typedef struct zm_text_info {
    uint32_t d, layers, heads, kv_heads, head_dim, ff, vocabulary;
    uint32_t positions;      /* tokens that the model is made for; 0 = it sets no limit */
    uint32_t position_rows;  /* of the table of learned positions; 0 = it has none */
    uint32_t first_position; /* row of that table for the first token */
    zm_norm norm;            /* of the family; the file's may be another one, see zm_model_info */
    bool norm_plus_one;      /* norms multiply by 1 + their weight */
    float embedding_scale;   /* of the token table where it is not the head; 0 = 1 */
    zm_activation activation;
    bool gated;          /* activation(gate) * up */
    bool parallel;       /* attention and MLP read the same main branch */
    bool one_norm;       /* ... through the same norm */
    bool embedding_norm; /* one more norm behind the token table */
    bool tied;           /* the head is the token table */
    bool alibi;          /* biases of attention by distance, as Press et al. 2021 have the slopes */
    uint32_t rotary_dim; /* elements of each head that are rotated by position; 0 = none */
    zm_rope_layout rope_layout;
    float rope_base;
    float rope_scale;             /* of positions: 1 / factor of linear scaling */
    float rope_magnitude;         /* of rotated vectors: the attention factor of YaRN */
    const double *rope_factors;   /* [rotary_dim / 2]: frequencies are divided by them; NULL = 1 */
    zm_rope_scaling rope_scaling; /* what the last three come from */
    uint32_t window;              /* positions that attention sees; 0 = all before */
} zm_text_info;

/* One encoder of a model of images. All 0: it has none of that kind. */
typedef struct zm_encoder_info {
    uint32_t d, layers, heads, ff;
    zm_activation activation;
    float eps;             /* of its norms */
    uint32_t image, patch; /* of images: side of the square in pixels, and of its patches */
    uint32_t channels;
    uint32_t vocabulary; /* of text */
    uint32_t positions;  /* tokens of text, at most; of images class tokens and patches */
    int32_t end_token;   /* whose place the embedding is of; -1 = the largest of a text */
    uint32_t embedding;  /* numbers of an embedding */
} zm_encoder_info;

/* Hyper-parameters of a model that makes embeddings of images (Dosovitskiy et al. 2020), of text,
 * or of both that can be compared (Radford et al. 2021). */
typedef struct zm_vision_info {
    zm_encoder_info image, text;
    bool distilled;  /* a second token in front of the patches (Touvron et al. 2020) */
    bool entry_norm; /* of images: one more norm in front of the layers */
    bool pooler;     /* the embedding is the tanh of a linear's output */
    uint32_t labels; /* logits of an image; 0 = it is no classifier */
} zm_vision_info;

typedef struct zm_model_info {
    const char *path;
    zm_architecture architecture;
    const char *architecture_name; /* "whisper", "llama", ...: as in the file */
    zm_norm norm;                  /* the family's, or what the converter wrote; DEFAULT and */
                                   /* an eps of 0 where architecture is NONE */
    bool folded;                   /* norms have given weight and bias to what reads them, and */
                                   /* have none of their own; CRMS and ORTHO always have */
    float eps;                     /* of the norms */
    uint64_t parameters;           /* elements of all tensors */
    uint64_t bytes;                /* of all tensors */
    size_t tensor_count;
    size_t metadata_count;
    zm_whisper_info whisper; /* for ZM_ARCHITECTURE_WHISPER */
    zm_text_info text;       /* for ZM_ARCHITECTURE_TEXT */
    zm_vision_info vision;   /* for ZM_ARCHITECTURE_VISION */
    bool gguf;               /* a GGUF file, no directory: its metadata have the tokenizer */
    const char *refused;     /* why architecture is NONE; else NULL */
} zm_model_info;

/* Opens a model, checks the header of every file of it and that every tensor that the architecture
 * needs is there with its shape and a floating type. Errors name the file and the tensor.
 * ZM_ERROR_NOT_FOUND, ZM_ERROR_IO, ZM_ERROR_BAD_FORMAT, ZM_ERROR_UNSUPPORTED (an architecture, a
 * type or a version of the format that this library does not know). A GGUF file opens whatever its
 * architecture is: one that is not known, or of which this library can't do all, is
 * ZM_ARCHITECTURE_NONE, which has tensors and metadata, and is refused by whatever needs more. */
ZM_API zm_status zm_model_open(const char *path, const zm_log *log, zm_model **out);
/* Sessions keep what they need: a model may be closed while sessions of it live. */
ZM_API void zm_model_close(zm_model **model);

/* Valid as long as the model is open. */
ZM_API const zm_model_info *zm_model_get_info(const zm_model *model);
/* index < info.tensor_count, in order of name; NULL otherwise. */
ZM_API const zm_model_tensor *zm_model_get_tensor(const zm_model *model, size_t index);
/* NULL when there is none. */
ZM_API const zm_model_tensor *zm_model_find_tensor(const zm_model *model, const char *name);
/* Metadata of the (first) file. index < info.metadata_count, in order of key; NULL otherwise. */
ZM_API const zm_metadata_value *zm_model_get_value(const zm_model *model, size_t index);
/* NULL when there is none of that key. */
ZM_API const zm_metadata_value *zm_model_find_value(const zm_model *model, const char *key);
/* A value that is a string, not an array; NULL when there is none of that key. */
ZM_API const char *zm_model_get_metadata(const zm_model *model, const char *key);

#ifdef __cplusplus
}
#endif
#endif
