#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ids of our tokenizers against those of the packages tokenizers and sentencepiece, on hard
lines, for vocabularies of others and for ones that are trained here.

usage: compare.py LIBRARY MODELS [COUNT [NAME...]]: libzeromean.so and the models' folder
"""
import json
import pathlib
import sys
import tempfile
import time

import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

import corpus
from zeromean_text import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
ADDED = [AddedToken("<|endoftext|>", special=True), AddedToken("<s>", special=True),
         AddedToken("</s>", special=True), AddedToken("<|im_start|>", special=True),
         AddedToken("<|im_end|>", special=True, normalized=True), AddedToken("<tool>"),
         AddedToken("<wide>", lstrip=True, rstrip=True), AddedToken("<left>", lstrip=True, special=True),
         AddedToken("<single>", single_word=True), AddedToken("<NORM>", normalized=True),
         AddedToken("éclair漢", normalized=True), AddedToken("          ", normalized=True)]


def training_text():
    files = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("include/zeromean/*.h")])
    text = [line for file in files for line in file.read_text(encoding="utf-8").splitlines(True)]
    return text + [line.decode(errors="replace").replace("\0", "") for line in corpus.lines(3000, seed=2) if len(line) < 1000]


def byte_level(pre, normalizer=None, size=2000, **model):
    made = tokenizers.Tokenizer(models.BPE(**model))
    made.pre_tokenizer = pre
    if normalizer:
        made.normalizer = normalizer
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    made.add_tokens(ADDED)
    return made


def template(made, single, tokens):
    made.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(token, made.token_to_id(token)) for token in tokens])
    return made


def isolated(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def then_bytes(*parts, regex=False):
    return pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=False,
                                                                     use_regex=regex)])


def llama3(size=2000):
    made = template(byte_level(then_bytes(isolated(LLAMA3)), size=size, ignore_merges=True), "<s> $A",
                    ["<s>"])
    made.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                               made.post_processor])
    return made


def falcon(size=2000):
    return byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        pre_tokenizers.Digits(individual_digits=False), isolated("[0-9][0-9][0-9]")]), size=size)


def sentencepiece_like(pre=None, prepend=True, size=2500):
    """As Llama 2: BPE over characters, with bytes for what is not there."""
    made = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    steps = [normalizers.Prepend("▁")] if prepend else []
    made.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    if pre:
        made.normalizer, made.pre_tokenizer = normalizers.Sequence([]), pre
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                      decoders.Fuse(), *([decoders.Strip(" ", 1, 0)] if prepend else [])])
    made.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=size, show_progress=False, max_token_length=16, limit_alphabet=size // 2,
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]))
    made.add_tokens([token for token in ADDED if token.content.strip()])
    return template(made, "<s> $A </s>", ["<s>", "</s>"])


def unknown(fuse):
    """BPE over characters, some of which are no token."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    made.decoder = decoders.Metaspace(prepend_scheme="never")
    made.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=1000, show_progress=False, limit_alphabet=150, special_tokens=["<unk>"]))
    return made


def unigram(bytes_too, size=2000, **space):
    made = tokenizers.Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(**space)
    made.decoder = decoders.Metaspace(**space)
    few = [line for line in TEXT if max(line, default="") < "\u0500"]
    made.train_from_iterator(few, trainers.UnigramTrainer(
        vocab_size=size, show_progress=False, unk_token="<unk>",
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] * bytes_too))
    if bytes_too:
        described = json.loads(made.to_str())
        described["model"]["byte_fallback"] = True
        made = tokenizers.Tokenizer.from_str(json.dumps(described))
    made.add_tokens([token for token in ADDED if token.content.strip()])
    return template(made, "$A </s>", ["</s>"])


def gemma():
    made = sentencepiece_like(prepend=False)
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    return made


NFC = normalizers.NFC()
DIGITS = pre_tokenizers.Digits(individual_digits=True)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
# The names with a slash are those of GGUF's pre-tokenizers: they are made of their parts, too.
TRAINED = {
    "gpt2/gpt-2": lambda: byte_level(GPT2),
    "prefix-space": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "gpt-neox/mpt": lambda: byte_level(GPT2, NFC),
    "smollm/smollm": lambda: byte_level(then_bytes(DIGITS, regex=True)),
    "llama-3/llama-bpe": llama3,
    "qwen2/qwen2": lambda: byte_level(then_bytes(isolated(QWEN2)), NFC),
    "bloom/bloom": lambda: byte_level(then_bytes(isolated(BLOOM))),
    "falcon/falcon": falcon,
    "nfkd-lower": lambda: byte_level(GPT2, normalizers.Sequence([normalizers.NFKD(),
                                                                 normalizers.Lowercase()])),
    "nfkc": lambda: byte_level(GPT2, normalizers.NFKC()),
    "nfd": lambda: byte_level(GPT2, normalizers.Sequence([
        normalizers.NFD(), normalizers.Replace(Regex(r"\p{M}+"), "´"), normalizers.Replace("ab", "")])),
    "split-removed": lambda: byte_level(then_bytes(pre_tokenizers.Split(Regex(r"\s+"), "removed"))),
    "split-inverted": lambda: byte_level(then_bytes(pre_tokenizers.Split(Regex(r"\w+"), "removed", True))),
    "split-contiguous": lambda: byte_level(then_bytes(pre_tokenizers.Split(Regex(r"\d"), "contiguous"))),
    "split-next": lambda: byte_level(then_bytes(pre_tokenizers.Split("e", "merged_with_next"))),
    "split-empty": lambda: byte_level(then_bytes(isolated(r"x*|\W"))),
    "whitespace": lambda: byte_level(then_bytes(pre_tokenizers.WhitespaceSplit())),
    "llama-2": sentencepiece_like,
    "llama-first": lambda: sentencepiece_like(
        pre_tokenizers.Metaspace(prepend_scheme="first", split=False)),
    "gemma": gemma,
    "unknown": lambda: unknown(False),
    "unknown-fused": lambda: unknown(True),
    "unigram": lambda: unigram(False),
    "unigram-bytes": lambda: unigram(True, prepend_scheme="first", split=False),
}


# Tokens of bytes that are no UTF-8 become one U+FFFD each in the reference; and an added token that
# it has normalized is decoded as that.
DECODES = {"llama-2": None, "llama-first": "valid", "gemma": "valid", "unigram-bytes": "valid",
           "nfkd-lower": None, "nfd": None}


def gguf_fields(described, pre):
    """The metadata of a GGUF file, out of a tokenizer.json of byte-level BPE."""
    added = {token["id"]: token for token in described["added_tokens"]}
    by_id = {i: text for text, i in described["model"]["vocab"].items()}
    by_id.update((i, token["content"]) for i, token in added.items())
    size = max(by_id) + 1
    return {
        "model": "gpt2", "pre": pre, "tokens": [by_id.get(i, f"[PAD{i}]") for i in range(size)],
        "types": [(3 if added[i]["special"] else 4) if i in added else 1 if i in by_id else 5
                  for i in range(size)],
        "merges": [" ".join(m) if isinstance(m, list) else m for m in described["model"]["merges"]],
    }


def check(name, ours, reference, lines, decode="replaced", encode=None, same=None):
    """Prints how many lines differ, and the first ones. same: whether other ids are as good."""
    start, different, tokens = time.monotonic(), 0, 0
    for data in lines:
        text = data.decode(errors="replace")
        wanted = encode(text) if encode else reference.encode(text).ids
        got = ours.encode(data)
        tokens += len(wanted)
        problem = ""
        if got != wanted and not (same and same(got, wanted)):
            problem = f"{got} instead of {wanted}"
        if decode and not problem:
            back = ours.decode(got)
            try:
                back = back.decode() if decode == "valid" else back.decode(errors="replace")
            except UnicodeDecodeError:
                continue
            said = reference.decode(wanted)
            if back != said:
                problem = f"decoded {back!r} instead of {said!r}"
        if problem:
            different += 1
            if different <= 3:
                print(f"  {name}: {data[:200]!r}: {problem[:600]}")
    print(f"{name}: {len(lines)} lines, {tokens} tokens, {different} differ, "
          f"{time.monotonic() - start:.1f} s", flush=True)
    return different


def check_file(name, reference, lines, pre, decode):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tokenizer.json"
        reference.save(str(path))
        failed = check(name, Tokenizer(LIBRARY, path), reference, lines, decode)
        described = json.loads(path.read_text(encoding="utf-8"))
    if pre:
        # GGUF knows neither what tokens do to spaces beside them nor templates.
        described["added_tokens"] = [
            token for token in described["added_tokens"]
            if not (token["lstrip"] or token["rstrip"] or token["single_word"] or token["normalized"])]
        described["post_processor"] = None
        bare = tokenizers.Tokenizer.from_str(json.dumps(described))
        failed += check(f"{name} as GGUF", Tokenizer(LIBRARY, **gguf_fields(described, pre)), bare, lines)
    return failed


def check_sentencepiece(kind, lines, folder):
    """SentencePiece itself, whose vocabulary is what GGUF files of Llama and T5 hold."""
    text = pathlib.Path(folder) / "text"
    text.write_text("".join(TEXT), encoding="utf-8")
    prefix = str(pathlib.Path(folder) / kind)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=prefix, vocab_size=2500, model_type=kind, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2,
        character_coverage=0.98, user_defined_symbols=["<tool>"], max_sentence_length=20000)
    reference = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
    types = [2 if reference.is_unknown(i) else 3 if reference.is_control(i) else
             6 if reference.is_byte(i) else 1 for i in range(len(reference))]
    types[reference.piece_to_id("<tool>")] = 4
    ours = Tokenizer(LIBRARY, model={"bpe": "llama", "unigram": "t5"}[kind], add_bos=-1, add_eos=-1,
                     tokens=[reference.id_to_piece(i) for i in range(len(reference))], types=types,
                     scores=[reference.get_score(i) for i in range(len(reference))],
                     unknown=reference.unk_id())
    # It has no text that begins anew behind a token, and does not look for its control tokens.
    plain = [line for line in lines
             if not any(token in line for token in (b"<tool>", b"<s>", b"</s>", b"<unk>", b"\0"))]

    def equal_scores(got, wanted):
        """It adds up in float32, in which two ways of nearly one score may change places."""
        sums = [sum(map(reference.get_score, ids)) for ids in (got, wanted)]
        return kind == "unigram" and abs(sums[0] - sums[1]) < 1e-5 * abs(sums[0])

    return check(f"sentencepiece-{kind}", ours, reference, plain, None, reference.encode, equal_scores)


def gguf_vocabulary(path):
    """The metadata of a GGUF file of byte-level BPE."""
    import gguf  # late: most vocabularies need it not
    reader = gguf.GGUFReader(path)

    def value(key, otherwise=None):
        field = reader.get_field(f"tokenizer.ggml.{key}")
        return field.contents() if field else otherwise

    return {"model": value("model"), "pre": value("pre"), "tokens": value("tokens"),
            "types": value("token_type"), "merges": value("merges"),
            "add_bos": 1 if value("add_bos_token") else -1, "bos": value("bos_token_id", 0)}


def check_gguf(path, lines):
    """SmolLM2, the file of which has no tokenizer.json beside it: its parts make one."""
    fields = gguf_vocabulary(path)
    ours = Tokenizer(LIBRARY, **fields)
    if ours.encode(b"The capital of France is") != [504, 3575, 282, 4649, 314]:
        print(f"{path.name}: not the known ids of a known sentence")
        return 1
    special = [token for token, kind in zip(fields["tokens"], fields["types"]) if kind == 3]
    vocabulary = {token: i for i, token in enumerate(fields["tokens"])}
    reference = tokenizers.Tokenizer(models.BPE(
        vocabulary, [tuple(merge.split(" ")) for merge in fields["merges"]]))
    reference.pre_tokenizer = then_bytes(DIGITS, regex=True)
    reference.decoder = decoders.ByteLevel()
    reference.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return check(path.parent.name, ours, reference, lines)


def main():
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 10000
    names = sys.argv[4:]
    lines = corpus.lines(count)
    failed = 0
    for path in sorted(pathlib.Path(sys.argv[2]).glob("*/tokenizer.json")):
        if not names or path.parent.name in names:
            reference = tokenizers.Tokenizer.from_file(str(path))
            failed += check(path.parent.name, Tokenizer(LIBRARY, path), reference, lines)
    for path in sorted(pathlib.Path(sys.argv[2]).glob("smollm2/*.gguf")):
        if not names or path.parent.name in names:
            failed += check_gguf(path, lines)
    for name, make in TRAINED.items():
        name, _, pre = name.partition("/")
        if not names or name in names:
            failed += check_file(name, make(), lines, pre, DECODES.get(name, "replaced"))
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("bpe", "unigram"):
            if not names or f"sentencepiece-{kind}" in names:
                failed += check_sentencepiece(kind, lines, folder)
    return 1 if failed else 0


if __name__ == "__main__":
    LIBRARY = pathlib.Path(sys.argv[1]).resolve()
    TEXT = training_text()
    sys.exit(main())
