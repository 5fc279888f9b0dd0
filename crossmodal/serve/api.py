"""The questions and their answers over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, HTTPException, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from crossmodal import __version__, filters, queries
from crossmodal.asking import Answer, Wishes
from crossmodal.errors import InputError
from crossmodal.filters import Filter
from crossmodal.queries import Part
from crossmodal.serve import shapes, sounds, uploads
from crossmodal.serve.catalogue import Catalogue
from crossmodal.serve.plane import Plane
from crossmodal.serve.served import Served
from crossmodal.serve.shapes import MOST

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": shapes.Problem, "description": about}
    for status, about in {
        400: "not called by its own name, or by a page of another site; or no HTTP that it understands",
        401: "the token is missing",
        404: "there is no such track, or its file is gone",
        408: "the body came too slowly",
        413: "the body, or the sound in it, is too large",
        416: "the range begins after the file's end",
        422: "what is asked cannot be answered, and why",
        429: "too many are waiting",
        503: "it took too long",
    }.items()
}
SOUND = {"type": "string", "format": "binary"}
BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": SOUND}}}}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/*": {"schema": SOUND}}},
    206: {"content": {"audio/*": {"schema": SOUND}}},
}
TrackId = Annotated[str, Query(alias="id", min_length=1, max_length=MOST.id_chars)]
Seconds = Annotated[float | None, Query(ge=0, le=1e6)]


class Stretch(NamedTuple):
    """Of an upload, in seconds."""

    start: float | None
    stop: float | None


def router(served: Served) -> APIRouter:
    """What is asked of an index, all of it under ``/api``."""
    found = APIRouter(prefix="/api", responses=PROBLEMS)
    _add_searches(found, served)
    _add_tracks(found, served)
    return found


def _add_searches(found: APIRouter, served: Served) -> None:
    @found.get("/info")
    async def info() -> shapes.Info:
        """What is served: counts, columns, limits, and queries that suit it."""
        return await run_in_threadpool(_info, served)

    @found.post("/search")
    async def search(wanted: shapes.Wanted) -> shapes.Found:
        """The tracks that answer words, tracks, and what is not wanted."""
        with told(served):
            parse = queries.words if wanted.plain else lambda text: queries.parse(text, files=False)
            query = parse(wanted.query)
            return await _answered(served, query, _wishes(served.catalogue, wanted))

    @found.post("/search/upload", openapi_extra=BODY)
    async def upload(
        request: Request,
        query: shapes.Words = "",
        start: Seconds = None,
        stop: Seconds = None,
        k: shapes.Answers = 10,
        where: Annotated[shapes.Where, Query()] = [],  # noqa: B006 (FastAPI copies it)
        per_artist: shapes.PerArtist = None,
        match: shapes.Match = "max",
        copies: bool = False,
    ) -> shapes.Found:
        """The tracks that answer a sound, sent as the body, and the further parts of the query, such as +slower."""
        wanted = shapes.Wanted(query=query, k=k, where=where, per_artist=per_artist, match=match, copies=copies)
        with told(served):
            wishes = _wishes(served.catalogue, wanted)
            parts = queries.parts(query, files=False)
        with served.uploads.taken():
            return await _answered_upload(served, request, Stretch(start, stop), parts, wishes)


def _add_tracks(found: APIRouter, served: Served) -> None:
    waves, plane = sounds.Waves(served.files, served.limits), Plane(served.maps, served.limits.map_s)

    @found.get("/track")
    async def track(track_id: TrackId) -> shapes.Track:
        """What is known of a track."""
        with told(served, 404):
            return served.catalogue.track(track_id)

    @found.get("/audio", response_class=Response, responses=FILE)
    @found.head("/audio", include_in_schema=False)
    async def audio(request: Request, track_id: TrackId) -> Response:
        """A track's file, or a range of it."""
        return await sounds.audio(request, _path(served, track_id))

    @found.get("/waveform")
    async def waveform(track_id: TrackId, bins: Annotated[int, Query(ge=1, le=MOST.bins)] = 200) -> shapes.Waveform:
        """A track's peaks."""
        wave = await waves.of(_path(served, track_id))
        return shapes.Waveform(duration=wave.duration, peaks=wave.binned(bins))

    @found.get("/map")
    async def map_(colour: Annotated[str | None, Query(max_length=MOST.condition_chars)] = None) -> shapes.Map:
        """Tracks in the plane."""
        return await plane.map(served.catalogue, colour or None)


def _path(served: Served, track_id: str) -> Path:
    with told(served, 404):
        path = served.catalogue.path(track_id)
    if path is None:
        raise HTTPException(404, sounds.GONE)
    return path


@contextmanager
def told(served: Served, status: int = 422, upload: Path | None = None) -> Iterator[None]:
    """What a user did wrong, as an answer of this status; what the index's files are to blame for stays here.

    Args:
        served: what is asked.
        status: of the answer.
        upload: whose name the server made, and which is not told.
    """
    try:
        yield
    except InputError as error:
        if served.is_ours(error):
            raise RuntimeError("the index cannot be read") from error
        raise HTTPException(status, uploads.described(error, upload) if upload else str(error)) from None


def _info(served: Served) -> shapes.Info:
    catalogue, limits = served.catalogue, served.limits
    about = catalogue.index.info
    return shapes.Info(
        name=served.name,
        version=__version__,
        tracks=about["tracks"],
        segments=about["segments"],
        kind=about["built"],
        recall=about["recall"]["measured"],
        fingerprint=catalogue.index.fingerprint,
        generation=catalogue.index.generation,
        languages=catalogue.languages,
        columns=catalogue.columns,
        limits=shapes.Bounds(
            upload_bytes=limits.upload_bytes, upload_s=limits.upload_s, query_chars=MOST.query_chars, k=MOST.k
        ),
        examples=served.examples,
        audio=catalogue.audio,
    )


def _wishes(catalogue: Catalogue, wanted: shapes.Wanted) -> Wishes:
    conditions: Sequence[Filter] = [one for text in wanted.where for one in filters.parse(text)]
    if len(conditions) > MOST.conditions:
        raise InputError(f"there are {len(conditions)} conditions; {MOST.conditions} are allowed")
    catalogue.check(conditions)
    return Wishes(wanted.k, tuple(conditions), wanted.per_artist, wanted.match, wanted.copies)


async def _answered_upload(
    served: Served, request: Request, stretch: Stretch, parts: Sequence[Part], wishes: Wishes
) -> shapes.Found:
    async with uploads.received(request) as path:
        with told(served, upload=path):
            await run_in_threadpool(uploads.check, path, served.limits)
            asked = queries.Query((Part("file", str(path), 1.0, *stretch), *parts))
            return await _answered(served, asked, wishes, upload=True)


async def _answered(served: Served, query: queries.Query, wishes: Wishes, upload: bool = False) -> shapes.Found:
    if len(query.parts) > MOST.parts:
        raise InputError(f"the query has {len(query.parts)} parts; {MOST.parts} are allowed")
    begun, catalogue = time.perf_counter(), served.catalogue
    answer: Answer = await served.answer(query, wishes, upload)
    hits = [catalogue.hit(hit) for hit in answer.hits]
    return shapes.Found(hits=hits, left_out=answer.copies, seconds=round(time.perf_counter() - begun, 6))
