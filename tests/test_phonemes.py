"""What Kokoro is given to say: figures, homographs, invented names, both languages at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.tts import chinese, english_text
from voice.tts.letter_sounds import VOWELS, sound_out
from voice.tts.phonemes import MAX_PHONEMES, VOCABULARY, phonemize, split, token_ids


def words(text: str) -> str:
    return " ".join(english_text.spell_out(text).split())


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("I have 0 of 13 and 42.", "I have zero of thirteen and forty two ."),
        (
            "1,234,567",
            "one million two hundred and thirty four thousand five hundred and sixty seven",
        ),
        ("3.14", "three point one four"),
        ("-5", "minus five"),
        ("in 1999", "in nineteen ninety nine"),
        ("in 1905", "in nineteen oh five"),
        ("in 2007", "in two thousand and seven"),
        ("the 1990s", "the nineteen nineties"),
        ("$3.50", "three dollars and fifty cents"),
        ("$1.01", "one dollar and one cent"),
        ("£5 million", "five million pounds"),
        ("50%", "fifty percent"),
        ("3:05 p.m.", "three oh five P M"),
        ("at 15:00", "at fifteen hundred"),
        ("2024-05-01", "May first, twenty twenty four"),
        ("the 21st and 30th", "the twenty first and thirtieth"),
        ("5 km", "five kilometers"),
        ("1 kg", "one kilogram"),
        ("-5°C", "minus five degrees Celsius"),
        ("pages 7-9", "pages seven to nine"),
        ("call 5551234567", "call five five five one two three four five six seven"),
        ("agent 007", "agent zero zero seven"),
        ("Dr. Who, e.g.", "doctor Who, for example"),
        ("me@example.com", "me at example dot com"),
        ("B2B", "B two B"),
    ],
)
def test_written_english_to_words(written, spoken):
    assert words(written).replace(" ,", ",") == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("12个人", "十二个人"),
        ("2个人，2号", "两个人，二号"),
        ("第10章", "第十章"),
        ("共12,000元", "共一万二千元"),
        ("3.14", "三点一四"),
        ("-5℃", "负五摄氏度"),
        ("50%", "百分之五十"),
        ("1/2的人", "二分之一的人"),
        ("2024年", "二零二四年"),
        ("100年前", "一百年前"),
        ("2024-05-01", "二零二四年五月一日"),
        ("12:30开会", "十二点三十分开会"),
        ("2:00", "两点整"),
        ("8:05", "八点零五分"),
        ("3-5个", "三到五个"),
        ("$3.50", "三点五零美元"),
        ("￥20万", "二十万元"),
        ("电话13812345678", "电话一三八一二三四五六七八"),
        ("007", "零零七"),
        ("15km", "十五公里"),
    ],
)
def test_written_chinese_to_characters(written, spoken):
    assert chinese.spell_out(written) == spoken


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hello, world!", "həlˈO, wˈɜɹld!"),
        ("the end", "ði ˈɛnd"),
        ("the dog", "ðə dˈɔɡ"),
        ("to eat", "tʊ ˈit"),
        ("to bed", "tə bˈɛd"),
        ("a cat", "ɐ kˈæt"),
        ("I read", "ˌI ɹˈid"),
        ("I have read", "ˌI hæv ɹˈɛd"),
        ("a record", "ɐ ɹˈɛkəɹd"),
        ("to record", "tə ɹəkˈɔɹd"),
        ("used to", "jˈust tu"),
        ("don't", "dˈOnt"),
        ("NLP", "ˌɛnˌɛlpˈi"),
        ("OpenAI", "ˈOpᵊn ˈAˌI"),
    ],
)
def test_american_english(text, phonemes):
    assert phonemize(text) == phonemes


def test_british_english_is_another_accent():
    assert phonemize("a bath at home", british=True) == "ɐ bˈɑːθ at hˈQm"
    assert phonemize("a bath at home") != phonemize("a bath at home", british=True)


@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("zorble", "zˈɔɹbᵊl"),
        ("kratch", "kɹˈæʧ"),
        ("phlane", "flˈAn"),
        ("quib", "kwˈɪb"),
        ("qu", "kˈu"),
    ],
)
def test_invented_words_sound_as_they_are_written(word, sounds):
    assert sound_out(word) == sounds


@pytest.mark.parametrize(
    ("word", "ending"),
    [("vlogs", "z"), ("vlogging", "ɪŋ"), ("blockchains", "z"), ("unfriended", "ᵻd")],
)
def test_new_words_are_made_of_known_ones(word, ending):
    assert phonemize(word).endswith(ending)


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_every_word_has_a_sound_the_model_knows(word):
    sounds = sound_out(word)
    assert set(sounds) <= set(VOCABULARY) | {"Q"}
    if set(word) & set("aiou"):
        assert set(sounds) & VOWELS
        assert sounds.count("ˈ") == 1


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("你好，世界！", "ni↓xau↓, ʂɨ↘ʨje↘!"),
        ("银行行长", "i↗nxa↗ŋxa↗ŋꭧa↓ŋ"),  # two readings of one character
        ("绿色", "ly↘sɤ↘"),
        ("儿子", "ɚ↗ʦɨ"),
        ("123", "i↘pai↓ɚ↘ʂɨ↗ sa→n"),
    ],
)
def test_mandarin(text, phonemes):
    assert phonemize(text, chinese_digits=True) == phonemes


def test_english_within_chinese():
    said = phonemize("我用OpenAI写Python代码。")
    assert "ˈOpᵊn ˈAˌI" in said
    assert "pˈIθˌɑn" in said
    assert said.startswith("wo↓")
    assert said.endswith(".")
    assert "  " not in said


def test_figures_follow_the_language_around_them():
    assert phonemize("2 people") == "tˈu pˈipᵊl"
    assert phonemize("2个人").startswith("lja↓ŋ")
    assert phonemize("42") == phonemize("forty two")
    assert phonemize("42", chinese_digits=True) == phonemize("四十二")


@pytest.mark.parametrize("text", ["", "   ", "……！？", "😀🎉", "---", "\n\n", "(){}[]", "𠮷"])
def test_nothing_to_say(text):
    assert split(phonemize(text)) == []


@given(st.text(max_size=120))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_only_what_the_model_knows(text):
    said = phonemize(text)
    assert set(said) <= set(VOCABULARY)
    for chunk in split(said):
        assert 1 <= len(token_ids(chunk)) <= MAX_PHONEMES


@pytest.mark.parametrize(
    "text",
    [
        "天下大势，分久必合，合久必分。" * 100,
        "天下大势，" * 300,
        "天下大势" * 300,
        "The rain in Spain stays mainly in the plain. " * 60,
        "a" * 3_000,
        "word " * 800,
    ],
)
def test_long_text_is_cut_to_what_the_model_takes_and_nothing_is_lost(text):
    said = phonemize(text)
    chunks = split(said)
    assert max(len(token_ids(chunk)) for chunk in chunks) <= MAX_PHONEMES
    assert "".join(chunks).replace(" ", "") == said.replace(" ", "")


def test_chunks_end_where_sentences_do():
    said = phonemize("你好。" + "今天天气很好，我们去公园散步，然后回家吃饭。" * 6)
    first, *rest = split(said, first=60, target=200)
    assert len(first) <= 60 or first.count(".") == 1
    assert all(chunk.endswith(".") for chunk in [first, *rest])
    assert max(map(len, rest)) <= 200
