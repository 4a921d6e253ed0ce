"""What a listener murmurs, and what is more than that."""

import pytest

from voice.ear.backchannel import is_backchannel

MURMURS = """
嗯 | 嗯嗯 | 嗯。 | 嗯，嗯， | 对 | 对对对 | 對，沒錯。 | 好 | 好的 | 好的。 | 是的 | 是啊
哦，这样啊 | 哦，這樣啊。 | 喔 | 噢 | 欸 | 啊 | uh-huh | Uh huh. | Mm-hmm | mm hmm | mhm | yeah
Yeah, right. | ok 好 | OK | O.K. | I see. | 哈哈哈 | oh, okay | got it | 嗯，是的。 | 真的
原来如此 | 明白 | 了解 | 瞭解 | Right. | Yeah yeah yeah | All right | Of course.
"""
WORDS = """
， | 对不起我不同意 | 对不起，我不同意。 | 好的我知道了你先停 | 好了 | 行了 | 不对 | 對了 | 停
等等 | 等一下 | 不 | 不是 | 不好 | 你好 | 好吗 | 对吗 | 对不对 | 真的吗 | 是不是 | 是谁
知道了 | 讲得好听 | 好久不见 | 好的，换一个话题 | 行不行 | 是我 | 哦不 | wait | no | okay stop
right now | yes please | what | ok, but why | yeah but | right there | I see a cat | oh no
really not | 42 | 嗯我想问你一个问题
"""


def texts(block: str) -> list[str]:
    return [text.strip() for line in block.split("\n") for text in line.split("|") if text.strip()]


@pytest.mark.parametrize("text", texts(MURMURS))
def test_a_murmur_is_a_backchannel(text):
    assert is_backchannel(text)


@pytest.mark.parametrize("text", ["", *texts(WORDS), "好" * 13, "yeah " * 7])
def test_what_says_something_is_none(text):
    assert not is_backchannel(text)
