"""``crossmodal data``: data sets to manifests, and manifests looked at, checked and split."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from crossmodal import registry
from crossmodal.cli.shared import EngineName, ManifestFolder, Workers, otherwise, say
from crossmodal.errors import InputError, listed

SHOWN = 20  # problems that are printed


app = typer.Typer(
    cls=otherwise("source"),
    help=f"Turn a data set into a manifest: crossmodal data NAME --root DIR --out MANIFEST. Sources:"
    f" {', '.join(registry.names('datasets'))}. `crossmodal data about NAME` says what one needs.",
    subcommand_metavar="NAME|COMMAND [ARGS]...",
    no_args_is_help=True,
)


@app.command(hidden=True)
def source(
    name: Annotated[str, typer.Argument(help="A source.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Its settings, key=value", show_default=False)] = None,
    root: Annotated[Path | None, typer.Option(help="The folder it lies in; the same as root=DIR.")] = None,
    out: Annotated[Path, typer.Option(help="The manifest's folder, written.")] = Path("manifest"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first tracks.")] = None,
    labels_only: Annotated[bool, typer.Option(help="Read the labels alone; no audio need be there.")] = False,
    read_audio: Annotated[bool, typer.Option(help="Also look into the header of every audio file.")] = False,
) -> None:
    """Turn a data set into a validated manifest."""
    from crossmodal.data.sources import altered

    made = built(name, settings or [], root)
    manifest = made.manifest(limit, labels_only)
    problems = altered(made) + manifest.validate(read_audio)
    for problem in problems[:SHOWN]:
        say(problem)
    gone = before(out) - set(manifest.splits["name"])
    manifest.save(out)
    if gone:
        say(f"the manifest that was here had splits which this one has not: {listed(sorted(gone))}")
    for step in manifest.steps:
        say(str(step))
    counts = ", ".join(f"{len(table):,} {name}" for name, table in manifest.tables.items())
    say(f"{out}: {counts}; {len(manifest.skipped):,} skipped (see skipped.csv), {len(problems)} problems")
    for line in splits(manifest):
        say(line)
    if problems:
        raise typer.Exit(2)


def before(out: Path) -> set[str]:
    """The names of the splits of the manifest that is about to be replaced."""
    from crossmodal.data.manifest import Manifest

    return set(Manifest.load(out).splits["name"]) if (out / "manifest.json").exists() else set()


def built(name: str, settings: list[str], root: Path | None) -> Any:
    """The source of a name and its settings, checked."""
    from crossmodal import config

    block: dict[str, Any] = {"name": name}
    config.apply(block, settings)
    if root is not None:
        if "root" in block:
            raise InputError(f"the root is given twice: --root {root} and root={block['root']}")
        block["root"] = str(root)
    registry.check("datasets", block)
    return registry.build_block("datasets", block)


def splits(manifest: Any) -> list[str]:
    """A line a split: its name, its hash, and the tracks of its parts."""
    from crossmodal.data.checks import PARTS
    from crossmodal.data.splits import split_hash

    counts = manifest.splits.groupby(["name", "part"], sort=False).size()
    names = counts.index.get_level_values("name").unique()
    parts = {name: listed(f"{part} {counts[name][part]:,}" for part in PARTS if part in counts[name]) for name in names}
    return [f"split {name} ({split_hash(manifest, name)}): {parts[name]}" for name in names]


@app.command()
def about(name: Annotated[str, typer.Argument(help="A source.")]) -> None:
    """Say what a source is, where to get it, how to lay it out, and which settings it has."""
    from crossmodal.settings import describe

    cls = registry.find("datasets", name)
    say(inspect.cleandoc(cls.__doc__ or ""))
    about = {"home": cls.home, "layout": cls.layout, "licence": cls.licence, "citation": cls.citation}
    for key, value in about.items():
        say(f"{key}: {value}" if value else f"{key}: -")
    settings = registry.settings(cls)
    say(f"settings: {listed((f'{key} ({describe(s.annotation)})' for key, s in settings.items()), 50)}")


@app.command()
def show(manifest: ManifestFolder) -> None:
    """Say what a manifest holds: its tables, tagsets, languages and splits, and where its tracks were lost."""
    from crossmodal.data.manifest import Manifest

    found = Manifest.load(manifest)
    for step in found.steps:
        say(str(step))
    say(", ".join(f"{len(table):,} {name}" for name, table in found.tables.items()))
    for tagset, tags in found.tags.groupby("tagset")["tag"]:
        asked = int((found.annotated["tagset"] == tagset).sum())
        say(f"tagset {tagset}: {tags.nunique():,} tags, {asked:,} tracks annotated, most: {listed(tags.mode()[:1])}")
    for names, texts in found.texts.groupby(["kind", "language"])["text_id"]:
        kind, language = (str(name) or "-" for name in names)
        say(f"texts of kind {kind} in {language}: {texts.nunique():,}")
    for line in splits(found):
        say(line)


@app.command()
def split(
    manifest: ManifestFolder,
    name: Annotated[str, typer.Option(help="What the split is called.")],
    by: Annotated[str, typer.Option(help="A column that is not cut: artist, album, group, track_id, ...")] = "group",
    tagset: Annotated[str | None, typer.Option(help="Stratify by the rarest tag of this tagset.")] = None,
    text: Annotated[str | None, typer.Option(help="Train with a text of this kind, test without.")] = None,
    valid: Annotated[float, typer.Option(min=0, max=1, help="The share that validates; of train with --text.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, max=1, help="The share that tests; not with --text.")] = 0.1,
    salt: Annotated[str, typer.Option(help="Another salt gives another split.")] = "",
    ledger: Annotated[
        Path | None, typer.Option(help="What `crossmodal data check` wrote; MANIFEST.ledger if there is one.")
    ] = None,
) -> None:
    """Add a split to a manifest. Groups, and duplicates that a check has found, are in one part each."""
    from crossmodal.data import partition
    from crossmodal.data.manifest import Manifest
    from crossmodal.data.splits import add_split, split_by_group

    if tagset and text:
        raise InputError("--tagset and --text make different splits; give one of them")
    manifest = manifest.resolve()
    found = Manifest.load(manifest)
    beside = manifest.with_name(f"{manifest.name}.ledger")
    checked = ledger or (beside if beside.exists() else None)
    groups = grouped(found, by, checked)
    fractions = {"train": 1 - valid - test, "valid": valid, "test": test}
    left: list[Any] = []
    if text:
        parts = partition.split_by_text(found, text, valid, groups, salt)
        left = partition.left_out(found, text, groups)
    elif tagset:
        parts = partition.split_by_rarest_tag(found, tagset, groups, fractions, salt)
    else:
        parts = split_by_group(groups, fractions, salt)
    made = add_split(found, name, parts).check()
    made.save(manifest)
    for skipped in left[:SHOWN]:
        say(f"in no part: {skipped}")
    if left:
        say(f"{len(left)} tracks are in no part")
    say(splits(made)[-1])
    sizes = groups[groups != ""].value_counts()
    say(f"{len(sizes):,} groups, none of them cut, the largest of {sizes.max() if len(sizes) else 0:,} tracks")
    if checked is None:
        say("duplicates were not looked for, and may lie in different parts: `crossmodal data check` finds them")


def grouped(manifest: Any, by: str, ledger: Path | None) -> Any:
    """What is not cut, by track id: the values of a column, united with the groups and the duplicates they touch."""
    from crossmodal.data import partition, rows

    column = rows.column(manifest.tracks, by, Path("the manifest"))
    tracks = manifest.tracks.set_index("track_id")
    groups = partition.joined(column.astype("str").set_axis(tracks.index), tracks["group"])
    if ledger is None:
        return groups
    from crossmodal.data.ledger import Ledger

    found = Ledger.load(ledger)
    if unheard := set(tracks.index) - set(found.table["track_id"]):
        raise InputError(
            f"{len(unheard)} of {len(tracks)} tracks are not in {ledger}; run `crossmodal data check` again, or remove"
            " it"
        )
    return partition.joined(groups, found.clusters)


@app.command()
def check(
    manifest: ManifestFolder,
    out: Annotated[Path | None, typer.Option(help="The ledger's folder; MANIFEST.ledger unless given.")] = None,
    workers: Workers = 2,
    engine: EngineName = "processes",
) -> None:
    """Listen to every file: find corrupt, silent, mislabelled and duplicated audio, and say what licences forbid."""
    from crossmodal.data.engine import named
    from crossmodal.data.ledger import check as checked
    from crossmodal.data.manifest import Manifest

    manifest = manifest.resolve()
    folder = out or manifest.with_name(f"{manifest.name}.ledger")
    ledger = checked(Manifest.load(manifest), folder.with_name(f"{folder.name}.heard"), named(engine, workers))
    ledger.save(folder)
    problems = ledger.problems()
    for line in [*problems, *ledger.terms()]:
        say(line)
    say(f"{folder}: ledger.parquet, duplicates.csv; {len(ledger.table):,} tracks, {len(problems)} kinds of problems")
    if problems:
        raise typer.Exit(2)
