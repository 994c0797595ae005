#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a tiny Llama with random weights as GGUF, enough for a llama.cpp server to answer nonsense.

Two layers, a vocabulary of bytes and a few pieces: half a megabyte, loaded in milliseconds.  The same
seed writes the same file.

usage: random_model.py FILE.gguf [WIDTH]     (WIDTH sets the time per token; 64)
"""
import sys

import gguf
import numpy

LAYERS = 2
HEADS = 4
CONTEXT = 8192
TEMPLATE = ("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant: {% endif %}")


def vocabulary():
    """Pieces with score and type, as SentencePiece models have them: specials, the 256 bytes, words."""
    kind = gguf.TokenType
    rows = [("<unk>", 0.0, kind.UNKNOWN), ("<s>", 0.0, kind.CONTROL), ("</s>", 0.0, kind.CONTROL)]
    rows += [(f"<0x{b:02X}>", 0.0, kind.BYTE) for b in range(256)]
    rows += [(f"\u2581{word}", -float(i), kind.NORMAL) for i, word in enumerate("the of and a to in is you that it".split())]
    rows += [(letter, -100.0 - i, kind.NORMAL) for i, letter in enumerate("\u2581etaoinshrdlu")]
    return rows


def write(path, width=64, seed=1):
    random = numpy.random.default_rng(seed)
    rows = vocabulary()
    feed_forward = width * 2
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("random")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(width)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(feed_forward)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(width // HEADS)
    out.add_vocab_size(len(rows))
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    out.add_tokenizer_model("llama")
    out.add_token_list([text.encode() for text, _, _ in rows])
    out.add_token_scores([score for _, score, _ in rows])
    out.add_token_types([kind for _, _, kind in rows])
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_add_bos_token(True)
    out.add_chat_template(TEMPLATE)

    def matrix(name, rows_, columns):
        out.add_tensor(name, (random.standard_normal((rows_, columns)) * 0.1).astype(numpy.float32))

    def ones(name):
        out.add_tensor(name, numpy.ones(width, dtype=numpy.float32))

    matrix("token_embd.weight", len(rows), width)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(block + part + ".weight", width, width)
        ones(block + "ffn_norm.weight")
        matrix(block + "ffn_gate.weight", feed_forward, width)
        matrix(block + "ffn_up.weight", feed_forward, width)
        matrix(block + "ffn_down.weight", width, feed_forward)
    ones("output_norm.weight")
    matrix("output.weight", len(rows), width)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    write(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 64)
