/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <zeromean/zeromean.h>

int main(int argc, char **argv) /* MODEL MODEL/tokenizer.json AUDIO */
{
    zm_device *device = NULL;
    zm_model *model = NULL;
    zm_tokenizer *tokenizer = NULL;
    zm_session *session = NULL;
    zm_transcript *transcript = NULL;
    float *samples = NULL;
    size_t count = 0;
    zm_device_params best = {0};
    zm_status status = argc == 4 ? zm_device_open(&best, &device) : ZM_ERROR_INVALID_ARGUMENT;
    status = status ? status : zm_model_open(argv[1], NULL, &model);
    status = status ? status : zm_tokenizer_open(argv[2], NULL, &tokenizer);
    status = status ? status : zm_audio_read(argv[3], NULL, &samples, &count);
    status = status ? status : zm_session_create(device, model, NULL, &session);
    zm_transcribe_params params = {.samples = samples, .sample_count = count};
    status = status ? status : zm_transcribe(session, model, tokenizer, &params, &transcript);
    puts(status ? zm_status_message(status) : transcript->text);
    zm_transcript_destroy(&transcript);
    zm_session_destroy(&session);
    free(samples);
    zm_tokenizer_close(&tokenizer);
    zm_model_close(&model);
    zm_device_close(&device);
    return status != ZM_OK;
}
