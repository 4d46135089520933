/* SPDX-License-Identifier: Apache-2.0 */
#include "transcribe/segments.h"

#include <stdbool.h>

/* The time of token i where it is a timestamp, otherwise the fallback. */
static uint32_t time_at(const int32_t *tokens, size_t i, int32_t first, uint32_t fallback)
{
    return tokens[i] >= first ? (uint32_t)(tokens[i] - first) : fallback;
}

/* No pair: the window is one segment, up to its last timestamp if that says more than 0.00. */
static zm_span whole_window(const int32_t *tokens, size_t count, int32_t first, uint32_t length)
{
    zm_span span = {0, count, time_at(tokens, 0, first, 0), length};
    for (size_t i = count; i-- > 0;) {
        if (tokens[i] < first)
            continue;
        if (tokens[i] > first && i > 0)
            span.stop = (uint32_t)(tokens[i] - first);
        break;
    }
    return span;
}

size_t zm_window_split(const int32_t *tokens, size_t count, int32_t first_timestamp,
                       uint32_t length, zm_span *spans, uint32_t *advance)
{
    const int32_t first = first_timestamp;
    size_t found = 0, begin = 0;
    *advance = length;
    if (count == 0)
        return 0;
    for (size_t i = 1; i < count; i++) {
        if (tokens[i - 1] < first || tokens[i] < first)
            continue;
        spans[found++] = (zm_span){begin, i, time_at(tokens, begin, first, 0),
                                   (uint32_t)(tokens[i - 1] - first)};
        begin = i;
    }
    if (found == 0) {
        spans[0] = whole_window(tokens, count, first, length);
        return 1;
    }
    bool closed = count >= 2 && tokens[count - 1] >= first && tokens[count - 2] < first;
    if (closed)
        spans[found++] = (zm_span){begin, count, time_at(tokens, begin, first, 0),
                                   (uint32_t)(tokens[count - 1] - first)};
    else if (spans[found - 1].stop > 0 && spans[found - 1].stop < length)
        *advance = spans[found - 1].stop;
    return found;
}
