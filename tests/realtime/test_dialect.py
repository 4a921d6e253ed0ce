"""Which dialect a connection turns out to speak."""

from typing import Any

import pytest

from realtime.dialect import Dialect
from realtime.handshake import Handshake
from tests.realtime.setups import Ids

DELTA = {"type": "response.output_text.delta", "event_id": "event_1", "delta": "好"}


def dialect(**query: str) -> Dialect:
    return Dialect(Handshake({}, (), query), "conv_1", Ids())


def is_beta(speaks: Dialect) -> bool:
    return speaks.outgoing(DELTA)[0]["type"] == "response.text.delta"


@pytest.mark.parametrize(
    "first",
    [
        {"type": "session.update", "session": {"voice": "alloy"}},
        {
            "type": "transcription_session.update",
            "session": {"input_audio_transcription": {"model": "whisper-1"}},
        },
        {"type": "transcription_session.update"},
    ],
)
def test_an_update_that_only_beta_has_makes_it_beta(first: dict[str, Any]) -> None:
    speaks = dialect()
    speaks.incoming({"type": "input_audio_buffer.clear"})
    assert not is_beta(speaks)
    assert speaks.incoming(first)["type"] == "session.update"
    assert is_beta(speaks)


@pytest.mark.parametrize(
    "later",
    [
        {"type": "session.update", "session": {"voice": "alloy"}},
        {"type": "transcription_session.update", "session": {}},
    ],
)
def test_it_is_found_out_once(later: dict[str, Any]) -> None:
    settled = dialect()
    settled.incoming({"type": "session.update", "session": {"type": "realtime"}})
    begun = dialect()
    begun.outgoing({"type": "response.created", "response": {}})
    asked = dialect(dialect="ga")
    for speaks in (settled, begun, asked):
        speaks.incoming(later)
        assert not is_beta(speaks)
