/* SPDX-License-Identifier: Apache-2.0 */
/* A build without PCRE2 and utf8proc: tokenizers that need them decode only. */
#include "common/log.h"
#include "text/pattern.h"
#include "text/unicode.h"

static const char reason[] = "this build has no PCRE2 and utf8proc; build with -Dtext=enabled";

zm_status zm_regex_compile(const char *regex, const char *what, const zm_log *log, zm_regex **out)
{
    (void)regex;
    (void)out;
    return zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: its patterns are not supported: %s", what,
                   reason);
}

void zm_regex_free(zm_regex *regex)
{
    (void)regex;
}

zm_status zm_regex_find(const zm_regex *regex, zm_matcher **matcher, const char *text, size_t size,
                        size_t from, zm_match *out)
{
    (void)regex;
    (void)matcher;
    (void)text;
    (void)size;
    (void)from;
    (void)out;
    return ZM_ERROR_UNSUPPORTED;
}

void zm_matcher_free(zm_matcher *matcher)
{
    (void)matcher;
}

const char *zm_unicode_refusal(void)
{
    return reason;
}

zm_status zm_unicode_form_append(zm_unicode_form form, const char *text, size_t size,
                                 zm_text_buffer *out)
{
    (void)form;
    (void)text;
    (void)size;
    (void)out;
    return ZM_ERROR_UNSUPPORTED;
}
