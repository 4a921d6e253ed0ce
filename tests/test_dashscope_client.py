"""The client of DashScope's task protocol, against a loopback service that can fail."""

import asyncio
import gc
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from config.checks import providers_can_be_built
from tests.processes import environment, manage
from tests.servers.dashscope import DashScopeServer
from tests.servers.dashscope_behaviour import Behaviour, Pace
from voice import speech
from voice.dashscope import backoff, connection
from voice.dashscope.config import DashScopeConfig, Patience
from voice.dashscope.errors import DashScopeError, kind_of, refusal, retry_after_of
from voice.dashscope.messages import synthesis
from voice.dashscope.pool import Pool, pool_state
from voice.dashscope.synthesis import Synthesis
from voice.dashscope.task import running
from voice.dashscope.unspoken import Unspoken, ends_a_sentence, pieces_of
from voice.errors import ProviderError

KEY = "sk-0123456789abcdef"
PAYLOAD = synthesis(
    "cosyvoice-v3-flash", {"voice": "longanyang", "format": "pcm", "sample_rate": 24_000}
)
QUICK = Patience(
    connect=2, started=0.5, started_again=0.3, first_audio=0.5, silence=0.5, utterance=5, pause=0.4
)


@pytest.fixture
async def server() -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer(api_key=KEY) as running_server:
        yield running_server


def config_of(server: DashScopeServer, **given: Any) -> DashScopeConfig:
    fields = {"api_key": KEY, "patience": QUICK} | given
    return DashScopeConfig(websocket_url=server.websocket_url, http_url=server.http_url, **fields)


@pytest.fixture
async def pool(server: DashScopeServer) -> AsyncIterator[Pool]:
    made = Pool(config_of(server), "tts")
    yield made
    await made.aclose()


async def texts_of(*texts: str, apart: float = 0.0) -> AsyncIterator[str]:
    for number, text in enumerate(texts):
        if number:
            await asyncio.sleep(apart)
        yield text


async def spoken(
    pool: Pool, *texts: str, apart: float = 0.0, patience: Patience = QUICK
) -> list[str | bytes]:
    speaker = Synthesis(pool, patience)
    return [item async for item in speaker.speak(PAYLOAD, texts_of(*texts, apart=apart))]


def told(items: list[str | bytes]) -> list[str]:
    return [item for item in items if isinstance(item, str)]


def audio(items: list[str | bytes]) -> bytes:
    return b"".join(item for item in items if isinstance(item, bytes))


async def until(condition: Any, seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


# Connections


async def test_a_connection_is_used_again_after_its_task(server, pool):
    before = pool_state()["tts"]
    for _ in range(5):
        assert audio(await spoken(pool, "你好。"))
    after = pool_state()["tts"]
    assert server.connections_opened == 1
    assert server.count("tts", "finished") == 5
    assert after.opened - before.opened == 1
    assert after.reused - before.reused == 4
    assert (pool.idle, pool.busy) == (1, 0)


async def test_a_connection_carries_one_task_at_a_time(server, pool):
    pieces = await asyncio.gather(*[spoken(pool, "今天天气很好。") for _ in range(8)])
    assert len({audio(items) for items in pieces}) == 1
    assert server.connections_opened == 8
    connections = [each.connection for each in server.script.records if each.kind == "tts"]
    assert sorted(connections) == list(range(1, 9))


async def test_no_more_connections_than_the_pool_may_have(server):
    pool = Pool(config_of(server, max_connections=2), "tts")
    await asyncio.gather(*[spoken(pool, "你好。") for _ in range(10)])
    assert server.connections_opened == 2
    await pool.aclose()


async def test_a_full_pool_is_told_in_time(server):
    patience = Patience(connect=0.3)
    pool = Pool(config_of(server, max_connections=1, patience=patience), "tts")
    async with running(pool, PAYLOAD, QUICK):
        with pytest.raises(DashScopeError, match="all 1 connections") as error:
            await pool.borrow()
        assert error.value.kind == "rate"
    await pool.aclose()


async def test_a_connection_that_the_service_closed_is_not_used(pool, server):
    await spoken(pool, "你好。")
    before = pool_state()["tts"]
    server.drop_connections()
    await until(lambda: server.connections_open == 0)
    assert audio(await spoken(pool, "你好。"))
    assert server.connections_opened == 2
    assert pool_state()["tts"].expired == before.expired + 1


async def test_a_dead_connection_is_replaced_unseen(server, pool):
    await spoken(pool, "你好。")
    before = pool_state()["tts"]
    server.next("tts", Behaviour(fault="drop_start"))
    assert audio(await spoken(pool, "你好。"))
    assert server.connections_opened == 2
    assert pool_state()["tts"].stale == before.stale + 1


async def test_a_silent_used_connection_is_replaced_unseen(server, pool):
    await spoken(pool, "你好。")
    server.next("tts", Behaviour(fault="stall_start"))
    assert audio(await spoken(pool, "你好。"))
    assert server.connections_opened == 2


async def test_so_is_one_that_was_made_beforehand(server, pool):
    await pool.warm()
    server.next("tts", Behaviour(fault="drop_start"))
    assert audio(await spoken(pool, "你好。"))
    assert server.connections_opened == 2


async def test_it_is_replaced_once(server, pool):
    await spoken(pool, "你好。")
    server.next("tts", Behaviour(fault="drop_start"), Behaviour(fault="drop_start"))
    with pytest.raises(DashScopeError, match="closed the connection"):
        await spoken(pool, "你好。")
    assert server.connections_opened == 2


async def test_connections_that_nobody_wants_are_closed(server):
    pool = Pool(config_of(server), "tts", idle_seconds=0.3)
    await asyncio.gather(*[spoken(pool, "你好。") for _ in range(3)])
    assert pool.idle == 3
    await until(lambda: pool.idle == 0 and server.connections_open == 0)
    await spoken(pool, "你好。")
    assert server.connections_opened == 4
    await pool.aclose()


async def test_the_connection_of_a_failed_task_is_never_kept(server, pool):
    server.next("tts", Behaviour(fault="fail_start", code="InvalidParameter"))
    with pytest.raises(DashScopeError):
        await spoken(pool, "你好。")
    assert (pool.idle, pool.busy) == (0, 0)
    await until(lambda: server.connections_open == 0)


async def test_a_closed_pool_is_not_used(server, pool):
    await spoken(pool, "你好。")
    await pool.aclose()
    await until(lambda: server.connections_open == 0)
    with pytest.raises(RuntimeError, match="closed"):
        await pool.borrow()


async def test_a_task_that_outlives_its_pool_leaves_no_connection(server, pool):
    async with running(pool, PAYLOAD, QUICK) as task:
        await pool.aclose()
        await task.finish()
        while await task.receive() is not None:
            pass
    await until(lambda: server.connections_open == 0)


async def test_warm_has_a_connection_ready_and_a_probe_makes_one(server, pool):
    await pool.warm()
    await pool.warm()
    assert (server.connections_opened, pool.idle) == (1, 1)
    await pool.probe()
    assert (server.connections_opened, pool.idle) == (2, 2)
    await spoken(pool, "你好。")
    assert server.connections_opened == 2


async def test_a_connection_that_is_coming_is_for_whoever_comes_first(server, pool):
    server.next("connect", Behaviour(pace=Pace(connect_ms=200)))
    warming = asyncio.create_task(pool.warm())
    await until(lambda: server.count("connect", "started") == 1)
    assert audio(await spoken(pool, "你好。"))
    assert server.connections_opened == 1
    await warming
    assert (pool.idle, pool.busy) == (1, 0)


async def test_whoever_waits_for_a_connection_learns_why_it_does_not_come(server, pool):
    server.next("connect", Behaviour(status=503, pace=Pace(connect_ms=200)))
    warming = asyncio.create_task(pool.warm())
    await until(lambda: server.count("connect", "started") == 1)
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "你好。")
    assert error.value.status == 503
    assert server.count("connect", "started") == 1
    await asyncio.gather(warming, return_exceptions=True)
    assert pool.busy == 0


async def test_a_thousand_tasks_leave_nothing(server, pool):
    await asyncio.gather(*[spoken(pool, "好。") for _ in range(20)])
    gc.collect()
    tasks, objects = len(asyncio.all_tasks()), len(gc.get_objects())
    for _ in range(50):
        await asyncio.gather(*[spoken(pool, "好。") for _ in range(20)])
    gc.collect()
    assert pool.idle == 20
    assert server.connections_opened == 20
    assert len(asyncio.all_tasks()) <= tasks
    # The record of the server keeps each task; ours must keep less than an object each.
    kept = len(server.script.records) * 12
    assert len(gc.get_objects()) - objects < kept


async def test_tls_with_the_one_shared_context(monkeypatch):
    async with DashScopeServer(api_key=KEY, tls=True) as server:
        context = server.client_tls()
        asked = []

        def certificates():
            asked.append(1)
            return context

        monkeypatch.setattr("voice.dashscope.connection.certificates", certificates)
        pool = Pool(config_of(server), "tts")
        await asyncio.gather(*[spoken(pool, "你好。") for _ in range(4)])
        assert server.connections_opened == len(asked) == 4
        await pool.aclose()


async def test_a_certificate_of_nobody_known_is_refused():
    async with DashScopeServer(api_key=KEY, tls=True) as server:
        pool = Pool(config_of(server), "tts")
        with pytest.raises(DashScopeError, match="certificate") as error:
            await spoken(pool, "你好。")
        assert error.value.reason == "unavailable"


# Handshakes


async def test_key_and_workspace_are_in_the_handshake(server):
    pool = Pool(config_of(server, workspace="ws-1"), "tts")
    await spoken(pool, "你好。")
    headers = server.last("connect").headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["X-DashScope-WorkSpace"] == "ws-1"
    assert "Sec-WebSocket-Extensions" not in headers
    await pool.aclose()


@pytest.mark.parametrize(
    ("behaviour", "kind", "reason"),
    [
        (Behaviour(status=401), "auth", "auth"),
        (Behaviour(status=403), "auth", "auth"),
        (Behaviour(status=403, code="AccessDenied.Unpurchased"), "auth", "auth"),
        (Behaviour(status=400, code="Arrearage"), "billing", "billing"),
        (Behaviour(status=503), "server", "unavailable"),
        (Behaviour(status=500, code="InternalError.Algo"), "server", "unavailable"),
        (Behaviour(fault="drop_start"), "server", "unavailable"),
    ],
)
async def test_a_refused_handshake_tells_why(server, pool, behaviour, kind, reason):
    server.next("connect", behaviour)
    began = time.monotonic()
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "你好。")
    assert (error.value.kind, error.value.reason) == (kind, reason)
    assert error.value.provider == "dashscope"
    assert time.monotonic() - began < 2
    assert pool.busy == 0


async def test_a_wrong_key_is_told_at_once_and_not_logged(server, caplog):
    caplog.set_level(logging.DEBUG)
    pool = Pool(config_of(server, api_key="sk-wrongwrongwrong"), "tts")
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "你好。")
    assert (error.value.status, error.value.reason) == (401, "auth")
    assert error.value.request_id in caplog.text
    assert "sk-wrong" not in caplog.text + str(error.value)
    ours = [record.levelname for record in caplog.records if record.name.startswith("voice")]
    assert ours == ["ERROR"]
    assert "sk-wrong" not in repr(config_of(server, api_key="sk-wrongwrongwrong"))


async def test_a_handshake_without_an_answer_ends_in_time(server):
    server.next("connect", Behaviour(fault="stall_start"))
    pool = Pool(config_of(server, patience=Patience(connect=0.3)), "tts")
    with pytest.raises(DashScopeError, match=r"within 0\.3 s"):
        await spoken(pool, "你好。")
    await pool.aclose()


async def test_nobody_at_the_address():
    server = DashScopeServer(api_key=KEY)
    async with server:
        config = config_of(server)
    pool = Pool(config, "tts")
    with pytest.raises(DashScopeError, match="could not be reached") as error:
        await spoken(pool, "你好。")
    assert error.value.retryable


# Rate limits


@pytest.fixture
def no_pause(monkeypatch):
    """Pauses are noted, and not made."""
    pauses = []
    sleep = asyncio.sleep

    async def noted(seconds):
        pauses.append(seconds)
        await sleep(0)

    class Clock:
        sleep = staticmethod(noted)

    monkeypatch.setattr(backoff, "asyncio", Clock)
    return pauses


async def test_a_rate_limit_is_waited_for(server, pool, no_pause):
    server.next("connect", Behaviour(status=429))
    server.next(
        "tts", Behaviour(fault="fail_start", code="Throttling.RateQuota"), Behaviour(), Behaviour()
    )
    assert audio(await spoken(pool, "你好。"))
    first, second = no_pause
    assert 0.25 <= first <= 0.5
    assert 0.5 <= second <= 1.0


async def test_text_that_came_while_it_was_throttled_is_spoken(server, pool, no_pause):
    server.next("tts", Behaviour(fault="fail_start", code="limit_requests"))
    items = await spoken(pool, "第一句话。", "第二句话。")
    assert told(items) == ["第一句话。", "第二句话。"]
    assert len(no_pause) == 1


async def test_a_rate_limit_is_waited_for_three_times(server, pool, no_pause):
    server.always("connect", Behaviour(status=429))
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "你好。")
    assert len(no_pause) == 3
    assert server.count("connect", "refused") == 4
    # Longer than a chain waits: it turns to the next provider at once.
    assert error.value.retry_after == 4.0
    assert error.value.reason == "rate_limited"


async def test_the_service_says_how_long(server, pool, no_pause):
    server.next("connect", Behaviour(status=429, retry_after="2"))
    assert audio(await spoken(pool, "你好。"))
    assert no_pause == [2.0]


async def test_nobody_waits_for_a_minute(server, pool, no_pause):
    server.next("connect", Behaviour(status=429, retry_after="60"))
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "你好。")
    assert error.value.retry_after == 60
    assert no_pause == []


def test_retry_after_in_both_forms():
    assert retry_after_of({"retry-after": "1.5"}) == 1.5
    assert retry_after_of({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0.0
    assert retry_after_of({"retry-after": "soon"}) is None
    assert retry_after_of({}) is None


# Deadlines of a task


async def test_a_task_that_does_not_start(server, pool):
    server.next("tts", Behaviour(fault="stall_start"))
    with pytest.raises(DashScopeError, match="did not start") as error:
        await spoken(pool, "你好。")
    assert error.value.reason == "timeout"
    assert pool.busy == 0


@pytest.mark.parametrize("fault", ["stall_first", "stall_middle", "stall_finish"])
async def test_silence_while_an_answer_is_owed(server, pool, fault):
    server.always("tts", Behaviour(fault=fault))
    with pytest.raises(DashScopeError, match="was silent") as error:
        await spoken(pool, "今天天气很好，我们出去走走吧。")
    assert error.value.reason == ("timeout" if fault == "stall_first" else "incomplete")
    assert (pool.idle, pool.busy) == (0, 0)
    await until(lambda: server.connections_open == 0)


async def test_silence_between_sentences_is_the_writer_s(server, pool):
    """Text may pause for longer than an answer may."""
    patience = Patience(started=1, first_audio=0.3, silence=0.3, pause=5)
    items = await spoken(pool, "第一句。", "第二句。", apart=0.8, patience=patience)
    assert told(items) == ["第一句。", "第二句。"]
    assert server.count("tts", "started") == 1


async def test_a_whole_utterance_has_an_end(server, pool):
    slow = Pace(speech_rate=1.0)
    server.next("tts", Behaviour(pace=slow), Behaviour(pace=slow))
    patience = Patience(first_audio=1, silence=1, utterance=0.4)
    with pytest.raises(DashScopeError, match="was silent"):
        await spoken(pool, "一二三四五六七八九十一二三四五六七八九十。", patience=patience)


async def test_a_slow_listener_is_no_failure(server, pool):
    server.always("tts", Behaviour(piece_bytes=4_800))
    items = []
    async for item in Synthesis(pool, QUICK).speak(PAYLOAD, texts_of("今天天气很好，出去走走。")):
        items.append(item)
        if len(items) in (2, 3):
            await asyncio.sleep(0.8)  # longer than any silence may last
    assert told(items) == ["今天天气很好，出去走走。"]
    assert pool.idle == 1


async def test_audio_is_not_piled_up(server, pool):
    """Who does not listen stops the service from sending."""
    text = "今天天气很好，我们出去走走吧。" * 60
    speech = Synthesis(pool, Patience()).speak(PAYLOAD, texts_of(text))
    while not isinstance(await anext(speech), bytes):
        pass
    await asyncio.sleep(0.5)
    sent = server.last("tts").seconds
    await asyncio.sleep(0.5)
    assert server.last("tts").seconds == sent < 150  # of 200 s: what sockets hold
    await speech.aclose()


async def test_a_service_that_reads_nothing_is_left(monkeypatch):
    monkeypatch.setattr(connection, "_WRITE_SECONDS", 0.3)

    async def deaf(socket: ServerConnection) -> None:
        first = json.loads(await socket.recv())
        started = {"event": "task-started", "task_id": first["header"]["task_id"]}
        await socket.send(json.dumps({"header": started, "payload": {}}))
        socket.transport.pause_reading()
        await left.wait()
        socket.transport.abort()

    left = asyncio.Event()
    async with serve(deaf, "127.0.0.1", 0) as service:
        port = service.sockets[0].getsockname()[1]
        pool = Pool(DashScopeConfig(KEY, websocket_url=f"ws://127.0.0.1:{port}/"), "tts")
        with pytest.raises(DashScopeError, match="read nothing") as error:
            async with running(pool, PAYLOAD, QUICK) as task:
                await task.hear(bytes(32 * 2**20))
        assert error.value.reason == "timeout"
        assert pool.busy == 0
        left.set()
        await pool.aclose()


# Barge-in


async def test_a_cancelled_synthesis_is_over_at_once(server, pool):
    server.always("tts", Behaviour(pace=Pace(speech_rate=2.0)))
    heard = asyncio.Event()

    async def listen() -> None:
        async for item in Synthesis(pool, QUICK).speak(PAYLOAD, texts_of("今天天气很好。" * 20)):
            if isinstance(item, bytes):
                heard.set()

    before = pool_state()["tts"]
    task = asyncio.create_task(listen())
    await heard.wait()
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 0.2
    assert (pool.idle, pool.busy) == (0, 0)
    await until(lambda: server.connections_open == 0)
    assert server.last("tts").outcome in ("cancelled", "gone")
    assert pool_state()["tts"].failed == before.failed + 1


async def test_a_left_synthesis_stops_its_writer(server, pool):
    closed = asyncio.Event()

    async def writer() -> AsyncIterator[str]:
        try:
            yield "第一句。"
            await asyncio.Event().wait()
        finally:
            closed.set()

    tasks = asyncio.all_tasks()
    speech = Synthesis(pool, QUICK).speak(PAYLOAD, writer())
    while not isinstance(await anext(speech), bytes):
        pass
    await speech.aclose()
    assert closed.is_set()
    await until(lambda: asyncio.all_tasks() <= tasks | {asyncio.current_task()})
    await until(lambda: server.connections_open == 0)


@pytest.mark.parametrize("fault", ["stall_start", "stall_first"])
async def test_cancelled_before_anything_came(server, pool, fault):
    server.next("tts", Behaviour(fault=fault))
    task = asyncio.create_task(spoken(pool, "你好。"))
    await until(lambda: server.count("tts", "started") == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (pool.idle, pool.busy) == (0, 0)
    await until(lambda: server.connections_open == 0)


async def test_cancelled_while_connecting(server, pool):
    server.next("connect", Behaviour(fault="stall_start"))
    task = asyncio.create_task(spoken(pool, "你好。"))
    await until(lambda: server.count("connect", "started") == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.busy == 0
    assert audio(await spoken(pool, "你好。"))


async def test_a_failing_writer_ends_it(server, pool):
    async def writer() -> AsyncIterator[str]:
        yield "第一句。"
        raise LookupError("the model went away")

    with pytest.raises(LookupError):
        async for _ in Synthesis(pool, QUICK).speak(PAYLOAD, writer()):
            pass
    assert pool.busy == 0


# Text streamed in


async def test_sentences_are_told_before_their_audio(server, pool):
    items = await spoken(pool, "第一句话。第二", "句话！", "最后一句没有句号")
    # A piece that is left open is spoken at once, not held back.
    assert "".join(told(items)) == "第一句话。第二句话！最后一句没有句号"
    assert told(items)[0] == "第一句话。"
    assert isinstance(items[0], str)
    assert isinstance(items[1], bytes)
    assert server.count("tts", "started") == 1


async def test_speech_begins_before_the_text_has_ended(server, pool):
    written = []

    async def writer() -> AsyncIterator[str]:
        for text in ("第一句。", "第二句。"):
            written.append(text)
            yield text
            await asyncio.sleep(0.3)

    first = 0
    async for item in Synthesis(pool, QUICK).speak(PAYLOAD, writer()):
        if isinstance(item, bytes) and not first:
            first = len(written)
    assert first == 1
    assert len(written) == 2


async def test_an_open_clause_is_flushed(server, pool):
    """Nobody waits for the next piece to hear this one."""
    patience = Patience(pause=5)
    speech = Synthesis(pool, patience).speak(
        PAYLOAD, texts_of("主公有何吩咐，", "但说无妨。", apart=1.0)
    )
    began = time.monotonic()
    while not isinstance(await anext(speech), bytes):
        pass
    assert time.monotonic() - began < 0.9
    assert "".join([item async for item in speech if isinstance(item, str)]) == "但说无妨。"


async def test_a_long_pause_of_the_writer_takes_a_second_task(server, pool):
    """The service would fail the task after 23 s; it is finished before."""
    items = await spoken(pool, "第一句。", "第二句。", apart=0.9)
    assert told(items) == ["第一句。", "第二句。"]
    assert server.count("tts", "started") == server.count("tts", "finished") == 2
    assert server.connections_opened == 1


async def test_a_writer_who_is_slow_to_begin(server, pool):
    async def writer() -> AsyncIterator[str]:
        await asyncio.sleep(0.9)
        yield "终于。"

    items = [item async for item in Synthesis(pool, QUICK).speak(PAYLOAD, writer())]
    assert told(items) == ["终于。"]


async def test_a_failure_after_a_pause_is_a_failure(server, pool):
    async def writer() -> AsyncIterator[str]:
        await asyncio.sleep(0.7)
        yield "终于。"

    server.next("tts", Behaviour(), Behaviour(fault="fail_start", code="InvalidApiKey"))
    with pytest.raises(DashScopeError) as error:
        async for _ in Synthesis(pool, QUICK).speak(PAYLOAD, writer()):
            pass
    assert error.value.reason == "auth"
    assert server.count("tts", "started") == 2


async def test_a_service_that_is_always_out_of_patience(server, pool):
    server.always(
        "tts",
        Behaviour(
            fault="fail_start", code="CLIENT_ERROR", message="request timeout after 23 seconds."
        ),
    )
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "你好。")
    assert error.value.reason == "unavailable"
    assert server.count("tts", "started") == 4


async def test_the_23_seconds_of_the_service_itself():
    async with DashScopeServer(api_key=KEY, silence=0.4) as server:
        pool = Pool(config_of(server), "tts")
        patience = Patience(pause=30)
        items = await spoken(pool, "第一句。", "第二句。", apart=0.9, patience=patience)
        assert told(items) == ["第一句。", "第二句。"]
        assert server.count("tts", "failed") == 1
        await pool.aclose()


async def test_nothing_to_say(server, pool):
    assert await spoken(pool) == []
    assert await spoken(pool, "", "") == []
    assert pool.busy == 0


# Failures in the middle


@pytest.mark.parametrize("fault", ["drop_middle", "fail_middle", "stall_middle"])
async def test_it_goes_on_with_the_next_sentence(server, pool, fault):
    server.next("tts", Behaviour(fault=fault, sentence=1))
    items = await spoken(pool, "第一句话说完了。第二句话断掉了。第三句话还在。")
    assert told(items) == ["第一句话说完了。", "第二句话断掉了。", "第三句话还在。"]
    assert server.count("tts", "started") == 2
    assert server.last("tts").texts == ["第三句话还在。"]


async def test_it_goes_on_once(server, pool):
    server.always("tts", Behaviour(fault="drop_middle"))
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "第一句话说完了。第二句话断掉了。第三句话还在。")
    assert error.value.reason == "incomplete"
    assert not error.value.retryable
    assert server.count("tts", "started") == 2


async def test_the_last_sentence_has_no_next_one(server, pool):
    server.next("tts", Behaviour(fault="drop_middle"))
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "只有这一句话。")
    assert error.value.reason == "incomplete"


async def test_before_any_audio_the_failure_is_left_to_whoever_asked(server, pool):
    server.next("tts", Behaviour(fault="fail_start", code="InternalError"))
    with pytest.raises(DashScopeError) as error:
        await spoken(pool, "你好。")
    assert error.value.retryable
    assert server.count("tts", "started") == 1


async def test_an_engine_code_that_passes_is_tried_again_with_a_known_voice(server, pool):
    passing = Behaviour(
        fault="fail_start", code="InvalidParameter", message="[tts:]Engine return error code: 418"
    )
    speaker = Synthesis(pool, QUICK)

    async def speak() -> list[str | bytes]:
        return [item async for item in speaker.speak(PAYLOAD, texts_of("你好。"))]

    server.next("tts", passing)
    with pytest.raises(DashScopeError) as error:
        await speak()
    assert error.value.reason == "bad_request"
    assert audio(await speak())
    server.next("tts", passing)
    assert audio(await speak())
    server.next("tts", passing, passing)
    with pytest.raises(DashScopeError):
        await speak()


async def test_what_is_not_the_protocol(server, pool):
    server.next("tts", Behaviour(fault="invalid_json"))
    with pytest.raises(DashScopeError, match="cannot be read") as error:
        await spoken(pool, "你好。")
    assert error.value.reason == "unavailable"


async def test_a_failed_task_is_logged_with_what_support_asks_for(server, pool, caplog):
    caplog.set_level(logging.WARNING, logger="voice")
    server.next("tts", Behaviour(fault="fail_start", code="InvalidParameter", message="no"))
    with pytest.raises(DashScopeError):
        await spoken(pool, "密语。")
    assert re.search(r"tts task [0-9a-f]{32} of cosyvoice-v3-flash failed \(caller\)", caplog.text)
    assert "longanyang" in caplog.text
    assert KEY not in caplog.text
    assert "密语" not in caplog.text


# The table of failures


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("InvalidApiKey", "Invalid API-key provided.", 401, "auth"),
        ("invalid_api_key", "Incorrect API key provided.", 401, "auth"),
        ("AccessDenied", "Access denied.", 403, "auth"),
        ("Model.AccessDenied", "Model access denied.", 403, "auth"),
        ("AccessDenied.Unpurchased", "", 403, "auth"),
        ("", "Unauthorized", 401, "auth"),
        ("Arrearage", "Access denied, account is not in good standing.", 400, "billing"),
        ("isv.OUT_OF_SERVICE", "", None, "billing"),
        ("insufficient_quota", "You exceeded your current quota", 429, "billing"),
        ("AllocationQuota.FreeTierOnly", "The free tier of the model is exhausted", 403, "billing"),
        ("InvalidParameter", "The free quota has been exhausted.", None, "billing"),
        ("Throttling", "", 429, "rate"),
        ("Throttling.RateQuota", "Requests rate limit exceeded.", 429, "rate"),
        ("Throttling.AllocationQuota", "Allocated quota exceeded.", 429, "rate"),
        ("limit_requests", "You exceeded your current requests list.", 429, "rate"),
        ("limit_burst_rate", "Request rate increased too quickly.", 429, "rate"),
        ("", "Too Many Requests", 429, "rate"),
        ("DataInspectionFailed", "Input data may contain inappropriate content.", 400, "content"),
        ("data_inspection_failed", "", 400, "content"),
        ("InvalidParameter", "[tts:]Engine return error code: 418", None, "passing"),
        ("InvalidParameter", "[tts:]Engine return error code: 411", None, "passing"),
        ("InvalidParameter", "[tts:]Engine return error code: 428", None, "caller"),
        ("InvalidParameter", "Text request limit violated, expected 1.", None, "caller"),
        ("InvalidParameter", "Please ensure input text is valid.", None, "caller"),
        ("InvalidParameter", "Request voice is invalid!", None, "caller"),
        ("InvalidParameter", "SSML text is not supported at the moment!", None, "markup"),
        ("ModelNotFound", "Model not found (x)!", 404, "caller"),
        ("Model.NotExist", "", 404, "caller"),
        ("model_not_found", "The model does not exist", 404, "caller"),
        ("BadRequest.TooLarge", "", 400, "caller"),
        ("CLIENT_ERROR", "request timeout after 23 seconds.", None, "idle"),
        ("InvalidParameter", "request timeout after 23 seconds.", None, "idle"),
        ("NO_INPUT_AUDIO_ERROR", "", None, "no_speech"),
        ("NO_VALID_AUDIO_ERROR", "", None, "no_speech"),
        ("UNSUPPORTED_FORMAT", "", None, "no_speech"),
        ("InternalError", "", 500, "server"),
        ("InternalError.Algo", "", 500, "server"),
        ("SystemError", "", 500, "server"),
        ("ServiceUnavailable", "", 503, "server"),
        ("ModelServingError", "", 503, "server"),
        ("ResponseTimeout", "", 504, "timeout"),
        ("", "Bad Gateway", 502, "server"),
        ("", "", None, "server"),
    ],
)
def test_the_table_of_failures(code, message, status, kind):
    assert kind_of(code, message, status) == kind


@pytest.mark.parametrize(
    ("code", "reason", "retryable", "elsewhere"),
    [
        ("InvalidApiKey", "auth", False, True),
        ("Arrearage", "billing", False, True),
        ("Throttling", "rate_limited", True, True),
        ("DataInspectionFailed", "refused", False, False),
        ("InvalidParameter", "bad_request", False, False),
        ("InternalError", "unavailable", True, True),
        ("ResponseTimeout", "timeout", True, True),
    ],
)
def test_what_a_chain_makes_of_them(code, reason, retryable, elsewhere):
    error = refusal(code, "")
    assert isinstance(error, ProviderError)
    assert (error.reason, error.retryable, error.elsewhere) == (reason, retryable, elsewhere)


def test_a_key_in_a_message_is_taken_out():
    assert "sk-1234" not in str(refusal("InternalError", "key sk-1234567890abcdef is odd"))


# Configuration


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"api_key": "sk-键"}, "characters"),
        ({"api_key": "sk-1\nX: y"}, "characters"),
        ({"api_key": "k", "websocket_url": "https://x/y"}, "ws or wss"),
        ({"api_key": "k", "http_url": "dashscope"}, "http or https"),
        ({"api_key": "k", "asr_model": "whisper-1"}, "cannot recognise"),
        ({"api_key": "k", "asr_model": "paraformer-v2"}, "cannot recognise"),
        ({"api_key": "k", "asr_model": "paraformer-realtime-8k-v2"}, "cannot recognise"),
        ({"api_key": "k", "asr_model": "qwen3-asr-flash-realtime"}, "cannot recognise"),
        ({"api_key": "k", "asr_model": "qwen3-asr-flash-filetrans"}, "cannot recognise"),
    ],
)
def test_a_wrong_configuration_is_told(given, told):
    with pytest.raises(ValueError, match=told):
        DashScopeConfig(**given)


@pytest.mark.parametrize(
    ("model", "streams"),
    [
        ("paraformer-realtime-v2", True),
        ("fun-asr-realtime-2025-11-07", True),
        ("qwen3-asr-flash", False),
        ("qwen3-asr-flash-2025-09-08", False),
    ],
)
def test_who_recognises_while_one_speaks(model, streams):
    assert DashScopeConfig("k", asr_model=model).asr_streams == streams


def test_a_key_switches_it_on(settings):
    settings.ASR_PROVIDERS = settings.TTS_PROVIDERS = []
    settings.ASR_BASE_URL = settings.TTS_BASE_URL = "http://127.0.0.1:9/v1"
    settings.QINIU_API_KEY, settings.SPEECH = "sk-qiniu", True
    settings.DASHSCOPE_API_KEY = KEY
    assert speech.tts_names() == speech.asr_names() == ["openai", "dashscope", "qiniu", "local"]
    built = speech.provider_config("TTS").dashscope
    assert built == DashScopeConfig(KEY)
    assert KEY not in repr(speech.provider_config("TTS"))
    settings.DASHSCOPE_API_KEY = ""
    assert "dashscope" not in speech.tts_names()


def test_a_wrong_setting_is_an_error_of_the_checks(settings):
    settings.DASHSCOPE_API_KEY = ""
    settings.TTS_PROVIDERS = settings.ASR_PROVIDERS = ["dashscope"]
    found = {(each.id, each.msg) for each in providers_can_be_built(None)}
    for capability in ("ASR", "TTS"):
        told = f"{capability}_PROVIDERS names dashscope but DASHSCOPE_API_KEY is not set."
        assert ("liyuan.E004", told) in found
    settings.DASHSCOPE_API_KEY = KEY
    assert not [each for each in providers_can_be_built(None) if "dashscope" in each.msg.lower()]
    settings.DASHSCOPE_WEBSOCKET_BASE_URL = "https://dashscope.aliyuncs.com"
    assert "liyuan.E005" in {each.id for each in providers_can_be_built(None)}


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "wss://dashscope.aliyuncs.com/api-ws/v1/inference"),
        ({"COSYVOICE_ENDPOINT": "wss://a.example/i"}, "wss://a.example/i"),
        (
            {
                "COSYVOICE_ENDPOINT": "wss://a.example/i",
                "DASHSCOPE_WEBSOCKET_BASE_URL": "wss://b.example/i",
            },
            "wss://b.example/i",
        ),
    ],
)
def test_the_older_name_of_the_address_is_honoured(given, address, tmp_path):
    shown = manage("diffsettings", "--all", env=environment(given | {"DATA_DIR": str(tmp_path)}))
    assert f"DASHSCOPE_WEBSOCKET_BASE_URL = {address!r}" in shown


def test_the_compatible_interface_is_of_the_same_host():
    config = DashScopeConfig("k", http_url="https://dashscope-intl.aliyuncs.com/api/v1")
    assert config.compatible_url == "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"


# What has been spoken


def test_sentences_are_found_in_the_text():
    unspoken = Unspoken()
    unspoken.add("“你好！”他说。It is 3.14, really. 然后")
    assert unspoken.owed
    assert unspoken.begin("“你好！") == "“你好！”"
    unspoken.end()
    assert unspoken.begin("他说。") == "他说。"
    assert unspoken.begin("It is 3.14, really.") == "It is 3.14, really. "
    unspoken.end()
    assert unspoken.waiting == "然后"
    assert not unspoken.owed
    unspoken.flush()
    assert unspoken.owed


def test_a_sentence_that_was_rewritten_stands_for_what_is_due():
    unspoken = Unspoken()
    unspoken.add("共3元。好。还有")
    assert unspoken.begin("共三元。") == "共3元。好。"
    unspoken.rewind()
    assert unspoken.waiting == "共3元。好。还有"


@pytest.mark.parametrize("text", ["好。", "Well. ", "真的？！”", "走……", "好\n", ""])
def test_a_whole_sentence(text):
    assert ends_a_sentence(text)


@pytest.mark.parametrize("text", ["好，", "3.1", "Well.", "然后", "“好"])
def test_no_whole_sentence(text):
    assert not ends_a_sentence(text)


def test_long_texts_are_cut_behind_sentences():
    text = "一句话。" * 300
    pieces = pieces_of(text, 500)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 500
    assert all(piece.endswith("。") for piece in pieces)
    assert pieces_of("长" * 1_201, 500) == ["长" * 500, "长" * 500, "长" * 201]
