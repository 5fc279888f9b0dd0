"""What every source promises, tried on a small imitation of its files; a new source needs one in layouts/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from layout import layout

from crossmodal import registry
from crossmodal.audio import SUFFIXES
from crossmodal.cli import main
from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source
from crossmodal.errors import InputError

NAMES = registry.names("datasets")
LOCAL = {"folder", "saved", "synthetic", "table"}  # nothing to download
ROOT = Path(__file__).parents[2]


def lay_out(name: str, root: Path) -> dict[str, Any]:
    root.mkdir(parents=True)
    return layout(name).write(root)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """Of every source, with its root laid out; read only."""
    home = tmp_path_factory.mktemp("sources")
    return {name: {**lay_out(name, home / name), "root": str(home / name)} for name in NAMES}


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def source(name, settings) -> Source:
    return registry.build("datasets", name, **settings[name])


@pytest.fixture(scope="module")
def whole(settings) -> dict[str, Manifest]:
    return {name: registry.build("datasets", name, **settings[name]).manifest() for name in NAMES}


def test_it_says_whose_it_is_and_where_to_get_it(name, source):
    assert source.licence
    assert source.layout
    assert "\n" not in source.layout
    assert bool(source.citation) or name in LOCAL
    assert source.home.startswith("http") or name in LOCAL
    assert all(value.split(":")[0] in ("md5", "sha1", "sha256") for value in source.checksums.values())


def test_the_manifest_is_sound(name, whole):
    manifest = whole[name]
    assert len(manifest)
    assert manifest.validate() == []
    assert all(path.endswith(SUFFIXES) for path in manifest.tracks["path"].str.lower())
    assert all(os.path.getsize(path) for path in manifest.paths())


def test_what_is_read_is_kept_or_skipped_with_a_reason(name, whole):
    manifest = whole[name]
    assert manifest.steps
    assert sum(step.read - step.kept for step in manifest.steps) == len(manifest.skipped)
    assert all(row.id and row.reason for row in manifest.skipped)
    assert name == "synthetic" or manifest.skipped, "the layout has nothing broken"
    assert manifest.steps[-1].kept == len(manifest)


def test_labels_need_no_audio_and_are_the_same_with_it(name, settings, whole, tmp_path):
    given = {**lay_out(name, tmp_path / name), "root": str(tmp_path / name)}
    audio = [path for path in (tmp_path / name).rglob("*") if path.suffix.lower() in SUFFIXES]
    if name != "folder":  # there the files are the labels
        for path in audio:
            path.unlink()
    labels = registry.build("datasets", name, **given).manifest(labels_only=True)
    assert labels.validate() == []
    kept = labels.select(whole[name].tracks["track_id"])
    for table, rows in kept.tables.items():
        pd.testing.assert_frame_equal(rows, whole[name].tables[table])


def test_the_first_tracks_alone(source, whole, name):
    manifest = source.manifest(limit=1, labels_only=True)
    assert len(manifest) == 1
    assert manifest.validate() == []


def test_counts_and_reasons_survive_being_saved(name, whole, tmp_path):
    whole[name].save(tmp_path / "m")
    again = Manifest.load(tmp_path / "m")
    assert (again.steps, again.skipped) == (whole[name].steps, whole[name].skipped)


@pytest.mark.parametrize("name", sorted(set(NAMES) - LOCAL))
def test_without_its_files_it_says_what_to_get_and_where_to_put_it(name, tmp_path, settings):
    given = {key: value for key, value in settings[name].items() if key != "root"}
    source = registry.build("datasets", name, **given, root=str(tmp_path))
    with pytest.raises(InputError) as caught:
        source.manifest()
    said = str(caught.value)
    assert "\n" not in said
    assert all(part in said for part in (name, str(tmp_path), source.home, source.layout))


READ = """
import hashlib, json, sys
from crossmodal import registry
found = {}
for name, settings in json.load(sys.stdin).items():
    manifest = registry.build("datasets", name, **settings).manifest(labels_only=True)
    told = [table.to_csv() for table in manifest.tables.values()] + [repr(manifest.skipped), repr(manifest.steps)]
    found[name] = hashlib.sha256("".join(told).encode()).hexdigest()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_every_process_reads_the_same_in_the_same_order(settings):
    """Whatever the seed of Python's hashes, which orders sets of words."""
    found = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        code = [sys.executable, "-c", READ]
        ran = subprocess.run(
            code, input=json.dumps(settings), capture_output=True, text=True, env=environment, check=True, timeout=100
        )
        found.append(json.loads(ran.stdout))
    assert found[0] == found[1]


def test_the_command_writes_the_manifest_and_tells_the_counts(name, settings, whole, tmp_path, capsys):
    root = settings[name]["root"]
    given = [f"{key}={json.dumps(value)}" for key, value in settings[name].items() if key != "root"]
    assert main(["data", name, *given, "--root", root, "--out", str(tmp_path / "m"), "--labels-only"]) == 0
    said = capsys.readouterr().out
    assert all(str(step) in said for step in whole[name].steps[:-1])
    assert (tmp_path / "m" / "skipped.csv").is_file()
