"""Batches, each a pure function of the seed and the step, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from crossmodal.audio.decode import Channels, decode, probe
from crossmodal.config import Text, Views
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.data.pairs import starts
from crossmodal.data.text import sentences
from crossmodal.errors import InputError
from crossmodal.types import Batch, Order, Tokens


class Crops(Protocol):
    """Where training crops come from: features (`FeatureStore`) or waveforms (`Waveforms`)."""

    silence: float | NDArray[np.floating]  # one value, or those of a frame
    sampled: bool  # whether they are waveforms

    def length(self, track_id: str) -> int:
        """Frames, or samples, of a track."""
        ...

    def crop(self, track_id: str, start: int, length: int) -> NDArray[np.floating]:
        """``length`` frames or samples from ``start``; fewer at the end."""
        ...


class Waveforms(Crops):
    """Crops decoded from the files as they are asked for, in samples at ``sample_rate``."""

    silence = 0.0
    sampled = True

    def __init__(self, paths: dict[str, Path], sample_rate: int, channels: Channels = 1) -> None:
        self.paths, self.sample_rate, self.channels = paths, sample_rate, channels
        self._lengths: dict[str, int] = {}

    def length(self, track_id: str) -> int:
        """Samples of a track."""
        if track_id not in self._lengths:
            self._lengths[track_id] = int(probe(self.paths[track_id]).duration * self.sample_rate)
        return self._lengths[track_id]

    def crop(self, track_id: str, start: int, length: int) -> NDArray[np.floating]:
        """Samples ``(length, channels)``, fewer at the end of the file."""
        begin = start / self.sample_rate
        end = begin + length / self.sample_rate
        path = self.paths[track_id]
        samples: NDArray[np.float32] = decode(path, self.sample_rate, self.channels, start_s=begin, stop_s=end)
        return samples[:, :length].T


class Wording(NamedTuple):
    """One text drawn for a track: its words, its language and the tracks that it is about."""

    text: str
    language: str
    tracks: frozenset[str]


class Tags:
    """The tags of the training tracks as rows of a matrix, and which of them are known to be absent."""

    def __init__(self, manifest: Manifest) -> None:
        rows = manifest.tags[["tagset", "tag"]].drop_duplicates()
        self.vocabulary = tuple(sorted(rows.itertuples(index=False, name=None)))
        places = {pair: place for place, pair in enumerate(self.vocabulary)}
        self.tags: dict[str, list[int]] = {}
        for track, tagset, tag in manifest.tags[["track_id", "tagset", "tag"]].itertuples(index=False):
            self.tags.setdefault(track, []).append(places[tagset, tag])
        members: dict[str, list[int]] = {}
        for (tagset, _), place in places.items():
            members.setdefault(tagset, []).append(place)
        self.annotated: dict[str, list[int]] = {}
        for track, tagset in manifest.annotated[["track_id", "tagset"]].itertuples(index=False):
            self.annotated.setdefault(track, []).extend(members.get(tagset, []))

    def matrix(self, tracks: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """The tags of some tracks and where they are known, ``(tracks, tags)`` bool each."""
        return self._rows(self.tags, tracks), self._rows(self.annotated, tracks)

    def _rows(self, places: dict[str, list[int]], tracks: Sequence[str]) -> torch.Tensor:
        rows = torch.zeros(len(tracks), len(self.vocabulary), dtype=torch.bool)
        for row, track in zip(rows, tracks, strict=True):
            row[places.get(track, [])] = True
        return rows


class Texts:
    """Draws a text for a track: a review's sampled sentences, or a sentence made from some of its tags."""

    def __init__(self, manifest: Manifest, settings: Text) -> None:
        self.settings = settings
        self.lexicon = Lexicon.load()
        self.languages = self.lexicon.languages if settings.languages is None else settings.languages
        self.about = manifest.relevance()
        rows = manifest.texts
        if settings.kinds is not None:
            rows = rows[rows["kind"].isin(settings.kinds)]
        if settings.languages is not None:
            rows = rows[rows["language"].isin(settings.languages)]
        self.rows: dict[str, list[tuple[str, str, str]]] = {}
        for track, *row in rows[["track_id", "text_id", "language", "text"]].itertuples(index=False):
            self.rows.setdefault(track, []).append((row[0], row[1], row[2]))
        self.tags: dict[str, list[str]] = {}
        self.tagged: dict[str, set[str]] = {}
        for track, tag in manifest.tags[["track_id", "tag"]].drop_duplicates().itertuples(index=False):
            self.tags.setdefault(track, []).append(tag)
            self.tagged.setdefault(tag, set()).add(track)

    def corpus(self) -> list[str]:
        """What a tokenizer is trained on: every text, and for every tag its words in every language."""
        words = [
            word for tag in sorted(self.tagged) for lang in self.languages for word in self.lexicon.words(tag, lang)
        ]
        return sorted({text for rows in self.rows.values() for _, _, text in rows}) + words

    def draw(self, track: str, rng: np.random.Generator) -> Wording | None:
        """One text for the track, or None if there is neither a text nor a tag."""
        rows, tags = self.rows.get(track), self.tags.get(track)
        if tags and (not rows or rng.random() < self.settings.tag_sentences):
            return self._tag_sentence(tags, rng)
        return self._review(rows, rng) if rows else None

    def _review(self, rows: Sequence[tuple[str, str, str]], rng: np.random.Generator) -> Wording:
        text_id, language, text = rows[int(rng.integers(len(rows)))]
        parts = sentences(text)
        if len(parts) > self.settings.sentences:
            kept = rng.choice(len(parts), size=rng.integers(1, self.settings.sentences + 1), replace=False)
            parts = [parts[i] for i in sorted(kept)]
        return Wording(" ".join(parts), language, self.about[text_id])

    def _tag_sentence(self, tags: Sequence[str], rng: np.random.Generator) -> Wording:
        chosen = [tags[i] for i in rng.permutation(len(tags))[: rng.integers(1, min(len(tags), 4) + 1)]]
        language = self.languages[rng.integers(len(self.languages))]
        about = set.intersection(*(self.tagged[tag] for tag in chosen))
        return Wording(self.lexicon.sentence(chosen, language, rng), language, frozenset(about))


@dataclass(frozen=True)
class Share:
    """Which part of every batch a process embeds, and how much of that at a time.

    Attributes:
        process: number of this process.
        processes: how many there are; each embeds as many tracks of a batch as any other.
        micro_batch: tracks at a time; all of the process's part if None.
    """

    process: int = 0
    processes: int = 1
    micro_batch: int | None = None

    def parts(self, batch_size: int) -> list[slice]:
        """The tracks of a batch that this process embeds, one part after the other."""
        own = batch_size // self.processes
        first, size = self.process * own, min(self.micro_batch or own, own)
        return [slice(start, min(start + size, first + own)) for start in range(first, first + own, size)]


@dataclass(frozen=True)
class Batches(Dataset[list[Batch]]):
    """The batches of a training run: item ``step`` is that step's batch, whoever asks and whenever.

    Every epoch is a permutation of all tracks, one follows the other without a gap, and a batch may straddle two, so
    no track is left out because the last batch would be short.

    An item is the list of the parts of the batch that `share` asks for. What is drawn for a batch does not depend on
    how it is shared: all of it is drawn everywhere, and only the audio and the tokens of the parts are read.
    """

    tracks: Sequence[str]
    crops: Crops
    texts: Texts
    tags: Tags
    tokenize: Callable[[Sequence[str]], Tokens]
    batch_size: int
    views: Views
    window: int
    gap: int
    seed: int
    share: Share = Share()
    order: Order | None = None  # of the tracks of an epoch; at random if None

    def __getitem__(self, step: int) -> list[Batch]:
        """The parts of the batch of a step."""
        rng = np.random.default_rng([self.seed, step])
        rows = self._rows(step * self.batch_size)
        ids = [self.tracks[row] for row in rows]
        starts = [self._starts(track, rng) for track in ids]
        draws = [[self.texts.draw(track, rng) for _ in range(self.texts.settings.per_track)] for track in ids]
        drawn = [[text for text in texts if text is not None] for texts in draws]
        whole = self._whole(rows, ids, [text for texts in drawn for text in texts])
        return [
            self._part(whole, part.start, ids[part], starts[part], [text for texts in drawn[part] for text in texts])
            for part in self.share.parts(self.batch_size)
        ]

    def _starts(self, track: str, rng: np.random.Generator) -> list[int]:
        views = self.views
        return starts(self.crops.length(track), self.window, views.count, views.pair, self.gap, rng)

    def _whole(self, rows: NDArray[np.int64], ids: Sequence[str], texts: Sequence[Wording]) -> Batch:
        """The batch without audio and tokens."""
        about = [[track in text.tracks for track in ids] for text in texts]
        tags, annotated = self.tags.matrix(ids)
        return Batch(
            tracks=torch.from_numpy(rows),
            audio=torch.empty(0),
            lengths=torch.empty(0),
            tokens={},
            positives=torch.tensor(about, dtype=torch.bool).view(len(texts), len(ids)),
            tags=tags,
            annotated=annotated,
            languages=tuple(text.language for text in texts),
            sampled=self.crops.sampled,
        )

    def _part(
        self, whole: Batch, first: int, ids: Sequence[str], begins: Sequence[Sequence[int]], texts: Sequence[Wording]
    ) -> Batch:
        audio, lengths = self._audio(ids, begins)
        tokens = self.tokenize([text.text for text in texts]) if texts else {}
        return replace(whole, audio=audio, lengths=lengths, tokens=tokens, first=first)

    def _rows(self, start: int) -> NDArray[np.int64]:
        positions = np.arange(start, start + self.batch_size)
        epochs, places = np.divmod(positions, len(self.tracks))
        orders = {epoch: self._epoch(int(epoch)) for epoch in np.unique(epochs)}
        return np.array([orders[epoch][place] for epoch, place in zip(epochs, places, strict=True)])

    def _epoch(self, number: int) -> NDArray[np.int64]:
        drawn = np.random.default_rng([self.seed, 1, number])
        return self.order(number) if self.order else drawn.permutation(len(self.tracks))

    def _audio(self, ids: Sequence[str], begins: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Audio as in `Batch`, and its lengths, of tracks whose crops begin at ``begins``, ``(tracks, views)``."""
        crops = [
            [self.crops.crop(track, own[view], self.window) for track, own in zip(ids, begins, strict=True)]
            for view in range(self.views.count)
        ]
        shape = (self.views.count, len(ids), self.window, *crops[0][0].shape[1:])
        audio = np.full(shape, self.crops.silence, np.float32)
        for view, row in np.ndindex(self.views.count, len(ids)):
            audio[view, row, : len(crops[view][row])] = crops[view][row]
        lengths = torch.tensor([[len(crop) for crop in view] for view in crops])
        return torch.from_numpy(audio.swapaxes(-1, -2) if self.crops.sampled else audio), lengths


@dataclass(frozen=True)
class _Caught(Dataset[list[Batch] | InputError]):
    """Batches, or the user's mistake as a value: raised in a worker, it would arrive as a traceback in a message."""

    batches: Batches

    def __getitem__(self, step: int) -> list[Batch] | InputError:
        try:
            return self.batches[step]
        except InputError as error:
            return error


def load(batches: Batches, start: int, stop: int, workers: int) -> Iterator[list[Batch]]:
    """The parts of batches ``start`` to ``stop``, prepared ahead by ``workers`` processes (0: in this one)."""
    loader = DataLoader(
        _Caught(batches),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator().manual_seed(batches.seed),  # else the loader would draw from the global one
    )
    for parts in loader:
        if isinstance(parts, InputError):
            raise parts
        yield parts
