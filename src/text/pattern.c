/* SPDX-License-Identifier: Apache-2.0 */
#include "text/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

zm_status zm_pattern_string(zm_pattern *pattern, const char *string, size_t size)
{
    pattern->string = zm_calloc(size + 1, 1);
    if (!pattern->string)
        return ZM_ERROR_OUT_OF_MEMORY;
    memcpy(pattern->string, string, size);
    pattern->size = size;
    return ZM_OK;
}

zm_status zm_pattern_regex(zm_pattern *pattern, const char *regex, const char *what,
                           const zm_log *log)
{
    zm_status status = zm_pattern_string(pattern, regex, strlen(regex));
    return status == ZM_OK ? zm_regex_compile(regex, what, log, &pattern->regex) : status;
}

void zm_pattern_clear(zm_pattern *pattern)
{
    zm_regex_free(pattern->regex);
    free(pattern->string);
    *pattern = (zm_pattern){0};
}

zm_status zm_pattern_find(const zm_pattern *pattern, zm_matcher **matcher, const char *text,
                          size_t size, size_t from, zm_match *out)
{
    if (pattern->regex)
        return zm_regex_find(pattern->regex, matcher, text, size, from, out);
    const char *found = memmem(text + from, size - from, pattern->string, pattern->size);
    out->begin = found ? (size_t)(found - text) : SIZE_MAX;
    out->end = found ? out->begin + pattern->size : SIZE_MAX;
    return ZM_OK;
}
