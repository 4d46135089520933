/* SPDX-License-Identifier: Apache-2.0 */
/* One window of 30 s: spectrogram, encoder, greedy decoding, segments. */
#ifndef ZM_SRC_TRANSCRIBE_WINDOW_H
#define ZM_SRC_TRANSCRIBE_WINDOW_H

#include "transcribe/run.h"

/* Transcribes the window that begins at sample seek. *advance: samples to where the next one
 * begins, > 0. */
zm_status zm_window_transcribe(zm_run *run, size_t seek, size_t *advance);

#endif
