"""Live turns by one contract, wherever their engine runs.

``inline`` in the session's own loop, ``embedded`` in the worker's thread of the same process,
``scaled`` in a worker process behind a Redis.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live_turns import KEY, REPLY, USER, Place, Session, sizes, wait_until, words

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", params=["inline", "embedded", "scaled"])
def shared_place(request) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(request.param, stack)


@pytest.fixture
def place(shared_place: Place) -> Iterator[Place]:
    shared_place.providers.reset()
    shared_place.providers.script("chat", text=REPLY)
    shared_place.providers.script("transcriptions", text="今夜会有东风吗")
    shared_place.worker_alive()
    yield shared_place
    shared_place.session().settle()


@pytest.fixture
def session(place: Place) -> Session:
    return place.session()


def test_a_reply_in_writing(place, session):
    turn = session.open()
    turn("respond", 1, "你好", False)
    lines = turn.until("ReplyEnded")
    assert words(lines) == REPLY
    assert {line[1] for line in lines} == {"TextReady", "ReplyEnded"}
    assert lines[-1][2]["finish_reason"] == "stop"
    assert {line[3] for line in lines} == {1}


def test_an_utterance_is_heard_and_answered_aloud(place, session):
    turn = session.open()
    turn("listen")
    turn("hear", 2, 40)
    turn("finish")
    heard = turn.until("Heard")[-1]
    assert heard[2] == {"text": "今夜会有东风吗", "final": True}
    turn("respond", 1, heard[2]["text"], True)
    lines = turn.until("ReplyEnded")
    assert words(lines) == REPLY
    spoken = "".join(line[2]["text"] for line in lines if line[1] == "SentenceReady")
    assert "今夜必有东风" in spoken
    assert sum(sizes(lines)) > 24_000 * 2
    assert all(size % 2 == 0 for size in sizes(lines))
    asked = place.providers.log()["exchanges"]
    # 2 s at 16 000 Hz behind a header of 44 bytes: nothing was lost on the way.
    assert asked[0]["body"]["file"] == pytest.approx(64_000, abs=100)
    names = [line[1] for line in lines]
    assert names.index("SentenceReady") < names.index("AudioReady")


def test_a_peek_tells_what_was_heard_so_far(place, session):
    turn = session.open()
    turn("listen")
    turn("hear", 1, 20)
    turn("peek")
    assert turn.until("Heard")[-1][2] == {"text": "今夜会有东风吗", "final": False}
    turn("hear", 0.2, 20)
    turn("finish", True)
    assert turn.until("Heard")[-1][2] == {"text": "今夜会有东风吗", "final": True}
    assert place.counts("transcriptions")["started"] == 1


def test_why_a_provider_failed_is_logged_once(place, session):
    def told(what: str) -> list[str]:
        return [line for line in place.logged().splitlines() if what in line]

    failures = ("hearing failed", "reply failed")
    before = {what: len(told(what)) for what in failures}
    for endpoint in ("chat", "transcriptions"):
        place.providers.script(endpoint, status=400)
    turn = session.open()
    turn("listen")
    turn("hear", 1, 40)
    turn("finish")
    assert turn.until("HearingFailed")[-1][2]["reason"] == "bad_request"
    turn("respond", 1, "你好", False)
    assert turn.until("ReplyFailed")[-1][2]["reason"] == "bad_request"
    for what in failures:
        (line,) = told(what)[before[what] :]
        assert "answered 400" in line


def slow(place: Place) -> None:
    place.providers.script(
        "chat", text=REPLY * 20, pace={"llm_first_ms": 20, "tokens_per_second": 20}
    )


def test_a_stop_is_a_stop_upstream(place, session):
    took = []
    for _ in range(3):
        place.providers.reset()
        slow(place)
        turn = session.open()
        turn("respond", 1, "你好", False)
        turn.until("TextReady")
        stopped = time.monotonic()
        turn("stop")
        wait_until(lambda: place.counts("chat").get("cancelled") == 1)
        took.append(time.monotonic() - stopped)
        place.providers.script("chat", text=REPLY)
        turn("respond", 2, "你好", False)
        lines = turn.until("ReplyEnded")
        assert [line for line in lines if line[3] == 1 and line[0] > stopped + 0.1] == []
        assert words([line for line in lines if line[3] == 2]) == REPLY
    # It is looked over HTTP, on a machine that does other things besides: the best one counts.
    assert min(took) < 0.1


def test_a_new_reply_stops_the_one_before(place, session):
    slow(place)
    turn = session.open()
    turn("respond", 1, "你好", False)
    turn.until("TextReady")
    place.providers.script("chat", text=REPLY)
    turn("respond", 2, "你好", False)
    lines = turn.until("ReplyEnded")
    assert lines[-1][3] == 2
    wait_until(lambda: place.counts("chat").get("cancelled") == 1)


def test_a_closed_turn_asks_nothing_more_and_fails_what_it_is_asked_for(place, session):
    slow(place)
    turn = session.open()
    turn("respond", 1, "你好", False)
    turn.until("TextReady")
    turn("close")
    wait_until(lambda: place.counts("chat").get("cancelled") == 1)
    turn("respond", 2, "你好", False)
    failed = turn.until("ReplyFailed")[-1]
    assert (failed[2]["stage"], failed[2]["reason"], failed[3]) == ("turn", "closed", 2)
    time.sleep(0.3)
    assert [line for line in session.settle() if line[2] in ("ReplyEnded", "ReplyFailed")] == []
    assert place.counts("chat")["started"] == 1


def test_failures_of_providers_come_as_events(place, session):
    place.providers.script("chat", status=500)
    place.providers.script("transcriptions", status=401)
    turn = session.open()
    turn("listen")
    turn("hear", 1, 40)
    turn("finish")
    failed = turn.until("HearingFailed")[-1][2]
    assert (failed["stage"], failed["reason"]) == ("asr", "auth")
    turn("respond", 1, "你好", False)
    failed = turn.until("ReplyFailed")[-1][2]
    assert failed["stage"] == "llm"


def test_what_was_used_is_charged_to_the_key(place, session):
    before = place.ledger()
    turn = session.open()
    turn("listen")
    turn("hear", 2, 100)
    turn("finish")
    turn.until("Heard")
    turn("respond", 1, "你好", True)
    turn.until("ReplyEnded")
    session.settle()
    wait_until(lambda: place.ledger() != before)
    used = {
        unit: amount - before.get((USER, KEY, unit), 0)
        for (user, key, unit), amount in place.ledger().items()
        if (user, key) == (USER, KEY)
    }
    assert used["seconds"] == pytest.approx(2, abs=0.1)
    assert used["characters"] > 10
    assert used["completion_tokens"] > 5
    with sqlite3.connect(place.database) as connection:
        (role_id,) = connection.execute("SELECT DISTINCT role_id FROM accounts_usageday").fetchone()
    assert role_id is not None


def test_many_turns_at_once_do_not_mix(place, session):
    open_ = [session.open() for _ in range(20)]
    for number, turn in enumerate(open_):
        turn("respond", number, "你好", True)
    lines = session.until(lambda line: line[2] == "ReplyEnded")
    for _ in range(19):
        lines += session.until(lambda line: line[2] == "ReplyEnded")
    for number in range(20):
        mine = [[line[0], *line[2:]] for line in lines if line[-1] == number]
        assert words(mine) == REPLY
        assert sum(sizes(mine)) > 24_000 * 2
