/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/stream.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

void zm_text_stream_finish(zm_text_stream *stream)
{
    free(stream->text);
    free(stream->held);
    stream->text = stream->held = NULL;
}

/* How much of the held text is sure to be none of the stop string: all in front of the first place
 * where it stands, or, unless the text is at its end, the beginning of it. */
static size_t certain(const zm_text_stream *stream, const char *stop, bool at_end, bool *found)
{
    const size_t length = strlen(stop);
    for (size_t at = 0; at < stream->held_size; at++) {
        const size_t rest = stream->held_size - at;
        if ((rest >= length || !at_end) &&
            memcmp(stream->held + at, stop, rest < length ? rest : length) == 0) {
            *found = rest >= length;
            return at;
        }
    }
    *found = false;
    return stream->held_size;
}

/* Hands out the first bytes of what is held, and drops them. */
static zm_status tell(zm_text_stream *stream, size_t size)
{
    char *valid = NULL;
    if (size == 0)
        return ZM_OK;
    if (zm_utf8_repair(stream->held, size, &valid) != ZM_OK)
        return ZM_ERROR_OUT_OF_MEMORY;
    const size_t length = strlen(valid);
    if (!zm_array_reserve((void **)&stream->text, &stream->capacity, stream->size + length + 1,
                          1)) {
        free(valid);
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    memcpy(stream->text + stream->size, valid, length + 1);
    stream->size += length;
    stream->held_size -= size;
    memmove(stream->held, stream->held + size, stream->held_size);
    const bool goes_on = !stream->tell || stream->tell(stream->user, valid, length);
    free(valid);
    return goes_on ? ZM_OK : ZM_ERROR_CANCELLED;
}

/* The stop string that begins first ends the text, not the one that is whole first. */
static zm_status tell_certain(zm_text_stream *stream, bool at_end)
{
    size_t sure = stream->held_size;
    for (size_t i = 0; i < stream->stop_count; i++) {
        bool found;
        const size_t before = certain(stream, stream->stops[i], at_end, &found);
        if (before > sure || (before == sure && !found))
            continue;
        sure = before;
        stream->stopped = found;
    }
    return tell(stream, sure);
}

zm_status zm_text_stream_add(zm_text_stream *stream, const char *bytes, size_t size)
{
    if (size == 0)
        return ZM_OK;
    if (!zm_array_reserve((void **)&stream->held, &stream->held_capacity, stream->held_size + size,
                          1))
        return ZM_ERROR_OUT_OF_MEMORY;
    memcpy(stream->held + stream->held_size, bytes, size);
    stream->held_size += size;
    return tell_certain(stream, false);
}

zm_status zm_text_stream_end(zm_text_stream *stream)
{
    return stream->stopped ? ZM_OK : tell_certain(stream, true);
}
