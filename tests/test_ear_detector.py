"""Many lines through one network, each as if it were alone."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spoken import RATE, VOICES, louder, onset_ms, pcm, room, silence, voice
from voice.ear import silero
from voice.ear.detector import Detector, running_detector
from voice.ear.energy import SILENCE_DB, EnergyGate
from voice.ear.silero import DetectorUnavailableError, Silero

ROOT = Path(__file__).parent.parent


class Heard:
    """What a detector says of one line."""

    def __init__(self, detector: Detector) -> None:
        self.frames: list[tuple[float, float]] = []
        self.lane = detector.join(lambda *frame: self.frames.append(frame))

    @property
    def speech(self) -> np.ndarray:
        return np.array([probability for probability, _ in self.frames])

    async def settled(self) -> "Heard":
        while self.lane.waiting_bytes >= 1_024:
            await asyncio.sleep(0.002)
        return self


def published(samples: bytes) -> np.ndarray:
    """What the published graph says of one line, frame after frame, none spared."""
    import faster_whisper

    path = Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    signal = np.frombuffer(samples, "<i2").astype(np.float32) / 32_768
    signal = np.concatenate([np.zeros(64, np.float32), signal])
    state = np.zeros((1, 1, 128), np.float32)
    hidden, cell, speech = state, state, []
    for at in range(64, len(signal) - 511, 512):
        frame = signal[None, at - 64 : at + 512]
        found, hidden, cell = session.run(None, {"input": frame, "h": hidden, "c": cell})
        speech.append(found[0])
    return np.array(speech)


async def test_each_of_many_lines_is_heard_as_the_published_network_hears_it_alone():
    detector = Detector()
    signals = [pcm(voice(path)[int(onset_ms(voice(path)) * 16) :]) for path in VOICES[:6]]
    lines = [Heard(detector) for _ in signals]
    for at in range(0, max(map(len, signals)), 4_000):
        for line, signal in zip(lines, signals, strict=True):
            line.lane.feed(signal[at : at + 4_000])
    for line, signal in zip(lines, signals, strict=True):
        await line.settled()
        alone = published(signal)
        assert len(line.frames) == len(alone)
        looked_at = line.speech > 0  # the others were as quiet as the room
        assert alone[~looked_at].max(initial=0) < 0.5
        first_spared = int(np.argmin(looked_at)) if not looked_at.all() else len(alone)
        assert first_spared > 20
        assert line.speech[:first_spared] == pytest.approx(alone[:first_spared], abs=1e-5)
        assert ((line.speech >= 0.5) == (alone >= 0.5)).mean() > 0.97


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=40))
def test_it_does_not_matter_how_the_audio_is_cut(lengths):
    signal = pcm(voice(VOICES[-1])[: RATE * 2])

    async def hear(lengths: list[int]) -> list[tuple[float, float]]:
        line, at = Heard(Detector()), 0
        for length in lengths:
            line.lane.feed(signal[at : at + 2 * length])
            at += 2 * length
        line.lane.feed(signal[at:])
        return (await line.settled()).frames

    assert asyncio.run(hear(lengths)) == asyncio.run(hear([]))


async def test_a_new_line_begins_afresh_in_the_place_of_an_old_one():
    detector, signal = Detector(), pcm(voice(VOICES[3]))
    first = Heard(detector)
    first.lane.feed(signal)
    await first.settled()
    first.lane.close()
    first.lane.close()
    first.lane.feed(signal)
    second = Heard(detector)
    second.lane.feed(signal)
    assert (await second.settled()).frames == first.frames
    assert second.lane.row >= 0 > first.lane.row


async def test_a_line_that_leaves_when_it_is_told_hears_nothing_more():
    detector = Detector()
    told: list[float] = []

    def leave(probability: float, level: float) -> None:
        told.append(probability)
        lane.close()

    lane = detector.join(leave)
    other = Heard(detector)
    lane.feed(bytes(32_000))
    other.lane.feed(bytes(32_000))
    await other.settled()
    assert len(told) == 1
    assert len(other.frames) == 31


async def test_the_fault_of_one_line_does_not_deafen_the_others():
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: faults.append(repr(context["exception"]))
    )
    detector = Detector()
    lane = detector.join(lambda *_: 1 / 0)
    other = Heard(detector)
    lane.feed(bytes(2_048))
    other.lane.feed(bytes(32_000))
    await other.settled()
    assert len(other.frames) == 31
    assert len(faults) == 2
    assert "ZeroDivisionError" in faults[0]


async def test_audio_in_advance_does_not_hold_up_the_loop_or_the_other_lines():
    detector = Detector()
    await detector.warm()
    ahead, live = Heard(detector), Heard(detector)
    ahead.lane.feed(pcm(np.concatenate([voice(path) for path in VOICES])))  # more than 2 min
    late: list[float] = []
    for _ in range(20):
        live.lane.feed(bytes(1_024))
        before, began = len(live.frames), time.perf_counter()
        while len(live.frames) == before:
            turn = time.perf_counter()
            await asyncio.sleep(0)
            late.append(time.perf_counter() - turn)
        assert time.perf_counter() - began < 0.2
    assert ahead.lane.waiting_bytes > 100_000
    assert np.median(late) < 0.02
    ahead.lane.close()


async def test_what_lies_more_than_ten_minutes_behind_is_taken_for_silence():
    detector = Detector()
    await detector.warm()
    line = Heard(detector)
    frames = 11 * 60 * RATE // 512
    line.lane.feed(bytes(frames * 1_024))
    await line.settled()
    assert len(line.frames) == frames
    assert set(line.frames[1:-20_000]) == {(0.0, SILENCE_DB)}


async def test_the_network_is_loaded_once_a_process_and_by_the_first_audio_if_need_be():
    line = Heard(Detector())
    line.lane.feed(bytes(1_024 * 5))
    assert len((await line.settled()).frames) == 5
    assert silero.load() is silero.load()
    assert running_detector() is running_detector()


def test_neither_faster_whisper_nor_pypinyin_is_imported_for_it():
    code = (
        "import sys; from voice.ear import silero, line, echo; silero.load();"
        "echo.is_echo('处处闻啼鸟', '处处闻啼鸟');"
        "print([name for name in ('faster_whisper', 'pypinyin', 'django') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("content", [None, b"", b"not a network", b"\x40\x00\x40\x02\x40\x01"])
def test_without_the_right_file_it_is_said_which_one(tmp_path, content):
    path = tmp_path / "silero.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DetectorUnavailableError, match=r"silero\.onnx does not load"):
        Silero(path)


@pytest.mark.parametrize(
    ("module", "why"), [("faster_whisper", "faster-whisper"), ("onnxruntime", "does not load")]
)
async def test_where_a_package_is_missing_the_log_says_so_and_lines_stay_deaf(
    monkeypatch, caplog, module, why
):
    silero._load.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    detector = Detector()
    with pytest.raises(DetectorUnavailableError, match=why):
        await detector.warm()
    await deaf(detector, caplog)


async def test_what_nobody_foresaw_of_loading_leaves_lines_deaf_too(monkeypatch, caplog):
    silero._load.cache_clear()
    broken = ModuleType("faster_whisper")  # without what importlib looks for
    monkeypatch.setitem(sys.modules, "faster_whisper", broken)
    detector = Detector()
    with pytest.raises(ValueError, match="__spec__"):
        await detector.warm()
    await deaf(detector, caplog)


async def deaf(detector: Detector, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is heard, nothing is kept, and the log says why, once."""
    line = Heard(detector)
    for _ in range(20):
        line.lane.feed(bytes(32_000))
        await asyncio.sleep(0.005)
    await line.settled()
    assert line.frames == []
    assert line.lane.waiting_bytes == 0
    (record,) = caplog.records
    assert record.message == "No speech is detected on any line"
    assert record.exc_info
    line.lane.close()


# --- the energy gate


async def spared(signal: np.ndarray) -> tuple[float, np.ndarray]:
    """The share of frames that went past the network, and what was found."""
    line = Heard(Detector())
    line.lane.feed(pcm(signal))
    speech = (await line.settled()).speech
    return float((speech == 0).mean()), speech


@pytest.mark.parametrize("level_db", [-80, -60, -45, -35])
async def test_a_room_without_speech_costs_next_to_nothing(level_db):
    share, _ = await spared(room(silence(8), level_db))
    assert share > 0.85


@pytest.mark.parametrize("gain_db", [0, -15, -25])
async def test_speech_passes_whole_however_quiet_the_microphone_is(gain_db):
    for path in VOICES[::6]:
        spoken = np.concatenate([silence(3), voice(path), silence(3)])
        signal = louder(room(spoken, -60), gain_db)
        share, speech = await spared(signal)
        alone = published(pcm(signal))
        assert share > 0.4
        assert ((alone >= 0.5) & (speech < 0.35)).sum() <= 1
        assert np.argmax(speech >= 0.5) <= np.argmax(alone >= 0.5) + 1


async def test_an_offset_of_the_microphone_does_not_hide_speech():
    spoken = np.concatenate([silence(2), louder(voice(VOICES[0]), -25)])
    _, speech = await spared(room(spoken, -70) + 0.2)
    assert (speech >= 0.5).sum() > 20


def test_a_room_that_becomes_louder_is_looked_at_until_it_is_known():
    gate = EnergyGate()
    for _ in range(20):
        if not gate.spares(-70.0):
            gate.learn(-70.0, 0.01)
    assert gate.spares(-70.0)
    spared = []
    for _ in range(200):
        spared.append(gate.spares(-50.0))
        if not spared[-1]:
            gate.learn(-50.0, 0.02)
    assert not any(spared[:8])
    assert np.mean(spared[60:]) > 0.9


def test_speech_as_soft_as_the_room_is_found_by_the_frames_that_pass_all_the_same():
    gate = EnergyGate()
    for _ in range(100):
        if not gate.spares(-60.0):
            gate.learn(-60.0, 0.01)
    looked = 0
    for _ in range(40):
        if not gate.spares(-59.0):
            gate.learn(-59.0, 0.8)
            looked += 1
    assert looked > 20
