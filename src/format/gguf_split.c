/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the parts of a split model: PREFIX-00002-of-00003.gguf. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/gguf_reader.h"

static const char pattern[] = "-%%%%%-of-%%%%%.gguf"; /* % stands for a digit */

enum { LENGTH = sizeof(pattern) - 1, NUMBER = 1, COUNT = 10, DIGITS = 5 };

static uint32_t parse(const char *digits)
{
    uint32_t number = 0;
    for (int i = 0; i < DIGITS; i++)
        number = number * 10 + (uint32_t)(digits[i] - '0');
    return number;
}

bool zm_gguf_part_parse(const char *path, uint32_t *number, uint32_t *count)
{
    size_t length = strlen(path);
    if (length < LENGTH)
        return false;
    const char *end = path + length - LENGTH;
    for (int i = 0; i < LENGTH; i++)
        if (pattern[i] == '%' ? end[i] < '0' || end[i] > '9' : end[i] != pattern[i])
            return false;
    *number = parse(end + NUMBER);
    *count = parse(end + COUNT);
    return true;
}

char *zm_gguf_part_path(const char *path, uint32_t number, uint32_t count)
{
    char end[32];
    char *made = zm_strdup(path);
    if (made) {
        snprintf(end, sizeof(end), "-%05u-of-%05u.gguf", number % 100000, count % 100000);
        memcpy(made + strlen(made) - LENGTH, end, LENGTH);
    }
    return made;
}
