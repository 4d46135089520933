/* SPDX-License-Identifier: Apache-2.0 */
#include "format/json.h"

#include <stdlib.h>

#include "common/file.h"

/* jansson quotes the text that it could not read: it must not reach a terminal raw. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

zm_status zm_json_parse(const char *text, size_t size, const char *what, const zm_log *log,
                        json_t **out)
{
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!root && error.text[0] == '\0') /* jansson has no word for it */
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to read it", what);
    if (!root) {
        make_printable(error.text);
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "%s: not valid JSON: %s (line %d, column %d); fetch the file again", what,
                       error.text, error.line, error.column);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: is not a JSON object", what);
    }
    *out = root;
    return ZM_OK;
}

zm_status zm_json_read(const char *path, uint64_t max_size, const zm_log *log, json_t **out)
{
    char *text = NULL;
    size_t size = 0;
    zm_status status = zm_file_read(path, max_size, log, &text, &size);
    if (status == ZM_OK)
        status = zm_json_parse(text, size, path, log, out);
    free(text);
    return status;
}

zm_status zm_json_u32(const json_t *object, const char *field, uint32_t min, uint32_t max,
                      const char *what, const zm_log *log, uint32_t *out)
{
    const json_t *value = json_object_get(object, field);
    if (!value)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: has no field %s", what, field);
    if (!json_is_integer(value))
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: %s is not an integer", what, field);
    json_int_t number = json_integer_value(value);
    if (number < (json_int_t)min || number > (json_int_t)max)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: %s is %lld, expected %u to %u", what, field,
                       (long long)number, min, max);
    *out = (uint32_t)number;
    return ZM_OK;
}

const char *zm_json_string(const json_t *object, const char *field)
{
    return json_string_value(json_object_get(object, field));
}
