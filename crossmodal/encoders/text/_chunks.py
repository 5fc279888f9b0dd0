"""What encoders from pre-trained checkpoints share: texts cut into chunks that fit, frozen or tuned."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossmodal.data.text import chunks
from crossmodal.errors import InputError
from crossmodal.types import TextEncoder, Tokens

CHUNK_TOKENS = 128  # at most, with the checkpoint's special tokens


class Checkpoint(nn.Module, TextEncoder):
    """A text is cut into chunks that fit the model; its vector is the mean of theirs.

    Frozen, the model stays out of the weights and every chunk's vector is computed once and kept; tuned, its
    parameters are part of this module and are trained. What a kind of checkpoint does in its own way are `save`,
    `_inputs`, `_pooled` and `_encoded`.

    Args:
        loaded: the network.
        tokenizer: its tokenizer.
        dim: of its vectors.
        chunk_tokens: of a chunk, without special tokens.
        tune: whether it is trained.
    """

    longest: int  # tokens of a chunk with its special ones

    def __init__(self, loaded: nn.Module, tokenizer: Any, dim: int, chunk_tokens: int, tune: bool) -> None:
        super().__init__()
        self.tokenizer, self.dim, self.chunk_tokens, self.tune = tokenizer, dim, chunk_tokens, tune
        self.vectors: dict[str, Tensor] = {}
        if tune:
            self.transformer = loaded
        else:
            self._frozen = (loaded.eval().requires_grad_(False),)  # a tuple hides it from parameters() and state_dict()

    @property
    def _loaded(self) -> Any:
        return self.transformer if self.tune else self._frozen[0]

    def identity(self) -> bytes:
        """The vocabulary, and a hash of the weights that stay out of the module's own."""
        digest = hashlib.sha256(repr(sorted(self.tokenizer.get_vocab().items())).encode())
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
        return {**(self._inputs(flat) if self.tune else {"vectors": self._remembered(flat)}), "text": owner}

    def forward(self, tokens: Tokens) -> Tensor:
        """Tokens to ``(texts, dim)``: the mean over the chunks of each text."""
        owner = tokens["text"]
        inputs = {key: value for key, value in tokens.items() if key != "text"}
        vectors = self._pooled(inputs) if self.tune else inputs["vectors"]
        counts = torch.bincount(owner).to(vectors.dtype).unsqueeze(1)
        return vectors.new_zeros(len(counts), self.dim).index_add(0, owner, vectors) / counts

    def dense(self, ids: Tensor, mask: Tensor) -> Tensor:
        """As `forward`, of ids and mask ``(texts, chunks, length)``, which fixed graphs such as ONNX's can take.

        Where the mask is 0 there is no token; a chunk may hold none at all.
        """
        there = mask.sum(2, keepdim=True).clamp(max=1)  # (texts, chunks, 1)
        seen = torch.cat([torch.ones_like(mask[:, :, :1]), mask[:, :, 1:]], dim=2)  # some key, in padding too
        pooled = self._pooled({"input_ids": ids.flatten(0, 1), "attention_mask": seen.flatten(0, 1)})
        vectors = pooled.view(*ids.shape[:2], -1) * there
        mean: Tensor = vectors.sum(1) / there.sum(1)
        return mean

    def dense_tokens(self) -> tuple[str, dict[str, int]]:
        """The tokenizer as JSON, and how `dense` takes its tokens: at most so many, of a chunk and with specials.

        Raises:
            InputError: the tokenizer has no such form.
        """
        if not hasattr(self.tokenizer, "backend_tokenizer"):
            raise InputError(
                f"{type(self.tokenizer).__name__} has no tokenizer.json: it is not of the tokenizers library"
            )
        padding = self.tokenizer.pad_token_id or 0
        how = {"chunk_tokens": self.chunk_tokens, "longest": self.longest, "padding": padding}
        return self.tokenizer.backend_tokenizer.to_str(), how

    @abstractmethod
    def _inputs(self, pieces: Sequence[str]) -> Tokens:
        """What the network takes for chunks."""

    @abstractmethod
    def _pooled(self, inputs: Tokens) -> Tensor:
        """The network's vectors ``(chunks, dim)`` of its inputs."""

    @abstractmethod
    def _encoded(self, pieces: Sequence[str]) -> Tensor:
        """The frozen network's vectors ``(chunks, dim)``, however many chunks there are."""

    def _length(self, text: str) -> int:
        return len(self.tokenizer.tokenize(text))

    def _remembered(self, pieces: Sequence[str]) -> Tensor:
        new = sorted({piece for piece in pieces if piece not in self.vectors})
        if new:
            with torch.no_grad():
                self.vectors.update(zip(new, self._encoded(new).cpu(), strict=True))
        return torch.stack([self.vectors[piece] for piece in pieces])


@contextmanager
def loading(model: str, kind: str) -> Iterator[None]:
    """Make what libraries raise for a checkpoint that they cannot load an `InputError` of one line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"text_encoder.model {model!r} could not be loaded ({reason}); "
            f"give a folder with a {kind} checkpoint, or a hub name while the hub can be reached"
        ) from error
