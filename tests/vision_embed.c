/* SPDX-License-Identifier: Apache-2.0 */
/* vision_embed DEVICE[,DEVICE] PIXELS TOKENS MODEL...: what models of images show of an image and
 * of a text, one JSON object per model. MODEL+rms: with that norm. PIXELS: a file of float32;
 * TOKENS: numbers with commas. tests/vision_models.py holds them against a reference. */
#include <zeromean/session.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 4096

typedef struct input {
    float pixels[MOST];
    int32_t tokens[64];
    uint32_t count;
} input;

typedef struct shown {
    const char *prefix; /* "text": embeddings are of a text */
    double embedding[MOST], logits[MOST];
    uint32_t embedding_count, logit_count;
} shown;

static void print_message(void *user, zm_log_level level, const char *message)
{
    (void)user;
    if (level <= ZM_LOG_WARNING)
        fprintf(stderr, "%s\n", message);
}

static void keep(void *user, const zm_observation *seen)
{
    shown *s = user;
    bool logits = strcmp(seen->what, "logits") == 0;
    if ((!logits && strcmp(seen->what, "embedding") != 0) || seen->cols > MOST || seen->rows != 1)
        return;
    memcpy(logits ? s->logits : s->embedding, seen->data, seen->cols * sizeof(double));
    *(logits ? &s->logit_count : &s->embedding_count) = seen->cols;
}

static void print(const char *before, const char *name, const double *values, uint32_t count)
{
    printf("%s\"%s\": [", before, name);
    for (uint32_t i = 0; i < count; i++)
        printf("%s%.17g", i ? ", " : "", values[i]);
    printf("]");
}

/* What is returned is what is shown, rounded; a pooler's has a tanh. */
static bool fits(const float *got, const double *seen, uint32_t count, bool pooled)
{
    for (uint32_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - (pooled ? tanh(seen[i]) : seen[i])) <=
              1e-5 * (1 + fabs(seen[i]))))
            return false;
    return count > 0;
}

/* What such a session says no to; it goes on behind that. */
static bool refuses(zm_session *session, const zm_vision_info *info, float *out)
{
    int32_t tokens[64] = {0}, end = info->text.end_token;
    bool text = info->text.d != 0, image = info->image.d != 0;
    zm_status wrong = text ? ZM_ERROR_INVALID_ARGUMENT : ZM_ERROR_UNSUPPORTED;
    const int32_t outside = (int32_t)info->text.vocabulary, below = -1;
    tokens[63] = end >= 0 ? end : outside - 1;
    return zm_session_decode(session, tokens, 1, out) == ZM_ERROR_UNSUPPORTED &&
           zm_session_rewind(session, 0, 0) == ZM_ERROR_INVALID_ARGUMENT &&
           zm_session_encode(session, out) == ZM_ERROR_UNSUPPORTED &&
           zm_session_embed_text(session, &outside, 1, out) == wrong &&
           zm_session_embed_text(session, &below, 1, out) == wrong &&
           zm_session_embed_text(session, tokens, 0, out) == ZM_ERROR_INVALID_ARGUMENT &&
           (!text || zm_session_embed_text(session, tokens, 64, out) == ZM_ERROR_LIMIT) &&
           (end < 0 || !text || zm_session_embed_text(session, tokens, 3, out) == wrong) &&
           zm_session_embed_image(session, NULL, out, NULL) == ZM_ERROR_INVALID_ARGUMENT &&
           (info->labels ||
            zm_session_embed_image(session, out, NULL, out) == ZM_ERROR_UNSUPPORTED) &&
           !zm_session_pipeline(session, ZM_PART_ENCODER) == !image &&
           !zm_session_pipeline(session, ZM_PART_DECODER) == !text;
}

static zm_status show(zm_session *session, const zm_vision_info *info, const input *in, shown *s)
{
    static float out[MOST], logits[MOST];
    zm_status status = refuses(session, info, out) ? ZM_OK : ZM_ERROR_MISMATCH;
    printf("{");
    for (int again = 0; again < 2 && info->image.d && status == ZM_OK; again++) {
        status = zm_session_embed_image(session, in->pixels, out, info->labels ? logits : NULL);
        if (status == ZM_OK && !fits(out, s->embedding, s->embedding_count, info->pooler))
            status = ZM_ERROR_MISMATCH;
        if (status == ZM_OK && info->labels && !fits(logits, s->logits, s->logit_count, false))
            status = ZM_ERROR_MISMATCH;
    }
    if (info->image.d)
        print("", "embedding", s->embedding, s->embedding_count);
    if (info->labels)
        print(", ", "logits", s->logits, s->logit_count);
    if (info->text.d && status == ZM_OK) {
        status = zm_session_embed_text(session, in->tokens, in->count, out);
        if (status == ZM_OK && !fits(out, s->embedding, s->embedding_count, false))
            status = ZM_ERROR_MISMATCH;
        print(info->image.d ? ", " : "", "text", s->embedding, s->embedding_count);
    }
    printf("}\n");
    return status;
}

static zm_status run(zm_device *const *devices, char *path, const input *in, const zm_log *log)
{
    static shown s;
    char *norm = strstr(path, "+rms");
    const zm_session_params params = {.log = log,
                                      .norm = norm ? ZM_NORM_RMS : ZM_NORM_DEFAULT,
                                      .observe = keep,
                                      .observe_user = &s,
                                      .split = {.more = &devices[1], .count = devices[1] ? 1 : 0}};
    zm_model *model = NULL;
    zm_session *session = NULL;
    s = (shown){0};
    if (norm)
        *norm = '\0';
    zm_status status = zm_model_open(path, log, &model);
    if (status == ZM_OK)
        status = zm_session_create(devices[0], model, &params, &session);
    if (status == ZM_OK)
        status = show(session, &zm_model_get_info(model)->vision, in, &s);
    zm_session_destroy(&session);
    zm_model_close(&model);
    return status;
}

int main(int argc, char **argv)
{
    static input in;
    const zm_log log = {print_message, NULL, ZM_LOG_WARNING};
    zm_device *devices[2] = {NULL, NULL};
    FILE *file = argc > 4 ? fopen(argv[2], "rb") : NULL;
    if (!file || fread(in.pixels, 1, sizeof(in.pixels), file) == 0)
        return 2;
    fclose(file);
    for (char *end, *text = argv[3]; in.count < 64 && *text; text = *end ? end + 1 : end)
        in.tokens[in.count++] = (int32_t)strtol(text, &end, 10);
    char *rest = argv[1];
    for (int i = 0; i < 2 && rest; i++) {
        const zm_device_params params = {.spec = strtok_r(rest, ",", &rest), .log = &log};
        if (params.spec && zm_device_open(&params, &devices[i]) != ZM_OK)
            return 2;
    }
    zm_status status = ZM_OK;
    for (int i = 4; i < argc && status == ZM_OK; i++)
        status = run(devices, argv[i], &in, &log);
    zm_device_close(&devices[0]);
    zm_device_close(&devices[1]);
    return status == ZM_OK ? 0 : 1;
}
