"""What the server counts, as Prometheus reads it (text format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # s
Labels = Mapping[str, object]


class Metrics:
    """Requests by route, method and status, and how long each route took."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def seen(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request; route and method are names that the server knows, never what a client made up."""
        self._requests[route, method, status] += 1
        self._buckets.setdefault(route, [0] * (len(BUCKETS) + 1))[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[route] += seconds

    def text(self, gauges: Mapping[str, tuple[str, Iterable[tuple[Labels, float]]]]) -> str:
        """All that was counted, and gauges: name -> what it is, and its values."""
        requests = [
            ({"route": route, "method": method, "status": status}, count)
            for (route, method, status), count in sorted(self._requests.items())
        ]
        errors = Counter[str]()
        for (route, _, status), count in self._requests.items():
            errors[route] += count * (status >= 400)
        lines = _lines("crossmodal_requests_total", "counter", "Requests.", requests)
        failed = [({"route": route}, count) for route, count in sorted(errors.items())]
        lines += _lines("crossmodal_errors_total", "counter", "Requests answered with 400 or more.", failed)
        lines += _head("crossmodal_request_seconds", "histogram", "Seconds until a request was answered.")
        for route, counts in sorted(self._buckets.items()):
            lines += histogram("crossmodal_request_seconds", {"route": route}, BUCKETS, counts, self._seconds[route])
        for name, (about, values) in gauges.items():
            lines += _lines(f"crossmodal_{name}", "gauge", about, values)
        return "\n".join(lines) + "\n"


def histogram(name: str, labels: Labels, ends: Iterable[float], counts: list[int], total: float) -> list[str]:
    """The lines of a histogram, of which ``counts`` holds the buckets, the last without an end."""
    lines, so_far = [], 0
    for end, count in zip([*(f"{end:g}" for end in ends), "+Inf"], counts, strict=True):
        so_far += count
        lines.append(_line(f"{name}_bucket", {**labels, "le": end}, so_far))
    return [*lines, _line(f"{name}_sum", labels, total), _line(f"{name}_count", labels, so_far)]


def _lines(name: str, kind: str, about: str, values: Iterable[tuple[Labels, float]]) -> list[str]:
    return [*_head(name, kind, about), *(_line(name, *value) for value in values)]


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]


def _line(name: str, labels: Labels, value: float) -> str:
    said = ",".join(f'{key}="{_escaped(str(text))}"' for key, text in labels.items())
    return f"{name}{{{said}}} {value:.12g}" if said else f"{name} {value:.12g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
