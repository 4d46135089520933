/* SPDX-License-Identifier: Apache-2.0 */
#include "transcribe/transcript.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

void zm_transcript_builder_finish(zm_transcript_builder *builder)
{
    free(builder->text);
    free(builder->pending);
    free(builder->tokens);
    free(builder->segments);
    *builder = (zm_transcript_builder){0};
}

static bool append_bytes(char **array, size_t *size, size_t *capacity, const char *bytes,
                         size_t count)
{
    if (count == 0)
        return true;
    if (!zm_array_reserve((void **)array, capacity, *size + count, 1))
        return false;
    memcpy(*array + *size, bytes, count);
    *size += count;
    return true;
}

/* Moves the first size bytes of what is pending to the text, made valid. */
static zm_status settle(zm_transcript_builder *builder, size_t size)
{
    char *valid = NULL;
    zm_status status = zm_utf8_repair(builder->pending, size, &valid);
    if (status != ZM_OK)
        return status;
    const char *begin = valid;
    if (builder->text_size == 0 && *begin == ' ')
        begin++; /* the first word of a text has a space in front of it too */
    if (!append_bytes(&builder->text, &builder->text_size, &builder->text_capacity, begin,
                      strlen(begin)))
        status = ZM_ERROR_OUT_OF_MEMORY;
    free(valid);
    builder->pending_size -= size;
    if (builder->pending_size > 0)
        memmove(builder->pending, builder->pending + size, builder->pending_size);
    return status;
}

zm_status zm_transcript_builder_add(zm_transcript_builder *builder, int32_t token,
                                    const char *bytes, size_t size)
{
    if (!zm_array_reserve((void **)&builder->tokens, &builder->token_capacity,
                          builder->token_count + 1, sizeof(int32_t)) ||
        !append_bytes(&builder->pending, &builder->pending_size, &builder->pending_capacity, bytes,
                      size))
        return ZM_ERROR_OUT_OF_MEMORY;
    builder->tokens[builder->token_count++] = token;
    return settle(builder, zm_utf8_whole(builder->pending, builder->pending_size));
}

zm_status zm_transcript_builder_close_segment(zm_transcript_builder *builder, double start,
                                              double end)
{
    if (builder->token_count == builder->open_token)
        return ZM_OK;
    zm_status status = settle(builder, builder->pending_size);
    if (status != ZM_OK)
        return status;
    if (!zm_array_reserve((void **)&builder->segments, &builder->segment_capacity,
                          builder->segment_count + 1, sizeof(zm_segment_mark)))
        return ZM_ERROR_OUT_OF_MEMORY;
    builder->segments[builder->segment_count++] = (zm_segment_mark){
        .start = start,
        .end = end,
        .text_begin = builder->open_text,
        .text_end = builder->text_size,
        .token_begin = builder->open_token,
        .token_end = builder->token_count,
    };
    builder->open_text = builder->text_size;
    builder->open_token = builder->token_count;
    return ZM_OK;
}

static char *copy_text(const char *text, size_t size)
{
    char *copy = zm_calloc(size + 1, 1);
    if (copy && size > 0)
        memcpy(copy, text, size);
    return copy;
}

zm_status zm_transcript_builder_segment(const zm_transcript_builder *builder, size_t index,
                                        zm_segment *out)
{
    const zm_segment_mark *mark = &builder->segments[index];
    size_t begin = mark->text_begin;
    if (begin < mark->text_end && builder->text[begin] == ' ')
        begin++;
    const char *from = begin < mark->text_end ? builder->text + begin : NULL;
    char *text = copy_text(from, mark->text_end - begin);
    if (!text)
        return ZM_ERROR_OUT_OF_MEMORY;
    *out = (zm_segment){
        .start = mark->start,
        .end = mark->end,
        .text = text,
        .tokens = builder->tokens + mark->token_begin,
        .token_count = mark->token_end - mark->token_begin,
    };
    return ZM_OK;
}

static bool build_segments(const zm_transcript_builder *builder, zm_transcript *transcript)
{
    for (size_t i = 0; i < builder->segment_count; i++) {
        zm_segment *segment = &transcript->segments[i];
        if (zm_transcript_builder_segment(builder, i, segment) != ZM_OK)
            return false;
        segment->tokens = transcript->tokens + builder->segments[i].token_begin;
        transcript->segment_count++;
    }
    return true;
}

zm_status zm_transcript_builder_build(const zm_transcript_builder *builder, zm_transcript **out)
{
    zm_transcript *transcript = zm_calloc(1, sizeof(*transcript));
    if (!transcript)
        return ZM_ERROR_OUT_OF_MEMORY;
    transcript->text = copy_text(builder->text, builder->open_text);
    transcript->tokens = zm_calloc(builder->open_token, sizeof(int32_t));
    transcript->segments = zm_calloc(builder->segment_count, sizeof(zm_segment));
    if (!transcript->text || !transcript->tokens || !transcript->segments)
        goto fail;
    transcript->token_count = builder->open_token;
    if (builder->open_token > 0)
        memcpy(transcript->tokens, builder->tokens, builder->open_token * sizeof(int32_t));
    if (!build_segments(builder, transcript))
        goto fail;
    *out = transcript;
    return ZM_OK;
fail:
    zm_transcript_destroy(&transcript);
    return ZM_ERROR_OUT_OF_MEMORY;
}

void zm_transcript_destroy(zm_transcript **transcript)
{
    if (!transcript || !*transcript)
        return;
    for (size_t i = 0; i < (*transcript)->segment_count; i++)
        free((char *)(*transcript)->segments[i].text);
    free((*transcript)->segments);
    free((*transcript)->tokens);
    free((*transcript)->text);
    free(*transcript);
    *transcript = NULL;
}
