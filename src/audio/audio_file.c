/* SPDX-License-Identifier: Apache-2.0 */
/* Reads in blocks: what a header says about the length of a file is never trusted. */
#include <zeromean/audio.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <samplerate.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/ending.h"
#include "common/alloc.h"
#include "common/log.h"

enum {
    BLOCK_FRAMES = 16384,
    CHANNELS_MAX = 64,
    RATE_MIN = 1000,
    RATE_MAX = 1000000, /* well inside the ratio of 256 that libsamplerate takes */
    HOURS_MAX = 24
};

/* Far beyond any scaling of real audio, far from where the arithmetic that follows overflows. */
#define SAMPLE_MAX 1e9f

typedef struct audio_file {
    const char *path;
    const zm_log *log;
    SNDFILE *file;
    SF_INFO info;
    SRC_STATE *resampler; /* NULL where the file has ZM_AUDIO_RATE already */
    float *block;         /* [BLOCK_FRAMES][channels] */
    float *mono;          /* [BLOCK_FRAMES] */
    float *resampled;     /* [BLOCK_FRAMES] */
    uint64_t frames;      /* read so far */
    float *samples;
    size_t count, capacity;
} audio_file;

static void audio_file_close(audio_file *audio)
{
    if (audio->file)
        sf_close(audio->file);
    if (audio->resampler)
        src_delete(audio->resampler);
    free(audio->block);
    free(audio->mono);
    free(audio->resampled);
    free(audio->samples);
}

static zm_status out_of_memory(const audio_file *audio)
{
    return zm_fail(audio->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory for its samples",
                   audio->path);
}

/* libsndfile would block on a pipe and has a misleading message for a directory. */
static zm_status check_regular_file(const audio_file *audio)
{
    struct stat info;
    if (stat(audio->path, &info) != 0) {
        zm_status status = errno == ENOENT || errno == ENOTDIR ? ZM_ERROR_NOT_FOUND : ZM_ERROR_IO;
        return zm_fail(audio->log, status, "%s: %s", audio->path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode))
        return zm_fail(audio->log, ZM_ERROR_IO, "%s: not a regular file; give an audio file",
                       audio->path);
    if (info.st_size == 0)
        return zm_fail(audio->log, ZM_ERROR_BAD_FORMAT, "%s: the file is empty", audio->path);
    return ZM_OK;
}

static zm_status open_file(audio_file *audio)
{
    int readable = open(audio->path, O_RDONLY | O_CLOEXEC); /* libsndfile takes all for damaged */
    if (readable < 0)
        return zm_fail(audio->log, ZM_ERROR_IO, "%s: %s; make it readable", audio->path,
                       strerror(errno));
    close(readable);
    audio->file = sf_open(audio->path, SFM_READ, &audio->info);
    if (!audio->file) {
        int error = sf_error(NULL);
        return zm_fail(audio->log, error == SF_ERR_SYSTEM ? ZM_ERROR_IO : ZM_ERROR_BAD_FORMAT,
                       "%s: no readable audio file (%s); give WAV, FLAC or OGG", audio->path,
                       sf_strerror(NULL));
    }
    if (audio->info.samplerate < RATE_MIN || audio->info.samplerate > RATE_MAX)
        return zm_fail(audio->log, ZM_ERROR_BAD_FORMAT,
                       "%s: a sample rate of %d Hz; %d to %d Hz can be read", audio->path,
                       audio->info.samplerate, RATE_MIN, RATE_MAX);
    if (audio->info.channels < 1 || audio->info.channels > CHANNELS_MAX)
        return zm_fail(audio->log, ZM_ERROR_BAD_FORMAT, "%s: %d channels; 1 to %d can be read",
                       audio->path, audio->info.channels, CHANNELS_MAX);
    return ZM_OK;
}

static zm_status prepare(audio_file *audio)
{
    audio->block = zm_calloc((size_t)BLOCK_FRAMES * (size_t)audio->info.channels, sizeof(float));
    audio->mono = zm_calloc(BLOCK_FRAMES, sizeof(float));
    audio->resampled = zm_calloc(BLOCK_FRAMES, sizeof(float));
    if (!audio->block || !audio->mono || !audio->resampled)
        return out_of_memory(audio);
    if (audio->info.samplerate == ZM_AUDIO_RATE)
        return ZM_OK;
    int error = 0;
    audio->resampler = src_new(SRC_SINC_MEDIUM_QUALITY, 1, &error);
    return audio->resampler ? ZM_OK : out_of_memory(audio);
}

static zm_status append(audio_file *audio, const float *samples, size_t count)
{
    if (count == 0)
        return ZM_OK;
    if (audio->count + count > (size_t)HOURS_MAX * 3600 * ZM_AUDIO_RATE)
        return zm_fail(audio->log, ZM_ERROR_LIMIT, "%s: more than %d hours; cut it into parts",
                       audio->path, HOURS_MAX);
    if (!zm_array_reserve((void **)&audio->samples, &audio->capacity, audio->count + count,
                          sizeof(float)))
        return out_of_memory(audio);
    memcpy(audio->samples + audio->count, samples, count * sizeof(float));
    audio->count += count;
    return ZM_OK;
}

/* The mean of the channels. Gives the sample that is not finite or absurdly large, otherwise 0. */
static float mix_down(const float *block, size_t frames, size_t channels, float *mono)
{
    const float scale = 1.0f / (float)channels;
    for (size_t i = 0; i < frames; i++) {
        float sum = 0;
        for (size_t c = 0; c < channels; c++) {
            float sample = block[i * channels + c];
            if (!(fabsf(sample) <= SAMPLE_MAX)) /* true for NaN as well */
                return sample;
            sum += sample;
        }
        mono[i] = channels == 1 ? sum : sum * scale;
    }
    return 0;
}

static zm_status resample(audio_file *audio, size_t frames, bool last)
{
    SRC_DATA data = {
        .data_in = audio->mono,
        .input_frames = (long)frames,
        .data_out = audio->resampled,
        .output_frames = BLOCK_FRAMES,
        .src_ratio = (double)ZM_AUDIO_RATE / audio->info.samplerate,
        .end_of_input = last,
    };
    do {
        int error = src_process(audio->resampler, &data);
        if (error)
            return zm_fail(audio->log, ZM_ERROR_UNSUPPORTED, "%s: cannot resample from %d Hz (%s)",
                           audio->path, audio->info.samplerate, src_strerror(error));
        zm_status status = append(audio, audio->resampled, (size_t)data.output_frames_gen);
        if (status != ZM_OK)
            return status;
        data.data_in += data.input_frames_used;
        data.input_frames -= data.input_frames_used;
    } while (data.input_frames > 0 || data.output_frames_gen > 0);
    return ZM_OK;
}

static zm_status read_blocks(audio_file *audio)
{
    for (;;) {
        sf_count_t got = sf_readf_float(audio->file, audio->block, BLOCK_FRAMES);
        if (got <= 0)
            break;
        float bad = mix_down(audio->block, (size_t)got, (size_t)audio->info.channels, audio->mono);
        if (bad != 0)
            return zm_fail(audio->log, ZM_ERROR_BAD_FORMAT,
                           "%s: a sample of %g at about %.1f s; full scale is 1; export it again",
                           audio->path, (double)bad,
                           (double)audio->frames / audio->info.samplerate);
        audio->frames += (uint64_t)got;
        zm_status status = audio->resampler ? resample(audio, (size_t)got, false)
                                            : append(audio, audio->mono, (size_t)got);
        if (status != ZM_OK)
            return status;
    }
    if (sf_error(audio->file) != SF_ERR_NO_ERROR)
        return zm_fail(audio->log, ZM_ERROR_BAD_FORMAT, "%s: damaged after %.1f s (%s)",
                       audio->path, (double)audio->frames / audio->info.samplerate,
                       sf_strerror(audio->file));
    return audio->resampler ? resample(audio, 0, true) : ZM_OK;
}

static void warn_if_cut(const audio_file *audio)
{
    const double seconds = (double)audio->frames / audio->info.samplerate;
    const zm_audio_ending ending = zm_audio_ending_of(audio->path);
    double promised = 0;
    if (audio->info.frames > 0 && audio->info.frames < SF_COUNT_MAX &&
        audio->frames < (uint64_t)audio->info.frames)
        promised = (double)audio->info.frames / audio->info.samplerate;
    else if (ending.cut && ending.part > 0)
        promised = seconds / ending.part;
    else if (!ending.cut)
        return;
    if (promised > 0)
        zm_logf(audio->log, ZM_LOG_WARNING,
                "%s: ends after %.1f of %.1f s; using what is there, the rest may be lost",
                audio->path, seconds, promised);
    else
        zm_logf(audio->log, ZM_LOG_WARNING,
                "%s: breaks off after %.1f s; using what is there, the rest may be lost",
                audio->path, seconds);
}

/* Gives the samples their exact number: the resampler may be one off at the end. */
static zm_status finish(audio_file *audio)
{
    if (audio->frames == 0)
        return zm_fail(audio->log, ZM_ERROR_BAD_FORMAT, "%s: an audio file without samples",
                       audio->path);
    warn_if_cut(audio);
    double exact = (double)audio->frames * ZM_AUDIO_RATE / audio->info.samplerate;
    size_t wanted = exact < 1 ? 1 : (size_t)(exact + 0.5);
    float *fitted = realloc(audio->samples, wanted * sizeof(float));
    if (!fitted)
        return out_of_memory(audio);
    for (size_t i = audio->count; i < wanted; i++)
        fitted[i] = 0;
    audio->samples = fitted;
    audio->count = wanted;
    return ZM_OK;
}

zm_status zm_audio_read(const char *path, const zm_log *log, float **samples, size_t *count)
{
    if (!path || !samples || !count)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_audio_read: a NULL argument");
    audio_file audio = {.path = path, .log = log};
    zm_status status = check_regular_file(&audio);
    if (status == ZM_OK)
        status = open_file(&audio);
    if (status == ZM_OK)
        status = prepare(&audio);
    if (status == ZM_OK)
        status = read_blocks(&audio);
    if (status == ZM_OK)
        status = finish(&audio);
    if (status == ZM_OK) {
        *samples = audio.samples;
        *count = audio.count;
        audio.samples = NULL;
    }
    audio_file_close(&audio);
    return status;
}
