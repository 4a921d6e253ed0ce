"""Which transcripts are a whole, which trail off, and which could be either."""

import pytest

from voice.ear.completeness import completeness

COMPLETE = """
今天天气怎么样 | 今天天气怎么样？ | 你叫什么名字？ | 你吃了吗 | 好 | 好的。 | 对 | 可以 | 谢谢
再见 | 我爱你。 | 我想听一个故事。 | 给我讲个故事吧 | 他的性格很温和。 | 我不太明白你的意思。
你在说什么 | 然后呢 | 你觉得呢 | 太好了 | 我知道了 | 如果明天下雨怎么办
如果明天下雨，我们就在家吧。 | 我要那杯咖啡。 | 还来得及。 | 天气真好啊 | 对不起，我不同意。 | 停
我們去公園吧 | 這是為什麼 | 我们在家，如果明天下雨。 | 你知道他是谁 | 嗯，好的
请你用Python写一个程序。 | 我喜欢她。 | 他不在人民公社参与。 | 这是你说的话。 | 我高兴得很。
走！
What time is it? | I'd like a cup of tea. | Thank you | yes | No, thank you. | Tell me a story.
I don't know | How are you doing today? | Where are you from? | stop | hello | I agree with you.
I don't think I love her. | What is that? | I think so. | Please sing 茉莉花 for me. | I am.
"""
OPEN = """
然后 | 我想去北京然后 | 我想去北京，然后。 | 因为 | 我不来是因为 | 所以 | 但是 | 我觉得很好但是
那个 | 我那个 | 他说，那个。 | 如果明天下雨 | 要是你不来。 | 我喜欢苹果和 | 我昨天去了…… | 还有就是
我最喜欢的是 | 我最喜欢的是。 | 然後 | 我覺得 | 因為 | 你来的话 | 如果是我的话 | 我小时候的时候
我想买一个，嗯 | 怎么说呢 | 但是呢 | 因为啊 | 那个啊 | 我把 | 我也 | 他很 | 我今天去了公园然后
我不知道，但是。 | 雖然 | 我認為 | 比如說 | 我想说 | 关于 | 我们去那儿——
and | I went home and | I think that | because | but | So | I was going to the | The thing is
um | I want a | It's like | And then | I'm | well | If | I like apples, and. | I want to go to...
I said to my | I like it because | 我喜欢 the | You know, um
"""
UNKNOWN = """
嗯 | 我 | 我要那个。 | 我喜欢这个 | 今天天气很好 | 我们去， | 我想要一个 | 他是 | 我觉得这个东西
where are you from | I'd love to | I'd love to. | what is it about | tell me a story | I went home,
for a while | hmm | 都是为这个。 | it is all I asked for | ？ | ， | 🎵
"""


def texts(block: str) -> list[str]:
    return [text.strip() for line in block.split("\n") for text in line.split("|") if text.strip()]


@pytest.mark.parametrize("text", texts(COMPLETE))
def test_a_whole_is_complete(text):
    assert completeness(text) == "complete"


@pytest.mark.parametrize("text", texts(OPEN))
def test_what_trails_off_is_open(text):
    assert completeness(text) == "open"


@pytest.mark.parametrize("text", ["", *texts(UNKNOWN)])
def test_what_could_be_either_is_unknown(text):
    assert completeness(text) == "unknown"


@pytest.mark.parametrize("word", ["和", "跟", "与", "及", "把", "从", "比", "就", "还"])
def test_a_character_that_ends_a_whole_word_does_not_leave_it_open(word):
    wholes = {
        "和": "这个人很温和",
        "跟": "我穿了高跟",
        "与": "我想参与",
        "及": "现在还来得及",
        "把": "我想要一把",
        "从": "他总是服从",
        "比": "两个人的对比",
        "就": "这是他的成就",
        "还": "这本书要归还",
    }
    assert completeness(f"我{word}") == "open"
    assert completeness(wholes[word]) == "unknown"
    assert completeness(wholes[word] + "。") == "complete"


@pytest.mark.parametrize("text", texts(OPEN))
def test_a_full_stop_that_a_recogniser_adds_does_not_end_what_trails_off(text):
    assert completeness(text.rstrip("。.") + "。") == "open"
    assert completeness(text.rstrip("。.") + ".") == "open"


def test_width_case_and_quotes_make_no_difference():
    assert completeness("Ｉ ＷＥＮＴ ＨＯＭＥ ＡＮＤ") == "open"
    assert completeness("I’m") == completeness("I'm") == "open"
    assert completeness("“你叫什么名字？”") == "complete"


def test_a_very_long_text_is_judged_by_its_end():
    assert completeness("我们去公园散步，" * 2_000 + "然后") == "open"
    assert completeness("we went for a walk. " * 2_000 + "Did you like it?") == "complete"
