"""One long session a dialect, in which each event that we ever send comes at least once."""

from collections.abc import AsyncIterator

import pytest

from tests.platform import ProviderProcess
from tests.realtime_clients.conftest import CALL, HEARD, WEATHER, Wire
from tests.realtime_clients.frames import Dialect, known_events
from tests.realtime_clients.speech import ENGLISH, spoken, utterance
from tests.realtime_clients.talk import Talk
from tests.realtime_clients.test_openai_python import connected
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system

# Of WebRTC and SIP, of MCP, of transcription sessions in beta; of recognisers that tell
# speakers apart, or understand while one speaks (see test_streaming_recognition).
NOT_SENT = {
    *("output_audio_buffer.started", "output_audio_buffer.stopped", "output_audio_buffer.cleared"),
    *("mcp_list_tools.in_progress", "mcp_list_tools.completed", "mcp_list_tools.failed"),
    *("response.mcp_call.in_progress", "response.mcp_call.completed", "response.mcp_call.failed"),
    *("response.mcp_call_arguments.delta", "response.mcp_call_arguments.done"),
    *("input_audio_buffer.dtmf_event_received", "transcription_session.updated"),
    "conversation.item.input_audio_transcription.segment",
    "conversation.item.input_audio_transcription.delta",
}
ONLY_BETA = {"conversation.created", "conversation.item.created"}
DETECTION = {
    "type": "server_vad",
    "silence_duration_ms": 300,
    "create_response": False,
    "interrupt_response": False,
}


@pytest.fixture(params=["ga", "beta"])
def dialect(request: pytest.FixtureRequest, wire: Wire) -> Dialect:
    wire.dialect = request.param
    return wire.dialect


@pytest.fixture
async def talk(dialect: Dialect, wire: Wire, caller: Caller, zhuge: str) -> AsyncIterator[Talk]:
    async with connected(wire, caller.key, zhuge) as talk:
        yield talk


async def test_each_event_comes_and_is_valid(
    talk: Talk, wire: Wire, providers: ProviderProcess, dialect: Dialect
):
    await talk.ask(HEARD)
    modalities = "output_modalities" if dialect == "ga" else "modalities"
    await talk.connection.response.create(response={modalities: ["text"]})
    await talk.until("response.done")

    providers.script("chat", {"text": "", "tool_calls": [CALL]})
    await talk.configure(tools=[WEATHER])
    call = (await talk.ask(HEARD)).output[0]
    await talk.connection.conversation.item.create(
        item={"type": "function_call_output", "call_id": call.call_id, "output": "东风"}
    )
    told = (await talk.until("conversation.item.added")).item

    providers.script("chat", {"text": "未完", "finish_reason": "length"})
    await talk.connection.response.create()
    cut = (await talk.until("response.done")).response
    assert (cut.status, cut.status_details.reason) == ("incomplete", "max_output_tokens")

    item = talk.connection.conversation.item
    await item.retrieve(item_id=told.id)
    await talk.until("conversation.item.retrieved")
    await item.delete(item_id=told.id)
    await talk.until("conversation.item.deleted")
    await item.truncate(item_id=cut.output[0].id, content_index=0, audio_end_ms=100)
    await talk.until("conversation.item.truncated")
    await item.delete(item_id=told.id)
    await talk.until("error")

    await talk.detect(DETECTION)
    await talk.speak(utterance(), speed=8)
    await talk.until("conversation.item.input_audio_transcription.completed")
    providers.script("transcriptions", status=401)
    await talk.detect(None)
    await talk.append(spoken(ENGLISH[0]))
    await talk.connection.input_audio_buffer.commit()
    await talk.until("conversation.item.input_audio_transcription.failed")
    await talk.connection.input_audio_buffer.clear()
    await talk.until("input_audio_buffer.cleared")
    providers.script("transcriptions", text="")

    if dialect == "ga":
        await talk.detect({**DETECTION, "create_response": True, "idle_timeout_ms": 5_000})
        await talk.connection.response.create(response={modalities: ["text"]})
        await talk.until("response.done")
        await talk.until("input_audio_buffer.timeout_triggered")
        await talk.until("response.done")

    wanted = known_events(dialect) - NOT_SENT
    if dialect == "ga":
        wanted -= ONLY_BETA
    assert wanted - set(wire.kinds()) == set()
