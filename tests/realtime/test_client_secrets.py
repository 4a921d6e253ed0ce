"""Ephemeral keys: made by a program, shown by a browser, bound to what they were made for."""

import time

import pytest
from openai.types.beta.realtime import SessionCreateResponse, TranscriptionSession
from openai.types.realtime import ClientSecretCreateResponse
from websockets.exceptions import InvalidStatus

from tests.realtime.client import call, wait_until
from tests.realtime.test_handshake import bearer, refused
from tests.v1.conftest import Caller, error_of

pytestmark = pytest.mark.system


def made(caller: Caller, **body):
    answer = caller.ask("POST", "/realtime/client_secrets", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def opened(server, key: str, **options):
    """The session that a key opens, as a browser shows it."""
    offered = ["realtime", f"openai-insecure-api-key.{key}"]
    return call(server.ws_url, subprotocols=offered, **options)


def test_a_key_of_ten_minutes_with_its_session(server, caller):
    before = int(time.time())
    body = made(caller)
    ClientSecretCreateResponse.model_validate(body, strict=True)
    assert body["value"].startswith("ek_")
    assert before + 600 <= body["expires_at"] <= time.time() + 600
    assert body["session"]["object"] == "realtime.session"


def test_it_brings_its_character_voice_and_session(server, caller):
    role = caller.account.add_role(name="灯塔看守人")
    session = {
        "type": "realtime",
        "model": f"role:{role}",
        "instructions": "说得短一些。",
        "output_modalities": ["text"],
        "audio": {"output": {"voice": "marin"}, "input": {"turn_detection": None}},
    }
    body = made(caller, session=session, expires_after={"anchor": "created_at", "seconds": 60})
    ClientSecretCreateResponse.model_validate(body)
    assert body["session"]["audio"]["output"]["voice"] == "marin"
    # A browser names the model it was built with, or none.
    with opened(server, body["value"], query={}) as line:
        began = line.events[0]["session"]
        assert began["model"] == f"role:{role}"
        assert began["instructions"] == "说得短一些。"
        assert began["output_modalities"] == ["text"]
        assert began["audio"]["input"]["turn_detection"] is None
        line.send("session.update", session={"type": "realtime", "prompt": {"id": "诸葛亮"}})
        assert line.receive()["error"]["param"] == "session.prompt"
        voice = {"audio": {"output": {"voice": "alloy"}}}
        line.send("session.update", session={"type": "realtime", **voice})
        assert line.receive()["error"]["code"] == "cannot_update_voice"
        line.send("session.update", session={"type": "realtime", "instructions": "慢一些。"})
        assert line.until("session.updated")["session"]["instructions"] == "慢一些。"


def test_another_character_than_its_own_is_403(server, caller):
    role = caller.account.add_role(name="灯塔看守人")
    body = made(caller, session={"type": "realtime", "model": f"role:{role}"})
    with (
        pytest.raises(InvalidStatus) as caught,
        opened(server, body["value"], query={"model": "诸葛亮"}),
    ):
        pass
    assert caught.value.response.status_code == 403
    # A model's name asks for nobody in particular; clients send it with every update.
    with opened(server, body["value"], query={"model": "gpt-realtime"}) as line:
        assert "灯塔看守人" in line.events[0]["session"]["instructions"]
        line.send("session.update", session={"type": "realtime", "model": "gpt-realtime"})
        line.until("session.updated")


def test_it_goes_on_with_no_conversation_whose_number_was_guessed(server, caller):
    role = caller.account.add_role(name="灯塔看守人")
    with call(server.ws_url, key=caller.key, query={"model": f"role:{role}"}) as line:
        line.ask("我叫阿远。", output_modalities=["text"])
    listed = caller.account.get("/api/conversations", params={"role_id": role})["list"]
    body = made(caller, session={"type": "realtime", "model": f"role:{role}"})
    query = f"conversation={listed[0]['id']}"
    status, _headers, error = refused(server, query, **bearer(body["value"]))
    assert (status, error["code"], error["param"]) == (
        403,
        "conversation_not_allowed",
        "conversation",
    )


def test_a_key_that_names_the_character_s_own_voice_is_bound_to_it(server, caller):
    own = made(caller)["session"]["audio"]["output"]["voice"]
    role = caller.account.add_role(name="灯塔看守人", voice_type="marin")
    other = {"type": "realtime", "audio": {"output": {"voice": "marin"}}}
    for named in (own, {"id": own}):
        session = {"type": "realtime", "audio": {"output": {"voice": named}}}
        with opened(server, made(caller, session=session)["value"]) as line:
            line.send("session.update", session=other)
            assert line.receive()["error"]["code"] == "cannot_update_voice"
            session = {"type": "realtime", "prompt": {"id": f"role:{role}"}}
            line.send("session.update", session=session)
            shown = line.until("session.updated")["session"]
            assert "灯塔看守人" in shown["instructions"]
            assert shown["audio"]["output"]["voice"] == own
    with opened(server, made(caller)["value"]) as line:  # it names none: any will do
        line.send("session.update", session=other)
        line.until("session.updated")


def test_a_length_in_other_words_binds_as_well(server, caller):
    body = made(caller, session={"type": "realtime", "max_output_tokens": 100.0})
    with opened(server, body["value"]) as line:
        assert line.events[0]["session"]["max_output_tokens"] == 100
        for longer in (101, "inf"):
            line.send("session.update", session={"type": "realtime", "max_output_tokens": longer})
            assert line.receive()["error"]["param"] == "session.max_output_tokens"


def test_a_key_to_talk_with_does_not_only_listen(server, caller):
    body = made(caller, session={"type": "realtime", "model": "gpt-realtime"})
    status, _headers, error = refused(
        server, "intent=transcription&model=whisper-1", **bearer(body["value"])
    )
    assert (status, error["code"], error["param"]) == (403, "intent_not_allowed", "intent")


def test_what_only_beta_has_is_for_keys_that_were_made_so(server, caller):
    mp3 = {"type": "realtime", "audio": {"output": {"format": {"type": "audio/mp3"}}}}
    answer = caller.ask("POST", "/realtime/client_secrets", json={"session": mp3})
    assert error_of(answer, 400)["param"] == "session.audio.output.format.type"
    body = made(caller, session={"type": "realtime", "temperature": 0.7})
    assert "temperature" not in body["session"]
    with opened(server, body["value"]) as line:
        assert "temperature" not in line.events[0]["session"]
    asked = {"model": "gpt-4o-realtime-preview", "temperature": 0.7, "output_audio_format": "mp3"}
    body = caller.ask("POST", "/realtime/sessions", json=asked).json()
    assert (body["temperature"], body["output_audio_format"]) == (0.7, "mp3")
    query = {"model": "gpt-realtime", "dialect": "beta"}
    with opened(server, body["client_secret"]["value"], query=query, dialect="") as line:
        session = line.events[0]["session"]
        assert (session["temperature"], session["output_audio_format"]) == (0.7, "mp3")


def test_a_key_to_listen_with(server, caller):
    transcription = {"model": "gpt-4o-transcribe", "language": "zh"}
    session = {"type": "transcription", "audio": {"input": {"transcription": transcription}}}
    body = made(caller, session=session)
    ClientSecretCreateResponse.model_validate(body)
    with opened(server, body["value"], query={"intent": "transcription"}) as line:
        began = line.events[0]["session"]
        assert began["type"] == "transcription"
        assert began["audio"]["input"]["transcription"] == transcription
    with opened(server, body["value"]) as line:  # and nothing else, whatever model it names
        assert line.events[0]["session"]["type"] == "transcription"


def test_beta_s_sessions(server, caller):
    asked = {"model": "gpt-4o-realtime-preview", "voice": "alloy", "modalities": ["text"]}
    body = caller.ask("POST", "/realtime/sessions", json=asked).json()
    SessionCreateResponse.model_validate(body, strict=True)
    assert body["voice"] == "alloy"
    assert body["modalities"] == ["text"]
    key = body["client_secret"]
    assert time.time() < key["expires_at"] <= time.time() + 60
    with opened(server, key["value"]) as line:  # whose model is another name of the same
        assert line.events[0]["session"]["audio"]["output"]["voice"] == "alloy"


def test_beta_s_transcription_sessions(server, caller):
    asked = {"input_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "whisper-1"}}
    body = caller.ask("POST", "/realtime/transcription_sessions", json=asked).json()
    TranscriptionSession.model_validate(body, strict=True)
    with opened(server, body["client_secret"]["value"], query={}) as line:
        assert line.events[0]["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"expires_after": {"seconds": 9}}, 400, "seconds"),
        ({"expires_after": {"seconds": 7201}}, 400, "seconds"),
        ({"expires_after": {"anchor": "later"}}, 400, "anchor"),
        ({"session": []}, 400, "session"),
        ({"session": {"model": "no-such-model"}}, 404, "model"),
        ({"session": {"prompt": {"id": "no-such-one"}}}, 404, "model"),
        ({"session": {"type": "transcription", "model": "nobody"}}, 404, "model"),
        (
            {"session": {"audio": {"output": {"voice": "nobody"}}}},
            400,
            "session.audio.output.voice",
        ),
    ],
)
def test_what_cannot_be_had(caller, body, status, param):
    answer = caller.ask("POST", "/realtime/client_secrets", json=body)
    assert error_of(answer, status)["param"] == param


def test_it_makes_no_further_keys_and_opens_nothing_else(caller):
    key = made(caller)["value"]
    headers = {"Authorization": f"Bearer {key}"}
    for method, path in (("POST", "/realtime/client_secrets"), ("GET", "/models")):
        answer = caller.ask(method, path, headers=headers)
        assert error_of(answer, 401)["code"] == "invalid_api_key"


def test_it_ends_with_the_key_that_made_it(server, caller):
    name = {"name": "parent"}
    parent = caller.account.request("POST", "/api/keys", json=name).json()["data"]
    child = made(Caller(caller.account, parent["key"], parent["id"]))["value"]
    with opened(server, child):
        pass
    caller.account.request("DELETE", f"/api/keys/{parent['id']}")
    with pytest.raises(InvalidStatus), opened(server, child):
        pass


def test_it_ends_with_the_session_that_made_it(server):
    account = Caller.register(server.base_url).account
    child = made(Caller(account, account.access, 0))["value"]
    with opened(server, child):
        pass
    account.request("POST", "/api/auth/logout", json={"refresh": account.refresh})
    with pytest.raises(InvalidStatus), opened(server, child):
        pass


def test_it_lets_in_no_longer_than_it_says(server, caller):
    key = made(caller, expires_after={"anchor": "created_at", "seconds": 10})["value"]
    with opened(server, key) as line:

        def refused() -> bool:
            try:
                with opened(server, key):
                    return False
            except InvalidStatus:
                return True

        wait_until(refused, 15)
        # Whoever was let in stays.
        line.say("还在吗？")
        assert line.until("conversation.item.done")
