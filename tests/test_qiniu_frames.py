"""The frames of Qiniu's recognition, and bytes that are none."""

import contextlib
import gzip
import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.servers.qiniu_answers import _error, _read_frame, _result
from voice.qiniu.frames import Frame, FrameError, Kind, decode, encode

frames = st.builds(
    Frame,
    kind=st.sampled_from(Kind),
    payload=st.binary(max_size=400),
    sequence=st.integers(-(2**31), 2**31 - 1),
    is_last=st.booleans(),
)


@given(frame=frames, numbered=st.booleans(), code=st.integers(0, 2**32 - 1))
def test_a_frame_survives_the_wire(frame: Frame, numbered: bool, code: int) -> None:
    assume(numbered or frame.kind is not Kind.ACK)
    sent = Frame(
        frame.kind,
        frame.payload,
        frame.sequence if numbered else None,
        frame.is_last,
        code if frame.kind is Kind.ERROR else 0,
    )
    assert decode(encode(sent)) == sent


@given(data=st.binary(max_size=64))
def test_bytes_from_outside_are_a_frame_or_a_frame_error(data: bytes) -> None:
    with contextlib.suppress(FrameError):
        decode(data)


@given(frame=frames, end=st.integers(0, 60))
def test_a_frame_that_is_cut_short_is_told(frame: Frame, end: int) -> None:
    data = encode(frame)
    assume(end < len(data))
    # An acknowledgement may end after its number.
    assume(not (frame.kind is Kind.ACK and end == 8))
    with pytest.raises(FrameError):
        decode(data[:end])


def test_the_vendor_s_reading_of_a_frame_is_ours() -> None:
    data = encode(Frame(Kind.AUDIO, b"\x01\x02" * 50, -7, is_last=True))
    assert data[:4] == bytes((0x11, 0x23, 0x11, 0))
    assert _read_frame(data) == (2, 3, -7, b"\x01\x02" * 50)
    config = encode(Frame(Kind.CONFIG, b"{}", 1))
    assert config[:8] == bytes((0x11, 0x11, 0x11, 0, 0, 0, 0, 1))
    assert decode(_result(3, {}, is_last=True)) == Frame(Kind.RESULT, b"{}", -3, is_last=True)
    refusal = decode(_error(45_000_001, "no"))
    assert (refusal.kind, refusal.code, refusal.payload) == (
        Kind.ERROR,
        45_000_001,
        b'{"error": "no"}',
    )


def test_what_need_not_be_packed_or_there_is_read() -> None:
    plain = bytes((0x11, 0x90, 0x10, 0)) + struct.pack(">I", 2) + b"{}"
    assert decode(plain) == Frame(Kind.RESULT, b"{}")
    longer_head = bytes((0x12, 0x90, 0x10, 0, 9, 9, 9, 9)) + struct.pack(">I", 2) + b"{}"
    assert decode(longer_head) == Frame(Kind.RESULT, b"{}")
    assert decode(bytes((0x11, 0xB0, 0x11, 0, 0, 0, 0, 5))) == Frame(Kind.ACK, sequence=5)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    assert len(bomb) < 100_000
    with pytest.raises(FrameError, match="too large"):
        decode(bytes((0x11, 0x90, 0x11, 0)) + struct.pack(">I", len(bomb)) + bomb)
