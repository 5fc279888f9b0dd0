"""The manifest: its checks against a hand-made data set, its files, its relevance sets."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.data.manifest import COLUMNS, Manifest, same_words
from crossmodal.errors import InputError
from crossmodal.files import Skipped


def tracks(*ids, **columns):
    return pd.DataFrame({"track_id": list(ids), "path": [f"{track}.wav" for track in ids], **columns})


def texts(*rows):
    return pd.DataFrame(rows, columns=["text_id", "track_id", "language", "kind", "text"])


def tags(*rows):
    return pd.DataFrame(rows, columns=["track_id", "tagset", "tag"])


def splits(*rows):
    return pd.DataFrame(rows, columns=["track_id", "name", "part"])


@pytest.fixture
def manifest(tmp_path):
    return Manifest.build(
        tracks("a", "b", "c", "d", group=["x", "x", "y", None], duration=[1.5, None, 3, 4]),
        texts(
            ("album", "a", "en", "review", "A slow Organ."),
            ("album", "b", "en", "review", "A slow Organ."),
            ("c1", "c", "en", "caption", "a  slow\norgan."),
            ("c2", "c", "de", "caption", "eine Orgel"),
        ),
        tags(("a", "genre", "drone"), ("a", "genre", "organ"), ("c", "key", "C"), ("d", "key", "D")),
        splits=splits(("a", "s", "train"), ("b", "s", "train"), ("c", "s", "test"), ("a", "t", "test")),
        root=tmp_path / "audio",
        skipped=[Skipped("e", "e.wav", "the file does not exist")],
    )


def same(one: Manifest, other: Manifest) -> bool:
    return all(one.tables[name].equals(other.tables[name]) for name in COLUMNS) and one.skipped == other.skipped


def test_build_fills_in_unknown_values(manifest):
    assert manifest.validate() == []
    assert len(manifest) == 4
    for name, columns in COLUMNS.items():
        assert manifest.tables[name].dtypes.astype(str).to_dict() == dict(columns)
    assert manifest.tracks["group"].tolist() == ["x", "x", "y", ""]
    assert manifest.tracks["sample_rate"].tolist() == [0, 0, 0, 0]
    assert np.isnan(manifest.tracks["duration"][1])
    assert sorted(manifest.annotated.itertuples(index=False, name=None)) == [("a", "genre"), ("c", "key"), ("d", "key")]


def test_build_keeps_more_columns_and_refuses_words_for_numbers():
    assert Manifest.build(tracks("a", bpm=[120])).tracks["bpm"].tolist() == [120]
    with pytest.raises(InputError, match=r"column duration must hold numbers.*'long'"):
        Manifest.build(tracks("a", duration=["long"]))


def test_nothing_at_all_is_a_manifest(tmp_path):
    empty = Manifest.build(pd.DataFrame())
    empty.save(tmp_path / "m")
    assert len(empty) == 0
    assert empty.validate() == []
    assert empty.relevance() == {}
    assert same(Manifest.load(tmp_path / "m"), empty)


def test_annotated_with_nothing_is_not_unannotated(manifest, tmp_path):
    rows = pd.DataFrame([("a", "genre"), ("b", "genre"), ("c", "key"), ("d", "key")], columns=["track_id", "tagset"])
    given_ = Manifest.build(manifest.tracks, tags=manifest.tags, annotated=rows, root=tmp_path)
    assert given_.validate() == []
    given_.save(tmp_path / "m")
    genre = Manifest.load(tmp_path / "m").annotated.query("tagset == 'genre'")
    assert genre["track_id"].tolist() == ["a", "b"]


def test_save_and_load_give_the_same(manifest, tmp_path):
    manifest.save(tmp_path / "m")
    loaded = Manifest.load(tmp_path / "m")
    assert same(loaded, manifest)
    assert loaded.path("a") == tmp_path / "audio" / "a.wav"
    assert [f.name for f in sorted(tmp_path.iterdir())] == ["m"]


def test_saved_bytes_are_deterministic(manifest, tmp_path):
    manifest.save(tmp_path / "one")
    Manifest.load(tmp_path / "one").save(tmp_path / "two")
    names = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert len(names) == len(COLUMNS) + 2
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    "text", ["x" * 50_000, "organ 🎹🎼 👩‍🎤", "موسيقى هادئة", "שלום ‏עולם", 'a\0b\r\nc, "d"\u2028e']
)
def test_texts_stay_intact(tmp_path, text):
    Manifest.build(tracks("a"), texts(("t", "a", "", "", text))).save(tmp_path / "m")
    assert Manifest.load(tmp_path / "m").texts["text"].tolist() == [text]


def test_a_failed_save_leaves_the_old_one(manifest, tmp_path, monkeypatch):
    manifest.save(tmp_path / "m")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crossmodal.files.write_skipped", full)
    with pytest.raises(InputError, match="No space left"):
        manifest.select(["a"]).save(tmp_path / "m")
    assert same(Manifest.load(tmp_path / "m"), manifest)


@pytest.mark.parametrize("name", ["manifest.json", "skipped.csv", *(f"{table}.parquet" for table in COLUMNS)])
def test_load_names_a_missing_file(manifest, tmp_path, name):
    manifest.save(tmp_path / "m")
    (tmp_path / "m" / name).unlink()
    with pytest.raises(InputError, match=name):
        Manifest.load(tmp_path / "m")


def test_load_names_a_missing_column_and_a_broken_file(manifest, tmp_path):
    manifest.save(tmp_path / "m")
    manifest.texts.drop(columns="kind").to_parquet(tmp_path / "m" / "texts.parquet")
    with pytest.raises(InputError, match=r"texts\.parquet lacks kind; it has text_id, track_id"):
        Manifest.load(tmp_path / "m")
    (tmp_path / "m" / "texts.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"texts\.parquet is not a whole parquet file"):
        Manifest.load(tmp_path / "m")


def test_load_refuses_another_version(manifest, tmp_path):
    manifest.save(tmp_path / "m")
    (tmp_path / "m" / "manifest.json").write_text('{"version": 99, "root": "/"}')
    with pytest.raises(InputError, match="version 1"):
        Manifest.load(tmp_path / "m")


PROBLEMS = [
    ({"tracks": tracks("a", "a", "b", "c", "d")}, "1 duplicate track ids: a"),
    ({"texts": texts(("t", "z", "", "", "la"))}, "1 texts of unknown tracks: z"),
    ({"annotated": pd.DataFrame({"track_id": ["z"], "tagset": ["key"]})}, "1 annotated of unknown tracks: z"),
    ({"splits": splits(("z", "s", "train"))}, "1 splits of unknown tracks: z"),
    ({"tracks": tracks("a", " ")}, "1 rows of tracks have an empty track_id"),
    ({"texts": texts(("", "a", "", "", "la"))}, "1 rows of texts have an empty text_id"),
    ({"texts": texts(("t", "a", "", "", " \n\u3000"))}, "1 empty texts: t"),
    ({"texts": texts(("t", "a", "", "", "la"), ("t", "b", "", "", "lo"))}, "1 text ids with several texts: t"),
    ({"texts": texts(("t", "a", "", "", "la"), ("t", "a", "", "", "la"))}, "1 rows repeat a text of a track: t"),
    ({"tags": tags(("a", "key", " "))}, "1 empty tags: a"),
    (
        {"tags": tags(("b", "key", "C")), "annotated": pd.DataFrame({"track_id": ["b"], "tagset": ["genre"]})},
        "1 tags of 'key' on tracks not said to be annotated: b",
    ),
    ({"splits": splits(("a", "s", "dev"))}, "1 split parts other than train, valid, test: dev"),
    ({"splits": splits(("a", "s", "test"), ("a", "s", "test"))}, "1 tracks stand twice in split 's': a"),
    (
        {"splits": splits(("a", "s", "test"), ("b", "s", "train"), ("c", "s", "train"), ("a", "t", "test"))},
        "split 's' cuts 1 groups in two: x (test 1, train 1)",
    ),
    ({"tracks": tracks("a", "b", "c", "d").assign(path=["a", " ", "c", "d"])}, "1 tracks without a path: b"),
]


@pytest.mark.parametrize(("tables", "problem"), PROBLEMS, ids=[problem for _, problem in PROBLEMS])
def test_validate_names_the_problem_and_only_that(tables, problem):
    sound = {"tracks": tracks("a", "b", "c", "d", group=["x", "x", "y", ""])}
    broken = Manifest.build(**(sound | tables))
    assert broken.validate() == [problem]
    with pytest.raises(InputError, match="1"):
        broken.check()


def test_tags_of_unknown_tracks_are_named():
    broken = Manifest.build(tracks("a"), tags=tags(("z", "key", "C")))
    assert broken.validate() == ["1 tags of unknown tracks: z", "1 annotated of unknown tracks: z"]


@pytest.mark.parametrize("path", ["../a.wav", "x/../../a.wav", "/etc/a.wav", "..", "x\\..\\..\\a.wav", "{root}2/a.wav"])
def test_paths_that_leave_the_root_are_named(tmp_path, path):
    path = path.format(root=tmp_path)
    broken = Manifest.build(tracks("a", "b").assign(path=[path, "b.wav"]), root=tmp_path)
    assert broken.validate() == [f"1 paths leave the root {tmp_path}: a ({path})"]


@pytest.mark.parametrize("path", ["x/../a.wav", "{root}/a.wav", "..a.wav", "a..wav", "./a.wav"])
def test_paths_that_stay_are_fine(tmp_path, path):
    sound = Manifest.build(tracks("a").assign(path=[path.format(root=tmp_path)]), root=tmp_path)
    assert sound.check() is sound


def test_many_problems_are_counted_not_listed():
    broken = Manifest.build(tracks(*[f"t{n // 2}" for n in range(20)]))
    assert broken.validate() == ["10 duplicate track ids: t0, t1, t2 and 7 more"]


def test_read_audio_compares_files_with_the_table(tmp_path):
    pytest.importorskip("crossmodal.audio.decode")
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", rng.uniform(-0.5, 0.5, 32_000), 16_000)
    (tmp_path / "e.wav").write_text("this is no audio")
    found = Manifest.build(
        tracks("a", "b", "c", "d", "e", duration=[2.9, 3.5, None, 2, 2], sample_rate=[16_000, 0, 8_000, 0, 0]),
        root=tmp_path,
    )
    assert found.validate() == []
    problems = found.validate(read_audio=True)
    assert problems[:2] == [
        "track b: lasts 2.00 s, not 3.50 s as the table says",
        "track c: is sampled at 16000 Hz, not 8000 Hz as the table says",
    ]
    assert [problem.split(":")[0] for problem in problems[2:]] == ["track d", "track e"]


def test_part_and_select_take_all_rows_of_their_tracks(manifest):
    test = manifest.part("s", "test")
    assert test.tracks["track_id"].tolist() == ["c"]
    assert test.texts["text_id"].tolist() == ["c1", "c2"]
    assert test.tags["tag"].tolist() == ["C"]
    assert test.validate() == []
    assert same(manifest.select(["d", "c", "b", "a"]), manifest)


def test_part_lists_what_there_is(manifest):
    with pytest.raises(InputError, match="no split 'u'; there are: s, t"):
        manifest.part("u", "train")
    with pytest.raises(InputError, match="split 's' has no part 'valid'; it has: test, train"):
        manifest.part("s", "valid")
    with pytest.raises(InputError, match="1 track ids are not in the manifest: z"):
        manifest.select(["a", "z"])


def test_paths_are_resolved_against_the_root(manifest, tmp_path):
    assert manifest.path("b") == tmp_path / "audio" / "b.wav"
    assert manifest.paths().to_dict() == {track: str(tmp_path / "audio" / f"{track}.wav") for track in "abcd"}
    with pytest.raises(InputError, match="no track 'z' among 4"):
        manifest.path("z")


def test_texts_of_the_same_words_share_their_tracks(manifest):
    everyone = frozenset("abc")
    assert manifest.relevance() == {"album": everyone, "c1": everyone, "c2": frozenset("c")}
    assert manifest.relevance(kind="review") == {"album": everyone}
    assert manifest.relevance(language="de") == {"c2": frozenset("c")}
    assert manifest.part("s", "train").relevance() == {"album": frozenset("ab")}


WORDS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["x", "X ", "y", "y  y", "Y y", "z"])), max_size=9)


@settings(max_examples=40)
@given(WORDS)
def test_relevance_equals_a_plain_loop(rows):
    table = texts(*[(f"t{n}", track, "", "", text) for n, (track, text) in enumerate(rows)])
    expected = {}
    for n, (_, text) in enumerate(rows):
        expected[f"t{n}"] = frozenset(t for t, other in rows if other.casefold().split() == text.casefold().split())
    assert Manifest.build(tracks(*"abcd"), table).relevance() == expected


def test_same_words_ignores_case_spaces_and_width():
    assert same_words("  Ｓｔｒａßｅ\u00a0ﬁn\n") == same_words("STRASSE fin") == "strasse fin"
    assert same_words("organ") != same_words("organs")


def test_labels_are_for_tagsets_of_one_tag(manifest):
    assert manifest.labels("key").to_dict() == {"c": "C", "d": "D"}
    with pytest.raises(InputError, match="'genre' gives several tags to 1 tracks: a"):
        manifest.labels("genre")
    with pytest.raises(InputError, match="no tagset 'mood' with tags; there are: genre, key"):
        manifest.labels("mood")


def test_a_manifest_is_not_changed(manifest):
    before = manifest.tables["tracks"].copy()
    manifest.part("s", "test")
    replace(manifest, splits=manifest.splits.iloc[:0])
    assert manifest.tracks.equals(before)


def test_no_torch_is_loaded():
    code = (
        "import sys, crossmodal.data.manifest, crossmodal.data.splits, crossmodal.datasets.table;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
