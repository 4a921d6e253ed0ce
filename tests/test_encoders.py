"""Audio of any pieces in, one playable file out; another tempo at the same pitch."""

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.audio.encoders import FORMATS, SAMPLE_RATE
from voice.audio.tempo import TempoChanger


def tone(seconds: float, hertz: int = 440) -> bytes:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (12_000 * np.sin(2 * np.pi * hertz * time)).astype("<i2").tobytes()


def encoded(name: str, pieces: list[bytes]) -> bytes:
    encoder = FORMATS[name].encoder()
    return b"".join([*map(encoder.encode, pieces), encoder.finish()])


def decoded(data: bytes) -> np.ndarray:
    found = []
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        for frame in container.decode(audio=0):
            found += [each.to_ndarray()[0] for each in resampler.resample(frame)]
    return np.concatenate(found)


def pitch(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


COMPRESSED = [name for name in FORMATS if name != "pcm"]


@pytest.mark.parametrize("name", COMPRESSED)
def test_what_was_put_in_is_heard(name: str):
    samples = decoded(encoded(name, [tone(2.0)]))
    assert len(samples) / SAMPLE_RATE == pytest.approx(2.0, abs=0.12)
    assert pitch(samples) == pytest.approx(440, abs=2)
    assert np.abs(samples.astype(int)).max() == pytest.approx(12_000, rel=0.15)


@pytest.mark.parametrize("name", FORMATS)
def test_pieces_make_no_difference(name: str):
    pcm = tone(1.0)
    whole = encoded(name, [pcm])
    for size in (2, 482, 4_800, 50_000):
        if size == 2:
            parts = [pcm[i : i + 2] for i in range(0, 4_000, 2)] + [pcm[4_000:]]
        else:
            parts = [pcm[i : i + size] for i in range(0, len(pcm), size)]
        joined = encoded(name, [b"", *parts, b""])
        if name == "opus":  # a stream of Ogg has a number of its own
            assert (decoded(joined) == decoded(whole)).all()
        else:
            assert joined == whole


@pytest.mark.parametrize("name", FORMATS)
def test_the_first_audio_comes_early(name: str):
    encoder = FORMATS[name].encoder()
    pcm = tone(1.0)
    given, got = 0, 0
    while got < 200:
        got += len(encoder.encode(pcm[given : given + 960]))
        given += 960
    assert given / 2 / SAMPLE_RATE <= 0.2


@pytest.mark.parametrize("name", COMPRESSED)
def test_nothing_said_is_no_failure(name: str):
    encoder = FORMATS[name].encoder()
    assert encoder.encode(b"") == b""
    assert isinstance(encoder.finish(), bytes)


def test_the_lossless_formats_lose_nothing():
    pcm = tone(0.7)
    assert encoded("pcm", [pcm]) == pcm
    assert encoded("wav", [pcm])[44:] == pcm
    assert decoded(encoded("flac", [pcm])).astype("<i2").tobytes() == pcm


@pytest.mark.parametrize("tempo", [0.25, 0.3, 0.5, 0.9, 1.5, 2.0, 4.0])
def test_another_tempo_at_the_same_pitch(tempo: float):
    pcm = tone(2.0)
    changer = TempoChanger(SAMPLE_RATE, tempo)
    out = b"".join(changer.feed(pcm[i : i + 4_800]) for i in range(0, len(pcm), 4_800))
    samples = np.frombuffer(out + changer.flush(), dtype="<i2")
    assert len(samples) / SAMPLE_RATE == pytest.approx(2.0 / tempo, abs=0.06)
    assert pitch(samples) == pytest.approx(440, abs=5)


def test_a_tempo_out_of_range():
    for tempo in (0.0, 0.24, 4.1, -1.0):
        with pytest.raises(ValueError, match="tempo"):
            TempoChanger(SAMPLE_RATE, tempo)
    unused = TempoChanger(SAMPLE_RATE, 2.0)
    assert unused.feed(b"") == unused.flush() == b""


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 3_000), max_size=20), st.sampled_from([0.25, 0.7, 3.0]))
def test_any_pieces_give_the_same_tempo(sizes: list[int], tempo: float):
    pcm = tone(0.5)
    whole, parts = TempoChanger(SAMPLE_RATE, tempo), TempoChanger(SAMPLE_RATE, tempo)
    expected = whole.feed(pcm) + whole.flush()
    out, at = b"", 0
    for size in sizes:
        out += parts.feed(pcm[at : at + 2 * size])
        at += 2 * size
    out += parts.feed(pcm[at:]) + parts.flush()
    assert abs(len(out) - len(expected)) <= 2 * SAMPLE_RATE // 20
