"""What is asked and answered, as it stands in JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from crossmodal.serve.limits import Limits

MOST = Limits()
Condition = Annotated[str, StringConstraints(max_length=MOST.condition_chars)]
Match = Literal["max", "mean", "late"]
Words = Annotated[str, Field(max_length=MOST.query_chars, description='such as "solo cello -drums" or "id:TRACK"')]
Answers = Annotated[int, Field(ge=1, le=MOST.k)]
Where = Annotated[list[Condition], Field(max_length=MOST.conditions, description="such as year>=1990, tag!=drums")]
PerArtist = Annotated[int | None, Field(ge=1, le=MOST.k, description="answers of one artist, at most")]


class Wanted(BaseModel):
    """A search."""

    model_config = ConfigDict(extra="forbid")

    query: Words
    k: Answers = 10
    where: Where = []
    per_artist: PerArtist = None
    match: Match = "max"
    copies: bool = False
    plain: bool = Field(default=False, description="the query is words, whatever it looks like")


class Hit(BaseModel):
    """A track that answers, and the seconds of it that do."""

    track_id: str
    rank: int
    score: float
    start: float
    end: float
    title: str
    artist: str
    album: str
    duration: float | None
    metadata: dict[str, Any]


class Found(BaseModel):
    """An answer; ``left_out`` are the query's own sound and its copies."""

    hits: list[Hit]
    left_out: list[str]
    seconds: float


class Track(BaseModel):
    """What is known of a track; its segments are ``[start, end]`` in seconds."""

    track_id: str
    title: str
    artist: str
    album: str
    duration: float | None
    segments: list[tuple[float, float]]
    metadata: dict[str, Any]


class Column(BaseModel):
    """A column of the metadata, by which answers are filtered."""

    name: str
    type: Literal["choice", "number", "text"]
    values: list[tuple[str, int]] | None = None
    min: float | None = None
    max: float | None = None


class Bounds(BaseModel):
    """What a page must know of the limits."""

    upload_bytes: int
    upload_s: float
    query_chars: int
    k: int


class Info(BaseModel):
    """What is served."""

    name: str
    version: str
    tracks: int
    segments: int
    kind: str
    recall: float | None
    fingerprint: str
    generation: str
    languages: list[str]
    columns: list[Column]
    limits: Bounds
    examples: list[str]
    audio: bool


class Waveform(BaseModel):
    """The peaks of a track, 0 to 1, of so many equal stretches of it."""

    duration: float
    peaks: list[float]


class Point(BaseModel):
    """A track on the map."""

    id: str
    title: str
    artist: str
    x: float
    y: float
    group: str


class Map(BaseModel):
    """Tracks in the plane, near to each other where they sound alike."""

    points: list[Point]
    groups: list[str]
    columns: list[str]
    total: int


class Health(BaseModel):
    """That the server answers; ``stale`` if the index changed into what it cannot read."""

    status: Literal["ok", "stale"]
    generation: str
    tracks: int


class Credentials(BaseModel):
    """What opens a session."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(max_length=1000)]


class Problem(BaseModel):
    """What went wrong, in a line for people."""

    detail: str
