"""The contract of every turn bus, and the frames that travel on it."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgpack

# What names a stream of frames: a turn's number, or a name made up for a live turn.
Key = int | str


def commands_of(key: str) -> str:
    """The stream to the worker of a live turn, where ``key`` names the one from it."""
    return f"{key}:commands"


LiveKind = Literal[
    # From its worker: events of ``chat.engine.live_events``; with those of a reply its run.
    "heard",
    "reply",
    # From its session: the calls of ``chat.engine.live.LiveTurn``.
    "listen",
    "hear",
    "peek",
    "finish",
    "respond",
    "stop",
    "close",
    # From both, where there is nothing to tell: it lives.
    "beat",
]
Kind = Literal["started", "transcript", "text", "audio", "ended"] | LiveKind

# How long a turn's frames can be replayed after its last one, in seconds.
REPLAY_SECONDS = 120
# A worker that has not been heard of for so long is lost, in seconds.
BEAT_SECONDS = 1.0
LOST_SECONDS = 3.0
# After so long nobody delivers the same task again, in seconds.
CLAIM_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a turn on the bus.

    Attributes:
        attempt: Which run of the turn it comes from, from 1; a resubmitted turn starts
            over, and frames of the lost run are stale.
        seq: 0, 1, 2 … within the attempt, without a hole.
        kind: ``started`` comes first and names the worker; ``ended`` comes last and says
            no more: how it ended stands in the database by then. See ``LiveKind`` besides.
        data: Text, or MP3 bytes for ``audio``. Of a live turn whatever MessagePack takes.
    """

    attempt: int
    seq: int
    kind: Kind
    data: Any = ""


def encode_frames(frames: Sequence[Frame]) -> bytes:
    """Frames as bytes, for a bus that crosses processes."""
    packed: bytes = msgpack.packb([(f.attempt, f.seq, f.kind, f.data) for f in frames])
    return packed


def decode_frames(packed: bytes) -> list[Frame]:
    """The inverse of ``encode_frames``. Raises ValueError for anything else."""
    try:
        return [Frame(*fields) for fields in msgpack.unpackb(packed)]
    except TypeError as error:
        raise ValueError("not a list of frames") from error


class BusUnavailable(Exception):
    """The bus cannot be reached now. What was published may be lost; the database is not."""


class Subscription(Protocol):
    """The frames of one turn, as one listener sees them."""

    def __aiter__(self) -> AsyncIterator[Frame]:
        """Frames in order, each once, from the first one that can still be replayed.

        Ends after ``ended``, or when closed.
        """
        ...

    async def get(self, timeout: float) -> Frame | None:
        """The next frame; None after ``timeout`` seconds without one."""
        ...

    async def aclose(self) -> None:
        """Stop listening."""
        ...


class TurnBus(Protocol):
    """Carries frames from the worker that runs a turn to everybody who follows it.

    A live turn has a second stream (``commands_of``) that carries commands to the worker.

    One object a process. Subscriptions belong to the event loop they were made in;
    ``publish`` may be called from another one.
    """

    async def subscribe(self, key: Key) -> Subscription:
        """Listen to a turn from now on, after replay of what was published before.

        Subscribing before the turn is handed over misses nothing. Raises BusUnavailable.
        """
        ...

    async def publish(self, key: Key, frames: Sequence[Frame]) -> None:
        """Send frames, in order. Raises BusUnavailable."""
        ...

    async def discard(self, *keys: Key) -> None:
        """Nobody will ask for these frames any more. May do nothing."""
        ...

    async def claim(self, key: Key, worker: str) -> bool:
        """Whether this worker is the first that asks for a turn. Raises BusUnavailable.

        For turns that the database does not know; forgotten after CLAIM_SECONDS.
        """
        ...

    async def cancel(self, turn_id: int) -> None:
        """Ask whichever worker runs the turn to stop it. Raises BusUnavailable."""
        ...

    async def serve(self, worker: str, on_cancel: Callable[[int], None]) -> None:
        """For a worker: show that it is alive, and hear cancels, until cancelled.

        ``on_cancel`` is called in the running event loop. Outlives failures of the bus.
        """
        ...

    async def workers(self) -> list[str]:
        """The workers that are alive. Raises BusUnavailable."""
        ...

    async def is_alive(self, worker: str) -> bool:
        """Whether a worker was heard of within LOST_SECONDS. Raises BusUnavailable."""
        ...

    async def aclose(self) -> None:
        """Close connections; subscriptions end."""
        ...
