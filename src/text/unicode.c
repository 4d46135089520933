/* SPDX-License-Identifier: Apache-2.0 */
/* utf8proc knows the characters; the order of marks is put right here, since it takes quadratic
 * time over many of them, which a text may well have. */
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "common/alloc.h"
#include "text/utf8.h"

enum {
    EXPANSION_MAX = 32, /* characters that one decomposes to; Unicode promises 18 at most */
    CLASSES = 256,
    SHORT_RUN = 16,
    DOTTED_I = 0x130 /* the only character whose lower case is two characters */
};

typedef struct points {
    int32_t *at;
    size_t count, capacity;
} points;

const char *zm_unicode_refusal(void)
{
    return NULL;
}

static unsigned class_of(int32_t point)
{
    return (unsigned)utf8proc_get_property(point)->combining_class % CLASSES;
}

/* Stable, by class: by insertion, or by counting where there are many. */
static zm_status sort_marks(int32_t *marks, size_t count)
{
    size_t begin[CLASSES + 1] = {0};
    if (count <= SHORT_RUN) {
        for (size_t i = 1; i < count; i++)
            for (size_t k = i; k > 0 && class_of(marks[k - 1]) > class_of(marks[k]); k--) {
                int32_t other = marks[k];
                marks[k] = marks[k - 1];
                marks[k - 1] = other;
            }
        return ZM_OK;
    }
    int32_t *copy = zm_calloc(count, sizeof(*copy));
    if (!copy)
        return ZM_ERROR_OUT_OF_MEMORY;
    memcpy(copy, marks, count * sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        begin[class_of(copy[i]) + 1]++;
    for (size_t i = 1; i <= CLASSES; i++)
        begin[i] += begin[i - 1];
    for (size_t i = 0; i < count; i++)
        marks[begin[class_of(copy[i])]++] = copy[i];
    free(copy);
    return ZM_OK;
}

static zm_status order(points *all)
{
    for (size_t i = 0; i < all->count;) {
        size_t end = i;
        while (end < all->count && class_of(all->at[end]) > 0)
            end++;
        zm_status status = sort_marks(all->at + i, end - i);
        if (status != ZM_OK)
            return status;
        i = end + 1;
    }
    return ZM_OK;
}

static zm_status decompose(const char *text, size_t size, utf8proc_option_t options, points *all)
{
    all->count = 0;
    for (size_t i = 0, length; i < size; i += length) {
        int32_t point = (int32_t)zm_utf8_decode(text + i, &length);
        if (!zm_array_reserve((void **)&all->at, &all->capacity, all->count + EXPANSION_MAX,
                              sizeof(*all->at)))
            return ZM_ERROR_OUT_OF_MEMORY;
        utf8proc_ssize_t count =
            utf8proc_decompose_char(point, all->at + all->count, EXPANSION_MAX, options, NULL);
        if (count < 0 || count > EXPANSION_MAX)
            return ZM_ERROR_LIMIT;
        all->count += (size_t)count;
    }
    return order(all);
}

static zm_status append_point(uint32_t point, zm_text_buffer *out)
{
    char bytes[4];
    return zm_text_buffer_append(out, bytes, zm_utf8_encode(point, bytes));
}

static zm_status append_segment(zm_unicode_form form, const char *text, size_t size, points *all,
                                zm_text_buffer *out)
{
    const bool compat = form == ZM_UNICODE_NFKC || form == ZM_UNICODE_NFKD;
    const bool composed = form == ZM_UNICODE_NFC || form == ZM_UNICODE_NFKC;
    const utf8proc_option_t options =
        UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compat ? UTF8PROC_COMPAT : 0);
    zm_status status = decompose(text, size, options, all);
    if (status != ZM_OK)
        return status;
    utf8proc_ssize_t count = (utf8proc_ssize_t)all->count;
    if (composed && count > 0)
        count = utf8proc_normalize_utf32(all->at, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; status == ZM_OK && i < count; i++)
        status = append_point((uint32_t)all->at[i], out);
    return status;
}

static zm_status append_lower(const char *text, size_t size, zm_text_buffer *out)
{
    zm_status status = ZM_OK;
    for (size_t i = 0, length; status == ZM_OK && i < size; i += length) {
        uint32_t point = zm_utf8_decode(text + i, &length);
        status = append_point((uint32_t)utf8proc_tolower((int32_t)point), out);
        if (status == ZM_OK && point == DOTTED_I)
            status = append_point(0x307, out);
    }
    return status;
}

static bool is_ascii(char byte)
{
    return (uint8_t)byte < 0x80;
}

/* ASCII in front of ASCII stays what it is, whatever stands around it. */
zm_status zm_unicode_form_append(zm_unicode_form form, const char *text, size_t size,
                                 zm_text_buffer *out)
{
    points all = {0};
    zm_status status = ZM_OK;
    if (form == ZM_UNICODE_LOWER)
        return append_lower(text, size, out);
    for (size_t i = 0; status == ZM_OK && i < size;) {
        size_t end = i;
        while (end < size && is_ascii(text[end]) && (end + 1 == size || is_ascii(text[end + 1])))
            end++;
        status = zm_text_buffer_append(out, text + i, end - i);
        i = end;
        while (end < size && !(is_ascii(text[end]) && (end + 1 == size || is_ascii(text[end + 1]))))
            end++;
        if (status == ZM_OK)
            status = append_segment(form, text + i, end - i, &all, out);
        i = end;
    }
    free(all.at);
    return status;
}
