/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/tuning_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/hash.h"
#include "format/json.h"

#define TUNING_NAME "tuning.json"
#define TUNING_SCHEMA "zeromean.tuning/1"
#define CHECKED_NAME "tuning-checked.json"
#define CHECKED_SCHEMA "zeromean.tuning-checked/1"
#define MAX_FILE (UINT64_C(1) << 20)
#define MAX_ENTRIES 1000
#define MAX_CHECKED 1000

/* ---- reading ---- */

static bool read_text(const json_t *object, const char *key, char *out, size_t size)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    out[0] = '\0';
    if (!value)
        return true;
    return text && snprintf(out, size, "%s", text) < (int)size;
}

static bool read_values(const json_t *object, zm_tuning_entry *out)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object) || json_object_size(object) > ZM_TUNING_MAX_PARAMETERS)
        return false;
    json_object_foreach((json_t *)object, name, value)
    {
        json_int_t number = json_integer_value(value);
        zm_tuning_value *v = &out->values[out->count++];
        if (!json_is_integer(value) || number < 0 || number > UINT32_MAX ||
            strlen(name) >= sizeof(v->name))
            return false;
        strcpy(v->name, name);
        v->value = (uint32_t)number;
    }
    return out->count > 0;
}

static bool read_entry(const json_t *object, zm_tuning_entry *out)
{
    return read_text(object, "op", out->op, sizeof(out->op)) && out->op[0] &&
           read_text(object, "device", out->device, sizeof(out->device)) &&
           read_text(object, "platform", out->platform, sizeof(out->platform)) &&
           read_text(object, "vendor", out->vendor, sizeof(out->vendor)) &&
           read_text(object, "driver", out->driver, sizeof(out->driver)) &&
           read_values(json_object_get(object, "parameters"), out);
}

static zm_status read_entries(const char *path, const json_t *root, const zm_log *log,
                              zm_tuning_list *out)
{
    const char *schema = zm_json_string(root, "schema");
    const json_t *entries = json_object_get(root, "entries"), *item;
    size_t i;
    if (!schema || strcmp(schema, TUNING_SCHEMA) != 0 || !json_is_array(entries) ||
        json_array_size(entries) > MAX_ENTRIES)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: is no tuning file (schema %s)", path,
                       TUNING_SCHEMA);
    json_array_foreach(entries, i, item)
    {
        zm_tuning_entry entry = {.count = 0};
        if (!read_entry(item, &entry))
            return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: entry %zu is none of %s", path, i,
                           TUNING_SCHEMA);
        zm_status status = zm_tuning_list_add(out, &entry);
        if (status != ZM_OK)
            return zm_fail(log, status, "%s: out of memory", path);
    }
    return ZM_OK;
}

zm_status zm_tuning_file_read(const char *cache_dir, const zm_log *log, zm_tuning_list *out)
{
    json_t *root = NULL;
    char *path = zm_path_join(cache_dir, TUNING_NAME);
    *out = (zm_tuning_list){0};
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", TUNING_NAME);
    zm_status status = ZM_OK;
    if (zm_path_exists(path))
        status = zm_json_read(path, MAX_FILE, log, &root);
    if (root)
        status = read_entries(path, root, log, out);
    json_decref(root);
    free(path);
    return status;
}

zm_status zm_tuning_list_add(zm_tuning_list *list, const zm_tuning_entry *entry)
{
    void *entries = list->entries;
    if (!zm_array_reserve(&entries, &list->capacity, list->count + 1, sizeof(*entry)))
        return ZM_ERROR_OUT_OF_MEMORY;
    list->entries = entries;
    list->entries[list->count++] = *entry;
    return ZM_OK;
}

void zm_tuning_list_finish(zm_tuning_list *list)
{
    free(list->entries);
    *list = (zm_tuning_list){0};
}

/* ---- writing ---- */

static zm_status write_json(const char *cache_dir, const char *name, const zm_log *log,
                            json_t *root)
{
    zm_writer writer = {.fd = -1};
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    char *path = zm_path_join(cache_dir, name);
    zm_status status = zm_make_directories(cache_dir, log);
    if (status == ZM_OK && (!text || !path))
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", name);
    if (status == ZM_OK)
        status = zm_writer_open(&writer, path, log);
    if (status == ZM_OK)
        status = zm_writer_write(&writer, text, strlen(text));
    if (status == ZM_OK)
        status = zm_writer_commit(&writer);
    zm_writer_discard(&writer);
    free(text);
    free(path);
    json_decref(root);
    return status;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text[0])
        json_object_set_new(object, key, json_string(text));
}

static json_t *entry_json(const zm_tuning_entry *entry)
{
    json_t *object = json_object(), *values = json_object();
    set_text(object, "device", entry->device);
    set_text(object, "platform", entry->platform);
    set_text(object, "vendor", entry->vendor);
    set_text(object, "driver", entry->driver);
    set_text(object, "op", entry->op);
    for (size_t i = 0; i < entry->count; i++)
        json_object_set_new(values, entry->values[i].name, json_integer(entry->values[i].value));
    json_object_set_new(object, "parameters", values);
    return object;
}

zm_status zm_tuning_file_write(const char *cache_dir, const zm_log *log, const zm_tuning_list *list)
{
    json_t *entries = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(entries, entry_json(&list->entries[i]));
    return write_json(cache_dir, TUNING_NAME, log,
                      json_pack("{ss so}", "schema", TUNING_SCHEMA, "entries", entries));
}

/* ---- entries ---- */

static bool fits(const char *wanted, const char *is)
{
    return wanted[0] == '\0' || strcmp(wanted, is) == 0;
}

zm_status zm_tuning_file_try(const char *cache_dir, const zm_log *log)
{
    zm_tuning_list list;
    zm_writer writer = {.fd = -1};
    char *path = zm_path_join(cache_dir, TUNING_NAME);
    zm_status status = zm_tuning_file_read(cache_dir, log, &list);
    if (status == ZM_OK && !path)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", TUNING_NAME);
    if (status == ZM_OK)
        status = zm_make_directories(cache_dir, log);
    if (status == ZM_OK)
        status = zm_writer_open(&writer, path, log);
    zm_writer_discard(&writer);
    zm_tuning_list_finish(&list);
    free(path);
    return status;
}

zm_kernel_family zm_tuning_entry_family(const zm_tuning_entry *entry)
{
    const zm_parameter *parameter = zm_parameter_find(entry->op, entry->values[0].name);
    return parameter ? parameter->family : ZM_FAMILY_REF;
}

bool zm_tuning_entry_matches(const zm_tuning_entry *entry, const zm_device_info *info)
{
    return fits(entry->device, info->name) && fits(entry->platform, info->platform) &&
           fits(entry->vendor, info->vendor) && fits(entry->driver, info->driver);
}

bool zm_tuning_entry_is_at(const zm_tuning_entry *entry, const zm_tuning_entry *place,
                           zm_kernel_family family)
{
    return zm_tuning_entry_family(entry) == family && strcmp(entry->op, place->op) == 0 &&
           strcmp(entry->device, place->device) == 0 &&
           strcmp(entry->platform, place->platform) == 0 &&
           strcmp(entry->driver, place->driver) == 0 && strcmp(entry->vendor, place->vendor) == 0;
}

bool zm_tuning_entry_apply(const zm_tuning_entry *entry, const zm_device *device,
                           zm_tunings *tunings, zm_refusal *refusal)
{
    zm_tunings changed = *tunings;
    for (size_t i = 0; i < entry->count; i++) {
        const zm_tuning_value *v = &entry->values[i];
        const zm_parameter *parameter = zm_parameter_find(entry->op, v->name);
        if (!parameter) {
            zm_refuse(refusal, ZM_ERROR_BAD_FORMAT, "%s has no parameter '%s'", entry->op, v->name);
            return false;
        }
        if (parameter->family != zm_tuning_entry_family(entry)) {
            zm_refuse(refusal, ZM_ERROR_BAD_FORMAT,
                      "it mixes parameters of two families of kernels");
            return false;
        }
        if (!zm_parameter_set(parameter, &changed, v->value)) {
            zm_refuse(refusal, ZM_ERROR_BAD_FORMAT, "%s %u is out of range (%u to %u%s)", v->name,
                      v->value, parameter->least, parameter->most,
                      parameter->power_of_two ? ", a power of two" : "");
            return false;
        }
    }
    if (!zm_gpu_tiles_valid(device, &tunings->gpu_matmul, &changed.gpu_matmul, refusal))
        return false;
    *tunings = changed;
    return true;
}

/* ---- what was checked ---- */

static void hash_text(zm_sha256 *hash, const char *text)
{
    zm_sha256_update(hash, text, strlen(text) + 1);
}

zm_tuning_key zm_tuning_key_get(const zm_tuning_entry *entry, const zm_tunings *tunings,
                                const zm_device_info *info, const char *sources)
{
    zm_sha256 hash;
    zm_tuning_key key;
    char number[16];
    zm_sha256_init(&hash);
    hash_text(&hash, zm_version());
    hash_text(&hash, sources);
    hash_text(&hash, info->name);
    hash_text(&hash, info->platform);
    hash_text(&hash, info->driver);
    hash_text(&hash, entry->op);
    size_t count;
    const zm_parameter *list = zm_parameter_list(&count);
    for (size_t i = 0; i < count; i++) {
        if (list[i].family != zm_tuning_entry_family(entry))
            continue;
        snprintf(number, sizeof(number), "%u", zm_parameter_get(&list[i], tunings));
        hash_text(&hash, list[i].op);
        hash_text(&hash, list[i].name);
        hash_text(&hash, number);
    }
    zm_sha256_finish(&hash, key.hex);
    return key;
}

/* NULL: there is no file that can be read. */
static json_t *checked_read(const char *cache_dir)
{
    json_t *root = NULL;
    char *path = zm_path_join(cache_dir, CHECKED_NAME);
    if (path && zm_path_exists(path) && zm_json_read(path, MAX_FILE, NULL, &root) != ZM_OK)
        root = NULL;
    free(path);
    const char *schema = root ? zm_json_string(root, "schema") : NULL;
    if (schema && strcmp(schema, CHECKED_SCHEMA) == 0 &&
        json_is_object(json_object_get(root, "checked")))
        return root;
    json_decref(root);
    return NULL;
}

bool zm_tuning_checked_get(const char *cache_dir, const zm_tuning_key *key, zm_refusal *reason)
{
    json_t *root = checked_read(cache_dir);
    const char *text = zm_json_string(json_object_get(root, "checked"), key->hex);
    if (text)
        snprintf(reason->reason, sizeof(reason->reason), "%s", text);
    json_decref(root);
    return text != NULL;
}

void zm_tuning_checked_put(const char *cache_dir, const zm_tuning_key *key, const char *reason)
{
    json_t *root = checked_read(cache_dir);
    json_t *checked = json_object_get(root, "checked");
    if (!checked || json_object_size(checked) >= MAX_CHECKED) {
        json_decref(root);
        root = json_pack("{ss s{}}", "schema", CHECKED_SCHEMA, "checked");
        checked = json_object_get(root, "checked");
    }
    json_object_set_new(checked, key->hex, json_string(reason));
    write_json(cache_dir, CHECKED_NAME, NULL, root);
}
