"""What an experiment's data become before training."""

from __future__ import annotations

import pandas as pd
from tiny import FRONTEND, Configure

from crossmodal.audio.frontends import LogMel
from crossmodal.data.manifest import Manifest
from crossmodal.prepare import labelled, store_path


def manifest() -> Manifest:
    """Sixty albums of two tracks, and ten tracks without one; each has a tag, a text, and was asked for two tagsets."""
    tracks = [f"t{row}" for row in range(130)]
    groups = [f"a{row // 2}" if row < 120 else "" for row in range(130)]
    texts = [(f"r{track}", track, "en", "review", f"of {track}") for track in tracks]
    return Manifest.build(
        pd.DataFrame({"track_id": tracks, "path": tracks, "group": groups}),
        texts=pd.DataFrame(texts, columns=["text_id", "track_id", "language", "kind", "text"]),
        tags=pd.DataFrame([(track, "mood", "sad") for track in tracks], columns=["track_id", "tagset", "tag"]),
        annotated=pd.DataFrame([(t, s) for t in tracks for s in ("mood", "genre")], columns=["track_id", "tagset"]),
    )


def test_a_share_of_the_groups_keeps_its_words_and_all_keep_their_sound() -> None:
    whole = manifest()
    part = labelled(whole, 0.3)
    assert part.tracks.equals(whole.tracks)
    kept = set(part.tags["track_id"])
    assert 20 <= len(kept) <= 60
    assert kept == set(part.texts["track_id"]) == set(part.annotated["track_id"])
    assert len(part.annotated) == 2 * len(kept)
    for album in range(60):
        assert (f"t{2 * album}" in kept) == (f"t{2 * album + 1}" in kept)


def test_it_is_drawn_by_names_and_grows() -> None:
    """A larger share holds a smaller one, and the order of the rows decides nothing."""
    whole = manifest()
    kept = [set(labelled(whole, share).tags["track_id"]) for share in (0.1, 0.5, 1.0)]
    assert kept[0] < kept[1] < kept[2] == set(whole.tracks["track_id"])
    assert labelled(whole, 1.0) is whole
    assert set(labelled(whole.select(set(whole.tracks["track_id"])), 0.1).tags["track_id"]) == kept[0]


def test_a_store_of_shortened_files_is_another(configure: Configure) -> None:
    settings = [[], ["features.max_duration_s=2"], ["features.max_duration_s=2.5"], ["features.precision=32"]]
    paths = {store_path(configure(*each), manifest(), LogMel(**FRONTEND)).name for each in settings}
    assert len(paths) == 4
