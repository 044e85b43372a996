"""What the server counts of itself, in the text format of Prometheus under Kubernetes' own names."""

import resource as process
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Requests by verb and status code, and how long they took."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self._durations: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def answered(self, verb: str, code: int, seconds: float | None) -> None:
        """Count an answer. ``seconds`` is ``None`` for those that last as long as somebody listens."""
        self._counts[verb, code] += 1
        if seconds is None:
            return
        buckets = self._durations.get(verb)
        if buckets is None:
            buckets = self._durations[verb] = [0] * (len(_BOUNDS) + 1)
            self._sums[verb] = 0.0
        buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._sums[verb] += seconds

    def text(self, *, running: int, waiting: int, lasting: int, objects: Mapping[str, int]) -> str:
        """Write everything down; ``objects`` are those stored, by resource."""
        usage = process.getrusage(process.RUSAGE_SELF)
        requests = (f'{{verb="{verb}",code="{code}"}} {count}' for (verb, code), count in sorted(self._counts.items()))
        stored = (f'{{resource="{name}"}} {count}' for name, count in sorted(objects.items()))
        lines = [
            *_metric("apiserver_request_total", "counter", "Requests answered, by verb and status code.", requests),
            *self._histogram(),
            *_metric(
                "apiserver_current_inflight_requests",
                "gauge",
                "Requests in work, watches and streams not counted.",
                [f'{{request_kind="all"}} {running}'],
            ),
            *_metric("apiserver_current_inqueue_requests", "gauge", "Requests that wait their turn.", [f" {waiting}"]),
            *_metric("apiserver_longrunning_requests", "gauge", "Watches and other open streams.", [f" {lasting}"]),
            *_metric("apiserver_storage_objects", "gauge", "Stored objects, by resource.", stored),
            *_metric(
                "process_cpu_seconds_total",
                "counter",
                "CPU time of the process, in seconds.",
                [f" {usage.ru_utime + usage.ru_stime:.3f}"],
            ),
            *_metric(
                "process_resident_memory_bytes", "gauge", "Memory of the process that is in use.", [f" {_resident()}"]
            ),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name = "apiserver_request_duration_seconds"
        lines = [f"# HELP {name} How long requests took, in seconds.", f"# TYPE {name} histogram"]
        for verb, buckets in sorted(self._durations.items()):
            total = 0
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), buckets, strict=True):
                total += count
                lines.append(f'{name}_bucket{{verb="{verb}",le="{bound}"}} {total}')
            lines.append(f'{name}_sum{{verb="{verb}"}} {self._sums[verb]:.6f}')
            lines.append(f'{name}_count{{verb="{verb}"}} {total}')
        return lines


def _metric(name: str, kind: str, description: str, samples: Iterable[str]) -> list[str]:
    return [f"# HELP {name} {description}", f"# TYPE {name} {kind}", *(name + sample for sample in samples)]


def _resident() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return process.getrusage(process.RUSAGE_SELF).ru_maxrss * 1024
    return pages * process.getpagesize()
