/* SPDX-License-Identifier: Apache-2.0 */
#include "text/pre_tokenizers.h"

#include <string.h>

static const zm_pre_tokenizer pre_tokenizers[] = {
    {.names = {"gpt-2", "phi-2"}, .gpt2 = true},
    {.names = {"mpt", "olmo"}, .nfc = true, .gpt2 = true},
    {.names = {"smollm", "starcoder", "refact"}, .digits = true, .gpt2 = true},
    {.names = {"command-r"}, .nfc = true, .digits = true, .gpt2 = true},
    {.names = {"llama-bpe", "llama3", "llama-v3"},
     .whole_words = true,
     .pattern = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    {.names = {"qwen2", "deepseek-r1-qwen"},
     .nfc = true,
     .pattern = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    {.names = {"bloom", "poro-chat"},
     .pattern = " ?[^(\\s|[.,!?\xE2\x80\xA6\xE3\x80\x82\xEF\xBC\x8C"
                "\xE3\x80\x81\xE0\xA5\xA4\xDB\x94\xD8\x8C])]+"},
    {.names = {"falcon"}, .gpt2 = true, .falcon = true},
};

const zm_pre_tokenizer *zm_pre_tokenizer_get(size_t index)
{
    return index < sizeof(pre_tokenizers) / sizeof(pre_tokenizers[0]) ? &pre_tokenizers[index]
                                                                      : NULL;
}

const zm_pre_tokenizer *zm_pre_tokenizer_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof(pre_tokenizers) / sizeof(pre_tokenizers[0]); i++)
        for (size_t k = 0; k < 5 && pre_tokenizers[i].names[k]; k++)
            if (strcmp(name, pre_tokenizers[i].names[k]) == 0)
                return &pre_tokenizers[i];
    return NULL;
}

zm_status zm_pre_tokenizer_steps(const zm_token_reader *in, const zm_pre_tokenizer *pre)
{
    zm_status status = pre->nfc ? zm_step_add_form(in, ZM_UNICODE_NFC) : ZM_OK;
    if (status == ZM_OK)
        status = zm_step_end_normalizers(in);
    if (status == ZM_OK && pre->falcon)
        status = zm_step_add_punctuation(in, ZM_SPLIT_CONTIGUOUS);
    if (status == ZM_OK && pre->digits)
        status = zm_step_add_split(in, true, "\\p{N}", ZM_SPLIT_ISOLATED, false);
    if (status == ZM_OK && pre->pattern)
        status = zm_step_add_split(in, true, pre->pattern, ZM_SPLIT_ISOLATED, false);
    if (status == ZM_OK && pre->gpt2)
        status = zm_step_add_gpt2(in);
    if (status == ZM_OK)
        status = zm_step_add_simple(in, ZM_STEP_BYTES);
    if (status == ZM_OK && pre->falcon) /* of the characters that spell bytes */
        status = zm_step_add_split(in, true, "\\p{N}", ZM_SPLIT_CONTIGUOUS, false);
    if (status == ZM_OK && pre->falcon)
        status = zm_step_add_split(in, true, "[0-9][0-9][0-9]", ZM_SPLIT_ISOLATED, false);
    in->tokenizer->whole_words = pre->whole_words;
    return status;
}
