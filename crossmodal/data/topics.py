"""Topics of tags and of texts, in which tracks can be compared in words: TF-IDF and latent semantic indexing.

LSI is by Deerwester et al. 1990; these are the topics of Schindler's papers (CBMI 2019, SAC 2020) but for two things.
What is asked is weighted as what was learned from (there, TF-IDF for fitting and bare counts for queries), and a tag
keeps its tagset's name, so that rock the genre is not rock the style.

Texts are cut into the four-character pieces of their words. That needs no tokenizer, stop list or stemmer of any
language: "Glocke" and "Glocken", or a Turkish noun and its cases, share most of their pieces, and a misspelt word is
not lost. Against words, with and without pairs, and pieces of 3, 2-4 and 3-5 characters, with topics learned from one
half and judged on the other, they found what is alike by tags a little better in captions (MusicCaps) and in a
composer's descriptions, and about twice as often as words did across six languages; pieces of 3-5 came close at three
times the memory. Where the texts of a track in several languages are learned from as one document, words of one
meaning come to lie on the same topics (Dumais et al. 1997), so that one can compare across languages.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from crossmodal import files
from crossmodal.data.checks import among
from crossmodal.data.manifest import Manifest, same_words
from crossmodal.errors import InputError, listed

VERSION = 1
N_TOPICS = 340  # of the seed
MAX_TERMS = 50_000
PIECE = (4, 4)  # characters
KINDS = ("tags", "texts")
ARRAYS = ("idf", "components", "singular", "explained")
NOTHING = 1e-5  # of the first singular value: what float32 leaves of a topic that explains nothing

Floats = NDArray[np.float32]
Documents = Iterable[str] | Iterable[Sequence[str]]


@dataclass(frozen=True, eq=False)
class TopicModel:
    """Topics that were learned from documents: make one with `fit` or `load`.

    Attributes:
        kind: "tags" if a document is a list of tags, "texts" if it is a text.
        terms: the tags, or the pieces of words, that count.
        idf: the weight of each term, ``(terms,)``.
        components: the topics, rows of length one, ``(topics, terms)``.
        singular: how strong each topic is, falling, ``(topics,)``.
        explained: the share of all weight, squared, that lies on each topic, ``(topics,)``.
    """

    kind: str
    terms: tuple[str, ...]
    idf: Floats
    components: Floats
    singular: Floats
    explained: Floats

    @classmethod
    def fit(
        cls, documents: Documents, n_topics: int = N_TOPICS, seed: int = 0, max_terms: int = MAX_TERMS
    ) -> TopicModel:
        """Learn topics; the same documents and seed give the same topics.

        Args:
            documents: texts, or lists of tags; at least one has a term.
            n_topics: at most. There are no more than terms or documents, and none that explains nothing; as many as
                terms leave TF-IDF as it is, and only fewer bring together terms that stand in the same documents.
            seed: of the randomised decomposition (Halko et al. 2011).
            max_terms: the most frequent terms are kept; it bounds the model's size.

        Raises:
            InputError: there is nothing to learn from, or documents are of both kinds.
        """
        if n_topics < 1 or max_terms < 1:
            raise InputError(f"n_topics and max_terms must be at least 1, not {n_topics} and {max_terms}")
        given, kind = _read(documents)
        vectorizer = _vectorizer(kind, max_features=max_terms)
        try:
            weights = vectorizer.fit_transform(given)
        except ValueError as error:
            raise InputError(f"there are no terms in {len(given)} {kind} to learn topics from") from error
        _, singular, components = randomized_svd(weights, min(n_topics, *weights.shape), random_state=seed)
        kept = singular > NOTHING * singular[0]
        explained = singular**2 / (weights.data.astype(np.float64) ** 2).sum()
        terms = tuple(map(str, vectorizer.get_feature_names_out()))
        arrays = (vectorizer.idf_, components[kept], singular[kept], explained[kept])
        return cls(kind, terms, *(np.ascontiguousarray(array, dtype=np.float32) for array in arrays))

    @property
    def n_topics(self) -> int:
        """How many topics there are."""
        return len(self.components)

    def transform(self, documents: Documents) -> Floats:
        """Topics of documents, weighted as for fitting: ``(documents, topics)``, rows of length one.

        A document without a term that is known is a row of zeros: like nothing.
        """
        given, kind = _read(documents)
        if kind != self.kind:
            raise InputError(f"these topics are of {self.kind}, not of {kind}")
        return _unit(self._vectorizer.transform(given) @ self.components.T)

    @cached_property
    def term_vectors(self) -> Floats:
        """Terms by the topics of the documents they stand in, ``(terms, topics)``, rows of length one."""
        return _unit(self.components.T * self.singular)

    def nearest(self, term: str, count: int = 10) -> pd.Series[float]:
        """The terms that stand in documents on the same topics, by their similarity, without the term itself."""
        if term not in self._place:
            raise InputError(f"{term!r} is none of {len(self.terms)} terms: {listed(self.terms)}")
        similarity = self.term_vectors @ self.term_vectors[self._place[term]]
        found = pd.Series(similarity, index=pd.Index(self.terms, name="term"), name="similarity").drop(term)
        return cast("pd.Series[float]", found.sort_values(ascending=False, kind="stable").head(count))

    def save(self, folder: str | Path) -> None:
        """Write topics.json (kind and terms) and topics.npz (the arrays) into ``folder``: both or none."""
        with files.atomic(folder) as temporary:
            temporary.mkdir()
            files.write_json(temporary / "topics.json", {"version": VERSION, "kind": self.kind, "terms": self.terms})
            np.savez(temporary / "topics.npz", **{name: getattr(self, name) for name in ARRAYS})

    @classmethod
    def load(cls, folder: str | Path) -> TopicModel:
        """Read what `save` wrote; nothing in it is executed. An `InputError` says what is missing or broken."""
        folder = Path(folder)
        about = files.read_json(folder / "topics.json")
        known = isinstance(about, dict) and about.get("version") == VERSION and about.get("kind") in KINDS
        if not known or not isinstance(about.get("terms"), list):
            raise InputError(f"{folder / 'topics.json'} is not that of topics of version {VERSION}")
        arrays = _arrays(folder / "topics.npz")
        terms, topics = tuple(about["terms"]), arrays["singular"].size
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(ARRAYS, (topics,))
        shapes |= {"idf": (len(terms),), "components": (topics, len(terms))}
        wrong = [name for name in ARRAYS if arrays[name].shape != shapes[name] or arrays[name].dtype != np.float32]
        if wrong or len(set(terms)) != len(terms):
            raise InputError(f"{folder}: terms and arrays do not fit together: {listed(wrong or ['a term twice'])}")
        return cls(about["kind"], terms, **arrays)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self.terms)}

    @cached_property
    def _vectorizer(self) -> Any:
        vectorizer = _vectorizer(self.kind, vocabulary=self._place)
        vectorizer.idf_ = self.idf
        return vectorizer


def _read(documents: Documents) -> tuple[list[Any], str]:
    """The documents, and of which kind they are."""
    given = list(documents)
    if isinstance(documents, str) or not given:
        raise InputError("documents are a list of texts, or of lists of tags, with at least one of them")
    texts = sum(isinstance(document, str) for document in given)
    if 0 < texts < len(given):
        raise InputError(f"{texts} documents are texts, and {len(given) - texts} are lists of tags")
    return given, "texts" if texts else "tags"


def _vectorizer(kind: str, **settings: Any) -> Any:
    """What weights terms, for fitting and for queries alike: (1 + log count) * idf, to rows of length one."""
    terms = {"analyzer": "char_wb", "ngram_range": PIECE, "preprocessor": same_words} if kind == "texts" else {}
    return TfidfVectorizer(**({"analyzer": list} | terms | settings), sublinear_tf=True, dtype=np.float32)


def _unit(vectors: Any) -> Floats:
    return cast(Floats, normalize(np.asarray(vectors, dtype=np.float32), copy=False))


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in ARRAYS}
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not whole, or not of topics: {error}") from error


def tag_documents(manifest: Manifest, tagsets: Sequence[str] | None = None) -> pd.Series[Any]:
    """The tags of each track that has any, by track id, sorted, with their tagset: ``["genres: rock", "moods: calm"]``.

    Args:
        manifest: the tracks, in whose order the documents are.
        tagsets: whose tags count; all by default.
    """
    tags = manifest.tags
    if tagsets is not None:
        _choose(tags["tagset"], tagsets, "tagset")
        tags = tags[tags["tagset"].isin(list(tagsets))]
    words = tags.assign(tags=tags["tagset"] + ": " + tags["tag"]).drop_duplicates(["track_id", "tags"])
    return _by_track(manifest, words.sort_values("tags").groupby("track_id")["tags"].agg(list))


def text_documents(manifest: Manifest, kind: str | None = None, language: str | None = None) -> pd.Series[str]:
    """The texts of each track that has any as one document, by track id; of one kind and language, or of all.

    With texts in several languages a document holds them all, which is what joins the languages' words to topics.
    """
    texts = manifest.texts
    for column, value in (("kind", kind), ("language", language)):
        if value is not None:
            _choose(texts[column], [value], column)
            texts = texts[texts[column] == value]
    if texts.empty:
        raise InputError("there are no texts")
    ordered = texts.sort_values(["text_id", "text"])
    return _by_track(manifest, ordered.groupby("track_id")["text"].agg("\n".join))


def _choose(column: pd.Series[str], wanted: Sequence[str], what: str) -> None:
    known = sorted(column.unique())
    if unknown := [value for value in wanted if value not in known]:
        raise InputError(f"there is no {what} {listed(map(repr, unknown))}; there are: {listed(known) or 'none'}")


def _by_track(manifest: Manifest, documents: pd.Series[Any]) -> pd.Series[Any]:
    ids = manifest.tracks["track_id"]
    return documents.reindex(ids[among(ids, pd.Series(documents.index))])
