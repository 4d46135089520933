/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer: tokens, the steps that text goes through, and the model that cuts what comes out of
 * them into tokens. Two readers make one: of tokenizer.json (huggingface.c) and of a zm_vocabulary
 * (vocabulary.c). */
#ifndef ZM_SRC_TEXT_TOKENIZER_H
#define ZM_SRC_TEXT_TOKENIZER_H

#include <zeromean/text.h>

#include "text/pattern.h"
#include "text/unicode.h"

enum {
    ZM_TOKENS_MAX = 1 << 21,  /* the largest vocabularies in use have 2^18 */
    ZM_TOKEN_BYTES_MAX = 512, /* of what is looked for by its beginning, in a zm_trie */
    ZM_STEPS_MAX = 24,
    ZM_FRAME_MAX = 8,          /* tokens in front of, or behind, a text */
    ZM_ENDS_MAX = 24,          /* tokens that end one */
    ZM_BYTE_CHARACTERS = 0x144 /* of the byte alphabet: 188 below U+0100, then 68 */
};

typedef struct zm_token {
    uint32_t offset, size;           /* the bytes that it stands for, in the arena */
    uint32_t text_offset, text_size; /* how the file spells it */
    bool present, in_model;          /* in_model: the model may make it */
    bool added, special;             /* added: it is found in the text before the model sees it */
    bool left_strip, right_strip;    /* white space beside it belongs to it */
    bool single_word, normalized;    /* normalized: looked for behind the normalizers */
} zm_token;

typedef enum zm_step_kind {
    ZM_STEP_ADDED = 0, /* cuts out added tokens: those that are `normalized`, or the others */
    ZM_STEP_FORM,      /* a normal form of Unicode, or lower case */
    ZM_STEP_REPLACE,   /* each match of pattern by text */
    ZM_STEP_PREFIX,    /* text in front */
    ZM_STEP_SPLIT,     /* at the matches of pattern */
    ZM_STEP_BYTES      /* each byte becomes its character of the byte alphabet */
} zm_step_kind;

typedef enum zm_split_behavior {
    ZM_SPLIT_ISOLATED = 0,
    ZM_SPLIT_REMOVED,
    ZM_SPLIT_CONTIGUOUS,
    ZM_SPLIT_WITH_PREVIOUS,
    ZM_SPLIT_WITH_NEXT
} zm_split_behavior;

typedef struct zm_step {
    zm_step_kind kind;
    zm_pattern pattern; /* REPLACE, SPLIT */
    zm_split_behavior behavior;
    bool invert; /* SPLIT: what is between the matches counts as match */
    char *text;  /* REPLACE, PREFIX */
    size_t text_size;
    bool unless_there; /* PREFIX: not if it begins with text already */
    bool only_first;   /* PREFIX: only at the beginning of all of the text */
    zm_unicode_form form;
    bool normalized; /* ADDED */
} zm_step;

/* How the vocabulary spells bytes. */
typedef struct zm_spelling {
    bool byte_alphabet; /* each byte is a character of its own (Radford et al. 2019) */
    bool byte_tokens;   /* "<0x0A>" is a byte */
    char space[16];     /* stands for " "; "" = nothing does */
    enum { ZM_STRIP_NONE = 0, ZM_STRIP_ONE, ZM_STRIP_FIRST_TOKEN } strip; /* of decoded text */
} zm_spelling;

typedef enum zm_model_kind { ZM_TOKEN_MODEL_BPE = 0, ZM_TOKEN_MODEL_UNIGRAM } zm_model_kind;

struct zm_tokenizer {
    zm_text_buffer arena;
    zm_token *tokens; /* by id; gaps have present = false */
    size_t token_capacity;
    uint32_t size;
    uint32_t *index;       /* id + 1 of tokens in_model by the hash of their text; 0 = free */
    size_t index_capacity; /* a power of two, or 0 */
    zm_spelling spelling;
    int16_t byte_of[ZM_BYTE_CHARACTERS]; /* -1 = no byte is spelt so */
    char byte_text[256][2];              /* the character of a byte */
    uint8_t byte_text_size[256];

    zm_model_kind model;
    zm_table merges;          /* BPE: (left, right) -> rank, id */
    bool whole_words;         /* BPE: what is a token as a whole is not merged */
    char word_end[16];        /* BPE: behind the last character of each word (CLIP) */
    bool fuse_unknown;        /* BPE: neighbours that are unknown are one token */
    bool byte_fallback;       /* what is unknown becomes byte tokens, where all of them exist */
    int32_t unknown;          /* -1 = none: what is unknown is left out, or refused by unigram */
    int32_t byte_tokens[256]; /* -1 = there is none */
    zm_trie pieces;           /* unigram */
    double *scores, unknown_score;

    zm_step steps[ZM_STEPS_MAX];
    size_t step_count, normalizer_end; /* the normalizers are steps 1 .. normalizer_end - 1 */
    zm_trie added[2];                  /* by zm_token.normalized */
    zm_pattern word;                   /* a character of a word, for zm_token.single_word */
    int32_t before[ZM_FRAME_MAX], after[ZM_FRAME_MAX];
    size_t before_count, after_count;
    int32_t ends[ZM_ENDS_MAX];
    size_t end_count;
    char *chat_template; /* NULL: there is none */
    char *refusal;       /* why it can't encode; NULL: it can */
};

/* What reads a file knows. */
typedef struct zm_token_reader {
    zm_tokenizer *tokenizer;
    const char *name; /* of the file, for messages */
    const zm_log *log;
} zm_token_reader;

/* An empty tokenizer; NULL: out of memory. */
zm_tokenizer *zm_tokenizer_make(void);
zm_status zm_token_out_of_memory(const zm_token_reader *in);
/* Reports a failure of something that has no log. */
zm_status zm_token_result(const zm_token_reader *in, zm_status status);
/* Adds the token id. What `about` says is taken over, but for the places in the arena: text is how
 * the file spells it, and an added one stands for that. The spelling must be known. */
zm_status zm_token_add(const zm_token_reader *in, int64_t id, const char *text, size_t size,
                       const zm_token *about);
/* Behind the last token: the index and the byte tokens. */
zm_status zm_token_finish(const zm_token_reader *in);
/* The token that the model knows by this text; -1: none. The last one of several. */
int32_t zm_token_find(const zm_tokenizer *tokenizer, const char *text, size_t size);

/* Reads from source what only encoding needs. That it is not supported is no failure, but kept as
 * the reason why encoding is refused. */
zm_status zm_token_read_encoding(const zm_token_reader *in,
                                 zm_status (*read)(const zm_token_reader *in, const void *source),
                                 const void *source);

/* Append steps. ZM_ERROR_UNSUPPORTED where there are too many. */
zm_status zm_step_add_form(const zm_token_reader *in, zm_unicode_form form);
zm_status zm_step_add_prefix(const zm_token_reader *in, const char *text, bool unless_there,
                             bool only_first);
/* regex: a pattern, else a string. */
zm_status zm_step_add_replace(const zm_token_reader *in, bool regex, const char *pattern,
                              const char *text);
zm_status zm_step_add_split(const zm_token_reader *in, bool regex, const char *pattern,
                            zm_split_behavior behavior, bool invert);
zm_status zm_step_add_simple(const zm_token_reader *in, zm_step_kind kind);
zm_status zm_step_add_punctuation(const zm_token_reader *in, zm_split_behavior behavior);
/* The words of GPT-2. */
zm_status zm_step_add_gpt2(const zm_token_reader *in);
/* The steps between the two that look for added tokens; make the second one. */
zm_status zm_step_end_normalizers(const zm_token_reader *in);
/* Behind the last token and the last step: what added tokens are found by. */
zm_status zm_added_finish(const zm_token_reader *in);
void zm_steps_clear(zm_tokenizer *tokenizer);

/* Two tokens that the model may merge; rank 0 comes first. A line is "left right". */
zm_status zm_merge_add(const zm_token_reader *in, uint32_t rank, const char *left, size_t left_size,
                       const char *right, size_t right_size);
zm_status zm_merge_add_line(const zm_token_reader *in, uint32_t rank, const char *line,
                            size_t size);
/* The merges that SentencePiece's scores stand for: any two tokens that make a third, by its score.
 */
zm_status zm_merge_add_by_score(const zm_token_reader *in, const float *scores);
/* The trie and the score of what is unknown. */
zm_status zm_unigram_finish(const zm_token_reader *in);

#endif
