/* SPDX-License-Identifier: Apache-2.0 */
/* Audio files and the log-mel spectrogram that Whisper reads. All functions are thread-safe.
 *
 * In a library that was built without audio (meson option 'audio') all of them, and transcription,
 * give ZM_ERROR_UNSUPPORTED. */
#ifndef ZEROMEAN_AUDIO_H
#define ZEROMEAN_AUDIO_H

#include <zeromean/common.h>
#include <zeromean/log.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZM_AUDIO_RATE 16000      /* samples per second, one channel */
#define ZM_MEL_FRAMES 3000       /* frames in a window of 30 s */
#define ZM_MEL_FRAME_SAMPLES 160 /* 10 ms */

/* Reads WAV, FLAC, OGG or whatever else libsndfile knows, takes the mean of the channels and
 * resamples to ZM_AUDIO_RATE. Free *samples with free(). A file that ends early is read as far as
 * it goes, with a warning (in formats other than WAV, FLAC and OGG that may go unnoticed).
 * ZM_ERROR_NOT_FOUND, ZM_ERROR_IO (not a regular file, no permission), ZM_ERROR_LIMIT (over 24
 * hours), ZM_ERROR_BAD_FORMAT: no audio file, or a damaged one, or one without samples, or with
 * samples that are not finite or over 1e9, or with a sample rate (1 kHz to 1 MHz) or channel count
 * (64) out of range. */
ZM_API zm_status zm_audio_read(const char *path, const zm_log *log, float **samples, size_t *count);

/* Log-mel spectrogram of one window of 30 s that begins at samples[0]; what is missing is
 * silence, what is over is ignored. out: [ZM_MEL_FRAMES][bins], time-major. bins 80 or 128.
 * As in the reference implementation of Whisper: Hann window of 400, hop 160, Slaney mel
 * filters, log10 clamped to 8 below the maximum of the window, (x + 4) / 4.
 * ZM_ERROR_INVALID_ARGUMENT, ZM_ERROR_OUT_OF_MEMORY. */
ZM_API zm_status zm_log_mel(const float *samples, size_t count, uint32_t bins, float *out);

#ifdef __cplusplus
}
#endif
#endif
