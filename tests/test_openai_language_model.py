"""The language model adapter against the loopback server, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.llm.base import Completion, Prompt, PromptMessage, TextDelta
from chat.llm.halves import Halves
from chat.llm.openai import OpenAILanguageModel
from chat.llm.thinking import ThinkFilter
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_answers import REPLY
from tests.servers.openai_api import OpenAIServer
from voice.errors import ProviderError

PROMPT = Prompt(
    (PromptMessage("system", "You are 诸葛亮。"), PromptMessage("user", "先生安好？")),
)
CUTS = st.lists(st.integers(0, 40), max_size=6)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def model(server: OpenAIServer) -> AsyncIterator[OpenAILanguageModel]:
    adapter = OpenAILanguageModel(server.base_url, "sk-secret-key", "loopback", read_timeout=0.3)
    yield adapter
    await adapter.aclose()


async def reply(model: OpenAILanguageModel, max_tokens: int = 500) -> tuple[str, Completion]:
    *deltas, last = [item async for item in model.stream(PROMPT, max_tokens=max_tokens)]
    assert isinstance(last, Completion)
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), last


async def failure(model: OpenAILanguageModel) -> tuple[str, ProviderError]:
    """What was told before the failure, and the failure."""
    told = ""
    with pytest.raises(ProviderError) as caught:
        async for item in model.stream(PROMPT, max_tokens=500):
            assert isinstance(item, TextDelta)
            told += item.text
    assert caught.value.provider == "openai"
    return told, caught.value


async def until_counted(server: OpenAIServer, what: str, number: int = 1) -> None:
    async with asyncio.timeout(2):
        while server.count("chat", what) < number:
            await asyncio.sleep(0.005)


async def test_a_reply_streams_and_ends_with_the_count_of_tokens(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    text, completion = await reply(model)
    assert text == REPLY
    assert completion.finish_reason == "stop"
    assert completion.prompt_tokens > 0
    assert completion.completion_tokens > 20
    request = server.last("chat")
    assert request.headers["Authorization"] == "Bearer sk-secret-key"
    assert request.body["messages"][1] == {"role": "user", "content": "先生安好？"}
    assert request.body["max_tokens"] == 500
    assert request.body["temperature"] == 0.8


async def test_where_the_prompt_itself_asks_it_asks_in_the_users_name(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    card, cue = PromptMessage("system", "card"), PromptMessage("system", "Speak first.")
    asked = PromptMessage("user", "x")
    for messages, role in (
        ((card, cue), "user"),
        ((card, asked, PromptMessage("assistant", "y"), cue), "user"),
        ((card, asked, cue), "system"),
        ((card,), "system"),
    ):
        assert [item async for item in model.stream(Prompt(messages), max_tokens=9)]
        assert server.last("chat").body["messages"][-1]["role"] == role


async def test_text_is_handed_on_while_the_model_still_writes(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    server.next("chat", Behaviour(text="一二三四五", pace=Pace(tokens_per_second=20)))
    moments = [
        time.monotonic()
        async for item in model.stream(PROMPT, max_tokens=500)
        if isinstance(item, TextDelta)
    ]
    assert len(moments) == 5
    assert 0.15 < moments[-1] - moments[0] < 0.4


async def test_the_limit_of_tokens_ends_a_reply_with_length(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    text, completion = await reply(model, max_tokens=4)
    assert (text, completion.finish_reason) == (REPLY[:4], "length")


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("好\ud83d\ude00！", "好😀！"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\ud83d\ude00\ude00", "\ufffd😀\ufffd"),
        ("好\ud83d", "好\ufffd"),
        ("\ud83d好", "\ufffd好"),
        ("<think>\ud83d\ude00</think>好\ud83d\ude00", "好😀"),
    ],
)
async def test_halves_of_a_character_are_joined(
    server: OpenAIServer, model: OpenAILanguageModel, sent: str, text: str
) -> None:
    server.next("chat", Behaviour(text=sent))
    assert (await reply(model))[0] == text


@given(text=st.text(st.sampled_from("a好😀\ud83d\ude00\udbff"), max_size=12), cuts=CUTS)
def test_halves_are_joined_however_the_text_is_cut(text: str, cuts: list[int]) -> None:
    halves = Halves()
    units = text.encode("utf-16-le", "surrogatepass")
    edges = [0, *sorted(2 * cut for cut in cuts), len(units)]
    pieces = [
        units[start:end].decode("utf-16-le", "surrogatepass") for start, end in pairwise(edges)
    ]
    told = [halves.feed(piece) for piece in pieces]
    assert "".join(told) + halves.finish() == units.decode("utf-16-le", "replace")
    "".join(told).encode()


async def test_replies_use_one_connection_again(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    for _ in range(3):
        await reply(model)
    assert len({exchange.peer for exchange in server.script.exchanges}) == 1


async def test_reasoning_is_not_part_of_the_reply(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    server.next(
        "chat", Behaviour(text="<think>嗯，他是谁？</think>\n\n好。", reasoning="let me see")
    )
    assert (await reply(model))[0] == "好。"


async def test_a_model_that_thinks_is_not_taken_for_one_that_is_gone(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    server.next("chat", Behaviour(text="好。", reasoning="let me see"))
    items = [item async for item in model.stream(PROMPT, max_tokens=500)]
    assert isinstance(items[0], TextDelta)
    assert items[0].text == ""


@given(
    before=st.text("ab<think>/ 。", max_size=8),
    thought=st.text("ab< /k>", max_size=8),
    after=st.text("ab<>/ \n", max_size=8),
    cuts=CUTS,
)
def test_thoughts_are_dropped_however_the_text_is_cut(
    before: str, thought: str, after: str, cuts: list[int]
) -> None:
    text = f"{before}<think>{thought}</think>{after}"
    whole = ThinkFilter()
    expected = whole.feed(text) + whole.finish()
    filter_, told = ThinkFilter(), ""
    edges = [0, *sorted(cuts), len(text)]
    for start, end in pairwise(edges):
        told += filter_.feed(text[start:end])
    assert told + filter_.finish() == expected
    if "<think>" not in before + after and "</think>" not in thought:
        assert expected == before + after.lstrip()


def test_plain_text_is_never_held_back() -> None:
    filter_ = ThinkFilter()
    assert filter_.feed("a < b, 好") == "a < b, 好"
    assert filter_.feed("<th") == ""
    assert filter_.feed("ree>") == "<three>"
    assert filter_.feed("<thi") == ""
    assert filter_.finish() == "<thi"


@pytest.mark.parametrize(
    ("behaviour", "reason", "retryable"),
    [
        (Behaviour(status=401, code="invalid_api_key"), "auth", False),
        (Behaviour(status=403), "auth", False),
        (Behaviour(status=402), "billing", False),
        (Behaviour(status=429, code="insufficient_quota"), "billing", False),
        (Behaviour(status=400, code="Arrearage"), "billing", False),
        (Behaviour(status=429), "rate_limited", True),
        (Behaviour(status=400), "bad_request", False),
        (Behaviour(status=422), "bad_request", False),
        (Behaviour(status=400, code="content_filter"), "refused", False),
        (Behaviour(status=400, code="data_inspection_failed"), "refused", False),
        (Behaviour(status=404, code="model_not_found"), "unavailable", True),
        (Behaviour(status=500), "unavailable", True),
        (Behaviour(status=503), "unavailable", True),
        (Behaviour(fault="drop_before"), "unavailable", True),
        (Behaviour(fault="stall_before"), "timeout", True),
        (Behaviour(fault="stall_first"), "timeout", True),
        (Behaviour(text="", finish_reason="content_filter"), "refused", False),
        (Behaviour(text="", fault="no_finish"), "unavailable", True),
        (Behaviour(text="", finish_reason="insufficient_system_resource"), "unavailable", True),
    ],
    ids=lambda value: str(value)[10:60] if isinstance(value, Behaviour) else "",
)
async def test_failures_before_the_first_word(
    server: OpenAIServer,
    model: OpenAILanguageModel,
    behaviour: Behaviour,
    reason: str,
    retryable: bool,
) -> None:
    server.always("chat", behaviour)
    told, error = await failure(model)
    assert told == ""
    assert (error.reason, error.retryable) == (reason, retryable)
    assert error.status == (behaviour.status if behaviour.status != 200 else None)
    assert "sk-secret-key" not in str(error)


@pytest.mark.parametrize(
    "fault", ["drop_middle", "stall_middle", "no_finish", "invalid_json", "error_event"]
)
async def test_a_reply_that_breaks_off_is_incomplete(
    server: OpenAIServer, model: OpenAILanguageModel, fault: str
) -> None:
    server.next("chat", Behaviour(fault=fault))  # type: ignore[arg-type]
    told, error = await failure(model)
    assert told
    assert REPLY.startswith(told)
    assert (error.reason, error.retryable) == ("incomplete", False)


async def test_done_is_not_needed_after_a_finish_reason(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    server.next("chat", Behaviour(fault="no_done"))
    text, completion = await reply(model)
    assert (text, completion.finish_reason) == (REPLY, "stop")


async def test_a_filter_in_the_middle_of_a_reply_ends_it(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    server.next("chat", Behaviour(text="我不能", finish_reason="content_filter"))
    text, completion = await reply(model)
    assert (text, completion.finish_reason) == ("我不能", "content_filter")


async def test_nobody_listening_is_unavailable(unused_tcp_port: int) -> None:
    model = OpenAILanguageModel(f"http://127.0.0.1:{unused_tcp_port}/v1", "", "m")
    told, error = await failure(model)
    assert (told, error.reason, error.status) == ("", "unavailable", None)
    await model.aclose()


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("2", 2, 2),
        ("0.5", 0.5, 0.5),
        ("soon", None, None),
        ("inf", None, None),
        ("-3", 0, 0),
    ],
)
async def test_the_wait_that_the_server_asks_for_is_handed_on(
    server: OpenAIServer,
    model: OpenAILanguageModel,
    header: str,
    least: float | None,
    most: float | None,
) -> None:
    server.next("chat", Behaviour(status=429, retry_after=header))
    _, error = await failure(model)
    if least is None or most is None:
        assert error.retry_after is None
    else:
        assert error.retry_after is not None
        assert least <= error.retry_after <= most


async def test_the_hour_that_the_server_names_is_handed_on_as_a_wait(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    hour = formatdate(time.time() + 3_600, usegmt=True)
    server.next("chat", Behaviour(status=429, retry_after=hour))
    _, error = await failure(model)
    assert error.retry_after is not None
    assert 3_500 <= error.retry_after <= 3_601


async def test_fields_that_the_server_refuses_are_left_out_from_then_on(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    server.always("chat", Behaviour(rejects=("stream_options", "max_tokens", "temperature")))
    text, completion = await reply(model, max_tokens=300)
    assert text == REPLY
    assert completion.completion_tokens == 0
    assert server.count("chat", "started") == 4
    await reply(model, max_tokens=300)
    assert server.count("chat", "started") == 5
    body = server.last("chat").body
    assert body["max_completion_tokens"] == 300
    assert not {"stream_options", "max_tokens", "temperature"} & set(body)


async def test_a_bad_request_of_another_kind_does_not_change_later_ones(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    server.next("chat", Behaviour(status=400), Behaviour(status=400))
    await failure(model)
    assert server.count("chat", "started") == 2
    await reply(model)
    assert "stream_options" in server.last("chat").body
    server.next("chat", Behaviour(status=400))
    await failure(model)  # now it is known that the form is fine
    assert server.count("chat", "started") == 4


async def test_closing_the_iterator_closes_the_connection(
    server: OpenAIServer, model: OpenAILanguageModel
) -> None:
    server.next("chat", Behaviour(pace=Pace(tokens_per_second=50)))
    stream = model.stream(PROMPT, max_tokens=500)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await until_counted(server, "cancelled")
    assert server.count("chat", "finished") == 0


@pytest.mark.parametrize("fault", ["stall_before", "stall_middle"])
async def test_cancelling_the_task_closes_the_connection(server: OpenAIServer, fault: str) -> None:
    model = OpenAILanguageModel(server.base_url, "", "m", read_timeout=60)
    server.next("chat", Behaviour(fault=fault))  # type: ignore[arg-type]
    task = asyncio.create_task(reply(model))
    await until_counted(server, "started")
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_counted(server, "cancelled")
    await model.aclose()


async def test_the_environment_of_the_package_is_not_followed(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    model = OpenAILanguageModel(server.base_url, "", "m")
    await reply(model)
    assert "somebody" not in str(server.last("chat").headers)
    await model.aclose()
