"""The dual encoder: audio and text in one space, saved as a folder that loads without the trainer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

from crossmodal import __version__, registry, settings
from crossmodal.audio.decode import features_of
from crossmodal.audio.segments import Segment, cut, padded
from crossmodal.errors import InputError
from crossmodal.files import atomic, read_json, write_json
from crossmodal.precision import at_least_float32
from crossmodal.settings import Amount, Count, Setting
from crossmodal.types import AudioEncoder, Batch, Embeddings, PathLike, TextEncoder, moved

Floats = NDArray[np.float32]
FORMAT = 1
_SAVED = {
    "format": int,
    "crossmodal": str,  # the version that wrote it
    "fingerprint": str,
    "audio_encoder": dict[str, Any],
    "text_encoder": dict[str, Any],
    "dim": Count,
    "window_s": Amount,
}


class TrackVectors(NamedTuple):
    """One track's segments.

    Attributes:
        bounds: start and end in seconds, ``(segments, 2)``.
        weights: the share of each that holds sound, ``(segments,)``.
        vectors: unit vectors in the joint space, ``(segments, dim)``.
        features: the audio encoder's own output, before projection, ``(segments, encoder dim)``.
    """

    bounds: Floats
    weights: Floats
    vectors: Floats
    features: Floats

    @property
    def vector(self) -> Floats:
        """The track's vector: the mean of its segments' by the seconds they hold, at length one."""
        mean = self.weights @ self.vectors
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)

    @property
    def feature(self) -> Floats:
        """The mean of the encoder's outputs by the seconds they hold, for probes."""
        return np.asarray(self.weights @ self.features / self.weights.sum(), dtype=np.float32)


class DualEncoder(nn.Module):
    """Two encoders, each with a linear projection into one space of unit vectors.

    With the text encoder ``none`` it is a model of audio alone: there is no projection, and ``dim`` is the encoder's.

    Args:
        audio_encoder: ``{"name": ..., **settings}``, a plug-in of ``encoders/audio``.
        text_encoder: the same, of ``encoders/text``.
        dim: dimensions of the joint space.
        window_s: seconds of an inference segment, those of a training crop.
        trust: the outside classes that may be named; None allows any (a user's own experiment).
    """

    def __init__(
        self,
        audio_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        dim: int = 128,
        window_s: float = 4.0,
        trust: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.settings = {"audio_encoder": audio_encoder, "text_encoder": text_encoder, "dim": dim, "window_s": window_s}
        self.window_s = window_s
        self.audio_encoder: AudioEncoder = registry.build_block("encoders.audio", audio_encoder, trust)
        self.text_encoder: TextEncoder = registry.build_block("encoders.text", text_encoder, trust)
        self.reads = self.text_encoder.reads
        self.dim = dim if self.reads else self.audio_encoder.dim
        self.audio_projection = nn.Linear(self.audio_encoder.dim, dim) if self.reads else nn.Identity()
        self.text_projection = nn.Linear(self.text_encoder.dim, dim) if self.reads else nn.Identity()

    @property
    def sample_rate(self) -> int:
        """Of the waveforms that the audio encoder's front end takes, in Hz."""
        return self.audio_encoder.frontend.sample_rate

    @property
    def window(self) -> int:
        """Frames of a segment, rounded up, so that n windows of sound never need n + 1."""
        return max(1, math.ceil(self.window_s * self.audio_encoder.frontend.frame_rate - 1e-6))

    @property
    def device(self) -> torch.device:
        """Where the weights are; an encoder that has none has a normaliser."""
        return next(chain(self.parameters(), self.buffers())).device

    @property
    def fingerprint(self) -> str:
        """Names this very model: a hash of settings, front end, weights and tokenizer. Vectors of two never mix."""
        digest = hashlib.sha256(repr(sorted(self.settings.items(), key=lambda item: item[0])).encode())
        digest.update(self.audio_encoder.frontend.fingerprint.encode())  # a preset's settings may change
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        digest.update(self.text_encoder.identity())
        return digest.hexdigest()[:16]

    def forward(self, batch: Batch, sequence: bool = False) -> Embeddings:
        """Embed a batch, or a part of one, waveforms or features, for training.

        Args:
            batch: ``audio (views, batch, ...)``.
            sequence: whether the encoder's sequence is wanted too; it takes a second pass through the encoder.
        """
        audio, lengths = self.frontend_features(batch)
        flat = audio.flatten(0, 1)
        encode = cast("nn.Module", self.audio_encoder)  # called, not its forward: that is what is compiled
        features = at_least_float32(encode(flat, lengths.flatten()))
        vectors = F.normalize(at_least_float32(self.audio_projection(features)), dim=-1)
        maps = at_least_float32(self.audio_encoder.sequence(flat)) if sequence else None
        views = audio.shape[:2]
        return Embeddings(
            audio=vectors.view(*views, -1),
            text=self._text(batch.tokens) if batch.tokens else vectors.new_zeros(0, self.dim),
            features=features.view(*views, -1),
            sequence=None if maps is None else maps.view(*views, *maps.shape[1:]),
            steps=None if maps is None else sounding(lengths, audio.shape[2], maps.shape[1]),
        )

    def frontend_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features ``(views, batch, frames, *shape)`` and their lengths, computed if the batch holds waveforms."""
        if not batch.sampled:
            return batch.audio, batch.lengths
        frontend = self.audio_encoder.frontend
        return frontend.forward(batch.audio), torch.tensor(
            [[frontend.frames(int(n)) for n in view] for view in batch.lengths], device=batch.audio.device
        )

    def _text(self, tokens: dict[str, Tensor]) -> Tensor:
        return F.normalize(at_least_float32(self.text_projection(self.text_encoder.forward(tokens))), dim=-1)

    def embed_text(self, texts: Sequence[str], batch_size: int = 64) -> Floats:
        """Unit vectors ``(texts, dim)``; a text may be of any length, in any language."""
        for number, text in enumerate(texts):
            if not text.strip():
                raise InputError(f"text {number} is empty; give at least one word")
        found = [np.zeros((0, self.dim), np.float32)]
        with evaluating(self), torch.inference_mode():
            for start in range(0, len(texts), batch_size):
                tokens = moved(self.text_encoder.tokenize(texts[start : start + batch_size]), self.device)
                found.append(self._text(tokens).cpu().numpy())
        return np.concatenate(found)

    def embed_audio(self, paths: Sequence[PathLike], batch_size: int = 32) -> Floats:
        """Unit vectors ``(paths, dim)``: the whole of each file, every second counted once.

        Raises:
            AudioError: a file that cannot be used, by its name and the reason.
        """
        frontend = self.audio_encoder.frontend
        tracks = (features_of(Path(path), frontend) for path in paths)
        vectors = [track.vector for track in self.embed_features(tracks, batch_size)]
        return np.stack(vectors) if vectors else np.zeros((0, self.dim), np.float32)

    def embed_features(self, tracks: Iterable[Floats], batch_size: int = 32) -> Iterator[TrackVectors]:
        """Embed tracks given as front-end features ``(frames, bands)``, in order.

        Short tracks share a batch: as many are read ahead as fill ``batch_size`` segments.
        """
        with evaluating(self):
            group: list[list[Segment]] = []
            sounds: list[Floats] = []
            for frames in tracks:
                parts, pieces = self.cut(frames)
                group.append(parts)
                sounds += pieces
                if len(sounds) >= batch_size:
                    yield from self._tracks(group, sounds, batch_size)
                    group, sounds = [], []
            if group:
                yield from self._tracks(group, sounds, batch_size)

    def cut(self, frames: Floats) -> tuple[list[Segment], list[Floats]]:
        """The segments of a track given as front-end features, and the frames of each."""
        return cut(frames, self.audio_encoder.frontend.hops(len(frames)), self.window)

    def _tracks(self, group: list[list[Segment]], sounds: list[Floats], batch_size: int) -> Iterator[TrackVectors]:
        """The vectors of a group of tracks, of which ``sounds`` holds the segments one after the other."""
        made = [self._segments(sounds[start : start + batch_size]) for start in range(0, len(sounds), batch_size)]
        ends = np.cumsum([len(parts) for parts in group])[:-1]
        vectors, features = (np.split(np.concatenate(found), ends) for found in zip(*made, strict=True))
        rate = self.audio_encoder.frontend.frame_rate
        for row, parts in enumerate(group):
            bounds = np.array([(part.start / rate, part.stop / rate) for part in parts], np.float32)
            weights = np.array([part.weight for part in parts], np.float32)
            yield TrackVectors(bounds, weights, vectors[row], features[row])

    @torch.inference_mode()
    def _segments(self, parts: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Vectors and features of segments, each padded with silence to the window."""
        batch, lengths = map(torch.from_numpy, padded(parts, self.window, self.audio_encoder.frontend.silence))
        features = self.audio_encoder.forward(batch.to(self.device), lengths.to(self.device))
        vectors = F.normalize(self.audio_projection(features), dim=-1)
        return vectors.cpu().numpy(), features.cpu().numpy()

    def save(self, folder: PathLike) -> None:
        """Write ``config.json``, ``model.safetensors`` and the text encoder's files; whole or not at all."""
        with atomic(folder) as temporary:
            (temporary / "text_encoder").mkdir(parents=True)
            self.text_encoder.save(temporary / "text_encoder")
            weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
            (temporary / "model.safetensors").write_bytes(serialized(weights))
            config = {"format": FORMAT, "crossmodal": __version__, "fingerprint": self.fingerprint, **self.settings}
            write_json(temporary / "config.json", config)

    @classmethod
    def load(cls, folder: PathLike, trust: Collection[str] = ()) -> DualEncoder:
        """Load a saved model, or the model of a run, for inference.

        Nothing it names is executed but the package's own plug-ins, and the classes that ``trust`` lists.
        """
        folder = Path(folder)
        folder = folder / "model" if (folder / "model" / "config.json").is_file() else folder
        config = _config(folder)
        text = dict(config["text_encoder"])
        encoder = registry.find("encoders.text", text.pop("name"), trust)
        located = {"name": config["text_encoder"]["name"], **encoder.located(text, folder / "text_encoder")}
        model = cls(config["audio_encoder"], located, config["dim"], config["window_s"], trust)
        model.settings["text_encoder"] = config["text_encoder"]
        model._read(folder)
        if model.fingerprint != config["fingerprint"]:
            raise InputError(f"{folder} holds other weights, another tokenizer or front end than config.json tells of")
        return model.eval()

    def _read(self, folder: Path) -> None:
        self.text_encoder.restore(folder / "text_encoder")
        try:
            self.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, SafetensorError) as error:
            raise InputError(f"{folder / 'model.safetensors'} cannot be read: {error}") from error
        except RuntimeError as error:
            raise InputError(
                f"{folder / 'model.safetensors'} is of another model: {str(error).splitlines()[-1].strip()}"
            ) from error


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    config = read_json(path)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"{path} is not of a crossmodal model of format {FORMAT}")
    settings.check(str(path), config, {key: Setting(kind, True) for key, kind in _SAVED.items()})
    for block in ("audio_encoder", "text_encoder"):
        if not isinstance(config[block].get("name"), str):
            raise InputError(f"{path}: {block} lacks the name of a plug-in")
    return config


def sounding(lengths: Tensor, frames: int, steps: int) -> Tensor:
    """How many of the ``steps`` that so many ``frames`` became are of a clip's ``lengths``, to the nearest, from 1."""
    return ((2 * lengths * steps + frames) // (2 * frames)).clamp(min=1)


class evaluating:
    """Put a module in evaluation mode for a block, and back into what it was."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.was = module, module.training

    def __enter__(self) -> None:
        self.module.eval()

    def __exit__(self, *error: object) -> None:
        self.module.train(self.was)
