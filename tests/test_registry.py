"""Plug-ins are found by their file's name, checked against their constructors, and trusted by name."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from crossmodal import registry
from crossmodal.errors import InputError

PLUGIN = """
from __future__ import annotations
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from crossmodal.types import Index
if TYPE_CHECKING:
    from nowhere import Tensor

class _Base(Index):
    pass

class Tree(_Base):
    def __init__(
        self,
        texts: Sequence[str],
        start: Tensor | None = None,
        *,
        depth: int,
        lr: float = 0.1,
        mode: Literal["a", "b"] = "a",
        shape: tuple[int, int] = (1, 2),
        cache: Path | None = None,
    ) -> None:
        self.__dict__.update(locals())
"""


MADE_UP = ["outside_plugins", "bare_plugins", *(f"crossmodal.indexes.{name}" for name in ("tree", "empty", "extra"))]


@pytest.fixture(autouse=True)
def _forget_modules():
    yield
    for name in MADE_UP:
        sys.modules.pop(name, None)


@pytest.fixture
def family(tmp_path, monkeypatch):
    """The indexes, with three files beside those of the package."""
    import crossmodal.indexes

    (tmp_path / "tree.py").write_text(PLUGIN)
    (tmp_path / "_hidden.py").write_text("")
    (tmp_path / "empty.py").write_text("from crossmodal.types import Index\n")
    (tmp_path / "extra.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.setattr(crossmodal.indexes, "__path__", [str(tmp_path)])
    return "indexes"


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A module outside the package, which leaves a mark when it is imported."""
    code = f"from pathlib import Path\nfrom crossmodal.types import Index\nPath({str(tmp_path / 'ran')!r}).touch()\n"
    code += "class Mine(Index):\n    def __init__(self, size: int = 1):\n        self.size = size\nclass Other: ...\n"
    (tmp_path / "outside_plugins.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "ran"


def test_names_are_files_without_underscore(family):
    assert registry.names(family) == ["empty", "extra", "tree"]


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_every_family_is_a_folder_with_a_protocol(family):
    assert isinstance(registry.names(family), list)
    for name in registry.names(family):
        assert registry.find(family, name)


def test_an_unknown_family_is_refused():
    with pytest.raises(InputError, match=r"'losses'.*objectives"):
        registry.names("losses")


def test_find_returns_the_one_public_class_of_the_family(family):
    assert registry.find(family, "tree").__name__ == "Tree"
    with pytest.raises(TypeError, match="one public Index, not 0"):
        registry.find(family, "empty")


@pytest.mark.parametrize("name", ["treee", "_hidden", "../tree", "os.path", ""])
def test_an_unknown_name_lists_the_valid_ones(family, name):
    with pytest.raises(InputError, match="empty, extra, tree"):
        registry.find(family, name)


def test_a_plugin_whose_dependency_is_missing_names_it(family):
    with pytest.raises(InputError, match="a_module_that_is_not_there"):
        registry.find(family, "extra")


def test_settings_are_the_parameters_with_plain_types(family):
    settings = registry.settings(registry.find(family, "tree"))
    assert {name: s.required for name, s in settings.items()} == {
        "depth": True,
        "lr": False,
        "mode": False,
        "shape": False,
        "cache": False,
    }


def test_build_passes_settings_and_what_the_code_gives(family, tmp_path):
    tree = registry.build(family, "tree", texts=["x"], depth=3, lr=1, shape=[4, 5], cache=str(tmp_path))
    assert (tree.texts, tree.depth, tree.lr, tree.shape, tree.cache) == (["x"], 3, 1.0, (4, 5), tmp_path)
    assert type(tree.lr) is float


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"name": "tree", "depth": 3, "dept": 1}, r"'dept'; valid: depth \(int\), lr \(float\), mode \('a' or 'b'\)"),
        ({"name": "tree", "depth": 3, "texts": ["x"]}, "no setting 'texts'"),
        ({"name": "tree"}, r"lacks depth \(int\)"),
        ({"name": "tree", "depth": "3"}, r"depth is '3' \(str\), but must be int"),
        ({"name": "tree", "depth": True}, r"depth is True \(bool\), but must be int"),
        ({"name": "tree", "depth": 3, "mode": "c"}, "mode is 'c'"),
        ({"name": "tree", "depth": 3, "shape": [1]}, "shape is"),
        ({"name": "tree", "depth": 3, "lr": None}, r"lr is None \(null\), but must be float"),
        ({"depth": 3}, "lacks the name of a plug-in; there are empty, extra, tree"),
        ({"name": 3}, "lacks the name"),
    ],
)
def test_check_refuses_a_wrong_block(family, block, message):
    with pytest.raises(InputError, match=message):
        registry.check(family, block)


def test_check_says_where(family):
    registry.check(family, {"name": "tree", "depth": 3, "cache": None})
    with pytest.raises(InputError, match=r"my_index \(tree\) lacks depth"):
        registry.check(family, {"name": "tree"}, where="my_index")


def test_build_checks_its_settings(family):
    with pytest.raises(InputError, match="indexes tree has no setting 'dept'"):
        registry.build(family, "tree", texts=[], depth=1, dept=2)


def test_outside_code_is_found_in_a_users_own_experiment(outside):
    assert registry.build("indexes", "outside_plugins:Mine", size=3).size == 3
    assert registry.find("indexes", "outside_plugins:Mine", trust=["outside_plugins:Mine"]).__name__ == "Mine"


@pytest.mark.parametrize("trust", [(), ["outside_plugins:Other"], ["outside_plugins"]])
def test_outside_code_is_not_even_imported_when_not_trusted(outside, trust):
    with pytest.raises(InputError, match=r'trust=\["outside_plugins:Mine"\]'):
        registry.find("indexes", "outside_plugins:Mine", trust=trust)
    assert not outside.exists()


@pytest.mark.parametrize(
    "name", ["outside_plugins:Other", "outside_plugins:Path", "outside_plugins:Index", "outside_plugins:no"]
)
def test_outside_code_must_be_of_the_family(outside, name):
    with pytest.raises(InputError, match=r"inherits from crossmodal.types.Index"):
        registry.find("indexes", name)


def test_outside_code_of_another_family_is_refused(outside):
    with pytest.raises(InputError, match=r"inherits from crossmodal.types.Objective"):
        registry.find("objectives", "outside_plugins:Mine")


def test_outside_code_that_is_not_there():
    with pytest.raises(InputError, match="no module 'not_there'"):
        registry.find("indexes", "not_there:Mine")


@pytest.mark.parametrize("name", [":", ":Mine", "outside_plugins:", ".outside_plugins:Mine", "a b:Mine", "a:b:c"])
def test_names_of_outside_code_that_are_none(name):
    with pytest.raises(InputError, match=r"is no name of outside code; write my\.module:Class"):
        registry.find("indexes", name)


def test_a_protocol_without_constructor_has_no_settings(tmp_path, monkeypatch):
    Path(tmp_path / "bare_plugins.py").write_text(
        textwrap.dedent("""
        from crossmodal.types import Index
        class Bare(Index): ...
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry.build("indexes", "bare_plugins:Bare")
    with pytest.raises(InputError, match="valid: none"):
        registry.check("indexes", {"name": "bare_plugins:Bare", "x": 1})
