# SPDX-License-Identifier: Apache-2.0
"""text.h by ctypes: what the comparison with other tokenizers calls."""
import ctypes
from ctypes import POINTER, byref, c_bool, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint32, c_void_p


class Log(ctypes.Structure):
    WRITE = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p)
    _fields_ = [("write", WRITE), ("user", c_void_p), ("level", c_int)]


class EncodeParams(ctypes.Structure):
    _fields_ = [("text", c_char_p), ("size", c_size_t), ("bare", c_bool), ("literal", c_bool),
                ("log", POINTER(Log))]


class Text(ctypes.Structure):
    _fields_ = [("bytes", c_char_p), ("size", c_size_t)]


class Vocabulary(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("model", c_char_p), ("pre", c_char_p), ("tokens", POINTER(Text)),
                ("token_count", c_size_t), ("types", POINTER(c_int32)), ("scores", POINTER(c_float)),
                ("merges", POINTER(Text)), ("merge_count", c_size_t), ("bos", POINTER(c_uint32)),
                ("eos", POINTER(c_uint32)), ("unknown", POINTER(c_uint32)), ("add_bos", c_int),
                ("add_eos", c_int), ("add_space", c_int), ("has_character_map", c_bool),
                ("log", POINTER(Log))]


def texts(strings):
    kept = [s if isinstance(s, bytes) else s.encode() for s in strings]
    return (Text * len(kept))(*((s, len(s)) for s in kept))


class Tokenizer:
    """A tokenizer.json (path), or a GGUF-like vocabulary (keywords: the fields)."""

    def __init__(self, library, path=None, **fields):
        self.library = ctypes.CDLL(str(library))
        self.libc = ctypes.CDLL(None)
        self.libc.free.argtypes = [c_void_p]
        self.said = []
        self.log = Log(Log.WRITE(lambda user, level, words: self.said.append(words.decode())), None, 1)
        self.handle = c_void_p()
        if path is not None:
            status = self.library.zm_tokenizer_open(str(path).encode(), byref(self.log),
                                                    byref(self.handle))
        else:
            status = self.library.zm_tokenizer_create(byref(self.vocabulary(fields)),
                                                      byref(self.handle))
        if status:
            raise ValueError(self.said)

    def vocabulary(self, fields):
        made = Vocabulary(log=ctypes.pointer(self.log))
        for name, value in fields.items():
            if name in ("tokens", "merges"):
                setattr(made, name, texts(value))
                setattr(made, name[:-1] + "_count", len(value))
            elif name in ("scores", "types"):
                kind = c_float if name == "scores" else c_int32
                setattr(made, name, (kind * len(value))(*value))
            elif name in ("bos", "eos", "unknown"):
                setattr(made, name, ctypes.pointer(c_uint32(value)))
            else:
                setattr(made, name, value.encode() if isinstance(value, str) else value)
        return made

    def encode(self, data, bare=False, literal=False):
        params = EncodeParams(data, len(data), bare, literal, ctypes.pointer(self.log))
        ids, count = POINTER(c_int32)(), c_size_t()
        if self.library.zm_tokenizer_encode(self.handle, byref(params), byref(ids), byref(count)):
            raise ValueError(self.said)
        found = ids[:count.value]
        self.libc.free(ids)
        return found

    def decode(self, ids, special=False):
        data, size = c_void_p(), c_size_t()
        array = (c_int32 * len(ids))(*ids)
        if self.library.zm_tokenizer_decode(self.handle, array, c_size_t(len(ids)), c_bool(special),
                                            byref(data), byref(size)):
            raise ValueError(ids)
        text = ctypes.string_at(data, size.value)
        self.libc.free(data)
        return text
