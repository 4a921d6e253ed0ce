"""What was said aloud, what of it was heard, and what is left to say."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime import events
from realtime.items import Item, Part
from realtime.spoken import Spoken
from tests.realtime.official import check_ga


def spoken(*sentences: tuple[str, float], written: str = "") -> Spoken:
    reply = Spoken()
    reply.write(written or "".join(sentence for sentence, _ in sentences))
    for sentence, ms in sentences:
        reply.begin(sentence)
        reply.sound(ms / 2)
        reply.sound(ms / 2)
    return reply


def test_a_reply_knows_when_each_sentence_is_heard():
    reply = spoken(("你来了。", 1000), ("坐吧。", 600.5))
    assert [(each.begins_ms, each.ends_ms) for each in reply.sentences] == [
        (0, 1000),
        (1000, 1600.5),
    ]
    assert reply.total_ms == 1600.5
    assert reply.heard_text == reply.full_text == "你来了。坐吧。"
    assert reply.unheard_text == ""
    assert Spoken().total_ms == 0


@pytest.mark.parametrize(
    ("at", "heard", "rest"),
    [
        (-5, "", "（笑）你来了。坐吧。*茶*喝茶。"),
        (999, "", "（笑）你来了。坐吧。*茶*喝茶。"),
        (1000, "你来了。", "坐吧。*茶*喝茶。"),
        (2000, "你来了。坐吧。", "*茶*喝茶。"),
        (9000, "你来了。坐吧。喝茶。", ""),
    ],
)
def test_only_sentences_that_ended_before_the_cut_count(at: float, heard: str, rest: str):
    reply = spoken(
        ("你来了。", 1000),
        ("坐吧。", 600),
        ("喝茶。", 600),
        written="（笑）你来了。坐吧。*茶*喝茶。",
    )
    assert reply.prompt_text == reply.written
    reply.cut(at)
    assert (reply.heard_text, reply.prompt_text, reply.unheard_text) == (heard, heard, rest)
    assert reply.full_text == "你来了。坐吧。喝茶。"


@pytest.mark.parametrize(
    ("begins", "ends", "around"),
    [
        (-1000, 500, "一。"),
        (500, 1500, "一。二。"),
        (1000, 1000, "一。二。"),  # the one that has just ended is the one before
        (2500, 2600, "二。三。"),
        (1500, 3500, "一。二。三。四。"),
        (3500, 0, "三。四。"),  # forgotten meanwhile
        (9000, 9000, "四。"),
    ],
)
def test_around_a_time_are_the_sentences_under_way_and_the_one_before(
    begins: float, ends: float, around: str
):
    reply = spoken(("一。", 1000), ("二。", 1000), ("三。", 1000), ("四。", 1000))
    assert reply.text_around(begins, ends) == around
    assert Spoken().text_around(begins, ends) == ""


def test_a_sentence_is_not_lost_to_the_rounding_of_its_end():
    reply = spoken(("你来了。", 1000.417), ("坐吧。", 600.5))
    for at, heard in ((999, ""), (1000, "你来了。"), (1600, "你来了。坐吧。")):
        reply.cut(at)
        assert reply.heard_text == heard


def test_a_cut_is_always_of_the_whole():
    item = Item.reply("r", aloud=True)
    assert item.spoken is not None
    item.spoken = spoken(("One. ", 500), ("Two. ", 500), ("Three.", 500))
    item.content.append(Part("output_audio", item.spoken.full_text))
    item.status = "completed"
    item.cut(400)
    assert (item.text, item.status) == ("", "incomplete")
    item.cut(1200)
    assert item.text == "One. Two. "
    assert item.prompt_text == "One. Two."
    check_ga(events.item_retrieved(item.render()))
    with pytest.raises(ValueError):
        Item.typed("i", "user", "x").cut(5)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(alphabet="你好。 ab!", max_size=8), st.integers(0, 900)), max_size=6
    ),
    st.lists(st.floats(-100, 6000), min_size=1, max_size=4),
)
def test_cuts_in_any_order_keep_what_the_last_one_says(parts: Any, cuts: list[float]):
    reply = spoken(*parts)
    for at in cuts:
        reply.cut(at)
    once = spoken(*parts)
    once.cut(cuts[-1])
    assert reply == once
    assert once.full_text.startswith(once.heard_text)
    total = "".join((once.heard_text + once.unheard_text).split())
    assert total == "".join(once.written.split())


@pytest.mark.parametrize(
    ("written", "sentences", "rest"),
    [
        ("It costs $5. Then go.", ["It costs five dollars. ", "Then go."], " Then go."),
        ("3点见。好吗？", ["三点见。", "好吗？"], "好吗？"),
        ("（他沉默了很久，看着窗外。）**来了**。坐。", ["来了。", "坐。"], "坐。"),
        ("😀😀。再见", ["笑。", "再见"], "再见"),
        ("abc def", ["xyz", "def"], " def"),
        ("短", ["完全不同的很长的一句", "x"], ""),
    ],
)
def test_the_rest_is_found_though_it_is_spoken_in_other_words(written, sentences, rest):
    reply = spoken(*((each, 500) for each in sentences), written=written)
    reply.cut(500)
    assert reply.unheard_text == rest
