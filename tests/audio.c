/* SPDX-License-Identifier: Apache-2.0 */
/* Audio files of every kind, good and bad, and the spectrogram against numbers from numpy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zeromean/audio.h>

#include "scratch.h"
#include "support/random.h"

#define PI 3.14159265358979323846

#define SEED 20230521u

static void *folder; /* of this program, made by scratch_setup */

static const char *path_of(const char *name)
{
    return scratch_path(&folder, name);
}

static void write_bytes(const char *name, const void *bytes, size_t size)
{
    scratch_write(path_of(name), bytes, size);
}

static uint8_t *read_bytes(const char *name, size_t *size)
{
    FILE *file = fopen(path_of(name), "rb");
    assert_non_null(file);
    uint8_t *bytes = malloc(1 << 22);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1 << 22, file);
    assert_true(*size > 0 && *size < 1 << 22);
    fclose(file);
    return bytes;
}

/* A tone whose channel c has the amplitude (c + 1) / channels / 2. */
static void write_tone(const char *name, int format, int rate, int channels, int frames,
                       double hertz)
{
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    SNDFILE *file = sf_open(path_of(name), SFM_WRITE, &info);
    assert_non_null(file);
    float *block = calloc((size_t)frames * (size_t)channels + 1, sizeof(float));
    assert_non_null(block);
    for (int i = 0; i < frames; i++)
        for (int c = 0; c < channels; c++)
            block[i * channels + c] =
                (float)(0.5 * (c + 1) / channels * sin(2 * PI * hertz * i / rate));
    assert_int_equal(sf_writef_float(file, block, frames), frames);
    assert_int_equal(sf_close(file), 0);
    free(block);
}

/* Root of the mean squared difference from the tone that write_tone's mean channel is, away from
 * the ends, where a resampler may ring. */
static double distance_from_tone(const float *samples, size_t count, int channels, double hertz)
{
    const double amplitude = 0.5 * (channels + 1) / 2 / channels;
    const size_t margin = ZM_AUDIO_RATE / 20;
    double sum = 0;
    assert_true(count > 4 * margin);
    for (size_t i = margin; i < count - margin; i++) {
        double error = samples[i] - amplitude * sin(2 * PI * hertz * (double)i / ZM_AUDIO_RATE);
        sum += error * error;
    }
    return sqrt(sum / (double)(count - 2 * margin));
}

static void check_tone(int format, int rate, int channels, double tolerance)
{
    const int frames = rate / 2 + 7;
    const double hertz = 440;
    float *samples = NULL;
    size_t count = 0;
    scratch_log seen;
    scratch_log_init(&seen);
    write_tone("tone", format, rate, channels, frames, hertz);
    assert_int_equal(zm_audio_read(path_of("tone"), &seen.log, &samples, &count), ZM_OK);
    assert_int_equal(seen.errors + seen.warnings, 0);
    assert_int_equal(count, (size_t)((double)frames * ZM_AUDIO_RATE / rate + 0.5));
    double distance = distance_from_tone(samples, count, channels, hertz);
    if (distance > tolerance)
        fail_msg("format %x, %d Hz, %d channels: off by %g", (unsigned)format, rate, channels,
                 distance);
    free(samples);
}

static void test_wav_of_every_rate_and_type(void **state)
{
    (void)state;
    static const int rates[] = {8000, 11025, 16000, 22050, 44100, 48000, 96000};
    static const int channels[] = {1, 2, 6};
    static const struct {
        int format;
        double tolerance;
    } types[] = {{SF_FORMAT_PCM_U8, 8e-3},
                 {SF_FORMAT_PCM_16, 1e-4},
                 {SF_FORMAT_PCM_24, 5e-5},
                 {SF_FORMAT_FLOAT, 5e-5}};
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
        for (size_t c = 0; c < sizeof(channels) / sizeof(channels[0]); c++)
            for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
                check_tone(SF_FORMAT_WAV | types[t].format, rates[r], channels[c],
                           types[t].tolerance);
}

static void test_compressed_files(void **state)
{
    (void)state;
    check_tone(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, 1e-4);
    check_tone(SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 44100, 2, 5e-5);
    check_tone(SF_FORMAT_OGG | SF_FORMAT_VORBIS, 48000, 2, 2e-2);
    check_tone(SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000, 1, 2e-2);
}

/* Samples of 16 kHz come through as they are. */
static void test_no_resampling_is_exact(void **state)
{
    (void)state;
    const int16_t values[] = {0, 1, -1, 32767, -32768, 12345};
    const size_t expected = sizeof(values) / sizeof(values[0]);
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *file = sf_open(path_of("exact"), SFM_WRITE, &info);
    assert_non_null(file);
    assert_int_equal(sf_write_short(file, values, (sf_count_t)expected), expected);
    sf_close(file);
    float *samples;
    size_t count;
    assert_int_equal(zm_audio_read(path_of("exact"), NULL, &samples, &count), ZM_OK);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++)
        assert_true(samples[i] == (float)values[i] / 32768.0f);
    free(samples);
}

/* What is over half of the new rate must not come back as a lower tone. */
static void test_resampling_does_not_alias(void **state)
{
    (void)state;
    float *samples;
    size_t count;
    double sum = 0;
    write_tone("high", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 48000, 1, 24000, 12000);
    assert_int_equal(zm_audio_read(path_of("high"), NULL, &samples, &count), ZM_OK);
    for (size_t i = 800; i < count - 800; i++)
        sum += (double)samples[i] * samples[i];
    assert_true(sqrt(sum / (double)(count - 1600)) < 1e-4);
    free(samples);
}

/* Fails with this status and one line that names the file; leaves the results alone. */
static void check_refused_path(const char *path, zm_status expected)
{
    float *samples = (float *)&folder;
    size_t count = 77;
    scratch_log seen;
    scratch_log_init(&seen);
    zm_status status = zm_audio_read(path, &seen.log, &samples, &count);
    if (status != expected)
        fail_msg("%s: %s, expected %s", path, zm_status_name(status), zm_status_name(expected));
    assert_int_equal(seen.errors, 1);
    assert_non_null(strstr(seen.error, path));
    assert_ptr_equal(samples, &folder);
    assert_int_equal(count, 77);
}

static void check_refused(const char *name, zm_status expected)
{
    check_refused_path(path_of(name), expected);
}

/* What the refusal says. */
static void check_reason(const char *name, const char *part)
{
    float *samples;
    size_t count;
    scratch_log seen;
    scratch_log_init(&seen);
    assert_int_not_equal(zm_audio_read(path_of(name), &seen.log, &samples, &count), ZM_OK);
    assert_non_null(strstr(seen.error, part));
    assert_null(strstr(seen.error, "finite"));
}

/* Root may read everything, so it is somebody else for the moment. */
static void test_no_permission(void **state)
{
    (void)state;
    const uid_t user = geteuid();
    write_tone("secret", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 100, 440);
    assert_int_equal(chmod(path_of("secret"), 0), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(user == 0 ? seteuid(65534) : 0, 0);
    check_refused("secret", ZM_ERROR_IO);
    check_reason("secret", "make it readable");
    assert_int_equal(seteuid(user), 0);
}

static void test_no_audio_file(void **state)
{
    (void)state;
    check_refused("missing", ZM_ERROR_NOT_FOUND);
    check_refused_path(folder, ZM_ERROR_IO);
    check_refused_path("/dev/null", ZM_ERROR_IO);
    write_bytes("empty", "", 0);
    check_refused("empty", ZM_ERROR_BAD_FORMAT);
    write_bytes("text", "This is no audio, but it is long enough to look at.\n", 52);
    check_refused("text", ZM_ERROR_BAD_FORMAT);
    write_bytes("half-header", "RIFF\x24\x00\x00\x00WAVEfm", 14);
    check_refused("half-header", ZM_ERROR_BAD_FORMAT);
    float *samples;
    size_t count;
    assert_int_equal(zm_audio_read(NULL, NULL, &samples, &count), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_audio_read("x", NULL, NULL, &count), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_audio_read("x", NULL, &samples, NULL), ZM_ERROR_INVALID_ARGUMENT);
}

static void test_no_samples(void **state)
{
    (void)state;
    write_tone("none", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0, 440);
    check_refused("none", ZM_ERROR_BAD_FORMAT);
}

/* One sample at a higher rate is still one. */
static void test_shortest_file(void **state)
{
    (void)state;
    float *samples;
    size_t count;
    write_tone("short", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 48000, 2, 1, 440);
    assert_int_equal(zm_audio_read(path_of("short"), NULL, &samples, &count), ZM_OK);
    assert_int_equal(count, 1);
    assert_true(isfinite(samples[0]));
    free(samples);
}

static void write_float_file(const char *name, float value)
{
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    float block[100] = {0};
    block[57] = value;
    SNDFILE *file = sf_open(path_of(name), SFM_WRITE, &info);
    assert_non_null(file);
    assert_int_equal(sf_write_float(file, block, 100), 100);
    sf_close(file);
}

static void test_samples_that_are_not_finite(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_float_file("bad", bad[i]);
        check_refused("bad", ZM_ERROR_BAD_FORMAT);
        if (isfinite(bad[i]))
            check_reason("bad", "1e+30");
    }
    float *samples;
    size_t count;
    write_float_file("loud", 40000.0f); /* as from integers that nobody scaled: strange but audio */
    assert_int_equal(zm_audio_read(path_of("loud"), NULL, &samples, &count), ZM_OK);
    assert_int_equal(count, 100);
    assert_true(samples[57] == 40000.0f);
    free(samples);
}

/* Writes a WAV file of 1000 frames and overwrites some bytes of its header. */
static void write_patched(const char *name, size_t offset, const void *bytes, size_t size)
{
    size_t total;
    write_tone(name, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 1000, 440);
    uint8_t *file = read_bytes(name, &total);
    assert_int_equal(total, 44 + 2000);
    memcpy(file + offset, bytes, size);
    write_bytes(name, file, total);
    free(file);
}

static void test_headers_that_lie(void **state)
{
    (void)state;
    enum { CHANNELS = 22, RATE = 24, DATA_SIZE = 40 };
    float *samples;
    size_t count;
    write_patched("rate0", RATE, "\x00\x00\x00\x00", 4);
    check_refused("rate0", ZM_ERROR_BAD_FORMAT);
    write_patched("rate100", RATE, "\x64\x00\x00\x00", 4);
    check_refused("rate100", ZM_ERROR_BAD_FORMAT);
    write_patched("rate2g", RATE, "\xff\xff\xff\x7f", 4);
    check_refused("rate2g", ZM_ERROR_BAD_FORMAT);
    write_patched("channels0", CHANNELS, "\x00\x00", 2);
    check_refused("channels0", ZM_ERROR_BAD_FORMAT);
    write_patched("channels200", CHANNELS, "\xc8\x00", 2);
    check_refused("channels200", ZM_ERROR_BAD_FORMAT);
    static const struct {
        const char *size;
        int warnings;
    } sizes[] = {{"\xff\xff\xff\x7f", 1},
                 {"\xd2\x07\x00\x00", 1},
                 /* whole, and not known yet when the header was written */
                 {"\xd0\x07\x00\x00", 0},
                 {"\xff\xff\xff\xff", 0}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        scratch_log seen;
        scratch_log_init(&seen);
        write_patched("endless", DATA_SIZE, sizes[i].size, 4);
        assert_int_equal(zm_audio_read(path_of("endless"), &seen.log, &samples, &count), ZM_OK);
        assert_int_equal(count, 1000);
        assert_int_equal(seen.warnings, sizes[i].warnings);
        free(samples);
    }
}

/* Damaged bytes anywhere: a refusal with its one line, or finite samples. */
static void test_damaged_files(void **state)
{
    (void)state;
    static const int formats[] = {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_WAV | SF_FORMAT_FLOAT,
                                  SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                                  SF_FORMAT_OGG | SF_FORMAT_VORBIS};
    uint64_t random = SEED;
    int refused = 0, read = 0;
    print_message("seed %u\n", SEED);
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
        size_t size;
        write_tone("good", formats[f], 16000, 2, 3000, 440);
        uint8_t *file = read_bytes("good", &size);
        for (int round = 0; round < 150; round++) {
            uint8_t *damaged = malloc(size);
            assert_non_null(damaged);
            memcpy(damaged, file, size);
            size_t reach = round % 2 ? size : size < 64 ? size : 64; /* headers most of all */
            for (int k = 0; k < 1 + round % 5; k++)
                damaged[test_random_below(&random, reach)] = (uint8_t)test_random(&random);
            write_bytes("damaged", damaged, size);
            free(damaged);
            float *samples = NULL;
            size_t count = 0;
            scratch_log seen;
            scratch_log_init(&seen);
            zm_status status = zm_audio_read(path_of("damaged"), &seen.log, &samples, &count);
            assert_int_equal(seen.errors, status == ZM_OK ? 0 : 1);
            assert_true((status == ZM_OK) == (count > 0));
            for (size_t i = 0; i < count; i++)
                assert_true(isfinite(samples[i]));
            refused += status != ZM_OK;
            read += status == ZM_OK;
            free(samples);
        }
        free(file);
    }
    assert_true(refused > 20 && read > 20);
}

enum { CHIRP_SAMPLES = 480000 };

/* The input that mel-chirp.txt describes. */
static float *make_chirp(void)
{
    float *samples = malloc(CHIRP_SAMPLES * sizeof(float));
    uint32_t state = 1;
    assert_non_null(samples);
    for (int i = 0; i < CHIRP_SAMPLES; i++) {
        double t = i / 16000.0;
        state = state * 1664525u + 1013904223u;
        double noise = ((state >> 8) / 16777216.0 - 0.5) * 0.002;
        double tone = 0.4 * sin(2 * PI * (50 * t + 7850.0 / 60 * t * t));
        samples[i] = i >= 160000 && i < 192000 ? 0 : (float)(tone + noise);
    }
    return samples;
}

/* Reads the file cut off to size; gives the number of samples. */
static size_t read_cut(const uint8_t *file, size_t size, scratch_log *seen)
{
    float *samples;
    size_t count;
    scratch_log_init(seen);
    write_bytes("cut", file, size);
    assert_int_equal(zm_audio_read(path_of("cut"), &seen->log, &samples, &count), ZM_OK);
    assert_int_equal(seen->errors, 0);
    free(samples);
    return count;
}

/* Cut off: as much as there is, and a warning that says so. */
static void test_truncated_files(void **state)
{
    (void)state;
    static const int formats[] = {SF_FORMAT_WAV | SF_FORMAT_PCM_16,
                                  SF_FORMAT_OGG | SF_FORMAT_VORBIS};
    float *chirp = make_chirp();
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        scratch_log seen;
        SF_INFO info = {.samplerate = 16000, .channels = 1, .format = formats[i]};
        SNDFILE *out = sf_open(path_of("cut"), SFM_WRITE, &info);
        assert_non_null(out);
        assert_int_equal(sf_write_float(out, chirp, 160000), 160000);
        sf_close(out);
        uint8_t *file = read_bytes("cut", &size);
        assert_int_equal(read_cut(file, size, &seen), 160000);
        assert_int_equal(seen.warnings, 0);
        assert_in_range(read_cut(file, size / 2, &seen), 10000, 120000);
        assert_int_equal(seen.warnings, 1);
        assert_non_null(strstr(seen.warning, path_of("cut")));
        assert_non_null(strstr(seen.warning, i ? "breaks off after" : "of 10.0 s"));
        read_cut(file, size - 2, &seen);
        assert_int_equal(seen.warnings, 1);
        free(file);
    }
    free(chirp);
}

static void test_mel_against_numpy(void **state)
{
    (void)state;
    float *samples = make_chirp();
    float *mel = malloc((size_t)ZM_MEL_FRAMES * 128 * sizeof(float));
    FILE *file = fopen(TEST_DATA_DIR "/mel-chirp.txt", "r");
    char comment[256];
    uint32_t bins, frame, last_bins = 0;
    int lines = 0;
    double worst = 0;
    assert_non_null(mel);
    assert_non_null(file);
    for (int c; (c = fgetc(file)) == '#';)
        assert_non_null(fgets(comment, sizeof(comment), file));
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    while (fscanf(file, "%u %u", &bins, &frame) == 2) {
        assert_true((bins == 80 || bins == 128) && frame < ZM_MEL_FRAMES);
        if (bins != last_bins)
            assert_int_equal(zm_log_mel(samples, CHIRP_SAMPLES, bins, mel), ZM_OK);
        last_bins = bins;
        for (uint32_t i = 0; i < bins; i++) {
            double expected;
            assert_int_equal(fscanf(file, "%lf", &expected), 1);
            double error = fabs(mel[(size_t)frame * bins + i] - expected);
            worst = error > worst ? error : worst;
        }
        lines++;
    }
    fclose(file);
    print_message("largest difference of the log-mel: %.2g\n", worst);
    assert_int_equal(lines, 21);
    assert_true(worst < 1e-4);
    free(mel);
    free(samples);
}

/* Silence that is there and silence behind the end are the same, to the bit. */
static void test_mel_of_a_short_window(void **state)
{
    (void)state;
    const size_t size = (size_t)ZM_MEL_FRAMES * 80 * sizeof(float);
    float *samples = make_chirp(), *whole = malloc(size), *part = malloc(size);
    assert_non_null(whole);
    assert_non_null(part);
    memset(samples + 12345, 0, (CHIRP_SAMPLES - 12345) * sizeof(float));
    assert_int_equal(zm_log_mel(samples, CHIRP_SAMPLES, 80, whole), ZM_OK);
    assert_int_equal(zm_log_mel(samples, 12345, 80, part), ZM_OK);
    assert_memory_equal(whole, part, size);
    assert_int_equal(zm_log_mel(NULL, 0, 80, part), ZM_OK);
    for (size_t i = 0; i < size / sizeof(float); i++)
        assert_true(part[i] == -1.5f);
    free(samples);
    free(whole);
    free(part);
}

/* Nothing behind the window of 30 s counts. */
static void test_mel_of_a_long_window(void **state)
{
    (void)state;
    const size_t size = (size_t)ZM_MEL_FRAMES * 80 * sizeof(float);
    float *chirp = make_chirp(), *whole = malloc(size), *part = malloc(size);
    float *samples = calloc(CHIRP_SAMPLES + 1000, sizeof(float));
    assert_non_null(whole);
    assert_non_null(part);
    assert_non_null(samples);
    memcpy(samples, chirp, CHIRP_SAMPLES * sizeof(float));
    for (int i = 0; i < 1000; i++)
        samples[CHIRP_SAMPLES + i] = 1;
    assert_int_equal(zm_log_mel(chirp, CHIRP_SAMPLES, 80, whole), ZM_OK);
    assert_int_equal(zm_log_mel(samples, CHIRP_SAMPLES + 1000, 80, part), ZM_OK);
    assert_memory_equal(whole, part, size);
    free(chirp);
    free(samples);
    free(whole);
    free(part);
}

static void test_mel_arguments(void **state)
{
    (void)state;
    float sample = 0, out[1];
    assert_int_equal(zm_log_mel(NULL, 1, 80, out), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_log_mel(&sample, 1, 80, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_log_mel(&sample, 1, 81, out), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_log_mel(&sample, 1, 0, out), ZM_ERROR_INVALID_ARGUMENT);
}

/* libsndfile loses what libvorbis allocated when the headers of an OGG file are damaged; there is
 * no handle left by which we could free it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:vorbis_info_init";
}

static int make_folder(void **state)
{
    (void)state;
    return scratch_setup(&folder);
}

static int remove_folder(void **state)
{
    (void)state;
    return scratch_teardown(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wav_of_every_rate_and_type),
        cmocka_unit_test(test_compressed_files),
        cmocka_unit_test(test_no_resampling_is_exact),
        cmocka_unit_test(test_resampling_does_not_alias),
        cmocka_unit_test(test_no_audio_file),
        cmocka_unit_test(test_no_permission),
        cmocka_unit_test(test_no_samples),
        cmocka_unit_test(test_shortest_file),
        cmocka_unit_test(test_samples_that_are_not_finite),
        cmocka_unit_test(test_headers_that_lie),
        cmocka_unit_test(test_truncated_files),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_mel_against_numpy),
        cmocka_unit_test(test_mel_of_a_short_window),
        cmocka_unit_test(test_mel_of_a_long_window),
        cmocka_unit_test(test_mel_arguments),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
