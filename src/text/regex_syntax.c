/* SPDX-License-Identifier: Apache-2.0 */
/* From Oniguruma's syntax to PCRE2's. What both read alike is copied; what they don't is spelt
 * out (\s, \w, classes in classes, scripts) or refused. */
#include <ctype.h>
#include <string.h>

#include "text/pattern.h"

/* Unicode's White_Space, which is not quite what PCRE2 calls \s. */
#define SPACES                                                                         \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}" \
    "\\x{202f}\\x{205f}\\x{3000}"
/* What Oniguruma calls \w, with its six numbers of Latin-1. */
#define WORDS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

typedef struct translation {
    const char *at;
    zm_text_buffer *out;
    unsigned depth; /* of classes */
    const char *problem;
} translation;

static zm_status refuse(translation *t, const char *problem)
{
    t->problem = problem;
    return ZM_ERROR_UNSUPPORTED;
}

static zm_status emit(translation *t, const char *text)
{
    return zm_text_buffer_append(t->out, text, strlen(text));
}

static zm_status copy(translation *t, size_t count)
{
    zm_status status = zm_text_buffer_append(t->out, t->at, count);
    t->at += count;
    return status;
}

/* A dash behind a set of characters is a dash, also where the set was spelt out. */
static zm_status end_of_set(translation *t)
{
    if (t->depth == 0 || *t->at != '-')
        return ZM_OK;
    t->at++;
    return emit(t, "\\-");
}

static zm_status emit_set(translation *t, const char *set, bool negated)
{
    t->at += 2;
    if (t->depth > 0 && negated)
        return refuse(t, "\\S or \\W in a class");
    zm_status status = t->depth > 0 ? ZM_OK : emit(t, negated ? "[^" : "[");
    if (status == ZM_OK)
        status = emit(t, set);
    if (status == ZM_OK)
        status = t->depth > 0 ? end_of_set(t) : emit(t, "]");
    return status;
}

/* \p{L}, \p{^Lu}, \p{Han}: PCRE2 would take a script for its extensions. */
static zm_status property(translation *t)
{
    const char *name = t->at + 3;
    if (t->at[2] != '{')
        return refuse(t, "\\p without braces");
    const size_t caret = *name == '^', length = strspn(name + caret, "abcdefghijklmnopqrstuvwxyz"
                                                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    if (length == 0 || name[caret + length] != '}')
        return refuse(t, "the name of a property");
    zm_status status = copy(t, 3 + caret);
    const bool script = length > 2 && strncmp(name + caret, "Alphabetic}", length + 1) != 0;
    if (status == ZM_OK && script)
        status = emit(t, "sc:");
    if (status == ZM_OK)
        status = copy(t, length + 1);
    return status == ZM_OK ? end_of_set(t) : status;
}

/* \x41, \x{41}, \u0041 */
static zm_status code_point(translation *t)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const bool braces = t->at[1] == 'x' && t->at[2] == '{';
    const char *begin = t->at + 2 + braces;
    const size_t length = strspn(begin, digits);
    const size_t wanted = t->at[1] == 'u' ? 4 : 2;
    if (braces ? begin[length] != '}' || length > 6 : length < wanted)
        return refuse(t, "a character by its number");
    if (!braces && wanted == 2 && *begin > '7')
        return refuse(t, "a byte that is no character");
    zm_status status = emit(t, "\\x{");
    t->at = begin;
    if (status == ZM_OK)
        status = copy(t, braces ? length : wanted);
    t->at += braces;
    return status == ZM_OK ? emit(t, "}") : status;
}

static zm_status escape(translation *t)
{
    const char letter = t->at[1];
    switch (letter) {
    case 's':
    case 'S': return emit_set(t, SPACES, letter == 'S');
    case 'w':
    case 'W': return emit_set(t, WORDS, letter == 'W');
    case 'p':
    case 'P': return property(t);
    case 'x':
    case 'u': return code_point(t);
    case 'd':
    case 'D': {
        zm_status status = copy(t, 2);
        return status == ZM_OK ? end_of_set(t) : status;
    }
    case 't':
    case 'n':
    case 'r':
    case 'f': return copy(t, 2);
    case 'A':
    case 'z':
        if (t->depth == 0)
            return copy(t, 2);
        break;
    default:
        if (letter > 0 && ispunct(letter))
            return copy(t, 2);
    }
    return refuse(t, "a letter behind a backslash");
}

static zm_status open_class(translation *t)
{
    if (t->depth++ > 0) { /* a class in a class adds its characters */
        t->at++;
        return *t->at == '^' || *t->at == ':' || *t->at == ']' ? refuse(t, "a class in a class")
                                                               : ZM_OK;
    }
    zm_status status = copy(t, t->at[1] == '^' ? 2 : 1);
    if (status == ZM_OK && *t->at == ']') {
        t->at++;
        status = emit(t, "\\]");
    }
    return status;
}

static zm_status in_class(translation *t)
{
    if (*t->at == '[')
        return open_class(t);
    if (t->at[0] == '&' && t->at[1] == '&')
        return refuse(t, "an intersection of classes");
    if (*t->at != ']')
        return copy(t, 1);
    if (--t->depth == 0)
        return copy(t, 1);
    t->at++;
    return end_of_set(t);
}

static zm_status group(translation *t)
{
    static const char *const known[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?i:", "(?>"};
    if (t->at[1] == '*')
        return refuse(t, "(*");
    if (t->at[1] != '?')
        return copy(t, 1);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strncmp(t->at, known[i], strlen(known[i])) == 0)
            return copy(t, strlen(known[i]));
    return refuse(t, "this kind of group");
}

static zm_status out_of_class(translation *t)
{
    switch (*t->at) {
    case '[': return open_class(t);
    case '(': return group(t);
    case '{': return t->at[1] == ',' ? refuse(t, "{,") : copy(t, 1);
    case '}': return t->at[1] == '+' ? refuse(t, "}+") : copy(t, 1);
    default: return copy(t, 1);
    }
}

zm_status zm_regex_translate(const char *regex, zm_text_buffer *out, const char **problem)
{
    translation t = {.at = regex, .out = out};
    zm_status status = ZM_OK;
    while (status == ZM_OK && *t.at) {
        if (*t.at == '\\')
            status = escape(&t);
        else
            status = t.depth > 0 ? in_class(&t) : out_of_class(&t);
    }
    if (status == ZM_OK && t.depth > 0)
        status = refuse(&t, "a class without an end");
    *problem = t.problem;
    return status;
}
