"""GiantSteps key: its layouts, its keys, and its download from a stand-in for the mirrors."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from layouts import giantsteps_key as layout

from crossmodal.cli import script
from crossmodal.datasets import _giantsteps
from crossmodal.datasets.giantsteps_key import KEYS, GiantStepsKey, spelt
from crossmodal.errors import InputError

REAL = Path(__file__).parents[3] / "shared" / "data" / "annotations"


@pytest.mark.parametrize(
    ("written", "key"),
    [
        *(("D major", "D major"), (" C# minor\r", "Db minor"), ("G♯ major", "Ab major"), ("Cb major", "B major")),
        *(("F minor aeolian", "F minor"), ("A♭ minor", "Ab minor"), ("E# minor", "F minor")),
        *((text, "") for text in ("-", "", "C major / A minor", "E minor\t2", "H minor", "C", "c minor", "Bbb minor")),
    ],
)
def test_keys_are_spelt_one_way(written, key):
    assert spelt(written) == key
    assert not key or key in KEYS


def test_there_are_24_keys():
    assert len(set(KEYS)) == 24
    assert {spelt(f"{letter}{sign} minor") for letter in "CDEFGAB" for sign in ("", "#", "b")} <= set(KEYS)


def told(manifest) -> list[tuple[str, str, list[str], str]]:
    keys = manifest.labels("key")
    genres = manifest.tags[manifest.tags["tagset"] == "genre"].groupby("track_id")["tag"].agg(list)
    rows = zip(manifest.tracks["track_id"], manifest.tracks["path"], strict=True)
    return [(track, keys[track], genres.get(track, []), path) for track, path in rows]


def test_the_layout_of_mirdata(tmp_path):
    layout.write(tmp_path)
    found = GiantStepsKey(str(tmp_path)).read()
    assert told(found) == [
        ("1004923", "Db minor", [], "audio/1004923 Élan, The - Up - Down.mp3"),
        ("1007941", "F minor", [], "audio/1007941 Bo - Modal.mp3"),
        ("10089", "D major", ["indie-dance nu-disco", "drum-and-bass"], f"audio/{next(iter(layout.KEYS))}.mp3"),
        ("1034795", "Bb minor", [], "audio/1034795 Bo - Gone.mp3"),
    ]
    assert found.tracks["artist"].tolist() == ["Élan, The", "Bo", "Jason Sparks", "Bo"]
    assert found.tracks["title"].tolist()[0] == "Up - Down"
    assert found.tracks["written_key"].tolist()[:2] == ["C# minor", "F minor aeolian"]
    assert [(row.id, row.reason) for row in found.skipped] == [
        ("1009960", "the key 'C major / A minor' is not one of the 24"),
        ("1017921", "the key '-' is not one of the 24"),
        ("1026478", "the key '' is not one of the 24"),
        ("1033148", "the key 'E minor\\t2' is not one of the 24"),
        ("A file without a number.mp3", "no Beatport number at the beginning of its file's name"),
    ]


def test_the_table(tmp_path):
    rows = [
        "id\tkey\tgenre",
        "10089\tD major\tbreaks",
        "x\tD major\t",
        "7\tD major",
        "10089\tE minor\ttrance",
        "8\t-\t",
    ]
    (tmp_path / "giantsteps_key.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    found = GiantStepsKey(str(tmp_path)).read()
    assert told(found) == [("10089", "D major", ["breaks"], "audio/0010089.LOFI.mp3")]
    assert [row.id for row in found.skipped] == ["x", "7", "10089", "8"]
    assert found.steps == (("giantsteps_key.tsv", 5, 1),)


def test_the_records_of_metadata_json_whose_folder_was_moved(tmp_path):
    records = [
        {"key": "A# minor", "label_id": 3, "genres": None, "file_path": "data/giantsteps/audio/12 A - B.mp3"},
        {"key": 7, "file_path": "x"},  # no word
        "no record",
    ]
    (tmp_path / "metadata.json").write_text(json.dumps(records))
    found = GiantStepsKey(str(tmp_path)).read()
    assert told(found) == [("12", "Bb minor", [], "audio/12 A - B.mp3")]
    assert [row.id for row in found.skipped] == ["record 1", "record 2"]
    (tmp_path / "metadata.json").write_text('{"key": "A minor"}')
    with pytest.raises(InputError, match=r"metadata\.json is not a list of records"):
        GiantStepsKey(str(tmp_path)).read()


def test_real_labels():
    if not REAL.is_dir():
        pytest.skip("the real labels are not here")
    found = GiantStepsKey(str(REAL)).manifest(labels_only=True)
    assert found.validate() == []
    assert (len(found), found.skipped) == (604, ())
    assert found.tags.groupby("tagset")["tag"].nunique().to_dict() == {"genre": 23, "key": 24}
    assert found.labels("key").value_counts()["F minor"] == 73


# the download -----------------------------------------------------------------------------------------------------

TRACKS = {"0010089": "D major", "1004923": "C minor", "1007941": "F minor"}


class Mirror:
    """A server of two mirrors and the repository's archive, which counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, []

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(handler) -> None:
                self.asked.append(handler.path)
                super().do_GET()

            def log_message(handler, *arguments) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    served = tmp_path / "served"
    for name in ("first", "second"):
        (served / name).mkdir(parents=True)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number, (track, key) in enumerate(TRACKS.items()):
            sound = io.BytesIO()
            soundfile.write(sound, np.sin(np.arange(4800) / (9 + number)), 16000, format="MP3")
            (served / "first" / f"{track}.LOFI.mp3").write_bytes(sound.getvalue())
            digest = hashlib.md5(sound.getvalue()).hexdigest()
            archive.writestr(f"giantsteps-key-dataset-master/md5/{track}.LOFI.md5", digest + "\n")
            archive.writestr(f"giantsteps-key-dataset-master/annotations/key/{track}.LOFI.key", key)
        archive.writestr("giantsteps-key-dataset-master/annotations/genre/1004923.LOFI.genre", "tech-house")
        archive.writestr("giantsteps-key-dataset-master/README", "")
    (served / "master.zip").write_bytes(data.getvalue())
    started = Mirror(served)
    monkeypatch.setattr(_giantsteps, "REPOSITORY", started.url + "master.zip")
    monkeypatch.setattr(_giantsteps, "MIRRORS", (started.url + "first/", started.url + "second/"))
    monkeypatch.setattr(_giantsteps, "PAUSE_S", 0.0)
    yield started
    started.server.shutdown()
    started.server.server_close()


def test_the_download_can_be_read_and_tells_each_file(mirror, tmp_path):
    root = tmp_path / "giantsteps"
    assert script(_giantsteps.download, [str(root)]) == 0
    found = GiantStepsKey(str(root)).manifest()
    assert told(found) == [
        ("10089", "D major", [], "audio/0010089.LOFI.mp3"),
        ("1004923", "C minor", ["tech-house"], "audio/1004923.LOFI.mp3"),
        ("1007941", "F minor", [], "audio/1007941.LOFI.mp3"),
    ]
    records = json.loads((root / "metadata.json").read_text(encoding="utf-8"))
    assert records[1] == {
        "key": "C minor",
        "simplified_key": "C minor",
        "label_id": KEYS.index("C minor"),
        "file_path": "audio/1004923.LOFI.mp3",
        "genres": ["tech-house"],
    }
    assert len(mirror.asked) == 4
    assert not list(root.rglob("*.tmp"))


def test_a_broken_mirror_is_asked_again_then_the_other_and_failures_are_told(mirror, tmp_path, capsys):
    root, first, second = tmp_path / "giantsteps", mirror.folder / "first", mirror.folder / "second"
    (first / "1004923.LOFI.mp3").rename(second / "1004923.LOFI.mp3")
    whole = (first / "1007941.LOFI.mp3").read_bytes()
    (first / "1007941.LOFI.mp3").write_bytes(whole[:100])
    assert script(_giantsteps.download, [str(root)]) == 2
    assert "1 previews could not be had" in capsys.readouterr().err
    assert mirror.asked.count("/second/1004923.LOFI.mp3") == 1
    assert mirror.asked.count("/first/1007941.LOFI.mp3") == _giantsteps.ATTEMPTS
    told_why = (root / "skipped.csv").read_text()
    assert "100 bytes, but not those that were published" in told_why
    assert "HTTP Error 404" in told_why
    assert len(json.loads((root / "metadata.json").read_text(encoding="utf-8"))) == 2

    (first / "1007941.LOFI.mp3").write_bytes(whole)
    mirror.asked.clear()
    assert script(_giantsteps.download, [str(root)]) == 0
    assert mirror.asked == ["/first/1007941.LOFI.mp3"]
    assert len(json.loads((root / "metadata.json").read_text(encoding="utf-8"))) == 3


def test_without_an_archive_nothing_is_written(mirror, tmp_path, capsys):
    (mirror.folder / "master.zip").write_bytes(b"<html>")
    assert script(_giantsteps.download, [str(tmp_path / "giantsteps")]) == 2
    assert "master.zip is not a zip archive" in capsys.readouterr().err
    (mirror.folder / "master.zip").unlink()
    assert script(_giantsteps.download, [str(tmp_path / "giantsteps")]) == 2
    assert "master.zip: HTTP Error 404" in capsys.readouterr().err
    assert not (tmp_path / "giantsteps").exists()


def test_through_mirdata(tmp_path, monkeypatch, capsys):
    wanted = []

    def initialize(name, data_home):
        return SimpleNamespace(download=lambda parts: (wanted.append((name, parts)), layout.write(Path(data_home))))

    monkeypatch.setitem(sys.modules, "mirdata", SimpleNamespace(initialize=initialize))
    assert script(_giantsteps.download, [str(tmp_path), "--mirdata"]) == 0
    assert wanted == [("giantsteps_key", ["audio", "keys", "metadata"])]
    assert [record["simplified_key"] for record in json.loads((tmp_path / "metadata.json").read_text())] == [
        *("Db minor", "F minor", "D major"),
    ]
    monkeypatch.setitem(sys.modules, "mirdata", None)
    assert script(_giantsteps.download, [str(tmp_path), "--mirdata"]) == 2
    assert 'pip install "crossmodal[datasets]"' in capsys.readouterr().err
