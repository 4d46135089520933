/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean devices: what there is to compute on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/device.h"
#include "cli/options.h"
#include "cli/output.h"

static json_t *limits_json(const zm_device_limits *limits)
{
    const zm_cli_field fields[] = {
        {"memory_bytes", json_integer((json_int_t)limits->memory_bytes)},
        {"max_buffer_bytes", json_integer((json_int_t)limits->max_buffer_bytes)},
        {"local_memory_bytes", json_integer((json_int_t)limits->local_memory_bytes)},
        {"compute_units", json_integer(limits->compute_units)},
        {"max_work_group", json_integer(limits->max_work_group)},
        {"buffer_alignment", json_integer(limits->buffer_alignment)},
        {"wrap_alignment", json_integer(limits->wrap_alignment)},
        {"float_vector_width", json_integer(limits->float_vector_width)},
        {"sub_group_size", json_integer(limits->sub_group_size)},
        {"fp16", json_boolean(limits->fp16)},
        {"fp64", json_boolean(limits->fp64)},
        {"own_local_memory", json_boolean(limits->own_local_memory)},
        {"unified_memory", json_boolean(limits->unified_memory)},
        {"timestamps", json_boolean(limits->timestamps)},
        {"spirv", json_boolean(limits->spirv)},
        {"command_buffer", json_boolean(limits->command_buffer)},
        {"launch_chains", json_boolean(limits->launch_chains)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static json_t *devices_json(const zm_device_list *list)
{
    json_t *devices = json_array();
    for (size_t i = 0; i < list->count; i++) {
        json_t *device = zm_cli_device_json(&list->devices[i]);
        json_object_set_new(device, "score", json_integer(list->devices[i].score));
        json_object_set_new(device, "limits", limits_json(&list->devices[i].limits));
        json_array_append_new(devices, device);
    }
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.devices/1")},
        {"version", json_string(zm_version())},
        {"devices", devices},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static void print_table(const zm_device_list *list)
{
    printf("%-12s %-11s %6s %10s  %s\n", "device", "type", "units", "memory", "name (platform)");
    for (size_t i = 0; i < list->count; i++) {
        const zm_device_info *info = &list->devices[i];
        printf("%-12s %-11s %6u %6.1f GiB  %s (%s)%s\n", info->spec,
               zm_cli_device_type_name(info->type), info->limits.compute_units,
               (double)info->limits.memory_bytes / (1024.0 * 1024 * 1024), info->name,
               info->platform, i == 0 ? ", the default" : "");
    }
}

static json_t *profiles_json(void)
{
    size_t count;
    const zm_device_profile *profiles = zm_device_profiles(&count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const zm_cli_field fields[] = {
            {"name", json_string(profiles[i].name)},
            {"summary", json_string(profiles[i].summary)},
            {"limits", limits_json(&profiles[i].limits)},
        };
        json_array_append_new(list, zm_cli_json_object(fields, sizeof(fields) / sizeof(*fields)));
    }
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.profiles/1")},
        {"version", json_string(zm_version())},
        {"profiles", list},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static zm_cli_exit print_profiles(void)
{
    size_t count;
    const zm_device_profile *profiles = zm_device_profiles(&count);
    printf("%-16s %10s %10s %8s %10s  %s\n", "profile", "memory", "buffer", "local", "work-group",
           "what it is");
    for (size_t i = 0; i < count; i++) {
        const zm_device_limits *limits = &profiles[i].limits;
        printf("%-16s %6.0f MiB %6.0f MiB %4.0f KiB %10u  %s\n", profiles[i].name,
               (double)limits->memory_bytes / (1 << 20),
               (double)limits->max_buffer_bytes / (1 << 20),
               (double)limits->local_memory_bytes / (1 << 10), limits->max_work_group,
               profiles[i].summary);
    }
    return ZM_CLI_OK;
}

static zm_cli_exit run(int argc, char **argv)
{
    bool json = false, profiles = false;
    const zm_cli_option options[] = {
        {"profiles", 0, NULL, "list the profiles instead: limits of devices that are not here",
         ZM_CLI_FLAG, &profiles},
        {"json", 0, NULL, "print JSON (schema zeromean.devices/1)", ZM_CLI_FLAG, &json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_devices, options, 2, argc, argv, &arguments, &code))
        return code;

    if (profiles)
        return json ? zm_cli_json_print(profiles_json()) : print_profiles();
    zm_device_list *list = NULL;
    zm_device_params params = {.log = zm_cli_log()};
    code = zm_cli_result(zm_device_list_create(&params, &list));
    if (code == ZM_CLI_OK && json)
        code = zm_cli_json_print(devices_json(list));
    else if (code == ZM_CLI_OK)
        print_table(list);
    zm_device_list_destroy(&list);
    return code;
}

const zm_cli_command zm_cli_devices = {
    .name = "devices",
    .synopsis = "",
    .summary = "List the devices, the default one first",
    .details = ZM_CLI_DEVICE_HELP,
    .run = run,
};
