"""The token estimate against real counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.llm.tokens import estimate_tokens

# Text, real count of o200k_base, real count of cl100k_base (counted once with both).
COUNTED = [
    ("三顾草庐的那一年，我二十七岁。茶要趁热喝，话可以慢慢说，足下先坐。", 32, 48),
    ("雨打茅檐，他没有抬头，先把一盏热茶推到对面，然后才问你为何而来。", 31, 42),
    (
        "The fog came in from the river at nine, and by ten nobody on Harbour Street could "
        "see his own shoes.",
        23,
        23,
    ),
    (
        "I don't believe in coincidences, detective; I believe in ledgers, receipts and very "
        "patient people.",
        21,
        22,
    ),
    ("明天10:30在example.com开会，记得带上README.md和3份合同，OK？", 24, 26),
    ("def add(left: int, right: int) -> int:\n    return left + right\n", 19, 19),
    ("Well, well!", 4, 4),
    ("今天下雨了，我有点累，不过刚刚吃了一碗热汤面，感觉好多了！😀", 24, 41),
    ("The meeting is at 14:45 on 2026-03-01; call +86 10 5555 0199 if you are late.", 33, 33),
]


@pytest.mark.parametrize(("text", "today", "_old"), COUNTED)
def test_the_estimate_is_at_most_two_fifths_above_and_never_far_below(
    text: str, today: int, _old: int
) -> None:
    assert 0.95 * today <= estimate_tokens(text) <= 1.4 * today


@pytest.mark.parametrize(("text", "_today", "old"), COUNTED)
def test_a_reserve_of_a_third_covers_old_vocabularies(text: str, _today: int, old: int) -> None:
    assert estimate_tokens(text) >= 0.7 * old


def test_a_long_text_is_counted_as_its_pieces_are() -> None:
    piece = "今天下雨了，我有点累。 "
    assert estimate_tokens(piece * 3_000) == pytest.approx(3_000 * estimate_tokens(piece), rel=0.1)


def test_no_text_costs_nothing() -> None:
    assert estimate_tokens("") == 0


@given(st.text(), st.text())
def test_more_text_never_costs_less(left: str, right: str) -> None:
    both = estimate_tokens(left + right)
    assert both >= estimate_tokens(left)
    # Cutting a text may split a word or a blank, which costs a token or two, not more.
    assert both <= estimate_tokens(left) + estimate_tokens(right) + 2


@given(st.text(min_size=1).filter(str.strip))
def test_any_text_costs_something(text: str) -> None:
    assert estimate_tokens(text) >= 1
