"""Uploads: a body that is received into a file of the server's own, and looked at before it is decoded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from crossmodal.audio.decode import opened
from crossmodal.errors import InputError
from crossmodal.serve.limits import Limits

# how files begin that soundfile does not read and a decoder chooses by suffix; the client's name is never looked at
KINDS = ((4, b"ftyp", ".m4a"), (0, b"\x1aE\xdf\xa3", ".webm"), (0, b"0&\xb2u", ".wma"), (0, b"wvpk", ".wv"))


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[Path]:
    """The body in a file, which is removed after the block; how long a body may be is the `Bounded` app's to say.

    Raises:
        HTTPException: 422, it is empty.
    """
    blocks = (block async for block in request.stream() if block)
    first = await anext(blocks, b"")
    if not first:
        raise HTTPException(422, "the upload is empty; send the bytes of an audio file as the body")
    suffix = next((suffix for at, mark, suffix in KINDS if first[at:].startswith(mark)), "")
    with NamedTemporaryFile(prefix="crossmodal-", suffix=suffix) as file:
        await run_in_threadpool(file.write, first)
        async for block in blocks:
            await run_in_threadpool(file.write, block)
        await run_in_threadpool(file.flush)
        yield Path(file.name)


def check(path: Path, limits: Limits) -> None:
    """Look at the header of an upload; what decodes it later never reads more than the header tells.

    Raises:
        AudioError: see `crossmodal.audio.decode.probe`.
        HTTPException: 413, it is longer, or of more channels or samples.
    """
    with opened(path) as audio:
        info = audio.info
    if info.duration > limits.upload_s:
        raise HTTPException(413, f"the upload lasts {info.duration:.0f} s; {limits.upload_s:.0f} s are allowed")
    if info.channels > limits.upload_channels or info.frames * info.channels > limits.upload_samples:
        said = f"{info.frames} frames of {info.channels} channels"
        raise HTTPException(413, f"the upload holds {said}; send it in stereo, at 48 kHz or less")


def described(error: InputError, path: Path) -> str:
    """What is wrong with a query that holds an upload, without the name that the server gave it."""
    reason = getattr(error, "reason", None)
    said = f"the upload {reason}" if reason else str(error)
    return said.replace(str(path), "the upload")
