"""``crossmodal index``: a manifest's tracks become a search index, and indexes are looked at, changed and moved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossmodal.cli.shared import EngineName, ManifestFolder, RunFolder, Workers, otherwise, say
from crossmodal.errors import InputError

if TYPE_CHECKING:
    from crossmodal.data.manifest import Manifest

SHOWN = 20  # problems that are printed


app = typer.Typer(
    cls=otherwise("build"),
    help="Build the search index of a manifest's tracks: crossmodal index RUN MANIFEST. Or look at an index, change it"
    " and move it, by the commands below.",
    subcommand_metavar="RUN MANIFEST|COMMAND [ARGS]...",
    no_args_is_help=True,
)

WHERE = "a folder, or Milvus: catalogue.db or https://host:19530, either with #collection"
Location = Annotated[str, typer.Argument(metavar="INDEX", help=f"An index: {WHERE}.")]
Folder = Annotated[Path, typer.Argument(help="An index's folder.")]
KIND = "flat, hnsw, ivf, ivfsq, ivfpq, rabitq, or auto by size and memory."
RECALL = "The share of the ten nearest that an approximate kind shall find."
Kind = Annotated[str, typer.Option(help=KIND)]
Recall = Annotated[float, typer.Option(help=RECALL)]
OtherKind = Annotated[str | None, typer.Option(help=f"{KIND} As it was unless given.")]
OtherRecall = Annotated[float | None, typer.Option(help=f"{RECALL} As it was unless given.")]
Memory = Annotated[int | None, typer.Option(help="Bytes that searches may keep resident, for --kind auto.")]


def chosen(kind: str | None, memory: int | None) -> dict[str, Any]:
    """The settings of a kind that a command names."""
    if memory is not None and kind != "auto":
        raise InputError("--memory goes with --kind auto")
    return {} if memory is None else {"memory": memory}


def summary(found: Any) -> str:
    """An index in a line."""
    info = found.info
    recall = info["recall"]
    of = recall.get("of") or {"segments": recall["measured"]} if info["effort"] else {}
    each = " and ".join(f"{share:.3f} of {name}" for name, share in of.items())
    said = f", recall@10 {each} ({recall['asked']:g} asked)" if of else ""
    return f"{found.location}: {info['built']}, {info['tracks']:,} tracks in {info['segments']:,} segments{said}"


def part(manifest: Manifest, shard: str) -> Manifest:
    """The tracks of a shard, such as 3/64; all of them if none is named."""
    from crossmodal.search.pieces import shard as chosen_ids

    if not shard:
        return manifest
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--shard is {shard!r}; valid is such as 3/64, from 1/64 to 64/64")
    ids = chosen_ids(list(manifest.tracks["track_id"]), int(found[1]), int(found[2]))
    if not ids:
        raise InputError(f"shard {shard} holds none of {len(manifest)} tracks; take fewer shards")
    return manifest.select(ids)


@app.command()
def build(
    run: RunFolder,
    manifest: ManifestFolder,
    out: Annotated[str | None, typer.Option(help=f"Where: {WHERE}; the run's own folder unless given.")] = None,
    shard: Annotated[
        str, typer.Option(help="Which tracks, such as 3/64 of all; `merge` puts the shards together.")
    ] = "",
    kind: Kind = "flat",
    recall: Recall = 0.95,
    memory: Memory = None,
    workers: Workers = 2,
    engine: EngineName = "processes",
) -> None:
    """Build the search index of a manifest's tracks; `crossmodal index RUN MANIFEST` is the same."""
    from crossmodal.data.engine import named
    from crossmodal.data.manifest import Manifest
    from crossmodal.evaluation import best_model, build_index, embed_catalogue, likely_queries
    from crossmodal.runs import find_run
    from crossmodal.search.opening import beside

    found, tracks, settings = find_run(run), part(Manifest.load(manifest), shard), chosen(kind, memory)
    if shard and not out:
        raise InputError("a shard is no run's index; give its folder by --out")
    location = out or found.folder / "index"
    with embed_catalogue(found, tracks, beside(location, found.folder), named(engine, workers)) as vectors:
        queries = likely_queries(found, best_model(found))
        built = build_index(location, tracks, vectors, kind, settings, recall, queries)
        say(f"{summary(built)}; {len(vectors.skipped)} skipped")


@app.command()
def add(
    index: Location,
    run: RunFolder,
    manifest: ManifestFolder,
    update: Annotated[bool, typer.Option("--update", help="Replace tracks that are there already.")] = False,
    workers: Workers = 2,
    engine: EngineName = "processes",
) -> None:
    """Add a manifest's tracks to an index."""
    from crossmodal.data.catalogue import catalogue
    from crossmodal.data.engine import named
    from crossmodal.data.manifest import Manifest
    from crossmodal.evaluation import embed_catalogue
    from crossmodal.runs import find_run
    from crossmodal.search import open_index
    from crossmodal.search.opening import beside

    found, opened, tracks = find_run(run), open_index(index), Manifest.load(manifest)
    with embed_catalogue(found, tracks, beside(index, found.folder), named(engine, workers)) as vectors:
        change = opened.update if update else opened.add
        change(vectors.segment_vectors, vectors.segments, catalogue(tracks, vectors.track_ids), vectors.fingerprint)
        say(f"{summary(opened)}; {len(vectors.track_ids)} tracks came, {len(vectors.skipped)} skipped")


@app.command()
def delete(index: Location, track_ids: Annotated[list[str], typer.Argument(help="Ids of tracks.")]) -> None:
    """Remove tracks from an index."""
    from crossmodal.search import open_index

    opened = open_index(index)
    opened.delete(track_ids)
    say(summary(opened))


@app.command()
def info(index: Location) -> None:
    """Say what an index is: counts, kind, recall, model, and what its journal holds."""
    from crossmodal.search import open_index

    opened = open_index(index)
    said = opened.info
    say(summary(opened))
    say(f"dim {opened.dim}, model {opened.fingerprint}, front end {said['frontend'] or '-'}")
    say(f"kind {said['kind']}, searched with {said['effort'] or 'exact search'}; recall: {said['recall']['how']}")
    if "files" in said:
        sizes = sum(file["bytes"] for file in said["files"].values())
        say(f"{opened.generation}: {sizes:,} bytes; journal: {said['journal']:,} bytes (`compact` folds them in)")
    else:
        say(f"collection {opened.generation}")
    say(f"metadata: {', '.join(opened.columns) or '-'}")


@app.command()
def verify(index: Location) -> None:
    """Read all of an index and say what is wrong: checksums, counts, records of the journal."""
    from crossmodal.search.opening import open_index
    from crossmodal.search.opening import verify as checked

    problems = checked(index)
    for problem in problems[:SHOWN]:
        say(problem)
    if problems:
        raise typer.Exit(2)
    say(f"{summary(open_index(index))}; all of it is what was written")


@app.command()
def compact(index: Location, kind: OtherKind = None, recall: OtherRecall = None, memory: Memory = None) -> None:
    """Fold what was added and deleted into a new generation, or make it another kind."""
    from crossmodal.search import open_index

    opened, settings = open_index(index), chosen(kind, memory)
    opened.compact(kind, settings, recall)
    say(summary(opened))


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="The new index's folder.")],
    indexes: Annotated[list[Path], typer.Argument(help="Indexes of one model, which stay as they are.")],
    kind: OtherKind = None,
    recall: OtherRecall = None,
    memory: Memory = None,
) -> None:
    """Make one index of several, such as shards that were built side by side."""
    from crossmodal.search.merging import merge as merged

    say(summary(merged(out, indexes, kind, chosen(kind, memory), recall)))


@app.command()
def export(
    index: Location, out: Annotated[Path, typer.Option(help="A parquet file.")] = Path("vectors.parquet")
) -> None:
    """Write the segments of an index as parquet: track_id, start, end, vector, metadata."""
    from crossmodal.search import open_index
    from crossmodal.search.exchange import write_parquet

    opened = open_index(index)
    write_parquet(opened, out)
    say(f"{out}: {opened.info['tracks']:,} tracks in {opened.info['segments']:,} segments")


@app.command("import")
def import_(
    parquet: Annotated[list[Path], typer.Argument(help="Files as `crossmodal index export` writes them.")],
    out: Annotated[str, typer.Option(help=f"The new index: {WHERE}.")],
    kind: Kind = "flat",
    recall: Recall = 0.95,
    memory: Memory = None,
    fingerprint: Annotated[str | None, typer.Option(help="The model's, where the files do not say it.")] = None,
) -> None:
    """Build an index of the vectors in parquet files."""
    from crossmodal.search.exchange import read_parquet

    settings = chosen(kind, memory)
    made = read_parquet(parquet, out, kind, settings=settings, recall=recall, fingerprint=fingerprint)
    say(summary(made))
