"""Turns in text over the real socket; every frame fits OpenAI's own types."""

import time

import pytest

from tests.realtime.client import assert_in_order, call, wait_until

pytestmark = pytest.mark.system

REPLY = "东风要到三更才起。你先回营歇着，莫要声张。"


@pytest.fixture(autouse=True)
def _reply(providers):
    providers.script("chat", text=REPLY)


def messages_of(caller, conversation=0):
    """What is stored of the last active conversation, oldest first."""
    found = caller.account.get("/api/conversations")["list"][conversation]["id"]
    return caller.account.get(f"/api/conversations/{found}/messages", params={"limit": 100})["list"]


def test_a_turn_in_text_has_its_events_in_order(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        response = line.ask("今夜会有东风吗？", output_modalities=["text"], metadata={"a": "b"})
        assert response["status"] == "completed"
        assert response["metadata"] == {"a": "b"}
        assert response["output"][0]["content"] == [{"type": "output_text", "text": REPLY}]
        assert response["usage"]["output_tokens"] > 0
        kinds = line.types()
        deltas = kinds.count("response.output_text.delta")
        assert deltas > 1
        assert [k for k in kinds if k != "response.output_text.delta"] == [
            "session.created",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        assert_in_order(line.events)


def test_a_reply_is_spoken_in_pieces_after_their_sentence(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        line.ask("今夜会有东风吗？")
        kinds = line.types()
        first = kinds.index("response.output_audio.delta")
        assert kinds[first - 1] == "response.output_audio_transcript.delta"
        assert (
            line.transcript() == line.of("response.output_audio_transcript.done")[0]["transcript"]
        )
        assert len(line.audio()) / 48_000 > 1
        assert_in_order(line.events)


def test_the_model_reads_the_character_first_and_all_that_was_said(server, caller, providers):
    with call(server.ws_url, key=caller.key, query={"model": "诸葛亮"}) as line:
        line.send("session.update", session={"type": "realtime", "instructions": "答得短。"})
        line.ask("第一句。", output_modalities=["text"])
        line.ask("第二句。", output_modalities=["text"])
    asked = providers.log()["exchanges"][-1]["body"]["messages"]
    assert asked[0]["role"] == "system"
    assert "诸葛亮" in asked[0]["content"]
    assert "答得短。" in "".join(m["content"] for m in asked if m["role"] == "system")
    talk = [m["content"] for m in asked if m["role"] != "system"]
    assert talk[-3:] == ["第一句。", REPLY, "第二句。"]


def test_what_is_said_is_the_chat_s_history(server, caller):
    role = caller.account.add_role(name="灯塔看守人")
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.ask("灯亮着吗？", output_modalities=["text"])
    stored = wait_until(lambda: len(found := messages_of(caller)) == 2 and found)
    assert [(m["author"], m["text"]) for m in stored] == [
        ("user", "灯亮着吗？"),
        ("assistant", REPLY),
    ]


def test_nothing_is_told_of_a_message_before_it_is_stored(server, caller):
    role = caller.account.add_role(name="灯塔看守人")
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.say("记下这一句。")
        line.until("conversation.item.added")
        assert [m["text"] for m in messages_of(caller)] == ["记下这一句。"]


def test_a_session_that_says_nothing_leaves_no_conversation(server, another_caller):
    with call(server.ws_url, key=another_caller.key) as line:
        line.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        line.until("session.updated")
    assert another_caller.account.get("/api/conversations")["list"] == []


def test_the_seed_s_own_lines_are_answered_in_beta_s_words(server, caller):
    """The subprotocol alone, flat fields, no type: as written in the page we were given."""
    query = {"model": "cosyvoice-v2"}
    with call(server.ws_url, key=caller.key, query=query, subprotocols=["realtime"]) as line:
        line.dialect = "beta"
        line.send(
            "session.update",
            session={
                "instructions": "你是一个友好的AI助手",
                "voice": "longyingcui",
                "modalities": ["text", "audio"],
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                    "create_response": True,
                },
            },
        )
        session = line.until("session.updated")["session"]
        assert session["voice"] == "longyingcui"
        assert session["turn_detection"]["silence_duration_ms"] == 200
        response = line.ask("你好，请介绍一下你自己。")
        assert response["modalities"] == ["text", "audio"]
        kinds = set(line.types())
        assert {"response.audio.delta", "response.audio_transcript.delta"} <= kinds
        assert not [kind for kind in kinds if "output_audio" in kind]
        assert "conversation.item.created" in kinds


def test_beta_may_have_mp3(server, caller):
    query = {"model": "cosyvoice-v2", "dialect": "beta"}
    with call(server.ws_url, key=caller.key, query=query, dialect="") as line:
        line.send("session.update", session={"output_audio_format": "mp3"})
        line.until("session.updated")
        line.ask("你好。")
        assert line.audio()[:3] == b"ID3" or line.audio()[0] == 0xFF


def test_an_operator_s_default_dialect(providers):
    from tests.processes import start_server
    from tests.v1.conftest import Caller

    with start_server({**providers.settings, "REALTIME_DIALECT": "beta"}) as server:
        key = Caller.register(server.base_url).key
        with call(server.ws_url, key=key, dialect="beta") as line:
            assert line.receive()["type"] == "conversation.created"
        with call(server.ws_url, key=key, query={"model": "gpt-realtime", "dialect": "ga"}):
            pass


def test_a_function_is_called_and_its_output_answered(server, caller, providers):
    tool = {"type": "function", "name": "wind", "parameters": {"type": "object"}}
    calls = [{"name": "wind", "arguments": '{"hour": 3}'}]
    providers.script("chat", {"text": "", "tool_calls": calls}, {"text": "是东风。"})
    with call(server.ws_url, key=caller.key) as line:
        session = {"type": "realtime", "tools": [tool], "output_modalities": ["text"]}
        line.send("session.update", session=session)
        line.until("session.updated")
        response = line.ask("三更是什么风？")
        item = response["output"][-1]
        assert (item["type"], item["name"]) == ("function_call", "wind")
        assert line.of("response.function_call_arguments.done")[0]["arguments"] == '{"hour": 3}'
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "east"}
        line.send("conversation.item.create", item=output)
        line.send("response.create")
        answer = line.until("response.done")["response"]
        assert answer["output"][0]["content"][0]["text"] == "是东风。"
        assert_in_order(line.events)
    asked = providers.log()["exchanges"][-1]["body"]["messages"]
    assert [m["role"] for m in asked[-2:]] == ["assistant", "tool"]
    assert asked[-1]["content"] == "east"


def test_a_response_out_of_band_beside_the_active_one(server, caller, providers):
    slow = {"llm_first_ms": 400}
    providers.script("chat", {"text": REPLY, "pace": slow}, {"text": "天气"})
    with call(server.ws_url, key=caller.key) as line:
        line.say("今夜会有东风吗？")
        line.send("response.create", response={"output_modalities": ["text"]})
        line.until("response.created")
        line.send(
            "response.create",
            response={
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"topic": "classification"},
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "一个词说主题。"}],
                    }
                ],
            },
        )
        ends = [line.until("response.done")["response"] for _ in range(2)]
        beside = next(each for each in ends if each["conversation_id"] is None)
        assert beside["metadata"] == {"topic": "classification"}
        assert all(each["status"] == "completed" for each in ends)
        assert_in_order(line.events)


def test_a_second_response_is_refused_while_one_is_active(server, caller, providers):
    providers.script("chat", text=REPLY, pace={"llm_first_ms": 500})
    with call(server.ws_url, key=caller.key) as line:
        line.say("今夜会有东风吗？")
        line.send("response.create", response={"output_modalities": ["text"]})
        line.send("response.create", event_id="evt_second")
        error = line.until("error")["error"]
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "evt_second"
        assert line.until("response.done")["response"]["status"] == "completed"


def test_cancel_stops_the_model(server, caller, providers):
    providers.script("chat", text=REPLY * 20, pace={"llm_first_ms": 50, "tokens_per_second": 10})
    with call(server.ws_url, key=caller.key) as line:
        line.say("讲个长故事。")
        line.send("response.create", response={"output_modalities": ["text"]})
        line.until("response.output_text.delta")
        begun = time.monotonic()
        line.send("response.cancel")
        response = line.until("response.done")["response"]
        assert time.monotonic() - begun < 1
        assert response["status"] == "cancelled"
        assert response["status_details"]["reason"] == "client_cancelled"
        wait_until(lambda: providers.log()["counts"]["chat"].get("cancelled"))
        line.send("response.cancel", event_id="again")
        error = line.until("error")["error"]
        assert error["code"] == "response_cancel_not_active"
        assert error["message"].startswith("Cancellation failed")
        assert_in_order(line.events)
