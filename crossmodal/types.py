"""The central types: what flows between the parts, and what each family of plug-ins promises.

Nothing here imports torch at run time, so that configs and help stay fast. A plug-in says its family by inheriting
from the family's protocol: ``class MelCNN(nn.Module, AudioEncoder)``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from crossmodal.judgement import Judgement

Tokens = dict[str, "Tensor"]
"""What a text encoder's ``tokenize`` returns: tensors by name, to be moved to the device as they are."""


Order = Callable[[int], "NDArray[np.int64]"]
"""The order of an epoch, by its number: a permutation of the rows of the training tracks."""


def moved(value: Any, device: torch.device) -> Any:
    """Move a tensor, or the tensors of a mapping, to ``device``; anything else stays as it is."""
    if isinstance(value, Mapping):
        return {key: moved(item, device) for key, item in value.items()}
    return value.to(device, non_blocking=True) if hasattr(value, "to") else value


@dataclass(frozen=True)
class Batch:
    """Tracks, their texts and tags, as the loader gives them.

    Attributes:
        tracks: row of each track in the loader's part, ``(batch,)`` int64.
        audio: ``(views, batch, frames, *shape)`` features from a store, or ``(views, batch, channels, samples)``.
        lengths: valid frames or samples of each view, ``(views, batch)`` int64; what follows is padding.
        tokens: the texts, tokenised; there are ``texts`` of them, and none when the dict is empty.
        positives: ``(texts, batch)`` bool, true where the text is about the track: sets, never a diagonal.
        tags: the tags of each track, ``(batch, tags)`` bool, in the order of the training vocabulary.
        annotated: where `tags` is known, ``(batch, tags)`` bool: the track was annotated with the tag's tagset.
        languages: the language of each text.
        sampled: whether ``audio`` and ``lengths`` are waveforms, which the front end has still to turn into features.
        first: where a batch is embedded in parts, ``audio``, ``lengths`` and ``tokens`` are those of a part, of which
            this is the first track; all else is of the whole batch.
    """

    tracks: Tensor
    audio: Tensor
    lengths: Tensor
    tokens: Tokens
    positives: Tensor
    tags: Tensor
    annotated: Tensor
    languages: tuple[str, ...] = ()
    sampled: bool = False
    first: int = 0

    def to(self, device: torch.device) -> Batch:
        """The same batch with every tensor on ``device``."""
        return replace(self, **{f.name: moved(getattr(self, f.name), device) for f in fields(self)})


@dataclass(frozen=True)
class Embeddings:
    """What a model makes of a batch; in training, of all processes' parts of it together.

    Attributes:
        audio: ``(views, batch, dim)``, the tracks in the joint space, rows of length one.
        text: ``(texts, dim)``, likewise.
        features: ``(views, batch, features)``, the audio encoder's output before its projection into the joint space.
        sequence: ``(views, batch, time, features)`` before pooling; only where an objective needs it.
        targets: ``(views, batch, ...)``, what the objective's own `Objective.targets` gave; None for others.
        steps: how many steps of ``sequence`` hold sound, ``(views, batch)`` int64; what follows is padding.
    """

    audio: Tensor
    text: Tensor
    features: Tensor
    sequence: Tensor | None = None
    targets: Tensor | None = None
    steps: Tensor | None = None


@dataclass(frozen=True)
class Space:
    """What an objective may ask for, by a parameter named ``space``, to make parameters of its own.

    Attributes:
        dim: of the joint space.
        tags: the training vocabulary, ``(tagset, tag)``.
        features: dimensions of the audio encoder's output, before its projection.
    """

    dim: int
    tags: tuple[tuple[str, str], ...]
    features: int


class FrontEnd(Protocol):
    """Samples to features, in one code path for files, blocks of files and batches on the device.

    Attributes:
        sample_rate: of the samples, in Hz.
        channels: of the samples: 1 for the mean of a file's channels, 2 for left and right.
        settings: of its constructor, in full.
        silence: the feature of digital silence.
        centres: the frequency of each band in Hz, rising; none of waveforms.
    """

    sample_rate: int
    channels: Literal[1, 2]
    settings: dict[str, Any]
    silence: float
    centres: tuple[float, ...]

    @property
    def fingerprint(self) -> str:
        """A hash of the class and its settings: features of equal fingerprints can be mixed."""
        ...

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one frame: ``(bands,)``, ``(channels, bands)`` for two channels."""
        ...

    def frames(self, samples: int) -> int:
        """The number of frames that so many samples give."""
        ...

    def hops(self, frames: int) -> int:
        """The whole steps from frame to frame that so many frames of a track stand for."""
        ...

    def power(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """How loud frames ``(frames, *shape)`` are against each other, ``(frames,)``: 0 for digital silence."""
        ...

    def forward(self, samples: Tensor) -> Tensor:
        """Samples ``(..., channels, samples)`` in [-1, 1] to features ``(..., frames, *shape)``, float32."""
        ...

    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Blocks ``(channels, samples)`` of one file to blocks ``(frames, *shape)`` that join to those of the file."""
        ...


class AudioEncoder(Protocol):
    """Audio to vectors. ``frontend`` turns samples into features; a store holds just these features."""

    dim: int
    frontend: FrontEnd

    def fit(self, features: Tensor, lengths: Tensor | None = None) -> None:
        """Set normaliser statistics from training clips, given as to `forward`; by default there are none."""

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, dim)``, before pooling."""
        ...

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count."""
        ...


class TextEncoder(Protocol):
    """Texts of any length, in any language, to vectors."""

    dim: int
    reads: ClassVar[bool] = True  # false for a model of audio alone

    def fit(self, texts: Sequence[str]) -> None:
        """Learn a tokenizer or a vocabulary from the training texts; by default there is nothing to learn."""

    def save(self, folder: Path) -> None:
        """Write into ``folder`` what the weights do not hold; by default nothing."""

    def restore(self, folder: Path) -> None:
        """Read what `save` wrote."""

    def identity(self) -> bytes:
        """What the weights do not hold, in a form that changes with it; part of the model's fingerprint."""
        return b""

    @staticmethod
    def located(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
        """The constructor's settings for a saved encoder whose files lie in ``folder``; by default the same."""
        return settings

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Tokenise whole texts, cut into chunks where they are long; runs in the loader's worker."""
        ...

    def forward(self, tokens: Tokens) -> Tensor:
        """Tokens to one vector a text, ``(texts, dim)``, its chunks pooled."""
        ...


class Objective(Protocol):
    """A loss over a whole batch: ``forward`` returns named scalar terms, which the loop weighs, sums and logs.

    The loop gathers embeddings over processes before it calls `forward`: an objective knows of no process, no
    micro-batch and no device. It owns what only training needs: projector, predictor, temperature, queue, teacher.
    """

    needs: ClassVar[frozenset[str]]  # of {"text", "tags", "views", "sequence"}

    def start(self, encoder: AudioEncoder) -> None:
        """Before the first step, and before a saved state is restored: copy a teacher; by default nothing."""

    def targets(self, features: Tensor, lengths: Tensor) -> Tensor | None:
        """What a teacher makes of features ``(n, frames, *shape)``: ``(n, ...)``; by default there is no teacher.

        The loop calls it under no_grad, part by part of a batch; `forward` finds the whole in ``embeddings.targets``.
        """
        return None

    def order(self, batch_size: int, seed: int) -> Order | None:
        """How epochs are ordered so that a batch holds what the objective compares; by default at random."""
        return None

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The terms for a batch, each a scalar tensor."""
        ...

    def after_step(self, encoder: AudioEncoder, done: float) -> None:
        """After an optimiser's step, with the share of training done: move a teacher; by default nothing."""


class Index(Protocol):
    """One kind of index over unit vectors; exact search, which has no index, unless it is `Approximate`."""

    def instead(self, rows: int, dim: int) -> str | None:
        """The kind to build in this one's place; by default None, this one."""
        return None

    def resident(self, rows: int, dim: int) -> int:
        """Bytes that a search keeps in memory; by default those of the vectors, which `Approximate` kinds need not."""
        return 4 * rows * dim


class Approximate(Index):
    """A kind of FAISS index: rows are numbered in the order they are added.

    What it finds are candidates, which are compared again by their exact vectors. An *effort* is how hard it looks:
    ``depth``, candidates for each row that is asked for, beside whatever the kind itself needs. The first of its
    `efforts` that reaches the recall asked for is kept.
    """

    @abstractmethod
    def efforts(self, rows: int) -> list[dict[str, int]]:
        """Efforts to try over so many rows, the cheapest first."""

    @abstractmethod
    def build(self, vectors: NDArray[np.float32], known: int, path: Path) -> Any:
        """A FAISS index of ``vectors (n, dim)``, which may be a memory map; the same vectors give the same index.

        It is judged by the others before they count, so it learns from the first ``known`` alone. They are in it, or
        all are, of which a search then passes the others over. An index that memory might not hold is written to
        ``path``, and is a memory map of it; any other is written there afterwards.
        """

    @abstractmethod
    def read(self, path: str) -> Any:
        """The index that FAISS has written as a file, as a memory map."""

    @abstractmethod
    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """What FAISS' ``search`` is given as ``params`` to look ``times`` as hard among the rows of ``selector``."""


class Task(Protocol):
    """One evaluation; ``primary`` names the metric that sums it up: greater is better unless it says otherwise."""

    primary: ClassVar[str]
    reads: ClassVar[bool] = False  # whether it asks with words

    def evaluate(self, embedded: Any, part: str = "test") -> Judgement:
        """What the task finds of a model beside its data, an `Embedded`, on one part of its split."""
        ...


PathLike = str | Path
