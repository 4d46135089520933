/* SPDX-License-Identifier: Apache-2.0 */
/* What a library that was built without audio says when audio is wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <zeromean/audio.h>

typedef struct messages {
    int errors;
    char last[512];
} messages;

static void remember(void *user, zm_log_level level, const char *message)
{
    messages *seen = user;
    seen->errors += level == ZM_LOG_ERROR;
    snprintf(seen->last, sizeof(seen->last), "%s", message);
}

static void test_reading_a_file(void **state)
{
    (void)state;
    messages seen = {0};
    const zm_log log = {remember, &seen, ZM_LOG_DEFAULT};
    float *samples = NULL;
    size_t count = 0;
    assert_int_equal(zm_audio_read("speech.wav", &log, &samples, &count), ZM_ERROR_UNSUPPORTED);
    assert_int_equal(seen.errors, 1);
    assert_non_null(strstr(seen.last, "speech.wav"));
    assert_non_null(strstr(seen.last, "without audio"));
    assert_null(samples);
    assert_int_equal(zm_audio_read(NULL, NULL, &samples, &count), ZM_ERROR_INVALID_ARGUMENT);
}

static void test_the_spectrogram(void **state)
{
    (void)state;
    float sample = 0, out[1];
    assert_int_equal(zm_log_mel(&sample, 1, 80, out), ZM_ERROR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_a_file),
        cmocka_unit_test(test_the_spectrogram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
