/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <zeromean/zeromean.h>

int main(int argc, char **argv) /* MODEL AUDIO */
{
    zm_device *device = NULL;
    zm_model *model = NULL;
    zm_tokenizer *tokenizer = NULL;
    zm_session *session = NULL;
    zm_transcript *transcript = NULL;
    zm_transcribe_params params = {0};
    float *samples = NULL;
    bool open = argc == 3 && !zm_device_open(NULL, &device) && /* 0 = ZM_OK */
                !zm_model_open(argv[1], NULL, &model) &&
                !zm_session_create(device, model, NULL, &session) &&
                !zm_tokenizer_open(argv[1], NULL, &tokenizer) &&
                !zm_audio_read(argv[2], NULL, &samples, &params.sample_count);
    params.samples = samples;
    bool done = open && !zm_transcribe(session, model, tokenizer, &params, &transcript);
    puts(done ? transcript->text : "failed");
    zm_transcript_destroy(&transcript);
    zm_tokenizer_close(&tokenizer);
    zm_session_destroy(&session);
    zm_model_close(&model);
    zm_device_close(&device);
    free(samples);
    return !done;
}
