/* SPDX-License-Identifier: Apache-2.0 */
/* What is looked for in text: a string, or a regular expression (PCRE2; stubs.c refuses those
 * without it). */
#ifndef ZM_SRC_TEXT_PATTERN_H
#define ZM_SRC_TEXT_PATTERN_H

#include <zeromean/log.h>

#include "text/table.h"

typedef struct zm_regex zm_regex;
typedef struct zm_matcher zm_matcher; /* what one thread needs to match regular expressions */

typedef struct zm_pattern {
    zm_regex *regex; /* NULL: the string */
    char *string;    /* of a regular expression: as it was given */
    size_t size;
} zm_pattern;

typedef struct zm_match {
    size_t begin, end; /* begin > the text: there is none */
} zm_match;

zm_status zm_pattern_string(zm_pattern *pattern, const char *string, size_t size);
/* In the syntax of Oniguruma, which the files of Hugging Face are written in. What PCRE2 would read
 * otherwise is rewritten, or refused by name: ZM_ERROR_UNSUPPORTED. what: of the message. */
zm_status zm_pattern_regex(zm_pattern *pattern, const char *regex, const char *what,
                           const zm_log *log);
void zm_pattern_clear(zm_pattern *pattern);

/* The first match that begins at or behind from. *matcher is made when it is NULL. ZM_ERROR_LIMIT:
 * the pattern tries too much. */
zm_status zm_pattern_find(const zm_pattern *pattern, zm_matcher **matcher, const char *text,
                          size_t size, size_t from, zm_match *out);

/* For pattern.c: what regex.c does, or stubs.c refuses. */
zm_status zm_regex_compile(const char *regex, const char *what, const zm_log *log, zm_regex **out);
void zm_regex_free(zm_regex *regex);
zm_status zm_regex_find(const zm_regex *regex, zm_matcher **matcher, const char *text, size_t size,
                        size_t from, zm_match *out);
void zm_matcher_free(zm_matcher *matcher);

/* A regular expression of Oniguruma as one of PCRE2, NUL-terminated. ZM_ERROR_UNSUPPORTED: *problem
 * says what is not understood. */
zm_status zm_regex_translate(const char *regex, zm_text_buffer *out, const char **problem);

#endif
