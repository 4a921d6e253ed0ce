"""The resampler of live input and of telephones: clean enough, and almost without lag."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.audio.polyphase import Polyphase

RATES = [(24_000, 16_000), (8_000, 16_000), (24_000, 8_000), (16_000, 16_000), (48_000, 24_000)]


def tone(rate: int, hertz: float, seconds: float = 0.5) -> bytes:
    t = np.arange(round(rate * seconds)) / rate
    return (8_000 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(int)


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("hertz", [100, 440, 1_000, 3_000])
def test_what_both_rates_can_hold_stays_the_same_at_the_same_time(source, target, hertz):
    resampler = Polyphase(source, target)
    heard = samples(resampler.feed(tone(source, hertz)) + resampler.flush())
    assert len(heard) == target // 2
    expected = samples(tone(target, hertz))
    assert np.max(np.abs(heard - expected)[100:-100]) <= 12  # of 8 000: 56 dB


@pytest.mark.parametrize(
    ("source", "target", "hertz"),
    [(24_000, 16_000, 8_500), (24_000, 16_000, 11_000), (24_000, 8_000, 4_600)],
)
def test_what_the_lower_rate_cannot_hold_is_gone(source, target, hertz):
    heard = samples(Polyphase(source, target).feed(tone(source, hertz)))
    assert np.sqrt(np.mean(heard[100:] ** 2)) < 8_000 / 2**0.5 / 1_000


@pytest.mark.parametrize(("source", "target"), RATES)
def test_the_lag_is_two_ms_at_most(source, target):
    resampler, given_ms = Polyphase(source, target), 0.0
    for number in range(1, 50):
        given_ms += len(resampler.feed(tone(source, 440, 0.02))) / 2 / target * 1_000
        assert number * 20 - given_ms <= 2.1


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RATES), st.lists(st.integers(0, 700), min_size=1, max_size=20))
def test_any_split_gives_the_same_signal(rates, lengths):
    pcm = tone(rates[0], 440, 0.25)
    whole, split = Polyphase(*rates), Polyphase(*rates)
    expected, got, at = whole.feed(pcm) + whole.flush(), b"", 0
    for length in lengths:
        got += split.feed(pcm[at : at + 2 * length])
        at += 2 * length
    got += split.feed(pcm[at:]) + split.flush()
    assert len(got) == len(expected)
    assert np.max(np.abs(samples(got) - samples(expected))) <= 1  # sums of floats, rounded


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RATES), st.integers(0, 400))
def test_the_length_is_kept(rates, count):
    resampler = Polyphase(*rates)
    for _ in range(2):  # and it can be used again
        heard = resampler.feed(b"\1\0" * count) + resampler.flush()
        assert len(heard) // 2 == -(-count * rates[1] // rates[0])


def test_full_scale_is_clipped_and_not_turned_over():
    square = np.tile(np.repeat([32_767, -32_768], 60), 40).astype("<i2")
    heard = samples(Polyphase(24_000, 16_000).feed(square.tobytes()))
    assert (heard.max(), heard.min()) == (32_767, -32_768)
    signs = np.tile(np.repeat([1, -1], 40), 40)[: len(heard)]
    assert np.mean(np.sign(heard) == signs) > 0.97  # but for the edges


def test_half_a_sample_is_refused():
    with pytest.raises(ValueError):
        Polyphase(24_000, 16_000).feed(b"abc")
