"""Circuit breakers and limits of providers, against loopback servers that fail and recover."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from chat.llm.base import Prompt, PromptMessage, TextDelta
from chat.llm.fallback import FallbackLanguageModel
from chat.llm.openai import OpenAILanguageModel
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer
from voice.breaker import Breaker, Rests, breaker_states
from voice.errors import ProviderError
from voice.fallback import Policy
from voice.limits import Limit, LimitReached

PROMPT = Prompt((PromptMessage("user", "你好"),))
RESTS = Rests(first=0.2, longest=0.8, probe=0.3)
POLICY = Policy(pause=0.01, longest_wait=0.1, patience=2.0, rests=RESTS)


class Pair:
    """A chain of two servers; the second one is always well."""

    def __init__(self, first: OpenAIServer, second: OpenAIServer, model: FallbackLanguageModel):
        self.first, self.second, self.model = first, second, model

    async def ask(self) -> str:
        items = self.model.stream(PROMPT, max_tokens=50)
        return "".join([item.text async for item in items if isinstance(item, TextDelta)])

    @property
    def asked(self) -> int:
        """Requests that reached the first server."""
        return self.first.count("chat", "started")

    @property
    def state(self) -> str:
        return breaker_states()["llm", self.name]

    name = "first"


@pytest.fixture
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(OpenAIServer(api_key="right"))
        second = await stack.enter_async_context(OpenAIServer())
        first.always("chat", Behaviour(text="第一"))
        second.always("chat", Behaviour(text="第二"))
        # A name of its own, as the states are those of the whole process.
        name = f"first-{request.node.name}"
        model = FallbackLanguageModel(
            {
                name: OpenAILanguageModel(first.base_url, "right", "m", name=name),
                "second": OpenAILanguageModel(second.base_url, "", "m", name="second"),
            },
            POLICY,
        )
        stack.push_async_callback(model.aclose)
        await model.warm()
        found = Pair(first, second, model)
        found.name = name
        yield found


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


# The three states


async def test_a_failing_provider_is_passed_over_and_comes_back(pair: Pair) -> None:
    assert (await pair.ask(), pair.state) == ("第一", "closed")
    pair.first.always("chat", Behaviour(status=503))
    assert (await pair.ask(), pair.state) == ("第二", "open")
    asked = pair.asked
    assert [await pair.ask() for _ in range(3)] == ["第二"] * 3
    assert pair.asked == asked  # nobody paid for its failure again
    pair.first.always("chat", Behaviour(text="第一"))
    await until(lambda: pair.state == "half_open")
    assert pair.asked == asked  # the probe is no request for a reply
    assert (await pair.ask(), pair.state) == ("第一", "closed")


async def test_a_half_open_provider_is_tried_by_one_request_alone(pair: Pair) -> None:
    pair.first.next("chat", Behaviour(status=503), Behaviour(status=503))
    await pair.ask()
    await until(lambda: pair.state == "half_open")
    pair.first.next("chat", Behaviour(text="第一", pace=Pace(llm_first_ms=300)))
    asked = pair.asked
    answers = await asyncio.gather(*(pair.ask() for _ in range(5)))
    assert sorted(answers) == ["第一"] + ["第二"] * 4
    assert (pair.asked - asked, pair.state) == (1, "closed")


async def test_a_trial_that_fails_begins_a_longer_rest(pair: Pair) -> None:
    pair.first.always("chat", Behaviour(status=503))
    await pair.ask()
    rests = []
    for _ in range(3):
        began = time.monotonic()
        await until(lambda: pair.state == "half_open")
        rests.append(time.monotonic() - began)
        asked = pair.asked
        assert (await pair.ask(), pair.state) == ("第二", "open")
        assert pair.asked - asked == 1  # a trial is not repeated
    assert rests[0] < rests[1] < rests[2]
    assert rests[2] >= 0.7


async def test_a_trial_that_nobody_waits_for_leaves_the_question_open(pair: Pair) -> None:
    pair.first.next("chat", Behaviour(status=503), Behaviour(status=503))
    await pair.ask()
    await until(lambda: pair.state == "half_open")
    pair.first.next("chat", Behaviour(fault="stall_before"))
    asked = pair.asked
    trial = asyncio.create_task(pair.ask())
    await until(lambda: pair.asked > asked)
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert pair.state == "half_open"
    assert (await pair.ask(), pair.state) == ("第一", "closed")


async def test_a_server_that_cannot_be_probed_stays_away(pair: Pair) -> None:
    pair.first.always("chat", Behaviour(fault="drop_before"))
    await pair.ask()
    await pair.first.__aexit__(None, None, None)
    await asyncio.sleep(3 * RESTS.first)
    assert (await pair.ask(), pair.state) == ("第二", "open")
    await pair.first.__aenter__()
    pair.first.always("chat", Behaviour(text="第一"))
    await until(lambda: pair.state == "half_open")
    assert await pair.ask() == "第一"


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour(status=401), Behaviour(status=402), Behaviour(status=400, code="Arrearage")],
)
async def test_a_refused_key_switches_off_and_is_an_error_in_the_log(
    pair: Pair, behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    pair.first.always("chat", behaviour)
    began = time.monotonic()
    assert (await pair.ask(), pair.state, pair.asked) == ("第二", "open", 1)
    logged = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(logged) == 1
    assert "switched off" in logged[0].getMessage()
    assert "right" not in logged[0].getMessage()  # the key
    pair.first.always("chat", Behaviour(text="第一"))
    await until(lambda: pair.state == "half_open")
    assert time.monotonic() - began >= RESTS.longest
    assert await pair.ask() == "第一"


async def test_a_key_that_is_refused_for_good_stays_off(pair: Pair) -> None:
    pair.first._api_key = "another"
    assert await pair.ask() == "第二"
    await asyncio.sleep(RESTS.longest + 0.3)
    assert (await pair.ask(), pair.state) == ("第二", "open")


async def test_replies_that_break_off_again_and_again_count(pair: Pair) -> None:
    pair.first.always("chat", Behaviour(text="一二三四", fault="drop_middle"))
    states = []
    for _ in range(RESTS.breaks):
        with pytest.raises(ProviderError, match="connection"):
            await pair.ask()
        states.append(pair.state)
    assert states == ["closed"] * (RESTS.breaks - 1) + ["open"]
    assert await pair.ask() == "第二"


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour(status=400), Behaviour(text="", finish_reason="content_filter")],
)
async def test_what_is_wrong_with_the_request_says_nothing_of_the_provider(
    pair: Pair, behaviour: Behaviour
) -> None:
    pair.first.always("chat", behaviour)
    for _ in range(4):
        with pytest.raises(ProviderError):
            await pair.ask()
    assert pair.state == "closed"


async def test_a_provider_without_a_probe_is_tried_after_its_rest() -> None:
    breaker = Breaker("tts", "mute", RESTS)
    breaker.failed(ProviderError("away", provider="mute", reason="unavailable"))
    assert not breaker.admits
    await until(lambda: breaker.admits)
    assert breaker.state == "half_open"


async def test_a_probe_that_stalls_is_given_up() -> None:
    async def stall() -> None:
        await asyncio.sleep(60)

    breaker = Breaker("tts", "stalls", RESTS, stall)
    breaker.failed(ProviderError("away", provider="stalls", reason="timeout"))
    await asyncio.sleep(RESTS.first + RESTS.probe + 0.2)
    assert breaker.state == "open"
    breaker.close()


async def test_the_worse_state_is_told_where_event_loops_disagree() -> None:
    well, ill = Breaker("asr", "twice", RESTS), Breaker("asr", "twice", RESTS)
    ill.failed(ProviderError("away", provider="twice", reason="unavailable"))
    assert (well.state, breaker_states()["asr", "twice"]) == ("closed", "open")
    ill.succeeded()
    assert breaker_states()["asr", "twice"] == "closed"


# Limits


async def test_no_more_requests_at_once_than_allowed() -> None:
    limit = Limit(at_once=2)
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        async with limit.place(5):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.05)
            running -= 1

    await asyncio.gather(*(work() for _ in range(8)))
    assert (most, running) == (2, 0)


async def test_a_limit_holds_over_event_loops() -> None:
    limit = Limit(at_once=1)

    def elsewhere() -> None:
        async def hold() -> None:
            async with limit.place(1):
                held.set()
                while not done.is_set():
                    await asyncio.sleep(0.01)

        asyncio.run(hold())

    held, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    await until(held.is_set)
    with pytest.raises(LimitReached):
        async with limit.place(0.1):
            raise AssertionError
    done.set()
    async with limit.place(5):
        pass
    thread.join()


async def test_no_more_requests_a_second_than_allowed() -> None:
    limit = Limit(per_second=10)
    began = time.monotonic()
    for _ in range(15):
        async with limit.place(5):
            pass
    assert time.monotonic() - began >= 0.45  # ten at once, then one each 100 ms


async def test_a_provider_at_its_limit_is_passed_over_and_not_blamed(pair: Pair) -> None:
    model = FallbackLanguageModel(
        dict(pair.model._chain.providers),
        Policy(longest_wait=0.05, limits={pair.name: Limit(at_once=1)}),
    )
    pair.model = model
    pair.first.always("chat", Behaviour(text="第一", pace=Pace(llm_first_ms=300)))
    assert sorted(await asyncio.gather(*(pair.ask() for _ in range(3)))) == ["第一", "第二", "第二"]
    assert pair.state == "closed"
    assert await pair.ask() == "第一"


async def test_a_limit_with_nobody_else_to_ask_is_told_as_such(pair: Pair) -> None:
    model = FallbackLanguageModel(
        {"only": OpenAILanguageModel(pair.first.base_url, "right", "m")},
        Policy(longest_wait=0.05, limits={"only": Limit(at_once=1)}),
    )
    pair.model = model
    pair.first.always("chat", Behaviour(text="第一", pace=Pace(llm_first_ms=500)))
    first, second = await asyncio.gather(pair.ask(), pair.ask(), return_exceptions=True)
    assert first == "第一"
    assert isinstance(second, ProviderError)
    assert second.reason == "rate_limited"
    await model.aclose()
