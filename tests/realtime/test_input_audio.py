"""What a client appends: decoded in any pieces, timed by its own samples, kept within bounds."""

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime import input_audio
from realtime.audio_formats import InputFormat
from realtime.errors import ProtocolError
from realtime.input_audio import InputAudio, decode_clip
from tests.realtime.json_strategies import anything
from tests.realtime.official import check_refusal
from voice.audio.g711 import decode_ulaw, encode_alaw, encode_ulaw


def tone(rate: int, seconds: float, hertz: float = 440.0) -> bytes:
    t = np.arange(int(rate * seconds)) / rate
    return (8_000 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(int)


def manual() -> InputAudio:
    audio = InputAudio()
    audio.rolling = False
    return audio


SOURCES: dict[InputFormat, bytes] = {
    "pcm16": tone(24_000, 1.0),
    "g711_ulaw": encode_ulaw(tone(8_000, 1.0)),
    "g711_alaw": encode_alaw(tone(8_000, 1.0)),
}


# --- decoding


@pytest.mark.parametrize("fmt", SOURCES)
def test_every_format_comes_out_as_the_same_sound(fmt: InputFormat):
    audio = manual()
    heard = samples(audio.append(b64(SOURCES[fmt]), fmt))
    assert audio.now_ms == 1000
    assert audio.buffered_ms == 1000.0
    assert len(heard) == pytest.approx(16_000, abs=40)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert np.argmax(spectrum) * 16_000 / len(heard) == pytest.approx(440, abs=5)
    assert np.sqrt(np.mean(heard[400:-400] ** 2)) == pytest.approx(8_000 / np.sqrt(2), rel=0.05)
    assert audio.take(0, 1001)[: len(heard) * 2] == heard.astype("<i2").tobytes()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(SOURCES)), st.lists(st.integers(0, 4_000), min_size=1, max_size=15))
def test_pieces_of_any_size_give_the_same_as_the_whole(fmt: InputFormat, lengths: list[int]):
    data = SOURCES[fmt]
    whole, split = manual(), manual()
    expected, heard, at = samples(whole.append(b64(data), fmt)), b"", 0
    for length in lengths:  # odd ones too: half a sample waits for its other half
        heard += split.append(b64(data[at : at + length]), fmt)
        at += length
    heard += split.append(b64(data[at:]), fmt)
    assert split.now_ms == whole.now_ms == 1000
    got = samples(heard)
    assert len(got) == len(expected)
    assert np.max(np.abs(got - expected)) <= 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(SOURCES)), st.integers(0, 2_000)), min_size=1, max_size=12
    )
)
def test_the_clock_counts_the_samples_of_whatever_format(pieces: list[tuple[InputFormat, int]]):
    audio, milliseconds = manual(), 0.0
    for fmt, count in pieces:
        audio.append(b64(bytes(2 * count) if fmt == "pcm16" else b"\xff" * count), fmt)
        milliseconds += count / (24 if fmt == "pcm16" else 8)
        assert audio.now_ms == int(milliseconds + 1e-9)
    assert audio.buffered_ms == pytest.approx(milliseconds)
    kept = len(audio.take(0, audio.now_ms + 1)) / 32
    assert milliseconds - 3 < kept <= milliseconds + 1 + len(pieces) / 16


def test_an_odd_byte_waits_for_the_next_append():
    audio = manual()
    data = tone(24_000, 0.2)
    assert audio.append(b64(data[:1]), "pcm16") == b""
    assert audio.buffered_ms == 0
    audio.append(b64(data[1:2401]), "pcm16")
    assert audio.now_ms == 50
    audio.clear()  # the half that waits goes as well
    first = audio.append(b64(data), "pcm16")
    assert np.max(np.abs(samples(first))) < 9_000  # no sample was put together of two
    assert audio.now_ms == 250


@pytest.mark.parametrize(
    "audio",
    [
        "AAA",
        "AA==AA",
        "AAAA\n",
        "AA AA",
        "AA-_",
        "ÄÄÄÄ",
        "你好你好",
        "\ud800AAA",
        "A",
        "====",
        "AAAA====",
        "A===",
        "AAAA=",
        7,
        [],
        {},
        True,
        b"AAAA",
    ],
)
def test_what_is_no_base64_is_refused(audio: object):
    held = manual()
    with pytest.raises(ProtocolError) as caught:
        held.append(audio, "pcm16")
    assert (caught.value.code, caught.value.param) == ("invalid_value", "audio")
    assert held.now_ms == 0


def test_audio_must_be_there_but_may_be_empty():
    with pytest.raises(ProtocolError) as caught:
        manual().append(None, "pcm16")
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "audio")
    assert manual().append("", "pcm16") == b""


def test_15_mib_are_taken_and_not_more():
    largest = b64(bytes(15 * 1024 * 1024))
    audio = manual()
    assert len(audio.append(largest, "pcm16")) > 10_000_000
    assert audio.now_ms == 15 * 1024 * 1024 // 48
    with pytest.raises(ProtocolError, match="15 MiB") as caught:
        audio.append(largest + "AAAA", "pcm16")
    assert (caught.value.code, caught.value.param) == ("invalid_value", "audio")


@settings(max_examples=200, deadline=None)
@given(anything, st.sampled_from(list(SOURCES)))
def test_nothing_that_a_client_sends_breaks_it(audio: object, fmt: InputFormat):
    held = manual()
    try:
        held.append(audio, fmt)
    except ProtocolError as error:
        check_refusal(error, "audio")
    assert 0 <= held.now_ms <= 100


# --- taking, committing, clearing


def test_a_commit_takes_all_and_leaves_nothing():
    audio = manual()
    audio.append(b64(tone(24_000, 0.5)), "pcm16")
    assert len(audio.commit()) / 32 == pytest.approx(500, abs=2)
    assert (audio.buffered_ms, audio.begins_ms, audio.now_ms) == (0, 500, 500)
    audio.append(b64(tone(24_000, 0.25)), "pcm16")
    assert len(audio.commit()) / 32 == pytest.approx(250, abs=2)


@pytest.mark.parametrize(("count", "shown"), [(0, "0.00ms"), (1, "0.04ms"), (2399, "99.96ms")])
def test_less_than_100_ms_cannot_be_committed(count: int, shown: str):
    audio = manual()
    audio.append(b64(bytes(2 * count)), "pcm16")
    with pytest.raises(ProtocolError) as caught:
        audio.commit()
    assert caught.value.code == "input_audio_buffer_commit_empty"
    assert str(caught.value) == (
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of"
        f" audio, but buffer only has {shown} of audio."
    )
    audio.append(b64(bytes(2 * (2400 - count))), "pcm16")
    assert audio.commit()


def test_what_was_cleared_cannot_be_committed_but_the_clock_goes_on():
    audio = manual()
    audio.clear()
    audio.append(b64(tone(24_000, 1)), "pcm16")
    audio.clear()
    assert (audio.now_ms, audio.buffered_ms) == (1000, 0)
    with pytest.raises(ProtocolError):
        audio.check_commit()
    assert audio.take(0, 1000) == b""


def test_a_stretch_is_taken_by_its_times():
    audio = InputAudio()
    audio.append(b64(tone(24_000, 1)), "pcm16")
    whole = audio.take(0, 2000)
    assert audio.take(100, 350) == whole[100 * 32 : 350 * 32]
    assert audio.take(-50, 100) == whole[: 100 * 32]
    assert audio.take(300, 200) == b""
    audio.discard(400)
    assert audio.take(300, 500) == whole[400 * 32 : 500 * 32]
    assert audio.begins_ms == 400
    audio.discard(200)  # never back
    assert audio.begins_ms == 400
    audio.discard(10_000)  # nor ahead of the clock
    assert (audio.begins_ms, audio.buffered_ms) == (1000, 0)


# --- bounds


def test_without_turn_detection_a_full_buffer_is_told_once():
    audio = manual()
    minute = b64(b"\xff" * 8_000 * 60)
    for _ in range(10):
        assert audio.append(minute, "g711_ulaw")
    with pytest.raises(ProtocolError) as caught:
        audio.append(b64(b"\xff"), "g711_ulaw")
    assert (caught.value.code, caught.value.param) == ("input_audio_buffer_full", "audio")
    assert audio.append(minute, "g711_ulaw") == b""  # dropped without a word
    assert audio.now_ms == 600_000
    assert len(audio.commit()) == pytest.approx(600_000 * 32, abs=80)
    assert audio.append(minute, "g711_ulaw")
    audio.clear()
    for _ in range(10):
        audio.append(minute, "g711_ulaw")
    with pytest.raises(ProtocolError):  # and once more, after it was emptied
        audio.append(minute, "g711_ulaw")


def test_with_turn_detection_the_oldest_goes():
    audio = InputAudio()
    minute = b64(b"\xff" * 8_000 * 60)
    for _ in range(12):
        assert audio.append(minute, "g711_ulaw")
    assert audio.now_ms == 720_000
    assert audio.buffered_ms == pytest.approx(600_000, abs=3)
    assert len(audio.take(0, 720_000)) == pytest.approx(600_000 * 32, abs=80)
    assert len(audio.take(119_000, 121_000)) == pytest.approx(1_000 * 32, abs=80)


def test_a_long_call_in_silence_keeps_ten_minutes():
    audio = InputAudio()
    second = b64(bytes(48_000))
    for _ in range(700):
        audio.append(second, "pcm16")
    assert len(audio.take(0, 700_000)) / 32_000 == pytest.approx(600, abs=0.01)
    assert audio.take(100_100, 101_100) == bytes(32_000)
    assert len(audio.commit()) / 32_000 == pytest.approx(600, abs=0.01)
    assert audio.buffered_ms == 0


def test_one_append_of_more_than_ten_minutes_is_refused_in_any_mode():
    audio = InputAudio()
    with pytest.raises(ProtocolError) as caught:
        audio.append(b64(bytes(8_000 * 601)), "g711_ulaw")
    assert caught.value.code == "input_audio_buffer_full"


# --- clips in items


def test_a_clip_is_decoded_as_a_whole():
    for fmt, data in SOURCES.items():
        assert len(decode_clip(b64(data), fmt, "item.content[0].audio")) / 2 == pytest.approx(
            16_000, abs=2
        )
    assert decode_ulaw(b"") == b""


@pytest.mark.parametrize("clip", ["", "AA==", "!", None, 7, b64(b"\xff" * 8_000 * 601)])
def test_clips_that_will_not_do(clip: object):
    fmt: InputFormat = "g711_ulaw" if isinstance(clip, str) and len(clip) > 9 else "pcm16"
    with pytest.raises(ProtocolError) as caught:
        decode_clip(clip, fmt, "item.content[0].audio")
    assert caught.value.param == "item.content[0].audio"


def test_the_bounds_are_the_documented_ones():
    assert input_audio.LONGEST_MS == 600_000
    assert input_audio.LARGEST_APPEND == 15 * 2**20
