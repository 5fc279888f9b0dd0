"""Where the crops of a track begin: how the views that are pulled together lie to each other.

The policies, for crops of ``window`` frames of a track with ``length`` of them:

* random: each anywhere, independent of the others, as CLMR crops;
* same: all at one place, so that only augmentations tell them apart;
* adjacent: one right after the other;
* gap: at least ``gap`` frames from the end of one to the start of the next, in any order. Deezer's pre-training takes
  segments of 4 s at least 4 s apart (Meseguer-Brocal, Desblancs and Hennequin, ICASSP 2024).

A track that is too short for a policy gives the widest spread that it has: its crops begin at even distances from the
first place to the last, and overlap. A track shorter than a window gives the same crop, all of it, each time.
"""

from __future__ import annotations

import numpy as np

from crossmodal.errors import InputError, listed

POLICIES = ("random", "same", "adjacent", "gap")


def starts(length: int, window: int, count: int, pair: str, gap: int, rng: np.random.Generator) -> list[int]:
    """The first frame of each of ``count`` crops of a track; frames may be samples.

    Args:
        length: frames of the track.
        window: frames of a crop.
        count: crops, at least one.
        pair: one of `POLICIES`.
        gap: of the policy "gap"; frames.
        rng: what is drawn from; "random" draws one integer a crop, in their order.

    Raises:
        InputError: there is no such policy.
    """
    spare = max(0, length - window)
    if pair == "random":
        return [int(rng.integers(spare + 1)) for _ in range(count)]
    if pair == "same":
        return [int(rng.integers(spare + 1))] * count
    if pair == "adjacent":
        return _adjacent(spare, window, count, rng)
    if pair == "gap":
        found = _apart(spare, window + gap, count, rng)
        return [found[place] for place in rng.permutation(count)]
    raise InputError(f"views: pair is {pair!r}; valid: {listed(POLICIES)}")


def _adjacent(spare: int, step: int, count: int, rng: np.random.Generator) -> list[int]:
    if spare < step * (count - 1):
        return _even(spare, count)
    first = int(rng.integers(spare - step * (count - 1) + 1))
    return [first + step * place for place in range(count)]


def _apart(spare: int, step: int, count: int, rng: np.random.Generator) -> list[int]:
    """Ascending, at least ``step`` apart: sorted places in what the steps leave of the track, and the steps between."""
    slack = spare - step * (count - 1)
    if slack < 0:
        return _even(spare, count)
    places = np.sort(rng.integers(slack + 1, size=count))
    return [int(place) + step * number for number, place in enumerate(places)]


def _even(spare: int, count: int) -> list[int]:
    return [spare * place // (count - 1) for place in range(count)]
