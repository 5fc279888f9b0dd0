from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crossmodal.errors import InputError
from crossmodal.files import Skipped, atomic, read_json, recover, write_json, write_skipped, write_text


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """A disk that is full: the system refuses to write a file past so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "Händel\n")
    write_text(tmp_path / "deep" / "a.txt", "Bach\n")
    assert (tmp_path / "deep" / "a.txt").read_text(encoding="utf-8") == "Bach\n"
    assert names(tmp_path / "deep") == ["a.txt"]


def stopped(path: Path, inner: str, error: type[BaseException]) -> None:
    with atomic(path) as temporary:
        if inner:
            temporary.mkdir()
        (temporary / inner).write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_file_and_folder_as_they_were(tmp_path: Path, error: type[BaseException]) -> None:
    write_text(tmp_path / "file", "old")
    write_text(tmp_path / "folder" / "inner", "old")
    with pytest.raises(error):
        stopped(tmp_path / "file", "", error)
    with pytest.raises(error):
        stopped(tmp_path / "folder", "inner", error)
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "inner").read_text() == "old"


def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with no_file_larger_than(1000), pytest.raises(InputError, match=r"could not write .*file: .*nothing was changed"):
        write_text(tmp_path / "file", "new" * 1000)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with atomic(tmp_path / "folder") as temporary:
            write_text(temporary / "file", text)
    assert (tmp_path / "folder" / "file").read_text() == "second"
    assert names(tmp_path) == ["folder"]


def test_a_folder_with_what_is_not_ours_is_never_replaced(tmp_path: Path) -> None:
    write_text(tmp_path / "music" / "song.wav", "the only copy")
    with pytest.raises(InputError, match=r"music holds song\.wav, which would be lost; give the name of a new folder"):
        replaced(tmp_path / "music")
    assert names(tmp_path) == ["music"]
    assert names(tmp_path / "music") == ["song.wav"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"the folder .*file/inner cannot be made: Not a directory"):
        write_text(tmp_path / "file" / "inner" / "x.txt", "")


def replaced(folder: Path) -> None:
    with atomic(folder) as temporary:
        write_text(temporary / "file", "new")


def stops_at(call: int, stop: BaseException, real: Callable[..., None]) -> Callable[..., None]:
    """A rename that fails at its n-th call."""
    calls = iter(range(100))

    def rename(source: Path, target: Path) -> None:
        if next(calls) == call:
            raise stop
        real(source, target)

    return rename


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_survives_a_stop_between_the_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, stop: BaseException
) -> None:
    write_text(tmp_path / "folder" / "file", "old")
    with monkeypatch.context() as patch:
        patch.setattr("crossmodal.files.os.replace", stops_at(call, stop, os.replace))
        with pytest.raises((InputError, KeyboardInterrupt)):
            replaced(tmp_path / "folder")
    recover(tmp_path / "folder")
    assert names(tmp_path) == ["folder"]
    assert (tmp_path / "folder" / "file").read_text() == "old"
    replaced(tmp_path / "folder")
    assert (tmp_path / "folder" / "file").read_text() == "new"


def test_recover_removes_what_a_kill_after_the_replacement_left(tmp_path: Path) -> None:
    write_text(tmp_path / "folder" / "new", "")
    write_text(tmp_path / ".folder.old" / "old", "")
    recover(tmp_path / "folder")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["new"]


def test_json_keeps_letters_and_order(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"z": "çalgı 🎻", "a": [1, None]})
    assert "çalgı 🎻" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert list(read_json(tmp_path / "a.json")) == ["z", "a"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{'a': 1}"])
def test_json_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json is not JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"b\.json does not exist"):
        read_json(tmp_path / "b.json")


def test_skipped_is_written_also_when_there_is_nothing_in_it(tmp_path: Path) -> None:
    write_skipped(tmp_path / "skipped.csv", [])
    assert (tmp_path / "skipped.csv").read_text() == "id,path,reason\n"
    write_skipped(tmp_path / "skipped.csv", [Skipped("a,b", "c.wav", 'said "no"')])
    assert (tmp_path / "skipped.csv").read_text() == 'id,path,reason\n"a,b",c.wav,"said ""no"""\n'
