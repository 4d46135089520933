/* SPDX-License-Identifier: Apache-2.0 */
/* Speech to text with a Whisper session: windows of 30 s, greedy decoding, timestamps.
 *
 * Decoding follows the reference implementation (Radford et al. 2022) at temperature 0: its
 * suppressed tokens, its rules for timestamps, its way from window to window and its test for
 * windows without speech. Different: no temperature is ever tried but 0, the text so far is not a
 * prompt for the next window, the spectrogram is clamped window by window, a window below -80 dB of
 * full scale is silence without asking the model, and a window whose text repeats one phrase over
 * and over is left there.
 *
 * Thread-safety: that of the session. */
#ifndef ZEROMEAN_TRANSCRIBE_H
#define ZEROMEAN_TRANSCRIBE_H

#include <zeromean/session.h>
#include <zeromean/text.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_segment {
    double start, end;     /* seconds from the beginning of the audio */
    const char *text;      /* UTF-8, without the leading space */
    const int32_t *tokens; /* text tokens only */
    size_t token_count;
} zm_segment;

typedef struct zm_transcript {
    char *text;      /* UTF-8, all segments joined, without the leading space */
    int32_t *tokens; /* text tokens only, all segments joined */
    size_t token_count;
    zm_segment *segments;
    size_t segment_count;
    char language[8]; /* "en"; "" where the model has no languages, or where
                             "auto" had nothing to hear */
    double audio_seconds;
    /* Wall time. The encoder's ends with the first logits behind it, the decoder's is the rest. */
    double mel_seconds, encode_seconds, decode_seconds;
} zm_transcript;

typedef struct zm_transcribe_params {
    const float *samples; /* ZM_AUDIO_RATE, one channel, finite */
    size_t sample_count;  /* > 0 */
    /* "en", ...; "auto" = whatever the model hears in the first window; NULL = "en".
     * ZM_ERROR_NOT_FOUND when the model has it not; English-only models take "en" and "auto". */
    const char *language;
    bool translate;  /* to English, multilingual models only */
    bool timestamps; /* decode timestamp tokens; always on for audio over 30 s */
    /* Called as text is decoded, with valid UTF-8, never empty; all pieces joined are the text of
     * the transcript. With timestamps: segment by segment, with the end of it in seconds; without:
     * token by token, with 0. May be NULL. Return false to cancel. */
    bool (*text)(void *user, const char *utf8, double seconds);
    /* Called as each segment of the transcript is complete, in order, behind its text; it lives as
     * long as the call. May be NULL. Return false to cancel. */
    bool (*segment)(void *user, const zm_segment *segment);
    zm_progress_fn progress; /* unit: samples */
    void *user;              /* for text, segment and progress */
    const zm_log *log;
} zm_transcribe_params;

/* Free *out with zm_transcript_destroy. ZM_ERROR_UNSUPPORTED: no model that transcribes, or an
 * English-only one and translate set, or no audio in this build. ZM_ERROR_CANCELLED; the errors of
 * the session. */
ZM_API zm_status zm_transcribe(zm_session *session, const zm_model *model,
                               const zm_tokenizer *tokenizer, const zm_transcribe_params *params,
                               zm_transcript **out);
ZM_API void zm_transcript_destroy(zm_transcript **transcript);

#ifdef __cplusplus
}
#endif
#endif
