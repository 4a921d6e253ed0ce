"""Sessions in figures, for Prometheus: how replies end, and how long one waits for them."""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_AFTER = {
    "input_audio_buffer.speech_stopped": "speech",
    "input_audio_buffer.committed": "speech",
    "response.create": "request",
}
_FIRST = {
    "response.output_audio.delta": "audio",
    "response.output_text.delta": "text",
}

_sessions = Gauge("liyuan_realtime_sessions", "Sessions of /v1/realtime that are open now")
_first = Histogram(
    "liyuan_realtime_first_seconds",
    "From the end of an utterance, or from response.create, to the first audio or text sent",
    ["after", "first"],
    buckets=_SECONDS,
)
_responses = Counter(
    "liyuan_realtime_responses",
    "Responses that have ended: completed, cancelled, failed or incomplete",
    ["status", "reason"],
)
_errors = Counter("liyuan_realtime_errors", "Errors that clients were told of", ["code"])


class Figures:
    """Watches the events of one session.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: tuple[float, str] | None = None
        self._open = False

    def began(self) -> None:
        """The session is open; to be called once. Its socket may break before."""
        self._open = True
        _sessions.inc()

    def received(self, event: Mapping[str, Any]) -> None:
        """An event of the client."""
        if event.get("type") == "response.create":
            self._since = (self._clock(), "request")

    def sent(self, event: Mapping[str, Any]) -> None:
        """An event for the client."""
        kind = event["type"]
        if kind in _AFTER:
            self._since = (self._clock(), _AFTER[kind])
        elif kind in _FIRST and self._since is not None:
            begun, after = self._since
            self._since = None
            _first.labels(after, _FIRST[kind]).observe(self._clock() - begun)
        elif kind == "response.done":
            response = event["response"]
            details = response.get("status_details") or {}
            _responses.labels(response["status"], details.get("reason", "")).inc()
        elif kind == "error":
            _errors.labels(event["error"]["code"]).inc()

    def ended(self) -> None:
        """The session is over, if it has begun."""
        if self._open:
            self._open = False
            _sessions.dec()
