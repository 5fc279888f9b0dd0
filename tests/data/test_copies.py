from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from sounds import music

from crossmodal.data import copies
from crossmodal.data.copies import copies_of, samples_of
from crossmodal.errors import InputError

RATE = 16_000


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder, sound = tmp_path_factory.mktemp("copies"), music(6, 0, RATE)
    made = {
        "itself": (sound, "WAV"),
        "mp3": (sound, "MP3"),
        "quiet": (sound / 4, "OGG"),
        "later": (sound[RATE:], "WAV"),
        "middle": (sound[RATE : 4 * RATE], "WAV"),
        "other": (music(6, 1, RATE), "WAV"),
        "too little": (np.concatenate([sound[:RATE], music(5, 2, RATE)]), "WAV"),
    }
    for name, (samples, form) in made.items():
        soundfile.write(folder / f"{name}.{form.lower()}", samples, RATE, format=form)
    (folder / "broken.wav").write_bytes(b"RIFF")
    found = {name: str(folder / f"{name}.{form.lower()}") for name, (_, form) in made.items()}
    return found | {"broken": str(folder / "broken.wav"), "gone": str(folder / "gone.wav")}


def test_the_same_sound_is_told_from_others(paths: dict[str, str]) -> None:
    found = copies_of(samples_of(paths["itself"]), paths)
    assert sorted(found.same) == ["itself", "later", "middle", "mp3", "quiet"]
    assert found.unread == ["broken", "gone"]


def test_a_stretch_is_enough(paths: dict[str, str]) -> None:
    found = copies_of(samples_of(paths["itself"], 2.0, 4.5), paths)
    assert {"itself", "later", "mp3", "quiet"} <= set(found.same) <= {"itself", "later", "mp3", "quiet", "middle"}


def test_nothing_to_compare_with(paths: dict[str, str]) -> None:
    assert copies_of(samples_of(paths["itself"]), {}) == ([], [])


def test_only_the_beginning_of_a_long_file_is_read(paths: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "LONGEST_S", 2.0)
    assert samples_of(paths["itself"]).shape == (16_000,)
    assert samples_of(paths["itself"], 3.0, 4.0).shape == (8_000,)
    assert samples_of(paths["itself"], 3.0).shape == (16_000,)


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        samples_of(str(tmp_path / "none.wav"))
