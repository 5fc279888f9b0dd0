"""Ten planted near-duplicates among real music and single notes: all are found, and nothing that is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from crossmodal.data.engine import Processes
from crossmodal.data.ledger import check
from crossmodal.data.manifest import Manifest

DATA = Path(__file__).parents[3] / "shared" / "data"
CONFIRMED = {
    ("sonicpi-drum_cymbal_hard", "sonicpi-drum_cymbal_soft"),  # one hit, faded in and 10 dB quieter
    ("piano-mozart-mz-332-1-0", "piano-mozart-mz-332-1-1"),  # two clips of one rendering, 4.7 s apart
}
MP3 = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}
PLANTED = [  # folder, seconds at least, suffix, seconds cut off (or put before, if negative), gain, options
    ("audio/real", 90, ".mp3", 0.3, 0.5, MP3),
    ("audio/real", 30, ".ogg", -0.3, 1.0, {"compression_level": 0.6}),
    ("audio/real", 10, ".wav", 0.3, 0.25, {}),
    ("audio/philharmonia/flute", 0.2, ".mp3", -0.3, 0.7, MP3),
    ("audio/philharmonia/cello", 0.2, ".ogg", 0.0, 0.25, {"compression_level": 0.6}),
    ("audio/philharmonia/oboe", 1.5, ".mp3", 0.3, 0.7, MP3),
    ("audio/philharmonia/snare-drum", 0.2, ".wav", -0.3, 0.5, {}),
    ("audio/loops", 1.0, ".mp3", 0.0, 0.7, MP3),
    ("audio/synth/nottingham", 10, ".ogg", 0.3, 0.5, {"compression_level": 0.6}),
    ("audio/synth/symbtr", 10, ".mp3", -0.3, 0.25, MP3),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "manifest.jsonl").exists(), reason="needs ../shared/data"),
]


def planted(rows, folder):
    """Altered copies of ten files: their rows, and the pairs that must be found."""
    rng = np.random.default_rng(0)
    copies, pairs = [], set()
    for number, (below, seconds, suffix, shift, gain, options) in enumerate(PLANTED):
        like = [row for row in rows if row["path"].startswith(below) and row["duration"] >= seconds]
        row = like[rng.integers(len(like))]
        samples, rate = soundfile.read(DATA / row["path"], dtype="float32")
        count = round(abs(shift) * rate)
        samples = samples[count:] if shift > 0 else np.pad(samples, (count, 0))
        soundfile.write(folder / f"{number}{suffix}", gain * samples, rate, **options)
        copies.append({"id": f"planted-{number}", "path": str(folder / f"{number}{suffix}")})
        pairs.add((row["id"], f"planted-{number}"))
    return copies, pairs


def test_ten_planted_near_duplicates_are_found_and_no_others(tmp_path):
    rows = [json.loads(line) for line in (DATA / "manifest.jsonl").read_text("utf-8").splitlines()]
    (tmp_path / "planted").mkdir()
    copies, expected = planted(rows, tmp_path / "planted")
    tracks = pd.DataFrame(rows + copies)[["id", "path"]].rename(columns={"id": "track_id"})
    ledger = check(Manifest.build(tracks, root=DATA), tmp_path / "work", Processes(4))
    assert len(ledger.table) == 3_866
    assert (ledger.table["status"] == "ok").all()
    found = set(zip(ledger.duplicates["track_a"], ledger.duplicates["track_b"], strict=True))
    assert found == expected | CONFIRMED
