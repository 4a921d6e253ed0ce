"""The pieces of a reply join to the stored mp3, however many of them got lost on their way."""

import base64
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from chat.bus.base import Frame
from chat.bus.redis import RedisBus
from chat.messages import Say
from chat.renderers import ChatRenderer, VoiceChatRenderer
from chat.selectors import TurnResult
from tests.platform import is_final
from tests.services import RedisServer
from voice import storage
from voice.audio.codecs import Mp3Encoder, decode_clip

RATE = 24_000
SECONDS = 3
TEXT = "臣本布衣，躬耕于南阳。"


@pytest.fixture(scope="module")
def pieces() -> list[bytes]:
    """A reply as the engine emits it."""
    encoder = Mp3Encoder(RATE)
    tone = 9000 * np.sin(2 * np.pi * 330 * np.arange(SECONDS * RATE) / RATE)
    parts = [encoder.encode(part.tobytes()) for part in np.split(tone.astype("<i2"), 12)]
    return [part for part in [*parts, encoder.finish()] if part]


@pytest.fixture
def stored(pieces, settings, tmp_path) -> str:
    """The name under which it is stored."""
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": backend, "OPTIONS": {"location": tmp_path}},
    }
    storage.write("audio/reply.mp3", b"".join(pieces))
    return "audio/reply.mp3"


def result(pieces: list[bytes], stored: str, state: str = "completed") -> TurnResult:
    values: dict[str, Any] = {
        **{field.name: "" for field in fields(TurnResult)},
        "turn_id": 1,
        "role_id": 8,
        "conversation_id": 3,
        "reply_id": 5,
        "state": state,
        "reply_modality": "voice",
        "reply_text": TEXT,
        "reply_path": "/uploads/1.mp3",
        "reply_audio": stored,
        "reply_audio_size": len(b"".join(pieces)),
    }
    return TurnResult(**values)


def renderer(channel: str) -> ChatRenderer | VoiceChatRenderer:
    say = Say(8, "", "/uploads/0.mp3", None, "", True, None)
    return ChatRenderer(say, "http://h") if channel == "chat" else VoiceChatRenderer(say)


def joined(messages: list[Any]) -> bytes:
    spoken = [message["data"] for message in messages if message["type"] == "audio"]
    return b"".join(map(base64.b64decode, spoken))


@pytest.mark.parametrize("channel", ["chat", "voice_chat"])
async def test_what_did_not_come_over_the_bus_comes_at_the_end(channel, pieces, stored):
    assert len(pieces) > 10
    for arrived in range(len(pieces) + 1):
        told = renderer(channel)
        messages: list[Any] = []
        for number in range(arrived):
            messages += told.frame(Frame(1, number, "audio", pieces[number]))
        messages += told.frame(Frame(1, arrived, "text", TEXT[:arrived]))
        messages += await told.end(result(pieces, stored))
        assert joined(messages) == b"".join(pieces)
        assert "".join(m["message"] for m in messages if m["type"] == "delta") == TEXT
        assert [m["is_final"] for m in messages if m["type"] == "audio"].count(True) == 1
        assert list(map(is_final, messages)).count(True) == 1
        assert is_final(messages[-1])
    clip = decode_clip(joined(messages), max_seconds=10, max_bytes=2**20, sample_rate=RATE)
    assert clip.seconds == pytest.approx(SECONDS, abs=0.15)


async def test_a_cancelled_call_is_not_filled_up(pieces, stored):
    told = renderer("voice_chat")
    messages: list[Any] = [*told.frame(Frame(1, 0, "audio", pieces[0]))]
    messages += await told.end(result(pieces, stored, "cancelled"))
    assert joined(messages) == pieces[0]
    assert messages[-1]["status"] == "cancelled"


async def test_a_follower_takes_nothing_behind_a_hole():
    """What Redis never got leaves a hole; else the end of a reply would be sent twice."""
    with RedisServer() as server:
        bus = RedisBus(server.url)
        subscription = await bus.subscribe(5)
        await bus.publish(5, [Frame(1, 0, "audio", b"a"), Frame(1, 1, "audio", b"b")])
        await bus.publish(5, [Frame(1, 3, "audio", b"d")])
        await bus.publish(5, [Frame(1, 4, "ended")])
        got = [await subscription.get(0.5) for _ in range(3)]
        assert [frame and frame.data for frame in got] == [b"a", b"b", None]
        late = await bus.subscribe(5)
        assert [frame and frame.data for frame in [await late.get(0.5) for _ in range(3)]] == [
            b"a",
            b"b",
            None,
        ]
        await bus.aclose()
