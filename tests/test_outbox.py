"""One end of a live turn on the bus: what it sends, and what becomes of what it cannot send."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chat.bus.redis import RedisBus
from chat.outbox import Outbox
from tests.services import RedisServer


@pytest.fixture
async def bus() -> AsyncIterator[RedisBus]:
    with RedisServer() as server:
        bus = RedisBus(server.url)
        yield bus
        await bus.aclose()


@pytest.mark.parametrize("unsendable", [object(), "half \ud83d"])
async def test_a_frame_that_cannot_be_sent_is_told_and_logged(bus, caplog, unsendable):
    lost: list[None] = []
    subscription = await bus.subscribe("live:1")
    outbox = Outbox(bus, "live:1", gather=0, on_lost=lambda: lost.append(None))
    outbox.put("text", "before")
    first = await subscription.get(2)
    assert first is not None
    outbox.put("text", unsendable)
    async with asyncio.timeout(2):
        await outbox.wait_ended()
    assert lost == [None]
    assert "frames that cannot be sent" in caplog.text
    assert any(record.exc_info for record in caplog.records)
    outbox.put("text", "after")
    assert await subscription.get(0.2) is None
    await subscription.aclose()
