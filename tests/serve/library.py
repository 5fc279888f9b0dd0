"""What the tests of the server share: the library's metadata and index, and how the API is asked.

A module of its own, since there is more than one conftest.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray
from starlette.testclient import TestClient

from crossmodal.asking import Asker
from crossmodal.model import DualEncoder
from crossmodal.search import SearchIndex
from crossmodal.serve.limits import Limits
from crossmodal.serve.served import Served

RATE = 8000
ODD = "../3/?&<é>%2e"  # a track's id, which holds what a path, an address and a page would be broken by
TOKEN = "a-token-of-no-one"


def metadata(files: list[Path]) -> pd.DataFrame:
    """Of the tracks."""
    count = len(files)
    return pd.DataFrame(
        {
            "track_id": [ODD if i == 3 else f"t{i}" for i in range(count)],
            "title": [f"Piece {i}" for i in range(count)],
            "artist": [("Sezen Aksu", "", "Großvater")[i % 3] for i in range(count)],
            "album": "",
            "duration": 3.5,
            "path": [str(path) for path in files],
            "source_file": [str(path) for path in files],
            "where_it_came_from": [str(path) for path in files],
            "year": [1990.0 + i if i else None for i in range(count)],
            "languages": [["de", "en"] if i % 2 else ["tr"] for i in range(count)],
            "tags.mood": [["sad"] if i % 2 else ["happy", "calm"] for i in range(count)],
        }
    )


def build(folder: Path, model: DualEncoder, files: list[Path]) -> SearchIndex:
    tracks = metadata(files)
    frontend = model.audio_encoder.frontend
    sounds = (soundfile.read(path, dtype="float32")[0][None] for path in files)
    embedded = list(model.embed_features(np.concatenate(list(frontend.stream([sound]))) for sound in sounds))
    ids = zip(tracks["track_id"], embedded, strict=True)
    rows = [(name, *bounds) for name, track in ids for bounds in track.bounds]
    segments = pd.DataFrame(rows, columns=["track_id", "start", "end"])
    vectors = np.concatenate([track.vectors for track in embedded])
    return SearchIndex.build(folder, vectors, segments, tracks, model.fingerprint)


class Api:
    """The paths of the API, asked with what they take."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def search(self, query: str, **more: Any) -> dict[str, Any]:
        answer = self.client.post("/api/search", json={"query": query, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def refused(self, query: str, **more: Any) -> str:
        answer = self.client.post("/api/search", json={"query": query, **more})
        assert answer.status_code == 422, answer.text
        return str(answer.json()["detail"])


def limited(asker: Asker, **limits: Any) -> Served:
    return Served(asker, "library", limits=Limits(**limits))


def written(samples: NDArray[Any], rate: int = RATE, kind: str = "WAV") -> bytes:
    """An audio file's bytes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()
