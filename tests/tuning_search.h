/* SPDX-License-Identifier: Apache-2.0 */
/* The part of test-tuning that searches: it runs after the rest, whose kernels it needs. */
#ifndef ZM_TESTS_TUNING_SEARCH_H
#define ZM_TESTS_TUNING_SEARCH_H

/* As cmocka_run_group_tests. */
int tuning_search_tests(void);

#endif
