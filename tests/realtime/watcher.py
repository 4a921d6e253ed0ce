"""What must be true of a session whatever happens, checked effect by effect."""

import base64
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chat.llm.base import PromptMessage
from realtime.effects import (
    CancelTimer,
    Close,
    Detect,
    Effect,
    Feed,
    FinishUtterance,
    ForgetItem,
    Hear,
    Listen,
    NoteTranscript,
    Peek,
    Playing,
    Release,
    ResetEar,
    Respond,
    Send,
    SetTimer,
    Stop,
    StoreReply,
    StoreTranscript,
    StoreUtterance,
)
from tests.realtime import wire

_PER_SECOND = 48_000


@dataclass
class SeenItem:
    index: int
    kind: str
    part: str = ""
    text: str = ""
    done: bool = False
    part_done: bool = True
    in_conversation: bool = False
    conversation_done: bool = False


@dataclass
class SeenResponse:
    default: bool
    items: dict[str, SeenItem] = field(default_factory=dict)
    audio: bytes = b""
    status: str = ""
    heard_until: float = 0.0  # out of band: by a clock of its own


class Watcher:
    """Follows the effects of one session as its client and its driver see them."""

    def __init__(self, lead_seconds: float) -> None:
        self.responses: dict[str, SeenResponse] = {}
        self.order: list[str] = []  # of the conversation's items
        self.event_ids: set[str] = set()
        self.open_turns: set[str] = set()
        self.used_turns: set[str] = set()
        self.hearing: set[str] = set()
        self.runs: dict[str, int] = {}
        self.stored: dict[str, StoreReply] = {}
        self.timers: set[str] = set()
        self.closed = False
        self.gone = False  # the socket is: nothing more can be seen
        self.playing = False
        self.committed: tuple[str, str | None] | None = None
        self.expects_limits = ""
        self.sent = 0
        self._lead_seconds = lead_seconds
        self._buffer_ends = 0.0
        self._pending: set[str] = set()  # added in the conversation, not done
        self.kinds: dict[str, int] = defaultdict(int)

    def see(self, effects: Iterable[Effect], now: float, cause: str | None = None) -> None:
        """Args: effects; now; cause: event_id of the client's event that made them."""
        done = {key for key, response in self.responses.items() if response.status}
        for effect in effects:
            self._see(effect, now, cause)
        for response_id in self.responses.keys() - done:
            response = self.responses[response_id]
            if response.status:
                assert f"pace:{response_id}" not in self.timers
            if response.status == "cancelled" and response.default and not self._beside(now):
                assert not self.playing, "what is cancelled is not heard any more"
        if self._beside(now) and not self.closed and not self.gone:
            assert self.playing, "what is said out of band is heard too"

    def _see(self, effect: Effect, now: float, cause: str | None) -> None:
        match effect:
            case Send(event):
                assert not self.closed, "nothing is sent after Close"
                self._event(dict(event), now, cause)
            case Close():
                assert not self.closed
                self.closed = True
            case Listen(turn):
                assert turn not in self.used_turns
                self.used_turns.add(turn)
                self.open_turns.add(turn)
                self.hearing.add(turn)
            case Hear(turn) | Peek(turn):
                assert turn in self.open_turns
                assert turn in self.hearing, "audio after the end of the utterance"
            case FinishUtterance(turn):
                assert turn in self.open_turns
                assert turn in self.hearing, "an utterance ends once"
                self.hearing.discard(turn)
            case Respond(turn, run):
                assert run > max(self.runs.values(), default=0)
                if turn not in self.open_turns:
                    assert turn not in self.used_turns, "a released turn is not opened again"
                    self.used_turns.add(turn)
                    self.open_turns.add(turn)
                self.runs[turn] = run
                for message in effect.plan.messages:
                    assert isinstance(message, PromptMessage)
                    assert message.content or message.tool_calls
            case Stop(turn):
                assert turn in self.open_turns
            case Release(turn):
                assert turn in self.open_turns
                self.open_turns.discard(turn)
                self.hearing.discard(turn)
            case StoreReply(item_id, text, full_text):
                assert self.stored.get(item_id) != effect, "told again without a change"
                if full_text:
                    assert "".join(full_text.split()).startswith("".join(text.split()))
                self.stored[item_id] = effect
            case Playing(playing):
                assert playing != self.playing
                self.playing = playing
                if not playing:
                    self._buffer_ends = min(self._buffer_ends, now)
            case SetTimer(name, seconds):
                assert seconds >= 0
                self.timers.add(name)
            case CancelTimer(name):
                assert name in self.timers
                self.timers.discard(name)
            case (
                Detect()
                | Feed()
                | NoteTranscript()
                | ResetEar()
                | StoreUtterance()
                | StoreTranscript()
                | ForgetItem()
            ):
                pass

    def _beside(self, now: float) -> bool:
        """Whether something is still heard that was said out of band."""
        return any(each.heard_until > now + 0.01 for each in self.responses.values())

    # --- events

    def _event(self, event: dict[str, Any], now: float, cause: str | None) -> None:
        wire.check(event)
        self.sent += 1
        kind = event["type"]
        self.kinds[kind] += 1
        if self.sent == 1:
            assert kind == "session.created"
        assert event["event_id"] not in self.event_ids
        self.event_ids.add(event["event_id"])
        if self.expects_limits:
            assert kind == "rate_limits.updated", "right behind response.created"
            self.expects_limits = ""
        if self.committed is not None:
            assert kind == "conversation.item.added"
            assert (event["item"]["id"], event["previous_item_id"]) == self.committed
            self.committed = None
        if kind == "error":
            if cause is not None:
                assert event["error"]["event_id"] == cause
        elif kind.startswith("response."):
            self._response_event(kind, event, now)
        elif kind == "input_audio_buffer.committed":
            self.committed = (event["item_id"], event["previous_item_id"])
        elif kind == "conversation.item.added":
            self._added(event)
        elif kind == "conversation.item.done":
            self._done(event)
        elif kind == "conversation.item.deleted":
            self.order.remove(event["item_id"])
        elif kind == "conversation.item.retrieved":
            assert event["item"]["id"] in self.order
        elif kind == "conversation.item.truncated":
            assert event["item_id"] in self.order

    def _added(self, event: dict[str, Any]) -> None:
        item_id, previous = event["item"]["id"], event["previous_item_id"]
        assert item_id not in self.order
        assert item_id not in self._pending
        self._pending.add(item_id)
        if previous is None:
            self.order.insert(0, item_id)
        else:
            self.order.insert(self.order.index(previous) + 1, item_id)
        for response in self.responses.values():
            if item_id in response.items:
                assert response.default
                response.items[item_id].in_conversation = True

    def _done(self, event: dict[str, Any]) -> None:
        item_id = event["item"]["id"]
        assert item_id in self._pending
        self._pending.discard(item_id)
        assert event["item"]["status"] in ("completed", "incomplete")
        if item_id in self.order:
            at = self.order.index(item_id)
            assert event["previous_item_id"] == (self.order[at - 1] if at else None)
        for response in self.responses.values():
            if item_id in response.items:
                assert response.items[item_id].done
                response.items[item_id].conversation_done = True

    def _response_event(self, kind: str, event: dict[str, Any], now: float) -> None:
        if kind == "response.created":
            shown = event["response"]
            assert shown["id"] not in self.responses
            assert shown["status"] == "in_progress"
            default = shown["conversation_id"] is not None
            if default:
                assert not [r for r in self.responses.values() if r.default and not r.status]
            self.responses[shown["id"]] = SeenResponse(default)
            self.expects_limits = shown["id"]
            return
        response_id = event.get("response_id") or event["response"]["id"]
        response = self.responses[response_id]
        assert not response.status, "nothing comes after response.done"
        if kind == "response.done":
            self._response_done(response, event["response"])
            return
        index = event["output_index"]
        if kind == "response.output_item.added":
            assert index == len(response.items)
            assert all(item.done for item in response.items.values())
            shown = event["item"]
            response.items[shown["id"]] = SeenItem(index, shown["type"])
            return
        item_id = event["item"]["id"] if "item" in event else event["item_id"]
        item = response.items[item_id]
        assert item.index == index
        assert not item.done
        if response.default:
            assert item.in_conversation, "added in the conversation before anything is said"
        self._item_event(kind, event, response, item, now)

    def _item_event(
        self,
        kind: str,
        event: dict[str, Any],
        response: SeenResponse,
        item: SeenItem,
        now: float,
    ) -> None:
        match kind.removeprefix("response."):
            case "content_part.added":
                assert not item.part
                assert event["content_index"] == 0
                item.part, item.part_done = event["part"]["type"], False
            case "output_text.delta" | "output_audio_transcript.delta":
                assert not item.part_done
                item.text += event["delta"]
            case "function_call_arguments.delta":
                assert item.kind == "function_call"
                item.text += event["delta"]
            case "output_audio.delta":
                assert item.part == "audio"
                assert not item.part_done
                self._audio(base64.b64decode(event["delta"]), response, now)
            case "output_text.done":
                assert event["text"] == item.text
            case "output_audio_transcript.done":
                assert event["transcript"] == item.text
            case "function_call_arguments.done":
                assert event["arguments"] == item.text
                item.part_done = True
            case "content_part.done":
                assert not item.part_done
                assert event["part"].get("text", event["part"].get("transcript")) == item.text
                item.part_done = True
            case "output_audio.done":
                assert not item.part_done
            case "output_item.done":
                assert item.part_done
                assert event["item"]["status"] in ("completed", "incomplete")
                if event["item"]["status"] == "completed" and item.kind == "message":
                    assert item.text.strip(), "an item that says nothing"
                item.done = True
            case other:
                raise AssertionError(other)

    def _audio(self, data: bytes, response: SeenResponse, now: float) -> None:
        response.audio += data
        seconds = len(data) / _PER_SECOND
        assert 0 < seconds <= 0.2
        if response.default:
            self._buffer_ends = max(now, self._buffer_ends) + seconds
            assert self._buffer_ends - now <= self._lead_seconds + 0.05, "too far ahead"
        else:
            response.heard_until = max(now, response.heard_until) + seconds

    def _response_done(self, response: SeenResponse, shown: dict[str, Any]) -> None:
        response.status = shown["status"]
        if response.status == "cancelled":
            response.heard_until = 0.0
        assert response.status != "in_progress"
        assert [item["id"] for item in shown["output"]] == list(response.items)
        for item in response.items.values():
            assert item.done
            assert item.part_done
            assert item.conversation_done == response.default
        if response.status == "completed":
            assert shown["status_details"] is None
        else:
            assert shown["status_details"]["type"] == response.status
        usage = shown["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]

    def check_end(self) -> None:
        """The session is over, its socket was open to the end or was closed by it."""
        assert not self.open_turns, "every turn is released"
        assert not self.timers
        if self.closed:
            assert all(response.status for response in self.responses.values())
            assert not self._pending
