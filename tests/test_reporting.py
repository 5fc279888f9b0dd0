from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_report import Page
from tiny import Answer, Trained

from crossmodal import results
from crossmodal.evaluation import open_run
from crossmodal.report import plane
from crossmodal.reporting import write


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the tiny run, with the results of a protocol of its own data and of one of other data."""
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    found = results.read(folder).found
    for name, mark in (("own", found["split"]["hash"]), ("other", "0123456789abcdef")):
        place = folder / "protocols" / name
        place.mkdir(parents=True)
        protocol = {"name": name, "title": f"By {name}", "about": "", "forbids": [], "papers": []}
        results.write(place, {**found, "split": {**found["split"], "hash": mark}, "protocol": protocol}, {})
    return folder


@pytest.mark.slow
def test_pages_are_written_anew_for_the_run_and_its_protocols(run: Path, ask: Answer) -> None:
    page = run / "report.html"
    before = Page(page.read_text(encoding="utf-8")).text
    page.unlink()
    lines = ask("report", run).splitlines()
    other = run / "protocols" / "other"
    assert lines == [
        f"{other}: passed over, since it judged other data; give its manifest with --manifest",
        f"open {page}",
        f"open {run / 'protocols' / 'own' / 'report.html'}",
    ]
    assert Page(page.read_text(encoding="utf-8")).text == before
    assert "By own" in (run / "protocols" / "own" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_data_that_a_protocol_judged_are_found_by_their_hash(run: Path) -> None:
    _, embedded = open_run(run)
    shutil.rmtree(run / "protocols")
    said: list[str] = []
    assert write(run, [embedded.manifest], False, said.append) == [run / "report.html"]
    assert said == []


def test_a_run_that_nobody_judged_is_refused(run: Path, fail: Answer) -> None:
    shutil.rmtree(run / "protocols")
    (run / "results.json").unlink()
    assert "holds no results to report" in fail("report", run)


def test_umap_that_is_missing_is_told_with_how_to_get_it(
    run: Path, fail: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plane, "find_spec", lambda name: None)
    assert fail("report", run, "--umap") == "UMAP needs umap-learn: pip install 'crossmodal[maps]'"
