/* SPDX-License-Identifier: Apache-2.0 */
/* Reading fields of a JSON object with an error that names file and field. Over jansson. */
#ifndef ZM_SRC_FORMAT_JSON_H
#define ZM_SRC_FORMAT_JSON_H

#include <jansson.h>

#include "common/log.h"

/* Duplicate keys and NUL characters in strings are refused; depth is limited by jansson. */
zm_status zm_json_parse(const char *text, size_t size, const char *what, const zm_log *log,
                        json_t **out);
zm_status zm_json_read(const char *path, uint64_t max_size, const zm_log *log, json_t **out);

/* ZM_ERROR_BAD_FORMAT when the field is missing, of another type or out of range. */
zm_status zm_json_u32(const json_t *object, const char *field, uint32_t min, uint32_t max,
                      const char *what, const zm_log *log, uint32_t *out);
/* NULL when missing or no string. */
const char *zm_json_string(const json_t *object, const char *field);

#endif
