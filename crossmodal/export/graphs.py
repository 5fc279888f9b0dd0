"""The encoders as ONNX graphs, written only if they give the model's own vectors."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.audio.decode import Floats
from crossmodal.audio.waveform import waveform_features
from crossmodal.errors import InputError, listed
from crossmodal.export import frontends
from crossmodal.export.onnx_runtime import FORMAT, INSTALL, OnnxEncoder
from crossmodal.files import write_json
from crossmodal.model import DualEncoder

OPSET = 20
TOLERANCE = 1e-4  # of a unit vector's components
TEXTS = (
    "piano",
    "a bright organ, fast, with drums",
    "ruhige Glocken in Moll, ganz ohne Schlagzeug",
    "une voix grave et mélancolique; una chitarra lenta; キラキラ",
    "viyolonsel, uzun ve hüzünlü notalar. " * 60,
)
SECONDS = (0.4, 1.0, 2.5)  # of the sounds that are compared, in windows


class AudioGraph(nn.Module):
    """Features ``(segments, window, *shape)`` and their lengths to unit vectors ``(segments, dim)``."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.encoder, self.projection = cast("nn.Module", model.audio_encoder), model.audio_projection

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Frames at and after ``lengths (segments,)`` do not count."""
        return F.normalize(self.projection(self.encoder(features, lengths)), dim=-1)


class TextGraph(nn.Module):
    """Tokens of texts in chunks to unit vectors ``(texts, dim)``."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.encoder, self.projection = cast("nn.Module", model.text_encoder), model.text_projection

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Ids and mask ``(texts, chunks, length)``; where the mask is 0 there is no token."""
        dense: Any = self.encoder
        return F.normalize(self.projection(dense.dense(ids, mask)), dim=-1)


def write(model: DualEncoder, folder: Path) -> dict[str, float]:
    """Write the graphs of a model, and what `OnnxEncoder` needs beside them, into a folder that is made.

    Returns:
        The largest difference from the model's own vectors, of ``audio`` and of ``text``.

    Raises:
        InputError: the packages are missing, an encoder has no such form, or the vectors differ.
    """
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]:
        raise InputError(f"{', '.join(missing)} cannot be imported; a graph {INSTALL}")
    model = model.cpu().eval()
    folder.mkdir(parents=True)
    text = _write_text(model, folder) if model.reads else None
    frontend, arrays = frontends.described(model.audio_encoder.frontend)
    np.savez(folder / "frontend.npz", **arrays)  # type: ignore[arg-type]
    shape = (2, model.window, *model.audio_encoder.frontend.shape)
    inputs = {"features": torch.zeros(shape), "lengths": torch.full((2,), model.window)}
    axes = {"features": ("segments",), "lengths": ("segments",)}
    (folder / "audio_encoder.onnx").write_bytes(graph(_name(model.audio_encoder), AudioGraph(model), inputs, axes))
    told = {"dim": model.dim, "fingerprint": model.fingerprint, "window": model.window, "window_s": model.window_s}
    write_json(folder / "onnx.json", {"format": FORMAT, "opset": OPSET, **told, "frontend": frontend, "text": text})
    return check(model, OnnxEncoder(folder, threads=1))


def _write_text(model: DualEncoder, folder: Path) -> dict[str, int]:
    encoder: Any = model.text_encoder
    if not hasattr(encoder, "dense"):
        raise InputError(
            f"the text encoder {_name(encoder)} is no network that ONNX can hold; export for sentence-transformers"
        )
    tokenizer, how = encoder.dense_tokens()
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    inputs = {name: torch.ones((2, 3, 5), dtype=torch.int64) for name in ("ids", "mask")}
    names = ("texts", "chunks", "length")
    axes = {"ids": names, "mask": names}
    (folder / "text_encoder.onnx").write_bytes(graph(_name(encoder), TextGraph(model), inputs, axes))
    return dict(how)


def _name(encoder: object) -> str:
    """What configs call an encoder."""
    return type(encoder).__module__.rpartition(".")[2]


def graph(name: str, module: nn.Module, inputs: Mapping[str, Tensor], axes: Mapping[str, tuple[str, ...]]) -> bytes:
    """A module as an ONNX model, with the first axes of each input of any length, by their names.

    The bytes are those of the network alone: neither paths nor lines of this machine are in them.

    Raises:
        InputError: the exporter, or the format, cannot hold it.
    """
    dims = {axis: torch.export.Dim(axis) for named in axes.values() for axis in named}
    shapes = tuple({place: dims[axis] for place, axis in enumerate(axes[key])} for key in inputs)
    how: dict[str, Any] = {"input_names": list(inputs), "output_names": ["vectors"], "dynamic_shapes": shapes}
    with _quietly(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                verbose=False,
                **how,
            )
            proto = cast("Any", program).model_proto
            _forget_where(proto)
            made = bytes(proto.SerializeToString(deterministic=True))
        except (torch.onnx.errors.OnnxExporterError, ValueError) as error:  # ValueError: more than protobuf's 2 GB
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{name} cannot become ONNX: {reason}") from error
    if fixed := [key for key, named in axes.items() if not all(_free(proto, key)[: len(named)])]:
        raise InputError(f"{name} would take {listed(fixed)} of one size alone in ONNX")
    return made


def _free(proto: Any, name: str) -> list[bool]:
    """Which axes of an input may have any length."""
    (found,) = (value for value in proto.graph.input if value.name == name)
    return [bool(dim.dim_param) for dim in found.type.tensor_type.shape.dim]


def _forget_where(proto: Any) -> None:
    """Remove what the exporter tells of the Python that a node came from."""
    for part in (proto.graph, *proto.functions):
        del part.metadata_props[:]
        values = [*getattr(part, "input", []), *getattr(part, "value_info", []), *getattr(part, "initializer", [])]
        for item in [*part.node, *values, *getattr(part, "output", [])]:
            if hasattr(item, "metadata_props"):
                del item.metadata_props[:]
            if hasattr(item, "doc_string"):
                item.doc_string = ""


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what the exporter says of its own parts, and of packages that are not needed, from the user."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def check(model: DualEncoder, runtime: OnnxEncoder) -> dict[str, float]:
    """The largest differences of the runtime's vectors from the model's, of sounds and texts of several lengths.

    Raises:
        InputError: one is larger than `TOLERANCE`, or no number.
    """
    rate, frontend = model.sample_rate, model.audio_encoder.frontend
    sounds = [sound(windows * model.window_s, rate) for windows in SECONDS]
    vectors = np.stack(
        [track.vector for track in model.embed_features(waveform_features(wave, rate, frontend) for wave in sounds)]
    )
    pairs = {"audio": (vectors, np.stack([runtime.embed_samples(wave, rate) for wave in sounds]))}
    if model.reads:
        pairs["text"] = model.embed_text(TEXTS), runtime.embed_text(TEXTS)
    found = {kind: float(np.abs(ours - theirs).max()) for kind, (ours, theirs) in pairs.items()}
    for kind, difference in found.items():
        if not difference <= TOLERANCE:
            raise InputError(
                f"the {kind} encoder's vectors differ by up to {difference:.2g} in ONNX Runtime, more than"
                f" {TOLERANCE:g}; nothing was written"
            )
    return found


def sound(seconds: float, rate: int) -> Floats:
    """Something like music: a chord that fades, and noise; always the same, 0.2 s at least."""
    time = np.arange(max(int(seconds * rate), rate // 5)) / rate
    chord = sum(np.sin(2 * np.pi * pitch * time) / (1 + number) for number, pitch in enumerate((110, 277, 415, 880)))
    noise = np.random.default_rng(0).normal(scale=0.01, size=len(time))
    return np.asarray(0.2 * chord * np.exp(-time % 1.5) + noise, np.float32)
