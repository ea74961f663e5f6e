"""A language model of 0.5 MB that talks nonsense, for an inference server to run.

    pip install gguf 'llama-cpp-python[server]'
    python -m tests.servers.tiny_gguf tiny.gguf
    python -m llama_cpp.server --model tiny.gguf --port 8000 --interrupt_requests False

Then ``engine.Client(provider="llama-cpp-python")`` streams from a real server: real tokens, real
limits, real errors. Without the last flag each new request ends the one before it, with ``[DONE]``
and no finish reason. Tried by hand and not in CI, since the server has to be compiled.

The shape is that of a llama with two layers; the weights are random, the same at each run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 4, 128, 2048
_TEXT = (
    "the a sky sea sun moon tree bird is was sees sings falls turns blue green old slow far and "
    "or but then over under once never two three who why , . ? ! é 天 空 🌈"
)
WORDS = _TEXT.split()
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_SPECIAL = ["<unk>", "<s>", "</s>"]
_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
)


def write(path: Path, seed: int = 0) -> None:
    """Write the model to `path`."""
    writer = gguf.GGUFWriter(str(path), "llama")
    _add_shape(writer)
    vocabulary = _add_vocabulary(writer)
    _add_weights(writer, vocabulary, numpy.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_vocabulary(writer: gguf.GGUFWriter) -> int:
    """The number of tokens: a few words, and every byte, so that any prompt can be told."""
    words = ["\u2581" + word for word in WORDS]  # SentencePiece's sign for a space
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list(_SPECIAL + _BYTES + words)
    writer.add_token_scores([0.0] * (len(_SPECIAL) + len(_BYTES)) + [-1.0] * len(words))
    writer.add_token_types(
        [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL]
        + [kinds.BYTE] * len(_BYTES)
        + [kinds.NORMAL] * len(words)
    )
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(_TEMPLATE)
    return len(_SPECIAL) + len(_BYTES) + len(words)


def _add_weights(writer: gguf.GGUFWriter, vocabulary: int, random: numpy.random.Generator) -> None:
    def add(name: str, *shape: int) -> None:
        weights = random.standard_normal(shape, dtype=numpy.float32) / numpy.sqrt(shape[-1])
        if name == "output.weight":
            # It says words, and single bytes hardly ever: those are mostly no UTF-8.
            weights *= 4
            weights[len(_SPECIAL) : len(_SPECIAL) + len(_BYTES)] = 0
        writer.add_tensor(name, weights.astype(numpy.float32))

    def add_norm(name: str) -> None:
        writer.add_tensor(name, numpy.ones(WIDTH, dtype=numpy.float32))

    add("token_embd.weight", vocabulary, WIDTH)
    for layer in range(LAYERS):
        add_norm(f"blk.{layer}.attn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
        add_norm(f"blk.{layer}.ffn_norm.weight")
        add(f"blk.{layer}.ffn_gate.weight", INNER, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", INNER, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, INNER)
    add_norm("output_norm.weight")
    add("output.weight", vocabulary, WIDTH)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
