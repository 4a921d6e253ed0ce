"""What a response answers, in whose voice, and how much of it was heard: to the very end."""

import base64
from dataclasses import replace
from typing import Any

from realtime.effects import StoreReply
from tests.realtime.simulator import CHARACTER, Script, World, setup

ECHO = replace(CHARACTER, role_id=2, name="李清照", instructions="你是李清照。", voice="echo")


def manual(**changes: Any) -> World:
    """A session without turn detection."""
    session = {"audio": {"input": {"turn_detection": None, "transcription": {}}}}
    return World(setup(session=session, **changes))


def committed(world: World) -> str:
    world.append(1000)
    return str(world.client("input_audio_buffer.commit")[0]["item_id"])


def reference(item_id: str) -> dict[str, Any]:
    return {"type": "item_reference", "id": item_id}


# --- in whose voice


def test_whom_a_response_names_answers_in_its_own_voice() -> None:
    world = World()
    asked = {"prompt": {"id": "role:2"}}
    created = world.client("response.create", response=asked, character=ECHO)[0]
    assert created["response"]["audio"]["output"]["voice"] == "echo"
    world.wait(5)
    world.client("response.create")
    assert [plan.voice for plan in world.plans] == ["echo", CHARACTER.voice]


def test_a_voice_that_the_client_has_chosen_is_everybodys() -> None:
    world = World()
    world.update(audio={"output": {"voice": "alloy"}})
    world.client("response.create", response={"prompt": {"id": "role:2"}}, character=ECHO)
    assert world.plans[-1].voice == "alloy"


def test_a_voice_that_the_key_is_bound_to_is_everybodys_too() -> None:
    session = {"audio": {"output": {"voice": CHARACTER.voice}}}
    world = World(setup(session=session, locked=frozenset({"voice"})))
    asked = {"prompt": {"id": "role:2"}}
    world.client("response.create", response=asked, character=ECHO)
    world.wait(5)
    world.client("session.update", session={"type": "realtime", **asked}, character=ECHO)
    world.client("response.create")
    assert [plan.character.role_id for plan in world.plans] == [2, 2]
    assert {plan.voice for plan in world.plans} == {CHARACTER.voice}


# --- what it answers


def test_a_response_waits_for_the_words_that_it_refers_to_and_for_no_others() -> None:
    world = manual()
    world.transcripts = ["甲", "乙"]
    wanted = committed(world)
    world.wait(0.05)
    committed(world)  # is understood half a tenth later
    world.client("response.create", response={"input": [reference(wanted)]})
    assert not world.plans
    world.wait(0.06)
    assert [message.content for message in world.plans[0].messages] == ["甲"]


def test_a_response_whose_context_has_nothing_of_it_does_not_wait() -> None:
    world = manual()
    committed(world)
    text = {"type": "message", "role": "user", "content": "在吗"}
    world.client("response.create", response={"input": [text]})
    assert [message.content for message in world.plans[0].messages] == ["在吗"]


def test_out_of_band_as_well() -> None:
    world = manual()
    world.transcripts = ["甲"]
    asked = {"conversation": "none", "input": [reference(committed(world))]}
    world.client("response.create", response=asked)
    world.wait(0.2)
    assert [message.content for message in world.plans[0].messages] == ["甲"]


# --- how much was heard


def one_sentence(samples: int) -> tuple[World, str]:
    world = World()
    world.scripts = [Script(("你好。",), seconds=samples / 24_000)]
    world.say("在吗")
    world.wait(5)
    sent = [event["delta"] for event in world.events("response.output_audio.delta")]
    assert len(b"".join(map(base64.b64decode, sent))) == 2 * samples
    return world, world.last("response.done")["response"]["output"][0]["id"]


def test_who_truncates_behind_the_end_has_heard_all() -> None:
    for samples in (24_010, 24_000, 23_990, 24_013):
        for end in (1000, 1001, 1300):
            world, item_id = one_sentence(samples)
            fields = {"item_id": item_id, "content_index": 0, "audio_end_ms": end}
            told = world.client("conversation.item.truncate", **fields)[0]
            assert told["audio_end_ms"] == min(end, round(samples / 24))
            shown = world.client("conversation.item.retrieve", item_id=item_id)[0]["item"]
            assert shown["content"][0]["transcript"] == "你好。"
            assert all(stored.text == "你好。" for stored in world.done(StoreReply))


def test_who_truncates_before_it_has_not() -> None:
    world, item_id = one_sentence(24_010)
    fields = {"item_id": item_id, "content_index": 0, "audio_end_ms": 999}
    world.client("conversation.item.truncate", **fields)
    assert world.done(StoreReply)[-1].text == ""
