"""Transcripts as subtitles."""

from itertools import pairwise

import pytest

from voice import captions
from voice.asr.base import Segment, Transcript
from voice.sentences import is_speakable, pieces, sentences


def test_the_recognisers_own_times_count():
    own = (Segment(0.5, 1.25, "今夜"), Segment(3661.0, 3661.9996, "东风"))
    transcript = Transcript("今夜东风", is_final=True, language="zh", segments=own)
    assert captions.timed(transcript, 9.0) == list(own)
    assert captions.srt(own).split("\n") == [
        *("1", "00:00:00,500 --> 00:00:01,250", "今夜", ""),
        *("2", "01:01:01,000 --> 01:01:02,000", "东风", ""),
    ]


def test_without_times_sentences_share_the_sound():
    transcript = Transcript("Hello there. How are you? 好。", is_final=True)
    found = captions.timed(transcript, 10.0)
    assert [each.text for each in found] == ["Hello there.", "How are you?", "好。"]
    assert found[0].start == 0.0
    assert found[-1].end == pytest.approx(10.0)
    assert all(a.end == b.start for a, b in pairwise(found))
    assert captions.timed(Transcript("", is_final=True), 10.0) == []


def test_text_that_would_break_the_file():
    odd = [Segment(0.0, 1.0, "a --> b\n\n<c> & d")]
    assert captions.srt(odd).split("\n")[2] == "a → b <c> & d"
    assert captions.vtt(odd).split("\n")[3] == "a → b &lt;c> &amp; d"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("你好。再见！", ["你好。", "再见！"]),
        ("他说：“走吧。”然后走了。", ["他说：“走吧。”", "然后走了。"]),
        ("It is 3.14. Is it?", ["It is 3.14. ", "Is it?"]),
        ("真的……？好", ["真的……？", "好"]),
        ("。。。", ["。。。"]),
        ("", []),
    ],
)
def test_sentences(text: str, found: list[str]):
    assert sentences(text) == found


def test_pieces_keep_the_words_and_the_limits():
    text = "第一句。" + "很长的一句，" * 60 + "完。" + "no spaces" * 50 + " end. 最后一句。"
    for longest in (10, 33, 100, 5_000):
        cut = pieces(text, longest=longest, first=5)
        assert all(len(piece) <= longest and is_speakable(piece) for piece in cut)
        assert "".join("".join(cut).split()) == "".join(text.split())
    assert pieces("一。二。三。", longest=100, first=1) == ["一。", "二。三。"]
