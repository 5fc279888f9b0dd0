"""Any sentence-transformers checkpoint, by hub name or folder, frozen or tuned."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossmodal.data.text import chunks
from crossmodal.errors import InputError
from crossmodal.types import TextEncoder, Tokens


class SentenceTransformerEncoder(nn.Module, TextEncoder):
    """Reimers and Gurevych 2019. A text is cut into chunks that fit the model; its vector is the mean of theirs.

    Frozen, the model stays out of the weights and every chunk's vector is computed once and kept; tuned, its
    parameters are part of this module and are trained. A multilingual checkpoint is recommended, e.g.
    ``paraphrase-multilingual-MiniLM-L12-v2``. Remote code is never run.
    """

    def __init__(self, model: str, tune: bool = False) -> None:
        super().__init__()
        self.model, self.tune = model, tune
        loaded = _load(model)
        self.dim = int(loaded.get_embedding_dimension())
        self.chunk_tokens = min(int(loaded.max_seq_length or 128), 128) - 2  # the model adds its two special tokens
        self.vectors: dict[str, Tensor] = {}
        if tune:
            self.transformer = loaded
        else:
            self._frozen = (loaded.eval().requires_grad_(False),)  # a tuple hides it from parameters() and state_dict()

    @property
    def _loaded(self) -> Any:
        return self.transformer if self.tune else self._frozen[0]

    def save(self, folder: Path) -> None:
        """Write the checkpoint itself, so that the model loads without the hub."""
        self._loaded.save_pretrained(str(folder / "checkpoint"), create_model_card=False)

    def identity(self) -> bytes:
        """The vocabulary, and a hash of the weights that stay out of the module's own."""
        vocabulary = sorted(self._loaded.tokenizer.get_vocab().items())
        digest = hashlib.sha256(repr(vocabulary).encode())
        for name, tensor in () if self.tune else sorted(self._loaded.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.digest()

    @staticmethod
    def located(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
        """The constructor's settings for a saved model, whose checkpoint lies in its folder."""
        return {**settings, "model": str(folder / "checkpoint")}

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Tokens of every chunk (tuned) or its vector (frozen), and ``text (chunks,)``, the text it belongs to."""
        pieces = [chunks(text, self._length, self.chunk_tokens) for text in texts]
        flat = [piece for text in pieces for piece in text]
        owner = torch.tensor([row for row, text in enumerate(pieces) for _ in text])
        if self.tune:
            return {**self._loaded.preprocess(flat), "text": owner}
        return {"vectors": self._remembered(flat), "text": owner}

    def forward(self, tokens: Tokens) -> Tensor:
        """Tokens to ``(texts, dim)``: the mean over the chunks of each text."""
        owner = tokens["text"]
        inputs = {key: value for key, value in tokens.items() if key != "text"}
        vectors = self.transformer(inputs)["sentence_embedding"] if self.tune else inputs["vectors"]
        counts = torch.bincount(owner).to(vectors.dtype).unsqueeze(1)
        return vectors.new_zeros(len(counts), self.dim).index_add(0, owner, vectors) / counts

    def _length(self, text: str) -> int:
        return len(self._loaded.tokenizer.tokenize(text))

    def _remembered(self, pieces: Sequence[str]) -> Tensor:
        new = sorted({piece for piece in pieces if piece not in self.vectors})
        if new:
            with torch.no_grad():
                found = self._loaded.encode(new, convert_to_tensor=True, show_progress_bar=False).cpu()
            self.vectors.update(zip(new, found, strict=True))
        return torch.stack([self.vectors[piece] for piece in pieces])


def _load(model: str) -> Any:
    from sentence_transformers import SentenceTransformer  # eight seconds to import, so only when it is named

    try:
        return SentenceTransformer(model, device="cpu", trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"text_encoder.model {model!r} could not be loaded ({reason}); "
            "give a folder with a sentence-transformers checkpoint, or a hub name while the hub can be reached"
        ) from error
