"""Spoken turns over the real socket, with recorded speech in real time."""

import json
import time

import numpy as np
import pytest

from tests.realtime.client import assert_in_order, call, wait_until
from tests.realtime.microphone import Microphone, hiss, speech
from voice.audio.g711 import encode_ulaw

pytestmark = pytest.mark.system

HEARD = "今夜会有东风吗"
REPLY = "东风要到三更才起。你先回营歇着，莫要声张。"
LONG = "且听我慢慢道来。这一夜的风，要从南屏山上说起。" * 8
QUICK = {
    "type": "realtime",
    "audio": {
        "input": {
            "transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
        }
    },
}


@pytest.fixture(autouse=True)
def _providers(providers):
    providers.script("transcriptions", text=HEARD)
    providers.script("chat", text=REPLY)


@pytest.fixture
def role(caller):
    """A character of the test's own, so that its conversation is known."""
    return caller.account.add_role(name="灯塔看守人")


def stored(caller, role, count=2):
    """What is stored of the one conversation with a role, once it has so many messages."""

    def found():
        rows = caller.account.get("/api/conversations", params={"role_id": role})["list"]
        if not rows:
            return None
        path = f"/api/conversations/{rows[0]['id']}/messages"
        messages = caller.account.get(path)["list"]
        return messages if len(messages) >= count else None

    return wait_until(found)


def test_speech_is_heard_answered_and_kept(server, caller, role):
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.send("session.update", session=QUICK)
        line.until("session.updated")
        with Microphone(line) as microphone:
            microphone.say(hiss(0.5) + speech(1.6))
            response = line.until("response.done")["response"]
        assert response["status"] == "completed"
        started = line.of("input_audio_buffer.speech_started")[0]
        stopped = line.of("input_audio_buffer.speech_stopped")[0]
        committed = line.of("input_audio_buffer.committed")[0]
        understood = line.of("conversation.item.input_audio_transcription.completed")[0]
        ids = {each["item_id"] for each in (started, stopped, committed, understood)}
        assert len(ids) == 1
        assert 100 <= started["audio_start_ms"] <= 500
        assert 1_500 <= stopped["audio_end_ms"] - started["audio_start_ms"] <= 2_900
        assert understood["transcript"] == HEARD
        assert len(line.audio()) > 48_000
        assert_in_order(line.events)
        line.send("conversation.item.retrieve", item_id=started["item_id"])
        item = line.until("conversation.item.retrieved")["item"]
        assert item["content"][0]["transcript"] == HEARD
    messages = stored(caller, role)
    assert [(m["author"], m["text"]) for m in messages] == [("user", HEARD), ("assistant", REPLY)]
    assert messages[0]["audio_url"]


def test_a_turn_by_hand(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        audio = {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}
        line.send("session.update", session={"type": "realtime", "audio": audio})
        line.until("session.updated")
        line.append(speech(1.2))
        line.send("input_audio_buffer.commit")
        line.until("input_audio_buffer.committed")
        assert line.until("conversation.item.input_audio_transcription.completed")
        line.send("response.create")
        assert line.until("response.done")["response"]["status"] == "completed"
        assert "input_audio_buffer.speech_started" not in line.types()
        line.send("input_audio_buffer.commit", event_id="empty")
        error = line.until("error")["error"]
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert error["event_id"] == "empty"
        line.send("input_audio_buffer.clear")
        line.until("input_audio_buffer.cleared")


def test_a_telephone_s_own_format(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        pcmu = {"format": {"type": "audio/pcmu"}}
        audio = {"input": {**pcmu, "turn_detection": None}, "output": pcmu}
        line.send("session.update", session={"type": "realtime", "audio": audio})
        line.until("session.updated")
        samples = np.frombuffer(speech(1.2), "<i2")[::3]
        line.append(encode_ulaw(samples.tobytes()))
        line.send("input_audio_buffer.commit")
        line.send("response.create")
        line.until("response.done")
        assert 8_000 < len(line.audio()) < 8_000 * 30


@pytest.fixture
def talkative(providers):
    providers.script("chat", text=LONG, pace={"llm_first_ms": 30, "tokens_per_second": 60})


def test_speech_interrupts_and_what_was_heard_is_kept(server, caller, role, providers, talkative):
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.send("session.update", session=QUICK)
        line.until("session.updated")
        with Microphone(line) as microphone:
            line.say("从头讲来。")
            line.send("response.create")
            line.until("response.output_audio.delta")
            time.sleep(1.5)
            begun = len(line.events)
            microphone.say(speech(1.6))
            line.until("input_audio_buffer.speech_started")
            at = time.monotonic()
            response = line.until("response.done")["response"]
            assert time.monotonic() - at < 0.2
            assert response["status"] == "cancelled"
            assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
            kinds = line.types()[begun:]
            after = kinds[kinds.index("input_audio_buffer.speech_started") + 1 :]
            assert after == [
                "response.output_audio.done",
                "response.output_audio_transcript.done",
                "response.content_part.done",
                "response.output_item.done",
                "conversation.item.done",
                "response.done",
            ]
            providers.script("chat", text=REPLY)
            assert line.until("response.done")["response"]["status"] == "completed"
        wait_until(lambda: providers.log()["counts"]["chat"].get("cancelled"))
        assert_in_order(line.events)
    messages = stored(caller, role, 4)
    assert [m["author"] for m in messages] == ["user", "assistant", "user", "assistant"]
    heard = messages[1]["text"]
    assert heard
    assert len(heard) < len(LONG) / 2
    assert LONG.startswith(heard.rstrip("。…"))
    assert messages[2]["text"] == HEARD


def test_the_client_knows_best_how_much_was_heard(server, caller, role, talkative):
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.say("从头讲来。")
        line.send("response.create")
        item = line.until("response.output_item.added")["item"]["id"]
        while len(line.audio()) < 48_000 * 4:
            line.receive()
        line.send("response.cancel")
        line.until("response.done")
        line.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=2_000)
        line.until("conversation.item.truncated")
        line.send("conversation.item.retrieve", item_id=item)
        shown = line.until("conversation.item.retrieved")["item"]
        assert shown["status"] == "incomplete"
    assert wait_until(lambda: stored(caller, role)[1]["text"] == "且听我慢慢道来。")


def test_a_client_that_goes_away_ends_everything_upstream(
    server, caller, role, providers, talkative
):
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.say("从头讲来。")
        line.send("response.create")
        line.until("response.output_audio.delta")
        time.sleep(2.2)
    wait_until(lambda: providers.log()["counts"]["chat"].get("cancelled"))
    assert stored(caller, role)[1]["text"] == "且听我慢慢道来。"


def test_who_hangs_up_while_speaking_has_been_heard(server, caller, role):
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.send("session.update", session=QUICK)
        line.until("session.updated")
        with Microphone(line) as microphone:
            microphone.say(hiss(0.5) + speech(1.6))
            line.until("input_audio_buffer.speech_started")
            time.sleep(0.8)
    [said] = stored(caller, role, 1)
    assert (said["author"], said["text"]) == ("user", "")
    assert said["audio_url"]


def test_who_hangs_up_before_they_are_understood_has_been_heard(server, caller, role, providers):
    providers.script("transcriptions", fault="stall_before")
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.send("session.update", session=QUICK)
        line.until("session.updated")
        with Microphone(line) as microphone:
            microphone.say(hiss(0.5) + speech(1.6))
            line.until("input_audio_buffer.committed")
            time.sleep(0.5)
    time.sleep(0.5)  # what deletes it would have come by now
    [said] = stored(caller, role, 1)
    assert (said["author"], said["text"]) == ("user", "")
    assert said["audio_url"]


def test_a_session_that_only_hears(server, caller, providers):
    query = {"intent": "transcription", "model": "gpt-4o-transcribe"}
    before = providers.log()["counts"].get("chat", {}).get("started", 0)
    with call(server.ws_url, key=caller.key, query=query) as line:
        with Microphone(line) as microphone:
            microphone.say(hiss(0.5) + speech(1.6))
            understood = line.until("conversation.item.input_audio_transcription.completed")
        assert understood["transcript"] == HEARD
        line.send("response.create")
        assert line.until("error")["error"]["param"] == "type"
    assert providers.log()["counts"].get("chat", {}).get("started", 0) == before


def test_the_operator_s_client_comes_back_to_its_conversation(server, caller, role, providers):
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        conversation = line.ask("我叫阿远。", output_modalities=["text"])["conversation_id"]
    stored(caller, role)
    query = {"model": "gpt-realtime", "resume": conversation}
    with call(server.ws_url, key=caller.key, query=query) as line:
        assert "灯塔看守人" in line.events[0]["session"]["instructions"]
        again = line.ask("我叫什么？", output_modalities=["text"])
        assert again["conversation_id"] == conversation
    asked = providers.log()["exchanges"][-1]["body"]["messages"]
    assert "我叫阿远。" in [m["content"] for m in asked]
    assert len(stored(caller, role, 4)) == 4


def test_a_call_goes_on_with_the_chat_s_conversation(server, caller, role, providers):
    with caller.account.socket() as socket:
        socket.ask({"role_id": role, "type": "text", "message": "我叫阿远。", "response_type": 0})
    plain = caller.account.get("/api/conversations", params={"role_id": role})["list"][0]["id"]
    query = {"conversation": str(plain)}
    with call(server.ws_url, key=caller.account.access, query=query) as line:
        line.ask("我叫什么？", output_modalities=["text"])
    asked = providers.log()["exchanges"][-1]["body"]["messages"]
    assert "我叫阿远。" in [m["content"] for m in asked]
    assert len(stored(caller, role, 4)) == 4


def test_nobody_comes_back_to_another_user_s_conversation(server, caller, another_caller, role):
    from tests.realtime.test_handshake import bearer, refused

    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        conversation = line.ask("我叫阿远。", output_modalities=["text"])["conversation_id"]
    stored(caller, role)
    plain = caller.account.get("/api/conversations", params={"role_id": role})["list"][0]["id"]
    for query in (f"resume={conversation}", f"conversation={plain}"):
        status, _headers, error = refused(server, query, **bearer(another_caller.key))
        assert (status, error["code"]) == (404, "conversation_not_found")
    # Nor with another character than its own.
    query = f"model=%E8%AF%B8%E8%91%9B%E4%BA%AE&resume={conversation}"
    assert refused(server, query, **bearer(caller.key))[0] == 404


def test_what_is_used_is_accounted_for(server, another_caller):
    with call(server.ws_url, key=another_caller.key) as line:
        audio = {"input": {"turn_detection": None}}
        line.send("session.update", session={"type": "realtime", "audio": audio})
        line.append(speech(1.2))
        line.send("input_audio_buffer.commit")
        line.send("response.create")
        line.until("response.done")
    spent = wait_until(lambda: len(found := another_caller.spent()) >= 4 and found)
    assert spent["seconds"] == pytest.approx(1.2, abs=0.2)
    assert spent["characters"] > 5
    assert json.dumps(spent)
