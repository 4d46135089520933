/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of UTF-8 that is known to be valid, and making it so. */
#ifndef ZM_SRC_TEXT_UTF8_H
#define ZM_SRC_TEXT_UTF8_H

#include "text/table.h"

/* Bytes of the character that begins with this one. */
size_t zm_utf8_length(char lead);
/* The character at text, and how many bytes it has. */
uint32_t zm_utf8_decode(const char *text, size_t *length);
/* Returns how many bytes were written. */
size_t zm_utf8_encode(uint32_t character, char bytes[4]);

bool zm_utf8_is_valid(const char *bytes, size_t size);
/* As zm_utf8_repair, but NUL stays what it is: a character. */
zm_status zm_utf8_replace_invalid(const char *bytes, size_t size, zm_text_buffer *out);

#endif
