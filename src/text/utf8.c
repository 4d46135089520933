/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/text.h>

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

typedef enum utf8_kind { UTF8_WHOLE, UTF8_BEGINNING, UTF8_INVALID } utf8_kind;

/* The sequence at bytes[0] (Unicode 15, table 3-7): a whole character, the beginning of one that
 * the end cuts off, or bytes that no character has. size > 0; *length is what it takes up. */
static utf8_kind utf8_read(const uint8_t *bytes, size_t size, size_t *length)
{
    const uint8_t lead = bytes[0];
    *length = 1;
    if (lead < 0x80)
        return UTF8_WHOLE;
    if (lead < 0xC2 || lead > 0xF4)
        return UTF8_INVALID;
    const size_t needed = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (; *length < needed; ++*length) {
        if (*length == size)
            return UTF8_BEGINNING;
        if (bytes[*length] < least || bytes[*length] > most)
            return UTF8_INVALID;
        least = 0x80;
        most = 0xBF;
    }
    return UTF8_WHOLE;
}

size_t zm_utf8_whole(const char *bytes, size_t size)
{
    const uint8_t *text = (const uint8_t *)bytes;
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        size_t length;
        if (text[size - back] < 0xC0)
            continue; /* no beginning of a longer character: look further back */
        bool cut = utf8_read(text + size - back, back, &length) == UTF8_BEGINNING;
        return cut ? size - back : size;
    }
    return size;
}

zm_status zm_utf8_repair(const char *bytes, size_t size, char **out)
{
    static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
    if ((!bytes && size > 0) || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (size > SIZE_MAX / 3 - 1)
        return ZM_ERROR_OUT_OF_MEMORY;
    char *text = zm_calloc(size * 3 + 1, 1); /* one bad byte becomes three */
    if (!text)
        return ZM_ERROR_OUT_OF_MEMORY;
    size_t used = 0;
    for (size_t i = 0, length; i < size; i += length) {
        utf8_kind kind = utf8_read((const uint8_t *)bytes + i, size - i, &length);
        bool good = kind == UTF8_WHOLE && bytes[i] != 0;
        memcpy(text + used, good ? bytes + i : replacement, good ? length : 3);
        used += good ? length : 3;
    }
    *out = text;
    return ZM_OK;
}
