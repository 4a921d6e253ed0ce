"""What providers are asked and how fast they answer, for Prometheus."""

import sys
from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client import REGISTRY, Counter, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from voice.attempts import Attempt
from voice.breaker import State, breaker_states

# From a loopback server to a model that thinks first (seconds).
_FIRST = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0)
_WHOLE = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0)
_BREAKER: dict[State, int] = {"closed": 0, "half_open": 1, "open": 2}

_requests = Counter(
    "liyuan_provider_requests",
    "Requests to providers that have ended, by how: ok, cancelled or the failure's reason",
    ["capability", "provider", "outcome"],
)
_first = Histogram(
    "liyuan_provider_first_seconds",
    "From a request to the first item of its answer: text, transcript or audio",
    ["capability", "provider"],
    buckets=_FIRST,
)
_whole = Histogram(
    "liyuan_provider_seconds",
    "From a request to the end of an answer that came whole",
    ["capability", "provider"],
    buckets=_WHOLE,
)
_units = Counter(
    "liyuan_provider_units",
    "What the answers came to: characters spoken, seconds recognised, tokens",
    ["provider", "unit"],
)


def count(attempt: Attempt) -> None:
    """Take an attempt into the figures; see `voice.attempts.listen`."""
    _requests.labels(attempt.capability, attempt.provider, attempt.outcome).inc()
    if attempt.first is not None:
        _first.labels(attempt.capability, attempt.provider).observe(attempt.first)
    if attempt.outcome == "ok":
        _whole.labels(attempt.capability, attempt.provider).observe(attempt.seconds)
    if attempt.answered:
        for unit, amount in attempt.units.items():
            _units.labels(attempt.provider, unit).inc(amount)


class _State(Collector):
    """Of connections and breakers, looked at when somebody asks."""

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from _connections()
        yield _breaker()


def _connections() -> tuple[Metric, Metric]:
    held = GaugeMetricFamily(
        "liyuan_provider_connections",
        "Connections to providers that are open now: idle or busy",
        labels=["provider", "use", "state"],
    )
    events = CounterMetricFamily(
        "liyuan_provider_connection_events",
        "What became of connections to providers: opened, reused, refused, expired …",
        labels=["provider", "use", "event"],
    )
    # A process that has not loaded the pool has no connections, and need not load it.
    pool = sys.modules.get("voice.dashscope.pool")
    for use, state in pool.pool_state().items() if pool else ():
        for name, number in asdict(state).items():
            family = held if name in ("idle", "busy") else events
            family.add_metric(["dashscope", use, name], number)
    return held, events


def _breaker() -> Metric:
    family = GaugeMetricFamily(
        "liyuan_provider_breaker",
        "0: the provider is asked; 1: one request decides; 2: it is passed over",
        labels=["capability", "provider"],
    )
    for (capability, provider), state in breaker_states().items():
        family.add_metric([capability, provider], _BREAKER[state])
    return family


REGISTRY.register(_State())
