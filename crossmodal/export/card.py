"""The model card: README.md of an export, from what the run recorded; nothing in it is typed in.

The front matter is the hub's (https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from huggingface_hub import ModelCardData

from crossmodal import __version__, registry
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.licences import summary
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash
from crossmodal.export import usage
from crossmodal.export.model_index import eval_results
from crossmodal.files import read_json
from crossmodal.metrics.bootstrap import LEVEL
from crossmodal.model import DualEncoder
from crossmodal.results import PROTOCOLS, RESULTS
from crossmodal.runs import Run

CODE = re.compile(r"[a-z]{2,3}")  # of a language, ISO 639
UNKNOWN = {"und", "mis", "mul", "zxx"}  # its codes for none in particular


class Export(NamedTuple):
    """What a card says of the folder it lies in.

    Attributes:
        formats: of the folder.
        licence: of the weights, or None if nobody chose one.
        name: by which it is loaded.
        differences: see `crossmodal.export.folder.Exported`.
    """

    formats: tuple[str, ...]
    licence: str | None
    name: str
    differences: Mapping[str, float]


class Facts(NamedTuple):
    """What a card is written from.

    Attributes:
        run: the run.
        model: its best model.
        manifest: all of its data.
        train: the part it was trained on, with the texts it read.
        results: the content of results.json of its own evaluation and of each protocol, by title.
        export: the folder.
    """

    run: Run
    model: DualEncoder
    manifest: Manifest
    train: Manifest
    results: dict[str, dict[str, Any]]
    export: Export

    @property
    def synthetic(self) -> bool:
        """Whether every track of its training was synthesised by the package."""
        return bool((self.train.tracks["source"] == "synthetic").all())

    @property
    def sources(self) -> pd.Series[str]:
        """Where each of the training's tracks is from; the data set that read it, where that is not said."""
        named = self.train.tracks["source"]
        return named.where(named != "", self.run.config.data["name"])

    @property
    def training_sources(self) -> list[str]:
        """The data sets it learnt from, ``unknown`` among them where it began with others' weights."""
        config = self.run.config
        began = bool(config.weights.path or config.text_encoder.get("model"))
        return sorted({*self.sources, *(["unknown"] if began else [])})

    @property
    def texts(self) -> pd.DataFrame:
        """The training texts of the languages and kinds that were asked for, each once."""
        texts, wanted = self.train.texts, self.run.config.text
        for column, values in (("language", wanted.languages), ("kind", wanted.kinds)):
            if values is not None:
                texts = texts[texts[column].isin(values)]
        return texts.drop_duplicates(["text", "language", "kind"])

    @property
    def tag_languages(self) -> list[str]:
        """Languages of the sentences that training made from tags; none if it made none."""
        if not self.model.reads or not self.run.config.text.tag_sentences or not len(self.train.tags):
            return []
        return list(self.run.config.text.languages or Lexicon.load().languages)


def card(run: Run, model: DualEncoder, export: Export) -> str:
    """The text of README.md."""
    manifest = Manifest.load(run.folder / "manifest")
    facts = Facts(run, model, manifest, manifest.part(run.config.split, "train"), _results(run), export)
    parts = (_head, _use, _intended, _data, _training, _figures, _provenance)
    return f"---\n{front_matter(facts).to_yaml()}\n---\n\n" + "\n".join(part(facts) for part in parts)


def _results(run: Run) -> dict[str, dict[str, Any]]:
    """What was found of the run, by its own experiment and by each protocol; nothing before it was judged."""
    own = run.folder / RESULTS
    found = {f"The experiment {run.config.name}": read_json(own)} if own.is_file() else {}
    for path in sorted((run.folder / PROTOCOLS).glob(f"*/{RESULTS}")):
        found[f"Protocol {path.parent.name}"] = read_json(path)
    return found


def front_matter(facts: Facts) -> ModelCardData:
    """The card's metadata: the hub's, and ``training_sources``, the data sets it learnt from."""
    spoken = sorted({*facts.texts["language"], *facts.tag_languages} if facts.model.reads else set())
    languages = [code for code in spoken if CODE.fullmatch(code) and code not in UNKNOWN]
    base = str(facts.run.config.text_encoder.get("model", ""))
    figures = eval_results(facts.results)
    return ModelCardData(
        model_name=facts.export.name if figures else None,
        eval_results=figures or None,
        language=languages or None,
        license=facts.export.licence or "unknown",
        library_name="sentence-transformers" if "sentence-transformers" in facts.export.formats else "onnx",
        base_model=base if re.fullmatch(r"[\w.-]+/[\w.-]+", base) else None,
        pipeline_tag="feature-extraction",
        tags=["crossmodal", "music", "audio", *(["text-to-audio-retrieval"] if facts.model.reads else [])],
        training_sources=facts.training_sources,
    )


def _head(facts: Facts) -> str:
    dim, reads = facts.model.dim, facts.model.reads
    what = f"Music and words about it as unit vectors of one space of {dim} dimensions, compared by their cosine."
    alone = f"Music as unit vectors of {dim} dimensions, compared by their cosine; the model reads no text."
    lines = [f"# {facts.run.config.name}", "", what if reads else alone]
    if facts.synthetic:
        lines += ["", "**Every track of its training is synthetic**: composed and synthesised by the package itself."]
    return "\n".join([*lines, ""])


def _use(facts: Facts) -> str:
    export = facts.export
    return usage.use(export.formats, export.name, facts.model.reads, export.differences)


def _intended(facts: Facts) -> str:
    frontend = facts.model.audio_encoder.frontend
    lines = [
        "## Intended use, and limits",
        "",
        "- Search in a catalogue of music by words or by a track, similarity, and features for classifiers.",
        f"- A track is heard at {frontend.sample_rate:,} Hz in {'mono' if frontend.channels == 1 else 'stereo'}, in"
        f" segments of {facts.model.window_s:g} s, whose vectors are averaged by their seconds: it has one vector.",
    ]
    if facts.model.reads:
        lines.append("- Languages and kinds of text that are not among the training's, below, were not judged.")
    if facts.synthetic:
        lines.append("- It has never heard recorded music; its figures say nothing about any.")
    lines.append("- Figures hold for the test parts they name, and for no other music.")
    return "\n".join([*lines, ""])


def _data(facts: Facts) -> str:
    tracks, rows = facts.train.tracks, []
    for source, part in tracks.groupby(facts.sources, sort=True):
        licence, citation = _source(str(source), facts.run.config.data["name"])
        rows.append((source, f"{len(part):,}", f"{part['duration'].sum() / 3600:.2f}", licence, citation))
    licences = tracks["licence"].replace("", "none stated").value_counts()
    name, split = facts.run.config.split, split_hash(facts.manifest, facts.run.config.split)
    lines = [
        "## Training data",
        "",
        f"{len(tracks):,} of {len(facts.manifest):,} tracks: the part train of the split {name} (hash {split}).",
        "",
        *table(("source", "tracks", "hours", "licence", "citation"), rows),
        "",
        *table(("licence of the audio", "tracks"), [(name, f"{count:,}") for name, count in licences.items()]),
        "",
        *(f"- {line}" for line in summary(tracks["licence"])),
        "",
    ]
    return "\n".join(lines + (_words(facts) if facts.model.reads else []))


def _source(name: str, by: str) -> tuple[str, str]:
    """Licence and citation of a source of tracks; those of the data set that read it if it is none of the package's."""
    known = registry.names("datasets")
    found = next((each for each in (name, by) if each in known), None)
    if found is None:
        return "not known", ""
    source = registry.find("datasets", found)
    return source.licence, source.citation


def _words(facts: Facts) -> list[str]:
    counts = facts.texts.groupby(["language", "kind"], sort=True).size().reset_index(name="texts")
    rows = [(row.language or "not stated", row.kind or "-", f"{row.texts:,}") for row in counts.itertuples()]
    lines = [*table(("language of the texts", "kind", "texts"), rows), ""] if rows else []
    if facts.tag_languages:
        share = facts.run.config.text.tag_sentences
        lines += [
            f"A share of {share:g} of the texts of tagged tracks names their tags: {_listed(facts.tag_languages)}."
        ]
    return [*lines, ""]


def _training(facts: Facts) -> str:
    config = facts.run.config
    weights = {key: f"{facts.run.config.objectives[key].get('weight', 1)}" for key in config.objectives}
    audio, text = (dict(block) for block in (config.audio_encoder, config.text_encoder))
    rows = [
        ("audio encoder", f"{audio.pop('name')} {_settings(audio)}"),
        ("text encoder", f"{text.pop('name')} {_settings({k: v for k, v in text.items() if k != 'model'})}"),
        ("parameters", f"{sum(p.numel() for p in facts.model.parameters()):,}"),
        ("objectives, with weights", _settings(weights)),
        ("optimiser", f"{config.optimizer.name}, lr {config.optimizer.lr:g}, {config.optimizer.schedule}"),
        ("epochs, batch size", f"{config.train.epochs}, {config.train.batch_size}"),
        ("crop", f"{config.window_s:g} s"),
        ("seed", str(config.seed)),
    ]
    if config.weights.path:
        rows.append(("audio encoder began with", Path(config.weights.path).name))
    return "\n".join(["## Training", "", *table(("setting", "value"), rows), ""])


def _figures(facts: Facts) -> str:
    lines = ["## Figures", ""]
    if not facts.results:
        lines += ["It was not judged.", ""]
    for title, found in facts.results.items():
        split = found["split"]
        where = f"Split {split['name']} (hash {split['hash']}), part {split['part']}, {split['tracks']:,} tracks"
        stated = found.get("protocol", {}).get("title", "")
        lines += [f"### {title}", "", f"{stated}. {where}." if stated else f"{where}.", ""]
        if found.get("synthetic"):
            lines += ["The tracks are synthetic.", ""]
        for task, judged in found["tasks"].items():
            lines += _task(task, judged)
    return "\n".join(lines)


def _task(name: str, judged: Mapping[str, Any]) -> list[str]:
    """A task's table: what sums it up, and, folded, what it is by language, kind or tag."""
    rows = [(metric, *_figure(found), _count(found)) for metric, found in judged["metrics"].items()]
    head = (f"{name} (summed up by {judged['primary']})", "value", f"{LEVEL:.0%} interval", "chance", "of")
    main, rest = [row for row in rows if row[0].count("/") < 2], [row for row in rows if row[0].count("/") > 1]
    folded = ["<details><summary>in parts</summary>", "", *table(head, rest), "", "</details>", ""] if rest else []
    return [*table(head, main), "", *folded]


def _figure(found: Mapping[str, Any]) -> tuple[str, str, str]:
    value, low, high, chance = (found.get(key) for key in ("value", "low", "high", "chance"))
    interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    return "undefined" if value is None else f"{value:.3f}", interval, "" if chance is None else f"{chance:.3f}"


def _count(found: Mapping[str, Any]) -> str:
    return "" if found.get("queries") is None else f"{found['queries']:,}"


def _provenance(facts: Facts) -> str:
    path = facts.run.folder / "environment.json"
    machine = read_json(path) if path.is_file() else {}
    known = [f"{name} {machine[name]}" for name in ("crossmodal", "python", "torch", "numpy") if name in machine]
    lines = [f"Model {facts.model.fingerprint}; exported by crossmodal {__version__}."]
    if known:
        lines.append(f"Trained with {_listed(known)}.")
    if facts.export.licence is None:
        lines.append("No licence has been chosen for the weights.")
    return "\n".join(["## Provenance", "", *lines, ""])


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    """Lines of a table in markdown; what would end a cell or a line is made harmless."""
    cells = [[re.sub(r"\s+", " ", str(cell)).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in ([*head], ["---"] * len(head), *cells)]
