from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import Answer, Trained

from crossmodal import protocols, results
from crossmodal.cli import main
from crossmodal.cli.evaluating import evaluate
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash
from crossmodal.errors import InputError
from crossmodal.files import read_skipped
from crossmodal.judging import Judge
from crossmodal.model import DualEncoder
from crossmodal.runs import find_run


@pytest.fixture(scope="module")
def run(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny run, to be judged and written to."""
    return shutil.copytree(trained.folder, tmp_path_factory.mktemp("judged") / "run")


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """Writes a protocol of one's own."""

    def write(**changes: Any) -> Path:
        content: dict[str, Any] = {
            "title": "Register by neighbours",
            "data": {"source": "any", "split": "run"},
            "tasks": {"neighbours": {"tagsets": ["register"], "draws": 50}},
        }
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", protocols.names())
def test_every_protocol_names_tasks_and_settings_that_there_are(name: str) -> None:
    protocol = protocols.load(name)
    protocols.check_tasks(protocol, name)
    assert protocol.title == protocol.title.strip()
    assert protocol.about.strip()
    assert protocol.tasks


def test_the_list_names_each(ask: Answer) -> None:
    lines = ask("evaluate", "--list").splitlines()
    assert [line.split()[0] for line in lines] == protocols.names()
    whole = ask("evaluate", "--list", "--protocol", "retrieval")
    assert "split hash" in whole
    assert protocols.load("retrieval").about.strip() in whole
    both = ("linear", "retrieval")
    assert json.loads(ask("evaluate", "--list", "--json", "--protocol", *both)).keys() == set(both)
    assert json.loads(ask("evaluate", "--list", "--json")).keys() == set(protocols.names())


def test_a_run_is_judged_and_the_results_say_how(ask: Answer, run: Path, own: Any) -> None:
    path = own(papers=["Someone, Somewhere, 2020"])
    said = ask("evaluate", run, "--protocol", path)
    assert "neighbours register/map: " in said
    found = results.read(run / "protocols" / "mine")
    assert found.found["protocol"]["papers"] == ["Someone, Somewhere, 2020"]
    assert found.found["split"]["name"] == "combination"
    figure = found.found["tasks"]["neighbours"]["metrics"]["register/map"]
    assert figure["low"] < figure["value"] < figure["high"]
    assert found.samples["neighbours", "register/map"].values.shape == (50,)
    assert json.loads(ask("evaluate", run, "--protocol", path, "--json"))[str(path)] == found.found


def test_several_names_may_follow_one_option(ask: Answer, run: Path, own: Any) -> None:
    said = ask("evaluate", run, "--protocol", own(), "retrieval")
    assert said.index("mine.yaml: ") < said.index("retrieval: ")


def test_one_that_is_refused_keeps_no_other_from_judging(
    run: Path, own: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--protocol", "gtzan_filtered", str(own())]) == 2
    said = capsys.readouterr()
    assert "neighbours register/map: " in said.out
    assert "crossmodal: protocol gtzan_filtered is of gtzan, but the tracks are of synthetic" in said.err


def test_other_data_than_the_run_s_own(ask: Answer, fail: Answer, run: Path, own: Any, tmp_path: Path) -> None:
    manifest = Manifest.load(run / "manifest")
    tracks = manifest.tracks["track_id"]
    manifest.select(set(tracks[: len(tracks) - 2])).save(tmp_path / "smaller")
    refused = own(data={"source": "synthetic", "split": "combination", "hash": "0" * 16})
    assert "has hash" in fail("evaluate", run, "--protocol", refused, "--manifest", tmp_path / "smaller")
    ask("evaluate", run, "--protocol", own(), "--manifest", tmp_path / "smaller")
    (folder,) = (run / "protocols").glob("mine@synthetic-*")
    found = results.read(folder).found
    assert found["data"]["tracks"] == len(tracks) - 2
    assert folder.name.endswith(found["split"]["hash"][:8])


def test_what_cannot_be_used_stands_beside_results(ask: Answer, run: Path, own: Any, tmp_path: Path) -> None:
    manifest = Manifest.load(run / "manifest")
    lost = manifest.part("combination", "test").tracks["track_id"].iloc[0]
    paths = manifest.tracks["path"].where(manifest.tracks["track_id"] != lost, "gone.wav")
    replace(manifest, tracks=manifest.tracks.assign(path=paths)).save(tmp_path / "holed")
    said = ask("evaluate", run, "--protocol", own(), "--manifest", tmp_path / "holed")
    assert "part test, 20 tracks, 1 of them skipped; model " in said
    folder = Path(said.rpartition("written to ")[2].strip())
    assert [row.id for row in read_skipped(folder / "skipped.csv")] == [lost]


def test_what_does_not_suit_is_refused(fail: Answer, run: Path, own: Any) -> None:
    def refused(**changes: Any) -> str:
        return fail("evaluate", run, "--protocol", own(**changes))

    assert "crossmodal data gtzan" in refused(data={"source": "gtzan", "split": "filtered"})
    assert "judges split 'artists', but the tracks have" in refused(data={"source": "any", "split": "artists"})
    assert "has no setting 'tagset'" in refused(tasks={"neighbours": {"tagset": ["register"]}})
    assert "no setting 'heads'" in refused(heads=3)
    assert "no protocol 'retreival'" in fail("evaluate", run, "--protocol", "retreival")
    assert "no protocol 'retreival'" in fail("evaluate", "--list", "retreival")
    assert "--task does not go with" in fail("evaluate", run, "--protocol", "retrieval", "--task", "retrieval")
    assert "needs a run's folder" in fail("evaluate")
    assert "names of protocols follow --protocol" in fail("evaluate", run, "linear")
    assert "--part is 'tset'" in fail("evaluate", run, "--part", "tset")
    assert "--allow is 'artists'" in fail("evaluate", run, "--protocol", "linear", "--allow", "artists")
    assert "--part does not go with --list" in fail("evaluate", "--list", "--part", "valid")
    assert "--allow does not go with tasks" in fail("evaluate", run, "--allow", "artist")
    assert "no protocol 'nope'" in fail("evaluate", run, "--protocol", "linear", "nope")
    assert "give them with --manifest" in refused(needs=["manifest"])
    taken = own().rename(own().with_name("linear.yaml"))
    assert "called as a protocol of the package" in fail("evaluate", run, "--protocol", taken)


def test_a_model_of_audio_alone_is_not_asked_with_words(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    judge = Judge(find_run(run), None, print)
    monkeypatch.setattr(judge.model, "reads", False)
    with pytest.raises(InputError, match="a model of audio alone"):
        judge.by("retrieval")


def with_one_artist(manifest: Manifest, part: str, folder: Path) -> list[str]:
    """Save a manifest in which the first tracks of train and of a part, whose ids these are, alone share an artist."""
    parts = manifest.parts("combination")
    pair = [str(parts.index[parts == name][0]) for name in ("train", part)]
    tracks = manifest.tracks.assign(artist=[f"Artist {n}" for n in range(len(manifest))])
    tracks.loc[tracks["track_id"].isin(pair), "artist"] = "The Same"
    replace(manifest, tracks=tracks).save(folder)
    return pair


def test_a_planted_leak_is_refused_where_it_is_forbidden_and_told_where_it_is_not(
    ask: Answer, run: Path, own: Any, tmp_path: Path
) -> None:
    manifest = Manifest.load(run / "manifest")
    train, test = with_one_artist(manifest, "test", tmp_path / "leaky")
    judge = Judge(find_run(run), Manifest.load(tmp_path / "leaky"), print)
    for name in ("linear", "retrieval", str(own(forbids=["artist"]))):
        with pytest.raises(InputError, match=rf"the artist of 1 of .*: {test} and {train} \(The Same\)"):
            judge.by(name)
    for forbids, allow in (([], ()), (["artist"], ("--allow", "artist"))):
        given = ("--manifest", tmp_path / "leaky", "--protocol", own(forbids=forbids))
        said = ask("evaluate", run, *given, *allow)
        assert f"{test} and {train} (The Same)" in said
    (folder,) = (run / "protocols").glob(f"mine@synthetic-{split_hash(manifest, 'combination')[:8]}")
    found = results.read(folder).found
    assert found["protocol"]["allowed"] == ["artist"]
    leaks = {leak["kind"]: leak["tracks"] for leak in found["guards"]["leaks"] if leak["of"] == "split"}
    assert leaks["artist"] == 1


def test_what_is_shared_by_name_is_told_where_tasks_judge(ask: Answer, run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "leaky")
    train, valid = with_one_artist(Manifest.load(copy / "manifest"), "valid", copy / "manifest")
    few = (f"retrieval.{setting}" for setting in ("draws=0", "tags=false", "directions=[text_to_audio]"))
    judged = ("evaluate", copy, "--part", "valid", *(word for setting in few for word in ("--task", setting)))
    (line,) = (line for line in ask(*judged).splitlines() if " of the judged tracks " in line)
    assert line == f"train has the artist of 1 of the judged tracks (12.5%): {valid} and {train} (The Same)"
    found = json.loads(ask(*judged, "--json"))["guards"]
    assert {leak["kind"]: leak["tracks"] for leak in found["leaks"]} == {
        **dict.fromkeys(("track", "file", "album", "group"), 0),
        "artist": 1,
    }
    assert set(found["collapse"]) == {"audio", "text"}


def test_the_very_same_file_is_refused_as_its_copies_are(run: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(run / "manifest")
    parts = manifest.parts("combination")
    train, test = (parts.index[parts == part][0] for part in ("train", "test"))
    paths = manifest.tracks["path"].where(manifest.tracks["track_id"] != test, str(manifest.path(train)))
    judge = Judge(find_run(run), replace(manifest, tracks=manifest.tracks.assign(path=paths)), print)
    with pytest.raises(InputError, match=f"the file of 1 of .*{test} and {train}"):
        judge.by("linear")


def test_a_collapsed_text_tower_is_refused_where_words_are_asked(run: Path, own: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "collapsed")
    model = DualEncoder.load(copy)
    model.text_projection.weight.data.zero_()
    shutil.rmtree(copy / "model")
    model.save(copy / "model")
    judge = Judge(find_run(copy), None, print)
    with pytest.raises(InputError, match="text vectors are nearly equal"):
        judge.by("retrieval")
    judge.by(str(own()))
    with pytest.raises(InputError, match="text vectors are nearly equal"):
        judge.by(str(own(tasks={"retrieval": {"draws": 0}})))  # which does not say that it needs text
    with pytest.raises(InputError, match="text vectors are nearly equal"):
        evaluate(copy, task=["retrieval.draws=0"])
