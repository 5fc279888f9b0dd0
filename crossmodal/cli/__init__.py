"""The commands. A user's mistake ends in one line and exit code 2; scripts call the same functions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from crossmodal import __version__
from crossmodal.cli import data, index, mapping, tag
from crossmodal.cli.comparing import compare
from crossmodal.cli.evaluating import evaluate
from crossmodal.cli.exporting import export
from crossmodal.cli.reporting import report
from crossmodal.cli.score import score
from crossmodal.cli.searching import search
from crossmodal.cli.serve import serve
from crossmodal.cli.shared import EngineName, ManifestFolder, RunFolder, Workers, say
from crossmodal.errors import InputError, Interrupted, SharedError

# torch and the package's own parts are imported inside the commands: `--help` stays fast

FRONTEND = "log_mel, cqt, raw or a preset, such as sslismir; or a setting, key=value. May be given again."
QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"

app = typer.Typer(
    help="Cross-modal audio-text representation learning for music.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would take [key=value] for markup and show nothing
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(data.app, name="data")
app.add_typer(index.app, name="index")
app.command()(tag.tag)
app.command()(tag.calibrate)
app.command("map")(mapping.map_)
app.command()(export)

Experiment = Annotated[
    list[str] | None, typer.Argument(help="[EXPERIMENT.yaml] [key=value ...] [~key ...]", show_default=False)
]


@app.command()
def train(arguments: Experiment = None) -> None:
    """Train an experiment (experiments/quickstart.yaml unless named), or go on with its unfinished run."""
    _train(arguments, QUICKSTART)


@app.command()
def ssl(arguments: Experiment = None) -> None:
    """Train on audio alone (experiments/ssl_quickstart.yaml unless named), or go on with an unfinished run."""
    _train(arguments, QUICKSTART.with_name("ssl_quickstart.yaml"))


def _train(arguments: list[str] | None, experiment: Path) -> None:
    from crossmodal import config, processes
    from crossmodal.training import train as run

    given = list(arguments or [])
    named = bool(given) and "=" not in given[0] and not given[0].startswith("~")
    path = Path(given.pop(0)) if named else experiment
    settings = processes.together(lambda: config.load(path, given))
    for key, value in config.budget(path, given).items():
        processes.speaker(say)(f"budget: {key}: {value}")
    run(settings, say)


@app.command()
def features(
    manifest: ManifestFolder,
    out: Annotated[Path, typer.Option(help="The store, an .h5 file.")],
    workers: Workers = 2,
    engine: EngineName = "processes",
    precision: Annotated[int, typer.Option(help="Bits of a stored value, 16 or 32.")] = 16,
    frontend: Annotated[list[str] | None, typer.Option(help=FRONTEND)] = None,
) -> None:
    """Extract the features of every track, log-mel unless another front end is named, into one file."""
    from crossmodal import config
    from crossmodal.audio import frontends
    from crossmodal.data.engine import named
    from crossmodal.data.extraction import extract
    from crossmodal.data.manifest import Manifest

    if precision not in (16, 32):
        raise InputError(f"--precision is {precision}; it is 16 or 32")
    settings: dict[str, Any] = {}
    config.apply(settings, [given if "=" in given else f"name={given}" for given in frontend or []])
    doing = named(engine, workers)
    made_by = frontends.build(settings, "--frontend")
    store = extract(Manifest.load(manifest), made_by, out, doing, precision)  # type: ignore[arg-type]
    say(f"{out}: {len(store.track_ids)} tracks; {len(store.skipped)} skipped (see {out.with_suffix('.skipped.csv')})")


@app.command()
def embed(
    run: RunFolder,
    manifest: ManifestFolder,
    out: Annotated[Path, typer.Option(help="Vectors, an .npz, .pt or .parquet file.")] = Path("vectors.npz"),
    segments: Annotated[bool, typer.Option("--segments", help="A row a segment, with its seconds.")] = False,
    workers: Workers = 2,
    engine: EngineName = "processes",
) -> None:
    """Embed every track of a manifest: ids, vectors in the joint space, and the audio encoder's features."""
    from crossmodal import vector_files
    from crossmodal.data.engine import named
    from crossmodal.data.manifest import Manifest
    from crossmodal.evaluation import embed_catalogue
    from crossmodal.runs import find_run

    vector_files.check(out)
    with embed_catalogue(find_run(run), Manifest.load(manifest), out, named(engine, workers)) as vectors:
        vectors.save(out, segments)
        rows = f"{len(vectors.segments)} segments of " if segments else ""
        say(f"{out}: {rows}{len(vectors.track_ids)} tracks; {len(vectors.skipped)} skipped")


app.command()(report)
app.command()(search)
app.command()(serve)
app.command()(score)
app.command()(evaluate)
app.command()(compare)


@app.command()
def doctor() -> None:
    """Say what is installed, what the machine can do, and how to mend what is broken."""
    from crossmodal import doctor as surgery

    raise typer.Exit(surgery.main(say))


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context, show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Options of the program itself."""
    if show:
        say(__version__)
        raise typer.Exit()
    if context.invoked_subcommand is None:
        say(context.get_help())


def main(arguments: Sequence[str] | None = None, command: Callable[..., Any] = app) -> int:
    """Run the program on ``arguments`` (the process's own unless given) and return its exit code."""
    try:
        code = command(list(arguments) if arguments is not None else None, standalone_mode=False)
        return int(code or 0)
    except (InputError, Interrupted) as error:
        if not isinstance(error, SharedError | Interrupted) or os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"crossmodal: {error}", file=sys.stderr)  # what several processes share is told once a machine
        return 2 if isinstance(error, InputError) else 130
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        print(f"crossmodal: {error.format_message()}", file=sys.stderr)  # an argument that typer refuses
        return 2


def script(function: Callable[..., Any], arguments: Sequence[str] | None = None) -> int:
    """Run one function as a program, as `main` runs the commands."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(context_settings={"help_option_names": ["-h", "--help"]})(function)
    return main(arguments, alone)
