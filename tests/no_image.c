/* SPDX-License-Identifier: Apache-2.0 */
/* What a library that was built without pictures says when one is wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <zeromean/image.h>

#include "scratch.h"

static void test_reading_a_file(void **state)
{
    (void)state;
    scratch_log seen;
    scratch_log_init(&seen);
    zm_image *image = NULL;
    assert_int_equal(zm_image_read("cat.png", &seen.log, &image), ZM_ERROR_UNSUPPORTED);
    assert_int_equal(seen.errors, 1);
    assert_non_null(strstr(seen.error, "cat.png: this library was built without pictures"));
    assert_null(image);
    assert_int_equal(zm_image_read(NULL, NULL, &image), ZM_ERROR_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reading_a_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
