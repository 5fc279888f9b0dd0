"""Ballroom's list, some of its excerpts, and both kinds of tempo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

NAMES = (
    "ChaChaCha/Albums-Fire-08",
    "Samba/Albums-Fire-09",
    "Rumba-American/Albums-Cafe_Paradiso-05",
    "Quickstep/Albums-AnaBelen_Veneo-11",
    "Quickstep/Albums-Chrisanne2-12",
    "Waltz/Media-104705",
    "Tango/Media-104112",
)
BEATS = {
    "Albums-Fire-08": "0.0\t1\n0.5\t2\n1.0\t3\n1.6\t4\n",
    "Albums-Fire-09": "0.25 0.4\n0.75 1.1\n",  # the older form: bar and beat in one number
    "Albums-Cafe_Paradiso-05": "0.5\t1\n",  # one beat is no tempo
    "Albums-Chrisanne2-12": "0.5\tone\nhalf\t2\n",
    "Albums-Of_No_List-01": "0.0\t1\n0.5\t2\n",
}
BPM = {"Albums-Fire-08": "61\n", "Media-104705": "87.5\n", "Albums-Cafe_Paradiso-05": "104\n", "Media-104112": "\n"}


def write(root: Path) -> dict[str, Any]:
    for name in NAMES:
        path = root / "BallroomData" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(2400) / 9), 8000)
    (root / "BallroomData" / "Waltz" / "Media-104705.wav").unlink()
    listed = "".join(f"./{name}.wav\n" for name in (*NAMES, NAMES[0])) + "./README\n"
    (root / "BallroomData" / "allBallroomFiles").write_text(listed, encoding="utf-8")
    truth = root / "BallroomAnnotations" / "ballroomGroundTruth"
    truth.mkdir(parents=True)
    for name, text in BEATS.items():
        (root / "BallroomAnnotations" / f"{name}.beats").write_text(text, encoding="utf-8")
    for name, text in BPM.items():
        (truth / f"{name}.bpm").write_text(text, encoding="utf-8")
    return {}
