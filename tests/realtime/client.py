"""A client of ``/v1/realtime`` that takes no frame which OpenAI's own types would not."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.realtime.official import check_beta, check_ga

Event = dict[str, Any]


@dataclass
class Call:
    """One socket, and all that came."""

    connection: ClientConnection
    dialect: str = "ga"
    events: list[Event] = field(default_factory=list)

    def send(self, kind: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def say(self, text: str, **item: Any) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content, **item}
        self.send("conversation.item.create", item=item)

    def append(self, pcm: bytes, **fields: Any) -> None:
        """PCM16 at 24 000 Hz."""
        self.send("input_audio_buffer.append", audio=base64.b64encode(pcm).decode(), **fields)

    def receive(self, timeout: float = 20.0) -> Event:
        event: Event = json.loads(self.connection.recv(timeout=timeout))
        check_frame(event, self.dialect)
        self.events.append(event)
        return event

    def until(self, kind: str, timeout: float = 20.0, **wanted: Any) -> Event:
        """The next event of a type; those before it are kept in ``events``."""
        until = time.monotonic() + timeout
        while True:
            event = self.receive(max(0.01, until - time.monotonic()))
            if event["type"] == kind and all(event.get(k) == v for k, v in wanted.items()):
                return event
            if event["type"] == "error" and kind != "error":
                raise AssertionError(f"waited for {kind}: {event}")

    def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while."""
        try:
            self.receive(seconds)
        except TimeoutError:
            return True
        return False

    def ask(self, text: str, timeout: float = 20.0, **response: Any) -> Event:
        """Say something, and the response's end."""
        self.say(text)
        self.send("response.create", **({"response": response} if response else {}))
        return self.until("response.done", timeout)["response"]

    def closed(self, timeout: float = 20.0) -> tuple[int, str]:
        """Wait for the end; its code and reason."""
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                self.receive(timeout)
        end = caught.value.rcvd
        assert end is not None, "cut without a close frame"
        return end.code, end.reason

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def audio(self) -> bytes:
        """All speech so far."""
        names = ("response.output_audio.delta", "response.audio.delta")
        return b"".join(
            base64.b64decode(event["delta"]) for event in self.events if event["type"] in names
        )

    def transcript(self) -> str:
        return "".join(e["delta"] for e in self.of("response.output_audio_transcript.delta"))


def check_frame(event: Event, dialect: str = "ga") -> None:
    """Fail where OpenAI's types do not take a frame as it is."""
    assert event["event_id"].startswith("event_")
    if not dialect or event["type"].startswith("transcription_session."):
        return  # its type wants a key in it, which only the answer by HTTP has
    if dialect == "ga":
        check_ga(event)
        return
    session = event.get("session")
    # The beta types know OpenAI's own models alone.
    check_beta({**event, "session": {**session, "model": "gpt-realtime"}} if session else event)


@contextmanager
def call(
    ws_url: str,
    *,
    key: str = "",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    dialect: str = "ga",
    created: bool = True,
    **options: Any,
) -> Iterator[Call]:
    """A socket that is open; its ``session.created`` is taken.

    Args:
        ws_url: Of the server.
        key: Goes in the header.
        query: Of the address; ``model`` is OpenAI's where nothing else is said.
        headers: Further ones.
        dialect: Whose types the frames must fit; empty for nobody's.
        created: Take the first event.
        options: For ``websockets``.
    """
    asked = {"model": "gpt-realtime"} if query is None else query
    address = f"{ws_url}/v1/realtime?" + "&".join(f"{k}={v}" for k, v in asked.items())
    sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
    with connect(
        address, additional_headers=sent, max_size=2**26, compression=None, **options
    ) as connection:
        line = Call(connection, dialect)
        if created:
            assert line.receive()["type"] in ("session.created", "transcription_session.created")
        yield line


def wait_until(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Until something is true; gives it back."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)
    return found


def assert_in_order(events: list[Event]) -> None:
    """The rules that hold whatever happens; see §3 of the protocol's page."""
    done: set[str] = set()
    created: list[str] = []
    parts: dict[tuple[str, int], bool] = {}
    items: dict[str, bool] = {}
    for event in events:
        kind = event["type"]
        response = event.get("response_id")
        if response:
            assert response not in done, f"{kind} after the end"
        if kind == "response.created":
            created.append(event["response"]["id"])
        elif kind == "response.done":
            assert event["response"]["id"] in created
            assert event["response"]["id"] not in done, "two ends"
            done.add(event["response"]["id"])
        elif kind == "response.content_part.added":
            parts[event["item_id"], event["content_index"]] = False
        elif kind == "response.content_part.done":
            parts[event["item_id"], event["content_index"]] = True
        elif kind == "response.output_item.added":
            items[event["item"]["id"]] = False
        elif kind == "response.output_item.done":
            items[event["item"]["id"]] = True
    assert set(created) == done, "responses without an end"
    assert all(parts.values()), "parts without an end"
    assert all(items.values()), "items without an end"
