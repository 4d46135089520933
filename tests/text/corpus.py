#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lines that are hard for tokenizers, the same for the same seed.

usage: corpus.py [COUNT [SEED]]: writes them to stdout, each with a NUL behind it
"""
import random
import sys
import unicodedata

# Old enough that all libraries agree on what they are.
ASSIGNED = [chr(c) for c in range(0x80, 0x20000)
            if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs", "Co")]
MARKS = [c for c in ASSIGNED if unicodedata.combining(c)]
EMOJI = ["😀", "🤖", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "❤️", "☕", "1️⃣", "🧑🏿‍🚀", "🫠", "🏴\U000e0067\U000e0062\U000e007f"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\u00a0", "\u2003", "\u3000",
          "\u2028", "\u0085", "\u180e", "\u200b", "\ufeff", "\x1c", "\v", "\f", " \t ", "          "]
CONTRACTIONS = ["don't", "I'LL", "we're", "it's", "IT'S", "they'd", "'tis", "o'clock", "you'Ve",
                "I'm'd", "can’t", "'ſ", "x'K", "''s", "'s", "'re're", "l'eau"]
SPECIALS = ["<|endoftext|>", "<s>", "</s>", "<unk>", "<pad>", "<|im_start|>", "<|im_end|>", "<tool>",
            "<|endoftext", "|>", "<0x0A>", "<0xFF>", "▁", "▁▁the", "Ġthe", "Ċ", "word", "  word ",
            "<wide>", " <wide> ", "<left>", "  <left>  ", "<single>", "a<single>b", "é<single>",
            " <single>.", "<s><s>", "<NORM>", "éclair漢", "e\u0301clair漢", "<|en|>", "<|0.00|>"]
WORDS = ("the of and to in is that for it as was with be by on not he his but at are this have from or "
         "had an they which one you were all her she there would their we him been has when who will "
         "no more if out so up said what its about than into them can only other time new some could "
         "these two may first then do any like my now over such our man me even most made after also").split()
SCRIPTS = {
    "latin": "aàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿāăąćĉċčďđßſƀǅȁɐAÀÁÂÄÅÆÇÈÉÊËİIıŁŒŠŽ",
    "greek": "αβγδεζηθικλμνξοπρσςτυφχψωΆΈΉΊΌΎΏΐΰ",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяЁЖЙ",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئىةًٌٍَُِّْ٠١٢٣٤٥٦٧٨٩،؟",
    "hebrew": "אבגדהוזחטיכךלמםנןסעפףצץקרשתְִֵָֹּ",
    "devanagari": "कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौ्ं०१२३।",
    "thai": "กขคงจฉชซดตถทนบปผฝพฟมยรลวศษสหอฮะาิีึืุูเแโใไ่้๊๋",
    "hangul": "가각간갇갈감갑값강개객거건걸검게한국어테스트\u1100\u1161\u11a8",
    "han": "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生漢字龍",
    "kana": "あいうえおかきくけこがぎぐげごアイウエオガギグゲゴーヽゝ々〆",
    "tamil": "அஆஇஈஉஊகஙசஞடணதநபமயரலவழளறனாிீுூ்",
}
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~…。，、।۔،“”«»—–·¿¡§©²³¹½¾ªº٪"


def number(r):
    return r.choice([str(r.randrange(10 ** r.randrange(1, 18))), f"{r.random():.5f}", "1,234,567.89",
                     "0x1F", "１２３", "٣٤٥", "ⅣⅫ", "②½", "2026-11-30", "१२३", "3rd", "1e-10"])


def script_word(r):
    letters = SCRIPTS[r.choice(sorted(SCRIPTS))]
    return "".join(r.choice(letters) for _ in range(r.randrange(1, 9)))


def marks(r):
    return r.choice("aeou가αक") + "".join(r.choice(MARKS) for _ in range(r.randrange(1, 30)))


def long_word(r):
    size = r.choice([300, 1000, 5000])
    kind = r.randrange(5)
    if kind == 0:
        return r.choice("aé漢 \n0-'😀") * size
    if kind == 1:
        return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(size))
    if kind == 2:
        return "".join(r.choice(ASSIGNED) for _ in range(size))
    if kind == 3:
        return r.choice(WORDS) * (size // 4)
    return "".join(r.choice(MARKS) for _ in range(size))


def broken(r):
    """Bytes that are no UTF-8, or only just: cut, over-long, surrogates, beyond U+10FFFF."""
    return r.choice([
        b"\xff", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98",
        b"\x80", b"\xe0\x80\x80", b"\xc3", b"\xf0\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
        bytes(r.randrange(256) for _ in range(r.randrange(1, 6))),
        "é漢😀".encode()[:r.randrange(1, 9)]])


FRAGMENTS = [
    (20, lambda r: r.choice(WORDS)), (4, lambda r: r.choice(WORDS).title()),
    (6, lambda r: r.choice(CONTRACTIONS)), (8, number), (12, script_word), (12, lambda r: r.choice(SPACES)),
    (4, lambda r: r.choice(EMOJI)), (3, marks), (7, lambda r: r.choice(SPECIALS)),
    (4, lambda r: "".join(r.choice(PUNCTUATION) for _ in range(r.randrange(1, 6)))),
    (2, lambda r: chr(r.choice([*range(0, 32), *range(127, 160)]))),
    (4, lambda r: "".join(r.choice(ASSIGNED) for _ in range(r.randrange(1, 5)))),
    (2, lambda r: f"https://{r.choice(WORDS)}.example/{r.choice(WORDS)}?q={number(r)}#x_y-z"),
    (2, lambda r: f"for (int i=0; i<{r.randrange(99)}; i++) {{\n\t\tx[i] += y->z;\r\n}}"),
    (2, broken),
]
WEIGHTS = [weight for weight, _ in FRAGMENTS]


def line(r):
    if r.random() < 0.01:
        return long_word(r).encode()
    parts = []
    for _, make in r.choices(FRAGMENTS, WEIGHTS, k=r.randrange(1, 14)):
        part = make(r)
        parts.append(part if isinstance(part, bytes) else part.encode())
        if r.random() < 0.6:
            parts.append(b" ")
    return b"".join(parts)


def lines(count=10000, seed=1):
    r = random.Random(seed)
    return [b"", b" ", b"\n", b"\0"] + [line(r) for _ in range(count - 4)]


if __name__ == "__main__":
    for each in lines(*map(int, sys.argv[1:3])):
        sys.stdout.buffer.write(each + b"\0")
