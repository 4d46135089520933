/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream keeps of its launches for zm_stream_take_records. */
#ifndef ZM_SRC_DEVICE_RECORDER_H
#define ZM_SRC_DEVICE_RECORDER_H

#include "device/device.h"

typedef struct zm_recorder zm_recorder;

/* The stream owns it. */
zm_status zm_recorder_create(zm_stream *stream, uint32_t capacity);
void zm_recorder_destroy(zm_recorder *recorder);

/* Enqueues a launch of a stream with a recorder, and keeps it if there is room. */
zm_status zm_recorder_dispatch(zm_stream *stream, const zm_dispatch *dispatch);

#endif
