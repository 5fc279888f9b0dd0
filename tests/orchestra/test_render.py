from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy._core import _multiarray_umath as features

from crossmodal.orchestra.attributes import TAGSETS
from crossmodal.orchestra.render import Piece, render, write

ROOT = Path(__file__).parents[2]


def pieces():
    """Eight short pieces in which every value of every tagset sounds."""
    for number, instrument in enumerate(TAGSETS["instrument"]):
        attributes = {tagset: values[number % len(values)] for tagset, values in TAGSETS.items()}
        attributes |= {"instrument": instrument, "rhythm": TAGSETS["rhythm"][number // 2 % 2]}
        yield Piece(attributes, number, 0, number, 2.0, 16000)


def digests():
    return {
        piece.attributes["instrument"]: hashlib.sha256(render(piece).tobytes()).hexdigest()[:16] for piece in pieces()
    }


GOLDEN = {
    "guitar": "38a2c3fea9400ff6",
    "organ": "981132c771499f8a",
    "bells": "a9bef73a9eb4801b",
    "trumpet": "7e5f83722830055b",
    "flute": "e9e9eef7d38057ff",
    "violin": "cdf47d30da3248f0",
    "clarinet": "fd5af7a3e947142b",
    "synthesizer": "0316ff6240436662",
}


def test_every_value_sounds_in_the_golden_pieces():
    for tagset, values in TAGSETS.items():
        assert {piece.attributes[tagset] for piece in pieces()} == set(values)


def test_samples_are_the_golden_ones():
    assert digests() == GOLDEN


def test_samples_are_the_golden_ones_without_simd():
    """NumPy's dispatched loops off, and the C library's, where it takes the hint."""
    present = [name for name in features.__cpu_dispatch__ if features.__cpu_features__[name]]
    code = (
        "import json, test_render; from numpy._core import _multiarray_umath as f;"
        "print(json.dumps([test_render.digests(), [n for n in f.__cpu_dispatch__ if f.__cpu_features__[n]]]))"
    )
    environment = os.environ | {
        "NPY_DISABLE_CPU_FEATURES": " ".join(present),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
    }
    command = [sys.executable, "-W", "ignore", "-c", code]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
    found, still_on = json.loads(answer.stdout)
    assert still_on == []
    assert found == GOLDEN


def test_another_seed_or_number_gives_other_samples():
    piece = next(pieces())
    assert np.array_equal(render(piece), render(piece))
    assert not np.array_equal(render(piece), render(piece._replace(seed=1)))
    assert not np.array_equal(render(piece), render(piece._replace(number=99)))


def test_dynamics_are_levels():
    def level(dynamics):
        piece = next(pieces())
        samples = render(piece._replace(attributes=piece.attributes | {"dynamics": dynamics})) / 32768
        return 10 * np.log10(np.mean(samples**2))

    assert level("soft") + 8 < level("loud") < -3


@pytest.mark.parametrize("sample_rate", [8000, 22050])
def test_other_rates_and_lengths(sample_rate):
    for piece in pieces():
        samples = render(piece._replace(sample_rate=sample_rate, duration_s=1.5))
        assert samples.shape == (round(1.5 * sample_rate),)
        assert samples.dtype == np.int16
        assert np.abs(samples).max() > 300


def test_the_file_holds_the_samples(tmp_path):
    piece = next(pieces())
    write(piece, tmp_path / "a" / "b.wav")
    samples, rate = soundfile.read(tmp_path / "a" / "b.wav", dtype="int16")
    assert rate == 16000
    assert np.array_equal(samples, render(piece))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.wav"]
