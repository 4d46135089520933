/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdio.h>
#include <string.h>

#define MOST_ROWS (1u << 24)

#define GPT(NAME, D, HEADS, TOKENS, LAYERS)                                                      \
    {                                                                                            \
        NAME, D, HEADS, HEADS, 4 * (D), TOKENS, 0, LAYERS, ZM_ACTIVATION_GELU_TANH, true, false, \
            false, true, 1                                                                       \
    }
#define VIT(NAME, D, HEADS, LAYERS)                                                              \
    {                                                                                            \
        NAME, D, HEADS, HEADS, 4 * (D), 197, 0, LAYERS, ZM_ACTIVATION_GELU, false, false, false, \
            true, 1                                                                              \
    }

/* Radford et al. 2019, Brown et al. 2020, Dosovitskiy et al. 2020 and Touvron et al. 2020 (Ti),
 * Radford et al. 2022; the last one has the sizes of a small Llama. */
static const net presets[] = {
    GPT("gpt2-small", 768, 12, 128, 12),
    GPT("gpt3-small", 768, 12, 512, 12),
    GPT("gpt3-medium", 1024, 16, 512, 24),
    GPT("gpt3-large", 1536, 16, 512, 24),
    VIT("vit-ti", 192, 3, 12),
    VIT("vit-s", 384, 6, 12),
    VIT("vit-b", 768, 12, 12),
    VIT("vit-l", 1024, 16, 24),
    {"whisper-base-encoder", 512, 8, 8, 2048, 1500, 0, 6, ZM_ACTIVATION_GELU, false, false, false,
     true, 1},
    {"llama-like", 1024, 16, 4, 2816, 128, 0, 16, ZM_ACTIVATION_SILU, true, true, true, false, 1},
};

const net *net_preset(size_t i)
{
    return i < sizeof(presets) / sizeof(presets[0]) ? &presets[i] : NULL;
}

static const net *find(const char *name, size_t length)
{
    const net *preset;
    for (size_t i = 0; (preset = net_preset(i)) != NULL; i++)
        if (strlen(preset->name) == length && memcmp(preset->name, name, length) == 0)
            return preset;
    return NULL;
}

/* What is not said is as in the preset, or follows from d. */
static void take_items(shape *s, bool preset, net *n)
{
    uint32_t heads = n->heads, ff = n->ff, d = n->d;
    n->d = shape_get(s, "d", d);
    if (!preset || n->d != d) {
        heads = n->d >= 64 ? n->d / 64 : 1;
        ff = 4 * n->d;
    }
    bool other = heads != n->heads || !preset;
    n->heads = shape_get(s, "heads", heads);
    other |= n->heads != heads;
    n->kv_heads = shape_get(s, "kv", other ? n->heads : n->kv_heads);
    n->ff = shape_get(s, "ff", ff);
    n->tokens = shape_get(s, "tokens", n->tokens);
    n->past = shape_get(s, "past", n->past);
    n->layers = shape_get(s, "layers", n->layers);
    n->batch = shape_get(s, "batch", net_batch(n));
    n->causal |= shape_flag(s, "causal");
    n->rotary |= shape_flag(s, "rotary");
    n->biases &= !shape_flag(s, "bare");
    if (shape_flag(s, "gated")) {
        n->gated = true;
        n->activation = ZM_ACTIVATION_SILU;
    }
}

zm_status net_read(const char *text, net *out, shape_reason *reason)
{
    size_t length = strcspn(text, ",");
    const net *preset = find(text, length);
    shape s = {0};
    reason->text[0] = '\0';
    *out = preset ? *preset
                  : (net){.name = "",
                          .d = 768,
                          .tokens = 128,
                          .layers = 12,
                          .activation = ZM_ACTIVATION_GELU,
                          .biases = true};
    zm_status status =
        shape_parse(text + (preset ? length + (text[length] == ',') : 0), &s, reason);
    if (status != ZM_OK)
        return status;
    take_items(&s, preset, out);
    for (size_t i = 0; i < s.count && !reason->text[0]; i++)
        if (!s.items[i].used)
            snprintf(reason->text, sizeof(reason->text), "'%s' is no preset and none of " NET_KEYS,
                     s.items[i].key);
    if (!reason->text[0] && (out->d % out->heads || out->heads % out->kv_heads || out->d < 2 ||
                             (out->rotary && net_head_dim(out) % 2)))
        snprintf(reason->text, sizeof(reason->text),
                 "heads are to divide d, those of keys (kv) those of queries");
    return reason->text[0] ? ZM_ERROR_INVALID_ARGUMENT : net_set_batch(out, out->batch, reason);
}

zm_status net_set_batch(net *n, uint32_t batch, shape_reason *reason)
{
    n->batch = batch;
    if ((uint64_t)net_batch(n) * ((uint64_t)n->past + n->tokens) <= MOST_ROWS)
        return ZM_OK;
    snprintf(reason->text, sizeof(reason->text), "a batch of %u makes more than %u rows", batch,
             MOST_ROWS);
    return ZM_ERROR_INVALID_ARGUMENT;
}

void net_print(const net *n, char *text, size_t size)
{
    char sizes[64] = "", past[20] = "", batch[20] = "";
    if (n->past)
        snprintf(past, sizeof(past), ",past=%u", n->past);
    if (net_batch(n) > 1)
        snprintf(batch, sizeof(batch), ",batch=%u", n->batch);
    if (!n->name[0])
        snprintf(sizes, sizeof(sizes), "d=%u,heads=%u,kv=%u,ff=%u", n->d, n->heads, n->kv_heads,
                 n->ff);
    snprintf(text, size, "%s%s,tokens=%u%s,layers=%u%s%s%s%s%s", n->name, sizes, n->tokens, past,
             n->layers, batch, !n->name[0] && n->causal ? ",causal" : "",
             !n->name[0] && n->gated ? ",gated" : "", !n->name[0] && n->rotary ? ",rotary" : "",
             !n->name[0] && !n->biases ? ",bare" : "");
}

uint32_t net_head_dim(const net *n)
{
    return n->d / n->heads;
}

uint32_t net_batch(const net *n)
{
    return n->batch ? n->batch : 1;
}

uint32_t net_rows(const net *n)
{
    return net_batch(n) * n->tokens;
}

double net_layer_weights(const net *n)
{
    double d = n->d, kv = (double)n->kv_heads * net_head_dim(n);
    return d * (2 * d + 2 * kv) + d * n->ff * (n->gated ? 3 : 2);
}

double net_flops(const net *n)
{
    double rows = n->tokens, seen = n->past + (n->causal ? (rows + 1) / 2 : rows);
    return n->layers * net_batch(n) * (2 * rows * net_layer_weights(n) + 4 * rows * seen * n->d);
}
