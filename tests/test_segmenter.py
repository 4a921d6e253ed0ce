"""Where segments end, and that it never depends on how the stream was cut."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat.engine.segment_queue import SegmentQueue
from chat.engine.segmenter import Segmenter, spoken_seconds
from chat.engine.speakable import SpeakableFilter

PIECES = (
    *"。！？；，、：…—.!?;,: \n\"“”「」（）()'’…",
    *("你好", "先生请坐", "hello", "World", "Mr.", "e.g.", "etc.", "3.14", "J.", "a", "……", "..."),
    *("这一句话相当长而且没有任何标点符号可以停顿所以只好硬生生地切开来说", "example.com"),
)
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=80)


def segments(text: str, cuts: list[int] | None = None) -> list[str]:
    cutter = Segmenter()
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts or []), len(text)]
    found: list[str] = []
    for a, b in pairwise(edges):
        found += cutter.feed(text[a:b])
    return found + cutter.flush()


def letters(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def is_subsequence(part: str, whole: str) -> bool:
    rest = iter(whole)
    return all(char in rest for char in part)


@settings(max_examples=400, deadline=None)
@given(texts, st.lists(st.integers(0, 400), max_size=12))
@example("“你好！”他说", [4])
def test_any_split_gives_the_same_segments(text: str, cuts: list[int]) -> None:
    assert segments(text, cuts) == segments(text)


@settings(max_examples=400, deadline=None)
@given(texts)
def test_no_word_is_lost_or_invented(text: str) -> None:
    joined = "".join(segments(text))
    assert letters(joined) == letters(text)
    assert is_subsequence("".join(joined.split()), "".join(text.split()))


@settings(max_examples=300, deadline=None)
@given(texts)
def test_every_segment_can_be_spoken_and_is_not_too_long(text: str) -> None:
    for segment in segments(text):
        assert letters(segment)
        assert segment == segment.strip()
        assert "\n" not in segment
        assert spoken_seconds(segment) <= 14.0 + 0.22


@settings(max_examples=200, deadline=None)
@given(texts, st.lists(st.integers(0, 400), max_size=12))
def test_filter_and_segmenter_together_do_not_depend_on_the_split(
    text: str, cuts: list[int]
) -> None:
    def run(edges: list[int]) -> list[str]:
        voice, cutter, found = SpeakableFilter(), Segmenter(), []
        for a, b in pairwise(edges):
            found += cutter.feed(voice.feed(text[a:b]))
        return found + cutter.feed(voice.flush()) + cutter.flush()

    assert run([0, *sorted(c % (len(text) + 1) for c in cuts), len(text)]) == run([0, len(text)])


def test_a_chinese_sentence_is_final_at_once() -> None:
    cutter = Segmenter()
    assert cutter.feed("今天天气") == []
    assert cutter.feed("好。") == ["今天天气好。"]


def test_an_english_sentence_is_final_with_the_next_blank() -> None:
    cutter = Segmenter()
    assert cutter.feed("It is late.") == []
    assert cutter.feed(" ") == ["It is late."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("先生来了，请坐。天气甚好，品茶？", ["先生来了，", "请坐。", "天气甚好，品茶？"]),
        ("好，我这就去。", ["好，我这就去。"]),
        (
            "Well, my dear friend, sit down. Now, go.",
            ["Well, my dear friend,", "sit down.", "Now, go."],
        ),
        ("“你好！”他说。“快走。我等你。”", ["“你好！”", "他说。", "“快走。", "我等你。”"]),
        ("真的吗？！不会吧。。。走！", ["真的吗？", "不会吧。", "走！"]),
        ("嗯……我想想。", ["嗯……我想想。"]),
        ("1. 第一\n2. 第二", ["1. 第一", "2. 第二"]),
        ("没有标点\n换行了", ["没有标点", "换行了"]),
    ],
)
def test_segments_of_common_replies(text: str, expected: list[str]) -> None:
    assert segments(text) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "Mr. Smith paid 3.14 dollars to Dr. Who.",
        "See e.g. example.com or https://a.b.c/d for it.",
        "J. R. R. Tolkien wrote it.",
        "We met at 5 p.m. on Monday, tea etc. included.",
        '"Stop!" he said.',
        "Well… maybe not.",
        "He earned 1,000.50 in all.",
        "It is version 2.0.1 at 10:30.",
    ],
)
def test_a_dot_inside_a_sentence_does_not_end_it(sentence: str) -> None:
    assert segments(f"Now then, listen well. {sentence} Good night.")[-2:] == [
        sentence,
        "Good night.",
    ]


def test_an_abbreviation_may_end_a_sentence() -> None:
    assert segments("Listen. We met at 5 p.m. Then we left.")[1:] == [
        "We met at 5 p.m.",
        "Then we left.",
    ]


def test_a_long_sentence_is_cut_at_a_clause_then_at_a_space_then_anywhere() -> None:
    clause = "这是一个不长不短的分句"
    cut = segments("开始了。" + f"{clause}，" * 10)
    assert all(segment.endswith("，") for segment in cut[1:])
    assert set(" ".join(segments("word " * 100)).split()) == {"word"}
    assert len(segments("字" * 200)) == 4


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="longest"):
        Segmenter(first=20.0)


def queue(*parts: str, closed: bool = False) -> SegmentQueue:
    waiting = SegmentQueue()
    for part in parts:
        waiting.add(part)
    if closed:
        waiting.close()
    return waiting


def test_nothing_is_gathered_while_the_listener_waits() -> None:
    waiting = queue("先生来了。", "请坐。", "喝茶。")
    assert waiting.take(0.0) == "先生来了。"
    assert waiting.take(0.5) == "请坐。"


def test_segments_are_gathered_up_to_the_waiting_audio() -> None:
    waiting = queue("一二三四。", "五六七八。", "九十。")  # 0.95, 0.95 and 0.51 s
    assert waiting.take(2.0) == "一二三四。五六七八。"
    assert waiting.take(2.0) == "九十。"
    assert waiting.take(2.0) is None


def test_with_enough_audio_more_text_is_waited_for_until_the_end() -> None:
    waiting = queue("一二三四。")
    assert waiting.take(4.0) is None
    assert len(waiting) == 1
    waiting.close()
    assert waiting.take(4.0) == "一二三四。"


def test_english_segments_are_joined_with_a_space() -> None:
    assert queue("Come in.", "Sit down.", closed=True).take(9.0) == "Come in. Sit down."


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["你好。", "Come in.", "长" * 80]), max_size=20), st.data())
def test_the_queue_keeps_every_segment_in_order(parts: list[str], data: st.DataObject) -> None:
    waiting = queue(*parts, closed=True)
    taken = []
    while waiting:
        text = waiting.take(data.draw(st.floats(0, 60)))
        assert text is not None
        assert text in parts or spoken_seconds(text) <= 14.0
        taken.append(text)
    assert "".join("".join(taken).split()) == "".join("".join(parts).split())
