"""The page's files: all are served, none is missing, and nothing in them is what the page's policy forbids."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from crossmodal.serve.app import PAGE

FOLDER = Path(str(resources.files("crossmodal").joinpath("serve", "page")))
FILES = sorted(path.name for path in FOLDER.iterdir())


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_every_file_is_served_and_there():
    assert set(FILES) | {"map.js"} == set(PAGE)
    for place, _ in PAGE.values():
        assert resources.files("crossmodal").joinpath(*place.split("/")).is_file(), place


def test_scripts_import_what_is_served():
    scripts = [name for name in FILES if name.endswith(".js")]
    assert len(scripts) > 5
    for name in scripts:
        for imported in re.findall(r'from "\./([^"]+)"', text(name)):
            assert imported in PAGE, f"{name} imports {imported}"


def test_the_page_names_only_its_own_files():
    named = re.findall(r'(?:src|href)="([^"#]+)"', text("index.html"))
    assert len(named) >= 4
    assert {name for name in named if name != "docs"} <= {f"page/{name}" for name in PAGE}


@pytest.mark.parametrize("name", FILES)
def test_nothing_that_the_policy_forbids(name):
    content = text(name)
    assert not re.search(r"https?://(?!www\.w3\.org/)|//cdn|@import|url\(", content)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", content)
    if name == "index.html":
        assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|<style", content)


def test_ids_that_scripts_look_for_are_in_the_page():
    page = text("index.html")
    scripts = "\n".join(text(name) for name in FILES if name.endswith(".js"))
    wanted = set(re.findall(r'\$\("#([\w-]+)"', scripts))
    assert len(wanted) > 20
    assert sorted(name for name in wanted if f'id="{name}"' not in page) == []
