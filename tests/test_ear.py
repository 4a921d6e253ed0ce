"""The whole ear on real speech, real noise and our own echo."""

import asyncio

import numpy as np
import pytest

from tests.spoken import (
    RATE,
    VOICES,
    end_ms,
    louder,
    onset_ms,
    pcm,
    room,
    silence,
    voice,
)
from voice.audio.g711 import decode_ulaw, encode_ulaw
from voice.audio.resample import Resampler
from voice.ear.events import EarEvent, Paused, SpeechStarted, SpeechStopped, TurnDetection
from voice.ear.line import Ear

QUICK = TurnDetection(prefix_ms=0, silence_ms=500)
BLOCK = 20 * RATE // 1_000 * 2


class Call:
    """An ear, and what it told."""

    def __init__(self, detection: TurnDetection = QUICK) -> None:
        self.events: list[EarEvent] = []
        self.ear = Ear(detection, self.events.append)
        self.fed_ms = 0.0

    async def hear(self, samples: np.ndarray) -> "Call":
        self.ear.feed(pcm(samples))
        self.fed_ms += len(samples) / 16
        while self.ear.behind_ms >= 32:
            await asyncio.sleep(0.002)
        return self

    async def hear_until_it_starts(self, samples: np.ndarray) -> float | None:
        """Feeds 20 ms at a time; returns the ms of audio that were fed until it started."""
        for at in range(0, len(samples), BLOCK // 2):
            await self.hear(samples[at : at + BLOCK // 2])
            if self.started:
                return self.fed_ms
        return None

    @property
    def started(self) -> list[SpeechStarted]:
        return [event for event in self.events if isinstance(event, SpeechStarted)]

    @property
    def stopped(self) -> list[SpeechStopped]:
        return [event for event in self.events if isinstance(event, SpeechStopped)]


async def lags(*, playing: bool) -> np.ndarray:
    """Ms from the onset of each voice to the event, in blocks of 20 ms."""
    found = []
    for number, path in enumerate(VOICES):
        call = Call()
        call.ear.playing = playing
        begin = int(onset_ms(voice(path)) * 16)
        lead = room(silence(1 + number * 0.0137), seed=number)
        await call.hear(lead)
        started = await call.hear_until_it_starts(room(voice(path), seed=number + 99)[begin:])
        assert started is not None, path.name
        found.append(started - len(lead) / 16)
    return np.array(found)


async def test_the_onset_of_speech_is_told_within_130_ms():
    found = await lags(playing=False)
    assert np.median(found) <= 80, found
    assert np.percentile(found, 90) <= 130, found


async def test_an_interruption_is_told_within_280_ms():
    found = await lags(playing=True)
    assert np.median(found) <= 200, found
    assert np.percentile(found, 95) <= 280, found


async def test_every_voice_is_one_utterance_from_its_first_to_its_last_word():
    off_start, off_end = [], []
    for path in VOICES:
        call = await Call(TurnDetection(prefix_ms=0, silence_ms=1_100)).hear(
            room(np.concatenate([silence(2), voice(path), silence(2)]))
        )
        assert len(call.started) == len(call.stopped) == 1, path.name
        off_start.append(call.started[0].start_ms - 2_000 - onset_ms(voice(path)))
        off_end.append(call.stopped[0].paused_ms - 2_000 - end_ms(voice(path)))
        assert abs(call.stopped[0].end_ms - call.stopped[0].paused_ms - 1_100) <= 16
    assert abs(np.median(off_start)) <= 40
    assert 0 <= np.median(off_end) <= 70
    assert np.percentile(off_end, 90) <= 170


async def test_a_pause_between_sentences_parts_them_and_the_prefix_does_not_overlap():
    first, second = voice(VOICES[0]), voice(VOICES[-1])
    call = await Call(TurnDetection(prefix_ms=2_000, silence_ms=300)).hear(
        room(np.concatenate([silence(1), first, silence(0.8), second, silence(1)]))
    )
    for before, after in zip(call.stopped, call.started[1:], strict=False):
        assert after.start_ms >= before.end_ms
    gap_ms = 1_000 + end_ms(first), 1_800 + len(first) / 16 + onset_ms(second)
    assert any(gap_ms[0] < event.end_ms < gap_ms[1] for event in call.stopped)


async def test_a_telephone_is_heard_as_well():
    up, down = Resampler(8_000, RATE), Resampler(RATE, 8_000)
    spoken = pcm(room(np.concatenate([silence(1), voice(VOICES[-1]), silence(1)]), -55))
    narrow = decode_ulaw(encode_ulaw(down.feed(spoken) + down.flush()))
    call = Call(TurnDetection(silence_ms=700))
    await call.hear(np.frombuffer(up.feed(narrow) + up.flush(), "<i2") / 32_768)
    assert len(call.started) == len(call.stopped) == 1


# --- no speech


def clicks() -> np.ndarray:
    signal = silence(5)
    signal[::5_000] = 0.9
    signal[1::5_000] = -0.7
    return signal


def hum() -> np.ndarray:
    time = np.arange(5 * RATE) / RATE
    return sum(0.1 / n * np.sin(2 * np.pi * 50 * n * time) for n in (1, 2, 3, 5, 7))


def knocks() -> np.ndarray:
    """A door, a cup, a keyboard: short, hard, and without a voice."""
    chance, signal = np.random.default_rng(5), silence(6)
    for at in range(3_000, len(signal) - 4_000, 7_000):
        length = int(chance.integers(300, 2_400))
        fade = np.exp(-np.arange(length) / (length / 6))
        signal[at : at + length] += 0.6 * fade * chance.normal(0, 1, length).clip(-1.6, 1.6)
    return signal


def breath() -> np.ndarray:
    """Hiss that swells and ebbs, as of somebody breathing into the microphone."""
    time = np.arange(6 * RATE) / RATE
    hiss = np.random.default_rng(6).normal(0, 0.03, len(time))
    return hiss * np.sin(np.pi * time / 1.5) ** 2


NOISES = {
    "white noise": np.random.default_rng(2).normal(0, 0.05, 5 * RATE),
    "loud white noise": np.random.default_rng(3).normal(0, 0.3, 5 * RATE),
    "clicks": clicks(),
    "hum": hum(),
    "a tone": 0.2 * np.sin(2 * np.pi * 1_000 * np.arange(5 * RATE) / RATE),
    "knocks": knocks(),
    "breath": breath(),
}


@pytest.mark.parametrize("name", NOISES)
async def test_noise_is_no_speech(name):
    call = Call()
    await call.hear(room(silence(0.5)))
    await call.hear(room(NOISES[name]))
    call.ear.playing = True
    await call.hear(room(NOISES[name]))
    assert call.events == []


# --- our own voice


async def test_our_own_voice_20_db_down_does_not_interrupt_us():
    for path in VOICES[::2]:
        call = Call()
        call.ear.playing = True
        await call.hear(room(louder(np.concatenate([voice(path), voice(path)]), -20)))
        call.ear.playing = False
        await call.hear(room(silence(1)))
        assert call.events == [], path.name


async def test_somebody_who_speaks_over_our_voice_interrupts_it():
    ours = louder(np.concatenate([voice(path) for path in VOICES[:3]]), -20)
    for path in VOICES[3::8]:
        call = Call()
        call.ear.playing = True
        await call.hear(room(ours[: 2 * RATE]))
        theirs = voice(path)[int(onset_ms(voice(path)) * 16) :]
        theirs = theirs[: len(ours) - 2 * RATE]
        over = ours[2 * RATE : 2 * RATE + len(theirs)] + theirs
        started = await call.hear_until_it_starts(room(over))
        assert started is not None, path.name
        assert started - 2_000 <= 350


async def test_a_murmur_of_100_ms_does_not_interrupt_us():
    spoken = voice(VOICES[-1])
    begin = int(onset_ms(spoken, -20) * 16)
    call = Call()
    call.ear.playing = True
    murmur = spoken[begin : begin + RATE // 10]
    await call.hear(room(np.concatenate([silence(1), murmur, silence(1)])))
    assert call.events == []


async def test_a_soft_speaker_interrupts_once_it_is_known_how_soft_they_are():
    soft, call = louder(voice(VOICES[-1]), -24), Call()
    await call.hear(room(np.concatenate([silence(1), soft, silence(1)]), -80))
    assert len(call.started) == len(call.stopped) == 1
    call.ear.playing = True
    await call.hear(room(louder(voice(VOICES[0]), -44), -80))  # our echo, softer still
    assert len(call.started) == 1
    await call.hear(room(louder(voice(VOICES[-2]), -24), -80))
    assert len(call.started) == 2


async def test_the_last_of_our_voice_in_the_room_is_no_speech_yet():
    ours = louder(voice(VOICES[5]), -20)
    call = Call()
    call.ear.playing = True
    await call.hear(room(ours[: 2 * RATE]))
    call.ear.playing = False
    await call.hear(room(ours[2 * RATE : 2 * RATE + RATE // 6]))
    await call.hear(room(silence(1)))
    assert call.events == []


# --- the protocol


async def test_nothing_is_told_from_within_a_call():
    call = Call()
    call.ear.feed(pcm(room(voice(VOICES[0]))))
    assert call.events == []
    await call.hear(silence(0))
    assert call.started


async def test_a_reset_ends_the_utterance_without_a_word_and_the_clock_goes_on():
    spoken = room(np.concatenate([voice(VOICES[0]), voice(VOICES[1])]))
    call = Call()
    await call.hear(spoken[: 2 * RATE])
    assert len(call.started) == 1
    call.ear.feed(pcm(spoken[2 * RATE : 2 * RATE + 6_000]))
    call.ear.reset()
    call.fed_ms += 375
    assert not call.stopped
    await call.hear(np.concatenate([spoken[2 * RATE + 6_000 :], room(silence(2))]))
    assert call.started[1].start_ms >= 2_375
    assert [type(event) for event in call.events].count(SpeechStopped) == len(call.started) - 1


async def test_a_reset_by_whoever_is_told_keeps_back_the_rest_of_that_frame():
    events: list[EarEvent] = []

    def take(event: EarEvent) -> None:
        events.append(event)
        if isinstance(event, Paused):
            ear.reset()

    ear = Ear(TurnDetection(silence_ms=0), take)  # pause and end in one frame
    ear.feed(pcm(room(np.concatenate([voice(VOICES[0]), silence(1)]))))
    while ear.behind_ms >= 32:
        await asyncio.sleep(0.002)
    assert any(isinstance(event, Paused) for event in events)
    assert not any(isinstance(event, SpeechStopped) for event in events)


async def test_a_closed_ear_is_silent():
    call = Call()
    call.ear.feed(pcm(room(voice(VOICES[0]))))
    call.ear.close()
    call.ear.feed(pcm(room(voice(VOICES[0]))))
    await asyncio.sleep(0.1)
    assert call.events == []


async def test_another_detection_is_read_back_and_used():
    deaf = TurnDetection(threshold=1.0)
    call = Call(deaf)
    assert call.ear.detection == deaf
    await call.hear(room(voice(VOICES[0])))
    assert call.events == []
    call.ear.detection = QUICK
    await call.hear(room(np.concatenate([silence(0.5), voice(VOICES[1])])))
    assert call.started


async def test_by_meaning_a_whole_sentence_ends_soon_and_half_a_one_is_waited_for():
    semantic = TurnDetection(kind="semantic_vad")
    ends = []
    for text in ("今天天气怎么样？", "", "今天天气很好但是"):
        call = Call(semantic)
        spoken = voice(VOICES[-2])[: int(end_ms(voice(VOICES[-2])) * 16)]
        await call.hear(room(np.concatenate([silence(0.5), spoken])))
        call.ear.note_transcript(text)
        await call.hear(room(silence(5)))
        ends.append(call.stopped[-1].end_ms - call.stopped[-1].paused_ms)
    assert ends[0] == pytest.approx(310, abs=30)
    assert ends[1] == pytest.approx(615, abs=30)
    assert ends[2] == pytest.approx(4_010, abs=30)
