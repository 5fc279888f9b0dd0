"""`crossmodal export`: a run's model for sentence-transformers, ONNX Runtime and the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossmodal.cli.shared import RunFolder, say
from crossmodal.errors import InputError

FORMAT = "sentence-transformers or onnx. May be given again."
LICENCE = "Of the weights, as the hub spells it: cc-by-nc-4.0."
PUSH = "Upload the folder to the Hugging Face hub as well: owner/name."


def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="A folder, which is made.")],
    form: Annotated[list[str] | None, typer.Option("--format", help=FORMAT)] = None,
    licence: Annotated[str | None, typer.Option(help=LICENCE)] = None,
    push_to: Annotated[str | None, typer.Option(help=PUSH)] = None,
    private: Annotated[bool, typer.Option(help="Nobody else may see what is uploaded.")] = False,
) -> None:
    """Write a run's model as a folder for others' tools, with its card."""
    from crossmodal.export import hub
    from crossmodal.export.folder import FORMATS
    from crossmodal.export.folder import export as write
    from crossmodal.runs import find_run

    if private and not push_to:
        raise InputError("--private is of an upload; give --push-to too")
    if push_to:
        hub.check(push_to)
    found = write(find_run(run), out, form or FORMATS[:1], licence, push_to)
    for kind, difference in found.differences.items():
        say(f"onnx: the {kind} encoder's vectors differ from the model's by {difference:.2g} at most")
    say(f"{out}: {', '.join(found.formats)}; the card is README.md")
    if push_to:
        say(f"uploaded to {hub.push(out, push_to, private)}")
