/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/pattern.h"

enum {
    STEPS_LEAST = 100000, /* of one search; no pattern in use takes several for each byte */
    STEPS_PER_BYTE = 16,
    HEAP_LIMIT_KB = 64 << 10,
    STACK_BYTES = 1 << 20,
    PATTERN_BYTES_MAX = 16 << 10
};

struct zm_regex {
    pcre2_code *code;
};

struct zm_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

void zm_regex_free(zm_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex);
}

static pcre2_code *compile(const zm_text_buffer *pattern, int *error)
{
    PCRE2_SIZE where;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        *error = PCRE2_ERROR_NOMEMORY;
        return NULL;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern->bytes, pattern->size,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, error, &where, context);
    pcre2_compile_context_free(context);
    return code;
}

static zm_status refuse(const char *what, const zm_log *log, const char *regex, const char *problem)
{
    return zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: the pattern '%.100s' is not supported: %s", what,
                   regex, problem);
}

zm_status zm_regex_compile(const char *text, const char *what, const zm_log *log, zm_regex **out)
{
    zm_text_buffer pattern = {0};
    const char *problem = "it is too long";
    PCRE2_UCHAR message[160] = "";
    zm_regex *regex = NULL;
    int error = PCRE2_ERROR_NOMEMORY;
    zm_status status = ZM_ERROR_UNSUPPORTED;
    if (strlen(text) <= PATTERN_BYTES_MAX)
        status = zm_regex_translate(text, &pattern, &problem);
    if (status == ZM_ERROR_UNSUPPORTED)
        refuse(what, log, text, problem);
    if (status != ZM_OK)
        goto done;
    status = ZM_ERROR_OUT_OF_MEMORY;
    regex = zm_calloc(1, sizeof(*regex));
    if (!regex)
        goto done;
    regex->code = compile(&pattern, &error);
    if (!regex->code && error != PCRE2_ERROR_NOMEMORY) {
        pcre2_get_error_message(error, message, sizeof(message));
        status = refuse(what, log, text, (const char *)message);
    }
    if (!regex->code)
        goto done;
    /* Where it can't, matching is slower and otherwise the same. */
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    *out = regex;
    regex = NULL;
    status = ZM_OK;
done:
    zm_regex_free(regex);
    free(pattern.bytes);
    return status;
}

void zm_matcher_free(zm_matcher *matcher)
{
    if (!matcher)
        return;
    pcre2_match_data_free(matcher->data);
    pcre2_match_context_free(matcher->context);
    pcre2_jit_stack_free(matcher->stack);
    free(matcher);
}

static zm_matcher *make_matcher(void)
{
    zm_matcher *matcher = zm_calloc(1, sizeof(*matcher));
    if (!matcher)
        return NULL;
    matcher->data = pcre2_match_data_create(1, NULL);
    matcher->context = pcre2_match_context_create(NULL);
    if (!matcher->data || !matcher->context) {
        zm_matcher_free(matcher);
        return NULL;
    }
    pcre2_set_heap_limit(matcher->context, HEAP_LIMIT_KB);
    matcher->stack = pcre2_jit_stack_create(32 << 10, STACK_BYTES, NULL);
    if (matcher->stack) /* there is none where there is no JIT */
        pcre2_jit_stack_assign(matcher->context, NULL, matcher->stack);
    return matcher;
}

zm_status zm_regex_find(const zm_regex *regex, zm_matcher **matcher, const char *text, size_t size,
                        size_t from, zm_match *out)
{
    if (!*matcher)
        *matcher = make_matcher();
    if (!*matcher)
        return ZM_ERROR_OUT_OF_MEMORY;
    pcre2_match_data *data = (*matcher)->data;
    uint32_t options = PCRE2_NO_UTF_CHECK;
    const size_t steps = STEPS_LEAST + (size - from) * STEPS_PER_BYTE;
    pcre2_set_match_limit((*matcher)->context, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
    int found =
        pcre2_match(regex->code, (PCRE2_SPTR)text, size, from, options, data, (*matcher)->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(regex->code, (PCRE2_SPTR)text, size, from, options | PCRE2_NO_JIT, data,
                            (*matcher)->context);
    if (found == PCRE2_ERROR_NOMEMORY)
        return ZM_ERROR_OUT_OF_MEMORY;
    if (found < 0 && found != PCRE2_ERROR_NOMATCH)
        return ZM_ERROR_LIMIT;
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(data);
    out->begin = found >= 0 ? range[0] : SIZE_MAX;
    out->end = found >= 0 ? range[1] : SIZE_MAX;
    return ZM_OK;
}
