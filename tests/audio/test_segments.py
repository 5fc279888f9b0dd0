"""Windows tile a track."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmodal.audio.segments import Segment, cut, padded, segments
from crossmodal.errors import InputError


@given(st.integers(0, 5000), st.integers(1, 700))
def test_every_sample_counts_once(samples, window):
    parts = segments(samples, window)
    counts = np.zeros(samples)
    for part in parts:
        counts[part.start : part.stop] += 1
    assert (counts == 1).all()
    assert sum(part.weight for part in parts) * window == pytest.approx(samples)
    assert all(0 < part.weight <= 1 for part in parts)
    assert len(parts) == -(-samples // window)


def test_an_exact_multiple_has_no_empty_window():
    assert segments(20, 10) == [Segment(0, 10, 1.0), Segment(10, 20, 1.0)]
    assert segments(21, 10)[-1] == Segment(20, 21, 0.1)
    assert segments(0, 10) == []


def test_a_track_is_cut_and_padded_with_silence():
    frames = np.arange(1, 6, dtype=np.float32)[:, None]
    parts, sounds = cut(frames, 5, 3)
    assert parts == segments(5, 3)
    batch, lengths = padded(sounds, 3, 0.0)
    assert batch[..., 0].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert lengths.tolist() == [3, 2]


@pytest.mark.parametrize(
    ("hops", "expected"), [(0, [[1]]), (2, [[1, 2, 3]]), (3, [[1, 2, 3]]), (4, [[1, 2, 3], [4, 5]])]
)
def test_the_frame_at_the_end_is_no_segment(hops, expected):
    parts, sounds = cut(np.arange(1, hops + 2, dtype=np.float32), hops, 3)
    assert [sound.tolist() for sound in sounds] == expected
    assert [part.stop for part in parts][-1] == max(1, hops)


def test_window_of_nothing_is_refused():
    with pytest.raises(InputError, match="window is 0"):
        segments(10, 0)
