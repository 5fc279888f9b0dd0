"""Judge a trained run: tasks, results.json, the index of its test part, its report and example answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from crossmodal import config as configs
from crossmodal import guards, registry, report
from crossmodal import settings as plain
from crossmodal.config import Config
from crossmodal.data.catalogue import catalogue
from crossmodal.data.engine import Engine
from crossmodal.data.groups import mostly_by
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash
from crossmodal.data.store import FeatureStore
from crossmodal.embedding import Embedded, Vectors
from crossmodal.embedding_work import embed_files
from crossmodal.files import Skipped, write_skipped
from crossmodal.judgement import Judgement
from crossmodal.material import QUERIES, Floats
from crossmodal.model import DualEncoder
from crossmodal.prepare import store_path
from crossmodal.results import write as write_results
from crossmodal.runs import Run, find_run
from crossmodal.search import AnyIndex, Hit
from crossmodal.search import build_index as built
from crossmodal.tasks._queries import tag_queries
from crossmodal.types import PathLike

Say = Callable[[str], None]
RARE = 0.1  # a chance that a figure exceeds by times, not by points


class Evaluation(NamedTuple):
    """What was found: the content of results.json, and what each task gave."""

    results: dict[str, Any]
    judgements: dict[str, Judgement]


class Guarded(NamedTuple):
    """What the guards found, as results.json has it; and a line for each leak, and for each tower that collapsed."""

    results: dict[str, Any]
    leaks: list[str]
    collapses: list[str]


def evaluate(embedded: Embedded, tasks: Mapping[str, Mapping[str, Any]], part: str = "test") -> dict[str, Any]:
    """Run tasks on one part of a split: the results of `judge` alone."""
    return judge(embedded, tasks, part).results


def judge(embedded: Embedded, tasks: Mapping[str, Mapping[str, Any]], part: str = "test") -> Evaluation:
    """Run tasks on one part of a split.

    Args:
        embedded: the model beside its data.
        tasks: name -> settings, of ``tasks/``.
        part: train, valid or test.

    Returns:
        Model, split with its hash, and each task's metrics with their intervals; and what the tasks gave.
    """
    built = {name: registry.build("tasks", name, **settings) for name, settings in tasks.items()}
    judgements = {name: task.evaluate(embedded, part) for name, task in built.items()}
    found = {
        name: {
            "primary": judgements[name].primary or task.primary,
            "settings": dict(tasks[name]),
            "metrics": judgements[name].as_dict(),
            "left_out": judgements[name].left_out,
        }
        for name, task in built.items()
    }
    split = {
        "name": embedded.split,
        "hash": split_hash(embedded.manifest, embedded.split),
        "part": part,
        "tracks": len(embedded.part(part)),
        "mostly_by": mostly_by(embedded.part(part)),
    }
    skipped = len(embedded.vectors(part).skipped)
    sources = sorted(embedded.manifest.tracks["source"].unique())
    results = {
        "synthetic": sources == ["synthetic"],
        "model": embedded.model.fingerprint,
        "data": {"sources": sources, "tracks": len(embedded.manifest)},
        "split": split,
        "tasks": found,
        "skipped": skipped,
    }
    return Evaluation(results, judgements)


def tables_of(judgements: Mapping[str, Judgement]) -> dict[tuple[str, str], pd.DataFrame]:
    """The tables of all tasks, by task and name, as `results.Tables` has them."""
    return {(task, name): table for task, one in judgements.items() for name, table in one.tables.items()}


def open_run(folder: str | Path) -> tuple[Run, Embedded]:
    """A finished or unfinished run, by its folder or its experiment's: its best model beside its data."""
    run = find_run(folder)
    model = best_model(run)
    manifest = Manifest.load(run.folder / "manifest")
    path = store_path(run.config, manifest, model.audio_encoder.frontend)
    store = FeatureStore(path) if path.is_file() else None
    return run, Embedded(model, manifest, run.config.split, store)


def trusted(config: Config) -> list[str]:
    """The outside classes that the user's own experiment names."""
    return [block["name"] for block in (config.audio_encoder, config.text_encoder) if ":" in block["name"]]


def build_index(
    location: PathLike,
    manifest: Manifest,
    vectors: Vectors,
    kind: str = "flat",
    settings: Mapping[str, Any] | None = None,
    recall: float = 0.95,
    queries: Floats | None = None,
) -> AnyIndex:
    """Index the segments of embedded tracks; the other arguments are those of `search.build_index`."""
    tables = vectors.segment_vectors, vectors.segments, catalogue(manifest, vectors.track_ids)
    rest: dict[str, Any] = {"settings": settings, "recall": recall, "queries": queries}
    return built(location, *tables, vectors.fingerprint, kind, frontend=vectors.frontend, **rest)


def ask(index: AnyIndex, model: DualEncoder, text: str, k: int = 10) -> list[Hit]:
    """The tracks nearest to words."""
    return index.search(model.embed_text([text]), k, model.fingerprint)[0]


def finish(run: Run, embedded: Embedded, say: Say) -> dict[str, Any]:
    """After training: index the test part, run the tasks, answer the example queries, write the report."""
    evaluation = judge(embedded, run.config.tasks)
    vectors = embedded.vectors("test")
    skipped = every_skip(embedded, vectors)
    write_skipped(run.folder / "skipped.csv", skipped)
    queries = likely_queries(run, embedded.model)
    index = build_index(run.folder / "index", embedded.part("test"), vectors, queries=queries)
    asked = {text: ask(index, embedded.model, text, 5) for text in run.config.queries}
    examples = [{"query": text, "hits": [as_dict(hit) for hit in hits]} for text, hits in asked.items()]
    checked = guarded(run, embedded, run.config.tasks)
    results = {"experiment": run.config.name, "seed": run.config.seed, **evaluation.results, "examples": examples}
    results["guards"] = checked.results
    write_results(run.folder, results, evaluation.judgements)
    page = report.write(run, embedded, results, tables_of(evaluation.judgements))
    for line in [*summary(results), *report.alarms(run), *checked.leaks, *checked.collapses]:
        say(line)
    say(f"run {run.folder}: model/, index/, results.json; {len(skipped)} skipped (see skipped.csv); open {page}")
    return results


def guarded(run: Run, embedded: Embedded, tasks: Iterable[str], part: str = "test") -> Guarded:
    """What a part that tasks judge shares by name with others of its split, and how its vectors spread.

    Nothing is listened to, and nothing refused.
    """
    leaks = guards.leaks(embedded.manifest, embedded.split, part)
    spreads = guards.spreads(embedded, part, ask_words(tasks))
    found = {"leaks": [leak._asdict() for leak in leaks], "collapse": spreads}
    return Guarded(found, guards.told(leaks, part=part), guards.collapses(spreads, run.config.train.epochs > 0))


def ask_words(tasks: Iterable[str]) -> bool:
    """Whether one of the tasks asks with words."""
    return any(registry.find("tasks", name).reads for name in tasks)


def every_skip(embedded: Embedded, vectors: Vectors) -> list[Skipped]:
    """What could not be used, each once: rows of the source, tracks without features, tracks without vectors."""
    stored = embedded.store.skipped if embedded.store else []
    return list(dict.fromkeys([*embedded.manifest.skipped, *stored, *vectors.skipped]))


def as_dict(hit: Hit) -> dict[str, Any]:
    """A hit as the report and ``--json`` show it."""
    shown = {key: hit.metadata.get(key, "") for key in ("title", "artist", "album", "path")}
    return {"rank": hit.rank, "track_id": hit.track_id, "score": hit.score, "start": hit.start, "end": hit.end, **shown}


def summary(results: Mapping[str, Any]) -> list[str]:
    """The lines that end a run: what was judged, what each task found and left out, and the example answers."""
    lines = [f"{judged_on(results)}, 1 seed"]
    for name, task in results["tasks"].items():
        lines += told(name, task)
    for example in results["examples"]:
        lines.append(f"“{example['query']}”")
        lines += [answer(hit) for hit in example["hits"][:3]]
    return lines


def judged_on(results: Mapping[str, Any]) -> str:
    """The data, the split and the part of results in words."""
    split, skipped = results["split"], results["skipped"]
    kind = "synthetic data, " if results["synthetic"] else ""
    lost = f", {skipped:,} of them skipped" if skipped else ""
    artist = split.get("mostly_by")
    most = f", more than half by {artist}, drawn by their groups, or each by itself" if artist else ""
    return f"{kind}split {split['name']} ({split['hash']}), part {split['part']}, {split['tracks']} tracks{most}{lost}"


def told(name: str, task: Mapping[str, Any]) -> list[str]:
    """The results of a task in words: its primary metrics with interval and chance, and what it left out."""
    figures = [f"{name} {metric}: {line(found)}" for metric, found in primary(task).items()]
    return figures + [f"{name} leaves out {what}: {why}" for what, why in task["left_out"].items()]


def primary(task: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of a task's primary measure and direction: of all queries, and of each kind, language or tagset."""
    direction, _, measure = task["primary"].rpartition("/")
    return {
        name: found
        for name, found in task["metrics"].items()
        if name.startswith(direction) and name.rpartition("/")[2] == measure
    }


def answer(hit: Mapping[str, Any]) -> str:
    """One answer in words: rank, score, title and the seconds that matched."""
    seconds = f"{hit['start']:.0f}-{hit['end']:.0f} s"
    return f"{hit['rank']:5d}. {hit['score']:.3f}  {hit['title'] or hit['track_id']}  {seconds}  {hit['path']}"


def line(found: Mapping[str, Any]) -> str:
    """One figure in words."""
    text = f"{found['value']:.3f}"
    if found.get("low") is not None:
        text += f" [{found['low']:.3f}, {found['high']:.3f}]"
    elif found.get("groups") == 1:
        text += " [no interval: one group]"
    if (chance := found.get("chance")) is not None:
        text += f", chance {chance:.4f}"
        text += f" ({found['value'] / chance:.0f}x)" if 0 < chance < RARE and found["value"] > chance else ""
    counts = [f"{found[what]} {what}" for what in ("queries", "candidates") if found[what] is not None]
    chosen = [f"chosen on {found['chosen_on']}"] if "chosen_on" in found else []
    return ", ".join([text, *counts, *chosen])


def best_model(run: Run) -> DualEncoder:
    """The best model of a run, with the outside classes that its own experiment names."""
    return DualEncoder.load(run.model, trust=trusted(run.config))


def training_texts(run: Run, count: int = 2000, seed: int = 0) -> list[str]:
    """Texts of the part that a run trained on, at most ``count``, each once: a bank of queries, for `Asker`."""
    part = Manifest.load(run.folder / "manifest").part(run.config.split, "train")
    texts = part.texts["text"].drop_duplicates()
    return list(texts.sample(min(count, len(texts)), random_state=seed))


def likely_queries(run: Run, model: DualEncoder) -> Floats | None:
    """Vectors of texts like those that will be asked for, to judge an index by; None if the model reads no text.

    They are the validation part's, which the model has not learned, and after these the training part's; sentences of
    the tags where a part has no texts.
    """
    if not model.reads:
        return None
    manifest = Manifest.load(run.folder / "manifest")
    parts = [_wordings(manifest.part(run.config.split, name)) for name in ("valid", "train")]
    texts = pd.concat([part.sample(frac=1, random_state=0) for part in parts]).drop_duplicates()
    return model.embed_text(list(texts[:QUERIES]))


def _wordings(part: Manifest) -> pd.Series[str]:
    own = part.texts["text"].drop_duplicates()
    return own if len(own) else pd.Series([query.text for query in tag_queries(part, seed=0)], dtype="str")


def embed_catalogue(run: Run, manifest: Manifest, out: Path, engine: Engine) -> AbstractContextManager[Vectors]:
    """The vectors of a manifest's files by a run's best model; what is done is in ``<out>.partial`` until the end."""
    return embed_files(run.model, manifest, out.with_name(f"{out.name}.partial"), engine, trusted(run.config))


def task_settings(names: list[str]) -> dict[str, dict[str, Any]]:
    """Tasks as a command names them: ``retrieval`` with its defaults, ``probe.tagsets=[makam]`` with a setting."""
    tasks: dict[str, dict[str, Any]] = {name: {} for name in names if "=" not in name}
    configs.apply(tasks, [name for name in names if "=" in name])
    plain.check("--task", tasks, dict.fromkeys(tasks, plain.Setting(dict[str, Any], True)))
    for task, block in tasks.items():
        registry.check_settings(registry.find("tasks", task), block, f"tasks.{task}")
    return tasks
