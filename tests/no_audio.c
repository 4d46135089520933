/* SPDX-License-Identifier: Apache-2.0 */
/* What a library that was built without audio says when audio is wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <zeromean/audio.h>

#include "scratch.h"

static void test_reading_a_file(void **state)
{
    (void)state;
    scratch_log seen;
    scratch_log_init(&seen);
    float *samples = NULL;
    size_t count = 0;
    assert_int_equal(zm_audio_read("speech.wav", &seen.log, &samples, &count),
                     ZM_ERROR_UNSUPPORTED);
    assert_int_equal(seen.errors, 1);
    assert_non_null(strstr(seen.error, "speech.wav"));
    assert_non_null(strstr(seen.error, "without audio"));
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
