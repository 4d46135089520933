# SPDX-License-Identifier: Apache-2.0
"""A small llama of quantised weights of any bits, as GGUF: values and the ends of branches are of
another type than the rest, as llama.cpp has them in its files of mixed types."""
import random
import struct

from text_gguf import entry, string

WIDTH, HEADS, KV_HEADS, FF, LAYERS, VOCABULARY = 256, 4, 2, 512, 2, 37
KV_WIDTH = WIDTH // HEADS * KV_HEADS
F32, Q4_K, Q6_K = 0, 12, 14
BYTES = {Q4_K: 144, Q6_K: 210}
# The high bytes of a block's halves, which make its weights about 1/16.
HIGH = {Q4_K: {1: 0x08, 3: 0x14}, Q6_K: {209: 0x04}}
VALUES = {"embedding_length": WIDTH, "block_count": LAYERS, "attention.head_count": HEADS,
          "attention.head_count_kv": KV_HEADS, "feed_forward_length": FF, "context_length": 32,
          "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 500.0,
          "rope.dimension_count": WIDTH // HEADS}


def tensors():
    yield "token_embd", VOCABULARY, WIDTH, Q6_K
    for i in range(LAYERS):
        for part in ("attn_norm", "ffn_norm"):
            yield f"blk.{i}.{part}", 1, WIDTH, F32
        yield f"blk.{i}.attn_q", WIDTH, WIDTH, Q4_K
        yield f"blk.{i}.attn_k", KV_WIDTH, WIDTH, Q4_K
        yield f"blk.{i}.attn_v", KV_WIDTH, WIDTH, Q4_K if i else Q6_K
        yield f"blk.{i}.attn_output", WIDTH, WIDTH, Q4_K
        yield f"blk.{i}.ffn_gate", FF, WIDTH, Q4_K
        yield f"blk.{i}.ffn_up", FF, WIDTH, Q4_K
        yield f"blk.{i}.ffn_down", WIDTH, FF, Q6_K
    yield "output_norm", 1, WIDTH, F32


def values(dice, rows, cols, kind):
    if kind == F32:
        return struct.pack(f"<{cols}f", *(dice.uniform(0.5, 1.5) for _ in range(cols)))
    data = bytearray(dice.randbytes(rows * cols // 256 * BYTES[kind]))
    for place, byte in HIGH[kind].items():
        for block in range(0, len(data), BYTES[kind]):
            data[block + place] = byte
    return bytes(data)


def write(path):
    dice = random.Random(7)
    infos, data, count = b"", b"", 0
    entries = [entry("general.architecture", "llama")]
    entries += [entry(f"llama.{key}", value) for key, value in VALUES.items()]
    for name, rows, cols, kind in tensors():
        shape = (cols,) if rows == 1 else (cols, rows)
        infos += string(name + ".weight") + struct.pack("<I", len(shape))
        infos += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, len(data))
        data += values(dice, rows, cols, kind)
        data += bytes(-len(data) % 32)
        count += 1
    head = b"GGUF" + struct.pack("<IQQ", 3, count, len(entries)) + b"".join(entries) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)
