/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/text.h>

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "text/utf8.h"

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

static zm_status replace_bad(const char *bytes, size_t size, bool nul_is_bad, zm_text_buffer *out)
{
    static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
    zm_status status = ZM_OK;
    for (size_t i = 0, length; status == ZM_OK && i < size;) {
        size_t good = i;
        while (good < size && (bytes[good] != 0 || !nul_is_bad) &&
               utf8_read((const uint8_t *)bytes + good, size - good, &length) == UTF8_WHOLE)
            good += length;
        status = zm_text_buffer_append(out, bytes + i, good - i);
        i = good;
        if (status != ZM_OK || i == size)
            continue;
        utf8_read((const uint8_t *)bytes + i, size - i, &length);
        status = zm_text_buffer_append(out, replacement, 3);
        i += length;
    }
    return status;
}

zm_status zm_utf8_replace_invalid(const char *bytes, size_t size, zm_text_buffer *out)
{
    return replace_bad(bytes, size, false, out);
}

bool zm_utf8_is_valid(const char *bytes, size_t size)
{
    for (size_t i = 0, length; i < size; i += length)
        if (utf8_read((const uint8_t *)bytes + i, size - i, &length) != UTF8_WHOLE)
            return false;
    return true;
}

zm_status zm_utf8_repair(const char *bytes, size_t size, char **out)
{
    zm_text_buffer text = {0};
    if ((!bytes && size > 0) || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_status status = replace_bad(bytes, size, true, &text);
    if (status == ZM_OK)
        status = zm_text_buffer_append(&text, "", 1);
    if (status == ZM_OK)
        *out = text.bytes;
    else
        free(text.bytes);
    return status == ZM_ERROR_LIMIT ? ZM_ERROR_OUT_OF_MEMORY : status;
}

size_t zm_utf8_length(char lead)
{
    const uint8_t byte = (uint8_t)lead;
    return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

uint32_t zm_utf8_decode(const char *text, size_t *length)
{
    const uint8_t *byte = (const uint8_t *)text;
    *length = zm_utf8_length(text[0]);
    uint32_t character = *length == 1 ? byte[0] : byte[0] & (0xFFu >> (*length + 1));
    for (size_t i = 1; i < *length; i++)
        character = character << 6 | (byte[i] & 0x3F);
    return character;
}

size_t zm_utf8_encode(uint32_t character, char bytes[4])
{
    const size_t length = character < 0x80      ? 1
                          : character < 0x800   ? 2
                          : character < 0x10000 ? 3
                                                : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length; i-- > 1; character >>= 6)
        bytes[i] = (char)(0x80 | (character & 0x3F));
    bytes[0] = (char)(lead[length - (length == 1)] | character);
    return length;
}
