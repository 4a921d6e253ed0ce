"""What is said of a reply, and that it never depends on how the stream was cut."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat.engine.markup import DIRECTION_LIMIT
from chat.engine.speakable import SpeakableFilter, speakable

# Everything that has a rule, so that random texts meet many of them.
PIECES = (
    *"（）()【】[]*_`~#<>|!！?？。.…，,、：:；;-—+=&@%$￥\"“”「」‘'\\{} \n\t0123456789",
    *("你好", "先生", "笑", "hello", "Mr.", "smiles", "a", "T_T", "^_^", ":)", "😀", "👨‍👩‍👧", "1️⃣"),
    *("https://", "www.", "example.com/a", "<think>", "</think>", "<b>", "</b>", "<br>", "```"),
    *("**", "***", "℃", "°C", "(≧▽≦)ノ", "[smile]", "![alt](u)", "[t](https://x.y)", "&amp;", "é"),
)
replies = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60)


def in_pieces(text: str, cuts: list[int], language: str = "zh") -> str:
    """The stream cut at the given places."""
    voice = SpeakableFilter(language)
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    spoken = [voice.feed(text[a:b]) for a, b in pairwise(edges)]
    return "".join(spoken) + voice.flush()


@settings(max_examples=400, deadline=None)
@given(replies, st.lists(st.integers(0, 4000), max_size=12), st.sampled_from(["zh", "en"]))
@example("*a**", [3], "en")
@example("(≧▽≦)ノ好", [5, 6], "zh")
@example("<think>a</think>b", [9, 10, 11], "zh")
@example("1" * 150 + "%", [100], "en")
@example("https://a.b/" + "c" * 4000 + " end", [3000], "en")
@example("<b" + "c" * 400 + ">d", [250], "en")
def test_any_split_of_the_stream_says_the_same(text: str, cuts: list[int], language: str) -> None:
    assert in_pieces(text, cuts, language) == in_pieces(text, [], language)


@settings(max_examples=300, deadline=None)
@given(replies)
def test_one_character_at_a_time_says_the_same(text: str) -> None:
    assert in_pieces(text, list(range(len(text)))) == in_pieces(text, [])


@settings(max_examples=300, deadline=None)
@given(replies)
def test_nothing_is_spoken_that_has_no_sound(text: str) -> None:
    said = speakable(text)
    assert not set(said) & set("`*#{}\\<>|【】（）😀\ue000\r")
    assert "  " not in said
    assert "\n\n" not in said
    assert said == said.strip()
    assert said == "" or any(char.isalnum() for char in said)


words = st.lists(
    st.sampled_from(["你好", "先生", "今天天气", "hello", "world", "去吧"]), min_size=1
)
marks = st.sampled_from(["，", "。", "！", "？", ", ", ". ", "\n", "：“", "” "])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(words.map("".join), marks), min_size=1, max_size=12))
def test_plain_text_loses_no_word(sentences: list[tuple[str, str]]) -> None:
    text = "".join(word + mark for word, mark in sentences)
    letters = [char for char in text if char.isalnum()]
    assert [char for char in speakable(text) if char.isalnum()] == letters


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list("（([【*")), words.map("".join), words.map("".join))
def test_an_unclosed_sign_swallows_nothing(sign: str, first: str, second: str) -> None:
    letters = [char for char in first + second if char.isalnum()]
    said = speakable(f"{first}{sign}{second}")
    assert [char for char in said if char.isalnum()] == letters


def test_an_unclosed_bracket_lets_go_at_the_end_of_the_line() -> None:
    voice = SpeakableFilter()
    assert voice.feed("好（我想说的是") == "好"
    assert voice.feed("，走吧\n") == "，我想说的是，走吧\n"


def test_an_unclosed_bracket_lets_go_at_the_limit() -> None:
    voice = SpeakableFilter()
    assert voice.feed("（" + "说" * DIRECTION_LIMIT) == ""
    assert voice.feed("完了") == "说" * DIRECTION_LIMIT + "完了"


def test_chinese_text_is_let_through_without_delay() -> None:
    voice = SpeakableFilter()
    assert [voice.feed(char) for char in "先生，请坐。"] == list("先生，请坐。")


def test_a_hidden_thought_never_leaks_however_long_it_is() -> None:
    voice = SpeakableFilter()
    assert voice.feed("<think>" + "先想一想。\n" * 500) == ""
    assert voice.feed("</think>好的。") + voice.flush() == "好的。"
    assert speakable("<think>没有想完") == ""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("（轻摇羽扇，微微一笑）先生来了。", "先生来了。"),
        ("*smiles softly. Then nods.* Hello.", "Hello."),
        ("你来了*轻轻一笑*坐吧", "你来了，坐吧"),
        ("【旁白】夜深了[sigh]，歇息吧", "夜深了，歇息吧"),
        ("(He leans back.) Sit down. (smiles)", "Sit down."),
        ("I told you (sighs) to wait.", "I told you, to wait."),
        ("The lamp (the red one) fell.", "The lamp, the red one, fell."),
        ("I *really* mean it.", "I really mean it."),
        ("*You* did this?", "You did this?"),
        ("我*真的*很想你", "我真的很想你"),
        ('*"Run!" he shouts.* Then he left.', "Run! Then he left."),
        ("（他低声道：“快走。”）门开了。", "快走。门开了。"),
        ("“你好！”他说。「走吧」", "“你好！”他说。「走吧」"),
        ("（一）先礼后兵（2）静观其变", "一，先礼后兵，2，静观其变"),
        ("（（内心）独白）好", "好"),
    ],
)
def test_directions_are_left_out_and_speech_is_kept(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**重点**：***看***", "重点：看"),
        ("# 标题\n- 一\n* 二\n> 引用\n---\n完", "标题\n一\n二\n引用\n完"),
        ("看[这里](https://a.com/b?c=d)吧", "看这里吧"),
        ("图![猫](cat.png)在此", "图在此"),
        ("见 https://www.example.com/path?x=1 。", "见 example.com。"),
        ("<https://example.com/a>", "example.com"),
        ("See www.example.com/a. Then go.", "See example.com. Then go."),
        ("前\n```python\nprint(1)\n```\n后", "前\n后"),
        ("用 `make run` 启动", "用 make run 启动"),
        ("| 甲 | 乙 |\n|---|---|\n| 1 | 2 |", "甲，乙\n1，2"),
        ("一<br>二<b>三</b>", "一\n二三"),
        ("snake_case _italic_", "snake case italic"),
    ],
)
def test_markup_is_not_read(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("气温25℃，湿度30%。", "气温25摄氏度，湿度百分之30。"),
        ("It is 25°C and 30% humid.", "It is 25 degrees Celsius and 30 percent humid."),
        ("12% & more", "12 percent and more"),
        ("It cost $5.50.", "It cost 5.50 dollars."),
        ("一共￥30", "一共30元"),
        ("3*4=12", "3乘4等于12"),
        ("住3~5天", "住3到5天"),
        ("C++ and AT&T, well-known", "C++ and AT&T, well-known"),
        ("At 10:30 it was 1,000.5.", "At 10:30 it was 1,000.5."),
        ("１２３Ａ", "123A"),
    ],
)
def test_signs_are_read_sensibly(written: str, said: str) -> None:
    assert speakable(written, "en" if written.isascii() and "=" not in written else "zh") == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("好呀~你来啦(≧▽≦)ノ ^_^ 哈哈😀👨‍👩‍👧", "好呀，你来啦，哈哈"),
        ("真的！！！是吗？？！嗯……好。。。", "真的！是吗？嗯…好。"),
        ("Well... yes!!", "Well… yes!"),
        ("  多  个   空格 \n\n\n 行 ", "多 个 空格\n行"),
        ("I said XD and TAXD", "I said and TAXD"),
    ],
)
def test_decoration_is_dropped(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize(
    "written", ["", "😀", "……", "（笑）", "*", "**", "(", "---", "<think>x", "^_^"]
)
def test_nothing_to_say_is_empty(written: str) -> None:
    assert speakable(written) == ""
