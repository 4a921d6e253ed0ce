"""Calls of functions: from the model's stream to the events of a live turn."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import groupby

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.engine.live_events import (
    AudioReady,
    CallArguments,
    CallBegins,
    CallEnds,
    ReplyEnded,
    ReplyEvent,
    SentenceReady,
    TextReady,
)
from chat.engine.live_run import LiveRun
from chat.engine.order import ReplyOrder
from chat.engine.stages import Providers
from chat.llm.base import (
    Completion,
    Prompt,
    PromptMessage,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from chat.llm.fallback import FallbackLanguageModel
from chat.llm.openai import OpenAILanguageModel
from chat.llm.tool_calls import ToolCalls
from chat.llm.understudy import Understudy
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer
from voice.attempts import collected
from voice.errors import ProviderError
from voice.tts.base import VoiceRef
from voice.tts.openai import OpenAISynthesizer

WEATHER = Tool("weather", "天气", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("clock")
CALLS = (
    {"name": "weather", "arguments": '{"city": "成都", "days": 3}'},
    {"name": "clock", "arguments": "{}"},
)
PROMPT = Prompt((PromptMessage("user", "成都的天气如何？"),), tools=(WEATHER, CLOCK))


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def model(server: OpenAIServer) -> AsyncIterator[FallbackLanguageModel]:
    made = FallbackLanguageModel({"openai": OpenAILanguageModel(server.base_url, "", "loopback")})
    yield made
    await made.aclose()


async def items_of(model, prompt: Prompt = PROMPT) -> list:
    return [item async for item in model.stream(prompt, max_tokens=200)]


def calls_of(items: list) -> list[tuple[str, str]]:
    """Name and arguments of each call, and that they came one after the other with an id."""
    calls = []
    deltas = [item for item in items if isinstance(item, ToolCallDelta)]
    for number, (index, pieces) in enumerate(groupby(deltas, lambda delta: delta.index)):
        first, *more = pieces
        assert index == number
        assert first.id
        assert not any(piece.id or piece.name for piece in more)
        calls.append((first.name, first.arguments + "".join(piece.arguments for piece in more)))
    return calls


def expected(calls=CALLS) -> list[tuple[str, str]]:
    return [(call["name"], call["arguments"]) for call in calls]


@pytest.mark.parametrize("style", ["pieces", "together", "whole", "bare", "unnumbered"])
async def test_calls_come_in_order_however_the_server_sends_them(server, model, style):
    server.always("chat", Behaviour(text="我看看。", tool_calls=CALLS, calls_as=style))
    items = await items_of(model)
    assert calls_of(items) == expected()
    kinds = [kind for kind, _ in groupby(map(type, items))]
    assert kinds == [TextDelta, ToolCallDelta, Completion]
    assert items[-1].finish_reason == "tool_calls"
    assert len({item.id for item in items if isinstance(item, ToolCallDelta) and item.id}) == 2


async def test_the_first_call_is_told_as_it_comes(server, model):
    server.always("chat", Behaviour(tool_calls=CALLS[:1], pace=Pace(tokens_per_second=50)))
    items = await items_of(model)
    assert len([item for item in items if isinstance(item, ToolCallDelta)]) > 3


@pytest.mark.parametrize("style", ["pieces", "together"])
async def test_arguments_may_be_cut_in_the_middle_of_a_character(server, model, style):
    # Pieces of 6: the cut is between the halves.
    cut = ({"name": "weather", "arguments": '{"":"\ud83d\ude00"}'},) * 2
    server.always("chat", Behaviour(tool_calls=cut, calls_as=style))
    assert calls_of(await items_of(model)) == [("weather", '{"":"😀"}')] * 2
    lone = ({"name": "weather", "arguments": '{"":"\ud83d'},)
    server.always("chat", Behaviour(tool_calls=lone, calls_as=style))
    assert calls_of(await items_of(model)) == [("weather", '{"":"\ufffd')]


async def test_functions_are_offered_as_the_api_wants_them(server, model):
    await items_of(model, replace(PROMPT, tool_choice="function:clock"))
    body = server.last("chat").body
    assert body["tools"][0]["function"]["parameters"] == dict(WEATHER.parameters)
    assert body["tools"][1] == {
        "type": "function",
        "function": {
            "name": "clock",
            "description": "",
            "parameters": {"type": "object", "properties": {}},
        },
    }
    assert body["tool_choice"] == {"type": "function", "function": {"name": "clock"}}
    await items_of(model, replace(PROMPT, tool_choice="required"))
    assert server.last("chat").body["tool_choice"] == "required"
    await items_of(model, replace(PROMPT, tools=()))
    assert not {"tools", "tool_choice"} & server.last("chat").body.keys()


async def test_the_model_sees_what_it_called_and_what_came_of_it(server, model):
    call = ToolCall("call_1", "weather", '{"city": "成都"}')
    messages = (
        *PROMPT.messages,
        PromptMessage("assistant", "", (call,)),
        PromptMessage("tool", "雨", tool_call_id="call_1"),
    )
    server.always("chat", Behaviour(text="成都有雨。", tool_calls=CALLS))
    items = await items_of(model, replace(PROMPT, messages=messages))
    assert calls_of(items) == []
    assert server.last("chat").body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "成都"}'},
                }
            ],
        },
        {"role": "tool", "content": "雨", "tool_call_id": "call_1"},
    ]


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_server_without_functions_is_asked_without_them(server, model, status):
    refusal = Behaviour(status=status, code="tools_unsupported")
    server.next("chat", refusal, Behaviour(text="亮不知。"), Behaviour(tool_calls=CALLS))
    items = await items_of(model)
    assert (calls_of(items), items[-1].finish_reason) == ([], "stop")
    assert "tools" not in server.last("chat").body
    # The next client's functions may be taken.
    assert calls_of(await items_of(model)) == expected()


async def test_a_choice_that_is_refused_leaves_the_functions(server, model):
    server.always("chat", Behaviour(tool_calls=CALLS, rejects=("tool_choice",)))
    items = await items_of(model, replace(PROMPT, tool_choice="required"))
    assert calls_of(items) == expected()


async def test_a_failure_of_another_kind_is_not_asked_again_without_functions(server):
    bare = OpenAILanguageModel(server.base_url, "", "loopback")
    server.always("chat", Behaviour(status=500))
    with pytest.raises(ProviderError):
        await items_of(bare)
    assert server.count("chat", "started") == 1
    await bare.aclose()


async def test_a_call_that_was_cut_off_is_of_that_length(server, model):
    server.always("chat", Behaviour(tool_calls=CALLS, finish_reason="length"))
    assert (await items_of(model))[-1].finish_reason == "length"


async def test_a_call_is_a_beginning(server):
    """What comes after it is the reply's own: nobody else is asked."""
    bare = OpenAILanguageModel(server.base_url, "", "loopback")
    server.always("chat", Behaviour(tool_calls=CALLS, fault="no_finish"))
    with pytest.raises(ProviderError) as caught:
        await items_of(bare)
    assert caught.value.reason == "incomplete"
    await bare.aclose()


async def test_a_call_without_a_name_is_a_failure_of_the_server(server, model):
    server.always("chat", Behaviour(tool_calls=({"name": "", "arguments": "{}"},)))
    with pytest.raises(ProviderError) as caught:
        await items_of(model)
    assert caught.value.reason == "unavailable"


@given(st.lists(st.lists(st.text(max_size=4), max_size=5), min_size=1, max_size=4), st.randoms())
def test_pieces_in_any_turn_make_whole_calls_in_order(arguments, random):
    pieces = [(n, piece) for n, each in enumerate(arguments) for piece in each]
    random.shuffle(pieces)
    wanted = ["" for _ in arguments]
    calls, told = ToolCalls(), []
    for n in range(len(arguments)):
        head = {"index": n, "id": f"call_{n}", "function": {"name": f"f{n}"}}
        told += calls.feed(head)
    for n, piece in pieces:
        wanted[n] += piece
        told += calls.feed({"index": n, "id": None, "function": {"arguments": piece}})
    told += calls.finish()
    assert calls_of(told) == [(f"f{n}", whole) for n, whole in enumerate(wanted)]


def test_arguments_may_come_as_an_object():
    calls = ToolCalls()
    piece = {"function": {"name": "weather", "arguments": {"city": "成都"}}}
    (delta, *rest) = [*calls.feed(piece), *calls.finish()]
    assert json.loads(delta.arguments) == {"city": "成都"}
    assert not rest


async def test_tokens_in_the_cache_are_told(server, model):
    server.always("chat", Behaviour(cached_tokens=4))
    assert (await items_of(model))[-1].cached_tokens == 4


async def test_what_was_called_is_paid_for_where_nobody_counts(server, model):
    server.always("chat", Behaviour(tool_calls=CALLS, rejects=("stream_options",)))
    with collected() as attempts:
        await items_of(model)
    assert attempts[-1].units["completion_tokens"] > 10


async def test_the_understudy_calls_nothing():
    understudy = FallbackLanguageModel({"understudy": Understudy(characters_per_second=0)})
    assert not understudy.capabilities.tools
    assert calls_of(await items_of(understudy)) == []


async def test_other_processes_can_script_calls(server, model):
    async with httpx.AsyncClient() as client:
        script = {"endpoint": "chat", "next": [{"tool_calls": list(CALLS)}]}
        answer = await client.post(f"{server.url}/control/script", json=script)
    assert answer.status_code == 200
    assert calls_of(await items_of(model)) == expected()


# --- in a live turn


@pytest.fixture
async def providers(server, model) -> AsyncIterator[Providers]:
    made = Providers(model, None, OpenAISynthesizer(server.base_url, "", "loopback"))
    yield made
    await made.synthesizer.aclose()


async def replied(providers: Providers, order: ReplyOrder) -> list[ReplyEvent]:
    events: list[ReplyEvent] = []
    ended = asyncio.Event()

    def on_reply(run: int, event: ReplyEvent) -> None:
        events.append(event)
        if isinstance(event, ReplyEnded):
            ended.set()

    turn = LiveRun(providers, on_heard=lambda _: None, on_reply=on_reply)
    turn.respond(1, order)
    async with asyncio.timeout(5):
        await ended.wait()
    return events


async def test_calls_alone_are_a_reply(server, providers):
    server.always("chat", Behaviour(tool_calls=CALLS))
    events = await replied(providers, ReplyOrder(PROMPT, VoiceRef("openai", "alloy")))
    kinds = [kind for kind, _ in groupby(map(type, events))]
    assert kinds == [*[CallBegins, CallArguments, CallEnds] * 2, ReplyEnded]
    begun = [event.name for event in events if isinstance(event, CallBegins)]
    assert begun == ["weather", "clock"]
    arguments = "".join(event.text for event in events if isinstance(event, CallArguments))
    assert arguments == "".join(call["arguments"] for call in CALLS)
    assert events[-1].finish_reason == "tool_calls"


async def test_calls_are_told_after_what_is_spoken(server, providers):
    server.always("chat", Behaviour(text="Let me have a look.", tool_calls=CALLS))
    server.always("speech", Behaviour(pace=Pace(tts_first_ms=150)))
    events = await replied(providers, ReplyOrder(PROMPT, VoiceRef("openai", "alloy")))
    kinds = [kind for kind, _ in groupby(map(type, events))]
    assert kinds[:3] == [TextReady, SentenceReady, AudioReady]
    assert AudioReady not in kinds[3:]


async def test_the_last_sentence_does_not_wait_for_the_call(server, providers):
    slow = Pace(tokens_per_second=12)
    arguments = {"name": "weather", "arguments": json.dumps({"city": "a" * 60})}
    server.always("chat", Behaviour(text="Let me see.", tool_calls=(arguments,), pace=slow))
    task = asyncio.create_task(replied(providers, ReplyOrder(PROMPT, VoiceRef("openai", "alloy"))))
    async with asyncio.timeout(5):
        while not server.count("speech", "finished"):
            await asyncio.sleep(0.01)
    assert server.count("chat", "finished") == 0
    await task
