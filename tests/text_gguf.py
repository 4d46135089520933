# SPDX-License-Identifier: Apache-2.0
"""The models of text_reference.py as GGUF files, with the names and the order of rows that
llama.cpp's converter gives them."""
import array
import re
import struct

from text_reference import D, HEADS, LAYERS, POSITIONS

ENDS = {"model.embed_tokens": "token_embd", "gpt_neox.embed_in": "token_embd",
        "transformer.wte": "token_embd", "transformer.word_embeddings": "token_embd",
        "transformer.wpe": "position_embd",
        "transformer.word_embeddings_layernorm": "token_embd_norm",
        "model.norm": "output_norm", "gpt_neox.final_layer_norm": "output_norm",
        "model.final_layernorm": "output_norm", "transformer.ln_f": "output_norm",
        "transformer.norm_f": "output_norm", "lm_head": "output", "embed_out": "output",
        "rope_freqs": "rope_freqs"}
PARTS = {"attn_norm": ["input_layernorm", "ln_1", "norm_1"],
         "ffn_norm": ["post_attention_layernorm", "ln_2", "norm_2"],
         "attn_q": ["self_attn.q_proj"], "attn_k": ["self_attn.k_proj"],
         "attn_v": ["self_attn.v_proj"],
         "attn_qkv": ["attn.c_attn", "attention.query_key_value", "attn.Wqkv",
                      "self_attention.query_key_value"],
         "attn_output": ["self_attn.o_proj", "attn.c_proj", "attention.dense", "self_attn.dense",
                         "self_attention.dense", "attn.out_proj"],
         "ffn_gate": ["mlp.gate_proj"],
         "ffn_up": ["mlp.up_proj", "mlp.c_fc", "mlp.dense_h_to_4h", "mlp.fc1", "ffn.up_proj"],
         "ffn_down": ["mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "mlp.fc2",
                      "ffn.down_proj"]}
PART_OF = {old: new for new, olds in PARTS.items() for old in olds}
# Family: its name, and what its metadata say of their own.
FAMILIES = {
    "Llama": ("llama", {"rope.freq_base": 500.0, "rope.dimension_count": D // HEADS}),
    "LlamaWide": ("llama", {"rope.freq_base": 500.0, "attention.key_length": 16}),
    "LlamaLong": ("llama", {"rope.freq_base": 500.0, "rope.scaling.type": "linear",
                            "rope.scaling.factor": 4.0}),
    "Llama3": ("llama", {"rope.freq_base": 500.0, "attention.key_length": 16}),
    "LlamaYarn": ("llama", {"rope.freq_base": 500.0, "attention.key_length": 16,
                            "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                            "rope.scaling.original_context_length": 48}),
    "Qwen2": ("qwen2", {"rope.freq_base": 500.0}),
    "Qwen2Yarn": ("qwen2", {"rope.freq_base": 500.0, "attention.key_length": 16,
                            "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                            "rope.scaling.attn_factor": 0.75, "rope.scaling.yarn_beta_fast": 4.0,
                            "rope.scaling.yarn_beta_slow": 0.5}),
    "Gemma": ("gemma", {"rope.freq_base": 500.0, "attention.key_length": 16}),
    "Gpt2": ("gpt2", {}),
    "GptBigcode": ("starcoder", {}),
    "Starcoder2Whole": ("starcoder2", {"rope.freq_base": 500.0}),
    "GptNeox": ("gptneox", {"rope.freq_base": 1000.0, "rope.dimension_count": 2,
                            "use_parallel_residual": True}),
    "GptNeoxSequential": ("gptneox", {"rope.freq_base": 1000.0, "rope.dimension_count": 2,
                                      "use_parallel_residual": False}),
    "Phi": ("phi2", {"rope.dimension_count": 2}),
    "Falcon": ("falcon", {}),
    "Bloom": ("bloom", {}),
    "Mpt": ("mpt", {"attention.max_alibi_bias": 8.0}),
}


def rename(name):
    root, suffix = name.rsplit(".", 1)
    if root in ENDS:
        return f"{ENDS[root]}.{suffix}"
    layer, part = re.fullmatch(r"\w+\.\w+\.(\d+)\.(.*)", root).groups()
    return f"blk.{layer}.{PART_OF[part]}.{suffix}"


def rows_in_order(order, shape, values):
    width = len(values) // shape[0]
    return array.array("f", [values[row * width + c] for row in order for c in range(width)])


def convert(model, name, shape, values):
    """The tensor as GGUF has it."""
    kind = type(model).__name__
    if kind == "Gpt2" and ".h." in name and len(shape) == 2:
        values = array.array("f", [values[r * shape[1] + c] for c in range(shape[1])
                                   for r in range(shape[0])])
        shape = shape[::-1]
    if "query_key_value" in name and model.kv_heads == HEADS:  # by parts, not by heads
        order = [h * 3 * model.dim + part * model.dim + i for part in range(3)
                 for h in range(HEADS) for i in range(model.dim)]
        values = rows_in_order(order, shape, values)
    if kind.startswith("Llama") and re.search(r"[qk]_proj", name):  # pairs lie side by side
        half = model.dim // 2
        order = [h * model.dim + j * half + i for h in range(shape[0] // model.dim)
                 for i in range(half) for j in range(2)]
        values = rows_in_order(order, shape, values)
    if kind == "Gemma" and name.endswith("norm.weight"):
        values = array.array("f", [1 + v for v in values])
    return shape, values


def string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def entry(key, value):
    kind = {bool: (7, "?"), int: (4, "I"), float: (6, "f"), str: (8, "")}[type(value)]
    packed = string(value) if kind[0] == 8 else struct.pack("<" + kind[1], value)
    return string(key) + struct.pack("<I", kind[0]) + packed


def write(model, path, changes=None):
    family, own = FAMILIES[type(model).__name__]
    eps = "attention.layer_norm_rms_epsilon" if family in ("llama", "qwen2", "gemma") else \
        "attention.layer_norm_epsilon"
    values = {"embedding_length": D, "block_count": LAYERS, "attention.head_count": HEADS,
              "attention.head_count_kv": model.kv_heads, "feed_forward_length": model.ff,
              "context_length": POSITIONS, eps: model.eps, **own, **(changes or {})}
    entries = [entry("general.architecture", family)]
    entries += [entry(f"{family}.{key}", value) for key, value in values.items()]
    infos, data = b"", b""
    tensors = dict(model.tensors)
    if type(model).__name__ == "Llama3":
        tensors["rope_freqs.weight"] = ([len(model.factors)], array.array("f", model.factors))
    for name, (shape, numbers) in tensors.items():
        shape, numbers = convert(model, name, shape, numbers)
        infos += string(rename(name)) + struct.pack("<I", len(shape))
        infos += struct.pack(f"<{len(shape)}Q", *shape[::-1]) + struct.pack("<IQ", 0, len(data))
        data += numbers.tobytes()
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    head += b"".join(entries) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)
