"""Where utterances begin and end, in virtual time: a frame is 32 ms."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.ear.endpointing import MAX_UTTERANCE_MS, Endpointing
from voice.ear.events import Paused, Resumed, SpeechStarted, SpeechStopped, TurnDetection

SERVER = TurnDetection(silence_ms=224)
SEMANTIC = TurnDetection(kind="semantic_vad")
CLEAR, LIKELY, SILENT = 0.9, 0.4, 0.02


class Line:
    """Endpointing with a clock and a memory."""

    def __init__(self, detection: TurnDetection = SERVER) -> None:
        self.endpointing = Endpointing(detection)
        self.ms = 0
        self.events: list[tuple[int, object]] = []

    def hear(self, *runs: tuple[float, int], **how: bool) -> list[object]:
        """Runs of (probability, frames); returns what was told meanwhile."""
        before = len(self.events)
        for probability, frames in runs:
            for _ in range(frames):
                self.ms += 32
                told = self.endpointing.step(probability, **how)
                self.events += [(self.ms, event) for event in told]
        return [event for _, event in self.events[before:]]

    def stopped_after(self, limit_ms: int = 9_000) -> int:
        """Goes on in silence until the utterance ends; returns ms from now to there."""
        began = self.ms
        while self.ms - began < limit_ms:
            if any(isinstance(event, SpeechStopped) for event in self.hear((SILENT, 1))):
                return self.ms - began
        raise AssertionError("it does not end")


def test_two_voiced_frames_begin_an_utterance_and_one_does_not():
    line = Line()
    assert line.hear((SILENT, 20), (CLEAR, 1), (SILENT, 3)) == []
    assert line.hear((CLEAR, 1)) == []
    assert line.hear((CLEAR, 1)) == [SpeechStarted(24 * 32 - 300)]


def test_a_likely_frame_counts_next_to_a_clear_one_only():
    assert Line().hear((SILENT, 20), (LIKELY, 9)) == []
    assert Line().hear((SILENT, 20), (LIKELY, 1), (CLEAR, 1)) == [SpeechStarted(20 * 32 - 300)]


def test_the_prefix_does_not_reach_before_the_line_was_opened():
    assert Line().hear((SILENT, 3), (CLEAR, 2)) == [SpeechStarted(0)]


def test_an_utterance_ends_after_its_silence_which_belongs_to_it():
    line = Line()
    line.hear((SILENT, 20), (CLEAR, 30))
    assert line.hear((SILENT, 2)) == []
    assert line.hear((SILENT, 1)) == [Paused(50 * 32)]
    assert line.hear((SILENT, 4)) == [SpeechStopped(end_ms=57 * 32, paused_ms=50 * 32)]
    assert line.hear((SILENT, 100)) == []


@pytest.mark.parametrize("silence_ms", [0, 32, 90, 96, 100, 500, 2_000])
def test_a_pause_comes_before_every_end_whatever_the_silence(silence_ms):
    line = Line(TurnDetection(silence_ms=silence_ms))
    line.hear((CLEAR, 20))
    told = line.hear((SILENT, 100))
    assert [type(event) for event in told] == [Paused, SpeechStopped]
    assert told[1].end_ms == 20 * 32 + max(1, -(-(silence_ms - 16) // 32)) * 32


def test_a_short_gap_between_words_is_no_pause():
    line = Line()
    line.hear((CLEAR, 10))
    assert line.hear((SILENT, 2), (CLEAR, 1), (SILENT, 2), (CLEAR, 5)) == []


def test_speech_resumes_and_pauses_again():
    line = Line()
    line.hear((CLEAR, 10))
    assert line.hear((SILENT, 4), (CLEAR, 5), (SILENT, 3)) == [
        Paused(10 * 32),
        Resumed(),
        Paused(19 * 32),
    ]


def test_a_click_within_a_pause_neither_resumes_nor_prolongs_it():
    line = Line()
    line.hear((CLEAR, 10))
    told = line.hear((SILENT, 4), (CLEAR, 1), (SILENT, 2))
    assert told == [Paused(320), SpeechStopped(end_ms=17 * 32, paused_ms=320)]


def test_a_word_that_begins_when_the_silence_is_full_still_belongs_to_it():
    line = Line()
    line.hear((CLEAR, 10), (SILENT, 6))
    assert line.hear((CLEAR, 2)) == [Resumed()]


def test_speech_that_becomes_softer_goes_on():
    line = Line()
    line.hear((CLEAR, 10))
    assert line.hear((LIKELY, 60)) == []


def test_the_next_utterance_never_begins_before_the_end_of_the_last():
    line = Line()
    line.hear((CLEAR, 10), (SILENT, 7))
    assert line.hear((CLEAR, 2)) == [SpeechStarted(17 * 32)]


def test_speech_without_end_is_cut_and_goes_on_in_another_utterance():
    line = Line()
    told = line.hear((SILENT, 20), (CLEAR, MAX_UTTERANCE_MS // 32 + 5))
    first = SpeechStarted(20 * 32 - 300)
    assert told[0] == first
    cut = told[1]
    assert cut.cut
    assert MAX_UTTERANCE_MS <= cut.end_ms - first.start_ms < MAX_UTTERANCE_MS + 32
    assert cut.paused_ms == cut.end_ms
    line.hear((CLEAR, 5))
    assert line.events[2][1] == SpeechStarted(cut.end_ms)
    assert not line.hear((SILENT, 10))[-1].cut


# --- while our own voice is heard


def test_while_we_speak_only_clear_speech_that_lasts_begins():
    line = Line()
    assert line.hear((0.6, 100), guarded=True) == []
    assert line.hear((SILENT, 10), (CLEAR, 4), (SILENT, 10), guarded=True) == []
    onset = line.ms
    assert line.hear((CLEAR, 4), guarded=True) == []
    assert line.hear((CLEAR, 1), guarded=True) == [SpeechStarted(onset - 300)]


def test_one_dip_in_200_ms_does_not_hide_an_interruption():
    line = Line()
    line.hear((SILENT, 20), guarded=True)
    assert line.hear((CLEAR, 2), (SILENT, 1), (CLEAR, 2), guarded=True) == []
    assert line.hear((CLEAR, 1), guarded=True) == [SpeechStarted(20 * 32 - 300)]


def test_what_is_not_near_neither_begins_nor_keeps_up_an_utterance_while_we_speak():
    line = Line()
    assert line.hear((CLEAR, 100), guarded=True, near=False) == []
    line = Line()
    line.hear((CLEAR, 10))
    told = line.hear((CLEAR, 7), guarded=True, near=False)
    assert told == [Paused(320), SpeechStopped(end_ms=17 * 32, paused_ms=320)]


def test_a_soft_voice_is_heard_while_nothing_plays():
    assert Line().hear((CLEAR, 2), near=False) == [SpeechStarted(0)]


@pytest.mark.parametrize(("threshold", "passes", "fails"), [(0.9, 0.96, 0.94), (0.99, 0.995, 0.98)])
def test_the_guarded_threshold_is_at_most_95_percent_unless_the_client_wants_more(
    threshold, passes, fails
):
    detection = TurnDetection(threshold=threshold)
    assert Line(detection).hear((fails, 30), guarded=True) == []
    assert Line(detection).hear((passes, 30), guarded=True) == [SpeechStarted(0)]


# --- by its meaning


@pytest.mark.parametrize(
    ("eagerness", "text", "ms"),
    [
        ("auto", None, 608),
        ("low", None, 896),
        ("high", None, 352),
        ("medium", None, 608),
        ("auto", "今天天气怎么样？", 288),
        ("high", "What time is it?", 288),
        ("low", "今天天气怎么样？", 512),
        ("auto", "我想去北京然后", 4_000),
        ("high", "I went home and", 1_984),
        ("low", "因为", 8_000),
        ("medium", "如果明天下雨", 4_000),
    ],
)
def test_the_transcript_decides_how_long_a_pause_is_borne(eagerness, text, ms):
    line = Line(replace(SEMANTIC, eagerness=eagerness))
    line.hear((CLEAR, 30))
    if text is not None:
        line.endpointing.note_transcript(text)
    assert line.stopped_after() == ms


def test_a_transcript_that_comes_late_in_the_pause_ends_it_with_the_next_frame():
    line = Line(SEMANTIC)
    line.hear((CLEAR, 30), (SILENT, 14))
    line.endpointing.note_transcript("你叫什么名字？")
    assert [type(event) for event in line.hear((SILENT, 1))] == [SpeechStopped]


def test_a_transcript_is_void_once_speech_goes_on():
    line = Line(SEMANTIC)
    line.hear((CLEAR, 30), (SILENT, 4))
    line.endpointing.note_transcript("我想去北京然后")
    line.hear((CLEAR, 20))
    assert line.stopped_after() == 608


def test_a_transcript_changes_nothing_for_server_vad_or_outside_an_utterance():
    line = Line()
    line.hear((CLEAR, 10))
    line.endpointing.note_transcript("然后")
    assert line.stopped_after() == 224
    line = Line(SEMANTIC)
    line.endpointing.note_transcript("然后")
    line.hear((CLEAR, 10))
    assert line.stopped_after() == 608


# --- changed and reset


def test_another_detection_takes_effect_with_the_next_utterance():
    line = Line(TurnDetection(silence_ms=500))
    line.hear((CLEAR, 10))
    line.endpointing.detection = TurnDetection(threshold=0.95, silence_ms=128, prefix_ms=0)
    assert line.stopped_after() == 512
    assert line.hear((0.75, 20)) == []
    onset = line.ms
    assert line.hear((0.97, 2)) == [SpeechStarted(onset)]
    assert line.stopped_after() == 128


def test_after_a_reset_no_end_comes_and_speech_begins_anew_behind_it():
    line = Line()
    line.hear((CLEAR, 10))
    line.endpointing.reset(line.ms + 100)  # some audio was fed and not looked at yet
    assert line.hear((CLEAR, 3)) == []
    assert line.hear((CLEAR, 2)) == [SpeechStarted(420)]
    line.endpointing.reset(line.ms)
    assert line.hear((SILENT, 100)) == []


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("hear"),
            st.sampled_from([0.0, 0.2, 0.37, 0.49, 0.5, 0.6, 0.71, 0.9, 1.0]),
            st.integers(1, 40),
            st.booleans(),
            st.booleans(),
        ),
        st.tuples(st.just("note"), st.sampled_from(["", "然后", "好的。", "今天天气"])),
        st.tuples(st.just("reset"), st.integers(0, 200)),
        st.tuples(
            st.just("detect"),
            st.builds(
                TurnDetection,
                kind=st.sampled_from(["server_vad", "semantic_vad"]),
                threshold=st.sampled_from([0.0, 0.3, 0.5, 0.95, 1.0]),
                prefix_ms=st.integers(0, 2_000),
                silence_ms=st.integers(0, 3_000),
                eagerness=st.sampled_from(["low", "medium", "high", "auto"]),
            ),
        ),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_whatever_is_heard_the_events_make_sense(steps):
    line = Line()
    speaking = paused = False
    floor = 0  # nothing is told of audio before
    for kind, *how in steps:
        if kind == "note":
            line.endpointing.note_transcript(how[0])
        elif kind == "detect":
            line.endpointing.detection = how[0]
        elif kind == "reset":
            speaking = paused = False
            floor = max(floor, line.ms + how[0])
            line.endpointing.reset(line.ms + how[0])
        else:
            probability, frames, guarded, near = how
            before = len(line.events)
            line.hear((probability, frames), guarded=guarded, near=near)
            for now, event in line.events[before:]:
                if isinstance(event, SpeechStarted):
                    assert not speaking
                    assert floor <= event.start_ms < now
                    speaking, paused, start = True, False, event.start_ms
                elif isinstance(event, Paused):
                    assert speaking
                    assert not paused
                    assert start <= event.at_ms < now
                    paused, paused_ms = True, event.at_ms
                elif isinstance(event, Resumed):
                    assert speaking
                    assert paused
                    paused = False
                else:
                    assert speaking
                    assert event.end_ms == now
                    assert event.end_ms - start < MAX_UTTERANCE_MS + 32
                    assert event.cut or paused
                    assert not paused or event.paused_ms == paused_ms
                    speaking, paused, floor = False, False, event.end_ms
