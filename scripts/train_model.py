#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a small GPT-2 on the King James Bible and writes it in the Hugging Face layout.

The text is what the program `bible` prints: a verse a line, an end-of-text token between chapters.
Every 40th chapter is held out. The folder is replaced every minute by the model as it stands.
"""
import argparse
import json
import math
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import time

import numpy
import tokenizers
import torch
import torch.multiprocessing
from torch.nn import functional

WIDTH, HEADS, LAYERS, CONTEXT, VOCABULARY = 128, 4, 5, 256, 1024
BATCH, WARM_UP = 8, 20
WORKERS = 2  # processes, which share a step's batch
ADAM_RATE, MUON_RATE, WEIGHT_DECAY = 4e-3, 0.02, 0.01
END = "<|endoftext|>"
HELD_OUT_EVERY = 40
SAVE_SECONDS = 60
EPSILON = 1e-5
PROMPTS = ("In the beginning", "And God said unto", "Blessed are the")


def read_chapters():
    """Lists of verses, one a chapter."""
    said = subprocess.run(["bible", "-f"], input="Gen1:1-Rev22:21\n", capture_output=True,
                          text=True, check=True).stdout
    first = said.index("\nGe1:1 ", said.index("> Gen1:1-Rev22:21"))
    chapters, last = [], None
    for name, verse in re.findall(r"^(\w+):\d+ (.*)$", said[first:], re.M):
        if name != last:
            chapters.append([])
        chapters[-1].append(verse.strip())
        last = name
    if len(chapters) != 1189 or sum(map(len, chapters)) != 31102:
        raise SystemExit(f"train_model: `bible` printed {len(chapters)} chapters, not 1189")
    return ["".join(verse + "\n" for verse in chapter) for chapter in chapters]


def train_tokenizer(chapters):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(chapters, trainer)
    return tokenizer


def encode(tokenizer, chapters):
    ids = [0]  # END comes first and between chapters
    for encoding in tokenizer.encode_batch(chapters):
        ids += encoding.ids + [0]
    return torch.tensor(ids)


class Block(torch.nn.Module):
    """Names and layout (input, output) of the matrices are those of Hugging Face."""

    def __init__(self, generator):
        super().__init__()
        def matrix(rows, columns, scale):
            return torch.nn.Parameter(scale * torch.randn(rows, columns, generator=generator))

        def vector(n, value=0.0):
            return torch.nn.Parameter(torch.full((n,), value))
        out = 0.02 / math.sqrt(2 * LAYERS)
        self.weights = torch.nn.ParameterDict({name.replace(".", "/"): value for name, value in {
            "ln_1.weight": vector(WIDTH, 1.0), "ln_1.bias": vector(WIDTH),
            "attn.c_attn.weight": matrix(WIDTH, 3 * WIDTH, 0.04),
            "attn.c_attn.bias": vector(3 * WIDTH),
            "attn.c_proj.weight": matrix(WIDTH, WIDTH, out), "attn.c_proj.bias": vector(WIDTH),
            "ln_2.weight": vector(WIDTH, 1.0), "ln_2.bias": vector(WIDTH),
            "mlp.c_fc.weight": matrix(WIDTH, 4 * WIDTH, 0.04), "mlp.c_fc.bias": vector(4 * WIDTH),
            "mlp.c_proj.weight": matrix(4 * WIDTH, WIDTH, out), "mlp.c_proj.bias": vector(WIDTH),
        }.items()})

    def linear(self, name, x):
        weight, bias = self.weights[f"{name}/weight"], self.weights[f"{name}/bias"]
        return torch.addmm(bias, x, weight)

    def norm(self, name, x):
        return functional.layer_norm(x, (WIDTH,), self.weights[f"{name}/weight"],
                                     self.weights[f"{name}/bias"], EPSILON)

    def attention(self, x, rows, mask):
        qkv = self.linear("attn/c_attn", x).view(rows, -1, 3, HEADS, WIDTH // HEADS)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + mask
        mixed = torch.softmax(scores, -1) @ v
        return self.linear("attn/c_proj", mixed.transpose(1, 2).reshape(x.shape))

    def forward(self, x, rows, mask):
        x = x + self.attention(self.norm("ln_1", x), rows, mask)
        hidden = functional.gelu(self.linear("mlp/c_fc", self.norm("ln_2", x)), approximate="tanh")
        return x + self.linear("mlp/c_proj", hidden)


class Model(torch.nn.Module):
    def __init__(self, generator):
        super().__init__()
        self.wte = torch.nn.Parameter(0.02 * torch.randn(VOCABULARY, WIDTH, generator=generator))
        self.wpe = torch.nn.Parameter(0.01 * torch.randn(CONTEXT, WIDTH, generator=generator))
        self.h = torch.nn.ModuleList(Block(generator) for _ in range(LAYERS))
        self.ln_f_weight = torch.nn.Parameter(torch.ones(WIDTH))
        self.ln_f_bias = torch.nn.Parameter(torch.zeros(WIDTH))

    def forward(self, ids, residuals=None):
        """Logits [rows * length, vocabulary]; residuals collects the main branch."""
        rows, length = ids.shape
        mask = torch.full((length, length), -math.inf).triu(1)
        x = (self.wte[ids] + self.wpe[:length]).view(-1, WIDTH)
        for block in self.h:
            if residuals is not None:
                residuals.append(x)
            x = block(x, rows, mask)
        if residuals is not None:
            residuals.append(x)
        x = functional.layer_norm(x, (WIDTH,), self.ln_f_weight, self.ln_f_bias, EPSILON)
        return x @ self.wte.T

    def tensors(self):
        """What a file holds: names of Hugging Face, and F16 values."""
        named = {"wte.weight": self.wte, "wpe.weight": self.wpe, "ln_f.weight": self.ln_f_weight,
                 "ln_f.bias": self.ln_f_bias}
        for i, block in enumerate(self.h):
            for name, value in block.weights.items():
                named[f"h.{i}.{name.replace('/', '.')}"] = value
        return {"transformer." + name: value.detach().half().numpy()
                for name, value in named.items()}

    def round_to_half(self):
        with torch.no_grad():
            for value in self.parameters():
                value.copy_(value.half().float())


class Optimizer:
    """Muon (steps that are orthogonal matrices) for the matrices of blocks, AdamW for the rest."""

    def __init__(self, model):
        self.matrices = [p for block in model.h for p in block.weights.values() if p.dim() == 2]
        chosen = {id(p) for p in self.matrices}
        self.momenta = [torch.zeros_like(p) for p in self.matrices]
        self.adam = torch.optim.AdamW([p for p in model.parameters() if id(p) not in chosen],
                                      betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY)

    @staticmethod
    def orthogonal(x):
        """The nearest matrix with orthonormal rows or columns, about; five steps of a quintic."""
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        return x.T if tall else x

    def step(self, scale):
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * scale
        self.adam.step()
        with torch.no_grad():
            for weight, momentum in zip(self.matrices, self.momenta):
                momentum.lerp_(weight.grad, 0.05)
                update = self.orthogonal(weight.grad.lerp(momentum, 0.95))
                rows, columns = weight.shape
                rate = MUON_RATE * scale
                weight.mul_(1 - rate * WEIGHT_DECAY)
                weight.add_(update, alpha=-rate * math.sqrt(max(1, columns / rows)))


def batches(ids, generator):
    """Without end: each pass cuts the text at other places, and has its pieces in another order."""
    while True:
        start = int(torch.randint(CONTEXT, (1,), generator=generator))
        count = (len(ids) - 1 - start) // CONTEXT
        inputs = ids[start:start + count * CONTEXT].view(count, CONTEXT)
        targets = ids[start + 1:start + 1 + count * CONTEXT].view(count, CONTEXT)
        for rows in torch.randperm(count, generator=generator).split(BATCH):
            yield inputs[rows], targets[rows]


def loss_of(model, ids):
    """Mean loss of a token, in pieces of the context's length."""
    count = (len(ids) - 1) // CONTEXT
    total = 0.0
    with torch.no_grad():
        for i in range(0, count, BATCH):
            rows = range(i, min(i + BATCH, count))
            cut = torch.stack([ids[r * CONTEXT:(r + 1) * CONTEXT + 1] for r in rows])
            total += float(functional.cross_entropy(model(cut[:, :-1]), cut[:, 1:].flatten(),
                                                    reduction="sum"))
    return total / (count * CONTEXT)


def main_branch(model, ids):
    """Of the main branch before each block and after the last: mean over root mean square."""
    residuals = []
    with torch.no_grad():
        model(ids[None, :CONTEXT], residuals)
    return [float((x.mean(1) ** 2).mean().sqrt() / (x ** 2).mean().sqrt()) for x in residuals]


def sample(model, tokenizer, prompt, generator, count=60, temperature=0.7):
    ids = [0] + tokenizer.encode(prompt).ids
    with torch.no_grad():
        for _ in range(count):
            logits = model(torch.tensor([ids[-CONTEXT:]]))[-1]
            chances = torch.softmax(logits / temperature, -1)
            ids.append(int(torch.multinomial(chances, 1, generator=generator)))
    return tokenizer.decode(ids[1:], skip_special_tokens=True)


def config():
    return {
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.0, "bos_token_id": 0, "embd_pdrop": 0.0, "eos_token_id": 0,
        "layer_norm_epsilon": EPSILON, "model_type": "gpt2", "n_embd": WIDTH, "n_head": HEADS,
        "n_inner": 4 * WIDTH, "n_layer": LAYERS, "n_positions": CONTEXT, "resid_pdrop": 0.0,
        "tie_word_embeddings": True, "torch_dtype": "float16", "vocab_size": VOCABULARY,
    }


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, value in sorted(tensors.items()):
        header[name] = {"dtype": "F16", "shape": list(value.shape),
                        "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, value in sorted(tensors.items()):
            out.write(numpy.ascontiguousarray(value, "<f2").tobytes())


def package(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True,
                          text=True, check=False)
    return f"{name} {done.stdout or '(version unknown)'}"


def provenance(facts):
    return f"""A GPT-2 of {facts['parameters']} parameters, trained on the King James Bible.

Text: Debian's {package('bible-kjv-text')}, as `bible -f` of {package('bible-kjv')} prints it.
The translation is of 1611, its copyright has expired (see that package's copyright file); the
package is "provided for unrestricted use". In the United Kingdom letters patent restrict printing.
Weights and tokenizer were made by scripts/train-model of this project alone, from random numbers
and that text, and are under its licence, Apache-2.0.

Seed {facts['seed']}; {facts['steps']} steps of {BATCH} x {CONTEXT} tokens in \
{facts['minutes']:.0f} minutes, {facts['passes']:.1f} times the text.
Optimizer: Muon for the matrices of the blocks, AdamW for the rest; cosine decay; no dropout.
PyTorch {torch.__version__}, tokenizers {tokenizers.__version__}, {WORKERS} processes.
Every {HELD_OUT_EVERY}th chapter was held out; there the F16 weights have
  loss of a token       {facts['loss']:.4f}
  perplexity of a token {math.exp(facts['loss']):.3f}
  perplexity of a byte  {math.exp(facts['loss'] / facts['bytes']):.4f} \
({facts['bytes']:.3f} bytes a token)
Main branch before each block and after the last, mean over root mean square:
  {' '.join(f'{x:.3f}' for x in facts['means'])}

Made again by: scripts/train-model --minutes {facts['limit']:g} --seed {facts['seed']} FOLDER
It trains until the time is up, so that another run gives another model of the same kind.
"""


def save(folder, model, tokenizer, facts):
    """The whole folder or nothing."""
    new = folder.with_name(folder.name + ".new")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name, value in (("config.json", config()),
                        ("generation_config.json", {"bos_token_id": 0, "eos_token_id": 0})):
        (new / name).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n",
                                encoding="ascii")
    (new / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    write_safetensors(new / "model.safetensors", model.tensors())
    (new / "PROVENANCE.txt").write_text(provenance(facts), encoding="ascii")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


class Training:
    def __init__(self, options):
        torch.manual_seed(options.seed)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.options = options
        chapters = read_chapters()
        kept = [c for i, c in enumerate(chapters) if (i + 1) % HELD_OUT_EVERY]
        held_out = [c for i, c in enumerate(chapters) if (i + 1) % HELD_OUT_EVERY == 0]
        self.tokenizer = train_tokenizer(kept)
        self.ids = encode(self.tokenizer, kept)
        self.held_out = encode(self.tokenizer, held_out)
        self.bytes = sum(len(c.encode()) for c in held_out) / len(self.held_out)
        self.model = Model(self.generator)
        self.optimizer = Optimizer(self.model)
        self.gradients = [[torch.zeros_like(p).detach().share_memory_()
                           for p in self.model.parameters()] for _ in range(WORKERS)]
        self.model.share_memory()
        self.losses = torch.zeros(WORKERS).share_memory_()
        self.stop = torch.zeros(1).share_memory_()
        self.barrier = torch.multiprocessing.get_context("fork").Barrier(WORKERS)
        self.steps = 0
        self.start = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.start

    def facts(self, held_out):
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "seed": self.options.seed, "steps": self.steps, "minutes": self.seconds() / 60,
            "limit": self.options.minutes, "bytes": self.bytes,
            "passes": self.steps * BATCH * CONTEXT / len(self.ids),
            "loss": loss_of(self.model, self.held_out[:held_out]),
            "means": main_branch(self.model, self.held_out),
        }

    def differentiate(self, batch, worker):
        """Leaves the gradient and the loss of this worker's rows where all processes see them."""
        inputs, targets = (part[worker::WORKERS] for part in batch)
        loss = functional.cross_entropy(self.model(inputs), targets.flatten(), reduction="sum")
        loss = loss / batch[1].numel()
        found = torch.autograd.grad(loss, list(self.model.parameters()))
        for shared, gradient in zip(self.gradients[worker], found):
            shared.copy_(gradient)
        self.losses[worker] = loss.detach()

    def step(self):
        done = self.seconds() / (60 * self.options.minutes)
        for parameter, *parts in zip(self.model.parameters(), *self.gradients):
            parameter.grad = sum(parts[1:], parts[0].clone())
        self.steps += 1
        decay = 0.5 + 0.5 * math.cos(math.pi * min(done, 1))
        self.optimizer.step(min(1, self.steps / WARM_UP) * decay)
        return float(self.losses.sum())

    def help(self, worker):
        """What the processes do that are not the first."""
        torch.set_num_threads(1)
        for batch in batches(self.ids, self.generator):
            self.differentiate(batch, worker)
            self.barrier.wait()  # gradients are there
            self.barrier.wait()  # the step is done
            if self.stop:
                return

    def save(self, held_out=4 * BATCH * CONTEXT + 1):
        facts = self.facts(held_out)
        save(self.options.folder, self.model, self.tokenizer, facts)
        print(f"saved: {self.steps} steps, held out {facts['loss']:.4f} a token, means "
              + " ".join(f"{x:.3f}" for x in facts["means"]), flush=True)

    def run(self):
        print(f"{len(self.ids)} tokens, {len(self.held_out)} held out, {self.bytes:.2f} bytes "
              "each", flush=True)
        helpers = [torch.multiprocessing.get_context("fork").Process(target=self.help, args=(i,))
                   for i in range(1, WORKERS)]
        for helper in helpers:
            helper.start()
        saved, losses = 0.0, []
        for batch in batches(self.ids, self.generator):
            self.differentiate(batch, 0)
            self.barrier.wait()
            losses.append(self.step())
            self.stop.fill_(self.seconds() >= 60 * self.options.minutes)
            self.barrier.wait()
            if self.steps % 20 == 0:
                print(f"{self.seconds():6.0f} s, step {self.steps}, loss "
                      f"{sum(losses[-20:]) / 20:.4f}", flush=True)
            if self.stop:
                break
            if self.seconds() - saved > SAVE_SECONDS:
                self.save()
                saved = self.seconds()
        for helper in helpers:
            helper.join()
        self.model.round_to_half()
        self.save(len(self.held_out))
        for prompt in PROMPTS:
            print("---\n" + sample(self.model, self.tokenizer, prompt, self.generator))


def main():
    parser = argparse.ArgumentParser(prog="train-model", description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="is written, or replaced")
    parser.add_argument("--minutes", type=float, default=25, help="of training (default: 25)")
    parser.add_argument("--seed", type=int, default=1611, help="default: 1611")
    options = parser.parse_args()
    torch.set_num_threads(1)
    Training(options).run()


if __name__ == "__main__":
    sys.exit(main())
