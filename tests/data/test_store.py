"""The feature store: what goes in comes out, whatever kills it on the way."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import soundfile
from filelock import FileLock
from torch.utils.data import DataLoader

from crossmodal.audio.decode import features_of
from crossmodal.audio.frontends import LogMel, build, described
from crossmodal.data import engine, extraction, merging, work
from crossmodal.data.extraction import Features, extract
from crossmodal.data.manifest import Manifest
from crossmodal.data.store import FeatureStore
from crossmodal.errors import InputError

FRONTEND = LogMel(8000, n_fft=512, hop=128, bands=32)
STEREO = LogMel(8000, n_fft=512, hop=128, bands=32, channels=2)


def corpus(folder: Path, tracks: int = 5, **columns: object) -> Manifest:
    """Tracks of different lengths; the last but one is text, and the last is not there."""
    rng = np.random.default_rng(0)
    names = [f"t{number}.wav" for number in range(tracks)]
    for number, name in enumerate(names[:-2]):
        soundfile.write(folder / name, rng.standard_normal((4000 + 1111 * number, 2)) * 0.1, 8000)
    (folder / names[-2]).write_text("no music")
    table = pd.DataFrame({"track_id": [Path(n).stem for n in names], "path": names, **columns})
    return Manifest.build(table, root=folder)


@pytest.fixture
def manifest(tmp_path):
    return corpus(tmp_path)


@pytest.mark.parametrize(("precision", "tolerance"), [(16, 0.05), (32, 0)])
def test_round_trip(manifest, tmp_path, precision, tolerance):
    store = extract(manifest, FRONTEND, tmp_path / "s.h5", precision=precision)
    assert store.track_ids == ["t0", "t1", "t2"]
    assert len(store) == 3
    assert (store.fingerprint, store.silence) == (FRONTEND.fingerprint, FRONTEND.silence)
    assert build(store.frontend_settings).fingerprint == FRONTEND.fingerprint
    for track in store.track_ids:
        expected = features_of(manifest.path(track), FRONTEND)
        assert store[track].dtype == np.dtype(f"float{precision}")
        assert store.length(track) == len(expected) == len(store[track])
        np.testing.assert_allclose(store[track], expected, atol=max(tolerance, 1e-4))
    assert not (tmp_path / "s.h5.partial").exists()


def test_frames_are_memory_mapped_and_a_crop_is_the_slice(manifest, tmp_path):
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    whole = store["t1"]
    assert isinstance(whole, np.memmap)
    rng = np.random.default_rng(0)
    for start in rng.integers(0, len(whole), 20):
        np.testing.assert_array_equal(store.crop("t1", start, 7), whole[start : start + 7])
    with h5py.File(store.path) as file:
        assert file["frames"].chunks is None
        rows = store.length("t0")
        np.testing.assert_array_equal(file["frames"][rows : rows + len(whole)], whole)


def test_stereo_and_a_longest_duration(manifest, tmp_path):
    store = extract(manifest, STEREO, tmp_path / "s.h5", max_duration_s=0.25)
    expected = features_of(manifest.path("t2"), STEREO, stop_s=0.25)
    assert store["t2"].shape == (FRONTEND.frames(2000), 2, 32) == expected.shape
    np.testing.assert_allclose(store["t2"], expected, atol=0.05)


def test_skipped_tracks_are_told(manifest, tmp_path):
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    assert [row.id for row in store.skipped] == ["t3", "t4"]
    assert store.skipped[0].path == str(tmp_path / "t3.wav")
    assert "is not audio" in store.skipped[0].reason
    lines = (tmp_path / "s.skipped.csv").read_text().splitlines()
    assert lines[0] == "id,path,reason"
    assert lines[2].endswith("there is no such file")
    with pytest.raises(InputError, match="t4 is not in"):
        store.crop("t4", 0, 1)


def test_a_file_that_is_not_what_the_table_says_is_skipped(tmp_path):
    manifest = corpus(tmp_path, duration=[0.5, 60.0, np.nan, 1, 1], sample_rate=[44_100, 8000, 44_100, 0, 0])
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    assert store.track_ids == ["t0"]
    assert store.skipped[0].reason == "lasts 0.64 s, not 60.00 s as its table says"
    assert store.skipped[1].reason == "has 8000 Hz, not 44100 Hz as its table says"


def test_no_usable_track_is_an_error(manifest, tmp_path):
    with pytest.raises(InputError, match=r"none of 2 tracks can be used.*t3\.wav: is not audio"):
        extract(manifest.select(["t3", "t4"]), FRONTEND, tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(manifest, tmp_path):
    extract(manifest, FRONTEND, tmp_path / "one.h5", engine.Processes(1))
    extract(manifest, FRONTEND, tmp_path / "two.h5", engine.Processes(2))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def first_of(store: FeatureStore, queue: multiprocessing.Queue) -> None:
    queue.put(float(store["t1"][3, 4]))


def test_pickled_and_forked(manifest, tmp_path):
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    assert len(pickle.dumps(store)) < 500  # a path, no frames
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))["t1"], store["t1"])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=first_of, args=(store, queue))
    process.start()
    assert queue.get(timeout=20) == store["t1"][3, 4]
    process.join()


class Crops:
    def __init__(self, store: FeatureStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.store.crop(self.store.track_ids[row], 2, 5).astype(np.float32)


def test_in_a_loader_with_workers(manifest, tmp_path):
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    batch = next(iter(DataLoader(Crops(store), batch_size=3, num_workers=1)))
    np.testing.assert_array_equal(batch[2], Crops(store)[2])


CHILD = """
import sys
from pathlib import Path
import crossmodal.data.work as work
from crossmodal.audio.frontends import LogMel
from crossmodal.data.manifest import Manifest
from crossmodal.data.extraction import Features, extract
import pandas as pd, time
folder = Path(sys.argv[1])
whole = work.Writer.__call__
def slow(self, job):
    if job.path.endswith("t2.wav"):
        self.shard.write(b"half of a track")
        self.shard.flush()
        (folder / "begun").touch()
        time.sleep(60)
    return whole(self, job)
work.Writer.__call__ = slow
tracks = pd.read_csv(folder / "tracks.csv")
extract(Manifest.build(tracks, root=folder), LogMel(8000, n_fft=512, hop=128, bands=32), folder / "s.h5")
"""


def test_killed_and_resumed_it_redoes_nothing_and_is_equal(manifest, tmp_path, monkeypatch):
    manifest.tracks[["track_id", "path"]].to_csv(tmp_path / "tracks.csv", index=False)
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "s.h5").exists()

    asked = []
    whole = work.Writer.__call__
    monkeypatch.setattr(
        work.Writer, "__call__", lambda self, job: asked.append(Path(job.path).name) or whole(self, job)
    )
    extract(manifest, FRONTEND, tmp_path / "s.h5")
    assert asked == ["t2.wav", "t3.wav", "t4.wav"]
    extract(manifest, FRONTEND, tmp_path / "whole.h5")
    assert (tmp_path / "s.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def interrupted(monkeypatch, manifest: Manifest, out: Path) -> None:
    """An extraction that ends at the track t1 by what is no `AudioError`."""
    agrees = extraction.agrees

    def full(job, info):
        if job.path.endswith("t1.wav"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return agrees(job, info)

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "agrees", full)
        with pytest.raises(InputError, match=r"No space left.*is kept there"):
            extract(manifest, FRONTEND, out)


def test_full_disk_while_extracting_keeps_what_is_done(manifest, tmp_path, monkeypatch):
    interrupted(monkeypatch, manifest, tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()
    assert len(work.done(tmp_path / "s.h5.partial")) == 1
    assert extract(manifest, FRONTEND, tmp_path / "s.h5").track_ids == ["t0", "t1", "t2"]


def test_full_disk_while_putting_together_leaves_the_old_store(manifest, tmp_path, monkeypatch):
    extract(manifest, FRONTEND, tmp_path / "s.h5")
    before = (tmp_path / "s.h5").read_bytes()

    def full(file, block):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(merging, "_write", full)
        with pytest.raises(InputError, match="No space left"):
            extract(manifest, FRONTEND, tmp_path / "s.h5", precision=32)
    assert (tmp_path / "s.h5").read_bytes() == before
    assert not list(tmp_path.glob("*.merging*"))


def test_resuming_with_other_settings_is_refused(manifest, tmp_path, monkeypatch):
    interrupted(monkeypatch, manifest, tmp_path / "s.h5")
    with pytest.raises(InputError, match="begun with precision 16, not 32"):
        extract(manifest, FRONTEND, tmp_path / "s.h5", precision=32)


def test_a_changed_file_is_done_again(manifest, tmp_path, monkeypatch):
    interrupted(monkeypatch, manifest, tmp_path / "s.h5")
    soundfile.write(tmp_path / "t0.wav", np.sin(np.arange(9000)) * 0.5, 8000)
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    assert store.length("t0") == FRONTEND.frames(9000)


def test_a_journal_cut_short_is_read_to_its_last_whole_line(tmp_path):
    (tmp_path / "b.jsonl").write_text("\0\0\0\n[1]\n")  # what a power cut may leave
    (tmp_path / "a.jsonl").write_text('["k", "i", "a.raw", 0, 5, null]\n["l", "i", "a.r')
    assert work.done(tmp_path) == {"k": work.Done("k", "i", "a.raw", 0, 5)}


def test_a_second_extraction_of_the_same_store_is_refused(manifest, tmp_path):
    folder = tmp_path / "s.h5.partial"
    folder.mkdir()
    with FileLock(folder / "lock"), pytest.raises(InputError, match="another process is working in"):
        extract(manifest, FRONTEND, tmp_path / "s.h5")


def test_a_merge_that_was_killed_goes_on_and_gives_the_same_bytes(manifest, tmp_path, monkeypatch):
    extract(manifest, FRONTEND, tmp_path / "whole.h5")
    written = []

    def dies(file, block):
        if len(written) == 2:
            raise KeyboardInterrupt  # as SIGKILL would: nothing is cleaned up
        written.append(block)
        file.write(block.tobytes())

    with monkeypatch.context() as patch:
        patch.setattr(merging, "NOTE_BYTES", 1)
        patch.setattr(merging, "_write", dies)
        with pytest.raises(KeyboardInterrupt):
            extract(manifest, FRONTEND, tmp_path / "s.h5")
    assert (tmp_path / "s.h5.merging").exists()
    assert not (tmp_path / "s.h5").exists()
    copied, write = [], merging._write
    monkeypatch.setattr(merging, "_write", lambda file, block: copied.append(len(block)) or write(file, block))
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    assert copied == [store.length("t2")]
    assert (tmp_path / "s.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_an_unfinished_merge_of_other_tracks_is_not_gone_on_with(manifest, tmp_path):
    (tmp_path / "s.h5.merging").write_bytes(b"x" * 99)
    (tmp_path / "s.h5.merging.json").write_text('{"plan": "another", "tracks": 2}')
    assert extract(manifest, FRONTEND, tmp_path / "s.h5").track_ids == ["t0", "t1", "t2"]


@pytest.mark.parametrize(("crop", "pad"), [(True, False), (False, True), (True, True)])
def test_lengths_are_cropped_and_padded_with_silence_early_or_late(manifest, tmp_path, crop, pad):
    """t0, t1 and t2 have 32, 40 and 49 frames."""
    lengths = merging.Lengths(40, crop, pad)
    wanted = [40 if pad else 32, 40, 40 if crop else 49]
    early, late = Features(described(FRONTEND), 32, lengths=lengths), Features(described(FRONTEND), 32)
    with engine.run(manifest, early, tmp_path / "early", engine.Processes()) as results:
        merging.merge(results, tmp_path / "early.h5")
    with engine.run(manifest, late, tmp_path / "late", engine.Processes()) as results:
        merging.merge(results, tmp_path / "late.h5", lengths)
    stores = [FeatureStore(tmp_path / "early.h5"), FeatureStore(tmp_path / "late.h5")]
    for store in stores:
        assert [store.length(track) for track in store.track_ids] == wanted
        expected = features_of(manifest.path("t0"), FRONTEND)
        np.testing.assert_allclose(store["t0"][:32], expected, atol=1e-4)
        assert (store["t0"][32:] == FRONTEND.silence).all()
    for track in stores[0].track_ids:
        np.testing.assert_array_equal(stores[0][track], stores[1][track])


def test_an_offset_skips_the_beginning_of_what_is_long_enough(manifest, tmp_path):
    """t0 lasts 0.5 s, t1 0.64 s and t2 0.78 s."""
    work = Features(described(FRONTEND), 32, offset_s=0.2, max_duration_s=0.4)
    with engine.run(manifest, work, tmp_path / "w", engine.Processes()) as results:
        lengths = {track: len(results.rows(track)) for track in results.tracks}
        whole = features_of(manifest.path("t0"), FRONTEND)
        np.testing.assert_allclose(results.rows("t0")[:20], whole[:20], atol=1e-4)
        soundfile.write(tmp_path / "from.wav", soundfile.read(tmp_path / "t1.wav")[0][1600:4800], 8000, subtype="FLOAT")
        expected = features_of(tmp_path / "from.wav", FRONTEND)
        np.testing.assert_allclose(results.rows("t1"), expected, atol=1e-3)
    assert lengths == dict.fromkeys(("t0", "t1", "t2"), FRONTEND.frames(3200))


def test_what_is_silent_where_it_is_read_is_skipped(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.r_[np.zeros(8000), np.sin(np.arange(8000))], 8000)
    manifest = Manifest.build(pd.DataFrame({"track_id": ["a"], "path": ["a.wav"]}), root=tmp_path)
    with pytest.raises(InputError, match="is silent where it was read"):
        extract(manifest, FRONTEND, tmp_path / "s.h5", max_duration_s=0.5)


def test_an_error_nobody_thought_of_costs_one_track_and_is_told(manifest, tmp_path, monkeypatch):
    agrees = extraction.agrees

    def odd(job, info):
        if job.track_id == "t1":
            raise ZeroDivisionError("a codec's own")
        return agrees(job, info)

    monkeypatch.setattr(extraction, "agrees", odd)
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    assert store.track_ids == ["t0", "t2"]
    assert store.skipped[0].reason == "ZeroDivisionError: a codec's own"


def test_a_shard_that_is_cut_or_gone_is_named(manifest, tmp_path):
    with engine.run(manifest, Features(described(FRONTEND)), tmp_path / "w", engine.Processes()):
        pass
    (shard,) = [path for path in (tmp_path / "w").glob("*.raw") if path.stat().st_size]
    for spoil in (lambda: shard.write_bytes(shard.read_bytes()[:99]), shard.unlink):
        spoil()
        results = work.finished(tmp_path / "w", Features(described(FRONTEND)), ["t0", "t1", "t2"])
        with pytest.raises(InputError, match=r"\.raw is gone, or shorter than its journal says"):
            merging.merge(results, tmp_path / "s.h5")


class Impossible(Features):
    def start(self):
        raise InputError("its model is gone")


@pytest.mark.slow
def test_what_a_process_cannot_start_with_is_told(manifest, tmp_path):
    with (
        pytest.raises(InputError, match="its model is gone"),
        engine.run(manifest, Impossible(FRONTEND.settings), tmp_path / "w", engine.Processes(2)),
    ):
        pass


def die(*_: object) -> None:
    os._exit(9)


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_names_tracks(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "_start", die)
    with pytest.raises(InputError, match=r"a worker process died.*t0.*fewer workers than 2"):
        extract(manifest, FRONTEND, tmp_path / "s.h5", engine.Processes(2))


def test_unfinished_foreign_and_missing_stores_are_refused(manifest, tmp_path):
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    with h5py.File(store.path, "a") as file:
        del file.attrs["complete"]
    with pytest.raises(InputError, match="not a finished feature store"):
        FeatureStore(store.path)
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(InputError, match="is not a feature store"):
        FeatureStore(tmp_path / "text.h5")
    with pytest.raises(InputError, match="there is no feature store"):
        FeatureStore(tmp_path / "none.h5")


def test_another_front_end_is_refused(manifest, tmp_path):
    store = extract(manifest, FRONTEND, tmp_path / "s.h5")
    store.check(LogMel(**FRONTEND.settings))
    with pytest.raises(InputError, match=r"another front end: bands 32, not 40"):
        store.check(LogMel(8000, n_fft=512, hop=128, bands=40))
