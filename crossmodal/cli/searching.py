"""`crossmodal search`: one query, or a file of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crossmodal.cli.shared import RunFolder, say
from crossmodal.errors import InputError, listed

if TYPE_CHECKING:
    from crossmodal.asking import Asker, Wishes
    from crossmodal.hits import Hit
    from crossmodal.queries import Query

QUERY = (
    'Words, or an audio file, or several: "solo cello, long notes", song.mp3, song.mp3@1:00-1:30, id:TRACK, '
    '"piano -drums", "song.mp3 +slower", "piano^2 +rain"'
)
WHERE = "A condition, may be given again: year>=1990, language=de|tr, tag!=drums, duration=60..180, licence=CC0-1.0"


def search(
    run: RunFolder,
    query: Annotated[str | None, typer.Argument(help=QUERY, show_default=False)] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Answers.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    text: Annotated[bool, typer.Option("--text", help="The query is words, whatever it looks like.")] = False,
    index: Annotated[
        str | None, typer.Option(help="An index: a folder, or Milvus; the run's own unless given.")
    ] = None,
    where: Annotated[list[str] | None, typer.Option(help=WHERE)] = None,
    per_artist: Annotated[int | None, typer.Option(min=1, help="Answers of one artist, at most.")] = None,
    match: Annotated[
        Literal["max", "mean", "late"],
        typer.Option(help="A track's score: its best segment's, all segments' mean, or the mean over the query's own."),
    ] = "max",
    copies: Annotated[bool, typer.Option("--copies", help="Also answer with the query's own sound.")] = False,
    csls: Annotated[bool, typer.Option("--csls", help="Lower tracks that are near to all words (hubs).")] = False,
    batch: Annotated[Path | None, typer.Option(help="A .txt, .csv or .jsonl file of queries.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .jsonl or .csv file for the answers of --batch.")] = None,
) -> None:
    """Ask the index in words, with songs, or with both."""
    from crossmodal import filters, queries
    from crossmodal.asking import Asker, Wishes
    from crossmodal.evaluation import best_model, training_texts
    from crossmodal.runs import find_run
    from crossmodal.search import open_index

    if (query is None) == (batch is None) or (out and not batch):
        raise InputError("give one query, or a file of queries with --batch, whose answers --out may name a file for")
    conditions = tuple(one for typed in where or () for one in filters.parse(typed))
    wishes = Wishes(k, conditions, per_artist, match, copies)
    parse = queries.words if text else queries.parse
    asked = parse(query) if query is not None else None
    home = find_run(run)
    model = best_model(home)
    bank = model.embed_text(training_texts(home)) if csls else None
    asker = Asker(open_index(index or home.folder / "index"), model, bank)
    if asked is not None:
        _one(asker, asked, wishes, as_json)
    elif batch is not None:
        _many(asker, batch, parse, wishes, out, as_json)


def _one(asker: Asker, query: Query, wishes: Wishes, as_json: bool) -> None:
    from crossmodal.evaluation import as_dict

    hits, copies = asker.ask(query, wishes)
    if as_json:
        say(json.dumps([as_dict(hit) for hit in hits], ensure_ascii=False, indent=1))
    for hit in () if as_json else hits:
        say(_line(hit))
    if copies:
        print(f"left out as the query itself: {listed(copies)}; --copies keeps them", file=sys.stderr)


def _many(
    asker: Asker, path: Path, parse: Callable[[str], Query], wishes: Wishes, out: Path | None, as_json: bool
) -> None:
    from crossmodal import batch

    rows = batch.answers(asker, batch.read(path, parse), wishes)
    if out:
        count, failed = batch.write(out, rows)
        say(f"{out}: {count} queries; {failed} without an answer, with the error")
        return
    for row in rows:
        say(json.dumps(row, ensure_ascii=False) if as_json else _lines(row))


def _line(hit: Hit) -> str:
    name = hit.metadata.get("title") or hit.track_id
    seconds = f"{hit.start:.1f}-{hit.end:.1f} s"
    return f"{hit.rank:3d}  {hit.score:.3f}  {name}  {seconds}  {hit.metadata.get('path', '')}"


def _lines(row: Mapping[str, Any]) -> str:
    from crossmodal.evaluation import answer

    found = [f"error: {row['error']}"] if "error" in row else [answer(hit) for hit in row["hits"]]
    return "\n".join([f"{row['id']}: {row['query']}", *found])
