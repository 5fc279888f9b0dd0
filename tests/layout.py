"""The small imitation of a data set's files, which tests of the source and of the contract lay out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent / "datasets" / "layouts"


def layout(name: str) -> ModuleType:
    """The module of a source's layout, with its ``write(root)``."""
    spec = importlib.util.spec_from_file_location(f"layouts_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
