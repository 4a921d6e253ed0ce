"""One contract, two buses."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from chat.bus.base import (
    BusUnavailable,
    Frame,
    TurnBus,
    commands_of,
    decode_frames,
    encode_frames,
)
from chat.bus.memory import MemoryBus
from chat.bus.redis import RedisBus
from tests.services import RedisServer


@pytest.fixture(scope="module")
def redis_server():
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def bus(request, redis_server) -> AsyncIterator[TurnBus]:
    bus = MemoryBus() if request.param == "memory" else RedisBus(redis_server.url)
    yield bus
    await bus.aclose()


def frames(*words: str, attempt: int = 1, first: int = 0) -> list[Frame]:
    return [Frame(attempt, first + n, "text", word) for n, word in enumerate(words)]


async def collect(subscription, timeout: float = 2.0) -> list[Frame]:
    async with asyncio.timeout(timeout):
        return [frame async for frame in subscription]


def end(seq: int, attempt: int = 1) -> Frame:
    return Frame(attempt, seq, "ended")


def test_frames_survive_their_encoding():
    some = [Frame(1, 0, "started", "w"), Frame(1, 1, "audio", b"\xff\x00"), Frame(1, 2, "ended")]
    assert decode_frames(encode_frames(some)) == some


def test_what_is_not_frames_is_refused():
    with pytest.raises(ValueError):
        decode_frames(b"\x01")


async def test_frames_come_in_order_and_end(bus: TurnBus):
    subscription = await bus.subscribe(1)
    sent = [*frames("你", "好", "！"), end(3)]
    for frame in sent:
        await bus.publish(1, [frame])
    assert await collect(subscription) == sent


async def test_audio_stays_bytes(bus: TurnBus):
    subscription = await bus.subscribe(2)
    await bus.publish(2, [Frame(1, 0, "audio", b"\x00\xffmp3"), end(1)])
    assert (await collect(subscription))[0].data == b"\x00\xffmp3"


async def test_a_late_follower_gets_a_replay(bus: TurnBus):
    await bus.publish(3, frames("a", "b"))
    subscription = await bus.subscribe(3)
    await bus.publish(3, [*frames("c", first=2), end(3)])
    assert [frame.data for frame in await collect(subscription)] == ["a", "b", "c", ""]


async def test_two_followers_see_the_same(bus: TurnBus):
    one, two = await bus.subscribe(4), await bus.subscribe(4)
    sent = [*frames("x", "y"), end(2)]
    await bus.publish(4, sent)
    assert await collect(one) == await collect(two) == sent


async def test_turns_do_not_mix(bus: TurnBus):
    one, two = await bus.subscribe(5), await bus.subscribe(6)
    await bus.publish(6, [*frames("six"), end(1)])
    await bus.publish(5, [*frames("five"), end(1)])
    assert (await collect(one))[0].data == "five"
    assert (await collect(two))[0].data == "six"


async def test_get_gives_up_after_its_time(bus: TurnBus):
    subscription = await bus.subscribe(7)
    assert await subscription.get(0.05) is None
    await bus.publish(7, frames("late"))
    frame = await subscription.get(1.0)
    assert frame is not None
    assert frame.data == "late"
    await subscription.aclose()


async def test_many_turns_at_once_lose_nothing(bus: TurnBus):
    async def turn(turn_id: int) -> list[str | bytes]:
        subscription = await bus.subscribe(turn_id)
        for seq in range(50):
            await bus.publish(turn_id, [Frame(1, seq, "text", f"{turn_id}/{seq}")])
        await bus.publish(turn_id, [end(50)])
        return [frame.data for frame in await collect(subscription, 20)]

    got = await asyncio.gather(*(turn(turn_id) for turn_id in range(100, 140)))
    for turn_id, data in zip(range(100, 140), got, strict=True):
        assert data == [*(f"{turn_id}/{seq}" for seq in range(50)), ""]


async def test_any_number_may_publish_at_once(bus: TurnBus):
    subscription = await bus.subscribe(12)
    keys = range(1000, 1300)
    await asyncio.gather(*(bus.publish(key, [end(0)]) for key in keys))
    await bus.publish(12, [end(0)])
    assert await collect(subscription) == [end(0)]


async def test_a_cancel_reaches_the_worker(bus: TurnBus):
    cancelled: list[int] = []
    serving = asyncio.create_task(bus.serve("w1", cancelled.append))
    async with asyncio.timeout(2):
        while "w1" not in await bus.workers():
            await asyncio.sleep(0.01)
        while not cancelled:
            await bus.cancel(42)
            await asyncio.sleep(0.01)
    assert set(cancelled) == {42}
    assert await bus.is_alive("w1")
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert not await bus.is_alive("w1")


async def test_a_live_turn_is_claimed_once(bus: TurnBus):
    claims = await asyncio.gather(*(bus.claim("live:a", f"w{n}") for n in range(8)))
    assert sorted(claims) == [False] * 7 + [True]
    assert await bus.claim("live:b", "w1")


async def test_the_two_streams_of_a_live_turn_do_not_mix(bus: TurnBus):
    there, back = await bus.subscribe(commands_of("live:c")), await bus.subscribe("live:c")
    await bus.publish(commands_of("live:c"), [Frame(1, 0, "respond", [1, {"speed": 1.0}]), end(1)])
    await bus.publish("live:c", [Frame(1, 0, "reply", [1, ["AudioReady", b"\xff\x00"]]), end(1)])
    assert (await collect(there))[0].data == [1, {"speed": 1.0}]
    assert (await collect(back))[0].data == [1, ["AudioReady", b"\xff\x00"]]


async def test_what_is_discarded_is_not_replayed(bus: TurnBus):
    await bus.publish("live:d", frames("old"))
    await bus.discard("live:d", commands_of("live:d"))
    subscription = await bus.subscribe("live:d")
    assert await subscription.get(0.05) is None
    await bus.publish("live:d", [*frames("new"), end(1)])
    assert (await collect(subscription))[0].data == "new"


async def test_followers_outlive_a_replay_that_fails():
    """A hole is seen while Redis goes away: what comes after it is back is heard."""
    with RedisServer() as server:
        bus, other = RedisBus(server.url), RedisBus(server.url)
        subscription = await bus.subscribe(11)
        await other.publish(11, frames("a"))
        assert await subscription.get(2)
        # Clients that ask are cut off; those that listen are not: the hole cannot be filled.
        with Redis.from_url(server.url) as steering:
            steering.acl_setuser("default", commands=["-lrange"])
            await other.publish(11, frames("c", first=2))
            await asyncio.sleep(0.2)
            steering.acl_setuser("default", commands=["+lrange"])
        await other.publish(11, [*frames("b", first=1), end(3)])
        assert [frame.data for frame in await collect(subscription, 5)] == ["b", "c", ""]
        await asyncio.gather(bus.aclose(), other.aclose())


async def test_who_gives_up_subscribing_is_forgotten(redis_server):
    bus = RedisBus(redis_server.url)
    kept = await bus.subscribe(13)  # the connection is there
    for moment in range(1, 12):
        subscribing = asyncio.create_task(bus.subscribe(f"live:{moment}"))
        for _ in range(moment):
            await asyncio.sleep(0)
        subscribing.cancel()
        await asyncio.gather(subscribing, return_exceptions=True)
        if not subscribing.cancelled():
            await subscribing.result().aclose()
    with Redis.from_url(redis_server.url) as looking:
        async with asyncio.timeout(3):
            while looking.pubsub_channels("*live:*"):
                await asyncio.sleep(0.01)
    await kept.aclose()
    await bus.aclose()


async def test_frames_of_a_lost_attempt_are_stale(redis_server):
    bus = RedisBus(redis_server.url)
    subscription = await bus.subscribe(8)
    await bus.publish(8, frames("old"))
    await bus.publish(8, frames("new", attempt=2))
    await bus.publish(8, frames("ghost", first=1))
    await bus.publish(8, [end(1, attempt=2)])
    assert [frame.data for frame in await collect(subscription)] == ["old", "new", ""]
    await bus.aclose()


async def test_followers_live_through_a_restart_of_redis():
    with RedisServer() as server:
        bus = RedisBus(server.url)
        subscription = await bus.subscribe(9)
        await bus.publish(9, frames("before"))
        first = await subscription.get(2)
        assert first is not None
        server.kill()
        with pytest.raises(BusUnavailable):
            await bus.publish(9, frames("lost", first=1))
        server.start()
        async with asyncio.timeout(10):
            while True:
                try:
                    await bus.publish(9, frames("after", first=1))
                    break
                except BusUnavailable:
                    await asyncio.sleep(0.1)
        frame = await subscription.get(5)
        assert frame is not None
        assert frame.data == "after"
        await bus.aclose()


async def test_without_redis_it_says_so_soon():
    bus = RedisBus("redis://127.0.0.1:9/0")
    async with asyncio.timeout(8):
        with pytest.raises(BusUnavailable):
            await bus.subscribe(1)
        with pytest.raises(BusUnavailable):
            await bus.publish(1, frames("x"))
        with pytest.raises(BusUnavailable):
            await bus.workers()
    await bus.aclose()


async def test_a_follower_in_another_loop_is_served():
    """The embedded worker publishes from the loop of its own thread."""
    bus = MemoryBus()
    subscription = await bus.subscribe(10)

    def publish() -> None:
        asyncio.run(bus.publish(10, [*frames("from afar"), end(1)]))

    await asyncio.to_thread(publish)
    assert [frame.data for frame in await collect(subscription)] == ["from afar", ""]
