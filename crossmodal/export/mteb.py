"""A model as an encoder of MTEB and of MAEB, its audio part: duck-typed, so that mteb is no dependency.

The interface is `mteb.models.EncoderProtocol` of mteb 2.26: batches are dicts of columns, of which ``text`` holds
strings and ``audio`` dicts of an array and its sampling rate, or decoders of torchcodec that have these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from huggingface_hub import ModelCard
from numpy.typing import ArrayLike
from sentence_transformers.util import cos_sim, pairwise_cos_sim
from torch import Tensor

from crossmodal.audio.decode import Floats
from crossmodal.errors import InputError
from crossmodal.export.embedder import features, recognised
from crossmodal.model import DualEncoder

Batch = Mapping[str, Any]
TASKS = {
    "gtzan": {"GTZANGenre", "GTZANGenreClustering", "GTZANAudioReranking"},
    "magnatagatune": {"LPMusicCapsMTTA2TRetrieval", "LPMusicCapsMTTT2ARetrieval"},
    "synthetic": set[str](),
}
"""MTEB's tasks that are made of a source's tracks, where that is known; of a model trained on others nothing is said,
since mteb takes every task that is not named for one whose data the model has not seen."""


class MTEBEncoder:
    """A trained model for ``mteb.evaluate(MTEBEncoder(folder), tasks)``.

    Args:
        model_name: an export's folder, a run's, or a name on the hub.
        revision: on the hub.
        device: where it runs; the CPU unless given.
        **_: what mteb passes to all models.
    """

    def __init__(self, model_name: str, revision: str | None = None, *, device: str | None = None, **_: Any) -> None:
        self.model_name, self.revision = model_name, revision
        self.folder = _folder(model_name, revision)
        self.model = DualEncoder.load(self.folder).to(device or "cpu")

    def encode(
        self,
        inputs: Iterable[Batch],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **_: Any,
    ) -> Floats:
        """Unit vectors ``(inputs, dim)``: of texts, of whole clips, or, of a pair of both, of the mean of the two.

        There are no prompts, so that nothing depends on the task.

        Raises:
            InputError: a batch has neither text nor audio, or holds audio that cannot be used.
        """
        found = [self._batch(batch) for batch in inputs]
        return np.concatenate(found) if found else np.zeros((0, self.model.dim), np.float32)

    def _batch(self, batch: Batch) -> Floats:
        vectors = []
        if "text" in batch:
            vectors.append(self.model.embed_text(list(batch["text"])))
        if "audio" in batch:
            frontend = self.model.audio_encoder.frontend
            sounds = (features(recognised({"audio": item}).value, frontend) for item in batch["audio"])
            vectors.append(np.stack([track.vector for track in self.model.embed_features(sounds)]))
        if not vectors:
            raise InputError(f"a batch has the columns {', '.join(batch)}; the model takes text and audio")
        total = np.sum(vectors, axis=0, dtype=np.float32)
        return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True).clip(1e-12), np.float32)

    def similarity(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Tensor:
        """Cosines ``(n, m)`` of all rows with all rows."""
        return cos_sim(embeddings1, embeddings2)  # type: ignore[no-any-return]

    def similarity_pairwise(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Tensor:
        """Cosines ``(n,)`` of rows with rows of the same number."""
        return pairwise_cos_sim(embeddings1, embeddings2)  # type: ignore[no-any-return]

    @property
    def mteb_model_meta(self) -> Any:
        """What mteb records of the model; licence and training data are those of an export's card.

        Raises:
            InputError: mteb is not installed.
        """
        try:
            from mteb.models.model_meta import ModelMeta
        except ImportError as error:
            raise InputError("what mteb records of a model needs mteb: pip install mteb") from error
        name = self.model_name if self.model_name.count("/") == 1 else f"crossmodal/{Path(self.model_name).name}"
        return ModelMeta.create_empty(
            overwrites={
                "loader": type(self),
                "name": name,
                "revision": self.revision or self.model.fingerprint,
                "n_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
                "embed_dim": self.model.dim,
                "framework": ["PyTorch"],
                "similarity_fn_name": "cosine",
                "use_instructions": False,
                "modalities": ["text", "audio"] if self.model.reads else ["audio"],
                **_stated(self.folder / "README.md"),
            }
        )


def _stated(path: Path) -> dict[str, Any]:
    """What a card says of licence and training data, as mteb has it; nothing of a run's folder, which has none."""
    if not path.is_file():
        return {}
    from mteb.types import Licenses

    card = ModelCard.load(path).data
    licence = {"unknown": "not specified"}.get(card.license, card.license)
    sources = card.get("training_sources") or ["unknown"]
    known = set(sources) <= TASKS.keys()
    return {
        "license": licence if licence in get_args(Licenses) else None,
        "training_datasets": set().union(*(TASKS[source] for source in sources)) if known else None,
    }


def _folder(name: str, revision: str | None) -> Path:
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{name} is no folder, and cannot be had from the hub: {reason}") from error
