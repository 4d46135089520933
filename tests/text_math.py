# SPDX-License-Identifier: Apache-2.0
"""What decoders of text are made of, in float64 and from the papers. Vectors are lists, matrices
lists of rows."""
import math
import struct


def float32(x):
    """Parameters of ops are float32: the same number on both sides."""
    return struct.unpack("f", struct.pack("f", x))[0]


def distance(got, expected):
    """Relative L2."""
    error = math.fsum((a - b) ** 2 for a, b in zip(got, expected, strict=True))
    return math.sqrt(error / math.fsum(b * b for b in expected))


def product(matrix, x, bias=None):
    y = [math.fsum(a * b for a, b in zip(row, x)) for row in matrix]
    return [a + b for a, b in zip(y, bias)] if bias else y


def plus(*vectors):
    return [math.fsum(values) for values in zip(*vectors)]


def layer_norm(x, weight, bias, eps):
    mean = math.fsum(x) / len(x)
    centred = [v - mean for v in x]
    scale = 1 / math.sqrt(math.fsum(v * v for v in centred) / len(x) + eps)
    y = [v * scale * w for v, w in zip(centred, weight)]
    return plus(y, bias) if bias else y


def rms_norm(x, weight, eps):
    scale = 1 / math.sqrt(math.fsum(v * v for v in x) / len(x) + eps)
    return [v * scale * w for v, w in zip(x, weight)]


def gelu(x):
    return x / 2 * (1 + math.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x):
    return x / (1 + math.exp(-x))


def relu(x):
    return max(x, 0.0)


def rotate(head, position, count, base, pairs, factors=None, magnitude=1):
    """The first count elements of a head."""
    out = list(head)
    for i in range(count // 2):
        a, b = (2 * i, 2 * i + 1) if pairs else (i, i + count // 2)
        angle = position * base ** (-2 * i / count) / (factors[i] if factors else 1)
        out[a] = (head[a] * math.cos(angle) - head[b] * math.sin(angle)) * magnitude
        out[b] = (head[b] * math.cos(angle) + head[a] * math.sin(angle)) * magnitude
    return out


def llama3_factors(count, base, factor, low, high, context):
    """By wavelength, in parts of the context that the model was first trained with."""
    out = []
    for i in range(count // 2):
        wavelength = 2 * math.pi * base ** (2 * i / count)
        part = (context / wavelength - low) / (high - low)
        out.append(1.0 if wavelength < context / high else factor if wavelength > context / low
                   else 1 / ((1 - part) / factor + part))
    return out


def yarn_factors(count, base, factor, context, fast=32.0, slow=1.0):
    """By a ramp between the elements that turn so often in that context (Peng et al. 2023)."""
    def element(turns):
        return count * math.log(context / (2 * math.pi * turns)) / (2 * math.log(base))
    first, last = max(math.floor(element(fast)), 0), min(math.ceil(element(slow)), count - 1)
    ramp = [min(max((i - first) / (last - first), 0.0), 1.0) for i in range(count // 2)]
    return [1 / (r / factor + 1 - r) for r in ramp]


def attend(queries, keys, values, slopes=None, window=None):
    """[position][head][dim] of each; all positions, causal."""
    group = len(queries[0]) // len(keys[0])
    out = []
    for p, heads in enumerate(queries):
        row = []
        for h, q in enumerate(heads):
            first = max(0, p + 1 - window) if window else 0
            scores = [math.fsum(a * b for a, b in zip(q, keys[j][h // group])) / math.sqrt(len(q))
                      + (slopes[h] * (j - p) if slopes else 0) for j in range(first, p + 1)]
            top = max(scores)
            weights = [math.exp(s - top) for s in scores]
            total = math.fsum(weights)
            row += [math.fsum(w * values[first + j][h // group][c] for j, w in enumerate(weights))
                    / total for c in range(len(q))]
        out.append(row)
    return out


def alibi(heads):
    """The published recipe: powers of two, or two of them woven together."""
    if heads & (heads - 1) == 0:
        return [2 ** (-8 * (i + 1) / heads) for i in range(heads)]
    nearest = 1 << (heads.bit_length() - 1)
    return alibi(nearest) + alibi(2 * nearest)[0::2][:heads - nearest]


def split(x, dim):
    return [x[i:i + dim] for i in range(0, len(x), dim)]
