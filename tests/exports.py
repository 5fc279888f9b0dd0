"""Models that nobody trained, a run's folder around one, and graphs in torch in the place of ONNX Runtime's.

A module of its own, since there is more than one conftest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tiny import TINY
from torch import nn

from crossmodal import config as configs
from crossmodal.data.manifest import Manifest
from crossmodal.export import graphs, onnx_runtime
from crossmodal.files import write_json
from crossmodal.model import DualEncoder
from crossmodal.runs import Run

FRONTEND = {"sample_rate": 8000, "n_fft": 256, "hop": 128, "bands": 16}
AUDIO = {"name": "mel_cnn", "frontend": FRONTEND, "channels": [4, 8], "dim": 16}
TEXT = {"name": "mini_transformer", "vocabulary": 400, "dim": 16, "layers": 2, "heads": 2, "chunk_tokens": 16}
TEXTS = [
    "piano",
    "a bright organ, fast, with drums",
    "ruhige Glocken in Moll, ganz ohne Schlagzeug",
    "キラキラした音 🎻 и музыка",
    "Uzun bir yorum: keman hüzünlü çalar. " * 40,
]


def model(audio: dict[str, Any] = AUDIO, text: dict[str, Any] = TEXT, window_s: float = 1.0) -> DualEncoder:
    """A model of drawn weights, the statistics of whose norms and bands are not those that they begin with."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = DualEncoder(audio, text, dim=12, window_s=window_s)
        made.text_encoder.fit(TEXTS)
        for name, value in made.audio_encoder.state_dict().items():  # type: ignore[attr-defined]
            if name.endswith(("running_mean", "running_var")):
                value.copy_(torch.rand(value.shape) + 0.5)
            elif name in ("mean", "deviation"):
                value.copy_(30 * torch.rand(value.shape) + (10 if name == "deviation" else -60))
    return made.eval()


def a_run(folder: Path, made: DualEncoder, **changes: Any) -> Run:
    """The folder of a run as training leaves it, of data that are made up: 6 tracks, 3 of them to train on."""
    folder.mkdir(parents=True)
    content = {**TINY, "audio_encoder": made.settings["audio_encoder"], "text_encoder": made.settings["text_encoder"]}
    (folder / "config.yaml").write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
    manifest().save(folder / "manifest")
    made.save(folder / "model")
    figure = {"value": 0.12345, "low": 0.1, "high": 0.2, "chance": 0.01, "queries": 1234, "candidates": 9}
    metrics = {"text_to_audio/recall@10": figure, "text_to_audio/review/de/map": {"value": None}}
    split = {"name": "combination", "hash": "abcd", "part": "test", "tracks": 2}
    tasks = {"retrieval": {"primary": "text_to_audio/recall@10", "settings": {}, "metrics": metrics}}
    judged = {"synthetic": False, "data": {"sources": ["elsewhere", "fma"], "tracks": 6}, "split": split}
    write_json(folder / "results.json", {**judged, "tasks": tasks})
    probe = {"probe": {"primary": "map", "settings": {}, "metrics": {"top50/map": {**figure, "value": 0.77777}}}}
    (folder / "protocols" / "mtat").mkdir(parents=True)
    stated = {"name": "mtat", "title": "Fifty tags"}
    write_json(folder / "protocols" / "mtat" / "results.json", {"protocol": stated, **judged, "tasks": probe})
    write_json(folder / "environment.json", {"torch": "9.9", "threads": 3})
    return Run(folder, configs.load(folder / "config.yaml"))


def manifest() -> Manifest:
    """Three tracks to train on, from two sources, of two licences, and texts in two languages and none."""
    ids = [f"t{number}" for number in range(6)]
    sources = ["magnatagatune", "magnatagatune", "elsewhere", "gtzan", "gtzan", "gtzan"]
    licences = ["CC BY-NC-SA 1.0", "CC BY-NC-SA 1.0", "", "x", "x", "x"]
    about = {"track_id": ids, "source": sources, "licence": licences, "path": ids, "group": ids, "artist": ids}
    said = [("a", "t0", "de", "review"), ("a", "t1", "de", "review"), ("b", "t2", "", "title"), ("c", "t4", "ja", "x")]
    texts = pd.DataFrame(
        [(name, track, language, kind, f"words | {name}") for name, track, language, kind in said],
        columns=["text_id", "track_id", "language", "kind", "text"],
    )
    parts = pd.DataFrame({"track_id": ids, "name": "combination", "part": ["train"] * 3 + ["valid"] + ["test"] * 2})
    tags = pd.DataFrame({"track_id": ["t0"], "tagset": ["genre"], "tag": ["rock"]})
    tracks = pd.DataFrame(about).assign(duration=3600.0, sample_rate=8000)
    return Manifest.build(tracks, texts, tags, splits=parts)


@contextmanager
def torch_in_its_place(monkeypatch: pytest.MonkeyPatch, error: float = 0.0) -> Iterator[list[str]]:
    """No exporter and no ONNX Runtime: a graph is its module in torch, whose vectors are off by ``error``.

    Gives the names of the graphs that were opened.
    """
    modules: list[nn.Module] = []
    opened: list[str] = []

    def graph(name: str, module: nn.Module, inputs: Mapping[str, Any], axes: Mapping[str, Any]) -> bytes:
        modules.append(module)
        return str(len(modules) - 1).encode()

    def session(path: Path, *_: Any) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
        opened.append(path.name)
        module = modules[int(path.read_bytes())]

        def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
            with torch.no_grad():
                found = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
            vectors: np.ndarray = found.numpy()
            return vectors + np.float32(error) * np.eye(1, vectors.shape[1], dtype=np.float32)

        return run

    monkeypatch.setattr(graphs, "graph", graph)
    monkeypatch.setattr(onnx_runtime, "session", session)
    yield opened
