"""What becomes of live turns where a process, the bus or the broker is lost."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live_turns import REPLY, Place, Session, Turn, wait_until, words

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

# The reply goes on for longer than anybody waits here.
LONG = {"text": REPLY * 40, "pace": {"llm_first_ms": 20, "tokens_per_second": 10}}


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place("scaled", stack)


@pytest.fixture
def place(shared_place: Place) -> Iterator[Place]:
    shared_place.providers.reset()
    shared_place.providers.script("chat", **LONG)
    shared_place.providers.script("transcriptions", text="今夜会有东风吗")
    shared_place.worker_alive()
    yield shared_place
    shared_place.session().settle()


@pytest.fixture
def session(place: Place) -> Session:
    return place.session()


def replying(session: Session) -> Turn:
    """A turn in the middle of its reply."""
    turn = session.open()
    turn("respond", 1, "你好", False)
    turn.until("TextReady")
    return turn


def answers(place: Place, session: Session) -> None:
    """All is well again."""
    place.providers.script("chat", text=REPLY)
    turn = session.open()
    turn("respond", 7, "你好", False)
    assert words(turn.until("ReplyEnded")) == REPLY


def test_a_worker_killed_in_mid_reply(place, session):
    turn = replying(session)
    place.worker.kill()
    killed = time.monotonic()
    lines = turn.until("ReplyFailed", 10)
    assert (lines[-1][2]["stage"], lines[-1][2]["reason"]) == ("turn", "lost")
    assert lines[-1][0] - killed < 5
    turn("respond", 2, "你好", False)
    assert turn.until("ReplyFailed", 2)[-1][3] == 2
    place.worker_alive()
    answers(place, session)


def test_a_worker_killed_while_one_speaks(place, session):
    turn = session.open()
    turn("listen")
    turn("hear", 1, 40)
    turn("peek")
    turn.until("Heard")
    place.worker.kill()
    assert turn.until("HearingFailed", 6)[-1][2]["reason"] == "lost"
    # Everything is told once.
    turn("finish")
    turn("stop")
    turn("close")
    time.sleep(0.5)
    assert [line[2] for line in session.settle()] == []


def test_redis_gone_in_mid_reply(place, session):
    turn = replying(session)
    place.redis.stop()
    stopped = time.monotonic()
    try:
        lines = turn.until("ReplyFailed", 10)
        assert lines[-1][2]["reason"] == "unavailable"
        assert lines[-1][0] - stopped < 3
        # Nobody hears it: the model is not asked any longer.
        wait_until(lambda: place.counts("chat").get("cancelled") == 1)
        other = session.open()
        asked = time.monotonic()
        other("listen")
        other("respond", 1, "你好", False)
        assert other.until("HearingFailed", 5)[-1][2]["reason"] == "unavailable"
        assert other.until("ReplyFailed", 5)[-1][0] - asked < 3
    finally:
        place.redis.start()
    place.worker.wait_for(place.serving)
    answers(place, session)


def test_redis_restarted_in_mid_reply_ends_it(place, session):
    """What was on its way is gone for good: better a failure at once than a hole."""
    turn = replying(session)
    place.redis.stop()
    # The worker had something to tell meanwhile, and found nobody to take it.
    wait_until(lambda: place.counts("chat").get("cancelled") == 1)
    place.redis.start()
    lines = turn.until("ReplyFailed", 8)
    assert lines[-1][2]["reason"] in ("lost", "unavailable")
    place.worker.wait_for(place.serving)
    answers(place, session)


def test_redis_restarted_between_two_messages_leaves_no_hole(place, session):
    """Whether something was on its way is chance."""
    whole = REPLY * 6
    pace = {"llm_first_ms": 20, "tokens_per_second": 20}
    place.providers.script("chat", text=whole, pace=pace)
    turn = session.open()
    turn("respond", 1, "你好", False)
    told = turn.until("TextReady")
    place.redis.restart()
    told += turn.until(("ReplyEnded", "ReplyFailed"))
    if told[-1][1] == "ReplyEnded":
        assert words(told) == whole
    else:
        assert told[-1][2]["reason"] in ("lost", "unavailable")
        assert whole.startswith(words(told))
    place.worker.wait_for(place.serving)
    answers(place, session)


def test_without_a_worker_it_is_unavailable(place, session):
    place.worker.kill()
    wait_until(lambda: not place.serving(), 5)
    asked = time.monotonic()
    turn = session.open()
    turn("listen")
    turn("hear", 1, 40)
    turn("finish")
    failed = turn.until("HearingFailed", 8)[-1]
    assert failed[2]["reason"] == "unavailable"
    assert failed[0] - asked < 5
    # A worker that comes now finds the turn expired or closed, and asks nobody.
    place.worker_alive()
    answers(place, session)
    assert "transcriptions" not in place.providers.log()["counts"]


def test_a_doubled_delivery_runs_nothing_twice(place, session):
    place.providers.script("chat", text=REPLY, pace={"llm_first_ms": 1500})
    turn = session.open()
    turn("respond", 1, "你好", False)
    wait_until(lambda: place.counts("chat").get("started") == 1)
    turn("again")
    assert words(turn.until("ReplyEnded")) == REPLY
    turn("again")
    turn("close")
    turn("again")
    session.settle()
    time.sleep(1)
    assert place.counts("chat") == {"started": 1, "finished": 1}


def test_a_session_killed_leaves_nothing_running(place, session):
    replying(session)
    session.process.kill()
    wait_until(lambda: place.counts("chat").get("cancelled") == 1, 12)


def test_a_worker_asked_to_stop_lets_live_turns_end(place, session):
    place.providers.script("chat", text=REPLY, pace={"llm_first_ms": 20, "tokens_per_second": 6})
    turn = replying(session)
    place.worker.signal(signal.SIGTERM)
    words_then = turn.until("ReplyEnded")
    assert words_then[-1][2]["finish_reason"] == "stop"
    turn("close")
    place.worker.process.wait(10)
