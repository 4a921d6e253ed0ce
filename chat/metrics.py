"""Turns in figures, for Prometheus: how many, how they end, how long what takes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)
_STAGES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 90.0)
_OUTCOMES = ("completed", "cancelled", "failed")

_turns = Counter(
    "liyuan_turns", "Turns that have ended: completed, cancelled or failed", ["channel", "outcome"]
)
_failures = Counter(
    "liyuan_turn_failures", "Turns that failed, by where and why", ["stage", "reason"]
)
_waits = Histogram(
    "liyuan_turn_queue_seconds",
    "From a turn's creation to a worker's claim",
    ["channel"],
    buckets=_WAITS,
)
_stages = Histogram(
    "liyuan_turn_stage_seconds",
    "From the start of a turn's run to what it reached",
    ["channel", "stage"],
    buckets=_STAGES,
)
_running = Gauge("liyuan_turns_running", "Turns that this process runs now")


def turn_claimed(channel: str, waited: float) -> None:
    """A worker took a new turn, ``waited`` seconds after it was made."""
    for outcome in _OUTCOMES:  # a rate is seen from 0 on, not from the first failure
        _turns.labels(channel, outcome)
    _waits.labels(channel).observe(max(0.0, waited))  # clocks of two hosts may differ


def turn_ended(channel: str, outcome: str, timings: Mapping[str, float]) -> None:
    """A turn ended; ``timings`` as ``TurnRun`` has them, in ms."""
    _turns.labels(channel, outcome).inc()
    for stage, ms in timings.items():
        _stages.labels(channel, stage).observe(ms / 1000)


def turn_failed(channel: str, stage: str, reason: str, timings: Mapping[str, float]) -> None:
    """A turn ended badly."""
    _failures.labels(stage, reason).inc()
    turn_ended(channel, "failed", timings)


@contextmanager
def running() -> Iterator[None]:
    """Around the run of a turn."""
    with _running.track_inprogress():
        yield
