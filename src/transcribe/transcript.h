/* SPDX-License-Identifier: Apache-2.0 */
/* A transcript that grows. */
#ifndef ZM_SRC_TRANSCRIBE_TRANSCRIPT_H
#define ZM_SRC_TRANSCRIBE_TRANSCRIPT_H

#include <zeromean/transcribe.h>

/* Where a finished segment lies in the text and tokens so far. */
typedef struct zm_segment_mark {
    double start, end;
    size_t text_begin, text_end;
    size_t token_begin, token_end;
} zm_segment_mark;

/* Zeroed = empty. */
typedef struct zm_transcript_builder {
    char *text; /* valid UTF-8, no NUL at the end */
    size_t text_size, text_capacity;
    char *pending; /* bytes of a character that is not whole yet */
    size_t pending_size, pending_capacity;
    int32_t *tokens;
    size_t token_count, token_capacity;
    zm_segment_mark *segments;
    size_t segment_count, segment_capacity;
    size_t open_text, open_token; /* where the open segment begins */
} zm_transcript_builder;

void zm_transcript_builder_finish(zm_transcript_builder *builder);

/* Appends a text token with its bytes to the open segment. text_size grows by the characters that
 * are whole now. ZM_ERROR_OUT_OF_MEMORY. */
zm_status zm_transcript_builder_add(zm_transcript_builder *builder, int32_t token,
                                    const char *bytes, size_t size);

/* Ends the open segment; one without tokens vanishes. What is left of a character that never
 * became whole turns into U+FFFD. */
zm_status zm_transcript_builder_close_segment(zm_transcript_builder *builder, double start,
                                              double end);

/* The closed segment of that index: its text is a copy to be freed, its tokens are the builder's.
 */
zm_status zm_transcript_builder_segment(const zm_transcript_builder *builder, size_t index,
                                        zm_segment *out);

/* Makes the transcript of the closed segments. */
zm_status zm_transcript_builder_build(const zm_transcript_builder *builder, zm_transcript **out);

#endif
