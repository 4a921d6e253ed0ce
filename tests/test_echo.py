"""What comes back of our own voice, and what somebody else says in the same words."""

import random

import pytest

from voice.ear.echo import is_echo

POEM = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。这是孟浩然写的一首诗。"
TALE = "Once upon a time there was a king who lived in a castle far away by the sea."
STARS = "亮观天象，今夜必有东风。"
WIND = (
    "I have read the stars. There will be an east wind tonight."
    " There will be an east wind over the great river before the morning comes."
)


@pytest.mark.parametrize(
    ("heard", "spoken"),
    [
        ("处处闻啼鸟，夜来风雨声。", POEM),
        ("處處聞啼鳥", POEM),  # the recogniser writes traditional characters
        ("处处文提鸟也来风雨深", POEM),  # homophones, and n for ng
        ("除出闻蹄鸟业来丰雨生话落之多少", POEM),
        ("夜来雨声花落知多", POEM),  # some are lost
        ("there was a king who lived", TALE),
        ("Once upon a time, their was a King.", TALE),
        ("我有三个苹果和五个梨", "我有3个苹果和5个梨。"),
        ("今夜必有东风。", STARS),
        ("亮观天象今夜必有东风", STARS),
        ("今夜必有东风，丞相何不早做准备？", "今夜必有东风，丞相何不早做准备？"),
        ("今天想听什么", "好啊。你今天想听什么故事？"),  # we have asked so ourselves
        ("你今天想听什么？", "好啊。你今天想听什么故事？"),
        ("他住在襄阳，一生没有坐过大管。", "他住在襄阳，一生没有做过大官。"),
        ("他住在襄阳一声没有卓过大官喜欢山谁", "他住在襄阳，一生没有做过大官，喜欢山水田园。"),
        ("There will be an east wind tonight.", WIND),
        ("What would you like to hear today?", "Sure. What would you like to hear today?"),
        ("would you like to hear", "Sure. What would you like to hear today?"),
        ("one upon a time their was a king who lift in a castle", TALE),
        ("他用Google找到了一家餐厅", "我昨天听说他用 google 找到了一家餐厅，很好吃。"),
    ],
)
def test_what_we_are_just_saying_is_an_echo(heard, spoken):
    assert is_echo(heard, spoken)


@pytest.mark.parametrize(
    ("heard", "spoken"),
    [
        ("", POEM),
        ("？", POEM),
        ("花落", POEM),  # too short to be sure: somebody repeats it
        ("处处闻啼", POEM),
        ("a king", TALE),
        ("处处闻啼鸟，你等一下，我有一个问题", POEM),  # somebody speaks over the echo
        ("我不喜欢这首诗，换一首吧", POEM),
        ("这首诗是谁写的呢", POEM),
        ("tell me about the king and his castle", TALE),
        ("who lived there before him", TALE),
        ("今夜会有东风吗？", STARS),
        ("今夜必有东风吗", STARS),
        ("今夜必有东风？", STARS),
        ("今夜有没有东风？", STARS),
        ("今夜必有东风呢", STARS),
        ("亮观天象，今夜必有什么？", STARS),
        ("为什么今夜必有东风", STARS),
        ("你说今夜必有东风", STARS),
        ("今夜必没有东风。", STARS),
        ("今夜没有东风。", STARS),
        ("东风今夜必有", STARS),  # other order
        ("处处闻啼鸟，花落知多少", POEM),  # with a gap
        ("处处闻啼鸟，夜来风雨声，花落知多少，换一首", POEM),
        ("春眠不觉晓处处闻啼鸟夜来风雨声花落知多少是谁写的", POEM),
        ("春眠不觉晓处处闻啼鸟夜来风雨声等等", POEM),
        ("这不是孟浩然写的一首诗", POEM),
        ("你想听故事？", "我给你讲故事。你想听故事，我就讲。"),
        ("Will there be an east wind tonight?", WIND),
        ("There will be an east wind tonight?", WIND),
        ("Why will there be an east wind tonight?", WIND),
        ("There will not be an east wind tonight.", WIND),
        ("will there be an east wind over the great river before the morning comes", WIND),
        ("There will be an east wind wait", WIND),
        ("once upon a time there was a king who lived in a castle stop", TALE),
        ("do you know a king who lived in a castle far away by the sea", TALE),
        ("there was a king who lived where", TALE),
        ("处处闻啼鸟", ""),
        ("处处闻啼鸟", TALE),
    ],
)
def test_what_somebody_else_says_is_none(heard, spoken):
    assert not is_echo(heard, spoken)


def test_any_stretch_of_a_long_speech_is_its_echo_though_every_eighth_character_is_misheard():
    speech = POEM + "他住在襄阳，一生没有做过大官，喜欢山水田园，朋友很多，常常一起喝酒写诗。"
    letters = [char for char in speech if char.isalnum()]
    chance = random.Random(7)
    for _ in range(40):
        begin = chance.randrange(len(letters) - 16)
        heard = letters[begin : begin + 16]
        for at in range(chance.randrange(8), 16, 8):
            heard[at] = "坎"
        assert is_echo("".join(heard), speech)


def test_long_texts_take_no_time_to_speak_of():
    assert not is_echo("我们说的完全是别的事情" * 500, POEM * 500)
