/* SPDX-License-Identifier: Apache-2.0 */
/* The spectrogram of Radford et al. 2022: short-time Fourier transform of the window reflected at
 * both ends, squared magnitudes through Slaney's mel filters, log10. The transform runs in float
 * and what follows in double: 1e-5 off an all-double computation on speech. */
#include <zeromean/audio.h>

#include <kiss_fftr.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"

enum {
    FFT_SIZE = 400,
    FFT_BINS = FFT_SIZE / 2 + 1,
    WINDOW_SAMPLES = ZM_MEL_FRAMES * ZM_MEL_FRAME_SAMPLES,
    BINS_MAX = 128
};

#define PI 3.14159265358979323846

/* A triangle over the bins begin .. end - 1 of the transform. */
typedef struct mel_filter {
    uint32_t begin, end;
    float weight[FFT_BINS];
} mel_filter;

typedef struct spectrogram {
    kiss_fftr_cfg fft;
    mel_filter *filters;
    double hann[FFT_SIZE];
} spectrogram;

/* Slaney's scale: linear below 1000 Hz, logarithmic above. */
static double mel_from_hertz(double hertz)
{
    return hertz < 1000 ? hertz * 3 / 200 : 15 + log(hertz / 1000) * 27 / log(6.4);
}

static double hertz_from_mel(double mel)
{
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

static void mel_filter_init(mel_filter *filter, uint32_t index, uint32_t bins)
{
    const double top = mel_from_hertz(ZM_AUDIO_RATE / 2.0);
    double edge[3];
    for (uint32_t i = 0; i < 3; i++)
        edge[i] = hertz_from_mel(top * (index + i) / (bins + 1));
    const double area = 2 / (edge[2] - edge[0]);
    filter->begin = FFT_BINS;
    filter->end = 0;
    for (uint32_t k = 0; k < FFT_BINS; k++) {
        double hertz = (double)k * ZM_AUDIO_RATE / FFT_SIZE;
        double rise = (hertz - edge[0]) / (edge[1] - edge[0]);
        double fall = (edge[2] - hertz) / (edge[2] - edge[1]);
        double height = rise < fall ? rise : fall;
        filter->weight[k] = height > 0 ? (float)(height * area) : 0;
        if (height > 0) {
            filter->begin = k < filter->begin ? k : filter->begin;
            filter->end = k + 1;
        }
    }
}

static void spectrogram_finish(spectrogram *mel)
{
    kiss_fftr_free(mel->fft);
    free(mel->filters);
}

static bool spectrogram_init(spectrogram *mel, uint32_t bins)
{
    mel->fft = kiss_fftr_alloc(FFT_SIZE, 0, NULL, NULL);
    mel->filters = zm_calloc(bins, sizeof(mel_filter));
    if (!mel->fft || !mel->filters)
        return false;
    for (uint32_t i = 0; i < bins; i++)
        mel_filter_init(&mel->filters[i], i, bins);
    for (uint32_t i = 0; i < FFT_SIZE; i++)
        mel->hann[i] = 0.5 - 0.5 * cos(2 * PI * i / FFT_SIZE);
    return true;
}

/* Sample i of the window, which is reflected at its ends. */
static float sample_at(const float *samples, size_t count, int32_t i)
{
    if (i < 0)
        i = -i;
    if (i >= WINDOW_SAMPLES)
        i = 2 * (WINDOW_SAMPLES - 1) - i;
    return (size_t)i < count ? samples[i] : 0;
}

/* Power of frame t, whose centre is sample t * ZM_MEL_FRAME_SAMPLES. False where it is silent. */
static bool frame_power(const spectrogram *mel, const float *samples, size_t count, int32_t t,
                        double power[FFT_BINS])
{
    kiss_fft_scalar frame[FFT_SIZE];
    kiss_fft_cpx bin[FFT_BINS];
    bool silent = true;
    for (int32_t i = 0; i < FFT_SIZE; i++) {
        float sample = sample_at(samples, count, t * ZM_MEL_FRAME_SAMPLES - FFT_SIZE / 2 + i);
        silent = silent && sample == 0;
        frame[i] = (float)(sample * mel->hann[i]);
    }
    if (silent)
        return false;
    kiss_fftr(mel->fft, frame, bin);
    for (uint32_t k = 0; k < FFT_BINS; k++)
        power[k] = (double)bin[k].r * bin[k].r + (double)bin[k].i * bin[k].i;
    return true;
}

static double filter_apply(const mel_filter *filter, const double power[FFT_BINS])
{
    double sum = 0;
    for (uint32_t k = filter->begin; k < filter->end; k++)
        sum += filter->weight[k] * power[k];
    return sum;
}

zm_status zm_log_mel(const float *samples, size_t count, uint32_t bins, float *out)
{
    const double least = 1e-10;
    if ((!samples && count > 0) || !out || (bins != 80 && bins != BINS_MAX))
        return ZM_ERROR_INVALID_ARGUMENT;
    if (count > WINDOW_SAMPLES)
        count = WINDOW_SAMPLES;
    spectrogram mel = {0};
    if (!spectrogram_init(&mel, bins)) {
        spectrogram_finish(&mel);
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    float loudest = -HUGE_VALF;
    for (int32_t t = 0; t < ZM_MEL_FRAMES; t++) {
        double power[FFT_BINS];
        bool silent = !frame_power(&mel, samples, count, t, power);
        for (uint32_t i = 0; i < bins; i++) {
            double energy = silent ? 0 : filter_apply(&mel.filters[i], power);
            float level = (float)log10(energy > least ? energy : least);
            out[(size_t)t * bins + i] = level;
            loudest = level > loudest ? level : loudest;
        }
    }
    const float floor_level = loudest - 8;
    for (size_t i = 0; i < (size_t)ZM_MEL_FRAMES * bins; i++)
        out[i] = ((out[i] > floor_level ? out[i] : floor_level) + 4) / 4;
    spectrogram_finish(&mel);
    return ZM_OK;
}
