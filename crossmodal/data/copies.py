"""Which files hold the same sound as some samples: the duplicates of one, where `duplicates` finds those among all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from crossmodal.audio.alignment import OVERLAP, compare
from crossmodal.audio.decode import AudioError, Floats, decode
from crossmodal.audio.fingerprint import RATE, fingerprint
from crossmodal.data.duplicates import candidates

LONGEST_S = 600.0  # of a file, from its beginning: enough to tell, and it bounds the memory
ASKED = ""  # in the place of an id, for the samples


class Copies(NamedTuple):
    """The ids of the files with the same sound over half of the shorter one or more, and of those that are no audio."""

    same: list[str]
    unread: list[str]


def samples_of(path: str, start_s: float = 0.0, stop_s: float | None = None) -> Floats:
    """Mono samples at 8 kHz of a file's stretch, the first ten minutes of it; raises what `decode` does."""
    end = start_s + LONGEST_S
    samples: Floats = decode(path, RATE, 1, start_s, end if stop_s is None else min(stop_s, end))[0]
    return samples


def copies_of(samples: Floats, paths: Mapping[str, str]) -> Copies:
    """Compare samples with files: landmarks propose, aligned and whitened waveforms decide.

    Args:
        samples: mono, at 8 kHz, ``(n,)``, as `samples_of` gives them.
        paths: of the files, by track id.
    """
    sounds: dict[str, Floats] = {}
    unread = []
    for track_id, path in paths.items():
        try:
            sounds[track_id] = samples_of(path)
        except AudioError:
            unread.append(track_id)
    prints = {ASKED: fingerprint(samples)} | {track_id: fingerprint(sound) for track_id, sound in sounds.items()}
    proposed = [one for one in candidates(prints, dict.fromkeys(prints, "")) if one.track_a == ASKED]
    same = [one.track_b for one in proposed if compare(samples, sounds[one.track_b], one.shift)[2] >= OVERLAP]
    return Copies(list(dict.fromkeys(same)), unread)
