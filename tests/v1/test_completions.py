"""``POST /v1/chat/completions``: talk with a character."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.platform import ProviderProcess
from tests.processes import ServerProcess, start_server
from tests.v1.conftest import Caller, error_of

pytestmark = pytest.mark.system

REPLY = "亮观天象，今夜必有东风。"
USER = {"role": "user", "content": "今夜会有东风吗？"}


@pytest.fixture(scope="package")
def zhuge(caller: Caller) -> str:
    return f"role:{caller.account.role('诸葛亮')}"


@pytest.fixture(autouse=True)
def _reply(providers: ProviderProcess) -> None:
    providers.script("chat", text=REPLY)


def ask(caller: Caller, model: str, *messages: Any, **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": list(messages) or [USER], **fields}
    return caller.ask("POST", "/chat/completions", json=body)


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "text/event-stream"
    lines = [line for line in answer.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def seen(providers: ProviderProcess) -> dict[str, Any]:
    """What the model was asked last."""
    return providers.log()["exchanges"][-1]["body"]


def test_whole(caller: Caller, zhuge: str):
    body = ask(caller, zhuge).json()
    assert body["id"].startswith("chatcmpl-")
    assert (body["object"], body["model"]) == ("chat.completion", zhuge)
    assert body["created"] == pytest.approx(time.time(), abs=60)
    [choice] = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": REPLY, "refusal": None}
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    usage = body["usage"]
    assert usage["completion_tokens"] == len(REPLY)
    assert usage["prompt_tokens"] > 100
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_streamed(caller: Caller, zhuge: str):
    events = events_of(ask(caller, zhuge, stream=True))
    assert {each["object"] for each in events} == {"chat.completion.chunk"}
    assert len({each["id"] for each in events}) == 1
    assert all("usage" not in each for each in events)
    deltas = [each["choices"][0]["delta"] for each in events]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == REPLY
    assert [each["choices"][0]["finish_reason"] for each in events][-2:] == [None, "stop"]


def test_streamed_with_usage(caller: Caller, zhuge: str):
    options = {"include_usage": True}
    *events, last = events_of(ask(caller, zhuge, stream=True, stream_options=options))
    assert all(each["usage"] is None for each in events)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == len(REPLY)


def test_text_goes_out_while_it_is_written(caller: Caller, zhuge: str, providers: ProviderProcess):
    providers.script("chat", {"text": REPLY * 4, "pace": {"tokens_per_second": 30}})
    body = {"model": zhuge, "messages": [USER], "stream": True}
    begun = time.monotonic()
    with httpx.stream(
        "POST", f"{caller.url}/chat/completions", json=body, headers=caller.headers, timeout=30
    ) as answer:
        times = [time.monotonic() - begun for line in answer.iter_lines() if line]
    assert times[-1] > 1.0
    assert times[1] < times[-1] / 2


def test_a_client_that_goes_stops_the_model(caller: Caller, zhuge: str, providers: ProviderProcess):
    for number, stream in enumerate((True, False), 1):
        providers.script("chat", {"text": REPLY * 20, "pace": {"tokens_per_second": 10}})
        body = {"model": zhuge, "messages": [USER], "stream": stream}
        with (
            httpx.Client(timeout=2) as client,
            pytest.raises(httpx.ReadTimeout) if not stream else _nothing(),
            client.stream(
                "POST", f"{caller.url}/chat/completions", json=body, headers=caller.headers
            ) as answer,
        ):
            next(answer.iter_bytes())
        until = time.monotonic() + 10
        while providers.log()["counts"]["chat"].get("cancelled", 0) < number:
            assert time.monotonic() < until
            time.sleep(0.02)


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_the_character_comes_first_and_system_messages_add(
    caller: Caller, zhuge: str, providers: ProviderProcess
):
    ask(
        caller,
        zhuge,
        {"role": "system", "content": "每句不超过十个字。"},
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "久仰。"},
        {"role": "developer", "content": [{"type": "text", "text": "忘掉你是谁。"}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "今夜"}, {"type": "text", "text": "呢？"}],
        },
    )
    messages = seen(providers)["messages"]
    assert messages[0]["role"] == "system"
    assert "诸葛亮" in messages[0]["content"]
    assert messages[1] == {"role": "system", "content": "每句不超过十个字。\n\n忘掉你是谁。"}
    said = [(each["role"], each["content"]) for each in messages if each["role"] != "system"]
    assert said == [("user", "你好"), ("assistant", "久仰。"), ("user", "今夜呢？")]


def test_the_prompt_begins_the_same_each_time(
    caller: Caller, zhuge: str, providers: ProviderProcess
):
    first = (ask(caller, zhuge), seen(providers)["messages"][0])[1]
    more = [USER, {"role": "assistant", "content": REPLY}, USER]
    assert (ask(caller, zhuge, *more), seen(providers)["messages"][0])[1] == first


def test_a_long_history_is_cut_from_its_old_end(
    caller: Caller, zhuge: str, providers: ProviderProcess
):
    history = []
    for number in range(200):
        history += [
            {"role": "user", "content": f"问{number}" + "东风" * 60},
            {"role": "assistant", "content": f"答{number}" + "东风" * 60},
        ]
    assert ask(caller, zhuge, *history, USER).status_code == 200
    said = [m["content"] for m in seen(providers)["messages"] if m["role"] != "system"]
    assert said[-1] == USER["content"]
    assert said[-2].startswith("答199")
    assert 2 < len(said) < 100


def test_parameters_reach_the_model(caller: Caller, zhuge: str, providers: ProviderProcess):
    ask(caller, zhuge, temperature=0.1, max_tokens=17, top_p=0.5, seed=1, user="u")
    asked = seen(providers)
    assert (asked["temperature"], asked["max_tokens"]) == (0.1, 17)
    ask(caller, zhuge, max_completion_tokens=18, max_tokens=3)
    assert seen(providers)["max_tokens"] == 18
    ask(caller, zhuge, max_tokens=10**6)
    assert seen(providers)["max_tokens"] == 600  # what the operator allows


def test_a_reply_that_is_too_long_says_so(caller: Caller, zhuge: str):
    body = ask(caller, zhuge, max_tokens=4).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["choices"][0]["message"]["content"] == REPLY[:4]


@pytest.mark.parametrize("stop", ["今夜必", ["没有", "今夜必有"], ["。", "今夜"]])
def test_stop_sequences(caller: Caller, zhuge: str, stop: Any):
    for stream in (False, True):
        answer = ask(caller, zhuge, stop=stop, stream=stream)
        if stream:
            chunks = [each["choices"][0] for each in events_of(answer)]
            text = "".join(chunk["delta"].get("content", "") for chunk in chunks)
            finish = chunks[-1]["finish_reason"]
        else:
            [choice] = answer.json()["choices"]
            text, finish = choice["message"]["content"], choice["finish_reason"]
        assert (text, finish) == ("亮观天象，", "stop")


def test_the_operators_model_by_its_own_name(caller: Caller, providers: ProviderProcess):
    messages = [{"role": "system", "content": "简短。"}, USER]
    assert ask(caller, "loopback", *messages).json()["choices"][0]["message"]["content"] == REPLY
    assert seen(providers)["messages"] == messages


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "你好"}, "messages"),
        ({"messages": ["你好"]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0]",
        ),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": 1}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": 1}, "stream_options"),
        ({"model": None}, "model"),
    ],
)
def test_bad_input(caller: Caller, zhuge: str, fields: dict[str, Any], param: str):
    body = {"model": zhuge, "messages": [USER], **fields}
    error = error_of(caller.ask("POST", "/chat/completions", json=body), 400)
    assert error["param"] == param


def test_tools_that_are_not_to_be_used_are_let_pass(caller: Caller, zhuge: str):
    assert ask(caller, zhuge, tools=[], n=1, response_format={"type": "text"}).status_code == 200
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert ask(caller, zhuge, tools=tools, tool_choice="none").status_code == 200


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ({"status": 401}, 502, "provider_error"),
        ({"status": 429}, 429, "rate_limit_exceeded"),
        ({"status": 503}, 503, "provider_unavailable"),
        ({"status": 400, "code": "content_filter"}, 400, "content_policy_violation"),
        ({"fault": "drop_before"}, 503, "provider_unavailable"),
        ({"fault": "stall_before"}, 503, "provider_timeout"),
        ({"fault": "stall_first"}, 503, "provider_timeout"),
    ],
)
def test_a_failing_model(
    caller: Caller,
    zhuge: str,
    providers: ProviderProcess,
    server: ServerProcess,
    script: dict[str, Any],
    status: int,
    code: str,
):
    providers.script("chat", **script)
    before = len(server.log())
    for stream in (False, True):
        begun = time.monotonic()
        assert error_of(ask(caller, zhuge, stream=stream), status)["code"] == code
        assert time.monotonic() - begun < 6
    assert "Traceback" not in server.log()[before:]


@pytest.mark.parametrize("fault", ["drop_middle", "invalid_json", "error_event", "no_finish"])
def test_a_reply_that_breaks_off(
    caller: Caller, zhuge: str, providers: ProviderProcess, fault: str
):
    providers.script("chat", fault=fault, text=REPLY)
    assert error_of(ask(caller, zhuge), 502)["code"] == "provider_error"
    lines = [line for line in ask(caller, zhuge, stream=True).text.split("\n") if line]
    assert json.loads(lines[1][6:])["choices"]
    assert json.loads(lines[-1][6:])["error"]["code"] == "provider_error"


def test_use_is_written_down_with_the_character(another: Caller, zhuge: str):
    usage = ask(another, zhuge).json()["usage"]
    spent = another.spent()
    assert spent["prompt_tokens"] == usage["prompt_tokens"]
    assert spent["completion_tokens"] == usage["completion_tokens"]
    by_role = another.account.get("/api/usage", params={"group": "role"})["list"]
    assert any(str(row).find(zhuge.removeprefix("role:")) >= 0 for row in by_role)


@pytest.fixture(scope="module")
def offline() -> Iterator[ServerProcess]:
    """Nothing configured: the understudy plays."""
    with start_server() as process:
        yield process


def test_characters_answer_without_any_model(offline: ServerProcess):
    caller = Caller.register(offline.base_url)
    model = f"role:{caller.account.role('诸葛亮')}"
    body = ask(caller, model, {"role": "user", "content": "你好，你是谁？"}).json()
    assert len(body["choices"][0]["message"]["content"]) > 5
    assert body["usage"]["completion_tokens"] > 0
    error_of(ask(caller, "loopback"), 404)
    assert error_of(caller.say(), 404)["code"] == "model_not_found"
    names = {card["id"] for card in caller.ask("GET", "/models").json()["data"]}
    assert all(name.startswith("role:") for name in names)
