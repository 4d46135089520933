/* SPDX-License-Identifier: Apache-2.0 */
/* text_logits DEVICE[,DEVICE][@BYTES] TOKENS PIECES MODEL...: logits of the last token of each
 * piece, as the device has them; then again with all behind the first piece at once. One JSON list
 * of lists per model. BYTES: as if the devices had no larger buffers. MODEL+rms: with that norm,
 * whatever the model's is. tests/text_models.py holds them against a reference. */
#include <zeromean/session.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"

#define MOST 640

typedef struct list {
    int32_t values[MOST];
    uint32_t count;
} list;

static list read_list(const char *text)
{
    list out = {{0}, 0};
    for (char *end; out.count < MOST && *text; text = *end ? end + 1 : end)
        out.values[out.count++] = (int32_t)strtol(text, &end, 10);
    return out;
}

static void print_message(void *user, zm_log_level level, const char *message)
{
    (void)user;
    if (level <= ZM_LOG_WARNING)
        fprintf(stderr, "%s\n", message);
}

static void keep_logits(void *user, const zm_observation *seen)
{
    const char **before = user;
    if (strcmp(seen->what, "logits") != 0)
        return;
    for (uint32_t i = 0; i < seen->cols; i++)
        printf("%s%.17g", i ? "," : *before, seen->data[i]);
    printf("]");
    *before = ",\n[";
}

/* What a session of text says no to; it goes on behind that. */
static bool refuses(zm_session *session, const zm_model_info *info, float *logits)
{
    static const float mel[1];
    const int32_t outside = (int32_t)info->text.vocabulary, below = -1, many[MOST + 1] = {0};
    return zm_session_encode(session, mel) == ZM_ERROR_UNSUPPORTED &&
           zm_session_decode(session, &outside, 1, logits) == ZM_ERROR_INVALID_ARGUMENT &&
           zm_session_decode(session, &below, 1, logits) == ZM_ERROR_INVALID_ARGUMENT &&
           zm_session_decode(session, many, MOST + 1, logits) == ZM_ERROR_LIMIT &&
           zm_session_rewind(session, 0, MOST) == ZM_ERROR_INVALID_ARGUMENT &&
           !zm_session_pipeline(session, ZM_PART_ENCODER) &&
           zm_session_pipeline(session, ZM_PART_DECODER);
}

static zm_status run(zm_device *const *devices, char *path, const list *tokens, const list *pieces,
                     const zm_log *log)
{
    const char *before = "[[";
    char *norm = strstr(path, "+rms");
    const zm_session_params params = {.log = log,
                                      .observe = keep_logits,
                                      .observe_user = &before,
                                      .norm = norm ? ZM_NORM_RMS : ZM_NORM_DEFAULT,
                                      .positions = tokens->count + 1,
                                      .split = {.more = &devices[1], .count = devices[1] ? 1 : 0}};
    zm_model *model = NULL;
    zm_session *session = NULL;
    float *logits = NULL;
    if (norm)
        *norm = '\0';
    zm_status status = zm_model_open(path, log, &model);
    if (status == ZM_OK)
        status = zm_session_create(devices[0], model, &params, &session);
    if (status == ZM_OK)
        logits = malloc(zm_model_get_info(model)->text.vocabulary * sizeof(*logits));
    const int32_t *next = tokens->values;
    for (uint32_t i = 0; i < pieces->count && logits && status == ZM_OK; i++) {
        status = zm_session_decode(session, next, (uint32_t)pieces->values[i], logits);
        next += pieces->values[i];
    }
    if (status == ZM_OK && !refuses(session, zm_model_get_info(model), logits))
        status = ZM_ERROR_MISMATCH;
    uint32_t first = (uint32_t)pieces->values[0];
    if (status == ZM_OK)
        status = zm_session_rewind(session, 0, first);
    if (status == ZM_OK)
        status = zm_session_decode(session, tokens->values + first, tokens->count - first, logits);
    printf("]\n");
    free(logits);
    zm_session_destroy(&session);
    zm_model_close(&model);
    return status;
}

int main(int argc, char **argv)
{
    const zm_log log = {print_message, NULL, ZM_LOG_WARNING};
    zm_device *devices[2] = {NULL, NULL};
    char *rest = argc > 4 ? argv[1] : NULL, *most = rest ? strchr(rest, '@') : NULL;
    if (most)
        *most++ = '\0';
    for (int i = 0; i < 2 && rest; i++) {
        const zm_device_params params = {.spec = strtok_r(rest, ",", &rest), .log = &log};
        if (params.spec && zm_device_open(&params, &devices[i]) != ZM_OK)
            return 2;
        if (devices[i] && most)
            devices[i]->info.limits.max_buffer_bytes = strtoull(most, NULL, 10);
    }
    if (!devices[0])
        return 2;
    const list tokens = read_list(argv[2]), pieces = read_list(argv[3]);
    zm_status status = ZM_OK;
    for (int i = 4; i < argc && status == ZM_OK; i++)
        status = run(devices, argv[i], &tokens, &pieces, &log);
    zm_device_close(&devices[0]);
    zm_device_close(&devices[1]);
    return status == ZM_OK ? 0 : 1;
}
