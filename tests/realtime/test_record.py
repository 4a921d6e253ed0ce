"""What is said in a call is stored, also where the database is away for a while."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from accounts.database import in_database_thread
from accounts.models import User
from chat.models import Message
from realtime import record as record_module
from realtime.effects import StoreReply, StoreTranscript, StoreUtterance
from realtime.record import Conversation, Record
from roles.models import Role
from uploads.models import AudioFile

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = b"\x01\x00" * 16_000


class Outage:
    """The database as it is met by the thread that stores."""

    def __init__(self) -> None:
        self.ends = 0.0
        self.met = 0

    def __call__(self, execute: Callable[..., Any], *args: Any) -> Any:
        if time.monotonic() < self.ends:
            self.met += 1
            raise OperationalError("server closed the connection unexpectedly")
        return execute(*args)

    def lasts(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds


@pytest.fixture
async def outage() -> AsyncIterator[Outage]:
    made = Outage()
    await in_database_thread(lambda: connection.execute_wrappers.append(made))
    yield made
    await in_database_thread(lambda: connection.execute_wrappers.remove(made))


@pytest.fixture
def conversation(settings, tmp_path) -> Conversation:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path, "base_url": "/uploads/"},
        },
    }
    user = User.objects.create_user("alice", password="x")
    role = Role.objects.create(
        name="诸葛亮", description="字孔明", gender="男", age=40, voice_type="x"
    )
    return Conversation(user_id=user.pk, role_id=role.pk, public_id="conv_a", pk=None)


def said() -> list[tuple[str, str, bool]]:
    rows = Message.objects.order_by("pk").values_list("author", "text", "audio")
    return [(author, text, audio is not None) for author, text, audio in rows]


async def test_what_is_said_while_the_database_is_away_is_stored_once_it_is_back(
    conversation, outage
):
    lost: list[str] = []
    record = Record(conversation, on_failed=lost.append)
    outage.lasts(1.0)
    record.keep(StoreUtterance("item_1", pcm=SECOND))
    record.keep(StoreTranscript("item_1", "今夜会有东风吗"))
    record.keep(StoreReply("item_2", "今夜必有东风。"))
    await record.utterances()
    assert outage.met >= 2
    await record.drain()
    assert lost == []
    stored = await in_database_thread(said)
    assert stored == [("user", "今夜会有东风吗", True), ("assistant", "今夜必有东风。", False)]
    assert await in_database_thread(AudioFile.objects.count) == 1


async def test_who_has_typed_is_told_at_once(conversation, outage):
    lost: list[str] = []
    record = Record(conversation, on_failed=lost.append)
    outage.lasts(5.0)
    stored = record.keep(StoreUtterance("item_1", "在吗"))
    async with asyncio.timeout(2):
        await stored
    assert lost == ["item_1"]
    outage.ends = 0.0
    await record.keep(StoreUtterance("item_2", "还在吗"))
    assert await in_database_thread(said) == [("user", "还在吗", False)]


async def test_what_cannot_be_stored_in_the_end_is_told(conversation, outage, monkeypatch):
    monkeypatch.setattr(record_module, "PATIENCE", 0.1)
    lost: list[str] = []
    record = Record(conversation, on_failed=lost.append)
    outage.lasts(60.0)
    record.keep(StoreUtterance("item_1", pcm=SECOND))
    record.keep(StoreTranscript("item_1", "今夜会有东风吗"))
    record.keep(StoreReply("item_2", "今夜必有东风。"))
    await record.drain()
    assert lost == ["item_1", "item_2"]
    outage.ends = 0.0
    assert await in_database_thread(said) == []


async def test_an_outage_tries_the_patience_of_all_that_wait_just_once(
    conversation, outage, monkeypatch
):
    patience = 0.6
    monkeypatch.setattr(record_module, "PATIENCE", patience)
    lost: list[str] = []
    record = Record(conversation, on_failed=lost.append)
    outage.lasts(60.0)
    began = time.monotonic()
    for number in range(8):
        record.keep(StoreReply(f"item_{number}", "今夜必有东风。"))
    await record.keep(StoreUtterance("item_typed", "在吗"))
    assert time.monotonic() - began < 4 * patience
    assert lost == [*(f"item_{number}" for number in range(8)), "item_typed"]
