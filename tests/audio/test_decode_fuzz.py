"""Thousands of spoilt files, in a process of its own: a crash of the decoder is seen as such, and so is a hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 8_000
FUZZING = Path(__file__).with_name("fuzzing.py")
SUFFIXES = ("wav", "flac", "ogg", "mp3", "opus", "aiff", "au", "caf", "w64")


@pytest.mark.parametrize(
    ("seed", "count"), [(0, 200), *(pytest.param(seed, 20_000, marks=pytest.mark.slow) for seed in range(1, 6))]
)
def test_no_spoilt_file_crashes_or_hangs_or_ends_otherwise(tmp_path: Path, seed: int, count: int) -> None:
    rng, times = np.random.default_rng(0), np.arange(6000) / RATE
    sound = np.stack([0.4 * np.sin(2 * np.pi * hz * times) for hz in (440, 300)], 1) + rng.normal(0, 0.01, (6000, 2))
    for suffix in SUFFIXES:
        how = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
        soundfile.write(tmp_path / f"seed.{suffix}", sound, RATE, **how)
    command = [sys.executable, str(FUZZING), str(tmp_path), str(seed), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30 + count / 50, check=False)
    told = [line for line in done.stderr.splitlines() if "Error" in line]
    assert done.returncode == 0, f"{done.returncode}, {told[-1:]}; see {tmp_path}"
    outcomes = done.stdout.split()
    assert len(outcomes) == count
    assert {"read", "refused"} == set(outcomes)
