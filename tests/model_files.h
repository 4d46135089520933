/* SPDX-License-Identifier: Apache-2.0 */
/* Model directories for tests: made up, and edited copies of others. Failures fail the test. */
#ifndef ZM_TESTS_MODEL_FILES_H
#define ZM_TESTS_MODEL_FILES_H

#include "model/architecture.h"

/* printf into a new string. */
char *test_format(const char *format, ...);
void test_write_text(const char *directory, const char *name, const char *text);
/* Bytes of a file; NULL when it cannot be read. */
char *test_read_file(const char *directory, const char *name, size_t *size);

/* A whole English-only Whisper of two and two layers, d = 32, vocabulary >= 80, whose writers,
 * biases and tables have means that RMSNorm would trip over. The same seed gives the same bytes. */
void test_write_whisper(const char *directory, zm_dtype type, uint32_t vocabulary, uint64_t seed);

/* How a copy differs from its original. Zeroes: not at all. */
typedef struct test_changes {
    /* New bytes of a tensor, of its type and size, from malloc; NULL leaves it as it is. */
    void *(*edit)(void *user, const zm_model_tensor *tensor);
    void *user;
    const char *norm;    /* what the metadata says then; "" = nothing */
    const char *eps;     /* layer_norm_eps of config.json */
    const char *drop;    /* leaves out this tensor */
    const char *add;     /* adds a tensor [4] of F32 of this name */
    const char *integer; /* this tensor becomes I32 zeros of the same shape */
    unsigned shards;     /* > 1: in several files with an index */
} test_changes;

void test_copy_model(const char *from, const char *to, const test_changes *changes);

#endif
