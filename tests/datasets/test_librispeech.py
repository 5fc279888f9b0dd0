"""LibriSpeech: transcripts, speakers, and its two splits."""

from __future__ import annotations

import shutil

import pytest
from layout import layout

from crossmodal.datasets.librispeech import Librispeech
from crossmodal.errors import InputError

LAYOUT = layout("librispeech")


@pytest.fixture
def root(tmp_path):
    LAYOUT.write(tmp_path)
    return tmp_path


def test_utterances_and_their_words(root):
    found = Librispeech(str(root)).read()
    assert found.tracks["track_id"].tolist() == [
        *("103-1240-0000", "103-1240-0001", "60-121-0000", "60-121-0001", "60-121-0002")
    ]
    columns = ["path", "artist", "album", "title", "speaker", "chapter", "sample_rate", "licence"]
    assert found.tracks[columns].values.tolist()[2] == [
        *("LibriSpeech/train-clean-100/60/121/60-121-0000.flac", "|CBW|Simon", 'Book, "one"', "Ch. 1", "60", "121"),
        *(16_000, "CC BY 4.0"),
    ]
    texts = dict(zip(found.texts["track_id"], found.texts["text"], strict=True))
    assert texts["60-121-0001"] == "IT'S ÜBER"
    assert "60-121-0002" not in texts
    assert found.labels("speaker")["60-121-0002"] == "60"
    assert found.labels("sex")["103-1240-0000"] == "F"


def test_every_row_is_counted(root):
    found = Librispeech(str(root), subsets=["train-clean-100", "test-clean"]).read()
    assert [tuple(step) for step in found.steps] == [
        ("train-clean-100: lines of 2 transcripts", 8, 6),
        ("test-clean: lines of 2 transcripts", 2, 2),
        ("utterances", 8, 7),
        ("SPEAKERS.TXT", 4, 3),
        ("speakers joined to SPEAKERS.TXT", 4, 3),
        ("CHAPTERS.TXT", 2, 2),
        ("transcripts", 7, 6),
        ("train_split.txt joined to utterances", 3, 2),
        ("test_split.txt joined to utterances", 3, 3),
        ("utterances in the split 'cpc2018'", 5, 4),
    ]
    assert [(row.id, row.reason) for row in found.skipped] == [
        ("line 3", "line 3 is not an id and words"),
        ("61-121-0003", "line 5 is not an id and words"),
        ("60-121-0001", "stands there twice; the first counts"),
        ("104", "has 2 cells, not 5"),
        ("999", "is not there"),
        ("60-121-0002", "has no words"),
        ("5-5-0005", "there is no transcript of this id"),
        ("60-121-0000", "is in it twice"),
    ]


def test_a_speaker_that_the_table_has_not_has_no_sex(root):
    found = Librispeech(str(root), subsets=["test-clean"]).read()
    assert found.labels("sex").to_dict() == {"61-70-0000": "M"}
    assert found.annotated.groupby("tagset").size().to_dict() == {"sex": 1, "speaker": 2}
    assert found.validate() == []


def parts(manifest, name):
    rows = manifest.splits[manifest.splits["name"] == name]
    return dict(zip(rows["track_id"], rows["part"], strict=True))


def test_the_splits_and_the_groups_they_leave_whole(root):
    subsets = ["train-clean-100", "test-clean"]
    found = Librispeech(str(root), subsets=subsets).read()
    assert parts(found, "cpc2018") == {
        **dict.fromkeys(("60-121-0000", "103-1240-0000"), "train"),
        **dict.fromkeys(("60-121-0001", "103-1240-0001"), "test"),
    }
    assert set(found.tracks["group"]) == {""}
    assert parts(found, "librispeech")["61-70-0000"] == "test"
    assert found.validate() == []
    shutil.rmtree(root / "LibriSpeech100_labels_split")
    without = Librispeech(str(root), subsets=subsets).read()
    assert without.tracks["group"].tolist() == without.tracks["speaker"].tolist()
    assert parts(without, "cpc2018") == {}
    assert parts(without, "librispeech") == parts(found, "librispeech")


def test_the_root_may_be_the_corpus_itself(root):
    found = Librispeech(str(root / "LibriSpeech")).read()
    assert found.tracks["path"][0] == "train-clean-100/103/1240/103-1240-0000.flac"
    (root / "LibriSpeech" / "CHAPTERS.TXT").unlink()
    assert set(Librispeech(str(root / "LibriSpeech")).read().tracks["album"]) == {""}


def test_subsets_that_are_not_there(root):
    with pytest.raises(InputError, match=r"librispeech finds no LibriSpeech/dev-clean with transcripts in .*openslr"):
        Librispeech(str(root), subsets=["dev-clean"]).read()
    for wrong in ([], ["train-clean-360", "all"]):
        with pytest.raises(InputError, match=r"librispeech has the subsets train-clean-100, .*, not "):
            Librispeech(str(root), subsets=wrong)
