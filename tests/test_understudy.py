"""The understudy: in character, remembering, never repeating itself, and a proper stream."""

import asyncio
import json
import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chat.llm.phrasebook
from chat.llm.base import Completion, LanguageModel, Persona, Prompt, PromptMessage, TextDelta
from chat.llm.intents import intents, is_question, is_yes_no
from chat.llm.persona_replies import reply
from chat.llm.persona_voice import is_chinese, voice_of
from chat.llm.recollection import Fact, Recollection, told
from chat.llm.reflection import reflect
from chat.llm.understudy import Understudy
from voice.errors import ProviderError

SAGE = Persona(
    name="诸葛亮",
    user_name="",
    description="诸葛亮，字孔明，蜀汉丞相。他称来客“足下”。早年他躬耕隆中，刘备三顾草庐请他出山。"
    "他想要的其实很小：把八百株桑树种回来。口头禅“不急”。他不肯说的有三件：街亭之后那一夜。",
    personality="沉稳、缜密、温厚。最怕两样：把事托给错的人，和让等他的人白等。",
    scenario="雨夜，草庐里煨着一壶茶。",
    greeting="（雨打茅檐。）足下淋雨了。坐，茶是刚煨的。足下最怕输掉的是什么？",
    examples=(
        ("你真是诸葛亮？", "（摇扇）草船借箭不是我，空城弹琴也不是我。足下失望了？"),
        ("我好累，感觉怎么做都不够。", "（推了推炭盆）这话，我案头的灯也听过。"),
        ("今夜会有东风吗？", "风是天的，借不来，只能等。足下要烧谁的船？"),
        ("我得走了，改天再来。", "雨小了，伞拿好。棋我不收。"),
    ),
)
DETECTIVE = Persona(
    name="Jack Marlowe",
    language="en",
    description="Jack Marlowe is a private detective. He keeps a cat named Evidence. "
    "He was a police sergeant until he refused to sign a false report.",
    personality="Dry, patient. He is afraid of becoming like his father.",
    greeting="*He looks up.* You're dripping on my floor. What is it?",
    examples=(
        ("How much do you charge?", "Forty a day and expenses. What did you lose?"),
        ("My husband is missing.", "*reaches for a notebook* When did you last see him?"),
    ),
)
SEEN = "建安十二年，刘备三顾草庐，诸葛亮时年二十七岁。他献隆中对，言天下三分。"


def talk(persona: Persona | None, *lines: str) -> list[str]:
    """The replies to a dialogue."""
    messages: list[PromptMessage] = []
    if persona and persona.greeting:
        messages.append(PromptMessage("assistant", persona.greeting))
    answers = []
    for line in lines:
        messages.append(PromptMessage("user", line))
        answers.append(reply(Prompt(tuple(messages), persona)))
        messages.append(PromptMessage("assistant", answers[-1]))
    return answers


def test_an_example_of_the_card_is_answered_with_its_answer() -> None:
    assert talk(SAGE, "你会借东风吗？") == [SAGE.examples[2][1]]
    assert talk(DETECTIVE, "What do you charge a day?") == [DETECTIVE.examples[0][1]]


def test_a_feeling_finds_the_example_that_shares_it() -> None:
    assert talk(SAGE, "今天加班好累啊") == [SAGE.examples[1][1]]


def test_it_introduces_itself_in_the_first_person() -> None:
    answer = talk(SAGE, "你是谁？")[0]
    assert "诸葛亮" in answer
    assert "字孔明" in answer
    assert "他" not in answer


def test_it_remembers_what_it_was_told() -> None:
    answers = talk(
        SAGE,
        "我叫小明，今年二十八岁。",
        "我喜欢下棋，你呢？",
        "我养了一只猫，叫雪球。",
        "小红喜欢月季花。",
        "我叫什么名字？",
        "我喜欢什么？",
        "我的猫叫什么？",
        "小红喜欢什么花？",
        "我今年多大？",
    )
    for answer, value in zip(answers[4:], ["小明", "下棋", "雪球", "月季", "二十八"], strict=True):
        assert value in answer


def test_it_remembers_in_english_and_an_update_wins() -> None:
    answers = talk(
        DETECTIVE,
        "My name is Ann and I'm a teacher.",
        "I live in Leeds.",
        "I live in Lisbon now.",
        "What's my name?",
        "Where do I live?",
        "What do you remember about me?",
    )
    assert "Ann" in answers[3]
    assert "and" not in answers[3].split()
    assert "Lisbon" in answers[4]
    assert "Leeds" not in answers[4]
    assert "teacher" in answers[5]


def test_it_does_not_invent_what_it_was_never_told() -> None:
    answer = talk(SAGE, "你好", "我喜欢什么？")[1]
    assert answer.strip("。") in {
        text.format(you="足下").strip("。") for text in phrases("zh_classical")["recall_nothing"]
    }


def test_lore_is_told_in_the_first_person_and_goes_on() -> None:
    persona = replace(SAGE, lore=(SEEN + "后来联吴抗曹。此后治蜀。",))
    first, second = talk(persona, "三顾草庐是怎么回事？", "然后呢？")
    assert "我时年二十七岁" in first
    assert "诸葛亮" not in first
    assert "联吴抗曹" in second
    assert "三顾草庐" not in second


def test_a_question_about_the_card_is_answered_from_the_card() -> None:
    assert "错的人" in talk(SAGE, "你怕什么？")[0]
    assert "refused to sign" in talk(DETECTIVE, "Why did you leave the police?")[0]
    assert "I was a police sergeant" in talk(DETECTIVE, "Were you a police man?")[0]


def test_a_secret_of_the_card_is_kept() -> None:
    assert not any("街亭" in line for line in voice_of(SAGE).about)


def test_the_language_follows_the_person() -> None:
    for message in ("I am bored", "Tell me a story", "what is love?"):
        assert not is_chinese(talk(SAGE, message)[0].replace("诸葛亮", ""))
    for message in ("好无聊", "讲个故事吧", "爱是什么？"):
        assert is_chinese(talk(DETECTIVE, message)[0])
    assert is_chinese(talk(SAGE, "……？")[0])
    assert not is_chinese(talk(DETECTIVE, "...?")[0])


def test_a_cry_for_help_is_answered_with_where_to_find_it() -> None:
    for persona, message, number in (
        (SAGE, "我不想活了", "12356"),
        (DETECTIVE, "I want to kill myself", "988"),
        (None, "活着没意思", "12356"),
    ):
        answers = talk(persona, message)
        assert number in answers[0] or "crisis line" in answers[0]


def test_the_address_is_the_character_s_own() -> None:
    assert voice_of(SAGE).you == "足下"
    assert "足下" in talk(SAGE, "我昨天丢了钱包")[0]


def test_a_repeated_question_is_noticed() -> None:
    answers = talk(SAGE, "月亮有多远？", "月亮有多远？")
    assert answers[1] in {t.format(you="足下") for t in phrases("zh_classical")["repeated"]}


CHATTER = [
    "你好", "嗯", "今天下雨了", "我昨天丢了钱包", "你喜欢什么？", "哈哈", "我不知道", "我想学画画",
    "为什么天是蓝的？", "好难过", "谢谢你", "讲个故事", "继续", "你真聪明", "你真笨", "哦",
    "我该怎么办？",
    "hello", "I lost my keys", "ok", "what should I do?", "I feel sad", "tell me a joke", "why?",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(CHATTER), min_size=2, max_size=20), st.sampled_from([0, 1]))
def test_it_never_says_the_same_twice_in_a_row(lines: list[str], which: int) -> None:
    answers = talk((SAGE, DETECTIVE)[which], *lines)
    for earlier, later in pairwise(answers):
        assert earlier != later
        assert later.strip()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_any_message_gets_the_same_answer_every_time(lines: list[str]) -> None:
    answers = talk(SAGE, *lines)
    assert all(answer.strip() for answer in answers)
    assert "{" not in "".join(answers) or "{" in "".join(lines)
    assert talk(SAGE, *lines) == answers


def test_without_a_card_it_still_talks() -> None:
    assert all(talk(None, "你好", "你是谁？", "who are you?", "我叫老王", "我是谁？"))


def phrases(register: str) -> dict[str, list[str]]:
    table = Path(chat.llm.phrasebook.__file__).with_name("phrases.json")
    content: dict[str, dict[str, list[str]]] = json.loads(table.read_text(encoding="utf-8"))
    return content[register]


def test_every_register_has_every_phrase_and_only_known_slots() -> None:
    kinds = {register: set(phrases(register)) for register in ("zh_classical", "zh_plain", "en")}
    assert kinds["zh_classical"] == kinds["zh_plain"] == kinds["en"]
    slots = {"you", "me", "name", "value", "Value", "ask", "about", "lore", "said", "facts"}
    for register in kinds:
        for kind, options in phrases(register).items():
            assert options, kind
            assert len(set(options)) == len(options)
            for option in options:
                found = set(re.findall(r"\{(\w+)\}", option))
                assert found <= slots | {"echo", "Echo"}, (kind, option)


@pytest.mark.parametrize(
    ("message", "facts"),
    [
        ("我叫小明，今年二十八岁。", [Fact("name", "小明"), Fact("age", "二十八")]),
        ("叫我阿宁就好", [Fact("name", "阿宁")]),
        ("我是一名老师，我住在成都", [Fact("job", "老师"), Fact("home", "成都")]),
        ("我最喜欢下棋了", [Fact("like", "下棋")]),
        ("我不喜欢下雨", [Fact("dislike", "下雨")]),
        ("我喜欢你", []),
        ("我叫什么？", []),
        ("my name is ann", [Fact("name", "Ann")]),
        ("I love old maps and jazz.", [Fact("like", "old maps and jazz")]),
        ("Do I like tea?", []),
    ],
)
def test_facts_a_message_tells(message: str, facts: list[Fact]) -> None:
    assert told(message) == facts


def test_recollection_prefers_the_newest_statement() -> None:
    memory = Recollection(["我的车是红色的", "我的车现在是蓝色的", "天气不错"])
    assert memory.statement("我的车是什么颜色？") == "我的车现在是蓝色的"
    assert memory.statement("为什么天是蓝的？") == ""


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        ("我想辞职", "plan", "足下想辞职"),
        ("其实我昨天丢了钱包啊", "past", "足下昨天丢了钱包"),
        ("你让我很放心", "now", "我让足下很放心"),
        ("I want to quit my job.", "plan", "you want to quit your job"),
        ("Well, I was late again!", "past", "you were late again"),
        ("My boss hates me", "now", "your boss hates you"),
    ],
)
def test_a_statement_is_given_back_from_the_other_side(message: str, kind: str, text: str) -> None:
    reflected = reflect(message, you="足下" if is_chinese(message) else "you", me="我")
    assert reflected is not None
    assert (reflected.kind, reflected.text) == (kind, text)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("谢谢你", "thanks"), ("我今天心情不好", "sad"), ("我很开心", "happy"),
        ("我不开心", "sad"),
        ("晚安", "farewell"), ("不想活了", "crisis"), ("讲个笑话", "joke"),
        ("goodbye!", "farewell"),
        ("You are so funny", "compliment"), ("shut up", "insult"), ("继续", "more"),
    ],
)  # fmt: skip
def test_intents(message: str, name: str) -> None:
    assert name in intents(message)


def test_questions_are_told_from_statements() -> None:
    assert is_question("你怕什么")
    assert is_question("What is love")
    assert not is_question("我好累，感觉怎么做都不够。")
    assert not is_yes_no("你怕什么")
    assert is_yes_no("你喜欢我吗")


async def collect(model: Understudy, prompt: Prompt, max_tokens: int = 500) -> list[object]:
    return [item async for item in model.stream(prompt, max_tokens=max_tokens)]


def asking(text: str) -> Prompt:
    return Prompt((PromptMessage("system", "ignored"), PromptMessage("user", text)), SAGE)


async def test_it_streams_small_pieces_then_one_completion() -> None:
    model = Understudy(characters_per_second=0)
    assert isinstance(model, LanguageModel)
    assert model.capabilities.offline
    *deltas, end = await collect(model, asking("你是谁？"))
    assert all(isinstance(delta, TextDelta) and 0 < len(delta.text) <= 20 for delta in deltas)
    assert len(deltas) > 5
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == reply(asking("你是谁？"))
    assert isinstance(end, Completion)
    assert end.finish_reason == "stop"
    assert end.completion_tokens > 10
    assert end.prompt_tokens > 3


async def test_it_stops_at_max_tokens() -> None:
    *deltas, end = await collect(Understudy(characters_per_second=0), asking("你是谁？"), 8)
    assert isinstance(end, Completion)
    assert end.finish_reason == "length"
    assert 0 < end.completion_tokens <= 8
    text = "".join(d.text for d in deltas if isinstance(d, TextDelta))
    assert reply(asking("你是谁？")).startswith(text)


async def test_the_first_piece_comes_at_once_and_the_rest_at_its_pace() -> None:
    model = Understudy(characters_per_second=100)
    text = reply(asking("你是谁？"))
    started = time.monotonic()
    stream = model.stream(asking("你是谁？"), max_tokens=500)
    await anext(stream)
    first = time.monotonic() - started
    async for _ in stream:
        pass
    whole = time.monotonic() - started
    assert first < 0.1
    assert whole >= 0.9 * len(text) / 100


async def test_asked_by_nobody_it_greets_or_goes_on() -> None:
    card, cue = PromptMessage("system", "card"), PromptMessage("system", "cue")
    assert reply(Prompt((card, cue), SAGE)) == SAGE.greeting
    assert reply(Prompt((card, cue), DETECTIVE)) == DETECTIVE.greeting
    said = (
        PromptMessage("user", "你真是诸葛亮？"),
        PromptMessage("assistant", SAGE.examples[0][1]),
    )
    going_on = reply(Prompt((card, *said, cue), SAGE))
    assert going_on
    assert going_on != said[1].content


async def test_it_can_be_cancelled_in_the_middle() -> None:
    model = Understudy(characters_per_second=5)
    task = asyncio.create_task(collect(model, asking("你是谁？")))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_bad_calls_are_refused_clearly() -> None:
    model = Understudy()
    with pytest.raises(ProviderError, match="message of the user") as refused:
        await collect(model, Prompt((PromptMessage("system", "x"),), SAGE))
    assert refused.value.reason == "bad_request"
    assert not refused.value.retryable
    with pytest.raises(ProviderError, match="max_tokens"):
        await collect(model, asking("你好"), 0)
    with pytest.raises(ValueError, match="characters_per_second"):
        Understudy(characters_per_second=-1)
    await model.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await collect(model, asking("你好"))
