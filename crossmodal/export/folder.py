"""The folder of an export: the model's own files, and beside them what others' tools read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmodal.errors import InputError, listed
from crossmodal.evaluation import best_model
from crossmodal.export import card, graphs
from crossmodal.files import atomic, read_json, write_json, write_text
from crossmodal.model import DualEncoder
from crossmodal.runs import Run
from crossmodal.types import PathLike

FORMATS = ("sentence-transformers", "onnx")
MODULE = "crossmodal_module"
SOURCE = '''"""What sentence-transformers imports for this model: the package crossmodal. There is no other code."""

try:
    from crossmodal.export.embedder import CrossModal
except ImportError as error:
    raise ImportError("this model runs by the package crossmodal: pip install crossmodal") from error
'''


@dataclass(frozen=True)
class Exported:
    """What `export` wrote.

    Attributes:
        folder: where.
        formats: of `FORMATS`.
        differences: the largest difference of a vector's component in ONNX Runtime, of ``audio`` and ``text``.
    """

    folder: Path
    formats: tuple[str, ...]
    differences: dict[str, float]


def export(
    run: Run,
    out: PathLike,
    formats: Collection[str] = FORMATS[:1],
    licence: str | None = None,
    repo_id: str | None = None,
) -> Exported:
    """Write a run's best model for others' tools: all of the folder or nothing.

    Args:
        run: that was trained.
        out: the folder, which is made; `DualEncoder.load` reads it too if it is for sentence-transformers.
        formats: of `FORMATS`; one copy of the weights is for both sentence-transformers and the package, another one
            is in the graphs.
        licence: of the weights, an identifier of the hub's; the card says that none was chosen unless given.
        repo_id: the name that the card loads the model by; the folder's unless given.

    Raises:
        InputError: an unknown format; outside code, which nobody else has; or see `graphs.write`.
    """
    wanted = tuple(name for name in FORMATS if name in formats)
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise InputError(f"--format {listed(unknown)} is not known; there are {listed(FORMATS)}")
    model, out = _own(best_model(run)), Path(out)
    with atomic(out) as temporary:
        temporary.mkdir()
        if "sentence-transformers" in wanted:
            write_sentence_transformer(model, temporary)
        differences = graphs.write(model, temporary / "onnx") if "onnx" in wanted else {}
        about = card.Export(wanted, licence, repo_id or out.name, differences)
        write_text(temporary / "README.md", card.card(run, model, about))
    return Exported(out, wanted, differences)


def _own(model: DualEncoder) -> DualEncoder:
    """The model, if the package alone can load it."""
    names = [model.settings[key]["name"] for key in ("audio_encoder", "text_encoder")]  # type: ignore[index]
    if outside := [name for name in names if ":" in name]:
        raise InputError(f"{listed(outside)} is code from outside the package, which an export cannot hold")
    return model


def write_sentence_transformer(model: DualEncoder, folder: Path) -> None:
    """Write what `sentence_transformers.SentenceTransformer` loads, and `DualEncoder.load` too."""
    from sentence_transformers import SentenceTransformer  # seconds to import

    from crossmodal.export.embedder import CrossModal

    wrapped = SentenceTransformer(modules=[CrossModal(model)], device="cpu", similarity_fn_name="cosine")
    wrapped.save(str(folder), create_model_card=False)
    modules: list[dict[str, Any]] = read_json(folder / "modules.json")
    modules[0]["type"] = f"{MODULE}.{CrossModal.__name__}"  # its file says what to do where the package is missing
    write_json(folder / "modules.json", modules)
    write_text(folder / f"{MODULE}.py", SOURCE)
