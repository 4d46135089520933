/* SPDX-License-Identifier: Apache-2.0 */
/* What the library takes from the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <zeromean/common.h>

static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static void assert_cache_dir(const char *own, const char *xdg, const char *home,
                             const char *expected)
{
    zm_environment environment;
    memset(&environment, 0xff, sizeof(environment));
    set("ZEROMEAN_CACHE_DIR", own);
    set("XDG_CACHE_HOME", xdg);
    set("HOME", home);
    zm_environment_read(&environment);
    assert_string_equal(environment.cache_dir, expected);
}

static void the_cache_folder_is_the_first_usable_one(void **state)
{
    (void)state;
    assert_cache_dir("/own", "/xdg", "/home/me", "/own");
    assert_cache_dir(NULL, "/xdg", "/home/me", "/xdg/zeromean");
    assert_cache_dir(NULL, NULL, "/home/me", "/home/me/.cache/zeromean");
    assert_cache_dir(NULL, "", "/home/me", "/home/me/.cache/zeromean");
    assert_cache_dir(NULL, "relative", "/home/me", "/home/me/.cache/zeromean");
    assert_cache_dir(NULL, NULL, NULL, "");
    assert_cache_dir(NULL, NULL, "relative", "");
    assert_cache_dir("", "/xdg", "/home/me", "");
}

static void a_folder_that_does_not_fit_is_not_cut(void **state)
{
    (void)state;
    char path[2000];
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    assert_cache_dir(path, NULL, NULL, "");
    assert_cache_dir(NULL, path, "/home/me", "/home/me/.cache/zeromean");
    path[1023] = '\0';
    assert_cache_dir(path, NULL, NULL, path);
    assert_cache_dir(NULL, path, NULL, "");
}

static void the_device_is_taken_as_it_is(void **state)
{
    (void)state;
    zm_environment environment;
    set("ZEROMEAN_DEVICE", "opencl:1");
    zm_environment_read(&environment);
    assert_string_equal(environment.device, "opencl:1");
    set("ZEROMEAN_DEVICE", NULL);
    zm_environment_read(&environment);
    assert_string_equal(environment.device, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cache_folder_is_the_first_usable_one),
        cmocka_unit_test(a_folder_that_does_not_fit_is_not_cut),
        cmocka_unit_test(the_device_is_taken_as_it_is),
    };
    return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
