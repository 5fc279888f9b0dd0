"""The synthetic orchestra as a data set: nothing to download, everything to hear.

Albums of four tracks share instrument, mood, tempo and more (`crossmodal.orchestra.attributes`), and one review in each
of six languages. The split "combination" keeps combinations for testing that training never hears, and words their
reviews otherwise than those of training; the split "album" draws albums by the hash of their names, so that its test
part holds known combinations, and reviews of both kinds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from tqdm import tqdm

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source, Step
from crossmodal.data.splits import split_by_group
from crossmodal.errors import InputError
from crossmodal.files import read_json, write_json
from crossmodal.orchestra import reviews
from crossmodal.orchestra.attributes import ABSENT, ALBUM_TRACKS, TAGSETS, Album, generator, plan
from crossmodal.orchestra.render import Piece, write

VERSION = 2  # of the sound: raise it when a golden hash changes, and old audio is refused
CHUNK = 16  # pieces that a worker takes at a time
KEYS = 12

Table = list[dict[str, Any]]


class Synthetic(Source):
    """Renders what is missing of its audio and gives the manifest.

    Tracks have the columns ``tempo_bpm``, ``tonic`` (semitones above A, 0 to 11) and ``key``, such as "A minor", which
    is empty where the mood is mysterious: neither major nor minor.

    Args:
        root: folder of the audio; it belongs to one set of settings.
        tracks: how many; at least 12, so that each part has an album.
        seed: another seed gives other music and other reviews; what is held out for testing stays.
        duration_s: length of every track, at least 1 second.
        sample_rate: in Hz, at least 8000.
        workers: processes that render.

    Raises:
        InputError: for settings out of range, and for a root that holds the audio of other settings.
    """

    licence: ClassVar[str] = "CC0-1.0"
    layout: ClassVar[str] = "made here: audio/ and synthetic.json"
    citation: ClassVar[str] = "The synthetic orchestra of crossmodal: composed and synthesised by the package itself."

    def __init__(
        self,
        root: str,
        tracks: int = 2400,
        seed: int = 0,
        duration_s: float = 8.0,
        sample_rate: int = 16000,
        workers: int = 2,
    ) -> None:
        least = {"tracks": 12, "seed": 0, "duration_s": 1.0, "sample_rate": 8000, "workers": 1}
        given = (tracks, seed, duration_s, sample_rate, workers)
        for (name, low), value in zip(least.items(), given, strict=True):
            if value < low:
                raise InputError(f"synthetic: {name} must be at least {low}, not {value}")
        self.root = Path(root)
        self.tracks, self.seed, self.workers = tracks, seed, workers
        self.duration_s, self.sample_rate = float(duration_s), sample_rate
        self.albums = plan(tracks, seed)

    def fetch(self, manifest: Manifest) -> None:
        """Render the audio that is not there yet, in parallel, under a progress bar."""
        self._claim()
        pieces = {track_id: piece for album in self.albums for track_id, piece in self._pieces(album)}
        self._render({self._path(track_id): pieces[track_id] for track_id in manifest.tracks["track_id"]})

    def read(self) -> Manifest:
        """The tables, from the settings alone."""
        tables = [self._rows(album) for album in self.albums]
        tracks, texts, tags, annotated, splits = (
            pd.DataFrame([row for table in kind for row in table]) for kind in zip(*tables, strict=True)
        )
        by_album = split_by_group(tracks.set_index("track_id")["group"])
        other = pd.DataFrame({"track_id": by_album.index, "name": "album", "part": by_album.to_numpy()})
        splits = pd.concat([splits, other], ignore_index=True)
        steps = [Step("the plan", len(tracks), len(tracks))]
        return Manifest.build(tracks, texts, tags, annotated, splits, self.root, steps=steps)

    def _claim(self) -> None:
        """Take the root for these settings, or refuse it where it holds the audio of others."""
        path = self.root / "synthetic.json"
        settings = {
            "version": VERSION,
            "tracks": self.tracks,
            "seed": self.seed,
            "duration_s": self.duration_s,
            "sample_rate": self.sample_rate,
        }
        if not path.exists():
            write_json(path, settings)
        elif (found := read_json(path)) != settings:
            raise InputError(f"{self.root} holds synthetic audio of other settings, {found}; give another root")

    def _pieces(self, album: Album) -> Iterator[tuple[str, Piece]]:
        """The tracks of an album: each in a key of its own. The last album may be short."""
        first = album.number * ALBUM_TRACKS
        key = int(generator(self.seed, 3, album.number).integers(0, KEYS))
        for place, number in enumerate(range(first, min(first + ALBUM_TRACKS, self.tracks))):
            sound = (album.attributes, (key + 5 * place) % KEYS, self.seed, number, self.duration_s, self.sample_rate)
            yield f"{album.id}-{place + 1}", Piece(*sound)

    def _path(self, track_id: str) -> Path:
        return self.root / "audio" / f"{track_id}.wav"

    def _render(self, pieces: dict[Path, Piece]) -> None:
        """Write the files that are missing. Workers are spawned, since a fork beside threads may hang."""
        missing = [(piece, path) for path, piece in pieces.items() if not path.exists()]
        chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
        with tqdm(total=len(missing), desc="synthesise", unit="track", disable=not missing) as bar:
            if self.workers == 1 or len(chunks) < 2:
                for piece, path in missing:
                    write(piece, path)
                    bar.update()
                return
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(min(self.workers, len(chunks)), mp_context=spawn) as pool:
                jobs = {pool.submit(_write_all, chunk): len(chunk) for chunk in chunks}
                for job in as_completed(jobs):
                    job.result()
                    bar.update(jobs[job])

    def _rows(self, album: Album) -> tuple[Table, Table, Table, Table, Table]:
        """Rows of the tables tracks, texts, tags, annotated and splits."""
        pieces = dict(self._pieces(album))
        facts = {"album": album.id, "group": album.id, "artist": f"ensemble {album.number:04d}", "source": "synthetic"}
        facts |= {"licence": self.licence}
        tracks: Table = [
            {"track_id": track_id, "path": f"audio/{track_id}.wav", "title": f"No. {piece.number + 1}", **facts}
            | {"duration": piece.duration_s, "sample_rate": piece.sample_rate}
            | {"key": piece.key_name, "tonic": piece.key, "tempo_bpm": piece.bpm}
            for track_id, piece in pieces.items()
        ]
        texts: Table = []
        for number, language in enumerate(Lexicon.load().languages):
            rng = generator(self.seed, 2, album.number, number)
            text = reviews.write(album.attributes, language, album.part == "test", rng)
            shared = {"text_id": f"{album.id}-{language}", "language": language, "kind": "review", "text": text}
            texts.extend({"track_id": track_id, **shared} for track_id in pieces)
        values = album.attributes.items()
        tags = [
            {"track_id": track, "tagset": kind, "tag": value}
            for track in pieces
            for kind, value in values
            if value not in ABSENT
        ]
        annotated = [{"track_id": track, "tagset": tagset} for track in pieces for tagset in TAGSETS]
        splits = [{"track_id": track, "name": "combination", "part": album.part} for track in pieces]
        return tracks, texts, tags, annotated, splits


def _write_all(pieces: list[tuple[Piece, Path]]) -> None:
    """What one worker does at a time."""
    for piece, path in pieces:
        write(piece, path)
