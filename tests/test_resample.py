"""Resampling in pieces gives what resampling at once gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.audio.resample import Resampler


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> bytes:
    t = np.arange(int(rate * seconds)) / rate
    return (10_000 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("source", "target"), [(24_000, 16_000), (16_000, 24_000), (48_000, 8_000)]
)
@pytest.mark.parametrize("quality", ["QQ", "LQ", "HQ"])
def test_pitch_and_length_are_kept(source, target, quality):
    resampler = Resampler(source, target, quality=quality)
    pcm = tone(source)
    out = b"".join(resampler.feed(pcm[at : at + 640]) for at in range(0, len(pcm), 640))
    out += resampler.flush()
    samples = np.frombuffer(out, "<i2").astype(float)
    assert len(samples) == pytest.approx(target, abs=2)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * target / len(samples) == pytest.approx(440, abs=2)
    loudness = np.sqrt(np.mean(samples[200:-200] ** 2))
    assert loudness == pytest.approx(10_000 / np.sqrt(2), rel=0.02)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=20))
def test_any_split_gives_the_same_signal(lengths):
    pcm = tone(24_000, 0.5)
    whole = Resampler(24_000, 16_000)
    expected = np.frombuffer(whole.feed(pcm) + whole.flush(), "<i2").astype(int)
    split, out, at = Resampler(24_000, 16_000), b"", 0
    for length in lengths:
        out += split.feed(pcm[at : at + 2 * length])
        at += 2 * length
    out += split.feed(pcm[at:]) + split.flush()
    got = np.frombuffer(out, "<i2").astype(int)
    assert len(got) == len(expected)
    assert np.max(np.abs(got - expected)) <= 2  # soxr rounds with dither


def test_it_streams_and_can_be_used_again():
    resampler = Resampler(24_000, 16_000)
    first = resampler.feed(tone(24_000, 0.04))
    assert len(first) > 0.03 * 32_000  # within 10 ms of what went in
    resampler.flush()
    again = resampler.feed(tone(24_000)) + resampler.flush()
    assert len(again) / 2 == pytest.approx(16_000, abs=2)


def test_edges():
    same = Resampler(16_000, 16_000)
    assert same.feed(tone(16_000)) == tone(16_000)
    assert same.flush() == b""
    resampler = Resampler(24_000, 16_000)
    assert resampler.feed(b"") == b""
    assert resampler.flush() == b""
    with pytest.raises(ValueError):
        resampler.feed(b"\0\0\0")
    with pytest.raises(ValueError):
        Resampler(0, 16_000)
    with pytest.raises(ValueError):
        Resampler(24_000, 16_000, quality="best")
