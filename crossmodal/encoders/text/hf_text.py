"""Any text model of the transformers library, by hub name or folder, frozen or tuned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossmodal.encoders.text._chunks import CHUNK_TOKENS, Checkpoint, loading
from crossmodal.errors import InputError
from crossmodal.types import Tokens

AT_ONCE = 64  # chunks that a frozen model reads at a time


class HfText(Checkpoint):
    """BERT, RoBERTa, XLM-R, GPT-2 and their like: a chunk's vector is the mean over its tokens' last hidden states.

    No code of a checkpoint is ever run. Models that also decode (T5) or see (CLIP) are refused.

    Args:
        model: a hub name, or a folder.
        tune: whether the checkpoint is trained with the rest; frozen, a chunk's vector is computed once.
    """

    def __init__(self, model: str, tune: bool = False) -> None:
        loaded, tokenizer = _load(model)
        positions = getattr(loaded.config, "max_position_embeddings", CHUNK_TOKENS)
        self.longest = min(CHUNK_TOKENS, positions, tokenizer.model_max_length)
        tokens = self.longest - tokenizer.num_special_tokens_to_add()
        super().__init__(loaded, tokenizer, int(loaded.config.hidden_size), tokens, tune)

    def save(self, folder: Path) -> None:
        """Write the checkpoint itself, so that the model loads without the hub."""
        self._loaded.save_pretrained(str(folder / "checkpoint"))
        self.tokenizer.save_pretrained(str(folder / "checkpoint"))

    def _inputs(self, pieces: Sequence[str]) -> Tokens:
        some = [piece or " " for piece in pieces]  # nothing at all would be no token where none is special
        how = {"padding": True, "truncation": True, "max_length": self.longest, "return_tensors": "pt"}
        return dict(self.tokenizer(some, **how))

    def _pooled(self, inputs: Tokens) -> Tensor:
        states = self._loaded(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(2).to(states.dtype)
        means: Tensor = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return means

    def _encoded(self, pieces: Sequence[str]) -> Tensor:
        order = sorted(range(len(pieces)), key=lambda row: len(pieces[row]))
        # chunks of a group are alike in length, so that little is padded
        groups = [order[start : start + AT_ONCE] for start in range(0, len(order), AT_ONCE)]
        found = torch.cat([self._pooled(self._inputs([pieces[row] for row in group])) for group in groups])
        return found[torch.tensor(order).argsort()]


def _load(model: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer  # seconds to import, so only when it is named

    with loading(model, "transformers"):
        loaded = AutoModel.from_pretrained(model, trust_remote_code=False, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    config = loaded.config
    if config.is_encoder_decoder or not hasattr(config, "hidden_size"):
        raise InputError(f"text_encoder.model {model!r} is of type {config.model_type}, not a model of text alone")
    if getattr(loaded, "pooler", None) is not None:
        loaded.pooler = None  # a layer on top that means over tokens do not use: it would never be trained
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return loaded, tokenizer
