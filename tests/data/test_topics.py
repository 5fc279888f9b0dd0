"""Topics: one weighting, tagsets apart, the same again after saving; against plain loops."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
import unicodedata

import numpy as np
import pandas as pd
import pytest

from crossmodal.data.manifest import Manifest
from crossmodal.data.topics import TopicModel, tag_documents, text_documents
from crossmodal.errors import InputError

TAGS = [["rock", "loud"], ["rock", "loud", "fast"], ["folk", "calm"], ["folk", "calm", "slow"], ["rock", "slow"], []]


def weights(documents, fitted):
    """TF-IDF by loops: (1 + log count) (log((1 + n) / (1 + documents with it)) + 1), rows of length one."""
    terms = sorted({term for document in fitted for term in document})
    rows = []
    for document in documents:
        row = []
        for term in terms:
            count, known = document.count(term), sum(term in other for other in fitted)
            idf = math.log((1 + len(fitted)) / (1 + known)) + 1
            row.append((1 + math.log(count)) * idf if count else 0.0)
        length = math.sqrt(sum(value**2 for value in row)) or 1.0
        rows.append([value / length for value in row])
    return np.array(rows), terms


def pieces(text):
    """The four-character pieces of each word with a space on both sides; a shorter word is one piece."""
    words = [f" {word} " for word in unicodedata.normalize("NFKC", text).casefold().split()]
    return [word[n : n + 4] for word in words for n in range(max(len(word) - 3, 1))]


def projected(table, n_topics):
    """A singular value decomposition by numpy: rows of length one, or zero."""
    topics = np.linalg.svd(table[0])[2][:n_topics]
    found = table[1] @ topics.T
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.where(lengths > 1e-6, lengths, 1)


@pytest.mark.parametrize("n_topics", [2, 3, 340])
def test_fitting_and_asking_weight_alike(n_topics):
    model = TopicModel.fit(TAGS, n_topics)
    asked = [*TAGS, ["calm", "calm", "rock"], ["unknown"], ["fast", "unknown"]]
    fitted, terms = weights(TAGS, TAGS)
    expected = projected((fitted, weights(asked, TAGS)[0]), min(n_topics, model.n_topics))
    found = model.transform(asked)
    assert model.terms == tuple(terms)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)
    # a document means the same alone and among others
    np.testing.assert_allclose(model.transform(asked[-1:])[0], found[-1], atol=1e-6)


def test_texts_are_weighted_by_pieces_of_their_words():
    texts = ["Die Glocke klingt", "Glocken klingen im Tal", "a slow song", "Ｓlow songs  of İstanbul", "tal"]
    model = TopicModel.fit(texts, 3)
    cut = [pieces(text) for text in texts]
    table = weights(cut, cut)[0]
    expected = projected((table, table), 3)
    found = model.transform(texts)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)
    assert set(model.terms) == {piece for each in cut for piece in each}


def test_inflected_and_misspelt_words_are_alike():
    model = TopicModel.fit(["eine Glocke", "zwei Klaviere", "drei Geigen"])
    glocke, glocken, misspelt, klavier = model.transform(["Glocke", "Glocken", "Gloke Glock", "Klavier"])
    assert glocke @ glocken > 0.8
    assert glocke @ misspelt > 0.5
    assert abs(glocke @ klavier) < 0.1


def test_there_are_no_more_topics_than_terms_documents_and_what_they_explain():
    assert TopicModel.fit(TAGS).n_topics == 5  # of six tags, calm and folk always stand together
    assert TopicModel.fit([["a", "b"], ["b", "c"]]).n_topics == 2
    assert TopicModel.fit([["a", "b"]] * 3).n_topics == 1
    assert TopicModel.fit(TAGS, 2).n_topics == 2
    assert TopicModel.fit(TAGS, max_terms=1).terms == ("rock",)  # the most frequent one


def test_explained_shares_are_those_of_the_singular_values():
    model = TopicModel.fit(TAGS)
    values = np.linalg.svd(weights(TAGS, TAGS)[0], compute_uv=False)[: model.n_topics]
    np.testing.assert_allclose(model.singular, values, rtol=1e-5)
    np.testing.assert_allclose(model.explained, values**2 / 5, rtol=1e-5)  # five rows of length one, and an empty one
    assert model.explained.sum() == pytest.approx(1, abs=1e-5)
    assert TopicModel.fit(TAGS, 2).explained.sum() < 0.99


def test_rows_have_length_one_or_nothing():
    found = TopicModel.fit(TAGS, 3).transform([*TAGS, ["unknown"]])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 1, 1, 0, 0], atol=1e-6)


def test_terms_that_share_documents_are_near():
    documents = [["x", "a"], ["y", "a"], ["x", "a"], ["y", "a"], ["z", "b"], ["w", "b"], ["z", "b"], ["w", "b"]]
    model = TopicModel.fit(documents, 2)
    found = model.nearest("x", 3)
    assert set(found.index) == {"a", "y", found.index[2]}  # y never stands beside x, but beside a as x does
    assert found[["a", "y"]].min() > 0.99 > 0.01 > abs(found.iloc[2])
    assert model.nearest("x", 1).size == 1
    with pytest.raises(InputError, match="'q' is none of 6 terms: a, b, w, x, y, z"):
        model.nearest("q")


def test_with_all_topics_terms_are_alike_as_their_columns_of_weights():
    model = TopicModel.fit(TAGS)
    columns = weights(TAGS, TAGS)[0]
    columns = columns / np.linalg.norm(columns, axis=0)
    np.testing.assert_allclose(model.term_vectors @ model.term_vectors.T, columns.T @ columns, atol=1e-5)


def test_words_of_two_languages_meet_where_documents_hold_both():
    pairs = [("loud rock", "laute Gitarren"), ("calm folk", "ruhige Lieder"), ("fast jazz", "schnelle Trompeten")]
    model = TopicModel.fit([" ".join(pair) for pair in pairs], 3)
    english, german = (model.transform(list(texts)) for texts in zip(*pairs, strict=True))
    assert (english @ german.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_same_seed_gives_the_same_topics():
    rng = np.random.default_rng(0)
    documents = [[f"t{term}" for term in rng.integers(0, 60, 6)] for _ in range(200)]
    one, two = (TopicModel.fit(documents, 8, seed=3) for _ in range(2))
    assert np.array_equal(one.components, two.components)
    assert not np.array_equal(one.components, TopicModel.fit(documents, 8, seed=4).components)


@pytest.mark.parametrize("documents", [TAGS, ["Eine Glocke, „schön“.", "una chitarra\nlenta", "bir şarkı"]])
def test_saved_and_loaded_topics_are_the_same(documents, tmp_path):
    model = TopicModel.fit(documents, 3)
    model.save(tmp_path / "topics")
    loaded = TopicModel.load(tmp_path / "topics")
    assert (loaded.kind, loaded.terms) == (model.kind, model.terms)
    assert np.array_equal(loaded.transform(documents), model.transform(documents))
    assert np.array_equal(loaded.explained, model.explained)
    assert np.array_equal(loaded.term_vectors, model.term_vectors)
    assert sorted(path.name for path in (tmp_path / "topics").iterdir()) == ["topics.json", "topics.npz"]


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_a_trap_is_not_executed(tmp_path):
    TopicModel.fit(TAGS).save(tmp_path / "topics")
    trap = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "topics" / "topics.npz", idf=trap, components=trap, singular=trap, explained=trap)
    with pytest.raises(InputError, match=r"topics\.npz is not whole, or not of topics: .*pickle"):
        TopicModel.load(tmp_path / "topics")
    (tmp_path / "topics" / "topics.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="is not whole, or not of topics"):
        TopicModel.load(tmp_path / "topics")


def test_broken_topics_are_refused(tmp_path):
    folder = tmp_path / "topics"
    with pytest.raises(InputError, match=r"topics\.json does not exist"):
        TopicModel.load(folder)
    TopicModel.fit(TAGS, 3).save(folder)
    about = json.loads((folder / "topics.json").read_text())
    for changed in ({"version": 2}, {"kind": "sounds"}, {"terms": 3}):
        (folder / "topics.json").write_text(json.dumps(about | changed))
        with pytest.raises(InputError, match="is not that of topics of version 1"):
            TopicModel.load(folder)
    (folder / "topics.json").write_text(json.dumps(about | {"terms": about["terms"][1:]}))
    with pytest.raises(InputError, match="do not fit together: idf, components"):
        TopicModel.load(folder)
    (folder / "topics.json").write_text(json.dumps(about | {"terms": about["terms"][:1] * 6}))
    with pytest.raises(InputError, match="do not fit together: a term twice"):
        TopicModel.load(folder)
    (folder / "topics.npz").unlink()
    with pytest.raises(InputError, match=r"topics\.npz does not exist"):
        TopicModel.load(folder)


def test_documents_of_another_kind_are_refused():
    tags, texts = TopicModel.fit(TAGS), TopicModel.fit(["a calm song"])
    with pytest.raises(InputError, match="these topics are of tags, not of texts"):
        tags.transform(["rock"])
    with pytest.raises(InputError, match="these topics are of texts, not of tags"):
        texts.transform([["rock"]])
    with pytest.raises(InputError, match="1 documents are texts, and 1 are lists of tags"):
        TopicModel.fit(["rock", ["rock"]])
    for nothing in ([], "a calm song"):
        with pytest.raises(InputError, match="documents are a list of texts, or of lists of tags"):
            texts.transform(nothing)
    with pytest.raises(InputError, match="there are no terms in 2 tags"):
        TopicModel.fit([[], []])
    with pytest.raises(InputError, match="must be at least 1, not 0 and 50000"):
        TopicModel.fit(TAGS, 0)


@pytest.fixture
def manifest():
    tracks = pd.DataFrame({"track_id": list("cab"), "path": list("cab")})
    tags = [("a", "styles", "rock"), ("a", "genres", "rock"), ("b", "genres", "folk"), ("c", "moods", "calm")]
    tags += [("b", "moods", "calm")]
    said = [
        ("2", "b", "de", "review", "Ruhig."),
        ("1", "b", "en", "review", "Calm."),
        ("1", "a", "en", "review", "Calm."),
    ]
    said += [("3", "a", "en", "caption", "A song.")]
    return Manifest.build(
        tracks,
        pd.DataFrame(said, columns=["text_id", "track_id", "language", "kind", "text"]),
        pd.DataFrame(tags, columns=["track_id", "tagset", "tag"]),
    )


def test_tags_keep_their_tagset(manifest):
    found = tag_documents(manifest)
    assert found.to_dict() == {
        "c": ["moods: calm"],
        "a": ["genres: rock", "styles: rock"],
        "b": ["genres: folk", "moods: calm"],
    }
    assert list(found.index) == list("cab")  # the manifest's order
    assert tag_documents(manifest, ["genres"]).to_dict() == {"a": ["genres: rock"], "b": ["genres: folk"]}
    genre, style = TopicModel.fit([["genres: rock"], ["styles: rock"]]).transform([["genres: rock"], ["styles: rock"]])
    assert genre @ style == pytest.approx(0, abs=1e-6)
    with pytest.raises(InputError, match="no tagset 'themes'; there are: genres, moods, styles"):
        tag_documents(manifest, ["genres", "themes"])


def test_texts_of_a_track_are_one_document(manifest):
    assert text_documents(manifest).to_dict() == {"a": "Calm.\nA song.", "b": "Calm.\nRuhig."}
    assert text_documents(manifest, language="de").to_dict() == {"b": "Ruhig."}
    assert text_documents(manifest, kind="caption").to_dict() == {"a": "A song."}
    turned = Manifest.build(manifest.tracks, manifest.texts.iloc[::-1], manifest.tags.iloc[::-1])
    assert text_documents(turned).equals(text_documents(manifest))
    assert tag_documents(turned).equals(tag_documents(manifest))
    with pytest.raises(InputError, match="no language 'fr'; there are: de, en"):
        text_documents(manifest, language="fr")
    with pytest.raises(InputError, match="no language 'de'; there are: en"):
        text_documents(manifest, "caption", "de")
    with pytest.raises(InputError, match="there are no texts"):
        text_documents(Manifest.build(manifest.tracks))


def test_importable_without_torch():
    code = "import sys, crossmodal.data.topics, crossmodal.data.similarity; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "False"
