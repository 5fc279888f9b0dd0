"""A small transformer trained from scratch with its own tokenizer: multilingual by its data, nothing to download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn

from crossmodal.data.text import chunks
from crossmodal.errors import InputError
from crossmodal.settings import Count, Range, Share
from crossmodal.types import TextEncoder, Tokens

PAD = "[PAD]"


class Block(nn.Module):
    """Pre-norm transformer block (Vaswani et al. 2017; pre-norm after Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``x (chunks, length, width)``, ``mask (chunks, 1, 1, length)`` true where there is a token."""
        q, k, v = self.qkv(self.norm_attention(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        mixed: Tensor = x + self.drop(self.out(attended.transpose(1, 2).flatten(2)))
        refined: Tensor = mixed + self.drop(self.mlp(self.norm_mlp(mixed)))
        return refined


class MiniTransformer(nn.Module, TextEncoder):
    """Byte-level BPE, a few transformer blocks on chunks of a text, one attention pool over the tokens of all chunks.

    Self-attention stays within a chunk of ``chunk_tokens``, but the pool's softmax runs over every token of the text,
    so a decisive word far behind in a long review weighs as much as one in its first line.
    """

    def __init__(
        self,
        vocabulary: Annotated[int, Range(257)] = 8000,  # 256 bytes and the padding
        dim: Count = 192,
        layers: Count = 2,
        heads: Count = 4,
        dropout: Share = 0.1,
        chunk_tokens: Count = 64,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise InputError(f"text_encoder.dim is {dim}, heads {heads}: dim must be a multiple of heads")
        self.dim, self.vocabulary, self.chunk_tokens = dim, vocabulary, chunk_tokens
        self.tokens = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(chunk_tokens, dim)
        for table in (self.tokens, self.positions):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm, self.score, self.drop = nn.LayerNorm(dim), nn.Linear(dim, 1), nn.Dropout(dropout)
        self.tokenizer: Tokenizer | None = None

    def fit(self, texts: Sequence[str]) -> None:
        """Train the tokenizer (byte-level BPE, NFKC, lower case) on ``texts``: the training texts, and no others."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()  # all 256 bytes, so that no text is unknown
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary, special_tokens=[PAD], initial_alphabet=sorted(alphabet), show_progress=False
        )
        tokenizer.train_from_iterator(sorted(set(texts)), trainer)
        self.tokenizer = tokenizer

    def identity(self) -> bytes:
        """The tokenizer's own description; nothing before it is trained."""
        return self.tokenizer.to_str().encode() if self.tokenizer else b""

    def save(self, folder: Path) -> None:
        """Write what is not in the weights: the tokenizer."""
        (folder / "tokenizer.json").write_text(self._fitted().to_str(pretty=True), encoding="utf-8")

    def restore(self, folder: Path) -> None:
        """Read what `save` wrote."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise InputError(f"{path} does not exist: the model folder is not complete")
        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # it raises nothing more precise
            raise InputError(f"{path} is no tokenizer: {str(error).splitlines()[0]}") from error

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """``ids (chunks, length)``, zero where padded, and ``text (chunks,)``, the text that each chunk belongs to."""
        tokenizer = self._fitted()
        pieces = [chunks(text, lambda part: len(tokenizer.encode(part).ids), self.chunk_tokens) for text in texts]
        encoded = tokenizer.encode_batch([piece for text in pieces for piece in text])
        # a chunk of joined sentences can be a token longer than its parts; an empty one holds padding alone
        ids = [torch.tensor(e.ids[: self.chunk_tokens] or [0]) for e in encoded]
        owner = [row for row, text in enumerate(pieces) for _ in text]
        return {"ids": nn.utils.rnn.pad_sequence(ids, batch_first=True), "text": torch.tensor(owner)}

    def forward(self, tokens: Tokens) -> Tensor:
        """Tokens to ``(texts, dim)``."""
        ids, owner = tokens["ids"], tokens["text"]
        mask = ids > 0
        mask[:, 0] = True  # an empty text attends to its padding rather than to nothing
        x = self.drop(self.tokens(ids) + self.positions.weight[: ids.shape[1]])
        for block in self.blocks:
            x = block(x, mask[:, None, None])
        x = self.norm(x)
        return pool(x[mask], self.score(x[mask]).squeeze(1), owner[:, None].expand_as(ids)[mask])

    def dense(self, ids: Tensor, mask: Tensor) -> Tensor:
        """As `forward`, of ids and mask ``(texts, chunks, length)``, which fixed graphs such as ONNX's can take.

        Where the mask is 0 there is no token; a chunk may hold none at all.
        """
        there = mask.flatten(0, 1) > 0
        seen = torch.cat([torch.ones_like(there[:, :1]), there[:, 1:]], dim=1)  # some key, for a chunk of padding too
        x = self.tokens(ids.flatten(0, 1)) + self.positions.weight[: ids.shape[2]]
        for block in self.blocks:
            x = block(x, seen[:, None, None])
        x = self.norm(x).unflatten(0, ids.shape[:2]).flatten(1, 2)  # (texts, tokens of all chunks, dim)
        scores = self.score(x).squeeze(2).masked_fill(mask.flatten(1) == 0, -torch.inf)
        pooled: Tensor = (scores.softmax(1).unsqueeze(1) @ x).squeeze(1)
        return pooled

    def dense_tokens(self) -> tuple[str, dict[str, int]]:
        """The tokenizer as JSON, and how `dense` takes its tokens: at most so many, of a chunk and with specials."""
        how = {"chunk_tokens": self.chunk_tokens, "longest": self.chunk_tokens, "padding": 0}
        return self._fitted().to_str(), how

    def _fitted(self) -> Tokenizer:
        if self.tokenizer is None:
            raise InputError("the tokenizer is not trained: call fit(texts) first, or load a saved model")
        return self.tokenizer


def pool(values: Tensor, scores: Tensor, owner: Tensor) -> Tensor:
    """Attention pooling by owner: ``sum softmax(scores) values`` over the rows of each owner.

    Args:
        values: ``(rows, dim)``.
        scores: ``(rows,)``.
        owner: ``(rows,)`` int64, 0 to owners - 1, each at least once.

    Returns:
        ``(owners, dim)``, in the dtype of ``values``.
    """
    owners = int(owner.max()) + 1
    scores = scores.float()
    peak = scores.new_full((owners,), -torch.inf).scatter_reduce(0, owner, scores.detach(), "amax")
    weights = (scores - peak[owner]).exp()
    total = weights.new_zeros(owners).index_add(0, owner, weights)
    weighted = values.float() * (weights / total[owner]).unsqueeze(1)
    return weighted.new_zeros(owners, values.shape[1]).index_add(0, owner, weighted).to(values.dtype)
