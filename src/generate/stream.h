/* SPDX-License-Identifier: Apache-2.0 */
/* Text on its way to the caller: what may become a stop string is held back. */
#ifndef ZM_SRC_GENERATE_STREAM_H
#define ZM_SRC_GENERATE_STREAM_H

#include <zeromean/generate.h>

typedef struct zm_text_stream {
    const char *const *stops;
    size_t stop_count;
    zm_text_fn tell; /* NULL = nobody listens */
    void *user;
    char *text; /* all of it, valid UTF-8, NUL-terminated once there is any */
    size_t size, capacity;
    char *held; /* behind it, as it came */
    size_t held_size, held_capacity;
    bool stopped; /* a stop string came; nothing is added any more */
} zm_text_stream;

void zm_text_stream_finish(zm_text_stream *stream);

/* bytes: whole UTF-8 characters, or invalid ones. ZM_ERROR_CANCELLED: the caller wants no more;
 * ZM_ERROR_OUT_OF_MEMORY. */
zm_status zm_text_stream_add(zm_text_stream *stream, const char *bytes, size_t size);
/* There is no more: what was held back is no stop string. */
zm_status zm_text_stream_end(zm_text_stream *stream);

#endif
