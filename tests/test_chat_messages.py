"""Client messages of both sockets: what is taken, and how the rest is refused."""

import json

import pytest
from django.utils import translation

from chat.messages import BadMessage, Cancel, Say, parse_chat, parse_voice_chat
from chat.models import Modality

TEXT = {"role_id": 1, "message": "你好，诸葛亮", "type": "text", "response_type": 1}
VOICE = {
    "role_id": 1,
    "message": "https://host/uploads/audio123.mp3",
    "type": "voice",
    "format": "mp3",
    "response_type": 2,
}
CALL = {"role_id": 8, "voice_url": "https://example.com/user-audio.mp3", "format": "mp3"}


def chat(**changes):
    return parse_chat(json.dumps({**TEXT, **changes}))


def test_the_contracts_own_messages_are_taken():
    assert parse_chat(json.dumps(TEXT)) == Say(
        1, "你好，诸葛亮", "", Modality.VOICE, "", stream=False, conversation_id=None
    )
    assert parse_chat(json.dumps(VOICE)) == Say(
        1, "", VOICE["message"], None, "", stream=False, conversation_id=None
    )
    assert parse_voice_chat(json.dumps(CALL)) == Say(
        8, "", CALL["voice_url"], Modality.VOICE, "", stream=False, conversation_id=None
    )


def test_a_clients_own_user_id_is_ignored():
    assert chat(user_id=123) == parse_chat(json.dumps(TEXT))


@pytest.mark.parametrize(
    ("response_type", "reply"), [(0, Modality.TEXT), (1, Modality.VOICE), (2, None)]
)
def test_response_types(response_type, reply):
    assert chat(response_type=response_type).reply == reply


def test_extensions():
    say = chat(id="a" * 64, stream=True, conversation_id=7)
    assert (say.client_id, say.stream, say.conversation_id) == ("a" * 64, True, 7)


@pytest.mark.parametrize("parse", [parse_chat, parse_voice_chat])
def test_cancel(parse):
    assert parse('{"type": "cancel", "id": "x"}') == Cancel("x")
    assert parse('{"type": "cancel"}') == Cancel("")


BAD = [
    {"role_id": None},
    {"role_id": "1"},
    {"role_id": 0},
    {"role_id": -1},
    {"role_id": 1.0},
    {"role_id": True},
    {"role_id": 2**63},
    {"message": None},
    {"message": ""},
    {"message": "   "},
    {"message": 5},
    {"message": ["你好"]},
    {"message": "a\x00b"},
    {"message": "\ud800"},
    {"type": None},
    {"type": "video"},
    {"type": 1},
    {"response_type": None},
    {"response_type": 3},
    {"response_type": -1},
    {"response_type": "1"},
    {"response_type": True},
    {"id": ""},
    {"id": 5},
    {"id": "a" * 65},
    {"stream": "yes"},
    {"stream": 1},
    {"conversation_id": "1"},
    {"conversation_id": 0},
]


@pytest.mark.parametrize("change", BAD, ids=str)
def test_bad_fields_are_refused(change):
    with pytest.raises(BadMessage) as error:
        chat(**change)
    assert error.value.code == 400
    assert str(error.value)


@pytest.mark.parametrize("change", [{"format": None}, {"format": "exe"}, {"format": 3}], ids=str)
@pytest.mark.parametrize(("parse", "whole"), [(parse_chat, VOICE), (parse_voice_chat, CALL)])
def test_speech_needs_a_known_format(parse, whole, change):
    with pytest.raises(BadMessage, match=r"format|格式"):
        parse(json.dumps({**whole, **change}))


@pytest.mark.parametrize("change", [{"voice_url": None}, {"voice_url": 1}, {"voice_url": " "}])
def test_a_call_needs_a_url(change):
    with pytest.raises(BadMessage, match="voice_url"):
        parse_voice_chat(json.dumps({**CALL, **change}))


@pytest.mark.parametrize("raw", ["", "hello", "{", "[]", "1", '"x"', "null", "[" * 60_000])
def test_what_is_not_an_object_is_refused(raw):
    with pytest.raises(BadMessage) as error:
        parse_chat(raw)
    assert error.value.code == 400


def test_too_much_is_413():
    for raw in ("x" * (64 * 1024 + 1), json.dumps({**TEXT, "message": "字" * 8001})):
        with pytest.raises(BadMessage) as error:
            parse_chat(raw)
        assert error.value.code == 413


def test_an_error_carries_the_id_of_its_message():
    with pytest.raises(BadMessage) as error:
        chat(id="mine", role_id=None)
    assert error.value.client_id == "mine"


def test_errors_come_in_the_clients_language():
    with translation.override("en"), pytest.raises(BadMessage) as error:
        chat(role_id=None)
    assert str(error.value).isascii()
