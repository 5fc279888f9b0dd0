"""The sound of the catalogue's tracks: bytes in ranges, as players ask for them, and waveforms."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections import OrderedDict
from collections.abc import AsyncIterator
from email.utils import formatdate
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from fastapi import HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from crossmodal.audio.decode import AudioError, opened
from crossmodal.serve.lanes import Lane
from crossmodal.serve.limits import Limits

BLOCK = 2**17  # bytes that are read at a time
KEPT = 512  # waveforms, of 8 kB each
GONE = "the track's file is not there"
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
TYPES = {
    **dict.fromkeys((".wav", ".wave"), "audio/wav"),
    **dict.fromkeys((".ogg", ".oga", ".opus"), "audio/ogg"),
    **dict.fromkeys((".m4a", ".mp4"), "audio/mp4"),
    **dict.fromkeys((".aif", ".aiff", ".aifc"), "audio/aiff"),
    **{".mp3": "audio/mpeg", ".flac": "audio/flac", ".aac": "audio/aac", ".webm": "audio/webm"},
}


async def audio(request: Request, path: Path) -> Response:
    """A file's bytes, or the range of them that is asked for (RFC 9110, section 14); one range, or else all.

    Raises:
        HTTPException: 404, the file is gone; 416, it ends before the range begins.
    """
    file = await run_in_threadpool(_open, path)
    about = os.fstat(file.fileno())
    tag = f'"{blake2b(f"{about.st_mtime_ns}-{about.st_size}".encode(), digest_size=12).hexdigest()}"'
    changed = formatdate(about.st_mtime, usegmt=True)
    headers = {"ETag": tag, "Last-Modified": changed, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    headers["Content-Type"] = TYPES.get(path.suffix.lower(), "application/octet-stream")
    if tag in (known.strip() for known in request.headers.get("if-none-match", "").split(",")):
        file.close()
        return Response(status_code=304, headers=headers)
    whole = request.headers.get("if-range", tag) not in (tag, changed)
    try:
        span = None if whole else _span(request.headers.get("range", ""), about.st_size)
    except HTTPException:
        file.close()
        raise
    start, stop = span or (0, about.st_size)
    headers["Content-Length"] = str(stop - start)
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{about.st_size}"
    if request.method == "HEAD":
        file.close()
        return Response(status_code=206 if span else 200, headers=headers)
    return StreamingResponse(_read(file, start, stop), status_code=206 if span else 200, headers=headers)


def _open(path: Path) -> BinaryIO:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        raise HTTPException(404, GONE) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise HTTPException(404, GONE)
    return os.fdopen(descriptor, "rb")


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """The first byte of a range and the one after its last; None for what is no range, or several."""
    found = RANGE.fullmatch(asked.replace(" ", ""))
    if found is None or not (found[1] or found[2]) or (found[1] and found[2] and int(found[1]) > int(found[2])):
        return None
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    stop = min(size, int(found[2]) + 1) if found[1] and found[2] else size
    if first >= stop:
        raise HTTPException(416, f"the file has {size} bytes", {"Content-Range": f"bytes */{size}"})
    return first, stop


async def _read(file: BinaryIO, start: int, stop: int) -> AsyncIterator[bytes]:
    with file:
        await run_in_threadpool(file.seek, start)
        while start < stop and (block := await run_in_threadpool(file.read, min(BLOCK, stop - start))):
            start += len(block)
            yield block


class Wave(NamedTuple):
    """The loudest sample of each stretch of a track, 0 to 1, and how long it is in all."""

    duration: float
    peaks: NDArray[np.float32]

    def binned(self, bins: int) -> list[float]:
        """Of ``bins`` equal stretches, or as many as there are peaks for."""
        edges = np.linspace(0, len(self.peaks), min(bins, len(self.peaks)), endpoint=False).astype(int)
        return [round(float(peak), 3) for peak in np.maximum.reduceat(self.peaks, edges)]


class Waves:
    """Waveforms: each file is decoded once, for all who ask, and as many are kept as were asked for last.

    Args:
        lane: where files are decoded.
        limits: how fine, and how long.
    """

    def __init__(self, lane: Lane[object], limits: Limits) -> None:
        self._lane, self._limits = lane, limits
        self._kept: OrderedDict[tuple[str, int, int], asyncio.Future[Wave]] = OrderedDict()

    async def of(self, path: Path) -> Wave:
        """The waveform of a file.

        Raises:
            HTTPException: 404, the file is gone; 422, it cannot be decoded; or see `Lane.do`.
        """
        try:
            about = await run_in_threadpool(os.stat, path)
        except (OSError, ValueError):
            raise HTTPException(404, GONE) from None
        key = str(path), about.st_mtime_ns, about.st_size
        if key not in self._kept:
            job = self._lane.do(lambda: wave(path, self._limits.bins), self._limits.sound_s)
            self._kept[key] = asyncio.ensure_future(job)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        try:
            return await asyncio.shield(self._kept[key])
        except Exception as error:  # whatever it was, who asks next begins anew
            self._kept.pop(key, None)
            if isinstance(error, AudioError):
                raise HTTPException(422, f"the track's sound cannot be read: it {error.reason}") from None
            raise


def wave(path: Path, bins: int) -> Wave:
    """Decode a file, block by block, and keep its peaks.

    Raises:
        AudioError: see `crossmodal.audio.decode.blocks`.
    """
    with opened(path) as sound:
        info = sound.info
        peaks = np.zeros(min(bins, info.frames), np.float32)
        at = 0
        for block in sound.blocks(info.sample_rate):
            loud = np.abs(block[0])
            places = np.minimum((at + np.arange(len(loud))) * len(peaks) // info.frames, len(peaks) - 1)
            at += len(loud)
            if len(loud):
                first = np.flatnonzero(np.diff(places, prepend=-1))
                np.maximum.at(peaks, places[first], np.maximum.reduceat(loud, first))
        return Wave(info.duration, peaks.clip(0, 1))
