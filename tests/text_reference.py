# SPDX-License-Identifier: Apache-2.0
"""The mathematics of families of decoders of text in float64, from the papers and from how Hugging
Face's files lay tensors out: slow, plain, and of nothing that the library has.

Weights have large means and outliers: what subtracts a mean, or forgets to, shows.
"""
import array
import json
import math
import random
import struct

from text_math import (alibi, attend, float32, gelu, gelu_tanh, layer_norm, llama3_factors, plus,
                       product, relu, rms_norm, rotate, silu, split, yarn_factors)

D, HEADS, FF, LAYERS, VOCABULARY, POSITIONS = 24, 6, 40, 2, 37, 64
TOKENS = [5, 11, 36, 0, 7, 11, 2, 30, 19]


# ---- a model is a file with the tensors that its mathematics asked for ----

class Model:
    """Makes a tensor when it is first asked for, with values that float32 has."""
    prefix = ""
    heads, kv_heads, dim, ff = HEADS, HEADS, D // HEADS, FF
    eps = float32(1e-5)
    config = {}

    def __init__(self):
        self.random = random.Random(type(self).__name__)
        self.tensors = {}

    half = False  # tensors of float16

    def get(self, name, *shape, kind="weight"):
        if name not in self.tensors:
            count = math.prod(shape)
            centre = {"weight": 0.04, "norm": 1.0, "bias": 0.3, "offset": 0.3, "table": 0.5}[kind]
            values = [self.random.gauss(centre, 0.2) for _ in range(count)]
            for _ in range(1 + count // 100):
                values[self.random.randrange(count)] *= 4
            if kind == "offset":
                values = [round(v * 1024) / 1024 for v in values]
            if self.half:
                values = struct.unpack(f"{count}e", struct.pack(f"{count}e", *values))
            self.tensors[name] = (list(shape), array.array("f", values))
        shape, values = self.tensors[name]
        return split(list(values), shape[1]) if len(shape) == 2 else list(values)

    def matrix(self, name, n, k):
        return self.get(name + ".weight", n, k)

    def bias(self, name, n):
        return self.get(name + ".bias", n, kind="bias")

    def linear(self, name, x, n, bias=True):
        return product(self.matrix(name, n, len(x)), x, self.bias(name, n) if bias else None)

    def norm(self, name, x, bias=True):
        weight = self.get(name + ".weight", len(x), kind="norm")
        return layer_norm(x, weight, self.bias(name, len(x)) if bias else None, self.eps)

    def table(self, name, rows):
        return self.get(name + ".weight", rows, D, kind="table")

    def write(self, folder, metadata=None):
        folder.mkdir(parents=True)
        config = {key: value for key, value in self.config.items() if value is not ...}
        (folder / "config.json").write_text(json.dumps(config))
        header, data = {"__metadata__": metadata} if metadata else {}, b""
        for name, (shape, values) in self.tensors.items():
            raw = struct.pack(f"{len(values)}e", *values) if self.half else values.tobytes()
            header[name] = {"dtype": "F16" if self.half else "F32", "shape": shape,
                            "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)

    # What follows is for all positions at once: x is a list of rows.

    def sequential(self, x, layer):
        attended = self.attention(layer, [self.first(layer, r) for r in x])
        x = [plus(a, b) for a, b in zip(x, attended)]
        return [plus(r, self.mlp(layer, self.second(layer, r))) for r in x]

    def parallel(self, x, layer):
        attended = self.attention(layer, [self.first(layer, r) for r in x])
        return [plus(r, a, self.mlp(layer, self.second(layer, r))) for r, a in zip(x, attended)]

    block = sequential

    def logits(self):
        x = self.enter(TOKENS)
        for layer in range(LAYERS):
            x = self.block(x, layer)
        return [self.head(row) for row in x]


class Llama(Model):
    kv_heads, eps, bias_of_qkv, window, base = 2, float32(1e-6), False, None, 500.0
    stretch, act, factors, magnitude = 1, staticmethod(silu), None, 1
    config = dict(model_type="llama", hidden_size=D, num_hidden_layers=LAYERS, rope_theta=500.0,
                  num_attention_heads=HEADS, num_key_value_heads=2, intermediate_size=FF,
                  vocab_size=VOCABULARY, max_position_embeddings=POSITIONS, rms_norm_eps=1e-6,
                  hidden_act="silu", tie_word_embeddings=False, rope_scaling=None)

    def norm(self, name, x, bias=True):
        return rms_norm(x, self.get(name + ".weight", len(x), kind="norm"), self.eps)

    def enter(self, tokens):
        table = self.table("model.embed_tokens", VOCABULARY)
        return [table[t] for t in tokens]

    def first(self, layer, x):
        return self.norm(f"model.layers.{layer}.input_layernorm", x)

    def second(self, layer, x):
        return self.norm(f"model.layers.{layer}.post_attention_layernorm", x)

    def attention(self, layer, rows):
        name = f"model.layers.{layer}.self_attn."
        q, k, v = ([split(self.linear(name + letter, r, heads * self.dim, self.bias_of_qkv),
                          self.dim) for r in rows]
                   for letter, heads in (("q_proj", self.heads), ("k_proj", self.kv_heads),
                                         ("v_proj", self.kv_heads)))
        q, k = ([[rotate(h, p / self.stretch, self.dim, self.base, False, self.factors,
                         self.magnitude) for h in r]
                 for p, r in enumerate(part)] for part in (q, k))
        return [self.output(name + "o_proj", r) for r in attend(q, k, v, window=self.window)]

    def output(self, name, x):
        return self.linear(name, x, D, False)

    def mlp(self, layer, x):
        name = f"model.layers.{layer}.mlp."
        gate = self.linear(name + "gate_proj", x, self.ff, False)
        up = self.linear(name + "up_proj", x, self.ff, False)
        return self.linear(name + "down_proj", [self.act(a) * b for a, b in zip(gate, up)], D, False)

    def head(self, x):
        return self.linear("lm_head", self.norm("model.norm", x), VOCABULARY, False)


class LlamaLong(Llama):
    stretch = 4
    config = dict(Llama.config, rope_scaling={"rope_type": "linear", "factor": 4.0})


class LlamaWide(Llama):
    """Heads wider than d / heads, an ff that fills no whole panel, a tied head."""
    dim, ff = 16, 27
    config = dict(Llama.config, head_dim=16, intermediate_size=27, tie_word_embeddings=True)

    def head(self, x):
        return product(self.table("model.embed_tokens", VOCABULARY), self.norm("model.norm", x))


class Llama3(LlamaWide):
    factors = llama3_factors(16, 500.0, 8.0, 1.0, 4.0, 64)
    config = dict(LlamaWide.config, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64))


class LlamaYarn(LlamaWide):
    """With all that is about positions in one place, as newer files have it."""
    factors, magnitude = yarn_factors(16, 500.0, 4.0, 48), float32(0.1 * math.log(4) + 1)
    config = dict(LlamaWide.config, rope_theta=..., rope_scaling=None, rope_parameters=dict(
        rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=48))


class LlamaHalf(Llama):
    half = True


class Qwen2(Llama):
    bias_of_qkv = True
    config = dict(Llama.config, model_type="qwen2", use_sliding_window=False)


class Qwen2Yarn(Qwen2):
    dim, factors = 16, yarn_factors(16, 500.0, 4.0, POSITIONS, 4.0, 0.5)
    magnitude = float32(0.75 * (0.1 * math.log(4) + 1))
    config = dict(Qwen2.config, head_dim=16, rope_scaling=dict(
        type="yarn", factor=4.0, attention_factor=0.75 * (0.1 * math.log(4) + 1), beta_fast=4,
        beta_slow=0.5))


class Mistral(Llama):
    window = 3
    config = dict(Llama.config, model_type="mistral", sliding_window=3)


class Gemma(Llama):
    """Norms multiply by 1 + their weight, which float32 has as well as the weight."""
    dim = 16
    config = dict(Llama.config, model_type="gemma", head_dim=16, hidden_act="gelu",
                  hidden_activation=None)
    del config["tie_word_embeddings"]
    act = staticmethod(gelu_tanh)
    head = LlamaWide.head

    def norm(self, name, x, bias=True):
        weight = self.get(name + ".weight", len(x), kind="offset")
        return rms_norm(x, [1 + w for w in weight], self.eps)

    def enter(self, tokens):
        return [[float32(math.sqrt(D)) * v for v in row] for row in super().enter(tokens)]


class Starcoder2(Llama):
    bias_of_qkv, window, norm = True, 4, Model.norm
    eps = float32(1e-4)
    config = dict(model_type="starcoder2", hidden_size=D, num_hidden_layers=LAYERS,
                  num_attention_heads=HEADS, num_key_value_heads=2, intermediate_size=FF,
                  vocab_size=VOCABULARY, max_position_embeddings=POSITIONS, norm_epsilon=1e-4,
                  hidden_act="gelu_pytorch_tanh", rope_theta=500.0, sliding_window=4,
                  use_bias=True, norm_type="layer_norm", mlp_type="default")
    head = LlamaWide.head

    def output(self, name, x):
        return self.linear(name, x, D)

    def mlp(self, layer, x):
        name = f"model.layers.{layer}.mlp."
        up = [gelu_tanh(v) for v in self.linear(name + "c_fc", x, self.ff)]
        return self.linear(name + "c_proj", up, D)


class Starcoder2Whole(Starcoder2):
    """Without a window, as GGUF files have it."""
    window = None
    config = dict(Starcoder2.config, sliding_window=None)


class Gpt2(Model):
    config = dict(model_type="gpt2", n_embd=D, n_layer=LAYERS, n_head=HEADS, n_inner=None,
                  vocab_size=VOCABULARY, n_positions=POSITIONS, layer_norm_epsilon=1e-5,
                  activation_function="gelu_new")
    prefix, ff, multi_query = "transformer.", 4 * D, False

    def conv1d(self, name, x, n):
        stored = self.matrix(name, len(x), n)
        return product(list(zip(*stored)), x, self.bias(name, n))

    project = conv1d

    def enter(self, tokens):
        table = self.table(self.prefix + "wte", VOCABULARY)
        positions = self.table(self.prefix + "wpe", POSITIONS)
        return [plus(table[t], positions[p]) for p, t in enumerate(tokens)]

    def first(self, layer, x):
        return self.norm(f"{self.prefix}h.{layer}.ln_1", x)

    def second(self, layer, x):
        return self.norm(f"{self.prefix}h.{layer}.ln_2", x)

    def attention(self, layer, rows):
        name = f"{self.prefix}h.{layer}.attn."
        width = D + 2 * self.kv_heads * self.dim
        all_three = [split(self.project(name + "c_attn", r, width), self.dim) for r in rows]
        q, k, v = ([r[first:last] for r in all_three]
                   for first, last in ((0, HEADS), (HEADS, HEADS + self.kv_heads),
                                       (HEADS + self.kv_heads, HEADS + 2 * self.kv_heads)))
        return [self.project(name + "c_proj", r, D) for r in attend(q, k, v)]

    def mlp(self, layer, x):
        name = f"{self.prefix}h.{layer}.mlp."
        up = [gelu_tanh(v) for v in self.project(name + "c_fc", x, self.ff)]
        return self.project(name + "c_proj", up, D)

    def head(self, x):
        return product(self.table(self.prefix + "wte", VOCABULARY),
                       self.norm(self.prefix + "ln_f", x))


class Gpt2Base(Gpt2):
    """As the first files have it, without the prefix and with the mask of the attention."""
    prefix = ""

    def logits(self):
        self.get("h.1.attn.bias", 4, 4)
        return super().logits()


class Gpt2Half(Gpt2):
    half = True


class GptBigcode(Gpt2):
    kv_heads = 1
    project = Model.linear
    config = dict(Gpt2.config, model_type="gpt_bigcode", multi_query=True,
                  activation_function="gelu_pytorch_tanh")


class GptNeox(Model):
    block = Model.parallel
    name = "gpt_neox.layers."
    config = dict(model_type="gpt_neox", hidden_size=D, num_hidden_layers=LAYERS,
                  num_attention_heads=HEADS, intermediate_size=FF, vocab_size=VOCABULARY,
                  max_position_embeddings=POSITIONS, layer_norm_eps=1e-5, hidden_act="gelu",
                  rotary_emb_base=1000, rotary_pct=0.5, use_parallel_residual=True)

    def enter(self, tokens):
        table = self.table("gpt_neox.embed_in", VOCABULARY)
        return [table[t] for t in tokens]

    def first(self, layer, x):
        return self.norm(f"{self.name}{layer}.input_layernorm", x)

    def second(self, layer, x):
        return self.norm(f"{self.name}{layer}.post_attention_layernorm", x)

    def attention(self, layer, rows):
        name = f"{self.name}{layer}.attention."
        all_three = [split(self.linear(name + "query_key_value", r, 3 * D), self.dim) for r in rows]
        q, k, v = ([r[i::3] for r in all_three] for i in range(3))
        q, k = ([[rotate(h, p, 2, 1000, False) for h in r] for p, r in enumerate(part)]
                for part in (q, k))
        return [self.linear(name + "dense", r, D) for r in attend(q, k, v)]

    def mlp(self, layer, x):
        name = f"{self.name}{layer}.mlp.dense_"
        up = [gelu(v) for v in self.linear(name + "h_to_4h", x, self.ff)]
        return self.linear(name + "4h_to_h", up, D)

    def head(self, x):
        return product(self.matrix("embed_out", VOCABULARY, D),
                       self.norm("gpt_neox.final_layer_norm", x))


class GptNeoxSequential(GptNeox):
    block = Model.sequential
    config = dict(GptNeox.config, use_parallel_residual=False, rotary_emb_base=..., rotary_pct=...,
                  rope_parameters=dict(rope_type="default", rope_theta=1000.0,
                                       partial_rotary_factor=0.5))


class GptNeoxHalf(GptNeox):
    half = True


class Gptj(Model):
    block = Model.parallel
    ff = 4 * D
    layers, norm_of, out = "transformer.h.", "ln_1", "attn.out_proj"
    ends = ("transformer.wte", "transformer.ln_f")
    qkv, ups, qkv_bias = "attn.", ("mlp.fc_in", "mlp.fc_out"), False
    rotary, pairs = 4, True
    config = dict(model_type="gptj", n_embd=D, n_layer=LAYERS, n_head=HEADS, n_inner=None,
                  vocab_size=VOCABULARY, n_positions=POSITIONS, layer_norm_epsilon=1e-5,
                  activation_function="gelu_new", rotary_dim=4, tie_word_embeddings=False)

    def enter(self, tokens):
        table = self.table(self.ends[0], VOCABULARY)
        return [table[t] for t in tokens]

    def first(self, layer, x):
        return self.norm(f"{self.layers}{layer}.{self.norm_of}", x)

    second = first

    def attention(self, layer, rows):
        name = f"{self.layers}{layer}."
        q, k, v = ([split(self.linear(f"{name}{self.qkv}{letter}_proj", r, D, self.qkv_bias),
                          self.dim) for r in rows] for letter in "qkv")
        q, k = ([[rotate(h, p, self.rotary, 10000, self.pairs) for h in r]
                 for p, r in enumerate(part)] for part in (q, k))
        return [self.linear(name + self.out, r, D, self.qkv_bias) for r in attend(q, k, v)]

    def mlp(self, layer, x):
        name = f"{self.layers}{layer}."
        up = [gelu_tanh(v) for v in self.linear(name + self.ups[0], x, self.ff)]
        return self.linear(name + self.ups[1], up, D)

    def head(self, x):
        return self.linear("lm_head", self.norm(self.ends[1], x), VOCABULARY)


class Phi(Gptj):
    ff = FF
    layers, norm_of, out = "model.layers.", "input_layernorm", "self_attn.dense"
    ends = ("model.embed_tokens", "model.final_layernorm")
    qkv, ups, qkv_bias = "self_attn.", ("mlp.fc1", "mlp.fc2"), True
    rotary, pairs = 2, False
    config = dict(model_type="phi", hidden_size=D, num_hidden_layers=LAYERS,
                  num_attention_heads=HEADS, intermediate_size=FF, vocab_size=VOCABULARY,
                  max_position_embeddings=POSITIONS, layer_norm_eps=1e-5, hidden_act="gelu_new",
                  partial_rotary_factor=0.5, rope_theta=10000.0, qk_layernorm=False)


class Falcon(Model):
    """As the 7B is."""
    block = Model.parallel
    kv_heads, ff, biased = 1, 4 * D, False
    norms = ("input_layernorm", "input_layernorm")
    config = dict(model_type="falcon", hidden_size=D, num_hidden_layers=LAYERS, bias=False,
                  num_attention_heads=HEADS, vocab_size=VOCABULARY, layer_norm_epsilon=1e-5,
                  max_position_embeddings=POSITIONS, multi_query=True, parallel_attn=True,
                  new_decoder_architecture=False, alibi=False)

    def enter(self, tokens):
        table = self.table("transformer.word_embeddings", VOCABULARY)
        return [table[t] for t in tokens]

    def first(self, layer, x):
        return self.norm(f"transformer.h.{layer}.{self.norms[0]}", x)

    def second(self, layer, x):
        return self.norm(f"transformer.h.{layer}.{self.norms[1]}", x)

    def turn(self, part):
        return [[rotate(h, p, self.dim, 10000, False) for h in r] for p, r in enumerate(part)]

    slopes = None

    def attention(self, layer, rows):
        name = f"transformer.h.{layer}.self_attention."
        group = HEADS // self.kv_heads
        width = D + 2 * self.kv_heads * self.dim
        groups = [split(split(self.linear(name + "query_key_value", r, width, self.biased),
                              self.dim), group + 2) for r in rows]
        q = [[h for g in r for h in g[:group]] for r in groups]
        k = [[g[group] for g in r] for r in groups]
        v = [[g[group + 1] for g in r] for r in groups]
        return [self.linear(name + "dense", r, D, self.biased)
                for r in attend(self.turn(q), self.turn(k), v, self.slopes)]

    activation = staticmethod(gelu)

    def mlp(self, layer, x):
        name = f"transformer.h.{layer}.mlp.dense_"
        up = [self.activation(v) for v in self.linear(name + "h_to_4h", x, self.ff, self.biased)]
        return self.linear(name + "4h_to_h", up, D, self.biased)

    def head(self, x):
        return product(self.table("transformer.word_embeddings", VOCABULARY),
                       self.norm("transformer.ln_f", x))


class Falcon40(Falcon):
    kv_heads = 2
    norms = ("ln_attn", "ln_mlp")
    config = dict(Falcon.config, new_decoder_architecture=True, num_kv_heads=2)


class Bloom(Falcon):
    """Its attention is Falcon's with as many heads of keys as of queries."""
    block = Model.sequential
    kv_heads, biased, slopes = HEADS, True, alibi(HEADS)
    norms = ("input_layernorm", "post_attention_layernorm")
    activation = staticmethod(gelu_tanh)
    config = dict(model_type="bloom", hidden_size=D, n_layer=LAYERS, n_head=HEADS,
                  vocab_size=VOCABULARY, layer_norm_epsilon=1e-5,
                  apply_residual_connection_post_layernorm=False)

    def enter(self, tokens):
        return [self.norm("transformer.word_embeddings_layernorm", r)
                for r in super().enter(tokens)]

    def turn(self, part):
        return part


class Opt(Model):
    name = "model.decoder.layers."
    config = dict(model_type="opt", hidden_size=D, num_hidden_layers=LAYERS, ffn_dim=FF,
                  num_attention_heads=HEADS, vocab_size=VOCABULARY, activation_function="relu",
                  max_position_embeddings=POSITIONS, do_layer_norm_before=True,
                  word_embed_proj_dim=D, tie_word_embeddings=True)

    def enter(self, tokens):
        table = self.table("model.decoder.embed_tokens", VOCABULARY)
        positions = self.table("model.decoder.embed_positions", POSITIONS + 2)
        return [plus(table[t], positions[p + 2]) for p, t in enumerate(tokens)]

    def first(self, layer, x):
        return self.norm(f"{self.name}{layer}.self_attn_layer_norm", x)

    def second(self, layer, x):
        return self.norm(f"{self.name}{layer}.final_layer_norm", x)

    def attention(self, layer, rows):
        name = f"{self.name}{layer}.self_attn."
        q, k, v = ([split(self.linear(f"{name}{letter}_proj", r, D), self.dim) for r in rows]
                   for letter in "qkv")
        return [self.linear(name + "out_proj", r, D) for r in attend(q, k, v)]

    def mlp(self, layer, x):
        up = [relu(v) for v in self.linear(f"{self.name}{layer}.fc1", x, self.ff)]
        return self.linear(f"{self.name}{layer}.fc2", up, D)

    def head(self, x):
        return product(self.table("model.decoder.embed_tokens", VOCABULARY),
                       self.norm("model.decoder.final_layer_norm", x))


class Mpt(Model):
    ff = 3 * D
    config = dict(model_type="mpt", d_model=D, n_layers=LAYERS, n_heads=HEADS, expansion_ratio=3,
                  vocab_size=VOCABULARY, max_seq_len=POSITIONS, no_bias=True,
                  attn_config=dict(alibi=True, alibi_bias_max=8, clip_qkv=None, qk_ln=False))

    def enter(self, tokens):
        table = self.table("transformer.wte", VOCABULARY)
        return [table[t] for t in tokens]

    def first(self, layer, x):
        return self.norm(f"transformer.blocks.{layer}.norm_1", x, False)

    def second(self, layer, x):
        return self.norm(f"transformer.blocks.{layer}.norm_2", x, False)

    def attention(self, layer, rows):
        name = f"transformer.blocks.{layer}.attn."
        all_three = [split(self.linear(name + "Wqkv", r, 3 * D, False), self.dim) for r in rows]
        q, k, v = ([r[HEADS * i:HEADS * (i + 1)] for r in all_three] for i in range(3))
        return [self.linear(name + "out_proj", r, D, False) for r in attend(q, k, v, alibi(HEADS))]

    def mlp(self, layer, x):
        name = f"transformer.blocks.{layer}.ffn."
        up = [gelu(v) for v in self.linear(name + "up_proj", x, self.ff, False)]
        return self.linear(name + "down_proj", up, D, False)

    def head(self, x):
        return product(self.table("transformer.wte", VOCABULARY),
                       self.norm("transformer.norm_f", x, False))


FAMILIES = [Llama, LlamaLong, LlamaHalf, LlamaWide, Llama3, LlamaYarn, Gpt2, Gpt2Half, Gpt2Base,
            GptNeox, GptNeoxHalf, GptNeoxSequential, Gptj, Phi, Falcon, Falcon40, Opt, Bloom, Qwen2,
            Qwen2Yarn, Mistral, Mpt, GptBigcode, Gemma,
            Starcoder2, Starcoder2Whole]
