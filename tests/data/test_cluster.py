"""Ray in place of processes: the same bytes, resumed or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import soundfile

from crossmodal.audio.frontends import LogMel, described
from crossmodal.data import engine, extraction, work
from crossmodal.data.cluster import Ray
from crossmodal.data.engine import Processes
from crossmodal.data.extraction import extract
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError

FRONTEND = LogMel(8000, n_fft=512, hop=128, bands=32)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Twelve tracks of different lengths, two of which cannot be used."""
    rng = np.random.default_rng(0)
    names = [f"t{number:02}.wav" for number in range(12)]
    for number, name in enumerate(names):
        soundfile.write(tmp_path / name, rng.standard_normal((4000 + 311 * number, 2)) * 0.1, 8000)
    (tmp_path / names[5]).write_text("no music")
    (tmp_path / names[11]).unlink()
    table = pd.DataFrame({"track_id": [Path(name).stem for name in names], "path": names})
    return Manifest.build(table, root=tmp_path)


class Dying:
    """A work whose process dies at one track, or whose disk is full there; in any process, since it is pickled."""

    name, identity = "dying", {"of": "tests"}
    dtype, shape = np.dtype("<f4"), (1,)

    def __init__(self, at: str, full: bool = False) -> None:
        self.at, self.full = at, full

    def start(self) -> work.Worker:
        def do(job: work.Job, write: work.Write) -> None:
            if job.track_id == self.at:
                if self.full:
                    raise OSError(28, "No space left on device")
                os._exit(9)
            write(np.ones((3, 1), np.float32))

        return do


@pytest.fixture
def ray() -> Iterator[ModuleType]:
    """Ray; its actors, which do not know the folders of tests, get what is defined here by value."""
    ray = pytest.importorskip("ray")
    here = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(here)
    yield ray
    ray.cloudpickle.unregister_pickle_by_value(here)


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'needs Ray: pip install "crossmodal\[cluster\]"'):
        Ray(2)


def test_where_there_is_nothing_to_do_no_cluster_is_started(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    assert list(Ray(2)([], tmp_path, Dying("none"))) == []


@pytest.mark.slow
def test_a_cluster_writes_the_same_bytes_as_processes_also_resumed(
    ray: ModuleType, manifest: Manifest, tmp_path: Path
) -> None:
    by_one = extract(manifest, FRONTEND, tmp_path / "one.h5")
    by_ray = extract(manifest, FRONTEND, tmp_path / "ray.h5", engine=Ray(2))
    assert not ray.is_initialized()
    assert [skip.id for skip in by_ray.skipped] == ["t05", "t11"]
    assert by_ray.path.read_bytes() == by_one.path.read_bytes()

    # a run by processes that ends at t07 ...
    def ends(job: work.Job, info: object) -> None:
        if job.track_id == "t07":
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "agrees", ends)
        with pytest.raises(InputError, match="No space left"):
            extract(manifest, FRONTEND, tmp_path / "two.h5")
    before = work.done(tmp_path / "two.h5.partial")
    assert len(before) == 6
    journals = set((tmp_path / "two.h5.partial").glob("*.jsonl"))
    # ... goes on with Ray, which does only what is left
    features = extraction.Features(described(FRONTEND))
    with engine.run(manifest, features, tmp_path / "two.h5.partial", Ray(2)) as results:
        after = work.done(tmp_path / "two.h5.partial")
        written = [path for path in (tmp_path / "two.h5.partial").glob("*.jsonl") if path not in journals]
        assert sum(len(path.read_text().splitlines()) for path in written) == 4
        assert all(after[key] == entry for key, entry in before.items())
        assert len(results.tracks) == 10
    assert extract(manifest, FRONTEND, tmp_path / "two.h5").path.read_bytes() == by_one.path.read_bytes()


@pytest.mark.slow
def test_ended_on_a_cluster_it_goes_on_with_processes(ray: ModuleType, manifest: Manifest, tmp_path: Path) -> None:
    usable = manifest.select([track for track in manifest.tracks["track_id"] if track not in ("t05", "t11")])
    with (
        pytest.raises(InputError, match=r"could not write into .*No space left on device; what is done"),
        engine.run(usable, Dying("t08", full=True), tmp_path / "w", Ray(1)),
    ):
        pass
    assert not ray.is_initialized()
    with (
        pytest.raises(InputError, match=r"a worker died.*t0.*run it again"),
        engine.run(usable, Dying("t09"), tmp_path / "x", Ray(2)),
    ):
        pass
    for folder in (tmp_path / "w", tmp_path / "x"):
        assert 0 < len(work.done(folder)) < 10
        with engine.run(usable, Dying("none"), folder, Processes()) as results:
            assert list(results.tracks) == list(usable.tracks["track_id"])
            assert all(len(results.rows(track)) == 3 for track in results.tracks)


@pytest.mark.slow
def test_a_ray_that_runs_already_is_used_and_not_ended(ray: ModuleType, manifest: Manifest, tmp_path: Path) -> None:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        assert len(extract(manifest, FRONTEND, tmp_path / "s.h5", engine=Ray(1))) == 10
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    with pytest.raises(InputError, match="there is no Ray cluster at auto"):
        extract(manifest, FRONTEND, tmp_path / "t.h5", engine=Ray(1, "auto"))
