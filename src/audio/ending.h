/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an audio file ends where it says: libsndfile takes what is there and keeps quiet. */
#ifndef ZM_SRC_AUDIO_ENDING_H
#define ZM_SRC_AUDIO_ENDING_H

#include <stdbool.h>

typedef struct zm_audio_ending {
    bool cut;    /* something is missing at the end */
    double part; /* of what the header promises: how much is there; 0 = not known */
} zm_audio_ending;

/* Looks at WAV (RIFF) and OGG; other files, and those that it cannot read, are taken for whole. */
zm_audio_ending zm_audio_ending_of(const char *path);

#endif
