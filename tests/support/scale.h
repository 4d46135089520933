/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel of the tests' own, in a folder of its own: dst[i] = x[i] * factor * FACTOR (+ y[i]). */
#ifndef ZM_TESTS_SCALE_H
#define ZM_TESTS_SCALE_H

#include "device/device.h"

#define SCALE_ITEMS 1000u

typedef struct scale_folder {
    char *root;        /* temporary; holds everything below */
    char shaders[192]; /* cpu/: scale.cl, broken.cl, nameless.cl; scale.clh */
    char cache[192];   /* for zm_device_params.cache_dir; not made yet */
} scale_folder;

bool scale_folder_make(scale_folder *folder);
void scale_folder_remove(scale_folder *folder);

/* Opens a device that takes its kernels from the folder; cached: its programs are kept there. */
zm_status scale_open(const scale_folder *folder, const char *spec, bool cached, const zm_log *log,
                     zm_device **out);

/* options as in zm_kernel_desc. */
zm_status scale_kernel(zm_device *device, const char *options, const zm_kernel **out);

/* Enqueues the kernel over SCALE_ITEMS floats; y and event may be NULL. */
zm_status scale_run(zm_stream *stream, const zm_kernel *kernel, zm_buffer *x, zm_buffer *y,
                    zm_buffer *dst, float factor, zm_event *event);

/* Everything once: buffers, stream, kernel, events, mapping, read and wait. ZM_OK means that the
 * numbers were right; wrong numbers are ZM_ERROR_MISMATCH. */
zm_status scale_exercise(zm_device *device, float factor);

#endif
