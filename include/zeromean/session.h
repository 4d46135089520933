/* SPDX-License-Identifier: Apache-2.0 */
/* A model on a device, ready to run.
 *
 * Thread-safety: one thread at a time per session; sessions of one device may run in parallel.
 * While a session is created, up to three threads of its own help to pack weights; they call
 * nothing of the caller's and have ended when it is there. */
#ifndef ZEROMEAN_SESSION_H
#define ZEROMEAN_SESSION_H

#include <zeromean/device.h>
#include <zeromean/model.h>
#include <zeromean/pipeline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_session zm_session;

/* A tensor inside the model, shown to an observer as [rows][cols] float64, valid during the call.
 * layer is the block for "encoder.layer" and "decoder.layer" (the main branch after the block), 0
 * for "encoder.input", "encoder.output", "decoder.input" and "logits" (the rows that were asked
 * for, at least one). Models of text are decoders, as is the encoder of text of a model of images;
 * "embedding" is what either of its encoders gives, without a tanh. A main branch of d - 1 elements
 * (ZM_NORM_CRMS, ZM_NORM_ORTHO) has a zero behind them. */
typedef struct zm_observation {
    const char *what;
    uint32_t layer;
    uint32_t rows, cols;
    const double *data;
} zm_observation;

typedef void (*zm_observe_fn)(void *user, const zm_observation *observation);

/* Layers on more devices than one: the first ones on the first device, and so on, by shares. What
 * comes before and after the layers is on the first and on the last device; what passes from layer
 * to layer moves in between. What a device can't do is done by another one, at last by the host, as
 * in pipeline.h, also where there is one device only. All zero: one device. */
typedef struct zm_split {
    zm_device *const *more; /* in this order behind the session's device; no device twice */
    uint32_t count;         /* of them, at most 7 */
    const uint32_t *shares; /* [1 + count], each at least 1; NULL = equal ones */
} zm_split;

#define ZM_DEFAULT_POSITIONS 4096u
#define ZM_MAX_SEQUENCES 256u

typedef struct zm_session_params {
    const zm_log *log;
    zm_split split;
    zm_observe_fn observe; /* NULL = none; waits for the device after every layer when set */
    void *observe_user;
    zm_progress_fn progress; /* while weights are packed; unit: bytes */
    void *progress_user;
    /* Asked before each operation of encode and decode, from the thread that calls them; NULL =
     * true. False: they give ZM_ERROR_CANCELLED. */
    bool (*go_on)(void *user);
    void *go_on_user;
    /* Text: how many tokens there is room for; 0 = as many as the model is made for, at most
     * ZM_DEFAULT_POSITIONS; more than it is made for is refused. */
    uint32_t positions;
    /* Text: how many sequences are decoded side by side, each with room for `positions` tokens;
     * 0 = 1, at most ZM_MAX_SEQUENCES; more than one is refused for models of speech. Keys and
     * values take memory for all of it: 2 * layers * KV heads * head_dim * positions * sequences
     * numbers of the device's real_type. */
    uint32_t sequences;
    /* Text: of how many tokens a run gives logits at most; 0 = sequences, at most 512. What asks
     * for more is done in several runs. They take logits * vocabulary numbers of the real_type; a
     * device that has no buffer for so many gives fewer of them in a run (zm_session_get_info). */
    uint32_t logits;
    /* ZM_NORM_DEFAULT: that of the model's weights. ZM_NORM_RMS: a model of LayerNorm is converted
     * while its weights are packed, and computes what the file that zm_convert writes by default
     * would, to the bit; see convert.h. What that refuses is refused: ZM_ERROR_UNSUPPORTED. Costs
     * one more reading of the tensors that change, and no memory but for their means. The norm that
     * a model has stays as it is; any other one is ZM_ERROR_INVALID_ARGUMENT. */
    zm_norm norm;
    uint32_t records;          /* launches that are kept for zm_session_take_records; 0 = none */
    zm_compile_params compile; /* of its graphs */
} zm_session_params;

/* Packs the weights for the device; those that it reads as they are in the file stay there, and the
 * file stays mapped: it may be replaced or removed, but not written to. The devices must outlive
 * the session; the model need not. params may be NULL. ZM_ERROR_INVALID_ARGUMENT: a split that
 * makes no sense, or of more devices than encoder or decoder have layers; a norm that can't be.
 * ZM_ERROR_LIMIT: a tensor is larger than limits.max_buffer_bytes of its device and no matrix that
 * can be cut along its rows (of a convolution, positions), or keys of one sequence in one layer
 * are. What is between layers goes through in runs of as many tokens as there are buffers for. */
ZM_API zm_status zm_session_create(zm_device *device, const zm_model *model,
                                   const zm_session_params *params, zm_session **out);
ZM_API void zm_session_destroy(zm_session **session);

/* Runs the encoder; ZM_ERROR_UNSUPPORTED where there is none. mel: [2 *
 * encoder_positions][mel_bins] float32, time-major (Whisper: 3000 frames of 10 ms). The decoder
 * starts again at position 0. Asynchronous. ZM_ERROR_CANCELLED: then nothing is encoded. */
ZM_API zm_status zm_session_encode(zm_session *session, const float *mel);

/* Models of images (zm_vision_info): the embedding [image.embedding] of an image, and the logits
 * [labels] of a classifier; each may be NULL. pixels: [channels][image][image], normalised as the
 * model wants it. ZM_ERROR_UNSUPPORTED: the model reads no images, or logits are asked of one that
 * is no classifier. ZM_ERROR_CANCELLED. */
ZM_API zm_status zm_session_embed_image(zm_session *session, const float *pixels, float *embedding,
                                        float *logits);

/* The embedding [text.embedding] of a text, which ends in the end token; what stands behind it is
 * left out. ZM_ERROR_LIMIT: more tokens than text.positions. ZM_ERROR_INVALID_ARGUMENT: a token
 * outside the vocabulary, or no end token. ZM_ERROR_UNSUPPORTED: the model reads no text.
 * ZM_ERROR_CANCELLED. */
ZM_API zm_status zm_session_embed_text(zm_session *session, const int32_t *tokens, uint32_t count,
                                       float *embedding);

/* What a step does to one sequence. */
typedef struct zm_step {
    uint32_t sequence;     /* below the session's number of them */
    uint32_t count;        /* of tokens, >= 1 */
    const int32_t *tokens; /* appended to it */
    uint32_t rows;         /* logits of how many of its last tokens: 0 = 1, at most count */
    float *logits;         /* [rows][vocabulary]; NULL = none are wanted */
} zm_step;

/* Appends tokens to some of the sequences, each there at most once, and gives logits. The tokens of
 * all steps go through the model together, at most 512 in a run, fewer where the device has no
 * buffer for what is between layers: weights are read once for all of them. What a sequence gets is
 * what it would get alone, up to rounding (to the bit on the host device), whatever the others are.
 * ZM_ERROR_LIMIT: more tokens than there is room for.
 * ZM_ERROR_INVALID_ARGUMENT: no such sequence, one that is there twice, no tokens, a token outside
 * the vocabulary, or nothing encoded yet. ZM_ERROR_CANCELLED. After a failure no sequence has any
 * of the tokens. */
ZM_API zm_status zm_session_step(zm_session *session, const zm_step *steps, uint32_t count);

/* zm_session_step of sequence 0, with the logits [vocabulary] of the last token. */
ZM_API zm_status zm_session_decode(zm_session *session, const int32_t *tokens, uint32_t count,
                                   float *logits);

/* Forgets a sequence's tokens from position on; position 0 makes it new. */
ZM_API zm_status zm_session_rewind(zm_session *session, uint32_t sequence, uint32_t position);

/* What its decoder is made for. */
typedef struct zm_session_info {
    uint32_t vocabulary; /* logits of each token */
    uint32_t positions;  /* tokens of a sequence that there is room for */
    uint32_t sequences;
    uint32_t logits; /* tokens of a run that have them, at most */
    zm_norm norm;    /* that is computed */
} zm_session_info;

ZM_API zm_session_info zm_session_get_info(const zm_session *session);

/* zm_stream_take_records of the session's stream on a device: 0 = the one it was created for, i =
 * the i-th of the split. */
ZM_API zm_status zm_session_take_records(zm_session *session, uint32_t device, zm_records *out);

/* Holds a model's table of tensors, which says what reads and what writes the main branch, against
 * the graph that a session would run, without weights or a device. The converter goes by the table.
 * ZM_ERROR_UNSUPPORTED: they disagree; the log names the tensor. */
ZM_API zm_status zm_session_check_model(const zm_model *model, const zm_log *log);

/* What a session runs: a graph for each part. */
typedef enum zm_part { ZM_PART_ENCODER = 0, ZM_PART_DECODER } zm_part;

/* One of them, to look at while the session is there: its stages can be printed, and it says what
 * the last run took (pipeline.h). NULL: the model has no such part. */
ZM_API const zm_pipeline *zm_session_pipeline(const zm_session *session, zm_part part);

#ifdef __cplusplus
}
#endif
#endif
