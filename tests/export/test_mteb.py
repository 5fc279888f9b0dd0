"""MTEB's interface: batches as mteb 2.26 makes them, from lists in its place, and mteb itself where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import exports
import numpy as np
import pytest
import soundfile

from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.export.folder import export
from crossmodal.model import DualEncoder

if TYPE_CHECKING:
    from crossmodal.export.mteb import MTEBEncoder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning"),  # of the libraries
]
TASK: dict[str, Any] = {"task_metadata": SimpleNamespace(name="T"), "hf_split": "test", "hf_subset": "default"}
with_mteb = pytest.mark.skipif(find_spec("mteb") is None, reason="mteb is no dependency: pip install mteb")


@pytest.fixture(scope="module")
def encoder(made: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> MTEBEncoder:
    from crossmodal.export.mteb import MTEBEncoder  # seconds to import

    folder = tmp_path_factory.mktemp("models") / "model"
    made.save(folder)
    return MTEBEncoder(str(folder), None, device="cpu", trust_remote_code=True)


class Decoder:
    """As datasets' decoder of torchcodec: channels first."""

    def __init__(self, samples: np.ndarray, rate: int) -> None:
        self.samples, self.rate = samples, rate

    def get_all_samples(self) -> SimpleNamespace:
        return SimpleNamespace(data=SimpleNamespace(numpy=lambda: self.samples), sample_rate=self.rate)


def test_batches_of_texts(encoder: MTEBEncoder, made: DualEncoder) -> None:
    batches = [{"id": ["a", "b"], "text": exports.TEXTS[:2], "title": ["", ""]}, {"text": exports.TEXTS[2:]}]
    found = encoder.encode(batches, **TASK, prompt_type=None, batch_size=2, show_progress_bar=False)
    np.testing.assert_allclose(found, made.embed_text(exports.TEXTS), atol=1e-6)


def test_batches_of_audio(encoder: MTEBEncoder, made: DualEncoder, sounds: list[Path]) -> None:
    read = [soundfile.read(path, dtype="float32") for path in sounds]
    dicts = [{"array": samples.T, "sampling_rate": rate} for samples, rate in read]
    decoders = [Decoder(samples.T, rate) for samples, rate in read]
    expected = made.embed_audio(sounds)
    np.testing.assert_allclose(
        encoder.encode([{"audio": dicts[:2]}, {"audio": dicts[2:]}], **TASK), expected, atol=1e-6
    )
    np.testing.assert_allclose(encoder.encode([{"audio": decoders}], **TASK), expected, atol=1e-6)
    both = encoder.encode([{"audio": dicts[:2], "text": exports.TEXTS[:2]}], **TASK)
    total = expected[:2] + made.embed_text(exports.TEXTS[:2])
    np.testing.assert_allclose(both, total / np.linalg.norm(total, axis=1, keepdims=True), atol=1e-6)


def test_similarity_is_the_cosine(encoder: MTEBEncoder) -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 3, 12)).astype(np.float32)
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)
    expected = first @ second.T / lengths
    np.testing.assert_allclose(encoder.similarity(first, second), expected, atol=1e-6)
    np.testing.assert_allclose(encoder.similarity_pairwise(first, second), expected.diagonal(), atol=1e-6)


def test_no_batches_and_batches_of_something_else(encoder: MTEBEncoder) -> None:
    assert encoder.encode([], **TASK).shape == (0, 12)
    with pytest.raises(InputError, match="a batch has the columns image; the model takes text and audio"):
        encoder.encode([{"image": [1]}], **TASK)


@pytest.mark.skipif(find_spec("mteb") is not None, reason="it is of a machine without mteb")
def test_without_mteb_it_says_what_to_install(encoder: MTEBEncoder) -> None:
    with pytest.raises(InputError, match="pip install mteb"):
        assert encoder.mteb_model_meta


@with_mteb
def test_mteb_takes_it_for_an_encoder(encoder: MTEBEncoder) -> None:
    from mteb.models.models_protocols import EncoderProtocol

    assert isinstance(encoder, EncoderProtocol)
    meta = encoder.mteb_model_meta
    assert (meta.name, meta.embed_dim, meta.modalities) == ("crossmodal/model", 12, ["text", "audio"])


@with_mteb
@pytest.mark.parametrize(
    ("sources", "licence", "expected"),
    [
        (["synthetic"], "cc-by-nc-4.0", ("cc-by-nc-4.0", set())),
        (
            ["gtzan", "synthetic"],
            None,
            ("not specified", {"GTZANGenre", "GTZANGenreClustering", "GTZANAudioReranking"}),
        ),
        (["gtzan", "folder"], "a licence that mteb does not know", (None, None)),
    ],
)
def test_licence_and_training_data_are_the_cards(
    made: DualEncoder, tmp_path: Path, sources: list[str], licence: str | None, expected: tuple[Any, Any]
) -> None:
    from mteb.models.model_meta import ModelMeta

    from crossmodal.export.mteb import MTEBEncoder

    run = exports.a_run(tmp_path / "run", made)
    manifest = Manifest.load(run.folder / "manifest")
    manifest.tracks["source"] = np.resize(sources, len(manifest))
    manifest.save(run.folder / "manifest")
    meta = MTEBEncoder(str(export(run, tmp_path / "model", licence=licence).folder)).mteb_model_meta
    assert (meta.license, meta.training_datasets) == expected
    ModelMeta.model_validate(meta.model_dump())  # create_empty checks nothing
    assert MTEBEncoder(str(run.folder)).mteb_model_meta.training_datasets is None


@with_mteb
def test_tasks_that_are_made_of_known_sources_exist() -> None:
    import mteb

    from crossmodal.export.mteb import TASKS

    names = {name for tasks in TASKS.values() for name in tasks}
    assert {task.metadata.name for task in mteb.get_tasks([*names])} == names


@with_mteb
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["MockClassificationTask", "MockRetrievalTask", "MockAudioClassification", "MockAudioZeroshotClassificationTask"],
)
def test_tasks_of_mteb_run(encoder: MTEBEncoder, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mteb's own tiny tasks, whose data are made on the spot; arrays stay arrays, since decoders need FFmpeg."""
    import datasets
    import mteb
    from mteb.mocks import mock_tasks

    monkeypatch.setattr(datasets.DatasetDict, "cast_column", lambda self, *_: self)
    found = mteb.evaluate(encoder, [getattr(mock_tasks, name)()], cache=None, co2_tracker=False)
    assert found.task_results[0].scores
