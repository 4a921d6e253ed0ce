"""The bus of the scaled mode, over Redis.

A frame is pushed to a list (for replay) and published (for the followers) in one round
trip. A process holds one connection for all its subscriptions. Frames carry numbers, so a
follower sees a hole, and fills it from the list, after Redis or the network was gone.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chat.bus.base import (
    BEAT_SECONDS,
    CLAIM_SECONDS,
    LOST_SECONDS,
    REPLAY_SECONDS,
    BusUnavailable,
    Frame,
    Key,
    decode_frames,
    encode_frames,
)

logger = logging.getLogger(__name__)

_PREFIX = "liyuan:turn:"
_CANCELS = "liyuan:cancels"
_WORKER = "liyuan:worker:"
_CLAIM = "liyuan:claim:"
_REPLY_SECONDS = 3.0
_RECONNECT_SECONDS = 0.25


class RedisSubscription:
    """Frames of one turn; holes are filled from the replay list."""

    def __init__(self, bus: "RedisBus", channel: str) -> None:
        self._bus = bus
        self._channel = channel
        self._queue: asyncio.Queue[Frame | None] = asyncio.Queue()
        # The last frame that was queued; the next one of its attempt follows it.
        self._attempt = 0
        self._seq = -1

    def offer(self, frame: Frame) -> bool:
        """Queue the frame if it is the next one; False where a hole lies before it."""
        if frame.attempt < self._attempt:
            return True
        next_seq = self._seq + 1 if frame.attempt == self._attempt else 0
        if frame.seq > next_seq:
            return False
        if frame.seq == next_seq:
            self._attempt, self._seq = frame.attempt, frame.seq
            self._queue.put_nowait(frame)
        return True

    async def get(self, timeout: float) -> Frame | None:
        try:
            async with asyncio.timeout(timeout):
                return await self._queue.get()
        except TimeoutError:
            return None

    async def __aiter__(self) -> AsyncIterator[Frame]:
        while (frame := await self._queue.get()) is not None:
            yield frame
            if frame.kind == "ended":
                return

    async def aclose(self) -> None:
        self._queue.put_nowait(None)
        await self._bus.forget(self._channel, self)


class RedisBus:
    """See ``TurnBus``. Belongs to the event loop in which it is first used.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``.
    """

    def __init__(self, url: str) -> None:
        self._redis = self._client(url, timeout=_REPLY_SECONDS)
        # A subscription waits for as long as nothing happens: no reply time-out.
        self._listener = self._client(url, timeout=None)
        self._pubsub: PubSub | None = None
        self._reader: asyncio.Task[None] | None = None
        self._followers: dict[str, list[RedisSubscription]] = {}
        self._subscribed: dict[str, asyncio.Future[None]] = {}
        self._lock = asyncio.Lock()

    @staticmethod
    def _client(url: str, timeout: float | None) -> "Redis":
        # A listener that hears nothing for hours must still notice a peer that is gone.
        keepalive = {} if url.startswith("unix:") else {"socket_keepalive": True}
        pool = BlockingConnectionPool.from_url(
            url,
            **keepalive,
            socket_timeout=timeout,
            socket_connect_timeout=2,
            # A listener must know of a lost connection: there may be a hole behind it.
            retry=Retry(NoBackoff(), 1 if timeout else 0),
            # Where all are in use one waits for the next.
            max_connections=64 if timeout else 4,
            timeout=_REPLY_SECONDS,
        )
        return Redis.from_pool(pool)

    # --- following a turn

    async def subscribe(self, key: Key) -> RedisSubscription:
        channel = f"{_PREFIX}{key}"
        subscription = RedisSubscription(self, channel)
        try:
            async with asyncio.timeout(_REPLY_SECONDS), self._lock:
                followers = self._followers.setdefault(channel, [])
                followers.append(subscription)
                if len(followers) == 1:
                    await self._subscribe(channel)
            await self._replay(channel)
        except (RedisError, OSError, TimeoutError) as error:
            self._drop(channel, subscription)
            raise BusUnavailable(str(error)) from error
        except (BusUnavailable, asyncio.CancelledError):
            await self.forget(channel, subscription)
            raise
        return subscription

    async def _subscribe(self, channel: str) -> None:
        if self._pubsub is None:
            self._pubsub = self._listener.pubsub(ignore_subscribe_messages=False)
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._subscribed[channel] = confirmed
        await self._pubsub.subscribe(channel)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read(self._pubsub))
        await confirmed

    def _drop(self, channel: str, subscription: RedisSubscription) -> bool:
        followers = self._followers.get(channel, [])
        if subscription in followers:
            followers.remove(subscription)
        if followers:
            return False
        return self._followers.pop(channel, None) is not None

    async def forget(self, channel: str, subscription: RedisSubscription) -> None:
        """End a subscription; the last one of a turn unsubscribes it."""
        async with self._lock:
            if self._drop(channel, subscription) and self._pubsub is not None:
                with contextlib.suppress(RedisError, OSError):  # gone with its connection
                    await self._pubsub.unsubscribe(channel)

    async def _read(self, pubsub: PubSub) -> None:
        """Hand out what comes; after a lost connection, come back and fill the holes."""
        while True:
            try:
                message = await pubsub.get_message(timeout=None)
                if message is not None:
                    await self._dispatch(message)
            except (RedisError, OSError, BusUnavailable) as error:
                logger.warning("turn bus: connection lost: %s", error)
                await self._reconnect(pubsub)
            except ValueError:
                logger.exception("turn bus: not a frame")

    async def _reconnect(self, pubsub: PubSub) -> None:
        while True:
            await asyncio.sleep(_RECONNECT_SECONDS)
            try:
                # Reconnecting subscribes again to all channels the object knows.
                await pubsub.connect()  # type: ignore[no-untyped-call]
                await pubsub.ping()
                break
            except (RedisError, OSError):
                continue
        logger.warning("turn bus: connected again")
        for channel in list(self._followers):
            with contextlib.suppress(BusUnavailable):  # the reader comes here again
                await self._replay(channel)

    async def _dispatch(self, message: dict[str, Any]) -> None:
        if message["channel"] is None:  # the answer to a ping
            return
        channel = message["channel"].decode()
        if message["type"] == "subscribe":
            confirmed = self._subscribed.pop(channel, None)
            if confirmed and not confirmed.done():
                confirmed.set_result(None)
        elif message["type"] == "message":
            frames = decode_frames(message["data"])
            for follower in self._followers.get(channel, []):
                if not all(follower.offer(frame) for frame in frames):
                    await self._replay(channel)

    async def _replay(self, channel: str) -> None:
        try:
            chunks: list[Any] = await self._redis.lrange(channel, 0, -1)
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error
        frames = [frame for chunk in chunks for frame in decode_frames(chunk)]
        for follower in self._followers.get(channel, []):
            for frame in frames:
                follower.offer(frame)

    # --- publishing

    async def publish(self, key: Key, frames: Sequence[Frame]) -> None:
        channel = f"{_PREFIX}{key}"
        packed = encode_frames(frames)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.rpush(channel, packed)
                pipe.expire(channel, REPLAY_SECONDS)
                pipe.publish(channel, packed)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error

    async def discard(self, *keys: Key) -> None:
        with contextlib.suppress(RedisError, OSError):  # they expire by themselves
            await self._redis.unlink(*(f"{_PREFIX}{key}" for key in keys))

    async def claim(self, key: Key, worker: str) -> bool:
        try:
            first = await self._redis.set(f"{_CLAIM}{key}", worker, nx=True, ex=CLAIM_SECONDS)
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error
        return bool(first)

    async def cancel(self, turn_id: int) -> None:
        try:
            await self._redis.publish(_CANCELS, str(turn_id))
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error

    # --- workers

    async def serve(self, worker: str, on_cancel: Callable[[int], None]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat(worker))
            group.create_task(self._hear_cancels(on_cancel))

    async def _beat(self, worker: str) -> None:
        try:
            while True:
                with contextlib.suppress(RedisError, OSError):  # the next beat comes soon
                    await self._redis.set(f"{_WORKER}{worker}", b"1", px=int(LOST_SECONDS * 1000))
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            with contextlib.suppress(RedisError, OSError):  # it runs out by itself
                await asyncio.shield(self._redis.delete(f"{_WORKER}{worker}"))

    async def _hear_cancels(self, on_cancel: Callable[[int], None]) -> None:
        while True:
            try:
                async with self._listener.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(_CANCELS)
                    while True:
                        message = await pubsub.get_message(timeout=None)
                        if message is not None:
                            on_cancel(int(message["data"]))
            except (RedisError, OSError):
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def workers(self) -> list[str]:
        try:
            found = [key async for key in self._redis.scan_iter(match=f"{_WORKER}*", count=1000)]
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error
        return [key.decode().removeprefix(_WORKER) for key in found]

    async def is_alive(self, worker: str) -> bool:
        try:
            return bool(await self._redis.exists(f"{_WORKER}{worker}"))
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error

    async def aclose(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._pubsub is not None:
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        for followers in list(self._followers.values()):
            for follower in list(followers):
                await follower.aclose()
        await self._redis.aclose()
        await self._listener.aclose()
