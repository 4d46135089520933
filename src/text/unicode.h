/* SPDX-License-Identifier: Apache-2.0 */
/* Unicode's normal forms and lower case. Over utf8proc; stubs.c refuses them without it. */
#ifndef ZM_SRC_TEXT_UNICODE_H
#define ZM_SRC_TEXT_UNICODE_H

#include "text/table.h"

typedef enum zm_unicode_form {
    ZM_UNICODE_NFC = 0,
    ZM_UNICODE_NFD,
    ZM_UNICODE_NFKC,
    ZM_UNICODE_NFKD,
    ZM_UNICODE_LOWER /* each character by itself */
} zm_unicode_form;

/* NULL when this build can do it, else why not. */
const char *zm_unicode_refusal(void);
/* Appends the form of valid UTF-8. ZM_ERROR_OUT_OF_MEMORY, ZM_ERROR_LIMIT. */
zm_status zm_unicode_form_append(zm_unicode_form form, const char *text, size_t size,
                                 zm_text_buffer *out);

#endif
