"""What a client may do wrong, too much, too slowly or for too long, over the real socket."""

import base64
import json
import re
import signal
import sqlite3
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.processes import start_server
from tests.realtime.client import Call, assert_in_order, call, wait_until
from tests.realtime.microphone import hiss, speech
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system

MIB = 2**20
TEN_MINUTES = 10 * 60 * 48_000
BY_HAND = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
LONG = "且听我慢慢道来。这一夜的风，要从南屏山上说起。" * 8


def alive(line: Call) -> bool:
    """Whether a whole turn can still be had."""
    return line.ask("还在吗？", output_modalities=["text"])["status"] == "completed"


def by_hand(line: Call) -> None:
    line.send("session.update", session=BY_HAND)
    line.until("session.updated")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "invalid_json"),
        ("", "invalid_json"),
        ("[]", "invalid_json"),
        ("null", "invalid_json"),
        ('{"type": NaN}', "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        pytest.param('{"a": [' + "{}," * 400_000 + "{}]}", "invalid_value", id="many values"),
        (b"\x00\x01", "invalid_event"),
        ("{}", "missing_required_parameter"),
        ('{"type": 7}', "invalid_event"),
        ('{"type": "no.such.event", "event_id": "mine"}', "invalid_event"),
        ('{"type": "\\ud800"}', "invalid_event"),
        ('{"type": "x", "event_id": "\\ud800"}', "invalid_event"),
        (
            '{"type": "conversation.item.truncate", "item_id": "\\ud800", "event_id": "\\udc00"}',
            "item_truncate_invalid_item_id",
        ),
        ('{"type": "session.update"}', "missing_required_parameter"),
        ('{"type": "input_audio_buffer.append", "audio": "%%%"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append", "audio": 5}', "invalid_value"),
        ('{"type": "conversation.item.retrieve", "item_id": "x"}', "item_retrieve_invalid_item_id"),
        (
            '{"type": "response.create", "response": {"prompt": {"id": "\\u0000"}}}',
            "invalid_value",
        ),
    ],
)
def test_what_is_no_event_is_told_and_the_session_lives(server, caller, frame, code):
    with call(server.ws_url, key=caller.key) as line:
        line.connection.send(frame)
        error = line.receive()["error"]
        assert error["code"] == code
        if b"mine" in (frame if isinstance(frame, bytes) else frame.encode()):
            assert error["event_id"] == "mine"
        assert alive(line)


def test_odd_bytes_make_no_noise_and_no_error(server, caller, providers):
    with call(server.ws_url, key=caller.key) as line:
        by_hand(line)
        pcm = speech(1.0)
        for at in range(0, len(pcm), 4_801):
            line.append(pcm[at : at + 4_801])
        line.send("input_audio_buffer.commit")
        line.until("conversation.item.done")
        line.send("response.create", response={"output_modalities": ["text"]})
        assert line.until("response.done")["response"]["status"] == "completed"
    heard = [e for e in providers.log()["exchanges"] if e["endpoint"] == "transcriptions"][-1]
    assert heard["body"]["file"] == pytest.approx(32_000 + 44, rel=0.02)


def test_fifteen_megabytes_of_audio_in_one_event(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        by_hand(line)
        line.append(hiss(1.0) * (15 * MIB // 48_000))  # 20 MiB as base64
        line.send("input_audio_buffer.clear")
        line.until("input_audio_buffer.cleared")
        line.append(bytes(15 * MIB + 2), event_id="too_much")
        error = line.until("error")["error"]
        assert (error["param"], error["event_id"]) == ("audio", "too_much")
        assert alive(line)


def test_more_than_ten_minutes_are_not_kept(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        by_hand(line)
        for _ in range(2):
            line.append(bytes(TEN_MINUTES // 2))
        line.append(bytes(48_000), event_id="full")
        error = line.until("error", 60)["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_full", "full")
        line.send("input_audio_buffer.clear")
        line.until("input_audio_buffer.cleared")
        assert alive(line)


def test_with_voice_activity_old_audio_goes_silently(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        for _ in range(3):
            line.append(bytes(TEN_MINUTES // 2))
        assert alive(line)
        assert "error" not in line.types()


def test_more_than_two_hundred_events_a_second(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        event = {"type": "conversation.item.retrieve", "item_id": "x"}
        for number in range(600):
            line.connection.send(json.dumps({**event, "event_id": f"e{number}"}))
        errors = [line.until("error")["error"] for _ in range(600)]
        refused = [each for each in errors if each["code"] == "rate_limit_exceeded"]
        assert 100 < len(refused) <= 400
        assert refused[0]["type"] == "rate_limit_error"
        assert [each["event_id"] for each in errors] == [f"e{number}" for number in range(600)]
        time.sleep(0.5)
        assert alive(line)


def test_speech_that_was_recorded_before_may_come_at_once(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        by_hand(line)
        pcm = hiss(1.0) * 15
        for at in range(0, len(pcm), 960):  # 750 events of 20 ms
            line.append(pcm[at : at + 960])
        line.send("input_audio_buffer.commit")
        line.until("input_audio_buffer.committed")
        assert "error" not in line.types()


def test_a_client_that_does_not_read_is_cut_off(server, caller):
    with call(server.ws_url, key=caller.key) as line:
        text = "风" * 30_000
        line.say(text, id="item_long")
        line.until("conversation.item.done")
        for _ in range(5):
            for _ in range(150):
                line.send("conversation.item.retrieve", item_id="item_long")
            time.sleep(1)
        assert line.closed(30) == (1008, "slow reader")
    wait_until(lambda: "slow reader cut off" in server.log())
    with call(server.ws_url, key=caller.key) as line:
        assert alive(line)


def test_a_revoked_key_ends_the_session(server, caller):
    made = caller.account.request("POST", "/api/keys", json={"name": "x"}).json()["data"]
    with call(server.ws_url, key=made["key"]) as line:
        caller.account.request("DELETE", f"/api/keys/{made['id']}")
        assert line.closed(25)[0] == 1008
        assert line.events[-1]["error"]["code"] == "invalid_api_key"
        assert_in_order(line.events)


def test_a_session_expires_with_its_response(providers):
    settings = {**providers.settings, "REALTIME_MAX_MINUTES": "0.05"}
    providers.script("chat", text=LONG, pace={"llm_first_ms": 30, "tokens_per_second": 40})
    with start_server(settings) as server:
        key = Caller.register(server.base_url).key
        with call(server.ws_url, key=key) as line:
            ends = line.events[0]["session"]["expires_at"]
            assert ends - time.time() == pytest.approx(3, abs=1.5)
            line.say("从头讲来。")
            line.send("response.create")
            code, reason = line.closed()
        message = "Your session hit the maximum duration of 0.05 minutes."
        assert (code, reason) == (1001, message)
        assert line.events[-1]["error"] == {
            "type": "invalid_request_error",
            "code": "session_expired",
            "message": message,
            "param": None,
            "event_id": None,
        }
        done = line.of("response.done")[0]["response"]
        assert done["status"] == "cancelled"
        assert_in_order(line.events)
    providers.reset()


def test_an_event_that_the_server_cannot_take_is_told_before_the_socket_closes(providers):
    with start_server(providers.settings) as server:
        key = Caller.register(server.base_url).key
        with call(server.ws_url, key=key) as line:
            with sqlite3.connect(server.data_dir / "liyuan.sqlite3") as database:
                database.execute("ALTER TABLE roles_role RENAME TO gone")
            line.send("session.update", session={"type": "realtime", "prompt": {"id": "某人"}})
            assert line.closed()[0] == 1011
            assert line.events[-1]["error"]["code"] == "server_error"


def test_a_client_that_says_nothing_for_too_long(providers):
    with start_server({**providers.settings, "REALTIME_IDLE_MINUTES": "0.05"}) as server:
        key = Caller.register(server.base_url).key
        with call(server.ws_url, key=key) as line:
            for _ in range(4):  # whoever sends stays
                time.sleep(1)
                line.append(base64.b64decode("AAAA"))
            begun = time.monotonic()
            code, _reason = line.closed()
            assert code == 1000
            assert 2 < time.monotonic() - begun < 5
            assert line.events[-1]["error"]["code"] == "session_idle"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_ends_says_so(providers, number):
    providers.script("chat", text=LONG, pace={"llm_first_ms": 30, "tokens_per_second": 40})
    with start_server(providers.settings) as server:
        caller = Caller.register(server.base_url)
        with call(server.ws_url, key=caller.key) as line:
            line.say("从头讲来。")
            line.send("response.create")
            line.until("response.output_audio.delta")
            begun = time.monotonic()
            server.signal(number)
            assert line.closed()[0] == 1001
            assert time.monotonic() - begun < 2
            done = line.of("response.done")[0]["response"]
            assert done["status"] == "cancelled"
            assert_in_order(line.events)
        assert server.process.wait(20) is not None
        assert "Traceback" not in server.log()
    providers.reset()


def test_what_sessions_do_is_in_the_figures(server, caller):
    def figures() -> str:
        return httpx.get(f"{server.base_url}/metrics").text

    sessions = re.compile(r'liyuan_realtime_sessions\{kind="web",process="[^"]+"\} (\d+)')
    with call(server.ws_url, key=caller.key) as line:
        assert alive(line)
        text = figures()
        assert int(sessions.search(text)[1]) >= 1
        for each in (
            r'liyuan_sockets_open\{channel="realtime",.*\} [1-9]',
            r'liyuan_realtime_responses_total\{.*status="completed"\} [1-9]',
            r'liyuan_realtime_first_seconds_count\{after="request",first="text",.*\} [1-9]',
            r'liyuan_socket_handshakes_total\{channel="realtime",.*status="101"\} [1-9]',
        ):
            assert re.search(each, text), each
    wait_until(lambda: int(sessions.search(figures())[1]) == 0)


def test_a_socket_closed_by_the_client_in_the_middle_of_everything(server, caller):
    for _ in range(5):
        with call(server.ws_url, key=caller.key) as line:
            line.append(speech(0.5))
            line.say("从头讲来。")
            line.send("response.create")
    with call(server.ws_url, key=caller.key) as line:
        assert alive(line)
    assert "Traceback" not in server.log()


def test_a_frame_that_is_too_large_ends_the_socket_and_nothing_else(server, caller):
    with call(server.ws_url, key=caller.key) as line, pytest.raises(ConnectionClosed):
        line.connection.send("x" * (33 * MIB))
        while True:
            line.receive()
    with call(server.ws_url, key=caller.key) as line:
        assert alive(line)
