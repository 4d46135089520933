/* SPDX-License-Identifier: Apache-2.0 */
/* Model directories for tests: made up, and edited copies of others. Failures fail the test. */
#ifndef ZM_TESTS_MODEL_FILES_H
#define ZM_TESTS_MODEL_FILES_H

#include <zeromean/model.h>

/* printf into a new string. */
char *test_format(const char *format, ...);
void test_write_text(const char *directory, const char *name, const char *text);
/* Bytes of a file and a NUL; NULL when it cannot be read. */
char *test_read_file(const char *directory, const char *name, size_t *size);

/* Sizes of a made-up Whisper where nothing else is said. */
enum {
    TEST_MEL_BINS = 8,
    TEST_D = 32,
    TEST_HEADS = 2,
    TEST_LAYERS = 2, /* of each side */
    TEST_ENCODER_FF = 64,
    TEST_DECODER_FF = 48,
    TEST_POSITIONS = 20, /* of the encoder */
    TEST_TOKENS = 12,    /* positions of the decoder */
    TEST_VOCABULARY = 100,
    TEST_FRAMES = 2 * TEST_POSITIONS
};

/* Zeros mean defaults. */
typedef struct test_whisper {
    uint64_t seed;         /* the same one gives the same bytes */
    zm_whisper_info info;  /* sizes and tokens; without languages it is English-only */
    zm_dtype type;         /* 0 = F32 */
    const char *odd_one;   /* this tensor is F32 whatever type says */
    const char *edited;    /* in this tensor */
    uint64_t edited_index; /* this element */
    double edited_value;   /* becomes this */
    const char *moved;     /* to all elements of this tensor */
    double moved_by;       /* this is added */
    const char *norm;      /* metadata of the converter; NULL = none */
    double eps;            /* in config.json; 0 = not there */
    bool unaligned;        /* the tensors of the file begin at odd places */
} test_whisper;

/* A whole Whisper, whose writers, biases and tables have means that RMSNorm would trip over; from
 * the tensors that the library looks for. tiny_model.py has written them down once more. */
void test_write_whisper(const char *directory, const test_whisper *how);
/* In a new folder, which is for test_folder_remove. */
char *test_make_whisper(const test_whisper *how);

/* A log-mel picture [TEST_FRAMES][TEST_MEL_BINS]. Free with free(). */
float *test_mel(uint64_t seed);

/* How a copy differs from its original. Zeroes: not at all. */
typedef struct test_changes {
    /* New bytes of a tensor, of its type and size, from malloc; NULL leaves it as it is. */
    void *(*edit)(void *user, const zm_model_tensor *tensor);
    void *user;
    const char *drop;           /* leaves out this tensor */
    const zm_model_tensor *put; /* in place of those of their names, or added; no data = zeros */
    size_t put_count;
    const char *norm;   /* what the metadata says then; "" = nothing */
    const char *format; /* the version of that; NULL = not said */
    const char *eps;    /* layer_norm_eps of config.json */
    unsigned shards;    /* > 1: in several files with an index */
} test_changes;

void test_copy_model(const char *from, const char *to, const test_changes *changes);

#endif
