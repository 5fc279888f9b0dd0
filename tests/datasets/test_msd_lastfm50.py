"""Last.fm's fifty tags: CLMR's tables, Lee's pickles, and the names of audio."""

from __future__ import annotations

import os
import pickle
import sqlite3

import numpy as np
import pytest
from layout import layout

from crossmodal.datasets import msd_lastfm50 as module
from crossmodal.datasets.msd_lastfm50 import MsdLastfm50
from crossmodal.errors import InputError

LAYOUT = layout("msd_lastfm50")


@pytest.fixture
def root(tmp_path):
    LAYOUT.write(tmp_path)
    return tmp_path


def test_tracks_tags_and_the_split(root):
    found = MsdLastfm50(str(root)).read()
    assert found.tracks["track_id"].tolist() == [
        *("TRAAAAK128F9318786", "TRAAAAW128F429D538", "TRAAABD128F429CF47", "TRAAADJ128F4287B47", "TRAAAEF128F4273421")
    ]
    assert found.tracks["path"][0] == "processed/8/9/8947470.clip.wav"
    assert found.splits["part"].tolist() == ["train", "train", "valid", "test", "test"]
    assert set(found.splits["name"]) == {"jongpillee"}
    assert found.tags[["track_id", "tag"]].values.tolist() == [
        ["TRAAAAK128F9318786", "rock"],
        ["TRAAAAK128F9318786", "80s, or so"],
        ["TRAAAAW128F429D538", "Hip-Hop"],
        ["TRAAABD128F429CF47", "female vocalists"],
        ["TRAAAEF128F4273421", "rock"],
    ]
    assert len(found.annotated) == 5  # one of them with no tag


def test_every_row_is_counted(root):
    found = MsdLastfm50(str(root)).read()
    assert [tuple(step) for step in found.steps] == [
        ("train_gt_msd.tsv", 3, 2),
        ("val_gt_msd.tsv", 2, 2),
        ("test_gt_msd.tsv", 4, 4),
        ("tracks of the three parts", 8, 6),
        ("tracks joined to audio", 6, 5),
    ]
    assert [(row.id, row.reason) for row in found.skipped] == [
        ("TRBAD", "line 3 is not an id, a tab and the 0 or 1 of 4 tags"),
        ("8947470", "is no track id of the data set"),
        ("TRAAAAK128F9318786", "is in train already"),
        ("TRAAAED128E0783FAB", "has no 7digital id"),
    ]


def test_names_of_the_data_set_and_other_suffixes(root):
    assert (
        MsdLastfm50(str(root), audio="raw", suffix=".clip.mp3").read().tracks["path"][0] == "raw/8/9/8947470.clip.mp3"
    )
    (root / "processed_annotations/MSD_id_to_7D_id.pkl").unlink()
    found = MsdLastfm50(str(root), audio="mp3", names="msd").read()
    assert found.tracks["path"][0] == "mp3/A/A/A/TRAAAAK128F9318786.mp3"
    assert len(found) == 6
    with pytest.raises(InputError, match=r"msd_lastfm50 finds no .*MSD_id_to_7D_id.pkl in .*; download it from http"):
        MsdLastfm50(str(root)).read()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_lees_pickles(tmp_path, monkeypatch, protocol):
    monkeypatch.setattr(module, "TRAIN", 2)
    ids = list(LAYOUT.SEVEN)
    vectors = {track: np.array([[n % 2], [1], [0], [0]], dtype="float64") for n, track in enumerate(ids[:5])}
    vectors[ids[3]] = np.array([[1.0]])
    pickles = {
        "filtered_list_train.cP": ids[:3],
        "filtered_list_test.cP": [*ids[3:5], "TRYYYYY128F0000000"],
        "msd_id_to_tag_vector.cP": vectors,
        "MSD_id_to_7D_id.pkl": LAYOUT.SEVEN,
    }
    for name, value in pickles.items():
        (tmp_path / name).write_bytes(pickle.dumps(value, protocol))
    (tmp_path / "50tagList.txt").write_bytes(b"rock\r\npop\r\nhappy\r\nsad\r\n")
    found = MsdLastfm50(str(tmp_path)).read()
    assert found.splits["part"].tolist() == ["train", "train", "valid", "test"]
    assert found.tags["tag"].tolist() == ["pop", "rock", "pop", "pop", "pop"]
    assert [row.reason for row in found.skipped] == ["has no vector of 4 tags"] * 2


def test_a_malicious_mapping_is_refused(root):
    class Calls:
        def __reduce__(self):
            return os.system, (f"touch {root}/ran",)

    (root / "processed_annotations/MSD_id_to_7D_id.pkl").write_bytes(pickle.dumps({"TRAAAAK128F9318786": Calls()}))
    with pytest.raises(InputError, match=r"MSD_id_to_7D_id\.pkl holds a pickle that asks for .*system"):
        MsdLastfm50(str(root)).read()
    assert not (root / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("MSD_id_to_7D_id.pkl", pickle.dumps(["a"]), "holds a list, not a dict of 7digital ids"),
        ("MSD_id_to_7D_id.pkl", b"\x80", "holds a broken pickle"),
        ("output_labels_msd.txt", b"# Output labels\n", "holds no list of tags"),
        ("val_gt_msd.tsv", b"a\t[1]\n\xff\n", "val_gt_msd.tsv line 2: byte 0xff is not utf-8"),
    ],
)
def test_what_is_broken_is_named(root, name, content, message):
    (root / "processed_annotations" / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        MsdLastfm50(str(root)).read()


def test_artists_come_from_the_data_sets_database(root):
    with sqlite3.connect(root / "track_metadata.db") as database:
        database.execute("CREATE TABLE songs (track_id text, title text, release text, artist_name text)")
        database.execute("INSERT INTO songs VALUES ('TRAAAAW128F429D538', 'Ü', NULL, 'Ann')")
    database.close()
    tracks = MsdLastfm50(str(root)).read().tracks
    assert tracks[["artist", "album", "title", "group"]].values.tolist()[:2] == [["", "", "", ""], ["Ann", "", "Ü", ""]]
