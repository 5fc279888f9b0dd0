"""What an experiment's data become before training."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from sounds import music
from tiny import FRONTEND, Configure

from crossmodal.audio.frontends import LogMel
from crossmodal.config import Config
from crossmodal.data.manifest import Manifest
from crossmodal.data.store import FeatureStore
from crossmodal.prepare import labelled, open_store, store_path


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


def opened(config: Config, tracks: Manifest) -> FeatureStore:
    store = open_store(config, tracks, LogMel(**FRONTEND), lambda line: None)
    assert store is not None
    return store


def test_a_file_that_changed_is_listened_to_anew(configure: Configure, tmp_path: Path) -> None:
    """Other samples in as many bytes, and a broken file that was mended; what did not change is not extracted again."""
    config, names = configure(f"features.folder={tmp_path}/stores"), ["a", "b"]
    tracks = Manifest.build(pd.DataFrame({"track_id": names, "path": [f"{name}.wav" for name in names]}), root=tmp_path)
    soundfile.write(tmp_path / "a.wav", music(1, 1), 8_000)
    (tmp_path / "b.wav").write_bytes(b"RIFFxxxx")
    first = opened(config, tracks)
    assert (first.track_ids, [skipped.id for skipped in first.skipped]) == (["a"], ["b"])
    made = first.path.stat().st_mtime_ns
    assert opened(config, tracks).path == first.path
    assert first.path.stat().st_mtime_ns == made
    soundfile.write(tmp_path / "b.wav", music(1, 2), 8_000)
    second = opened(config, tracks)
    assert second.track_ids == names
    before = (tmp_path / "a.wav").stat()
    soundfile.write(tmp_path / "a.wav", music(1, 3), 8_000)
    os.utime(tmp_path / "a.wav", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert (tmp_path / "a.wav").stat().st_size == before.st_size
    third = opened(config, tracks)
    assert np.array_equal(second["b"], third["b"])
    assert not np.array_equal(second["a"], third["a"])


def test_a_file_that_is_gone_has_a_store_of_its_own_name(configure: Configure, tmp_path: Path) -> None:
    tracks = Manifest.build(pd.DataFrame({"track_id": ["a"], "path": ["a.wav"]}), root=tmp_path)
    soundfile.write(tmp_path / "a.wav", music(1, 1), 8_000)
    there = store_path(configure(), tracks, LogMel(**FRONTEND))
    (tmp_path / "a.wav").unlink()
    gone = [store_path(configure(), tracks, LogMel(**FRONTEND)) for _ in range(2)]
    assert gone[0] == gone[1] != there
