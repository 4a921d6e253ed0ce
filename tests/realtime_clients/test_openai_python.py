"""OpenAI's client for Python, by GA's words and by those of the beta."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from tests.platform import ProviderProcess
from tests.realtime_clients.conftest import CALL, HEARD, REPLY, TALE, WEATHER, Wire
from tests.realtime_clients.frames import Dialect
from tests.realtime_clients.speech import ENGLISH, seconds, silence, spoken, utterance
from tests.realtime_clients.talk import Talk
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system

SERVER_VAD = {"type": "server_vad", "silence_duration_ms": 300}


@pytest.fixture(params=["ga", "beta"])
def dialect(request: pytest.FixtureRequest, wire: Wire) -> Dialect:
    wire.dialect = request.param
    return wire.dialect


@asynccontextmanager
async def connected(
    wire: Wire, key: str, model: Any = "gpt-realtime", **options: Any
) -> AsyncIterator[Talk]:
    # The beta's connects by TLS unless it is told a whole URL.
    urls = {"base_url": wire.base_url, "websocket_base_url": f"{wire.tap.ws_url}/v1"}
    async with openai.AsyncOpenAI(**urls, api_key=key) as client:
        api: Any = client.realtime if wire.dialect == "ga" else client.beta.realtime
        if model is not None:
            options["model"] = model
        async with api.connect(**options) as connection:
            yield Talk(connection, wire.dialect)


@pytest.fixture
async def talk(dialect: Dialect, wire: Wire, caller: Caller, zhuge: str) -> AsyncIterator[Talk]:
    async with connected(wire, caller.key, zhuge) as talk:
        await talk.until("session.created")
        yield talk


def content(item: Any) -> Any:
    (part,) = item.content
    return part


async def test_a_session_is_shown_and_updated(talk: Talk, zhuge: str):
    created = talk.events[0].session
    assert created.model == zhuge
    assert "诸葛亮" in created.instructions
    if talk.dialect == "ga":
        assert created.audio.input.turn_detection.type == "server_vad"
        vad = {"type": "semantic_vad", "eagerness": "high"}
        updated = await talk.configure(
            output_modalities=["text"], audio={"input": {"turn_detection": vad}}, tools=[WEATHER]
        )
        detection = updated.audio.input.turn_detection
        assert updated.output_modalities == ["text"]
        assert updated.audio.output.format.type == "audio/pcm"
    else:
        assert [each.type for each in talk.events] == ["session.created"]
        await talk.until("conversation.created")
        vad = {"type": "semantic_vad", "eagerness": "high"}
        updated = await talk.configure(modalities=["text"], turn_detection=vad, tools=[WEATHER])
        detection = updated.turn_detection
        assert updated.modalities == ["text"]
        assert updated.output_audio_format == "pcm16"
        assert updated.temperature == 0.8
    assert (detection.type, detection.eagerness) == ("semantic_vad", "high")
    assert [tool.name for tool in updated.tools] == ["get_weather"]
    assert updated.instructions == created.instructions


async def test_a_turn_in_text_is_answered_aloud(talk: Talk, providers: ProviderProcess):
    response = await talk.ask(HEARD)
    assert response.status == "completed"
    assert talk.said(response.id) == REPLY
    assert seconds(talk.audio(response.id)) == pytest.approx(seconds_of(REPLY), abs=0.2)
    assert response.usage.output_tokens > 0
    (item,) = response.output
    assert content(item).transcript == REPLY
    asked = providers.log()["exchanges"]
    messages = next(e for e in asked if e["endpoint"] == "chat")["body"]["messages"]
    assert messages[-1] == {"role": "user", "content": HEARD}
    assert "诸葛亮" in messages[0]["content"]


async def test_a_turn_in_text_alone(talk: Talk, providers: ProviderProcess):
    key = "output_modalities" if talk.dialect == "ga" else "modalities"
    await talk.configure(**{key: ["text"]})
    response = await talk.ask(HEARD)
    assert talk.said(response.id) == content(response.output[0]).text == REPLY
    assert talk.audio(response.id) == b""
    assert "speech" not in providers.log()["counts"]


async def test_a_spoken_turn(talk: Talk, providers: ProviderProcess):
    await talk.detect(SERVER_VAD)
    await talk.speak(utterance(), speed=4)
    started = await talk.until("input_audio_buffer.speech_started")
    stopped = await talk.until("input_audio_buffer.speech_stopped")
    committed = await talk.until("input_audio_buffer.committed")
    added = await talk.until("conversation.item.added")
    assert started.item_id == stopped.item_id == committed.item_id == added.item.id
    assert started.audio_start_ms < 450
    spoken_ms = 1000 * seconds(spoken(ENGLISH[0]))
    assert stopped.audio_end_ms == pytest.approx(200 + spoken_ms + 300, abs=600)
    done = (await talk.until("response.done")).response
    assert talk.said(done.id) == REPLY
    (transcript,) = talk.all("conversation.item.input_audio_transcription.completed")
    assert (transcript.item_id, transcript.transcript) == (started.item_id, HEARD)
    (heard,) = (e for e in providers.log()["exchanges"] if e["endpoint"] == "transcriptions")
    length = heard["body"]["file"] / 2 / 16_000
    assert length == pytest.approx((stopped.audio_end_ms - started.audio_start_ms) / 1000, abs=0.5)


async def test_what_is_not_asked_for_is_not_sent(talk: Talk):
    detection = {**SERVER_VAD, "create_response": False, "interrupt_response": False}
    await talk.detect(detection, transcribe=False)
    await talk.speak(utterance(), speed=8)
    await talk.until("input_audio_buffer.committed")
    await talk.connection.response.create()
    done = (await talk.until("response.done")).response
    assert len(talk.all("response.created")) == 1
    assert talk.said(done.id) == REPLY
    assert not talk.all("conversation.item.input_audio_transcription.completed")


async def test_the_user_interrupts(talk: Talk, providers: ProviderProcess):
    providers.script("chat", {"text": TALE})
    await talk.detect(SERVER_VAD)
    await talk.write("讲个故事")
    await talk.connection.response.create()
    first = await talk.until("response.output_audio.delta")
    await asyncio.sleep(1.0)
    await talk.speak(utterance(before_ms=40))
    await talk.until("input_audio_buffer.speech_started")
    cut = (await talk.until("response.done")).response
    assert cut.id == first.response_id
    assert (cut.status, cut.status_details.reason) == ("cancelled", "turn_detected")
    assert seconds(talk.audio(cut.id)) < seconds_of(TALE)
    item = talk.connection.conversation.item
    await item.truncate(item_id=first.item_id, content_index=0, audio_end_ms=1_200)
    truncated = await talk.until("conversation.item.truncated")
    assert (truncated.item_id, truncated.audio_end_ms) == (first.item_id, 1_200)
    await item.retrieve(item_id=first.item_id)
    kept = (await talk.until("conversation.item.retrieved")).item
    assert kept.status == "incomplete"
    assert len(content(kept).transcript or "") < len(TALE) // 2
    answers = [e.response for e in talk.all("response.done")]
    answer = answers[1] if len(answers) > 1 else (await talk.until("response.done")).response
    assert talk.said(answer.id) == REPLY
    asked = [e for e in providers.log()["exchanges"] if e["endpoint"] == "chat"]
    assert TALE not in str(asked[-1]["body"]["messages"])


async def test_a_function_is_called(talk: Talk, providers: ProviderProcess):
    providers.script("chat", {"text": "", "tool_calls": [CALL]})
    if talk.dialect == "ga":
        await talk.configure(tools=[WEATHER], tool_choice="auto")
    else:
        await talk.configure(tools=[WEATHER], tool_choice="auto", modalities=["text", "audio"])
    response = await talk.ask("赤壁天气如何？")
    (call,) = response.output
    assert (call.type, call.name, call.arguments) == (
        "function_call",
        CALL["name"],
        CALL["arguments"],
    )
    (done,) = talk.all("response.function_call_arguments.done")
    assert (done.call_id, done.arguments) == (call.call_id, CALL["arguments"])
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "东风"}
    await talk.connection.conversation.item.create(item=output)
    await talk.connection.response.create()
    answer = (await talk.until("response.done")).response
    assert talk.said(answer.id) == REPLY
    asked = [e["body"] for e in providers.log()["exchanges"] if e["endpoint"] == "chat"]
    assert asked[0]["tools"][0]["function"]["name"] == "get_weather"
    *_, called, told = asked[1]["messages"]
    assert called["tool_calls"][0]["function"]["name"] == "get_weather"
    assert (told["role"], told["content"]) == ("tool", "东风")
    assert told["tool_call_id"] == called["tool_calls"][0]["id"]


async def test_a_response_is_cancelled_once(talk: Talk, providers: ProviderProcess):
    providers.script("chat", {"text": TALE})
    await talk.write("讲个故事")
    await talk.connection.response.create()
    await talk.until("response.output_audio.delta")
    await talk.connection.response.cancel()
    cut = (await talk.until("response.done")).response
    assert (cut.status, cut.status_details.reason) == ("cancelled", "client_cancelled")
    await talk.connection.response.cancel(event_id="again")
    error = (await talk.until("error")).error
    assert (error.code, error.event_id) == ("response_cancel_not_active", "again")
    assert error.message.startswith("Cancellation failed")


async def test_a_second_response_has_to_wait(talk: Talk, providers: ProviderProcess):
    providers.script("chat", {"text": TALE})
    await talk.write("讲个故事")
    await talk.connection.response.create()
    active = (await talk.until("response.created")).response
    await talk.connection.response.create(event_id="too-soon")
    error = (await talk.until("error")).error
    assert (error.code, error.event_id) == (
        "conversation_already_has_active_response",
        "too-soon",
    )
    assert active.id in error.message
    await talk.connection.response.cancel(response_id=active.id)
    assert (await talk.until("response.done")).response.id == active.id


async def test_mistakes_are_told_and_change_nothing(talk: Talk):
    item = talk.connection.conversation.item
    await item.retrieve(item_id="item_none", event_id="e1")
    assert (await talk.until("error")).error.code == "item_retrieve_invalid_item_id"
    await item.delete(item_id="item_none", event_id="e2")
    assert (await talk.until("error")).error.code == "item_delete_invalid_item_id"
    await item.truncate(item_id="item_none", content_index=0, audio_end_ms=1, event_id="e3")
    assert (await talk.until("error")).error.code == "item_truncate_invalid_item_id"
    await item.create(
        item={"type": "message", "role": "user", "content": []},
        previous_item_id="item_none",
        event_id="e4",
    )
    error = (await talk.until("error")).error
    assert error.code == "item_create_invalid_previous_item_id"
    await talk.connection.send({"type": "session.shout", "event_id": "e5"})
    error = (await talk.until("error")).error
    assert (error.code, error.param) == ("invalid_event", "type")
    await talk.connection.input_audio_buffer.append(audio="%%%", event_id="e6")
    error = (await talk.until("error")).error
    assert (error.code, error.param) == ("invalid_value", "audio")
    assert [e.error.event_id for e in talk.all("error")] == ["e1", "e2", "e3", "e4", "e5", "e6"]
    response = await talk.ask(HEARD)
    assert talk.said(response.id) == REPLY


async def test_items_are_kept_found_and_deleted(talk: Talk, providers: ProviderProcess):
    item = talk.connection.conversation.item
    first = await talk.write("我姓周。", id="item_of_mine")
    assert first.item.id == "item_of_mine"
    await item.retrieve(item_id="item_of_mine")
    found = (await talk.until("conversation.item.retrieved")).item
    assert content(found).text == "我姓周。"
    last = await talk.write(HEARD)
    assert last.previous_item_id == "item_of_mine"
    await item.delete(item_id="item_of_mine")
    assert (await talk.until("conversation.item.deleted")).item_id == "item_of_mine"
    await talk.connection.response.create()
    await talk.until("response.done")
    (asked,) = (e for e in providers.log()["exchanges"] if e["endpoint"] == "chat")
    assert "我姓周" not in str(asked["body"]["messages"])


async def test_turns_by_hand(talk: Talk):
    await talk.detect(None)
    buffer = talk.connection.input_audio_buffer
    await buffer.commit(event_id="nothing")
    error = (await talk.until("error")).error
    assert (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "nothing")
    await talk.append(silence(400))
    await buffer.clear()
    await talk.until("input_audio_buffer.cleared")
    await talk.append(spoken(ENGLISH[0]))
    await buffer.commit()
    committed = await talk.until("input_audio_buffer.committed")
    transcript = await talk.until("conversation.item.input_audio_transcription.completed")
    assert (transcript.item_id, transcript.transcript) == (committed.item_id, HEARD)
    assert not talk.all("response.created")
    await talk.connection.response.create()
    done = (await talk.until("response.done")).response
    assert talk.said(done.id) == REPLY


async def test_a_response_beside_the_conversation(talk: Talk, providers: ProviderProcess):
    providers.script("chat", text="平静")
    content = [{"type": "input_text", "text": "一个词：此刻的心情？"}]
    key = "output_modalities" if talk.dialect == "ga" else "modalities"
    options: Any = {
        "conversation": "none",
        key: ["text"],
        "metadata": {"topic": "mood"},
        "input": [{"type": "message", "role": "user", "content": content}],
    }
    await talk.connection.response.create(response=options)
    created = (await talk.until("response.created")).response
    done = (await talk.until("response.done")).response
    assert created.metadata == done.metadata == {"topic": "mood"}
    assert talk.said(done.id) == "平静"
    assert done.conversation_id is None
    assert not talk.all("conversation.item.added")


async def test_telephone_audio(talk: Talk):
    if talk.dialect == "ga":
        form = {"format": {"type": "audio/pcmu"}}
        await talk.configure(audio={"input": form, "output": form})
    else:
        await talk.configure(input_audio_format="g711_ulaw", output_audio_format="g711_ulaw")
    response = await talk.ask(HEARD)
    audio = talk.audio(response.id)
    assert len(audio) / 8_000 == pytest.approx(seconds_of(REPLY), abs=0.2)


async def test_a_failing_model_ends_its_response_and_nothing_else(
    talk: Talk, providers: ProviderProcess
):
    providers.script("chat", status=401)
    failed = await talk.ask(HEARD)
    assert failed.status == "failed"
    assert failed.status_details.error.code
    providers.script("chat", text=REPLY)
    response = await talk.ask(HEARD)
    assert talk.said(response.id) == REPLY


async def test_the_wrong_key_and_the_wrong_model(dialect: Dialect, wire: Wire, caller: Caller):
    refused: list[int] = []
    for key, model in (("sk-forged", "gpt-realtime"), (caller.key, "no-such-model")):
        with pytest.raises(Exception, match="HTTP") as error:
            async with connected(wire, key, model):
                pass
        refused.append(error.value.response.status_code)  # type: ignore[attr-defined]
        body = error.value.response.body  # type: ignore[attr-defined]
        assert b'"code"' in body
    assert refused == [401, 404]


async def test_a_transcription_session(wire: Wire, caller: Caller):
    query = {"intent": "transcription"}
    async with connected(wire, caller.key, None, extra_query=query) as talk:
        created = await talk.until("session.created")
        assert created.session.type == "transcription"
        heard = {"transcription": {"model": "whisper-1"}, "turn_detection": SERVER_VAD}
        session = {"type": "transcription", "audio": {"input": heard}}
        await talk.connection.session.update(session=session)
        await talk.until("session.updated")
        await talk.speak(utterance(), speed=8)
        done = await talk.until("conversation.item.input_audio_transcription.completed")
        assert done.transcript == HEARD
        await talk.connection.response.create(event_id="no")
        assert (await talk.until("error")).error.event_id == "no"


async def test_a_short_lived_key(wire: Wire, caller: Caller, zhuge: str):
    session: Any = {"type": "realtime", "model": zhuge, "output_modalities": ["text"]}
    async with openai.AsyncOpenAI(base_url=wire.base_url, api_key=caller.key) as client:
        secret = await client.realtime.client_secrets.create(
            session=session, expires_after={"anchor": "created_at", "seconds": 60}
        )
    assert secret.value.startswith("ek_")
    async with connected(wire, secret.value, zhuge) as talk:
        created = await talk.until("session.created")
        assert created.session.output_modalities == ["text"]
        response = await talk.ask(HEARD)
    assert talk.said(response.id) == REPLY


def test_the_client_without_asyncio(wire: Wire, caller: Caller, zhuge: str):
    with (
        openai.OpenAI(base_url=wire.base_url, api_key=caller.key) as client,
        client.realtime.connect(model=zhuge) as connection,
    ):
        connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": HEARD}],
            }
        )
        connection.response.create()
        audio = bytearray()
        for event in connection:
            if event.type == "response.output_audio.delta":
                audio += base64.b64decode(event.delta)
            if event.type == "response.done":
                break
    assert seconds(bytes(audio)) == pytest.approx(seconds_of(REPLY), abs=0.2)
    assert struct.unpack("<h", audio[:2])
