"""Documents by the loader's rows: nothing said is an empty document, never a row of another track."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from crossmodal.data.corpus import Corpus
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError

TAGS = [("a", "styles", "rock"), ("a", "genres", "rock"), ("a", "genres", "folk"), ("c", "moods", "calm")]
TEXTS = [("2", "b", "de", "review", "Ruhig."), ("1", "b", "en", "review", "Calm."), ("1", "a", "en", "review", "Calm.")]


def manifest(texts=TEXTS, tags=TAGS):
    return Manifest.build(
        pd.DataFrame({"track_id": list("cabd"), "path": list("cabd")}),
        pd.DataFrame(texts, columns=["text_id", "track_id", "language", "kind", "text"]),
        pd.DataFrame(tags, columns=["track_id", "tagset", "tag"]),
    )


def test_tags_stand_in_the_order_of_the_tracks():
    corpus = Corpus(manifest(), ["d", "a", "c", "b"])
    assert corpus.tags() == [[], ["genres: folk", "genres: rock", "styles: rock"], ["moods: calm"], []]
    assert corpus.tags("genres") == [[], ["folk", "rock"], [], []]
    assert corpus.tags("moods") == [[], [], ["calm"], []]
    assert corpus.tagsets == ("genres", "moods", "styles")


def test_texts_of_all_languages_are_one_document():
    assert Corpus(manifest(), ["a", "d", "b"]).texts() == ["Calm.", "", "Calm.\nRuhig."]


def test_tracks_that_the_part_lacks_have_empty_documents():
    """Those whose labels are withheld: they are trained on as audio alone."""
    corpus = Corpus(manifest().select(["c", "d"]), ["a", "c"])
    assert (corpus.tags(), corpus.texts()) == ([[], ["moods: calm"]], ["", ""])
    assert corpus.tagsets == ("moods",)


def test_tagsets_are_those_of_the_tracks():
    assert Corpus(manifest(), ["c", "b"]).tagsets == ("moods",)
    assert Corpus(manifest(), ["c", "b"]).tags("genres") == [[], []]


def test_nothing_said_is_no_error():
    corpus = Corpus(manifest([], []), ["a", "b"])
    assert (corpus.tagsets, corpus.tags(), corpus.texts()) == ((), [[], []], ["", ""])


def test_an_unknown_tagset_is_refused():
    with pytest.raises(InputError, match="no tagset 'themes'; there are: genres, moods, styles"):
        Corpus(manifest(), ["a"]).tags("themes")


def test_a_prefix_in_a_tag_of_its_own_stays():
    corpus = Corpus(manifest(tags=[("a", "genres", "genres: rock")]), ["a"])
    assert corpus.tags("genres") == [["genres: rock"]]


def test_importable_without_torch():
    code = "import sys, crossmodal.data.corpus, crossmodal.data.miner; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "False"
