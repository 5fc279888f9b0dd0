"""The module of an exported folder: what sentence-transformers calls to embed texts and audio.

The vectors are those of `crossmodal.model.DualEncoder`, which it holds and which does all the work.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sentence_transformers.base.modules import InputModule

from crossmodal.audio import SUFFIXES
from crossmodal.audio.decode import Floats, features_of
from crossmodal.audio.waveform import waveform_features
from crossmodal.errors import InputError
from crossmodal.model import DualEncoder
from crossmodal.types import FrontEnd

GIVE = "give texts, paths of audio files, or {'array': samples, 'sampling_rate': Hz}"


class Given(NamedTuple):
    """One input: its kind, ``text`` or ``audio``, and itself: words, a path, or samples with their rate."""

    kind: str
    value: Any


class CrossModal(InputModule):  # type: ignore[misc]
    """A dual encoder as the one module of a `sentence_transformers.SentenceTransformer`.

    A string is the path of a file if it ends as audio files do, and a text otherwise; ``{"text": ...}`` and
    ``{"audio": ...}`` say which. The whole of a track is embedded, every second counted once.
    """

    config_keys: ClassVar[list[str]] = []
    save_in_root = True

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    @property
    def modalities(self) -> list[str]:
        """What it embeds."""
        return ["text", "audio"] if self.model.reads else ["audio"]

    def get_embedding_dimension(self) -> int:
        """The dimensions of the joint space."""
        return self.model.dim

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Texts as they are, after the prompt if there is one; features of audio.

        Raises:
            InputError: an input of another kind, texts and audio at once, or audio that cannot be used.
        """
        given = [recognised(value) for value in inputs]
        if len(kinds := {one.kind for one in given}) > 1:
            raise InputError("texts and audio are in one batch; encode each kind by itself")
        if kinds == {"text"}:
            return {"text": [(prompt or "") + one.value for one in given]}
        if prompt:
            raise InputError(f"a prompt, here {prompt!r}, goes before texts, and these are audio")
        frontend = self.model.audio_encoder.frontend
        return {"audio": [features(one.value, frontend) for one in given]}

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """What `preprocess` gave, with ``sentence_embedding (inputs, dim)``: unit vectors."""
        if "text" in features:
            vectors = self.model.embed_text(features["text"])
        else:
            vectors = np.stack([track.vector for track in self.model.embed_features(features["audio"])])
        return {**features, "sentence_embedding": torch.from_numpy(vectors).to(self.model.device)}

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write the model's own folder, which `DualEncoder.load` reads, into a folder that may hold more."""
        with TemporaryDirectory() as temporary:
            self.model.save(Path(temporary) / "model")
            shutil.copytree(Path(temporary) / "model", output_path, dirs_exist_ok=True)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **how: Any) -> CrossModal:
        """Load what `save` wrote, from a folder or the hub."""
        hub = {key: how.get(key) for key in ("token", "cache_folder", "revision")}
        path = cls.load_dir_path(
            model_name_or_path, subfolder, local_files_only=bool(how.get("local_files_only")), **hub
        )
        if path is None:
            raise InputError(f"{model_name_or_path} holds no model")
        return cls(DualEncoder.load(path))


def recognised(value: Any) -> Given:
    """What kind of input a value is.

    Raises:
        InputError: none of those that `CrossModal` takes.
    """
    if isinstance(value, dict) and set(value) in ({"text"}, {"audio"}):
        ((kind, inner),) = value.items()
        return Given(kind, _sound(inner) if kind == "audio" else inner)
    if isinstance(value, str) and not value.lower().endswith(SUFFIXES):
        return Given("text", value)
    return Given("audio", _sound(value))


def _sound(value: Any) -> Any:
    """A path, or samples and their rate: what torchcodec's decoders and dicts of an array hold."""
    if isinstance(value, str | Path):
        return Path(value)
    if hasattr(value, "get_all_samples"):
        found = value.get_all_samples()
        return found.data.numpy(), found.sample_rate
    if isinstance(value, dict) and {"array", "sampling_rate"} <= set(value):
        array = value["array"]
        return (array.cpu().numpy() if isinstance(array, torch.Tensor) else array), value["sampling_rate"]
    what = "samples without their rate" if hasattr(value, "ndim") else type(value).__name__
    raise InputError(f"an input is {what}; {GIVE}")


def features(sound: Any, frontend: FrontEnd) -> Floats:
    """The front end's features of what `recognised` found to be audio; an `AudioError` names the file, or the shape."""
    if isinstance(sound, Path):
        return features_of(sound, frontend)
    samples, rate = sound
    return waveform_features(samples, rate, frontend, f"a waveform {np.shape(samples)}")
