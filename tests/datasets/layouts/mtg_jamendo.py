"""One split of MTG-Jamendo with eight tracks, in a checkout of its repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
ROWS = {
    "train": [
        "track_0000214\tartist_000014\talbum_000031\t14/214.mp3\t124.6\tinstrument---piano\tgenre---pop, folk",
        'track_0000215\tartist_000014\talbum_000031\t15/215.mp3\t30.2\tgenre---"new" wave\t\tmood/theme---été',
        "track_0000216\tartist_000014\talbum_000031\t16/216.mp3\t30.2",
        "track_0000217\tartist_000014\talbum_000031\t17/217.mp3\tlong\tgenre---rock",
        "track_0000214\tartist_000014\talbum_000031\t14/214.mp3\t124.6\tgenre---rock",
        "track_0000218\tartist_000015\talbum_000032\t18/218.mp3\t31\t\t",
    ],
    "validation": [
        "track_0000300\tartist_000020\talbum_000040\t00/300.mp3\t33.3\tgenre---rock\tgenre---rock",
        "track_0000301\tartist_000020\talbum_000040\t01/301.mp3\t33.3\trock\tgenre---jazz",
    ],
    "test": [
        "track_0000400\tartist_000030\talbum_000050\t00/400.mp3\t40.0\tinstrument---piano",
        "track_0000401\tartist_000030\talbum_000050\t01/401.mp3\t40.0\tgenre---rock",
    ],
}
META = [
    "TRACK_ID\tARTIST_ID\tALBUM_ID\tTRACK_NAME\tARTIST_NAME\tALBUM_NAME\tRELEASEDATE\tURL",
    'track_0000214\tartist_000014\talbum_000031\tA "quoted\tÉlan\tRed\t2004-12-17\thttp://www.jamendo.com/track/214',
    "track_0000300\tartist_000020\talbum_000040\tTitle\t\tBo\tBlue\t2005-01-01\thttp://www.jamendo.com/track/300",
    "track_0000999\tartist_000099\talbum_000099\tOther\tOther\tOther\t2005-01-01\thttp://www.jamendo.com/track/999",
    "track_0000400\tartist_000030",
]
LICENCES = """14/214.mp3
A "quoted by Élan from Jamendo: http://www.jamendo.com/track/214
Available under a Creative Commons Attribution-Noncommercial license: http://creativecommons.org/licenses/by-nc/3.0/

99/999.mp3
Other by Other from Jamendo: http://www.jamendo.com/track/999
Available under a Creative Commons Attribution license: http://creativecommons.org/licenses/by/3.0/

00/300.mp3
Title by Bo
"""


def write(root: Path) -> dict[str, Any]:
    folder = root / "data" / "splits" / "split-1"
    folder.mkdir(parents=True)
    for part, rows in ROWS.items():
        (folder / f"autotagging-{part}.tsv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    (root / "data" / "raw.meta.tsv").write_text("\n".join(META) + "\n", encoding="utf-8-sig")
    (root / "audio_licenses.txt").write_text(LICENCES, encoding="utf-8")
    for name in ("14/214", "15/215", "00/300", "01/301", "00/400"):  # 01/401 is not there
        path = root / "raw_30s" / "audio-low" / f"{name}.low.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(4800) / 9), 16000)
    (root / "raw_30s" / "audio-low" / "01" / "301.low.mp3").write_bytes(b"")
    return {"subset": "overall", "split": 1, "audio": "raw_30s/audio-low"}
