"""Speech in the format that a client wants."""

import io
from typing import get_args

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.audio_formats import OutputFormat, beta_format, ga_format, render_format
from realtime.output_audio import OutputEncoder
from voice.audio.g711 import decode_alaw, decode_ulaw

FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)


def tone(seconds: float, hertz: float = 440.0) -> bytes:
    t = np.arange(int(24_000 * seconds)) / 24_000
    return (8_000 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


def encoded(fmt: OutputFormat, pcm: bytes, size: int = 960) -> list[bytes]:
    encoder = OutputEncoder(fmt)
    pieces = [encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm), size)]
    return [*pieces, encoder.finish()]


def test_pcm_passes_as_it_is():
    pcm = tone(0.3)
    assert encoded("pcm16", pcm)[:2] == [pcm[:960], pcm[960:1920]]
    assert b"".join(encoded("pcm16", pcm)) == pcm


@pytest.mark.parametrize(
    ("fmt", "decode"), [("g711_ulaw", decode_ulaw), ("g711_alaw", decode_alaw)]
)
def test_g711_is_the_same_sound_at_8000_hz(fmt: OutputFormat, decode):
    heard = np.frombuffer(decode(b"".join(encoded(fmt, tone(1.0)))), "<i2").astype(float)
    assert len(heard) == pytest.approx(8_000, abs=2)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert np.argmax(spectrum) * 8_000 / len(heard) == pytest.approx(440, abs=3)
    assert np.sqrt(np.mean(heard[200:-200] ** 2)) == pytest.approx(8_000 / np.sqrt(2), rel=0.05)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=12))
def test_g711_in_any_pieces_is_as_long(lengths: list[int]):
    pcm, encoder, out, at = tone(0.5), OutputEncoder("g711_ulaw"), b"", 0
    for length in lengths:
        out += encoder.encode(pcm[at : at + 2 * length])
        at += 2 * length
    out += encoder.encode(pcm[at:]) + encoder.finish()
    assert len(out) == pytest.approx(4_000, abs=2)


@pytest.mark.parametrize("fmt", [each for each in FORMATS if each[:4] not in ("pcm1", "g711")])
def test_the_other_formats_are_one_stream_that_can_be_played(fmt: OutputFormat):
    pieces = encoded(fmt, tone(1.0))
    assert any(pieces[:-1])  # it begins before it ends
    with av.open(io.BytesIO(b"".join(pieces))) as container:
        frames = list(container.decode(audio=0))
    seconds = sum(frame.samples / frame.sample_rate for frame in frames)
    assert seconds == pytest.approx(1.0, abs=0.12)


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_reply_without_sound(fmt: OutputFormat):
    encoder = OutputEncoder(fmt)
    assert isinstance(encoder.encode(b""), bytes)
    assert isinstance(encoder.finish(), bytes)


@pytest.mark.parametrize("fmt", FORMATS)
def test_half_a_sample_is_an_error_of_ours(fmt: OutputFormat):
    with pytest.raises(ValueError):
        OutputEncoder(fmt).encode(b"abc")


def test_formats_have_a_name_in_each_dialect():
    assert render_format("pcm16") == {"type": "audio/pcm", "rate": 24000}
    assert render_format("g711_ulaw") == {"type": "audio/pcmu"}
    for fmt in FORMATS:
        assert ga_format(fmt) == render_format(fmt)
        assert beta_format(render_format(fmt)) == fmt
    for odd in ("ogg", None, 7, {"type": "audio/pcm"}, ["pcm16"]):
        assert ga_format(odd) == odd
