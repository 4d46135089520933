/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: tokenizers out of any bytes, and any texts for them. The first byte chooses: a
 * tokenizer.json, a NUL, a text; or a vocabulary as GGUF describes it, whose tokens, merges and
 * text are lines. What can be encoded must decode, and the pieces of a decoder must be all of the
 * text.
 *
 *   CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/fuzz_tokenizer
 *   build-fuzz/tests/fuzz/fuzz_tokenizer -dict=tests/fuzz/tokenizer.dict -max_len=4000 */
#include <stdlib.h>
#include <string.h>

#include <zeromean/text.h>

#include "fuzz.h"

static void check_stream(const zm_tokenizer *tokenizer, const int32_t *ids, size_t count,
                         bool special)
{
    char *all = NULL;
    const char *bytes;
    size_t size = 0, piece, at = 0;
    zm_decoder *decoder = NULL;
    require(zm_tokenizer_decode(tokenizer, ids, count, special, &all, &size) == ZM_OK);
    require(zm_decoder_create(tokenizer, special, &decoder) == ZM_OK);
    for (size_t i = 0; i < count; i++) {
        require(zm_decoder_add(decoder, ids[i], &bytes, &piece) == ZM_OK);
        require(piece <= size - at && memcmp(bytes, all + at, piece) == 0);
        at += piece;
        zm_decoder_rest(decoder, &bytes, &piece);
        require(piece <= size - at && zm_utf8_whole(all, at + piece) == at);
    }
    zm_decoder_rest(decoder, &bytes, &piece);
    require(piece <= 3 && piece == size - at && memcmp(bytes, all + at, piece) == 0);
    zm_decoder_destroy(&decoder);
    free(all);
}

static void check_encoding(const zm_tokenizer *tokenizer, const char *text, size_t size,
                           bool literal)
{
    int32_t *ids = NULL;
    size_t count = 0;
    const zm_encode_params params = {
        .text = text, .size = size, .bare = literal, .literal = literal, .log = &counting};
    errors = 0;
    zm_status status = zm_tokenizer_encode(tokenizer, &params, &ids, &count);
    require(errors == (status == ZM_OK ? 0 : 1));
    if (status != ZM_OK)
        return;
    check_stream(tokenizer, ids, count, literal);
    free(ids);
}

static void check_tokenizer(zm_status status, zm_tokenizer *tokenizer, const char *text,
                            size_t size)
{
    require(errors == (status == ZM_OK ? 0 : 1));
    require((status == ZM_OK) == (tokenizer != NULL));
    if (!tokenizer)
        return;
    check_encoding(tokenizer, text, size, false);
    check_encoding(tokenizer, text, size, true);
    zm_tokenizer_close(&tokenizer);
}

static void try_json(const char *data, size_t size)
{
    const char *path;
    int fd = memory_file(&path);
    const char *end = size > 0 ? memchr(data, 0, size) : NULL;
    const size_t length = end ? (size_t)(end - data) : size;
    write_at(fd, data, length, 0);
    zm_tokenizer *tokenizer = NULL;
    zm_status status = zm_tokenizer_open(path, &counting, &tokenizer);
    check_tokenizer(status, tokenizer, end ? end + 1 : data, end ? size - length - 1 : size);
}

enum { ENTRIES_MAX = 400 };

/* The next line, without its end. */
static zm_text next_line(const char **data, size_t *size)
{
    const char *end = *size > 0 ? memchr(*data, '\n', *size) : NULL;
    const zm_text line = {*data, end ? (size_t)(end - *data) : *size};
    *size -= line.length + (end ? 1 : 0);
    *data += line.length + (end ? 1 : 0);
    return line;
}

/* A line "3x" is the token x of the type 3, until an empty line; then merges; then the text. */
static void try_vocabulary(uint8_t choice, const char *data, size_t size)
{
    static const char *const models[] = {"gpt2", "llama", "t5"};
    static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2", "smollm", "falcon", "bloom"};
    static zm_text tokens[ENTRIES_MAX], merges[ENTRIES_MAX];
    static int32_t types[ENTRIES_MAX];
    static float scores[ENTRIES_MAX];
    const uint32_t first = 0, second = 1;
    size_t count = 0, merge_count = 0;
    for (zm_text line; count < ENTRIES_MAX && (line = next_line(&data, &size)).length > 0;
         count++) {
        types[count] = line.data[0] - '0';
        scores[count] = -(float)(line.length * 7 % 5);
        tokens[count] = (zm_text){line.data + 1, line.length - 1};
    }
    for (zm_text line; merge_count < ENTRIES_MAX && (line = next_line(&data, &size)).length > 0;)
        merges[merge_count++] = line;
    const zm_vocabulary vocabulary = {.model = models[choice % 3],
                                      .pre = pres[choice / 3 % 6],
                                      .tokens = tokens,
                                      .token_count = count,
                                      .types = types,
                                      .scores = scores,
                                      .merges = merges,
                                      .merge_count = merge_count,
                                      .bos = &first,
                                      .eos = &second,
                                      .unknown = &first,
                                      .add_bos = choice % 2,
                                      .log = &counting};
    zm_tokenizer *tokenizer = NULL;
    zm_status status = zm_tokenizer_create(&vocabulary, &tokenizer);
    check_tokenizer(status, tokenizer, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    errors = 0;
    if (data[0] >= 128)
        try_vocabulary(data[0] - 128, (const char *)data + 1, size - 1);
    else
        try_json((const char *)data + 1, size - 1);
    return 0;
}
