"""Reading pandas' HDF5 frames and pickles, and refusing those that would run something."""

from __future__ import annotations

import gzip
import os
import pickle
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest

from crossmodal.data.pytables import read_frame, read_pickle, unpickled
from crossmodal.errors import InputError

FRAME = pd.DataFrame(
    {
        "genres": [["Pop/Rock", "R&B"], np.nan, ["Children's"], []],
        "title": ["a", 'ÿ, "b"', None, "d"],
        "plays": [1, 2, 3, 4],
        "tempo": [0.5, np.nan, 2.0, 1.0],
        "loud": [True, False, True, True],
        "release": ["x", "y", "z", "ø"],
    },
    index=["TRA", "TRB", "TRC", "TRÜ"],
)


def write(path, frame=FRAME, key="data", **options):
    pytest.importorskip("tables")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTables warns of what these tests are about: pickled columns
        frame.to_hdf(path, key=key, **options)
    return path


def plain(frame):
    """Cells as Python's values, with None where there is nothing."""
    return [
        [None if isinstance(cell, float) and cell != cell else cell for cell in row] for row in frame.values.tolist()
    ]


@pytest.mark.parametrize("words", ["str", "object"])
def test_a_frame_is_read_as_it_was_written(tmp_path, words):
    frame = FRAME.astype({"title": words, "release": words})
    frame.index = frame.index.astype(words)
    found = read_frame(write(tmp_path / "f.h5", frame))
    assert found.index.tolist() == FRAME.index.tolist()
    assert found.columns.tolist() == FRAME.columns.tolist()
    assert plain(found) == plain(FRAME)
    assert found["plays"].dtype == "int64"


def test_the_key_is_needed_where_there_are_several(tmp_path):
    path = write(tmp_path / "f.h5")
    write(path, FRAME[["plays"]].tail(1), key="other/one")
    assert read_frame(path, "/other/one")["plays"].tolist() == [4]
    with pytest.raises(InputError, match="has 2 frames of pandas, not one; there are: data, other/one"):
        read_frame(path)
    with pytest.raises(InputError, match=r"f.h5 has no frame 'genres'; there are: data, other/one"):
        read_frame(path, "genres")


def test_an_empty_frame(tmp_path):
    found = read_frame(write(tmp_path / "f.h5", FRAME.head(0)))
    assert len(found) == 0
    assert found.columns.tolist() == FRAME.columns.tolist()


def test_the_table_format_is_named(tmp_path):
    path = write(tmp_path / "f.h5", FRAME[["plays"]], format="table")
    with pytest.raises(InputError, match="data is of pandas' kind frame_table; to_hdf"):
        read_frame(path)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 200])
def test_a_file_that_is_no_hdf5(tmp_path, content):
    (tmp_path / "f.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"f.h5 is not a whole HDF5 file"):
        read_frame(tmp_path / "f.h5")


def test_a_file_that_is_missing_or_cut_short(tmp_path):
    with pytest.raises(InputError, match=r"g.h5 is not a whole HDF5 file"):
        read_frame(tmp_path / "g.h5")
    path = write(tmp_path / "f.h5")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"f\.h5"):
        read_frame(path)


def by_hand(path, blob):
    """The layout of PyTables, without it: three tracks, a column "genres" whose pickle is ``blob``."""
    with h5py.File(path, "w") as file:
        group = file.create_group("data")
        group.attrs.update({"pandas_type": np.bytes_("frame"), "encoding": np.bytes_("N."), "nblocks": 1})
        group["axis0"] = group["block0_items"] = np.array([b"genres"])
        group["axis1"] = np.array([b"TRA", b"TRB", b"TRC"])
        values = group.create_dataset("block0_values", (1,), h5py.vlen_dtype(np.uint8))
        values[0] = np.frombuffer(blob, np.uint8)
        values.attrs.update({"PSEUDOATOM": np.bytes_("object"), "transposed": 1})
    return path


# pickle.dumps(numpy.array([[["Pop/Rock", "R\xe9"]], [nan], [u"\xfc"]], dtype=object), protocol) in Python 2.7
OLD = {
    0: b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n(I3\nI1\n"
    b"tp6\ncnumpy\ndtype\np7\n(S'O8'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'|'\np11\nNNNI-1\nI-1\nI63\ntp12\nbI00\n(lp13\n(lp14\n"
    b"S'Pop/Rock'\np15\naS'R\\xe9'\np16\naaFnan\naV\xfc\np17\natp18\nb.",
    2: b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02U\x01bq\x03\x87q\x04R"
    b"q\x05(K\x01K\x03K\x01\x86q\x06cnumpy\ndtype\nq\x07U\x02O8q\x08K\x00K\x01\x87q\tRq\n(K\x03U\x01|q\x0bNNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK?tq\x0cb\x89]q\r(]q\x0e(U\x08Pop/Rockq\x0fU\x02R\xe9q\x10eG\x7f\xf8\x00\x00\x00\x00\x00\x00"
    b"X\x02\x00\x00\x00\xc3\xbcq\x11etq\x12b.",
}


@pytest.mark.parametrize("protocol", OLD)
def test_pickles_of_python_2(tmp_path, protocol):
    found = read_frame(by_hand(tmp_path / "f.h5", OLD[protocol]))
    assert plain(found) == [[["Pop/Rock", "Ré"]], [None], ["ü"]]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_of_every_protocol(tmp_path, protocol):
    value = {
        "7D": ("a", 1, 2.5, None, True, b"\xff\x00", {"x"}, frozenset([3])),
        "vector": np.array([[0], [1], [1]], dtype="int64"),
        "big-endian": np.arange(3, dtype=">f4"),
        "column-major": np.asfortranarray([[1, 2], [3, 4]]),
        "words": np.array(["ä", "bc"]),
        "scalar": np.float32(0.5),
    }
    path = tmp_path / "p.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(value, protocol)))
    found = read_pickle(path)
    assert found["7D"] == value["7D"]
    for name in ("vector", "big-endian", "column-major", "words"):
        np.testing.assert_array_equal(found[name], value[name])
    assert found["scalar"] == 0.5


class Calls:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {flag}",), r"(posix|nt)\.system"),
        (eval, ("open('{flag}', 'w')",), r"builtins\.eval"),
        (getattr, ({}, "__class__"), r"builtins\.getattr"),
        (np.load, ("{flag}",), r"numpy\.load"),
        (np.frombuffer, (b"x",), r"numpy\.frombuffer"),
    ],
)
def test_a_pickle_that_would_run_something_is_refused(tmp_path, function, arguments, named):
    flag = tmp_path / "ran"
    filled = tuple(a.replace("{flag}", str(flag)) if isinstance(a, str) else a for a in arguments)
    cells = np.array([["rock"], Calls(function, *filled), None], dtype="object").reshape(3, 1)
    path = by_hand(tmp_path / "f.h5", pickle.dumps(cells))
    with pytest.raises(InputError, match=rf"f\.h5 holds a pickle that asks for {named}, .* was not run"):
        read_frame(path)
    assert not flag.exists()


def array(shape, dtype, flags, values, kind=np.ndarray):
    """An array's pickle, with whatever state."""
    made = Calls(np.dtype, dtype, False, True)
    made.call = (*made.call, (3, "|", None, None, None, -1, -1, flags))
    whole = Calls(np.array([1]).__reduce__()[0], kind, (0,), b"b")
    whole.call = (*whole.call, (1, shape, made, False, values))
    return pickle.dumps(whole)


@pytest.mark.parametrize(
    "blob",
    [
        array((1,), "O8", 0, b"\x41" * 8),  # a pointer of its own making
        array((1000,), "O8", 63, ["too few"]),
        array((-1, -1), "O8", 63, ["x"]),
        array((100,), "<f8", 0, b"\0" * 8),
        array((1,), "V8", 0, b"\0" * 8),
        pickle.dumps(Calls(np.ndarray, (4,))),
        pickle.dumps({"a": 1})[:-3],
        b"",
        b"\x80\x04Bnot",
    ],
)
def test_a_broken_pickle_is_refused(tmp_path, blob):
    with pytest.raises(InputError, match=r"f\.pkl holds a broken pickle"):
        unpickled(blob, tmp_path / "f.pkl")


def test_a_pickle_of_the_wrong_length_is_named(tmp_path):
    cells = np.array([["rock"], None], dtype="object").reshape(2, 1)
    with pytest.raises(InputError, match=r"block 0 of /data has \(2, 1\) values for 3 rows"):
        read_frame(by_hand(tmp_path / "f.h5", pickle.dumps(cells)))
