"""Which tracks sound the same as some others: fingerprints propose, aligned and whitened waveforms decide.

Where `ledger` looks for duplicates among all tracks, this looks for those between two sets of them. What was heard is
that of the ledger and is kept in the same form, so that whoever has checked the manifest need not wait again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from crossmodal.audio import alignment
from crossmodal.audio.fingerprint import VERSION, Fingerprint
from crossmodal.data.duplicates import Candidate, candidates, verify
from crossmodal.data.engine import Engine, run
from crossmodal.data.listening import Listening
from crossmodal.data.manifest import Manifest
from crossmodal.files import make_folder, read_json, write_json

FOUND = "same"  # begins the name of a file of found pairs


class Shared(NamedTuple):
    """Judged tracks to one other that shares something; and of how many, and how many others, it is not known."""

    pairs: dict[str, str]
    unknown: int
    unknown_others: int


class Heard(NamedTuple):
    """What was heard of the tracks of a manifest, by track id, of those that can be heard; and how many cannot."""

    sha256: dict[str, str]
    fingerprints: dict[str, Fingerprint]
    paths: dict[str, str]
    unheard: int


def hear(manifest: Manifest, folder: Path, engine: Engine) -> Heard:
    """Listen to the files of a manifest, those that ``folder`` does not know as they are now.

    It waits for another process that does the same in the same folder.
    """
    make_folder(folder)
    with FileLock(folder / "guard.lock"), run(manifest, Listening(), folder, engine) as results:
        usable = [track for track, done in results.tracks.items() if done.note["kind"] == "ok"]
        prints = {track: Fingerprint(*np.array(results.rows(track)).T) for track in usable}
        sha256 = {track: str(results.tracks[track].note["sha256"]) for track in usable}
    paths = manifest.paths()
    return Heard(sha256, prints, {track: str(paths[track]) for track in usable}, len(manifest) - len(usable))


def same_sound(judged: Heard, others: Heard, folder: Path) -> Shared:
    """The judged tracks that sound the same as one of the others, each with that one.

    A copy of a judged track that does counts as well. What was found is kept in ``folder``, by the bytes of the files.
    """
    known = folder / f"{FOUND}-{_digest(judged, others)}.json"
    if not known.is_file():
        write_json(known, _found(judged, others))
    by_sound = read_json(known)
    names = {sha: track for track, sha in reversed(others.sha256.items())}
    pairs = {track: names[by_sound[sha]] for track, sha in judged.sha256.items() if sha in by_sound}
    return Shared(pairs, judged.unheard, others.unheard)


def _digest(judged: Heard, others: Heard) -> str:
    """Names two sets of sounds, and how they are compared."""
    sides = [sorted(set(side.sha256.values())) for side in (judged, others)]
    how = VERSION, alignment.VERSION, alignment.SIMILAR, alignment.OVERLAP
    return hashlib.blake2b(repr((how, *sides)).encode(), digest_size=8).hexdigest()


def _found(judged: Heard, others: Heard) -> dict[str, str]:
    """The sound of one of the others for each judged sound that is the same; sounds are named by their bytes' hash.

    A landmark is compared with a few of its like, so where there are many copies a judged one may meet only others of
    the judged: those of a track that is found are looked at in turn, until no more are.
    """
    mine, theirs = set(judged.sha256.values()), set(others.sha256.values())
    found = {sha: sha for sha in mine & theirs}
    alone = mine - theirs
    ends = [(one.track_a, one.track_b, one) for one in _proposed(judged, others)]
    ends += [(b, a, one) for a, b, one in ends]
    near = [(own, other, one) for own, other, one in ends if own in alone]
    fresh = theirs
    while fresh:
        grown = set[str]()
        asked = [(own, other, one) for own, other, one in near if other in fresh and own not in found]
        for own, other, one in tqdm(asked, desc="duplicates", unit="pair", disable=None, leave=False):
            if own not in found and verify(one)[2] >= alignment.OVERLAP:
                found[own] = found.get(other, other)
                grown.add(own)
        fresh = grown
    return found


def _proposed(judged: Heard, others: Heard) -> list[Candidate]:
    """Pairs of sounds of which one is judged, the judged first among all."""
    prints, paths = dict[str, Fingerprint](), dict[str, str]()
    for side in (judged, others):
        for track, sha in side.sha256.items():
            prints.setdefault(sha, side.fingerprints[track])
            paths.setdefault(sha, side.paths[track])
    return candidates(prints, paths, len(set(judged.sha256.values())))
