"""Stop sequences: the same reply, however it was cut."""

from hypothesis import example, given
from hypothesis import strategies as st

from chat.stopping import StopFilter

TEXT = st.text(alphabet="ab今。", max_size=40)
STOPS = st.lists(st.text(alphabet="ab今。", min_size=1, max_size=4), max_size=4)


def run(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    filter_, out = StopFilter(stops), ""
    for piece in pieces:
        out += filter_.feed(piece)
        if filter_.stopped:
            break
    return out + filter_.finish(), filter_.stopped


@given(TEXT, STOPS, st.lists(st.integers(1, 5), max_size=40))
@example("abab今", ["ab今"], [1] * 5)
@example("ab今", ["ab今", "b"], [1] * 3)
def test_ends_before_the_sequence_that_is_complete_first(
    text: str, stops: list[str], sizes: list[int]
):
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    pieces.append(text[at:])
    out, stopped = run(pieces, stops)
    assert (out, stopped) == run([text], stops)
    assert stopped == any(stop in text for stop in stops)
    assert text.startswith(out)
    if not stopped:
        assert out == text
    else:
        assert not any(stop in out for stop in stops)
        assert any(text[len(out) :].startswith(stop) for stop in stops)


def test_only_what_may_begin_a_sequence_is_held_back():
    filter_ = StopFilter(["今夜"])
    assert filter_.feed("亮观天象，今") == "亮观天象，"
    assert filter_.feed("日") == "今日"
    assert filter_.feed("今") == ""
    assert filter_.finish() == "今"
    assert StopFilter([]).feed("任何话") == "任何话"
