"""The one writer of a socket: order, patience and its end."""

import asyncio
from typing import Any

import pytest

from realtime import writer as module
from realtime.writer import Writer


class Server:
    """Takes messages as an ASGI server does; ``open`` says whether it takes any now."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, message: Any) -> None:
        await self.open.wait()
        self.sent.append(message.get("text") or (message["code"], message["reason"]))


@pytest.fixture
async def server() -> Server:
    return Server()


async def test_frames_go_out_in_order_and_the_end_comes_last(server):
    writer = Writer(server.send)
    for text in "abc":
        writer.write(text)
    writer.finish(1000, "done")
    writer.write("late")
    writer.finish(1001, "later")
    await asyncio.wait_for(writer.run(), 1)
    assert server.sent == ["a", "b", "c", (1000, "done")]
    assert writer.ending


async def test_nothing_overtakes_what_is_held(server):
    writer = Writer(server.send)
    held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(writer.run())
    writer.write("before")
    writer.hold(held)
    writer.write("after")
    await asyncio.sleep(0.05)
    assert server.sent == ["before"]
    held.set_result(None)
    writer.finish(1000, "")
    await asyncio.wait_for(running, 1)
    assert server.sent == ["before", "after", (1000, "")]


async def test_whoever_reads_too_slowly_is_closed_and_what_waited_dropped(server):
    writer = Writer(server.send, limit=100)
    server.open.clear()
    running = asyncio.create_task(writer.run())
    writer.write("x" * 60)
    await asyncio.sleep(0.02)
    writer.write("y" * 30)
    assert not writer.ending
    writer.write("z" * 30)
    assert writer.ending
    server.open.set()
    await asyncio.wait_for(running, 1)
    assert server.sent == ["x" * 60, (1008, "slow reader")]


async def test_one_frame_may_be_larger_than_all_that_may_wait(server):
    writer = Writer(server.send, limit=100)
    writer.write("x" * 1_000)
    writer.finish(1000, "")
    await asyncio.wait_for(writer.run(), 1)
    assert server.sent[0] == "x" * 1_000


async def test_a_client_that_takes_nothing_is_given_up(server, monkeypatch):
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.05)
    writer = Writer(server.send, limit=100)
    server.open.clear()
    running = asyncio.create_task(writer.run())
    writer.write("x")
    writer.finish(1001, "going away")
    await asyncio.wait_for(running, 1)
    assert server.sent == []


async def test_a_client_that_has_gone_raises_nothing(server):
    async def gone(message: Any) -> None:
        raise OSError("gone")

    writer = Writer(gone)
    writer.write("x")
    await asyncio.sleep(0)
    running = asyncio.create_task(writer.run())
    await asyncio.sleep(0.05)
    writer.finish(1000, "")
    await asyncio.wait_for(running, 1)


async def test_a_frame_that_cannot_be_sent_closes_the_socket_and_is_logged(server, caplog):
    async def encoding(message: Any) -> None:
        message.get("text", "").encode()  # as servers do; half a character cannot be
        await server.send(message)

    writer = Writer(encoding)
    for text in ("before", "half \ud83d", "after"):
        writer.write(text)
    await asyncio.wait_for(writer.run(), 1)
    assert server.sent == ["before", (1011, "internal error")]
    assert "frame cannot be sent" in caplog.text
    assert "UnicodeEncodeError" in caplog.text
    assert writer.ending


async def test_a_reason_is_cut_to_what_a_close_frame_holds(server):
    writer = Writer(server.send)
    writer.finish(1008, "风" * 100)
    await asyncio.wait_for(writer.run(), 1)
    assert len(server.sent[0][1].encode()) <= 123
