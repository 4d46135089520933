/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer_json.h"

#include <stdio.h>
#include <string.h>

static void *folder; /* made by scratch_setup */
static char path[1024];

int tokenizer_json_setup(void **state)
{
    (void)state;
    int failed = scratch_setup(&folder);
    if (!failed)
        snprintf(path, sizeof(path), "%s", scratch_path(&folder, "tokenizer.json"));
    return failed;
}

int tokenizer_json_teardown(void **state)
{
    (void)state;
    return scratch_teardown(&folder);
}

const char *tokenizer_json_path(void)
{
    return path;
}

zm_status tokenizer_json_open(const char *json, scratch_log *seen, zm_tokenizer **out)
{
    scratch_log_init(seen);
    scratch_write(path, json, strlen(json));
    return zm_tokenizer_open(path, &seen->log, out);
}
