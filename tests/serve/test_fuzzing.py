"""The API asked with what schemathesis makes of its OpenAPI: no 5xx, and no answer that OpenAPI does not tell of."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from library import TOKEN

from crossmodal.asking import Asker
from crossmodal.serve.app import create
from crossmodal.serve.guard import Token
from crossmodal.serve.served import Served

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import (
        content_type_conformance,
        negative_data_rejection,
        not_a_server_error,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
        unsupported_method,
    )

pytestmark = pytest.mark.slow
KEY = {"Authorization": f"Bearer {TOKEN}"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
OPERATIONS = [
    ("GET", "/api/info"),
    ("POST", "/api/search"),
    ("POST", "/api/search/upload"),
    ("GET", "/api/track"),
    ("GET", "/api/audio"),
    ("GET", "/api/waveform"),
    ("GET", "/api/map"),
    ("POST", "/api/session"),
    ("GET", "/health"),
    ("GET", "/metrics"),
]
BARE = ("/api/info", "/health", "/metrics")
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@pytest.fixture(scope="module")
def schema(asker: Asker) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", create(Served(asker, "x"), token=Token(TOKEN)), headers=KEY)


def test_every_operation_is_asked(schema: Any) -> None:
    told = [(found.ok().method.upper(), found.ok().path) for found in schema.get_all_operations()]
    assert sorted(told) == sorted(OPERATIONS)


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_breaks_it(schema: Any, method: str, path: str, right: bool) -> None:
    """What OpenAPI allows, and what it does not, of which there is nothing where nothing is asked."""
    operation = schema[path][method]
    mode = schemathesis.GenerationMode.POSITIVE if right or path in BARE else schemathesis.GenerationMode.NEGATIVE

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=60, **QUIET)
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=KEY, checks=CHECKS)

    ask()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_is_answered_without_the_token(schema: Any, method: str, path: str) -> None:
    operation = schema[path][method]

    @given(case=operation.as_strategy())
    @settings(max_examples=10, **QUIET)
    def ask(case: schemathesis.Case) -> None:
        status = case.call().status_code
        assert status == 401 or path in ("/health", "/api/session")

    ask()


ODD = st.one_of(
    st.text(max_size=60),
    st.text("+-@:^\"';|=<>!.0123456789 \\/idtexfl~(", max_size=40),
    st.sampled_from(["id:t0", "id:t1@0-1", "id:t3 -drums", "file:/etc/passwd", "../../etc/passwd", "text:a^1e9"]),
)


@settings(max_examples=300, **QUIET)
@given(query=ODD, where=st.lists(ODD, max_size=3), plain=st.booleans(), match=st.sampled_from(["max", "mean", "late"]))
def test_queries_as_people_mistype_them(client: Any, query: str, where: list[str], plain: bool, match: str) -> None:
    asked = {"query": query, "where": where, "plain": plain, "match": match}
    answer = client.post("/api/search", json=asked)
    assert answer.status_code in (200, 422), answer.text
    assert "/tmp" not in answer.text
