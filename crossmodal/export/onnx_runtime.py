"""An exported model in ONNX Runtime: tokens, segments and whole tracks' vectors in numpy, without torch.

`OnnxEncoder` gives the vectors of `crossmodal.model.DualEncoder` from the folder ``onnx`` of an export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmodal.audio.decode import features_of
from crossmodal.audio.segments import cut, padded
from crossmodal.audio.waveform import waveform_features
from crossmodal.data.text import chunks
from crossmodal.errors import InputError
from crossmodal.export.frontends import NumpyFrontEnd
from crossmodal.files import read_json
from crossmodal.types import PathLike

Floats = NDArray[np.float32]
Run = Callable[[dict[str, NDArray[Any]]], Floats]
"""One graph: inputs by name to vectors ``(n, dim)``."""

FORMAT = 1
INSTALL = 'needs onnx, onnxscript and onnxruntime: pip install "crossmodal[export]"'


class OnnxEncoder:
    """Text and audio to unit vectors of one space, by ``text_encoder.onnx`` and ``audio_encoder.onnx``.

    Args:
        folder: of an export, or the folder ``onnx`` in it.
        providers: of ONNX Runtime, in order of preference; the CPU unless given.
        threads: of ONNX Runtime; as many as it likes unless given.

    Raises:
        InputError: there is no such export, or ONNX Runtime is not installed.
    """

    def __init__(
        self, folder: PathLike, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int | None = None
    ) -> None:
        folder = Path(folder)
        folder = folder / "onnx" if (folder / "onnx").is_dir() else folder
        about = read_json(folder / "onnx.json")
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise InputError(f"{folder / 'onnx.json'} is not that of an export of format {FORMAT}")
        self.dim: int = about["dim"]
        self.fingerprint: str = about["fingerprint"]
        self.window: int = about["window"]
        with np.load(folder / "frontend.npz") as arrays:
            self.frontend: Any = NumpyFrontEnd(about["frontend"], dict(arrays))
        self._audio = session(folder / "audio_encoder.onnx", providers, threads)
        self._text: Run | None = None
        if about["text"]:
            self._text = session(folder / "text_encoder.onnx", providers, threads)
            self._tokens = Tokens((folder / "tokenizer.json").read_text(encoding="utf-8"), **about["text"])

    @property
    def reads(self) -> bool:
        """Whether there is a text encoder."""
        return self._text is not None

    @property
    def sample_rate(self) -> int:
        """Of the waveforms that the front end takes, in Hz; any other is resampled."""
        return int(self.frontend.sample_rate)

    def embed_text(self, texts: Sequence[str], batch_size: int = 64) -> Floats:
        """Unit vectors ``(texts, dim)``; a text may be of any length, in any language."""
        if self._text is None:
            raise InputError("this model was trained on audio alone: it has no text encoder")
        for number, text in enumerate(texts):
            if not text.strip():
                raise InputError(f"text {number} is empty; give at least one word")
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for rows, inputs in self._tokens.batches(texts, batch_size):
            vectors[rows] = self._text(inputs)
        return vectors

    def embed_audio(self, paths: Sequence[PathLike], batch_size: int = 32) -> Floats:
        """Unit vectors ``(paths, dim)``: the whole of each file, every second counted once.

        Raises:
            AudioError: a file that cannot be used, by its name and the reason.
        """
        found = [self._track(features_of(path, self.frontend), batch_size) for path in paths]
        return np.stack(found) if found else np.zeros((0, self.dim), np.float32)

    def embed_samples(self, samples: ArrayLike, sample_rate: int, batch_size: int = 32) -> Floats:
        """The unit vector ``(dim,)`` of samples in memory, ``(samples,)`` or ``(channels, samples)`` in [-1, 1]."""
        return self._track(waveform_features(samples, sample_rate, self.frontend), batch_size)

    def _track(self, frames: Floats, batch_size: int) -> Floats:
        """A track's vector: the mean of its segments' by the seconds they hold, at length one."""
        parts, sounds = cut(frames, self.frontend.hops(len(frames)), self.window)
        groups = [sounds[start : start + batch_size] for start in range(0, len(sounds), batch_size)]
        vectors = np.concatenate([self._audio(self._batch(group)) for group in groups])
        mean = np.array([part.weight for part in parts], np.float32) @ vectors
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)

    def _batch(self, sounds: Sequence[Floats]) -> dict[str, NDArray[Any]]:
        """Segments, each padded with silence to the window, and their lengths."""
        batch, lengths = padded(sounds, self.window, self.frontend.silence)
        return {"features": batch, "lengths": lengths}


class Tokens:
    """Texts cut into chunks of tokens, as the text encoder was trained on.

    Args:
        tokenizer: its JSON.
        chunk_tokens: of a chunk, without special tokens.
        longest: of a chunk, with them.
        padding: the token after a chunk's end.
    """

    def __init__(self, tokenizer: str, chunk_tokens: int, longest: int, padding: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        self._whole = Tokenizer.from_str(tokenizer)
        self._whole.no_padding()
        self._whole.no_truncation()
        self.chunk_tokens, self.padding = chunk_tokens, padding

    def batches(self, texts: Sequence[str], most: int) -> Iterator[tuple[list[int], dict[str, NDArray[Any]]]]:
        """Rows of ``texts`` and their ids and mask ``(rows, chunks, length)``; those of a batch have as many chunks."""
        pieces = [chunks(text, self._length, self.chunk_tokens) for text in texts]
        for count in sorted({len(piece) for piece in pieces}):
            rows = [row for row, piece in enumerate(pieces) if len(piece) == count]
            for start in range(0, len(rows), most):
                some = rows[start : start + most]
                yield some, self._padded([pieces[row] for row in some])

    def _length(self, text: str) -> int:
        return len(self._whole.encode(text, add_special_tokens=False).ids)

    def _padded(self, pieces: Sequence[Sequence[str]]) -> dict[str, NDArray[Any]]:
        found = [e.ids or [self.padding] for e in self._tokenizer.encode_batch([p for text in pieces for p in text])]
        ids = np.full((len(found), max(map(len, found))), self.padding, np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(found):
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        shape = len(pieces), len(pieces[0]), ids.shape[1]
        return {"ids": ids.reshape(shape), "mask": mask.reshape(shape)}


def session(path: Path, providers: Sequence[str], threads: int | None) -> Run:
    """A graph in ONNX Runtime; an `InputError` if it is not installed, or cannot read the file."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{path.name} {INSTALL}") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        opened = onnxruntime.InferenceSession(str(path), options, list(providers))
    except Exception as error:  # it raises nothing more precise
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    return lambda inputs: np.asarray(opened.run(None, inputs)[0], np.float32)
