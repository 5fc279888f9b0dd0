"""Batches, each a pure function of the seed and the step, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from crossmodal.audio.decode import decode, probe
from crossmodal.config import Text
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.data.text import sentences
from crossmodal.errors import InputError
from crossmodal.types import Batch, Tokens


class Crops(Protocol):
    """Where training crops come from: features (`FeatureStore`) or waveforms (`Waveforms`)."""

    silence: float | NDArray[np.floating]  # one value, or those of a frame

    def length(self, track_id: str) -> int:
        """Frames, or samples, of a track."""
        ...

    def crop(self, track_id: str, start: int, length: int) -> NDArray[np.floating]:
        """``length`` frames or samples from ``start``; fewer at the end."""
        ...


class Waveforms(Crops):
    """Crops decoded from the files as they are asked for, in samples at ``sample_rate``."""

    silence = 0.0

    def __init__(self, paths: dict[str, Path], sample_rate: int) -> None:
        self.paths, self.sample_rate = paths, sample_rate

    def length(self, track_id: str) -> int:
        """Samples of a track."""
        return int(probe(self.paths[track_id]).duration * self.sample_rate)

    def crop(self, track_id: str, start: int, length: int) -> NDArray[np.floating]:
        """Samples ``(length,)``, fewer at the end of the file."""
        begin = start / self.sample_rate
        end = begin + length / self.sample_rate
        mono: NDArray[np.float32] = decode(self.paths[track_id], self.sample_rate, start_s=begin, stop_s=end)[0]
        return mono[:length]


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
        self.languages = settings.languages or self.lexicon.languages
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
class Batches(Dataset[Batch]):
    """The batches of a training run: item ``step`` is that step's batch, whoever asks and whenever.

    Every epoch is a permutation of all tracks, one follows the other without a gap, and a batch may straddle two, so
    no track is left out because the last batch would be short.
    """

    tracks: Sequence[str]
    crops: Crops
    texts: Texts
    tags: Tags
    tokenize: Callable[[Sequence[str]], Tokens]
    batch_size: int
    views: int
    window: int
    seed: int

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self.seed, step])
        rows = self._rows(step * self.batch_size)
        ids = [self.tracks[row] for row in rows]
        audio, lengths = self._audio(ids, rng)
        draws = (self.texts.draw(track, rng) for track in ids for _ in range(self.texts.settings.per_track))
        drawn = [text for text in draws if text is not None]
        about = [[track in text.tracks for track in ids] for text in drawn]
        tags, annotated = self.tags.matrix(ids)
        return Batch(
            tracks=torch.from_numpy(rows),
            audio=torch.from_numpy(audio),
            lengths=torch.from_numpy(lengths),
            tokens=self.tokenize([text.text for text in drawn]) if drawn else {},
            positives=torch.tensor(about, dtype=torch.bool).view(len(drawn), len(ids)),
            tags=tags,
            annotated=annotated,
            languages=tuple(text.language for text in drawn),
        )

    def _rows(self, start: int) -> NDArray[np.int64]:
        positions = np.arange(start, start + self.batch_size)
        epochs, places = np.divmod(positions, len(self.tracks))
        orders = {e: np.random.default_rng([self.seed, 1, e]).permutation(len(self.tracks)) for e in np.unique(epochs)}
        return np.array([orders[epoch][place] for epoch, place in zip(epochs, places, strict=True)])

    def _audio(self, ids: Sequence[str], rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        crops = [[self._crop(track, rng) for track in ids] for _ in range(self.views)]
        shape = (self.views, len(ids), self.window, *crops[0][0].shape[1:])
        audio = np.full(shape, self.crops.silence, np.float32)
        for view, row in np.ndindex(self.views, len(ids)):
            audio[view, row, : len(crops[view][row])] = crops[view][row]
        return audio, np.array([[len(crop) for crop in view] for view in crops])

    def _crop(self, track: str, rng: np.random.Generator) -> NDArray[np.floating]:
        spare = max(0, self.crops.length(track) - self.window)
        return self.crops.crop(track, int(rng.integers(spare + 1)), self.window)


@dataclass(frozen=True)
class _Caught(Dataset[Batch | InputError]):
    """Batches, or the user's mistake as a value: raised in a worker, it would arrive as a traceback in a message."""

    batches: Batches

    def __getitem__(self, step: int) -> Batch | InputError:
        try:
            return self.batches[step]
        except InputError as error:
            return error


def load(batches: Batches, start: int, stop: int, workers: int) -> Iterator[Batch]:
    """The batches of steps ``start`` to ``stop``, prepared ahead by ``workers`` processes (0: in this one)."""
    loader = DataLoader(
        _Caught(batches),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator().manual_seed(batches.seed),  # else the loader would draw from the global one
    )
    for batch in loader:
        if isinstance(batch, InputError):
            raise batch
        yield batch
