#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""zeromean convert from safetensors to GGUF and back: tensors, hyper-parameters, tokenizers.

usage: reformat.py PROGRAM TEXT_LOGITS
"""
import json
import math
import shutil
import struct
import subprocess
import sys

import tap
import text_gguf
import text_reference
from program import ROOT, Program
from text_math import distance
from tiny_model import byte_names

BIBLE = ROOT / "share/bible-gpt2"
TOKENS = text_reference.TOKENS = text_reference.TOKENS[:3]
SPACE = "\u2581"
HARD = ["", " ", "  two  spaces ", "In the beginning God created 12345 67.", "don't I'LL we've",
        "na\u00efve e\u0301t\u00e9 \u00c5 \u212b", "\u65e5\u672c\u8a9e \u0627\u0644\u0633\u0644\u0627\u0645 \U0001f600",
        "tab\there\n\n\nlines \r\n end", "<|endoftext|>a<|endoftext|> b", "x=1;y=(2+3)*[4]{5}",
        "<s>in</s> <unk> <0x41>", f"{SPACE}the{SPACE}", "\x00\x01\x7f"]


def read_gguf(path):
    """Values and tensors of a file as the format's description has them."""
    data, at = path.read_bytes(), 24

    def take(form):
        nonlocal at
        out = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return out[0]

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size:at].decode()

    def value(kind):
        if kind == 9:
            inner, count = take("I"), take("Q")
            return [value(inner) for _ in range(count)]
        return text() if kind == 8 else take("BbHhIif?..Qqd"[kind])

    assert data[:4] == b"GGUF"
    tensors, count = struct.unpack_from("<QQ", data, 8)
    values = {}
    for _ in range(count):
        key = text()
        values[key] = value(take("I"))
    infos = [(text(), [take("Q") for _ in range(take("I"))][::-1], take("I"), take("Q"))
             for _ in range(tensors)]
    at += -at % 32
    return values, {name: (shape, kind, data[at + offset:]) for name, shape, kind, offset in infos}


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (h["dtype"], h["shape"], data[8 + size + h["data_offsets"][0]:
                                                 8 + size + h["data_offsets"][1]])
            for name, h in header.items()}


def make(name):
    model = getattr(text_reference, name)()
    return model, model.logits()


class Families(Program):
    def logits(self, *paths):
        """Of the last token."""
        done = subprocess.run([LOGITS, "host:f64", ",".join(map(str, TOKENS)), "2,1", *paths],
                              capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, done.stderr)
        decoder, text, out = json.JSONDecoder(), done.stdout.strip(), []
        for _ in paths:
            rows, end = decoder.raw_decode(text)
            text = text[end:].strip()
            out.append(rows[1])
        return out

    def check_gguf(self, name, model, path):
        """As an independent converter writes it, but for the order in the file."""
        other = self.scratch / "independent.gguf"
        text_gguf.write(model, other)
        values, tensors = read_gguf(path)
        expected_values, expected = read_gguf(other)
        self.assertEqual(set(tensors), set(expected))
        for key, (shape, kind, data) in expected.items():
            size = 4 * math.prod(shape)
            self.assertEqual(tensors[key][:2], (shape, kind), key)
            self.assertEqual(tensors[key][2][:size], data[:size], key)
        for key, value in expected_values.items():
            if key != "bloom.context_length":  # which its config.json doesn't say
                self.assertEqual(values[key], value, key)
        self.assertEqual(values["general.file_type"], 0, name)

    def test_round_trips(self):
        """F32: the same bits come back, and the function is the same in every form."""
        expected, paths = [], []
        for name in text_gguf.FAMILIES:
            if name == "Llama3":
                continue
            model, logits = make(name)
            folder, back = self.scratch / name, self.scratch / (name + "-back")
            file = self.scratch / (name + ".gguf")
            model.write(folder)
            self.ok("convert", folder, file)
            self.ok("convert", file, back)
            with self.subTest(family=name):
                self.check_gguf(name, model, file)
                self.assertEqual(read_safetensors(back / "model.safetensors"),
                                 read_safetensors(folder / "model.safetensors"))
                config = json.loads((back / "config.json").read_text())
                for key, value in model.config.items():
                    if isinstance(value, (int, float)) and key in config:
                        self.assertEqual(config[key], value, key)
                scaling = config.get("rope_scaling") or {}
                for key, value in (model.config.get("rope_scaling") or {}).items():
                    if isinstance(value, float):  # GGUF has float32
                        value = text_reference.float32(value)
                        scaling[key] = text_reference.float32(scaling[key])
                    self.assertEqual(scaling.get(key, value), value, key)
                if name in ("Llama", "Gemma"):  # transformers don't compute it for all families
                    self.assertEqual(config["head_dim"], model.dim)
            expected += [logits] * 3
            paths += [folder, file, back]
        for path, row, wanted in zip(paths, self.logits(*paths), expected):
            with self.subTest(path=path.name):
                self.assertLessEqual(distance(row, wanted[-1]), 1e-12)

    def test_a_name_of_the_base_model_and_a_copy_of_the_table(self):
        model, _ = make("Gpt2Base")
        shape, values = model.tensors["wte.weight"]
        model.tensors["lm_head.weight"] = shape, values
        model.write(self.scratch / "in")
        self.ok("convert", self.scratch / "in", self.scratch / "out.gguf")
        names = read_gguf(self.scratch / "out.gguf")[1]
        self.assertIn("token_embd.weight", names)
        self.assertNotIn("output.weight", names)

    def test_types_of_tensors(self):
        model, _ = make("Gpt2Half")
        model.write(self.scratch / "in")
        said = self.json("convert", self.scratch / "in", self.scratch / "half.gguf")
        self.assertEqual((said["type"], said["rounding"], said["reformatted"]), ("f16", 0, True))
        kinds = {name: kind for name, (_, kind, _) in
                 read_gguf(self.scratch / "half.gguf")[1].items()}
        self.assertEqual(kinds["token_embd.weight"], 1)
        self.assertEqual(kinds["position_embd.weight"], 0)
        self.assertEqual(kinds["blk.0.attn_qkv.bias"], 0)
        said = self.json("convert", self.scratch / "in", self.scratch / "q.gguf", "--type", "q4_k")
        self.assertEqual((said["as_q8_0"], said["as_f16"]), (2, 7))  # rows of 96 and of 24
        self.assertIn("1 q8_0 instead of q4_k or q6_k (rows are no multiple of 256)", self.ok(
            "convert", BIBLE, self.scratch / "head.gguf", "--type", "q4_1"))
        self.ok("convert", self.scratch / "q.gguf", self.scratch / "back", "--type", "bf16")
        self.assertEqual({t[0] for t in read_safetensors(
            self.scratch / "back/model.safetensors").values()}, {"BF16"})

    def test_types_from_gguf(self):
        """From GGUF to GGUF it is the type that changes: llama.cpp wants vectors and positions as
        F32, and general.file_type to fit. With --norm rms it is the norm, too."""
        files = {}
        for name in ("Llama", "Gpt2"):
            files[name] = self.scratch / f"{name}.gguf"
            text_gguf.write(make(name)[0], files[name])
            files[name + "-q8"] = self.scratch / f"{name}-q8.gguf"
            self.ok("convert", files[name], files[name + "-q8"], "--type", "q8_0")
        numbers = {"f16": 1, "bf16": 32, "f32": 0}
        kinds = {"f16": 1, "bf16": 30, "f32": 0}
        cases = [(name, kind, []) for name in files for kind in numbers]
        cases += [("Gpt2-q8", kind, ["--norm", "rms"]) for kind in ("f16", "f32")]
        for name, kind, more in cases:
            out = self.scratch / "out.gguf"
            with self.subTest(source=name, type=kind, more=more):
                said = self.json("convert", files[name], out, "--overwrite", "--type", kind, *more)
                self.assertEqual(said["reformatted"], not more)
                values, tensors = read_gguf(out)
                self.assertEqual(values["general.file_type"], numbers[kind])
                for tensor, (shape, found, _) in tensors.items():
                    wide = len(shape) == 1 or tensor == "position_embd.weight"
                    self.assertEqual(found, 0 if wide else kinds[kind], tensor)
                norm = self.json("inspect", out)["model"]["norm"]
                self.assertEqual(norm, "rms_norm" if more or name.startswith("Llama")
                                 else "layer_norm")
        self.assertIn("nothing to convert", self.failure(
            "convert", files["Llama"], self.scratch / "rms.gguf", "--type", "f16", "--norm", "rms"))

    def test_refusals(self):
        """With the family, the field or the tensor that the other format lacks."""
        for name, reason in (("Mistral", "window of attention"), ("Starcoder2", "window of attention"),
                             ("Falcon40", "ln_mlp.weight has no place in GGUF"),
                             ("Gptj", "models of type gptj have no agreed form as GGUF"),
                             ("Opt", "models of type opt have no agreed form as GGUF")):
            model, _ = make(name)
            model.write(self.scratch / name)
            self.assertIn(reason, self.failure("convert", self.scratch / name,
                                               self.scratch / "out.gguf"))
        model, _ = make("Qwen2")
        model.config = dict(model.config, rope_scaling=text_reference.Llama3.config["rope_scaling"])
        model.write(self.scratch / "other")
        self.assertIn("scaling of rotary positions", self.failure(
            "convert", self.scratch / "other", self.scratch / "out.gguf"))
        model, _ = make("Llama")
        model.write(self.scratch / "in")
        file, into = self.scratch / "unknown.gguf", self.scratch / "out"
        text_gguf.write(make("Llama3")[0], file)
        self.assertIn("rope_freqs.weight, which", self.failure("convert", file, into))
        text_gguf.write(model, file, {"expert_count": 8})
        self.assertIn("expert_count is 8", self.failure("convert", file, into))
        text_gguf.write(model, file, {"rope.dimension_count": 2})
        self.assertIn("rotation", self.failure("convert", file, into))
        text_gguf.write(model, file)
        self.assertIn("no weights of type q8_0", self.failure("convert", file, into,
                                                              "--type", "q8_0"))
        gpt2, _ = make("Gpt2")
        gpt2.write(self.scratch / "gpt2")
        self.assertIn("in one step", self.failure("convert", self.scratch / "gpt2", "--norm", "rms",
                                                  self.scratch / "out.gguf"))
        file = self.scratch / "gpt2.gguf"
        text_gguf.write(gpt2, file)
        into = self.scratch / "out.gguf"
        for more, reason in ((["--norm", "rms", "--type", "q8_0"], "norm and a quantised type"),
                             (["--norm", "rms", "--type", "bf16"],
                              "bf16 where the norm changes; f32 and f16 are possible"),
                             (["--lossy", "--type", "f16"], "lossy is about a change of the norm"),
                             (["--lossy", "--type", "q8_0"], "lossy is about a change of the norm")):
            self.assertIn(reason, self.failure("convert", file, into, *more))
        self.assertIn("lossy is about", self.failure("convert", file, self.scratch / "out", "--lossy"))
        self.assertFalse((self.scratch / "out").exists() or (self.scratch / "out.gguf").exists())

    def test_a_norm_that_was_converted(self):
        """It is that of the other format, too; and so is the function."""
        norm, file, back = (self.scratch / name for name in ("rms", "rms.gguf", "back"))
        self.ok("convert", BIBLE, norm)
        for source, target in ((norm, file), (file, back)):
            said = self.json("convert", source, target)
            self.assertEqual(said["norm"], "rms_norm")
            self.assertEqual(self.json("inspect", target)["model"]["norm"], "rms_norm")
        written = {self.ok("generate", model, "-p", "And the LORD said", "-n", "16", "--device",
                           "host") for model in (BIBLE, norm, file, back)}
        self.assertEqual(len(written), 1)

    def test_factors_of_rotary_positions(self):
        """GGUF has them as float32; of those of Llama 3.1 it is known what they are made of."""
        model, _ = make("Llama3")
        folder, file, packed = (self.scratch / name for name in ("in", "out.gguf", "q8.gguf"))
        model.write(folder)
        self.ok("convert", folder, file)
        self.check_gguf("Llama3", model, file)
        self.ok("convert", file, packed, "--type", "q8_0")
        self.assertEqual(read_gguf(packed)[1]["rope_freqs.weight"][2][:32],
                         read_gguf(file)[1]["rope_freqs.weight"][2][:32])
        model.factors = [text_reference.float32(factor) for factor in model.factors]
        self.assertLessEqual(distance(self.logits(file)[0], model.logits()[-1]), 1e-12)
        scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
                   "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
        model.config = dict(model.config, rope_theta=5e5, rope_scaling=scaling)
        shutil.rmtree(folder)
        model.write(folder)
        self.ok("convert", folder, file, "--overwrite")
        self.ok("convert", file, self.scratch / "back")
        config = json.loads((self.scratch / "back/config.json").read_text())
        self.assertEqual((config["rope_scaling"], config["rope_theta"]), (scaling, 5e5))
        self.assertEqual(*self.logits(folder, self.scratch / "back"))

    def test_a_window_over_all_positions_is_none(self):
        model, _ = make("Mistral")
        model.config = dict(model.config, sliding_window=64)
        model.write(self.scratch / "in")
        self.ok("convert", self.scratch / "in", self.scratch / "out.gguf")

    def test_numbers_that_are_none(self):
        model, _ = make("Llama")
        model.tensors["model.layers.1.self_attn.k_proj.weight"][1][40] = math.inf
        model.write(self.scratch / "in")
        said = self.failure("convert", self.scratch / "in", self.scratch / "out.gguf")
        self.assertIn("self_attn.k_proj.weight", said)
        self.assertIn("NaN or Inf", said)
        model.tensors["model.layers.1.self_attn.k_proj.weight"][1][40] = 1e6
        shutil.rmtree(self.scratch / "in")
        model.write(self.scratch / "in")
        self.assertIn("too large for f16", self.failure(
            "convert", self.scratch / "in", self.scratch / "out.gguf", "--type", "f16"))
        self.assertEqual([p.name for p in self.scratch.iterdir()], ["in"])

    def test_overwriting(self):
        model, _ = make("Llama")
        model.write(self.scratch / "in")
        file, foreign = self.scratch / "out.gguf", self.scratch / "foreign.gguf"
        self.ok("convert", self.scratch / "in", file)
        before = file.read_bytes()
        self.assertIn("exists already", self.failure("convert", self.scratch / "in", file))
        self.ok("convert", self.scratch / "in", file, "--overwrite", "--type", "f16")
        self.assertNotEqual(file.read_bytes(), before)
        text_gguf.write(model, foreign)
        before = foreign.read_bytes()
        self.assertIn("is not the output of a conversion", self.failure(
            "convert", self.scratch / "in", foreign, "--overwrite"))
        self.assertIn("must lie outside", self.failure("convert", file, file, "--overwrite",
                                                      "--type", "q8_0"))
        self.assertEqual(foreign.read_bytes(), before)
        self.ok("convert", self.scratch / "in", self.scratch / "in/beside.gguf")
        self.assertEqual(len(list((self.scratch / "in").iterdir())), 3)


def gpt2_words(words=True):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
            "use_regex": words}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DIGITS = {"type": "Digits", "individual_digits": True}
# What GGUF calls it: normalizer and pre-tokenizer.
STEPS = {
    "gpt-2": (None, gpt2_words()),
    "mpt": ({"type": "NFC"}, gpt2_words()),
    "smollm": (None, sequence(DIGITS, gpt2_words())),
    "llama-bpe": (None, sequence(split(WORDS % "{1,3}"), gpt2_words(False))),
    "qwen2": ({"type": "NFC"}, sequence(split(WORDS % ""), gpt2_words(False))),
    "bloom": (None, sequence(split(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"),
                             gpt2_words(False))),
    "falcon": (None, sequence({"type": "Punctuation", "behavior": "Contiguous"}, gpt2_words(),
                              {"type": "Digits", "individual_digits": False},
                              split("[0-9][0-9][0-9]"))),
}
TEMPLATE = "{% for m in messages %}{{ m['content'] }}\u00e9{% endfor %}"


def sentencepiece(unigram=False, prefix=True, frame=True):
    """A small vocabulary of SentencePiece's kind with bytes, as Llama's tokenizer.json has it."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] * (not unigram)
    merges = []
    for left, right in (("t", "h"), ("th", "e"), ("i", "n"), (SPACE, "the"), (SPACE, "in"),
                        ("a", "n"), ("an", "d"), (SPACE, "and"), ("n", "g"), ("in", "g"),
                        ("e", "r"), (SPACE, "t")):
        merges.append([left, right])
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz" + SPACE))
    for token in [left + right for left, right in merges] + letters:
        tokens.append(token)
    normalizers = [{"type": "Prepend", "prepend": SPACE}] * prefix + [
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    decoders = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"}] + [
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}] * prefix
    # any two tokens that make a third may be merged
    cuts = [[t[:i], t[i:]] for t in [a + b for a, b in merges] for i in range(1, len(t))
            if t[:i] in tokens and t[i:] in tokens]
    model = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
             "vocab": {t: i for i, t in enumerate(tokens)}, "merges": cuts}
    if unigram:
        model = {"type": "Unigram", "unk_id": 0, "byte_fallback": True,
                 "vocab": [[t, 0.0 if i < 3 else -1.5 - i / 8] for i, t in enumerate(tokens)]}
    post = {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    return {"version": "1.0", "added_tokens": [
                {"id": i, "content": t, "special": True, "normalized": False}
                for i, t in enumerate(tokens[:3])],
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": None, "post_processor": post if frame else None,
            "decoder": {"type": "Sequence", "decoders": decoders}, "model": model}


class Tokenizers(Program):
    def model(self, tokenizer=None, **config):
        """The small GPT-2 with another tokenizer."""
        folder = self.scratch / "in"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(BIBLE, folder)
        if tokenizer:
            (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        for name, content in config.items():
            (folder / (name + ".json")).write_text(json.dumps(content), encoding="utf-8")
        return folder

    def bible(self):
        return json.loads((BIBLE / "tokenizer.json").read_text(encoding="utf-8"))

    def ids(self, model, text, *options):
        (self.scratch / "text").write_bytes(text.encode())
        return self.json("tokenize", model, self.scratch / "text", *options)["tokens"]

    def round_trip(self, folder, more=("--bare", "--literal")):
        file, back = self.scratch / "out.gguf", self.scratch / "back"
        again = self.scratch / "again.gguf"
        for path in (file, again):
            path.unlink(missing_ok=True)
        shutil.rmtree(back, ignore_errors=True)
        self.ok("convert", folder, file)
        self.ok("convert", file, back)
        self.ok("convert", back, again)
        values, twice = read_gguf(file)[0], read_gguf(again)[0]
        for each in (values, twice):
            each.pop("zeromean.source_sha256")
        self.assertEqual([key for key in {*values, *twice} if values.get(key) != twice.get(key)],
                         [])
        text = "\n".join(HARD)
        for options in [()] + [(option,) for option in more]:
            expected = self.ids(folder, text, *options)
            self.assertEqual(self.ids(file, text, *options), expected)
            self.assertEqual(self.ids(back, text, *options), expected)
        return values, back

    def test_byte_level(self):
        for name, (normalizer, pre) in STEPS.items():
            with self.subTest(pre=name):
                tokenizer = self.bible()
                tokenizer["normalizer"], tokenizer["pre_tokenizer"] = normalizer, pre
                tokenizer["model"]["ignore_merges"] = name == "llama-bpe"
                last = max(tokenizer["model"]["vocab"].items(), key=lambda entry: entry[1])
                del tokenizer["model"]["vocab"][last[0]], tokenizer["model"]["merges"][-1]
                tokenizer["added_tokens"].append({"id": last[1], "content": "  ", "special": False,
                                                  "normalized": True})
                values, _ = self.round_trip(self.model(tokenizer))
                self.assertEqual(values["tokenizer.ggml.pre"], name)
                self.assertEqual(values["tokenizer.ggml.token_type"][0], 3)
                self.assertEqual(values["tokenizer.ggml.token_type"][1023], 4)
                self.assertEqual(len(values["tokenizer.ggml.merges"]), 766)

    def test_sentencepiece(self):
        for unigram, prefix in ((False, True), (False, False), (True, True)):
            with self.subTest(unigram=unigram, prefix=prefix):
                folder = self.model(sentencepiece(unigram, prefix))
                # GGUF's unigram makes no special tokens, where they are only text either
                values, _ = self.round_trip(folder, ["--bare"] + ["--literal"] * (not unigram))
                kinds = values["tokenizer.ggml.token_type"]
                self.assertEqual(values["tokenizer.ggml.model"], "t5" if unigram else "llama")
                self.assertEqual(values["tokenizer.ggml.add_space_prefix"], prefix)
                self.assertEqual(values["tokenizer.ggml.add_bos_token"], True)
                self.assertEqual(kinds[:4], [2, 3, 3, 1 if unigram else 6])
                self.assertEqual((kinds[-1], values["tokenizer.ggml.tokens"][-1]), (5, "[PAD1023]"))

    def test_what_is_beside_the_tokens(self):
        """Tokens that end a text, begin it and fill it up; the chat template."""
        tokenizer = self.bible()
        tokenizer["added_tokens"] += [{"id": i, "content": f"<|{i}|>", "special": True}
                                      for i in (1000, 1001)]
        for token in [t for t, i in tokenizer["model"]["vocab"].items() if i in (1000, 1001)]:
            del tokenizer["model"]["vocab"][token]
        tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:500]
        tokenizer["model"]["vocab"] = {t: i for t, i in tokenizer["model"]["vocab"].items()
                                       if i < 760}
        config = json.loads((BIBLE / "config.json").read_text())
        folder = self.model(tokenizer, config=dict(config, pad_token_id=1001),
                            generation_config={"eos_token_id": [1000, 0, 1001]},
                            tokenizer_config={"bos_token": {"content": "<|1001|>"},
                                              "chat_template": TEMPLATE})
        values, back = self.round_trip(folder)
        name = "tokenizer.ggml."
        self.assertEqual([values[name + key + "_token_id"] for key in
                          ("bos", "eos", "eot", "eom", "padding")], [1001, 1000, 0, 1001, 1001])
        self.assertEqual(values["tokenizer.chat_template"], TEMPLATE)
        said = json.loads((back / "tokenizer_config.json").read_text())
        self.assertEqual((said["chat_template"], said["bos_token"]), (TEMPLATE, "<|1001|>"))
        config = json.loads((back / "config.json").read_text())
        self.assertEqual((config["eos_token_id"], config["pad_token_id"]), ([1000, 0, 1001], 1001))

    def test_refusals(self):
        """What a tokenizer of GGUF can't say is not dropped."""
        def changed(tokenizer, **changes):
            return {**tokenizer, **changes}
        added = self.bible()["added_tokens"][0]
        fewer, moved = sentencepiece(), sentencepiece()
        fewer["model"]["merges"].pop()
        merges = moved["model"]["merges"]  # there is one score for all that makes "ing"
        merges.append(merges.pop(merges.index(["in", "g"])))
        metaspace = changed(sentencepiece(), normalizer=None, pre_tokenizer={
            "type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False})
        byte_level = self.bible()
        for tokenizer, reason in (
                (changed(byte_level, pre_tokenizer=dict(gpt2_words(), add_prefix_space=True)),
                 "its normalizer and pre-tokenizer"),
                (changed(byte_level, pre_tokenizer=split("[a-z]+")), "its normalizer and pre-token"),
                (changed(byte_level, normalizer={"type": "Lowercase"}), "its normalizer and pre-tok"),
                (changed(byte_level, normalizer={"type": "Bert"}), "'Bert' is not supported"),
                (changed(byte_level, added_tokens=[dict(added, lstrip=True)]), "lstrip"),
                (changed(byte_level, added_tokens=[dict(added, single_word=True)]), "single_word"),
                (fewer, "their merges"), (moved, "their merges"),
                (metaspace, "its normalizer or its pre-tokenizer"),
                (changed(byte_level, added_tokens=[added, dict(added, id=1024, content="more")]),
                 "has 1025 tokens")):
            with self.subTest(reason=reason):
                said = self.failure("convert", self.model(tokenizer), self.scratch / "out.gguf")
                self.assertIn(reason, said)
        folder = self.model(generation_config={"eos_token_id": [1, 2, 3, 4]})
        self.assertIn("over three tokens", self.failure("convert", folder,
                                                        self.scratch / "out.gguf"))
        self.assertFalse((self.scratch / "out.gguf").exists())

    def test_text_from_quantised_weights(self):
        """The small GPT-2 writes on with 8 bits for each weight."""
        file = self.scratch / "q8.gguf"
        said = self.json("convert", BIBLE, file, "--type", "q8_0")
        self.assertEqual((said["type"], said["as_f16"]), ("q8_0", 0))
        self.assertLess(said["rounding"], 0.01)
        expected, got = (self.ok("generate", model, "-p", "And the LORD said", "-n", "16",
                                 "--device", "host") for model in (BIBLE, file))
        self.assertEqual(got[:24], expected[:24])


if __name__ == "__main__":
    Program.path, LOGITS = sys.argv[1:3]
    tap.main()
