"""A small library that the tests of the server share: twelve pieces, a model that is not trained, and their index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import torch
from library import RATE, TOKEN, Api, build
from sounds import music
from starlette.testclient import TestClient
from tiny import TINY

from crossmodal.asking import Asker
from crossmodal.model import DualEncoder
from crossmodal.serve.app import create
from crossmodal.serve.guard import LOOPBACK, Token
from crossmodal.serve.served import Served

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


@pytest.fixture(scope="session")
def api(client: TestClient) -> Api:
    return Api(client)


@pytest.fixture(scope="session")
def locked(served: Served) -> Iterator[TestClient]:
    """The same with a token, for those who call it by its own name."""
    app = create(served, hosts=LOOPBACK, token=Token(TOKEN))
    with TestClient(app, base_url="http://localhost") as opened:
        yield opened
