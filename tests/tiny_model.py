"""A language model of 40 kB with random weights: real for llama.cpp, fast, and talks nonsense."""

from pathlib import Path

import gguf
import numpy as np

_WIDTH, _INNER, _HEADS = 32, 64, 2
# The control tokens, one for each byte, and a few characters; kinds as llama.cpp numbers them.
_WORDS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "东", "风"]
_KINDS = [2, 3, 3, *[6] * 256, 1, 1, 1]


def write(path: Path) -> None:
    """Write the model as a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""
    random = np.random.default_rng(1)
    model = gguf.GGUFWriter(str(path), "llama")
    model.add_context_length(4096)
    model.add_embedding_length(_WIDTH)
    model.add_block_count(1)
    model.add_feed_forward_length(_INNER)
    model.add_head_count(_HEADS)
    model.add_head_count_kv(_HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(_WIDTH // _HEADS)
    model.add_vocab_size(len(_WORDS))
    model.add_tokenizer_model("llama")
    model.add_token_list(_WORDS)
    model.add_token_scores([0.0] * len(_WORDS))
    model.add_token_types(_KINDS)
    model.add_bos_token_id(1)
    model.add_eos_token_id(2)
    model.add_unk_token_id(0)
    shapes = {
        **{f"{name}.weight": (len(_WORDS), _WIDTH) for name in ("token_embd", "output")},
        **{f"blk.0.attn_{name}.weight": (_WIDTH, _WIDTH) for name in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{name}.weight": (_INNER, _WIDTH) for name in ("gate", "up")},
        "blk.0.ffn_down.weight": (_WIDTH, _INNER),
    }
    for name, shape in shapes.items():
        model.add_tensor(name, random.normal(0, 0.05, shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        model.add_tensor(f"{name}.weight", np.ones(_WIDTH, np.float32))
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()
