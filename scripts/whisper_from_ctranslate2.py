#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a Whisper model of CTranslate2 into the Hugging Face layout, bit for bit.

usage: whisper_from_ctranslate2.py INPUT OUTPUT

INPUT   directory with model.bin (or model.bin.part1, .part2, ...), config.json, tokenizer.json
OUTPUT  directory that gets config.json, generation_config.json, tokenizer.json, model.safetensors

Needs nothing but the standard library. The same input gives the same bytes.
"""
import json
import pathlib
import struct
import sys

# Type codes of CTranslate2: name in safetensors, bytes of an element.
TYPES = {0: ("F32", 4), 1: ("I8", 1), 2: ("I16", 2), 3: ("I32", 4), 4: ("F16", 2), 5: ("BF16", 2)}
SCALARS = {1: "<b", 2: "<h", 3: "<i"}
FIRST_LANGUAGE = "<|en|>"
AFTER_LANGUAGES = "<|translate|>"


class Failure(Exception):
    pass


class Tensor:
    def __init__(self, code, shape, data):
        self.code = code
        self.type, self.size = TYPES[code]
        self.shape = shape
        self.data = data

    def rows(self, first, end):
        """Rows first .. end-1, without a copy."""
        width = self.size
        for n in self.shape[1:]:
            width *= n
        return Tensor(self.code, [end - first] + self.shape[1:],
                      self.data[first * width:end * width])

    def number(self):
        return struct.unpack(SCALARS[self.code], self.data)[0]


class Reader:
    """The binary format of CTranslate2, versions 4 to 6."""

    def __init__(self, data):
        self.data = memoryview(data)
        self.at = 0

    def take(self, size):
        if size > len(self.data) - self.at:
            raise Failure(f"model.bin ends in the middle of a record (byte {self.at})")
        part = self.data[self.at:self.at + size]
        self.at += size
        return part

    def unsigned(self, code):
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def text(self):
        return bytes(self.take(self.unsigned("<H"))).split(b"\0")[0].decode()

    def tensor(self):
        shape = [self.unsigned("<I") for _ in range(self.unsigned("<B"))]
        code = self.unsigned("<B")
        size = self.unsigned("<I")
        if code not in TYPES:
            raise Failure(f"model.bin has an element type that is not known: {code}")
        expected = TYPES[code][1]
        for n in shape:
            expected *= n
        if size != expected:
            raise Failure(f"model.bin has {size} bytes where the shape {shape} needs {expected}")
        return Tensor(code, shape, self.take(size))

    def model(self):
        version = self.unsigned("<I")
        if not 4 <= version <= 6:
            raise Failure(f"model.bin has version {version}; versions 4 to 6 are known")
        spec = self.text()
        if spec != "WhisperSpec":
            raise Failure(f"model.bin holds a {spec}, not a WhisperSpec")
        self.unsigned("<I")  # revision of the spec
        return {self.text(): self.tensor() for _ in range(self.unsigned("<I"))}


class Names:
    """Tensors by their Hugging Face names, from those of CTranslate2."""

    def __init__(self, source):
        self.source = source
        self.tensors = {}

    def get(self, name):
        if name not in self.source:
            raise Failure(f"model.bin has no {name}")
        return self.source[name]

    def put(self, name, tensor):
        if tensor.type not in ("F16", "F32", "BF16"):
            raise Failure(f"{name} is {tensor.type}: only floating weights can be converted")
        self.tensors[name] = tensor

    def linear(self, source, target):
        self.put(target + ".weight", self.get(source + "/weight"))
        self.put(target + ".bias", self.get(source + "/bias"))

    def norm(self, source, target):
        self.put(target + ".weight", self.get(source + "/gamma"))
        self.put(target + ".bias", self.get(source + "/beta"))

    def projections(self, source, target, letters):
        """CTranslate2 stacks the projections of one input."""
        weight = self.get(source + "/weight")
        bias = self.get(source + "/bias")
        d = weight.shape[0] // len(letters)
        for i, letter in enumerate(letters):
            rows = (i * d, (i + 1) * d)
            self.put(f"{target}.{letter}_proj.weight", weight.rows(*rows))
            if letter != "k":
                self.put(f"{target}.{letter}_proj.bias", bias.rows(*rows))
            elif any(bias.rows(*rows).data):
                raise Failure(f"{source} has a bias for keys, which Whisper does not know")

    def feed_forward(self, source, target):
        self.norm(source + "/layer_norm", target + ".final_layer_norm")
        self.linear(source + "/linear_0", target + ".fc1")
        self.linear(source + "/linear_1", target + ".fc2")

    def self_attention(self, source, target):
        self.norm(source + "/layer_norm", target + ".self_attn_layer_norm")
        self.projections(source + "/linear_0", target + ".self_attn", "qkv")
        self.linear(source + "/linear_1", target + ".self_attn.out_proj")

    def cross_attention(self, source, target):
        self.norm(source + "/layer_norm", target + ".encoder_attn_layer_norm")
        self.linear(source + "/linear_0", target + ".encoder_attn.q_proj")
        self.projections(source + "/linear_1", target + ".encoder_attn", "kv")
        self.linear(source + "/linear_2", target + ".encoder_attn.out_proj")

    def layers(self, side):
        return len([n for n in self.source
                    if n.startswith(side + "/layer_") and n.endswith("/ffn/linear_0/weight")])

    def side(self, side):
        target = "model." + side
        for i in range(self.layers(side)):
            source, layer = f"{side}/layer_{i}", f"{target}.layers.{i}"
            self.self_attention(source + "/self_attention", layer)
            if side == "decoder":
                self.cross_attention(source + "/attention", layer)
            self.feed_forward(source + "/ffn", layer)
        self.norm(side + "/layer_norm", target + ".layer_norm")
        self.put(target + ".embed_positions.weight",
                 self.get(side + "/position_encodings/encodings"))

    def whisper(self):
        for conv in ("conv1", "conv2"):
            self.linear("encoder/" + conv, "model.encoder." + conv)
        self.side("encoder")
        self.put("model.decoder.embed_tokens.weight", self.get("decoder/embeddings/weight"))
        self.side("decoder")
        return self.tensors


def special_tokens(tokenizer):
    tokens = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    for name in ("<|endoftext|>", "<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>",
                 FIRST_LANGUAGE, AFTER_LANGUAGES):
        if name not in tokens:
            raise Failure(f"tokenizer.json has no token {name}")
    return tokens


def shared_fields(names, package, tokens):
    end = tokens["<|endoftext|>"]
    return {
        "begin_suppress_tokens": package["suppress_ids_begin"],
        "bos_token_id": end,
        "decoder_start_token_id": tokens["<|startoftranscript|>"],
        "eos_token_id": end,
        "max_length": names.get("decoder/position_encodings/encodings").shape[0],
        "pad_token_id": end,
        "suppress_tokens": package["suppress_ids"],
    }


def model_config(names, package, tokens):
    source = names.source
    embeddings = names.get("decoder/embeddings/weight")
    config = {
        "activation_function": "gelu",
        "architectures": ["WhisperForConditionalGeneration"],
        "d_model": embeddings.shape[1],
        "is_encoder_decoder": True,
        "max_source_positions": names.get("encoder/position_encodings/encodings").shape[0],
        "max_target_positions": names.get("decoder/position_encodings/encodings").shape[0],
        "model_type": "whisper",
        "num_hidden_layers": names.layers("encoder"),
        "num_mel_bins": names.get("encoder/conv1/weight").shape[1],
        "scale_embedding": False,
        "torch_dtype": {"F16": "float16", "F32": "float32", "BF16": "bfloat16"}[embeddings.type],
        "vocab_size": embeddings.shape[0],
    }
    for side in ("encoder", "decoder"):
        config[side + "_layers"] = names.layers(side)
        config[side + "_attention_heads"] = source[side + "/num_heads"].number()
        config[side + "_ffn_dim"] = names.get(side + "/layer_0/ffn/linear_0/weight").shape[0]
    config.update(shared_fields(names, package, tokens))
    return config


def generation_config(names, package, tokens):
    first, end = tokens[FIRST_LANGUAGE], tokens[AFTER_LANGUAGES]
    # English-only models have the tokens of the languages but were never trained on them.
    multilingual = names.get("decoder/embeddings/weight").shape[0] >= 51865
    config = {
        "alignment_heads": package["alignment_heads"],
        "is_multilingual": multilingual,
        "max_initial_timestamp_index": 50,
        "no_timestamps_token_id": tokens["<|notimestamps|>"],
        "return_timestamps": False,
    }
    if multilingual:
        config["lang_to_id"] = {t: i for t, i in tokens.items() if first <= i < end}
        config["task_to_id"] = {"transcribe": tokens["<|transcribe|>"],
                                "translate": tokens["<|translate|>"]}
    config.update(shared_fields(names, package, tokens))
    return config


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        tensor = tensors[name]
        end = offset + len(tensor.data)
        header[name] = {"dtype": tensor.type, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            out.write(tensors[name].data)


def read_weights(folder):
    whole = folder / "model.bin"
    if whole.exists():
        return whole.read_bytes()
    parts = sorted(folder.glob("model.bin.part?"))
    if not parts:
        raise Failure(f"{folder} has no model.bin")
    return b"".join(part.read_bytes() for part in parts)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="ascii")


def convert(source, target):
    package = json.loads((source / "config.json").read_text(encoding="utf-8"))
    tokenizer = (source / "tokenizer.json").read_bytes()
    tokens = special_tokens(json.loads(tokenizer))
    names = Names(Reader(read_weights(source)).model())
    tensors = names.whisper()
    target.mkdir(parents=True, exist_ok=True)
    write_json(target / "config.json", model_config(names, package, tokens))
    write_json(target / "generation_config.json", generation_config(names, package, tokens))
    (target / "tokenizer.json").write_bytes(tokenizer)
    write_safetensors(target / "model.safetensors", tensors)


def main():
    if len(sys.argv) != 3:
        sys.stderr.write(__doc__)
        return 2
    try:
        convert(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    except (Failure, OSError, KeyError, ValueError) as reason:
        sys.stderr.write(f"whisper_from_ctranslate2: {reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
