# SPDX-License-Identifier: Apache-2.0
"""A Whisper model with random weights, small enough to be made in a moment.

Layout and names are those of Hugging Face. Output projections have large means, so that a
conversion has something to take away.
"""
import array
import json
import math
import pathlib
import random
import struct
import sys

D, HEADS, FF, MEL, LAYERS = 16, 2, 32, 80, 2
ENCODER_POSITIONS, DECODER_POSITIONS = 1500, 64
BYTES = 256
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|translate|>", "<|transcribe|>",
           "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
TIMESTAMPS = 1501
VOCABULARY = BYTES + len(SPECIAL) + TIMESTAMPS


def token(name):
    return BYTES + SPECIAL.index(name)


def shapes():
    yield "model.encoder.conv1.weight", [D, MEL, 3]
    yield "model.encoder.conv1.bias", [D]
    yield "model.encoder.conv2.weight", [D, D, 3]
    yield "model.encoder.conv2.bias", [D]
    yield "model.encoder.embed_positions.weight", [ENCODER_POSITIONS, D]
    yield "model.decoder.embed_positions.weight", [DECODER_POSITIONS, D]
    yield "model.decoder.embed_tokens.weight", [VOCABULARY, D]
    for side in ("encoder", "decoder"):
        for i in range(LAYERS):
            layer = f"model.{side}.layers.{i}."
            blocks = ["self_attn"] + ["encoder_attn"] * (side == "decoder")
            for block in blocks:
                for letter in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    yield f"{layer}{block}.{letter}.weight", [D, D]
                    if letter != "k_proj":
                        yield f"{layer}{block}.{letter}.bias", [D]
            for norm in [block + "_layer_norm" for block in blocks] + ["final_layer_norm"]:
                yield f"{layer}{norm}.weight", [D]
                yield f"{layer}{norm}.bias", [D]
            yield f"{layer}fc1.weight", [FF, D]
            yield f"{layer}fc1.bias", [FF]
            yield f"{layer}fc2.weight", [D, FF]
            yield f"{layer}fc2.bias", [D]
        yield f"model.{side}.layer_norm.weight", [D]
        yield f"model.{side}.layer_norm.bias", [D]


def values(name, shape, rng):
    count = 1
    for n in shape:
        count *= n
    centre = 1.0 if name.endswith("norm.weight") else 0.3 if "out_proj" in name else 0.0
    return array.array("f", (centre + rng.gauss(0, 0.2) for _ in range(count)))


def tensors(seed=1):
    rng = random.Random(seed)
    return {name: (shape, values(name, shape, rng)) for name, shape in sorted(shapes())}


def write_safetensors(path, weights):
    header, offset, data = {"__metadata__": {"format": "pt"}}, 0, b""
    for name, (shape, numbers) in weights.items():
        if sys.byteorder == "big":
            numbers.byteswap()
        data += numbers.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, len(data)]}
        offset = len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def config():
    return {
        "model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"],
        "activation_function": "gelu", "is_encoder_decoder": True, "scale_embedding": False,
        "d_model": D, "num_mel_bins": MEL, "vocab_size": VOCABULARY,
        "encoder_layers": LAYERS, "encoder_attention_heads": HEADS, "encoder_ffn_dim": FF,
        "decoder_layers": LAYERS, "decoder_attention_heads": HEADS, "decoder_ffn_dim": FF,
        "max_source_positions": ENCODER_POSITIONS, "max_target_positions": DECODER_POSITIONS,
        "num_hidden_layers": LAYERS, "max_length": DECODER_POSITIONS, "torch_dtype": "float32",
        "decoder_start_token_id": token("<|startoftranscript|>"),
        "eos_token_id": token("<|endoftext|>"), "bos_token_id": token("<|endoftext|>"),
        "pad_token_id": token("<|endoftext|>"),
        "suppress_tokens": [], "begin_suppress_tokens": [token("<|endoftext|>")],
    }


def generation_config():
    return {
        "is_multilingual": False, "no_timestamps_token_id": token("<|notimestamps|>"),
        "max_initial_timestamp_index": 50, "return_timestamps": False,
        "decoder_start_token_id": token("<|startoftranscript|>"),
        "eos_token_id": token("<|endoftext|>"),
        "suppress_tokens": [], "begin_suppress_tokens": [token("<|endoftext|>")],
    }


def byte_names():
    """How byte-level BPE writes the 256 bytes as printable characters."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return {b: chr(b if b in printable else next(others)) for b in range(256)}


def tokenizer():
    added = [{"id": BYTES + i, "content": text, "special": True, "single_word": False,
              "lstrip": False, "rstrip": False, "normalized": False}
             for i, text in enumerate(SPECIAL + [f"<|{i * 0.02:.2f}|>" for i in range(TIMESTAMPS)])]
    return {
        "version": "1.0", "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": False},
        "model": {"type": "BPE", "vocab": {name: b for b, name in byte_names().items()},
                  "merges": []},
    }


def write(folder, seed=1):
    """Makes the model directory; returns its path."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    write_safetensors(folder / "model.safetensors", tensors(seed))
    for name, content in (("config", config()), ("generation_config", generation_config()),
                          ("tokenizer", tokenizer())):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


CHAT_TEMPLATE = ("{{'<|im_start|>system\n' + 'x' }}{{ '<|im_start|>' + message['role'] + '\n' + "
                 "message['content'] + '<|im_end|>' + '\n' }}")


def gguf_text(value):
    return struct.pack("<Q", len(value)) + value


def gguf_value(value):
    """Strings, whole numbers, numbers, and lists of them."""
    if isinstance(value, list):
        kind, each = {bytes: (8, gguf_text), int: (5, lambda number: struct.pack("<i", number)),
                      float: (6, lambda number: struct.pack("<f", number))}[type(value[0])]
        return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(each, value))
    if isinstance(value, bytes):
        return struct.pack("<I", 8) + gguf_text(value)
    return struct.pack("<II", 4, value) if isinstance(value, int) else struct.pack("<If", 6, value)


def write_language(path, seed=1, context=256):
    """A Llama of random weights as GGUF, whose tokens are the bytes and the marks of ChatML."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [name.encode() for _, name in sorted(byte_names().items())] + [m.encode() for m in marks]
    return write_llama(path, tokens, {
        b"tokenizer.ggml.model": b"gpt2", b"tokenizer.ggml.pre": b"gpt-2",
        b"tokenizer.ggml.tokens": tokens, b"tokenizer.ggml.token_type": [1] * BYTES + [3] * 3,
        b"tokenizer.ggml.eos_token_id": BYTES + 2,
        b"tokenizer.chat_template": CHAT_TEMPLATE.encode(),
    }, seed=seed, context=context)


def write_llama(path, tokens, more, seed=1, context=256, sizes=(32, 2, 4, 2, 64)):
    """A Llama of random weights as GGUF, with more metadata."""
    d, layers, heads, kv, ff = sizes
    sizes = {"token_embd": [len(tokens), d], "output": [len(tokens), d], "output_norm": [d]}
    for i in range(layers):
        sizes |= {f"blk.{i}.{name}": shape for name, shape in (
            ("attn_norm", [d]), ("attn_q", [d, d]), ("attn_k", [d * kv // heads, d]),
            ("attn_v", [d * kv // heads, d]), ("attn_output", [d, d]), ("ffn_norm", [d]),
            ("ffn_gate", [ff, d]), ("ffn_up", [ff, d]), ("ffn_down", [d, ff]))}
    values = {
        b"general.architecture": b"llama", b"llama.context_length": context,
        b"llama.embedding_length": d, b"llama.block_count": layers, b"llama.feed_forward_length": ff,
        b"llama.attention.head_count": heads, b"llama.attention.head_count_kv": kv,
        b"llama.rope.dimension_count": d // heads, b"llama.attention.layer_norm_rms_epsilon": 1e-5,
        **more,
    }
    rng = random.Random(seed)
    header, data = b"", b""
    for name, shape in sorted(sizes.items()):
        header += gguf_text(f"{name}.weight".encode()) + struct.pack("<I", len(shape))
        header += struct.pack(f"<{len(shape)}QIQ", *reversed(shape), 0, len(data))
        numbers = math.prod(shape)
        data += array.array("f", (rng.gauss(0, 0.3) + ("norm" in name) for _ in range(numbers))).tobytes()
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(sizes), len(values))
    head += b"".join(gguf_text(key) + gguf_value(value) for key, value in values.items()) + header
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def gguf():
    """The bytes of a GGUF file with one tensor and some metadata, of no use but to look at."""
    values = {
        b"general.architecture": struct.pack("<I", 8) + gguf_text(b"llama"),
        b"a.bool": struct.pack("<IB", 7, 1),
        b"a.real": struct.pack("<If", 6, 0.5),
        b"a.template": struct.pack("<I", 8) + gguf_text(b"one\ntwo\x1b[1m"),
        b"nested": struct.pack("<IIQIQ2HIQ", 9, 9, 2, 2, 2, 7, 8, 8, 0),
        b"tokens": struct.pack("<IIQ", 9, 8, 5) + b"".join(map(gguf_text, b"0 1 2 3 \xff".split(b" "))),
    }
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values))
    head += b"".join(gguf_text(key) + value for key, value in values.items())
    head += gguf_text(b"blk.0.attn_q.weight") + struct.pack("<I2QIQ", 2, 32, 2, 2, 0)
    return head + bytes(-len(head) % 32) + bytes(36)
