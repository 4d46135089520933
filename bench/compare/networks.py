# SPDX-License-Identifier: Apache-2.0
"""The Pre-LN networks of `clbench model` for other engines: the same weights, made from the same
seeds (bench/net_weights.c), in several ONNX spellings."""
import functools

import numpy as np
from graphs import Graph, causal_mask

EPS = 1e-5
WEIGHT, BIAS, NORM, X, CACHE = range(1, 6)  # what a seed is for
IN, OUT, UP, DOWN = range(4)
SPELLINGS = ("MatMul + Softmax, rows", "MatMul + Softmax", "Attention", "MultiHeadAttention")


# ---- numbers ----

def mixed(z):
    """The output of splitmix64."""
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94d049bb133111eb)
    return z ^ z >> np.uint64(31)


def states(seed, count):
    with np.errstate(over="ignore"):
        return np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * \
            np.uint64(0x9e3779b97f4a7c15)


def between(low, high, shape, what, layer=0, part=0):
    with np.errstate(over="ignore"):
        seed = mixed(states((what << 48) + (layer << 16) + part, 1))[0]
        bits = mixed(states(seed, int(np.prod(shape)))) >> np.uint64(11)
    values = low + (high - low) * (bits.astype(np.float64) * 2.0 ** -53)
    return values.astype(np.float32).reshape(shape)


@functools.cache
def linear(layers, layer, role, n, k):
    """Weight [k][n] and bias [n]. Readers of a norm are made up as [n][k]."""
    reach = (3 / k) ** 0.5
    if role in (IN, UP):
        weight = between(-reach, reach, (n, k), WEIGHT, layer, role).T
    else:
        reach /= 1 + layers
        weight = between(-reach, reach, (k, n), WEIGHT, layer, role)
    return np.ascontiguousarray(weight), between(-0.1, 0.3, (n,), BIAS, layer, role)


# ---- graphs ----

class Network:
    """sizes: as clbench model --serve describes them."""

    def __init__(self, sizes, spelling):
        s, self.spelling = sizes, spelling
        if (s["gated"] or s["rotary"] or not s["biases"] or s["kv"] != s["heads"] or
                s["batch"] > 1):
            raise ValueError("only one sequence through networks as those of GPT-2 and ViT has "
                             "been written here")
        self.d, self.heads, self.ff, self.layers = s["d"], s["heads"], s["ff"], s["layers"]
        self.tokens, self.past, self.dim = s["tokens"], s["past"], s["d"] // s["heads"]
        self.causal = s["causal"] and s["tokens"] > 1
        self.approximate = "tanh" if s["activation"] == "gelu_tanh" else "none"
        self.contrib = spelling == "MultiHeadAttention"
        self.batch = () if spelling.endswith("rows") else (1,)  # rows without a batch: Gemm
        self.graph = Graph(opset=23 if spelling == "Attention" else 20)
        self.inputs = self.graph.inputs
        self._build()

    def model(self):
        return self.graph.model()

    def _linear(self, x, layer, role, n, k):
        weight, bias = linear(self.layers, layer, role, n, k)
        product = self.graph.node("MatMul", [x, self.graph.value(weight)])
        return self.graph.node("Add", [product, self.graph.value(bias)])

    def _up(self, x, layer):
        if not self.contrib:
            return self.graph.node("Gelu", [self._linear(x, layer, UP, self.ff, self.d)],
                                   approximate=self.approximate)
        weight, bias = linear(self.layers, layer, UP, self.ff, self.d)
        product = self.graph.node("MatMul", [x, self.graph.value(weight)])
        return self.graph.node("FastGelu" if self.approximate == "tanh" else "BiasGelu",
                               [product, self.graph.value(bias)], contrib=True)

    def _norm_weights(self, layer, which):
        return [self.graph.value(between(low, high, (self.d,), NORM, layer, 2 * which + i))
                for i, (low, high) in enumerate(((0.5, 1.5), (-0.5, 0.5)))]

    def _norm(self, x, layer, which):
        return self.graph.node("LayerNormalization", [x, *self._norm_weights(layer, which)],
                               axis=-1, epsilon=EPS)

    def _add_norm(self, x, y, layer, which):
        """x + y and its norm."""
        if self.contrib:
            normed, _, _, total = self.graph.nodes(
                "SkipLayerNormalization", [x, y, *self._norm_weights(layer, which)],
                [True, False, False, True], contrib=True, epsilon=EPS)
            return total, normed
        total = self.graph.node("Add", [x, y])
        return total, self._norm(total, layer, which)

    def _cache(self, layer):
        """Keys and values before, [1][heads][past][dim]."""
        kv = between(-1, 1, (self.past, 2, self.heads, self.dim), CACHE, layer)
        return [self.graph.feed(f"{'kv'[i]}{layer}", kv[None, :, i].transpose(0, 2, 1, 3))
                for i in range(2)]

    def _heads(self, x, order=(0, 2, 1, 3)):
        split = self.graph.node("Reshape", [x, self.graph.lengths(1, self.tokens, self.heads,
                                                                  self.dim)])
        return self.graph.node("Transpose", [split], perm=order)

    def _attention(self, q, k, v, layer):
        g, past = self.graph, self._cache(layer) if self.past else []
        if self.contrib:
            optional = ["", "", "", *past] if past else []
            # onnxruntime wants the outputs for keys and values; without them it reads garbage
            return g.nodes("MultiHeadAttention", [q, k, v, *optional], 3 if past else 1,
                           contrib=True, num_heads=self.heads,
                           unidirectional=int(self.causal))[0]
        k_order = (0, 2, 1, 3) if past or self.spelling == "Attention" else (0, 2, 3, 1)
        q, k, v = self._heads(q), self._heads(k, k_order), self._heads(v)
        if past:
            k, v = (g.node("Concat", [before, now], axis=2) for before, now in zip(past, (k, v)))
        if self.spelling == "Attention":
            y = g.node("Attention", [q, k, v], is_causal=int(self.causal))
        else:
            if past:
                k = g.node("Transpose", [k], perm=(0, 1, 3, 2))
            scores = g.node("Mul", [g.node("MatMul", [q, k]), g.value(self.dim ** -0.5)])
            if self.causal:
                scores = g.node("Add", [scores, g.value(causal_mask(self.tokens))])
            y = g.node("MatMul", [g.node("Softmax", [scores], axis=-1), v])
        y = g.node("Transpose", [y], perm=(0, 2, 1, 3))
        return g.node("Reshape", [y, g.lengths(*self.batch, self.tokens, self.d)])

    def _build(self):
        g, d = self.graph, self.d
        shape = (*self.batch, self.tokens, d)
        x = g.feed("x", between(-1, 2, shape, X))
        normed = self._norm(x, 0, 0)
        for layer in range(self.layers):
            qkv = g.nodes("Split", [self._linear(normed, layer, IN, 3 * d, d)], 3, axis=-1,
                          num_outputs=3)
            y = self._linear(self._attention(*qkv, layer), layer, OUT, d, d)
            x, normed = self._add_norm(x, y, layer, 1)
            y = self._linear(self._up(normed, layer), layer, DOWN, d, self.ff)
            if layer + 1 < self.layers:
                x, normed = self._add_norm(x, y, layer + 1, 0)
        g.output("Add", [x, y], *shape)
