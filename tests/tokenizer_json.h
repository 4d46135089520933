/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json of a test program, written anew for each tokenizer. */
#ifndef ZM_TESTS_TOKENIZER_JSON_H
#define ZM_TESTS_TOKENIZER_JSON_H

#include <zeromean/text.h>

#include "scratch.h"

/* cmocka set-up and tear-down of a group. */
int tokenizer_json_setup(void **state);
int tokenizer_json_teardown(void **state);

const char *tokenizer_json_path(void);
/* Writes the file and opens it with the log, which is begun. */
zm_status tokenizer_json_open(const char *json, scratch_log *seen, zm_tokenizer **out);

#endif
