"""Any sentence-transformers checkpoint, by hub name or folder, frozen or tuned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from crossmodal.encoders.text._chunks import CHUNK_TOKENS, Checkpoint, loading
from crossmodal.types import Tokens


class SentenceTransformerEncoder(Checkpoint):
    """Reimers and Gurevych 2019. A multilingual checkpoint is recommended, e.g. paraphrase-multilingual-MiniLM-L12-v2.

    Remote code is never run.

    Args:
        model: a hub name, or a folder.
        tune: whether the checkpoint is trained with the rest; frozen, a chunk's vector is computed once.
    """

    def __init__(self, model: str, tune: bool = False) -> None:
        loaded = _load(model)
        self.longest = int(loaded.max_seq_length or CHUNK_TOKENS)
        tokens = min(self.longest, CHUNK_TOKENS) - 2  # it adds its two special tokens
        super().__init__(loaded, loaded.tokenizer, int(loaded.get_embedding_dimension()), tokens, tune)

    def save(self, folder: Path) -> None:
        """Write the checkpoint itself, so that the model loads without the hub."""
        self._loaded.save_pretrained(str(folder / "checkpoint"), create_model_card=False)

    def _inputs(self, pieces: Sequence[str]) -> Tokens:
        inputs: Tokens = self._loaded.preprocess(list(pieces))
        return inputs

    def _pooled(self, inputs: Tokens) -> Tensor:
        vectors: Tensor = self._loaded(inputs)["sentence_embedding"]
        return vectors

    def _encoded(self, pieces: Sequence[str]) -> Tensor:
        vectors: Tensor = self._loaded.encode(list(pieces), convert_to_tensor=True, show_progress_bar=False)
        return vectors


def _load(model: str) -> Any:
    from sentence_transformers import SentenceTransformer  # eight seconds to import, so only when it is named

    with loading(model, "sentence-transformers"):
        return SentenceTransformer(model, device="cpu", trust_remote_code=False)
