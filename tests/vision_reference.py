# SPDX-License-Identifier: Apache-2.0
"""The mathematics of models of images in float64, from the papers and from how Hugging Face's files
lay tensors out: slow, plain, and of nothing that the library has.

Weights have large means and outliers: what subtracts a mean, or forgets to, shows.
"""
import array
import json
import math
import random

from text_math import float32, gelu, layer_norm, plus, product, split
from text_reference import Model

D, HEADS, FF, LAYERS = 24, 6, 40, 2  # heads of 4: 1 / sqrt(4) is a float32
SIDE, PATCH, CHANNELS = 12, 4, 3
LABELS, PROJECTED = 5, 7
VOCABULARY, POSITIONS, END = 37, 9, 36
TOKENS = [35, 5, 11, 0, 7, END, 2, END]  # what is behind the first end is of no matter


def quick_gelu(x):
    return x / (1 + math.exp(-1.702 * x))


def pixels():
    source = random.Random("pixels")
    return [float32(source.gauss(0.3, 1)) for _ in range(CHANNELS * SIDE * SIDE)]


def attend(queries, keys, values, causal):
    """[position][head][dim] of each."""
    out = []
    for p, heads in enumerate(queries):
        row, seen = [], p + 1 if causal else len(keys)
        for h, q in enumerate(heads):
            scores = [math.fsum(a * b for a, b in zip(q, keys[j][h])) / math.sqrt(len(q))
                      for j in range(seen)]
            top = max(scores)
            weights = [math.exp(s - top) for s in scores]
            total = math.fsum(weights)
            row += [math.fsum(w * values[j][h][c] for j, w in enumerate(weights)) / total
                    for c in range(len(q))]
        out.append(row)
    return out


class Encoder(Model):
    """What its embeddings are made of: names are the family's."""
    d, heads, ff, layers, act, causal, eps = D, HEADS, FF, LAYERS, staticmethod(gelu), False, 1e-6
    distilled, classifies, pools = False, False, False

    def vector(self, name, *shape, kind="table"):
        """A tensor whose name is whole, as one list."""
        if name not in self.tensors:
            values = self.get(name, math.prod(shape), kind=kind)
            self.tensors[name] = (list(shape), self.tensors[name][1])
            return values
        return list(self.tensors[name][1])

    def norm(self, name, x, bias=True):
        return layer_norm(x, self.get(name + ".weight", len(x), kind="norm"),
                          self.bias(name, len(x)) if bias else None, float32(self.eps))

    def patches(self, name, bias):
        """Rows of pixels[c][i][j] by patches, from left to right and from top to bottom."""
        count = SIDE // PATCH
        weight = split(self.vector(name + ".weight", self.d, CHANNELS, PATCH, PATCH, kind="weight"),
                       CHANNELS * PATCH * PATCH)
        bias = self.bias(name, self.d) if bias else None
        image = pixels()
        rows = []
        for i in range(count):
            for j in range(count):
                patch = [image[(c * SIDE + i * PATCH + u) * SIDE + j * PATCH + v]
                         for c in range(CHANNELS) for u in range(PATCH) for v in range(PATCH)]
                rows.append(product(weight, patch, bias))
        return rows

    def gain(self, name, x):
        return x

    def attention(self, layer, rows):
        q, k, v = ([split(self.linear(name.replace("*", str(layer)), r, self.d),
                          self.d // self.heads) for r in rows] for name in self.qkv)
        return [self.linear(self.out.replace("*", str(layer)), r, self.d)
                for r in attend(q, k, v, self.causal)]

    def block(self, x, layer):
        names = [name.replace("*", str(layer)) for name in (*self.norms, self.up, self.down)]
        attended = self.attention(layer, [self.norm(names[0], r) for r in x])
        x = [plus(r, self.gain(self.gains[0].replace("*", str(layer)), a))
             for r, a in zip(x, attended)]
        out = []
        for r in x:
            up = [self.act(v) for v in self.linear(names[2], self.norm(names[1], r), self.ff)]
            out.append(plus(r, self.gain(self.gains[1].replace("*", str(layer)),
                                         self.linear(names[3], up, self.d))))
        return out

    gains = ("", "")

    def run(self):
        x = self.enter()
        for layer in range(self.layers):
            x = self.block(x, layer)
        return x

    def outputs(self):
        """By name, as a session shows them."""
        x = self.run()
        first = self.norm(self.last, x[0])
        out = {"embedding": self.embed(first)}
        if self.classifies:
            out["logits"] = self.classify(first, x)
        return out

    def embed(self, first):
        return first


class Vit(Encoder):
    root = "vit."
    eps, classifies = 1e-12, True
    config = dict(model_type="vit", hidden_size=D, num_hidden_layers=LAYERS,
                  num_attention_heads=HEADS, intermediate_size=FF, hidden_act="gelu",
                  layer_norm_eps=1e-12, image_size=SIDE, patch_size=PATCH, num_channels=CHANNELS,
                  qkv_bias=True)

    def __init__(self):
        super().__init__()
        layer = self.root + "encoder.layer.*."
        self.qkv = [layer + "attention.attention." + name for name in ("query", "key", "value")]
        self.out = layer + "attention.output.dense"
        self.norms = layer + "layernorm_before", layer + "layernorm_after"
        self.up, self.down = layer + "intermediate.dense", layer + "output.dense"
        self.last = self.root + "layernorm"

    def enter(self):
        root, count = self.root + "embeddings.", 2 if self.distilled else 1
        rows = [self.vector(root + "cls_token", 1, 1, D)]
        if self.distilled:
            rows.append(self.vector(root + "distillation_token", 1, 1, D))
        rows += self.patches(root + "patch_embeddings.projection", True)
        positions = split(self.vector(root + "position_embeddings", 1, len(rows), D), D)
        return [plus(a, b) for a, b in zip(rows, positions)]

    def classify(self, first, x):
        return self.linear("classifier", first, LABELS)


class VitPooled(Vit):
    """The base model alone, whose files have no prefix."""
    root, classifies = "", False
    config = dict(Vit.config, qkv_bias=False, pooler_act="tanh")

    def linear(self, name, x, n, bias=True):
        return super().linear(name, x, n, bias and name.partition("attention.attention")[1] == "")

    def embed(self, first):
        self.vector("embeddings.mask_token", 1, 1, D)
        return self.linear("pooler.dense", first, D)


class Deit(Vit):
    root, distilled = "deit.", True
    config = dict(Vit.config, model_type="deit")


class DeitTeacher(Deit):
    """The mean of what two tokens say."""

    def classify(self, first, x):
        second = self.norm(self.last, x[1])
        return [(a + b) / 2 for a, b in
                zip(self.linear("cls_classifier", first, LABELS),
                    self.linear("distillation_classifier", second, LABELS))]


class Dinov2(Vit):
    """LayerScale."""
    root, classifies, eps, ff = "", False, 1e-6, 2 * D
    config = dict(model_type="dinov2", hidden_size=D, num_hidden_layers=LAYERS,
                  num_attention_heads=HEADS, mlp_ratio=2, hidden_act="gelu", image_size=SIDE,
                  patch_size=PATCH, use_swiglu_ffn=False)

    def __init__(self):
        super().__init__()
        layer = self.root + "encoder.layer.*."
        self.norms = layer + "norm1", layer + "norm2"
        self.up, self.down = layer + "mlp.fc1", layer + "mlp.fc2"
        self.gains = layer + "layer_scale1.lambda1", layer + "layer_scale2.lambda1"

    def gain(self, name, x):
        return [a * b for a, b in zip(x, self.vector(name, len(x)))]

    def embed(self, first):
        self.vector("embeddings.mask_token", 1, D)
        return first


class Dinov2Half(Dinov2):
    """Float16 times gains is rounded once, to float32."""
    half = True


class ClipEncoder(Encoder):
    act, eps, layers = staticmethod(quick_gelu), 1e-5, LAYERS

    def __init__(self, root, tensors, last):
        super().__init__()
        self.random, self.tensors = random.Random(root), tensors
        layer = root + "encoder.layers.*."
        self.qkv = [layer + f"self_attn.{letter}_proj" for letter in "qkv"]
        self.out = layer + "self_attn.out_proj"
        self.norms = layer + "layer_norm1", layer + "layer_norm2"
        self.up, self.down = layer + "mlp.fc1", layer + "mlp.fc2"
        self.root, self.last = root, root + last


class ClipImage(ClipEncoder):
    def __init__(self, tensors):
        super().__init__("vision_model.", tensors, "post_layernorm")

    def enter(self):
        root = self.root + "embeddings."
        rows = [self.vector(root + "class_embedding", D)]
        rows += self.patches(root + "patch_embedding", False)
        positions = self.table(root + "position_embedding", len(rows))
        return [self.norm(self.root + "pre_layrnorm", plus(a, b)) for a, b in zip(rows, positions)]


class ClipText(ClipEncoder):
    d, heads, ff, layers, causal = 16, 4, 28, 3, True

    def __init__(self, tensors, end):
        super().__init__("text_model.", tensors, "final_layer_norm")
        self.place = TOKENS.index(end)

    def enter(self):
        table = self.get(self.root + "embeddings.token_embedding.weight", VOCABULARY, self.d)
        positions = self.get(self.root + "embeddings.position_embedding.weight", POSITIONS, self.d)
        return [plus(table[t], positions[p]) for p, t in enumerate(TOKENS)]


class Clip(Model):
    """Images and text. The end of a text is the field's token, or, where that is 2, the largest."""
    end = END
    config = dict(
        model_type="clip", projection_dim=PROJECTED,
        vision_config=dict(hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                           intermediate_size=FF, image_size=SIDE, patch_size=PATCH,
                           hidden_act="quick_gelu", projection_dim=512),
        text_config=dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=4,
                         intermediate_size=28, vocab_size=VOCABULARY,
                         max_position_embeddings=POSITIONS, eos_token_id=2,
                         hidden_act="quick_gelu", layer_norm_eps=1e-5))

    def outputs(self):
        image, text = ClipImage(self.tensors), ClipText(self.tensors, self.end)
        first = image.norm(image.last, image.run()[0])
        last = text.norm(text.last, text.run()[text.place])
        self.tensors["logit_scale"] = ([], array.array("f", [2.5]))
        return {"embedding": self.linear("visual_projection", first, PROJECTED, False),
                "text": self.linear("text_projection", last, PROJECTED, False)}


class ClipVision(Model):
    """Half of it, with the projection; GELU."""
    config = dict(Clip.config["vision_config"], model_type="clip_vision_model",
                  projection_dim=PROJECTED, hidden_act="gelu")

    def outputs(self):
        image = ClipImage(self.tensors)
        image.act = gelu
        return {"embedding": self.linear("visual_projection",
                                         image.norm(image.last, image.run()[0]), PROJECTED, False)}


class ClipTextAlone(Model):
    """The other half, without one, and with an end token that is not the largest."""
    config = dict(Clip.config["text_config"], model_type="clip_text_model", eos_token_id=7)

    def outputs(self):
        text = ClipText(self.tensors, 7)
        return {"text": text.norm(text.last, text.run()[text.place])}


FAMILIES = [Vit, VitPooled, Deit, DeitTeacher, Dinov2, Dinov2Half, Clip, ClipVision, ClipTextAlone]
