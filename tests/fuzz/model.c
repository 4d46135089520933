/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: the JSON files of a model directory. The input is config.json, a NUL,
 * generation_config.json, a NUL, model.safetensors.index.json; there are no weights.
 *
 *   CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/fuzz_model
 *   build-fuzz/tests/fuzz/fuzz_model -dict=tests/fuzz/model.dict -max_len=2000 */
#include <fcntl.h>
#include <string.h>

#include <zeromean/model.h>

#include "fuzz.h"
#include "support/folder.h"

static char *folder;

static void clean_up(void)
{
    test_folder_remove(folder);
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"config.json", "generation_config.json",
                                        "model.safetensors.index.json"};
    if (!folder) {
        folder = test_folder_make();
        require(folder != NULL && atexit(clean_up) == 0);
    }
    for (int i = 0; i < 3; i++) {
        const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
        size_t length = end ? (size_t)(end - data) : size;
        write_file(names[i], data, length);
        data += end ? length + 1 : length;
        size -= end ? length + 1 : length;
    }
    zm_model *model = NULL;
    require(zm_model_open(folder, NULL, &model) != ZM_OK);
    require(model == NULL);
    return 0;
}
