"""The table source: settings that reach every column, bad rows that are recorded, and the real data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from crossmodal import registry
from crossmodal.data.manifest import Manifest
from crossmodal.datasets import table
from crossmodal.datasets.table import Table
from crossmodal.errors import InputError
from crossmodal.files import Skipped

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def folder(tmp_path):
    """Five files of one byte: the source looks at names alone, and at whether there is anything."""
    for name in ("rock/a.wav", "rock/b.mp3", "folk/c.OGG", "folk/tr/d.flac", "e.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def written(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return name


def lines(folder, *rows):
    return written(folder, "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def tags(manifest):
    return sorted(manifest.tags.itertuples(index=False, name=None))


def annotated(manifest):
    return sorted(manifest.annotated.itertuples(index=False, name=None))


def test_a_csv_with_mapped_columns_lists_and_several_texts(folder):
    file = written(
        folder,
        "t.csv",
        "file,performer,duration,genre,mood,review,rezension,year\n"
        'rock/a.wav,Ann,1.5,rock;indie|rock,"[""calm"", ""dark""]",Fine.,"[""Gut."", ""Laut; gut.""]",1999\n'
        "rock/b.mp3,Bob,,,[],Loud,['Leise'],\n",
    )
    found = Table(
        root=str(folder),
        file=file,
        columns={"path": "file", "artist": "performer", "year": "year"},
        texts=[{"column": "review", "language": "en", "kind": "review"}, {"column": "rezension", "language": "de"}],
        tagsets={"genre": "genre", "mood": "mood"},
    ).manifest()
    assert found.tracks[["track_id", "artist", "year"]].to_numpy().tolist() == [
        ["rock/a.wav", "Ann", "1999"],
        ["rock/b.mp3", "Bob", ""],
    ]
    assert found.tracks["duration"].fillna(0).tolist() == [1.5, 0]
    assert tags(found) == [
        ("rock/a.wav", "genre", "indie"),
        ("rock/a.wav", "genre", "rock"),
        ("rock/a.wav", "mood", "calm"),
        ("rock/a.wav", "mood", "dark"),
    ]
    # an empty cell is no annotation, an empty list is one
    assert annotated(found) == [("rock/a.wav", "genre"), ("rock/a.wav", "mood"), ("rock/b.mp3", "mood")]
    assert found.texts.to_numpy().tolist() == [
        ["rock/a.wav:0", "rock/a.wav", "en", "review", "Fine."],
        ["rock/b.mp3:0", "rock/b.mp3", "en", "review", "Loud"],
        ["rock/a.wav:1", "rock/a.wav", "de", "", "Gut."],
        ["rock/a.wav:2", "rock/a.wav", "de", "", "Laut; gut."],
        ["rock/b.mp3:1", "rock/b.mp3", "de", "", "Leise"],
    ]


def test_json_lines_with_dotted_columns_and_where(folder):
    words = [{"text": "Slow.", "lang": "en"}, {"text": "Yavaş.", "lang": "tr"}]
    file = lines(
        folder,
        {"id": "a", "path": "rock/a.wav", "text": words, "meta": {"instrument": "oud"}, "origin": "real"},
        {"id": "c", "path": "folk/c.OGG", "text": [], "meta": {"instrument": "ney"}},
        {"id": "d", "path": "folk/tr/d.flac", "meta": {}},
    )
    found = Table(
        root=str(folder),
        file=file,
        columns={"track_id": "id", "source": "origin"},
        texts=[{"column": "text.text", "language_column": "text.lang", "kind": "human"}],
        tagsets={
            "all": "meta.instrument",
            "folk": {"column": "meta.instrument", "where": {"path": "folk/*"}},
            "place": {"column": "folder", "where": {"path": "folk/*", "id": "d"}},
        },
    ).manifest()
    assert tags(found) == [("a", "all", "oud"), ("c", "all", "ney"), ("c", "folk", "ney"), ("d", "place", "tr")]
    assert found.texts.to_numpy().tolist() == [
        ["a:0", "a", "en", "human", "Slow."],
        ["a:1", "a", "tr", "human", "Yavaş."],
    ]
    assert found.tracks["source"].tolist() == ["real", "", ""]


def test_values_are_called_by_other_names(folder):
    file = lines(
        folder,
        {"path": "rock/a.wav", "length": "1.5 s", "words": ["arco legato", "loud", "n/a"]},
        {"path": "rock/b.mp3", "length": "very long", "words": ["arco"]},
        {"path": "folk/c.OGG", "length": " 1 s ", "words": []},
        {"path": "folk/tr/d.flac", "length": "phrase", "words": None},
    )
    found = Table(
        root=str(folder),
        file=file,
        tagsets={
            "length": {"column": "length", "names": {"*long": "long notes", "1.5 s": "long notes", "1 s": ""}},
            "words": {"column": "words", "names": {"arco *": "legato", "*": "anything"}},
            "rock": {"column": "path", "where": {"path": "rock/*"}, "names": {"*": "rock"}},
        },
    ).manifest()
    assert tags(found) == [
        ("folk/tr/d.flac", "length", "phrase"),
        ("rock/a.wav", "length", "long notes"),
        ("rock/a.wav", "rock", "rock"),
        ("rock/a.wav", "words", "anything"),
        ("rock/a.wav", "words", "legato"),
        ("rock/b.mp3", "length", "long notes"),
        ("rock/b.mp3", "rock", "rock"),
        ("rock/b.mp3", "words", "anything"),
    ]
    assert ("folk/c.OGG", "length") in annotated(found)  # with nothing
    assert ("folk/c.OGG", "words") in annotated(found)
    assert ("folk/tr/d.flac", "words") not in annotated(found)


def test_a_shared_review_is_one_text_of_many_tracks(folder):
    file = written(folder, "t.csv", "path,album,review\nrock/a.wav,X,Fine.\nrock/b.mp3,X,Fine.\nfolk/c.OGG,Y, FINE. \n")
    by_id = Table(str(folder), file, texts=[{"column": "review", "id_column": "album"}]).manifest()
    assert by_id.texts["text_id"].tolist() == ["X", "X", "Y"]
    by_words = Table(str(folder), file, texts=[{"column": "review"}]).manifest()
    everyone = {"rock/a.wav", "rock/b.mp3", "folk/c.OGG"}
    assert by_id.relevance() == {"X": everyone, "Y": everyone}
    assert set(by_words.relevance().values()) == {frozenset(everyone)}


def test_a_split_of_a_file_gives_groups_and_one_by_hash_keeps_them(folder):
    file = written(folder, "t.tsv", "id\tpath\tartist\na\trock/a.wav\tAnn\nb\trock/b.mp3\tAnn\nc\tfolk/c.OGG\tCem\n")
    written(folder, "dev.tsv", "id\tpart\tgroup\nc\ttest\tg2\na\ttrain\tg1\n")
    fractions = {"train": 0.5, "test": 0.5}
    found = Table(
        root=str(folder),
        file=file,
        columns={"track_id": "id"},
        splits={"dev": "dev.tsv", "mine": {"group": "artist", "fractions": fractions, "salt": "1"}},
    ).manifest()
    assert found.tracks["group"].tolist() == ["g1", "", "g2"]
    assert found.part("dev", "train").tracks["track_id"].tolist() == ["a"]
    parts = found.splits.query("name == 'mine'").set_index("track_id")["part"]
    assert len(parts) == 3
    assert parts["a"] == parts["b"]


def test_columns_give_the_group_where_they_do(folder):
    file = written(folder, "t.csv", "track_id,path,artist\na,rock/a.wav,Ann\n")
    written(folder, "dev.csv", "track_id,part,group\na,train,g1\n")
    found = Table(str(folder), file, {"group": "artist"}, splits={"dev": "dev.csv"}).manifest()
    assert found.tracks["group"].tolist() == ["Ann"]


def test_what_cannot_be_used_is_recorded_with_its_id(folder):
    (folder / "rock" / "a.doc").touch()
    (folder / "empty.wav").touch()
    file = written(
        folder,
        "t.csv",
        "track_id,path,text,tags\na,rock/a.wav, ,x\ngone,rock/gone.wav,la,x\nodd,rock/a.doc,la,x\n"
        "b,rock/b.mp3,la,x\nnil,empty.wav,la,x\n",
    )
    written(folder, "s.csv", "track_id,part\na,train\ngone,train\nb,test\n")
    found = Table(
        str(folder), file, texts=[{"column": "text"}], tagsets={"tags": "tags"}, splits={"s": "s.csv"}
    ).manifest()
    assert found.validate() == []
    assert found.tracks["track_id"].tolist() == ["a", "b"]
    assert found.texts["track_id"].tolist() == ["b"]
    assert found.splits["track_id"].tolist() == ["a", "b"]
    assert found.skipped == (
        Skipped("a", "rock/a.wav", "empty text"),
        Skipped("gone", "rock/gone.wav", "the file does not exist"),
        Skipped("odd", "rock/a.doc", "not audio by its name"),
        Skipped("nil", "empty.wav", "is empty: 0 bytes"),
    )
    assert found.steps == (("t.csv", 5, 5), ("texts", 5, 4), ("audio files", 5, 2))


@pytest.mark.parametrize("text", ["x" * 50_000, "organ 🎹👩‍🎤", "موسيقى هادئة ‏جدا"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_long_and_unusual_texts_stay_intact(folder, text, kind):
    row = json.dumps({"path": "e.wav", "text": text}) if kind == "jsonl" else f"path,text\ne.wav,{text}"
    file = written(folder, f"t.{kind}", row + "\n")
    Table(str(folder), file, texts=[{"column": "text"}]).manifest().save(folder / "saved")
    assert Manifest.load(folder / "saved").texts["text"].tolist() == [text]


MISTAKES = [
    ("path\n../x.wav\n", {}, r"1 paths leave the root .*: \.\./x\.wav"),
    ("track_id,path\na,e.wav\na,rock/a.wav\n", {}, "1 duplicate track ids: a"),
    ("track_id,path\n,e.wav\n", {}, "1 rows of tracks have an empty track_id"),
    ("id,file\na,e.wav\n", {}, r"t\.csv has no column 'path'; it has: id, file"),
    ("path\ne.wav\n", {"columns": {"artist": "by"}}, r"t\.csv has no column 'by'; it has: path"),
    ("path\ne.wav\n", {"tagsets": {"x": "genre"}}, r"no column 'genre'; it has: path, folder"),
    ("path\ne.wav\n", {"tagsets": {"x": {"column": "path", "where": {"by": "*"}}}}, "no column 'by'"),
    ("path\ne.wav\n", {"tagsets": {"x": {"colum": "path"}}}, "tagset x has no setting 'colum'; valid: column"),
    ("path\ne.wav\n", {"texts": [{"language": "en"}]}, r"texts\[0\] lacks column"),
    ("path\ne.wav\n", {"texts": [{"column": "path", "language_column": "la"}]}, "no column 'la'"),
    ("path,t\ne.wav,\"['a', 'b']\"\n", {"texts": [{"column": "t"}], "splits": {"s": "no.csv"}}, r"no\.csv cannot be"),
    ("path\ne.wav\n", {"splits": {"s": {"group": "band"}}}, "no column 'band'"),
    ("path\ne.wav\n", {"splits": {"s": {"group": "path", "fractions": {"dev": 1.0}}}}, "unknown parts dev"),
    ("path,duration\ne.wav,long\n", {}, "column duration must hold numbers"),
    ("path\n", {}, r"t\.csv has no rows"),
    (
        "path,t,l\ne.wav,\"['a', 'b', 'c']\",\"['en', 'de']\"\n",
        {"texts": [{"column": "t", "language_column": "l"}]},
        "3",
    ),
]


@pytest.mark.parametrize(("text", "settings", "message"), MISTAKES)
def test_a_mistake_is_one_clear_line(folder, text, settings, message):
    file = written(folder, "t.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        Table(root=str(folder), file=file, **settings).manifest()
    assert "\n" not in str(caught.value)


def test_a_split_file_that_does_not_fit_is_refused(folder):
    file = written(folder, "t.csv", "track_id,path\na,e.wav\n")
    written(folder, "odd.csv", "track_id,part\nz,train\n")
    with pytest.raises(InputError, match="split 'odd' has 1 tracks that the manifest has not: z"):
        Table(str(folder), file, splits={"odd": "odd.csv"}).manifest()
    written(folder, "bare.csv", "track_id,fold\na,1\n")
    with pytest.raises(InputError, match=r"bare\.csv has no column 'part'; it has: track_id, fold"):
        Table(str(folder), file, splits={"bare": "bare.csv"}).manifest()


def test_a_root_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        Table(str(tmp_path / "nowhere"), "t.csv").manifest()


def test_it_is_a_plug_in_whose_settings_are_checked(folder):
    file = written(folder, "t.csv", "path\ne.wav\n")
    assert len(registry.build("datasets", "table", root=str(folder), file=file).manifest()) == 1
    with pytest.raises(InputError, match="no setting 'path'"):
        registry.check("datasets", {"name": "table", "root": ".", "file": "t.csv", "path": "x"})


def documented():
    """The data blocks in the module's docstring."""
    return [yaml.safe_load(after.split("\n\n")[1]) for after in table.__doc__.split("::")[1:]]


def test_the_documented_block_fits():
    (block,) = documented()
    registry.check("datasets", block["data"])


@pytest.mark.skipif(not (DATA / "manifest.jsonl").is_file(), reason="the real data is not at ../shared/data")
def test_the_real_data_is_read_whole():
    settings = documented()[0]["data"] | {"root": str(DATA)}
    found = registry.build("datasets", settings.pop("name"), **settings).manifest()
    assert found.validate() == []
    assert len(found) == 3856
    assert found.skipped == ()
    assert {part: len(found.part("dev", part)) for part in ("train", "valid", "test")} == {
        "train": 2709,
        "valid": 463,
        "test": 684,
    }
    counts = {name: len(found.labels(name)) for name in ("philharmonia_instrument", "melody", "makam")}
    assert counts == {"philharmonia_instrument": 2518, "melody": 411, "makam": 336}
    assert found.labels("melody").nunique() == 28
    assert found.labels("makam").nunique() == 24
    assert found.labels("symbtr_instrument").nunique() == 5
    assert found.labels("philharmonia_instrument").value_counts().iloc[:12].tolist() == [190] * 12
    lengths = found.labels("length").value_counts().to_dict()
    assert lengths == {"short notes": 1044, "long notes": 701, "phrase": 221}  # 1 s is neither
    assert (found.annotated["tagset"] == "length").sum() == 2518
    assert (found.tracks["group"] != "").all()
    kinds = found.texts.groupby(["kind", "language"]).size().to_dict()
    assert kinds == {("human", "en"): 97, ("human-short", "en"): 12, ("template", "en"): 3540, ("template", "tr"): 336}
    # template sentences of the same labels are one query with many tracks
    assert max(map(len, found.relevance(kind="template").values())) > 10


def test_an_id_made_of_a_path_does_not_tell_where_the_root_is(folder):
    file = written(folder, "t.csv", f"path\n{folder}/rock/a.wav\nrock/b.mp3\n")
    found = Table(root=str(folder), file=file).manifest()
    assert sorted(found.tracks["track_id"]) == ["rock/a.wav", "rock/b.mp3"]
    assert found.path("rock/a.wav") == folder / "rock/a.wav"
