/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of opening a GGUF file. */
#ifndef ZM_SRC_FORMAT_GGUF_READER_H
#define ZM_SRC_FORMAT_GGUF_READER_H

#include "format/gguf.h"

/* Where reading of a part has got to. */
typedef struct zm_gguf_reader {
    zm_gguf *file;
    zm_gguf_part *part;
    uint64_t at; /* byte of the map */
    const zm_log *log;
    size_t tensor_capacity; /* of file->tensors */
} zm_gguf_reader;

uint64_t zm_gguf_left(const zm_gguf_reader *reader);
/* The next bytes, in the map; ZM_ERROR_BAD_FORMAT where the file ends before. what says in what. */
zm_status zm_gguf_take(zm_gguf_reader *reader, uint64_t size, const char *what,
                       const uint8_t **out);
zm_status zm_gguf_u32(zm_gguf_reader *reader, const char *what, uint32_t *out);
zm_status zm_gguf_u64(zm_gguf_reader *reader, const char *what, uint64_t *out);
zm_status zm_gguf_text(zm_gguf_reader *reader, const char *what, zm_text *out);
/* A valid key or name, copied. Free with free(). */
zm_status zm_gguf_name(zm_gguf_reader *reader, const char *what, char **out);

/* Fills part->values. */
zm_status zm_gguf_read_values(zm_gguf_reader *reader, uint64_t count);
void zm_gguf_free_values(zm_gguf_part *part);

/* Appends to file->tensors and places them in the map; part->values are there. */
zm_status zm_gguf_read_tensors(zm_gguf_reader *reader, uint64_t count);

/* The path of another part of the model that path belongs to; NULL when out of memory. number and
 * count begin at 1. */
char *zm_gguf_part_path(const char *path, uint32_t number, uint32_t count);
/* False when the name is not that of a part. */
bool zm_gguf_part_parse(const char *path, uint32_t *number, uint32_t *count);

#endif
