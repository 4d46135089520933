/* SPDX-License-Identifier: Apache-2.0 */
/* normalizer, pre_tokenizer, post_processor and decoder of a tokenizer.json. Each is an object with
 * a type, and a Sequence is several of them. */
#include <string.h>

#include "common/log.h"
#include "text/huggingface.h"
#include "text/utf8.h"

typedef zm_status (*read_part)(const zm_token_reader *in, const json_t *part, const char *type);

/* Reads the part, or each part of a sequence. what: of messages; list: what a sequence calls it. */
static zm_status read_parts(const zm_token_reader *in, const json_t *part, const char *what,
                            const char *list, read_part read)
{
    const char *type = zm_json_string(part, "type");
    size_t i;
    json_t *next;
    if (!part || json_is_null(part))
        return ZM_OK;
    if (!type)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: a %s without a type", in->name, what);
    if (strcmp(type, "Sequence") != 0)
        return read(in, part, type);
    const json_t *parts = json_object_get(part, list);
    if (!json_is_array(parts))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: the sequence of its %s has no %s",
                       in->name, what, list);
    json_array_foreach(parts, i, next)
    {
        zm_status status = read_parts(in, next, what, list, read);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

static zm_status unsupported(const zm_token_reader *in, const char *what, const char *type)
{
    return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: the %s '%.40s' is not supported", in->name,
                   what, type);
}

static zm_status no_field(const zm_token_reader *in, const char *type, const char *field)
{
    return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: '%.40s' has no good %s", in->name, type,
                   field);
}

static bool flag(const json_t *part, const char *field, bool otherwise)
{
    const json_t *value = json_object_get(part, field);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* {"String": ..} or {"Regex": ..} */
static const char *pattern_of(const json_t *part, bool *regex)
{
    const json_t *pattern = json_object_get(part, "pattern");
    const char *string = zm_json_string(pattern, "String");
    *regex = !string;
    return string ? string : zm_json_string(pattern, "Regex");
}

static zm_status read_normalizer(const zm_token_reader *in, const json_t *part, const char *type)
{
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase"};
    bool regex;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (strcmp(type, forms[i]) == 0)
            return zm_step_add_form(in, (zm_unicode_form)(ZM_UNICODE_NFC + i));
    if (strcmp(type, "Prepend") == 0) {
        const char *text = zm_json_string(part, "prepend");
        return text ? zm_step_add_prefix(in, text, false, false) : no_field(in, type, "prepend");
    }
    if (strcmp(type, "Replace") != 0)
        return unsupported(in, "normalizer", type);
    const char *pattern = pattern_of(part, &regex), *content = zm_json_string(part, "content");
    if (!pattern || !content)
        return no_field(in, type, pattern ? "content" : "pattern");
    return zm_step_add_replace(in, regex, pattern, content);
}

static zm_status read_behavior(const zm_token_reader *in, const json_t *part, const char *type,
                               zm_split_behavior *out)
{
    static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                        "MergedWithNext"};
    const char *name = zm_json_string(part, "behavior");
    for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (zm_split_behavior)(ZM_SPLIT_ISOLATED + i);
            return ZM_OK;
        }
    return no_field(in, type, "behavior");
}

/* What stands for a space: one character. */
static const char *replacement_of(const json_t *part)
{
    const char *text = zm_json_string(part, "replacement");
    const bool one = text && text[0] && text[zm_utf8_length(text[0])] == '\0';
    return one ? text : NULL;
}

/* Older files have add_prefix_space, newer ones prepend_scheme. */
static const char *scheme_of(const json_t *part)
{
    const char *scheme = zm_json_string(part, "prepend_scheme");
    return scheme ? scheme : flag(part, "add_prefix_space", true) ? "always" : "never";
}

static zm_status read_metaspace(const zm_token_reader *in, const json_t *part, const char *type)
{
    const char *space = replacement_of(part), *scheme = scheme_of(part);
    if (!space)
        return no_field(in, type, "replacement");
    zm_status status = zm_step_add_replace(in, false, " ", space);
    if (status == ZM_OK && strcmp(scheme, "never") != 0)
        status = zm_step_add_prefix(in, space, true, strcmp(scheme, "first") == 0);
    if (status == ZM_OK && flag(part, "split", true))
        status = zm_step_add_split(in, false, space, ZM_SPLIT_WITH_NEXT, false);
    return status;
}

static zm_status read_byte_level(const zm_token_reader *in, const json_t *part)
{
    zm_status status = ZM_OK;
    if (flag(part, "add_prefix_space", true))
        status = zm_step_add_prefix(in, " ", true, false);
    if (status == ZM_OK && flag(part, "use_regex", true))
        status = zm_step_add_gpt2(in);
    return status == ZM_OK ? zm_step_add_simple(in, ZM_STEP_BYTES) : status;
}

static zm_status read_pre_tokenizer(const zm_token_reader *in, const json_t *part, const char *type)
{
    zm_split_behavior behavior = ZM_SPLIT_ISOLATED;
    bool regex;
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(in, part);
    if (strcmp(type, "Metaspace") == 0)
        return read_metaspace(in, part, type);
    if (strcmp(type, "WhitespaceSplit") == 0)
        return zm_step_add_split(in, true, "\\s", ZM_SPLIT_REMOVED, false);
    if (strcmp(type, "Digits") == 0)
        return zm_step_add_split(in, true, "\\p{N}",
                                 flag(part, "individual_digits", false) ? ZM_SPLIT_ISOLATED
                                                                        : ZM_SPLIT_CONTIGUOUS,
                                 false);
    const bool punctuation = strcmp(type, "Punctuation") == 0;
    if (!punctuation && strcmp(type, "Split") != 0)
        return unsupported(in, "pre-tokenizer", type);
    zm_status status = read_behavior(in, part, type, &behavior);
    if (status != ZM_OK)
        return status;
    if (punctuation)
        return zm_step_add_punctuation(in, behavior);
    const char *pattern = pattern_of(part, &regex);
    if (!pattern)
        return no_field(in, type, "pattern");
    return zm_step_add_split(in, regex, pattern, behavior, flag(part, "invert", false));
}

zm_status zm_huggingface_steps(const zm_token_reader *in, const json_t *root)
{
    zm_status status = zm_step_add_simple(in, ZM_STEP_ADDED);
    if (status == ZM_OK)
        status = read_parts(in, json_object_get(root, "normalizer"), "normalizer", "normalizers",
                            read_normalizer);
    if (status == ZM_OK)
        status = zm_step_end_normalizers(in);
    if (status == ZM_OK)
        status = read_parts(in, json_object_get(root, "pre_tokenizer"), "pre-tokenizer",
                            "pretokenizers", read_pre_tokenizer);
    return status;
}

/* {"SpecialToken": {"id": "<s>"}}, which special_tokens gives the ids of */
static zm_status add_frame(const zm_token_reader *in, const json_t *specials, const json_t *entry,
                           int32_t *ids, size_t *count)
{
    const char *name = zm_json_string(json_object_get(entry, "SpecialToken"), "id");
    const json_t *list = name ? json_object_get(json_object_get(specials, name), "ids") : NULL;
    size_t i;
    json_t *id;
    if (!json_is_array(list))
        return no_field(in, "TemplateProcessing", "special_tokens");
    json_array_foreach(list, i, id)
    {
        const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= in->tokenizer->size || !in->tokenizer->tokens[value].present)
            return no_field(in, "TemplateProcessing", "ids");
        if (*count == ZM_FRAME_MAX)
            return zm_fail(in->log, ZM_ERROR_UNSUPPORTED,
                           "%s: a template with over %d tokens is not supported", in->name,
                           ZM_FRAME_MAX);
        ids[(*count)++] = (int32_t)value;
    }
    return ZM_OK;
}

static zm_status read_template(const zm_token_reader *in, const json_t *part)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    const json_t *single = json_object_get(part, "single");
    const json_t *specials = json_object_get(part, "special_tokens");
    bool behind = false;
    size_t i;
    json_t *entry;
    if (!json_is_array(single) || tokenizer->before_count + tokenizer->after_count > 0)
        return no_field(in, "TemplateProcessing", "single");
    json_array_foreach(single, i, entry)
    {
        zm_status status = ZM_OK;
        if (json_object_get(entry, "Sequence")) {
            if (behind)
                return unsupported(in, "post-processor", "TemplateProcessing with two texts");
            behind = true;
        } else if (behind) {
            status = add_frame(in, specials, entry, tokenizer->after, &tokenizer->after_count);
        } else {
            status = add_frame(in, specials, entry, tokenizer->before, &tokenizer->before_count);
        }
        if (status != ZM_OK)
            return status;
    }
    return behind ? ZM_OK : no_field(in, "TemplateProcessing", "single");
}

/* {"sep": ["</s>", 2], "cls": ["<s>", 0]}: cls in front, sep behind */
static zm_status read_roberta(const zm_token_reader *in, const json_t *part, const char *type)
{
    static const char *const keys[] = {"cls", "sep"};
    zm_tokenizer *tokenizer = in->tokenizer;
    if (tokenizer->before_count + tokenizer->after_count > 0)
        return unsupported(in, "post-processor", type);
    for (int i = 0; i < 2; i++) {
        const json_t *id = json_array_get(json_object_get(part, keys[i]), 1);
        const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= tokenizer->size || !tokenizer->tokens[value].present)
            return no_field(in, type, keys[i]);
        *(i ? tokenizer->after : tokenizer->before) = (int32_t)value;
    }
    tokenizer->before_count = tokenizer->after_count = 1;
    return ZM_OK;
}

static zm_status read_post_processor(const zm_token_reader *in, const json_t *part,
                                     const char *type)
{
    if (strcmp(type, "ByteLevel") == 0)
        return ZM_OK; /* about offsets */
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(in, part);
    if (strcmp(type, "RobertaProcessing") == 0)
        return read_roberta(in, part, type);
    return unsupported(in, "post-processor", type);
}

zm_status zm_huggingface_frame(const zm_token_reader *in, const json_t *root)
{
    return read_parts(in, json_object_get(root, "post_processor"), "post-processor", "processors",
                      read_post_processor);
}

static zm_status set_space(const zm_token_reader *in, const char *type, const char *space)
{
    zm_spelling *spelling = &in->tokenizer->spelling;
    if (!space || !space[0] || strlen(space) >= sizeof(spelling->space))
        return unsupported(in, "decoder", type);
    memcpy(spelling->space, space, strlen(space) + 1);
    return ZM_OK;
}

static zm_status read_strip(const zm_token_reader *in, const json_t *part, const char *type)
{
    const char *content = zm_json_string(part, "content");
    const json_int_t start = json_integer_value(json_object_get(part, "start"));
    const json_int_t stop = json_integer_value(json_object_get(part, "stop"));
    if (!content || strcmp(content, " ") != 0 || start < 0 || start > 1 || stop != 0)
        return unsupported(in, "decoder", type);
    if (start == 1)
        in->tokenizer->spelling.strip = ZM_STRIP_ONE;
    return ZM_OK;
}

static zm_status read_decoder(const zm_token_reader *in, const json_t *part, const char *type)
{
    zm_spelling *spelling = &in->tokenizer->spelling;
    bool regex;
    if (strcmp(type, "Fuse") == 0)
        return ZM_OK;
    if (strcmp(type, "ByteLevel") == 0) {
        spelling->byte_alphabet = true;
        return ZM_OK;
    }
    if (strcmp(type, "ByteFallback") == 0) {
        spelling->byte_tokens = true;
        return ZM_OK;
    }
    if (strcmp(type, "Strip") == 0)
        return read_strip(in, part, type);
    if (strcmp(type, "Metaspace") == 0) {
        if (strcmp(scheme_of(part), "never") != 0)
            spelling->strip = ZM_STRIP_FIRST_TOKEN;
        return set_space(in, type, replacement_of(part));
    }
    const char *pattern = pattern_of(part, &regex), *content = zm_json_string(part, "content");
    if (strcmp(type, "Replace") != 0 || regex || !content || strcmp(content, " ") != 0)
        return unsupported(in, "decoder", type);
    return set_space(in, type, pattern);
}

zm_status zm_huggingface_decoder(const zm_token_reader *in, const json_t *root)
{
    const json_t *decoder = json_object_get(root, "decoder");
    if (!decoder || json_is_null(decoder))
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: a tokenizer without a decoder",
                       in->name);
    return read_parts(in, decoder, "decoder", "decoders", read_decoder);
}
