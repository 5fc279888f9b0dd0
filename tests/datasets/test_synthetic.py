from __future__ import annotations

import pandas as pd
import pytest
import soundfile

from crossmodal.data.manifest import Manifest
from crossmodal.datasets.synthetic import Synthetic
from crossmodal.errors import InputError
from crossmodal.orchestra.attributes import ALBUM_TRACKS, TAGSETS

SMALL = {"tracks": 18, "seed": 1, "duration_s": 1.0, "workers": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("synthetic")


@pytest.fixture(scope="module")
def manifest(root) -> Manifest:
    return Synthetic(str(root), **SMALL).manifest()


def test_the_manifest_is_clean_and_its_audio_is_there(manifest):
    assert len(manifest) == 18
    assert manifest.validate(read_audio=True) == []
    for path in manifest.paths():
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.channels, info.subtype) == (16000, 16000, 1, "PCM_16")


def test_albums_hold_four_tracks_in_different_keys(manifest):
    albums = manifest.tracks.groupby("album")
    assert sorted(albums.size()) == [2, 4, 4, 4, 4]
    assert (albums["tonic"].nunique() == albums.size()).all()


def test_keys_and_tempi_are_those_of_the_moods_and_tempo_tags(manifest):
    tracks = manifest.tracks.set_index("track_id")
    tags = manifest.tags.pivot(index="track_id", columns="tagset", values="tag")
    mode = tags["mood"].map({"happy": "major", "sad": "minor", "mysterious": ""})
    assert (tracks["key"].str.partition(" ")[2] == mode.loc[tracks.index]).all()
    named = tracks[tracks["key"] != ""]
    assert named[named["tonic"] == 3]["key"].str.startswith("C ").all()  # a minor third above A
    bounds = tags["tempo"].map({"slow": (50, 60), "moderate": (88, 104), "fast": (150, 172)})
    assert all(low <= tracks["tempo_bpm"][track] <= high for track, (low, high) in bounds.items())


def test_reviews_are_shared_by_the_tracks_of_an_album(manifest):
    texts = manifest.texts.merge(manifest.tracks[["track_id", "album"]])
    assert set(texts["kind"]) == {"review"}
    assert (texts.groupby("album")["language"].nunique() == 6).all()
    assert (texts.groupby("text_id")[["text", "album", "language"]].nunique() == 1).all(axis=None)
    assert (texts.groupby(["track_id", "language"]).size() == 1).all()
    relevance = manifest.relevance(kind="review", language="tr")
    assert sorted(len(tracks) for tracks in relevance.values()) == [2, 4, 4, 4, 4]


def test_tagsets_are_annotated_also_where_there_is_no_tag(manifest):
    assert len(manifest.annotated) == 18 * len(TAGSETS)
    counts = manifest.tags.groupby(["track_id", "tagset"]).size().unstack().fillna(0)
    assert (counts.drop(columns="rhythm") == 1).all(axis=None)
    assert set(manifest.tags.loc[manifest.tags["tagset"] == "rhythm", "tag"]) == {"drums"}
    assert 0 < counts["rhythm"].sum() < 18
    assert "no drums" not in set(manifest.tags["tag"])


@pytest.mark.parametrize("name", ["combination", "album"])
def test_no_album_stands_in_two_parts(manifest, name):
    splits = manifest.splits[manifest.splits["name"] == name].merge(manifest.tracks[["track_id", "album"]])
    assert len(splits) == 18
    assert (splits.groupby("album")["part"].nunique() == 1).all()


def test_no_combination_of_the_test_part_is_in_training(manifest):
    def combinations(part):
        tags = manifest.part("combination", part).tags
        wide = (
            tags.pivot(index="track_id", columns="tagset", values="tag").reindex(columns=list(TAGSETS)).fillna("none")
        )
        return set(wide[["instrument", "mood", "tempo", "texture", "rhythm"]].itertuples(index=False, name=None))

    assert combinations("test")
    assert not combinations("test") & (combinations("train") | combinations("valid"))


def test_rendering_again_does_nothing_and_a_missing_file_is_made_again(manifest, root):
    audio = sorted((root / "audio").iterdir())
    before = {path: path.stat().st_mtime_ns for path in audio}
    content = audio[0].read_bytes()
    audio[0].unlink()
    again = Synthetic(str(root), **SMALL).manifest()
    assert audio[0].read_bytes() == content
    assert [path for path in audio if path.stat().st_mtime_ns != before[path]] == audio[:1]
    for name, table in manifest.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])


@pytest.mark.slow
def test_workers_make_the_same_files(manifest, root, tmp_path):
    Synthetic(str(tmp_path), **SMALL | {"workers": 2}).manifest()
    names = sorted(path.name for path in (tmp_path / "audio").iterdir())
    assert len(names) == 18 > ALBUM_TRACKS
    assert all((tmp_path / "audio" / name).read_bytes() == (root / "audio" / name).read_bytes() for name in names)


def test_a_root_of_other_settings_is_refused(manifest, root):
    with pytest.raises(InputError, match=f"{root} holds synthetic audio of other settings.*'seed': 1"):
        Synthetic(str(root), **SMALL | {"seed": 2}).manifest()


@pytest.mark.parametrize(
    ("setting", "value"), [("tracks", 3), ("seed", -1), ("duration_s", 0.2), ("sample_rate", 4000), ("workers", 0)]
)
def test_settings_out_of_range_are_refused(tmp_path, setting, value):
    with pytest.raises(InputError, match=f"{setting} must be at least .*, not {value}"):
        Synthetic(str(tmp_path), **{setting: value})
