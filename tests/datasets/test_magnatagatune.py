"""MagnaTagATune: which clips, tags and splits, on an imitation and on the real label files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from layouts import magnatagatune as layout

from crossmodal.datasets.magnatagatune import MagnaTagATune
from crossmodal.errors import InputError

REAL = Path(__file__).parents[3] / "shared" / "data" / "annotations"


@pytest.fixture
def root(tmp_path):
    layout.write(tmp_path)
    return tmp_path


def tags(manifest) -> dict[str, list[str]]:
    found = manifest.tags.groupby("track_id")["tag"].agg(list).to_dict()
    return {track: found.get(track, []) for track in manifest.tracks["track_id"]}


def reasons(manifest) -> dict[str, str]:
    return {row.id: row.reason for row in manifest.skipped}


def test_the_fifty_tags_in_their_order_and_clips_without_any(root):
    found = MagnaTagATune(str(root)).read()
    assert len(MagnaTagATune.TAGS) == len(set(MagnaTagATune.TAGS)) == 50
    assert tags(found) == {
        "0/ann-first_album-01-a__song-0-29": ["guitar", "classical"],
        "0/ann-first_album-01-a__song-29-58": [],
        "b/bo-second-02-b-0-29": [],
        "c/bo-third-03-c-0-29": ["metal"],
        "d/cem-fourth-04-d-0-29": ["guitar", "no voice"],
        "f/ann-fifth-05-e-0-29": ["flute"],
        "f/no_name_as_the_others": ["guitar"],
    }
    assert found.annotated["track_id"].tolist() == found.tracks["track_id"].tolist()


def test_all_tags_leave_the_clean_split_as_it_is(root):
    found = MagnaTagATune(str(root), tags="all").read()
    assert tags(found)["b/bo-second-02-b-0-29"] == ["clasical"]
    few = MagnaTagATune(str(root)).read()
    assert found.splits.equals(few.splits)


def test_rows_that_cannot_be_used_are_told(root):
    found = MagnaTagATune(str(root)).read()
    assert found.steps[0] == ("annotations_final.csv.gz", 12, 7)
    assert reasons(found) == {
        layout.EMPTY: "0 bytes in the distribution",
        "0/ann-first_album-01-a__song-0-29": "stands twice",
        "annotations_final.csv.gz row 10": "3 cells under 9 columns",
        "annotations_final.csv.gz row 11": "a tag is neither 0 nor 1",
        "annotations_final.csv.gz row 12": "no mp3_path",
        "clip_info_final.csv.gz row 3": "2 cells under 10 columns",
        "clip 77": "no clip of this path",
        "0/of-no-01-clip-0-29": "no clip of this path",
        "an empty line": "no clip of this path",
    }
    assert len(found.skipped) == 10  # the first clip stands twice in a list, too


def test_words_are_of_the_table_else_of_the_path(root):
    tracks = MagnaTagATune(str(root)).read().tracks.set_index("track_id")
    words = tracks[["artist", "album", "title", "group", "start_s"]].T
    first, second = "0/ann-first_album-01-a__song-0-29", "0/ann-first_album-01-a__song-29-58"
    assert words[first].tolist() == ["Ann Ü.", "First: Album", 'A, "Song"', "ann-first_album", "0"]
    assert words[second].tolist() == ["ann", "first album", "a song", "ann-first_album", "29"]
    assert words["d/cem-fourth-04-d-0-29"].tolist() == ["Cem", "fourth", "D", "cem-fourth", "0"]
    assert words["f/no_name_as_the_others"].tolist() == ["", "", "", "", ""]
    assert tracks.loc[first, "path"] == f"mp3/{first}.mp3"
    assert MagnaTagATune(str(root), audio=".").read().tracks["path"][0] == f"{first}.mp3"


def test_the_three_splits(root):
    splits = MagnaTagATune(str(root)).read().splits
    found = {
        name: dict(zip(rows["track_id"].str[:4], rows["part"], strict=True)) for name, rows in splits.groupby("name")
    }
    first, test = {"0/an": "train", "c/bo": "valid"}, {"d/ce": "test", "f/an": "test", "f/no": "test"}
    assert found["pons2017"] == {**first, "b/bo": "train", **test}
    assert found["minz"] == {**first, **test}
    assert found["jongpillee"] == {**first, "d/ce": "test"}


def test_without_the_pub_lists_a_step_says_that_there_is_no_such_split(root):
    for path in root.glob("mtat_pub*"):
        path.unlink()
    found = MagnaTagATune(str(root)).read()
    assert set(found.splits["name"]) == {"pons2017", "minz"}
    assert "train_list_pub.txt is not there: no train part of the split jongpillee: 0 read, 0 kept" in map(
        str, found.steps
    )
    (root / "valid_list_pub.cP").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"valid_list_pub\.cP is a pickle.* into valid_list_pub\.txt"):
        MagnaTagATune(str(root)).read()


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is empty"), ("a\tb\tc\n", "no columns clip_id"), ("clip_id\tx\tmp3_path\n1\t\xe9", "not utf-8")],
)
def test_a_broken_table_is_named(tmp_path, text, said):
    (tmp_path / "annotations_final.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"annotations_final.csv.*{said}"):
        MagnaTagATune(str(tmp_path)).read()


@pytest.mark.parametrize(("place", "cell", "line"), [(1, '"0', 3), (1, '"0"1', 3), (-1, '"b/an_end.mp3', 4)])
def test_a_stray_quote_is_an_error_and_hides_no_rows(tmp_path, place, cell, line):
    header, *clips = layout.annotations()[:4]
    first, second, third = (row.split("\t") for row in clips)
    second[place] = cell
    table = "\n".join([header, *("\t".join(row) for row in (first, second, third))]) + "\n"
    (tmp_path / "annotations_final.csv").write_text(table)
    with pytest.raises(InputError, match=rf"annotations_final\.csv line {line} is not of quoted cells"):
        MagnaTagATune(str(tmp_path)).read()


@pytest.mark.parametrize("path", [".mp3", "g/x-y-01-z-0-29.mp3", "x-y-01-z-0-29.mp3", "0.mp3", "0/.mp3", "00/x.mp3"])
def test_a_path_in_none_of_the_folders_is_skipped(tmp_path, path):
    header, first = layout.annotations()[:2]
    rows = [header, first, "\t".join(f'"{cell}"' for cell in ("98", *"0100000", path))]
    (tmp_path / "annotations_final.csv").write_text("\n".join(rows) + "\n")
    found = MagnaTagATune(str(tmp_path)).read()
    assert len(found) == 1
    assert reasons(found) == {"annotations_final.csv row 2": f"the path {path!r} is in none of the folders 0/ to f/"}


def maest(root: Path, *rows: str) -> MagnaTagATune:
    (root / "mtat_top50_maest_split.tsv").write_text("".join(f"{row}\n" for row in rows))
    return MagnaTagATune(str(root))


@pytest.mark.parametrize("rows", [(), ("<!DOCTYPE html>", "<p>404</p>"), ("0/a-b-01-c-0-29\ttrain\tflute",)])
def test_a_table_of_the_50_tags_with_another_header_is_refused(tmp_path, rows):
    with pytest.raises(
        InputError, match=r"mtat_top50_maest_split\.tsv line 1: the columns are not clip, split and tags"
    ):
        maest(tmp_path, *rows).read()


def test_rows_and_tags_of_the_table_of_the_50_that_cannot_be_used_are_told(tmp_path):
    name = "mtat_top50_maest_split.tsv"
    found = maest(
        tmp_path,
        "clip\tsplit\ttags",
        '0/"a-b-01-c-0-29\ttrain\tflute',  # a quote is a letter here
        "c/a-b-02-c-0-29\tvalidation\tflute|clasical",
        "d/a-b-03-c-0-29\ttest\tharp|harp",
        "e/a-b-04-c-0-29\ttrain\tflute",
        "\ttrain\tflute",
    ).read()
    assert tags(found) == {'0/"a-b-01-c-0-29': ["flute"], "c/a-b-02-c-0-29": ["flute"], "d/a-b-03-c-0-29": ["harp"]}
    assert found.steps[:2] == ((name, 5, 3), ("tags", 5, 3))
    assert reasons(found) == {
        f"{name} row 4": "the split 'train' is not that of the folder of e/a-b-04-c-0-29",
        f"{name} row 5": "the path '' is in none of the folders 0/ to f/",
        "c/a-b-02-c-0-29": "the tag 'clasical' is none of the 50",
        "d/a-b-03-c-0-29": "the tag 'harp' stands twice",
    }


def test_the_table_of_the_50_tags_is_not_asked_for_all(tmp_path):
    (tmp_path / "mtat_top50_maest_split.tsv").write_text("clip\tsplit\ttags\n0/a-b-01-c-0-29\ttrain\tflute|guitar\nx\n")
    found = MagnaTagATune(str(tmp_path)).read()
    assert tags(found) == {"0/a-b-01-c-0-29": ["guitar", "flute"]}
    assert reasons(found) == {"mtat_top50_maest_split.tsv row 2": "1 cells under 3 columns"}
    with pytest.raises(InputError, match=r"finds no annotations_final\.csv in "):
        MagnaTagATune(str(tmp_path), tags="all").read()


@pytest.fixture(scope="module")
def real():
    if not REAL.is_dir():
        pytest.skip("the real label files are not here")
    return MagnaTagATune(str(REAL)).manifest(labels_only=True)


def test_real_labels_have_the_published_numbers(real):
    assert real.validate() == []
    assert (len(real), real.skipped) == (25_860, ())
    assert len(real) - real.tags["track_id"].nunique() == 4_752
    counts = real.tags["tag"].value_counts()
    assert sorted(counts.index) == sorted(MagnaTagATune.TAGS)
    assert counts[list(MagnaTagATune.TAGS)].is_monotonic_decreasing
    sizes = real.splits.groupby(["name", "part"]).size().to_dict()
    wanted = {"pons2017": (18_706, 1_825, 5_329), "minz": (15_247, 1_529, 4_332), "jongpillee": (15_244, 1_529, 4_332)}
    parts = ("train", "valid", "test")
    assert sizes == {(name, p): n for name, ns in wanted.items() for p, n in zip(parts, ns, strict=True)}


def test_real_folders_are_the_published_split_and_cut_artists_but_no_album(real):
    with gzip.open(REAL / "mtat_top50_maest_split.tsv.gz", "rt", encoding="utf-8") as file:
        published = dict(line.split("\t")[:2] for line in file.read().splitlines()[1:])
    pons = real.splits[real.splits["name"] == "pons2017"].set_index("track_id")["part"]
    assert pons.replace("valid", "validation").to_dict() == published
    parts = real.tracks.assign(part=real.tracks["track_id"].map(pons))
    cut = {column: int((parts.groupby(column)["part"].nunique() > 1).sum()) for column in ("artist", "group")}
    assert cut == {"artist": 57, "group": 0}
    assert (parts["artist"].nunique(), parts["group"].nunique()) == (229, 446)
