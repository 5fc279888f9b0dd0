"""Cross-modal audio-text representation learning for music.

Six names are here; everything else is found where its name says.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# imported when first asked for, so that `import crossmodal` and `crossmodal --help` load no torch
_HOMES = {
    "Manifest": "crossmodal.data.manifest",
    "DualEncoder": "crossmodal.model",
    "SearchIndex": "crossmodal.search",
    "train": "crossmodal.training",
    "embed": "crossmodal.embedding",
    "evaluate": "crossmodal.evaluation",
}
__all__ = ["DualEncoder", "Manifest", "SearchIndex", "embed", "evaluate", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'crossmodal' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
