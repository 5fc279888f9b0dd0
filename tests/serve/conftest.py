"""A small library that the tests of the server share: twelve pieces, a model that is not trained, and their index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from sounds import music
from starlette.testclient import TestClient
from tiny import TINY

from crossmodal.asking import Asker
from crossmodal.model import DualEncoder
from crossmodal.search import SearchIndex
from crossmodal.serve.app import create
from crossmodal.serve.limits import Limits
from crossmodal.serve.served import Served

RATE = 8000
WORDS = ["a slow piano", "fast drums in the rain", "ein trauriges Cello", "una guitarra lenta", "happy organ, loud"]


@pytest.fixture(scope="session")
def model() -> DualEncoder:
    torch.manual_seed(0)
    made = DualEncoder(TINY["audio_encoder"], TINY["text_encoder"], 16, window_s=1.0)
    made.text_encoder.fit(WORDS)
    return made.eval()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve pieces of 3.5 s; the last is the first, quieter and in another codec."""
    folder = tmp_path_factory.mktemp("library")
    pieces = [music(3.5, seed) for seed in range(11)]
    for number, samples in enumerate(pieces):
        soundfile.write(folder / f"{number}.wav", samples, RATE)
    soundfile.write(folder / "11.ogg", pieces[0] / 2, RATE)
    return [*(folder / f"{number}.wav" for number in range(11)), folder / "11.ogg"]


def metadata(files: list[Path]) -> pd.DataFrame:
    """Of the tracks, whose ids hold what a path, an address and a page would be broken by."""
    count = len(files)
    return pd.DataFrame(
        {
            "track_id": [f"../{i}/?&<é>%2e" if i == 3 else f"t{i}" for i in range(count)],
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


@pytest.fixture(scope="session")
def asker(model: DualEncoder, files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Asker:
    return Asker(build(tmp_path_factory.mktemp("index"), model, files), model)


@pytest.fixture(scope="session")
def served(asker: Asker) -> Served:
    return Served(asker, "library", ["a slow piano"])


@pytest.fixture(scope="session")
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(create(served)) as opened:
        yield opened


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


@pytest.fixture(scope="session")
def api(client: TestClient) -> Api:
    return Api(client)


def limited(asker: Asker, **limits: Any) -> Served:
    return Served(asker, "library", limits=Limits(**limits))
