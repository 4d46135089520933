/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/copy.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/file.h"

#define MAX_SIDE_FILE ((uint64_t)64 << 20)

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcasecmp(name + length - tail, end) == 0;
}

/* Weights beside the converted ones would be the unconverted model again. */
static bool is_weights(const char *name)
{
    static const char *const ends[] = {".safetensors", ".index.json", ".bin",     ".pt", ".pth",
                                       ".ckpt",        ".gguf",       ".msgpack", ".h5", ".onnx",
                                       ".onnx_data",   ".tflite",     ".npz"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

static zm_status copy_file(const char *from, const char *to, const zm_log *log)
{
    zm_map map = {0};
    zm_writer writer = {.fd = -1};
    zm_status status = zm_map_open(from, log, &map);
    if (status)
        return status;
    status = zm_writer_open(&writer, to, log);
    if (!status)
        status = zm_writer_write(&writer, map.data, map.size);
    if (!status)
        status = zm_writer_commit(&writer);
    zm_writer_discard(&writer);
    zm_map_close(&map);
    return status;
}

static zm_status take_file(const char *input, const char *output, const char *name,
                           const zm_log *log, uint64_t *bytes)
{
    struct stat info;
    zm_status status = ZM_OK;
    char *from = zm_path_join(input, name);
    char *to = output ? zm_path_join(output, name) : NULL;
    if (!from || (output && !to)) {
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to copy %s", name);
    } else if (stat(from, &info) != 0) {
        if (to) /* a dangling link is no reason to refuse the model */
            zm_logf(log, ZM_LOG_WARNING, "%s: not copied: %s", from, strerror(errno));
    } else if (S_ISREG(info.st_mode) && !is_weights(name) &&
               (uint64_t)info.st_size <= MAX_SIDE_FILE) {
        *bytes += (uint64_t)info.st_size;
        if (to)
            status = copy_file(from, to, log);
    } else if (to) {
        zm_logf(log, ZM_LOG_INFO, "%s: not copied", from);
    }
    free(from);
    free(to);
    return status;
}

zm_status zm_copy_side_files(const char *input, const char *output, const zm_log *log,
                             uint64_t *bytes)
{
    DIR *directory = opendir(input);
    if (!directory)
        return zm_fail(log, ZM_ERROR_IO, "%s: cannot list: %s", input, strerror(errno));
    *bytes = 0;
    zm_status status = ZM_OK;
    for (struct dirent *entry; !status && (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            status = take_file(input, output, entry->d_name, log, bytes);
    closedir(directory);
    return status;
}
