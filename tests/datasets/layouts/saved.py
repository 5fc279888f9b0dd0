"""A manifest saved beside its audio, one file of which was removed since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Step
from crossmodal.files import Skipped


def write(root: Path) -> dict[str, Any]:
    soundfile.write(root / "a.wav", np.sin(np.arange(2400) / 9), 8000)
    tracks = pd.DataFrame({"track_id": ["a", "b"], "path": ["a.wav", "b.wav"]})
    tags = pd.DataFrame({"track_id": ["a"], "tagset": ["genre"], "tag": ["rock"]})
    lost = [Skipped("c", "c.wav", "the file does not exist")]
    Manifest.build(tracks, tags=tags, root=root, skipped=lost, steps=[Step("files", 3, 2)]).save(root / "manifest")
    for file in (root / "manifest").iterdir():  # the source's root is the manifest's folder
        file.rename(root / file.name)
    return {}
