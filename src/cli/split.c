/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/split.h"

#include <stdlib.h>
#include <string.h>

#include "cli/device.h"
#include "cli/output.h"

/* The next word of a list with commas, which moves on; false = it is empty or too long. */
static bool next_word(const char **list, char *word, size_t capacity)
{
    size_t length = strcspn(*list, ",");
    bool sound = length > 0 && length < capacity;
    if (sound) {
        memcpy(word, *list, length);
        word[length] = '\0';
    }
    *list += length;
    *list = **list == ',' ? *list + 1 : NULL;
    return sound;
}

static zm_cli_exit usage(const char *option, const char *what, const char *text)
{
    zm_cli_error("%s: %s '%s'; as in --device opencl:0,host --split 3,1", option, what, text);
    return ZM_CLI_USAGE;
}

static bool read_share(const char *word, uint32_t *out)
{
    char *end;
    unsigned long value = strtoul(word, &end, 10);
    bool sound = *word >= '0' && *word <= '9' && !*end && value >= 1 && value <= 1000000;
    *out = sound ? (uint32_t)value : 0;
    return sound;
}

static zm_cli_exit read_shares(const char *split, zm_cli_split *devices)
{
    const char *rest = split;
    uint32_t count = 0;
    char word[16];
    while (rest && count < devices->count) {
        if (!next_word(&rest, word, sizeof(word)) || !read_share(word, &devices->shares[count]))
            return usage("--split", "shares are whole numbers from 1, not", split);
        count++;
    }
    return count == devices->count && !rest
               ? ZM_CLI_OK
               : usage("--split", "there has to be one share for each device, not", split);
}

static zm_cli_exit open_list(const char *list, const char *kernels, zm_cli_split *out)
{
    const char *rest = list;
    zm_cli_exit code = ZM_CLI_OK;
    char word[128];
    while (rest && code == ZM_CLI_OK) {
        if (out->count == ZM_PIPELINE_DEVICES)
            return usage("--device", "too many devices:", list);
        if (!next_word(&rest, word, sizeof(word)))
            return usage("--device", "a device has no name in", list);
        code = zm_cli_device_open(word, kernels, &out->all[out->count]);
        out->count += out->all[out->count] != NULL;
    }
    return code;
}

zm_cli_exit zm_cli_split_open(const char *devices, const char *split, const char *kernels,
                              zm_cli_split *out)
{
    zm_environment environment;
    zm_environment_read(&environment);
    const char *list = devices ? devices : environment.device;
    zm_cli_exit code = ZM_CLI_OK;
    *out = (zm_cli_split){0};
    if (list && strchr(list, ','))
        code = open_list(list, kernels, out);
    else {
        code = zm_cli_device_open(devices, kernels, &out->all[0]);
        out->count = out->all[0] != NULL;
    }
    for (uint32_t i = 0; i < out->count; i++)
        out->shares[i] = 1;
    return code == ZM_CLI_OK && split ? read_shares(split, out) : code;
}

void zm_cli_split_close(zm_cli_split *devices)
{
    for (uint32_t i = 0; i < devices->count; i++)
        zm_device_close(&devices->all[i]);
    devices->count = 0;
}

void zm_cli_split_announce(const zm_cli_split *devices)
{
    for (uint32_t i = 0; i < devices->count; i++)
        zm_cli_device_announce(devices->all[i]);
}

zm_split zm_cli_split_get(const zm_cli_split *devices)
{
    return (zm_split){
        .more = devices->all + 1, .count = devices->count - 1, .shares = devices->shares};
}

void zm_cli_split_add_json(const zm_cli_split *devices, const char *key, json_t *object)
{
    if (devices->count < 2 || !object)
        return;
    json_t *list = json_array();
    for (uint32_t i = 0; i < devices->count; i++) {
        const zm_cli_field fields[] = {
            {"device", zm_cli_device_json(zm_device_get_info(devices->all[i]))},
            {"share", json_integer(devices->shares[i])},
        };
        json_array_append_new(list, zm_cli_json_object(fields, 2));
    }
    json_object_set_new(object, key, list);
}
